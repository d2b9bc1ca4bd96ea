//! One attempt at one message: seal, send, settle, say.
//!
//! The seal is put on the stored header block here, because only now the account is known; the body goes as it is.
//! Nothing here decides: `settle` does. Invariants: the settlement is written before anything is logged, so that the log
//! never says what the queue does not know; what the attempt cost the account, and what it taught about it, is written
//! in the same transaction as its outcome. A panic in the middle ends the attempt, never the message: it is settled as
//! what is known of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::ReversePath;
use crate::message::rewrite::{FromPolicy, Seal, is_signed, seal_among};
use crate::provider::{Action, Basis, Scope, Verdict};
use crate::queue::{AccountUsage, Lease, NextAttempt, QueueEntry, QueueError, Settled};
use crate::telemetry::{counter, panic};
use crate::upstream::ConnectionSlot;
use crate::upstream::{Condition, Fate, Letter, Outcome, Report};

use super::Delivery;
use super::account::{Account, Identity, Learnt, UnderWay, Weighed};
use super::breaker::Gate;
use super::budget::Grant;
use super::permit::Stage;
use super::settle::{Change, Event, Tried, settle};

/// The end of a provider's day is left behind by up to so much, each account by its own measure.
const SPREAD: Duration = Duration::from_secs(600);

/// One attempt: for whom, and what it may cost.
pub(super) struct Attempt {
    pub(super) account: Arc<Account>,
    pub(super) lease: Lease,
    /// The recipients it is made for.
    pub(super) places: Vec<usize>,
    /// Until it was given back.
    pub(super) grant: Option<Grant>,
    pub(super) under_way: UnderWay,
}

impl Attempt {
    /// Puts back what it was granted, if the provider has not seen its envelope.
    fn give_back_unless_reached(&mut self, report: &Report, now: Timestamp) {
        if !reached(report)
            && let Some(grant) = self.grant.take()
        {
            self.account.give_back(grant, now);
        }
    }

    /// Gives the message back as it was: a dropped lease changes nothing.
    fn put_back(mut self, now: Timestamp) {
        if let Some(grant) = self.grant.take() {
            self.account.give_back(grant, now);
        }
    }
}

/// What stands in the list when the relay stopped between the final dot and its reply.
const CUT: &str = "the relay was stopped before the provider had answered the end of the message";
/// What stands in the list when a mistake of ours ended an attempt.
const BROKEN: &str = "a mistake in the relay ended the attempt; the log says where";

/// What the provider answered, and the slot, which is kept until the account has learnt from it.
struct Sent {
    slot: ConnectionSlot,
    report: Report,
    now: Timestamp,
}

/// How an attempt ended, and what it cost.
struct Ended {
    report: Report,
    weighed: Weighed,
    /// The policy under which the sender was put on.
    policy: FromPolicy,
    now: Timestamp,
}

impl Delivery {
    /// Sends one message through an account and writes down what came of it.
    pub(super) async fn attempt(&self, mut attempt: Attempt) {
        let _here = self.0.drain.hold(format!("delivery of {}", attempt.lease.entry.id));
        while let Some(wait) = attempt.account.pace() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.0.drain.cut() => return attempt.put_back(self.0.clock.now()),
            }
        }
        let ended = match too_large(attempt.account.who(), &attempt.lease) {
            Some(text) => Some(self.refused_here(&attempt, &text)),
            None => self.send(&mut attempt).await,
        };
        match ended {
            Some(Ended {
                report: Report { condition: Condition::Unreadable { text, lasting: true }, .. },
                now,
                ..
            }) => {
                self.hold(attempt, text, now).await;
            }
            Some(ended) => self.finish(attempt, ended).await,
            None => attempt.put_back(self.0.clock.now()),
        }
    }

    /// `None` when the account had to rest before the provider was asked: then nothing has happened to the message.
    async fn send(&self, attempt: &mut Attempt) -> Option<Ended> {
        let (account, stage) = (attempt.account.clone(), Stage::default());
        let policy = policy(account.who(), &attempt.lease.entry);
        let sent = tokio::select! {
            sent = panic::confined("delivery", &self.0.counters, self.ask(attempt, policy, &stage)) => sent,
            () = self.0.drain.cut() => {
                // Before the final dot nothing has happened to the message; after it, the outcome is not known.
                return stage.is_unanswered().then(|| self.broken_off(attempt, policy, Fate::Uncertain, CUT));
            }
        };
        let Some(sent) = sent else {
            let (id, account, asked) = (attempt.lease.entry.id, attempt.account.name(), stage.is_asked());
            tracing::error!(event = "attempt_broken", %id, account, asked, "a mistake in the relay ended this attempt; the line above says where");
            let fate = if asked { Fate::Uncertain } else { Fate::Later };
            return Some(self.broken_off(attempt, policy, fate, BROKEN));
        };
        let Sent { slot, mut report, now } = sent?;
        let account = &account;
        doubt_guesses(&mut report, policy);
        let weigh = || account.weigh(&attempt.lease.entry, &attempt.places, &mut report, now);
        let weighed = panic::caught("delivery", &self.0.counters, weigh).unwrap_or_default();
        // Before anything is learnt: what was refused has used up no quota.
        attempt.give_back_unless_reached(&report, now);
        // What another message was told for all who waited with it is learnt once, from that message.
        let learnt = match slot.is_second_hand() {
            true => Learnt::default(),
            false => {
                let learn = || account.learn(&report.condition, spread(account.name()), now);
                panic::caught("delivery", &self.0.counters, learn).unwrap_or_default()
            }
        };
        drop(slot);
        if learnt.rests {
            account.upstream().close_idle().await;
            self.0.gates.notify_waiters();
        }
        if learnt.tell || weighed.alert {
            self.0.tellings.notify_one();
        }
        Some(Ended { report, weighed, policy, now })
    }

    /// Waits for a connection slot and asks the provider. `stage` says how far it has come.
    async fn ask(&self, attempt: &Attempt, policy: FromPolicy, stage: &Stage) -> Option<Sent> {
        let (account, entry) = (&attempt.account, &attempt.lease.entry);
        let letter = letter(account.who(), policy, attempt);
        let mut slot = account.upstream().slot(&letter).await;
        let started = self.0.clock.now();
        // While this one waited for its slot, another may have met a refused log-in: one refusal is enough.
        match account.gate(started) {
            Gate::Cooling(_) | Gate::Paused => return None,
            Gate::Open | Gate::Probe | Gate::Down(_) => {}
        }
        let permit = self.permit(account, stage);
        stage.ask();
        let report = account.upstream().send(&mut slot, &letter, &permit).await;
        let now = self.0.clock.now();
        tracing::debug!(event = "attempted", id = %entry.id, account = %account.name(),
            millis = now.since(started).as_millis() as u64, "{:?}", report.condition);
        Some(Sent { slot, report, now })
    }

    /// After a panic, or when the stop cannot wait any longer.
    fn broken_off(&self, attempt: &Attempt, policy: FromPolicy, fate: Fate, text: &str) -> Ended {
        let one = Outcome { fate, text: text.to_owned(), verdict: None, phase: None };
        // It says nothing about the account.
        let report = Report { outcomes: vec![one; attempt.places.len()], condition: Condition::Works };
        Ended { report, weighed: Weighed::default(), policy, now: self.0.clock.now() }
    }

    /// What the provider would only refuse after it had taken all of it is not sent.
    fn refused_here(&self, attempt: &Attempt, text: &str) -> Ended {
        let one = Outcome { fate: Fate::Refused, text: text.to_owned(), verdict: Some(TOO_LARGE), phase: None };
        // It says nothing about the account.
        let report = Report { outcomes: vec![one; attempt.places.len()], condition: Condition::Works };
        let policy = FromPolicy::MustEqualLogin;
        Ended { report, weighed: Weighed::default(), policy, now: self.0.clock.now() }
    }

    /// The stored copy cannot be read. No try is spent: the message is held until an operator acts.
    async fn hold(&self, mut attempt: Attempt, reason: String, now: Timestamp) {
        if let Some(grant) = attempt.grant.take() {
            attempt.account.give_back(grant, now);
        }
        let id = attempt.lease.entry.id;
        if let Err(error) = self.0.queue.hold(attempt.lease, reason).await {
            tracing::error!(event = "queue_error", %id, "{error}");
        }
    }

    async fn finish(&self, mut attempt: Attempt, ended: Ended) {
        let Ended { report, weighed, policy, now } = ended;
        attempt.give_back_unless_reached(&report, now);
        let Attempt { account, lease, places, grant: _, under_way } = attempt;
        let entry = lease.entry.clone();
        self.count_unknown(account.name(), &report);
        let strict = policy == FromPolicy::MustEqualLogin;
        let accepted_since = weighed.accepted_since;
        let tried = Tried { places: &places, outcomes: &report.outcomes, strict, accepted_since };
        let (mut settlement, changes) = settle(&self.0.settings.schedule, &entry, tried, now);
        settlement.account = Some(account.name().to_owned());
        let usage = reached(&report).then(|| {
            let (messages, recipients) = (1, places.len() as u32);
            AccountUsage { account: account.name().to_owned(), at: now, messages, recipients, logins: 0 }
        });
        settlement.usage.clone_from(&usage);
        let (state, turn) = self.state_to_keep(&account).await.unzip();
        settlement.account_state = state;
        let tell = || self.tell_owner(&mut settlement, &account, &lease, &changes, now);
        if panic::caught("settlement", &self.0.counters, tell).is_none() {
            // The outcome must be written all the same, or the message would be sent again. The digest will tell.
            settlement.notice = None;
            settlement.unreported = changes.iter().any(|change| change.event == Event::Failed) && !entry.notice;
            self.digests().put_back(u64::from(settlement.unreported), now);
            self.0.tellings.notify_one();
        }
        let next = settlement.next;
        let settled = self.0.queue.settle(lease, settlement).await;
        drop(turn);
        match settled {
            Ok(Settled::Written) => self.log(&account, &entry, &changes, next),
            Ok(Settled::Pending(kept)) => {
                tracing::error!(event = "queue_error", id = %entry.id, "how the try ended could not be written yet: {}", kept.why);
                let written = tokio::select! {
                    written = kept.written() => written,
                    // The queue tries once more when it is closed.
                    () = self.0.drain.cut() => return,
                };
                match written {
                    Ok(()) => self.log(&account, &entry, &changes, next),
                    Err(error) => {
                        tracing::error!(event = "queue_error", id = %entry.id, "how the try ended was not written, so the message may be sent again: {error}");
                        account.not_written();
                    }
                }
            }
            Err(QueueError::NotLeased(id)) => {
                tracing::warn!(event = "lease_lost", id = %id, "the outcome was not written");
                self.count(usage).await;
                // What was learnt went with it, and must not wait for the next change.
                account.not_written();
                self.remember(&account).await;
            }
            Err(error) => {
                // The lease is gone with the call: the message is sent again later, perhaps twice, never lost.
                tracing::error!(event = "queue_error", id = %entry.id, "{error}");
                account.not_written();
            }
        }
        drop(under_way);
    }

    /// Counts replies that no row of the catalogue describes.
    fn count_unknown(&self, account: &str, report: &Report) {
        let unknown = |outcome: &&Outcome| outcome.verdict.is_some_and(|verdict| verdict.basis != Basis::Row);
        let count = report.outcomes.iter().filter(unknown).count();
        if count > 0 {
            self.0.counters.add(counter::UNKNOWN_REPLIES, &[("account", account)], count as u64);
        }
    }

    /// Counts what the provider has seen although the message itself is gone (somebody dropped it meanwhile).
    async fn count(&self, usage: Option<AccountUsage>) {
        let Some(usage) = usage else { return };
        if let Err(error) = self.0.queue.add_usage(usage).await {
            tracing::error!(event = "queue_error", "a transaction could not be counted: {error}");
        }
    }

    fn log(&self, account: &Account, entry: &QueueEntry, changes: &[Change], next: NextAttempt) {
        let at = match next {
            NextAttempt::Deferred(at) | NextAttempt::Waiting(at) => at.rfc3339(),
        };
        for change in changes {
            let (id, to) = (entry.id, &entry.recipients[change.place].address);
            let (account, text) = (account.name(), change.text.as_str());
            let cause = change.cause.unwrap_or("");
            match change.event {
                Event::Delivered => tracing::info!(event = "delivered", %id, account, %to, reply = text),
                Event::Deferred => tracing::warn!(event = "deferred", %id, account, %to, next = at, cause, why = text),
                Event::Uncertain => tracing::warn!(event = "uncertain", %id, account, %to, next = at, why = text),
                Event::Waiting => tracing::info!(event = "waiting", %id, account, %to, cause, why = text),
                Event::Failed => tracing::error!(event = "failed", %id, account, %to, cause, why = text),
            }
            if change.event != Event::Waiting {
                let labels = [("account", account), ("outcome", change.event.name())];
                self.0.counters.add(counter::DELIVERIES, &labels, 1);
            }
        }
    }
}

/// The recipients of an attempt through this account.
pub(super) fn places_for(account: &Account, entry: &QueueEntry, most: usize) -> Vec<usize> {
    entry.offered(most.min(account.who().recipients.max(1)))
}

/// What the account puts on the mail: in its strictest form once the provider has refused another one.
fn policy(who: &Identity, entry: &QueueEntry) -> FromPolicy {
    if entry.strict { FromPolicy::MustEqualLogin } else { who.policy }
}

fn letter<'a>(who: &Identity, policy: FromPolicy, attempt: &'a Attempt) -> Letter<'a> {
    let lease = &attempt.lease;
    let to = attempt.places.iter().filter_map(|&place| lease.entry.recipients.get(place));
    let head = seal_among(&lease.head, &seal_of(&who.address, policy, who.keep_dkim), &who.aliases);
    if is_signed(&lease.head) && !is_signed(&head) {
        tracing::info!(event = "dkim_removed", id = %lease.entry.id, account = who.name, "the account's From breaks the signature");
    }
    Letter {
        id: lease.entry.id,
        from: ReversePath::Address(who.address.clone()),
        to: to.map(|recipient| recipient.address.clone()).collect(),
        head: Bytes::from(head),
        body: &lease.body,
        eight_bit: true,
    }
}

/// What an account puts on every mail. The display name was seen to at intake, where the client is known.
pub fn seal_of(address: &crate::mail::Address, policy: FromPolicy, keep_dkim: bool) -> Seal<'_> {
    Seal { address, display: None, policy, keep_dkim }
}

const TOO_LARGE: Verdict = Verdict {
    cause: "too-large",
    scope: Scope::Message,
    action: Action::Bounce,
    alert: false,
    basis: Basis::Row,
    remedy: crate::provider::Remedy {
        en: "Send a smaller message: scan with a lower resolution, or split the attachment.",
        zh: "请发送更小的邮件：降低扫描分辨率，或拆分附件。",
    },
};

/// Why the message cannot go through this account, if it is larger than the provider takes.
pub(super) fn too_large(who: &Identity, lease: &Lease) -> Option<String> {
    let size = lease.head.len() as u64 + 2 + lease.body.len();
    let most = who.size.filter(|&most| size > most)?;
    let provider = &who.provider;
    Some(format!("552 5.3.4 the message has {size} octets, and {provider} takes {most} at most; it was not sent"))
}

/// Whether the provider has seen the envelope: then it has counted it, whatever it said.
fn reached(report: &Report) -> bool {
    report.outcomes.iter().any(|outcome| match outcome.fate {
        Fate::Delivered | Fate::Uncertain | Fate::Split | Fate::Rewrite | Fate::Unknown | Fate::Guessed => true,
        Fate::Later | Fate::Refused => outcome.verdict.is_some_and(|verdict| verdict.cause != TOO_LARGE.cause),
        Fate::Waits => false,
    })
}

/// If the repair that a general rule asks for is made already, the reply is not understood.
fn doubt_guesses(report: &mut Report, policy: FromPolicy) {
    let (alone, mut doubted) = (report.outcomes.len() == 1, false);
    for outcome in &mut report.outcomes {
        let guessed = outcome.verdict.is_some_and(|verdict| verdict.basis == Basis::Words);
        let repaired = match outcome.fate {
            Fate::Rewrite => policy == FromPolicy::MustEqualLogin,
            Fate::Split => alone,
            Fate::Delivered
            | Fate::Later
            | Fate::Waits
            | Fate::Refused
            | Fate::Uncertain
            | Fate::Guessed
            | Fate::Unknown => false,
        };
        if guessed && repaired {
            outcome.fate = Fate::Unknown;
            doubted = true;
        }
    }
    let accepted = report.outcomes.iter().any(|outcome| outcome.fate == Fate::Delivered);
    if doubted && !accepted && report.condition == Condition::Works {
        report.condition = Condition::Unclear;
    }
}

/// By how much the end of this account's day is left behind: always the same for the same account.
fn spread(account: &str) -> Duration {
    let hash = account
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3));
    Duration::from_secs(60 + (hash >> 32) % (SPREAD.as_secs() - 60))
}
