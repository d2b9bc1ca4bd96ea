//! Gives messages that are too large for one account of their pool to the accounts that take them.
//!
//! Intake refuses what no account of the pool takes; what the only account with room no longer takes fails in the attempt.
//! The rest is handed over here, before anything of a budget is spent (RFC 1870). Invariant: the new pool is one that the
//! plan knows, so that the message is leased again.

use crate::mail::Id;
use crate::queue::{Lease, QueueError};

use super::account_pools::size;
use super::connected_account::ConnectedAccount;
use super::context::Context;

/// Takes out the leases that are too large for the account, where other accounts of their pool have room, and gives these
/// messages to them. True when there were any.
pub(super) async fn hand_over(
    context: &Context,
    pair: &ConnectedAccount,
    leases: &mut Vec<Lease>,
) -> Result<bool, QueueError> {
    let mut changes: Vec<(Id, String)> = Vec::new();
    leases.retain(|lease| {
        let too_large = pair.account.profile().too_large(size(lease));
        let Some(pool) = too_large.and_then(|_| context.accounts.roomier(lease)) else { return true };
        tracing::info!(event = "too_large_for_account", id = %lease.entry.id, account = pair.name(), %pool,
            "it goes through an account that takes larger messages");
        changes.push((lease.entry.id, pool.to_string()));
        false
    });
    if changes.is_empty() {
        return Ok(false);
    }
    // The leases were given back above, so the queue accepts the change.
    context.queue.assign(changes).await?;
    Ok(true)
}
