//! All that changes about one account, as one value. Pure: the time is an argument.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::provider::Remedy;
use crate::queue::{AccountUsage, WaitReason};

use super::alarm::AlarmState;
use super::availability::{Access, SpentShare};
use super::breaker::{Breaker, BreakerState, Reason, SavedBreaker};
use super::budget::{Budget, BudgetLimits, ClosedBudget, RemainingBudget, Spent};
use super::feedback::Feedback;
use super::saved::{SavedAccount, SecretMark, remedy};
use super::unknown_replies::UnknownReplies;

/// How long the provider must be out of reach before another account is used.
const SHORT_OUTAGE: Duration = Duration::from_secs(120);
/// How long alarms wait for a probe that is due: longer than most log-ins take.
const PROBE: Duration = Duration::from_secs(120);

/// What changes about an account.
#[derive(Debug)]
pub(super) struct State {
    pub(super) breaker: Breaker,
    pub(super) budget: Budget,
    pub(super) alarms: AlarmState,
    pub(super) unknown: UnknownReplies,
    /// Messages it was given since the start.
    pub(super) load: u64,
    /// The secret with which the log-in was refused: another one is worth a log-in at once.
    refused: Option<SecretMark>,
    outage: Option<Outage>,
    /// The log-in budget is spent.
    no_login: Option<ClosedBudget>,
    /// What the operator should do about the last refusal.
    remedy: Option<Remedy>,
    /// What was saved last.
    saved: Option<SavedAccount>,
    /// When the state of the last process was taken over.
    restored: Option<Timestamp>,
}

/// The provider cannot be reached.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    /// How it showed at the last attempt.
    text: String,
}

/// What is known about an account at one moment.
#[derive(Clone, Debug)]
pub struct AccountSnapshot {
    /// The state of its breaker.
    pub state: BreakerState,
    /// Why and since when it cools or is paused.
    pub cooling: Option<SavedBreaker>,
    /// What the operator should do.
    pub remedy: Option<Remedy>,
    /// How it shows that its provider cannot be reached.
    pub unreachable: Option<String>,
    /// Since when it cannot be reached.
    pub unreachable_since: Option<Timestamp>,
    /// The last reply that was not understood, or an empty text.
    pub unknown: String,
    /// What is left of its budget.
    pub left: Vec<RemainingBudget>,
    /// When a message of the normal lane may go; `None` when it may now.
    pub opens: Option<Timestamp>,
}

impl State {
    /// An account that is ready and has spent nothing.
    pub(super) fn new(limits: BudgetLimits) -> State {
        State {
            breaker: Breaker::default(),
            budget: Budget::new(limits),
            alarms: AlarmState::default(),
            unknown: UnknownReplies::default(),
            load: 0,
            refused: None,
            outage: None,
            no_login: None,
            remedy: None,
            saved: None,
            restored: None,
        }
    }

    pub(super) fn restore(&mut self, saved: Option<SavedAccount>, usage: Vec<AccountUsage>, now: Timestamp) {
        let spent =
            |row: &AccountUsage| Spent { messages: row.messages, recipients: row.recipients, logins: row.logins };
        self.budget.load(usage.iter().map(|row| (row.at, spent(row))), now);
        self.restored = Some(now);
        let Some(saved) = saved else { return };
        self.budget.restore(saved.learnt);
        (self.refused, self.alarms, self.unknown) = (saved.refused, saved.alarms, saved.unknown);
        if let Some(cooling) = saved.cooling {
            self.remedy = saved.remedy.map(|(en, zh)| remedy(en, zh));
            self.breaker = Breaker::restore(cooling, now);
        }
    }

    /// What must outlive the process, if it differs from what this returned last.
    pub(super) fn unsaved(&mut self) -> Option<SavedAccount> {
        let saved = SavedAccount {
            cooling: self.breaker.saved(),
            learnt: self.budget.learnt(),
            refused: self.refused,
            alarms: self.alarms,
            unknown: self.unknown.clone(),
            remedy: self.remedy.map(|remedy| (remedy.en.to_owned(), remedy.zh.to_owned())),
        };
        (self.saved.as_ref() != Some(&saved)).then(|| self.saved.insert(saved).clone())
    }

    pub(super) fn forget_saved(&mut self) {
        self.saved = None;
    }

    /// How many messages of a lane the budget admits now.
    pub(super) fn lane(&mut self, account: &str, lane: Lane, now: Timestamp) -> Result<usize, SpentShare> {
        match self.budget.closing(lane, now) {
            Some(closed) => Err(SpentShare { until: closed.until, reason: budget_reason(account, &closed) }),
            None => Ok(self.budget.messages_left(lane, now) as usize),
        }
    }

    /// Whether the account may be used now, whatever the lane.
    pub(super) fn access(&mut self, account: &str, logged_in: bool, now: Timestamp) -> Access {
        let no_login = self.no_login.filter(|closed| closed.until > now && !logged_in);
        match (self.breaker.state(now), no_login) {
            (BreakerState::Paused, _) => Access::Never(self.cooling_reason(account)),
            (BreakerState::Cooling(at), Some(closed)) if closed.until > at => {
                Access::From(closed.until, budget_reason(account, &closed))
            }
            (BreakerState::Cooling(at), _) => Access::From(at, self.cooling_reason(account)),
            (BreakerState::Unreachable(at), _) => {
                let text = self.outage.as_ref().map_or_else(String::new, |outage| outage.text.clone());
                let reason = WaitReason::Unreachable { account: account.to_owned(), text };
                match self.outage(now).is_some_and(|(_, lasted)| lasted >= SHORT_OUTAGE) {
                    true => Access::From(at, reason),
                    false => Access::ShortOutage(at, reason),
                }
            }
            (BreakerState::Ready | BreakerState::Probe, Some(closed)) => {
                Access::From(closed.until, budget_reason(account, &closed))
            }
            // One message at a time, until it is known whether the account works.
            (BreakerState::Ready, None) if self.unknown.one_by_one() => Access::Probe,
            (BreakerState::Ready, None) => Access::Open,
            (BreakerState::Probe, None) => Access::Probe,
        }
    }

    /// Why the account cools or is paused.
    fn cooling_reason(&self, account: &str) -> WaitReason {
        let reason = self.breaker.cooling().map(|cooling| (cooling.cause.clone(), cooling.text.clone()));
        let (cause, text) = reason.unwrap_or_default();
        WaitReason::Account { account: account.to_owned(), cause, text }
    }

    pub(super) fn login(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let admitted = self.budget.login(now);
        self.no_login = admitted.err();
        admitted.map_err(|closed| closed.until)
    }

    /// Takes in what an attempt said. Returns the breaker's state, if it is a new one, and whether the alarms changed.
    pub(super) fn take_in(
        &mut self,
        feedback: &Feedback<'_>,
        spread: Duration,
        now: Timestamp,
    ) -> (Option<BreakerState>, bool) {
        let event = feedback.breaker_event(&mut self.budget, spread, now);
        let change = self.breaker.on(event, feedback.reason(), now);
        match (change, feedback) {
            (Some(BreakerState::Cooling(_) | BreakerState::Paused), Feedback::Refused { verdict, secret, .. }) => {
                (self.remedy, self.refused) = (Some(verdict.remedy), Some(*secret));
            }
            (Some(BreakerState::Ready), _) => (self.remedy, self.refused) = (None, None),
            _ => {}
        }
        let state = self.breaker.state(now);
        match (state, feedback) {
            (BreakerState::Unreachable(_), Feedback::Unreachable(text)) => {
                let since = self.outage.as_ref().map_or(now, |outage| outage.since);
                self.outage = Some(Outage { since, text: (*text).to_owned() });
            }
            // A probe that is under way does not show yet that the provider can be reached again.
            (BreakerState::Unreachable(_) | BreakerState::Probe, _) => {}
            (BreakerState::Ready | BreakerState::Cooling(_) | BreakerState::Paused, _) => self.outage = None,
        }
        let before = self.alarms;
        if let Some(event) = feedback.alarm_event(state) {
            self.alarms.on(event, now);
        }
        (change, before != self.alarms)
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.outage.is_some()
    }

    /// Since when, and for how long, the provider cannot be reached.
    pub(super) fn outage(&self, now: Timestamp) -> Option<(Timestamp, Duration)> {
        self.outage.as_ref().map(|outage| (outage.since, now.since(outage.since)))
    }

    /// The secret that was refused, while the account cools or is paused, and not by an operator.
    pub(super) fn refused_secret(&mut self, now: Timestamp) -> Option<SecretMark> {
        let stopped = matches!(self.breaker.state(now), BreakerState::Cooling(_) | BreakerState::Paused);
        let by_operator = self.breaker.cooling().is_some_and(|cooling| cooling.by_operator);
        self.refused.filter(|_| stopped && !by_operator)
    }

    pub(super) fn pause(&mut self, reason: Reason<'_>, now: Timestamp) {
        self.breaker.pause(true, reason, now);
        self.remedy = None;
    }

    pub(super) fn resume(&mut self) {
        self.breaker.resume();
        (self.remedy, self.refused, self.no_login, self.outage) = (None, None, None, None);
        self.unknown.begin_anew();
    }

    /// Until when alarms wait for a probe: the account has just cooled off, or had when this process began, and its first
    /// message is not answered yet.
    pub(super) fn probed_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let state = self.breaker.state(now);
        let over = self.breaker.cooling()?.until?;
        let since = self.restored.map_or(over, |restored| restored.max(over));
        let end = since + PROBE;
        (state == BreakerState::Probe && since <= now && now < end).then_some(end)
    }

    pub(super) fn snapshot(&mut self, now: Timestamp) -> AccountSnapshot {
        AccountSnapshot {
            state: self.breaker.state(now),
            cooling: self.breaker.saved(),
            remedy: self.remedy,
            unreachable: self.outage.as_ref().map(|outage| outage.text.clone()),
            unreachable_since: self.outage.as_ref().map(|outage| outage.since),
            unknown: self.unknown.last().to_owned(),
            left: self.budget.left(now),
            opens: self.budget.opens(Lane::Normal, now),
        }
    }
}

fn budget_reason(account: &str, closed: &ClosedBudget) -> WaitReason {
    let (unit, window) = (closed.unit.name().to_owned(), closed.window.name().to_owned());
    WaitReason::Budget { account: account.to_owned(), unit, window, limit: closed.limit, kept: closed.kept }
}
