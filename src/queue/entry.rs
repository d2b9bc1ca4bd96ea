//! What the queue keeps of a message, as values: entry, recipients, settlement, and the pure rules between them.
//!
//! No file, no database, no clock: `queue::sqlite` stores what stands here, `delivery` decides what a [`Settlement`]
//! says. Invariant: the state of a message follows from the outcomes of its recipients ([`state_after`]); nobody sets
//! it by hand but `hold`, `retry` and `drop`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Timestamp, was_unset};
use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};

use super::body::Stored;
use super::request::WaitReason;

/// Where a message is in its life (the names are part of the surface: list, metrics, log).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Safe on disk, may go now.
    Queued,
    /// Leased: a delivery is under way.
    Sending,
    /// Kept back by a budget or a paused account; spends no try.
    Waiting,
    /// A try failed; the next one is known.
    Deferred,
    /// Kept back by an operator.
    Held,
    /// Every recipient has it.
    Delivered,
    /// At least one recipient will never get it, and no try is left for the others.
    Failed,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 7] =
        [State::Queued, State::Sending, State::Waiting, State::Deferred, State::Held, State::Delivered, State::Failed];

    /// The name that lists, metrics and the database use.
    pub const fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Waiting => "waiting",
            State::Deferred => "deferred",
            State::Held => "held",
            State::Delivered => "delivered",
            State::Failed => "failed",
        }
    }

    /// The state that has this name.
    pub fn parse(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the message needs no further try.
    pub const fn is_final(self) -> bool {
        matches!(self, State::Delivered | State::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a message came from, for the log, the list and the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the client entry that matched, else the address as text.
    pub client: String,
    /// Counts as one client where clients share an account.
    pub key: ClientKey,
    /// The peer's address.
    pub addr: IpAddr,
    /// The listener's name.
    pub listener: String,
    /// What the client called itself, printable ASCII only; `unknown` when it did not.
    pub helo: String,
}

/// A message on its way into the queue.
#[derive(Debug)]
pub struct NewMessage {
    /// Its name for life.
    pub id: Id,
    /// When the final dot was read.
    pub received: Timestamp,
    /// After this moment recipients that are still open fail.
    pub expires: Timestamp,
    /// Where it came from.
    pub origin: Origin,
    /// The envelope sender, as the client gave it; the seal replaces it later.
    pub sender: ReversePath,
    /// The envelope recipients, at least one, no two with the same [`Address::key`].
    pub recipients: Vec<Address>,
    /// The repaired header block, CRLF lines, without the blank line that ends it.
    pub head: Bytes,
    /// The body, finished ([`super::body::Draft::finish`]): everything after the blank line.
    pub body: Stored,
    /// Names of the repairs that were made (`date-added` ...), in order.
    pub repairs: Vec<String>,
    /// Whether this is a failure notice of our own: such a message never causes another one.
    pub notice: bool,
    /// How urgent it is.
    pub lane: Lane,
    /// Which accounts may take it: text that only the delivery reads, at most [`LONGEST_POOL`] octets; empty: nobody
    /// has said yet.
    pub pool: String,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Still to be tried; `last` says how the last try ended, if there was one.
    Open {
        /// The reply or the fault that ended the last try.
        last: Option<String>,
    },
    /// The provider took it.
    Delivered {
        /// When the reply to the final dot was read.
        at: Timestamp,
        /// The reply, as text.
        reply: String,
    },
    /// It will not be tried again.
    Failed {
        /// When that was decided.
        at: Timestamp,
        /// The reply, or our own reason.
        reason: String,
    },
}

impl Outcome {
    /// Whether the recipient is still to be tried.
    pub fn is_open(&self) -> bool {
        matches!(self, Outcome::Open { .. })
    }
}

/// One recipient of a message and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The envelope address.
    pub address: Address,
    /// What became of it.
    pub outcome: Outcome,
}

/// A message in the queue, without its body.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name for life.
    pub id: Id,
    /// Where it is in its life.
    pub state: State,
    /// When the final dot was read.
    pub received: Timestamp,
    /// After this moment recipients that are still open fail.
    pub expires: Timestamp,
    /// When it may next be tried; of no meaning in a final state.
    pub due: Timestamp,
    /// Tries that ended in a failure that counts (waiting does not).
    pub tries: u32,
    /// Tries that ended between the final dot and its reply.
    pub uncertain: u32,
    /// The account that tried last.
    pub account: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// The envelope sender, as the client gave it.
    pub sender: ReversePath,
    /// Every recipient, in the order of the envelope.
    pub recipients: Vec<Recipient>,
    /// Octets of header block and body together.
    pub size: u64,
    /// Names of the repairs that were made.
    pub repairs: Vec<String>,
    /// Whether this is a failure notice of our own.
    pub notice: bool,
    /// How urgent it is.
    pub lane: Lane,
    /// Which accounts may take it, in the words of the delivery.
    pub pool: String,
    /// The most recipients one transaction may have, learnt from a provider that took some and refused the rest.
    pub chunk: Option<u32>,
    /// Whether the sender must be put on anew, because the provider refused it as it was.
    pub strict: bool,
    /// When the provider first refused it with a reply that is not understood.
    pub unknown_since: Option<Timestamp>,
    /// Why the message was set aside, if it was.
    pub trouble: Option<String>,
    /// Why it does not leave although it is due; only in answers of [`super::Queue::list`] and [`super::Queue::show`].
    pub wait: Option<WaitReason>,
}

impl Entry {
    /// When it is given up, as seen at `now`. The life of a message that was taken by a clock that was not set begins when
    /// the clock is right ([`crate::queue::Queue::mend_times`] writes that down).
    pub fn end_of_life(&self, now: Timestamp) -> Timestamp {
        if was_unset(self.received, now) { now + self.expires.since(self.received) } else { self.expires }
    }

    /// The recipients that are still to be tried, with their places in the envelope.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Recipient)> {
        self.recipients.iter().enumerate().filter(|(_, r)| r.outcome.is_open())
    }

    /// The recipients of the next attempt by their places, at most `most` and at least one: those that were never tried,
    /// else all that are open.
    pub fn offered(&self, most: usize) -> Vec<usize> {
        let fresh = |outcome: &Outcome| matches!(outcome, Outcome::Open { last: None });
        let any_fresh = self.open().any(|(_, recipient)| fresh(&recipient.outcome));
        let wanted = self.open().filter(|(_, recipient)| !any_fresh || fresh(&recipient.outcome));
        let most = most.min(self.chunk.map_or(usize::MAX, |chunk| chunk as usize)).max(1);
        wanted.map(|(place, _)| place).take(most).collect()
    }
}

/// When a message that still has open recipients may be tried again, and under which name it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A try failed: state `deferred`, one try spent.
    Deferred(Timestamp),
    /// Budget or paused account: state `waiting`, no try spent. The time is written as it is given: with the old due
    /// time the message keeps its place in the line.
    Waiting(Timestamp),
}

/// How a try ended: what [`super::Queue::settle`] writes in one transaction.
#[derive(Debug)]
pub struct Settlement {
    /// The new outcomes, by place in the envelope. Places not named keep theirs.
    pub outcomes: Vec<(usize, Outcome)>,
    /// For the recipients that are still open afterwards; without effect when none is.
    pub next: Next,
    /// Whether the line was lost between the final dot and its reply.
    pub uncertain: bool,
    /// The account that tried, if it came to that.
    pub account: Option<String>,
    /// A failure notice to put in the same transaction.
    pub notice: Option<Box<NewMessage>>,
    /// From now on at most so many recipients in one transaction; `None` leaves it as it was.
    pub chunk: Option<u32>,
    /// From now on the sender is put on anew; `false` leaves it as it was.
    pub strict: bool,
    /// What the account is like after the try, to write in the same transaction.
    pub account_state: Option<AccountState>,
    /// What the try has used of the account's budget, to count in the same transaction.
    pub usage: Option<Usage>,
    /// The provider refused it with a reply that is not understood; the first such time is kept.
    pub unknown_since: Option<Timestamp>,
    /// Whether the owner is still to be told of what failed ([`super::Queue::untold`]); `false` leaves it as it was.
    pub untold: bool,
}

/// The longest name of a pool, in octets.
pub const LONGEST_POOL: usize = 1024;
/// The longest name of an account, in octets.
pub const LONGEST_ACCOUNT: usize = 255;
/// The longest text of an [`AccountState`], in octets.
pub const LONGEST_STATE: usize = 16 * 1024;

/// The last time that was known to be right, by which a clock that jumps is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedTime {
    /// The time.
    pub seen: Timestamp,
    /// For how long the relay must still run before it purges records.
    pub pause: Duration,
}

/// What the delivery wants to know of an account after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The account's name in the settings, at most [`LONGEST_ACCOUNT`] octets.
    pub account: String,
    /// JSON that only the delivery reads, at most [`LONGEST_STATE`] octets.
    pub state: String,
}

/// What an account has used of its budget. As a question's answer: the sum of one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The account's name in the settings, at most [`LONGEST_ACCOUNT`] octets.
    pub account: String,
    /// When. Counts are kept by the minute of this moment, and given back with its beginning.
    pub at: Timestamp,
    /// Messages handed to the provider.
    pub messages: u32,
    /// Recipients of these messages.
    pub recipients: u32,
    /// Log-ins that were tried.
    pub logins: u32,
}

/// The state of a message whose recipients ended as `outcomes` say: while one is open it waits as `next` says.
pub fn state_after<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>, next: Next) -> State {
    let mut failed = false;
    for outcome in outcomes {
        match outcome {
            Outcome::Open { .. } => {
                return match next {
                    Next::Deferred(_) => State::Deferred,
                    Next::Waiting(_) => State::Waiting,
                };
            }
            Outcome::Failed { .. } => failed = true,
            Outcome::Delivered { .. } => {}
        }
    }
    if failed { State::Failed } else { State::Delivered }
}
