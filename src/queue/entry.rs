//! What the queue stores of a message, as values: new messages, entries, settlements. Pure.
//!
//! Not here: which state follows from which outcomes (`state`), and what a [`Settlement`] contains (`delivery` decides).

use std::net::IpAddr;

use bytes::Bytes;

use crate::clock::{Timestamp, was_unset};
use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};

use super::accounts::{AccountState, AccountUsage};
use super::body::StoredBody;
use super::request::WaitReason;
use super::state::{HoldReason, MessageState, NextAttempt, RecipientOutcome};

/// The longest name of a pool, in octets.
pub const LONGEST_POOL: usize = 1024;

/// Where a message came from, for the log, the list and the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageOrigin {
    /// The name of the client entry that matched, else the address as text.
    pub client: String,
    /// Counts as one client where clients share an account.
    pub key: ClientKey,
    /// The client's address.
    pub addr: IpAddr,
    /// The listener's name.
    pub listener: String,
    /// The client's name in HELO, printable ASCII only; `unknown` when it gave none.
    pub helo: String,
}

/// A message on its way into the queue.
#[derive(Debug)]
pub struct NewMessage {
    /// Its id, which never changes.
    pub id: Id,
    /// When the final dot was read.
    pub received: Timestamp,
    /// After this moment recipients that are still open fail.
    pub expires: Timestamp,
    /// Where it came from.
    pub origin: MessageOrigin,
    /// The envelope sender as the client gave it. Sender rewriting replaces it in each attempt.
    pub sender: ReversePath,
    /// The envelope recipients, at least one, no two with the same [`Address::key`].
    pub recipients: Vec<Address>,
    /// The repaired header block, CRLF lines, without the blank line that ends it.
    pub head: Bytes,
    /// The finished body ([`super::BodyDraft::finish`]): everything after the blank line.
    pub body: StoredBody,
    /// Names of the repairs that were made (`date-added` ...), in order.
    pub repairs: Vec<String>,
    /// Whether it is a failure notice of the relay: such a message never causes another one.
    pub notice: bool,
    /// How urgent it is.
    pub lane: Lane,
    /// Which accounts may take it: text that only the delivery reads, at most [`LONGEST_POOL`] octets; empty: not decided
    /// yet.
    pub pool: String,
    /// The decoded subject, at most [`LONGEST_SUBJECT`](super::LONGEST_SUBJECT) characters, if records keep it.
    pub subject: Option<String>,
    /// Its Message-ID, without the angle brackets.
    pub message_id: Option<String>,
}

/// One recipient of a message and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientEntry {
    /// The envelope address.
    pub address: Address,
    /// The outcome so far.
    pub outcome: RecipientOutcome,
}

/// A message in the queue, without its body.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// Its id, which never changes.
    pub id: Id,
    /// Where it is in its life.
    pub state: MessageState,
    /// When the final dot was read.
    pub received: Timestamp,
    /// After this moment recipients that are still open fail.
    pub expires: Timestamp,
    /// When the next attempt may be made; without meaning in a final state.
    pub due: Timestamp,
    /// Attempts that ended in a failure that counts (waiting does not).
    pub tries: u32,
    /// Attempts that ended between the final dot and its reply.
    pub uncertain: u32,
    /// The account of the last attempt.
    pub account: Option<String>,
    /// Where it came from.
    pub origin: MessageOrigin,
    /// The envelope sender as the client gave it.
    pub sender: ReversePath,
    /// All recipients, in the order of the envelope.
    pub recipients: Vec<RecipientEntry>,
    /// Octets of header block and body together.
    pub size: u64,
    /// Names of the repairs that were made.
    pub repairs: Vec<String>,
    /// Whether it is a failure notice of the relay.
    pub notice: bool,
    /// How urgent it is.
    pub lane: Lane,
    /// Which accounts may take it, as the delivery wrote it.
    pub pool: String,
    /// The most recipients one transaction may have, learnt from a provider that took some and refused the rest.
    pub chunk: Option<u32>,
    /// Whether the sender must be replaced strictly, because the provider refused it as it was.
    pub strict: bool,
    /// When the provider first refused it with an unknown reply.
    pub unknown_since: Option<Timestamp>,
    /// Why it is held; only in the state `held`.
    pub held: Option<HoldReason>,
    /// The words for `held`: what is damaged, or what the operator wrote.
    pub trouble: Option<String>,
    /// The decoded subject, if records keep it.
    pub subject: Option<String>,
    /// Its Message-ID, without the angle brackets.
    pub message_id: Option<String>,
    /// When it was delivered or failed.
    pub finished: Option<Timestamp>,
    /// Why it is due and not sent; only in answers of [`super::Inspection`].
    pub wait: Option<WaitReason>,
}

impl QueueEntry {
    /// When it is given up, as seen at `now`. The life of a message that was received while the clock was not set begins
    /// when the clock is right ([`super::Queue::correct_times`] writes that down).
    pub fn end_of_life(&self, now: Timestamp) -> Timestamp {
        if was_unset(self.received, now) { now + self.expires.since(self.received) } else { self.expires }
    }

    /// Whether it stays here for another reason than a budget or the turn of other mail, and not for a moment only. `wait`
    /// must be known: see [`super::Inspection`].
    pub fn is_stuck(&self) -> bool {
        match self.state {
            MessageState::Held | MessageState::Deferred => true,
            MessageState::Waiting => {
                matches!(self.wait, Some(WaitReason::Account { .. } | WaitReason::Unreachable { .. }))
            }
            MessageState::Queued | MessageState::Sending | MessageState::Delivered | MessageState::Failed => false,
        }
    }

    /// The open recipients, with their places in the envelope.
    pub fn open(&self) -> impl Iterator<Item = (usize, &RecipientEntry)> {
        self.recipients.iter().enumerate().filter(|(_, r)| r.outcome.is_open())
    }

    /// The recipients of the next attempt by their places, at most `most` and at least one: those without any attempt, else
    /// all that are open.
    pub fn offered(&self, most: usize) -> Vec<usize> {
        let fresh = |outcome: &RecipientOutcome| matches!(outcome, RecipientOutcome::Open { last: None });
        let any_fresh = self.open().any(|(_, recipient)| fresh(&recipient.outcome));
        let wanted = self.open().filter(|(_, recipient)| !any_fresh || fresh(&recipient.outcome));
        let most = most.min(self.chunk.map_or(usize::MAX, |chunk| chunk as usize)).max(1);
        wanted.map(|(place, _)| place).take(most).collect()
    }
}

/// The result of an attempt: what [`super::MessageQueue::settle`] writes in one transaction.
#[derive(Debug)]
pub struct Settlement {
    /// The new outcomes, by place in the envelope. Places not named keep theirs.
    pub outcomes: Vec<(usize, RecipientOutcome)>,
    /// For the recipients that are still open afterwards; without effect when none is.
    pub next: NextAttempt,
    /// Whether the connection was lost between the final dot and its reply.
    pub uncertain: bool,
    /// The account of the attempt, if one was made.
    pub account: Option<String>,
    /// A failure notice to put in the same transaction.
    pub notice: Option<Box<NewMessage>>,
    /// From now on at most this many recipients in one transaction; `None` changes nothing.
    pub chunk: Option<u32>,
    /// From now on the sender is replaced strictly; `false` changes nothing.
    pub strict: bool,
    /// The state of the account after the attempt, to save in the same transaction.
    pub account_state: Option<AccountState>,
    /// What the attempt has used of the account's budget, to add in the same transaction.
    pub usage: Option<AccountUsage>,
    /// The provider refused it with an unknown reply; the first such time is kept.
    pub unknown_since: Option<Timestamp>,
    /// Whether its failure must still be reported to the owner ([`super::MessageQueue::unreported`]); `false` changes
    /// nothing.
    pub unreported: bool,
}
