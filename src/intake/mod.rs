//! From socket to durable: listeners, sessions, and the admission of a message into the queue.
//!
//! ```text
//!  listener   accept, network allowed?, a place?       -> 554 / 421 before the greeting
//!  proxy      who is behind a load balancer?
//!  connection socket, deadlines, drives smtp::server   -> one write a reply
//!  pace       until when must the next octets come?
//!  handshake  TLS: which version a client offered (client_hello), and what to do where it failed
//!  client     which entry of the settings is it?
//!  login      is the password right, and may this address try?
//!  admit      limits -> arrival -> queue.put -> 250
//!  arrival    body to the draft as it comes -> repair
//!  log_lines  how much may one address write into the log?
//!  nat_detection  are the clients hidden behind one address?
//!  refusal    every text that a client is refused with, and the label it is counted under
//! ```
//!
//! Not here: how SMTP is spoken (`smtp::server`), what is repaired (`message`), what happens afterwards (`delivery`;
//! intake cannot see it). Invariant: 250 after the final dot is said only after `Queue::put` returned.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::limits::capacity::Capacity;
use crate::limits::guard::Guard;
use crate::limits::known_clients::KnownClients;
use crate::mail::{Address, IdSource};
use crate::net::tls::identity::Identity;
use crate::queue::Queue;
use crate::route::Router;
use crate::smtp::server;
use crate::telemetry::counter::Counters;

mod admit;
pub mod arrival;
pub mod client;
mod client_hello;
mod connection;
mod handshake;
pub mod listener;
mod log_lines;
pub mod login;
pub mod nat_detection;
mod pace;
mod proxy;
pub mod refusal;
mod split;

pub use client::{Client, Clients};
pub use listener::Listener;
pub use login::{User, Users};
pub use nat_detection::NatDetection;

/// The settings of one listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, for logs and counters.
    pub name: String,
    /// Where it listens.
    pub bind: Vec<SocketAddr>,
    /// Networks that may send. Everybody else gets 554 5.7.1, or, where log-ins are verified, has to log in.
    pub allow: Vec<IpNet>,
    /// Networks of load balancers, whose PROXY header says who the client is; from everybody else it is a bad command.
    pub proxy_from: Vec<IpNet>,
    /// How much it puts up with, where the client's entry does not say.
    pub profile: server::Profile,
    /// Whether it offers AUTH.
    pub auth: server::AuthMode,
    /// TLS, if it is offered.
    pub tls: Option<Tls>,
    /// Our name: greeting, EHLO reply, Received.
    pub hostname: String,
    /// Recipients of one message.
    pub recipients: usize,
    /// Octets of one message.
    pub message_size: u64,
    /// Most messages of one connection.
    pub messages_per_connection: u32,
    /// How long a client may take.
    pub deadlines: Deadlines,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// From the first octet (RFC 8314 section 3), or after STARTTLS (RFC 3207).
    pub implicit: bool,
    /// What is shown to clients.
    pub identity: Arc<Identity>,
}

/// How long a client may take (RFC 5321 section 4.5.3.2 asks a server for 5 minutes).
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From one command to the end of the next, however its octets drip in.
    pub command: Duration,
    /// From one block of message data to the next.
    pub data: Duration,
    /// Octets of message data in a second that are enough to stay: what comes slower uses `data` up. 0 is taken as 1.
    pub rate: u32,
    /// For one write to be taken.
    pub write: Duration,
    /// For a load balancer to say who the client is.
    pub proxy: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For one who is in no allowed network, from connecting to being logged in.
    pub stranger: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Deadlines {
            command: minutes(5),
            data: minutes(3),
            rate: 100,
            write: minutes(1),
            proxy: Duration::from_secs(5),
            handshake: Duration::from_secs(30),
            stranger: minutes(1),
        }
    }
}

/// What every listener shares.
#[derive(Clone)]
pub struct Surroundings {
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
    /// Where things are counted.
    pub counters: Counters,
    /// When to stop.
    pub drain: Drain,
    /// What the repair needs to know of the owner.
    pub owner: Owner,
    /// What is known of clients.
    pub clients: Arc<Clients>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// How long a message lives.
    pub expire: Duration,
    /// Which accounts take which mail.
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
