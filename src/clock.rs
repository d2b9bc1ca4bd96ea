//! Time, as a value: the one place that asks the system what time it is.
//!
//! Everything above takes a [`Timestamp`] or a [`Clock`], so that schedules, expiry and pauses can be tested with the
//! real numbers (clippy forbids `SystemTime::now` elsewhere). Not here: deadlines of sockets, which are tokio's and
//! monotonic.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

    fn zoned(self) -> jiff::Zoned {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system())
    }
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

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Clock {
        Clock(Some(Arc::new(AtomicI64::new(start.0))))
    }

    /// What time it is.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => Timestamp(manual.load(Ordering::SeqCst)),
            None => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => Timestamp(since.as_millis().min(i64::MAX as u128) as i64),
                Err(before) => Timestamp(-(before.duration().as_millis().min(i64::MAX as u128) as i64)),
            },
        }
    }

    /// Moves a manual clock on by `by`; the system's clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.0 {
            manual.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        }
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

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_millis(10));
        let twin = clock.clone();
        clock.advance(Duration::from_millis(5));
        assert_eq!(twin.now(), Timestamp::from_millis(15));
    }
}
