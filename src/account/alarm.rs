//! When is an alarm about an account raised, sent and cleared? Pure: events and time in, due alarms out.
//!
//! ```text
//!  paused                                        alarm at once
//!  cooling, and the catalogue has +ALERT         alarm at once
//!  cooling for an hour                           alarm then; the caller waits for a probe that is due
//!  its provider out of reach for an hour         alarm at the next attempt that meets it
//!  its provider refuses in unknown words         alarm when `unknown_replies` asks for it
//!  unchanged a day after the last alarm          the same alarm again
//!  ready, and an alarm was sent                  all-clear, over the channels that sent it
//!  ready, and none was sent yet                  nothing: the alarm is withdrawn
//!  the next outage within an hour of an alarm    no alarm until that hour is over, unless it is a worse one
//! ```
//!
//! Not here: the text (`message::notice::alarm`), how it is sent (`report`), and when a webhook is called again
//! (`report::webhook::retry`; its answer comes in as [`AlarmResult::Later`]). What waits for which channel is
//! `alert_channels`'s.
//!
//! Invariants: an alarm never goes through the account it is about (the caller picks another account, or reports that the
//! mail channel is closed); an account raises at most four alarms (one of each kind) and as many all-clears an hour. The
//! state is saved: a restart neither repeats what was sent nor forgets what was not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert_channels::{AlertChannels, AlertSubject, DueAlert};
use crate::clock::Timestamp;

pub use crate::alert_channels::{AlertChannel as AlarmChannel, AlertResult as AlarmResult, OpenChannels};

/// How long an account cools before an alarm is due: longer than three refusals take to pause it (45 minutes), so that
/// one fault makes one alarm.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// The time between two alarms of one outage.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// An outage that follows an alarm within this time raises no alarm of its own, unless it is worse.
pub const FLAPPING: Duration = Duration::from_secs(3600);

/// How long after the last failed attempt an unreachable provider is still reported: it may be reachable since.
const FRESH: Duration = Duration::from_secs(5);

/// What happened to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmEvent {
    /// It was paused, until its secret changes or an operator resumes it.
    Paused,
    /// It cools.
    Cooling {
        /// Whether the catalogue asks for an alarm at once.
        alert: bool,
    },
    /// Its provider cannot be reached, or the line was lost.
    Unreachable,
    /// Its provider refuses mail with words that are not understood.
    Refusing,
    /// It works: a message went through.
    Ready,
}

/// The kinds of alarm, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Its provider refuses mail with words that are not understood; the account is used on.
    Refusing,
    /// Its provider cannot be reached; the relay keeps trying.
    Unreachable,
    /// It cools, and resumes by itself.
    Cooling,
    /// It is paused, until an operator acts.
    Paused,
}

/// What an alarm about an account reports: the account cannot send, or works again.
pub type AlarmSubject = AlertSubject<AlarmKind>;
/// An alarm about an account to send over one channel now. The caller answers with [`AlarmState::result`] in any case.
pub type DueAlarm = DueAlert<AlarmKind>;

/// An outage: from the first refusal to the first message that went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Outage {
    #[serde(with = "crate::clock::millis")]
    since: Timestamp,
    kind: AlarmKind,
    alert: bool,
    /// When an attempt met it last.
    #[serde(with = "crate::clock::millis")]
    seen: Timestamp,
    /// The last alarm of this outage: when, and of what kind.
    raised: Option<Raised>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    #[serde(with = "crate::clock::millis")]
    at: Timestamp,
    kind: AlarmKind,
}

impl Outage {
    /// `at`, unless the outage was met too long ago to be reported then.
    fn fresh(&self, at: Timestamp) -> Option<Timestamp> {
        let late = self.kind == AlarmKind::Unreachable && at > self.seen + FRESH;
        (!late).then_some(at)
    }
}

/// The alarms of one account. Saved with the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmState {
    outage: Option<Outage>,
    /// The last alarm, of this outage or an earlier one.
    last: Option<Raised>,
    #[serde(flatten)]
    channels: AlertChannels<AlarmKind>,
}

impl AlarmState {
    /// Takes in what happened; [`AlarmState::due`] returns what follows.
    pub fn on(&mut self, event: AlarmEvent, now: Timestamp) {
        let (kind, alert) = match event {
            AlarmEvent::Paused => (AlarmKind::Paused, true),
            AlarmEvent::Cooling { alert } => (AlarmKind::Cooling, alert),
            AlarmEvent::Unreachable => (AlarmKind::Unreachable, false),
            AlarmEvent::Refusing => (AlarmKind::Refusing, true),
            AlarmEvent::Ready => return self.clear(now),
        };
        match &mut self.outage {
            Some(outage) => {
                outage.kind = kind;
                outage.alert |= alert;
                outage.seen = now;
            }
            None => {
                self.outage = Some(Outage { since: now, kind, alert, seen: now, raised: None });
                self.channels.begin_anew();
            }
        }
    }

    /// The outage is over: an all-clear goes to the channels that sent an alarm.
    fn clear(&mut self, now: Timestamp) {
        let Some(outage) = self.outage.take() else { return };
        self.channels.clear(outage.since, now);
    }

    /// When the next alarm of this outage is due.
    fn raise_at(&self) -> Option<Timestamp> {
        let outage = self.outage.as_ref()?;
        let own = match outage.raised {
            // It is worse than the alarm that was raised, or a day has passed.
            Some(raised) if outage.kind > raised.kind => outage.since,
            Some(raised) => return outage.fresh(raised.at + DAY),
            None if outage.alert => outage.since,
            None => outage.since + PATIENCE,
        };
        // A worse one is raised in any case: a paused account needs an operator, a cooling one does not.
        let quiet = self.last.filter(|last| outage.kind <= last.kind).map_or(own, |last| last.at + FLAPPING);
        outage.fresh(own.max(quiet))
    }

    /// The alarms that are due now over the open channels. Each is returned again until [`AlarmState::result`] answers it, so
    /// do not call this while one is being sent. Save the state after the answer.
    pub fn due(&mut self, channels: OpenChannels, now: Timestamp) -> Vec<DueAlarm> {
        self.no_later_than(now);
        self.raise(channels, now);
        self.channels.due(channels, now)
    }

    /// A clock that was set back must not silence an alarm: no time in the state is in the future.
    fn no_later_than(&mut self, now: Timestamp) {
        let raised = self.outage.as_mut().and_then(|outage| outage.raised.as_mut());
        for raised in raised.into_iter().chain(self.last.as_mut()) {
            raised.at = raised.at.min(now);
        }
        if let Some(outage) = &mut self.outage {
            outage.since = outage.since.min(now);
            outage.seen = outage.seen.min(now);
        }
        self.channels.no_later_than(now);
    }

    /// Hands an alarm that is due to the channels.
    fn raise(&mut self, channels: OpenChannels, now: Timestamp) {
        // Without an open channel the alarm stays due.
        if !channels.any() || self.raise_at().is_none_or(|at| now < at) {
            return;
        }
        let Some(outage) = self.outage.as_mut().filter(|outage| outage.fresh(now).is_some()) else { return };
        let raised = Raised { at: now, kind: outage.kind };
        let again = outage.raised.is_some_and(|before| before.kind >= outage.kind);
        let since = outage.since;
        outage.raised = Some(raised);
        self.last = Some(raised);
        self.channels.raise(raised.kind, again, since, channels, now);
    }

    /// Takes in what became of a due alarm.
    pub fn result(&mut self, due: &DueAlarm, sent: AlarmResult) {
        self.channels.result(due, sent, self.outage.is_some());
    }

    /// When an alarm may be due next, if nothing else happens.
    pub fn next(&self, channels: OpenChannels, now: Timestamp) -> Option<Timestamp> {
        let open = channels.any();
        let raise = self.raise_at().filter(|&at| open && self.outage.is_some_and(|it| it.fresh(at.max(now)).is_some()));
        self.channels.next(channels).into_iter().chain(raise).min()
    }
}

#[cfg(test)]
mod tests;
