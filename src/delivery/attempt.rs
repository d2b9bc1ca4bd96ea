//! One attempt at one message: rewrite the sender, send, settle, log.
//!
//! The sender is rewritten here in the stored header block, because only now the account is known; the body is sent as it is.
//! `settle` decides what follows. Invariants: the settlement is written before anything is logged, so that the log never
//! reports what the queue does not know; what the attempt cost the account, and what it taught about it, is written in the
//! same transaction as its outcome. A panic ends the attempt, never the message: what is known of it is settled.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::account::breaker::BreakerState;
use crate::account::budget::Reservation;
use crate::account::{AccountProfile, FeedbackEffect, UnderWay, Weighed};
use crate::clock::Timestamp;
use crate::mail::ReversePath;
use crate::message::sender_rewriting::{FromPolicy, is_signed};
use crate::provider::{Action, Basis, Phase, Remedy, Scope, Verdict};
use crate::queue::{
    AccountUsage, Lease, MessageState, NextAttempt, QueueEntry, QueueError, RecipientOutcome, Settled, Settlement,
    state_after,
};
use crate::report::failure_notice::{FailedMessage, FailedRecipient, FailureReport};
use crate::telemetry::{counter, panic};
use crate::upstream::ConnectionSlot;
use crate::upstream::{Condition, Fate, Letter, Outcome, Report};

use super::account_pools::size;
use super::connected_account::ConnectedAccount;
use super::context::Context;
use super::login_permit::{LoginPermit, Stage};
use super::outgoing_head::{from_policy, outgoing_head};
use super::settle::{Change, RecipientEvent, Tried, settle};

/// Shown when the relay was stopped between the final dot and its reply.
const CUT: &str = "the relay was stopped before the provider had answered the end of the message";
/// Shown when a bug of the relay ended an attempt.
const BROKEN: &str = "a mistake in the relay ended the attempt; the log says where";

/// The verdict on a message that is larger than the provider takes.
const TOO_LARGE: Verdict = Verdict {
    cause: "too-large",
    scope: Scope::Message,
    action: Action::Bounce,
    alert: false,
    basis: Basis::Row,
    remedy: Remedy {
        en: "Send a smaller message: scan with a lower resolution, or split the attachment.",
        zh: "请发送更小的邮件：降低扫描分辨率，或拆分附件。",
    },
};

/// One attempt at a leased message.
pub(super) struct Attempt {
    context: Arc<Context>,
    pair: Arc<ConnectedAccount>,
    lease: Lease,
    /// The recipients it is made for.
    places: Vec<usize>,
    /// Until it is given back.
    reservation: Option<Reservation>,
    policy: FromPolicy,
    stage: Stage,
    _under_way: UnderWay,
}

/// What the provider answered, with the turn, which is kept until the account has taken in the answer.
struct Sent {
    slot: ConnectionSlot,
    report: Report,
    now: Timestamp,
}

/// How an attempt ended.
struct Ended {
    report: Report,
    accepted_since: bool,
    now: Timestamp,
}

impl Attempt {
    /// Takes the message's part of the budget. `None` when there is none; the lease is given back.
    pub(super) fn begin(
        context: &Arc<Context>,
        pair: &Arc<ConnectedAccount>,
        lease: Lease,
        now: Timestamp,
    ) -> Option<Attempt> {
        let profile = pair.account.profile();
        let mut places = lease.entry.offered(profile.recipients.max(1));
        let (reservation, _under_way) = pair.account.reserve(lease.entry.lane, places.len(), now).ok()?;
        places.truncate(reservation.recipients as usize);
        let policy = from_policy(&lease.entry, profile);
        let (context, pair, stage) = (context.clone(), pair.clone(), Stage::default());
        Some(Attempt { context, pair, lease, places, reservation: Some(reservation), policy, stage, _under_way })
    }

    /// Sends the message and records the outcome.
    pub(super) async fn run(mut self) {
        let context = self.context.clone();
        let _here = context.drain.hold(format!("delivery of {}", self.lease.entry.id));
        while let Some(wait) = self.pair.account.pace() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A dropped lease changes nothing.
                () = context.drain.cut() => return self.give_back(context.clock.now()),
            }
        }
        let begin = Instant::now();
        let ended = match self.pair.account.profile().too_large(size(&self.lease)) {
            // The provider would refuse it only after it had received all of it.
            Some(text) => {
                self.policy = FromPolicy::MustEqualLogin;
                Some(self.ended_here(Fate::Refused, &text, Some(TOO_LARGE)))
            }
            None => self.send().await,
        };
        context.counters.observe(counter::DELIVERY_SECONDS, &[("account", self.pair.name())], begin.elapsed());
        match ended {
            Some(Ended {
                report: Report { condition: Condition::Unreadable { text, lasting: true }, .. },
                now,
                ..
            }) => self.hold(text, now).await,
            Some(ended) => self.finish(ended).await,
            None => self.give_back(context.clock.now()),
        }
    }

    /// `None` when the provider was not asked, because the account may not be used any more: nothing has happened to the
    /// message.
    async fn send(&mut self) -> Option<Ended> {
        let counters = &self.context.counters;
        let sent = tokio::select! {
            sent = panic::confined("delivery", counters, self.ask()) => sent,
            () = self.context.drain.cut() => {
                // Before the final dot nothing has happened to the message; after it, the outcome is not known.
                return self.stage.is_unanswered().then(|| self.ended_here(Fate::Uncertain, CUT, None));
            }
        };
        let Some(sent) = sent else {
            let (id, account, asked) = (self.lease.entry.id, self.pair.name(), self.stage.is_asked());
            tracing::error!(event = "attempt_broken", %id, account, asked, "a mistake in the relay ended this attempt; the line above says where");
            return Some(self.ended_here(if asked { Fate::Uncertain } else { Fate::Later }, BROKEN, None));
        };
        let Sent { slot, mut report, now } = sent?;
        doubt_guesses(&mut report, self.policy);
        let weigh = || self.pair.weigh(&self.lease.entry, &self.places, &mut report, now);
        let Weighed { accepted_since, alarm, .. } = panic::caught("delivery", counters, weigh).unwrap_or_default();
        // Before the budget learns from the report: what was refused has used up no quota.
        self.give_back_unless_reached(&report, now);
        let counters = &self.context.counters;
        // The refusal of another message's log-in was taken in once, from that message.
        let effect = match slot.is_second_hand() {
            true => FeedbackEffect::default(),
            false => {
                let take_in = || self.pair.take_in(&report.condition, now);
                panic::caught("delivery", counters, take_in).unwrap_or_default()
            }
        };
        drop(slot);
        if effect.stopped {
            self.pair.upstream.close_idle().await;
            self.context.wake.secrets.notify_waiters();
        }
        if effect.alarm || alarm {
            self.context.wake.reporter.notify_one();
        }
        Some(Ended { report, accepted_since, now })
    }

    /// Waits for a turn and asks the provider.
    async fn ask(&self) -> Option<Sent> {
        let (context, pair) = (&*self.context, &*self.pair);
        let letter = self.letter();
        let mut slot = pair.upstream.slot(&letter).await;
        let started = context.clock.now();
        // While this one waited for its turn, another may have met a refused log-in: one refusal is enough.
        match pair.account.state(started) {
            BreakerState::Cooling(_) | BreakerState::Paused => return None,
            BreakerState::Ready | BreakerState::Probe | BreakerState::Unreachable(_) => {}
        }
        self.stage.ask();
        let permit = LoginPermit { context, account: &pair.account, stage: &self.stage };
        let report = pair.upstream.send(&mut slot, &letter, &permit).await;
        let now = context.clock.now();
        tracing::debug!(event = "attempted", id = %letter.id, account = pair.name(),
            millis = now.since(started).as_millis() as u64, "{:?}", report.condition);
        Some(Sent { slot, report, now })
    }

    /// The message with the account's sender.
    fn letter(&self) -> Letter<'_> {
        let profile = self.pair.account.profile();
        let AccountProfile { name, address, .. } = profile;
        let Lease { entry, head: stored, body, .. } = &self.lease;
        let head = outgoing_head(stored, profile, self.policy);
        if is_signed(stored) && !is_signed(&head) {
            tracing::info!(event = "dkim_removed", id = %entry.id, account = name, "the account's From breaks the signature");
        }
        let to = self.places.iter().filter_map(|&place| entry.recipients.get(place));
        Letter {
            id: entry.id,
            from: ReversePath::Address(address.clone()),
            to: to.map(|recipient| recipient.address.clone()).collect(),
            head: Bytes::from(head),
            body,
            eight_bit: true,
        }
    }

    /// The relay itself ended the attempt: that says nothing about the account.
    fn ended_here(&self, fate: Fate, text: &str, verdict: Option<Verdict>) -> Ended {
        let outcome = Outcome { fate, text: text.to_owned(), verdict, phase: None };
        let report = Report { outcomes: vec![outcome; self.places.len()], condition: Condition::Works };
        Ended { report, accepted_since: false, now: self.context.clock.now() }
    }

    fn give_back(&mut self, now: Timestamp) {
        if let Some(reservation) = self.reservation.take() {
            self.pair.account.give_back(reservation, now);
        }
    }

    fn give_back_unless_reached(&mut self, report: &Report, now: Timestamp) {
        if !reached(report) {
            self.give_back(now);
        }
    }

    /// The stored copy cannot be read. No retry is spent: the message is held until an operator acts.
    async fn hold(mut self, reason: String, now: Timestamp) {
        self.give_back(now);
        let id = self.lease.entry.id;
        if let Err(error) = self.context.queue.hold(self.lease, reason).await {
            tracing::error!(event = "queue_error", %id, "{error}");
        }
    }

    /// Writes the outcome down and logs it.
    async fn finish(mut self, ended: Ended) {
        let Ended { report, accepted_since, now } = ended;
        self.give_back_unless_reached(&report, now);
        let Attempt { context, pair, lease, places, policy, .. } = self;
        let entry = lease.entry.clone();
        count_replies(&context, pair.name(), &report);
        let strict = policy == FromPolicy::MustEqualLogin;
        let tried = Tried { places: &places, outcomes: &report.outcomes, strict, accepted_since };
        let (mut settlement, changes) = settle(&context.schedule, &entry, tried, now);
        settlement.account = Some(pair.name().to_owned());
        let usage = reached(&report).then(|| {
            let (messages, recipients) = (1, places.len() as u32);
            AccountUsage { account: pair.name().to_owned(), at: now, messages, recipients, logins: 0 }
        });
        settlement.usage.clone_from(&usage);
        let (state, saving) = context.store.unsaved(&pair).await.unzip();
        settlement.account_state = state;
        report_failures(&context, &pair, &mut settlement, &lease, &changes, now);
        let next = settlement.next;
        let failed = !entry.notice && has_failed(&entry, &settlement);
        let settled = context.queue.settle(lease, settlement).await;
        drop(saving);
        if failed {
            context.failed.add();
            context.wake.reporter.notify_one();
        }
        match settled {
            Ok(Settled::Written) => log(&context, pair.name(), &entry, &changes, next, now),
            Ok(Settled::Pending(kept)) => {
                tracing::error!(event = "queue_error", id = %entry.id, "how the try ended could not be written yet: {}", kept.why);
                let written = tokio::select! {
                    written = kept.written() => written,
                    // The queue tries once more when it is closed.
                    () = context.drain.cut() => return,
                };
                match written {
                    Ok(()) => log(&context, pair.name(), &entry, &changes, next, now),
                    Err(error) => {
                        tracing::error!(event = "queue_error", id = %entry.id, "how the try ended was not written, so the message may be sent again: {error}");
                        pair.account.not_saved();
                    }
                }
            }
            Err(QueueError::NotLeased(id)) => {
                tracing::warn!(event = "lease_lost", id = %id, "the outcome was not written");
                // An operator dropped the message meanwhile; what the provider has counted still counts.
                if let Some(usage) = usage
                    && let Err(error) = context.queue.add_usage(usage).await
                {
                    tracing::error!(event = "queue_error", "a transaction could not be counted: {error}");
                }
                pair.account.not_saved();
                context.store.save_or_log(&pair).await;
            }
            Err(error) => {
                // The lease is gone with the call: the message is sent again later, perhaps twice, never lost.
                tracing::error!(event = "queue_error", id = %entry.id, "{error}");
                pair.account.not_saved();
            }
        }
    }
}

/// Whether this settlement makes the message fail for good.
fn has_failed(entry: &QueueEntry, settlement: &Settlement) -> bool {
    let mut outcomes: Vec<_> = entry.recipients.iter().map(|recipient| &recipient.outcome).collect();
    for (place, outcome) in &settlement.outcomes {
        outcomes[*place] = outcome;
    }
    state_after(outcomes, settlement.next) == MessageState::Failed
}

/// Has the recipients that failed just now reported: at once, or with others.
fn report_failures(
    context: &Context,
    pair: &ConnectedAccount,
    settlement: &mut Settlement,
    lease: &Lease,
    changes: &[Change],
    now: Timestamp,
) {
    let failed = |change: &&Change| change.event == RecipientEvent::Failed;
    let report = || {
        let recipients = changes.iter().filter(failed).map(|change| FailedRecipient {
            address: &lease.entry.recipients[change.place].address,
            reply: &change.text,
            remedy: change.remedy,
        });
        let recipients = recipients.collect();
        context.reports.report(&FailedMessage { lease, account: pair.account.address(), recipients }, now)
    };
    match panic::caught("settlement", &context.counters, report) {
        Some(FailureReport::None) => {}
        Some(FailureReport::Notice(notice)) => settlement.notice = Some(notice),
        Some(FailureReport::Digest) => {
            settlement.unreported = true;
            context.wake.reporter.notify_one();
        }
        // The outcome must be written in any case, or the message is sent again. The digest reports it.
        None => {
            settlement.unreported = changes.iter().any(|change| failed(&change)) && !lease.entry.notice;
            context.reports.digests().put_back(u64::from(settlement.unreported), now);
            context.wake.reporter.notify_one();
        }
    }
}

/// Counts the replies, and those that no row of the catalogue describes.
fn count_replies(context: &Context, account: &str, report: &Report) {
    for outcome in &report.outcomes {
        // A success has no phase of its own: it is the reply to the final dot.
        let success = (outcome.fate == Fate::Delivered).then_some(Phase::Data);
        let Some(phase) = outcome.phase.or(success) else { continue };
        let class = match outcome.text.as_bytes().first() {
            _ if outcome.verdict.is_some_and(|verdict| verdict.basis != Basis::Row) => "unknown",
            Some(b'2') => "2",
            Some(b'4') => "4",
            Some(b'5') => "5",
            Some(_) | None => "unknown",
        };
        let labels = [("account", account), ("phase", phase.word()), ("class", class)];
        context.counters.add(counter::REPLIES, &labels, 1);
    }
    let unknown = |outcome: &&Outcome| outcome.verdict.is_some_and(|verdict| verdict.basis != Basis::Row);
    let count = report.outcomes.iter().filter(unknown).count();
    if count > 0 {
        context.counters.add(counter::UNKNOWN_REPLIES, &[("account", account)], count as u64);
    }
}

fn log(context: &Context, account: &str, entry: &QueueEntry, changes: &[Change], next: NextAttempt, now: Timestamp) {
    let (NextAttempt::Deferred(at) | NextAttempt::Waiting(at)) = next;
    let at = at.rfc3339();
    // Seconds since the message was taken.
    let delay = now.since(entry.received).as_millis() as f64 / 1000.0;
    for Change { place, event, text, cause, .. } in changes {
        let (id, to, cause) = (entry.id, &entry.recipients[*place].address, cause.unwrap_or(""));
        let (client, from) = (entry.origin.client.as_str(), &entry.sender);
        match event {
            RecipientEvent::Delivered => {
                context.counters.observe(counter::AGE_AT_DELIVERY, &[], now.since(entry.received));
                tracing::info!(event = "delivered", %id, client, %from, account, %to, delay, reply = text)
            }
            RecipientEvent::Deferred => {
                tracing::warn!(event = "deferred", %id, client, %from, account, %to, delay, next = at, cause, why = text);
            }
            RecipientEvent::Uncertain => {
                tracing::warn!(event = "uncertain", %id, client, %from, account, %to, delay, next = at, why = text)
            }
            // It met the same trouble before: that is the same wait.
            RecipientEvent::Waiting if waits_already(entry, *place, text) => {
                tracing::debug!(event = "waiting", %id, client, %from, account, %to, until = at, cause, why = text)
            }
            RecipientEvent::Waiting => {
                tracing::info!(event = "waiting", %id, client, %from, account, %to, until = at, cause, why = text)
            }
            RecipientEvent::Failed => {
                tracing::error!(event = "failed", %id, client, %from, account, %to, delay, cause, why = text)
            }
        }
        if *event != RecipientEvent::Waiting {
            let labels = [("account", account), ("outcome", event.name())];
            context.counters.add(counter::DELIVERIES, &labels, 1);
        }
    }
}

/// Whether the recipient waits for these words of an earlier attempt.
fn waits_already(entry: &QueueEntry, place: usize, text: &str) -> bool {
    let outcome = entry.recipients.get(place).map(|recipient| &recipient.outcome);
    matches!(outcome, Some(RecipientOutcome::Open { last: Some(last) }) if last == text)
}

/// Whether the provider has received the envelope: then it has counted it, whatever it replied.
fn reached(report: &Report) -> bool {
    report.outcomes.iter().any(|outcome| match outcome.fate {
        Fate::Delivered | Fate::Uncertain | Fate::Split | Fate::Rewrite | Fate::Unknown | Fate::Guessed => true,
        Fate::Later | Fate::Refused => outcome.verdict.is_some_and(|verdict| verdict.cause != TOO_LARGE.cause),
        Fate::Waits => false,
    })
}

/// A general rule that asks for a repair which is made already has not understood the reply.
fn doubt_guesses(report: &mut Report, policy: FromPolicy) {
    let (alone, mut doubted) = (report.outcomes.len() == 1, false);
    for outcome in &mut report.outcomes {
        let guessed = outcome.verdict.is_some_and(|verdict| verdict.basis == Basis::Words);
        let rewritten = outcome.fate == Fate::Rewrite && policy == FromPolicy::MustEqualLogin;
        if guessed && (rewritten || (outcome.fate == Fate::Split && alone)) {
            outcome.fate = Fate::Unknown;
            doubted = true;
        }
    }
    let accepted = report.outcomes.iter().any(|outcome| outcome.fate == Fate::Delivered);
    if doubted && !accepted && report.condition == Condition::Works {
        report.condition = Condition::Unclear;
    }
}
