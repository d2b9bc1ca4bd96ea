//! Messages whose attempt ended in a panic before it was settled. They wait, so that a bug does not become a loop that
//! floods the provider.
//!
//! The panic gives the lease back, so the message is leased again at once. It is recognised then, and held for some seconds.
//! Not here: a panic that the attempt itself survives (`attempt`), which is settled as one try.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mail::Id;

/// Which messages are being tried, and whose attempt has crashed.
#[derive(Debug, Default)]
pub(super) struct CrashedAttempts(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    under_way: HashSet<Id>,
    /// Until they are leased again.
    crashed: HashSet<Id>,
}

impl CrashedAttempts {
    /// Whether the last attempt at this message crashed. True once for each crash.
    pub(super) fn take(&self, id: Id) -> bool {
        self.lock().crashed.remove(&id)
    }

    pub(super) fn is_under_way(&self, id: Id) -> bool {
        self.lock().under_way.contains(&id)
    }

    /// Notes a crash if a panic unwinds the task that holds the guard. An attempt that ends otherwise leaves no trace: its
    /// message may be leased again before the task has ended.
    pub(super) fn watch(self: &Arc<Self>, id: Id) -> AttemptGuard {
        self.lock().under_way.insert(id);
        AttemptGuard { attempts: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        // Only whole ids go in and out under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while an attempt is under way.
pub(super) struct AttemptGuard {
    attempts: Arc<CrashedAttempts>,
    id: Id,
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        let mut attempts = self.attempts.lock();
        if std::thread::panicking() {
            attempts.crashed.insert(self.id);
        }
        attempts.under_way.remove(&self.id);
    }
}
