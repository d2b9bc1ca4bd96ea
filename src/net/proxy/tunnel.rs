//! Through a proxy to a provider: dial the proxy, have it connect, give back the stream as if it were direct.
//!
//! Not here: what is said to the proxy (`socks5`, `connect`). Invariants: all of it within one limit; not one octet of
//! what the provider says is read, so that a greeting right behind the proxy's answer stays for the dialogue; whatever
//! goes wrong is trouble of the line, never the account's fault.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::address::{Proxy, Scheme, authority};
use super::{connect, socks5};
use crate::net::dial::{self, DialError};

/// Where the dialogue with a proxy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// SOCKS5: which log-in methods it takes.
    Methods,
    /// SOCKS5: the log-in with user name and password.
    LogIn,
    /// The request for a connection to this host and port.
    Request(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Methods => f.write_str("when asked how to log in"),
            Step::LogIn => f.write_str("during its log-in"),
            Step::Request(to) => write!(f, "when asked to connect to {to}"),
        }
    }
}

/// Why there is no way through the proxy: which proxy, at what step, what to do. No error holds its log-in.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// No connection to the proxy itself.
    #[error("the proxy {proxy} cannot be reached ({source}); see that it runs, and that its host and port are right")]
    Unreachable {
        /// The proxy.
        proxy: String,
        /// Why.
        source: DialError,
    },
    /// The line to the proxy broke.
    #[error("the proxy {proxy} hung up {step} ({source}); see its log, and that it lets this machine in")]
    HungUp {
        /// The proxy.
        proxy: String,
        /// Where.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("the proxy {proxy} did not answer within {seconds} s {step}; see that it can reach the internet")]
    Silent {
        /// The proxy.
        proxy: String,
        /// Where.
        step: Step,
        /// The limit for all steps together.
        seconds: u64,
    },
    /// What it answered is another protocol, or too long.
    #[error("{proxy} answered {step} with {what}; see that this is the port of {}", kind_of(proxy))]
    OtherProtocol {
        /// The proxy.
        proxy: String,
        /// Where.
        step: Step,
        /// What is wrong with the answer.
        what: &'static str,
    },
    /// It wants a user name and a password, and the settings have none.
    #[error(
        "the proxy {proxy} wants a log-in; write its user name and password into the setting: {}",
        with_login(proxy)
    )]
    LoginWanted {
        /// The proxy.
        proxy: String,
    },
    /// It does not take this user name and password.
    #[error("the proxy {proxy} refused the log-in; correct its user name and password in the setting")]
    LoginRefused {
        /// The proxy.
        proxy: String,
    },
    /// It takes none of the ways to log in that this program has.
    #[error("the proxy {proxy} takes no log-in by user name and password; allow that, or this machine without one")]
    NoMethod {
        /// The proxy.
        proxy: String,
    },
    /// It would not, or could not, connect to the provider.
    #[error("the proxy {proxy} did not connect to {to}: {reason}; {remedy}")]
    Refused {
        /// The proxy.
        proxy: String,
        /// Host and port of the provider.
        to: String,
        /// What it said.
        reason: String,
        /// What may help.
        remedy: &'static str,
    },
}

impl TunnelError {
    /// Whether the proxy itself works, and another port of the provider is worth a try.
    pub fn is_about_the_target(&self) -> bool {
        match self {
            TunnelError::Refused { .. } => true,
            // Black holes behind a proxy look like this.
            TunnelError::Silent { step, .. } | TunnelError::HungUp { step, .. } => matches!(step, Step::Request(_)),
            TunnelError::Unreachable { .. }
            | TunnelError::OtherProtocol { .. }
            | TunnelError::LoginWanted { .. }
            | TunnelError::LoginRefused { .. }
            | TunnelError::NoMethod { .. } => false,
        }
    }
}

fn kind_of(proxy: &str) -> &'static str {
    if proxy.starts_with("http") { "an HTTP proxy that allows CONNECT" } else { "a SOCKS5 proxy" }
}

fn with_login(proxy: &str) -> String {
    proxy.replacen("://", "://user:password@", 1)
}

/// What went wrong in the words of the two protocols, before the proxy's name is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    /// The line broke.
    Line(io::Error),
    /// Another protocol, or too long an answer.
    Other(&'static str),
    /// A log-in is wanted.
    Wanted,
    /// The log-in is wrong.
    Wrong,
    /// There is no way to log in.
    NoMethod,
    /// Not to this place: what it said, and what may help.
    Refused(String, &'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Line(error)
    }
}

/// A stream to `host:port` through `proxy`, within `limit`. `first` is the address of the proxy to try first.
///
/// # Errors
/// [`TunnelError`]: all of them are worth another try later, none is the account's fault.
pub async fn open(
    proxy: &Proxy,
    host: &str,
    port: u16,
    first: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, TunnelError> {
    let (end, name) = (Instant::now() + limit, proxy.to_string());
    let mut stream = dial::dial_first(&proxy.host, proxy.port, first, limit)
        .await
        .map_err(|source| TunnelError::Unreachable { proxy: name.clone(), source })?;
    let to = authority(host, port);
    // Told apart, so that a limit that runs out can say where.
    let mut step = match proxy.scheme {
        Scheme::Socks5 => Step::Methods,
        Scheme::Http => Step::Request(to.clone()),
    };
    let login = proxy.login.as_ref();
    let asked = async {
        match proxy.scheme {
            Scheme::Socks5 => socks5::connect(&mut stream, (host, port), login, &mut step).await,
            Scheme::Http => connect::connect(&mut stream, &to, login).await,
        }
    };
    match timeout_at(end, asked).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(fault)) => Err(named(fault, name, step, to, login.is_some())),
        Err(_) => Err(TunnelError::Silent { proxy: name, step, seconds: limit.as_secs() }),
    }
}

fn named(fault: Fault, proxy: String, step: Step, to: String, has_login: bool) -> TunnelError {
    match fault {
        Fault::Line(source) => TunnelError::HungUp { proxy, step, source },
        Fault::Other(what) => TunnelError::OtherProtocol { proxy, step, what },
        Fault::Wanted if has_login => TunnelError::LoginRefused { proxy },
        Fault::Wanted => TunnelError::LoginWanted { proxy },
        Fault::Wrong => TunnelError::LoginRefused { proxy },
        Fault::NoMethod if has_login => TunnelError::NoMethod { proxy },
        Fault::NoMethod => TunnelError::LoginWanted { proxy },
        Fault::Refused(reason, remedy) => TunnelError::Refused { proxy, to, reason, remedy },
    }
}
