//! How much may an account send, and when? Exact sliding windows. Pure: events and time in, reservations out.
//!
//! ```text
//!            minute   hour   day            a reservation needs room in all of them, and takes it at once
//!  messages     x       x     x             alarm may fill a window, normal and bulk leave a reserve (`lane`)
//!  recipients   x       x     x             a quota reply closes a window and teaches its limit (`learnt`)
//!  logins       x       x     x
//! ```
//!
//! Why not a token bucket for all of this: GCRA (`governor`) hands out a full burst and refills it meanwhile, so that
//! nearly twice the limit goes through in one window. Providers lock accounts for that. It serves for messages per
//! second only (`pace`); the minute and above are counted here, event by event.
//!
//! Invariants: no window of the true length ever holds more than its limit, whatever the order of events and however
//! the clock jumps (an event in the future counts as happening now); no message waits longer than the window and one bucket
//! of it; a restart with the database's rows never gives more room than there was.
//! Not here: which message goes (`delivery`), and what a reply means (`provider`).

use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Lane;

use super::lane::share;

mod estimate;
mod learnt;
mod limit;
mod window;

pub use crate::provider::Windows;
pub use learnt::{ClosedWindow, FORGET, LearntLimits, Lesson};
pub use limit::{BudgetLimits, Day, Spent, Unit, Window};
use window::Track;

/// A part of the budget for one transaction. It counts as used until it is given back.
#[must_use = "the budget counts it as used; give it back if there was no transaction"]
#[derive(Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The number of recipients: at least 1, at most what was asked for.
    pub recipients: u32,
    at: Timestamp,
    epoch: u64,
    /// The lane, and since when its mail had waited in vain.
    vain: (Lane, Option<Timestamp>),
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingBudget {
    /// Of what.
    pub unit: Unit,
    /// In which window.
    pub window: Window,
    /// The limit that holds now, whether it was configured or learnt.
    pub limit: u32,
    /// How much of it is left for alarms; the other lanes leave their reserve of it.
    pub left: u32,
    /// When something is left again; `None` when something is.
    pub opens: Option<Timestamp>,
}

/// The limit that keeps a lane from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedBudget {
    /// Until then.
    pub until: Timestamp,
    /// Of what.
    pub unit: Unit,
    /// In which window.
    pub window: Window,
    /// The limit that holds now, in units for each window.
    pub limit: u32,
    /// How much of it the lane leaves to more urgent ones.
    pub kept: u32,
}

/// A lane whose mail has waited in vain for this long may take one recipient of the reserve: a flood of alarms that fills
/// every window as soon as it opens stops no lane for ever.
pub const PATIENCE: Duration = Duration::from_secs(3600);

/// What a limit of zero answers: ask again then.
const NEVER: Duration = Duration::from_secs(24 * 3600);
const SENDING: [Unit; 2] = [Unit::Messages, Unit::Recipients];
const LOGINS: [Unit; 1] = [Unit::Logins];

/// The budget of one account.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: BudgetLimits,
    /// In the order of [`Window::ALL`].
    tracks: [Track; 3],
    learnt: LearntLimits,
    /// Since when mail of each lane has waited in vain, in the order of [`Lane::ALL`]. Only mail counts: to look at a lane
    /// changes nothing.
    vain: [Option<Timestamp>; 3],
    /// Grows when the clock was set back.
    epoch: u64,
}

impl Budget {
    /// A budget of which nothing was spent.
    pub fn new(limits: BudgetLimits) -> Budget {
        let day = match &limits.day {
            Day::Rolling => Track::rolling_day(),
            Day::Calendar(zone) => Track::calendar_day(zone.clone()),
        };
        let tracks = [Track::minute(), Track::hour(), day];
        Budget { limits, tracks, learnt: LearntLimits::default(), vain: [None; 3], epoch: 0 }
    }

    /// Takes in what the database knows, a row for each minute (its begin, or any moment of it). Each row counts as
    /// having happened at the end of its minute, or now if that is earlier. Rows older than the windows do no harm.
    pub fn load(&mut self, rows: impl IntoIterator<Item = (Timestamp, Spent)>, now: Timestamp) {
        self.turn(now);
        for (at, spent) in rows {
            let end = at.millis().div_euclid(60_000).saturating_mul(60_000).saturating_add(59_999);
            self.spend(Timestamp::from_millis(end).min(now), &spent, now);
        }
    }

    /// Reserves one transaction of up to `recipients` (at least 1).
    ///
    /// # Errors
    /// When at least one recipient of this lane may go, if nothing else is spent until then.
    pub fn reserve(&mut self, lane: Lane, recipients: u32, now: Timestamp) -> Result<Reservation, Timestamp> {
        if self.opens(lane, now).is_some() {
            self.waits_in_vain(lane, true, now);
            return Err(self.opens(lane, now).unwrap_or(now));
        }
        // Where its own share is used up, it was patience that opened the reserve: for one recipient.
        let own = self.room(Unit::Messages, lane) > 0;
        let most = if own { self.room(Unit::Recipients, lane).max(1) } else { 1 };
        let recipients = recipients.clamp(1, most);
        self.spend(now, &Spent { messages: 1, recipients, logins: 0 }, now);
        let vain = (lane, self.vain[lane as usize].take());
        Ok(Reservation { recipients, at: now, epoch: self.epoch, vain })
    }

    /// Gives back what was never used: it came to no transaction. After the clock was set back nothing is given back,
    /// because it is not known any more where it was counted.
    pub fn give_back(&mut self, reservation: Reservation, now: Timestamp) {
        self.turn(now);
        let (lane, since) = reservation.vain;
        self.vain[lane as usize] = self.vain[lane as usize].or(since.map(|since| since.min(now)));
        if reservation.epoch == self.epoch {
            let spent = Spent { messages: 1, recipients: reservation.recipients, logins: 0 };
            self.tracks.iter_mut().for_each(|track| track.take_back(reservation.at, &spent));
        }
    }

    /// When this lane may send to one recipient; `None` when it may now.
    pub fn opens(&mut self, lane: Lane, now: Timestamp) -> Option<Timestamp> {
        self.closing(lane, now).map(|closing| closing.until)
    }

    /// Which limit keeps this lane from sending to one recipient now; `None` when it may.
    pub fn closing(&mut self, lane: Lane, now: Timestamp) -> Option<ClosedBudget> {
        self.turn(now);
        let own = self.opening(&SENDING, lane, now)?;
        let patient = self.vain[lane as usize].map(|since| {
            let reserve = self.opening(&SENDING, Lane::Alarm, now);
            reserve.map_or(now, |closing| closing.until).max(since + PATIENCE)
        });
        let until = patient.map_or(own.until, |patient| own.until.min(patient));
        (now < until).then_some(ClosedBudget { until, ..own })
    }

    /// Takes in whether mail of this lane is due while its share is spent.
    pub fn waits_in_vain(&mut self, lane: Lane, waits: bool, now: Timestamp) {
        let since = self.vain[lane as usize].filter(|_| waits);
        self.vain[lane as usize] = since.or(waits.then_some(now));
    }

    /// Whether mail of this lane has waited in vain for [`PATIENCE`], so that the lane is served first.
    pub fn overdue(&self, lane: Lane, now: Timestamp) -> bool {
        self.vain[lane as usize].is_some_and(|since| now.since(since) >= PATIENCE)
    }

    /// Counts a log-in, if there may be one now.
    ///
    /// # Errors
    /// The limit that does not admit one.
    pub fn login(&mut self, now: Timestamp) -> Result<(), ClosedBudget> {
        self.turn(now);
        match self.opening(&LOGINS, Lane::Alarm, now) {
            Some(closed) => Err(closed),
            None => {
                self.spend(now, &Spent { logins: 1, ..Spent::default() }, now);
                Ok(())
            }
        }
    }

    /// A quota reply: nothing goes until the window ends, and what was used in it is the limit from now on. Give the
    /// reservation that was refused back first. Returns when the window ends: a calendar day at midnight, all others after
    /// their full length, because it is not known when the provider's count began.
    pub fn teach(&mut self, window: Window, now: Timestamp) -> Timestamp {
        self.turn(now);
        let track = &self.tracks[window as usize];
        for unit in SENDING {
            // Another program may have used the mailbox up: a tenth of what was thought to be the limit is always tried again.
            let least = self.limits.of(unit, window).map_or(0, |limit| limit / 10);
            let used = Some(track.used().of(unit)).filter(|&used| used > 0).map_or(0, |used| used.max(least));
            self.learnt.teach(unit, window, used, now);
        }
        let until = track.ends(now, window.length());
        self.learnt.close(window, until);
        until
    }

    /// When the provider's day ends, as [`Budget::teach`] returns it, for a reply that is not a quota reply.
    pub fn day_ends(&self, now: Timestamp) -> Timestamp {
        self.tracks[Window::Day as usize].ends(now, Window::Day.length())
    }

    /// What quota replies have taught, to be kept over a restart.
    pub fn learnt(&self) -> LearntLimits {
        self.learnt.clone()
    }

    /// Takes in what was kept; replaces what was learnt since.
    pub fn restore(&mut self, learnt: LearntLimits) {
        self.learnt = learnt;
    }

    /// What is left of each limit, by unit, then by window.
    pub fn left(&mut self, now: Timestamp) -> Vec<RemainingBudget> {
        self.turn(now);
        let all = Unit::ALL.into_iter().flat_map(|unit| Window::ALL.map(|window| (unit, window)));
        all.filter_map(|(unit, window)| {
            let limit = self.limit(unit, window)?;
            let closed = self.learnt.closed.iter().find(|c| c.window == window && unit != Unit::Logins);
            let track = &self.tracks[window as usize];
            let left = if closed.is_some() { 0 } else { limit.saturating_sub(track.used().of(unit)) };
            let free = if limit == 0 { now + NEVER } else { track.opens(unit, limit, now) };
            let opens = (left == 0).then(|| closed.map_or(free, |closed| closed.until.max(free)));
            Some(RemainingBudget { unit, window, limit, left, opens })
        })
        .collect()
    }

    /// Lets time pass; everything begins with it.
    fn turn(&mut self, now: Timestamp) {
        let mut back = false;
        for track in &mut self.tracks {
            back |= track.turn(now);
        }
        self.epoch += u64::from(back);
        for since in self.vain.iter_mut().flatten() {
            *since = now.min(*since);
        }
        if !self.learnt.is_empty() {
            let Budget { limits, tracks, learnt, .. } = self;
            let ends = |window: Window| tracks[window as usize].ends(now, window.length());
            learnt.turn(now, |unit, window| limits.of(unit, window), ends);
        }
    }

    fn spend(&mut self, at: Timestamp, spent: &Spent, now: Timestamp) {
        for track in &mut self.tracks {
            track.add(at, spent, now);
        }
    }

    /// The limit that holds: the learnt one, where it is lower.
    fn limit(&self, unit: Unit, window: Window) -> Option<u32> {
        let configured = self.limits.of(unit, window);
        match self.learnt.limit(unit, window) {
            Some(learnt) => Some(configured.map_or(learnt, |configured| configured.min(learnt))),
            None => configured,
        }
    }

    /// How many of a unit a lane may spend now, closed windows aside.
    fn room(&self, unit: Unit, lane: Lane) -> u32 {
        let room = |window: Window| {
            let used = self.tracks[window as usize].used().of(unit);
            self.limit(unit, window).map_or(u32::MAX, |limit| share(lane, limit).saturating_sub(used))
        };
        Window::ALL.into_iter().map(room).min().unwrap_or(u32::MAX)
    }

    /// The limit that keeps a lane longest from spending one of each of the units, if nothing is spent until then; `None`
    /// when it may now.
    fn opening(&self, units: &[Unit], lane: Lane, now: Timestamp) -> Option<ClosedBudget> {
        let closed = self.learnt.last_closed().filter(|_| units.contains(&Unit::Messages));
        let mut opening = closed.map(|closed| {
            let (unit, window) = (Unit::Messages, closed.window);
            let limit = self.limit(unit, window).unwrap_or_else(|| self.tracks[window as usize].used().of(unit));
            // The provider closed the window for every lane.
            ClosedBudget { until: closed.until, unit, window, limit, kept: 0 }
        });
        for &unit in units {
            for window in Window::ALL {
                let Some(limit) = self.limit(unit, window) else { continue };
                let (cap, track) = (share(lane, limit), &self.tracks[window as usize]);
                if track.used().of(unit) >= cap {
                    let until = if cap == 0 { now + NEVER } else { track.opens(unit, cap, now) };
                    if opening.as_ref().is_none_or(|opening| opening.until < until) {
                        opening = Some(ClosedBudget { until, unit, window, limit, kept: limit - cap });
                    }
                }
            }
        }
        opening.filter(|opening| now < opening.until)
    }
}

#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
