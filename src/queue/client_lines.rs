//! Which clients have mail in each line, and when the first of it is due: an index in memory over the stored messages.
//!
//! The cost of a lease must not depend on the length of the queue. So the next client of a line is found here, and one query
//! returns that client's oldest message. Values only, no database.
//!
//! Invariants: each client that has a message with a due time is in its line, unless all of these messages are leased;
//! [`Flow::next`] is never later than the first due time of those that are not. A line without clients is not kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Lane};

use super::fair::{Client, Service, Turn};

/// Later than any due time: all messages are leased.
const NEVER: i64 = i64::MAX;
/// Earlier than any due time: nothing is known.
const UNKNOWN: i64 = i64::MIN;

/// The line in which a message waits, and its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientLine {
    pub(super) pool: Arc<str>,
    pub(super) lane: Lane,
    pub(super) client: ClientKey,
}

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

impl Flow {
    fn forget_time(&mut self) {
        (self.next, self.exact) = (UNKNOWN, false);
    }
}

/// When the first message of a line is due, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstDue {
    /// Then; `None`: all messages are leased.
    Known(Option<Timestamp>),
    /// It may be a message of this client: the database must be asked.
    Ask(Client),
}

/// All lines, and the service their clients have had.
#[derive(Debug, Default)]
pub(super) struct ClientLines {
    lines: HashMap<Arc<str>, [Vec<Flow>; Lane::ALL.len()]>,
    service: Service,
}

impl ClientLines {
    /// Forgets which clients wait, not the service they have had.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// A message of this client is due at `due`.
    pub(super) fn note(&mut self, line: &ClientLine, due: Timestamp) {
        let flow = self.enter(line);
        if due.millis() < flow.next {
            (flow.next, flow.exact) = (due.millis(), true);
        }
    }

    /// A message of this client was leased: it is served now, by the clock `turns`.
    pub(super) fn lease(&mut self, turns: &str, line: &ClientLine, recipients: u32) {
        let flow = self.enter(line);
        (flow.leased, flow.exact) = (flow.leased + 1, false);
        let client = flow.client;
        self.service.serve(turns, line.lane, client, recipients);
    }

    /// A message of this client was leased before the lines were cleared.
    pub(super) fn restore(&mut self, line: &ClientLine) {
        let flow = self.enter(line);
        flow.leased += 1;
        flow.forget_time();
    }

    /// It is no longer known when the messages of this client are due.
    pub(super) fn forget_time(&mut self, line: &ClientLine) {
        self.enter(line).forget_time();
    }

    /// It is no longer known when any message is due.
    pub(super) fn forget_times(&mut self) {
        self.lines.values_mut().flatten().flatten().for_each(Flow::forget_time);
    }

    /// A lease has ended, and the message was not offered to `unused` of the recipients it was charged for.
    pub(super) fn end(&mut self, turns: &str, line: &ClientLine, unused: u32) {
        let Some(client) = self.service.known(&line.client) else { return };
        self.service.refund(turns, line.lane, client, unused);
        if let Some(flow) = self.flow(&line.pool, line.lane, client) {
            flow.leased = flow.leased.saturating_sub(1);
        }
        self.leave_if_empty(&line.pool, line.lane, client);
    }

    /// A message of this client has changed: the due time of the first one is no longer exact.
    pub(super) fn doubt(&mut self, line: &ClientLine) {
        let Some(client) = self.service.known(&line.client) else { return };
        if let Some(flow) = self.flow(&line.pool, line.lane, client).filter(|flow| flow.next != NEVER) {
            flow.exact = false;
        }
    }

    /// Returns the next client by the clock `turns`, of those that may have something due in these pools, with the place of
    /// the pool.
    pub(super) fn next(&self, turns: &str, lane: Lane, pools: &[String], now: Timestamp) -> Option<(usize, Client)> {
        let (turn, now) = (self.service.turns(turns, lane), now.millis());
        let mut best: Option<((Turn, i64), usize, Client)> = None;
        for (place, pool) in pools.iter().enumerate() {
            for flow in self.flows(pool, lane).iter().filter(|flow| flow.next <= now) {
                let rank = (turn(flow.client), flow.next);
                if best.as_ref().is_none_or(|(first, ..)| rank < *first) {
                    best = Some((rank, place, flow.client));
                }
            }
        }
        best.map(|(_, place, client)| (place, client))
    }

    /// Takes in when the first message of this client that is not leased is due, as the database has it.
    pub(super) fn learn(&mut self, pool: &str, lane: Lane, client: Client, first: Option<i64>) {
        if let Some(flow) = self.flow(pool, lane, client) {
            (flow.next, flow.exact) = (first.unwrap_or(NEVER), true);
        }
        self.leave_if_empty(pool, lane, client);
    }

    /// Returns when the first message of this line is due.
    pub(super) fn first_due(&self, pool: &str, lane: Lane) -> FirstDue {
        match self.flows(pool, lane).iter().min_by_key(|flow| flow.next) {
            Some(flow) if !flow.exact => FirstDue::Ask(flow.client),
            Some(flow) if flow.next < NEVER => FirstDue::Known(Some(Timestamp::from_millis(flow.next))),
            Some(_) | None => FirstDue::Known(None),
        }
    }

    /// This client in this line.
    pub(super) fn client_line(&self, pool: &str, lane: Lane, client: Client) -> ClientLine {
        ClientLine { pool: pool.into(), lane, client: self.service.key(client).clone() }
    }

    fn flows(&self, pool: &str, lane: Lane) -> &[Flow] {
        self.lines.get(pool).map_or(&[], |lanes| &lanes[lane as usize])
    }

    fn flow(&mut self, pool: &str, lane: Lane, client: Client) -> Option<&mut Flow> {
        let flows = &mut self.lines.get_mut(pool)?[lane as usize];
        let place = flows.binary_search_by_key(&client, |flow| flow.client).ok()?;
        Some(&mut flows[place])
    }

    fn enter(&mut self, line: &ClientLine) -> &mut Flow {
        if self.service.known(&line.client).is_none() {
            self.make_room();
        }
        let client = self.service.place(&line.client);
        let flows = &mut self.lines.entry(line.pool.clone()).or_default()[line.lane as usize];
        let place = flows.binary_search_by_key(&client, |flow| flow.client).unwrap_or_else(|place| {
            flows.insert(place, Flow { client, next: NEVER, exact: true, leased: 0 });
            place
        });
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

    /// Removes the clients that do not wait from the table of clients, when it has grown.
    fn make_room(&mut self) {
        let flows = self.lines.values().flatten().flatten();
        if !self.service.is_crowded(flows.clone().count()) {
            return;
        }
        let waits: HashSet<Client> = flows.map(|flow| flow.client).collect();
        let places = self.service.forget(|client| waits.contains(&client));
        for flow in self.lines.values_mut().flatten().flatten() {
            // Clients keep their order, so that each line stays sorted.
            flow.client = places[flow.client as usize].expect("a client that waits is not forgotten");
        }
    }
}
