//! How often: messages per client, with `governor` (GCRA: a burst of the whole quota, then one at a time).
//!
//! Bounded in memory: at most [`MOST_KEYS`] clients are told apart; beyond that, those that are back at zero are
//! forgotten, and when none is, newcomers share one cell. Not for hours and days: `governor` forgets at a restart.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// How many clients are told apart (about 100 octets each).
pub const MOST_KEYS: usize = 10_000;

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what time.
    pub per: Duration,
}

/// Counts what each client does.
#[derive(Debug)]
pub struct PerClient {
    cells: RateLimiter<Option<IpAddr>, DashMapStateStore<Option<IpAddr>>, DefaultClock>,
}

impl PerClient {
    /// A counter for `rate`; a period of zero is taken as a millisecond.
    pub fn new(rate: Rate) -> PerClient {
        let one = (rate.per / rate.count.get()).max(Duration::from_micros(1));
        let quota = Quota::with_period(one).expect("the period is at least a microsecond").allow_burst(rate.count);
        PerClient { cells: RateLimiter::dashmap(quota) }
    }

    /// Whether `client` may do it once more now; counts it if so.
    pub fn allows(&self, client: IpAddr) -> bool {
        if self.cells.len() >= MOST_KEYS {
            self.cells.retain_recent();
        }
        let key = (self.cells.len() < MOST_KEYS).then_some(client);
        self.cells.check_key(&key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(3600) }
    }

    #[test]
    fn one_client_does_not_spend_what_another_has() {
        let limit = PerClient::new(rate(3));
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!((0..5).filter(|_| limit.allows(a)).count(), 3);
        assert!(limit.allows(b));
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let limit = PerClient::new(rate(1));
        for n in 0..MOST_KEYS as u32 + 500 {
            limit.allows(IpAddr::from(n.to_be_bytes()));
        }
        assert!(limit.cells.len() <= MOST_KEYS + 1);
    }
}
