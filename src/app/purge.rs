//! May old records be purged? Not by a clock that has jumped far ahead: it may be wrong, and what it deletes is gone.
//!
//! The time is saved every hour. When the clock is more than a month past the saved time, at a start or while the relay runs,
//! nothing is purged for seven days of running; by then a person has had time to look. Pure, but for the log.

use std::time::Duration;

use crate::clock::{EARLIEST, Timestamp};
use crate::queue::SavedTime;

/// How often the time is saved.
const SAVE_EVERY: Duration = Duration::from_secs(3600);
/// A clock that is so much later than the saved time may be wrong.
const JUMP: Duration = Duration::from_secs(30 * 24 * 3600);
/// For how long the relay must run before such a clock is believed.
const PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Watches the clock from one purge to the next.
#[derive(Debug)]
pub(super) struct PurgeWatch {
    /// What the queue has.
    saved: Option<SavedTime>,
    /// What is left of the pause.
    pause: Duration,
    /// When this was asked last.
    asked: Option<Timestamp>,
    /// For how long the relay has run since the time was saved.
    ran: Duration,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether records may be purged.
    pub(super) purge: bool,
    /// What is to be saved.
    pub(super) save: Option<SavedTime>,
}

impl PurgeWatch {
    /// A watch that knows the time that was saved last.
    pub(super) fn new(saved: Option<SavedTime>) -> PurgeWatch {
        let pause = saved.map_or(Duration::ZERO, |saved| saved.pause);
        PurgeWatch { saved, pause, asked: None, ran: Duration::ZERO }
    }

    /// Looks at the clock. `every` is how long the relay runs between two looks: of a longer time by the clock no more counts.
    pub(super) fn look(&mut self, now: Timestamp, every: Duration) -> Step {
        let ran = self.asked.map_or(Duration::ZERO, |asked| now.since(asked).min(every));
        self.asked = Some(now);
        self.ran += ran;
        let Some(saved) = self.saved else {
            return Step { purge: true, save: (now >= EARLIEST).then(|| self.save(now)) };
        };
        let jumped = now > saved.seen + JUMP;
        if !self.pause.is_zero() {
            self.pause = if jumped { self.pause.saturating_sub(ran) } else { Duration::ZERO };
            if self.pause.is_zero() {
                tracing::info!(event = "purge_resumed", "old records are deleted again");
                return Step { purge: true, save: Some(self.save(now)) };
            }
            let save = (self.ran >= SAVE_EVERY).then(|| self.save(saved.seen));
            return Step { purge: false, save };
        }
        if jumped {
            self.pause = PAUSE;
            tracing::warn!(
                event = "purge_paused",
                saved = saved.seen.rfc3339(),
                now = now.rfc3339(),
                "the clock is more than 30 days past the time that was saved last; no record is deleted for 7 days. Check the machine's date"
            );
            return Step { purge: false, save: Some(self.save(saved.seen)) };
        }
        Step { purge: true, save: (now >= EARLIEST && self.ran >= SAVE_EVERY).then(|| self.save(now)) }
    }

    fn save(&mut self, seen: Timestamp) -> SavedTime {
        let saved = SavedTime { seen, pause: self.pause };
        (self.saved, self.ran) = (Some(saved), Duration::ZERO);
        saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    /// Looks every minute for `long`, and gives what was saved.
    fn run(watch: &mut PurgeWatch, from: Timestamp, long: Duration, purge: bool) -> Vec<SavedTime> {
        let minutes = long.as_secs() / 60;
        let looks = (0..=minutes).map(|n| watch.look(from + MINUTE * n as u32, MINUTE));
        looks.inspect(|step| assert_eq!(step.purge, purge)).filter_map(|step| step.save).collect()
    }

    #[test]
    fn the_time_is_saved_every_hour_of_a_sound_clock() {
        let mut watch = PurgeWatch::new(None);
        let saved = run(&mut watch, NOW, DAY, true);
        assert_eq!((saved.len(), saved[0].seen, saved[24].seen), (25, NOW, NOW + DAY));
        // A clock that was not set yet is not a time to compare with.
        assert_eq!(run(&mut PurgeWatch::new(None), Timestamp::from_millis(0), DAY, true), []);
    }

    #[test]
    fn a_clock_a_year_ahead_purges_nothing_for_seven_days_of_running() {
        let year = NOW + 365 * DAY;
        let mut watch = PurgeWatch::new(Some(SavedTime { seen: NOW, pause: Duration::ZERO }));
        let saved = run(&mut watch, year, 6 * DAY, false);
        assert_eq!(saved[0], SavedTime { seen: NOW, pause: PAUSE });
        // A restart goes on where it was, whatever the clock says meanwhile.
        let left = *saved.last().unwrap();
        assert_eq!((left.seen, left.pause), (NOW, PAUSE - 6 * DAY));
        let mut watch = PurgeWatch::new(Some(left));
        run(&mut watch, year + 90 * DAY, DAY - MINUTE, false);
        let end = watch.look(year + 91 * DAY, MINUTE);
        assert_eq!(end, Step { purge: true, save: Some(SavedTime { seen: year + 91 * DAY, pause: Duration::ZERO }) });
        run(&mut watch, year + 92 * DAY, DAY, true);
    }

    #[test]
    fn a_clock_that_is_put_right_purges_at_once() {
        let mut watch = PurgeWatch::new(Some(SavedTime { seen: NOW, pause: Duration::ZERO }));
        assert!(watch.look(NOW + DAY, MINUTE).purge);
        run(&mut watch, NOW + 400 * DAY, DAY, false);
        assert!(watch.look(NOW + 3 * DAY, MINUTE).purge, "it is within a month of what was saved");
        assert!(watch.look(NOW + 3 * DAY, MINUTE).purge);
    }
}
