//! What the queue stores of accounts: their usage by the minute, and their state.
//!
//! The queue does not know what a budget is, nor what a state contains. It adds usage up and returns what was saved.

use std::time::Duration;

use crate::clock::Timestamp;

use super::error::QueueFuture;

/// How long usage is kept: a month and a day.
pub const KEEP_USAGE: Duration = Duration::from_secs(32 * 24 * 3600);
/// The longest name of an account, in octets.
pub const LONGEST_ACCOUNT: usize = 255;
/// The longest text of an [`AccountState`], in octets.
pub const LONGEST_STATE: usize = 16 * 1024;

/// What the delivery must know of an account after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The account's name in the settings, at most [`LONGEST_ACCOUNT`] octets.
    pub account: String,
    /// JSON that only the delivery reads, at most [`LONGEST_STATE`] octets.
    pub state: String,
}

/// What an account has used of its budget. In an answer: the sum of one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUsage {
    /// The account's name in the settings, at most [`LONGEST_ACCOUNT`] octets.
    pub account: String,
    /// When. Usage is added up by the minute; an answer has the beginning of the minute.
    pub at: Timestamp,
    /// Messages handed to the provider.
    pub messages: u32,
    /// Recipients of these messages.
    pub recipients: u32,
    /// Log-ins that were attempted.
    pub logins: u32,
}

/// The part of the queue that stores accounts.
pub trait AccountStore: Send + Sync {
    /// Adds usage durably. A log-in is added before it is attempted.
    ///
    /// # Errors
    /// [`TooLong`](super::QueueError::TooLong); after any other error the usage may have been added or not.
    fn add_usage(&self, usage: AccountUsage) -> QueueFuture<'_, ()>;

    /// Returns the usage of an account in each minute since the one of `since`, oldest first, without the minutes that have
    /// none. Usage is kept for [`KEEP_USAGE`].
    fn usage(&self, account: String, since: Timestamp) -> QueueFuture<'_, Vec<AccountUsage>>;

    /// Saves the state of an account in place of the one that was saved before.
    ///
    /// # Errors
    /// [`TooLong`](super::QueueError::TooLong) and others.
    fn save_account_state(&self, state: AccountState) -> QueueFuture<'_, ()>;

    /// Returns the saved states, in the order of the accounts' names.
    fn account_states(&self) -> QueueFuture<'_, Vec<AccountState>>;
}
