//! An account as it is shown: plain data with a JSON form, which the control socket and `--json` carry.
//!
//! It is a copy made at one moment and decides nothing. Times are texts as `Timestamp::rfc3339` writes them, in the
//! machine's time zone. Invariants: no secret is in it; a state other than `ready` has its begin, and its reason as far as
//! that is known.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::secret::redact::redact;

use super::availability::Access;
use super::breaker::BreakerState;
use super::budget::RemainingBudget;
use super::feedback::UNREACHABLE;
use super::profile::AccountProfile;
use super::state::AccountSnapshot;

/// An account, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// The NAME of `[account.NAME]`.
    pub name: String,
    /// The word of its preset, such as `qq`.
    pub provider: String,
    /// The mailbox it sends as.
    pub address: String,
    /// `ready`, `unreachable` (its provider; tried again at a time), `cooling` (until a time) or `paused` (until the secret
    /// changes or an operator resumes it).
    pub state: String,
    /// Since when it is in this state; none for one that has been ready all along.
    pub since: Option<String>,
    /// When a cooling account may be used again, or an unreachable one is tried again.
    pub until: Option<String>,
    /// Why it is not ready: the row of the reply catalogue, such as `QQ-A3`, or what an operator wrote.
    pub cause: Option<String>,
    /// What the provider said, in one line.
    pub reply: Option<String>,
    /// What the operator should do, in English.
    pub remedy_en: Option<String>,
    /// The same in Chinese.
    pub remedy_zh: Option<String>,
    /// An operator paused it, so it does not come back by itself.
    pub by_operator: bool,
    /// Connections to the provider that are open now.
    pub connections: usize,
    /// What may still go out, one for each limit of its budget.
    pub budget: Vec<BudgetStatus>,
    /// Messages that wait for this account.
    pub waiting: u64,
    /// When its next message may go; none when that is now, or not known.
    pub next: Option<String>,
}

/// One limit of a budget, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStatus {
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

impl AccountStatus {
    /// The status of the account with this snapshot.
    pub(super) fn new(
        profile: &AccountProfile,
        snapshot: AccountSnapshot,
        access: Access,
        connections: usize,
        waiting: u64,
    ) -> AccountStatus {
        let AccountSnapshot {
            state: breaker,
            cooling,
            remedy,
            left,
            opens,
            unreachable,
            unreachable_since,
            unknown: _,
        } = snapshot;
        let (state, until) = match breaker {
            BreakerState::Unreachable(until) => ("unreachable", Some(until)),
            // The attempt that shows whether the provider can be reached again is still to come.
            BreakerState::Ready | BreakerState::Probe if unreachable.is_some() => ("unreachable", None),
            BreakerState::Ready | BreakerState::Probe => ("ready", None),
            BreakerState::Cooling(until) => ("cooling", Some(until)),
            BreakerState::Paused => ("paused", None),
        };
        let rests = state == "cooling" || state == "paused";
        let (cooling, remedy) = if rests { (cooling, remedy) } else { (None, None) };
        let (outage, since) = if state == "unreachable" { (unreachable, unreachable_since) } else { (None, None) };
        let remedy = remedy.or(outage.as_ref().map(|_| UNREACHABLE));
        let named = remedy.map(|remedy| remedy.named(&profile.name));
        let next = match access {
            Access::Open | Access::Probe => opens,
            Access::From(at, _) | Access::ShortOutage(at, _) => Some(opens.map_or(at, |other| other.max(at))),
            Access::Never(_) => None,
        };
        // An older version may have stored a reply with a secret in it.
        let shown = |text: &String| Some(redact(text).into_owned()).filter(|text| !text.is_empty());
        AccountStatus {
            name: profile.name.clone(),
            provider: profile.provider.clone(),
            address: profile.address.to_string(),
            state: state.to_owned(),
            since: cooling.as_ref().map(|cooling| cooling.since).or(since).map(Timestamp::rfc3339),
            until: until.map(Timestamp::rfc3339),
            cause: cooling.as_ref().and_then(|cooling| shown(&cooling.cause)),
            reply: cooling.as_ref().map(|cooling| &cooling.text).or(outage.as_ref()).and_then(shown),
            remedy_en: named.as_ref().map(|(en, _)| en.clone()),
            remedy_zh: named.map(|(_, zh)| zh),
            by_operator: cooling.is_some_and(|cooling| cooling.by_operator),
            connections,
            budget: left.iter().map(BudgetStatus::from).collect(),
            waiting,
            next: next.map(Timestamp::rfc3339),
        }
    }
}

impl From<&RemainingBudget> for BudgetStatus {
    fn from(remaining: &RemainingBudget) -> BudgetStatus {
        BudgetStatus {
            unit: remaining.unit.name().to_owned(),
            window: remaining.window.name().to_owned(),
            limit: remaining.limit,
            left: remaining.left,
            opens: remaining.opens.map(Timestamp::rfc3339),
        }
    }
}
