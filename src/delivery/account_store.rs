//! The accounts' states in the queue: read once at the start, written when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MutexGuard, OnceCell};

use crate::account::SavedAccount;
use crate::clock::Clock;
use crate::queue::{AccountState, Queue, QueueError};

use super::connected_account::ConnectedAccount;

/// No budget looks further back.
const LOOK_BACK: Duration = Duration::from_secs(25 * 3600);

/// Reads and writes the states of the accounts.
pub(super) struct AccountStore {
    queue: Arc<dyn Queue>,
    clock: Clock,
    restored: OnceCell<()>,
}

impl AccountStore {
    pub(super) fn new(queue: Arc<dyn Queue>, clock: Clock) -> AccountStore {
        AccountStore { queue, clock, restored: OnceCell::new() }
    }

    /// Takes over what the last process saved. Once: usage that is read is added to what is known.
    pub(super) async fn restore(&self, accounts: &[Arc<ConnectedAccount>]) -> Result<(), QueueError> {
        self.restored.get_or_try_init(|| self.read(accounts)).await.map(|_| ())
    }

    async fn read(&self, accounts: &[Arc<ConnectedAccount>]) -> Result<(), QueueError> {
        let (now, states) = (self.clock.now(), self.queue.account_states().await?);
        for pair in accounts {
            let saved = states.iter().find(|state| state.account == pair.name()).and_then(SavedAccount::read);
            let usage = self.queue.usage(pair.name().to_owned(), now - LOOK_BACK).await?;
            pair.account.restore(saved, usage, now);
        }
        Ok(())
    }

    /// The state to write, if it is not the one that was written last. The caller holds the guard until it is written, so
    /// that of two states the older one does not reach the disk last.
    pub(super) async fn unsaved<'a>(&self, pair: &'a ConnectedAccount) -> Option<(AccountState, MutexGuard<'a, ()>)> {
        let saving = pair.saving.lock().await;
        pair.account.unsaved().map(|state| (state, saving))
    }

    /// Writes the state, if it has changed.
    ///
    /// # Errors
    /// It was not written, and is due again.
    pub(super) async fn save(&self, pair: &ConnectedAccount) -> Result<(), QueueError> {
        let Some((state, _saving)) = self.unsaved(pair).await else { return Ok(()) };
        self.queue.save_account_state(state).await.inspect_err(|_| pair.account.not_saved())
    }

    /// The same where no settlement writes the state and no caller waits for it: an error is logged.
    pub(super) async fn save_or_log(&self, pair: &ConnectedAccount) {
        if let Err(error) = self.save(pair).await {
            let account = pair.name();
            tracing::error!(event = "queue_error", account, "the state of the account could not be written: {error}");
        }
    }
}
