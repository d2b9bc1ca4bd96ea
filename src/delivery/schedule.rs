//! When is a message tried again, and when is it given up? Pure: time and chance are arguments.
//!
//! The nth wait is the nth of the settings' list, then its last one for ever, each moved by at most a tenth either way,
//! so that messages that failed together do not come back together. Not here: waiting for an account (`account`), which
//! spends no retry.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Id;

/// The settings of the retries.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySchedule {
    /// The waits after the first, second ... failed try; the last one repeats. Never empty.
    pub retry: Vec<Duration>,
    /// How long after its arrival a message is given up.
    pub expire: Duration,
}

impl Default for RetrySchedule {
    fn default() -> RetrySchedule {
        let minutes = [1, 5, 15, 60, 120, 240];
        RetrySchedule {
            retry: minutes.map(|m| Duration::from_secs(m * 60)).to_vec(),
            expire: Duration::from_secs(5 * 24 * 3600),
        }
    }
}

impl RetrySchedule {
    /// How long to wait after `failed` failed tries (at least 1), for the message `id`.
    pub fn wait(&self, failed: u32, id: Id) -> Duration {
        let step = (failed.max(1) as usize - 1).min(self.retry.len().saturating_sub(1));
        let base = self.retry.get(step).copied().unwrap_or(Duration::from_secs(3600));
        jitter(base, id, failed)
    }

    /// The longest wait there is between two tries.
    pub fn longest(&self) -> Duration {
        let longest = self.retry.iter().max().copied().unwrap_or(Duration::from_secs(3600));
        longest + longest / 10
    }

    /// When to try again after `failed` failed tries, the last of which ended at `now`.
    pub fn next_try(&self, failed: u32, id: Id, now: Timestamp) -> Timestamp {
        now + self.wait(failed, id)
    }
}

/// `base` less or plus up to a tenth, always the same for the same message and try.
fn jitter(base: Duration, id: Id, failed: u32) -> Duration {
    // FNV-1a: the spread must be even, not secret.
    let hash =
        id.as_str().bytes().chain(failed.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let thousandths = 900 + ((hash >> 32) % 201) as u32;
    base * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(salt: u64) -> Id {
        Id::new(Timestamp::from_millis(1_795_000_000_000), salt)
    }

    #[test]
    fn the_default_schedule_is_the_one_that_is_documented() {
        let minutes: Vec<u64> = RetrySchedule::default().retry.iter().map(|d| d.as_secs() / 60).collect();
        assert_eq!(minutes, [1, 5, 15, 60, 120, 240]);
        assert_eq!(RetrySchedule::default().expire, Duration::from_secs(432_000));
    }

    #[test]
    fn the_waits_of_one_message_as_a_list() {
        let waits: Vec<u128> =
            (1..=8).map(|failed| RetrySchedule::default().wait(failed, id(42)).as_millis()).collect();
        assert_eq!(waits, [58380, 283500, 828900, 3938400, 6976800, 13550400, 13204800, 13032000]);
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_spreads() {
        let settings = RetrySchedule::default();
        for (failed, base) in [(1, 60.0), (2, 300.0), (3, 900.0), (4, 3600.0), (5, 7200.0), (6, 14400.0), (99, 14400.0)]
        {
            let waits: Vec<f64> = (0..1000).map(|salt| settings.wait(failed, id(salt)).as_secs_f64() / base).collect();
            assert!(waits.iter().all(|w| (0.9..=1.1).contains(w)), "try {failed}");
            let mean = waits.iter().sum::<f64>() / 1000.0;
            assert!((0.99..=1.01).contains(&mean), "try {failed}: mean {mean}");
            assert!(waits.iter().any(|w| *w < 0.92) && waits.iter().any(|w| *w > 1.08), "try {failed}");
        }
    }
}
