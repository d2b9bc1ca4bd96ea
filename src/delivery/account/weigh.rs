//! What the refusals of one attempt that no row describes mean for the account, in the light of other messages.
//!
//! The rules are pure and live in `unknown_replies`; this feeds them. Invariant: a guess never pauses the account.

use crate::clock::Timestamp;
use crate::provider::{Action, Basis, Phase, Remedy, Scope, Verdict};
use crate::queue::QueueEntry;
use crate::upstream::{Condition, Fate, Report};

use super::super::alarm;
use super::super::breaker::Gate;
use super::super::settle::refused_before;
use super::super::unknown_replies::Refusal;
use super::Account;

/// Several messages were refused with one text that is not understood, and none was accepted.
const UNKNOWN: Verdict = Verdict {
    cause: "unknown-reply",
    scope: Scope::Account,
    action: Action::Cool15,
    alert: true,
    basis: Basis::Digit,
    remedy: Remedy {
        en: "The provider refuses several messages with words that the relay does not know. Read them; they may say what \
             is wrong with the account. The relay tries one message every quarter of an hour and keeps the rest.",
        zh: "服务商用中继不认识的话拒绝了多封邮件。请看原话，其中可能说明账号有什么问题。中继每一刻钟试发一封，其余邮件都保留。",
    },
};

/// What an attempt's refusals come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weighed {
    /// Another message was accepted since this one was first refused with a reply that is not understood.
    pub accepted_since: bool,
    /// Whether the operator must be alerted.
    pub alert: bool,
}

impl Account {
    /// Takes in the refusals of an attempt that no row of the catalogue describes, and what was accepted. If the account
    /// cools, sets the condition of the report.
    pub fn weigh(&self, entry: &QueueEntry, places: &[usize], report: &mut Report, now: Timestamp) -> Weighed {
        let mut state = self.state();
        // What another account has met says nothing about this one.
        let own = entry.account.as_deref() == Some(self.name());
        let since = entry.unknown_since.filter(|_| own);
        let accepted_since = since.is_some_and(|since| state.unknown.accepted_since(since, entry.id));
        let (mut condition, mut alert) = (None, None);
        for (&place, outcome) in places.iter().zip(&report.outcomes) {
            let rule = match (outcome.fate, outcome.verdict) {
                (Fate::Guessed, Some(verdict)) => Some(verdict.cause),
                (Fate::Unknown, _) => None,
                _ => continue,
            };
            let again = own && refused_before(entry, place);
            // One reply to the whole message counts once, however many recipients it has.
            let place = if outcome.phase == Some(Phase::Rcpt) { place } else { 0 };
            let at_mail = outcome.phase == Some(Phase::Mail);
            let refusal = Refusal { rule, at_mail, text: &outcome.text, message: entry.id, place, again };
            let effect = state.unknown.refused(&refusal, now);
            if effect.cools {
                let verdict = if rule.is_some() { outcome.verdict.unwrap_or(UNKNOWN) } else { UNKNOWN };
                condition = Some(Condition::Account { verdict, text: outcome.text.clone() });
            }
            // No alert for a final refusal: the failure notice reports it.
            if effect.alert && !(again && accepted_since) {
                alert = Some(&outcome.text);
            }
        }
        if let Some(text) = alert {
            tracing::warn!(event = "unknown_replies", account = self.name(), why = %text,
                "the provider refuses mail with words that are not understood");
        }
        let alert = alert.is_some();
        if report.outcomes.iter().any(|outcome| outcome.fate == Fate::Delivered) {
            state.unknown.accepted(entry.id, now);
        } else if let Some(condition) = condition {
            // The message that met it spends a try and waits, so that the next one to be tried is another one.
            report.condition = condition;
        } else if alert && state.breaker.gate(now) == Gate::Open {
            // A rest has an alarm of its own.
            state.alarms.on(alarm::Event::Refusing, now);
        }
        Weighed { accepted_since, alert }
    }
}
