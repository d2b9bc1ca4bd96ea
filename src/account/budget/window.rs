//! One sliding window: what was spent in it, by buckets. Pure.
//!
//! ```text
//!  window            bucket        an event counts for
//!  minute            1 second      60 to 61 seconds
//!  hour              1 minute      60 to 61 minutes
//!  day, rolling      15 minutes    24 h to 24 h 15 min
//!  day, calendar     1 date        until midnight in the zone (23 to 25 hours where clocks are changed)
//! ```
//!
//! An event counts as if it had happened at the end of its bucket, therefore no window of the true length ever holds
//! more than was allowed. Buckets without events take no room: at most 61, 61 and 97 of 24 octets.
//!
//! The clock may jump. What lies in the future is moved to the present: it counts for one window from now, not until
//! the old time comes again. A calendar day keeps what is dated tomorrow, and counts it today as well, so that a clock
//! which is set back by a second at midnight does not give the day's budget twice.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::Timestamp;

use super::{Spent, Unit};

#[derive(Clone, Debug)]
enum Grain {
    /// The length of a bucket in milliseconds, and how many buckets count, the present one included.
    Even { width: i64, span: i64 },
    /// Dates in a zone.
    Date(TimeZone),
}

/// What was spent in one window.
#[derive(Clone, Debug)]
pub(super) struct Track {
    grain: Grain,
    /// By bucket, in order, without empty ones.
    buckets: VecDeque<(i64, Spent)>,
    sum: Spent,
    /// The bucket of the last [`Track::turn`].
    seen: i64,
}

const SECOND: i64 = 1000;

impl Track {
    pub(super) fn minute() -> Track {
        Track::of(Grain::Even { width: SECOND, span: 61 })
    }

    pub(super) fn hour() -> Track {
        Track::of(Grain::Even { width: 60 * SECOND, span: 61 })
    }

    pub(super) fn rolling_day() -> Track {
        Track::of(Grain::Even { width: 900 * SECOND, span: 97 })
    }

    pub(super) fn calendar_day(zone: TimeZone) -> Track {
        Track::of(Grain::Date(zone))
    }

    fn of(grain: Grain) -> Track {
        Track { grain, buckets: VecDeque::new(), sum: Spent::default(), seen: i64::MIN }
    }

    /// What counts, as of the last [`Track::turn`].
    pub(super) fn used(&self) -> &Spent {
        &self.sum
    }

    /// Forgets what is over, and moves what lies in the future to `now`. Returns whether the clock went back by a bucket
    /// or more, so that what was counted before cannot be found again.
    pub(super) fn turn(&mut self, now: Timestamp) -> bool {
        let current = self.index(now);
        let (span, ahead) = self.reach();
        while let Some(&(index, spent)) = self.buckets.front()
            && index <= current - span
        {
            self.buckets.pop_front();
            self.sum.take(&spent);
        }
        while let Some(&(index, spent)) = self.buckets.back()
            && index > current + ahead
        {
            self.buckets.pop_back();
            self.sum.take(&spent);
            self.put(current, &spent);
        }
        std::mem::replace(&mut self.seen, current) > current
    }

    /// Counts what happened at `at`, which is not later than `now`. Call [`Track::turn`] before.
    pub(super) fn add(&mut self, at: Timestamp, spent: &Spent, now: Timestamp) {
        let index = self.index(at);
        if index > self.index(now) - self.reach().0 {
            self.put(index, spent);
        }
    }

    /// Uncounts what was counted at `at`, if it still counts.
    pub(super) fn take_back(&mut self, at: Timestamp, spent: &Spent) {
        let index = self.index(at);
        let Some(place) = self.buckets.iter().rposition(|(i, _)| *i == index) else { return };
        self.buckets[place].1.take(spent);
        self.sum.take(spent);
        if self.buckets[place].1 == Spent::default() {
            self.buckets.remove(place);
        }
    }

    /// When less than `cap` (at least 1) of `unit` counts, if nothing is added.
    pub(super) fn opens(&self, unit: Unit, cap: u32, now: Timestamp) -> Timestamp {
        let mut used = self.sum.of(unit);
        for (index, spent) in &self.buckets {
            if used < cap {
                break;
            }
            used = used.saturating_sub(spent.of(unit));
            if used < cap {
                // The clamp is for zones in which a date came twice.
                return self.start(index + self.reach().0).max(now + Duration::from_millis(1));
            }
        }
        now
    }

    /// When a window that is taken as full at `now` ends.
    pub(super) fn ends(&self, now: Timestamp, length: Duration) -> Timestamp {
        match &self.grain {
            Grain::Even { .. } => now + length,
            Grain::Date(_) => self.start(self.index(now) + 1).max(now + Duration::from_millis(1)),
        }
    }

    /// By how much an event may count for longer than the window.
    pub(super) fn grain(&self) -> Duration {
        match self.grain {
            Grain::Even { width, .. } => Duration::from_millis(width.unsigned_abs()),
            Grain::Date(_) => Duration::ZERO,
        }
    }

    /// How many buckets count, and how many may lie ahead.
    fn reach(&self) -> (i64, i64) {
        match self.grain {
            Grain::Even { span, .. } => (span, 0),
            Grain::Date(_) => (1, 1),
        }
    }

    fn put(&mut self, index: i64, spent: &Spent) {
        match self.buckets.iter().rposition(|(i, _)| *i <= index) {
            Some(place) if self.buckets[place].0 == index => self.buckets[place].1.add(spent),
            Some(place) => self.buckets.insert(place + 1, (index, *spent)),
            None => self.buckets.push_front((index, *spent)),
        }
        self.sum.add(spent);
    }

    /// The bucket of a point in time.
    fn index(&self, at: Timestamp) -> i64 {
        match &self.grain {
            Grain::Even { width, .. } => at.millis().div_euclid(*width),
            Grain::Date(zone) => {
                let offset = jiff::Timestamp::from_millisecond(at.millis()).map(|t| zone.to_offset(t).seconds());
                (at.millis().div_euclid(SECOND) + i64::from(offset.unwrap_or(0))).div_euclid(86_400)
            }
        }
    }

    /// When a bucket begins; for dates the first moment of the day, which is not always 00:00.
    fn start(&self, index: i64) -> Timestamp {
        match &self.grain {
            Grain::Even { width, .. } => Timestamp::from_millis(index.saturating_mul(*width)),
            Grain::Date(zone) => {
                let date =
                    jiff::Span::new().try_days(index).and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(days));
                let first = date.and_then(|date| date.to_zoned(zone.clone()));
                let utc = Timestamp::from_millis(index.saturating_mul(86_400 * SECOND));
                first.map_or(utc, |zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()))
            }
        }
    }
}
