//! What the queue stores of an operator's commands: who gave which, from where, and the result.

use std::time::Duration;

use crate::clock::Timestamp;

use super::error::QueueFuture;

/// How long commands are kept.
pub const KEEP_COMMANDS: Duration = Duration::from_secs(90 * 24 * 3600);
/// The longest of each text of an [`AuditRecord`], in octets; a longer one is cut between characters.
pub const LONGEST_AUDIT_TEXT: usize = 1024;

/// One command that an operator gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it was carried out.
    pub at: Timestamp,
    /// Who gave it: `uid 1000 (anna)`.
    pub who: String,
    /// From where: `socket`, `offline`, or an address.
    pub from: String,
    /// The name of the command: `retry`.
    pub command: String,
    /// What it was about: an id, an account, a filter.
    pub target: String,
    /// `done`, or why it was refused.
    pub result: String,
}

/// Which commands [`AuditLog::commands`] returns, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Given at this time or later.
    pub since: Option<Timestamp>,
    /// Given before this time.
    pub until: Option<Timestamp>,
    /// Only what comes after the page that ended with this place.
    pub after: Option<super::SearchCursor>,
    /// At most this many; 0 means 100.
    pub limit: usize,
}

/// A page of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The commands.
    pub records: Vec<AuditRecord>,
    /// How many fit in all.
    pub total: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<super::SearchCursor>,
}

/// The part of the queue that stores commands. They are kept for [`KEEP_COMMANDS`]; [`Queue::purge`](super::Queue::purge)
/// deletes older ones.
pub trait AuditLog: Send + Sync {
    /// Stores a command durably.
    ///
    /// # Errors
    /// [`QueueError::Full`](super::QueueError::Full) and others: it is not stored.
    fn record_command(&self, record: AuditRecord) -> QueueFuture<'_, ()>;

    /// Returns the commands that fit `filter`, newest first.
    fn commands(&self, filter: AuditFilter) -> QueueFuture<'_, AuditPage>;
}
