//! When an alarm that could not be sent is sent again. Pure; the time is an argument.
//!
//! Not here: what is saved of it over a restart (`account::alarm`). Invariant: at most [`LONGEST`] after the first attempt,
//! and never faster than the table.

use std::time::Duration;

use crate::clock::Timestamp;

/// Whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line, the server, or too many at once.
    Passing,
    /// The settings: wrong URL, wrong form, a room that is gone. Only the operator can mend it.
    Lasting,
}

/// The waits after the first, second ... try; then the last one again and again.
const WAITS: [Duration; 5] = [
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3600),
];

/// An alarm is given up after this: its text is a day old, and the next one comes by itself.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When to try again after `tries` tries, the first of them at `first`; `None`: never.
pub fn next(fault: Fault, tries: u32, first: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let place = (tries.max(1) as usize - 1).min(WAITS.len() - 1);
    let at = now + WAITS[place];
    match fault {
        Fault::Lasting => None,
        Fault::Passing => (at.since(first) <= LONGEST).then_some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_faults_are_tried_for_a_day_and_lasting_ones_once() {
        let first = Timestamp::from_millis(1_795_255_200_000);
        let (mut now, mut waits) = (first, Vec::new());
        while let Some(at) = next(Fault::Passing, waits.len() as u32 + 1, first, now) {
            waits.push(at.since(now).as_secs());
            now = at;
        }
        assert_eq!(waits[..6], [30, 120, 600, 1800, 3600, 3600]);
        assert_eq!(waits.len(), 27);
        assert!(now.since(first) > Duration::from_secs(23 * 3600));
        assert_eq!(next(Fault::Lasting, 1, first, first), None);
    }

    #[test]
    fn a_clock_that_jumps_makes_no_storm() {
        let first = Timestamp::from_millis(1_795_255_200_000);
        let back = first - Duration::from_secs(3600);
        assert_eq!(next(Fault::Passing, 3, first, back), Some(back + Duration::from_secs(600)));
        assert_eq!(next(Fault::Passing, 3, first, first + LONGEST), None);
        assert_eq!(next(Fault::Passing, 0, first, first), Some(first + Duration::from_secs(30)));
    }
}
