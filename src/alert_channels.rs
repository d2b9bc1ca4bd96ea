//! Alerts on their way to the operator: what waits for each channel, what was sent over it, and the all-clear that follows.
//!
//! Pure: the time is an argument. The alerts of accounts (`account::alarm`) and of the whole relay (`report::relay_alarm`)
//! share it; `K` is their kind of alert. When an alert is raised or is over is their rule.
//!
//! Invariants: a channel has at most one alert that waits; an all-clear goes only to a channel that sent the alert; an alert
//! that was not sent when its cause ended is withdrawn. The state is saved, so a restart neither repeats nor forgets.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// No waiting alert is due later than this after the present: a clock that was set back must not silence it.
const LATEST: std::time::Duration = std::time::Duration::from_secs(3600);

/// A way to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertChannel {
    /// A mail through an account.
    Mail,
    /// The webhook.
    Webhook,
}

/// Which channels are open now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenChannels {
    /// An account could carry a mail.
    pub mail: bool,
    /// There is a webhook.
    pub webhook: bool,
}

impl OpenChannels {
    /// Whether any channel is open.
    pub fn any(self) -> bool {
        self.mail || self.webhook
    }
}

/// What an alert reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertSubject<K> {
    /// Something is wrong.
    Alarm {
        /// What.
        kind: K,
        /// Whether it was reported before and still lasts.
        again: bool,
    },
    /// It is over.
    AllClear,
}

/// An alert to send over one channel now. The caller answers with [`AlertChannels::result`] in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueAlert<K> {
    /// The channel.
    pub channel: AlertChannel,
    /// What it reports.
    pub what: AlertSubject<K>,
    /// Since when it lasts, or lasted.
    pub since: Timestamp,
    /// The number of this attempt, from 1.
    pub tries: u32,
    /// When the first attempt was.
    pub first: Timestamp,
}

/// What became of a due alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertResult {
    /// The other side accepted it, or the mail is in the queue.
    Sent,
    /// It failed; try again then.
    Later(Timestamp),
    /// It cannot be sent over this channel.
    GivenUp,
}

/// An alert that waits for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending<K> {
    /// `None`: the all-clear.
    alarm: Option<K>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "K: Deserialize<'de>"))]
struct ChannelState<K> {
    pending: Option<Pending<K>>,
    alarmed: bool,
}

impl<K> Default for ChannelState<K> {
    fn default() -> Self {
        ChannelState { pending: None, alarmed: false }
    }
}

/// The channels of one cause of alerts. `K` must have a JSON form other than `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "K: Deserialize<'de>"))]
pub struct AlertChannels<K> {
    mail: ChannelState<K>,
    webhook: ChannelState<K>,
}

impl<K> Default for AlertChannels<K> {
    fn default() -> Self {
        AlertChannels { mail: ChannelState::default(), webhook: ChannelState::default() }
    }
}

impl<K: Copy + PartialEq> AlertChannels<K> {
    /// Hands an alarm to the channels that are open, in place of what waits for them.
    pub fn raise(&mut self, kind: K, again: bool, since: Timestamp, open: OpenChannels, now: Timestamp) {
        for (open, way) in [(open.mail, &mut self.mail), (open.webhook, &mut self.webhook)] {
            if open {
                way.pending = Some(Pending { alarm: Some(kind), again, since, first: now, at: now, tries: 0 });
            }
        }
    }

    /// What was alarmed about is over: an all-clear goes to the channels that sent the alarm.
    pub fn clear(&mut self, since: Timestamp, now: Timestamp) {
        let clear = Pending { alarm: None, again: false, since, first: now, at: now, tries: 0 };
        for way in [&mut self.mail, &mut self.webhook] {
            way.pending = way.alarmed.then_some(clear);
        }
    }

    /// It has begun anew: an all-clear that was not sent yet is no longer true.
    pub fn begin_anew(&mut self) {
        for way in [&mut self.mail, &mut self.webhook] {
            way.pending = way.pending.filter(|pending| pending.alarm.is_some());
        }
    }

    /// What is due now over the open channels. Each is returned again until [`AlertChannels::result`] answers it.
    pub fn due(&self, open: OpenChannels, now: Timestamp) -> Vec<DueAlert<K>> {
        let ways = [(AlertChannel::Mail, open.mail, &self.mail), (AlertChannel::Webhook, open.webhook, &self.webhook)];
        let due = |(channel, open, way): (AlertChannel, bool, &ChannelState<K>)| {
            let pending = way.pending.filter(|pending| open && pending.at <= now)?;
            let Pending { alarm, again, since, first, tries, .. } = pending;
            let what = alarm.map_or(AlertSubject::AllClear, |kind| AlertSubject::Alarm { kind, again });
            Some(DueAlert { channel, what, since, tries: tries + 1, first })
        };
        ways.into_iter().filter_map(due).collect()
    }

    /// Takes in what became of a due alert. `lasts`: what it alarmed about still lasts. If not, an all-clear follows an alarm
    /// that was sent meanwhile.
    pub fn result(&mut self, due: &DueAlert<K>, sent: AlertResult, lasts: bool) {
        let way = match due.channel {
            AlertChannel::Mail => &mut self.mail,
            AlertChannel::Webhook => &mut self.webhook,
        };
        let kind = match due.what {
            AlertSubject::Alarm { kind, .. } => Some(kind),
            AlertSubject::AllClear => None,
        };
        if sent == AlertResult::Sent {
            way.alarmed = kind.is_some();
            if kind.is_some() && !lasts {
                let (since, at) = (due.since, due.first);
                way.pending = Some(Pending { alarm: None, again: false, since, first: at, at, tries: 0 });
                return;
            }
        }
        // An answer to an alert that no longer waits changes nothing.
        let Some(pending) = way.pending.as_mut().filter(|p| p.alarm == kind && p.first == due.first) else { return };
        match sent {
            AlertResult::Sent | AlertResult::GivenUp => way.pending = None,
            AlertResult::Later(at) => {
                pending.at = at;
                pending.tries = due.tries;
            }
        }
    }

    /// When the next alert is due over the open channels, if nothing else happens.
    pub fn next(&self, open: OpenChannels) -> Option<Timestamp> {
        let ways = [(open.mail, &self.mail), (open.webhook, &self.webhook)];
        ways.into_iter().filter(|(open, _)| *open).filter_map(|(_, way)| Some(way.pending?.at)).min()
    }

    /// A clock that was set back must not silence an alert: none waits for longer than an hour.
    pub fn no_later_than(&mut self, now: Timestamp) {
        for pending in [&mut self.mail, &mut self.webhook].into_iter().filter_map(|way| way.pending.as_mut()) {
            pending.at = pending.at.min(now + LATEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_255_200_000);
    const BOTH: OpenChannels = OpenChannels { mail: true, webhook: true };

    fn after(seconds: u64) -> Timestamp {
        START + std::time::Duration::from_secs(seconds)
    }

    #[test]
    fn an_all_clear_goes_only_where_the_alarm_went() {
        let mut channels = AlertChannels::<u8>::default();
        channels.raise(7, false, START, BOTH, START);
        let due = channels.due(BOTH, START);
        assert_eq!(due.len(), 2);
        channels.result(&due[0], AlertResult::GivenUp, true);
        channels.result(&due[1], AlertResult::Sent, true);
        assert_eq!((channels.due(BOTH, after(1)), channels.next(BOTH)), (vec![], None));
        channels.clear(START, after(60));
        let due = channels.due(BOTH, after(60));
        let clear = DueAlert {
            channel: AlertChannel::Webhook,
            what: AlertSubject::AllClear,
            since: START,
            tries: 1,
            first: after(60),
        };
        assert_eq!(due, [clear]);
        channels.result(&due[0], AlertResult::Later(after(90)), false);
        let stored = serde_json::to_string(&channels).unwrap();
        channels = serde_json::from_str(&stored).unwrap();
        assert_eq!(channels.next(BOTH), Some(after(90)));
        assert_eq!(channels.due(BOTH, after(90)), [DueAlert { tries: 2, ..clear }]);
        channels.begin_anew();
        assert_eq!(channels.due(BOTH, after(90)), []);
    }

    #[test]
    fn what_ends_before_it_was_sent_is_withdrawn_and_what_ends_meanwhile_is_cleared() {
        let mut channels = AlertChannels::<u8>::default();
        channels.raise(7, false, START, BOTH, START);
        let due = channels.due(BOTH, START);
        channels.clear(START, after(1));
        assert_eq!(channels.due(BOTH, after(1)), []);
        channels.result(&due[1], AlertResult::Sent, false);
        let due = channels.due(BOTH, after(1));
        assert_eq!((due.len(), due[0].what), (1, AlertSubject::AllClear));
    }
}
