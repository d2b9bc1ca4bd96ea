//! Alerts about the whole relay: gathers the facts once a minute, sends what `report::relay_alarm` finds due.
//!
//! The first look is a minute after the start, when each account has been tried. The queue is asked for its oldest messages
//! only when it has one that is old enough. Invariants: nothing is sent before the saved state was read; a channel that
//! hangs delays other reports only; the relay's own mail is never the reason for an alert about mail that waits.

use std::time::Duration;

use crate::alert_channels::{AlertChannel, AlertResult, AlertSubject, OpenChannels};
use crate::clock::{Timestamp, was_unset};
use crate::message::notice::relay_event::StuckMails;
use crate::queue::{
    AccountState, HoldReason, MessageFilter, MessageState, QueueEntry, QueueError, RecipientOutcome, WaitReason,
};
use crate::report::relay_alarm::{
    DueRelayAlert, Panics, RelayAlarmSettings, RelayAlarmState, RelayAlarms, RelayFacts, Stuck,
};
use crate::secret::redact::redact;
use crate::telemetry::counter;

use super::alert_sender::AlertSender;
use super::context::{Context, QUEUE_WAIT};

/// The name under which the state is saved among the accounts' states. No account can have it: `config` takes lower-case
/// letters, digits, `-` and `_` only.
const SAVED_AS: &str = "*relay";
/// The time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// Messages that are read of each pool and state; where there are more, the alert says so.
const PAGE: usize = 100;

/// The alerts about the whole relay.
pub(super) struct RelayAlerts<'a> {
    context: &'a Context,
    sender: &'a AlertSender,
    rule: RelayAlarms,
    /// As it was saved last; `None` before it was read.
    saved: Option<RelayAlarmState>,
    look_at: Timestamp,
    looked: bool,
    /// Panics that the rule has taken in.
    panics: u64,
}

impl<'a> RelayAlerts<'a> {
    pub(super) fn new(sender: &'a AlertSender, settings: RelayAlarmSettings, now: Timestamp) -> RelayAlerts<'a> {
        let rule = RelayAlarms::new(settings, RelayAlarmState::default());
        RelayAlerts {
            context: &sender.context,
            sender,
            rule,
            saved: None,
            look_at: now + LOOK,
            looked: false,
            panics: 0,
        }
    }

    /// Looks if it is time, and sends what is due. Returns when to call this again at the latest.
    pub(super) async fn pass(&mut self, now: Timestamp) -> Timestamp {
        // The clock may have been set back.
        self.look_at = self.look_at.min(now + LOOK);
        if let Err(error) = self.take_in(now).await {
            tracing::error!(event = "queue_error", "the facts for alerts could not be read: {error}");
            self.look_at = now + QUEUE_WAIT;
        }
        if !self.looked {
            return self.look_at;
        }
        let open = self.open(now);
        let all = self.rule.due(open, now);
        for due in &all {
            let result = self.send(due, now).await;
            self.rule.result(due, result);
        }
        if !all.is_empty() || self.look_at == now + LOOK {
            self.save().await;
        }
        self.rule.next(open).map_or(self.look_at, |next| next.min(self.look_at))
    }

    /// Takes in what has happened, and what a look finds when it is time for one.
    async fn take_in(&mut self, now: Timestamp) -> Result<(), QueueError> {
        let is_time = now >= self.look_at;
        if self.saved.is_none() {
            if !is_time {
                return Ok(());
            }
            self.restore().await?;
        }
        self.rule.failed(self.context.failed.take(), now);
        // What was found a while ago may be over when a channel opens, or when an alert is tried again.
        let is_due = self.rule.next(self.open(now)).is_some_and(|at| at <= now);
        if is_time || is_due {
            self.take_panics(now);
            let facts = self.gather(now).await?;
            self.rule.found(facts, now);
            (self.looked, self.look_at) = (true, now + LOOK);
        }
        Ok(())
    }

    async fn restore(&mut self) -> Result<(), QueueError> {
        let states = self.context.queue.account_states().await?;
        let saved = states.into_iter().find(|state| state.account == SAVED_AS);
        let read = saved.map(|saved| serde_json::from_str(&saved.state)).transpose().unwrap_or_else(|error| {
            // A later version wrote it.
            tracing::error!(event = "queue_error", %error, "the saved state of alerts cannot be read");
            None
        });
        let state: RelayAlarmState = read.unwrap_or_default();
        self.rule = RelayAlarms::new(*self.rule.settings(), state.clone());
        self.saved = Some(state);
        Ok(())
    }

    /// Writes the state, if it has changed.
    async fn save(&mut self) {
        if self.saved.as_ref() == Some(self.rule.state()) {
            return;
        }
        let state = self.rule.state().clone();
        let text = serde_json::to_string(&state).expect("plain values always have a JSON form");
        match self.context.queue.save_account_state(AccountState { account: SAVED_AS.to_owned(), state: text }).await {
            Ok(()) => self.saved = Some(state),
            Err(error) => tracing::error!(event = "queue_error", "the state of alerts could not be written: {error}"),
        }
    }

    fn take_panics(&mut self, now: Timestamp) {
        let counters = &self.context.counters;
        let times = counters.sum(counter::PANICS, &[]);
        let new = times.saturating_sub(self.panics);
        if let (1.., Some(last)) = (new, counters.last_panic()) {
            self.rule.panicked(Panics { times: new, task: last.task.to_owned(), place: last.place }, now);
        }
        self.panics = times;
    }

    async fn gather(&self, now: Timestamp) -> Result<RelayFacts, QueueError> {
        let depth = self.context.queue.depth().await?;
        let is_held =
            MessageState::ALL.iter().zip(depth.messages).any(|(&state, n)| state == MessageState::Held && n > 0);
        let held = if is_held { self.page(MessageState::Held, None).await? } else { Vec::new() };
        let latest = now - self.rule.settings().oldest;
        let mut waiting = Vec::new();
        if !self.rule.settings().oldest.is_zero() && depth.oldest.is_some_and(|oldest| oldest <= latest) {
            waiting = held.clone();
            for (pool, _) in self.context.queue.pools().await? {
                // Each by itself: a budget may hold back more messages than a page has.
                for state in [MessageState::Waiting, MessageState::Deferred] {
                    waiting.extend(self.page(state, Some(pool.clone())).await?);
                }
            }
            waiting.retain(|entry| entry.received <= latest && !was_unset(entry.received, now) && !entry.notice);
        }
        let damaged = held.into_iter().filter(is_damaged).map(|entry| (reason(&entry).unwrap_or_default(), entry));
        let stuck = waiting.into_iter().filter_map(|entry| Some((reason(&entry)?, entry)));
        Ok(RelayFacts {
            oldest: stuck_mails(stuck.collect()),
            held: stuck_mails(damaged.collect()),
            disk_free: self.context.capacity.disk_free(),
        })
    }

    /// The oldest messages in this state.
    async fn page(&self, state: MessageState, pool: Option<String>) -> Result<Vec<QueueEntry>, QueueError> {
        let filter = MessageFilter { states: vec![state], limit: PAGE, pool, ..MessageFilter::default() };
        self.context.queue.list(filter).await
    }

    /// The webhook where there is one, else an account that is able to send.
    fn open(&self, now: Timestamp) -> OpenChannels {
        let alerts = &self.sender.alerts;
        OpenChannels { webhook: alerts.by_webhook(), mail: alerts.by_mail() && self.sender.able(now).is_some() }
    }

    async fn send(&self, due: &DueRelayAlert, now: Timestamp) -> AlertResult {
        let Some(content) = self.rule.content(due) else { return AlertResult::GivenUp };
        let again = matches!(due.due.what, AlertSubject::Alarm { again: true, .. });
        let alarm = self.sender.alerts.relay_alarm(content, again, due.due.since);
        match due.due.channel {
            AlertChannel::Webhook => self.sender.post(&alarm, due.due.tries, due.due.first).await,
            AlertChannel::Mail => match self.sender.able(now) {
                Some(pair) => {
                    let pool = self.context.accounts.alone(pair);
                    self.sender.mail(&alarm, pair.account.address(), pool, now).await
                }
                None => AlertResult::Later(now + QUEUE_WAIT),
            },
        }
    }
}

/// Whether the message is held because its stored copy is damaged, and not by an operator or a rule.
fn is_damaged(entry: &QueueEntry) -> bool {
    entry.held == Some(HoldReason::Damaged)
}

/// Why a message does not leave, without secrets; `None` where it is not stuck.
fn reason(entry: &QueueEntry) -> Option<String> {
    let last = || match &entry.open().next()?.1.outcome {
        RecipientOutcome::Open { last } => last.clone(),
        RecipientOutcome::Delivered { .. } | RecipientOutcome::Failed { .. } => None,
    };
    let text = entry.trouble.clone().or_else(|| entry.wait.as_ref().map(WaitReason::to_string)).or_else(last);
    entry.is_stuck().then(|| redact(&text.unwrap_or_default()).into_owned())
}

/// The oldest of these messages, and how many there are.
fn stuck_mails(all: Vec<(String, QueueEntry)>) -> Option<Stuck> {
    let count = all.len();
    let (reason, oldest) = all.into_iter().min_by_key(|(_, entry)| entry.received)?;
    let mails = StuckMails {
        mails: count as u64,
        more: count >= PAGE,
        id: oldest.id.to_string(),
        client: oldest.origin.client.clone(),
        received: oldest.received.rfc3339(),
    };
    Some(Stuck { mails, received: oldest.received, reason })
}
