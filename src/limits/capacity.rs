//! Capacity of the relay: connections, octets in the queue, octets and inodes free on the disk.
//!
//! A flood of connections must leave places for the clients that send mail every day:
//!
//! ```text
//!  all clients       connections, the last tenth for clients that have sent before and hold few
//!  one source        connections_per_client (an IPv6 /48: four times that)
//!  unlisted clients  100 that are not logged in yet, the last tenth for networks that logged in before;
//!                    from the half on a new one is refused by chance, with a rising probability; ten of one source
//! ```
//!
//! A check is cheap and touches no disk: the levels are numbers that other parts keep up to date
//! ([`Capacity::set_levels`]).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::LimitSettings;
use super::source::Source;

/// Which limit is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// As many connections as the settings allow are open.
    #[error("too many connections")]
    Connections,
    /// This client has as many connections open as it may.
    #[error("too many connections from this client")]
    ConnectionsOfClient,
    /// The queue holds as many octets as it may.
    #[error("the queue is full")]
    Queue,
    /// The disk has less free than must stay free.
    #[error("the disk is nearly full")]
    Disk,
    /// The disk can hold hardly any more files, however small.
    #[error("the disk has no inodes left")]
    Inodes,
}

/// So many files must still find a place on the disk: a message is one at most, the rest is for the queue itself.
const INODES_FREE: u64 = 1000;

/// This part of all connections (one in four) may wait for a proxy to name the client.
const UNNAMED_PART: usize = 4;

/// How many clients in no allowed network may be connected without being logged in.
pub const MOST_UNLISTED: usize = 100;
/// How many of these may come from one source.
pub const MOST_UNLISTED_OF_SOURCE: usize = MOST_UNLISTED / RESERVED_PART;
/// Beyond this many, an unknown one is refused by chance: the probability rises from 0 here to 1 where the reserve begins.
const EARLY_DROP: usize = MOST_UNLISTED / 2;
/// This part of the places (one in ten) is kept for clients that have sent or logged in before.
const RESERVED_PART: usize = 10;

/// What is measured elsewhere, from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Octets of all messages in the queue that are not final.
    pub queue_bytes: u64,
    /// Octets free on its disk.
    pub disk_free: u64,
    /// Inodes free on its disk; `u64::MAX` where the file system does not count them.
    pub inodes_free: u64,
}

impl Full {
    /// The label of this limit in `yizhan_refused_total`.
    pub const fn reason(self) -> &'static str {
        match self {
            Full::Connections => "connections",
            Full::ConnectionsOfClient => "connections_per_client",
            Full::Queue => "queue_size",
            Full::Disk => "disk_free",
            Full::Inodes => "inodes_free",
        }
    }
}

/// What is known of a client that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is in an allowed network; otherwise it must log in.
    pub listed: bool,
    /// Mail from its network was accepted before, or a user logged in from there.
    pub known: bool,
}

/// All places and levels. Clones share the same numbers.
#[derive(Clone, Debug)]
pub struct Capacity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: LimitSettings,
    open: Mutex<Open>,
    queue_bytes: AtomicU64,
    disk_free: AtomicU64,
    inodes_free: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<IpNet, usize>,
    /// Connections in no allowed network that are not logged in.
    unlisted: usize,
    unlisted_by_network: HashMap<IpNet, usize>,
    /// Makes the refusals by chance unpredictable.
    chance: RandomState,
    /// Connections that wait for a proxy to name their client, by their order of arrival.
    unnamed: BTreeMap<u64, CancellationToken>,
    arrivals: u64,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub struct Place {
    capacity: Capacity,
    source: Source,
    unlisted: bool,
}

impl Place {
    /// Whether its client still has to log in.
    pub fn is_unlisted(&self) -> bool {
        self.unlisted
    }

    /// The client has logged in: it counts among the unlisted clients no longer.
    pub fn logged_in(&mut self) {
        if std::mem::take(&mut self.unlisted) {
            self.capacity.open().leave_unlisted(self.source);
        }
    }
}

/// A connection whose client a proxy has still to name. It counts until this is dropped or revoked.
#[derive(Debug)]
pub struct UnnamedPlace {
    capacity: Capacity,
    arrival: u64,
    revoked: CancellationToken,
}

impl UnnamedPlace {
    /// Waits until the place has to be given up for a connection that came later.
    pub async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Capacity {
    /// All room there is: no connection, an empty queue, an empty disk.
    pub fn new(settings: LimitSettings) -> Capacity {
        Capacity(Arc::new(Shared {
            settings,
            open: Mutex::default(),
            queue_bytes: AtomicU64::new(0),
            disk_free: AtomicU64::new(u64::MAX),
            inodes_free: AtomicU64::new(u64::MAX),
        }))
    }

    /// Counts a connection from `client`.
    ///
    /// # Errors
    /// [`Full::Connections`] or [`Full::ConnectionsOfClient`]: it is not counted.
    pub fn enter(&self, client: IpAddr, standing: Standing) -> Result<Place, Full> {
        let (source, settings, mut open) = (Source::of(client), &self.0.settings, self.open());
        open.arrivals += 1;
        open.has_place(source, settings, standing.known)?;
        if !standing.listed {
            open.has_unlisted_place(source, standing.known)?;
            open.unlisted += 1;
            add(&mut open.unlisted_by_network, source);
        }
        open.total += 1;
        add(&mut open.by_network, source);
        Ok(Place { capacity: self.clone(), source, unlisted: !standing.listed })
    }

    /// Counts a connection whose client is not known yet: a proxy is about to name it.
    ///
    /// At most a quarter of all connections wait like this. A header comes with its connection, so where more wait than
    /// that, the place of the one that has waited longest is revoked ([`UnnamedPlace::revoked`]).
    ///
    /// # Errors
    /// [`Full::Connections`]: it is not counted.
    pub fn enter_unnamed(&self) -> Result<UnnamedPlace, Full> {
        let mut open = self.open();
        if open.unnamed.len() >= (self.0.settings.connections / UNNAMED_PART).max(1)
            && let Some((_, longest)) = open.unnamed.pop_first()
        {
            open.total -= 1;
            longest.cancel();
        }
        if open.total >= self.0.settings.connections {
            return Err(Full::Connections);
        }
        open.total += 1;
        open.arrivals += 1;
        let (arrival, revoked) = (open.arrivals, CancellationToken::new());
        open.unnamed.insert(arrival, revoked.clone());
        Ok(UnnamedPlace { capacity: self.clone(), arrival, revoked })
    }

    /// Whether a message of `size` octets (0 when not known) may come in.
    ///
    /// # Errors
    /// [`Full::Queue`], [`Full::Disk`] or [`Full::Inodes`].
    pub fn has_space(&self, size: u64) -> Result<(), Full> {
        let queued = self.0.queue_bytes.load(Ordering::Relaxed);
        if queued.saturating_add(size) > self.0.settings.queue_size {
            return Err(Full::Queue);
        }
        let free = self.0.disk_free.load(Ordering::Relaxed);
        if free < self.0.settings.disk_free.saturating_add(size) {
            return Err(Full::Disk);
        }
        if self.0.inodes_free.load(Ordering::Relaxed) < INODES_FREE {
            return Err(Full::Inodes);
        }
        Ok(())
    }

    /// Tells the levels that were measured.
    pub fn set_levels(&self, levels: Levels) {
        self.0.queue_bytes.store(levels.queue_bytes, Ordering::Relaxed);
        self.0.disk_free.store(levels.disk_free, Ordering::Relaxed);
        self.0.inodes_free.store(levels.inodes_free, Ordering::Relaxed);
    }

    /// Octets free on the disk, as measured last; `None` before the first measurement, and where the system does not say.
    pub fn disk_free(&self) -> Option<u64> {
        Some(self.0.disk_free.load(Ordering::Relaxed)).filter(|&free| free < u64::MAX)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Only counters change under the lock; a panic there cannot leave them half done.
        self.0.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Open {
    fn has_place(&self, source: Source, settings: &LimitSettings, known: bool) -> Result<(), Full> {
        let of_client = settings.connections_per_client;
        if !has_fewer(&self.by_network, source, of_client) {
            return Err(Full::ConnectionsOfClient);
        }
        // A known client that floods takes nothing of the reserve.
        let reserve = known && has_fewer(&self.by_network, source, (of_client / RESERVED_PART).max(1));
        let kept = if reserve { 0 } else { settings.connections / RESERVED_PART };
        (self.total < settings.connections - kept).then_some(()).ok_or(Full::Connections)
    }

    fn has_unlisted_place(&self, source: Source, known: bool) -> Result<(), Full> {
        if !has_fewer(&self.unlisted_by_network, source, MOST_UNLISTED_OF_SOURCE) {
            return Err(Full::ConnectionsOfClient);
        }
        let draw = self.chance.hash_one(self.arrivals);
        let refused = if known { self.unlisted >= MOST_UNLISTED } else { drops_early(self.unlisted, draw) };
        (!refused).then_some(()).ok_or(Full::Connections)
    }

    fn leave_unlisted(&mut self, source: Source) {
        self.unlisted -= 1;
        remove(&mut self.unlisted_by_network, source);
    }
}

/// Whether an unknown unlisted client is refused while `taken` places are taken. `draw` is random.
fn drops_early(taken: usize, draw: u64) -> bool {
    let span = MOST_UNLISTED - MOST_UNLISTED / RESERVED_PART - EARLY_DROP;
    taken >= EARLY_DROP && draw % (span as u64) < (taken - EARLY_DROP) as u64
}

fn has_fewer(counts: &HashMap<IpNet, usize>, source: Source, most: usize) -> bool {
    let count = |network| counts.get(&network).copied().unwrap_or(0);
    source.counted().all(|(network, times)| count(network) < most.saturating_mul(times as usize))
}

fn add(counts: &mut HashMap<IpNet, usize>, source: Source) {
    source.counted().for_each(|(network, _)| *counts.entry(network).or_default() += 1);
}

fn remove(counts: &mut HashMap<IpNet, usize>, source: Source) {
    for (network, _) in source.counted() {
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.capacity.open();
        open.total -= 1;
        remove(&mut open.by_network, self.source);
        if self.unlisted {
            open.leave_unlisted(self.source);
        }
    }
}

impl Drop for UnnamedPlace {
    fn drop(&mut self) {
        let mut open = self.capacity.open();
        // A place that was revoked is not counted any more.
        if open.unnamed.remove(&self.arrival).is_some() {
            open.total -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: Standing = Standing { listed: true, known: false };
    const UNLISTED: Standing = Standing { listed: false, known: false };

    fn capacity() -> Capacity {
        Capacity::new(LimitSettings {
            connections: 3,
            connections_per_client: 2,
            queue_size: 1000,
            disk_free: 100,
            ..LimitSettings::unlimited()
        })
    }

    #[test]
    fn places_are_given_back() {
        let (capacity, a, b) = (capacity(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = capacity.enter(a, LISTED).unwrap();
        let _second = capacity.enter(a, LISTED).unwrap();
        assert_eq!(capacity.enter(a, LISTED).unwrap_err(), Full::ConnectionsOfClient);
        let _third = capacity.enter(b, LISTED).unwrap();
        assert_eq!(capacity.enter(b, LISTED).unwrap_err(), Full::Connections);
        drop(first);
        assert!(capacity.enter(a, LISTED).is_ok());
        assert_eq!(capacity.connections(), 2);
        let unnamed = capacity.enter_unnamed().unwrap();
        assert_eq!(capacity.enter(b, LISTED).unwrap_err(), Full::Connections);
        drop(unnamed);
        assert_eq!(capacity.connections(), 2);
    }

    #[test]
    fn of_too_many_unnamed_connections_the_longest_waiting_loses_its_place() {
        let capacity = Capacity::new(LimitSettings { connections: 8, ..LimitSettings::unlimited() });
        let mut waiting: Vec<UnnamedPlace> = (0..2).map(|_| capacity.enter_unnamed().unwrap()).collect();
        assert!(waiting.iter().all(|place| !place.revoked.is_cancelled()));
        for n in 0..6 {
            waiting.push(capacity.enter_unnamed().unwrap());
            let revoked: Vec<bool> = waiting.iter().map(|place| place.revoked.is_cancelled()).collect();
            assert_eq!(revoked.iter().filter(|&&one| one).count(), n + 1);
            assert!(revoked[..=n].iter().all(|&one| one), "the oldest first: {revoked:?}");
            assert_eq!(capacity.connections(), 2);
        }
        let named: Vec<Place> = (1..=6).map(|n| capacity.enter([10, 0, 0, n].into(), LISTED).unwrap()).collect();
        assert_eq!(capacity.enter([10, 0, 0, 9].into(), LISTED).unwrap_err(), Full::Connections);
        drop(waiting);
        assert_eq!(capacity.connections(), 6);
        drop(named);
        assert_eq!(capacity.connections(), 0);
    }

    #[test]
    fn space_counts_what_is_announced() {
        let capacity = capacity();
        assert_eq!(capacity.has_space(1000), Ok(()));
        assert_eq!(capacity.has_space(1001), Err(Full::Queue));
        let levels = Levels { queue_bytes: 0, disk_free: 150, inodes_free: INODES_FREE };
        capacity.set_levels(levels);
        assert_eq!((capacity.has_space(50), capacity.has_space(51)), (Ok(()), Err(Full::Disk)));
        capacity.set_levels(Levels { inodes_free: INODES_FREE - 1, ..levels });
        assert_eq!(capacity.has_space(0), Err(Full::Inodes));
    }
    #[test]
    fn ten_networks_cannot_take_the_places_of_clients_that_have_sent_before() {
        let settings = LimitSettings { connections: 500, connections_per_client: 50, ..LimitSettings::unlimited() };
        let capacity = Capacity::new(settings);
        let known = Standing { known: true, ..LISTED };
        let taken = |n: u8, standing| (0..60).map_while(move |_| capacity.enter([10, 0, 0, n].into(), standing).ok());
        let mut flood: Vec<Place> = (1..=10).flat_map(|n| taken.clone()(n, LISTED)).collect();
        assert_eq!(flood.len(), 450);
        // Those of the flood that have sent before have no more than the others.
        assert_eq!(taken.clone()(1, known).count(), 0);
        let few: Vec<Place> = taken.clone()(20, known).collect();
        assert_eq!(few.len(), 5);
        flood.extend((21..40).flat_map(|n| taken.clone()(n, known)));
        assert_eq!(flood.len() + few.len(), 500);
    }

    #[test]
    fn a_site_counts_as_four_networks() {
        let capacity = Capacity::new(LimitSettings { connections_per_client: 3, ..LimitSettings::unlimited() });
        let from = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 1, network, 0, 0, 0, host]);
        let within: Vec<Place> = (0..9).filter_map(|host| capacity.enter(from(1, host), LISTED).ok()).collect();
        assert_eq!(within.len(), 3);
        let others: Vec<Place> = (2..99).filter_map(|network| capacity.enter(from(network, 1), LISTED).ok()).collect();
        assert_eq!(others.len(), 9);
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]);
        assert!(capacity.enter(elsewhere, LISTED).is_ok());
    }

    #[test]
    fn few_addresses_cannot_take_the_places_of_unlisted_clients() {
        let capacity = Capacity::new(LimitSettings::unlimited());
        let known = Standing { known: true, ..UNLISTED };
        let taken = |n: u8, standing: Standing| -> Vec<Place> {
            (0..200).filter_map(|_| capacity.enter([192, 0, 2, n].into(), standing).ok()).collect()
        };
        let mut flood: Vec<Vec<Place>> = vec![taken(1, UNLISTED), taken(2, UNLISTED)];
        assert_eq!(flood.iter().map(Vec::len).sum::<usize>(), 2 * MOST_UNLISTED_OF_SOURCE);
        // However many come, those that logged in before find a place.
        flood.extend((3..200).map(|n| taken(n, UNLISTED)));
        assert_eq!(flood.iter().map(Vec::len).sum::<usize>(), MOST_UNLISTED - MOST_UNLISTED / RESERVED_PART);
        let mut friends = taken(250, known);
        assert_eq!(friends.len(), MOST_UNLISTED / RESERVED_PART);
        assert!(taken(251, known).is_empty() && capacity.enter([10, 0, 0, 1].into(), LISTED).is_ok());
        // A client that has logged in gives its place among them back.
        friends[0].logged_in();
        friends[0].logged_in();
        assert_eq!((friends[0].is_unlisted(), taken(251, known).len()), (false, 1));
        drop((flood, friends));
        assert_eq!((capacity.connections(), capacity.open().unlisted), (0, 0));
        assert!(capacity.open().by_network.is_empty() && capacity.open().unlisted_by_network.is_empty());
    }

    #[test]
    fn the_chance_of_an_early_refusal_rises_from_the_half_on() {
        let refused = |taken| (0..1000).filter(|draw| drops_early(taken, *draw)).count();
        assert_eq!((refused(0), refused(EARLY_DROP)), (0, 0));
        assert_eq!((refused(EARLY_DROP + 1), refused(EARLY_DROP + 20)), (25, 500));
        assert_eq!((refused(MOST_UNLISTED - 10), refused(MOST_UNLISTED)), (1000, 1000));
    }
}
