//! When is an alert about the whole relay raised, sent and over? Pure: facts and time in, due alerts out.
//!
//! ```text
//!  oldest     a message waits longer than notice.oldest          over when none does
//!  held       a message is held as damaged; again when more are  over when none is
//!  failed     notice.failed messages failed within an hour       over an hour after that was true last
//!  disk free  less than notice.disk_free                         over a tenth above it, so that it does not flap
//!  panic      a task panicked                                    at most one alert an hour, no all-clear
//! ```
//!
//! Each is sent once, and none within an hour of the last alert of its kind. Not here: gathering the facts (`delivery`), the
//! words (`message::notice::relay_event`), and what waits for which channel (`alert_channels`). The state is saved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert_channels::{AlertChannels, AlertResult, AlertSubject, DueAlert, OpenChannels};
use crate::clock::Timestamp;
use crate::message::notice::alarm::Kind;
use crate::message::notice::relay_event::{RelayEvent, RelayFact, StuckMails};

/// The window of failures, the time after them until the all-clear, and the least time between two alerts of a kind.
pub const HOUR: Duration = Duration::from_secs(3600);
/// The time until an alert that was given up is tried again.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Milliseconds of a minute: failures are counted by the minute, so that their number needs little room.
const MINUTE: i64 = 60_000;

/// The limits of the facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayAlarmSettings {
    /// How long a message may wait; zero: for ever.
    pub oldest: Duration,
    /// How many messages may not fail within an hour; 0: any number may.
    pub failed: u64,
    /// How many octets of the disk should be free; 0: none.
    pub disk_free: u64,
}

/// Messages that do not leave: the oldest, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// As an alert shows them.
    pub mails: StuckMails,
    /// When the oldest arrived.
    pub received: Timestamp,
    /// Why the oldest does not leave, without secrets.
    pub reason: String,
}

/// What one look at the relay has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayFacts {
    /// The messages that wait longer than [`RelayAlarmSettings::oldest`] for a reason that counts.
    pub oldest: Option<Stuck>,
    /// The damaged messages.
    pub held: Option<Stuck>,
    /// Octets free on the disk of the queue; `None`: not known, which changes nothing.
    pub disk_free: Option<u64>,
}

/// Tasks that panicked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Panics {
    /// How many.
    pub times: u64,
    /// The kind of the last one, `delivery`.
    pub task: String,
    /// Its place in the source; empty when it is not known.
    pub place: String,
}

/// An alert about the whole relay that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRelayAlert {
    /// What it is about.
    pub fact: RelayFact,
    /// The channel, the time and the number of the attempt.
    pub due: DueAlert<RelayFact>,
}

/// What an alert says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertContent {
    /// The event.
    pub kind: Kind,
    /// Why, where that is known.
    pub reason: String,
    /// How many messages it is about.
    pub mails: u64,
}

const ALL: OpenChannels = OpenChannels { mail: true, webhook: true };

/// One cause of alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Cause {
    /// Since when it lasts; `None`: it does not.
    since: Option<i64>,
    /// The measure at the last alert of this time that it lasts; `None`: there was no alert yet.
    raised: Option<u64>,
    /// When the last alert was, of this time or an earlier one.
    last: Option<i64>,
    /// Whether the last alert was given up: it is due again a day later, or after a restart, which may bring better settings.
    given_up: bool,
    channels: AlertChannels<RelayFact>,
}

impl Cause {
    /// Takes in whether it lasts. `since` counts where it begins.
    fn lasts(&mut self, lasts: bool, since: Timestamp, now: Timestamp) {
        match (lasts, self.since) {
            (true, None) => {
                (self.since, self.raised, self.given_up) = (Some(since.millis()), None, false);
                self.channels.begin_anew();
            }
            (false, Some(since)) => {
                (self.since, self.given_up) = (None, false);
                self.channels.clear(Timestamp::from_millis(since), now);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// When the next alert may be raised, given the measure now (a number that makes a new alert when it grows).
    fn raise_at(&self, measure: u64) -> Option<Timestamp> {
        let since = self.since?;
        if !self.given_up && self.raised.is_some_and(|raised| measure <= raised) {
            return None;
        }
        let wait = if self.given_up { DAY } else { HOUR };
        let quiet = self.last.map_or(i64::MIN, |last| last.saturating_add(wait.as_millis() as i64));
        Some(Timestamp::from_millis(since.max(quiet)))
    }

    /// Hands an alert that is due to the channels.
    fn raise(&mut self, fact: RelayFact, measure: u64, open: OpenChannels, now: Timestamp) {
        let (Some(at), Some(since)) = (self.raise_at(measure), self.since) else { return };
        if open.any() && at <= now {
            let again = self.raised.is_some() && !self.given_up;
            self.channels.raise(fact, again, Timestamp::from_millis(since), open, now);
            (self.raised, self.last, self.given_up) = (Some(measure), Some(now.millis()), false);
        }
    }

    /// A clock that was set back must not silence an alert.
    fn no_later_than(&mut self, now: Timestamp) {
        for time in self.since.iter_mut().chain(self.last.as_mut()) {
            *time = (*time).min(now.millis());
        }
        self.channels.no_later_than(now);
    }
}

/// What is saved of the alerts about the whole relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelayAlarmState {
    oldest: Cause,
    held: Cause,
    failed: Cause,
    disk_free: Cause,
    panic: Cause,
    /// Messages that failed, by the minute; those of an hour.
    failures: BTreeMap<i64, u64>,
    /// The most within an hour, while `failed` lasts.
    most_failures: u64,
    /// When they were `notice.failed` or more last.
    reached: Option<i64>,
    /// Panics that no alert reports yet.
    panics: Panics,
    /// The panics that the last alert reports.
    reported: Panics,
}

/// The alerts about the whole relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayAlarms {
    settings: RelayAlarmSettings,
    facts: RelayFacts,
    state: RelayAlarmState,
}

impl RelayAlarms {
    /// Goes on from a saved state.
    pub fn new(settings: RelayAlarmSettings, state: RelayAlarmState) -> RelayAlarms {
        let mut alarms = RelayAlarms { settings, facts: RelayFacts::default(), state };
        for (.., cause) in alarms.causes().into_iter().filter(|(.., cause)| cause.given_up) {
            (cause.raised, cause.last, cause.given_up) = (None, None, false);
        }
        alarms
    }

    /// What must outlive the process.
    pub fn state(&self) -> &RelayAlarmState {
        &self.state
    }

    /// The limits.
    pub fn settings(&self) -> &RelayAlarmSettings {
        &self.settings
    }

    /// Takes in that this many messages failed for good.
    pub fn failed(&mut self, messages: u64, now: Timestamp) {
        let minute = now.millis().div_euclid(MINUTE);
        if messages > 0 {
            let count = self.state.failures.entry(minute).or_default();
            *count = count.saturating_add(messages);
        }
        let oldest = minute - HOUR.as_secs() as i64 / 60;
        // Minutes of the future are those of a clock that was set back.
        self.state.failures.retain(|&at, _| oldest < at && at <= minute);
        let sum = self.state.failures.values().fold(0_u64, |sum, &count| sum.saturating_add(count));
        let limit = self.settings.failed;
        if limit > 0 && sum >= limit {
            self.state.reached = Some(now.millis());
        }
        self.state.reached = self.state.reached.map(|at| at.min(now.millis()));
        let lasts = limit > 0 && self.state.reached.is_some_and(|at| now < Timestamp::from_millis(at) + HOUR);
        self.state.most_failures = if lasts { self.state.most_failures.max(sum) } else { 0 };
        if !lasts {
            self.state.reached = None;
        }
        let first = self.state.failures.keys().next().map_or(now, |minute| Timestamp::from_millis(minute * MINUTE));
        self.state.failed.lasts(lasts, first.min(now), now);
    }

    /// Takes in that tasks panicked.
    pub fn panicked(&mut self, panics: Panics, now: Timestamp) {
        if panics.times > 0 {
            let times = self.state.panics.times.saturating_add(panics.times);
            self.state.panics = Panics { times, ..panics };
            self.state.panic.since.get_or_insert(now.millis());
        }
    }

    /// Takes in what was found.
    pub fn found(&mut self, facts: RelayFacts, now: Timestamp) {
        let state = &mut self.state;
        for (cause, stuck) in [(&mut state.oldest, &facts.oldest), (&mut state.held, &facts.held)] {
            cause.lasts(stuck.is_some(), stuck.as_ref().map_or(now, |stuck| stuck.received), now);
        }
        // Messages that left make room for an alert about others.
        let held = facts.held.as_ref().map_or(0, |held| held.mails.mails);
        state.held.raised = state.held.raised.map(|raised| raised.min(held));
        let limit = self.settings.disk_free;
        let lasts = |free: u64| {
            let enough = if state.disk_free.since.is_some() { limit.saturating_add(limit / 10) } else { limit };
            free < enough
        };
        let low = if limit == 0 { Some(false) } else { facts.disk_free.map(lasts) };
        if let Some(low) = low {
            state.disk_free.lasts(low, now, now);
        }
        self.facts = facts;
        self.failed(0, now);
    }

    /// The causes, each with the measure whose growth makes a new alert.
    fn causes(&mut self) -> [(RelayFact, u64, &mut Cause); 5] {
        let held = self.facts.held.as_ref().map_or(0, |held| held.mails.mails);
        let state = &mut self.state;
        [
            (RelayFact::Oldest, 0, &mut state.oldest),
            (RelayFact::Held, held, &mut state.held),
            (RelayFact::Failed, 0, &mut state.failed),
            (RelayFact::DiskFree, 0, &mut state.disk_free),
            (RelayFact::Panic, 0, &mut state.panic),
        ]
    }

    /// The alerts that are due now. Each is returned again until [`RelayAlarms::result`] answers it; save the state then.
    /// Call [`RelayAlarms::found`] before: an alert says what was found last.
    pub fn due(&mut self, open: OpenChannels, now: Timestamp) -> Vec<DueRelayAlert> {
        let unsent = self.state.panic.channels.next(ALL).is_some();
        let mut all = Vec::new();
        for (fact, measure, cause) in self.causes() {
            cause.no_later_than(now);
            cause.raise(fact, measure, open, now);
            all.extend(cause.channels.due(open, now).into_iter().map(|due| DueRelayAlert { fact, due }));
        }
        // An alert reports each panic once; the next one counts anew.
        let state = &mut self.state;
        if state.panic.raised.take().is_some() {
            let before = if unsent { state.reported.times } else { 0 };
            state.reported = std::mem::take(&mut state.panics);
            state.reported.times = state.reported.times.saturating_add(before);
            state.panic.since = None;
        }
        all
    }

    /// Takes in what became of a due alert.
    pub fn result(&mut self, due: &DueRelayAlert, sent: AlertResult) {
        let (.., cause) = self.cause(due.fact);
        // A panic has no all-clear.
        let lasts = cause.since.is_some() || due.fact == RelayFact::Panic;
        cause.channels.result(&due.due, sent, lasts);
        cause.given_up =
            cause.since.is_some() && sent == AlertResult::GivenUp && due.due.what != AlertSubject::AllClear;
    }

    fn cause(&mut self, wanted: RelayFact) -> (RelayFact, u64, &mut Cause) {
        self.causes().into_iter().find(|(fact, ..)| *fact == wanted).expect("each fact has its cause")
    }

    /// What an alert that is due says; `None` when what it is about is not there any more.
    pub fn content(&self, due: &DueRelayAlert) -> Option<AlertContent> {
        let relay = |event| AlertContent { kind: Kind::Relay(event), reason: String::new(), mails: 0 };
        let about = |stuck: &Stuck, event| AlertContent {
            reason: stuck.reason.clone(),
            mails: stuck.mails.mails,
            ..relay(event)
        };
        if due.due.what == AlertSubject::AllClear {
            return Some(relay(RelayEvent::Over { fact: due.fact }));
        }
        match due.fact {
            RelayFact::Oldest => {
                let limit = self.settings.oldest.as_secs();
                self.facts
                    .oldest
                    .as_ref()
                    .map(|stuck| about(stuck, RelayEvent::Oldest { stuck: stuck.mails.clone(), limit }))
            }
            RelayFact::Held => {
                self.facts.held.as_ref().map(|stuck| about(stuck, RelayEvent::Held { stuck: stuck.mails.clone() }))
            }
            RelayFact::Failed => {
                let mails = self.state.most_failures.max(self.settings.failed);
                Some(AlertContent { kind: Kind::Failed { mails }, reason: String::new(), mails })
            }
            RelayFact::DiskFree => {
                let limit = self.settings.disk_free;
                self.facts.disk_free.map(|free| relay(RelayEvent::DiskLow { free, limit }))
            }
            RelayFact::Panic => {
                let Panics { times, task, place } = self.state.reported.clone();
                Some(relay(RelayEvent::Panicked { times, task, place }))
            }
        }
    }

    /// When an alert may be due next, if nothing else is found.
    pub fn next(&mut self, open: OpenChannels) -> Option<Timestamp> {
        let next = |(_, measure, cause): (RelayFact, u64, &mut Cause)| {
            let raise = cause.raise_at(measure).filter(|_| open.any());
            raise.into_iter().chain(cause.channels.next(open)).min()
        };
        self.causes().into_iter().filter_map(next).min()
    }
}

#[cfg(test)]
mod tests;
