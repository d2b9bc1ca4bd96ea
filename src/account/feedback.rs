//! What an attempt says about its account, and what that means for the breaker, the alarms and the log.
//!
//! One exhaustive match turns the actions of the reply catalogue into events of the breaker. Not here: what a reply means
//! (`provider`), and how long an account cools (`breaker`). Invariants: a fault of the line is never the account's; each
//! change of the breaker's state is one line of the log.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::fingerprint;
use crate::provider::{Action, Basis, Remedy, Scope, Verdict};

use super::alarm::AlarmEvent;
use super::breaker::{BreakerEvent, BreakerState, CoolingRule, Reason};
use super::budget::{Budget, Window};
use super::saved::SecretMark;

/// How long an account cools after a reply that asks for a short pause.
const SOON: Duration = Duration::from_secs(120);
/// An outage of this length is no short fault of the line: the settings may be wrong.
const LASTING: Duration = Duration::from_secs(30 * 60);
/// Each account starts its next day by its own delay of at most this, so that accounts do not resume all at once.
const SPREAD: Duration = Duration::from_secs(600);

/// What an attempt says about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback<'a> {
    /// A message went through.
    Works,
    /// The provider refused mail, and it is not known whether the mail or the account is the cause.
    Unclear,
    /// The provider could not be reached, or the line was lost; how that shows.
    Unreachable(&'a str),
    /// The provider refused the account.
    Refused {
        /// What to do, and what the operator should do.
        verdict: Verdict,
        /// The reply.
        text: &'a str,
        /// The secret that the account last logged in with.
        secret: SecretMark,
    },
}

/// The verdict on several messages that were refused with one text that is not understood, while none was accepted.
pub const UNKNOWN_REPLY: Verdict = Verdict {
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

/// What the operator should do while the provider cannot be reached.
pub const UNREACHABLE: Remedy = Remedy {
    en: "The provider cannot be reached. Look at host, port and proxy of this account, at the network and the name server \
         of this machine, and at a firewall between. The relay keeps the mail and tries again by itself.",
    zh: "连不上邮件服务商。请检查该账号的服务器、端口和代理，本机的网络和 DNS，以及中间的防火墙。中继会保留邮件并自动重试。",
};

impl Feedback<'_> {
    /// What it means for the breaker. A quota reply also teaches the budget.
    pub(super) fn breaker_event(&self, budget: &mut Budget, spread: Duration, now: Timestamp) -> BreakerEvent {
        let verdict = match self {
            Feedback::Works => return BreakerEvent::Works,
            Feedback::Unclear => return BreakerEvent::Answered,
            Feedback::Unreachable(_) => return BreakerEvent::Unreachable,
            Feedback::Refused { verdict, .. } => verdict,
        };
        BreakerEvent::Refused(match verdict.action {
            Action::Pause => return BreakerEvent::Pause,
            Action::Cool15 if verdict.basis != Basis::Row => CoolingRule::Guess,
            Action::Cool15 => CoolingRule::Quarter,
            Action::Cool15ThenPause => CoolingRule::QuarterThenPause,
            Action::RetryHour => CoolingRule::Hour,
            Action::RetryHourThenPause => CoolingRule::HourThenPause,
            Action::RetryDay => {
                let end = match verdict.scope {
                    Scope::Account | Scope::Domain => budget.teach(Window::Day, now),
                    // The host is not liked, or the settings are wrong: that says nothing about a quota.
                    Scope::Host | Scope::Config | Scope::Session | Scope::Message | Scope::Recipient => {
                        budget.day_ends(now)
                    }
                };
                CoolingRule::Until(end + spread)
            }
            // Too fast, or too much at once: a few minutes mend it.
            Action::RetrySoon => CoolingRule::Until(now + SOON),
            // These do not concern an account; the careful choice is to cool for a short time.
            Action::Ok
            | Action::Bounce
            | Action::BounceRecipient
            | Action::Rewrite
            | Action::Split
            | Action::RetryThenBounce => CoolingRule::Quarter,
        })
    }

    /// What it means for the alarms, in the state that the breaker has now.
    pub(super) fn alarm_event(&self, state: BreakerState) -> Option<AlarmEvent> {
        match (state, self) {
            (BreakerState::Ready, Feedback::Works) => Some(AlarmEvent::Ready),
            (BreakerState::Cooling(_), Feedback::Refused { verdict, .. }) => {
                Some(AlarmEvent::Cooling { alert: verdict.alert })
            }
            (BreakerState::Paused, Feedback::Refused { .. }) => Some(AlarmEvent::Paused),
            (BreakerState::Unreachable(_), Feedback::Unreachable(_)) => Some(AlarmEvent::Unreachable),
            // It says nothing about the account, or the account cools already and this one is late.
            _ => None,
        }
    }

    /// The reason to keep with the state.
    pub(super) fn reason(&self) -> Reason<'_> {
        match *self {
            Feedback::Refused { verdict, text, .. } => Reason { cause: verdict.cause, text },
            Feedback::Unreachable(text) => Reason { cause: "", text },
            Feedback::Works | Feedback::Unclear => Reason::default(),
        }
    }

    /// Logs a change of the breaker's state. `outage`: since when, and for how long, the provider cannot be reached.
    pub(super) fn log(&self, account: &str, change: Option<BreakerState>, outage: Option<(Timestamp, Duration)>) {
        match (change, self) {
            (Some(BreakerState::Cooling(until)), Feedback::Refused { verdict, text, .. }) => {
                tracing::warn!(event = "account_cooling", account, until = %until.rfc3339(), cause = verdict.cause,
                    why = %text, remedy = verdict.remedy.en);
            }
            (Some(BreakerState::Paused), Feedback::Refused { verdict, text, .. }) => {
                tracing::error!(event = "account_paused", account, cause = verdict.cause, why = %text,
                    remedy = verdict.remedy.en);
            }
            (Some(BreakerState::Unreachable(until)), Feedback::Unreachable(text)) => {
                let until = until.rfc3339();
                match outage.filter(|(_, lasted)| *lasted >= LASTING) {
                    None => tracing::warn!(event = "unreachable", account, until, why = %text),
                    Some((since, _)) => {
                        tracing::error!(event = "unreachable", account, until, since = %since.rfc3339(),
                        why = %text, remedy = UNREACHABLE.en)
                    }
                }
            }
            (Some(BreakerState::Ready), Feedback::Works) => {
                tracing::info!(event = "account_resumed", account, why = "a message went through");
            }
            // The state is the same, or a probe that met another fault moved its end.
            _ => {}
        }
    }
}

/// By how much this account's next day is delayed; always the same for the same account.
pub(super) fn spread(account: &str) -> Duration {
    Duration::from_secs(60 + fingerprint::of(account) % (SPREAD.as_secs() - 60))
}
