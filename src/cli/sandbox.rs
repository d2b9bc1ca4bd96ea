//! The pretended provider that `run --sandbox` and `demo` send to, and the account that goes with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::Account;
use crate::drain::Drain;
use crate::mail::Address;
use crate::provider::{Endpoint, Tls, preset};
use crate::sandbox::{Sandbox, SandboxLimits, SandboxSettings};
use crate::secret::{Secret, SecretSource};

/// The mailbox of the pretended provider.
pub(super) const USER: &str = "10000@qq.com";
/// How many mails the sandbox remembers.
const KEEP: usize = 1000;

/// A sandbox with one mailbox.
pub(super) struct Provider {
    pub(super) sandbox: Sandbox,
    secret: Secret,
    ca: PathBuf,
    drain: Drain,
}

impl Provider {
    /// Starts it on a free port, and leaves its certificate authority in `dir`, where the relay reads it.
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Provider> {
        // Sixteen lower-case letters, as QQ hands them out. Nobody can reach this mailbox but this machine.
        let secret = Secret::new("sandboxcodenotqq");
        let drain = Drain::default();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = SandboxSettings {
            implicit: Some(any),
            starttls: Some(any),
            accounts: vec![(USER.to_owned(), secret.clone())],
            limits: SandboxLimits::default(),
            keep: KEEP,
            reply_delay: Duration::ZERO,
        };
        let sandbox = Sandbox::start(settings, Clock::system(), drain.clone()).await?;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("cannot make {}", dir.display()))?;
        let ca = dir.join("sandbox-ca.pem");
        std::fs::write(&ca, sandbox.ca_pem()).with_context(|| format!("cannot write {}", ca.display()))?;
        Ok(Provider { sandbox, secret, ca, drain })
    }

    /// The account that sends through it.
    pub(super) fn account(&self) -> anyhow::Result<Account> {
        let addr = self.sandbox.implicit_addr().context("the sandbox has no port")?;
        let preset = preset("qq").context("there is no preset qq")?;
        Ok(Account {
            secret: Some(SecretSource::Plain(self.secret.clone())),
            endpoints: vec![Endpoint { host: addr.ip().to_string(), port: addr.port(), tls: Tls::Implicit }],
            ca: Some(self.ca.clone()),
            ..Account::of_preset("sandbox", preset, USER, Address::parse(USER)?)
        })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.drain.start();
    }
}
