//! What an attempt says about its account: to the breaker, to the budget, to the alarms, and to the log.
//!
//! One exhaustive match turns the actions of the reply catalogue into events of the breaker. Not here: what a reply means
//! (`provider`), how long which rest is (`breaker`). Invariants: a fault of the line is never the account's; our own
//! budget saying no is nobody's.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::provider::{Action, Basis, Scope};
use crate::upstream::Condition;

use super::super::breaker::{Event, Gate, Rest};
use super::super::budget::Window;
use super::super::keep::SecretMark;
use super::{Account, Down, State, say};

/// How long an account rests after a reply that asks for a short pause.
const SOON: Duration = Duration::from_secs(120);

/// What an attempt has changed about an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// It began to rest, or was stopped: its open connections are of no use.
    pub rests: bool,
    /// There may be something to tell.
    pub tell: bool,
}

impl Account {
    /// Takes in what an attempt said about the account, and logs what changes. `spread` moves the end of a day by some
    /// minutes, so that accounts do not all come back at once.
    ///
    /// An account that rests afterwards remembers the secret that it was refused with: another one ends the rest.
    pub fn learn(&self, condition: &Condition, spread: Duration, now: Timestamp) -> Learnt {
        let mut state = self.state();
        let event = self.event_of(&mut state, condition, spread, now);
        let after = event.and_then(|event| state.breaker.on(event, say::why_of(condition), now));
        let used = SecretMark::of(self.upstream.used_secret().as_ref());
        note(&mut state, condition, used, after, now);
        let gate = state.breaker.gate(now);
        let tell = say::alarm_of(&mut state.alarms, gate, condition, now);
        let down = state.down.as_ref().map(|down| (down.since, now.since(down.since)));
        drop(state);
        say::report(self.name(), after, condition, down);
        Learnt { rests: matches!(after, Some(Gate::Cooling(_) | Gate::Paused)), tell }
    }

    /// What a condition means to the breaker; it may teach the budget something as well.
    fn event_of(&self, state: &mut State, condition: &Condition, spread: Duration, now: Timestamp) -> Option<Event> {
        match condition {
            Condition::Works => Some(Event::Works),
            Condition::Unclear => Some(Event::Answered),
            Condition::Line(_) => Some(Event::Unreachable),
            // Our own budget said no: nobody was asked.
            Condition::Held { .. } => None,
            // Nor has the provider said anything of the account.
            Condition::Unreadable { .. } => None,
            Condition::Account { verdict, .. } => Some(match verdict.action {
                Action::Cool15 if verdict.basis != Basis::Row => Event::Refused(Rest::Guess),
                Action::Cool15 => Event::Refused(Rest::Quarter),
                Action::Cool15ThenPause => Event::Refused(Rest::QuarterThenPause),
                Action::RetryHour => Event::Refused(Rest::Hour),
                Action::RetryHourThenPause => Event::Refused(Rest::HourThenPause),
                Action::RetryDay => {
                    let end = match verdict.scope {
                        Scope::Account | Scope::Domain => state.budget.teach(Window::Day, now),
                        // The line is not liked, or the settings are wrong: that says nothing of a quota.
                        Scope::Host | Scope::Config | Scope::Session | Scope::Message | Scope::Recipient => {
                            state.budget.day_ends(now)
                        }
                    };
                    Event::Refused(Rest::Until(end + spread))
                }
                Action::Pause => Event::Pause,
                // Too fast, or too much at once; some minutes set it right (the list of retries says how many later).
                Action::RetrySoon => Event::Refused(Rest::Until(now + SOON)),
                // Not said of an account; the careful reading is a short rest.
                Action::Ok
                | Action::Bounce
                | Action::BounceRecipient
                | Action::Rewrite
                | Action::Split
                | Action::RetryThenBounce => Event::Refused(Rest::Quarter),
            }),
        }
    }
}

/// Keeps what belongs to the new gate: the reason, the secret that was refused, since when the line is down.
fn note(state: &mut State, condition: &Condition, used: SecretMark, after: Option<Gate>, now: Timestamp) {
    match (after, condition) {
        (Some(Gate::Cooling(_) | Gate::Paused), Condition::Account { verdict, .. }) => {
            state.remedy = Some(verdict.remedy);
            state.refused = Some(used);
        }
        (Some(Gate::Open), _) => (state.remedy, state.refused) = (None, None),
        (Some(_) | None, _) => {}
    }
    match state.breaker.gate(now) {
        Gate::Down(_) => {
            let since = state.down.as_ref().map_or(now, |down| down.since);
            if let Condition::Line(text) = condition {
                state.down = Some(Down { since, text: text.clone() });
            }
        }
        // A probe that is under way does not say yet that the line is back.
        Gate::Probe => {}
        Gate::Open | Gate::Cooling(_) | Gate::Paused => state.down = None,
    }
}
