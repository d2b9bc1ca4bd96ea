//! What survives a crash: the queue, its promises, and nothing about how mail is sent.
//!
//! The contract has a part for each of its readers: [`MessageQueue`] (intake and delivery), [`AccountStore`] (delivery),
//! [`Inspection`] (operators and metrics), [`AuditLog`] (what operators ordered). [`Queue`] is all of them with the upkeep of
//! the whole.
//!
//! # Promises
//!
//! 1. When [`MessageQueue::put_all`] returns `Ok`, the messages are committed and synced: neither `kill -9` nor a power cut
//!    loses one of them. When it returns an error, none of them is stored, and none ever will be.
//! 2. A leased message is leased to no other caller until its lease is settled or dropped. A dropped lease (a task that
//!    died, a process that was killed) leaves the message as it was.
//! 3. [`MessageQueue::settle`] is one transaction: the outcomes, the next attempt, the failure notice, the usage and the
//!    state of the account are all written, or none of them. It consumes the lease, and it changes nothing when the lease is
//!    no longer held. [`MessageQueue::mark_reported`] is one transaction as well: each failure is reported exactly once.
//! 4. A body is deleted only after the change that no longer needs it is durable.
//! 5. Only these are deleted: what [`MessageQueue::drop_message`] names, delivered bodies, and what is older than the
//!    settings allow: records, and the content of failed messages, which can no longer be sent again then. What is damaged
//!    is kept in quarantine and reported.
//! 6. A message is leased only for a request that names its pool and its lane. The delivery decides which accounts a pool
//!    has, and which lane goes first.
//! 7. Clients share each account fairly (`fair`): no client delays the mail of another one by sending much.
//! 8. Two processes never share an embedded queue: the second [`sqlite::SqliteQueue::open`] is refused.
//!
//! An error of the disk is never retried on the same file: after a failed sync its content is unknown.
//!
//! # What a crash leaves
//!
//! | crash | afterwards |
//! | --- | --- |
//! | before `put` or `put_all` answered | none of the messages, or all of them, whole (durable, the answer was lost) |
//! | while leased | the message as it was before the lease |
//! | before `settle` answered, or while it was pending | the state before or the state after, never a mixture; the same for `mark_reported` and `assign` |
//! | while a finished message was indexed | indexed, or still to be indexed; a search finds it in both cases |
//! | before `add_usage` answered | added, or not |
//! | after a body was shared, before its `put` | a body without a message, moved to quarantine at the next start |
//! | after the message was deleted, before its body | a body without a message, moved to quarantine at the next start |

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Timestamp;

mod accounts;
mod archive;
mod audit;
mod body;
mod checksum;
mod client_lines;
mod counters_and_leases;
mod disk_reserve;
mod entry;
mod error;
mod fair;
mod folder;
mod inspection;
mod messages;
mod record_set;
mod request;
mod search;
mod spool;
pub mod sqlite;
mod state;

pub use accounts::{AccountState, AccountStore, AccountUsage, KEEP_USAGE, LONGEST_ACCOUNT, LONGEST_STATE};
pub use audit::{AuditFilter, AuditLog, AuditPage, AuditRecord, KEEP_COMMANDS, LONGEST_AUDIT_TEXT};
pub use body::{BodyDraft, BodyReader, INLINE_LIMIT, StoredBody};
pub use entry::{LONGEST_POOL, MessageOrigin, NewMessage, QueueEntry, RecipientEntry, Settlement};
pub use error::{QueueError, QueueFuture};
pub use inspection::{Inspection, MessageFilter, QueueDepth};
pub use messages::{Lease, LeaseGuard, MessageQueue, PendingSettlement, Settled};
pub use request::{ClosedLane, LaneRequest, LeaseRequest, PoolLane, WaitReason};
pub use search::{LONGEST_SUBJECT, MessageSearch, SearchCursor, SearchOrder, SearchPage};
pub use spool::Spool;
pub use state::{HoldReason, LONGEST_HOLD_TEXT, MessageState, NextAttempt, RecipientOutcome, state_after};

/// How long records are kept, in every backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetentionSettings {
    /// How long the record of a finished message is kept. That of a failed one is kept for `keep_failed` at least.
    pub keep_records: Duration,
    /// How long the content of a failed message is kept, so that it can be sent again.
    pub keep_failed: Duration,
    /// Whether records keep the decoded subject.
    pub keep_subject: bool,
}

/// What was found wrong when the queue was opened, each a sentence that names the place. None of it stops the start.
pub type StartupReport = Vec<String>;

/// The last time that was known to be right; a clock that jumps is detected by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedTime {
    /// The time.
    pub seen: Timestamp,
    /// For how long the relay must still run before it purges records.
    pub pause: Duration,
}

/// What a backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Messages in it, finished ones included.
    pub messages: u64,
    /// Octets of the file.
    pub octets: u64,
}

/// The whole queue. The promises are in the [module's text](self); each backend runs the same contract tests.
pub trait Queue: MessageQueue + AccountStore + Inspection + AuditLog + 'static {
    /// Corrects what a wrong clock left behind.
    ///
    /// The clock was ahead: a queued or waiting message that is due after `now`, and a deferred one that is due after
    /// `latest`, is due at `now`, leased messages included. The clock was not set ([`crate::clock::EARLIEST`]) and is now:
    /// what was received or finished then counts as received or finished `now`, is due, and has its whole life before it.
    ///
    /// Reads all messages: call it at a start, and after the clock was set.
    fn correct_times(&self, now: Timestamp, latest: Timestamp) -> QueueFuture<'_, ()>;

    /// Deletes records that are older than the settings allow, a few at a time; true when there are more.
    fn purge(&self, now: Timestamp) -> QueueFuture<'_, bool>;

    /// Writes a little and syncs it, so that it is known whether the queue can be written.
    ///
    /// # Errors
    /// [`QueueError::Full`] and others: it cannot.
    fn check_write(&self, now: Timestamp) -> QueueFuture<'_, ()>;

    /// Saves the time in place of the one that was saved before.
    ///
    /// # Errors
    /// [`QueueError::Full`] and others.
    fn save_time(&self, saved: SavedTime) -> QueueFuture<'_, ()>;

    /// Returns the saved time; `None` in a new queue.
    fn saved_time(&self) -> QueueFuture<'_, Option<SavedTime>>;

    /// Writes a consistent copy of the whole queue into the new file `into`, a tar archive, while the queue is used. A file of
    /// that name is complete and synced; after an error there is none, nor one beside it. A crash may leave files with the
    /// ends `.part` and `.part.db`, which the next backup to this name replaces. A backup ends when its call is dropped.
    ///
    /// Unpacked into an empty data folder it is the queue as of one moment after the call.
    ///
    /// # Errors
    /// [`QueueError::Full`], [`QueueError::Io`] (such as: the file exists), [`QueueError::InUse`] while another backup runs,
    /// and others.
    fn backup(&self, into: PathBuf) -> QueueFuture<'_, BackupReport>;

    /// Finishes what was begun and closes the store. Later calls fail with [`QueueError::Closed`].
    fn close(&self) -> QueueFuture<'_, ()>;
}
