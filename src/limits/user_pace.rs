//! Guesses of one user's password from many addresses: after ten wrong ones, log-ins as that user go one by one.
//!
//! The limit by address (`lockout`) does not see ten thousand addresses with one guess each. So wrong passwords are
//! counted by log-in name too, whether there is such a user or not. Beyond the limit that are not forgiven, each
//! further log-in waits for its turn, one each [`SPACING`]; one that would wait longer than [`LONGEST`] is refused for
//! now, without a look at its password. The caller asks only for addresses from which the user has not logged in
//! before: those are never delayed here, so guesses lock no client out that works today.
//!
//! Bounded in memory: at most [`MOST_KEYS`] names, by a hash with a secret key; further names share one turn. The time
//! is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate::MOST_KEYS;

/// From one delayed log-in to the next; also the time in which one wrong password is forgiven.
pub const SPACING: Duration = Duration::from_secs(6);
/// The longest wait. Clients wait 5 minutes for a reply (RFC 5321 section 4.5.3.2), but printers less.
pub const LONGEST: Duration = Duration::from_secs(30);

/// When and whether a log-in is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once. Counts only if the password is wrong.
    Now,
    /// After this time. It is counted already, until [`UserPace::right`].
    After(Duration),
    /// Not now: too many others wait. Nothing was counted.
    Refused,
}

/// Wrong passwords by user.
#[derive(Debug)]
pub struct UserPace {
    /// Wrong passwords of one user that delay nothing.
    most: u32,
    secret: RandomState,
    /// For each name, when all is forgiven; `None` is shared by those without a place.
    forgiven: Mutex<HashMap<Option<u64>, Instant>>,
}

impl UserPace {
    /// No wrong passwords yet; `most` of one user delay nothing.
    pub fn new(most: u32) -> UserPace {
        UserPace { most, secret: RandomState::new(), forgiven: Mutex::default() }
    }

    /// Asks for a log-in as `login` (in lower case).
    pub fn turn(&self, login: &str, now: Instant) -> Turn {
        let mut all = self.all();
        let key = self.key(&all, login);
        let ahead = all.get(&key).map_or(Duration::ZERO, |forgiven| forgiven.saturating_duration_since(now));
        let Some(wait) = ahead.checked_sub(SPACING * self.most.saturating_sub(1)).filter(|wait| !wait.is_zero()) else {
            return Turn::Now;
        };
        if wait > LONGEST {
            return Turn::Refused;
        }
        self.add(&mut all, key, now);
        Turn::After(wait)
    }

    /// The password was wrong.
    pub fn wrong(&self, login: &str, turn: Turn, now: Instant) {
        if turn == Turn::Now {
            let mut all = self.all();
            let key = self.key(&all, login);
            self.add(&mut all, key, now);
        }
    }

    /// The password was right: the log-in does not count.
    pub fn right(&self, login: &str, turn: Turn) {
        if let Turn::After(_) = turn {
            let mut all = self.all();
            let key = self.key(&all, login);
            if let Some(forgiven) = all.get_mut(&key) {
                *forgiven = forgiven.checked_sub(SPACING).unwrap_or(*forgiven);
            }
        }
    }

    /// Counts one more. Guesses that run beside each other may all have had [`Turn::Now`]: they delay later ones by
    /// twice the longest wait at most.
    fn add(&self, all: &mut HashMap<Option<u64>, Instant>, key: Option<u64>, now: Instant) {
        if all.len() >= MOST_KEYS {
            all.retain(|_, forgiven| *forgiven > now);
        }
        let most = now + SPACING * self.most + 2 * LONGEST;
        let forgiven = all.entry(key).or_insert(now);
        *forgiven = ((*forgiven).max(now) + SPACING).min(most);
    }

    fn key(&self, all: &HashMap<Option<u64>, Instant>, login: &str) -> Option<u64> {
        let key = Some(self.secret.hash_one(login));
        if all.len() < MOST_KEYS || all.contains_key(&key) { key } else { None }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Option<u64>, Instant>> {
        // Each change is one insertion or one number; a panic cannot leave it half done.
        self.forgiven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 10;

    #[test]
    fn after_ten_wrong_passwords_log_ins_as_that_user_go_one_by_one() {
        let (pace, start) = (UserPace::new(BURST), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.turn("erp", start), Turn::Now);
            pace.wrong("erp", Turn::Now, start);
        }
        let turns: Vec<Turn> = (0..7).map(|_| pace.turn("erp", start)).collect();
        let after = |n| Turn::After(SPACING * n);
        assert_eq!(turns, [after(1), after(2), after(3), after(4), after(5), Turn::Refused, Turn::Refused]);
        // Others are not delayed; and what is forgiven makes place again.
        assert_eq!(pace.turn("scanner", start), Turn::Now);
        assert_eq!(pace.turn("erp", start + SPACING), after(5));
        assert_eq!(pace.turn("erp", start + SPACING * 40), Turn::Now);
    }

    #[test]
    fn right_passwords_count_nothing() {
        let (pace, start) = (UserPace::new(BURST), Instant::now());
        for _ in 0..100 {
            assert_eq!(pace.turn("erp", start), Turn::Now);
            pace.right("erp", Turn::Now);
        }
        (0..BURST).for_each(|_| pace.wrong("erp", Turn::Now, start));
        for _ in 0..20 {
            let turn = pace.turn("erp", start);
            assert_eq!(turn, Turn::After(SPACING));
            pace.right("erp", turn);
        }
    }

    #[test]
    fn memory_is_bounded_and_guesses_side_by_side_delay_by_a_bounded_time() {
        let (pace, start) = (UserPace::new(BURST), Instant::now());
        (0..2 * MOST_KEYS).for_each(|n| pace.wrong(&n.to_string(), Turn::Now, start));
        assert!(pace.all().len() <= MOST_KEYS + 1);
        (0..1000).for_each(|_| pace.wrong("1", Turn::Now, start));
        assert_eq!(pace.turn("1", start), Turn::Refused);
        assert_ne!(pace.turn("1", start + 2 * LONGEST), Turn::Refused);
    }
}
