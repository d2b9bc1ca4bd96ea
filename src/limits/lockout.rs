//! Wrong passwords by source: each delays the reply (0.25 s to 8 s), and the tenth locks the source out.
//!
//! A leaky bucket for each network of [`Source`]: a wrong password adds one, and time removes them again. A right
//! password removes none, or a client with one password could guess another without a limit. A device that logs in a
//! hundred times a second with the right password is never delayed.
//!
//! Bounded in memory: at most [`MOST_KEYS`] networks; beyond that those with the fewest wrong passwords are forgotten.
//! The time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::source::Source;

/// How many networks are told apart (about 60 octets each).
pub const MOST_KEYS: usize = 10_000;

/// How much is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// This many wrong passwords lock the address out.
    pub most: u32,
    /// The time in which one of them is forgiven.
    pub forgive: Duration,
    /// The answer to the first waits this long, to each further one twice as long.
    pub delay: Duration,
    /// Longer than this no answer waits.
    pub longest: Duration,
    /// This many wrong passwords of one user, from any addresses, and log-ins as that user from new addresses go one
    /// by one ([`user_pace`](super::user_pace)).
    pub most_of_user: u32,
}

impl Default for Patience {
    /// Ten, one forgiven a minute; a quarter of a second, then twice as long, at most eight seconds.
    fn default() -> Patience {
        Patience {
            most: 10,
            forgive: Duration::from_secs(60),
            delay: Duration::from_millis(250),
            longest: Duration::from_secs(8),
            most_of_user: 10,
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

/// Counts wrong passwords by source.
#[derive(Debug)]
pub struct Lockout {
    patience: Patience,
    /// For each network, when all is forgiven. That one number is the whole bucket.
    forgiven: Mutex<HashMap<IpNet, Instant>>,
}

impl Lockout {
    /// No wrong passwords yet.
    pub fn new(patience: Patience) -> Lockout {
        Lockout { patience, forgiven: Mutex::new(HashMap::new()) }
    }

    /// How much is put up with.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether log-ins from `address` are refused at the moment.
    pub fn is_locked(&self, address: IpAddr, now: Instant) -> bool {
        let forgiven = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        let most = |times| self.patience.most.saturating_mul(times);
        Source::of(address).counted().any(|(network, times)| self.count(forgiven.get(&network), now) >= most(times))
    }

    /// Wrong passwords from the network of `address` that are not forgiven yet.
    pub fn wrong(&self, address: IpAddr, now: Instant) -> u32 {
        let forgiven = self.forgiven.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(forgiven.get(&Source::of(address).network), now)
    }

    /// Counts a wrong password. Returns how many are not forgiven of the network of `address`, this one included.
    pub fn failed(&self, address: IpAddr, now: Instant) -> u32 {
        let (source, mut all) = (Source::of(address), self.forgiven.lock().unwrap_or_else(PoisonError::into_inner));
        for (network, _) in source.counted() {
            if all.len() >= MOST_KEYS && !all.contains_key(&network) {
                self.make_room(&mut all, now);
            }
            let until = all.entry(network).or_insert(now);
            *until = (*until).max(now) + self.patience.forgive;
        }
        self.count(all.get(&source.network), now)
    }

    fn count(&self, until: Option<&Instant>, now: Instant) -> u32 {
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let count = left.as_nanos().div_ceil(self.patience.forgive.as_nanos().max(1));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Forgets those that are forgiven; if there are none, a tenth, so that a flood of addresses does not sort at each.
    fn make_room(&self, all: &mut HashMap<IpNet, Instant>, now: Instant) {
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
        // Four networks with ten each: the whole /48 is out, another is not.
        for network in 3..6 {
            for _ in 0..10 {
                lockout.failed(address(&format!("2001:db8:1:{network}::1")), now);
            }
        }
        assert!(lockout.is_locked(address("2001:db8:1:999::"), now));
        assert!(!lockout.is_locked(address("2001:db8:2:999::"), now));
        assert_eq!((lockout.wrong(address("2001:db8:1:3::9"), now), lockout.wrong(address("::1"), now)), (10, 0));
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
