//! Messages per second, for providers that state such a rate; `governor` with a burst of one.
//!
//! A burst of one makes GCRA exact: the messages are spaced evenly, and no second holds one more than the rate. With
//! the usual burst of a whole quota, nearly twice of it would go through in the first second. Not here: the minute and
//! above, which are counted in [`budget`](super::budget). It measures with the monotonic clock, so a jump of the
//! wall clock does not change it. A restart forgets it, which costs at most one message too many in one second.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Spaces the messages of one account.
#[derive(Debug)]
pub(super) struct Pace {
    cell: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Pace {
    /// At most `per_second` messages a second.
    pub(super) fn new(per_second: NonZeroU32) -> Pace {
        let quota = Quota::per_second(per_second).allow_burst(NonZeroU32::MIN);
        let clock = DefaultClock::default();
        Pace { cell: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    /// `None`: a message may go now, and is counted. Else how long to wait before asking again.
    pub(super) fn ready(&self) -> Option<Duration> {
        self.cell
            .check()
            .err()
            .map(|not_until| not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_message_waits_for_its_place() {
        let pace = Pace::new(NonZeroU32::new(4).unwrap());
        assert_eq!(pace.ready(), None);
        let wait = pace.ready().expect("a burst of one");
        assert!(wait > Duration::from_millis(100) && wait <= Duration::from_millis(250), "{wait:?}");
    }

    #[test]
    fn asking_in_vain_costs_nothing() {
        let pace = Pace::new(NonZeroU32::MIN);
        assert_eq!(pace.ready(), None);
        let waits: Vec<Duration> = (0..1000).filter_map(|_| pace.ready()).collect();
        assert_eq!(waits.len(), 1000);
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(1)));
    }
}
