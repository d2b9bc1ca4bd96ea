//! May it go out, by whom, and what then?
//!
//! ```text
//!            +--------------------------------------------------------------------------------+
//!  queue --->| plan: pools x lanes x accounts --> lease --> budget --> seal --> upstream.send |
//!            +----------------------------------------------------------------------+---------+
//!  queue <--- settle: outcomes, next try, usage, account state, notice: one transaction <-+
//!                                                                                   |
//!  owner <--- teller: alarms about accounts (another account, webhook), digests <---+
//! ```
//!
//! The loop ([`Delivery::run`]) sleeps until something happens: a message arrives, one becomes due, an attempt ends, an
//! account may be used again. A message that may not go is not touched: its lane is closed ([`plan`]), which costs
//! nothing however many wait, and lists say until when. What follows from what is decided by pure functions: [`plan`],
//! [`budget`], [`breaker`], [`schedule`], [`settle`]. Invariants: whoever has a lease settles it or gives it back; an
//! attempt that was begun is not cancelled; nothing is leased for an account that may not be used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;

use crate::clock::{self, Clock, Timestamp, Worker};
use crate::drain::Drain;
use crate::language::Language;
use crate::mail::{Address, IdSource, Lane};
use crate::provider::Catalogue;
use crate::queue::{AccountState, ClosedLane, Lease, LeaseRequest, PoolLane, Queue, QueueError};
use crate::route::{Pattern, Pool, Router};
use crate::telemetry::counter::Counters;
use crate::webhook::Webhook;

pub mod account;
pub mod alarm;
mod attempt;
pub mod breaker;
pub mod budget;
pub mod digest;
mod fallen;
mod gather;
mod keep;
pub mod lane;
mod notice;
mod overview;
mod pace;
mod permit;
pub mod plan;
pub mod schedule;
pub mod settle;
mod size;
mod start;
mod teller;
pub mod unknown_replies;
pub mod view;
mod wait_log;
mod watch;

pub use account::{Account, Identity};
pub use attempt::seal_of;
use attempt::{Attempt, places_for};
use digest::Digest;
use plan::{AccountStatus, Plan, PoolAccounts, plan};
use wait_log::WaitLog;

/// Who is told when a message cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeTo {
    /// The account's own mailbox.
    Account,
    /// The envelope sender, where the settings vouch for it ([`Settings::vouched`]); else the account's own mailbox.
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
    /// Senders that somebody has written down: only they may be told as senders. Everybody else may be forged, and a
    /// notice to such a one would be backscatter (RFC 5321 section 6.1).
    pub vouched: Vec<Pattern>,
    /// The language of notices and alarms.
    pub language: Language,
    /// Our name in notices.
    pub hostname: String,
}

/// How long to wait when the queue itself cannot answer.
const QUEUE_REST: Duration = Duration::from_secs(5);

/// The way out of the queue. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    settings: Settings,
    accounts: Vec<Arc<Account>>,
    pools: Vec<PoolAccounts>,
    router: Arc<Router>,
    catalogue: Catalogue,
    webhook: Option<Webhook>,
    queue: Arc<dyn Queue>,
    clock: Clock,
    ids: Arc<IdSource>,
    counters: Counters,
    drain: Drain,
    /// The loop: a clock that is moved by hand must not move on while it has something to do.
    worker: Worker,
    /// Something changed that the loop does not hear of by itself, with the workers of those who changed it: they are
    /// at work until the loop has looked.
    changed: Notify,
    pokes: Mutex<Vec<Worker>>,
    /// An account began or ended a rest, or somebody asks to look at the secrets.
    gates: Notify,
    /// When failures that were not told at once are told together.
    digests: Mutex<Digest>,
    /// There may be something to tell.
    tellings: Notify,
    restored: OnceCell<()>,
    attempted: Mutex<fallen::Attempted>,
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
    /// Which accounts take which mail.
    pub router: Arc<Router>,
    /// What replies mean.
    pub catalogue: Catalogue,
    /// Where alarms about accounts go.
    pub webhook: Option<Webhook>,
    /// What time it is.
    pub clock: Clock,
    /// Ids for notices.
    pub ids: Arc<IdSource>,
    /// Where deliveries are counted.
    pub counters: Counters,
    /// When to stop.
    pub drain: Drain,
}

/// What the loop remembers from one turn to the next.
#[derive(Default)]
struct Running {
    /// Each returns its worker, so that the clock sees no gap between the end of an attempt and the loop's next turn.
    attempts: JoinSet<Worker>,
    turn: u64,
    /// What was reported to the queue last.
    closed: Vec<ClosedLane>,
    waits: WaitLog,
    /// The latest time that the clock has shown since due times were brought back to it; `None`: they were not yet.
    latest: Option<Timestamp>,
}

impl Delivery {
    /// A delivery that does nothing until [`Delivery::run`].
    pub fn new(settings: Settings, accounts: Vec<Account>, around: Surroundings) -> Delivery {
        let Surroundings { queue, router, catalogue, webhook, clock, ids, counters, drain } = around;
        let accounts: Vec<Arc<Account>> = accounts.into_iter().map(Arc::new).collect();
        let pools = pools(&router, &accounts);
        let worker = clock.worker("delivery");
        Delivery(Arc::new(Shared {
            worker,
            settings,
            accounts,
            pools,
            router,
            catalogue,
            webhook,
            queue,
            clock,
            ids,
            counters,
            drain,
            changed: Notify::new(),
            pokes: Mutex::default(),
            gates: Notify::new(),
            digests: Mutex::default(),
            tellings: Notify::new(),
            restored: OnceCell::new(),
            attempted: Mutex::default(),
        }))
    }

    /// Sends what is due until the drain starts; returns when the last attempt has been settled.
    pub async fn run(&self) {
        self.take_over().await;
        let mut helpers = self.helpers();
        let mut running = Running::default();
        while !self.0.drain.started() {
            match self.turn(&mut running).await {
                Ok(()) => {}
                // Nobody else closes it while we are not stopping: its thread is gone, and nothing can be taken or sent.
                Err(QueueError::Closed) => {
                    self.0.drain.give_up("the queue");
                    break;
                }
                Err(error) => {
                    tracing::error!(event = "queue_error", "{error}");
                    self.sleep_until(Some(self.0.clock.now() + QUEUE_REST), &mut running).await;
                }
            }
            while running.attempts.try_join_next().is_some() {}
        }
        while running.attempts.join_next().await.is_some() {}
        helpers.shutdown().await;
        let all = self.0.accounts.iter().map(|account| account.upstream().clone());
        // At once: a provider that does not answer QUIT delays the stop by its own deadline only.
        all.map(|upstream| async move { upstream.close_idle().await }).collect::<JoinSet<()>>().join_all().await;
    }

    /// Those who work beside the loop until it ends. None of them has an end of its own.
    fn helpers(&self) -> JoinSet<()> {
        let mut helpers = JoinSet::new();
        for account in &self.0.accounts {
            let (upstream, drain) = (account.upstream().clone(), self.0.drain.clone());
            helpers.spawn(async move { drain.vital("the care of connections", upstream.reap()).await });
        }
        let this = self.clone();
        helpers.spawn(async move { this.0.drain.vital("the watch of the secrets", this.watch_secrets()).await });
        let this = self.clone();
        helpers.spawn(async move { this.0.drain.vital("the one who tells", this.tell()).await });
        helpers
    }

    /// One turn of the loop: hand out what may go, then sleep until something happens.
    async fn turn(&self, running: &mut Running) -> Result<(), QueueError> {
        // Whoever changed something is heard from here on.
        self.pokes().clear();
        let now = self.0.clock.now();
        self.mind_the_clock(now, running).await?;
        let accounts: Vec<AccountStatus> = self.0.accounts.iter().map(|account| account.status(now)).collect();
        let plan = plan(&self.0.pools, &accounts, self.order(running.turn, now));
        running.turn += 1;
        self.publish(&plan, running).await?;
        let mut more = false;
        for (account, request) in &plan.leases {
            more |= self.begin_leases(*account, request, running, now).await?;
        }
        if more {
            return Ok(());
        }
        let next = self.next_event(&plan, &accounts, running, now).await?;
        tokio::select! {
            result = self.0.queue.wait() => result?,
            () = self.0.changed.notified() => {}
            () = self.0.clock.set_back(now) => {}
            () = self.sleep_until(next, running) => {}
        }
        Ok(())
    }

    /// When there is something to do at the latest: a message is due in an open lane, or a closed lane opens. What waits in
    /// closed lanes is logged, and counts as waiting in vain where a budget closed them.
    async fn next_event(
        &self,
        plan: &Plan,
        accounts: &[AccountStatus],
        running: &mut Running,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, QueueError> {
        let line = |pool: &PoolAccounts, lane| PoolLane { pool: pool.pool.to_string(), lane };
        let lines: Vec<PoolLane> =
            self.0.pools.iter().flat_map(|pool| Lane::ALL.map(|lane| line(pool, lane))).collect();
        let first = self.0.queue.first_due(lines.clone()).await?;
        let due: BTreeMap<PoolLane, Timestamp> =
            lines.into_iter().zip(first).filter_map(|(line, first)| Some((line, first?))).collect();
        running.waits.note(plan, &due, now);
        let patience = self.note_vain(&due, accounts, now);
        let open = plan.leases.iter().flat_map(|(_, request)| request.lines());
        let open = open.filter_map(|line| due.get(&line).copied());
        Ok(open.chain(plan.wake).chain(patience).min())
    }

    /// Reports to the accounts in which lanes mail is due whose share of the budget is spent; when the first of these lanes
    /// may take from the reserve.
    fn note_vain(
        &self,
        due: &BTreeMap<PoolLane, Timestamp>,
        accounts: &[AccountStatus],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for (place, status) in accounts.iter().enumerate() {
            let serves = |line: &PoolLane| {
                self.0.pools.iter().any(|pool| *pool.pool == *line.pool && pool.accounts.contains(&place))
            };
            for lane in Lane::ALL {
                let waits = due.iter().any(|(line, at)| line.lane == lane && *at <= now && serves(line));
                // While the lane is open its mail does not wait in vain, but it has not been served yet either.
                if status.lanes[lane as usize].is_err() || !waits {
                    let opens = self.0.accounts[place].waits_in_vain(lane, waits, now);
                    first = first.into_iter().chain(opens).min();
                }
            }
        }
        first
    }

    /// A clock that was set back must not keep mail for as long as it was set back, and one that was not set when mail came
    /// must not make it expire. What the clock did before this process began is not known, so the first call mends the times as well.
    async fn mind_the_clock(&self, now: Timestamp, running: &mut Running) -> Result<(), QueueError> {
        if let Some(latest) = running.latest {
            let set = clock::was_unset(latest, now);
            if now + clock::BACK >= latest && !set {
                running.latest = Some(latest.max(now));
                return Ok(());
            }
            if set {
                tracing::warn!(
                    event = "clock_set",
                    before = latest.rfc3339(),
                    "the machine's clock was not set before; what came meanwhile counts as taken now"
                );
            } else {
                tracing::warn!(
                    event = "clock_set_back",
                    seconds = latest.since(now).as_secs(),
                    "the machine's clock was set back; what waited for a later time is tried now"
                );
            }
        }
        self.0.queue.correct_times(now, now + self.0.settings.schedule.longest()).await?;
        running.latest = Some(now);
        Ok(())
    }

    /// The order of the lanes this time. Where a budget sets the pace, alarms come first, but for a lane that has been
    /// passed over for an hour; where only the connections do, the lanes take turns.
    fn order(&self, turn: u64, now: Timestamp) -> [Lane; 3] {
        if !self.0.accounts.iter().any(|account| account.is_limited()) {
            return lane::order(turn);
        }
        let overdue = |lane| self.0.accounts.iter().any(|account| account.is_overdue(lane, now));
        match (overdue(Lane::Normal), overdue(Lane::Bulk)) {
            (_, true) => [Lane::Bulk, Lane::Alarm, Lane::Normal],
            (true, false) => [Lane::Normal, Lane::Alarm, Lane::Bulk],
            (false, false) => Lane::ALL,
        }
    }

    /// Reports to the queue what is closed, so that lists show what waits, until when and why.
    async fn publish(&self, plan: &Plan, running: &mut Running) -> Result<(), QueueError> {
        if running.closed != plan.closed {
            self.0.queue.close_lanes(plan.closed.clone()).await?;
            running.closed.clone_from(&plan.closed);
        }
        Ok(())
    }

    /// Leases for one account and begins the attempts. True when there may be more for it at once.
    async fn begin_leases(
        &self,
        place: usize,
        request: &LeaseRequest,
        running: &mut Running,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let account = &self.0.accounts[place];
        let mut leases = self.0.queue.lease(now, request.clone()).await?;
        let all = leases.len() == request.total;
        let moved = self.hand_over(account, &mut leases).await?;
        for lease in leases {
            self.after_the_last(lease.entry.id, &mut running.attempts).await;
            if self.has_fallen(lease.entry.id) {
                running.attempts.spawn(self.clone().let_rest(lease, now + QUEUE_REST));
                continue;
            }
            let Some(attempt) = begin(account, lease, now) else {
                // The budget is spent: this one and those behind it go back as they were.
                return Ok(true);
            };
            let worker = self.0.clock.worker(format!("delivery of {}", attempt.lease.entry.id));
            let this = self.clone();
            running.attempts.spawn(async move {
                let _fall = this.watch_for_a_fall(attempt.lease.entry.id);
                this.attempt(attempt).await;
                worker
            });
        }
        Ok(all || moved)
    }

    /// Sleeps until `when` by the clock of this delivery, for ever without a `when`; ends early when an attempt ends or
    /// the drain starts. The one place where the loop sleeps, so that a clock that is moved by hand knows of it.
    async fn sleep_until(&self, when: Option<Timestamp>, running: &mut Running) {
        tokio::select! {
            () = self.0.worker.sleep_until(when) => {}
            Some(_) = running.attempts.join_next() => {}
            () = self.0.drain.asked() => {}
        }
    }

    /// Wakes the loop: something changed about an account.
    fn poke(&self) {
        self.pokes().push(self.0.clock.worker("a change of an account"));
        self.0.changed.notify_one();
    }

    fn pokes(&self) -> MutexGuard<'_, Vec<Worker>> {
        // Only whole workers are pushed and dropped under the lock.
        self.0.pokes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts, in the order of the settings.
    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.0.accounts
    }

    /// What must be written of the account, if it is not what was written last. The turn is to be kept until it is
    /// written: of two that end at once, the older state must not come to the disk behind the newer one.
    async fn state_to_keep<'a>(&self, account: &'a Account) -> Option<(AccountState, account::Turn<'a>)> {
        let turn = account.turn_to_write().await;
        account.kept_if_changed().map(|kept| (kept.write(account.name()), turn))
    }
}

/// Takes the message's part of the budget; `None` when it has none, and the lease is given back.
fn begin(account: &Arc<Account>, lease: Lease, now: Timestamp) -> Option<Attempt> {
    let mut places = places_for(account, &lease.entry, usize::MAX);
    let (grant, under_way) = account.grant(lease.entry.lane, places.len(), now).ok()?;
    places.truncate(grant.recipients as usize);
    Some(Attempt { account: account.clone(), lease, places, grant: Some(grant), under_way })
}

/// The pools, with the places of their accounts.
fn pools(router: &Router, accounts: &[Arc<Account>]) -> Vec<PoolAccounts> {
    let place = |name: &String| accounts.iter().position(|account| account.name() == name);
    let with_accounts = |pool: Arc<str>| {
        let Pool { accounts, spread } = Pool::parse(&pool);
        PoolAccounts { pool, accounts: accounts.iter().filter_map(place).collect(), spread }
    };
    router.pools().into_iter().map(with_accounts).collect()
}
