//! From "a message wants out" to a connection that will carry it: an idle one, or a new one that has logged in.
//!
//! ```text
//!  idle one? --yes--------------------------------------------------> take it
//!     | no                                    ^ one became free
//!  a place for a connection (`sockets`) ------+
//!     |                                       |
//!  one log-in at a time (`logins`) -----------+
//!     |
//!  endpoints in turn (`places`): dial, TLS, EHLO (`opening`)
//!     |  AUTH is about to go out
//!  idle one after all? --yes-----------------------------------------> take it, QUIT on the new one
//!     | no
//!  permit? --held--> QUIT, the message waits
//!     | yes
//!  AUTH
//! ```
//!
//! Not here: what a message does on the connection, and when connections end (`pool`). Invariants: an account never has
//! two log-ins on the way; no log-in goes out while a connection is free; none goes out without a permit; it never has more
//! connections than it may, one that is being ended included.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::net::tls;
use crate::provider::{Endpoint, Verdict};
use crate::secret::Secret;
use crate::secret::redact::redact;
use crate::telemetry::counter;

use super::connection::{Connection, Seat};
use super::logins::Mark;
use super::opening::OpenError;
use super::outcome::{self, Condition};
use super::permit::{Held, Permit};
use super::pool::{Begun, Upstream};
use super::sockets::SocketPermit;
use super::turn::Turn;

impl Upstream {
    /// A connection for the message whose turn it is.
    ///
    /// # Errors
    /// Why there is none. When somebody else was told this, and this message only waited behind, the turn says so.
    pub(super) async fn enter(
        &self,
        turn: &mut Turn,
        mark: Mark,
        permit: &dyn Permit,
    ) -> Result<(Connection, Begun), Condition> {
        loop {
            // Made before the look at the idle ones, so that none slips through between.
            let freed = self.0.freed.notified();
            if let Some(connection) = self.take_idle().await {
                return Ok((connection, Begun::Reused));
            }
            // The place comes first: only a message that has one can make the others wait.
            let entered = async {
                let socket = self.0.sockets.take().await;
                (self.0.logins.enter(mark).await, socket)
            };
            let (pass, socket) = tokio::select! {
                biased;
                entered = entered => entered,
                () = freed => continue,
            };
            let pass = match pass {
                Ok(pass) => pass,
                Err(condition) => {
                    turn.second_hand = true;
                    return Err(condition);
                }
            };
            if let Some(connection) = self.take_idle().await {
                return Ok((connection, Begun::Reused));
            }
            let opened = self.open(socket, permit).await;
            match &opened {
                Ok((_, Begun::New)) => pass.ended(None),
                Ok((_, Begun::Reused | Begun::Announced)) => drop(pass),
                Err(condition) => pass.ended(Some(condition.clone())),
            }
            return opened;
        }
    }

    /// Opens a new connection at the first endpoint that has one.
    async fn open(&self, socket: SocketPermit, permit: &dyn Permit) -> Result<(Connection, Begun), Condition> {
        let settings = &self.0.settings;
        let epoch = self.epoch();
        let connector = self.connector().await.map_err(|e| own_fault(outcome::NO_TLS, e.to_string()))?;
        let secret = match settings.user {
            Some(_) => settings.secret.read_apart().await.map(Some),
            None => Ok(None),
        };
        self.set_used_secret(secret.as_ref().ok().cloned().flatten());
        let secret = secret.map_err(|e| own_fault(outcome::NO_SECRET, e.to_string()))?;
        let mut last = Condition::Line("the account has no server to go to".to_owned());
        let order = self.places().order(Instant::now());
        for place in order {
            let endpoint = &settings.endpoints[place];
            match self.reach(place, endpoint, &connector, secret.clone()).await {
                Ok(mut connection) => {
                    connection.socket = Some(socket);
                    return self.log_in(connection, epoch, permit).await;
                }
                Err(error) => {
                    last = self.condition_of(&error);
                    tracing::debug!(event = "no_connection", account = %settings.account,
                        server = %format!("{}:{}", endpoint.host, endpoint.port), "{last:?}");
                    if !error.is_worth_another_port() {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    async fn reach(
        &self,
        place: usize,
        endpoint: &Endpoint,
        connector: &TlsConnector,
        secret: Option<Secret>,
    ) -> Result<Connection, OpenError> {
        let first = self.places().address(place);
        let connection = Connection::reach(&self.0.settings, endpoint, first, connector, secret).await?;
        if self.places().worked(place, connection.peer(), Instant::now()) {
            tracing::info!(event = "endpoint_changed", account = %self.0.settings.account,
                server = %format!("{}:{}", endpoint.host, endpoint.port), tls = endpoint.tls.word());
        }
        Ok(connection)
    }

    /// The last step, and the only one that the provider counts.
    async fn log_in(
        &self,
        mut connection: Connection,
        epoch: u64,
        permit: &dyn Permit,
    ) -> Result<(Connection, Begun), Condition> {
        if connection.must_log_in() {
            // Opening took its time: another message may have ended meanwhile.
            if let Some(free) = self.take_idle().await {
                tokio::spawn(connection.quit());
                return Ok((free, Begun::Reused));
            }
            if let Err(Held { until, text }) = permit.login().await {
                tokio::spawn(connection.quit());
                return Err(Condition::Held { until, text });
            }
            let answered = connection.log_in().await;
            let outcome = match &answered {
                Ok(()) => Some("accepted"),
                Err(failure) => failure.sent_credentials.then_some("refused"),
            };
            if let Some(outcome) = outcome {
                let labels = [("account", self.0.settings.account.as_str()), ("outcome", outcome)];
                self.0.counters.add(counter::LOGINS, &labels, 1);
            }
            if let Err(failure) = answered {
                return Err(self.condition_of(&OpenError::Dialogue(failure)));
            }
        }
        connection.seat = Some(Seat::take(&self.0.open, epoch));
        Ok((connection, Begun::New))
    }

    fn condition_of(&self, error: &OpenError) -> Condition {
        match error {
            OpenError::Dial(error) => Condition::Line(error.to_string()),
            OpenError::Proxy(error) => Condition::Line(redact(&error.to_string()).into_owned()),
            OpenError::Tls(error) => Condition::Line(error.to_string()),
            OpenError::Dialogue(failure) => {
                tracing::debug!(event = "dialogue_failed", account = %self.0.settings.account,
                    phase = ?failure.phase, "{:?}", failure.kind);
                outcome::of_failure(&self.0.settings, failure)
            }
        }
    }

    /// Made anew when the roots have changed.
    async fn connector(&self) -> Result<TlsConnector, tls::TlsError> {
        let settings = &self.0.settings;
        let roots = settings.roots.current(settings.ca.as_deref()).await?;
        // Only a whole value is put in under the lock.
        let mut last = self.0.connector.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = last.as_ref().filter(|(same, _)| Arc::ptr_eq(same, &roots)) {
            return Ok(connector.clone());
        }
        let made = tls::connector_on(roots.clone())?;
        *last = Some((roots, made.clone()));
        Ok(made)
    }
}

/// What only the owner can mend on this machine: the account rests, and is looked at again in a quarter of an hour.
fn own_fault(verdict: Verdict, text: String) -> Condition {
    Condition::Account { verdict, text }
}
