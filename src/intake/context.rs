//! What all listeners share: the queue, limits, known clients, users, routes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::limits::LimitSettings;
use crate::limits::capacity::Capacity;
use crate::limits::guard::Guard;
use crate::limits::known_clients::KnownClients;
use crate::mail::{Address, IdSource};
use crate::queue::Queue;
use crate::route::Router;
use crate::telemetry::counter::Counters;

use super::client::Clients;
use super::login::Users;
use super::nat_detection::NatDetection;

/// What every listener shares.
#[derive(Clone)]
pub struct IntakeContext {
    /// The name of the relay: greeting, EHLO reply, Received.
    pub hostname: String,
    /// What may come in.
    pub limits: LimitSettings,
    /// Where messages go.
    pub queue: Arc<dyn Queue>,
    /// What time it is.
    pub clock: Clock,
    /// Ids for messages.
    pub ids: Arc<IdSource>,
    /// Connections, disk and queue.
    pub capacity: Capacity,
    /// What each client and sender has spent.
    pub guard: Arc<Guard>,
    /// Which clients have sent mail or logged in before.
    pub known: Arc<KnownClients>,
    /// Whether clients can be told apart.
    pub nat: Arc<NatDetection>,
    /// The counters.
    pub counters: Counters,
    /// When to stop.
    pub drain: Drain,
    /// What the repair needs to know of the owner.
    pub owner: Owner,
    /// What is known of clients.
    pub clients: Arc<Clients>,
    /// The users that may log in.
    pub users: Arc<Users>,
    /// How long a message lives.
    pub expire: Duration,
    /// Whether `accepted` has the subject of the mail.
    pub log_subject: bool,
    /// The pools that take each mail.
    pub router: Arc<Router>,
    /// Octets of the largest message that any account of a pool takes; pools without a known limit are not in it.
    pub largest: Arc<HashMap<String, u64>>,
}

/// What the repair needs to know of the owner of this relay.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The mailbox that stands in for a missing or useless `From:`, and gets the mail for `postmaster`.
    pub mailbox: Address,
}
