//! What operators and metrics see of the queue. Nothing here changes a message.

use std::net::IpAddr;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};

use super::body::StoredBody;
use super::entry::QueueEntry;
use super::error::QueueFuture;
use super::request::WaitReason;
use super::search::{MessageSearch, SearchPage};
use super::state::MessageState;

/// Which messages [`Inspection::list`] returns.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Only messages in one of these states; empty: all that are not final.
    pub states: Vec<MessageState>,
    /// At most this many; 0 means 100.
    pub limit: usize,
    /// Only messages with a greater id (for the next page).
    pub after: Option<Id>,
    /// Only messages of this pool.
    pub pool: Option<String>,
}

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// The number of messages in each state, in the order of [`MessageState::ALL`].
    pub messages: [u64; 7],
    /// Octets of all messages that are not final.
    pub bytes: u64,
    /// When the oldest message that is not final arrived.
    pub oldest: Option<Timestamp>,
    /// The number of messages that are due and are not sent, by reason, in the order of [`WaitReason::KINDS`].
    pub waiting: [u64; WaitReason::KINDS.len()],
}

/// The part of the queue that is only read.
pub trait Inspection: Send + Sync {
    /// Returns the messages that match `filter`, oldest first.
    fn list(&self, filter: MessageFilter) -> QueueFuture<'_, Vec<QueueEntry>>;

    /// Returns a page of the messages that fit `search`, finished or not, and how many fit in all.
    fn search(&self, search: MessageSearch) -> QueueFuture<'_, SearchPage>;

    /// Returns one message with its header block and body (both empty once it is delivered, or
    /// once the content of a failed one is deleted).
    ///
    /// # Errors
    /// [`NotFound`](super::QueueError::NotFound).
    fn show(&self, id: Id) -> QueueFuture<'_, (QueueEntry, Bytes, StoredBody)>;

    /// Returns how full the queue is.
    fn depth(&self) -> QueueFuture<'_, QueueDepth>;

    /// Returns how many messages were delivered, and how many failed, at `since` or later. Reads an index entry for each.
    fn finished_since(&self, since: Timestamp) -> QueueFuture<'_, (u64, u64)>;

    /// Returns the octets of all messages that are not final. Takes no time.
    fn bytes(&self) -> QueueFuture<'_, u64>;

    /// Returns the octets of all messages that are not final, by the client's address. Reads every message: do not call it
    /// each second.
    fn bytes_by_addr(&self) -> QueueFuture<'_, Vec<(IpAddr, u64)>>;

    /// Returns the pools of all messages that are not final with their numbers of messages, in the order of their names. The
    /// pool with the empty name has the messages that have no pool yet.
    fn pools(&self) -> QueueFuture<'_, Vec<(String, u64)>>;

    /// As [`Inspection::pools`], by lane in the order of [`Lane::ALL`].
    fn lanes(&self) -> QueueFuture<'_, Vec<(String, [u64; Lane::ALL.len()])>>;
}
