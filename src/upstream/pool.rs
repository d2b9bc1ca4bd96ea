//! One account's connections: as many as it may have, reused over messages, one log-in each.
//!
//! A connection is taken, carries one message, and is given back if it is still good, or handed to the message that it
//! has announced ([`super::turn`]). One that turns out to have died while it was idle costs the message nothing,
//! because the provider had not seen it. Idle connections are closed after a while, or when they are too old, by a task
//! that sleeps until the first of them is due. One that is being ended counts until its socket is closed ([`super::sockets`]). Nothing is asked of an idle connection, NOOP neither: whether it lives is
//! seen on the socket. Not here: how a message comes to a connection (`entrance`), and how one is made (`opening`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::RootCertStore;

use crate::secret::Secret;
use crate::smtp::client::{FailureKind, Lost, Phase, RecipientOutcome};
use crate::telemetry::counter::Counters;

use super::connection::{Connection, Sent, transaction_of};
use super::logins::LogIns;
use super::outcome::{self, Condition, Report};
use super::permit::Permit;
use super::places::Places;
use super::sockets::Sockets;
use super::turn::{Ticket, Turn, Turns};
use super::{Letter, Settings};

/// One account's way out. Clones share the same connections.
#[derive(Clone)]
pub struct Upstream(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    /// The roots of the last dial, and what was made from them.
    pub(super) connector: Mutex<Option<(Arc<RootCertStore>, TlsConnector)>>,
    pub(super) logins: LogIns,
    /// The secret that the last new connection was opened with.
    used: Mutex<Option<Secret>>,
    places: Mutex<Places>,
    turns: Turns,
    pub(super) sockets: Sockets,
    idle: Mutex<VecDeque<(Instant, Connection)>>,
    /// The reaper has something new to look at.
    returned: Notify,
    /// A connection may be taken.
    pub(super) freed: Notify,
    /// Connections that are logged in.
    pub(super) open: Arc<AtomicUsize>,
    /// Connections of an earlier epoch are not used again.
    epoch: AtomicU64,
}

impl Upstream {
    /// No connection is made before there is a message.
    pub fn new(settings: Settings, counters: Counters) -> Upstream {
        let turns = Turns::new(settings.connections, settings.announce);
        let sockets = Sockets::new(settings.connections);
        let places = Mutex::new(Places::new(settings.endpoints.len()));
        Upstream(Arc::new(Shared {
            settings,
            counters,
            connector: Mutex::default(),
            logins: LogIns::default(),
            used: Mutex::default(),
            places,
            turns,
            sockets,
            idle: Mutex::default(),
            returned: Notify::new(),
            freed: Notify::new(),
            open: Arc::default(),
            epoch: AtomicU64::new(0),
        }))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The secret that the account last tried to log in with; `None` if it could not be read, or has no use.
    ///
    /// Not the one that is on the disk now: an operator may have written another one since.
    pub fn used_secret(&self) -> Option<Secret> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_used_secret(&self, secret: Option<Secret>) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    /// Waits until one of the account's connections is free for `letter`.
    ///
    /// Whoever has a turn keeps it until the account has learnt from the report, and looks at the account's state after
    /// the wait: a log-in that was refused meanwhile must not be tried again at once.
    pub async fn turn(&self, letter: &Letter<'_>) -> Turn {
        self.0.turns.take(transaction_of(letter)).await
    }

    /// Sends one message over a connection of this account. `permit` is asked if a new one must log in for it.
    ///
    /// Never fails: whatever goes wrong is in the report.
    pub async fn send(&self, turn: &mut Turn, letter: &Letter<'_>, permit: &dyn Permit) -> Report {
        turn.second_hand = false;
        let mark = self.0.logins.mark();
        if let Some(connection) = turn.announced.take()
            && let Some(report) = self.over(*connection, letter, turn, Begun::Announced, permit).await
        {
            return report;
        }
        loop {
            let condition = match self.enter(turn, mark, permit).await {
                Err(condition) => condition,
                Ok((connection, begun)) => match self.over(connection, letter, turn, begun, permit).await {
                    Some(report) => return report,
                    // It had died while it was idle; there may be another one.
                    None if begun != Begun::New => continue,
                    None => Condition::Line("the connection was lost at once".to_owned()),
                },
            };
            return Report::all(letter.to.len(), condition);
        }
    }

    /// Whether a message could go out now without a log-in: a connection is logged in, idle or at work.
    pub fn is_logged_in(&self) -> bool {
        self.open_connections() > 0
    }

    /// Connections that are logged in, idle or at work, and may be used again.
    pub fn open_connections(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Closes idle connections when their time is over; runs until the task is dropped.
    pub async fn reap(&self) {
        loop {
            let returned = self.0.returned.notified();
            match self.next_due() {
                None => returned.await,
                Some(due) if due > Instant::now() => {
                    // A connection that came back later may be older than all that wait here.
                    tokio::select! { () = tokio::time::sleep_until(due) => {}, () = returned => {} }
                }
                Some(_) => {
                    let now = Instant::now();
                    let gone = {
                        let mut idle = self.idle();
                        let place = idle.iter().position(|one| self.due(one) <= now);
                        place.and_then(|place| idle.remove(place))
                    };
                    if let Some((_, connection)) = gone {
                        tokio::spawn(connection.quit());
                    }
                }
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.idle().iter().map(|one| self.due(one)).min()
    }

    /// When an idle connection must be closed.
    fn due(&self, (since, connection): &(Instant, Connection)) -> Instant {
        let settings = &self.0.settings;
        (*since + settings.idle).min(connection.opened + settings.oldest)
    }

    /// Says QUIT on all idle connections, and lets those that are at work carry no further message: the account is
    /// paused, its secret has changed, or the end has come. New ones may be opened at any time, within the limit.
    pub async fn close_idle(&self) {
        self.0.epoch.fetch_add(1, Ordering::Relaxed);
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
        permit: &dyn Permit,
    ) -> Option<Report> {
        let (settings, count, reused) = (&self.0.settings, letter.to.len(), begun != Begun::New);
        let may_announce = connection.can_follow() && !self.is_spent(&connection, 1);
        let mut ticket = None;
        let announce = || {
            permit.final_dot(true);
            ticket = if may_announce { self.0.turns.next() } else { None };
            ticket.as_ref().map(|ticket: &Ticket| ticket.transaction.clone())
        };
        let sent = connection.send(letter, begun == Begun::Announced, announce).await;
        permit.final_dot(false);
        match sent {
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
            Sent::Unreadable(error) => {
                let text = format!("the relay's own copy of the message cannot be read: {error}");
                Some(Report::all(count, Condition::Unreadable { text, lasting: error.is_about_the_file() }))
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

    /// Whether the connection has no message left in it after `more`.
    fn is_spent(&self, connection: &Connection, more: u32) -> bool {
        let settings = &self.0.settings;
        let stale = connection.seat.as_ref().is_none_or(|seat| seat.epoch != self.epoch());
        stale || connection.messages() + more >= settings.messages_per_connection || connection.age() >= settings.oldest
    }

    /// The connection that was used last, if one is still good.
    pub(super) async fn take_idle(&self) -> Option<Connection> {
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
        self.0.freed.notify_waiters();
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        // Nothing panics half-way through a change.
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Connection)>> {
        // Only whole connections are pushed and popped under the lock.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("account", &self.0.settings.account).finish_non_exhaustive()
    }
}

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
