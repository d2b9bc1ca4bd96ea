//! One account's way to its provider: a message gets a slot, a connection, and is sent.
//!
//! ```text
//!  slot (`connection_slots`) -> connection (`acquire`) -> transaction (`connection`) -> report (`outcome`)
//!                                                              |
//!                        idle again (`idle_pool`), or handed to the message that it has announced
//! ```
//!
//! A reused connection that turns out to have died while it was idle costs the message nothing, because the provider
//! had not seen it: another one is acquired.

use std::sync::Arc;

use crate::secret::Secret;
use crate::smtp::client::{ClientPhase, FailureKind, Lost, RecipientOutcome};
use crate::telemetry::counter::Counters;

use super::acquire::{Acquirer, Begun};
use super::connection::{ProviderConnection, Sent};
use super::connection_slots::{ConnectionSlot, ConnectionSlots, Ticket};
use super::idle_pool::IdlePool;
use super::letter::Letter;
use super::outcome::{self, Condition, Report};
use super::permit::Permit;
use super::settings::UpstreamSettings;

/// One account's way out. Clones share the same connections.
#[derive(Clone)]
pub struct Upstream(Arc<Shared>);

struct Shared {
    settings: Arc<UpstreamSettings>,
    slots: ConnectionSlots,
    pool: Arc<IdlePool>,
    acquirer: Acquirer,
}

impl Upstream {
    /// No connection is made before there is a message.
    pub fn new(settings: UpstreamSettings, counters: Counters) -> Upstream {
        let (settings, slots) =
            (Arc::new(settings.clone()), ConnectionSlots::new(settings.connections, settings.announce));
        let pool = Arc::new(IdlePool::new(&settings));
        let acquirer = Acquirer::new(settings.clone(), counters, pool.clone());
        Upstream(Arc::new(Shared { settings, slots, pool, acquirer }))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.0.settings
    }

    /// The secret that the account last tried to log in with, or what tells its sign-in from another one where it has access
    /// tokens; `None` if it could not be read, or has no use.
    ///
    /// Not the one that is on the disk now: an operator may have written another one since.
    pub fn used_secret(&self) -> Option<Secret> {
        self.0.acquirer.used_secret()
    }

    /// Waits until one of the account's connections is free for `letter`.
    ///
    /// The caller keeps the slot until the account has learnt from the report, and looks at the account's state after
    /// the wait: a log-in that was refused meanwhile must not be tried again at once.
    pub async fn slot(&self, letter: &Letter<'_>) -> ConnectionSlot {
        self.0.slots.take(letter.transaction()).await
    }

    /// Sends one message over a connection of this account. `permit` is asked if a new one must log in for it.
    ///
    /// Never fails: whatever goes wrong is in the report.
    pub async fn send(&self, slot: &mut ConnectionSlot, letter: &Letter<'_>, permit: &dyn Permit) -> Report {
        slot.second_hand = false;
        let mark = self.0.acquirer.mark();
        if let Some(connection) = slot.announced.take()
            && let Some(report) = self.over(*connection, letter, slot, Begun::Announced, permit).await
        {
            return report;
        }
        loop {
            let condition = match self.0.acquirer.acquire(mark, permit).await {
                Err(none) => {
                    slot.second_hand = none.second_hand;
                    none.condition
                }
                Ok((connection, begun)) => match self.over(connection, letter, slot, begun, permit).await {
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
        self.0.pool.open()
    }

    /// Closes idle connections when their time is over; runs until the task is dropped.
    pub async fn reap(&self) {
        self.0.pool.reap().await;
    }

    /// Says QUIT on all idle connections, and lets those that are at work carry no further message: the account is
    /// paused, its secret has changed, or the end has come. New ones may be opened at any time, within the limit.
    pub async fn close_idle(&self) {
        self.0.pool.close().await;
    }

    /// Sends over this connection. `None` when a reused one was dead before it took anything: the message is untouched.
    async fn over(
        &self,
        mut connection: ProviderConnection,
        letter: &Letter<'_>,
        slot: &mut ConnectionSlot,
        begun: Begun,
        permit: &dyn Permit,
    ) -> Option<Report> {
        let (settings, count, reused) = (&*self.0.settings, letter.to.len(), begun != Begun::New);
        let may_announce = connection.can_follow() && !self.0.pool.is_spent(&connection, 1);
        let mut ticket = None;
        let announce = || {
            permit.final_dot(true);
            ticket = if may_announce { self.0.slots.next() } else { None };
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
                    self.0.slots.stop_announcing();
                }
                None
            }
            Sent::Done { outcomes, reusable } => {
                let report = outcome::of_transaction(settings, &outcomes);
                if reusable && matches!(report.condition, Condition::Works) {
                    self.pass_on(connection, ticket, slot);
                } else {
                    tokio::spawn(connection.quit());
                }
                Some(report)
            }
            Sent::Failed(failure) => {
                let unseen = matches!(failure.kind, FailureKind::Lost(_) | FailureKind::Refused(_))
                    && matches!(failure.phase, ClientPhase::Idle | ClientPhase::Mail);
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
    fn pass_on(&self, connection: ProviderConnection, ticket: Option<Ticket>, slot: &mut ConnectionSlot) {
        let Some(ticket) = ticket.filter(|_| connection.has_announced()) else {
            return self.0.pool.give_back(connection);
        };
        if let Err(back) = ticket.hand_over(connection, slot.permit.take()) {
            // No message waits for it, and the server waits for one: only closing helps.
            slot.permit = back.permit;
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("account", &self.0.settings.account).finish_non_exhaustive()
    }
}

fn is_timeout(outcome: &RecipientOutcome) -> bool {
    matches!(outcome, RecipientOutcome::NotTried { lost: Lost::Timeout, .. })
}

/// Whether the server said nothing at all about the message.
fn is_unseen(outcome: &RecipientOutcome) -> bool {
    match outcome {
        RecipientOutcome::NotTried { phase, .. } => matches!(phase, ClientPhase::Idle | ClientPhase::Mail),
        // `421 idle for too long` crossed our MAIL on the way.
        RecipientOutcome::Refused { phase, reply } => {
            matches!(phase, ClientPhase::Idle | ClientPhase::Mail) && reply.code() == 421
        }
        RecipientOutcome::Accepted(_) | RecipientOutcome::Uncertain { .. } => false,
    }
}
