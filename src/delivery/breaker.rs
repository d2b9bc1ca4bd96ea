//! May this account be used now? A circuit breaker per account, pure: events and time in, a gate out.
//!
//! ```text
//!            login refused, limit named                    the time is over
//!   Ready ------------------------------> Cooling(until) ------------------> Probing
//!     ^  \                                    ^                               |   |
//!     |   `-- line lost, no route --> Down(until, short) -- over --> Probing  |   |
//!     |                                       `------- fails again -----------'   |
//!     `------------------------ it works ----------------------------------------'
//! ```
//!
//! Cooling grows with each strike in a row. A fault of the line is not the account's fault: it closes the gate for
//! seconds, not for hours, so that mail flows again soon after the provider is back. While the gate is closed no
//! message spends a try. Not here: what a reply means (`provider`), and the budgets, which come with a later version.

use std::time::Duration;

use crate::clock::Timestamp;

/// What the provider's answer, or its silence, says about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A log-in or a message went well.
    Works,
    /// The log-in was refused, or a limit was named: rest at least so long.
    Refused(Rest),
    /// The provider could not be reached, or the line was lost.
    Unreachable,
}

/// How long an account rests after the first strike; each further strike in a row doubles it, up to [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A quarter of an hour: log-in refused, cause not certain.
    Quarter,
    /// An hour: a rate limit.
    Hour,
    /// A day: a daily quota, or something only the owner can mend.
    Day,
}

impl Rest {
    const fn first(self) -> Duration {
        match self {
            Rest::Quarter => Duration::from_secs(15 * 60),
            Rest::Hour => Duration::from_secs(3600),
            Rest::Day => Duration::from_secs(24 * 3600),
        }
    }
}

/// No rest is longer than this.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long the gate stays closed after the line failed: doubles from the first to the second figure.
const DOWN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Anything.
    Open,
    /// One message, to see whether it works again; nothing else until its end is known.
    Probe,
    /// Nothing until then: the account rests. Messages wait, and say so.
    Cooling(Timestamp),
    /// Nothing until then: the provider cannot be reached. Messages stay queued.
    Down(Timestamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Cooling { until: Timestamp, strikes: u32 },
    Down { until: Timestamp, strikes: u32 },
}

/// The breaker of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { state: State::Ready }
    }
}

impl Breaker {
    /// What may be done at `now`.
    pub fn gate(&self, now: Timestamp) -> Gate {
        match self.state {
            State::Ready => Gate::Open,
            State::Cooling { until, .. } if now < until => Gate::Cooling(until),
            State::Down { until, .. } if now < until => Gate::Down(until),
            State::Cooling { .. } | State::Down { .. } => Gate::Probe,
        }
    }

    /// Takes in what happened. Returns the gate after it, when that is a new one.
    ///
    /// While the account is cooling, an event of a transaction that was begun before cannot shorten the rest.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Option<Gate> {
        let before = self.gate(now);
        self.state = match (self.state, event) {
            (State::Cooling { until, strikes }, _) if now < until => State::Cooling { until, strikes },
            (_, Event::Works) => State::Ready,
            (State::Cooling { strikes, .. }, Event::Refused(rest)) => cooling(rest, strikes + 1, now),
            (State::Ready | State::Down { .. }, Event::Refused(rest)) => cooling(rest, 1, now),
            (State::Ready, Event::Unreachable) => down(1, now),
            // Several connections that fail together are one strike.
            (State::Down { until, strikes }, Event::Unreachable) if now < until => State::Down { until, strikes },
            (State::Down { strikes, .. }, Event::Unreachable) => down(strikes + 1, now),
            // The probe found no line: what the account's last answer was still stands, only a little later.
            (State::Cooling { strikes, .. }, Event::Unreachable) => State::Cooling { until: now + DOWN.1, strikes },
        };
        let after = self.gate(now);
        (before != after).then_some(after)
    }

    /// Forgets all strikes (the secret was changed, or somebody asked for it).
    pub fn resume(&mut self) {
        self.state = State::Ready;
    }
}

fn cooling(rest: Rest, strikes: u32, now: Timestamp) -> State {
    let rest = rest.first().saturating_mul(2u32.saturating_pow(strikes - 1)).min(LONGEST);
    State::Cooling { until: now + rest, strikes }
}

fn down(strikes: u32, now: Timestamp) -> State {
    let wait = DOWN.0.saturating_mul(2u32.saturating_pow(strikes - 1)).min(DOWN.1);
    State::Down { until: now + wait, strikes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    /// The rests of an account whose every probe fails, in seconds.
    fn rests(event: Event, tries: usize) -> Vec<u64> {
        let (mut breaker, mut now) = (Breaker::default(), START);
        let mut rests = Vec::new();
        for _ in 0..tries {
            let (Some(Gate::Cooling(until)) | Some(Gate::Down(until))) = breaker.on(event, now) else {
                panic!("the gate must close")
            };
            rests.push(until.since(now).as_secs());
            now = until;
            assert_eq!(breaker.gate(now), Gate::Probe);
        }
        rests
    }

    #[test]
    fn rests_grow_and_are_bounded() {
        assert_eq!(rests(Event::Refused(Rest::Quarter), 8), [900, 1800, 3600, 7200, 14400, 28800, 57600, 86400]);
        assert_eq!(rests(Event::Refused(Rest::Hour), 6), [3600, 7200, 14400, 28800, 57600, 86400]);
        assert_eq!(rests(Event::Refused(Rest::Day), 2), [86400, 86400]);
        assert_eq!(rests(Event::Unreachable, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_success_clears_the_strikes() {
        let mut breaker = Breaker::default();
        breaker.on(Event::Refused(Rest::Quarter), START);
        assert_eq!(breaker.on(Event::Works, at(900)), Some(Gate::Open));
        assert_eq!(breaker.on(Event::Refused(Rest::Quarter), at(901)), Some(Gate::Cooling(at(1801))));
    }

    #[test]
    fn a_straggler_cannot_shorten_the_rest() {
        let mut breaker = Breaker::default();
        breaker.on(Event::Refused(Rest::Hour), START);
        assert_eq!(breaker.on(Event::Works, at(1)), None);
        assert_eq!(breaker.on(Event::Unreachable, at(2)), None);
        assert_eq!(breaker.on(Event::Refused(Rest::Quarter), at(3)), None);
        assert_eq!(breaker.gate(at(4)), Gate::Cooling(at(3600)));
    }

    #[test]
    fn many_lost_lines_at_once_are_one_strike() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.on(Event::Unreachable, START);
        }
        assert_eq!(breaker.gate(START), Gate::Down(at(1)));
    }
}
