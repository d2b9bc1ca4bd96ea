//! How much: connections, octets in the queue, octets free on the disk.
//!
//! Asking is cheap and touches no disk: the levels are numbers that others keep up to date ([`Room::set_levels`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

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
}

impl Full {
    /// The label of this limit in `yizhan_refused_total`.
    pub const fn reason(self) -> &'static str {
        match self {
            Full::Connections => "connections",
            Full::ConnectionsOfClient => "connections_per_client",
            Full::Queue => "queue_size",
            Full::Disk => "disk_free",
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
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    client: IpAddr,
}

impl Room {
    /// All room there is: no connection, an empty queue, an empty disk.
    pub fn new(settings: Settings) -> Room {
        Room(Arc::new(Shared {
            settings,
            open: Mutex::default(),
            queue_bytes: AtomicU64::new(0),
            disk_free: AtomicU64::new(u64::MAX),
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

    /// Whether a message of `size` octets (0 when not known) may come in.
    ///
    /// # Errors
    /// [`Full::Queue`] or [`Full::Disk`].
    pub fn has_space(&self, size: u64) -> Result<(), Full> {
        let queued = self.0.queue_bytes.load(Ordering::Relaxed);
        if queued.saturating_add(size) > self.0.settings.queue_size {
            return Err(Full::Queue);
        }
        let free = self.0.disk_free.load(Ordering::Relaxed);
        if free < self.0.settings.disk_free.saturating_add(size) {
            return Err(Full::Disk);
        }
        Ok(())
    }

    /// Tells the levels that are measured elsewhere: octets in the queue, octets free on its disk.
    pub fn set_levels(&self, queue_bytes: u64, disk_free: u64) {
        self.0.queue_bytes.store(queue_bytes, Ordering::Relaxed);
        self.0.disk_free.store(disk_free, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::rate::Rate;
    use super::*;

    fn room() -> Room {
        Room::new(Settings {
            connections: 3,
            connections_per_client: 2,
            messages_per_client: Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) },
            queue_size: 1000,
            disk_free: 100,
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
    }

    #[test]
    fn space_counts_what_is_announced() {
        let room = room();
        assert_eq!(room.has_space(1000), Ok(()));
        assert_eq!(room.has_space(1001), Err(Full::Queue));
        room.set_levels(0, 150);
        assert_eq!((room.has_space(50), room.has_space(51)), (Ok(()), Err(Full::Disk)));
    }
}
