//! The machine's clock is wrong and is put right: not set at boot, or a year ahead. Whole relay, a clock moved by hand.

use std::time::Duration;

use crate::support::day::{Day, MIDNIGHT};
use crate::support::office::{Device, Office};
use yizhan::clock::Timestamp;
use yizhan::mail::Id;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

const SCAN: &[u8] = b"From: scanner@office.lan\r\nSubject: scan\r\n\r\npage\r\n";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An office whose machine has just booted without a battery for its clock. Retries at real intervals.
async fn unset(name: &str) -> (Day, Office) {
    let day = Day::starting(Timestamp::from_millis(0) + Duration::from_secs(30));
    let office = Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry = vec![Duration::from_secs(60)];
    });
    (day.clone(), office.await)
}

async fn send(office: &Office) -> Id {
    let mut device = Device::connect(office.door()).await;
    device.send("scanner@office.lan", &["boss@else.test"], SCAN).await
}

#[tokio::test]
async fn an_outage_while_the_clock_is_not_set_bounces_nothing_once_it_is() {
    let (day, office) = unset("unset").await;
    office.sandbox.fault(Fault::forever(Stage::Mail, What::Reply(b"451 4.3.0 try again\r\n".to_vec())));
    let id = send(&office).await;
    day.run_until(day.at(0, 30)).await;
    let before = office.entry(id).await;
    assert!(before.tries >= 3 && before.state == MessageState::Deferred, "{before:?}");
    // A time server answers. The provider still refuses once more.
    day.clock().set(MIDNIGHT);
    day.rest().await;
    let after = office.entry(id).await;
    assert_eq!(after.state, MessageState::Deferred, "{after:?}");
    assert_eq!((after.received, after.expires), (MIDNIGHT, MIDNIGHT + before.expires.since(before.received)));
    office.sandbox.clear_faults();
    day.run_until(MIDNIGHT + Duration::from_secs(7200)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Delivered);
}

#[tokio::test]
async fn mail_that_was_taken_before_the_clock_was_set_lives_on_after_a_restart() {
    let (day, office) = unset("unset-start").await;
    office.sandbox.fault(Fault::forever(Stage::Mail, What::Reply(b"451 4.3.0 try again\r\n".to_vec())));
    let id = send(&office).await;
    day.run_until(day.at(0, 30)).await;
    let later = Day::starting(MIDNIGHT);
    let office = office.restart_at(later.clock()).await;
    later.rest().await;
    assert_eq!(office.entry(id).await.state, MessageState::Deferred);
    office.sandbox.clear_faults();
    later.run_until(later.at(2, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Delivered);
}

#[tokio::test]
async fn a_clock_a_year_ahead_deletes_no_failed_mail_for_a_week() {
    let day = Day::new();
    let office = Office::at(day.clock(), "ahead", SandboxLimits::default(), |_| {}).await;
    office.sandbox.fault(Fault::once(Stage::Rcpt(None), What::Reply(b"550 5.1.1 user unknown\r\n".to_vec())));
    let id = send(&office).await;
    day.run_until(day.at(2, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Failed);
    let wrong = Day::starting(day.now() + 365 * DAY);
    let office = office.restart_at(wrong.clock()).await;
    wrong.run_until(wrong.at(24, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Failed, "it is kept while the clock may be wrong");
    // It is put right within the week: nothing was lost.
    let office = office.restart_at(day.clock()).await;
    day.run_until(day.at(4, 0)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Failed);
}
