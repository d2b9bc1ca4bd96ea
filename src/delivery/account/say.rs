//! What is said of an account: in the log, to the alarms and by them, and as the reason of its rest.
//!
//! Not here: what a condition does to the account (`account`), and the mail or the webhook that tells of it (`teller`).
//! Invariant: each change of the gate is one line of the log; nothing else is.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::upstream::{Condition, UNREACHABLE};

use super::super::alarm::{self, AlarmState, Channels, Sent, Tell};
use super::super::breaker::{Gate, Why};
use super::{Account, State};

/// A provider that cannot be reached for so long is no short trouble of the line: the settings may be wrong.
const LASTING: Duration = Duration::from_secs(30 * 60);

/// How long alarms wait for a probe that is due: longer than a dial and a log-in take, as a rule.
const PROBE: Duration = Duration::from_secs(120);

impl Account {
    /// What the owner is to be told now, over these ways. While a probe is due nothing is: it says what is wrong now, or
    /// that nothing is.
    pub fn due_alarms(&self, channels: Channels, now: Timestamp) -> Vec<Tell> {
        let mut state = self.state();
        let held = state.probed_until(now).is_some();
        state.alarms.due(if held { Channels::default() } else { channels }, now)
    }

    /// What came of telling it.
    pub fn alarm_sent(&self, tell: &Tell, sent: Sent) {
        self.state().alarms.sent(tell, sent);
    }

    /// When there may be something to tell.
    pub fn next_alarm(&self, channels: Channels, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state();
        let next = state.alarms.next(channels, now)?;
        Some(state.probed_until(now).map_or(next, |end| next.max(end)))
    }
}

impl State {
    /// The rest is just over, or was when this process began, and what comes of the first try is not known yet: until then
    /// it is waited for.
    fn probed_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        let gate = self.breaker.gate(now);
        let over = self.breaker.rest()?.until?;
        let since = self.restored.map_or(over, |restored| restored.max(over));
        let end = since + PROBE;
        (gate == Gate::Probe && since <= now && now < end).then_some(end)
    }
}

/// Logs what has changed. `down` is since when, and for how long, the provider cannot be reached.
pub(super) fn report(account: &str, change: Option<Gate>, condition: &Condition, down: Option<(Timestamp, Duration)>) {
    match (change, condition) {
        (Some(Gate::Cooling(until)), Condition::Account { verdict, text }) => {
            tracing::warn!(event = "account_cooling", account, until = %until.rfc3339(), cause = verdict.cause,
                why = %text, remedy = verdict.remedy.en);
        }
        (Some(Gate::Paused), Condition::Account { verdict, text }) => {
            tracing::error!(event = "account_paused", account, cause = verdict.cause, why = %text,
                remedy = verdict.remedy.en);
        }
        (Some(Gate::Down(until)), Condition::Line(text)) => {
            let until = until.rfc3339();
            match down.filter(|(_, lasted)| *lasted >= LASTING) {
                None => tracing::warn!(event = "unreachable", account, until, why = %text),
                Some((since, _)) => tracing::error!(event = "unreachable", account, until, since = %since.rfc3339(),
                    why = %text, remedy = UNREACHABLE.en),
            }
        }
        (Some(Gate::Open), Condition::Works) => {
            tracing::info!(event = "account_resumed", account, why = "a message went through");
        }
        // The gate did not change, or a probe that met another fault moved it within the same state.
        (Some(_) | None, _) => {}
    }
}

/// Tells the alarms what has become of the account; true when they may have something to say.
pub(super) fn alarm_of(alarms: &mut AlarmState, gate: Gate, condition: &Condition, now: Timestamp) -> bool {
    let before = *alarms;
    match (gate, condition) {
        (Gate::Open, Condition::Works) => alarms.on(alarm::Event::Ready, now),
        (Gate::Cooling(_), Condition::Account { verdict, .. }) => {
            alarms.on(alarm::Event::Cooling { alert: verdict.alert }, now);
        }
        (Gate::Paused, Condition::Account { .. }) => alarms.on(alarm::Event::Paused, now),
        // Nothing was said of the account, or it rests already and this one is late.
        (Gate::Down(_), Condition::Line(_)) => alarms.on(alarm::Event::Unreachable, now),
        (Gate::Open | Gate::Probe | Gate::Cooling(_) | Gate::Paused | Gate::Down(_), _) => {}
    }
    before != *alarms
}

/// The words for the owner.
pub(super) fn why_of(condition: &Condition) -> Why<'_> {
    match condition {
        Condition::Account { verdict, text } => Why { cause: verdict.cause, text },
        Condition::Line(text) | Condition::Held { text, .. } => Why { cause: "", text },
        Condition::Works | Condition::Unclear | Condition::Unreadable { .. } => Why::default(),
    }
}
