//! How much: connections, octets in the queue, octets and inodes free on the disk.
//!
//! Asking is cheap and touches no disk: the levels are numbers that others keep up to date ([`Room::set_levels`]).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

use super::Settings;

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

/// What room there is. Clones share the same numbers.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    open: Mutex<Open>,
    queue_bytes: AtomicU64,
    disk_free: AtomicU64,
    inodes_free: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
    /// Connections that wait for a proxy to name their client, by their order of arrival.
    unnamed: BTreeMap<u64, CancellationToken>,
    arrivals: u64,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    client: IpAddr,
}

/// A connection whose client a proxy has still to name. It counts until this is dropped or revoked.
#[derive(Debug)]
pub struct UnnamedPlace {
    room: Room,
    arrival: u64,
    revoked: CancellationToken,
}

impl UnnamedPlace {
    /// Waits until the place has to be given up for a connection that came later.
    pub async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Room {
    /// All room there is: no connection, an empty queue, an empty disk.
    pub fn new(settings: Settings) -> Room {
        Room(Arc::new(Shared {
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
    pub fn enter(&self, client: IpAddr) -> Result<Place, Full> {
        let mut open = self.open();
        if open.total >= self.0.settings.connections {
            return Err(Full::Connections);
        }
        let of_client = open.by_client.entry(client).or_default();
        if *of_client >= self.0.settings.connections_per_client {
            return Err(Full::ConnectionsOfClient);
        }
        *of_client += 1;
        open.total += 1;
        Ok(Place { room: self.clone(), client })
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
        Ok(UnnamedPlace { room: self.clone(), arrival, revoked })
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

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Only counters change under the lock; a panic there cannot leave them half done.
        self.0.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.room.open();
        open.total -= 1;
        if let Some(count) = open.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

impl Drop for UnnamedPlace {
    fn drop(&mut self) {
        let mut open = self.room.open();
        // A place that was revoked is not counted any more.
        if open.unnamed.remove(&self.arrival).is_some() {
            open.total -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room::new(Settings {
            connections: 3,
            connections_per_client: 2,
            queue_size: 1000,
            disk_free: 100,
            ..Settings::unlimited()
        })
    }

    #[test]
    fn places_are_given_back() {
        let (room, a, b) = (room(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = room.enter(a).unwrap();
        let _second = room.enter(a).unwrap();
        assert_eq!(room.enter(a).unwrap_err(), Full::ConnectionsOfClient);
        let _third = room.enter(b).unwrap();
        assert_eq!(room.enter(b).unwrap_err(), Full::Connections);
        drop(first);
        assert!(room.enter(a).is_ok());
        assert_eq!(room.connections(), 2);
        let unnamed = room.enter_unnamed().unwrap();
        assert_eq!(room.enter(b).unwrap_err(), Full::Connections);
        drop(unnamed);
        assert_eq!(room.connections(), 2);
    }

    #[test]
    fn of_too_many_unnamed_connections_the_longest_waiting_loses_its_place() {
        let room = Room::new(Settings { connections: 8, ..Settings::unlimited() });
        let mut waiting: Vec<UnnamedPlace> = (0..2).map(|_| room.enter_unnamed().unwrap()).collect();
        assert!(waiting.iter().all(|place| !place.revoked.is_cancelled()));
        for n in 0..6 {
            waiting.push(room.enter_unnamed().unwrap());
            let revoked: Vec<bool> = waiting.iter().map(|place| place.revoked.is_cancelled()).collect();
            assert_eq!(revoked.iter().filter(|&&one| one).count(), n + 1);
            assert!(revoked[..=n].iter().all(|&one| one), "the oldest first: {revoked:?}");
            assert_eq!(room.connections(), 2);
        }
        let named: Vec<Place> = (1..=6).map(|n| room.enter([10, 0, 0, n].into()).unwrap()).collect();
        assert_eq!(room.enter([10, 0, 0, 9].into()).unwrap_err(), Full::Connections);
        drop(waiting);
        assert_eq!(room.connections(), 6);
        drop(named);
        assert_eq!(room.connections(), 0);
    }

    #[test]
    fn space_counts_what_is_announced() {
        let room = room();
        assert_eq!(room.has_space(1000), Ok(()));
        assert_eq!(room.has_space(1001), Err(Full::Queue));
        let levels = Levels { queue_bytes: 0, disk_free: 150, inodes_free: INODES_FREE };
        room.set_levels(levels);
        assert_eq!((room.has_space(50), room.has_space(51)), (Ok(()), Err(Full::Disk)));
        room.set_levels(Levels { inodes_free: INODES_FREE - 1, ..levels });
        assert_eq!(room.has_space(0), Err(Full::Inodes));
    }
}
