//! From the outcome of an attempt to the new state of a message. Pure: one exhaustive match, time is an argument.
//!
//! `upstream::outcome` has said what the provider meant; this says what follows for each recipient and when the next
//! try is. Invariants: waiting for an account spends no try and never fails a recipient; a message is not given up
//! before it had [`FEWEST_TRIES`] tries, whatever the clock says; an uncertain delivery is repeated at most
//! [`MOST_UNCERTAIN`] times.

use crate::clock::Timestamp;
use crate::queue::entry::{Entry, Next, Outcome as Kept, Settlement};
use crate::upstream::{Fate, Outcome};

use super::schedule::Settings;

/// A message whose life time is over still gets so many tries: a clock that jumps must not bounce a full queue.
pub const FEWEST_TRIES: u32 = 3;
/// After so many tries that ended between the final dot and its reply, the message has probably arrived: no more copies.
pub const MOST_UNCERTAIN: u32 = 3;

/// What became of one recipient, for the log and the notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the envelope.
    pub place: usize,
    /// What happened, in the words of the log.
    pub event: Event,
    /// The reply or the reason.
    pub text: String,
}

/// What happened to a recipient, in the words of the log events and of the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider has it.
    Delivered,
    /// It will be tried again; a try was spent.
    Deferred,
    /// It waits for the account; no try was spent.
    Waiting,
    /// It will not be tried again.
    Failed,
    /// Nobody knows; it will be tried again.
    Uncertain,
}

impl Event {
    /// The name of the log event, and of the label `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            Event::Delivered => "delivered",
            Event::Deferred => "deferred",
            Event::Waiting => "waiting",
            Event::Failed => "failed",
            Event::Uncertain => "uncertain",
        }
    }
}

/// Works out what to write for `entry` after an attempt at `places` ended with `outcomes` (one for each place).
///
/// `waits_until` is when an account that must rest may be used again; without one, who waits is due at once.
pub fn settle(
    schedule: &Settings,
    entry: &Entry,
    places: &[usize],
    outcomes: &[Outcome],
    waits_until: Option<Timestamp>,
    now: Timestamp,
) -> (Settlement, Vec<Change>) {
    let uncertain = outcomes.iter().any(|o| o.fate == Fate::Uncertain);
    let tried = outcomes.iter().any(|o| matches!(o.fate, Fate::Later | Fate::Split | Fate::Uncertain));
    let tries = entry.tries + 1;
    let give_up = now >= entry.expires && tries >= FEWEST_TRIES;
    let too_uncertain = uncertain && entry.uncertain + 1 >= MOST_UNCERTAIN;
    let mut changes = Vec::with_capacity(places.len());
    let mut kept = Vec::with_capacity(places.len());
    for (&place, outcome) in places.iter().zip(outcomes) {
        let (event, text) = match outcome.fate {
            Fate::Delivered => (Event::Delivered, outcome.text.clone()),
            // The seal was put on already: what is still not to the provider's taste will not be the next time.
            Fate::Refused | Fate::Rewrite => (Event::Failed, outcome.text.clone()),
            Fate::Waits => (Event::Waiting, outcome.text.clone()),
            // Those that were taken have been delivered; the others come again, alone.
            Fate::Later | Fate::Split if give_up => {
                (Event::Failed, format!("given up after {tries} tries: {}", outcome.text))
            }
            Fate::Later | Fate::Split => (Event::Deferred, outcome.text.clone()),
            Fate::Uncertain if too_uncertain => (
                Event::Failed,
                format!("given up after {MOST_UNCERTAIN} copies that may all have arrived: {}", outcome.text),
            ),
            Fate::Uncertain => (Event::Uncertain, outcome.text.clone()),
        };
        kept.push((place, keep(event, &text, now)));
        changes.push(Change { place, event, text });
    }
    let next = if tried {
        Next::Deferred(schedule.next_try(tries, entry.id, now))
    } else {
        Next::Waiting(waits_until.unwrap_or(now))
    };
    (Settlement { outcomes: kept, next, uncertain, account: None, notice: None }, changes)
}

fn keep(event: Event, text: &str, now: Timestamp) -> Kept {
    match event {
        Event::Delivered => Kept::Delivered { at: now, reply: text.to_owned() },
        Event::Failed => Kept::Failed { at: now, reason: text.to_owned() },
        Event::Deferred | Event::Waiting | Event::Uncertain => Kept::Open { last: Some(text.to_owned()) },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::mail::{Address, Id, ReversePath};
    use crate::queue::entry::{Origin, Recipient, State, state_after};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn entry(recipients: usize, tries: u32, uncertain: u32, age: Duration) -> Entry {
        let received = NOW - age;
        let recipient = |n| Recipient {
            address: Address::parse(&format!("r{n}@example.com")).unwrap(),
            outcome: Kept::Open { last: None },
        };
        Entry {
            id: Id::new(received, 1),
            state: State::Sending,
            received,
            expires: received + Settings::default().expire,
            due: received,
            tries,
            uncertain,
            account: None,
            origin: Origin {
                client: "127.0.0.1".into(),
                addr: [127, 0, 0, 1].into(),
                listener: "local".into(),
                helo: "printer".into(),
            },
            sender: ReversePath::Null,
            recipients: (0..recipients).map(recipient).collect(),
            size: 1,
            repairs: Vec::new(),
            notice: false,
        }
    }

    fn run(entry: &Entry, fates: &[Fate], until: Option<Timestamp>) -> (Settlement, Vec<Event>) {
        let places: Vec<usize> = (0..fates.len()).collect();
        let outcomes: Vec<Outcome> =
            fates.iter().map(|&fate| Outcome { fate, text: "why".into(), verdict: None }).collect();
        let (settlement, changes) = settle(&Settings::default(), entry, &places, &outcomes, until, NOW);
        (settlement, changes.into_iter().map(|c| c.event).collect())
    }

    #[test]
    fn each_recipient_has_its_own_end() {
        let (settlement, events) =
            run(&entry(4, 0, 0, Duration::ZERO), &[Fate::Delivered, Fate::Refused, Fate::Later, Fate::Delivered], None);
        assert_eq!(events, [Event::Delivered, Event::Failed, Event::Deferred, Event::Delivered]);
        let Next::Deferred(at) = settlement.next else { panic!("{settlement:?}") };
        assert!((54..=66).contains(&at.since(NOW).as_secs()));
        let state = state_after(settlement.outcomes.iter().map(|(_, o)| o), settlement.next);
        assert_eq!(state, State::Deferred);
    }

    #[test]
    fn waiting_spends_nothing_and_never_fails() {
        let until = NOW + Duration::from_secs(900);
        for age in [0, 400] {
            let old = entry(2, 9, 0, Duration::from_secs(age * 24 * 3600));
            let (settlement, events) = run(&old, &[Fate::Waits, Fate::Waits], Some(until));
            assert_eq!(events, [Event::Waiting, Event::Waiting]);
            assert_eq!(settlement.next, Next::Waiting(until));
        }
    }

    #[test]
    fn an_old_message_is_given_up_but_not_by_a_clock_that_jumped() {
        let six_days = Duration::from_secs(6 * 24 * 3600);
        assert_eq!(run(&entry(1, 20, 0, six_days), &[Fate::Later], None).1, [Event::Failed]);
        assert_eq!(run(&entry(1, 0, 0, six_days), &[Fate::Later], None).1, [Event::Deferred]);
        assert_eq!(run(&entry(1, 20, 0, Duration::ZERO), &[Fate::Later], None).1, [Event::Deferred]);
    }

    #[test]
    fn uncertain_copies_come_to_an_end() {
        let (settlement, events) = run(&entry(1, 0, 0, Duration::ZERO), &[Fate::Uncertain], None);
        assert!(settlement.uncertain && matches!(settlement.next, Next::Deferred(_)));
        assert_eq!(events, [Event::Uncertain]);
        assert_eq!(run(&entry(1, 2, 2, Duration::ZERO), &[Fate::Uncertain], None).1, [Event::Failed]);
    }
}
