//! The settings of one account's way to its provider.

use std::path::PathBuf;
use std::time::Duration;

use crate::net::proxy::Proxy;
use crate::net::tls;
use crate::oauth::TokenSource;
use crate::provider::{Catalogue, Endpoint, Group, Mechanism};
use crate::secret::SecretSource;

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
    /// Where its access tokens come from; then `secret` is not used.
    pub token: Option<TokenSource>,
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
