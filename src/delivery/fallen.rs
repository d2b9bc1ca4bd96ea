//! A message whose attempt ended in a panic before it was settled: it is given a rest, so that a mistake of ours does not
//! become a loop that hammers the provider.
//!
//! Its lease was given back by the panic, so it is due as it was before, and comes again at once. Here it is recognised and
//! kept for some seconds. Not here: a panic that the attempt itself survives (`attempt`), which is settled as one try.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use crate::clock::{Timestamp, Worker};
use crate::mail::Id;
use crate::queue::Lease;
use crate::telemetry::counter;

use super::Delivery;

impl Delivery {
    /// Whether the last attempt at this message never came to its end. Said once.
    pub(super) fn has_fallen(&self, id: Id) -> bool {
        let fallen = self.fallen().remove(&id);
        if fallen {
            self.0.counters.add(counter::PANICS, &[("task", "settlement")], 1);
            tracing::error!(event = "attempt_broken", %id, "a mistake in the relay ended an attempt before its outcome was written; it may be sent twice");
        }
        fallen
    }

    /// Keeps the lease until then, or until the drain starts.
    pub(super) async fn let_rest(self, lease: Lease, until: Timestamp) -> Worker {
        let worker = self.0.clock.worker(format!("the rest of {}", lease.entry.id));
        while self.0.clock.now() < until && !self.0.drain.started() {
            tokio::select! {
                () = worker.sleep_until(Some(until)) => {}
                () = self.0.clock.set_back(until) => break,
                () = self.0.drain.asked() => {}
            }
        }
        drop(lease);
        worker
    }

    /// Notes that the attempt at this message has fallen, if what holds the value is unwound by a panic. An attempt that
    /// comes to its end leaves no trace: its message may be leased again before the task has ended.
    pub(super) fn watch_for_a_fall(&self, id: Id) -> Watch<'_> {
        Watch { delivery: self, id }
    }

    fn fallen(&self) -> MutexGuard<'_, HashSet<Id>> {
        // Only whole ids go in and out under the lock.
        self.0.fallen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Delivery::watch_for_a_fall`].
pub(super) struct Watch<'a> {
    delivery: &'a Delivery,
    id: Id,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.delivery.fallen().insert(self.id);
        }
    }
}
