//! What all requests share: tokens, sessions, the count of wrong tokens, the commands, and the way into the queue.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::admin::settings::{AdminSettings, MetricsAccess};
use crate::admin::{Admin, OpenCodes};
use crate::intake::IntakeContext;
use crate::intake::log_lines::may_log;
use crate::limits::lockout::{Lockout, Patience};
use crate::net::tls::identity::Identity;

use super::answer::Problem;
use super::places::Places;
use super::sessions::Sessions;
use super::tokens::Tokens;

/// What an HTTP face is made of.
pub struct HttpParts {
    /// Its settings.
    pub settings: AdminSettings,
    /// Its tokens.
    pub tokens: Tokens,
    /// What carries out commands.
    pub admin: Admin,
    /// The way into the queue, with the names, counters and the drain of the relay.
    pub intake: Arc<IntakeContext>,
}

impl std::fmt::Debug for HttpParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What all requests share.
pub struct HttpContext {
    /// The host names of this relay.
    pub(super) names: Vec<String>,
    pub(super) metrics: MetricsAccess,
    pub(super) tls: Option<Arc<Identity>>,
    pub(super) tokens: Tokens,
    pub(super) sessions: Sessions,
    pub(super) places: Places,
    pub(super) admin: Admin,
    pub(super) intake: Arc<IntakeContext>,
    lockout: Lockout,
}

impl std::fmt::Debug for HttpContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpContext").field("names", &self.names).finish_non_exhaustive()
    }
}

impl HttpContext {
    /// Puts the parts together. `bound` is the open address, for the URL that `yizhan open` prints.
    pub fn new(parts: HttpParts, bound: Option<SocketAddr>) -> HttpContext {
        let HttpParts { settings, tokens, admin, intake } = parts;
        let mut names = settings.names;
        names.push(intake.hostname.clone());
        let page = bound.map(|addr| page_address(addr, settings.tls.is_some().then(|| names[0].as_str())));
        admin.codes().set_page(page);
        HttpContext {
            names,
            metrics: settings.metrics,
            tls: settings.tls,
            tokens,
            sessions: Sessions::default(),
            places: Places::default(),
            admin,
            intake,
            lockout: Lockout::new(Patience::default()),
        }
    }

    /// The codes of `yizhan open`.
    pub(super) fn codes(&self) -> &OpenCodes {
        self.admin.codes()
    }

    /// Counts a wrong token of `addr`, and answers later and later; at once where the address is locked out. A right token
    /// never comes here.
    pub(super) async fn wrong_token(&self, addr: IpAddr) -> Problem {
        let now = Instant::now();
        let locked = self.lockout.is_locked(addr, now);
        let count = self.lockout.failed(addr, now);
        if may_log(&self.intake, addr, "login_failed") {
            tracing::warn!(event = "login_failed", listener = "http", %addr, count, "wrong token");
        }
        if locked {
            return Problem::locked_out();
        }
        tokio::select! {
            () = tokio::time::sleep(self.lockout.patience().wait(count)) => {}
            () = self.intake.drain.asked() => {}
        }
        Problem::unauthorized()
    }
}

/// `http://127.0.0.1:8025`, for a browser on this machine; over TLS with a name that the certificate may have.
fn page_address(addr: SocketAddr, tls_name: Option<&str>) -> String {
    let here: SocketAddr = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ([127, 0, 0, 1], addr.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => addr,
    };
    match tls_name {
        Some(name) => format!("https://{name}:{}", here.port()),
        None => format!("http://{here}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_at_an_address_that_a_browser_here_can_reach() {
        let of = |text: &str, name| page_address(text.parse().unwrap(), name);
        assert_eq!(of("0.0.0.0:8025", None), "http://127.0.0.1:8025");
        assert_eq!(of("[::]:8025", None), "http://[::1]:8025");
        assert_eq!(of("10.0.0.5:80", None), "http://10.0.0.5:80");
        assert_eq!(of("0.0.0.0:443", Some("relay.lan")), "https://relay.lan:443");
    }
}
