//! What admin asks of accounts, of the running delivery or of the files of a stopped relay.
//!
//! Not here: what pausing does to mail (`delivery`), and how it is shown (`cli`). Invariant: a name that no account has
//! is answered with an error that lists those there are; nothing is changed then.

use std::future::Future;
use std::pin::Pin;

use crate::account::AccountStatus;
use crate::clock::Timestamp;
use crate::delivery::alert_sender::ChannelTest;
use crate::delivery::{ConnectedAccount, Delivery};
use crate::mail::Lane;
use crate::queue::{QueueEntry, QueueError};

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

    /// Stops sending through the account `name` until somebody resumes it. Its mail waits, and spends no try. `reason`
    /// is for those who look at it later.
    ///
    /// # Errors
    /// One sentence: there is no such account, or the state could not be written.
    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), String>>;

    /// Makes the account `name` ready, whatever kept it from that: an operator, or the provider.
    ///
    /// # Errors
    /// As [`Accounts::pause`].
    fn resume(&self, name: String) -> Answer<'_, Result<(), String>>;

    /// Sends a test alert over every channel that alerts use; an empty list: there is none.
    ///
    /// # Errors
    /// One sentence: the settings of a stopped relay cannot be used.
    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, String>>;
}

/// The sentence for a name that no account has.
pub fn no_such_account<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let there = if known.is_empty() { "there is none".to_owned() } else { format!("there is: {}", known.join(", ")) };
    format!("there is no account `{}`; {there}", name.escape_debug())
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

    fn list(&self) -> Answer<'_, Vec<AccountStatus>> {
        Box::pin(self.statuses())
    }

    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let account = known(self, &name)?;
            self.pause(account, reason.as_deref().unwrap_or("")).await.map_err(not_written)
        })
    }

    fn resume(&self, name: String) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let account = known(self, &name)?;
            self.resume(account).await.map_err(not_written)
        })
    }

    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, String>> {
        Box::pin(async { Ok(Delivery::test_alerts(self).await) })
    }
}

fn not_written(error: QueueError) -> String {
    format!("done, but it could not be written, so it would not outlive a restart: {error}")
}

fn known<'a>(delivery: &'a Delivery, name: &str) -> Result<&'a ConnectedAccount, String> {
    let names = || delivery.accounts().iter().map(|pair| pair.name());
    delivery.account(name).map(|pair| &**pair).ok_or_else(|| no_such_account(name, names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        assert_eq!(no_such_account("x", ["a", "b"]), "there is no account `x`; there is: a, b");
        assert_eq!(no_such_account("\u{1b}[2J", []), "there is no account `\\u{1b}[2J`; there is none");
    }
}
