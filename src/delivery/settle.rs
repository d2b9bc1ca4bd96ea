//! From the outcome of an attempt to the new state of a message. Pure: one exhaustive match, time is an argument.
//!
//! `upstream::outcome` decides what the provider meant; this decides what follows for each recipient, and when the next
//! attempt is. An attempt may be made for a part of the recipients: those not tried yet (they are open without a last reply)
//! come next, at once; those that were deferred wait for the next attempt at the message.
//!
//! Invariants: waiting for an account spends no retry and never fails a recipient, and the message keeps its place in the
//! line; a message is given up after at least [`FEWEST_TRIES`] tries, and only at an attempt that was due after its end, so
//! that a clock that jumps ends nothing; an uncertain delivery is repeated at most [`MOST_UNCERTAIN`] times; a list of
//! recipients that was too long gets shorter each time; the sender is rewritten again at most once; a refusal that is not
//! understood is final when it comes a second time after another message of the account was accepted, or at expiry.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::provider::{Phase, Remedy};
use crate::queue::{NextAttempt, QueueEntry, RecipientOutcome as Kept, Settlement};
use crate::upstream::{Fate, Outcome};

use super::schedule::RetrySchedule;

/// An expired message still gets this many tries: a clock that jumps must not bounce a full queue.
pub const FEWEST_TRIES: u32 = 3;
/// After this many tries that ended between the final dot and its reply, the message has probably arrived: no more copies.
pub const MOST_UNCERTAIN: u32 = 3;
/// How long a message waits after its first unknown permanent refusal.
const UNKNOWN_WAIT: Duration = Duration::from_secs(3600);
/// Precedes an unknown reply in the list; a recipient whose last reply begins so was refused with one.
const UNKNOWN_REPLY: &str = "unknown reply, tried again before it is final: ";
/// How long it waits where the words are guessed to be about the account.
const GUESSED_WAIT: Duration = Duration::from_secs(15 * 60);

/// Whether this recipient was refused before with a reply that is not understood.
pub(super) fn refused_before(entry: &QueueEntry, place: usize) -> bool {
    let last = entry.recipients.get(place).map(|one| &one.outcome);
    matches!(last, Some(Kept::Open { last: Some(text) }) if text.starts_with(UNKNOWN_REPLY))
}

/// What became of one recipient, for the log and the notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the envelope.
    pub place: usize,
    /// What happened, in the words of the log.
    pub event: RecipientEvent,
    /// The reply or the reason.
    pub text: String,
    /// What the operator should do about it, where the reply was understood.
    pub remedy: Option<Remedy>,
    /// The row of the catalogue, where there was a reply.
    pub cause: Option<&'static str>,
}

/// What happened to a recipient, in the words of the log events and of the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientEvent {
    /// The provider has it.
    Delivered,
    /// It will be tried again; a try was spent.
    Deferred,
    /// It waits for the account, or goes again at once in another form; no try was spent.
    Waiting,
    /// It will not be tried again.
    Failed,
    /// It is not known whether the provider has it; it will be tried again.
    Uncertain,
}

impl RecipientEvent {
    /// The name of the log event, and of the label `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            RecipientEvent::Delivered => "delivered",
            RecipientEvent::Deferred => "deferred",
            RecipientEvent::Waiting => "waiting",
            RecipientEvent::Failed => "failed",
            RecipientEvent::Uncertain => "uncertain",
        }
    }
}

/// One attempt, as it ended.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// The recipients it was made for, by place.
    pub places: &'a [usize],
    /// How it ended for each of them.
    pub outcomes: &'a [Outcome],
    /// Whether the sender had its strictest form, so that nothing is left to rewrite.
    pub strict: bool,
    /// Whether another message was accepted since this one was first refused with a reply that is not understood.
    pub accepted_since: bool,
}

/// Works out what to write for `entry` after an attempt.
pub fn settle(
    schedule: &RetrySchedule,
    entry: &QueueEntry,
    tried: Tried<'_>,
    now: Timestamp,
) -> (Settlement, Vec<Change>) {
    let rules = Rules::of(entry, tried, now);
    let (mut changes, mut kept) = (Vec::new(), Vec::new());
    for (&place, outcome) in tried.places.iter().zip(tried.outcomes) {
        let (event, text) = rules.judge(outcome, refused_before(entry, place));
        kept.push((place, keep(outcome.fate, event, &text, now)));
        let (remedy, cause) = (outcome.verdict.map(|v| v.remedy), outcome.verdict.map(|v| v.cause));
        changes.push(Change { place, event, text, remedy, cause });
    }
    let settlement = Settlement {
        next: next(schedule, entry, tried, &kept, now),
        outcomes: kept,
        uncertain: rules.uncertain,
        account: None,
        notice: None,
        chunk: rules.chunk,
        strict: rules.rewrites,
        account_state: None,
        usage: None,
        unknown_since: tried.outcomes.iter().any(|o| matches!(o.fate, Fate::Unknown)).then_some(now),
        unreported: false,
    };
    (settlement, changes)
}

/// What holds for all recipients of one attempt.
struct Rules {
    tries: u32,
    give_up: bool,
    uncertain: bool,
    too_uncertain: bool,
    /// The most recipients of a transaction from now on, after the provider called this list too long.
    chunk: Option<u32>,
    /// Whether the message goes once more with another sender.
    rewrites: bool,
    accepted_since: bool,
}

impl Rules {
    fn of(entry: &QueueEntry, tried: Tried<'_>, now: Timestamp) -> Rules {
        let count = |fate: Fate| tried.outcomes.iter().filter(|o| o.fate == fate).count();
        let uncertain = count(Fate::Uncertain) > 0;
        let (tries, end) = (entry.tries + 1, entry.end_of_life(now));
        // As many as the provider accepted; when it accepted none, half of what it was offered.
        let (split, all) = (count(Fate::Split), tried.outcomes.len());
        let fewer = if split < all { all - split } else { all / 2 };
        Rules {
            tries,
            // It was due after the end. An attempt that is late (the clock jumped, the account cooled) is not the last.
            give_up: now >= end && entry.due >= end && tries >= FEWEST_TRIES,
            uncertain,
            too_uncertain: uncertain && entry.uncertain + 1 >= MOST_UNCERTAIN,
            chunk: (split > 0 && all > 1).then_some(fewer.max(1) as u32),
            rewrites: count(Fate::Rewrite) > 0 && !tried.strict,
            accepted_since: tried.accepted_since,
        }
    }

    /// `again`: the recipient was refused before with a reply that is not understood.
    fn judge(&self, outcome: &Outcome, again: bool) -> (RecipientEvent, String) {
        let text = &outcome.text;
        match outcome.fate {
            Fate::Delivered => (RecipientEvent::Delivered, text.clone()),
            Fate::Refused => (RecipientEvent::Failed, text.clone()),
            Fate::Waits => (RecipientEvent::Waiting, text.clone()),
            Fate::Split if self.chunk.is_some() => {
                (RecipientEvent::Waiting, format!("goes again with fewer recipients: {text}"))
            }
            Fate::Split => (RecipientEvent::Failed, format!("refused even with one recipient: {text}")),
            Fate::Rewrite if self.rewrites => {
                (RecipientEvent::Waiting, format!("goes again with the account's own address: {text}"))
            }
            Fate::Rewrite => (RecipientEvent::Failed, text.clone()),
            Fate::Unknown if again && self.accepted_since => (RecipientEvent::Failed, text.clone()),
            Fate::Later | Fate::Guessed | Fate::Unknown if self.give_up => {
                (RecipientEvent::Failed, format!("given up after {} tries: {text}", self.tries))
            }
            Fate::Guessed => {
                (RecipientEvent::Deferred, format!("perhaps not the fault of the message, tried again: {text}"))
            }
            Fate::Unknown => (RecipientEvent::Deferred, format!("{UNKNOWN_REPLY}{text}")),
            Fate::Later => (RecipientEvent::Deferred, text.clone()),
            Fate::Uncertain if self.too_uncertain => (
                RecipientEvent::Failed,
                format!("given up after {MOST_UNCERTAIN} copies that may all have arrived: {text}"),
            ),
            Fate::Uncertain => (RecipientEvent::Uncertain, text.clone()),
        }
    }
}

/// When the recipients that are still open are tried.
fn next(
    schedule: &RetrySchedule,
    entry: &QueueEntry,
    tried: Tried<'_>,
    kept: &[(usize, Kept)],
    now: Timestamp,
) -> NextAttempt {
    let after = |place: usize| kept.iter().find(|(at, _)| *at == place).map(|(_, outcome)| outcome);
    let mut left = entry.open().map(|(place, recipient)| after(place).unwrap_or(&recipient.outcome));
    let fresh = left.any(|outcome| matches!(outcome, Kept::Open { last: None }));
    let spends = |fate| matches!(fate, Fate::Later | Fate::Uncertain | Fate::Guessed | Fate::Unknown);
    let failed = tried.outcomes.iter().any(|o| spends(o.fate));
    let waits = tried.outcomes.iter().any(|o| o.fate == Fate::Waits);
    if fresh || (waits && !failed) {
        // Its old time keeps its place in the line.
        NextAttempt::Waiting(entry.due.min(now))
    } else {
        // Those of this attempt that failed, and those that failed in an earlier part of the same round.
        let least = tried.outcomes.iter().map(|o| least_wait(entry, o)).max().unwrap_or_default();
        NextAttempt::Deferred(schedule.next_try(entry.tries + 1, entry.id, now).max(now + least))
    }
}

/// How long a message waits at least after this outcome, whatever the schedule.
fn least_wait(entry: &QueueEntry, outcome: &Outcome) -> Duration {
    match outcome.fate {
        Fate::Guessed => GUESSED_WAIT,
        Fate::Unknown if outcome.phase != Some(Phase::Mail) && entry.unknown_since.is_none() => UNKNOWN_WAIT,
        Fate::Unknown
        | Fate::Delivered
        | Fate::Later
        | Fate::Waits
        | Fate::Refused
        | Fate::Split
        | Fate::Rewrite
        | Fate::Uncertain => Duration::ZERO,
    }
}

fn keep(fate: Fate, event: RecipientEvent, text: &str, now: Timestamp) -> Kept {
    match event {
        RecipientEvent::Delivered => Kept::Delivered { at: now, reply: text.to_owned() },
        RecipientEvent::Failed => Kept::Failed { at: now, reason: text.to_owned() },
        // As if it had not been tried: it goes at once, with those not tried yet.
        RecipientEvent::Waiting if matches!(fate, Fate::Split | Fate::Rewrite) => Kept::Open { last: None },
        RecipientEvent::Deferred | RecipientEvent::Waiting | RecipientEvent::Uncertain => {
            Kept::Open { last: Some(text.to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests;
