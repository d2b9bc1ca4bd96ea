//! How a rest ends before its time: by another secret, or because an operator says so; and how an operator begins one.
//!
//! Not here: when the secret is looked at (`watch`). Invariants: the secret is read without the lock of the state, which
//! everything else about the account needs; what is known of the budget outlives every resumption.

use crate::clock::Timestamp;

use super::super::breaker::{Gate, Why};
use super::super::keep::SecretMark;
use super::{Account, State};

impl Account {
    /// Whether a new secret would be worth a look: the account rests, and not because an operator wants it.
    pub fn watches_secret(&self, now: Timestamp) -> bool {
        self.state().watched(now).is_some()
    }

    /// While the account rests: whether the secret is another one than the one that was refused. If so, the account is
    /// ready again.
    pub async fn resume_if_secret_changed(&self, now: Timestamp) -> bool {
        let Some(refused) = self.state().watched(now) else { return false };
        let new = self.upstream.settings().secret.read_apart().await;
        let mut state = self.state();
        // While it was read, an operator may have stopped the account, or another secret may have been refused.
        let changed = state.watched(now) == Some(refused) && new.is_ok_and(|new| !refused.fits(&new));
        if changed {
            resume(&mut state);
            tracing::info!(event = "account_resumed", account = self.name(), why = "the secret was changed");
        }
        changed
    }

    /// An operator stops it.
    pub fn pause(&self, reason: &str, now: Timestamp) {
        let mut state = self.state();
        state.breaker.pause(true, Why { cause: "operator", text: reason }, now);
        state.remedy = None;
        drop(state);
        tracing::warn!(event = "account_paused", account = self.name(), cause = "operator", why = reason);
    }

    /// An operator lets it go on: strikes and rests are forgotten; what the budget knows is not.
    pub fn resume(&self) {
        resume(&mut self.state());
        tracing::info!(event = "account_resumed", account = self.name(), why = "an operator asked for it");
    }
}

impl State {
    /// The secret that was refused, while another one would be worth a try: the account rests, and not because an operator
    /// wants it.
    fn watched(&mut self, now: Timestamp) -> Option<SecretMark> {
        let rests = matches!(self.breaker.gate(now), Gate::Cooling(_) | Gate::Paused);
        let by_operator = self.breaker.rest().is_some_and(|rest| rest.by_operator);
        self.refused.filter(|_| rests && !by_operator)
    }
}

fn resume(state: &mut State) {
    state.breaker.resume();
    (state.remedy, state.refused, state.no_login, state.down) = (None, None, None, None);
    state.unknown.begin_anew();
}
