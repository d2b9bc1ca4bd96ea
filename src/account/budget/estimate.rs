//! When may a message be expected to go? The windows, run forward. Pure.
//!
//! Each recipient ahead is taken for a message of its own, and nothing else is thought to be sent meanwhile: late rather
//! than early where messages have several recipients, early where mail of a more urgent lane comes in between.
//! Within [`STEPS`] openings the answer is what the windows would do, to the second; beyond, the slowest window is
//! drawn out as a straight line, and the error is up to one length of that window either way.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Lane;

use super::{Budget, SENDING, Spent, Unit, Window};
use crate::account::lane::share;

/// So many openings are looked at.
const STEPS: usize = 256;

impl Budget {
    /// How many messages of one recipient each this lane may send now.
    pub fn messages_left(&mut self, lane: Lane, now: Timestamp) -> u32 {
        match self.opens(lane, now) {
            Some(_) => 0,
            // Patience opens the reserve for one.
            None => self.room(Unit::Messages, lane).min(self.room(Unit::Recipients, lane)).max(1),
        }
    }

    /// When a message of this lane is expected to leave that has `ahead` recipients before it, at the earliest `now`.
    /// An estimate for people; costs about a tenth of a millisecond at worst.
    pub fn when(&mut self, lane: Lane, ahead: u64, now: Timestamp) -> Timestamp {
        self.turn(now);
        let (mut trial, mut at, mut ahead) = (self.clone(), now, ahead);
        for _ in 0..STEPS {
            match trial.opening(&SENDING, lane, at) {
                Some(closing) => at = closing.until,
                None => {
                    let room = trial.room(Unit::Messages, lane).min(trial.room(Unit::Recipients, lane));
                    if u64::from(room) > ahead {
                        return at;
                    }
                    trial.spend(at, &Spent { messages: room, recipients: room, logins: 0 }, at);
                    ahead -= u64::from(room);
                }
            }
            trial.turn(at);
        }
        at + trial.beyond(lane, ahead)
    }

    /// How long `ahead` recipients take at the pace of the slowest window.
    fn beyond(&self, lane: Lane, ahead: u64) -> Duration {
        let mut longest = Duration::ZERO;
        for unit in SENDING {
            for window in Window::ALL {
                let Some(limit) = self.limit(unit, window) else { continue };
                let cap = share(lane, limit);
                let room = cap.saturating_sub(self.tracks[window as usize].used().of(unit));
                let rest = ahead.saturating_sub(u64::from(room));
                let length = window.length() + self.tracks[window as usize].grain();
                let millis = length.as_millis().saturating_mul(u128::from(rest)) / u128::from(cap.max(1));
                longest = longest.max(Duration::from_millis(millis.min(u128::from(u64::MAX)) as u64));
            }
        }
        longest
    }
}
