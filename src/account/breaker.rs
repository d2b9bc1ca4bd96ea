//! May this account be used now? A circuit breaker for each account. Pure: events and time in, a state out.
//!
//! ```text
//!            log-in refused, limit named                    the time is over
//!   Ready ------------------------------> Cooling(until) ------------------> Probe
//!     ^ ^                                     ^                              |  | |
//!     | |                                     `------ refused again ---------'  | |
//!     | `----------------------- it works --------------------------------------' |
//!     `-- resume() -- Paused <-- Pause, pause(), refused the same way again ------'
//!
//!   cooling             after strike   1       2       3       4 ...
//!   Quarter                         15 min  30 min     1 h     2 h, 4 h ... 24 h
//!   Guess                           15 min  15 min  15 min  ...
//!   QuarterThenPause                15 min  30 min   paused
//!   Hour                               1 h     2 h     4 h    24 h, 24 h ...
//!   HourThenPause                      1 h     2 h   paused
//!   Until(t)              t, at least 1 min, 2 min, 4 min ...   and at most 24 h
//! ```
//!
//! Strikes are refusals in a row, of any kind; a pause needs three refusals of the same kind in a row. A fault of the line
//! is not the account's: it stops the account for seconds (1, 2, 4 ... 60), is never saved, and neither adds a strike nor
//! clears one. While the account may not be used no message spends a retry.
//!
//! Invariants: neither an event of a transaction that began earlier nor a restart shortens the cooling; only
//! [`Breaker::resume`] ends a pause; an account cools for at most [`LONGEST`] in one piece, however the clock jumps: when
//! it is set back before the cooling began, the full time begins now; when it is set forward, the cooling may end early.
//! Not here: what a reply means (`provider`), how much may go (`budget`), and that a probe is one message at a time
//! (`delivery::plan`). A probe whose message was never tried is no event: the state stays `Probe`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What the provider's answer, or its silence, says about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerEvent {
    /// A log-in or a message went well.
    Works,
    /// The provider answered, and that says nothing about the account.
    Answered,
    /// The log-in was refused, or a limit was named: cool.
    Refused(CoolingRule),
    /// Only the operator can mend it: nothing more until the account is resumed.
    Pause,
    /// The provider could not be reached, or the line was lost.
    Unreachable,
}

/// How long an account cools; see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoolingRule {
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

/// Why an account cools, without the figures: the word that is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoolingKind {
    /// [`CoolingRule::Quarter`].
    Quarter,
    /// [`CoolingRule::Guess`].
    Guess,
    /// [`CoolingRule::QuarterThenPause`].
    QuarterThenPause,
    /// [`CoolingRule::Hour`].
    Hour,
    /// [`CoolingRule::HourThenPause`].
    HourThenPause,
    /// [`CoolingRule::Until`].
    Until,
    /// [`BreakerEvent::Pause`], or an operator paused it.
    Pause,
}

/// The words that go with an event, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason<'a> {
    /// The row of the reply catalogue.
    pub cause: &'a str,
    /// What the provider said.
    pub text: &'a str,
}

/// An account cools for at most this in one piece.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);
/// The shortest cooling until a quota's window ends.
const LEAST: Duration = Duration::from_secs(60);
/// This many refusals of the same kind in a row pause the account, where the kind says so.
const SAME: u32 = 3;

/// How long the account is not used after the line failed: doubles from the first to the second figure.
const OUTAGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The state of a breaker: what the account may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Anything.
    Ready,
    /// One message, to find out whether the account works again; nothing else until its outcome is known.
    Probe,
    /// Nothing until then.
    Cooling(Timestamp),
    /// Nothing until an operator resumes the account.
    Paused,
    /// Nothing until then: the provider cannot be reached. Messages stay queued.
    Unreachable(Timestamp),
}

/// A cooling or a pause, as it is saved in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBreaker {
    /// When it began.
    pub since: Timestamp,
    /// When it ends; `None` for a pause.
    pub until: Option<Timestamp>,
    /// Refusals in a row.
    pub strikes: u32,
    /// Of these, how many of this kind in a row.
    pub same: u32,
    /// What it is.
    pub kind: CoolingKind,
    /// The row of the reply catalogue; empty when it was an operator.
    pub cause: String,
    /// What the provider said.
    pub text: String,
    /// An operator asked for it; such a pause does not end when the secret changes.
    pub by_operator: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    since: Timestamp,
    until: Timestamp,
    strikes: u32,
}

/// The breaker of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// The cooling or the pause; also after its end, until a message went through.
    cooling: Option<SavedBreaker>,
    outage: Option<Outage>,
}

impl Breaker {
    /// The breaker as the last process saved it. A cooling that is over admits a probe, not every message.
    pub fn restore(mut saved: SavedBreaker, now: Timestamp) -> Breaker {
        // A row that was damaged or written by hand cools the account no longer than any other.
        saved.until = saved.until.map(|until| until.min(saved.since + LONGEST));
        let mut breaker = Breaker { cooling: Some(saved), outage: None };
        breaker.mind_the_clock(now);
        breaker
    }

    /// What must outlive the process: `None` when the account is ready. Faults of the line are not saved.
    pub fn saved(&self) -> Option<SavedBreaker> {
        self.cooling.clone()
    }

    /// The cooling or the pause, for lists and alarms.
    pub fn cooling(&self) -> Option<&SavedBreaker> {
        self.cooling.as_ref()
    }

    /// What may be done at `now`.
    pub fn state(&mut self, now: Timestamp) -> BreakerState {
        self.mind_the_clock(now);
        match (&self.cooling, &self.outage) {
            (Some(SavedBreaker { until: None, .. }), _) => BreakerState::Paused,
            (Some(SavedBreaker { until: Some(until), .. }), _) if now < *until => BreakerState::Cooling(*until),
            (_, Some(outage)) if now < outage.until => BreakerState::Unreachable(outage.until),
            (None, None) => BreakerState::Ready,
            (Some(_), _) | (_, Some(_)) => BreakerState::Probe,
        }
    }

    /// Takes in what happened. Returns the new state, if it is another one than before.
    pub fn on(&mut self, event: BreakerEvent, why: Reason<'_>, now: Timestamp) -> Option<BreakerState> {
        let before = self.state(now);
        match event {
            BreakerEvent::Works => {
                self.outage = None;
                if before == BreakerState::Probe {
                    self.cooling = None;
                }
            }
            BreakerEvent::Answered => self.outage = None,
            BreakerEvent::Unreachable => self.unreachable(before, now),
            BreakerEvent::Pause if before != BreakerState::Paused => self.set_pause(false, why, now),
            BreakerEvent::Pause => {}
            BreakerEvent::Refused(rule) => match before {
                BreakerState::Paused => {}
                BreakerState::Cooling(until) => self.lengthen(rule, until, why, now),
                BreakerState::Ready | BreakerState::Probe | BreakerState::Unreachable(_) => self.strike(rule, why, now),
            },
        }
        let after = self.state(now);
        (before != after).then_some(after)
    }

    /// Pauses the account, in whatever state it is.
    pub fn pause(&mut self, by_operator: bool, why: Reason<'_>, now: Timestamp) {
        self.set_pause(by_operator, why, now);
    }

    /// Forgets everything: the secret was changed, or an operator asked for it.
    pub fn resume(&mut self) {
        *self = Breaker::default();
    }

    fn set_pause(&mut self, by_operator: bool, why: Reason<'_>, now: Timestamp) {
        let strikes = self.cooling.as_ref().map_or(0, |cooling| cooling.strikes);
        self.cooling = Some(SavedBreaker { by_operator, ..saved(CoolingKind::Pause, None, (strikes, 1), why, now) });
    }

    /// One more refusal in a row.
    fn strike(&mut self, rule: CoolingRule, why: Reason<'_>, now: Timestamp) {
        let kind = rule.kind();
        let (strikes, same) = match &self.cooling {
            Some(old) => (old.strikes.saturating_add(1), if old.kind == kind { old.same.saturating_add(1) } else { 1 }),
            None => (1, 1),
        };
        let paused = same >= SAME && matches!(kind, CoolingKind::QuarterThenPause | CoolingKind::HourThenPause);
        let until = (!paused).then(|| now + rule.length(strikes, same, now));
        // The line is up: the provider answered.
        self.outage = None;
        self.cooling = Some(saved(kind, until, (strikes, same), why, now));
    }

    /// A refusal while the account cools: its transaction began earlier. Only another kind that asks for a longer time
    /// changes anything, and it is no further strike.
    fn lengthen(&mut self, rule: CoolingRule, until: Timestamp, why: Reason<'_>, now: Timestamp) {
        let Some(old) = &self.cooling else { return };
        let (kind, asked) = (rule.kind(), now + rule.length(1, 1, now));
        if (old.kind != kind || kind == CoolingKind::Until) && asked > until {
            let same = if old.kind == kind { old.same } else { 1 };
            self.cooling = Some(saved(kind, Some(asked), (old.strikes, same), why, now));
        }
    }

    fn unreachable(&mut self, before: BreakerState, now: Timestamp) {
        let strikes = match (before, &self.outage) {
            // Several connections that fail together are one strike.
            (BreakerState::Unreachable(_), _) => return,
            // The cooling goes on; the probe after it shows whether the line is up.
            (BreakerState::Cooling(_) | BreakerState::Paused, _) => return,
            (BreakerState::Ready | BreakerState::Probe, None) => 1,
            (BreakerState::Ready | BreakerState::Probe, Some(outage)) => outage.strikes.saturating_add(1),
        };
        // A probe of a refused log-in that is cut off may have logged in, so the next one waits.
        let wait = if self.cooling.is_some() { OUTAGE.1 } else { doubled(OUTAGE.0, strikes, OUTAGE.1) };
        self.outage = Some(Outage { since: now, until: now + wait, strikes });
    }

    /// After the clock was set back: what began in the future begins now, at its full length.
    fn mind_the_clock(&mut self, now: Timestamp) {
        if let Some(cooling) = &mut self.cooling
            && now < cooling.since
        {
            cooling.until = cooling.until.map(|until| now + until.since(cooling.since).min(LONGEST));
            cooling.since = now;
        }
        if let Some(outage) = &mut self.outage
            && now < outage.since
        {
            outage.until = now + outage.until.since(outage.since);
            outage.since = now;
        }
    }
}

impl CoolingRule {
    const fn kind(self) -> CoolingKind {
        match self {
            CoolingRule::Quarter => CoolingKind::Quarter,
            CoolingRule::Guess => CoolingKind::Guess,
            CoolingRule::QuarterThenPause => CoolingKind::QuarterThenPause,
            CoolingRule::Hour => CoolingKind::Hour,
            CoolingRule::HourThenPause => CoolingKind::HourThenPause,
            CoolingRule::Until(_) => CoolingKind::Until,
        }
    }

    /// How long it lasts after `strikes` refusals in a row, the last `same` of them of this kind.
    fn length(self, strikes: u32, same: u32, now: Timestamp) -> Duration {
        match self {
            CoolingRule::Quarter | CoolingRule::QuarterThenPause => doubled(QUARTER, strikes, LONGEST),
            CoolingRule::Guess => QUARTER,
            CoolingRule::Hour | CoolingRule::HourThenPause if strikes > 3 => LONGEST,
            CoolingRule::Hour | CoolingRule::HourThenPause => doubled(HOUR, strikes, LONGEST),
            CoolingRule::Until(end) => end.since(now).clamp(doubled(LEAST, same, LONGEST), LONGEST),
        }
    }
}

fn doubled(first: Duration, strikes: u32, most: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(strikes.max(1) - 1)).min(most)
}

fn saved(
    kind: CoolingKind,
    until: Option<Timestamp>,
    (strikes, same): (u32, u32),
    why: Reason<'_>,
    since: Timestamp,
) -> SavedBreaker {
    let (cause, text) = (why.cause.to_owned(), why.text.to_owned());
    SavedBreaker { since, until, strikes, same, kind, cause, text, by_operator: false }
}

#[cfg(test)]
mod tests;
