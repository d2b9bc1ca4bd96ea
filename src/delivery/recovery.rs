//! What the last process left: the states and usage of the accounts, and messages whose pool was removed from the settings.

use crate::queue::{MessageFilter, QueueError};

use super::context::Context;

/// Messages that are given a new pool at a time.
const PAGE: usize = 500;

/// Restores the accounts, and gives every message a pool that the settings have.
pub(super) async fn recover(context: &Context) {
    if let Err(error) = context.store.restore(&context.accounts.all).await {
        tracing::error!(event = "queue_error", "the state of the accounts could not be read: {error}");
    }
    if let Err(error) = route_anew(context).await {
        tracing::error!(event = "queue_error", "messages could not be given to accounts: {error}");
    }
}

async fn route_anew(context: &Context) -> Result<(), QueueError> {
    let (queue, accounts) = (&context.queue, &context.accounts);
    if queue.pools().await?.iter().all(|(pool, _)| accounts.has_pool(pool)) {
        return Ok(());
    }
    let mut after = None;
    // A million messages take minutes: a stop does not wait for that, and the next start goes on.
    while !context.drain.started() {
        let page = queue.list(MessageFilter { limit: PAGE, after, ..MessageFilter::default() }).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        let changes = page.iter().filter_map(|entry| Some((entry.id, accounts.new_pool(entry)?)));
        queue.assign(changes.collect()).await?;
    }
    Ok(())
}
