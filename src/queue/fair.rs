//! Fair queueing between clients: which client is next. Pure.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) with recipients as the unit of service. A client that
//! was served until virtual time F starts its next message at `max(V, F)`, where V is the start of the message that was
//! served last; the client with the earliest start is next.
//!
//! Invariants, for each clock and lane: of two clients that both wait all the time, the recipients served differ by at
//! most the largest message of each; a new client waits for at most one message of every other client. The caller names the
//! clock. Accounts with the same clients share one. Others do not, because accounts differ in speed: by the times of a fast one
//! the clients that only a slow one serves would wait without a bound.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mail::{ClientKey, Lane};

/// Idle clients kept before [`Service::forget`] runs.
const SPARE: usize = 1024;

/// A client, by its place in the table of keys.
pub(super) type Client = u32;

/// The virtual clock of one name and lane.
#[derive(Debug, Default)]
struct VirtualClock {
    /// The start of the message that was served last.
    now: u64,
    /// Until when each client was served, by its place; a missing client was never served.
    finish: Vec<u64>,
}

impl VirtualClock {
    fn finish(&self, client: Client) -> u64 {
        self.finish.get(client as usize).copied().unwrap_or(0)
    }
}

/// How much service the clients have had.
#[derive(Debug, Default)]
pub(super) struct Service {
    places: HashMap<ClientKey, Client>,
    keys: Vec<ClientKey>,
    clocks: HashMap<Arc<str>, [VirtualClock; Lane::ALL.len()]>,
}

/// Rank of a client: its start, then its finish. The smallest is next; of clients that start together, the one that was served
/// longest ago.
pub(super) type Turn = (u64, u64);

impl Service {
    /// Returns the place of a client; a new client is assigned one.
    pub(super) fn place(&mut self, key: &ClientKey) -> Client {
        if let Some(&place) = self.places.get(key) {
            return place;
        }
        let place = self.keys.len() as Client;
        self.keys.push(key.clone());
        self.places.insert(key.clone(), place);
        place
    }

    /// The place of a client, if it has one.
    pub(super) fn known(&self, key: &ClientKey) -> Option<Client> {
        self.places.get(key).copied()
    }

    /// The client in this place.
    pub(super) fn key(&self, client: Client) -> &ClientKey {
        &self.keys[client as usize]
    }

    /// When each client may start by this clock: smaller goes first.
    pub(super) fn turns(&self, clock: &str, lane: Lane) -> impl Fn(Client) -> Turn + '_ {
        let clock = self.clocks.get(clock).map(|lanes| &lanes[lane as usize]);
        move |client| {
            let (now, finish) = clock.map_or((0, 0), |clock| (clock.now, clock.finish(client)));
            (now.max(finish), finish)
        }
    }

    /// Serves a client by this clock, and charges it.
    pub(super) fn serve(&mut self, clock: &str, lane: Lane, client: Client, recipients: u32) {
        let lanes = match self.clocks.get_mut(clock) {
            Some(lanes) => lanes,
            None => self.clocks.entry(clock.into()).or_default(),
        };
        let clock = &mut lanes[lane as usize];
        let start = clock.now.max(clock.finish(client));
        clock.now = start;
        let place = client as usize;
        if clock.finish.len() <= place {
            clock.finish.resize(place + 1, 0);
        }
        clock.finish[place] = start.saturating_add(u64::from(recipients.max(1)));
    }

    /// Refunds recipients that were charged but not offered.
    pub(super) fn refund(&mut self, clock: &str, lane: Lane, client: Client, recipients: u32) {
        let clock = self.clocks.get_mut(clock).map(|lanes| &mut lanes[lane as usize]);
        if let Some(finish) = clock.and_then(|clock| clock.finish.get_mut(client as usize)) {
            *finish = finish.saturating_sub(u64::from(recipients));
        }
    }

    /// Returns whether the table has grown far beyond the `waiting` clients, so that [`Service::forget`] is worth its time.
    pub(super) fn is_crowded(&self, waiting: usize) -> bool {
        self.keys.len() > 2 * waiting + SPARE
    }

    /// Forgets the clients that do not wait. A client that returns is served as a new one, which costs the others at most its
    /// last message. Returns the new place of each old one.
    pub(super) fn forget(&mut self, waits: impl Fn(Client) -> bool) -> Vec<Option<Client>> {
        let mut next = 0..;
        let all = 0..self.keys.len() as Client;
        let places: Vec<Option<Client>> = all.map(|client| waits(client).then(|| next.next()).flatten()).collect();
        let mut stays = places.iter().map(Option::is_some);
        self.keys.retain(|_| stays.next() == Some(true));
        self.places = self.keys.iter().cloned().zip(0..).collect();
        for clock in self.clocks.values_mut().flatten() {
            let mut stays = places.iter().map(Option::is_some);
            clock.finish.resize(places.len(), 0);
            clock.finish.retain(|_| stays.next() == Some(true));
        }
        places
    }
}

#[cfg(test)]
mod tests;
