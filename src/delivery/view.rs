//! An account as it is shown: plain data with a JSON form, which the control socket and `--json` carry.
//!
//! What it is not: the state itself. It is a picture taken at one moment; nothing here decides anything. Times are texts
//! as `Timestamp::rfc3339` writes them, in the machine's time zone.
//!
//! Invariants: no secret is in it; a state that is not `ready` says since when, and why as far as that is known.

use serde::{Deserialize, Serialize};

/// An account, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// The NAME of `[account.NAME]`.
    pub name: String,
    /// The word of its preset, such as `qq`.
    pub provider: String,
    /// The mailbox it sends as.
    pub address: String,
    /// `ready`, `cooling` (until a time) or `paused` (until the secret changes or somebody resumes it).
    pub state: String,
    /// Since when it is in this state; none for one that has been ready all along.
    pub since: Option<String>,
    /// When a cooling account may be used again.
    pub until: Option<String>,
    /// Why it is not ready: the row of the reply catalogue, such as `QQ-A3`, or what an operator wrote.
    pub cause: Option<String>,
    /// What the provider said, in one line.
    pub reply: Option<String>,
    /// What the owner should do, in English.
    pub remedy_en: Option<String>,
    /// The same in Chinese.
    pub remedy_zh: Option<String>,
    /// An operator paused it, so it does not come back by itself.
    pub by_operator: bool,
    /// Connections to the provider that are open now.
    pub connections: usize,
    /// What may still go out, one for each limit of its budget.
    pub budget: Vec<BudgetView>,
    /// Messages that wait for this account.
    pub waiting: u64,
    /// When its next mail may go; none when that is now, or when nobody knows.
    pub next: Option<String>,
}

/// One limit of a budget, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// What is counted: `messages`, `recipients` or `logins`.
    pub unit: String,
    /// Over which time: `minute`, `hour` or `day`.
    pub window: String,
    /// How many in that time.
    pub limit: u32,
    /// How many of them are left now.
    pub left: u32,
    /// When the next one comes free, while none is left.
    pub opens: Option<String>,
}
