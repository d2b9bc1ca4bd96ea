//! Messages that were stored a moment ago, kept in memory so that the lease that follows need not read them back.
//!
//! Only a shortcut: everything here is in the tables as well, and the writer forgets a message here as soon as its row
//! changes. Bounded, so that a queue whose account is paused does not grow in memory.

use std::collections::HashMap;

use bytes::Bytes;

use crate::queue::{MessageState, NewMessage, QueueEntry, RecipientEntry, RecipientOutcome};

/// Octets kept at most.
const ROOM: usize = 2 * 1024 * 1024;
/// What a message costs beside its content, by estimate.
const OVERHEAD: usize = 1024;

/// The messages, by row.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    messages: HashMap<i64, (QueueEntry, Bytes, Bytes)>,
    used: usize,
}

impl Fresh {
    /// Remembers the message that was stored as row `seq`, if its body is in memory and there is room.
    pub(super) fn add(&mut self, seq: i64, message: NewMessage) {
        let Some(body) = message.body.in_memory().cloned() else { return };
        let cost = message.head.len() + body.len() + OVERHEAD;
        if self.used + cost > ROOM {
            return;
        }
        self.used += cost;
        let recipients = message.recipients.into_iter();
        let recipients =
            recipients.map(|address| RecipientEntry { address, outcome: RecipientOutcome::Open { last: None } });
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
            recipients: recipients.collect(),
            size: (message.head.len() + body.len()) as u64,
            repairs: message.repairs,
            notice: message.notice,
            lane: message.lane,
            pool: message.pool,
            chunk: None,
            strict: false,
            unknown_since: None,
            trouble: None,
            wait: None,
        };
        self.messages.insert(seq, (entry, message.head, body));
    }

    /// Hands the message in row `seq` out, once; also the way to forget it.
    pub(super) fn take(&mut self, seq: i64) -> Option<(QueueEntry, Bytes, Bytes)> {
        let taken = self.messages.remove(&seq)?;
        self.used -= taken.1.len() + taken.2.len() + OVERHEAD;
        Some(taken)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Fresh::default();
    }
}
