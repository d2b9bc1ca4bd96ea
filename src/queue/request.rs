//! What the delivery asks of the queue and reports to it: lease requests, and closed lanes. Pure.
//!
//! Values only. The delivery decides what they contain (`delivery::plan`), the queue which messages match.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::mail::Lane;

/// One lane of one pool: the line in which its messages wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolLane {
    /// The pool.
    pub pool: String,
    /// The lane.
    pub lane: Lane,
}

/// What [`super::MessageQueue::lease`] may lease for one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The name under which the service of the clients is counted, for each lane by itself: the account, or another one that
    /// serves the same pools.
    pub turns: String,
    /// The lanes, in the order in which they are served.
    pub lanes: Vec<LaneRequest>,
    /// At most this many messages in all.
    pub total: usize,
    /// The most recipients that the account offers in one transaction; a client is charged with no more for a message.
    pub recipients: usize,
}

impl LeaseRequest {
    /// The lines it names.
    pub fn lines(&self) -> impl Iterator<Item = PoolLane> {
        self.lanes
            .iter()
            .flat_map(|request| request.pools.iter().map(|pool| PoolLane { pool: pool.clone(), lane: request.lane }))
    }
}

/// The part of a [`LeaseRequest`] for one lane: the clients of all these pools share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRequest {
    /// The lane.
    pub lane: Lane,
    /// The pools, in no order.
    pub pools: Vec<String>,
    /// At most this many messages of the lane.
    pub limit: usize,
}

/// A line that no account may take from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLane {
    /// The line.
    pub line: PoolLane,
    /// When the first account may take from it again; `None`: when an operator acts.
    pub until: Option<Timestamp>,
    /// Why none may take from it.
    pub reason: WaitReason,
}

/// Why a message that is due is not sent. Users rely on the JSON form (`reason` in lists).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WaitReason {
    /// The account has spent a limit of its budget.
    Budget {
        /// The account's name.
        account: String,
        /// `messages`, `recipients` or `logins`.
        unit: String,
        /// `minute`, `hour` or `day`.
        window: String,
        /// The limit, in units for each window.
        limit: u32,
        /// The part of the limit that is kept for more urgent lanes.
        kept: u32,
    },
    /// The account is cooling or paused.
    Account {
        /// The account's name.
        account: String,
        /// The row of the reply catalogue, or `operator`.
        cause: String,
        /// The words of the provider or the operator; may be empty.
        text: String,
    },
    /// The account's provider cannot be reached.
    Unreachable {
        /// The account's name.
        account: String,
        /// The fault that was met.
        text: String,
    },
    /// Other messages go first.
    Share,
}

impl WaitReason {
    /// The names of all kinds, in the order of [`super::QueueDepth::waiting`].
    pub const KINDS: [&str; 4] = ["budget", "account", "unreachable", "share"];

    /// The place of the kind in [`WaitReason::KINDS`].
    pub const fn place(&self) -> usize {
        match self {
            WaitReason::Budget { .. } => 0,
            WaitReason::Account { .. } => 1,
            WaitReason::Unreachable { .. } => 2,
            WaitReason::Share => 3,
        }
    }

    /// The name of the kind, for logs, lists and metrics.
    pub const fn kind(&self) -> &'static str {
        WaitReason::KINDS[self.place()]
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Budget { account, unit, window, limit, kept } => {
                write!(f, "account {account} has sent its {limit} {unit} of this {window}")?;
                if *kept > 0 { write!(f, "; {kept} of them are kept for more urgent mail") } else { Ok(()) }
            }
            WaitReason::Account { account, cause, text } => {
                write!(f, "account {account} rests ({cause})")?;
                if text.is_empty() { Ok(()) } else { write!(f, ": {text}") }
            }
            WaitReason::Unreachable { account, text } => {
                write!(f, "the provider of account {account} cannot be reached: {text}")
            }
            WaitReason::Share => f.write_str("other messages go first"),
        }
    }
}
