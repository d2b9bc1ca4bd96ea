//! What the parts of the delivery share, and how they wake each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Worker};
use crate::drain::Drain;
use crate::limits::capacity::Capacity;
use crate::queue::Queue;
use crate::report::failure_notice::FailureReports;
use crate::telemetry::counter::Counters;

use super::account_pools::AccountPools;
use super::account_store::AccountStore;
use super::connected_account::ConnectedAccount;
use super::schedule::RetrySchedule;

/// How long to wait when the queue cannot answer.
pub(super) const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// What the parts of the delivery share.
pub(super) struct Context {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    pub(super) capacity: Capacity,
    pub(super) failed: FailedMessages,
    pub(super) drain: Drain,
    pub(super) schedule: RetrySchedule,
    pub(super) accounts: AccountPools,
    pub(super) store: AccountStore,
    pub(super) reports: FailureReports,
    pub(super) wake: Wake,
}

/// Messages that failed for good since the reporter took their number. The relay's own mail does not count.
#[derive(Debug, Default)]
pub(super) struct FailedMessages(AtomicU64);

impl FailedMessages {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// How the parts wake each other.
pub(super) struct Wake {
    /// An account changed, so the dispatcher must plan again.
    pub(super) dispatcher: Notify,
    /// One for each change: it counts as work until the dispatcher has looked, so that a manual clock stands still.
    changes: Mutex<Vec<Worker>>,
    /// An account began or ended to cool, or an operator asks to read the secrets again.
    pub(super) secrets: Notify,
    /// A report may be due.
    pub(super) reporter: Notify,
}

impl Wake {
    pub(super) fn new() -> Wake {
        Wake { dispatcher: Notify::new(), changes: Mutex::default(), secrets: Notify::new(), reporter: Notify::new() }
    }

    /// The dispatcher looks at all changes from here on.
    pub(super) fn looked(&self) {
        self.changes().clear();
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Worker>> {
        // Only whole workers are pushed and dropped under the lock.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// Makes the dispatcher plan again: an account or the queue changed.
    pub(super) fn wake_dispatcher(&self) {
        self.wake.changes().push(self.clock.worker("a change of an account"));
        self.wake.dispatcher.notify_one();
    }

    /// How many messages this account could send; 0 when the queue cannot answer, which it logs itself.
    pub(super) async fn waiting_for(&self, pair: &ConnectedAccount) -> u64 {
        self.accounts.waiting_for(pair, &self.queue.pools().await.unwrap_or_default())
    }
}
