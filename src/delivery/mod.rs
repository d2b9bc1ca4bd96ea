//! May it go out, by whom, and what then?
//!
//! ```text
//!  queue -- lease --> route --> breaker --> seal --> upstream.send --> settle --> queue (one transaction with the notice)
//!                               closed: back to the queue as `waiting`, no try spent
//! ```
//!
//! The loop ([`Delivery::run`]) sleeps until something happens: a message arrives, one becomes due, an attempt ends, the
//! account may be used again. What follows from what is decided by pure functions: [`schedule`], [`breaker`],
//! [`settle`], [`route`]. Invariant: whoever has a lease settles it; an attempt that was begun is not cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::drain::Drain;
use crate::mail::{Address, IdSource};
use crate::queue::{Lease, Queue};
use crate::telemetry::counter::Counters;

pub mod account;
mod attempt;
pub mod breaker;
pub mod budget;
pub mod lane;
mod notice;
pub mod pace;
pub mod route;
pub mod schedule;
pub mod settle;

pub use account::Account;
pub use attempt::seal_of;
use breaker::Gate;

/// Who is told when a message cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeTo {
    /// The account's own mailbox.
    Account,
    /// The envelope sender, where it is a qualified address; else the account's own mailbox.
    Sender,
    /// This mailbox.
    Address(Address),
    /// Nobody; it is in the log and in the queue's list.
    Nobody,
}

/// The settings of the delivery.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When to try again, and when to give up.
    pub schedule: schedule::Settings,
    /// Who is told of failures.
    pub notice: NoticeTo,
    /// Our name in notices.
    pub hostname: String,
}

/// How often the secret of a resting account is looked at again.
const SECRET_WATCH: Duration = Duration::from_secs(2);
/// How many messages of a resting account are put back at a time.
const PARK: usize = 256;
/// How long to wait when the queue itself cannot answer.
const QUEUE_REST: Duration = Duration::from_secs(5);

/// The way out of the queue. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    settings: Settings,
    accounts: Vec<Account>,
    queue: Arc<dyn Queue>,
    clock: Clock,
    ids: Arc<IdSource>,
    counters: Counters,
    drain: Drain,
    /// An attempt ended, or a gate changed.
    changed: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// What the delivery works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// What time it is.
    pub clock: Clock,
    /// Ids for notices.
    pub ids: Arc<IdSource>,
    /// Where deliveries are counted.
    pub counters: Counters,
    /// When to stop.
    pub drain: Drain,
}

impl Delivery {
    /// A delivery that does nothing until [`Delivery::run`].
    pub fn new(settings: Settings, accounts: Vec<Account>, around: Surroundings) -> Delivery {
        let Surroundings { queue, clock, ids, counters, drain } = around;
        let changed = Notify::new();
        Delivery(Arc::new(Shared { settings, accounts, queue, clock, ids, counters, drain, changed }))
    }

    /// Sends what is due until the drain starts; returns when the last attempt has been settled.
    pub async fn run(&self) {
        let Some(account) = route::account_for(self.0.accounts.len()) else {
            self.0.drain.asked().await;
            return;
        };
        let reaper = tokio::spawn({
            let upstream = self.0.accounts[account].upstream().clone();
            async move { upstream.reap().await }
        });
        // What waited for the account when the last process ended waits for nobody now: one of them is the probe.
        if let Err(error) = self.0.queue.wake(self.0.clock.now()).await {
            tracing::error!(event = "queue_error", "{error}");
        }
        let mut attempts = JoinSet::new();
        while !self.0.drain.started() {
            match self.turn(account, &mut attempts).await {
                Ok(()) => {}
                Err(crate::queue::Error::Closed) => break,
                Err(error) => {
                    tracing::error!(event = "queue_error", "{error}");
                    self.sleep_until(Some(self.0.clock.now() + QUEUE_REST)).await;
                }
            }
            while attempts.try_join_next().is_some() {}
        }
        while attempts.join_next().await.is_some() {}
        reaper.abort();
        self.0.accounts[account].upstream().close().await;
    }

    /// One turn of the loop: hand out what may go, then sleep until something happens.
    async fn turn(&self, account: usize, attempts: &mut JoinSet<()>) -> Result<(), crate::queue::Error> {
        let now = self.0.clock.now();
        let changed = self.0.changed.notified();
        let limit = match self.0.accounts[account].gate(now) {
            Gate::Open => self.capacity(account).saturating_sub(attempts.len()),
            Gate::Probe => usize::from(attempts.is_empty()),
            Gate::Cooling(until) => return self.rest(account, until).await,
            Gate::Paused => return self.rest(account, now + breaker::LONGEST).await,
            Gate::Down(until) => {
                self.sleep_until(Some(until)).await;
                return Ok(());
            }
        };
        if limit == 0 {
            tokio::select! { () = changed => {}, () = self.0.drain.asked() => {} }
            return Ok(());
        }
        let leases = self.0.queue.lease(now, limit).await?;
        let all = leases.len() < limit;
        for lease in leases {
            let this = self.clone();
            attempts.spawn(async move {
                this.attempt(account, lease).await;
                this.0.changed.notify_waiters();
            });
        }
        if all {
            let due = self.0.queue.next_due().await?;
            tokio::select! {
                result = self.0.queue.wait() => result?,
                () = self.sleep_until(due) => {}
                () = changed => {}
            }
        }
        Ok(())
    }

    /// The account rests: what is due is put back as `waiting` until then, and the secret is watched.
    async fn rest(&self, account: usize, until: Timestamp) -> Result<(), crate::queue::Error> {
        let leases = self.0.queue.lease(self.0.clock.now(), PARK).await?;
        if !leases.is_empty() {
            let parked: Vec<_> = leases.into_iter().map(|lease| self.park(account, lease, until)).collect();
            for one in parked {
                one.await;
            }
            return Ok(());
        }
        let now = self.0.clock.now();
        tokio::select! {
            result = self.0.queue.wait() => result?,
            () = self.sleep_until(Some(until.min(now + SECRET_WATCH))) => {}
        }
        if self.0.accounts[account].resume_if_secret_changed(self.0.clock.now()) {
            self.0.queue.wake(self.0.clock.now()).await?;
        }
        Ok(())
    }

    /// How many attempts run side by side: one for each connection, and as many that prepare or settle meanwhile; where
    /// connections announce the next message, there must be one to announce as well.
    fn capacity(&self, account: usize) -> usize {
        let settings = self.0.accounts[account].upstream().settings();
        settings.connections.max(1) * if settings.announce { 4 } else { 2 }
    }

    /// Sleeps until `when` by the clock of this delivery, or until the drain starts; for ever without a `when`.
    async fn sleep_until(&self, when: Option<Timestamp>) {
        let wait = when.map(|at| at.since(self.0.clock.now()));
        tokio::select! {
            () = async { match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            } } => {}
            () = self.0.drain.asked() => {}
        }
    }

    /// The accounts, in the order of the settings.
    pub fn accounts(&self) -> &[Account] {
        &self.0.accounts
    }
}

/// What an attempt needs of a lease before the lease is settled.
struct Attempt<'a> {
    account: &'a Account,
    lease: Lease,
    places: Vec<usize>,
}
