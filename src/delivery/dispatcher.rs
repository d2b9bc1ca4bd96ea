//! The loop that sends what is due: plan, lease, begin attempts, then sleep until something happens.
//!
//! A message arrives, one becomes due, an attempt ends, or an account may be used again. A message that may not go is not
//! touched: its lane is closed (`plan`), which costs the same however many messages wait. Invariants: a lease is settled or
//! given back; an attempt that was begun is not cancelled; nothing is leased for an account that may not be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::account::{Availability, lane};
use crate::clock::{self, Timestamp, Worker};
use crate::mail::{Id, Lane};
use crate::queue::{ClosedLane, Lease, LeaseRequest, PoolLane, QueueError};
use crate::telemetry::counter;

use super::attempt::Attempt;
use super::context::{Context, QUEUE_WAIT};
use super::crashed_attempts::CrashedAttempts;
use super::oversize::hand_over;
use super::plan::{Plan, PoolAccounts, plan};
use super::wait_log::WaitLog;

/// Sends what is due.
pub(super) struct Dispatcher<'a> {
    context: &'a Arc<Context>,
    /// A manual clock must not move on while the loop has work.
    worker: &'a Worker,
    /// Each returns its worker, so that a manual clock sees no gap between the end of an attempt and the next turn.
    attempts: JoinSet<Worker>,
    crashed: Arc<CrashedAttempts>,
    turn: u64,
    /// What was reported to the queue last.
    closed: Vec<ClosedLane>,
    waits: WaitLog,
    /// The latest time that the clock has shown since due times were mended; `None`: they were not yet.
    latest: Option<Timestamp>,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(context: &'a Arc<Context>, worker: &'a Worker) -> Dispatcher<'a> {
        Dispatcher {
            context,
            worker,
            attempts: JoinSet::new(),
            crashed: Arc::default(),
            turn: 0,
            closed: Vec::new(),
            waits: WaitLog::default(),
            latest: None,
        }
    }

    /// Sends until the drain starts; returns when the last attempt is settled.
    pub(super) async fn run(mut self) {
        let drain = &self.context.drain;
        while !drain.started() {
            match self.turn().await {
                Ok(()) => {}
                // Only a stop closes it otherwise: its thread is gone, and nothing can be accepted or sent.
                Err(QueueError::Closed) => {
                    drain.give_up("the queue");
                    break;
                }
                Err(error) => {
                    tracing::error!(event = "queue_error", "{error}");
                    self.sleep_until(Some(self.context.clock.now() + QUEUE_WAIT)).await;
                }
            }
            while self.attempts.try_join_next().is_some() {}
        }
        while self.attempts.join_next().await.is_some() {}
    }

    /// One turn: begin what may go, then sleep until something happens.
    async fn turn(&mut self) -> Result<(), QueueError> {
        let context = self.context;
        context.wake.looked();
        let now = context.clock.now();
        self.mend_times(now).await?;
        let accounts: Vec<Availability> = context.accounts.all.iter().map(|pair| pair.availability(now)).collect();
        let plan = plan(&context.accounts.pools, &accounts, self.order(now));
        self.turn += 1;
        // Lists show what waits, until when and why.
        if self.closed != plan.closed {
            context.queue.close_lanes(plan.closed.clone()).await?;
            self.closed.clone_from(&plan.closed);
        }
        let mut more = false;
        for (account, request) in &plan.leases {
            more |= self.begin_attempts(*account, request, now).await?;
        }
        if more {
            return Ok(());
        }
        let next = self.next_event(&plan, &accounts, now).await?;
        tokio::select! {
            result = context.queue.wait() => result?,
            () = context.wake.dispatcher.notified() => {}
            () = context.clock.set_back(now) => {}
            () = self.sleep_until(next) => {}
        }
        Ok(())
    }

    /// Leases for one account and begins the attempts. True when there may be more for it at once.
    async fn begin_attempts(
        &mut self,
        place: usize,
        request: &LeaseRequest,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let context = self.context;
        let pair = &context.accounts.all[place];
        let mut leases = context.queue.lease(now, request.clone()).await?;
        let all = leases.len() == request.total;
        let moved = hand_over(context, pair, &mut leases).await?;
        for lease in leases {
            let id = lease.entry.id;
            if self.has_crashed(id).await {
                self.attempts.spawn(hold_back(context.clone(), lease, now + QUEUE_WAIT));
                continue;
            }
            let Some(attempt) = Attempt::begin(context, pair, lease, now) else {
                // The budget is spent: this message and those behind it are given back.
                return Ok(true);
            };
            let worker = context.clock.worker(format!("delivery of {id}"));
            let guard = self.crashed.watch(id);
            self.attempts.spawn(async move {
                let _guard = guard;
                attempt.run().await;
                worker
            });
        }
        Ok(all || moved)
    }

    /// Whether the last attempt at this message crashed. The message was leased, so that attempt has written its outcome or
    /// is being unwound: it is at its very end, and the answer is known only after it.
    async fn has_crashed(&mut self, id: Id) -> bool {
        while self.crashed.is_under_way(id) && self.attempts.join_next().await.is_some() {}
        let crashed = self.crashed.take(id);
        if crashed {
            self.context.counters.add(counter::PANICS, &[("task", "settlement")], 1);
            tracing::error!(event = "attempt_broken", %id, "a mistake in the relay ended an attempt before its outcome was written; it may be sent twice");
        }
        crashed
    }

    /// When there is work again at the latest: a message is due in an open lane, or a closed lane opens. Waits are logged,
    /// and count as waiting in vain where a budget closed the lane.
    async fn next_event(
        &mut self,
        plan: &Plan,
        accounts: &[Availability],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, QueueError> {
        let line = |pool: &PoolAccounts, lane| PoolLane { pool: pool.pool.to_string(), lane };
        let pools = &self.context.accounts.pools;
        let lines: Vec<PoolLane> = pools.iter().flat_map(|pool| Lane::ALL.map(|lane| line(pool, lane))).collect();
        let first = self.context.queue.first_due(lines.clone()).await?;
        let due: BTreeMap<PoolLane, Timestamp> =
            lines.into_iter().zip(first).filter_map(|(line, first)| Some((line, first?))).collect();
        self.waits.note(plan, &due, now);
        let patience = self.note_vain(&due, accounts, now);
        let open = plan.leases.iter().flat_map(|(_, request)| request.lines());
        let open = open.filter_map(|line| due.get(&line).copied());
        Ok(open.chain(plan.wake).chain(patience).min())
    }

    /// Reports to the accounts in which lanes mail is due whose share of the budget is spent. Returns when the first of these
    /// lanes may use the reserve.
    fn note_vain(
        &self,
        due: &BTreeMap<PoolLane, Timestamp>,
        accounts: &[Availability],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for (place, (pair, available)) in self.context.accounts.all.iter().zip(accounts).enumerate() {
            let pools = &self.context.accounts.pools;
            let serves =
                |line: &PoolLane| pools.iter().any(|pool| *pool.pool == *line.pool && pool.accounts.contains(&place));
            for lane in Lane::ALL {
                let waits = due.iter().any(|(line, at)| line.lane == lane && *at <= now && serves(line));
                // While the lane is open its mail does not wait in vain, but it has not been served yet either.
                if available.lanes[lane as usize].is_err() || !waits {
                    let opens = pair.account.waits_in_vain(lane, waits, now);
                    first = first.into_iter().chain(opens).min();
                }
            }
        }
        first
    }

    /// Mends due times after the clock was set: one that was set back must not delay mail by as much, and one that was not
    /// set when mail came must not make it expire. The first call mends them too, because it is not known what the clock did
    /// before this process began.
    async fn mend_times(&mut self, now: Timestamp) -> Result<(), QueueError> {
        if let Some(latest) = self.latest {
            let set = clock::was_unset(latest, now);
            if now + clock::BACK >= latest && !set {
                self.latest = Some(latest.max(now));
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
        self.context.queue.correct_times(now, now + self.context.schedule.longest()).await?;
        self.latest = Some(now);
        Ok(())
    }

    /// The order of the lanes in this turn. Where a budget sets the pace, alarms come first, except for a lane that was
    /// passed over for an hour; where only the connections do, the lanes take turns.
    fn order(&self, now: Timestamp) -> [Lane; 3] {
        let accounts = &self.context.accounts.all;
        if !accounts.iter().any(|pair| pair.account.is_limited()) {
            return lane::order(self.turn);
        }
        let overdue = |lane| accounts.iter().any(|pair| pair.account.is_overdue(lane, now));
        match (overdue(Lane::Normal), overdue(Lane::Bulk)) {
            (_, true) => [Lane::Bulk, Lane::Alarm, Lane::Normal],
            (true, false) => [Lane::Normal, Lane::Alarm, Lane::Bulk],
            (false, false) => Lane::ALL,
        }
    }

    /// Sleeps until `when`, for ever without one; ends early when an attempt ends or the drain starts. The only place where
    /// the loop sleeps, so that a manual clock knows of it.
    async fn sleep_until(&mut self, when: Option<Timestamp>) {
        tokio::select! {
            () = self.worker.sleep_until(when) => {}
            Some(_) = self.attempts.join_next() => {}
            () = self.context.drain.asked() => {}
        }
    }
}

/// Keeps the lease of a message whose attempt crashed until then, or until the drain starts.
async fn hold_back(context: Arc<Context>, lease: Lease, until: Timestamp) -> Worker {
    let worker = context.clock.worker(format!("a pause of {}", lease.entry.id));
    while context.clock.now() < until && !context.drain.started() {
        tokio::select! {
            () = worker.sleep_until(Some(until)) => {}
            () = context.clock.set_back(until) => break,
            () = context.drain.asked() => {}
        }
    }
    drop(lease);
    worker
}
