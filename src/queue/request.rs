//! What the delivery asks of the queue and reports to it: lease requests, and the lanes that nothing may leave.
//!
//! Values only. The delivery decides what is in them (`delivery::plan`), the queue which messages they come to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::mail::Lane;

/// The waiting messages of one pool and one lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// Exactly this pool.
    pub pool: String,
    /// Exactly this lane.
    pub lane: Lane,
}

/// What [`super::Queue::lease`] is asked for, on behalf of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Whose turns they are: the account's own, or those of another one that serves the same pools. The service that clients
    /// have had is counted for each name here and each lane by itself.
    pub turns: String,
    /// The lanes, in the order in which they are served.
    pub lanes: Vec<LaneRequest>,
    /// At most this many messages in all.
    pub total: usize,
    /// The most recipients that the account offers in one transaction; a client is charged with no more for a message.
    pub recipients: usize,
}

impl LeaseRequest {
    /// The pools and lanes it names.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.lanes
            .iter()
            .flat_map(|request| request.pools.iter().map(|pool| Line { pool: pool.clone(), lane: request.lane }))
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

/// A lane of a pool that no account may take from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLane {
    /// The pool and the lane.
    pub line: Line,
    /// When the first account may take from it again; `None`: not until an operator acts.
    pub until: Option<Timestamp>,
    /// Why not now.
    pub reason: WaitReason,
}

/// Why a message that is due does not leave. The JSON form is part of the surface (`reason` in lists).
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
        /// How much of the limit this lane leaves to more urgent ones.
        kept: u32,
    },
    /// The account is cooling or paused.
    Account {
        /// The account's name.
        account: String,
        /// The row of the reply catalogue, or `operator`.
        cause: String,
        /// What the provider or the operator said; may be empty.
        text: String,
    },
    /// The account's provider cannot be reached.
    Unreachable {
        /// The account's name.
        account: String,
        /// How that shows.
        text: String,
    },
    /// Nothing is in the way: other messages go first.
    Share,
}

impl WaitReason {
    /// The names of all kinds, in the order of [`super::Depth::waiting`].
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
