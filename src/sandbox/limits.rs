//! What a provider allows: how often, how much, how many; and the windows in which it counts.
//!
//! Real figures are secret or contradictory, so there are none here but QQ's published ones; the *shape* is what public
//! reports tell: a minute, an hour and a day beside each other, a day that ends at midnight or 24 hours ago, log-ins that
//! lock the account and go on doing so while somebody keeps trying. Not here: the words of a refusal (`replies`).
//!
//! Invariant: what was refused does not count, except a log-in while the account is locked, which renews the lock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// SandboxLimits of the sandbox. The default has QQ's known ones and no frequency limits, since QQ's are not known. Frequency
/// limits are those of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Messages begun. More get `550 Sender frequency limited.` at MAIL, or
    /// [`replies::daily_limit`](super::replies::daily_limit) where it is the day that is full.
    pub message_rates: SandboxRates,
    /// Recipients accepted. More get the same at RCPT.
    pub recipient_rates: SandboxRates,
    /// Log-ins tried. More within a minute get the 535 that says everything and nothing; more within an hour lock the
    /// account for [`SandboxLimits::lock`].
    pub login_rates: SandboxRates,
    /// How long the account is locked; each further try, with whatever secret, begins it anew.
    pub lock: Duration,
    /// What a day is.
    pub day: Day,
    /// So many messages are taken on one connection, then it ends with 421.
    pub messages_per_connection: Option<u32>,
    /// So many connections are open at once; more get `550 Connection frequency limited`.
    pub connections: Option<u32>,
    /// A connection on which nothing was said for so long, by the sandbox's clock, ends with 421. Without one it is five
    /// minutes of the machine's time.
    pub idle: Option<Duration>,
    /// Most recipients of a message; more get 452 each.
    pub recipients: usize,
    /// Largest message in octets, announced by SIZE (RFC 1870); a larger one gets 552.
    pub max_message: u64,
}

impl Default for SandboxLimits {
    fn default() -> SandboxLimits {
        SandboxLimits {
            message_rates: SandboxRates::default(),
            recipient_rates: SandboxRates::default(),
            login_rates: SandboxRates::default(),
            lock: Duration::from_secs(15 * 60),
            day: Day::default(),
            messages_per_connection: None,
            connections: None,
            idle: None,
            recipients: 100,
            max_message: 70 << 20,
        }
    }
}

/// When a provider's day begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// 24 hours ago.
    Rolling,
    /// At midnight of a zone that is so many seconds ahead of UTC.
    Calendar {
        /// Seconds east of Greenwich; may be negative.
        offset: i32,
    },
}

impl Default for Day {
    /// Midnight at Beijing.
    fn default() -> Day {
        Day::Calendar { offset: 8 * 3600 }
    }
}

/// In which window a limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// A day, see [`Day`].
    Day,
}

/// The most within each window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SandboxRates {
    /// Within 60 seconds.
    pub minute: Option<u32>,
    /// Within 60 minutes.
    pub hour: Option<u32>,
    /// Within a [`SandboxLimits::day`].
    pub day: Option<u32>,
}

/// The last point in time that does not belong to the window any more.
fn edge(window: Window, day: Day, now: Timestamp) -> Timestamp {
    match (window, day) {
        (Window::Minute, _) => now - MINUTE,
        (Window::Hour, _) => now - HOUR,
        (Window::Day, Day::Rolling) => now - DAY,
        (Window::Day, Day::Calendar { offset }) => {
            let (day, offset) = (DAY.as_millis() as i64, i64::from(offset) * 1000);
            Timestamp::from_millis((now.millis() + offset).div_euclid(day) * day - offset - 1)
        }
    }
}

/// When something was done, as far as it can still count.
#[derive(Debug, Default)]
pub(super) struct Past(VecDeque<Timestamp>);

impl Past {
    /// Whether one more is within the limits; if so, it is recorded, and if not, this is the longest window that is full.
    pub(super) fn one_more(&mut self, rates: SandboxRates, day: Day, now: Timestamp) -> Result<(), Window> {
        while self.0.front().is_some_and(|&then| now.since(then) >= DAY) {
            self.0.pop_front();
        }
        let full = |window, limit: Option<u32>| {
            let edge = edge(window, day, now);
            limit.is_some_and(|limit| self.0.iter().rev().take_while(|&&then| then > edge).count() >= limit as usize)
        };
        let windows = [(Window::Day, rates.day), (Window::Hour, rates.hour), (Window::Minute, rates.minute)];
        if let Some((window, _)) = windows.into_iter().find(|&(window, limit)| full(window, limit)) {
            return Err(window);
        }
        if windows.iter().any(|(_, limit)| limit.is_some()) {
            self.0.push_back(now);
        }
        Ok(())
    }
}

/// The log-ins of an account.
#[derive(Debug, Default)]
pub(super) struct Lock {
    past: Past,
    until: Option<Timestamp>,
}

impl Lock {
    /// Whether this try is looked at at all. A try that is counts, whatever comes of it.
    pub(super) fn lets_in(&mut self, limits: &SandboxLimits, now: Timestamp) -> bool {
        let locked = self.until.is_some_and(|until| now < until);
        let full =
            if locked { Some(Window::Hour) } else { self.past.one_more(limits.login_rates, limits.day, now).err() };
        match full {
            None => true,
            // The minute only makes a client slower; the hour locks.
            Some(Window::Minute) => false,
            Some(Window::Hour | Window::Day) => {
                self.until = Some(now + limits.lock);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 00:00 +08:00.
    const MIDNIGHT: Timestamp = Timestamp::from_millis(1_795_190_400_000);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(MIDNIGHT.millis() + minutes * 60_000)
    }

    fn day(day: Day, limit: u32, tries: &[i64]) -> Vec<bool> {
        let (mut past, rates) = (Past::default(), SandboxRates { day: Some(limit), ..SandboxRates::default() });
        tries.iter().map(|&minutes| past.one_more(rates, day, at(minutes)).is_ok()).collect()
    }

    #[test]
    fn a_calendar_day_ends_at_midnight_and_a_rolling_one_does_not() {
        let tries = [-90, -60, -1, 0, 1, 2, 1350, 1439, 1440];
        let calendar = Day::Calendar { offset: 8 * 3600 };
        assert_eq!(day(calendar, 2, &tries), [true, true, false, true, true, false, false, false, true]);
        assert_eq!(day(Day::Rolling, 2, &tries), [true, true, false, false, false, false, true, true, false]);
        // Greenwich has its midnight eight hours later.
        let greenwich = Day::Calendar { offset: 0 };
        assert_eq!(day(greenwich, 1, &[-1, 0, 479, 480, 481]), [true, false, false, true, false]);
    }

    #[test]
    fn the_longest_window_that_is_full_is_named() {
        let mut past = Past::default();
        let rates = SandboxRates { minute: Some(1), hour: Some(2), day: Some(3) };
        let mut tell = |minutes| past.one_more(rates, Day::Rolling, at(minutes));
        assert_eq!([tell(0), tell(0)], [Ok(()), Err(Window::Minute)]);
        assert_eq!([tell(1), tell(2)], [Ok(()), Err(Window::Hour)]);
        assert_eq!([tell(60), tell(300)], [Ok(()), Err(Window::Day)]);
        assert_eq!([tell(1440), tell(1440)], [Ok(()), Err(Window::Day)]);
    }

    #[test]
    fn a_lock_is_renewed_by_every_try() {
        let per_hour = SandboxRates { hour: Some(3), ..SandboxRates::default() };
        let limits =
            SandboxLimits { login_rates: per_hour, lock: Duration::from_secs(900), ..SandboxLimits::default() };
        let mut lock = Lock::default();
        let tries = [(0, true), (1, true), (2, true), (50, false), (64, false), (78, false), (92, false), (107, true)];
        for (minutes, good) in tries {
            assert_eq!(lock.lets_in(&limits, at(minutes)), good, "at {minutes}");
        }
    }
}
