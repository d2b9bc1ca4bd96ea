//! In-memory counters and leases of a backend: how many messages each state, pool and lane has, and what is leased.
//!
//! Values only, no database. Invariants: once counted, the counters equal the tables as of the last commit, with leased
//! messages under the state they have in the table. Before that they have what changed since the start, so a counter may be
//! negative. A pool that has only final messages is not kept. A message has at most one lease; a token is never used twice.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};

use super::client_lines::ClientLine;
use super::inspection::QueueDepth;
use super::state::MessageState;

/// One message that changed its state or its pool in a transaction: to be applied once that is committed.
#[derive(Clone, Debug)]
pub(super) struct StateChange {
    /// The state before; `None` when it is new in this pool.
    pub(super) from: Option<MessageState>,
    /// The state now; `None` when it has left this pool.
    pub(super) to: Option<MessageState>,
    /// Octets of head and body.
    pub(super) size: u64,
    /// Its line and client. A message that goes from one pool to another is two changes.
    pub(super) line: ClientLine,
    /// When it is due from now on; `None` where that did not change, or where it is due no more.
    pub(super) due: Option<Timestamp>,
}

/// A message that is leased.
#[derive(Clone, Debug)]
pub(super) struct LeasedMessage {
    pub(super) seq: i64,
    pub(super) id: Id,
    pub(super) state: MessageState,
    pub(super) due: Timestamp,
    pub(super) line: ClientLine,
    /// The clock by which its client was served.
    pub(super) turns: Arc<str>,
    /// Recipients that its client was charged with.
    pub(super) charged: u32,
}

impl LeasedMessage {
    /// Returns whether it is of this pool and lane.
    pub(super) fn is_in(&self, pool: &str, lane: Lane) -> bool {
        self.line.lane == lane && *self.line.pool == *pool
    }
}

/// How many messages of one pool and lane are in one state, and how many octets they have.
#[derive(Debug)]
pub(super) struct LineCount {
    pub(super) state: MessageState,
    pub(super) pool: String,
    pub(super) lane: Lane,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// How many messages of one pool there are, by lane and state.
type Counts = [[i64; 7]; Lane::ALL.len()];

/// Counters and leases.
#[derive(Clone, Debug, Default)]
pub(super) struct CountersAndLeases {
    messages: [i64; 7],
    bytes: i64,
    counted: bool,
    pools: HashMap<Arc<str>, Counts>,
    leased: HashMap<u64, LeasedMessage>,
    tokens: HashMap<i64, u64>,
    next: u64,
}

impl CountersAndLeases {
    /// Empty ones. Tokens start at `seed`, a random number, so that a lease of an earlier opening never passes for one of
    /// this.
    pub(super) fn new(seed: u64) -> CountersAndLeases {
        CountersAndLeases { next: seed, ..CountersAndLeases::default() }
    }

    /// Forgets the counts and takes those of the tables.
    pub(super) fn recount(&mut self, rows: impl IntoIterator<Item = LineCount>) {
        (self.messages, self.bytes) = ([0; 7], 0);
        self.pools.clear();
        self.add(rows);
    }

    /// Adds the counts of the tables as they were before the first change.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = LineCount>) {
        self.counted = true;
        for LineCount { state, pool, lane, messages, bytes } in rows {
            self.messages[state as usize] += messages as i64;
            if !state.is_final() {
                self.bytes = self.bytes.saturating_add_unsigned(bytes);
                self.pools.entry(pool.into()).or_default()[lane as usize][state as usize] += messages as i64;
            }
        }
        self.pools.retain(|_, counts| *counts != Counts::default());
    }

    /// Returns whether it is known what was there before the first change.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    /// Applies a committed change.
    pub(super) fn apply(&mut self, change: &StateChange) {
        for (state, by) in [(change.from, -1), (change.to, 1)] {
            if let Some(state) = state {
                self.count(change, state, by);
            }
        }
    }

    fn count(&mut self, change: &StateChange, state: MessageState, by: i64) {
        // Not below zero once it is counted: a row that was damaged when it was counted must not spoil the sums.
        let least = if self.counted { 0 } else { i64::MIN };
        let add = |count: &mut i64| *count = (*count + by).max(least);
        add(&mut self.messages[state as usize]);
        if state.is_final() {
            return;
        }
        self.bytes = self.bytes.saturating_add(by * i64::try_from(change.size).unwrap_or(i64::MAX)).max(least);
        let counts = self.pools.entry(change.line.pool.clone()).or_default();
        add(&mut counts[change.line.lane as usize][state as usize]);
        if *counts == Counts::default() {
            self.pools.remove(&change.line.pool);
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

    /// The pools of all messages that are not final, with their counts by lane, in the order of their names.
    pub(super) fn lanes(&self) -> Vec<(String, [u64; Lane::ALL.len()])> {
        let count = |states: &[i64; 7]| states.iter().sum::<i64>().max(0) as u64;
        let all = |(pool, counts): (&Arc<str>, &Counts)| (pool.to_string(), counts.each_ref().map(count));
        let mut lanes: Vec<_> = self.pools.iter().map(all).collect();
        lanes.sort_unstable();
        lanes
    }

    /// How many messages of this pool and lane the table has in `state`, leased or not.
    pub(super) fn in_lane(&self, pool: &str, lane: Lane, state: MessageState) -> u64 {
        self.pools.get(pool).map_or(0, |counts| counts[lane as usize][state as usize].max(0) as u64)
    }

    /// Leases a message that is not leased, and returns the token.
    pub(super) fn lease(&mut self, leased: LeasedMessage) -> u64 {
        let token = self.next;
        self.next = self.next.wrapping_add(1);
        self.tokens.insert(leased.seq, token);
        self.leased.insert(token, leased);
        token
    }

    /// Corrects the due times of leased messages: see [`crate::queue::Queue::correct_times`].
    pub(super) fn correct_times(&mut self, now: Timestamp, latest: Timestamp) {
        for leased in self.leased.values_mut() {
            let limit = if leased.state == MessageState::Deferred { latest } else { now };
            leased.due = if leased.due > limit { now } else { leased.due };
        }
    }

    /// Ends a lease, and returns what was leased.
    pub(super) fn release(&mut self, token: u64) -> Option<LeasedMessage> {
        let held = self.leased.remove(&token)?;
        self.tokens.remove(&held.seq);
        Some(held)
    }

    /// The message that is leased with `token`.
    pub(super) fn holder(&self, token: u64) -> Option<&LeasedMessage> {
        self.leased.get(&token)
    }

    /// Returns whether row `seq` is leased.
    pub(super) fn is_leased(&self, seq: i64) -> bool {
        self.tokens.contains_key(&seq)
    }

    /// Everything that is leased, in no order.
    pub(super) fn all_leased(&self) -> impl Iterator<Item = &LeasedMessage> {
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

    /// The depth as the table and the leases have it, without the oldest message and the reasons.
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
