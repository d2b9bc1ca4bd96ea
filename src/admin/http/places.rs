//! Places for connections: at most [`MOST`], and a flood of peers without a token leaves places for a right one.
//!
//! A connection is proven once a request on it had a right token or session. At most [`MOST_UNPROVEN`] are not. A new
//! connection always gets a place: where there is none, an unproven connection loses its own, the oldest of the source
//! that has most of them; else the proven one that has been idle longest. A request of a proven connection is never cut.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::limits::source::Source;

/// Connections at a time.
pub(super) const MOST: usize = 32;
/// Connections at a time that have not shown a right token or session; the rest is a reserve for those that have.
pub(super) const MOST_UNPROVEN: usize = 24;

/// All places. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    arrivals: u64,
    /// By order of arrival.
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    source: IpNet,
    proven: bool,
    /// Requests and downloads under way.
    busy: u32,
    /// When its last request ended, as a number that grows.
    idle_since: u64,
    revoked: CancellationToken,
}

/// The place of a connection, until it is dropped or revoked. Clones are the same place.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    places: Places,
    arrival: u64,
    revoked: CancellationToken,
}

/// What was done to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There was a place.
    Free,
    /// Another connection has lost its own.
    Taken,
}

impl Places {
    /// A place for a connection from `addr`; `None` when every place is of a request with a right token.
    pub(super) fn enter(&self, addr: IpAddr) -> Option<(Place, Room)> {
        let mut state = self.state();
        let unproven = state.open.values().filter(|entry| !entry.proven).count();
        let full = state.open.len() >= MOST;
        let room = match full || unproven >= MOST_UNPROVEN {
            false => Room::Free,
            true => {
                let victim = state.unproven_victim().or_else(|| state.idle_victim())?;
                if let Some(entry) = state.open.remove(&victim) {
                    entry.revoked.cancel();
                }
                Room::Taken
            }
        };
        state.arrivals += 1;
        let (arrival, revoked) = (state.arrivals, CancellationToken::new());
        let source = Source::of(addr).widest();
        let entry = Entry { source, proven: false, busy: 0, idle_since: arrival, revoked: revoked.clone() };
        state.open.insert(arrival, entry);
        Some((Place(Arc::new(Held { places: self.clone(), arrival, revoked })), room))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one insertion, removal or flag; a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest unproven connection of the source that has most of them.
    fn unproven_victim(&self) -> Option<u64> {
        let mut counts: HashMap<IpNet, usize> = HashMap::new();
        let unproven = || self.open.iter().filter(|(_, entry)| !entry.proven);
        unproven().for_each(|(_, entry)| *counts.entry(entry.source).or_default() += 1);
        let most = counts.values().max()?;
        unproven().find(|(_, entry)| counts.get(&entry.source) == Some(most)).map(|(arrival, _)| *arrival)
    }

    /// The connection that has been idle longest.
    fn idle_victim(&self) -> Option<u64> {
        let idle = self.open.iter().filter(|(_, entry)| entry.busy == 0);
        idle.min_by_key(|(_, entry)| entry.idle_since).map(|(arrival, _)| *arrival)
    }
}

impl Place {
    /// A request on the connection had a right token or session.
    pub(super) fn prove(&self) {
        self.change(|entry| entry.proven = true);
    }

    /// Whether a request had.
    pub(super) fn is_proven(&self) -> bool {
        self.0.places.state().open.get(&self.0.arrival).is_some_and(|entry| entry.proven)
    }

    /// A request or a download begins.
    pub(super) fn begin(&self) {
        self.change(|entry| entry.busy += 1);
    }

    /// A request or a download has ended.
    pub(super) fn end(&self) {
        let mut state = self.0.places.state();
        state.arrivals += 1;
        let now = state.arrivals;
        if let Some(entry) = state.open.get_mut(&self.0.arrival) {
            (entry.busy, entry.idle_since) = (entry.busy.saturating_sub(1), now);
        }
    }

    /// Returns when the place is given to another connection.
    pub(super) async fn revoked(&self) {
        self.0.revoked.cancelled().await;
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.0.places.state().open.get_mut(&self.0.arrival) {
            change(entry);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.state().open.remove(&self.arrival);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn revoked(place: &Place) -> bool {
        place.0.revoked.is_cancelled()
    }

    #[test]
    fn a_flood_takes_places_from_itself_only() {
        let places = Places::default();
        let operator = places.enter(addr(1)).unwrap().0;
        let flood: Vec<_> = (0..1000).filter_map(|_| places.enter(addr(9))).collect();
        assert_eq!(flood.iter().filter(|(place, _)| !revoked(place)).count(), MOST_UNPROVEN - 1);
        assert!(!revoked(&operator), "one connection of another source stays");
        operator.prove();
        assert!(operator.is_proven());
    }

    #[test]
    fn one_source_loses_its_oldest() {
        let places = Places::default();
        let all: Vec<_> = (0..=MOST_UNPROVEN).map(|_| places.enter(addr(1)).unwrap()).collect();
        assert!(revoked(&all[0].0) && all[1..].iter().all(|(place, _)| !revoked(place)));
        assert_eq!((all[1].1, all[MOST_UNPROVEN].1), (Room::Free, Room::Taken));
    }

    #[test]
    fn a_request_with_a_token_is_never_cut() {
        let places = Places::default();
        let busy: Vec<_> = (0..MOST)
            .map(|_| {
                let place = places.enter(addr(1)).unwrap().0;
                place.prove();
                place.begin();
                place
            })
            .collect();
        assert!(places.enter(addr(2)).is_none());
        busy[5].end();
        let (late, room) = places.enter(addr(2)).unwrap();
        assert_eq!(room, Room::Taken);
        assert!(busy.iter().enumerate().all(|(n, place)| revoked(place) == (n == 5)));
        drop(busy);
        drop(late);
        assert!(places.state().open.is_empty());
    }
}
