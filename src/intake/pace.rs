//! How long a client may still take: one deadline for a command, and one that moves with the octets of a message.
//!
//! A message earns its time: the deadline is as far ahead as the settings say when DATA begins, each octet moves it on
//! by what it may take at the least rate, and never further than where it began. So a pause of that length is borne
//! at any time, and a client that drips octets to stay here for ever is gone a little after it (RFC 5321 section
//! 4.5.3.2 asks for minutes between blocks, not for octets).

use std::time::Duration;

use tokio::time::Instant;

use super::settings::Deadlines;

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    deadlines: Deadlines,
    command: Instant,
    data: Option<Instant>,
}

impl Pace {
    pub(super) fn new(deadlines: Deadlines, now: Instant) -> Pace {
        Pace { deadlines, command: now + deadlines.command, data: None }
    }

    /// A command was answered: the next one may take its time.
    pub(super) fn answered(&mut self, now: Instant) {
        self.command = now + self.deadlines.command;
    }

    /// A message is complete: the next one begins anew, even when its commands came with this one.
    pub(super) fn message_over(&mut self) {
        self.data = None;
    }

    /// Until when the next octets must come; `in_data`: they are those of a message.
    pub(super) fn limit(&mut self, in_data: bool, now: Instant) -> Instant {
        if !in_data {
            self.data = None;
            return self.command;
        }
        *self.data.get_or_insert(now + self.deadlines.data)
    }

    /// So many octets of a message came.
    pub(super) fn came(&mut self, octets: usize, now: Instant) {
        let Some(data) = &mut self.data else { return };
        let earned = octets as u64 * 1_000_000 / u64::from(self.deadlines.rate.max(1));
        *data = (*data + Duration::from_micros(earned)).min(now + self.deadlines.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(now: Instant) -> Pace {
        Pace::new(Deadlines { command: 300 * SECOND, data: 180 * SECOND, rate: 100, ..Deadlines::default() }, now)
    }

    /// How long a client stays that sends `octets` every `gap`, an hour at most.
    fn stays(octets: usize, gap: Duration) -> Duration {
        let begin = Instant::now();
        let (mut pace, mut now) = (pace(begin), begin);
        while now < begin + 3600 * SECOND {
            let limit = pace.limit(true, now);
            if limit < now + gap {
                return limit - begin;
            }
            now += gap;
            pace.came(octets, now);
        }
        now - begin
    }

    #[test]
    fn a_drip_of_octets_buys_hardly_any_time() {
        assert!(stays(1, SECOND) < 190 * SECOND);
        assert!(stays(1, 30 * SECOND) < 181 * SECOND);
        assert!(stays(50, SECOND) < 361 * SECOND);
        // The least rate, and 9600 baud, for as long as it takes.
        assert!(stays(100, SECOND) >= 3600 * SECOND);
        assert!(stays(960, SECOND) >= 3600 * SECOND);
        // A block now and then, with long pauses.
        assert!(stays(20_000, 179 * SECOND) >= 3600 * SECOND);
        assert!(stays(20_000, 181 * SECOND) == 180 * SECOND);
    }

    #[test]
    fn a_burst_is_no_credit_for_a_longer_pause_and_commands_begin_anew() {
        let now = Instant::now();
        let mut pace = pace(now);
        assert_eq!(pace.limit(true, now), now + 180 * SECOND);
        pace.came(100_000_000, now);
        assert_eq!(pace.limit(true, now), now + 180 * SECOND);
        assert_eq!(pace.limit(false, now), now + 300 * SECOND);
        pace.answered(now + 7 * SECOND);
        assert_eq!(pace.limit(false, now + 9 * SECOND), now + 307 * SECOND);
        assert_eq!(pace.limit(true, now + 9 * SECOND), now + 189 * SECOND);
        pace.message_over();
        assert_eq!(pace.limit(true, now + 20 * SECOND), now + 200 * SECOND);
    }
}
