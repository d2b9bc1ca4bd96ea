//! A message whose attempt ended in a panic before it was settled: it is given a rest, so that a mistake of ours does not
//! become a loop that hammers the provider.
//!
//! Its lease was given back by the panic, so it is due as it was before, and comes again at once. Here it is recognised and
//! kept for some seconds. Not here: a panic that the attempt itself survives (`attempt`), which is settled as one try.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use tokio::task::JoinSet;

use crate::clock::{Timestamp, Worker};
use crate::mail::Id;
use crate::queue::Lease;
use crate::telemetry::counter;

use super::Delivery;

impl Delivery {
    /// Whether the last attempt at this message never came to its end. Said once.
    pub(super) fn has_fallen(&self, id: Id) -> bool {
        let fallen = self.attempted().fallen.remove(&id);
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
        self.attempted().under_way.insert(id);
        Watch { delivery: self, id }
    }

    /// Waits until no attempt at this message is under way. It was leased, so the one before has written its outcome, or
    /// is unwound by a panic: it is at its very end, and only then it is known which of the two.
    pub(super) async fn after_the_last(&self, id: Id, attempts: &mut JoinSet<Worker>) {
        while self.attempted().under_way.contains(&id) && attempts.join_next().await.is_some() {}
    }

    fn attempted(&self) -> MutexGuard<'_, Attempted> {
        // Only whole ids go in and out under the lock.
        self.0.attempted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which messages were tried, and what is not known of it yet.
#[derive(Debug, Default)]
pub(super) struct Attempted {
    under_way: HashSet<Id>,
    /// Their attempt ended in a panic before it was settled; until they are leased again.
    fallen: HashSet<Id>,
}

/// See [`Delivery::watch_for_a_fall`].
pub(super) struct Watch<'a> {
    delivery: &'a Delivery,
    id: Id,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut attempted = self.delivery.attempted();
        if std::thread::panicking() {
            attempted.fallen.insert(self.id);
        }
        attempted.under_way.remove(&self.id);
    }
}
