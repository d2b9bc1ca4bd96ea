//! What the sandbox allows in an hour and in a day, by a clock that the test moves, and what it says beyond that.

use std::time::Duration;

use yizhan::clock::{Clock, Timestamp};
use yizhan::drain::Drain;
use yizhan::sandbox::{Day, Fault, Sandbox, SandboxLimits, SandboxRates, Stage, Window, replies};
use yizhan::secret::Secret;

use super::client::{CODE, Client, GOOD, USER, settings};
use super::line;

/// 2026-11-21 00:00 +08:00.
const MIDNIGHT: Timestamp = Timestamp::from_millis(1_795_190_400_000);
const MINUTE: Duration = Duration::from_secs(60);

async fn open(limits: SandboxLimits) -> (Sandbox, Clock) {
    let clock = Clock::manual(MIDNIGHT);
    let mut settings = settings();
    settings.limits = limits;
    (Sandbox::start(settings, clock.clone(), Drain::default()).await.unwrap(), clock)
}

/// Logs in on a connection of its own; the code of the reply.
async fn log_in(sandbox: &Sandbox, user: &str, code: &str) -> String {
    let reply = Client::hello(sandbox).await.log_in(user, code, "").await;
    reply[..3].to_owned()
}

#[tokio::test]
async fn an_hour_and_a_day_have_their_own_limits_and_words() {
    let limits = SandboxLimits {
        message_rates: SandboxRates { minute: None, hour: Some(2), day: Some(3) },
        ..SandboxLimits::default()
    };
    let (sandbox, clock) = open(limits).await;
    let mut client = Client::ready(&sandbox).await;
    client.message(GOOD, "250").await;
    clock.advance(30 * MINUTE);
    client.message(GOOD, "250").await;
    let mail = format!("MAIL FROM:<{USER}>");
    assert_eq!(client.say(&mail, "550").await, line(replies::SENDER_LIMITED));
    clock.advance(30 * MINUTE);
    client.message(GOOD, "250").await;
    clock.set(MIDNIGHT + 1439 * MINUTE);
    client.send(format!("{mail}\r\n").as_bytes()).await;
    let refused = client.reply().await;
    assert_eq!(refused, replies::daily_limit());
    assert!(std::str::from_utf8(&refused).is_err(), "it is GB18030");
    // The day is over, and the next one begins with nothing.
    clock.set(MIDNIGHT + 1440 * MINUTE);
    client.message(GOOD, "250").await;
    let limited: Vec<_> = sandbox.limited().into_iter().map(|one| (one.at.since(MIDNIGHT), one.window)).collect();
    assert_eq!(limited, [(30 * MINUTE, Window::Hour), (1439 * MINUTE, Window::Day)]);
    let dates: Vec<_> = sandbox.received_from(USER).iter().map(|one| one.at.since(MIDNIGHT) / 60).collect();
    assert_eq!(dates, [0, 30, 60, 1440].map(Duration::from_secs));
}

#[tokio::test]
async fn recipients_are_counted_apart_from_messages() {
    let limits = SandboxLimits {
        recipient_rates: SandboxRates { minute: None, hour: Some(3), day: Some(5) },
        day: Day::Rolling,
        ..SandboxLimits::default()
    };
    let (sandbox, clock) = open(limits).await;
    let mut client = Client::ready(&sandbox).await;
    client.say(&format!("MAIL FROM:<{USER}>"), "250").await;
    for code in ["250", "250", "250"] {
        client.say("RCPT TO:<a@example.com>", code).await;
    }
    // Nobody is there: it does not count, and is not limited.
    client.say("RCPT TO:<nobody@example.com>", "550 Mailbox not found").await;
    assert_eq!(client.say("RCPT TO:<d@example.com>", "550").await, line(replies::SENDER_LIMITED));
    client.say("DATA", "354").await;
    client.send(GOOD).await;
    client.expect("250").await;
    clock.advance(60 * MINUTE);
    client.say(&format!("MAIL FROM:<{USER}>"), "250").await;
    client.say("RCPT TO:<a@example.com>", "250").await;
    client.say("RCPT TO:<b@example.com>", "250").await;
    client.send(b"RCPT TO:<c@example.com>\r\n").await;
    assert_eq!(client.reply().await, replies::daily_limit());
    assert_eq!(sandbox.received()[0].to.len(), 3);
}

#[tokio::test]
async fn too_many_log_ins_lock_the_account_and_every_try_renews_the_lock() {
    let limits = SandboxLimits {
        login_rates: SandboxRates { hour: Some(3), ..SandboxRates::default() },
        lock: 20 * MINUTE,
        ..SandboxLimits::default()
    };
    let (sandbox, clock) = open(limits).await;
    let mut codes = Vec::new();
    // Two hours at a pace of one try in ten minutes: the lock never ends. Then half an hour of silence.
    for _ in 0..12 {
        codes.push(log_in(&sandbox, USER, CODE).await);
        clock.advance(10 * MINUTE);
    }
    assert_eq!(codes[..4], ["235", "235", "235", "535"]);
    assert!(codes[3..].iter().all(|code| code == "535"), "{codes:?}");
    assert_eq!(log_in(&sandbox, "b@qq.com", "other").await, "235", "the other account is not locked");
    clock.advance(30 * MINUTE);
    assert_eq!(log_in(&sandbox, USER, CODE).await, "235");
    let own = sandbox.logins().into_iter().filter(|one| one.user == USER).map(|one| one.accepted);
    assert_eq!(own.filter(|accepted| *accepted).count(), 4);
    assert_eq!((sandbox.stats().logins_ok, sandbox.stats().logins_refused), (5, 9));
}

#[tokio::test]
async fn a_revoked_code_is_void_until_there_is_another() {
    let (sandbox, _) = open(SandboxLimits::default()).await;
    sandbox.revoke(USER);
    assert_eq!(log_in(&sandbox, USER, CODE).await, "535");
    assert_eq!(log_in(&sandbox, USER, "").await, "535", "no code is not an empty code");
    assert_eq!(log_in(&sandbox, "b@qq.com", "other").await, "235");
    sandbox.set_secret(USER, Secret::new("renewed"));
    assert_eq!(log_in(&sandbox, USER, CODE).await, "535");
    assert_eq!(log_in(&sandbox, USER, "renewed").await, "235");
}

#[tokio::test]
async fn an_idle_connection_ends_by_the_sandboxs_clock() {
    let (sandbox, clock) = open(SandboxLimits { idle: Some(15 * MINUTE), ..SandboxLimits::default() }).await;
    let mut client = Client::ready(&sandbox).await;
    client.message(GOOD, "250").await;
    assert!(clock.wait_earliest(|at| at == Some(MIDNIGHT + 15 * MINUTE)).await.is_some());
    clock.advance(14 * MINUTE);
    client.message(GOOD, "250").await;
    clock.wait_earliest(|at| at == Some(MIDNIGHT + 29 * MINUTE)).await;
    clock.advance(15 * MINUTE);
    client.expect("421").await;
    client.ends_with(b"").await;
}

#[tokio::test]
async fn one_account_can_have_a_fault_that_the_other_has_not() {
    let (sandbox, _) = open(SandboxLimits::default()).await;
    sandbox.fault_for("b@qq.com", Fault::reply(Stage::Mail, "554 DT:SPM 163 smtp1").times(u32::MAX));
    sandbox.fault_for("b@qq.com", Fault::last_reply(Stage::Auth, "535 5.7.8 not today"));
    Client::ready(&sandbox).await.message(GOOD, "250").await;
    assert_eq!(log_in(&sandbox, "b@qq.com", "other").await, "535");
    let mut other = Client::hello(&sandbox).await;
    other.log_in("b@qq.com", "other", "235").await;
    assert_eq!(other.say("MAIL FROM:<b@qq.com>", "554").await, "554 DT:SPM 163 smtp1\r\n");
    let received = sandbox.received_from(USER);
    assert_eq!((received.len(), received[0].subject().as_str()), (1, "x"));
    assert!(sandbox.received_from("b@qq.com").is_empty());
}
