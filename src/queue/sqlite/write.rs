//! A change that was asked for, as a value: what the writer must know of it before and after it is made.
//!
//! Not here: what a change writes (`change`).

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::{AccountState, AccountUsage, AuditRecord, HoldReason, NewMessage, SavedTime, Settlement};

use super::command_log;

/// A change that was asked for.
#[derive(Debug)]
pub(super) enum Write {
    /// New messages, each with its checksum: all of them or none.
    Put(Vec<(NewMessage, u32)>),
    /// The end of an attempt; the number is the checksum of the notice, if there is one.
    Settle {
        id: Id,
        token: u64,
        settlement: Box<Settlement>,
        notice_sum: u32,
    },
    Retry(Id, Timestamp),
    HoldMessage(Id, HoldReason, String),
    Release(Id, Timestamp),
    Drop(Id),
    CorrectTimes {
        now: Timestamp,
        latest: Timestamp,
    },
    /// Deletes old records, with `usage` old usage and old commands as well.
    Purge {
        now: Timestamp,
        usage: bool,
    },
    Assign(Vec<(Id, String)>),
    AddUsage(AccountUsage),
    SaveAccountState(AccountState),
    SaveTime(SavedTime),
    RecordCommand(AuditRecord),
    /// Writes a little, to find out whether that can be done.
    Check(Timestamp),
    /// The failures of these messages are reported; the number is the checksum of the notice, if there is one.
    MarkReported {
        notice: Option<Box<NewMessage>>,
        notice_sum: u32,
        ids: Vec<Id>,
    },
    /// The content of a leased message is damaged.
    Hold {
        token: u64,
        reason: String,
    },
    /// The row of a message cannot be read.
    Quarantine {
        seq: i64,
        reason: String,
    },
}

impl Write {
    /// Octets that the change keeps in memory until it is committed.
    pub(super) fn octets(&self) -> usize {
        let message = |message: &NewMessage| message.head.len() + message.body.in_memory().map_or(0, Bytes::len);
        match self {
            Write::Put(messages) => messages.iter().map(|(one, _)| message(one)).sum(),
            Write::Settle { settlement, .. } => settlement.notice.as_deref().map_or(0, message),
            Write::MarkReported { notice, .. } => notice.as_deref().map_or(0, message),
            Write::Assign(changes) => changes.iter().map(|(id, pool)| id.as_str().len() + pool.len()).sum(),
            Write::SaveAccountState(state) => state.state.len(),
            Write::RecordCommand(record) => command_log::octets(record),
            Write::HoldMessage(_, _, text) => text.len(),
            Write::Retry(..)
            | Write::Release(..)
            | Write::Drop(_)
            | Write::CorrectTimes { .. }
            | Write::Purge { .. }
            | Write::AddUsage(_)
            | Write::SaveTime(_)
            | Write::Check(_)
            | Write::Hold { .. }
            | Write::Quarantine { .. } => 0,
        }
    }

    /// The time, if the change has one.
    pub(super) fn time(&self) -> Option<Timestamp> {
        if let Write::Put(messages) = self {
            return messages.last().map(|(message, _)| message.received);
        }
        let (Write::Retry(_, now)
        | Write::Release(_, now)
        | Write::CorrectTimes { now, .. }
        | Write::Purge { now, .. }) = self
        else {
            return None;
        };
        Some(*now)
    }

    /// Removes the subjects: records do not keep them.
    pub(super) fn forget_subjects(&mut self) {
        match self {
            Write::Put(messages) => messages.iter_mut().for_each(|(message, _)| message.subject = None),
            Write::Settle { settlement, .. } => settlement.notice.iter_mut().for_each(|notice| notice.subject = None),
            Write::MarkReported { notice, .. } => notice.iter_mut().for_each(|notice| notice.subject = None),
            Write::Retry(..)
            | Write::Drop(_)
            | Write::CorrectTimes { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::AddUsage(_)
            | Write::SaveAccountState(_)
            | Write::SaveTime(_)
            | Write::HoldMessage(..)
            | Write::Release(..)
            | Write::RecordCommand(_)
            | Write::Check(_)
            | Write::Hold { .. }
            | Write::Quarantine { .. } => {}
        }
    }

    /// Returns whether it stores mail that can be refused: its client tries again.
    pub(super) fn is_new_mail(&self) -> bool {
        matches!(self, Write::Put(..))
    }

    /// Returns whether it finds a message to be damaged.
    pub(super) fn finds_damage(&self) -> bool {
        matches!(self, Write::Hold { .. } | Write::Quarantine { .. })
    }

    /// The number of recipients to which the provider was offered the message whose lease this ends.
    pub(super) fn offered(&self) -> u32 {
        let Write::Settle { settlement, .. } = self else { return 0 };
        settlement.usage.as_ref().map_or(0, |usage| usage.recipients)
    }

    /// Removes what the change can do without, because a page was damaged; false when there is nothing of the kind. For a
    /// damaged count neither may accepted mail be sent again, nor old records be kept.
    pub(super) fn reduce(&mut self) -> bool {
        if let Write::Purge { usage, .. } = self {
            return std::mem::replace(usage, false);
        }
        let Write::Settle { settlement, .. } = self else { return false };
        let used = settlement.usage.take().is_some();
        settlement.account_state.take().is_some() || used
    }

    /// The messages that it stores, in the order of [`Done::stored`].
    pub(super) fn into_messages(self) -> Vec<NewMessage> {
        match self {
            Write::Put(messages) => messages.into_iter().map(|(message, _)| message).collect(),
            Write::Settle { settlement, .. } => settlement.notice.into_iter().map(|notice| *notice).collect(),
            Write::MarkReported { notice, .. } => notice.into_iter().map(|notice| *notice).collect(),
            Write::Retry(..)
            | Write::HoldMessage(..)
            | Write::Release(..)
            | Write::Drop(_)
            | Write::CorrectTimes { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::AddUsage(_)
            | Write::SaveAccountState(_)
            | Write::SaveTime(_)
            | Write::RecordCommand(_)
            | Write::Check(_)
            | Write::Hold { .. }
            | Write::Quarantine { .. } => Vec::new(),
        }
    }
}
