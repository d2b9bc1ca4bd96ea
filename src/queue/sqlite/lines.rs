//! Which clients have mail in each line, and when the first of it is due: an index in memory over `message_line`.
//!
//! The cost of a lease must not depend on the length of the queue. So the clients of a line are found here, and one look into
//! the database gives the oldest message of the next client. Values only, no database.
//!
//! Invariants: each client that has a message with a due time is in its line, unless all of these messages are leased;
//! [`Flow::next`] is never later than the first due time of those that are not. A line without clients is not here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Lane};
use crate::queue::fair::{Client, Service, Turn};

/// Later than any due time: all messages are leased.
const NEVER: i64 = i64::MAX;
/// Earlier than any due time: nothing is known.
const UNKNOWN: i64 = i64::MIN;

/// The messages of one client in one line.
#[derive(Clone, Debug)]
struct Flow {
    client: Client,
    /// No message that is not leased is due before then, in milliseconds.
    next: i64,
    /// Whether one is due exactly then.
    exact: bool,
    /// How many are leased.
    leased: u32,
}

/// The first message of a line, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It is due then; `None`: all of them are leased.
    Known(Option<Timestamp>),
    /// It may be one of this client: the database knows.
    Ask(Client),
}

/// All lines, and the service their clients have had.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: HashMap<Arc<str>, [Vec<Flow>; Lane::ALL.len()]>,
    service: Service,
}

impl Lines {
    /// Forgets which clients wait, not the service they have had.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// A message of this client is due at `due`.
    pub(super) fn note(&mut self, pool: &str, lane: Lane, key: &ClientKey, due: Timestamp) {
        let flow = self.enter(pool, lane, key);
        if due.millis() < flow.next {
            (flow.next, flow.exact) = (due.millis(), true);
        }
    }

    /// A message of this client was leased: it is served now, in these turns.
    pub(super) fn lease(&mut self, turns: &str, pool: &str, lane: Lane, key: &ClientKey, recipients: u32) {
        let flow = self.enter(pool, lane, key);
        (flow.leased, flow.exact) = (flow.leased + 1, false);
        let client = flow.client;
        self.service.serve(turns, lane, client, recipients);
    }

    /// A lease that was taken before this was cleared.
    pub(super) fn restore(&mut self, pool: &str, lane: Lane, key: &ClientKey) {
        self.enter(pool, lane, key).leased += 1;
        self.look_again(pool, lane, key);
    }

    /// Nothing is known of when the messages of this client are due.
    pub(super) fn look_again(&mut self, pool: &str, lane: Lane, key: &ClientKey) {
        let flow = self.enter(pool, lane, key);
        (flow.next, flow.exact) = (UNKNOWN, false);
    }

    /// A lease has ended, and the message was not offered to `unused` of the recipients it was charged for.
    pub(super) fn end(&mut self, turns: &str, pool: &str, lane: Lane, key: &ClientKey, unused: u32) {
        let Some(client) = self.service.known(key) else { return };
        self.service.refund(turns, lane, client, unused);
        if let Some(flow) = self.flow(pool, lane, client) {
            flow.leased = flow.leased.saturating_sub(1);
        }
        self.leave_if_empty(pool, lane, client);
    }

    /// A message of this client has changed: the due time of the first one is no longer exact.
    pub(super) fn doubt(&mut self, pool: &str, lane: Lane, key: &ClientKey) {
        let Some(client) = self.service.known(key) else { return };
        if let Some(flow) = self.flow(pool, lane, client).filter(|flow| flow.next != NEVER) {
            flow.exact = false;
        }
    }

    /// The due times of many messages have changed.
    pub(super) fn forget_times(&mut self) {
        for flow in self.lines.values_mut().flatten().flatten() {
            (flow.next, flow.exact) = (UNKNOWN, false);
        }
    }

    /// Who is next in these turns, of the clients that may have something due in these pools: the place of the pool, and
    /// the client.
    pub(super) fn next(&self, turns: &str, lane: Lane, pools: &[String], now: Timestamp) -> Option<(usize, Client)> {
        let (turn, now) = (self.service.turns(turns, lane), now.millis());
        let mut best: Option<((Turn, i64), usize, Client)> = None;
        for (place, pool) in pools.iter().enumerate() {
            for flow in self.lines.get(pool.as_str()).map_or(&[][..], |lanes| &lanes[lane as usize]) {
                if flow.next <= now {
                    let rank = (turn(flow.client), flow.next);
                    if best.as_ref().is_none_or(|(first, ..)| rank < *first) {
                        best = Some((rank, place, flow.client));
                    }
                }
            }
        }
        best.map(|(_, place, client)| (place, client))
    }

    /// What the database says of the first message of this client that is not leased.
    pub(super) fn learn(&mut self, pool: &str, lane: Lane, client: Client, first: Option<i64>) {
        if let Some(flow) = self.flow(pool, lane, client) {
            (flow.next, flow.exact) = (first.unwrap_or(NEVER), true);
        }
        self.leave_if_empty(pool, lane, client);
    }

    /// When the first message of this line is due.
    pub(super) fn first(&self, pool: &str, lane: Lane) -> First {
        let flows = self.lines.get(pool).map_or(&[][..], |lanes| &lanes[lane as usize]);
        match flows.iter().min_by_key(|flow| flow.next) {
            Some(flow) if !flow.exact => First::Ask(flow.client),
            Some(flow) if flow.next < NEVER => First::Known(Some(Timestamp::from_millis(flow.next))),
            Some(_) | None => First::Known(None),
        }
    }

    /// The key of a client.
    pub(super) fn key(&self, client: Client) -> ClientKey {
        self.service.key(client).clone()
    }

    fn flow(&mut self, pool: &str, lane: Lane, client: Client) -> Option<&mut Flow> {
        let flows = &mut self.lines.get_mut(pool)?[lane as usize];
        let place = flows.binary_search_by_key(&client, |flow| flow.client).ok()?;
        Some(&mut flows[place])
    }

    fn enter(&mut self, pool: &str, lane: Lane, key: &ClientKey) -> &mut Flow {
        if self.service.known(key).is_none() {
            self.make_room();
        }
        let client = self.service.place(key);
        if !self.lines.contains_key(pool) {
            self.lines.insert(pool.into(), Default::default());
        }
        let lanes = self.lines.get_mut(pool).expect("it was put there, if it was not there before");
        let flows = &mut lanes[lane as usize];
        let place = match flows.binary_search_by_key(&client, |flow| flow.client) {
            Ok(place) => place,
            Err(place) => {
                flows.insert(place, Flow { client, next: NEVER, exact: true, leased: 0 });
                place
            }
        };
        &mut flows[place]
    }

    fn leave_if_empty(&mut self, pool: &str, lane: Lane, client: Client) {
        let empty = |flow: &mut Flow| flow.leased == 0 && flow.next == NEVER;
        if !self.flow(pool, lane, client).is_some_and(empty) {
            return;
        }
        let Some(lanes) = self.lines.get_mut(pool) else { return };
        lanes[lane as usize].retain(|flow| flow.client != client);
        if lanes.iter().all(Vec::is_empty) {
            self.lines.remove(pool);
        }
    }

    /// Keeps the table of clients to those that matter.
    fn make_room(&mut self) {
        let waiting: usize = self.lines.values().flatten().map(Vec::len).sum();
        if !self.service.is_crowded(waiting) {
            return;
        }
        let waits: HashSet<Client> = self.lines.values().flatten().flatten().map(|flow| flow.client).collect();
        let places = self.service.forget(|client| waits.contains(&client));
        for flow in self.lines.values_mut().flatten().flatten() {
            // Clients keep their order, so that each line stays sorted.
            flow.client = places[flow.client as usize].expect("a client that waits is not forgotten");
        }
    }
}
