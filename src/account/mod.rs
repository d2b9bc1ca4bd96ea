//! What state is one mailbox account in, and what may it do now?
//!
//! [`Account`] owns the breaker, the budget, the learnt limits, the mark of a refused secret and the alarms of one account.
//! The rules are pure and have files of their own; this file puts one of each under a lock and logs what changes. What must
//! outlive the process leaves as a [`SavedAccount`] and comes back with [`Account::restore`].
//!
//! Not here: connections, which `delivery` pairs with the account; which message goes (`delivery::plan`); how the operator
//! is notified (`report`). Invariants: the lock is held for computing only, never while anything is awaited; no secret is
//! stored, only the sixteen bits of a [`SecretMark`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::{Address, Id, Lane};
use crate::queue::{AccountState, AccountUsage};
use crate::secret::Secret;

pub mod alarm;
pub mod availability;
pub mod breaker;
pub mod budget;
pub mod feedback;
pub mod lane;
mod pace;
mod profile;
pub mod saved;
mod state;
pub mod status;
pub mod unknown_replies;

pub use availability::Availability;
pub use feedback::{Feedback, UNKNOWN_REPLY, UNREACHABLE};
pub use profile::AccountProfile;
pub use saved::{SavedAccount, SecretMark};
pub use state::AccountSnapshot;
pub use status::AccountStatus;

use alarm::{AlarmEvent, AlarmResult, DueAlarm, OpenChannels};
use breaker::{BreakerState, Reason};
use budget::{BudgetLimits, Reservation, Windows};
use pace::Pace;
use state::State;
use unknown_replies::Refusal;

/// A mailbox account that mail leaves through.
#[derive(Debug)]
pub struct Account {
    profile: AccountProfile,
    pace: Option<Pace>,
    limited: bool,
    under_way: Arc<AtomicUsize>,
    state: Mutex<State>,
}

/// One attempt that is under way; the account counts it until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the feedback of an attempt has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedbackEffect {
    /// The account began to cool, or was paused: its open connections are of no use.
    pub stopped: bool,
    /// An alarm may be due.
    pub alarm: bool,
}

/// What the refusals of one attempt mean that no row of the catalogue describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weighed {
    /// Another message was accepted since this one was first refused with a reply that is not understood.
    pub accepted_since: bool,
    /// An alarm may be due.
    pub alarm: bool,
    /// The account cools because of this refusal, by its place in the list.
    pub cools: Option<usize>,
}

impl Account {
    /// An account that is ready.
    pub fn new(profile: AccountProfile, limits: BudgetLimits) -> Account {
        Account {
            pace: profile.per_second.map(Pace::new),
            limited: limits.messages != Windows::default() || limits.recipients != Windows::default(),
            under_way: Arc::default(),
            state: Mutex::new(State::new(limits)),
            profile,
        }
    }

    /// What the settings say about it.
    pub fn profile(&self) -> &AccountProfile {
        &self.profile
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// The mailbox it sends as.
    pub fn address(&self) -> &Address {
        &self.profile.address
    }

    /// Takes over what the last process saved and what it used.
    pub fn restore(&self, saved: Option<SavedAccount>, usage: Vec<AccountUsage>, now: Timestamp) {
        self.lock().restore(saved, usage, now);
    }

    /// What must outlive the process, if it differs from what this returned last. The caller writes it.
    pub fn unsaved(&self) -> Option<AccountState> {
        self.lock().unsaved().map(|saved| saved.write(self.name()))
    }

    /// What [`Account::unsaved`] returned last did not reach the disk: it is due again.
    pub fn not_saved(&self) {
        self.lock().forget_saved();
    }

    /// The state of its breaker.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        self.lock().breaker.state(now)
    }

    /// Whether it is able to send now: it neither cools nor is paused, and its provider can be reached. Its budget is not asked.
    pub fn is_able(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        match state.breaker.state(now) {
            BreakerState::Ready | BreakerState::Probe => !state.is_unreachable(),
            BreakerState::Unreachable(_) | BreakerState::Cooling(_) | BreakerState::Paused => false,
        }
    }

    /// Whether its provider could not be reached at the last attempt.
    pub fn is_unreachable(&self) -> bool {
        self.lock().is_unreachable()
    }

    /// What it may do at `now`. `capacity` is the number of attempts that may run side by side; `logged_in`: a connection is
    /// open, so that no log-in is needed.
    pub fn availability(&self, capacity: usize, logged_in: bool, now: Timestamp) -> Availability {
        let under_way = self.under_way.load(Ordering::SeqCst);
        let mut state = self.lock();
        Availability {
            lanes: Lane::ALL.map(|lane| state.lane(self.name(), lane, now)),
            access: state.access(self.name(), logged_in, now),
            name: self.profile.name.clone(),
            room: capacity.saturating_sub(under_way),
            under_way,
            load: state.load,
            recipients: self.profile.recipients.max(1),
        }
    }

    /// The account as it is shown, with its open connections and the messages that wait for it.
    pub fn status(&self, connections: usize, waiting: u64, now: Timestamp) -> AccountStatus {
        let mut state = self.lock();
        let access = state.access(self.name(), connections > 0, now);
        AccountStatus::new(&self.profile, state.snapshot(now), access, connections, waiting)
    }

    /// A copy of what is known about it now.
    pub fn snapshot(&self, now: Timestamp) -> AccountSnapshot {
        self.lock().snapshot(now)
    }

    /// When a message of this lane is expected to leave that has `ahead` recipients before it; `None` while it is paused.
    pub fn expected(&self, lane: Lane, ahead: u64, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        let start = match state.breaker.state(now) {
            BreakerState::Paused => return None,
            BreakerState::Cooling(at) | BreakerState::Unreachable(at) => at,
            BreakerState::Ready | BreakerState::Probe => now,
        };
        // The forecast runs the windows forward, so it must work on a copy.
        Some(state.budget.clone().when(lane, ahead, start))
    }

    /// Takes part of the budget for one attempt.
    ///
    /// # Errors
    /// When one recipient may go.
    pub fn reserve(&self, lane: Lane, recipients: usize, now: Timestamp) -> Result<(Reservation, UnderWay), Timestamp> {
        let mut state = self.lock();
        let reservation = state.budget.reserve(lane, u32::try_from(recipients).unwrap_or(u32::MAX), now)?;
        state.load += 1;
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Ok((reservation, UnderWay(self.under_way.clone())))
    }

    /// Puts back what an attempt did not use.
    pub fn give_back(&self, reservation: Reservation, now: Timestamp) {
        self.lock().budget.give_back(reservation, now);
    }

    /// Whether its budget limits messages or recipients.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Takes in whether mail of this lane is due while the lane's share of the budget is spent. Returns when one message of
    /// the lane may use the reserve of the others.
    pub fn waits_in_vain(&self, lane: Lane, waits: bool, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        state.budget.waits_in_vain(lane, waits, now);
        if waits { state.budget.opens(lane, now) } else { None }
    }

    /// Whether mail of this lane has waited in vain for so long that the lane is served first.
    pub fn is_overdue(&self, lane: Lane, now: Timestamp) -> bool {
        self.lock().budget.overdue(lane, now)
    }

    /// How long to wait before the next message, where the provider counts by the second.
    pub fn pace(&self) -> Option<Duration> {
        self.pace.as_ref().and_then(Pace::ready)
    }

    /// Asks the budget for a log-in, and counts it.
    ///
    /// # Errors
    /// When one may be tried.
    pub fn login(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.lock().login(now)
    }

    /// Takes in what an attempt said about the account, and logs what changes.
    ///
    /// An account that cools or is paused afterwards remembers the mark of the secret that was refused: another secret ends
    /// that.
    pub fn take_in(&self, feedback: &Feedback<'_>, now: Timestamp) -> FeedbackEffect {
        let mut state = self.lock();
        let (change, alarm) = state.take_in(feedback, feedback::spread(self.name()), now);
        let outage = state.outage(now);
        drop(state);
        feedback.log(self.name(), change, outage);
        FeedbackEffect { stopped: matches!(change, Some(BreakerState::Cooling(_) | BreakerState::Paused)), alarm }
    }

    /// Takes in the refusals of one attempt at `message` that no row of the catalogue describes. `first` is when the account
    /// first refused the message so; `accepted`: the provider accepted a recipient of it.
    ///
    /// If a refusal cools the account, the caller passes it to [`Account::take_in`]. A guess never pauses the account.
    pub fn weigh(
        &self,
        message: Id,
        refusals: &[Refusal<'_>],
        first: Option<Timestamp>,
        accepted: bool,
        now: Timestamp,
    ) -> Weighed {
        let mut state = self.lock();
        let accepted_since = first.is_some_and(|first| state.unknown.accepted_since(first, message));
        let (mut cools, mut alarm) = (None, None);
        for (place, refusal) in refusals.iter().enumerate() {
            let effect = state.unknown.refused(refusal, now);
            if effect.cools {
                cools = Some(place).filter(|_| !accepted);
            }
            // No alarm for a final refusal: the failure notice reports it.
            if effect.alert && !(refusal.again && accepted_since) {
                alarm = Some(refusal.text);
            }
        }
        if let Some(text) = alarm {
            tracing::warn!(event = "unknown_replies", account = self.name(), why = %text,
                "the provider refuses mail with words that are not understood");
        }
        if accepted {
            state.unknown.accepted(message, now);
        } else if alarm.is_some() && cools.is_none() && state.breaker.state(now) == BreakerState::Ready {
            // An account that cools has an alarm of its own.
            state.alarms.on(AlarmEvent::Refusing, now);
        }
        Weighed { accepted_since, alarm: alarm.is_some(), cools }
    }

    /// The mark of the secret that was refused, while another one is worth a log-in: the account cools or is paused, and no
    /// operator paused it.
    pub fn refused_secret(&self, now: Timestamp) -> Option<SecretMark> {
        self.lock().refused_secret(now)
    }

    /// Makes the account ready if `secret` is another one than `refused`. The caller has read it without a lock, so nothing
    /// happens if an operator paused the account meanwhile, or the provider refused another secret. True when it is ready.
    pub fn resume_with(&self, secret: &Secret, refused: SecretMark, now: Timestamp) -> bool {
        let mut state = self.lock();
        let changed = state.refused_secret(now) == Some(refused) && !refused.fits(secret);
        if changed {
            state.resume();
            tracing::info!(event = "account_resumed", account = self.name(), why = "the secret was changed");
        }
        changed
    }

    /// An operator pauses it.
    pub fn pause(&self, reason: &str, now: Timestamp) {
        self.lock().pause(Reason { cause: "operator", text: reason }, now);
        tracing::warn!(event = "account_paused", account = self.name(), cause = "operator", why = reason);
    }

    /// An operator resumes it: refusals are forgotten, the budget is not.
    pub fn resume(&self) {
        self.lock().resume();
        tracing::info!(event = "account_resumed", account = self.name(), why = "an operator asked for it");
    }

    /// The alarms that are due over these channels. None is due while a probe is due: it shows what is wrong now.
    pub fn due_alarms(&self, channels: OpenChannels, now: Timestamp) -> Vec<DueAlarm> {
        let mut state = self.lock();
        let held = state.probed_until(now).is_some();
        state.alarms.due(if held { OpenChannels::default() } else { channels }, now)
    }

    /// Takes in what became of a due alarm.
    pub fn alarm_result(&self, due: &DueAlarm, result: AlarmResult) {
        self.lock().alarms.result(due, result);
    }

    /// When an alarm may be due next.
    pub fn next_alarm(&self, channels: OpenChannels, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        let next = state.alarms.next(channels, now)?;
        Some(state.probed_until(now).map_or(next, |end| next.max(end)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave a part half changed: each part is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
