//! One attempt at one message: seal, send, settle, say.
//!
//! The seal is put on the stored header block here, because only now the account is known; the body goes as it is.
//! Nothing here decides: `settle` does. Invariant: the settlement is written before anything is logged, so that the log
//! never says what the queue does not know.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::{Address, ReversePath};
use crate::message::rewrite::{FromPolicy, Seal, seal_among};
use crate::queue::entry::{Entry, Next};
use crate::queue::{Error, Lease};
use crate::telemetry::counter;
use crate::upstream::{Fate, Letter, Outcome};

use super::account::Account;
use super::breaker::Gate;
use super::settle::{Change, Event, settle};
use super::{Attempt, Delivery};

impl Delivery {
    /// Sends one message through an account and writes down what came of it.
    pub(super) async fn attempt(&self, account: usize, lease: Lease) {
        let account = &self.0.accounts[account];
        let _here = self.0.drain.hold(format!("delivery of {}", lease.entry.id));
        let places: Vec<usize> = lease.entry.open().map(|(place, _)| place).collect();
        let attempt = Attempt { account, lease, places };
        let seal = seal_of(account.address(), account.policy());
        let sealed = seal_among(&attempt.lease.head, &seal, account.aliases());
        let letter = Letter {
            from: ReversePath::Address(account.address().clone()),
            to: attempt.lease.entry.open().map(|(_, r)| r.address.clone()).collect(),
            head: Bytes::from(sealed),
            body: &attempt.lease.body,
            eight_bit: true,
        };
        let mut turn = account.upstream().turn(&letter).await;
        let started = self.0.clock.now();
        // While this one waited for its turn, another may have met a refused log-in: one refusal is enough.
        if let Gate::Cooling(until) = account.gate(started) {
            drop((letter, turn));
            return self.put_back(attempt, until).await;
        }
        let report = account.upstream().send(&mut turn, &letter).await;
        drop(letter);
        let now = self.0.clock.now();
        tracing::debug!(event = "attempted", id = %attempt.lease.entry.id, account = %account.name(),
            millis = now.since(started).as_millis() as u64, "{:?}", report.condition);
        let until = match account.learn(&report.condition, now) {
            Gate::Cooling(until) => Some(until),
            Gate::Open | Gate::Probe | Gate::Down(_) => None,
        };
        drop(turn);
        self.finish(attempt, &report.outcomes, until, now).await;
    }

    /// Puts a message back because its account rests.
    pub(super) async fn park(&self, account: usize, lease: Lease, until: Timestamp) {
        let places: Vec<usize> = lease.entry.open().map(|(place, _)| place).collect();
        self.put_back(Attempt { account: &self.0.accounts[account], lease, places }, until).await;
    }

    async fn put_back(&self, attempt: Attempt<'_>, until: Timestamp) {
        let text = format!("the account rests until {}", until.rfc3339());
        let outcomes = vec![Outcome { fate: Fate::Waits, text }; attempt.places.len()];
        self.finish(attempt, &outcomes, Some(until), self.0.clock.now()).await;
    }

    async fn finish(&self, attempt: Attempt<'_>, outcomes: &[Outcome], until: Option<Timestamp>, now: Timestamp) {
        let Attempt { account, lease, places } = attempt;
        let entry = lease.entry.clone();
        let (mut settlement, changes) = settle(&self.0.settings.schedule, &entry, &places, outcomes, until, now);
        settlement.account = Some(account.name().to_owned());
        settlement.notice = self.notice(account, &lease, &changes, now).map(Box::new);
        let next = settlement.next;
        match self.0.queue.settle(lease, settlement).await {
            Ok(()) => self.tell(account, &entry, &changes, next),
            Err(Error::NotLeased(id)) => tracing::warn!(event = "lease_lost", id = %id, "the outcome was not written"),
            Err(error) => {
                // The lease is gone with the call: the message is sent again later, perhaps twice, never lost.
                tracing::error!(event = "queue_error", id = %entry.id, "{error}");
            }
        }
    }

    fn tell(&self, account: &Account, entry: &Entry, changes: &[Change], next: Next) {
        let at = match next {
            Next::Deferred(at) | Next::Waiting(at) => at.rfc3339(),
        };
        for change in changes {
            let (id, to) = (entry.id, &entry.recipients[change.place].address);
            let (account, text) = (account.name(), change.text.as_str());
            match change.event {
                Event::Delivered => tracing::info!(event = "delivered", %id, account, %to, reply = text),
                Event::Deferred => tracing::warn!(event = "deferred", %id, account, %to, next = at, why = text),
                Event::Uncertain => tracing::warn!(event = "uncertain", %id, account, %to, next = at, why = text),
                Event::Waiting => tracing::info!(event = "waiting", %id, account, %to, until = at, why = text),
                Event::Failed => tracing::error!(event = "failed", %id, account, %to, why = text),
            }
            if change.event != Event::Waiting {
                let labels = [("account", account), ("outcome", change.event.name())];
                self.0.counters.add(counter::DELIVERIES, &labels, 1);
            }
        }
    }
}

/// What an account puts on every mail. The display name was seen to at intake, where the client is known.
pub fn seal_of(address: &Address, policy: FromPolicy) -> Seal<'_> {
    Seal { address, display: None, policy }
}
