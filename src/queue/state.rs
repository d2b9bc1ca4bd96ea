//! The states of a message and of its recipients, and the rule between them. Pure.
//!
//! Invariant: the state of a message follows from the outcomes of its recipients ([`state_after`]). Only `hold`,
//! `release`, `retry` and `drop` set it directly.

use std::fmt;

use crate::clock::Timestamp;

/// Where a message is in its life. Lists, metrics, the log and the database use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// Stored durably, may be sent now.
    Queued,
    /// Leased: an attempt is under way.
    Sending,
    /// Kept back by a budget or a paused account; spends no attempt.
    Waiting,
    /// An attempt failed; the time of the next one is known.
    Deferred,
    /// Kept back until an operator acts.
    Held,
    /// The provider took it for every recipient.
    Delivered,
    /// At least one recipient failed for good, and no recipient is open.
    Failed,
}

impl MessageState {
    /// All states, in the order of a life.
    pub const ALL: [MessageState; 7] = [
        MessageState::Queued,
        MessageState::Sending,
        MessageState::Waiting,
        MessageState::Deferred,
        MessageState::Held,
        MessageState::Delivered,
        MessageState::Failed,
    ];

    /// The name that lists, metrics and the database use.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; 7] = ["queued", "sending", "waiting", "deferred", "held", "delivered", "failed"];
        NAMES[self as usize]
    }

    /// The state that has this name.
    pub fn parse(name: &str) -> Option<MessageState> {
        MessageState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Returns whether the message needs no further attempt.
    pub const fn is_final(self) -> bool {
        matches!(self, MessageState::Delivered | MessageState::Failed)
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The longest text that is stored with a hold, in octets; a longer one is cut between characters.
pub const LONGEST_HOLD_TEXT: usize = 1024;

/// Why a message is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldReason {
    /// Its stored copy cannot be read; `retry` tries again.
    Damaged,
    /// An operator held it; only `release` ends that.
    Operator,
    /// A content rule held it; only `release` ends that.
    Policy,
}

impl HoldReason {
    /// All reasons.
    pub const ALL: [HoldReason; 3] = [HoldReason::Damaged, HoldReason::Operator, HoldReason::Policy];

    /// The name that lists and the database use.
    pub const fn name(self) -> &'static str {
        match self {
            HoldReason::Damaged => "damaged",
            HoldReason::Operator => "operator",
            HoldReason::Policy => "policy",
        }
    }

    /// The reason that has this name.
    pub fn parse(name: &str) -> Option<HoldReason> {
        HoldReason::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// The outcome of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// Still to be sent to.
    Open {
        /// The reply or the fault that ended the last attempt; `None` before the first one.
        last: Option<String>,
    },
    /// The provider took the message.
    Delivered {
        /// When the reply to the final dot was read.
        at: Timestamp,
        /// The reply, as text.
        reply: String,
    },
    /// No further attempt is made.
    Failed {
        /// When that was decided.
        at: Timestamp,
        /// The reply, or the relay's own reason.
        reason: String,
    },
}

impl RecipientOutcome {
    /// Returns whether the recipient is still to be sent to.
    pub fn is_open(&self) -> bool {
        matches!(self, RecipientOutcome::Open { .. })
    }

    /// When the outcome was decided; `None` while it is open.
    pub(super) fn decided(&self) -> Option<Timestamp> {
        match self {
            RecipientOutcome::Open { .. } => None,
            RecipientOutcome::Delivered { at, .. } | RecipientOutcome::Failed { at, .. } => Some(*at),
        }
    }
}

/// When a message with open recipients may be sent again, and in which state it waits until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// An attempt failed: state `deferred`, one attempt is spent.
    Deferred(Timestamp),
    /// A budget or a paused account: state `waiting`, no attempt is spent. The time is written as it is given: with the
    /// old due time the message keeps its place.
    Waiting(Timestamp),
}

impl NextAttempt {
    /// The time of the attempt.
    pub fn due(self) -> Timestamp {
        let (NextAttempt::Deferred(at) | NextAttempt::Waiting(at)) = self;
        at
    }
}

/// The state of a message with these outcomes: while one is open, `next` decides.
pub fn state_after<'a>(outcomes: impl IntoIterator<Item = &'a RecipientOutcome>, next: NextAttempt) -> MessageState {
    let mut failed = false;
    for outcome in outcomes {
        match outcome {
            RecipientOutcome::Open { .. } => {
                return match next {
                    NextAttempt::Deferred(_) => MessageState::Deferred,
                    NextAttempt::Waiting(_) => MessageState::Waiting,
                };
            }
            RecipientOutcome::Failed { .. } => failed = true,
            RecipientOutcome::Delivered { .. } => {}
        }
    }
    if failed { MessageState::Failed } else { MessageState::Delivered }
}
