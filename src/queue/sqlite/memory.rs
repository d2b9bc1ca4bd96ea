//! What the writer keeps in memory: counters, leases, the clients that wait, damaged rows, and messages stored a moment ago.
//!
//! Nothing here changes before the commit that it follows from.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::queue::client_lines::ClientLines;
use crate::queue::counters_and_leases::CountersAndLeases;
use crate::queue::{MessageState, NewMessage, QueueEntry, RecipientEntry, RecipientOutcome};

use super::change::Done;
use super::connection::Database;
use super::startup_check::{self, Survey, WaitingClient};
use super::write::Write;

/// The most octets of recent messages.
const ROOM: usize = 2 * 1024 * 1024;
/// What a message costs beside its content, by estimate.
const OVERHEAD: usize = 1024;

/// The memory of the writer.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) counters: CountersAndLeases,
    pub(super) lines: ClientLines,
    pub(super) recent: RecentMessages,
    /// Rows that are damaged, until they are changed: they are passed over, whatever an index contains.
    pub(super) damaged: HashSet<i64>,
    /// Whether a row was changed, not only added, since the start.
    changed: bool,
}

impl Memory {
    /// An empty memory, whose lease tokens begin at `seed`.
    pub(super) fn new(seed: u64) -> Memory {
        let (lines, recent) = (ClientLines::default(), RecentMessages::default());
        Memory { counters: CountersAndLeases::new(seed), lines, recent, damaged: HashSet::new(), changed: false }
    }

    /// Applies a committed change.
    pub(super) fn apply(&mut self, write: Write, done: &Done) {
        for change in &done.moves {
            self.counters.apply(change);
            if change.from.is_some() {
                self.changed = true;
                self.lines.doubt(&change.line);
            }
            if let Some(due) = change.due {
                self.lines.note(&change.line, due);
            }
        }
        if let Some((now, latest)) = done.corrected {
            self.lines.forget_times();
            self.counters.correct_times(now, latest);
            self.recent.clear();
        }
        if let Some(token) = done.released {
            self.end_lease(token, write.offered());
        }
        for &seq in &done.touched {
            self.recent.take(seq);
            // A damaged index may go on naming a row in quarantine; without this it would be met for ever.
            if write.finds_damage() {
                self.damaged.insert(seq)
            } else {
                self.damaged.remove(&seq)
            };
        }
        for (&seq, mut message) in done.stored.iter().zip(write.into_messages()) {
            message.body.keep();
            self.recent.add(seq, message);
        }
    }

    /// Ends a lease; `offered` recipients count as served.
    fn end_lease(&mut self, token: u64, offered: u32) {
        if let Some(leased) = self.counters.release(token) {
            self.lines.end(&leased.turns, &leased.line, leased.charged.saturating_sub(offered));
        }
    }

    /// Ends a lease that was dropped: the message is as it was. False when it had ended already.
    pub(super) fn release(&mut self, token: u64) -> bool {
        let Some(leased) = self.counters.holder(token) else { return false };
        // Its due time may have changed meanwhile: the database has it.
        self.lines.forget_time(&leased.line);
        self.end_lease(token, 0);
        true
    }

    /// Takes in what was in the queue at its start.
    pub(super) fn add(&mut self, survey: Survey) {
        self.counters.add(survey.counts);
        self.note(survey.clients);
        if self.changed {
            self.lines.forget_times();
        }
    }

    fn note(&mut self, clients: Vec<WaitingClient>) {
        for WaitingClient { line, due } in clients {
            self.lines.note(&line, due);
        }
    }

    /// Counts what is in the tables. A damaged index makes the numbers wrong, not the queue useless.
    pub(super) fn recount(&mut self, database: &Database) {
        match database.conn().and_then(startup_check::count) {
            Ok(counts) => self.counters.recount(counts),
            Err(error) => {
                tracing::error!(event = "queue_error", %error, "the messages in the queue could not be counted");
                // Questions that wait for the counts must not wait for ever.
                self.counters.add([]);
            }
        }
        match database.conn().and_then(startup_check::clients) {
            Ok(clients) => {
                self.lines.clear();
                self.note(clients);
                // Leases outlive the connection under which they were given.
                for leased in self.counters.all_leased() {
                    self.lines.restore(&leased.line);
                }
            }
            Err(error) => {
                tracing::error!(event = "queue_error", %error, "the clients that wait could not be read");
            }
        }
    }
}

/// Messages that were stored a moment ago, by row, so that the lease that follows need not read them back.
///
/// Only a shortcut: everything here is in the tables as well, and a message is removed as soon as its row changes. Bounded, so
/// that a queue whose account is paused does not grow in memory.
#[derive(Debug, Default)]
pub(super) struct RecentMessages {
    messages: HashMap<i64, (QueueEntry, Bytes, Bytes)>,
    used: usize,
}

impl RecentMessages {
    /// Keeps the message that was stored as row `seq`, if its body is in memory and there is room.
    fn add(&mut self, seq: i64, message: NewMessage) {
        let Some(body) = message.body.in_memory().cloned() else { return };
        let cost = message.head.len() + body.len() + OVERHEAD;
        if self.used + cost > ROOM {
            return;
        }
        self.used += cost;
        let recipients = message.recipients.into_iter();
        let open = |address| RecipientEntry { address, outcome: RecipientOutcome::Open { last: None } };
        let entry = QueueEntry {
            id: message.id,
            state: MessageState::Queued,
            received: message.received,
            expires: message.expires,
            due: message.received,
            tries: 0,
            uncertain: 0,
            account: None,
            origin: message.origin,
            sender: message.sender,
            recipients: recipients.map(open).collect(),
            size: (message.head.len() + body.len()) as u64,
            repairs: message.repairs,
            notice: message.notice,
            lane: message.lane,
            pool: message.pool,
            chunk: None,
            strict: false,
            unknown_since: None,
            held: None,
            trouble: None,
            subject: message.subject,
            message_id: message.message_id,
            finished: None,
            wait: None,
        };
        self.messages.insert(seq, (entry, message.head, body));
    }

    /// Returns the message in row `seq`, once; also the way to remove it.
    pub(super) fn take(&mut self, seq: i64) -> Option<(QueueEntry, Bytes, Bytes)> {
        let taken = self.messages.remove(&seq)?;
        self.used -= taken.1.len() + taken.2.len() + OVERHEAD;
        Some(taken)
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        *self = RecentMessages::default();
    }
}
