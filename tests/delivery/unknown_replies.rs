//! Replies that no row describes, through the whole relay: nothing is bounced that the account may be to blame for, and what
//! is the message's own fault does not try for ever. Each test is a story that would break one guard.

use std::time::Duration;

use crate::support::day::Day;
use crate::support::office::Office;
use yizhan::mail::Id;
use yizhan::queue::{MessageState, QueueEntry, RecipientOutcome};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};
use yizhan::telemetry::counter::UNKNOWN_REPLIES;

const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";
/// Words that say nothing.
const NONSENSE: &[u8] = b"554 5.0.0 Computer says no\r\n";

async fn office(day: &Day, name: &str) -> Office {
    Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry =
            [1, 5, 15, 60, 120, 240].map(|minutes| Duration::from_secs(minutes * 60)).to_vec();
    })
    .await
}

fn says(stage: Stage, reply: &[u8]) -> Fault {
    Fault::forever(stage, What::Reply(reply.to_vec()))
}

fn last(entry: &QueueEntry) -> &str {
    match &entry.recipients[0].outcome {
        RecipientOutcome::Open { last } => last.as_deref().unwrap_or(""),
        RecipientOutcome::Delivered { reply, .. } => reply,
        RecipientOutcome::Failed { reason, .. } => reason,
    }
}

/// The state of the account, and when it goes on.
async fn account(office: &Office) -> (String, Option<String>) {
    let view = office.relay.delivery().statuses().await.swap_remove(0);
    (view.state, view.cause)
}

async fn states(office: &Office, ids: &[Id]) -> Vec<MessageState> {
    let mut states = Vec::new();
    for id in ids {
        states.push(office.entry(*id).await.state);
    }
    states
}

#[tokio::test]
async fn an_unknown_refusal_is_tried_again_and_final_once_other_mail_has_passed() {
    let day = Day::new();
    let office = office(&day, "unknown-final").await;
    office.sandbox.fault(says(Stage::Rcpt(Some("odd@else.test".into())), NONSENSE));
    let odd = office.send(&["odd@else.test"], MAIL).await;
    day.run_until(day.at(0, 1)).await;
    let entry = office.entry(odd).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 1));
    assert_eq!(last(&entry), "unknown reply, tried again before it is final: 554 5.0.0 Computer says no");
    assert_eq!(office.relay.counters().sum(UNKNOWN_REPLIES, &[("account", "office")]), 1);
    // An hour later it is refused again; nothing else was sent meanwhile, so it may still be the account.
    day.run_until(day.at(1, 10)).await;
    let entry = office.entry(odd).await;
    assert!(entry.state == MessageState::Deferred && entry.tries >= 2, "{entry:?}");
    let good = office.send(&["good@else.test"], MAIL).await;
    day.run_until(day.at(6, 0)).await;
    assert_eq!(office.entry(good).await.state, MessageState::Delivered);
    let entry = office.entry(odd).await;
    assert_eq!((entry.state, last(&entry)), (MessageState::Failed, "554 5.0.0 Computer says no"));
}

#[tokio::test]
async fn a_bad_hour_bounces_no_queue() {
    let day = Day::new();
    let office = office(&day, "bad-hour").await;
    // An account that the provider has quietly shut, with a text that is nowhere described.
    office.sandbox.fault(says(Stage::Data, NONSENSE));
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(office.send(&[&format!("r{n}@else.test")], MAIL).await);
    }
    day.run_until(day.at(0, 30)).await;
    assert_eq!(account(&office).await, ("cooling".to_owned(), Some("unknown-reply".to_owned())));
    assert!(states(&office, &ids).await.iter().all(|state| !state.is_final()), "nothing is given up");
    // A few messages have met it, the rest have not been tried at all.
    let tried = office.list(&[]).await.into_iter().filter(|entry| entry.tries > 0).count();
    assert!((3..=6).contains(&tried), "{tried}");
    // The provider opens it again. The text is known from a bad hour, and still condemns nothing.
    office.sandbox.clear_faults();
    day.run_until(day.at(8, 0)).await;
    assert_eq!(states(&office, &ids).await, [MessageState::Delivered; 20]);
    assert_eq!(account(&office).await.0, "ready");
}

#[tokio::test]
async fn an_unknown_refusal_at_mail_lets_messages_go_one_by_one() {
    let day = Day::new();
    let office = Office::at(day.clock(), "one-by-one", SandboxLimits::default(), |settings| {
        settings.accounts[0].connections = 4;
        settings.queue.schedule.retry = vec![Duration::from_secs(60)];
    })
    .await;
    office.sandbox.fault(Fault::once(Stage::Mail, What::Reply(NONSENSE.to_vec())));
    let first = office.send(&["a@else.test"], MAIL).await;
    day.rest().await;
    assert_eq!(office.entry(first).await.state, MessageState::Deferred);
    // The next message is a probe: it passes, and then all of them may go at once again.
    office.sandbox.fault(Fault::once(Stage::Mail, What::Delay(Duration::from_millis(200))));
    let mut ids = vec![first];
    for n in 0..6 {
        ids.push(office.send(&[&format!("r{n}@else.test")], MAIL).await);
    }
    day.run_until(day.at(0, 5)).await;
    assert_eq!(states(&office, &ids).await, [MessageState::Delivered; 7]);
}

#[tokio::test]
async fn a_guess_cools_the_account_only_at_the_second_message_and_never_pauses_it() {
    let day = Day::new();
    let office = office(&day, "guess").await;
    office.sandbox.fault(says(Stage::Data, b"550 5.7.0 You are sending too many messages, slow down\r\n"));
    let first = office.send(&["a@else.test"], MAIL).await;
    day.rest().await;
    assert_eq!(account(&office).await.0, "ready", "one message says little");
    assert_eq!((office.entry(first).await.state, office.entry(first).await.tries), (MessageState::Deferred, 1));
    let second = office.send(&["b@else.test"], MAIL).await;
    day.rest().await;
    assert_eq!(account(&office).await.0, "cooling");
    let third = office.send(&["c@else.test"], MAIL).await;
    day.rest().await;
    let entry = office.entry(third).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "it waits for the account and spends no try");
    // However long it lasts: a quarter of an hour at a time, and no pause.
    for hour in 1..30 {
        day.run_until(day.at(hour, 0)).await;
        let view = office.relay.delivery().statuses().await.swap_remove(0);
        assert_ne!(view.state, "paused");
        let until = view.until.unwrap_or_default();
        assert!(until <= day.at(hour, 16).rfc3339(), "{until} at hour {hour}");
    }
    office.sandbox.clear_faults();
    day.run_until(day.at(36, 0)).await;
    assert_eq!(states(&office, &[first, second, third]).await, [MessageState::Delivered; 3]);
}

#[tokio::test]
async fn words_about_a_recipient_never_cool_the_account() {
    let day = Day::new();
    let office = office(&day, "recipient-words").await;
    for name in ["one", "two", "three"] {
        let reply = format!("550 5.1.1 <{name}@else.test>: user account is disabled\r\n");
        office.sandbox.fault(says(Stage::Rcpt(Some(format!("{name}@else.test"))), reply.as_bytes()));
    }
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        ids.push(office.send(&[&format!("{name}@else.test")], MAIL).await);
    }
    day.run_until(day.at(0, 1)).await;
    assert_eq!(states(&office, &ids).await, [MessageState::Failed; 3]);
    assert_eq!(account(&office).await.0, "ready");
}

#[tokio::test]
async fn a_guessed_sender_fault_of_a_sender_that_is_right_already_is_not_bounced_at_once() {
    let day = Day::new();
    let office = office(&day, "guessed-sender").await;
    // The account's address is on the mail already; these words must mean something else.
    office
        .sandbox
        .fault(Fault::once(Stage::Mail, What::Reply(b"550 5.7.1 Sender is not allowed to send\r\n".to_vec())));
    let id = office.send(&["a@else.test"], MAIL).await;
    day.rest().await;
    assert!(!office.entry(id).await.state.is_final(), "{:?}", office.entry(id).await);
    day.run_until(day.at(2, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Delivered);
}

#[tokio::test]
async fn what_is_known_of_unknown_replies_outlives_a_restart() {
    let day = Day::new();
    let office = office(&day, "unknown-restart").await;
    office.sandbox.fault(says(Stage::Rcpt(Some("odd@else.test".into())), NONSENSE));
    let odd = office.send(&["odd@else.test"], MAIL).await;
    day.run_until(day.at(0, 5)).await;
    let good = office.send(&["good@else.test"], MAIL).await;
    day.run_until(day.at(0, 10)).await;
    assert_eq!(states(&office, &[odd, good]).await, [MessageState::Deferred, MessageState::Delivered]);
    let office = office.restart_at(day.clock()).await;
    // The second refusal is final, because the good one had passed before the restart.
    day.run_until(day.at(2, 0)).await;
    assert_eq!(office.entry(odd).await.state, MessageState::Failed);
}

#[tokio::test]
async fn one_reply_to_a_message_with_many_recipients_is_one_and_holds_up_no_other_mail() {
    let day = Day::new();
    let office = office(&day, "one-reply").await;
    // Words that speak of the account, and that only this message meets.
    office
        .sandbox
        .fault(Fault::once(Stage::FinalDot, What::Reply(b"550 5.7.0 You are sending too many messages\r\n".to_vec())));
    let odd = office.send(&["a@else.test", "b@else.test", "c@else.test"], MAIL).await;
    day.rest().await;
    assert_eq!(account(&office).await.0, "ready");
    assert_eq!(office.entry(odd).await.state, MessageState::Deferred);
    let good = office.send(&["good@else.test"], MAIL).await;
    day.rest().await;
    assert_eq!(office.entry(good).await.state, MessageState::Delivered);
}

#[tokio::test]
async fn a_message_that_makes_the_account_cool_is_not_the_one_that_is_tried_for_ever() {
    let day = Day::new();
    let office = office(&day, "poison").await;
    let words = b"550 5.7.0 You are sending too many messages\r\n";
    for name in ["p1", "p2"] {
        office.sandbox.fault(says(Stage::Rcpt(Some(format!("{name}@else.test"))), words));
    }
    let poison = [office.send(&["p1@else.test"], MAIL).await, office.send(&["p2@else.test"], MAIL).await];
    day.rest().await;
    assert_eq!(account(&office).await.0, "cooling");
    let good = office.send(&["good@else.test"], MAIL).await;
    day.run_until(day.at(0, 20)).await;
    assert_eq!(office.entry(good).await.state, MessageState::Delivered, "the next one to be tried is another one");
    assert!(states(&office, &poison).await.iter().all(|state| !state.is_final()));
}
