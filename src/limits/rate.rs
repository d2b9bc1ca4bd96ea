//! How often and how much, for each of many: messages, recipients, octets, failures.
//!
//! Each has a bucket that holds a whole quota and fills up evenly (GCRA: what is kept is only the time at which it will
//! be full again). Asking and spending are two steps, because the size of a message is known only after it was taken: a
//! bucket may be overdrawn, by one more quota at most. Bounded in memory: at most [`MOST_KEYS`] are told apart, by a hash
//! of 64 bits with a secret key; those whose buckets are full are forgotten, and when none is, newcomers share one.
//!
//! Not for hours and days of an account: it is forgotten at a restart. The time is an argument, and a monotonic one: a
//! clock that is set must not lock anybody out.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many are told apart (about 40 octets each).
pub const MOST_KEYS: usize = 10_000;
/// How often a full table is looked through for those that can go.
const SWEEP: Duration = Duration::from_secs(1);

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what time.
    pub per: Duration,
}

/// So many octets in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// How many; 0 is taken as 1.
    pub octets: u64,
    /// In what time.
    pub per: Duration,
}

/// What each of many has spent of the same quota.
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

    /// Buckets for `rate`.
    pub fn of(rate: Rate) -> Allowance {
        Allowance::new(rate.count.get().into(), rate.per)
    }

    /// Whether `who` has `amount` left.
    pub fn has(&self, who: impl Hash, amount: u64, now: Instant) -> bool {
        let full_at = self.cells().of(self.secret.hash_one(who), now);
        full_at.saturating_duration_since(now) + self.time(amount) <= self.per
    }

    /// Takes `amount` from the bucket of `who`, whether there is as much or not.
    pub fn spend(&self, who: impl Hash, amount: u64, now: Instant) {
        let key = self.secret.hash_one(who);
        let mut cells = self.cells();
        // Overdrawn by one quota at most: who has stopped is never out for longer than twice the time.
        let full_at = (cells.of(key, now).max(now) + self.time(amount)).min(now + 2 * self.per);
        cells.set(key, full_at, now);
    }

    /// Takes `amount` if there is as much.
    pub fn take(&self, who: impl Hash + Copy, amount: u64, now: Instant) -> bool {
        let has = self.has(who, amount, now);
        if has {
            self.spend(who, amount, now);
        }
        has
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

    #[test]
    fn one_client_does_not_spend_what_another_has() {
        let (limit, now) = (Allowance::new(3, HOUR), Instant::now());
        assert_eq!((0..5).filter(|_| limit.take("a", 1, now)).count(), 3);
        assert!(limit.take("b", 1, now));
    }

    #[test]
    fn what_was_spent_comes_back_evenly() {
        let (limit, now) = (Allowance::new(60, HOUR), Instant::now());
        assert!(limit.take(1, 60, now) && !limit.take(1, 1, now));
        assert!(!limit.has(1, 1, now + Duration::from_secs(59)) && limit.has(1, 1, now + Duration::from_secs(60)));
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
        let (limit, now) = (Allowance::new(2, HOUR), Instant::now());
        let known = (0..MOST_KEYS as u32).filter(|n| limit.take(n, 1, now)).count();
        // Ten thousand more share one bucket.
        let more = (0..10_000_u32).filter(|n| limit.take(n + 1_000_000, 1, now)).count();
        assert_eq!((known, more), (MOST_KEYS, 2));
        assert_eq!(limit.cells().full_at.len(), MOST_KEYS);
        // Those that were known have their own still, and room is made when their time has come.
        assert!(limit.take(5_u32, 1, now));
        assert!(limit.take(1_000_000_u32, 2, now + 2 * HOUR));
        limit.spend(2_000_000_u32, 1, now + 2 * HOUR);
        assert!(limit.cells().full_at.len() < 10);
    }
}
