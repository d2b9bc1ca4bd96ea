//! May this account be used now? A circuit breaker per account, pure: events and time in, a gate out.
//!
//! ```text
//!            log-in refused, limit named                    the time is over
//!   Ready ------------------------------> Cooling(until) ------------------> Probe
//!     ^ ^                                     ^                              |  | |
//!     | |                                     `------ refused again ---------'  | |
//!     | `----------------------- it works --------------------------------------' |
//!     `-- resume() -- Paused <-- Pause, pause(), refused the same way again ------'
//!
//!   rest                after strike   1       2       3       4 ...
//!   Quarter                         15 min  30 min     1 h     2 h, 4 h ... 24 h
//!   Guess                           15 min  15 min  15 min  ...
//!   QuarterThenPause                15 min  30 min   paused
//!   Hour                               1 h     2 h     4 h    24 h, 24 h ...
//!   HourThenPause                      1 h     2 h   paused
//!   Until(t)              t, at least 1 min, 2 min, 4 min ...   and at most 24 h
//! ```
//!
//! Strikes count in a row, whatever the rest is called; a pause needs three refusals of the same kind in a row. A fault
//! of the line is not the account's: it closes the gate for seconds (1, 2, 4 ... 60), is never kept, and neither adds a
//! strike nor clears one. While the gate is closed no message spends a try.
//!
//! Invariants: an event of a transaction that was begun before never shortens a rest, neither does a restart; nothing
//! but [`Breaker::resume`] ends a pause; no rest is longer than [`LONGEST`] in one piece, however the clock jumps: when
//! it is set back before the begin of a rest, the full rest begins now; when it is set forward, a rest may end early.
//! Not here: what a reply means (`provider`), how much may go (`budget`), and that a probe is one message at a time,
//! which the caller sees to. A probe whose message was never tried is no event: the gate stays at `Probe`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What the provider's answer, or its silence, says about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A log-in or a message went well.
    Works,
    /// The provider answered, and that says nothing about the account.
    Answered,
    /// The log-in was refused, or a limit was named: rest.
    Refused(Rest),
    /// Only the owner can mend it: nothing more until somebody resumes the account.
    Pause,
    /// The provider could not be reached, or the line was lost.
    Unreachable,
}

/// How long an account rests; see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A quarter of an hour, doubled with each strike: refused, cause not certain.
    Quarter,
    /// A quarter of an hour each time: only guessed to be the account's fault.
    Guess,
    /// The same twice, then a pause.
    QuarterThenPause,
    /// An hour, two, four, then a day: a rate limit.
    Hour,
    /// An hour, two, then a pause.
    HourThenPause,
    /// Until a quota's window ends.
    Until(Timestamp),
}

/// Why an account rests, without the figures: the word that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// [`Rest::Quarter`].
    Quarter,
    /// [`Rest::Guess`].
    Guess,
    /// [`Rest::QuarterThenPause`].
    QuarterThenPause,
    /// [`Rest::Hour`].
    Hour,
    /// [`Rest::HourThenPause`].
    HourThenPause,
    /// [`Rest::Until`].
    Until,
    /// [`Event::Pause`], or somebody paused it.
    Pause,
}

/// The words that go with an event, for the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Why<'a> {
    /// The row of the reply catalogue.
    pub cause: &'a str,
    /// What the provider said.
    pub text: &'a str,
}

/// No rest is longer than this in one piece.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);
/// The least rest until a quota's window ends.
const LEAST: Duration = Duration::from_secs(60);
/// So many refusals of the same kind in a row pause the account, where the kind says so.
const SAME: u32 = 3;

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
    /// Nothing until somebody resumes the account. Messages wait, and say so.
    Paused,
    /// Nothing until then: the provider cannot be reached. Messages stay queued.
    Down(Timestamp),
}

/// A rest or a pause, as it is kept in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it began.
    pub since: Timestamp,
    /// When it ends; `None` for a pause.
    pub until: Option<Timestamp>,
    /// Refusals in a row.
    pub strikes: u32,
    /// Of these, how many of this kind in a row.
    pub same: u32,
    /// What it is.
    pub kind: Kind,
    /// The row of the reply catalogue; empty when it was an operator.
    pub cause: String,
    /// What the provider said.
    pub text: String,
    /// Somebody asked for it; such a pause does not end because the secret changes.
    pub by_operator: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Down {
    since: Timestamp,
    until: Timestamp,
    strikes: u32,
}

/// The breaker of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// The rest or the pause; also after its end, until something works.
    rest: Option<Kept>,
    down: Option<Down>,
}

impl Breaker {
    /// The breaker as it was kept by the last process. A rest that is over lets a probe through, not everything.
    pub fn restore(mut kept: Kept, now: Timestamp) -> Breaker {
        // A row that was damaged or written by hand rests no longer than any other.
        kept.until = kept.until.map(|until| until.min(kept.since + LONGEST));
        let mut breaker = Breaker { rest: Some(kept), down: None };
        breaker.mind_the_clock(now);
        breaker
    }

    /// What must survive the process: `None` when the account is ready. Line trouble is not kept.
    pub fn kept(&self) -> Option<Kept> {
        self.rest.clone()
    }

    /// The rest or the pause that the gate stands for, for lists and alarms.
    pub fn rest(&self) -> Option<&Kept> {
        self.rest.as_ref()
    }

    /// What may be done at `now`.
    pub fn gate(&mut self, now: Timestamp) -> Gate {
        self.mind_the_clock(now);
        match (&self.rest, &self.down) {
            (Some(Kept { until: None, .. }), _) => Gate::Paused,
            (Some(Kept { until: Some(until), .. }), _) if now < *until => Gate::Cooling(*until),
            (_, Some(down)) if now < down.until => Gate::Down(down.until),
            (None, None) => Gate::Open,
            (Some(_), _) | (_, Some(_)) => Gate::Probe,
        }
    }

    /// Takes in what happened. Returns the gate after it, when that is a new one.
    pub fn on(&mut self, event: Event, why: Why<'_>, now: Timestamp) -> Option<Gate> {
        let before = self.gate(now);
        match event {
            Event::Works => {
                self.down = None;
                if before == Gate::Probe {
                    self.rest = None;
                }
            }
            Event::Answered => self.down = None,
            Event::Unreachable => self.lost(before, now),
            Event::Pause if before != Gate::Paused => self.stop(false, why, now),
            Event::Pause => {}
            Event::Refused(rest) => match before {
                Gate::Paused => {}
                Gate::Cooling(until) => self.lengthen(rest, until, why, now),
                Gate::Open | Gate::Probe | Gate::Down(_) => self.strike(rest, why, now),
            },
        }
        let after = self.gate(now);
        (before != after).then_some(after)
    }

    /// Pauses the account, whatever it does now.
    pub fn pause(&mut self, by_operator: bool, why: Why<'_>, now: Timestamp) {
        self.stop(by_operator, why, now);
    }

    /// Forgets everything (the secret was changed, or somebody asked for it).
    pub fn resume(&mut self) {
        *self = Breaker::default();
    }

    fn stop(&mut self, by_operator: bool, why: Why<'_>, now: Timestamp) {
        let strikes = self.rest.as_ref().map_or(0, |rest| rest.strikes);
        self.rest = Some(Kept { by_operator, ..kept(Kind::Pause, None, (strikes, 1), why, now) });
    }

    /// One more refusal in a row.
    fn strike(&mut self, rest: Rest, why: Why<'_>, now: Timestamp) {
        let kind = rest.kind();
        let (strikes, same) = match &self.rest {
            Some(old) => (old.strikes.saturating_add(1), if old.kind == kind { old.same.saturating_add(1) } else { 1 }),
            None => (1, 1),
        };
        let paused = same >= SAME && matches!(kind, Kind::QuarterThenPause | Kind::HourThenPause);
        let until = (!paused).then(|| now + rest.length(strikes, same, now));
        // The line is up: somebody answered.
        self.down = None;
        self.rest = Some(kept(kind, until, (strikes, same), why, now));
    }

    /// A refusal while the account rests: a transaction that was begun before. Only another kind that asks for more
    /// says anything new, and it is not another strike.
    fn lengthen(&mut self, rest: Rest, until: Timestamp, why: Why<'_>, now: Timestamp) {
        let Some(old) = &self.rest else { return };
        let (kind, asked) = (rest.kind(), now + rest.length(1, 1, now));
        if (old.kind != kind || kind == Kind::Until) && asked > until {
            let same = if old.kind == kind { old.same } else { 1 };
            self.rest = Some(kept(kind, Some(asked), (old.strikes, same), why, now));
        }
    }

    fn lost(&mut self, before: Gate, now: Timestamp) {
        let strikes = match (before, &self.down) {
            // Several connections that fail together are one strike.
            (Gate::Down(_), _) => return,
            // The rest goes on; when it is over, the probe will see whether the line is up.
            (Gate::Cooling(_) | Gate::Paused, _) => return,
            (Gate::Open | Gate::Probe, None) => 1,
            (Gate::Open | Gate::Probe, Some(down)) => down.strikes.saturating_add(1),
        };
        // A probe of a refused log-in that is cut off may have logged in: at once is too soon for another one.
        let wait = if self.rest.is_some() { DOWN.1 } else { doubled(DOWN.0, strikes, DOWN.1) };
        self.down = Some(Down { since: now, until: now + wait, strikes });
    }

    /// A clock that was set back: what began in the future begins now, at its full length.
    fn mind_the_clock(&mut self, now: Timestamp) {
        if let Some(rest) = &mut self.rest
            && now < rest.since
        {
            rest.until = rest.until.map(|until| now + until.since(rest.since).min(LONGEST));
            rest.since = now;
        }
        if let Some(down) = &mut self.down
            && now < down.since
        {
            down.until = now + down.until.since(down.since);
            down.since = now;
        }
    }
}

impl Rest {
    const fn kind(self) -> Kind {
        match self {
            Rest::Quarter => Kind::Quarter,
            Rest::Guess => Kind::Guess,
            Rest::QuarterThenPause => Kind::QuarterThenPause,
            Rest::Hour => Kind::Hour,
            Rest::HourThenPause => Kind::HourThenPause,
            Rest::Until(_) => Kind::Until,
        }
    }

    /// How long it lasts after so many strikes in a row, so many of them of this kind.
    fn length(self, strikes: u32, same: u32, now: Timestamp) -> Duration {
        match self {
            Rest::Quarter | Rest::QuarterThenPause => doubled(QUARTER, strikes, LONGEST),
            Rest::Guess => QUARTER,
            Rest::Hour | Rest::HourThenPause if strikes > 3 => LONGEST,
            Rest::Hour | Rest::HourThenPause => doubled(HOUR, strikes, LONGEST),
            Rest::Until(end) => end.since(now).clamp(doubled(LEAST, same, LONGEST), LONGEST),
        }
    }
}

fn doubled(first: Duration, strikes: u32, most: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(strikes.max(1) - 1)).min(most)
}

fn kept(kind: Kind, until: Option<Timestamp>, (strikes, same): (u32, u32), why: Why<'_>, since: Timestamp) -> Kept {
    let (cause, text) = (why.cause.to_owned(), why.text.to_owned());
    Kept { since, until, strikes, same, kind, cause, text, by_operator: false }
}

#[cfg(test)]
mod tests;
