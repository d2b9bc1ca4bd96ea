//! Messages on their way through the queue: stored, leased, settled.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::mail::Id;

use super::body::{BodyDraft, StoredBody};
use super::entry::{NewMessage, QueueEntry, Settlement};
use super::error::{QueueError, QueueFuture};
use super::request::{ClosedLane, LeaseRequest, PoolLane};
use super::state::HoldReason;

/// A message that no other caller can lease until this lease is settled or dropped.
///
/// Dropping it without [`MessageQueue::settle`] returns the message to the queue unchanged.
pub struct Lease {
    /// The message.
    pub entry: QueueEntry,
    /// Its header block, without the blank line.
    pub head: Bytes,
    /// Its body.
    pub body: StoredBody,
    /// Proves to the backend that the lease is still held; ends it when dropped.
    pub(crate) guard: LeaseGuard,
}

/// The part of a [`Lease`] that identifies it to the backend.
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

/// The result of [`MessageQueue::settle`].
#[derive(Debug)]
pub enum Settled {
    /// The settlement is durable.
    Written,
    /// The store refuses it. It is kept in memory, its message stays leased, and it is tried again twice a second.
    Pending(PendingSettlement),
}

/// A settlement that could not be written yet.
#[derive(Debug)]
pub struct PendingSettlement {
    /// Why it could not be written.
    pub why: QueueError,
    pub(crate) written: oneshot::Receiver<Result<(), QueueError>>,
}

impl PendingSettlement {
    /// Returns once it is written.
    ///
    /// # Errors
    /// [`QueueError::Closed`]: the queue was closed before; the message may be sent again. [`QueueError::Database`]: the
    /// stored message is damaged.
    pub async fn written(self) -> Result<(), QueueError> {
        self.written.await.map_err(|_| QueueError::Closed)?
    }
}

/// The part of the queue that stores, leases and settles messages.
pub trait MessageQueue: Send + Sync {
    /// Returns an empty draft for a body that is about to arrive.
    fn draft(&self) -> BodyDraft;

    /// Stores messages durably, in one transaction: all of them or none. None is leased before the others are stored.
    ///
    /// # Errors
    /// [`QueueError::Full`] and others: nothing was stored.
    fn put_all(&self, messages: Vec<NewMessage>) -> QueueFuture<'_, ()>;

    /// Stores one message durably.
    ///
    /// # Errors
    /// As [`MessageQueue::put_all`].
    fn put(&self, message: NewMessage) -> QueueFuture<'_, ()> {
        self.put_all(vec![message])
    }

    /// Leases messages that are due at `now` (queued, waiting or deferred): lane by lane in the order of the request, within
    /// a lane client by client (`fair`), of one client the longest due first.
    ///
    /// A client is charged with the recipients that the attempt is for. [`MessageQueue::settle`] corrects that to the
    /// recipients that were offered ([`Settlement::usage`]); a dropped lease costs nothing.
    ///
    /// # Errors
    /// [`QueueError::Database`] and others: nothing is leased.
    fn lease(&self, now: Timestamp, request: LeaseRequest) -> QueueFuture<'_, Vec<Lease>>;

    /// Writes the result of an attempt, or keeps it until it can be written ([`Settled::Pending`]). Nothing is leased while
    /// a settlement is pending, so that a crash then repeats only the attempts that were under way.
    ///
    /// # Errors
    /// [`QueueError::NotLeased`] when the lease was lost: nothing was changed.
    fn settle(&self, lease: Lease, settlement: Settlement) -> QueueFuture<'_, Settled>;

    /// Holds a leased message whose stored copy cannot be read, and logs it: it is not sent until [`MessageQueue::retry`]. A
    /// lost lease changes nothing.
    ///
    /// # Errors
    /// [`QueueError::Full`] and others: the lease ends, and the message is due as before.
    fn hold(&self, lease: Lease, reason: String) -> QueueFuture<'_, ()>;

    /// Returns when a message may have become due by an event after the last call: a put, a retry, a dropped lease, a
    /// settlement with a next attempt. It does not watch the clock: [`MessageQueue::first_due`] returns how long to sleep.
    /// It serves one waiter: an event wakes one of them, and is kept for the next call when none waits.
    fn wait(&self) -> QueueFuture<'_, ()>;

    /// Returns for each line when the first of its messages that are not leased becomes due; `None` when it has none.
    fn first_due(&self, lines: Vec<PoolLane>) -> QueueFuture<'_, Vec<Option<Timestamp>>>;

    /// Reports which lanes of which pools no account can take from, until when, and why; replaces the last report. In
    /// memory only.
    ///
    /// It changes what is *shown*, nothing else: [`list`](super::Inspection::list), [`show`](super::Inspection::show) and
    /// [`depth`](super::Inspection::depth) show a due message of such a lane as `waiting`, due at that time. A message is due
    /// when it is queued or waiting, or deferred until a time that the queue has since been given. The queue has no clock: it
    /// takes the time from the last lease, put, retry, correct_times or purge.
    fn close_lanes(&self, closed: Vec<ClosedLane>) -> QueueFuture<'_, ()>;

    /// Moves messages to other pools, all in one transaction. Messages that are leased, final or gone stay as they are.
    ///
    /// No other change is made meanwhile: pass a few hundred at a time.
    ///
    /// # Errors
    /// [`QueueError::TooLong`]: nothing was changed.
    fn assign(&self, changes: Vec<(Id, String)>) -> QueueFuture<'_, ()>;

    /// Returns the first `limit` failed messages that were settled with [`Settlement::unreported`] and neither retried nor
    /// reported since, oldest first.
    fn unreported(&self, limit: usize) -> QueueFuture<'_, Vec<QueueEntry>>;

    /// Marks failures as reported to the owner: one transaction puts the notice, if there is one, and removes the marks of
    /// these messages. Messages that are gone are skipped.
    ///
    /// # Errors
    /// As [`MessageQueue::put`]: nothing was changed.
    fn mark_reported(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> QueueFuture<'_, ()>;

    /// Makes a waiting, deferred, held or failed message due at `now`. Failed recipients are opened again, and an expired
    /// message gets its life time anew. What had failed need not be reported any more.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::Busy`] while it is leased; [`QueueError::WrongState`] when it was delivered;
    /// [`QueueError::Held`] when an operator or a rule holds it; [`QueueError::NoContent`] when it failed so long ago that its
    /// content was deleted.
    fn retry(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()>;

    /// Holds a queued, waiting or deferred message until [`MessageQueue::release`], with a text for those who look at it
    /// later, at most [`LONGEST_HOLD_TEXT`](super::LONGEST_HOLD_TEXT) octets of it. It does not expire meanwhile. A held
    /// message gets the new reason and text.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::Busy`] while it is leased; [`QueueError::WrongState`] when it is final.
    fn hold_message(&self, id: Id, reason: HoldReason, text: String) -> QueueFuture<'_, ()>;

    /// Ends the hold of a message, whatever its reason: it is due at `now`, and an expired one gets its life time anew. Its
    /// recipients keep their outcomes; only where none is open, those that failed are opened again.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::WrongState`] when it is not held.
    fn release(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()>;

    /// Deletes a message in any state.
    ///
    /// # Errors
    /// [`QueueError::NotFound`]; [`QueueError::Busy`] while it is leased.
    fn drop_message(&self, id: Id) -> QueueFuture<'_, ()>;
}
