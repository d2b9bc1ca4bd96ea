//! Is a message too large for one account of its pool, and not for another? Then it goes to those that take it.
//!
//! What no account of the pool takes is refused at the door (`intake`); what only one account could have taken, and does
//! not any more, fails in the attempt. Here is what lies between: the message is given to the accounts with room, before
//! anything of a budget is spent. Source: the SIZE of the presets (RFC 1870). Invariant: the new pool is one that the plan
//! knows, so that the message is not lost from sight.

use std::sync::Arc;

use crate::mail::Id;
use crate::queue::{Lease, QueueError};
use crate::route::Pool;

use super::Delivery;
use super::account::Account;
use super::attempt::too_large;

impl Delivery {
    /// Takes out the leases that are too large for the account, where another account of their pool has room, and gives
    /// these messages to the ones that have. True when there were any.
    pub(super) async fn hand_over(&self, account: &Account, leases: &mut Vec<Lease>) -> Result<bool, QueueError> {
        let mut changes: Vec<(Id, String)> = Vec::new();
        leases.retain(|lease| {
            let pool = too_large(account.who(), lease).and_then(|_| self.roomier(lease));
            let Some(pool) = pool else { return true };
            tracing::info!(event = "too_large_for_account", id = %lease.entry.id, account = account.name(), %pool,
                "it goes through an account that takes larger messages");
            changes.push((lease.entry.id, pool.to_string()));
            false
        });
        if changes.is_empty() {
            return Ok(false);
        }
        // The leases are back by now, so that nobody holds what is given away.
        self.0.queue.assign(changes).await?;
        Ok(true)
    }

    /// The pool of those accounts of this message's pool that take its size; `None` when there is none.
    fn roomier(&self, lease: &Lease) -> Option<Arc<str>> {
        let own = self.0.pools.iter().find(|pool| *pool.pool == *lease.entry.pool)?;
        let takes = |&&place: &&usize| too_large(self.0.accounts[place].who(), lease).is_none();
        let places: Vec<usize> = own.accounts.iter().filter(takes).copied().collect();
        let names = |places: &[usize]| places.iter().map(|&place| self.0.accounts[place].name().to_owned()).collect();
        let pool = |places: &[usize]| Pool { accounts: names(places), spread: own.spread && places.len() > 1 }.text();
        let known = |pool: &Arc<str>| self.0.pools.iter().any(|other| other.pool == *pool);
        // Each account is a pool by itself, in any settings.
        let first = places.first()?;
        Some(pool(&places)).filter(known).or_else(|| Some(pool(&[*first])))
    }
}
