//! The HTTP face of a relay: opened at the start, and started again when it ends.
//!
//! Mail does not depend on it: where the default address is busy, or the program was built without the feature `http`, the
//! relay runs without.

use std::net::SocketAddr;

use crate::admin::AdminBind;
use crate::config::Settings;

use super::StartError;

#[cfg(feature = "http")]
pub(super) use with_http::Page;
#[cfg(not(feature = "http"))]
pub(super) use without_http::Page;

#[cfg(feature = "http")]
mod with_http {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{AdminBind, Settings, SocketAddr, StartError};
    use crate::admin::Admin;
    use crate::admin::http::{HttpContext, HttpParts, Socket, SocketError, Tokens, serve};
    use crate::admin::settings::AdminSettings;
    use crate::intake::IntakeContext;
    use crate::telemetry::panic;

    /// From the end of the server to its next start.
    const REST: Duration = Duration::from_secs(1);

    /// An open HTTP face that answers no request yet.
    #[derive(Debug)]
    pub(in crate::app) struct Page {
        socket: Socket,
        tokens: Tokens,
        settings: AdminSettings,
    }

    impl Page {
        /// Opens it where the settings say; `None` when there is none.
        ///
        /// # Errors
        /// [`StartError::Http`] for an address that the settings name, [`StartError::Setting`] for a token.
        pub(in crate::app) fn open(settings: &Settings) -> Result<Option<Page>, StartError> {
            let admin = &settings.admin;
            if admin.bind == AdminBind::Off {
                return Ok(None);
            }
            let tokens = Tokens::read(admin, &settings.queue.data_dir).map_err(|error| {
                let text = error.to_string();
                let (path, reason) = text.split_once(": ").unwrap_or(("admin", &text));
                StartError::Setting { path: path.to_owned(), reason: reason.to_owned() }
            })?;
            match Socket::open(&admin.bind) {
                Ok(socket) => Ok(socket.map(|socket| Page { socket, tokens, settings: admin.clone() })),
                Err(SocketError { bind, source }) if admin.named => Err(StartError::Http { bind, source }),
                Err(error) => {
                    tracing::warn!(
                        event = "http_unavailable",
                        "{error}; the relay runs without page and API; set admin.bind to another address, or to \"\""
                    );
                    Ok(None)
                }
            }
        }

        /// The open address; `None` for a Unix socket.
        pub(in crate::app) fn address(&self) -> Option<SocketAddr> {
            self.socket.address()
        }

        /// Answers until the drain starts.
        pub(in crate::app) async fn run(self, admin: Admin, intake: Arc<IntakeContext>) {
            let Page { socket, tokens, settings } = self;
            let (counters, drain) = (intake.counters.clone(), intake.drain.clone());
            let (addr, bind) = (socket.address(), settings.bind.clone());
            let shown = addr.map_or_else(|| bind.to_string(), |addr| addr.to_string());
            tracing::info!(event = "admin_listening", addr = shown, tls = settings.tls.is_some());
            let context = Arc::new(HttpContext::new(HttpParts { settings, tokens, admin, intake }, addr));
            let socket = Arc::new(socket);
            while !drain.started() {
                panic::confined("http", &counters, serve(socket.clone(), context.clone())).await;
                if !drain.started() {
                    tracing::error!(event = "http_restarted", "the HTTP face has ended; it starts again");
                    tokio::select! {
                        () = tokio::time::sleep(REST) => {}
                        () = drain.asked() => {}
                    }
                }
            }
        }
    }
}

#[cfg(not(feature = "http"))]
mod without_http {
    use std::sync::Arc;

    use super::{AdminBind, Settings, SocketAddr, StartError};
    use crate::admin::Admin;
    use crate::intake::IntakeContext;

    /// There is none in this program.
    #[derive(Debug)]
    pub(in crate::app) enum Page {}

    impl Page {
        pub(in crate::app) fn open(settings: &Settings) -> Result<Option<Page>, StartError> {
            if settings.admin.named && settings.admin.bind != AdminBind::Off {
                tracing::warn!(
                    event = "http_unavailable",
                    "admin.bind is set, but this program was built without HTTP"
                );
            }
            Ok(None)
        }

        pub(in crate::app) fn address(&self) -> Option<SocketAddr> {
            match *self {}
        }

        #[allow(clippy::unused_async, reason = "it has the form of the one with HTTP")]
        pub(in crate::app) async fn run(self, _: Admin, _: Arc<IntakeContext>) {
            match self {}
        }
    }
}
