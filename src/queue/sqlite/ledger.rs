//! What the writer knows by heart: how many messages are in each state, and who holds a lease on what.
//!
//! Values only, no database. Invariants: `counts` says what the tables say as of the last commit, with leased messages
//! under the state they have in the table; a message has at most one lease; a token is never used twice.

use std::collections::HashMap;

use crate::mail::Id;
use crate::queue::Depth;
use crate::queue::entry::State;

/// One message that changed its state in a transaction: to be applied once that is committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// What it was; `None` when it is new.
    pub(super) from: Option<State>,
    /// What it is; `None` when it is gone.
    pub(super) to: Option<State>,
    /// Octets of head and body.
    pub(super) size: u64,
}

/// A message that is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leased {
    pub(super) seq: i64,
    pub(super) id: Id,
    pub(super) state: State,
}

/// Counts and leases.
#[derive(Debug)]
pub(super) struct Ledger {
    messages: [u64; 7],
    bytes: u64,
    leased: HashMap<u64, Leased>,
    tokens: HashMap<i64, u64>,
    next: u64,
}

impl Ledger {
    /// An empty one. Tokens start at `seed`, a random number, so that a lease of an earlier opening is never taken for
    /// one of this.
    pub(super) fn new(seed: u64) -> Ledger {
        Ledger { messages: [0; 7], bytes: 0, leased: HashMap::new(), tokens: HashMap::new(), next: seed }
    }

    /// Forgets the counts and takes those of the tables.
    pub(super) fn recount(&mut self, rows: impl IntoIterator<Item = (State, u64, u64)>) {
        (self.messages, self.bytes) = ([0; 7], 0);
        for (state, messages, bytes) in rows {
            self.messages[state as usize] += messages;
            self.bytes += if state.is_final() { 0 } else { bytes };
        }
    }

    /// Applies what a commit has changed.
    pub(super) fn apply(&mut self, change: Move) {
        // Saturating: a row that was damaged when it was counted must not bring the writer down.
        if let Some(from) = change.from {
            let count = &mut self.messages[from as usize];
            *count = count.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(if from.is_final() { 0 } else { change.size });
        }
        if let Some(to) = change.to {
            self.messages[to as usize] += 1;
            self.bytes += if to.is_final() { 0 } else { change.size };
        }
    }

    /// Leases a message that is not leased, and gives the token.
    pub(super) fn lease(&mut self, leased: Leased) -> u64 {
        let token = self.next;
        self.next = self.next.wrapping_add(1);
        self.tokens.insert(leased.seq, token);
        self.leased.insert(token, leased);
        token
    }

    /// Ends a lease; false when there was none.
    pub(super) fn release(&mut self, token: u64) -> bool {
        let held = self.leased.remove(&token);
        held.is_some_and(|leased| self.tokens.remove(&leased.seq).is_some())
    }

    /// The message that `token` stands for.
    pub(super) fn holder(&self, token: u64) -> Option<Leased> {
        self.leased.get(&token).copied()
    }

    /// Whether row `seq` is leased.
    pub(super) fn is_leased(&self, seq: i64) -> bool {
        self.tokens.contains_key(&seq)
    }

    /// Everything that is leased, in no order.
    pub(super) fn all_leased(&self) -> impl Iterator<Item = &Leased> {
        self.leased.values()
    }

    /// The depth, but for the oldest.
    pub(super) fn depth(&self) -> Depth {
        let mut messages = self.messages;
        for leased in self.leased.values() {
            let count = &mut messages[leased.state as usize];
            *count = count.saturating_sub(1);
            messages[State::Sending as usize] += 1;
        }
        Depth { messages, bytes: self.bytes, oldest: None }
    }
}
