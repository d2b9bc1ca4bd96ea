//! One account at work: its way out, its breaker, its budget, and what its condition means to them.
//!
//! The rules are pure and live in `breaker` and `budget`; this keeps one of each under a lock, counts what is under way,
//! and says in the log when something changes. What must outlive the process leaves as a [`Kept`] and comes back with
//! [`Account::restore`]. Not here: which message goes (`plan`), who is told (`teller`), and the dialogue (`upstream`).
//!
//! Invariants: an account that may not be used is not used for a probe either before its time; a log-in is counted
//! durably before it is tried (`permit`); nothing secret is kept, only [`secret_mark`]'s sixteen bits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::{Address, Lane};
use crate::message::rewrite::FromPolicy;
use crate::provider::Remedy;
use crate::queue::{AccountUsage, WaitReason};
use crate::upstream::Upstream;

use super::alarm::AlarmState;
use super::breaker::{Breaker, Gate};
use super::budget::{self, Budget, Closing, Grant, Left};
use super::keep::{Kept, SecretMark};
use super::pace::Pace;
use super::plan::{Access, AccountStatus, Spent};
use super::unknown_replies::UnknownReplies;

mod learn;
mod resume;
mod say;
mod weigh;

pub use learn::Learnt;
pub use weigh::Weighed;

/// How long a fault of the line is waited for before another account stands in.
const BLIP: Duration = Duration::from_secs(120);

/// What does not change about an account.
#[derive(Debug)]
pub struct Identity {
    /// Its name in the settings.
    pub name: String,
    /// The name of its preset.
    pub provider: String,
    /// The mailbox it sends as.
    pub address: Address,
    /// Other addresses of that mailbox.
    pub aliases: Vec<Address>,
    /// What the provider asks of `From:`.
    pub policy: FromPolicy,
    /// Whether a DKIM-Signature stays that the account's From breaks.
    pub keep_dkim: bool,
    /// Most recipients of one transaction.
    pub recipients: usize,
    /// Octets of the largest message, where that is known.
    pub size: Option<u64>,
    /// Most messages in a second.
    pub per_second: Option<std::num::NonZeroU32>,
}

/// An account that mail leaves through.
#[derive(Debug)]
pub struct Account {
    who: Identity,
    upstream: Upstream,
    pace: Option<Pace>,
    limited: bool,
    under_way: AtomicUsize,
    state: Mutex<State>,
    /// Who writes the state down.
    writing: tokio::sync::Mutex<()>,
}

/// The turn to write an account's state down.
pub type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: Budget,
    /// The secret with which the log-in was refused: another one is worth a try at once.
    refused: Option<SecretMark>,
    /// The provider cannot be reached.
    down: Option<Down>,
    /// The log-in budget is spent.
    no_login: Option<Closing>,
    /// What the provider said that made it rest.
    remedy: Option<Remedy>,
    /// Messages it was given since the start.
    load: u64,
    /// What the owner was told about it.
    alarms: AlarmState,
    /// Replies that are not understood.
    unknown: UnknownReplies,
    /// What was written last of what must outlive the process.
    written: Option<Kept>,
    /// When the state of the last process was taken over.
    restored: Option<Timestamp>,
}

/// A provider that cannot be reached.
#[derive(Debug)]
struct Down {
    since: Timestamp,
    /// How it shows, the last time it was tried.
    text: String,
}

/// The account as an operator sees it.
#[derive(Clone, Debug)]
pub struct Look {
    /// What may be done with it.
    pub gate: Gate,
    /// The rest it is in, with its reason.
    pub rest: Option<super::breaker::Kept>,
    /// What the owner should do.
    pub remedy: Option<Remedy>,
    /// How it shows that its provider cannot be reached.
    pub down: Option<String>,
    /// The last reply that was not understood, or an empty text.
    pub unknown: String,
    /// What its budget still has.
    pub left: Vec<Left>,
    /// When a message of the ordinary lane may go.
    pub opens: Option<Timestamp>,
}

/// One attempt that is under way; the account counts it until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Account>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Account {
    /// An account that is ready.
    pub fn new(who: Identity, limits: budget::Limits, upstream: Upstream) -> Account {
        let pace = who.per_second.map(Pace::new);
        let limited = limits.messages != budget::Windows::default() || limits.recipients != budget::Windows::default();
        let state = State {
            breaker: Breaker::default(),
            budget: Budget::new(limits),
            refused: None,
            down: None,
            no_login: None,
            remedy: None,
            load: 0,
            alarms: AlarmState::default(),
            unknown: UnknownReplies::default(),
            written: None,
            restored: None,
        };
        Account {
            who,
            upstream,
            pace,
            limited,
            under_way: AtomicUsize::new(0),
            state: Mutex::new(state),
            writing: Default::default(),
        }
    }

    /// What does not change about it.
    pub fn who(&self) -> &Identity {
        &self.who
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.who.name
    }

    /// The mailbox it sends as.
    pub fn address(&self) -> &Address {
        &self.who.address
    }

    /// Its connections.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Puts it where it was when the last process ended.
    pub fn restore(&self, kept: Option<Kept>, usage: Vec<AccountUsage>, now: Timestamp) {
        let mut state = self.state();
        let rows = usage.into_iter().map(|row| {
            let spent = budget::Spent { messages: row.messages, recipients: row.recipients, logins: row.logins };
            (row.at, spent)
        });
        state.budget.load(rows, now);
        state.restored = Some(now);
        let Some(kept) = kept else { return };
        state.budget.restore(kept.learnt);
        state.refused = kept.refused;
        state.alarms = kept.alarms;
        state.unknown = kept.unknown;
        if let Some(rest) = kept.rest {
            state.remedy = kept.remedy.map(|(en, zh)| super::keep::remedy(&en, &zh));
            state.breaker = Breaker::restore(rest, now);
        }
    }

    /// What must outlive the process.
    pub fn kept(&self) -> Kept {
        let state = self.state();
        Kept {
            rest: state.breaker.kept(),
            learnt: state.budget.learnt(),
            refused: state.refused,
            alarms: state.alarms,
            unknown: state.unknown.clone(),
            remedy: state.remedy.map(|remedy| (remedy.en.to_owned(), remedy.zh.to_owned())),
        }
    }

    /// Waits until nobody else writes its state down.
    pub async fn turn_to_write(&self) -> Turn<'_> {
        self.writing.lock().await
    }

    /// What must outlive the process, if it is not what this gave the last time. Asked by who has the turn.
    pub fn kept_if_changed(&self) -> Option<Kept> {
        let kept = self.kept();
        let mut state = self.state();
        (state.written.as_ref() != Some(&kept)).then(|| state.written.insert(kept).clone())
    }

    /// What [`Account::kept_if_changed`] gave the last time did not reach the disk: it is due again.
    pub fn not_written(&self) {
        self.state().written = None;
    }

    /// May it be used at `now`?
    pub fn gate(&self, now: Timestamp) -> Gate {
        self.state().breaker.gate(now)
    }

    /// Whether its provider could not be reached the last time it was tried.
    pub fn is_out_of_reach(&self) -> bool {
        self.state().down.is_some()
    }

    /// What it can do at `now`.
    pub fn status(&self, now: Timestamp) -> AccountStatus {
        let under_way = self.under_way.load(Ordering::SeqCst);
        let logged_in = self.upstream.is_logged_in();
        let mut state = self.state();
        let lanes = Lane::ALL.map(|lane| match state.budget.closing(lane, now) {
            Some(closing) => Err(Spent { until: closing.until, reason: self.budget_reason(&closing) }),
            None => Ok(state.budget.messages_left(lane, now) as usize),
        });
        let access = self.access(&mut state, logged_in, now);
        AccountStatus {
            name: self.who.name.clone(),
            access,
            lanes,
            room: self.capacity().saturating_sub(under_way),
            under_way,
            load: state.load,
            recipients: self.who.recipients.max(1),
        }
    }

    fn access(&self, state: &mut State, logged_in: bool, now: Timestamp) -> Access {
        let no_login = state.no_login.filter(|closing| closing.until > now && !logged_in);
        match (state.breaker.gate(now), no_login) {
            (Gate::Paused, _) => Access::Never(self.rest_reason(state)),
            (Gate::Cooling(at), Some(closing)) if closing.until > at => {
                Access::From(closing.until, self.budget_reason(&closing))
            }
            (Gate::Cooling(at), _) => Access::From(at, self.rest_reason(state)),
            (Gate::Down(at), _) => {
                let text = state.down.as_ref().map_or_else(String::new, |down| down.text.clone());
                let reason = WaitReason::Unreachable { account: self.who.name.clone(), text };
                match state.down.as_ref().is_some_and(|down| now.since(down.since) >= BLIP) {
                    true => Access::From(at, reason),
                    false => Access::Blip(at, reason),
                }
            }
            (Gate::Open | Gate::Probe, Some(closing)) => Access::From(closing.until, self.budget_reason(&closing)),
            // One by one, until it is known whether the account works.
            (Gate::Open, None) if state.unknown.one_by_one() => Access::Probe,
            (Gate::Open, None) => Access::Open,
            (Gate::Probe, None) => Access::Probe,
        }
    }

    fn budget_reason(&self, closing: &Closing) -> WaitReason {
        let (unit, window) = (closing.unit.name().to_owned(), closing.window.name().to_owned());
        let account = self.who.name.clone();
        WaitReason::Budget { account, unit, window, limit: closing.limit, kept: closing.kept }
    }

    /// Why the account cools or is paused.
    fn rest_reason(&self, state: &State) -> WaitReason {
        let (cause, text) =
            state.breaker.rest().map_or_else(Default::default, |rest| (rest.cause.clone(), rest.text.clone()));
        WaitReason::Account { account: self.who.name.clone(), cause, text }
    }

    /// How many attempts run side by side: one for each connection, and as many that prepare or settle meanwhile; where
    /// connections announce the next message, there must be one to announce as well.
    fn capacity(&self) -> usize {
        let settings = self.upstream.settings();
        settings.connections.max(1) * if settings.announce { 4 } else { 2 }
    }

    /// When a message of this lane may be expected to go that has so many recipients before it; `None` while nobody knows.
    pub fn expected(&self, lane: Lane, ahead: u64, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state();
        let start = match state.breaker.gate(now) {
            Gate::Paused => return None,
            Gate::Cooling(at) | Gate::Down(at) => at,
            Gate::Open | Gate::Probe => now,
        };
        // Windows that are run forward must not be the real ones.
        Some(state.budget.clone().when(lane, ahead, start))
    }

    /// Takes part of the budget for one attempt.
    ///
    /// # Errors
    /// When one recipient may go.
    pub fn grant(
        self: &Arc<Self>,
        lane: Lane,
        recipients: usize,
        now: Timestamp,
    ) -> Result<(Grant, UnderWay), Timestamp> {
        let mut state = self.state();
        let grant = state.budget.grant(lane, u32::try_from(recipients).unwrap_or(u32::MAX), now)?;
        state.load += 1;
        drop(state);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Ok((grant, UnderWay(self.clone())))
    }

    /// Puts back what an attempt did not use.
    pub fn give_back(&self, grant: Grant, now: Timestamp) {
        self.state().budget.give_back(grant, now);
    }

    /// Whether its budget limits what it sends at all.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Takes in whether mail of this lane is due, for a lane whose share of the budget is spent. Returns when one message
    /// of it may take from the reserve of the others.
    pub fn waits_in_vain(&self, lane: Lane, waits: bool, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state();
        state.budget.waits_in_vain(lane, waits, now);
        if waits { state.budget.opens(lane, now) } else { None }
    }

    /// Whether mail of this lane has waited in vain for so long that the lane is served first.
    pub fn is_overdue(&self, lane: Lane, now: Timestamp) -> bool {
        self.state().budget.overdue(lane, now)
    }

    /// How long to wait before the next message, where the provider counts by the second.
    pub fn pace(&self) -> Option<Duration> {
        self.pace.as_ref().and_then(Pace::ready)
    }

    /// Asks the budget for a log-in.
    ///
    /// # Errors
    /// When one may be tried.
    pub fn login(&self, now: Timestamp) -> Result<(), Timestamp> {
        let mut state = self.state();
        state.no_login = state.budget.login_closing(now);
        state.budget.login(now)
    }

    /// What an operator sees.
    pub fn look(&self, now: Timestamp) -> Look {
        let mut state = self.state();
        let gate = state.breaker.gate(now);
        let left = state.budget.left(now);
        let opens = state.budget.opens(Lane::Normal, now);
        let down = state.down.as_ref().map(|down| down.text.clone());
        let unknown = state.unknown.last().to_owned();
        Look { gate, rest: state.breaker.kept(), remedy: state.remedy, down, unknown, left, opens }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each part of it is replaced as a whole.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
