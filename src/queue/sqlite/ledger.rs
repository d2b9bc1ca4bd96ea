//! In-memory counters and leases of the writer: how many messages each state, pool and lane has, and what is leased.
//!
//! Values only, no database. Invariants: once it is counted, the counts say what the tables say as of the last commit, with
//! leased messages under the state they have in the table (before that, what has changed since the start: a count may be
//! negative); a pool that has only final messages is not here; a message has at most one lease; a token is never used twice.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Id, Lane};
use crate::queue::{MessageState, QueueDepth};

/// One message that changed its state or its pool in a transaction: to be applied once that is committed.
#[derive(Clone, Debug)]
pub(super) struct Move {
    /// What it was; `None` when it is new here.
    pub(super) from: Option<MessageState>,
    /// What it is; `None` when it is gone from here.
    pub(super) to: Option<MessageState>,
    /// Octets of head and body.
    pub(super) size: u64,
    /// Its pool. A message that goes from one pool to another is two of these.
    pub(super) pool: Arc<str>,
    /// Its lane, which stays as it is.
    pub(super) lane: Lane,
    /// Its client.
    pub(super) key: ClientKey,
    /// When it is due from now on; `None` where that did not change, or where it is due no more.
    pub(super) due: Option<Timestamp>,
}

/// A message that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    pub(super) seq: i64,
    pub(super) id: Id,
    pub(super) state: MessageState,
    pub(super) due: Timestamp,
    pub(super) pool: Arc<str>,
    pub(super) lane: Lane,
    pub(super) key: ClientKey,
    /// Whose turns it was leased in.
    pub(super) turns: Arc<str>,
    /// Recipients that its client was charged with.
    pub(super) charged: u32,
}

/// How many messages of one pool and lane are in one state, and how many octets they have.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) state: MessageState,
    pub(super) pool: String,
    pub(super) lane: Lane,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// How many messages of one pool there are, by lane and state.
type Counts = [[i64; 7]; Lane::ALL.len()];

/// Counts and leases.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    messages: [i64; 7],
    bytes: i64,
    counted: bool,
    pools: HashMap<Arc<str>, Counts>,
    leased: HashMap<u64, Leased>,
    tokens: HashMap<i64, u64>,
    next: u64,
}

impl Ledger {
    /// An empty one. Tokens start at `seed`, a random number, so that a lease of an earlier opening is never taken for
    /// one of this.
    pub(super) fn new(seed: u64) -> Ledger {
        let pools = HashMap::new();
        Ledger {
            messages: [0; 7],
            bytes: 0,
            counted: false,
            pools,
            leased: HashMap::new(),
            tokens: HashMap::new(),
            next: seed,
        }
    }

    /// Forgets the counts and takes those of the tables.
    pub(super) fn recount(&mut self, rows: impl IntoIterator<Item = Counted>) {
        (self.messages, self.bytes) = ([0; 7], 0);
        self.pools.clear();
        self.add(rows);
    }

    /// Adds the counts of the tables as they were before the first change.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = Counted>) {
        self.counted = true;
        for Counted { state, pool, lane, messages, bytes } in rows {
            self.messages[state as usize] += messages as i64;
            if !state.is_final() {
                self.bytes = self.bytes.saturating_add_unsigned(bytes);
                self.pools.entry(pool.into()).or_default()[lane as usize][state as usize] += messages as i64;
            }
        }
        self.pools.retain(|_, counts| *counts != Counts::default());
    }

    /// Whether it is known what was there before the first change.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// Applies what a commit has changed.
    pub(super) fn apply(&mut self, change: &Move) {
        if let Some(from) = change.from {
            self.count(change, from, -1);
        }
        if let Some(to) = change.to {
            self.count(change, to, 1);
        }
    }

    fn count(&mut self, change: &Move, state: MessageState, by: i64) {
        // Not below zero once it is counted: a row that was damaged when it was counted must not spoil the sums.
        let least = if self.counted { 0 } else { i64::MIN };
        let add = |count: &mut i64| *count = (*count + by).max(least);
        add(&mut self.messages[state as usize]);
        if state.is_final() {
            return;
        }
        self.bytes = self.bytes.saturating_add(by * i64::try_from(change.size).unwrap_or(i64::MAX)).max(least);
        let counts = self.pools.entry(change.pool.clone()).or_default();
        add(&mut counts[change.lane as usize][state as usize]);
        if *counts == Counts::default() {
            self.pools.remove(&change.pool);
        }
    }

    /// The pools of all messages that are not final, with their counts, in the order of their names.
    pub(super) fn pools(&self) -> Vec<(String, u64)> {
        let all = |(pool, counts): (&Arc<str>, &Counts)| {
            (pool.to_string(), counts.iter().flatten().sum::<i64>().max(0) as u64)
        };
        let mut pools: Vec<_> = self.pools.iter().map(all).collect();
        pools.sort_unstable();
        pools
    }

    /// How many messages of this pool and lane the table has in `state`, leased or not.
    pub(super) fn in_lane(&self, pool: &str, lane: Lane, state: MessageState) -> u64 {
        self.pools.get(pool).map_or(0, |counts| counts[lane as usize][state as usize].max(0) as u64)
    }

    /// Leases a message that is not leased, and gives the token.
    pub(super) fn lease(&mut self, leased: Leased) -> u64 {
        let token = self.next;
        self.next = self.next.wrapping_add(1);
        self.tokens.insert(leased.seq, token);
        self.leased.insert(token, leased);
        token
    }

    /// Due times were brought back, those of leased messages as well: see [`crate::queue::Queue::correct_times`].
    pub(super) fn correct_times(&mut self, now: Timestamp, latest: Timestamp) {
        for leased in self.leased.values_mut() {
            let limit = if leased.state == MessageState::Deferred { latest } else { now };
            leased.due = if leased.due > limit { now } else { leased.due };
        }
    }

    /// Ends a lease, and gives what was leased.
    pub(super) fn release(&mut self, token: u64) -> Option<Leased> {
        let held = self.leased.remove(&token)?;
        self.tokens.remove(&held.seq);
        Some(held)
    }

    /// The message that `token` stands for.
    pub(super) fn holder(&self, token: u64) -> Option<Leased> {
        self.leased.get(&token).cloned()
    }

    /// Whether row `seq` is leased.
    pub(super) fn is_leased(&self, seq: i64) -> bool {
        self.tokens.contains_key(&seq)
    }

    /// Everything that is leased, in no order.
    pub(super) fn all_leased(&self) -> impl Iterator<Item = &Leased> {
        self.leased.values()
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> u64 {
        self.messages.iter().sum::<i64>().max(0) as u64
    }

    /// Octets of all messages that are not final.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.max(0) as u64
    }

    /// The depth as the table and the leases have it, but for the oldest.
    pub(super) fn depth(&self) -> QueueDepth {
        let mut messages = self.messages.map(|count| count.max(0) as u64);
        for leased in self.leased.values() {
            let count = &mut messages[leased.state as usize];
            *count = count.saturating_sub(1);
            messages[MessageState::Sending as usize] += 1;
        }
        QueueDepth { messages, bytes: self.bytes(), ..QueueDepth::default() }
    }
}
