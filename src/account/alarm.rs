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
//! (`report::webhook::retry`; its answer comes in as [`AlarmResult::Later`]).
//!
//! Invariants: an alarm never goes through the account it is about (the caller picks another account, or reports that the
//! mail channel is closed); an account raises at most four alarms (one of each kind) and as many all-clears an hour. The
//! state is saved: a restart neither repeats what was sent nor forgets what was not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

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

/// A way to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmChannel {
    /// A mail through another account.
    Mail,
    /// The webhook.
    Webhook,
}

/// Which channels are open for alarms about this account now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenChannels {
    /// Another account could carry a mail.
    pub mail: bool,
    /// There is a webhook.
    pub webhook: bool,
}

/// What an alarm reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmSubject {
    /// The account cannot send.
    Alarm {
        /// Why.
        kind: AlarmKind,
        /// Whether it was sent before in this outage.
        again: bool,
    },
    /// It works again.
    AllClear,
}

/// An alarm to send over one channel now. The caller answers with [`AlarmState::result`] in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueAlarm {
    /// The channel.
    pub channel: AlarmChannel,
    /// What it reports.
    pub what: AlarmSubject,
    /// Since when the account cannot, or could not, send.
    pub since: Timestamp,
    /// The number of this attempt, from 1.
    pub tries: u32,
    /// When the first attempt was.
    pub first: Timestamp,
}

/// What became of a due alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmResult {
    /// The other side accepted it, or the mail is in the queue.
    Sent,
    /// It failed; try again then.
    Later(Timestamp),
    /// It cannot be sent over this channel.
    GivenUp,
}

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

/// An alarm that waits for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    /// `None`: the all-clear.
    alarm: Option<AlarmKind>,
    again: bool,
    #[serde(with = "crate::clock::millis")]
    since: Timestamp,
    #[serde(with = "crate::clock::millis")]
    first: Timestamp,
    #[serde(with = "crate::clock::millis")]
    at: Timestamp,
    tries: u32,
}

/// One channel: what waits for it, and whether its last message was an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ChannelState {
    pending: Option<Pending>,
    alarmed: bool,
}

/// The alarms of one account. Saved with the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmState {
    outage: Option<Outage>,
    /// The last alarm, of this outage or an earlier one.
    last: Option<Raised>,
    mail: ChannelState,
    webhook: ChannelState,
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
                // An all-clear that was not sent yet is no longer true.
                for way in [&mut self.mail, &mut self.webhook] {
                    way.pending = way.pending.filter(|pending| pending.alarm.is_some());
                }
            }
        }
    }

    /// The outage is over: an all-clear goes to the channels that sent an alarm.
    fn clear(&mut self, now: Timestamp) {
        let Some(outage) = self.outage.take() else { return };
        for way in [&mut self.mail, &mut self.webhook] {
            let clear = Pending { alarm: None, again: false, since: outage.since, first: now, at: now, tries: 0 };
            way.pending = way.alarmed.then_some(clear);
        }
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
        let mut all = Vec::new();
        for (channel, open, way) in
            [(AlarmChannel::Mail, channels.mail, &self.mail), (AlarmChannel::Webhook, channels.webhook, &self.webhook)]
        {
            let Some(pending) = way.pending.filter(|pending| open && pending.at <= now) else { continue };
            let what = match pending.alarm {
                Some(kind) => AlarmSubject::Alarm { kind, again: pending.again },
                None => AlarmSubject::AllClear,
            };
            let Pending { since, first, tries, .. } = pending;
            all.push(DueAlarm { channel, what, since, tries: tries + 1, first });
        }
        all
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
        for pending in [&mut self.mail, &mut self.webhook].into_iter().filter_map(|way| way.pending.as_mut()) {
            pending.at = pending.at.min(now + FLAPPING);
        }
    }

    /// Hands an alarm that is due to the channels.
    fn raise(&mut self, channels: OpenChannels, now: Timestamp) {
        // Without an open channel the alarm stays due.
        if !(channels.mail || channels.webhook) || self.raise_at().is_none_or(|at| now < at) {
            return;
        }
        let Some(outage) = self.outage.as_mut().filter(|outage| outage.fresh(now).is_some()) else { return };
        let raised = Raised { at: now, kind: outage.kind };
        let again = outage.raised.is_some_and(|before| before.kind >= outage.kind);
        let since = outage.since;
        outage.raised = Some(raised);
        self.last = Some(raised);
        for (open, way) in [(channels.mail, &mut self.mail), (channels.webhook, &mut self.webhook)] {
            if open {
                way.pending = Some(Pending { alarm: Some(raised.kind), again, since, first: now, at: now, tries: 0 });
            }
        }
    }

    /// Takes in what became of a due alarm.
    pub fn result(&mut self, due: &DueAlarm, sent: AlarmResult) {
        let way = match due.channel {
            AlarmChannel::Mail => &mut self.mail,
            AlarmChannel::Webhook => &mut self.webhook,
        };
        let kind = match due.what {
            AlarmSubject::Alarm { kind, .. } => Some(kind),
            AlarmSubject::AllClear => None,
        };
        if sent == AlarmResult::Sent {
            way.alarmed = kind.is_some();
            // The account became ready while the alarm was being sent: an all-clear must follow.
            if kind.is_some() && self.outage.is_none() {
                let (since, at) = (due.since, due.first);
                way.pending = Some(Pending { alarm: None, again: false, since, first: at, at, tries: 0 });
                return;
            }
        }
        // An answer to an alarm that no longer waits changes nothing.
        let Some(pending) = way.pending.as_mut().filter(|p| p.alarm == kind && p.first == due.first) else { return };
        match sent {
            AlarmResult::Sent | AlarmResult::GivenUp => way.pending = None,
            AlarmResult::Later(at) => {
                pending.at = at;
                pending.tries = due.tries;
            }
        }
    }

    /// When an alarm may be due next, if nothing else happens.
    pub fn next(&self, channels: OpenChannels, now: Timestamp) -> Option<Timestamp> {
        let open = channels.mail || channels.webhook;
        let waits = [(channels.mail, &self.mail), (channels.webhook, &self.webhook)];
        let waits = waits.into_iter().filter(|(open, _)| *open).filter_map(|(_, way)| Some(way.pending?.at));
        let raise = self.raise_at().filter(|&at| open && self.outage.is_some_and(|it| it.fresh(at.max(now)).is_some()));
        waits.chain(raise).min()
    }
}

#[cfg(test)]
mod tests;
