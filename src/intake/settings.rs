//! The settings of one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::net::tls::identity::Identity;
use crate::smtp::server;

/// The settings of one listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// Its name, for logs and counters.
    pub name: String,
    /// Where it listens.
    pub bind: Vec<SocketAddr>,
    /// Networks that may send. Other clients get 554 5.7.1, or, where log-ins are verified, have to log in.
    pub allow: Vec<IpNet>,
    /// Networks of load balancers, whose PROXY header names the client; from other peers it is a bad command.
    pub proxy_from: Vec<IpNet>,
    /// How much broken SMTP it accepts, unless `client.NAME.profile` says otherwise.
    pub profile: server::Profile,
    /// Whether it offers AUTH.
    pub auth: server::AuthMode,
    /// TLS, if it is offered.
    pub tls: Option<ListenerTls>,
    /// How long a client may take.
    pub deadlines: Deadlines,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// From the first octet (RFC 8314 section 3), or after STARTTLS (RFC 3207).
    pub implicit: bool,
    /// What is shown to clients.
    pub identity: Arc<Identity>,
}

/// How long a client may take (RFC 5321 section 4.5.3.2 asks a server for 5 minutes).
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// For a client in no allowed network, from connecting to being logged in.
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
