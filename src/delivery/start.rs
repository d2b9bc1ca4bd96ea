//! What the last process left: states and usage of the accounts, and messages whose pool was removed from the settings.

use std::time::Duration;

use crate::queue::{MessageFilter, QueueEntry, QueueError};

use super::Delivery;
use super::keep::Kept;

/// No budget looks further back.
const LOOK_BACK: Duration = Duration::from_secs(25 * 3600);
/// Messages that are given a new pool at a time.
const PAGE: usize = 500;

impl Delivery {
    /// Puts the accounts where they were, and gives every message a pool that the settings have.
    pub(super) async fn take_over(&self) {
        if let Err(error) = self.restore().await {
            tracing::error!(event = "queue_error", "the state of the accounts could not be read: {error}");
        }
        if let Err(error) = self.route_anew().await {
            tracing::error!(event = "queue_error", "messages could not be given to accounts: {error}");
        }
    }

    /// Reads what was kept of the accounts.
    ///
    /// # Errors
    /// The queue could not be read; the accounts are as they were.
    pub async fn restore(&self) -> Result<(), QueueError> {
        // Once: what was read is added to what is known.
        self.0.restored.get_or_try_init(|| self.read_states()).await.map(|_| ())
    }

    async fn read_states(&self) -> Result<(), QueueError> {
        let (now, states) = (self.0.clock.now(), self.0.queue.account_states().await?);
        for account in &self.0.accounts {
            let kept = states.iter().find(|state| state.account == account.name()).and_then(Kept::read);
            // A clock that was set back must not hide what was used: everything that is there is read.
            let usage = self.0.queue.usage(account.name().to_owned(), now - LOOK_BACK).await?;
            account.restore(kept, usage, now);
        }
        Ok(())
    }

    /// Gives every message that is not final a pool that the settings have.
    async fn route_anew(&self) -> Result<(), QueueError> {
        if self.0.queue.pools().await?.iter().all(|(pool, _)| self.has_pool(pool)) {
            return Ok(());
        }
        let mut after = None;
        // With a million messages it takes minutes: a stop does not wait for it, and the next start goes on.
        while !self.0.drain.started() {
            let page = self.0.queue.list(MessageFilter { limit: PAGE, after, ..MessageFilter::default() }).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            let changes = page.iter().filter_map(|entry| Some((entry.id, self.new_pool(entry)?)));
            self.0.queue.assign(changes.collect()).await?;
        }
        Ok(())
    }

    /// The pool for a message whose own pool was removed from the settings: the one that it would get if it came now.
    /// `None` when its pool is still there, or none of its recipients is open.
    pub fn new_pool(&self, entry: &QueueEntry) -> Option<String> {
        if self.has_pool(&entry.pool) {
            return None;
        }
        let recipient = entry.open().next().map(|(_, recipient)| &recipient.address)?;
        Some(self.0.router.pool(&entry.origin.client, &entry.sender, recipient).to_string())
    }

    fn has_pool(&self, name: &str) -> bool {
        self.0.pools.iter().any(|pool| *pool.pool == *name)
    }
}
