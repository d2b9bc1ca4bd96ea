//! One account at work: its way out, its breaker, and what its condition means.
//!
//! The breaker's rules are pure and live in `breaker`; this keeps one under a lock and says in the log when its gate
//! changes. Not here: which message goes (`mod`), and the dialogue (`upstream`).

use std::sync::{Mutex, MutexGuard};

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::message::rewrite::FromPolicy;
use crate::provider::Action;
use crate::secret::Secret;
use crate::upstream::{Condition, Upstream};

use super::breaker::{Breaker, Event, Gate, Rest};

/// An account that mail leaves through.
#[derive(Debug)]
pub struct Account {
    name: String,
    address: Address,
    policy: FromPolicy,
    aliases: Vec<Address>,
    upstream: Upstream,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    breaker: Breaker,
    /// The secret with which the log-in was refused: another one is worth a try at once.
    refused_with: Option<Secret>,
}

impl Account {
    /// An account that is ready.
    pub fn new(name: String, address: Address, policy: FromPolicy, upstream: Upstream) -> Account {
        Account { name, address, policy, aliases: Vec::new(), upstream, state: Mutex::default() }
    }

    /// The same with other addresses of its mailbox, which may stand in `From:` where the policy lets them.
    pub fn with_aliases(self, aliases: Vec<Address>) -> Account {
        Account { aliases, ..self }
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The mailbox it sends as.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the provider asks of `From:`.
    pub fn policy(&self) -> FromPolicy {
        self.policy
    }

    /// Other addresses of its mailbox.
    pub fn aliases(&self) -> &[Address] {
        &self.aliases
    }

    /// Its connections.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// May it be used at `now`?
    pub fn gate(&self, now: Timestamp) -> Gate {
        self.state().breaker.gate(now)
    }

    /// Takes in what an attempt said about the account, and logs what changes. Returns the gate afterwards.
    pub fn learn(&self, condition: &Condition, now: Timestamp) -> Gate {
        let mut state = self.state();
        let change = state.breaker.on(event_of(condition), now);
        if let (Some(Gate::Cooling(_)), Condition::Account { .. }) = (change, condition) {
            // When it cannot be read now, any readable one is a new one.
            state.refused_with = self.upstream.settings().secret.read().ok();
        }
        let gate = state.breaker.gate(now);
        drop(state);
        self.report(change, condition);
        gate
    }

    /// While the account is cooling: whether the secret is another one than the one that was refused. If so, the
    /// account is ready again.
    pub fn resume_if_secret_changed(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        if !matches!(state.breaker.gate(now), Gate::Cooling(_)) {
            return false;
        }
        let changed = self.upstream.settings().secret.read().is_ok_and(|new| state.refused_with.as_ref() != Some(&new));
        if changed {
            state.breaker.resume();
            tracing::info!(event = "account_resumed", account = %self.name, why = "the secret was changed");
        }
        changed
    }

    fn report(&self, change: Option<Gate>, condition: &Condition) {
        match (change, condition) {
            (Some(Gate::Cooling(until)), Condition::Account { cause, text, .. }) => {
                tracing::warn!(event = "account_cooling", account = %self.name, until = %until.rfc3339(), cause, why = %text);
            }
            (Some(Gate::Down(until)), Condition::Line(text)) => {
                tracing::warn!(event = "unreachable", account = %self.name, until = %until.rfc3339(), why = %text);
            }
            (Some(Gate::Open), Condition::Works) => {
                tracing::info!(event = "account_resumed", account = %self.name, why = "a message went through");
            }
            // The gate did not change, or a probe that met another fault moved it within the same state.
            (Some(_) | None, _) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The breaker is one value, replaced as a whole.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What a condition means to the breaker.
fn event_of(condition: &Condition) -> Event {
    match condition {
        Condition::Works => Event::Works,
        Condition::Line(_) => Event::Unreachable,
        Condition::Account { action, .. } => match action {
            Action::Cool15 | Action::Cool15ThenPause => Event::Refused(Rest::Quarter),
            Action::RetryHour | Action::Pause => Event::Refused(Rest::Hour),
            Action::RetryDay => Event::Refused(Rest::Day),
            // Not said of an account; the careful reading is a short rest.
            Action::Ok
            | Action::RetrySoon
            | Action::Bounce
            | Action::BounceRecipient
            | Action::Rewrite
            | Action::Split => Event::Refused(Rest::Quarter),
        },
    }
}
