//! What a sandbox is started with, and why it does not start.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_rustls::rustls::Error as RustlsError;

use super::limits::SandboxLimits;
use crate::secret::Secret;

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Where to listen with TLS from the first octet (RFC 8314 section 3.3), as on port 465. Port 0 is any free one.
    pub implicit: Option<SocketAddr>,
    /// Where to listen with STARTTLS (RFC 3207), as on port 587. Port 0 is any free one.
    pub starttls: Option<SocketAddr>,
    /// The mailboxes, and the authorization code of each.
    pub accounts: Vec<(String, Secret)>,
    /// SandboxLimits.
    pub limits: SandboxLimits,
    /// So many received messages are kept, at least one; older ones are forgotten. All together never exceed 256 MiB,
    /// but for the newest.
    pub keep: usize,
    /// How long each batch of replies is held back, to imitate a provider that is far away.
    pub reply_delay: Duration,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The port cannot be listened on.
    #[error("the sandbox cannot listen on {addr}: {source}")]
    Listen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error("the sandbox cannot make its certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS cannot be set up with that certificate.
    #[error("the sandbox cannot set up TLS: {0}")]
    Tls(#[from] RustlsError),
}
