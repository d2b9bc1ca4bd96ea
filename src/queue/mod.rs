//! What survives a crash: the queue, its promises, and nothing about how mail is sent.
//!
//! # Promises
//!
//! 1. When [`Queue::put_all`] returns `Ok`, the messages are committed and synced: neither `kill -9` nor a power cut
//!    loses one of them. When it returns an error, none of them is there, and none ever will be.
//! 2. A message that is leased is given to nobody else until its lease is settled or dropped. A lease that is dropped
//!    (a task that died, a process that was killed) puts the message back as it was.
//! 3. [`Queue::settle`] is one transaction: the outcomes, the next try, the failure notice, what the account has used
//!    and what it is like now are all written, or none of them. It consumes the lease, and it changes nothing when the
//!    lease is no longer held. [`Queue::tell`] is one transaction as well: nobody is told twice, or forgotten.
//! 4. A body is deleted only after the row that named it has said, durably, that nobody needs it.
//! 5. Nothing is deleted but: what [`Queue::drop_message`] names, delivered bodies, and records older than the
//!    settings say. What is damaged is set aside where a person can look at it, and reported.
//! 6. A message is leased only for a request that names its pool and its lane. Which accounts a pool has, and which lane
//!    goes first, is decided by the delivery.
//! 7. Clients share each account fairly (`fair`): no client can keep the mail of another one waiting by sending much.
//! 8. Two processes never share an embedded queue: the second [`sqlite::Sqlite::open`] is refused.
//!
//! An error from the disk is never retried on the same file: after a failed sync nobody knows what was written.
//!
//! # What a crash leaves
//!
//! | crash | afterwards |
//! | --- | --- |
//! | before `put` or `put_all` answered | nothing, or all of the messages, whole (they were durable, the answer was lost); a spool file without a row is swept at start |
//! | while leased | the message as it was before the lease |
//! | before `settle` answered, or while it was kept | the state before, or the state after, never a mixture; the same for `tell` and `assign` |
//! | before `spend` answered | counted, or not |
//! | after a body was shared, before its `put` | a spool file without a row, swept at start |
//! | after the row was deleted, before its file | a spool file without a row, swept at start |

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Id;

pub mod body;
mod checksum;
pub mod entry;
mod fair;
mod folder;
pub mod request;
mod spool;
pub mod sqlite;
#[cfg(test)]
mod tests;

use body::{Draft, Stored};
use bytes::Bytes;
use entry::{AccountState, Entry, NewMessage, SavedTime, Settlement, State, Usage};
use request::{ClosedLane, LeaseRequest, Line, WaitReason};
use tokio::sync::oneshot;

/// The settings of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the queue keeps its files; the folder is made, mode 0700, when it is missing.
    pub data_dir: std::path::PathBuf,
    /// How long the record of a delivered message is kept.
    pub keep_delivered: Duration,
    /// How long a failed message is kept, with its body.
    pub keep_failed: Duration,
}

/// Why the queue could not do what it was asked. The texts are for the log and the operator, not for a peer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No space left on the device, or no quota (answer 452 4.3.1).
    #[error("no space is left in {0}")]
    Full(std::path::PathBuf),
    /// Another process has the data folder.
    #[error("{} is in use by another yizhan (process {pid}); stop it, or give this one a data_dir of its own", path.display())]
    Locked {
        /// The folder.
        path: std::path::PathBuf,
        /// The other process, 0 when it is not known.
        pid: u32,
    },
    /// The database cannot be read as one, or was written by a later version.
    #[error("the queue in {} cannot be used: {reason}", path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file could not be read, written or synced.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database said no.
    #[error("the queue's database failed: {0}")]
    Database(String),
    /// There is no such message.
    #[error("there is no message {0}")]
    NotFound(Id),
    /// The message is being sent right now.
    #[error("message {0} is being sent right now; try again in a moment")]
    Busy(Id),
    /// What was asked makes no sense in the state the message is in.
    #[error("message {0} is {1}")]
    WrongState(Id, State),
    /// The lease was lost (the message was leased again, or the queue was reopened).
    #[error("message {0} is no longer leased")]
    NotLeased(Id),
    /// A name or a text is longer than the queue keeps.
    #[error("{what} is longer than {limit} octets")]
    TooLong {
        /// Which one.
        what: &'static str,
        /// How long it may be.
        limit: usize,
    },
    /// The queue has been closed.
    #[error("the queue is closed")]
    Closed,
}

impl Error {
    /// Whether a file itself is at fault, so that reading it again would end in the same way. Not when the process has no
    /// descriptors, threads or memory left, which passes.
    pub fn is_about_the_file(&self) -> bool {
        use rustix::io::Errno;
        let Error::Io { source, .. } = self else { return false };
        match Errno::from_io_error(source) {
            Some(errno) => !matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR),
            // Ours: another length, another checksum, something else in the place of the file.
            None => source.kind() == std::io::ErrorKind::InvalidData,
        }
    }
}

/// What a call to the queue gives: boxed, so that one `dyn Queue` serves every backend.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Which messages [`Queue::list`] names.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those in one of these states; empty: all that are not final.
    pub states: Vec<State>,
    /// At most so many; 0 means 100.
    pub limit: usize,
    /// Only those with an id greater than this (for the next page).
    pub after: Option<Id>,
    /// Only those of this pool.
    pub pool: Option<String>,
}

/// How long it is known what an account has used: a month and a day.
pub const KEEP_USAGE: Duration = Duration::from_secs(32 * 24 * 3600);

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// How many messages are in each state, in the order of [`State::ALL`].
    pub messages: [u64; 7],
    /// Octets of all messages that are not final.
    pub bytes: u64,
    /// When the oldest message that is not final arrived.
    pub oldest: Option<Timestamp>,
    /// How many messages are due and do not leave, by reason, in the order of [`WaitReason::KINDS`].
    pub waiting: [u64; WaitReason::KINDS.len()],
}

/// A message that nobody else may send until this is settled or dropped.
///
/// Dropping it without [`Queue::settle`] gives the message back unchanged.
pub struct Lease {
    /// The message.
    pub entry: Entry,
    /// Its header block, without the blank line.
    pub head: Bytes,
    /// Its body.
    pub body: Stored,
    /// Proves to the backend that the lease is still held; gives it back when dropped.
    pub(crate) guard: LeaseGuard,
}

/// The part of a [`Lease`] that a backend recognises it by.
pub struct LeaseGuard {
    pub(crate) token: u64,
    pub(crate) release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("id", &self.entry.id).field("token", &self.guard.token).finish_non_exhaustive()
    }
}

/// What became of a settlement.
#[derive(Debug)]
pub enum Settled {
    /// It is on the disk.
    Written,
    /// The disk refuses it. It is in memory, its message stays leased, and it is tried again twice a second.
    Kept(Kept),
}

/// A settlement that could not be written yet.
#[derive(Debug)]
pub struct Kept {
    /// Why not.
    pub why: Error,
    pub(crate) written: oneshot::Receiver<Result<(), Error>>,
}

impl Kept {
    /// Returns once it is written.
    ///
    /// # Errors
    /// [`Error::Closed`]: the queue was closed before; the message may be sent again. [`Error::Database`]: the row is damaged.
    pub async fn written(self) -> Result<(), Error> {
        self.written.await.map_err(|_| Error::Closed)?
    }
}

/// What was found wrong when the queue was opened, each a sentence with a path. Nothing of it stops the start.
pub type Report = Vec<String>;

/// The queue. All promises are in the [module's text](self); each backend runs the same contract tests.
pub trait Queue: Send + Sync + 'static {
    /// A place for a body that is about to arrive: in memory while it is small, then a file.
    fn draft(&self) -> Draft;

    /// Stores messages durably, in one transaction: all of them or none. None of them is leased before the others are
    /// stored.
    ///
    /// # Errors
    /// [`Error::Full`] and others: nothing was stored.
    fn put_all(&self, messages: Vec<NewMessage>) -> Answer<'_, ()>;

    /// Stores one message durably.
    ///
    /// # Errors
    /// As [`Queue::put_all`].
    fn put(&self, message: NewMessage) -> Answer<'_, ()> {
        self.put_all(vec![message])
    }

    /// Leases messages that are due at `now` (queued, waiting or deferred): lane by lane in the order of the request,
    /// within a lane client by client in turn (`fair`), of one client the longest due first.
    ///
    /// A client is charged with the recipients that the attempt is for. [`Queue::settle`] corrects that to the recipients
    /// that were really offered ([`Settlement::usage`]); a lease that is dropped costs nothing.
    ///
    /// # Errors
    /// [`Error::Database`] and others: nothing is leased.
    fn lease(&self, now: Timestamp, request: LeaseRequest) -> Answer<'_, Vec<Lease>>;

    /// Writes how a try ended, or keeps it until it can be written ([`Settled::Kept`]). Nothing is leased while something is
    /// kept, so that a crash then sends no more than what was under way a second time.
    ///
    /// # Errors
    /// [`Error::NotLeased`] when the lease was lost: nothing was changed.
    fn settle(&self, lease: Lease, settlement: Settlement) -> Answer<'_, Settled>;

    /// Holds a leased message whose stored copy cannot be read, and logs it: it is not sent until [`Queue::retry`]. A lease
    /// that was lost changes nothing.
    ///
    /// # Errors
    /// [`Error::Full`] and others: the lease is given back, and the message is due as before.
    fn hold(&self, lease: Lease, reason: String) -> Answer<'_, ()>;

    /// Returns when a message may have become due by something that happened after the last call: a put, a retry, a
    /// dropped lease, a settlement with a next try. It does not watch the clock; [`Queue::first_due`] returns how long to
    /// sleep at most. Made for one waiter: an event wakes one of them, and is kept for the next call if nobody waits.
    fn wait(&self) -> Answer<'_, ()>;

    /// For each of these lines, when the first of its messages that are not leased becomes due; `None` when it has none.
    fn first_due(&self, lines: Vec<Line>) -> Answer<'_, Vec<Option<Timestamp>>>;

    /// The pools of all messages that are not final, with how many each has, in the order of their names. The pool
    /// with the empty name holds those that nobody has assigned yet.
    fn pools(&self) -> Answer<'_, Vec<(String, u64)>>;

    /// Gives messages new pools, all in one transaction. Those that are leased, final or gone are left as they are.
    ///
    /// Nothing else is done meanwhile: give a few hundred at a time.
    ///
    /// # Errors
    /// [`Error::TooLong`]: nothing was changed.
    fn assign(&self, changes: Vec<(Id, String)>) -> Answer<'_, ()>;

    /// Reports which lanes of which pools no account can take from, until when, and why; replaces the last report. In
    /// memory only.
    ///
    /// It changes what is *shown*, nothing else: [`Queue::list`], [`Queue::show`] and [`Queue::depth`] show a message
    /// of such a lane that is due as `waiting`, due at that time. As due counts what is queued or waiting, and what is
    /// deferred until a time that the queue has since been told has come (the queue has no clock: it takes the time
    /// from the last lease, put, retry, mend_times or purge).
    fn close_lanes(&self, closed: Vec<ClosedLane>) -> Answer<'_, ()>;

    /// Counts what an account has used, durably: a log-in is counted before it is tried.
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Full`] and others: it may have been counted or not.
    fn spend(&self, usage: Usage) -> Answer<'_, ()>;

    /// What an account has used in each minute since the one of `since`, oldest first; minutes without use are left
    /// out. Kept for [`KEEP_USAGE`].
    fn usage(&self, account: String, since: Timestamp) -> Answer<'_, Vec<Usage>>;

    /// Keeps what an account is like, in place of what was kept before.
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Full`] and others.
    fn remember(&self, state: AccountState) -> Answer<'_, ()>;

    /// What is kept of all accounts, in the order of their names.
    fn recall(&self) -> Answer<'_, Vec<AccountState>>;

    /// Keeps the time, in place of the one that was kept before.
    ///
    /// # Errors
    /// [`Error::Full`] and others.
    fn save_time(&self, saved: SavedTime) -> Answer<'_, ()>;

    /// The time that is kept; `None` in a new queue.
    fn saved_time(&self) -> Answer<'_, Option<SavedTime>>;

    /// The first `limit` failed messages that were settled with [`Settlement::untold`] and neither retried nor told
    /// since, oldest first.
    fn untold(&self, limit: usize) -> Answer<'_, Vec<Entry>>;

    /// The owner is told of these: one transaction puts the notice, if there is one, and takes their marks off.
    /// Messages that are gone are no harm.
    ///
    /// # Errors
    /// As [`Queue::put`]: nothing was changed.
    fn tell(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> Answer<'_, ()>;

    /// The messages that `filter` names, oldest first.
    fn list(&self, filter: Filter) -> Answer<'_, Vec<Entry>>;

    /// One message with its header block and body (both empty for a delivered one).
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn show(&self, id: Id) -> Answer<'_, (Entry, Bytes, Stored)>;

    /// Makes a waiting, deferred, held or failed message due at `now`; failed recipients are opened again, and a
    /// message that had expired gets its life time anew. The owner need not be told any more of what had failed.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] while it is being sent; [`Error::WrongState`] when it was delivered.
    fn retry(&self, id: Id, now: Timestamp) -> Answer<'_, ()>;

    /// Deletes a message, whatever became of it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] while it is being sent.
    fn drop_message(&self, id: Id) -> Answer<'_, ()>;

    /// Puts right what a wrong clock left behind.
    ///
    /// It was ahead: a queued or waiting message that is due after `now`, and a deferred one that is due after `latest`, is
    /// due at `now`. That holds for leased messages as well. It was not set ([`crate::clock::EARLIEST`]), and is now: what
    /// was taken or finished then counts as taken or finished `now`, is due, and has its whole life before it.
    ///
    /// Looks at all messages: for a start, and for a clock that was set.
    fn mend_times(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, ()>;

    /// Octets of all messages that are not final, by the address they came from. Looks at all of them: not for every
    /// second.
    fn bytes_by_addr(&self) -> Answer<'_, Vec<(IpAddr, u64)>>;

    /// Octets of all messages that are not final. Costs nothing.
    fn bytes(&self) -> Answer<'_, u64>;

    /// How full the queue is.
    fn depth(&self) -> Answer<'_, Depth>;

    /// Deletes records that are older than the settings say, a few at a time; true when there are more.
    fn purge(&self, now: Timestamp) -> Answer<'_, bool>;

    /// Finishes what was begun and closes the files. Later calls give [`Error::Closed`].
    fn close(&self) -> Answer<'_, ()>;
}
