//! Time, as a value: the one place that asks the system what time it is, and the one that waits for a date.
//!
//! Everything above takes a [`Timestamp`] or a [`Clock`], so that schedules, expiry and pauses can be tested with the
//! real numbers (clippy forbids `SystemTime::now` elsewhere). Who waits for a date sleeps on the clock; whoever has to
//! be heard out before time may go on is a [`Worker`]. A clock that a test moves by hand ([`Clock::manual`]) knows all
//! sleepers and workers, so a day of a whole relay passes in seconds. Not here: deadlines of sockets, which are tokio's
//! and monotonic.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod manual;
mod written;

pub use manual::Worker;
pub use written::TIME_EXAMPLES;

use manual::Manual;

/// How long a sleep on the machine's clock goes on at most before the clock is looked at again: it may have been set,
/// or the machine may have been asleep itself, and tokio's timer knows of neither.
const GLANCE: Duration = Duration::from_secs(120);
/// By how much a clock must go back to be called set back: what a time server corrects is less.
pub const BACK: Duration = Duration::from_secs(60);

/// No version of this program is older, so an earlier date is that of a clock that was not set yet: 2026-11-01 00:00 UTC.
pub const EARLIEST: Timestamp = Timestamp::from_millis(1_793_491_200_000);

/// A point in time: milliseconds since 1970-01-01 00:00 UTC. May be negative; arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// How long from `earlier` to `self`; zero when `earlier` is later (a clock that was set back).
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// The date as RFC 5322 section 3.3 writes it, in the machine's time zone: `Sat, 21 Nov 2026 18:00:00 +0800`.
    ///
    /// Always in English, whatever the locale is.
    pub fn rfc5322(self) -> String {
        jiff::fmt::rfc2822::to_string(&self.zoned()).unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
    }

    /// The date for a log line or a person, in the machine's time zone: `2026-11-21T18:00:00.123+08:00`.
    pub fn rfc3339(self) -> String {
        self.zoned().strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
    }

    /// The beginning of its day in the machine's time zone.
    #[must_use]
    pub fn midnight(self) -> Timestamp {
        let begin = self.zoned().start_of_day();
        begin.map_or(self, |begin| Timestamp(begin.timestamp().as_millisecond()))
    }

    /// The day in the machine's time zone.
    pub fn date(self) -> jiff::civil::Date {
        self.zoned().date()
    }

    fn zoned(self) -> jiff::Zoned {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system())
    }
}

/// A time that [`Timestamp::rfc3339`] wrote, without fraction and offset: `2026-11-21 18:00:00`.
pub fn wall_time(time: &str) -> String {
    time.get(..19).map_or_else(|| time.to_owned(), |text| text.replacen('T', " ", 1))
}

/// Whether `then` was told by a clock that was not set, and `now` is not: see [`EARLIEST`].
pub fn was_unset(then: Timestamp, now: Timestamp) -> bool {
    then < EARLIEST && now >= EARLIEST
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, rhs: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(rhs.as_millis().min(i64::MAX as u128) as i64))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, rhs: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(rhs.as_millis().min(i64::MAX as u128) as i64))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Tells the time and waits for it: the system's, or one that a test sets. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Manual>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `start` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Clock {
        Clock(Some(Arc::new(Manual::new(start))))
    }

    /// What time it is.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => manual.now(),
            None => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => Timestamp(since.as_millis().min(i64::MAX as u128) as i64),
                Err(before) => Timestamp(-(before.duration().as_millis().min(i64::MAX as u128) as i64)),
            },
        }
    }

    /// Sleeps until the clock shows `at` or later, and not a moment shorter.
    ///
    /// On the machine's clock: when the clock is set forward, or the machine was suspended, it is noticed within two
    /// minutes; when it is set back, the sleep lasts until the clock shows `at` all the same.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.0 {
            Some(manual) => manual.sleep_until(at).await,
            None => loop {
                let left = at.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(GLANCE)).await;
            },
        }
    }

    /// Returns when the clock shows more than [`BACK`] less than `since`: somebody has set it back. On the machine's clock
    /// it is noticed within two minutes.
    pub async fn set_back(&self, since: Timestamp) {
        match &self.0 {
            Some(manual) => manual.wait_earlier(since - BACK).await,
            None => {
                while self.now() + BACK >= since {
                    tokio::time::sleep(GLANCE).await;
                }
            }
        }
    }

    /// Somebody whose work takes no time on a manual clock: see [`Worker`]. `name` is for whoever asks why time stands
    /// still.
    pub fn worker(&self, name: impl Into<String>) -> Worker {
        Worker::new(self.clone(), name.into())
    }

    /// Moves a manual clock on by `by`; the system's clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.0 {
            manual.set(|now| now + by);
        }
    }

    /// Sets a manual clock, back as well; the system's clock takes no notice.
    pub fn set(&self, now: Timestamp) {
        if let Some(manual) = &self.0 {
            manual.set(|_| now);
        }
    }

    /// Wakes every [`Worker`] of a manual clock for one more look at its work: something came from outside that the
    /// clock cannot know of. [`Clock::at_rest`] then waits until each has looked.
    pub fn nudge(&self) {
        if let Some(manual) = &self.0 {
            manual.nudge();
        }
    }

    /// The earliest time that anybody sleeps for on a manual clock, passed or not; `None` when nobody does.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.0.as_ref().and_then(|manual| manual.earliest())
    }

    /// Waits until the earliest time that anybody sleeps for on a manual clock is as `wanted` says. Asked at once and
    /// after each change; on the machine's clock it never returns, because nobody's sleep is known there.
    pub async fn wait_earliest(&self, wanted: impl Fn(Option<Timestamp>) -> bool) -> Option<Timestamp> {
        match &self.0 {
            Some(manual) => manual.wait_earliest(wanted).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until a manual clock may be moved on: every [`Worker`] sleeps and has looked since the last
    /// [`Clock::nudge`], and nobody's time has come. Returns [`Clock::earliest`]. On the machine's clock it never
    /// returns.
    pub async fn at_rest(&self) -> Option<Timestamp> {
        match &self.0 {
            Some(manual) => manual.at_rest().await,
            None => std::future::pending().await,
        }
    }

    /// What keeps a manual clock from being at rest: the workers that work, and the sleepers whose time has come.
    pub fn at_work(&self) -> Vec<String> {
        self.0.as_ref().map(|manual| manual.at_work()).unwrap_or_default()
    }
}

/// Serializes a [`Timestamp`] as milliseconds since 1970, for `#[serde(with = ...)]`.
pub mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Timestamp;

    /// Writes the milliseconds as an integer.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.millis())
    }

    /// Reads an integer of milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_english_and_numeric() {
        let date = Timestamp::from_millis(1_795_255_200_000).rfc5322();
        assert!(date.contains("Nov 2026") && date.starts_with("Sat, 21 "), "{date}");
        assert!(!date.ends_with("GMT"), "{date}");
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_systems_clock_wakes_in_time_and_never_early() {
        let clock = Clock::system();
        let at = clock.now() + Duration::from_millis(20);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
        clock.sleep_until(at - Duration::from_secs(3600)).await;
        assert!(clock.now().since(at) < Duration::from_secs(10), "what is over is not slept for");
        assert_eq!((clock.earliest(), clock.at_work()), (None, Vec::new()));
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_millis(10));
        let twin = clock.clone();
        clock.advance(Duration::from_millis(5));
        assert_eq!(twin.now(), Timestamp::from_millis(15));
        clock.set(Timestamp::from_millis(3));
        assert_eq!(twin.now(), Timestamp::from_millis(3));
    }
}
