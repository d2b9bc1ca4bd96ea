//! One account's connections: as many as it may have, reused over messages, one log-in each.
//!
//! A connection is taken, carries one message, and is given back if it is still good, or handed to the message that it
//! has announced ([`super::turn`]). One that turns out to have died
//! while it was idle is replaced at once and costs the message nothing, because the provider had not seen it. Idle
//! connections are closed after a while by a task that sleeps until the first of them is due.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::provider::Verdict;
use crate::secret::Secret;
use crate::smtp::client::{FailureKind, Lost, Phase, RecipientOutcome};
use crate::telemetry::counter::{self, Counters};

use super::connection::{Connection, OpenError, Sent, transaction_of};
use super::outcome::{self, Condition, Report};
use super::turn::{Ticket, Turn, Turns};
use super::{Letter, Settings, tls};

/// A connection that is older than this is not used again, however busy it was.
const OLDEST: Duration = Duration::from_secs(30 * 60);

/// One account's way out. Clones share the same connections.
#[derive(Clone)]
pub struct Upstream(Arc<Shared>);

struct Shared {
    settings: Settings,
    counters: Counters,
    connector: OnceLock<TlsConnector>,
    turns: Turns,
    idle: Mutex<VecDeque<(Instant, Connection)>>,
    returned: Notify,
}

impl Upstream {
    /// No connection is made before there is a message.
    pub fn new(settings: Settings, counters: Counters) -> Upstream {
        let turns = Turns::new(settings.connections, settings.announce);
        Upstream(Arc::new(Shared {
            settings,
            counters,
            connector: OnceLock::new(),
            turns,
            idle: Mutex::default(),
            returned: Notify::new(),
        }))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Waits until one of the account's connections is free for `letter`.
    ///
    /// Whoever has a turn keeps it until the account has learnt from the report, and looks at the account's state after
    /// the wait: a log-in that was refused meanwhile must not be tried again at once.
    pub async fn turn(&self, letter: &Letter<'_>) -> Turn {
        self.0.turns.take(transaction_of(letter)).await
    }

    /// Sends one message over a connection of this account.
    ///
    /// Never fails: whatever goes wrong is in the report.
    pub async fn send(&self, turn: &mut Turn, letter: &Letter<'_>) -> Report {
        if let Some(connection) = turn.announced.take()
            && let Some(report) = self.over(*connection, letter, turn, Begun::Announced).await
        {
            return report;
        }
        if let Some(connection) = self.take_idle().await
            && let Some(report) = self.over(connection, letter, turn, Begun::Reused).await
        {
            return report;
        }
        match self.open().await {
            Ok(connection) => match self.over(connection, letter, turn, Begun::New).await {
                Some(report) => report,
                None => Report::all(letter.to.len(), Condition::Line("the connection was lost at once".to_owned())),
            },
            Err(condition) => Report::all(letter.to.len(), condition),
        }
    }

    /// Closes idle connections when their time is over; runs until the task is dropped.
    pub async fn reap(&self) {
        loop {
            let returned = self.0.returned.notified();
            let oldest = self.idle().front().map(|(since, _)| *since + self.0.settings.idle);
            match oldest {
                None => returned.await,
                Some(due) if due > Instant::now() => tokio::time::sleep_until(due).await,
                Some(_) => {
                    let gone = self.idle().pop_front();
                    if let Some((_, connection)) = gone {
                        connection.quit().await;
                    }
                }
            }
        }
    }

    /// Says QUIT on all idle connections.
    pub async fn close(&self) {
        let all: Vec<_> = self.idle().drain(..).collect();
        let farewells: Vec<_> = all.into_iter().map(|(_, connection)| tokio::spawn(connection.quit())).collect();
        for farewell in farewells {
            // A farewell that fails is a farewell.
            let _ = farewell.await;
        }
    }

    /// Sends over this connection. `None` when a reused one was dead before it took anything: the message is untouched.
    async fn over(
        &self,
        mut connection: Connection,
        letter: &Letter<'_>,
        turn: &mut Turn,
        begun: Begun,
    ) -> Option<Report> {
        let (settings, count, reused) = (&self.0.settings, letter.to.len(), begun != Begun::New);
        let may_announce = connection.can_follow() && !self.is_spent(&connection, 1);
        let mut ticket = None;
        let announce = || {
            ticket = if may_announce { self.0.turns.next() } else { None };
            ticket.as_ref().map(|ticket: &Ticket| ticket.transaction.clone())
        };
        match connection.send(letter, begun == Begun::Announced, announce).await {
            // Lost before MAIL was answered: the server had hung up while the connection was idle.
            Sent::Done { outcomes, .. } if reused && outcomes.iter().all(is_unseen) => {
                if begun == Begun::Announced && outcomes.iter().any(is_timeout) {
                    tracing::warn!(event = "no_announcing", account = %self.0.settings.account,
                        "the server lost what came behind a final dot; messages are announced no more");
                    self.0.turns.stop_announcing();
                }
                None
            }
            Sent::Done { outcomes, reusable } => {
                let report = outcome::of_transaction(settings, &outcomes);
                if reusable && matches!(report.condition, Condition::Works) {
                    self.pass_on(connection, ticket, turn);
                } else {
                    tokio::spawn(connection.quit());
                }
                Some(report)
            }
            Sent::Failed(failure) => {
                let unseen = matches!(failure.kind, FailureKind::Lost(_) | FailureKind::Refused(_))
                    && matches!(failure.phase, Phase::Idle | Phase::Mail);
                if reused && unseen {
                    return None;
                }
                Some(Report::all(count, outcome::of_failure(settings, &failure)))
            }
            Sent::Unreadable(reason) => {
                Some(Report::all(count, Condition::Line(format!("our own copy cannot be read: {reason}"))))
            }
        }
    }

    /// Hands the connection to the message that it has announced, with the slot; else puts it with the idle ones.
    fn pass_on(&self, connection: Connection, ticket: Option<Ticket>, turn: &mut Turn) {
        let Some(ticket) = ticket.filter(|_| connection.has_announced()) else { return self.give_back(connection) };
        if let Err(back) = ticket.hand_over(connection, turn.slot.take()) {
            // Nobody waits for it, and the server waits for a message: only closing helps.
            turn.slot = back.slot;
        }
    }

    /// Opens a new connection at the first endpoint that has one. A log-in is tried once and at one endpoint only.
    async fn open(&self) -> Result<Connection, Condition> {
        let settings = &self.0.settings;
        let connector = self.connector().map_err(|e| own_fault(outcome::NO_TLS, e.to_string()))?;
        let secret = match settings.user {
            Some(_) => Some(settings.secret.read().map_err(|e| own_fault(outcome::NO_SECRET, e.to_string()))?),
            None => None,
        };
        let mut last = Condition::Line("the account has no server to go to".to_owned());
        for endpoint in &settings.endpoints {
            let place = format!("{}:{}", endpoint.host, endpoint.port);
            match self.open_at(endpoint, &connector, secret.clone()).await {
                Ok(connection) => return Ok(connection),
                Err(OpenError::Dial(error)) => last = Condition::Line(error.to_string()),
                Err(OpenError::Tls(error)) => last = Condition::Line(error.to_string()),
                Err(OpenError::Dialogue(failure)) => {
                    let condition = outcome::of_failure(settings, &failure);
                    tracing::debug!(event = "dialogue_failed", account = %settings.account, server = %place,
                        phase = ?failure.phase, "{condition:?}");
                    return Err(condition);
                }
            }
            tracing::debug!(event = "no_connection", account = %settings.account, server = %place, "{last:?}");
        }
        Err(last)
    }

    async fn open_at(
        &self,
        endpoint: &crate::provider::Endpoint,
        connector: &TlsConnector,
        secret: Option<Secret>,
    ) -> Result<Connection, OpenError> {
        let with_login = secret.is_some();
        let opened = Connection::open(&self.0.settings, endpoint, connector, secret).await;
        let outcome = match &opened {
            Ok(_) => Some("accepted"),
            Err(OpenError::Dialogue(failure)) if failure.sent_credentials => Some("refused"),
            Err(_) => None,
        };
        if let Some(outcome) = outcome.filter(|_| with_login) {
            let labels = [("account", self.0.settings.account.as_str()), ("outcome", outcome)];
            self.0.counters.add(counter::LOGINS, &labels, 1);
        }
        opened
    }

    /// Whether the connection has no message left in it after `more`.
    fn is_spent(&self, connection: &Connection, more: u32) -> bool {
        connection.messages() + more >= self.0.settings.messages_per_connection || connection.age() >= OLDEST
    }

    /// The connection that was used last, if one is still good.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.idle().pop_back()?;
            let fresh = since.elapsed() < self.0.settings.idle && !self.is_spent(&connection, 0);
            if fresh && connection.is_alive().await {
                return Some(connection);
            }
            tokio::spawn(connection.quit());
        }
    }

    fn give_back(&self, connection: Connection) {
        if self.is_spent(&connection, 0) {
            tokio::spawn(connection.quit());
            return;
        }
        self.idle().push_back((Instant::now(), connection));
        self.0.returned.notify_one();
    }

    fn connector(&self) -> Result<TlsConnector, tls::TlsError> {
        if let Some(connector) = self.0.connector.get() {
            return Ok(connector.clone());
        }
        let made = tls::connector(self.0.settings.ca.as_deref())?;
        Ok(self.0.connector.get_or_init(|| made).clone())
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Connection)>> {
        // Only whole connections are pushed and popped under the lock.
        self.0.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("account", &self.0.settings.account).finish_non_exhaustive()
    }
}

/// How a transaction comes to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// It was dialled for it.
    New,
    /// It was idle.
    Reused,
    /// It has sent the commands already, behind the final dot of another message.
    Announced,
}

fn is_timeout(outcome: &RecipientOutcome) -> bool {
    matches!(outcome, RecipientOutcome::NotTried { lost: Lost::Timeout, .. })
}

/// Whether the server said nothing at all about the message.
fn is_unseen(outcome: &RecipientOutcome) -> bool {
    match outcome {
        RecipientOutcome::NotTried { phase, .. } => matches!(phase, Phase::Idle | Phase::Mail),
        // `421 idle for too long` crossed our MAIL on the way.
        RecipientOutcome::Refused { phase, reply } => matches!(phase, Phase::Idle | Phase::Mail) && reply.code() == 421,
        RecipientOutcome::Accepted(_) | RecipientOutcome::Uncertain { .. } => false,
    }
}

/// What only the owner can mend on this machine: the account rests, and is looked at again in a quarter of an hour.
fn own_fault(verdict: Verdict, text: String) -> Condition {
    Condition::Account { verdict, text }
}
