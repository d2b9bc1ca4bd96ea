//! From durable to the other side: one account's connections to its provider.
//!
//! [`Upstream::send`] takes one message and reports, for each recipient, what became of it. A call goes one way:
//!
//! ```text
//!  send -> connection_slots    a slot for the message
//!       -> acquire -> idle_pool             a connection that is idle,
//!                  -> socket_permits, login_gate, endpoint_memory, permit
//!                  -> connect               or a new one, logged in
//!       -> connection -> eight_bit_downgrade    the transaction
//!       -> outcome             what the provider said, turned into an outcome in one place
//! ```
//!
//! Not here: which message goes when, and by which account (`delivery`); how SMTP is spoken (`smtp::client`); how TCP and
//! TLS connections are made (`net`). Invariant: the reply to the final dot decides; nothing that happens on the
//! connection afterwards changes an outcome.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::mail::{Address, Id, ReversePath};
use crate::net::proxy::Proxy;
use crate::net::tls;
use crate::provider::{Catalogue, Endpoint, Group, Mechanism};
use crate::queue::StoredBody;
use crate::secret::SecretSource;

mod acquire;
mod connect;
mod connection;
mod connection_slots;
mod eight_bit_downgrade;
mod endpoint_memory;
mod idle_pool;
mod login_gate;
pub mod outcome;
pub mod permit;
mod send;
mod socket_permits;

pub use connection_slots::ConnectionSlot;
pub use outcome::{Condition, Fate, Outcome, Report};
pub use permit::{Held, Permit, Unlimited};
pub use send::Upstream;

/// The settings of one account's way out.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The account's name, for logs and counters.
    pub account: String,
    /// What we call ourselves in EHLO.
    pub hostname: String,
    /// Host, port and TLS mode, in the order to try: the next one is tried when there is no connection to the one before.
    pub endpoints: Vec<Endpoint>,
    /// The log-in name; `None` for a server that wants no log-in.
    pub user: Option<String>,
    /// Where the password or authorization code is.
    pub secret: SecretSource,
    /// Log-in mechanisms in the order to try them; only the first that is offered is used.
    pub login: Vec<Mechanism>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// How long to wait before there is a dialogue.
    pub limits: ConnectLimits,
    /// Certificates to trust beside the machine's.
    pub ca: Option<PathBuf>,
    /// The roots that were read; shared by all accounts.
    pub roots: tls::roots::Roots,
    /// Whose replies these are.
    pub group: Group,
    /// What replies mean; shared by all accounts.
    pub catalogue: Catalogue,
    /// TCP connections at one time, those included that are being ended.
    pub connections: usize,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// A connection that is older than this carries no further message, however busy it is.
    pub oldest: Duration,
    /// Whether the commands of the next message may go out behind the final dot of this one (RFC 2920).
    pub announce: bool,
    /// How many messages one connection carries at most.
    pub messages_per_connection: u32,
}

/// How long to wait before there is a dialogue; its own deadlines are those of RFC 5321 section 4.5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectLimits {
    /// For a TCP connection to one endpoint, look-up and proxy included.
    pub dial: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
}

impl Default for ConnectLimits {
    /// Half a minute each.
    fn default() -> ConnectLimits {
        ConnectLimits { dial: DIAL_LIMIT, handshake: HANDSHAKE_LIMIT }
    }
}

/// How long to wait for a TCP connection, look-up and proxy included, unless the settings say otherwise.
pub const DIAL_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for a TLS handshake, unless the settings say otherwise.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// One message for one attempt, with its rewritten sender.
#[derive(Debug)]
pub struct Letter<'a> {
    /// The message, for the log.
    pub id: Id,
    /// The envelope sender.
    pub from: ReversePath,
    /// The recipients to try.
    pub to: Vec<Address>,
    /// The header block with its last CRLF, without the blank line.
    pub head: Bytes,
    /// Everything after the blank line.
    pub body: &'a StoredBody,
    /// Whether there are octets above 127 in the body.
    pub eight_bit: bool,
}
