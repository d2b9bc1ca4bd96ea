//! Days of the relay in seconds: the real schedule, the real rests, real sockets, a clock that is moved by hand.

use std::time::{Duration, Instant};

use crate::support::day::Day;
use crate::support::office::Office;
use yizhan::queue::{MessageState, RecipientOutcome};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";

/// The waits that the manual promises, in minutes.
const RETRY: [u64; 6] = [1, 5, 15, 60, 120, 240];

async fn office(day: &Day, name: &str) -> Office {
    Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry = RETRY.map(|minutes| Duration::from_secs(minutes * 60)).to_vec();
    })
    .await
}

#[tokio::test]
async fn a_message_that_is_deferred_all_day_is_tried_at_the_documented_times() {
    let day = Day::new();
    let office = office(&day, "deferred-day").await;
    office.sandbox.fault(Fault::forever(Stage::Rcpt(None), What::Reply(b"450 4.2.0 greylisted\r\n".to_vec())));
    let id = office.send(&["a@else.test"], MAIL).await;
    let (mut tries, mut dates) = (0, Vec::new());
    day.run_while(day.at(24, 0), async |now| {
        let entry = office.entry(id).await;
        if entry.tries > tries {
            assert_eq!((entry.tries, entry.state), (tries + 1, MessageState::Deferred), "no try goes unseen");
            (tries, dates) = (entry.tries, [dates.clone(), vec![now]].concat());
        }
        true
    })
    .await;
    assert_eq!(dates[0], day.at(0, 0));
    let waits: Vec<f64> = dates.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64() / 60.0).collect();
    // 1, 5, 15, 60, 120 minutes make 201 of 1440; then every 240, all give or take a tenth.
    assert!((9..=11).contains(&waits.len()), "{waits:?}");
    for (n, wait) in waits.iter().enumerate() {
        let documented = RETRY[n.min(RETRY.len() - 1)] as f64;
        assert!((wait / documented - 1.0).abs() <= 0.1001, "wait {n}: {wait} and not {documented} minutes: {waits:?}");
    }
    assert_eq!(office.sandbox.stats().faults as usize, dates.len(), "the provider saw each try, and no other");
}

#[tokio::test]
async fn a_refused_code_at_two_and_a_new_one_at_eight() {
    let real = Instant::now();
    let day = Day::new();
    let office = office(&day, "night").await;
    office.send(&["a@else.test"], MAIL).await;
    day.run_until(day.at(2, 0)).await;
    assert_eq!(office.sandbox.stats().accepted, 1);
    // The owner changes the password of the mailbox, and with it all codes are void. The line is cut as well.
    office.sandbox.set_secret(crate::support::office::USER, yizhan::secret::Secret::new("newcodenewcodene"));
    office.sandbox.fault(Fault::once(Stage::Idle, What::Close));
    let mut ids = Vec::new();
    for hour in 2..8 {
        ids.push(office.send(&["a@else.test"], MAIL).await);
        day.run_until(day.at(hour, 59)).await;
    }
    day.run_until(day.at(8, 0)).await;
    for id in &ids {
        let entry = office.entry(*id).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{entry:?}");
        assert!(matches!(&entry.recipients[0].outcome, RecipientOutcome::Open { .. }), "{entry:?}");
    }
    let stats = office.sandbox.stats();
    // 02:00, then rests of 15 and 30 minutes; the same answer a third time, and the account is paused.
    assert_eq!((stats.accepted, stats.logins_refused), (1, 3), "{stats:?}");
    office.folder.file("code", "newcodenewcodene");
    day.run_until(day.at(8, 1)).await;
    for id in ids {
        assert_eq!(office.entry(id).await.state, MessageState::Delivered);
    }
    let last = office.sandbox.received().pop().unwrap();
    assert!(last.at.since(day.at(8, 0)) <= Duration::from_secs(2), "the new code is seen within 2 s: {:?}", last.at);
    assert_eq!(office.sandbox.stats().logins_refused, 3);
    // Some 10,800 looks at the secret: about a second. What takes a minute is of no use as a test.
    assert!(real.elapsed() < Duration::from_secs(60), "{:?}", real.elapsed());
}

#[tokio::test]
async fn records_are_deleted_when_their_time_is_over() {
    let day = Day::new();
    let office = Office::at(day.clock(), "records", SandboxLimits::default(), |settings| {
        settings.queue.retention.keep_records = Duration::from_secs(7 * 24 * 3600);
    })
    .await;
    let id = office.send(&["a@else.test"], MAIL).await;
    day.run_until(day.at(7 * 24 - 1, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Delivered);
    day.run_until(day.at(7 * 24 + 1, 0)).await;
    assert!(office.relay.queue().show(id).await.is_err(), "the record is kept seven days");
}

#[tokio::test]
#[should_panic(expected = "delivery of")]
async fn who_keeps_time_from_passing_is_named() {
    let day = Day::new();
    let office = office(&day, "stands").await;
    office.sandbox.fault(Fault::once(Stage::Mail, What::Stall));
    office.send(&["a@else.test"], MAIL).await;
    office.sandbox.wait_until(|stats| stats.faults == 1).await;
    // The time limit of the driver itself is half a minute; what it would say is there at once.
    panic!("{}", day.clock().at_work().join("\n"));
}
