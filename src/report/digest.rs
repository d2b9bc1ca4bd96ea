//! Is a failure reported now, by a notice of its own, or later, with others, in a digest? Pure; the time is an argument.
//!
//! ```text
//!  the first five within ten minutes     a notice each, now
//!  the sixth and all that follow         one digest, when the ten minutes are over
//!  while failures go on                  one digest every ten minutes
//! ```
//!
//! Not here: the words (`message::notice`), and the list of unreported failures, which the queue has: a failed message
//! without a notice is *untold* there, and after a restart [`DigestSchedule::rebuilt`] starts from their number.
//! Invariant: within any ten minutes at most [`HANDFUL`] notices and one digest, whatever happens; bounded memory.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// How many notices of their own there are within [`WINDOW`].
pub const HANDFUL: usize = 5;
/// How long failures are gathered.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// When a failure is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportTime {
    /// Now, by a notice of its own.
    Now,
    /// In the digest that is due then.
    Later(Timestamp),
}

/// When notices and digests are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestSchedule {
    /// The last failures, oldest first, at most [`HANDFUL`].
    recent: VecDeque<Timestamp>,
    /// When the digest that is being gathered is due.
    due: Option<Timestamp>,
    /// When the last one was taken.
    taken: Option<Timestamp>,
    /// Failures for the next digest.
    untold: u64,
}

impl DigestSchedule {
    /// After a restart: the queue has `untold` unreported failures, the oldest of them since `oldest`.
    pub fn rebuilt(untold: u64, oldest: Timestamp) -> DigestSchedule {
        let due = (untold > 0).then_some(oldest + WINDOW);
        DigestSchedule { due, untold, ..DigestSchedule::default() }
    }

    /// A message has failed, and a notice about it is allowed.
    pub fn on_failure(&mut self, now: Timestamp) -> ReportTime {
        let floor = now - WINDOW;
        // A clock that was set back leaves times of the future behind; they do not count.
        self.recent.retain(|&at| floor < at && at <= now);
        let tell = match self.due {
            // While a digest is being gathered everything goes into it.
            Some(due) => ReportTime::Later(due.min(now + WINDOW)),
            None if self.recent.len() < HANDFUL => ReportTime::Now,
            None => {
                let oldest = self.recent.front().map_or(now, |&at| at + WINDOW);
                let spaced = self.taken.map_or(oldest, |at| oldest.max(at + WINDOW));
                ReportTime::Later(spaced.min(now + WINDOW))
            }
        };
        if let ReportTime::Later(at) = tell {
            self.due = Some(at);
            self.untold = self.untold.saturating_add(1);
        }
        self.recent.push_back(now);
        if self.recent.len() > HANDFUL {
            self.recent.pop_front();
        }
        tell
    }

    /// When the digest is due, if one is being gathered.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// The number of failures for a digest that is due now. They count as reported from here on; a caller that cannot write
    /// the digest calls [`DigestSchedule::put_back`].
    pub fn take(&mut self, now: Timestamp) -> Option<u64> {
        // A clock that was set back must not silence it.
        self.due = self.due.map(|due| due.min(now + WINDOW));
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.due = None;
        self.taken = Some(now);
        Some(std::mem::take(&mut self.untold)).filter(|&untold| untold > 0)
    }

    /// The digest after [`DigestSchedule::take`] could not be written: it is due again in ten minutes.
    pub fn put_back(&mut self, untold: u64, now: Timestamp) {
        self.untold = self.untold.saturating_add(untold);
        self.due = Some(now + WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_255_200_000);

    fn after(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    /// Failures at these seconds: how many notices, and the seconds and sizes of the digests.
    fn storm(failures: impl IntoIterator<Item = u64>, last: u64) -> (u64, Vec<(u64, u64)>) {
        let (mut digest, mut notices, mut digests) = (DigestSchedule::default(), 0, Vec::new());
        let mut failures = failures.into_iter().peekable();
        for second in 0..=last {
            if let Some(size) = digest.take(after(second)) {
                digests.push((second, size));
            }
            while failures.next_if_eq(&second).is_some() {
                match digest.on_failure(after(second)) {
                    ReportTime::Now => notices += 1,
                    ReportTime::Later(at) => assert!(at >= after(second) && at <= after(second + 600)),
                }
            }
        }
        (notices, digests)
    }

    #[test]
    fn ten_thousand_failures_make_five_notices_and_a_digest_every_ten_minutes() {
        // Two a second for more than an hour.
        let (notices, digests) = storm((0..10_000).map(|n| n / 2), 6000);
        assert_eq!(notices, 5);
        assert_eq!(digests.iter().map(|(_, size)| size).sum::<u64>(), 9_995);
        assert!(digests.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 600), "{digests:?}");
        assert_eq!(digests[0].0, 600, "the first at the end of the first ten minutes");
        // All at once.
        assert_eq!(storm(vec![7; 10_000], 3000), (5, vec![(607, 9_995)]));
    }

    #[test]
    fn a_handful_is_told_one_by_one() {
        assert_eq!(storm([0, 1, 2, 3, 4], 3000), (5, vec![]));
        assert_eq!(storm([0, 1, 2, 3, 4, 5], 3000), (5, vec![(600, 1)]));
        // A drip that is slower than five in ten minutes never waits.
        assert_eq!(storm((0..50).map(|n| n * 130), 7000), (50, vec![]));
        // After a storm and a quiet time single notices are back.
        assert_eq!(storm([0, 0, 0, 0, 0, 0, 1300], 3000), (6, vec![(600, 1)]));
    }

    #[test]
    fn any_ten_minutes_have_five_notices_and_one_digest_at_most() {
        let mut seed = 7u64;
        let (mut digest, mut now) = (DigestSchedule::default(), 0);
        let (mut notices, mut digests) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += (seed >> 33) % if (seed >> 20).is_multiple_of(50) { 2000 } else { 60 };
            if digest.take(after(now)).is_some() {
                digests.push(now);
            }
            if digest.on_failure(after(now)) == ReportTime::Now {
                notices.push(now);
            }
        }
        assert!(notices.windows(HANDFUL + 1).all(|some| some[HANDFUL] - some[0] >= 600));
        assert!(digests.windows(2).all(|pair| pair[1] - pair[0] >= 600));
        assert!(notices.len() > 100 && digests.len() > 100, "{} {}", notices.len(), digests.len());
    }

    #[test]
    fn a_restart_neither_repeats_nor_forgets() {
        let mut digest = DigestSchedule::rebuilt(0, after(0));
        assert_eq!((digest.due(), digest.take(after(10_000))), (None, None));
        let mut digest = DigestSchedule::rebuilt(12, after(0));
        assert_eq!(digest.take(after(599)), None);
        assert_eq!(digest.on_failure(after(599)), ReportTime::Later(after(600)));
        assert_eq!((digest.take(after(600)), digest.take(after(601))), (Some(13), None));
        digest.put_back(13, after(600));
        assert_eq!((digest.take(after(1199)), digest.take(after(1200))), (None, Some(13)));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing_for_ever() {
        let mut digest = DigestSchedule::default();
        for _ in 0..6 {
            digest.on_failure(after(1_000_000));
        }
        assert_eq!(digest.on_failure(after(0)), ReportTime::Later(after(600)));
        assert_eq!(digest.take(after(600)), Some(2));
    }
}
