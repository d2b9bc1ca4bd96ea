//! A provider that runs in this process: over real TLS, and with the manners of QQ Mail.
//!
//! It is for trying the relay out and for tests. It delivers to nobody: what it accepts it keeps in memory and shows.
//! What it imitates is what public transcripts show of QQ (words, order of the dialogue, limits, junk before the reply
//! to QUIT); what it does besides is to fail on demand ([`Fault`]).
//!
//! What it is not: a mail server for anybody but the tests and the demo. It never opens a connection, writes no file,
//! and its certificate is good for nobody who was not given [`Sandbox::ca_pem`].
//!
//! Recipients: a local part that starts with `refused`, or is `nobody`, does not exist; one that starts with `busy` is
//! refused for now. Everybody else is welcome.
//!
//! ```text
//!   listener --> connection --> smtp::server::Session      the dialogue, with the `replies` of QQ
//!                    | ^
//!                    v |
//!                  policy --> store --> limits              accounts, frequency, what was received, counters
//!                    ^
//!                  fault                                    what shall go wrong instead
//! ```

mod certificate;
mod connection;
mod fault;
mod limits;
mod listener;
mod policy;
pub mod replies;
mod settings;
mod shared;
mod store;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::secret::Secret;

pub use fault::{Fault, Stage, What};
pub use limits::{Day, SandboxLimits, SandboxRates, Window};
pub use settings::{SandboxError, SandboxSettings};
pub use store::{LOGINS_KEPT, Limited, Login, LoginRefusal, Received, Stats};
pub use tokens::TokenRefusal;

use fault::Faults;
use shared::Shared;
use store::Store;
use tokens::Tokens;

/// A provider in this process. Dropping it closes its ports and cuts its connections.
pub struct Sandbox {
    shared: Arc<Shared>,
    ca_pem: String,
    implicit: Option<SocketAddr>,
    starttls: Option<SocketAddr>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Makes a certificate and opens the ports. When the drain starts, the ports are closed, open transactions are
    /// finished and idle connections get 421.
    ///
    /// # Errors
    /// [`SandboxError::Listen`] when a port is taken or may not be used; the others when the cryptography does not work.
    pub async fn start(settings: SandboxSettings, clock: Clock, drain: Drain) -> Result<Sandbox, SandboxError> {
        let addresses: Vec<_> =
            [settings.implicit, settings.starttls].into_iter().flatten().map(|addr| addr.ip()).collect();
        let identity = certificate::make(&addresses)?;
        let shared = Arc::new(Shared {
            store: Store::new(settings.keep, settings.accounts, settings.limits),
            faults: Faults::default(),
            tokens: Tokens::default(),
            fault_added: watch::Sender::new(()),
            acceptor: identity.acceptor,
            limits: settings.limits,
            reply_delay: settings.reply_delay,
            clock,
            drain,
            end: CancellationToken::new(),
            number: AtomicU64::new(0),
        });
        let mut sandbox =
            Sandbox { shared, ca_pem: identity.ca_pem, implicit: None, starttls: None, listeners: Vec::new() };
        if let Some(addr) = settings.implicit {
            sandbox.implicit = Some(sandbox.listen(addr, false).await?);
        }
        if let Some(addr) = settings.starttls {
            sandbox.starttls = Some(sandbox.listen(addr, true).await?);
        }
        Ok(sandbox)
    }

    async fn listen(&mut self, addr: SocketAddr, starttls: bool) -> Result<SocketAddr, SandboxError> {
        let (bound, task) = listener::open(addr, starttls, self.shared.clone())
            .await
            .map_err(|source| SandboxError::Listen { addr, source })?;
        self.listeners.push(task);
        Ok(bound)
    }

    /// Where TLS is spoken from the first octet.
    pub fn implicit_addr(&self) -> Option<SocketAddr> {
        self.implicit
    }

    /// Where TLS starts with STARTTLS.
    pub fn starttls_addr(&self) -> Option<SocketAddr> {
        self.starttls
    }

    /// The certificate of the authority to trust, in PEM form. Its leaf is good for `localhost`, `127.0.0.1`, `::1`,
    /// `smtp.qq.com`, `smtp.exmail.qq.com` and the addresses that are listened on.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The messages that were accepted and are still kept, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.store.received()
    }

    /// Waits until `count` messages were accepted since the start; then as [`Sandbox::received`].
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(|stats| stats.accepted >= count as u64).await;
        self.received()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.store.stats()
    }

    /// Waits until `reached` says yes to the counters. It is asked at once, and after each change.
    pub async fn wait_until(&self, reached: impl Fn(&Stats) -> bool) {
        self.shared.store.wait_until(reached).await;
    }

    /// What one account has sent, as far as it is still kept, in the order of arrival.
    pub fn received_from(&self, user: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|message| message.login.eq_ignore_ascii_case(user));
        received
    }

    /// The log-ins that were tried over TLS, the newest [`LOGINS_KEPT`], in their order.
    pub fn logins(&self) -> Vec<Login> {
        self.shared.store.logins()
    }

    /// Whenever a frequency limit was named to somebody, in that order; the newest [`LOGINS_KEPT`].
    pub fn limited(&self) -> Vec<Limited> {
        self.shared.store.limited()
    }

    /// Changes the authorization code of `user`, who need not exist yet. Connections that are logged in stay so.
    pub fn set_secret(&self, user: &str, secret: Secret) {
        self.shared.store.set_secret(user, Some(secret));
    }

    /// Voids the authorization code of `user`: every log-in is refused until [`Sandbox::set_secret`]. Connections that
    /// are logged in stay so.
    pub fn revoke(&self, user: &str) {
        self.shared.store.set_secret(user, None);
    }

    /// Changes how log-ins are refused from now on.
    pub fn set_login_refusal(&self, refusal: LoginRefusal) {
        self.shared.store.set_login_refusal(refusal);
    }

    /// Sets the access token of `user` for XOAUTH2 and OAUTHBEARER; `None` revokes it. Connections that are logged in stay so.
    pub fn set_token(&self, user: &str, token: Option<Secret>) {
        self.shared.tokens.set(user, token);
    }

    /// Changes how a token is refused from now on.
    pub fn set_token_refusal(&self, refusal: TokenRefusal) {
        self.shared.tokens.set_refusal(refusal);
    }

    /// Answers an AUTH line with a token with 500 from now on, where the line has more octets than this.
    pub fn set_longest_auth_line(&self, octets: usize) {
        self.shared.tokens.set_longest(octets);
    }

    /// Asks for a fault. It strikes at the next opportunity, on whatever connection that is.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(None, fault);
        self.shared.fault_added.send_replace(());
    }

    /// As [`Sandbox::fault`], for connections of this account only. It cannot strike before the log-in is tried.
    pub fn fault_for(&self, user: &str, fault: Fault) {
        self.shared.faults.add(Some(user), fault);
        self.shared.fault_added.send_replace(());
    }

    /// Forgets all faults that have not struck. A connection that is stalled already stays so.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Ends it at once: connections are cut, and when this returns the ports are free again.
    pub async fn stop(mut self) {
        self.shared.end.cancel();
        for task in std::mem::take(&mut self.listeners) {
            // A listener that panicked has closed its port as well.
            let _ = task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}
