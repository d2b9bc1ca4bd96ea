//! The settings of the HTTP face. A program without the feature `http` has them too, so that one file serves both.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::net::tls::identity::Identity;
use crate::secret::SecretSource;

/// The shortest token, in characters. One that is made here has 43.
pub const SHORTEST_TOKEN: usize = 32;

/// Where the HTTP face listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminBind {
    /// Nowhere: there is no HTTP.
    Off,
    /// At an address.
    Tcp(SocketAddr),
    /// At a Unix socket with mode 0600.
    Unix(PathBuf),
}

impl fmt::Display for AdminBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminBind::Off => f.write_str("off"),
            AdminBind::Tcp(addr) => addr.fmt(f),
            AdminBind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// This machine without a token, others with one.
    Loopback,
    /// A token is needed from everywhere.
    Token,
    /// Everyone.
    Open,
}

/// The settings of the HTTP face.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminSettings {
    /// Where it listens.
    pub bind: AdminBind,
    /// The settings name the address: the relay does not start without it.
    pub named: bool,
    /// The token; `None`: `admin.token` in the data folder, made at the first start.
    pub token: Option<SecretSource>,
    /// The token that reads all but content, and orders nothing.
    pub view_token: Option<SecretSource>,
    /// Host names under which it may be asked for, beside the relay's own.
    pub names: Vec<String>,
    /// Who may read `/metrics`.
    pub metrics: MetricsAccess,
    /// TLS, if it is on.
    pub tls: Option<Arc<Identity>>,
}

impl AdminSettings {
    /// No HTTP.
    pub fn off() -> AdminSettings {
        AdminSettings {
            bind: AdminBind::Off,
            named: false,
            token: None,
            view_token: None,
            names: Vec::new(),
            metrics: MetricsAccess::Loopback,
            tls: None,
        }
    }
}
