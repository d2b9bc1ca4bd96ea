//! When is an alarm about an account raised, told and cleared? Pure: events and time in, what to tell out.
//!
//! ```text
//!  paused                                        alarm at once
//!  cooling, and the catalogue says +ALERT        alarm at once
//!  cooling for an hour                           alarm then; the caller lets a probe that is due go first
//!  its provider out of reach for an hour         alarm at the next try that meets it
//!  its provider refuses in unknown words         alarm when `unknown_replies` says so
//!  still so a day after the last alarm           the same alarm again
//!  ready, and an alarm was told                  all-clear, over the channels that told it
//!  ready, and it was not told yet                nothing: the alarm is taken back
//!  the next outage within an hour of an alarm    no alarm before that hour is over, unless it is a worse one
//! ```
//!
//! What this is not: the text (`message::notice::alarm`), the way (another account's queue, `webhook`) and when a webhook
//! is tried again (`webhook::retry`, whose answer comes in as [`Sent::Later`]).
//!
//! Invariants: an alarm never goes over the account it is about (the caller picks another one, or says that there is no
//! mail channel); an account makes at most four alarms (one of each kind) and as many all-clears an hour. The state
//! is a value that is stored: a restart neither repeats what was told nor forgets what was not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// So long an account may rest before its owner hears of it: longer than it takes to pause one that is refused three times
/// (45 minutes), so that one fault makes one alarm.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// So long nothing is told again while an outage lasts.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// Outages that follow an alarm sooner than this are one flapping account.
pub const FLAPPING: Duration = Duration::from_secs(3600);

/// That a provider is out of reach is only told while it was just seen: the line may be back since.
const FRESH: Duration = Duration::from_secs(5);

/// What happened to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was stopped until its secret changes or somebody resumes it.
    Paused,
    /// It rests.
    Cooling {
        /// Whether the catalogue says that the owner must look.
        alert: bool,
    },
    /// Its provider cannot be reached, or the line was lost.
    Unreachable,
    /// Its provider refuses mail with words that are not understood.
    Refusing,
    /// It works: something went out.
    Ready,
}

/// How bad it is: the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its provider refuses mail with words that are not understood; the account is used on.
    Refusing,
    /// Its provider cannot be reached; it is tried all the time.
    Unreachable,
    /// It rests, and goes on by itself.
    Cooling,
    /// It is stopped, until somebody acts.
    Paused,
}

/// A way to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A mail through another account.
    Mail,
    /// The webhook.
    Webhook,
}

/// Which ways there are for this account now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Another account could carry a mail.
    pub mail: bool,
    /// There is a webhook.
    pub webhook: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The account cannot send.
    Alarm {
        /// How bad it is.
        kind: Kind,
        /// Whether it was told before in this outage.
        again: bool,
    },
    /// It works again.
    AllClear,
}

/// Something to tell over one channel now. The caller answers with [`AlarmState::sent`], whatever comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tell {
    /// Over which way.
    pub channel: Channel,
    /// What.
    pub what: What,
    /// Since when the account cannot, or could not, send.
    pub since: Timestamp,
    /// The number of this try, from 1.
    pub tries: u32,
    /// When the first try was.
    pub first: Timestamp,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was told: the other side took it, or the mail is in the queue.
    Told,
    /// Not now; try again then.
    Later(Timestamp),
    /// It will never go this way.
    GivenUp,
}

/// An outage: from the first refusal to the first thing that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Outage {
    #[serde(with = "crate::clock::millis")]
    since: Timestamp,
    kind: Kind,
    alert: bool,
    /// When it was seen last.
    #[serde(with = "crate::clock::millis")]
    seen: Timestamp,
    /// The last alarm of this outage: when, and of what kind.
    raised: Option<Raised>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    #[serde(with = "crate::clock::millis")]
    at: Timestamp,
    kind: Kind,
}

impl Outage {
    /// This time, unless what was seen is too old to be told then.
    fn fresh(&self, at: Timestamp) -> Option<Timestamp> {
        let told_late = self.kind == Kind::Unreachable && at > self.seen + FRESH;
        (!told_late).then_some(at)
    }
}

/// Something that waits to be told over a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    /// `None`: the all-clear.
    alarm: Option<Kind>,
    again: bool,
    #[serde(with = "crate::clock::millis")]
    since: Timestamp,
    #[serde(with = "crate::clock::millis")]
    first: Timestamp,
    #[serde(with = "crate::clock::millis")]
    at: Timestamp,
    tries: u32,
}

/// One channel: what waits, and whether its reader thinks that the account is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Way {
    pending: Option<Pending>,
    alarmed: bool,
}

/// What is remembered of one account's alarms. Stored with the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmState {
    outage: Option<Outage>,
    /// The last alarm of all: of this outage or of one before.
    last: Option<Raised>,
    mail: Way,
    webhook: Way,
}

impl AlarmState {
    /// Takes in what happened. Whether something is to be told now, [`AlarmState::due`] says.
    pub fn on(&mut self, event: Event, now: Timestamp) {
        let (kind, alert) = match event {
            Event::Paused => (Kind::Paused, true),
            Event::Cooling { alert } => (Kind::Cooling, alert),
            Event::Unreachable => (Kind::Unreachable, false),
            Event::Refusing => (Kind::Refusing, true),
            Event::Ready => return self.clear(now),
        };
        match &mut self.outage {
            Some(outage) => {
                outage.kind = kind;
                outage.alert |= alert;
                outage.seen = now;
            }
            None => {
                self.outage = Some(Outage { since: now, kind, alert, seen: now, raised: None });
                // An all-clear that nobody has heard yet is not true any more.
                for way in [&mut self.mail, &mut self.webhook] {
                    way.pending = way.pending.filter(|pending| pending.alarm.is_some());
                }
            }
        }
    }

    /// The outage is over: who was told of it is told so, who was not hears nothing.
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
            // It has become worse since, or it is time to say it again.
            Some(raised) if outage.kind > raised.kind => outage.since,
            Some(raised) => return outage.fresh(raised.at + DAY),
            None if outage.alert => outage.since,
            None => outage.since + PATIENCE,
        };
        // A worse one is told in any case: a paused account needs somebody, a resting one does not.
        let quiet = self.last.filter(|last| outage.kind <= last.kind).map_or(own, |last| last.at + FLAPPING);
        outage.fresh(own.max(quiet))
    }

    /// What is to be told now, over the ways there are. The same comes again until [`AlarmState::sent`] answers it: who
    /// is still trying does not ask. Store the state before trying and after the answer.
    pub fn due(&mut self, channels: Channels, now: Timestamp) -> Vec<Tell> {
        self.no_later_than(now);
        self.raise(channels, now);
        let mut tells = Vec::new();
        for (channel, open, way) in
            [(Channel::Mail, channels.mail, &self.mail), (Channel::Webhook, channels.webhook, &self.webhook)]
        {
            let Some(pending) = way.pending.filter(|pending| open && pending.at <= now) else { continue };
            let what = match pending.alarm {
                Some(kind) => What::Alarm { kind, again: pending.again },
                None => What::AllClear,
            };
            let Pending { since, first, tries, .. } = pending;
            tells.push(Tell { channel, what, since, tries: tries + 1, first });
        }
        tells
    }

    /// A clock that was set back must not silence anything: no time in here is of the future.
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
    fn raise(&mut self, channels: Channels, now: Timestamp) {
        // Without a way nothing is told; it is due until there is one.
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

    /// What came of a try.
    pub fn sent(&mut self, tell: &Tell, sent: Sent) {
        let way = match tell.channel {
            Channel::Mail => &mut self.mail,
            Channel::Webhook => &mut self.webhook,
        };
        let told = match tell.what {
            What::Alarm { kind, .. } => Some(kind),
            What::AllClear => None,
        };
        if sent == Sent::Told {
            way.alarmed = told.is_some();
            // The account came back while the alarm was on its way: the reader must hear that, too.
            if told.is_some() && self.outage.is_none() {
                let (since, at) = (tell.since, tell.first);
                way.pending = Some(Pending { alarm: None, again: false, since, first: at, at, tries: 0 });
                return;
            }
        }
        // An answer to something that is no longer what waits changes nothing.
        let Some(pending) = way.pending.as_mut().filter(|p| p.alarm == told && p.first == tell.first) else { return };
        match sent {
            Sent::Told | Sent::GivenUp => way.pending = None,
            Sent::Later(at) => {
                pending.at = at;
                pending.tries = tell.tries;
            }
        }
    }

    /// When [`AlarmState::due`] may have something to tell, if nothing else happens.
    pub fn next(&self, channels: Channels, now: Timestamp) -> Option<Timestamp> {
        let open = channels.mail || channels.webhook;
        let waits = [(channels.mail, &self.mail), (channels.webhook, &self.webhook)];
        let waits = waits.into_iter().filter(|(open, _)| *open).filter_map(|(_, way)| Some(way.pending?.at));
        let raise = self.raise_at().filter(|&at| open && self.outage.is_some_and(|it| it.fresh(at.max(now)).is_some()));
        waits.chain(raise).min()
    }
}

#[cfg(test)]
mod tests;
