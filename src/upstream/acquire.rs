//! How a message comes to a connection: an idle one, or a new one that has logged in.
//!
//! ```text
//!  idle one? --yes----------------------------------------------------> take it (`idle_pool`)
//!     | no                                       ^ one became free
//!  a permit for a socket (`socket_permits`) -----+
//!     |                                          |
//!  one log-in at a time (`login_gate`) ----------+
//!     |
//!  endpoints in turn (`endpoint_memory`): dial, TLS, EHLO (`connect`)
//!     |  AUTH is about to go out
//!  idle one after all? --yes------------------------------------------> take it, QUIT on the new one
//!     | no
//!  permitted? (`permit`) --held--> QUIT, the message waits
//!     | yes
//!  AUTH  --an access token is refused, and was not young--> once more, with a fresh one
//! ```
//!
//! Not here: what a message does on the connection (`send`). Invariants: an account never has two log-ins on the way; no
//! log-in goes out while a connection is free; none goes out without a permit; the account never has more connections
//! than it may, those that are being ended included.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::RootCertStore;

use crate::net::tls;
use crate::oauth::AccessToken;
use crate::provider::{Endpoint, Verdict};
use crate::secret::Secret;
use crate::secret::redact::redact;
use crate::telemetry::counter::{self, Counters};

use super::connect::{OpenError, connect};
use super::connection::ProviderConnection;
use super::endpoint_memory::EndpointMemory;
use super::idle_pool::IdlePool;
use super::login_gate::{LoginGate, Mark};
use super::outcome::{self, Condition};
use super::permit::{Held, Permit};
use super::settings::UpstreamSettings;
use super::socket_permits::{SocketPermit, SocketPermits};

/// How a transaction comes to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was dialled for it.
    New,
    /// It was idle.
    Reused,
    /// It has sent the commands already, behind the final dot of another message.
    Announced,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NoConnection {
    pub(super) condition: Condition,
    /// The provider said this to another message, behind which this one had waited.
    pub(super) second_hand: bool,
}

impl From<Condition> for NoConnection {
    fn from(condition: Condition) -> NoConnection {
        NoConnection { condition, second_hand: false }
    }
}

/// What an account logs in with.
struct Credential {
    /// `None` where no log-in is wanted.
    secret: Option<Secret>,
    /// The secret is this token.
    token: Option<AccessToken>,
}

/// Why an opening came to nothing.
struct NotOpened {
    condition: Condition,
    /// The server refused the access token: the socket, for one more log-in.
    again: Option<SocketPermit>,
}

impl From<Condition> for NotOpened {
    fn from(condition: Condition) -> NotOpened {
        NotOpened { condition, again: None }
    }
}

/// Gets connections for the messages of one account.
pub(super) struct Acquirer {
    settings: Arc<UpstreamSettings>,
    counters: Counters,
    pool: Arc<IdlePool>,
    sockets: SocketPermits,
    gate: LoginGate,
    endpoints: Mutex<EndpointMemory>,
    /// The roots of the last dial, and what was made from them.
    connector: Mutex<Option<(Arc<RootCertStore>, TlsConnector)>>,
    /// The secret that the last new connection was opened with.
    used: Mutex<Option<Secret>>,
}

impl Acquirer {
    /// Nothing is open, and nothing is known of the endpoints.
    pub(super) fn new(settings: Arc<UpstreamSettings>, counters: Counters, pool: Arc<IdlePool>) -> Acquirer {
        Acquirer {
            sockets: SocketPermits::new(settings.connections),
            gate: LoginGate::default(),
            endpoints: Mutex::new(EndpointMemory::new(settings.endpoints.len())),
            connector: Mutex::default(),
            used: Mutex::default(),
            settings,
            counters,
            pool,
        }
    }

    /// To be taken before the first [`Acquirer::acquire`] of a message: openings that end later are taken for its own.
    pub(super) fn mark(&self) -> Mark {
        self.gate.mark()
    }

    /// The secret of the last try to open a connection; with access tokens what tells the sign-in from another one.
    pub(super) fn used_secret(&self) -> Option<Secret> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection for a message that has a slot.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn acquire(
        &self,
        mark: Mark,
        permit: &dyn Permit,
    ) -> Result<(ProviderConnection, Begun), NoConnection> {
        loop {
            // Made before the look at the idle ones, so that none slips through between.
            let freed = self.pool.freed();
            if let Some(connection) = self.pool.take().await {
                return Ok((connection, Begun::Reused));
            }
            // The socket comes first: only a message that has one can make the others wait.
            let entered = async {
                let socket = self.sockets.take().await;
                (self.gate.enter(mark).await, socket)
            };
            let (pass, socket) = tokio::select! {
                biased;
                entered = entered => entered,
                () = freed => continue,
            };
            let pass = pass.map_err(|condition| NoConnection { condition, second_hand: true })?;
            if let Some(connection) = self.pool.take().await {
                return Ok((connection, Begun::Reused));
            }
            let opened = self.open(socket, permit).await;
            match &opened {
                Ok((_, Begun::New)) => pass.ended(None),
                Ok((_, Begun::Reused | Begun::Announced)) => drop(pass),
                Err(condition) => pass.ended(Some(condition.clone())),
            }
            return opened.map_err(NoConnection::from);
        }
    }

    /// Opens a new connection at the first endpoint that has one.
    async fn open(&self, socket: SocketPermit, permit: &dyn Permit) -> Result<(ProviderConnection, Begun), Condition> {
        let settings = &*self.settings;
        let epoch = self.pool.epoch();
        let connector = self.connector().await.map_err(|e| own_fault(outcome::NO_TLS, e.to_string()))?;
        let credential = self.credential().await?;
        let NotOpened { condition: refused, again } =
            match self.open_with(&credential, socket, &connector, epoch, permit).await {
                Ok(opened) => return Ok(opened),
                Err(not_opened) => not_opened,
            };
        let (Some(source), Some(token), Some(socket)) = (&settings.token, &credential.token, again) else {
            return Err(refused);
        };
        let fresh = source.renew(token).await.map_err(outcome::of_token)?;
        self.note_used(source.used());
        let Some(token) = fresh else { return Err(refused) };
        let credential = Credential { secret: Some(token.secret().clone()), token: Some(token) };
        self.open_with(&credential, socket, &connector, epoch, permit).await.map_err(|failed| failed.condition)
    }

    /// Reads the secret, or asks for an access token.
    async fn credential(&self) -> Result<Credential, Condition> {
        let settings = &*self.settings;
        if let Some(source) = &settings.token {
            let token = source.token().await;
            self.note_used(source.used());
            let token = token.map_err(outcome::of_token)?;
            return Ok(Credential { secret: Some(token.secret().clone()), token: Some(token) });
        }
        let secret = match settings.user {
            Some(_) => settings.secret.read_apart().await.map(Some),
            None => Ok(None),
        };
        self.note_used(secret.as_ref().ok().cloned().flatten());
        let secret = secret.map_err(|e| own_fault(outcome::NO_SECRET, e.to_string()))?;
        Ok(Credential { secret, token: None })
    }

    fn note_used(&self, secret: Option<Secret>) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    async fn open_with(
        &self,
        credential: &Credential,
        socket: SocketPermit,
        connector: &TlsConnector,
        epoch: u64,
        permit: &dyn Permit,
    ) -> Result<(ProviderConnection, Begun), NotOpened> {
        let settings = &*self.settings;
        let mut last = Condition::Line("the account has no server to go to".to_owned());
        let order = self.endpoints().order(Instant::now());
        for place in order {
            let endpoint = &settings.endpoints[place];
            match self.reach(place, endpoint, connector, credential.secret.clone()).await {
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
        Err(last.into())
    }

    async fn reach(
        &self,
        place: usize,
        endpoint: &Endpoint,
        connector: &TlsConnector,
        secret: Option<Secret>,
    ) -> Result<ProviderConnection, OpenError> {
        let first = self.endpoints().address(place);
        let connection = connect(&self.settings, endpoint, first, connector, secret).await?;
        if self.endpoints().worked(place, connection.peer(), Instant::now()) {
            tracing::info!(event = "endpoint_changed", account = %self.settings.account,
                server = %format!("{}:{}", endpoint.host, endpoint.port), tls = endpoint.tls.word());
        }
        Ok(connection)
    }

    /// The last step, and the only one that the provider counts.
    async fn log_in(
        &self,
        mut connection: ProviderConnection,
        epoch: u64,
        permit: &dyn Permit,
    ) -> Result<(ProviderConnection, Begun), NotOpened> {
        if connection.must_log_in() {
            // Opening took its time: another message may have ended meanwhile.
            if let Some(free) = self.pool.take().await {
                tokio::spawn(connection.quit());
                return Ok((free, Begun::Reused));
            }
            if let Err(Held { until, text }) = permit.login().await {
                tokio::spawn(connection.quit());
                return Err(Condition::Held { until, text }.into());
            }
            let answered = connection.log_in().await;
            let outcome = match &answered {
                Ok(()) => Some("accepted"),
                Err(failure) => failure.sent_credentials.then_some("refused"),
            };
            if let Some(outcome) = outcome {
                let labels = [("account", self.settings.account.as_str()), ("outcome", outcome)];
                self.counters.add(counter::LOGINS, &labels, 1);
            }
            if let Err(failure) = answered {
                let wants_fresh = outcome::wants_fresh_token(&self.settings, &failure);
                let condition = self.condition_of(&OpenError::Dialogue(failure));
                let again = if wants_fresh { connection.socket.take() } else { None };
                return Err(NotOpened { condition, again });
            }
        }
        connection.seat = Some(self.pool.seat(epoch));
        Ok((connection, Begun::New))
    }

    fn condition_of(&self, error: &OpenError) -> Condition {
        match error {
            OpenError::Dial(error) => Condition::Line(error.to_string()),
            OpenError::Proxy(error) => Condition::Line(redact(&error.to_string()).into_owned()),
            OpenError::Tls(error) => Condition::Line(error.to_string()),
            OpenError::Dialogue(failure) => {
                tracing::debug!(event = "dialogue_failed", account = %self.settings.account,
                    phase = ?failure.phase, "{:?}", failure.kind);
                outcome::of_failure(&self.settings, failure)
            }
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, EndpointMemory> {
        // Nothing panics half-way through a change.
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Made anew when the roots have changed.
    async fn connector(&self) -> Result<TlsConnector, tls::TlsError> {
        let settings = &*self.settings;
        let roots = settings.roots.current(settings.ca.as_deref()).await?;
        // Only a whole value is put in under the lock.
        let mut last = self.connector.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = last.as_ref().filter(|(same, _)| Arc::ptr_eq(same, &roots)) {
            return Ok(connector.clone());
        }
        let made = tls::connector_on(roots.clone())?;
        *last = Some((roots, made.clone()));
        Ok(made)
    }
}

/// What only the operator can mend on this machine: the account cools, and is tried again in a quarter of an hour.
fn own_fault(verdict: Verdict, text: String) -> Condition {
    Condition::Account { verdict, text }
}
