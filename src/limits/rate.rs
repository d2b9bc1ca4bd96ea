//! Rates at the listener, counted with `governor` for each of many keys; and allowances for what `governor` cannot count.
//!
//! [`Rates`] asks and spends in one step. [`Allowance`] is for amounts known only afterwards (octets of a message,
//! refused commands): checking and spending are two steps, and a bucket may be overdrawn, by one quota at most.
//! Both are buckets that hold a whole quota and fill up evenly (GCRA). Both are bounded in memory: at most [`MOST_KEYS`]
//! keys are told apart, by a hash of 64 bits with a secret key. Full buckets are forgotten, and when there are none,
//! further keys share one bucket.
//!
//! Nothing survives a restart, so this is not for the hours and days of an account. The time is an argument, and a
//! monotonic one: a clock that is set must not lock a client out.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

/// How many keys are told apart (about 40 octets each).
pub const MOST_KEYS: usize = 10_000;
/// How often a full table is searched for full buckets.
const SWEEP: Duration = Duration::from_secs(1);

/// A number of events in a period: `600/min` allows a burst of 600, then 10 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what time.
    pub per: Duration,
}

impl Rate {
    /// `times` as many in the same time.
    #[must_use]
    pub fn times(self, times: u32) -> Rate {
        Rate { count: self.count.saturating_mul(NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN)), ..self }
    }

    /// As `governor` counts: a burst of all, and one more after each even part of the time, a nanosecond at least.
    fn quota(self) -> Quota {
        let one = (self.per / self.count.get()).max(Duration::from_nanos(1));
        Quota::with_period(one).expect("the period is not zero").allow_burst(self.count)
    }
}

/// A number of octets in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// How many; 0 is taken as 1.
    pub octets: u64,
    /// In what time.
    pub per: Duration,
}

/// One rate for each of many keys.
pub struct Rates {
    limiter: RateLimiter<u64, Store, Given, NoOpMiddleware<Nanos>>,
    secret: RandomState,
    clock: Given,
    start: Instant,
    swept: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("keys", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl Rates {
    /// Full buckets; the times of all calls are at or after `start`.
    pub fn new(rate: Rate, start: Instant) -> Rates {
        let clock = Given::default();
        let limiter = RateLimiter::new(rate.quota(), Store::default(), clock.clone());
        Rates { limiter, secret: RandomState::new(), clock, start, swept: Mutex::default() }
    }

    /// Takes one from the bucket of `key` if there is one.
    pub fn take(&self, key: impl Hash, now: Instant) -> bool {
        self.clock.set(now.saturating_duration_since(self.start));
        if self.limiter.len() >= MOST_KEYS {
            self.sweep(now);
        }
        self.limiter.check_key(&self.secret.hash_one(key)).is_ok()
    }

    fn sweep(&self, now: Instant) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|last| now.saturating_duration_since(last) >= SWEEP) {
            self.limiter.retain_recent();
            *swept = Some(now);
        }
    }
}

/// The clock of `governor`: the time that was given last, and never goes back.
#[derive(Clone, Debug, Default)]
struct Given(Arc<AtomicU64>);

impl Given {
    fn set(&self, since_start: Duration) {
        let nanos = u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

/// The bounded store of `governor`: for each key, when its bucket would be full.
#[derive(Debug, Default)]
struct Store(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<u64, Nanos>,
    /// The same for all keys that found no place.
    others: Option<Nanos>,
}

impl Store {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is one insertion; a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Store {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut kept = self.kept();
        let own = kept.by_key.len() < MOST_KEYS || kept.by_key.contains_key(key);
        let (answer, full_at) = f(if own { kept.by_key.get(key).copied() } else { kept.others })?;
        if own {
            kept.by_key.insert(*key, full_at);
        } else {
            kept.others = Some(full_at);
        }
        Ok(answer)
    }
}

impl ShrinkableKeyedStateStore<u64> for Store {
    fn retain_recent(&self, drop_below: Nanos) {
        self.kept().by_key.retain(|_, full_at| *full_at > drop_below);
    }

    fn len(&self) -> usize {
        self.kept().by_key.len()
    }

    fn is_empty(&self) -> bool {
        self.kept().by_key.is_empty()
    }
}

/// What each of many has spent of the same quota, where the amount is known only afterwards.
#[derive(Debug)]
pub struct Allowance {
    quota: u64,
    per: Duration,
    secret: RandomState,
    cells: Mutex<Cells>,
}

#[derive(Debug, Default)]
struct Cells {
    /// When each bucket is full again.
    full_at: HashMap<u64, Instant>,
    /// The same for all that found no place in the table.
    others: Option<Instant>,
    swept: Option<Instant>,
}

impl Allowance {
    /// Full buckets of `quota` that need `per` to fill; a quota of 0 is taken as 1.
    pub fn new(quota: u64, per: Duration) -> Allowance {
        Allowance { quota: quota.max(1), per, secret: RandomState::new(), cells: Mutex::default() }
    }

    /// Whether `key` has `amount` left.
    pub fn has(&self, key: impl Hash, amount: u64, now: Instant) -> bool {
        let full_at = self.cells().of(self.secret.hash_one(key), now);
        full_at.saturating_duration_since(now) + self.time(amount) <= self.per
    }

    /// Takes `amount` from the bucket of `key`, whether there is as much or not.
    pub fn spend(&self, key: impl Hash, amount: u64, now: Instant) {
        let key = self.secret.hash_one(key);
        let mut cells = self.cells();
        // Overdrawn by one quota at most: a client that has stopped waits no longer than twice the time.
        let full_at = (cells.of(key, now).max(now) + self.time(amount)).min(now + 2 * self.per);
        cells.set(key, full_at, now);
    }

    /// How long a bucket needs to win `amount` back; two periods at most, so that no sum overflows.
    fn time(&self, amount: u64) -> Duration {
        let nanos = self.per.as_nanos().saturating_mul(amount.into()).div_ceil(self.quota.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(2 * self.per)
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        // Each change is one insertion; a panic cannot leave it half done.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cells {
    fn of(&self, key: u64, now: Instant) -> Instant {
        match self.full_at.get(&key) {
            Some(full_at) => *full_at,
            None if self.full_at.len() < MOST_KEYS => now,
            None => self.others.unwrap_or(now),
        }
    }

    fn set(&mut self, key: u64, full_at: Instant, now: Instant) {
        if self.full_at.len() >= MOST_KEYS
            && !self.full_at.contains_key(&key)
            && self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP)
        {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.swept = Some(now);
        }
        if self.full_at.len() < MOST_KEYS || self.full_at.contains_key(&key) {
            self.full_at.insert(key, full_at);
        } else {
            self.others = Some(full_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn rates(count: u32, start: Instant) -> Rates {
        Rates::new(Rate { count: NonZeroU32::new(count).unwrap(), per: HOUR }, start)
    }

    #[test]
    fn one_key_does_not_spend_what_another_has() {
        let now = Instant::now();
        let rates = rates(3, now);
        assert_eq!((0..5).filter(|_| rates.take("a", now)).count(), 3);
        assert!(rates.take("b", now));
        let limit = Allowance::new(3, HOUR);
        limit.spend("a", 3, now);
        assert!(!limit.has("a", 1, now) && limit.has("b", 3, now));
    }

    #[test]
    fn what_was_spent_comes_back_evenly() {
        let now = Instant::now();
        let rates = rates(60, now);
        let taken = |at: Instant| (0..100).filter(|_| rates.take(1, at)).count();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!([taken(now), taken(after(59)), taken(after(60)), taken(after(660))], [60, 0, 1, 10]);
        assert_eq!([taken(after(5 * 3600)), taken(after(5 * 3600))], [60, 0]);
        let limit = Allowance::new(60, HOUR);
        limit.spend(1, 60, now);
        assert!(!limit.has(1, 1, after(59)) && limit.has(1, 1, after(60)));
        assert!(!limit.has(1, 31, now + HOUR / 2) && limit.has(1, 30, now + HOUR / 2));
        assert!(limit.has(1, 60, now + 3 * HOUR) && !limit.has(1, 61, now + 3 * HOUR));
    }

    #[test]
    fn an_overdraft_is_one_quota_at_most() {
        let (limit, now) = (Allowance::new(1 << 30, HOUR), Instant::now());
        for _ in 0..10 {
            limit.spend(1, u64::MAX, now);
        }
        assert!(!limit.has(1, 1, now + HOUR));
        assert!(limit.has(1, 1 << 30, now + 2 * HOUR));
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let now = Instant::now();
        let rates = rates(2, now);
        let known = (0..MOST_KEYS as u32).filter(|n| rates.take(n, now)).count();
        // Ten thousand more share one bucket.
        let more = (0..10_000_u32).filter(|n| rates.take(n + 1_000_000, now)).count();
        assert_eq!((known, more, rates.limiter.len()), (MOST_KEYS, 2, MOST_KEYS));
        // Those that were known have their own still, and others get one when their time has come.
        assert!(rates.take(5_u32, now));
        assert!(rates.take(1_000_000_u32, now + 2 * HOUR));
        assert!(rates.limiter.len() < 10);
        let limit = Allowance::new(2, HOUR);
        (0..2 * MOST_KEYS as u32).for_each(|n| limit.spend(n, 1, now));
        assert_eq!(limit.cells().full_at.len(), MOST_KEYS);
        assert!(limit.has(5_u32, 1, now) && !limit.has(3_000_000_u32, 1, now));
        limit.spend(2_000_000_u32, 1, now + 2 * HOUR);
        assert!(limit.cells().full_at.len() < 10);
    }

    #[test]
    fn a_rate_without_end_is_counted_in_nanoseconds() {
        let now = Instant::now();
        let rates = Rates::new(Rate { count: NonZeroU32::MAX, per: Duration::from_secs(1) }.times(4), now);
        assert!((0..100_000).all(|_| rates.take(1, now)));
    }
}
