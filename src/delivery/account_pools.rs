//! The accounts, and the pools in which the settings put them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::{Lease, QueueEntry};
use crate::route::{Pool, Router};

use super::connected_account::ConnectedAccount;
use super::plan::PoolAccounts;

/// The accounts with their pools.
#[derive(Debug)]
pub(super) struct AccountPools {
    /// In the order of the settings.
    pub(super) all: Vec<Arc<ConnectedAccount>>,
    pub(super) pools: Vec<PoolAccounts>,
    router: Arc<Router>,
}

impl AccountPools {
    pub(super) fn new(accounts: Vec<ConnectedAccount>, router: Arc<Router>) -> AccountPools {
        let place = |name: &String| accounts.iter().position(|pair| pair.name() == name);
        let with_accounts = |pool: Arc<str>| {
            let Pool { accounts, spread } = Pool::parse(&pool);
            PoolAccounts { pool, accounts: accounts.iter().filter_map(place).collect(), spread }
        };
        let pools = router.pools().into_iter().map(with_accounts).collect();
        AccountPools { all: accounts.into_iter().map(Arc::new).collect(), pools, router }
    }

    /// The account of this name.
    pub(super) fn account(&self, name: &str) -> Option<&Arc<ConnectedAccount>> {
        self.all.iter().find(|pair| pair.name() == name)
    }

    pub(super) fn has_pool(&self, name: &str) -> bool {
        self.pools.iter().any(|pool| *pool.pool == *name)
    }

    /// The places of a pool's accounts; none for a pool that the settings do not have.
    fn places(&self, pool: &str) -> &[usize] {
        self.pools.iter().find(|known| *known.pool == *pool).map_or(&[], |known| &known.accounts)
    }

    /// The first choice of a pool.
    pub(super) fn first_of(&self, pool: &str) -> Option<&Arc<ConnectedAccount>> {
        self.of_pool(pool).next()
    }

    /// The pools that have this account.
    pub(super) fn pools_with(&self, account: &str) -> Vec<String> {
        let has = |pool: &&PoolAccounts| pool.accounts.iter().any(|&place| self.all[place].name() == account);
        self.pools.iter().filter(has).map(|pool| pool.pool.to_string()).collect()
    }

    /// The accounts of a pool, the first choice first.
    fn of_pool(&self, pool: &str) -> impl Iterator<Item = &Arc<ConnectedAccount>> {
        self.places(pool).iter().map(|&place| &self.all[place])
    }

    /// The pool for a message whose own pool was removed from the settings: the one that it would get if it came now.
    /// `None` when its pool is still there, or none of its recipients is open.
    pub(super) fn new_pool(&self, entry: &QueueEntry) -> Option<String> {
        if self.has_pool(&entry.pool) {
            return None;
        }
        let recipient = entry.open().next().map(|(_, recipient)| &recipient.address)?;
        Some(self.router.pool(&entry.origin.client, &entry.sender, recipient).to_string())
    }

    /// The pool of those accounts of this message's pool that take its size; `None` when there is none.
    pub(super) fn roomier(&self, lease: &Lease) -> Option<Arc<str>> {
        let own = self.pools.iter().find(|pool| *pool.pool == *lease.entry.pool)?;
        let names = |accounts: &[&Arc<ConnectedAccount>]| accounts.iter().map(|pair| pair.name().to_owned()).collect();
        let takes = |pair: &&Arc<ConnectedAccount>| pair.account.profile().too_large(size(lease)).is_none();
        let some: Vec<_> = self.of_pool(&own.pool).filter(takes).collect();
        let pool = |some: &[_]| Pool { accounts: names(some), spread: own.spread && some.len() > 1 }.text();
        // Each account is a pool by itself, in any settings.
        let first = some.first()?;
        Some(pool(&some)).filter(|pool| self.has_pool(pool)).or_else(|| Some(pool(&[*first])))
    }

    /// The pool of this account alone, which the plan knows in any settings.
    pub(super) fn alone(&self, pair: &ConnectedAccount) -> String {
        Pool { accounts: vec![pair.name().to_owned()], spread: false }.text().to_string()
    }

    /// When a message of this pool and lane is expected to leave that has `ahead` recipients before it.
    pub(super) fn expected(&self, pool: &str, lane: Lane, ahead: u64, now: Timestamp) -> Option<Timestamp> {
        self.of_pool(pool).filter_map(|pair| pair.account.expected(lane, ahead, now)).min()
    }

    /// Whether an account takes mail of both pools.
    pub(super) fn share_an_account(&self, one: &str, other: &str) -> bool {
        one == other || self.places(one).iter().any(|account| self.places(other).contains(account))
    }

    /// How many messages this account could send, of those that wait in each pool.
    pub(super) fn waiting_for(&self, account: &ConnectedAccount, pools: &[(String, u64)]) -> u64 {
        let serves = |pool: &str| self.of_pool(pool).any(|pair| pair.name() == account.name());
        pools.iter().filter(|(pool, _)| serves(pool)).map(|(_, count)| count).sum()
    }

    /// The pool of all accounts but this one, and its accounts.
    pub(super) fn without(&self, account: &str) -> Option<(Arc<str>, Vec<&Arc<ConnectedAccount>>)> {
        let pool = self.router.without(account)?;
        let others = self.of_pool(&pool).collect();
        Some((pool, others))
    }
}

/// Octets of a message.
pub(super) fn size(lease: &Lease) -> u64 {
    lease.head.len() as u64 + 2 + lease.body.len()
}
