//! What is said of an account: in the log, to the alarms, and as the reason of its rest.
//!
//! Not here: what a condition does to the account (`account`), and the mail or the webhook that tells of it (`teller`).
//! Invariant: each change of the gate is one line of the log; nothing else is.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::upstream::{Condition, UNREACHABLE};

use super::super::alarm::{self, AlarmState};
use super::super::breaker::{Gate, Why};

/// A provider that cannot be reached for so long is no short trouble of the line: the settings may be wrong.
const LASTING: Duration = Duration::from_secs(30 * 60);

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
        Condition::Works | Condition::Unclear => Why::default(),
    }
}
