//! Guessed passwords: who has guessed wrong how often, how long the next answer waits, and who is not heard any more
//!
//!
//! A leaky bucket for each address: a wrong password is one more, and one is forgiven from time to time. A right password
//! forgives nothing, or whoever has one could guess another for ever; but where nobody guesses, a device that logs in a
//! hundred times a second is never in the way of itself.
//!
//! Bounded in memory: at most [`MOST_KEYS`] addresses; beyond that those go first that are forgiven first. An IPv6
//! address counts with its whole /64, which is what one customer is given (RFC 6177). Time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mail::network_of;

/// How many addresses are told apart (about 60 octets each).
pub const MOST_KEYS: usize = 10_000;

/// How much is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So many wrong passwords, and the address is locked out.
    pub most: u32,
    /// In this time one of them is forgiven.
    pub forgive: Duration,
    /// The answer to the first waits this long, to each further one twice as long.
    pub delay: Duration,
    /// Longer than this no answer waits.
    pub longest: Duration,
}

impl Default for Patience {
    /// Ten, one forgiven a minute; a quarter of a second, then twice as long, at most eight seconds.
    fn default() -> Patience {
        Patience {
            most: 10,
            forgive: Duration::from_secs(60),
            delay: Duration::from_millis(250),
            longest: Duration::from_secs(8),
        }
    }
}

impl Patience {
    /// How long the answer to wrong password number `count` waits, counted from 1.
    pub fn wait(&self, count: u32) -> Duration {
        let factor = 1_u32.checked_shl(count.saturating_sub(1)).unwrap_or(u32::MAX);
        self.delay.saturating_mul(factor).min(self.longest)
    }
}

/// Counts wrong passwords by address.
#[derive(Debug)]
pub struct Lockout {
    patience: Patience,
    /// For each address, when all is forgiven. That one number is the whole bucket.
    forgiven: Mutex<HashMap<IpAddr, Instant>>,
}

impl Lockout {
    /// Nobody has guessed yet.
    pub fn new(patience: Patience) -> Lockout {
        Lockout { patience, forgiven: Mutex::new(HashMap::new()) }
    }

    /// How much is put up with.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether `address` is not heard at the moment.
    pub fn is_locked(&self, address: IpAddr, now: Instant) -> bool {
        let forgiven = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(forgiven.get(&network_of(address)), now) >= self.patience.most
    }

    /// Notes a wrong password; tells the how many-th it was of those that are not forgiven.
    pub fn failed(&self, address: IpAddr, now: Instant) -> u32 {
        let mut all = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network_of(address);
        if all.len() >= MOST_KEYS && !all.contains_key(&key) {
            self.make_room(&mut all, now);
        }
        let until = all.entry(key).or_insert(now);
        *until = (*until).max(now) + self.patience.forgive;
        self.count(Some(until), now)
    }

    fn count(&self, until: Option<&Instant>, now: Instant) -> u32 {
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let count = left.as_nanos().div_ceil(self.patience.forgive.as_nanos().max(1));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Forgets those that are forgiven; if there are none, a tenth, so that a flood of addresses does not sort at each.
    fn make_room(&self, all: &mut HashMap<IpAddr, Instant>, now: Instant) {
        all.retain(|_, until| *until > now);
        if all.len() < MOST_KEYS {
            return;
        }
        let mut ends: Vec<Instant> = all.values().copied().collect();
        ends.sort_unstable();
        let edge = ends[MOST_KEYS / 10];
        all.retain(|_, until| *until > edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_059_ten_wrong_passwords_lock_an_address_and_a_minute_forgives_one() {
        let (lockout, start) = (Lockout::new(Patience::default()), Instant::now());
        let (guesser, neighbour) = (address("192.0.2.1"), address("192.0.2.2"));
        for count in 1..=10 {
            assert!(!lockout.is_locked(guesser, start));
            assert_eq!(lockout.failed(guesser, start), count);
        }
        assert!(lockout.is_locked(guesser, start) && !lockout.is_locked(neighbour, start));
        assert!(lockout.is_locked(guesser, start + MINUTE - Duration::from_secs(1)));
        assert!(!lockout.is_locked(guesser, start + MINUTE));
        assert_eq!(lockout.failed(guesser, start + MINUTE), 10);
        assert_eq!(lockout.failed(guesser, start + 20 * MINUTE), 1);
    }

    #[test]
    fn answers_wait_longer_and_longer_but_not_for_ever() {
        let patience = Patience::default();
        let waits: Vec<u128> = (1..=7).map(|count| patience.wait(count).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000]);
        assert_eq!(patience.wait(u32::MAX), patience.longest);
    }

    #[test]
    fn a_customer_with_many_addresses_is_one() {
        let (lockout, now) = (Lockout::new(Patience::default()), Instant::now());
        for last in 0..10 {
            lockout.failed(address(&format!("2001:db8:1:2::{last}")), now);
        }
        assert!(lockout.is_locked(address("2001:db8:1:2:ffff::"), now));
        assert!(!lockout.is_locked(address("2001:db8:1:3::"), now));
        for _ in 0..10 {
            lockout.failed(address("::ffff:192.0.2.1"), now);
        }
        assert!(lockout.is_locked(address("192.0.2.1"), now));
    }

    #[test]
    fn memory_is_bounded_and_those_with_most_guesses_are_kept() {
        let (lockout, now) = (Lockout::new(Patience::default()), Instant::now());
        for _ in 0..10 {
            lockout.failed(address("192.0.2.1"), now);
        }
        for n in 0..2 * MOST_KEYS as u32 {
            lockout.failed(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), now);
        }
        assert!(lockout.forgiven.lock().unwrap().len() <= MOST_KEYS);
        assert!(lockout.is_locked(address("192.0.2.1"), now));
    }
}
