//! What admin asks of accounts, of the running delivery or of the files of a stopped relay.
//!
//! Not here: what pausing does to mail (`delivery`), and how it is shown (`cli`). Invariant: a name that no account has
//! is answered with an error that lists the accounts; nothing is changed then.

use std::future::Future;
use std::pin::Pin;

use crate::account::AccountStatus;
use crate::clock::Timestamp;
use crate::delivery::alert_sender::ChannelTest;
use crate::delivery::{ConnectedAccount, Delivery};
use crate::mail::Lane;
use crate::queue::QueueEntry;

use super::error::{AdminError, no_such_account, not_written};

/// An answer: boxed, so that one `dyn Accounts` serves a running relay and a stopped one.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The accounts, as an operator sees and touches them.
pub trait Accounts: Send + Sync + 'static {
    /// When a message of this pool and lane may be expected to go that has so many recipients in the line before it;
    /// `None` when nobody knows.
    fn expected(&self, pool: &str, lane: Lane, ahead: u64) -> Option<Timestamp>;

    /// Whether an account takes mail of both pools, so that their clients share it.
    fn share_an_account(&self, one: &str, other: &str) -> bool;

    /// The pool for a message whose own pool was removed from the settings; `None` when it needs no other one.
    fn new_pool(&self, entry: &QueueEntry) -> Option<String>;

    /// All of them, in the order of the settings.
    fn list(&self) -> Answer<'_, Vec<AccountStatus>>;

    /// The pools of the settings that have this account.
    fn pools_with(&self, account: &str) -> Vec<String>;

    /// The header block with which the account would send this message that would take it now: the first one of its pool.
    /// As stored when there is none.
    fn outgoing_head(&self, entry: &QueueEntry, stored: &[u8]) -> Vec<u8>;

    /// Stops sending through the account `name` until an operator resumes it. Its mail waits, and spends no try. `reason`
    /// is for those who look at it later.
    ///
    /// # Errors
    /// [`no_such_account`], or the state could not be written.
    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), AdminError>>;

    /// Makes the account `name` ready, whatever kept it from that: an operator, or the provider.
    ///
    /// # Errors
    /// As [`Accounts::pause`].
    fn resume(&self, name: String) -> Answer<'_, Result<(), AdminError>>;

    /// Sends a test alert over every channel that alerts use; an empty list: there is none.
    ///
    /// # Errors
    /// The settings of a stopped relay cannot be used.
    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, AdminError>>;
}

impl Accounts for Delivery {
    fn expected(&self, pool: &str, lane: Lane, ahead: u64) -> Option<Timestamp> {
        self.expected(pool, lane, ahead)
    }

    fn share_an_account(&self, one: &str, other: &str) -> bool {
        self.share_an_account(one, other)
    }

    fn new_pool(&self, entry: &QueueEntry) -> Option<String> {
        self.new_pool(entry)
    }

    fn pools_with(&self, account: &str) -> Vec<String> {
        self.pools_with(account)
    }

    fn outgoing_head(&self, entry: &QueueEntry, stored: &[u8]) -> Vec<u8> {
        self.outgoing_head(entry, stored)
    }

    fn list(&self) -> Answer<'_, Vec<AccountStatus>> {
        Box::pin(self.statuses())
    }

    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move {
            let account = known(self, &name)?;
            self.pause(account, reason.as_deref().unwrap_or("")).await.map_err(|error| not_written(&error))
        })
    }

    fn resume(&self, name: String) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move {
            let account = known(self, &name)?;
            self.resume(account).await.map_err(|error| not_written(&error))
        })
    }

    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, AdminError>> {
        Box::pin(async { Ok(Delivery::test_alerts(self).await) })
    }
}

fn known<'a>(delivery: &'a Delivery, name: &str) -> Result<&'a ConnectedAccount, AdminError> {
    let names = || delivery.accounts().iter().map(|pair| pair.name());
    delivery.account(name).map(|pair| &**pair).ok_or_else(|| no_such_account(name, names()))
}
