//! What follows from each way in which an attempt can end.

use std::time::Duration;

use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};
use crate::queue::{MessageOrigin, MessageState, RecipientEntry, state_after};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn entry(recipients: usize, tries: u32, uncertain: u32, age: Duration) -> QueueEntry {
    let received = NOW - age;
    let recipient = |n| RecipientEntry {
        address: Address::parse(&format!("r{n}@example.com")).unwrap(),
        outcome: Kept::Open { last: None },
    };
    QueueEntry {
        id: Id::new(received, 1),
        state: MessageState::Sending,
        received,
        expires: received + RetrySchedule::default().expire,
        due: received,
        tries,
        uncertain,
        account: None,
        origin: MessageOrigin {
            client: "127.0.0.1".into(),
            key: ClientKey::stored("127.0.0.1"),
            addr: [127, 0, 0, 1].into(),
            listener: "local".into(),
            helo: "printer".into(),
        },
        sender: ReversePath::Null,
        recipients: (0..recipients).map(recipient).collect(),
        size: 1,
        repairs: Vec::new(),
        notice: false,
        lane: Lane::Normal,
        pool: "a".into(),
        chunk: None,
        strict: false,
        unknown_since: None,
        held: None,
        trouble: None,
        subject: None,
        message_id: None,
        finished: None,
        wait: None,
    }
}

fn tried(entry: &QueueEntry, places: &[usize], fates: &[Fate], strict: bool) -> (Settlement, Vec<RecipientEvent>) {
    let outcomes: Vec<Outcome> =
        fates.iter().map(|&fate| Outcome { fate, text: "why".into(), verdict: None, phase: None }).collect();
    let (settlement, changes) = settle(
        &RetrySchedule::default(),
        entry,
        Tried { places, outcomes: &outcomes, strict, accepted_since: false },
        NOW,
    );
    (settlement, changes.into_iter().map(|c| c.event).collect())
}

fn run(entry: &QueueEntry, fates: &[Fate]) -> (Settlement, Vec<RecipientEvent>) {
    let places: Vec<usize> = (0..fates.len()).collect();
    tried(entry, &places, fates, false)
}

/// The entry as it is after a settlement.
fn after(mut entry: QueueEntry, settlement: &Settlement) -> QueueEntry {
    for (place, outcome) in &settlement.outcomes {
        entry.recipients[*place].outcome = outcome.clone();
    }
    entry.tries += u32::from(matches!(settlement.next, NextAttempt::Deferred(_)));
    entry.chunk = settlement.chunk.or(entry.chunk);
    entry.strict |= settlement.strict;
    entry
}

#[test]
fn each_recipient_has_its_own_end() {
    let (settlement, events) =
        run(&entry(4, 0, 0, Duration::ZERO), &[Fate::Delivered, Fate::Refused, Fate::Later, Fate::Delivered]);
    assert_eq!(
        events,
        [RecipientEvent::Delivered, RecipientEvent::Failed, RecipientEvent::Deferred, RecipientEvent::Delivered]
    );
    let NextAttempt::Deferred(at) = settlement.next else { panic!("{settlement:?}") };
    assert!((54..=66).contains(&at.since(NOW).as_secs()));
    let state = state_after(settlement.outcomes.iter().map(|(_, o)| o), settlement.next);
    assert_eq!(state, MessageState::Deferred);
}

#[test]
fn waiting_spends_nothing_never_fails_and_keeps_its_place() {
    for age in [0, 400] {
        let old = entry(2, 9, 0, Duration::from_secs(age * 24 * 3600));
        let (settlement, events) = run(&old, &[Fate::Waits, Fate::Waits]);
        assert_eq!(events, [RecipientEvent::Waiting, RecipientEvent::Waiting]);
        assert_eq!(settlement.next, NextAttempt::Waiting(old.due));
    }
}

#[test]
fn a_message_that_was_taken_by_an_unset_clock_begins_its_life_when_the_clock_is_set() {
    let unset = Timestamp::from_millis(0);
    let life = RetrySchedule::default().expire;
    // It was leased before the clock was set, and is settled after it.
    let old = QueueEntry { received: unset, due: NOW, expires: unset + life, ..entry(1, 20, 0, Duration::ZERO) };
    assert_eq!(run(&old, &[Fate::Later]).1, [RecipientEvent::Deferred]);
    assert_eq!(old.end_of_life(NOW), NOW + life);
    assert_eq!(old.end_of_life(unset + life), unset + life, "while it is not set, its own time counts");
}

#[test]
fn an_old_message_is_given_up_but_not_by_a_clock_that_jumped() {
    let six_days = Duration::from_secs(6 * 24 * 3600);
    let planned = |tries| QueueEntry { due: NOW, ..entry(1, tries, 0, six_days) };
    assert_eq!(run(&planned(20), &[Fate::Later]).1, [RecipientEvent::Failed]);
    assert_eq!(run(&planned(0), &[Fate::Later]).1, [RecipientEvent::Deferred]);
    // it was planned for the time before the end. The clock jumped, or the account rested: once more.
    assert_eq!(run(&entry(1, 20, 0, six_days), &[Fate::Later]).1, [RecipientEvent::Deferred]);
    assert_eq!(run(&entry(1, 20, 0, Duration::ZERO), &[Fate::Later]).1, [RecipientEvent::Deferred]);
}

#[test]
fn uncertain_copies_come_to_an_end() {
    let (settlement, events) = run(&entry(1, 0, 0, Duration::ZERO), &[Fate::Uncertain]);
    assert!(settlement.uncertain && matches!(settlement.next, NextAttempt::Deferred(_)));
    assert_eq!(events, [RecipientEvent::Uncertain]);
    assert_eq!(run(&entry(1, 2, 2, Duration::ZERO), &[Fate::Uncertain]).1, [RecipientEvent::Failed]);
}

#[test]
fn parts_follow_each_other_at_once_and_the_deferred_wait_for_the_end_of_the_round() {
    let first = entry(5, 0, 0, Duration::ZERO);
    assert_eq!(first.offered(2), [0, 1]);
    let (settlement, _) = tried(&first, &[0, 1], &[Fate::Later, Fate::Delivered], false);
    assert_eq!(settlement.next, NextAttempt::Waiting(first.due));
    let second = after(first, &settlement);
    assert_eq!((second.offered(2), second.tries), (vec![2, 3], 0));
    let (settlement, _) = tried(&second, &[2, 3], &[Fate::Delivered; 2], false);
    let third = after(second, &settlement);
    assert_eq!(third.offered(2), [4]);
    let (settlement, _) = tried(&third, &[4], &[Fate::Delivered], false);
    assert!(matches!(settlement.next, NextAttempt::Deferred(at) if at > NOW), "{settlement:?}");
    let fourth = after(third, &settlement);
    assert_eq!((fourth.offered(2), fourth.tries), (vec![0], 1));
}

#[test]
fn a_list_that_is_too_long_gets_shorter_until_it_fits_or_fails() {
    // What the provider took is the measure.
    let (settlement, events) =
        run(&entry(4, 0, 0, Duration::ZERO), &[Fate::Delivered, Fate::Delivered, Fate::Delivered, Fate::Split]);
    assert_eq!((settlement.chunk, events[3]), (Some(3), RecipientEvent::Waiting));
    // It took none: halves, down to one, which then fails.
    let (mut now, mut chunks) = (entry(8, 0, 0, Duration::ZERO), Vec::new());
    loop {
        let places = now.offered(100);
        let (settlement, events) = tried(&now, &places, &vec![Fate::Split; places.len()], false);
        now = after(now, &settlement);
        chunks.push(settlement.chunk);
        if events == [RecipientEvent::Failed] {
            break;
        }
        assert!(matches!(settlement.next, NextAttempt::Waiting(_)));
    }
    assert_eq!(chunks, [Some(4), Some(2), Some(1), None]);
    assert_eq!(now.tries, 0);
}

#[test]
fn the_sender_is_put_on_anew_once() {
    let first = entry(2, 0, 0, Duration::ZERO);
    let (settlement, events) = tried(&first, &[0, 1], &[Fate::Rewrite, Fate::Rewrite], false);
    assert_eq!((settlement.strict, events), (true, vec![RecipientEvent::Waiting; 2]));
    let second = after(first, &settlement);
    let (settlement, events) = tried(&second, &[0, 1], &[Fate::Rewrite, Fate::Rewrite], true);
    assert_eq!((settlement.strict, events), (false, vec![RecipientEvent::Failed; 2]));
}

/// The second attempt of a message that was refused with an unknown reply at `NOW`, `minutes` later.
fn again(first: &QueueEntry, accepted_since: bool, minutes: u64) -> (Settlement, Vec<RecipientEvent>) {
    let now = NOW + Duration::from_secs(minutes * 60);
    let outcomes = [Outcome { fate: Fate::Unknown, text: "554 no".into(), verdict: None, phase: None }];
    let tried = Tried { places: &[0], outcomes: &outcomes, strict: true, accepted_since };
    let (settlement, changes) = settle(&RetrySchedule::default(), first, tried, now);
    (settlement, changes.into_iter().map(|c| c.event).collect())
}

#[test]
fn an_unknown_refusal_waits_an_hour_and_is_final_only_after_other_mail_has_passed() {
    let fresh = entry(1, 0, 0, Duration::ZERO);
    let (first, events) = run(&fresh, &[Fate::Unknown]);
    let NextAttempt::Deferred(next) = first.next else { panic!("{first:?}") };
    assert_eq!((events, first.unknown_since), (vec![RecipientEvent::Deferred], Some(NOW)));
    assert!(next >= NOW + Duration::from_secs(3600), "{next:?}");
    let waits = QueueEntry { unknown_since: Some(NOW), ..after(fresh, &first) };
    // Nothing else was accepted: it is not given up, and comes again by the schedule.
    let (second, events) = again(&waits, false, 61);
    assert_eq!(events, [RecipientEvent::Deferred]);
    assert!(
        matches!(second.next, NextAttempt::Deferred(at) if at < NOW + Duration::from_secs(61 * 60 + 3600)),
        "{second:?}"
    );
    // Another message was: now it is the message.
    assert_eq!(again(&waits, true, 61).1, [RecipientEvent::Failed]);
    // A recipient that was not tried before has its first refusal, whatever happened to the others.
    let other = entry(1, 1, 0, Duration::ZERO);
    let mut untried = QueueEntry { unknown_since: Some(NOW), ..other };
    assert_eq!(again(&untried, true, 61).1, [RecipientEvent::Deferred]);
    // Neither has one that was put off for another reason.
    untried.recipients[0].outcome = Kept::Open { last: Some("451 greylisted".into()) };
    assert_eq!(again(&untried, true, 61).1, [RecipientEvent::Deferred]);
}

#[test]
fn an_unknown_refusal_at_mail_follows_the_schedule_and_ends_at_expiry() {
    let fresh = entry(1, 0, 0, Duration::ZERO);
    let at_mail = [Outcome { fate: Fate::Unknown, text: "550 no".into(), verdict: None, phase: Some(Phase::Mail) }];
    let tried = Tried { places: &[0], outcomes: &at_mail, strict: true, accepted_since: false };
    let (first, _) = settle(&RetrySchedule::default(), &fresh, tried, NOW);
    assert!(matches!(first.next, NextAttempt::Deferred(at) if at < NOW + Duration::from_secs(120)), "{first:?}");
    let old = entry(1, FEWEST_TRIES, 0, RetrySchedule::default().expire);
    let old = QueueEntry { due: old.expires, unknown_since: Some(NOW), ..old };
    assert_eq!(again(&old, false, 1).1, [RecipientEvent::Failed]);
}

#[test]
fn a_guess_about_the_account_waits_a_quarter_of_an_hour_and_fails_nothing() {
    let fresh = entry(1, 0, 0, Duration::ZERO);
    let (settlement, events) = run(&fresh, &[Fate::Guessed]);
    assert_eq!((events, settlement.unknown_since), (vec![RecipientEvent::Deferred], None));
    assert!(
        matches!(settlement.next, NextAttempt::Deferred(at) if at >= NOW + Duration::from_secs(900)),
        "{settlement:?}"
    );
}
