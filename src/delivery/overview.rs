//! What the accounts of a delivery look like now, and what an operator may change about them.
//!
//! Not here: how it is asked for (`admin::accounts`) and shown (`cli`). Invariants: looking changes nothing, and takes no
//! lock for longer than it takes to copy a value; what an operator changes is durable before it is answered.

use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::QueueError;
use crate::secret::redact::redact;

use super::account::{Account, Look};
use super::breaker::Gate;
use super::budget::Left;
use super::plan::Access;
use super::view::{AccountView, BudgetView};
use super::{Delivery, account};

impl Delivery {
    /// One view an account, in the order of the settings.
    pub async fn overview(&self) -> Vec<AccountView> {
        let mut views = Vec::with_capacity(self.0.accounts.len());
        for account in &self.0.accounts {
            views.push(view(account, self.waiting_for(account).await, self.0.clock.now()));
        }
        views
    }

    /// When a message of this pool and lane may be expected to go that has so many recipients before it: an estimate
    /// for people. `None` while nobody knows, because every account of the pool is paused.
    pub fn expected(&self, pool: &str, lane: Lane, ahead: u64) -> Option<Timestamp> {
        let now = self.0.clock.now();
        let pool = self.0.pools.iter().find(|known| &*known.pool == pool)?;
        pool.accounts.iter().filter_map(|&place| self.0.accounts[place].expected(lane, ahead, now)).min()
    }

    /// Whether an account takes mail of both pools.
    pub fn share_an_account(&self, one: &str, other: &str) -> bool {
        let accounts = |name: &str| {
            let pool = self.0.pools.iter().find(|pool| &*pool.pool == name);
            pool.map_or(&[][..], |pool| &pool.accounts)
        };
        one == other || accounts(one).iter().any(|account| accounts(other).contains(account))
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.0.accounts.iter().find(|account| account.name() == name).map(|account| &**account)
    }

    /// Stops an account until somebody resumes it. What it is sending now comes to its end.
    ///
    /// # Errors
    /// It is stopped, but that could not be written: it would not outlive a restart.
    pub async fn pause(&self, account: &Account, reason: &str) -> Result<(), QueueError> {
        // An order that comes with the start must not be overruled by what the last process left.
        let restored = self.restore().await;
        account.pause(reason, self.0.clock.now());
        account.upstream().close_idle().await;
        self.went_on_or_stopped(account).await.and(restored)
    }

    /// Makes an account ready, whatever kept it from that.
    ///
    /// # Errors
    /// As [`Delivery::pause`].
    pub async fn resume(&self, account: &Account) -> Result<(), QueueError> {
        let restored = self.restore().await;
        account.resume();
        account.upstream().close_idle().await;
        self.went_on_or_stopped(account).await.and(restored)
    }

    async fn went_on_or_stopped(&self, account: &Account) -> Result<(), QueueError> {
        let written = match self.state_to_keep(account).await {
            Some((state, _turn)) => self.0.queue.save_account_state(state).await,
            None => Ok(()),
        };
        if written.is_err() {
            account.not_written();
        }
        self.poke();
        self.0.gates.notify_waiters();
        written
    }
}

fn view(account: &Account, waiting: u64, now: Timestamp) -> AccountView {
    let Look { gate, rest, remedy, left, opens, down: _, unknown: _ } = account.look(now);
    let state = match gate {
        // The provider cannot be reached; the account itself is in order.
        Gate::Open | Gate::Probe | Gate::Down(_) => "ready",
        Gate::Cooling(_) => "cooling",
        Gate::Paused => "paused",
    };
    let rests = state != "ready";
    let rest = rest.filter(|_| rests);
    let next = match account.status(now).access {
        Access::Open | Access::Probe => opens,
        Access::From(at, _) | Access::Blip(at, _) => Some(opens.map_or(at, |other| other.max(at))),
        Access::Never(_) => None,
    };
    let account::Identity { name, provider, address, .. } = account.who();
    // An older version may have stored a reply with a secret in it.
    let said = |text: &String| Some(redact(text).into_owned()).filter(|text| !text.is_empty());
    AccountView {
        name: name.clone(),
        provider: provider.clone(),
        address: address.to_string(),
        state: state.to_owned(),
        since: rest.as_ref().map(|rest| rest.since.rfc3339()),
        until: match gate {
            Gate::Cooling(until) => Some(until.rfc3339()),
            Gate::Open | Gate::Probe | Gate::Paused | Gate::Down(_) => None,
        },
        cause: rest.as_ref().and_then(|rest| said(&rest.cause)),
        reply: rest.as_ref().and_then(|rest| said(&rest.text)),
        remedy_en: remedy.filter(|_| rests).map(|remedy| remedy.en.to_owned()),
        remedy_zh: remedy.filter(|_| rests).map(|remedy| remedy.zh.to_owned()),
        by_operator: rest.as_ref().is_some_and(|rest| rest.by_operator),
        connections: account.upstream().open_connections(),
        budget: left.iter().map(budget).collect(),
        waiting,
        next: next.map(Timestamp::rfc3339),
    }
}

fn budget(left: &Left) -> BudgetView {
    BudgetView {
        unit: left.unit.name().to_owned(),
        window: left.window.name().to_owned(),
        limit: left.limit,
        left: left.left,
        opens: left.opens.map(Timestamp::rfc3339),
    }
}
