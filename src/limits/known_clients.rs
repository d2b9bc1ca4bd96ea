//! Which clients have sent mail or logged in before: they keep a part of the places, and wait less, while unknown
//! clients flood the listener.
//!
//! Bounded in memory: at most [`MOST_KEYS`] facts, each a hash of 64 bits with a secret key; beyond that the facts that
//! were confirmed longest ago are forgotten. Nothing survives a restart. The time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::rate::MOST_KEYS;
use super::source::Source;

/// What is known of a client's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact<'a> {
    /// A message from it was accepted.
    Sent,
    /// Some user has logged in from it.
    LoggedIn,
    /// This user (a log-in name in lower case) has logged in from it.
    LoggedInAs(&'a str),
}

/// The facts about all clients.
#[derive(Debug, Default)]
pub struct KnownClients {
    secret: RandomState,
    seen: Mutex<HashMap<u64, Instant>>,
}

impl KnownClients {
    /// Remembers a fact about the network of `addr`.
    pub fn note(&self, addr: IpAddr, fact: Fact<'_>, now: Instant) {
        let (key, mut seen) = (self.key(addr, fact), self.seen());
        if seen.len() >= MOST_KEYS && !seen.contains_key(&key) {
            // A tenth at once, so that a flood does not sort at each.
            let mut ages: Vec<Instant> = seen.values().copied().collect();
            ages.sort_unstable();
            let edge = ages[MOST_KEYS / 10];
            seen.retain(|_, last| *last > edge);
        }
        seen.insert(key, now);
    }

    /// Whether the fact is known about the network of `addr`.
    pub fn knows(&self, addr: IpAddr, fact: Fact<'_>) -> bool {
        self.seen().contains_key(&self.key(addr, fact))
    }

    fn key(&self, addr: IpAddr, fact: Fact<'_>) -> u64 {
        self.secret.hash_one((Source::of(addr).network, fact))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        // Each change is one insertion or a whole sweep; a panic cannot leave it half done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn facts_are_kept_apart_and_the_oldest_are_forgotten() {
        let (known, start) = (KnownClients::default(), Instant::now());
        let addr = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        known.note(addr(0), Fact::LoggedInAs("erp"), start);
        assert!(known.knows(addr(0), Fact::LoggedInAs("erp")) && !known.knows(addr(0), Fact::LoggedInAs("scan")));
        assert!(!known.knows(addr(0), Fact::LoggedIn) && !known.knows(addr(1), Fact::LoggedInAs("erp")));
        for n in 1..2 * MOST_KEYS as u32 {
            known.note(addr(n), Fact::Sent, start + Duration::from_millis(n.into()));
        }
        assert!(known.seen().len() <= MOST_KEYS);
        assert!(!known.knows(addr(0), Fact::LoggedInAs("erp")));
        assert!(known.knows(addr(2 * MOST_KEYS as u32 - 1), Fact::Sent));
    }
}
