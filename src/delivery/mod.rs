//! Which message goes now, and what became of it?
//!
//! ```text
//!            +---------------------------------------------------------------------------------+
//!  queue --->| dispatcher: plan (pools x lanes x accounts) --> lease --> budget --> attempt    |
//!            +----------------------------------------------------------------------+----------+
//!                                                             sender rewriting, upstream.send
//!  queue <--- settle: outcomes, next attempt, usage, account state, notice: one transaction <-+
//!
//!  operator <--- reporter: alerts about accounts and the whole relay (webhook, an account), digests
//! ```
//!
//! What follows from what is decided by pure functions: [`plan`], [`settle`], [`schedule`], and the rules of `account`. An
//! account is paired with its connections here ([`ConnectedAccount`]), because neither knows the other.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::account::AccountStatus;
use crate::clock::{Clock, Timestamp, Worker};
use crate::drain::Drain;
use crate::limits::capacity::Capacity;
use crate::mail::{IdSource, Lane};
use crate::provider::Catalogue;
use crate::queue::{Queue, QueueEntry, QueueError};
use crate::report::OwnMail;
use crate::report::ReportSettings;
use crate::report::alert::Alerts;
use crate::report::digest_builder::{DigestBuilder, ReportAccount};
use crate::report::failure_notice::FailureReports;
use crate::report::relay_alarm::RelayAlarmSettings;
use crate::report::webhook::Webhook;
use crate::route::Router;
use crate::telemetry::counter::Counters;

mod account_pools;
mod account_store;
pub mod alert_sender;
mod attempt;
mod connected_account;
mod context;
mod crashed_attempts;
mod dispatcher;
mod login_permit;
mod outgoing_head;
mod oversize;
pub mod plan;
mod recovery;
mod relay_alerts;
mod reporter;
pub mod schedule;
mod secret_watcher;
pub mod settle;
mod token_keeper;
mod wait_log;

pub use connected_account::ConnectedAccount;
pub use schedule::RetrySchedule;

use account_pools::AccountPools;
use account_store::AccountStore;
use alert_sender::{AlertSender, ChannelTest};
use context::{Context, FailedMessages, Wake};
use dispatcher::Dispatcher;
use outgoing_head::{from_policy, outgoing_head};
use reporter::Reporter;
use secret_watcher::SecretWatcher;
use token_keeper::TokenKeeper;

/// The settings of the delivery.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// When to try again, and when to give up.
    pub schedule: RetrySchedule,
    /// How failures and alarms are reported.
    pub reports: ReportSettings,
    /// When the whole relay has something to alert about.
    pub alarms: RelayAlarmSettings,
}

/// What the delivery works with.
#[derive(Clone)]
pub struct DeliveryInputs {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// Which accounts take which mail.
    pub router: Arc<Router>,
    /// What replies mean.
    pub catalogue: Catalogue,
    /// Where alarms about accounts go.
    pub webhook: Option<Webhook>,
    /// What time it is.
    pub clock: Clock,
    /// Ids for the relay's own mail.
    pub ids: Arc<IdSource>,
    /// Where deliveries are counted.
    pub counters: Counters,
    /// What is free on the disk, as measured elsewhere.
    pub capacity: Capacity,
    /// When to stop.
    pub drain: Drain,
}

/// Sends the mail in the queue. Clones share everything.
#[derive(Clone)]
pub struct Delivery(Arc<Parts>);

struct Parts {
    context: Arc<Context>,
    reporter: Reporter,
    /// The dispatcher's worker; a manual clock knows of it before the loop runs.
    worker: Worker,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("accounts", &self.accounts()).finish_non_exhaustive()
    }
}

impl Delivery {
    /// A delivery that does nothing until [`Delivery::run`].
    pub fn new(settings: DeliverySettings, accounts: Vec<ConnectedAccount>, inputs: DeliveryInputs) -> Delivery {
        let DeliveryInputs { queue, router, catalogue, webhook, clock, ids, counters, capacity, drain } = inputs;
        let own_mail = OwnMail::new(settings.reports, router.clone(), ids);
        let known = |pair: &ConnectedAccount| ReportAccount {
            name: pair.name().to_owned(),
            address: pair.account.address().clone(),
            group: pair.upstream.settings().group,
        };
        let digests = DigestBuilder::new(own_mail.clone(), catalogue, accounts.iter().map(known).collect());
        let worker = clock.worker("delivery");
        let context = Arc::new(Context {
            schedule: settings.schedule,
            accounts: AccountPools::new(accounts, router),
            store: AccountStore::new(queue.clone(), clock.clone()),
            reports: FailureReports::new(own_mail.clone()),
            wake: Wake::new(),
            queue,
            clock,
            counters,
            capacity,
            failed: FailedMessages::default(),
            drain,
        });
        let sender = AlertSender { context: context.clone(), alerts: Alerts::new(own_mail, webhook) };
        let reporter = Reporter { context: context.clone(), sender, digests, alarms: settings.alarms };
        Delivery(Arc::new(Parts { context, reporter, worker }))
    }

    /// Sends what is due until the drain starts; returns when the last attempt has been settled.
    pub async fn run(&self) {
        let Parts { context, worker, .. } = &*self.0;
        recovery::recover(context).await;
        let mut helpers = self.helpers();
        Dispatcher::new(context, worker).run().await;
        helpers.shutdown().await;
        let all = self.accounts().iter().map(|pair| pair.upstream.clone());
        // At once: a provider that does not answer QUIT delays the stop by its own deadline only.
        all.map(|upstream| async move { upstream.close_idle().await }).collect::<JoinSet<()>>().join_all().await;
    }

    /// The tasks beside the loop. None of them ends by itself.
    fn helpers(&self) -> JoinSet<()> {
        let mut helpers = JoinSet::new();
        let drain = &self.0.context.drain;
        for pair in self.accounts() {
            let (upstream, drain) = (pair.upstream.clone(), drain.clone());
            helpers.spawn(async move { drain.vital("the care of connections", upstream.reap()).await });
        }
        let (watcher, watched) = (SecretWatcher(self.0.context.clone()), drain.clone());
        helpers.spawn(async move { watched.vital("the watch of the secrets", watcher.run()).await });
        if let Some(keeper) = TokenKeeper::new(&self.0.context) {
            let drain = drain.clone();
            helpers.spawn(async move { drain.vital("the care of sign-ins", keeper.run()).await });
        }
        let (parts, drain) = (self.0.clone(), drain.clone());
        helpers.spawn(async move { drain.vital("the reports", parts.reporter.run()).await });
        helpers
    }

    /// The accounts, in the order of the settings.
    pub fn accounts(&self) -> &[Arc<ConnectedAccount>] {
        &self.0.context.accounts.all
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&Arc<ConnectedAccount>> {
        self.0.context.accounts.account(name)
    }

    /// The status of each account, in the order of the settings.
    pub async fn statuses(&self) -> Vec<AccountStatus> {
        let mut all = Vec::with_capacity(self.accounts().len());
        for pair in self.accounts() {
            let waiting = self.0.context.waiting_for(pair).await;
            all.push(pair.account.status(pair.upstream.open_connections(), waiting, self.0.context.clock.now()));
        }
        all
    }

    /// When a message of this pool and lane is expected to leave that has `ahead` recipients before it: an estimate for
    /// people. `None` while every account of the pool is paused.
    pub fn expected(&self, pool: &str, lane: Lane, ahead: u64) -> Option<Timestamp> {
        self.0.context.accounts.expected(pool, lane, ahead, self.0.context.clock.now())
    }

    /// Whether an account takes mail of both pools.
    pub fn share_an_account(&self, one: &str, other: &str) -> bool {
        self.0.context.accounts.share_an_account(one, other)
    }

    /// The pool for a message whose own pool was removed from the settings: the one that it would get if it came now.
    /// `None` when its pool is still there, or none of its recipients is open.
    pub fn new_pool(&self, entry: &QueueEntry) -> Option<String> {
        self.0.context.accounts.new_pool(entry)
    }

    /// The pools of the settings that have this account.
    pub fn pools_with(&self, account: &str) -> Vec<String> {
        self.0.context.accounts.pools_with(account)
    }

    /// The header block with which the account would send this message that would take it now: the first one of its pool, or
    /// of the pool that it would get if its own was removed. As stored when there is no account.
    pub fn outgoing_head(&self, entry: &QueueEntry, stored: &[u8]) -> Vec<u8> {
        let accounts = &self.0.context.accounts;
        let new_pool = accounts.new_pool(entry);
        let first = accounts.first_of(new_pool.as_deref().unwrap_or(&entry.pool));
        first.or(accounts.all.first()).map_or_else(
            || stored.to_vec(),
            |pair| {
                let profile = pair.account.profile();
                outgoing_head(stored, profile, from_policy(entry, profile))
            },
        )
    }

    /// Takes over what the last process saved of the accounts; once.
    ///
    /// # Errors
    /// The queue could not be read; the accounts are as they were.
    pub async fn restore(&self) -> Result<(), QueueError> {
        self.0.context.store.restore(self.accounts()).await
    }

    /// Pauses an account until an operator resumes it. Attempts that are under way come to their end.
    ///
    /// # Errors
    /// It is paused, but that could not be written: it would not outlive a restart.
    pub async fn pause(&self, pair: &ConnectedAccount, reason: &str) -> Result<(), QueueError> {
        self.change(pair, || pair.account.pause(reason, self.0.context.clock.now())).await
    }

    /// Makes an account ready, whatever kept it from that.
    ///
    /// # Errors
    /// As [`Delivery::pause`].
    pub async fn resume(&self, pair: &ConnectedAccount) -> Result<(), QueueError> {
        self.change(pair, || pair.account.resume()).await
    }

    async fn change(&self, pair: &ConnectedAccount, change: impl FnOnce()) -> Result<(), QueueError> {
        let context = &self.0.context;
        // What the last process left must not overrule a command that comes at the start.
        let restored = self.restore().await;
        change();
        pair.upstream.close_idle().await;
        let saved = context.store.save(pair).await;
        context.wake_dispatcher();
        self.read_secrets();
        saved.and(restored)
    }

    /// Sends a test alert over every channel that alerts use; an empty list: there is none.
    pub async fn test_alerts(&self) -> Vec<ChannelTest> {
        self.0.reporter.sender.test().await
    }

    /// Has the secrets of accounts read now that cool or are paused.
    pub fn read_secrets(&self) {
        self.0.context.wake.secrets.notify_waiters();
    }
}
