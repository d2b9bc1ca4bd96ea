//! What all connections of one sandbox share.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::limits::SandboxLimits;
use super::store::Store;
use super::tokens::Tokens;
use crate::clock::Clock;
use crate::drain::Drain;

/// What all connections share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) tokens: Tokens,
    /// Changes when a fault is added, so that idle connections look.
    pub(super) fault_added: watch::Sender<()>,
    pub(super) acceptor: TlsAcceptor,
    pub(super) limits: SandboxLimits,
    pub(super) reply_delay: Duration,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
    /// The end of this sandbox, whatever else goes on in the process.
    pub(super) end: CancellationToken,
    /// Numbers connections.
    pub(super) number: AtomicU64,
}
