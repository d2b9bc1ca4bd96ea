//! Alerts about the whole relay: mail that waits too long, damaged mail, many failures, a full disk, a panic, and the test.
//!
//! Simulated time, real sockets. When each alert is due is tested with the rule (`report::relay_alarm`); here it is that the
//! facts are found, that each alert goes over the right channel, and that a restart neither repeats nor forgets.

use std::time::Duration;

use crate::support::day::Day;
use crate::support::hook::{Answer, Hook, Seen};
use crate::support::office::{Office, PATIENCE, USER};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account};
use yizhan::account::budget::BudgetLimits;
use yizhan::admin::{AdminCommand, AdminReply, control};
use yizhan::config::Settings;
use yizhan::mail::Lane;
use yizhan::provider::Windows;
use yizhan::queue::{HoldReason, LaneRequest, LeaseRequest, MessageState};
use yizhan::report::NoticeTo;
use yizhan::report::relay_alarm::RelayAlarmSettings;
use yizhan::report::webhook::Format;
use yizhan::sandbox::SandboxLimits;
use yizhan::secret::{Secret, SecretSource};
use yizhan::telemetry::counter::ALERTS;
use yizhan::telemetry::panic;

const MAIL: &[u8] = b"From: Scanner <scan@corp.lan>\r\nSubject: scan\r\n\r\nbody\r\n";
const LIMITS: RelayAlarmSettings =
    RelayAlarmSettings { oldest: Duration::from_secs(4 * 3600), failed: 5, disk_free: 1 << 10 };

/// One account, alerts with their usual limits, and a webhook where there is one.
async fn relay(day: &Day, name: &str, hook: Option<&Hook>, change: impl FnOnce(&mut Settings)) -> Office {
    let url = hook.map(|hook| hook.url("127.0.0.1", "/alert"));
    Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry = vec![Duration::from_secs(60)];
        settings.notice.relay = LIMITS;
        settings.notice.webhook = url.map(|url| SecretSource::Plain(Secret::new(&url)));
        change(settings);
    })
    .await
}

async fn hook() -> Hook {
    Hook::start(vec![Answer::status(200, "{}")], None).await
}

fn events(hook: &Hook) -> Vec<String> {
    hook.seen().iter().map(|seen| seen.json()["event"].as_str().expect("an event").to_owned()).collect()
}

fn last(hook: &Hook) -> Seen {
    hook.seen().pop().expect("an alert")
}

fn subjects(office: &Office) -> Vec<String> {
    let parser = mail_parser::MessageParser::default;
    let received = office.sandbox.received();
    let subject = |data: &[u8]| parser().parse(data).and_then(|mail| mail.subject().map(str::to_owned));
    received.iter().filter_map(|mail| subject(&mail.data)).filter(|text| text.starts_with("Yizhan")).collect()
}

fn sent(office: &Office, kind: &str, result: &str) -> u64 {
    office.relay.counters().sum(ALERTS, &[("kind", kind), ("result", result)])
}

async fn pause(office: &Office, pause: bool) {
    let delivery = office.relay.delivery();
    let account = delivery.account("office").expect("it is in the settings");
    match pause {
        true => delivery.pause(account, "holidays").await,
        false => delivery.resume(account).await,
    }
    .expect("the disk works");
}

#[tokio::test]
async fn mail_that_waits_too_long_is_alerted_once_and_cleared_after_a_restart() {
    let (day, hook) = (Day::new(), hook().await);
    let mut office = relay(&day, "old-hook", Some(&hook), |_| {}).await;
    pause(&office, true).await;
    let id = office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(1, 0)).await;
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(3, 59)).await;
    assert_eq!(events(&hook), [""; 0]);
    day.run_until(day.at(4, 2)).await;
    assert_eq!(events(&hook), ["mails_waiting"]);
    let body = last(&hook).json();
    assert_eq!((body["message"].as_str(), &body["waiting"]), (Some(id.as_str()), &1.into()), "{body}");
    assert_eq!(
        (&body["account"], &body["limit"], &body["more"]),
        (&serde_json::Value::Null, &14_400.into(), &false.into())
    );
    assert_eq!(body["client"], "127.0.0.1");
    let text = body["text"].as_str().unwrap();
    for part in
        ["4 hours", "account office rests (operator): holidays", "yizhan queue show", "yizhan queue list", id.as_str()]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(body["reply"].as_str().unwrap().contains("holidays") && body["remedy"]["zh"].is_string(), "{body}");
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(40, 0)).await;
    assert_eq!(events(&hook), ["mails_waiting"], "neither a restart nor a day repeats it");
    pause(&office, false).await;
    day.run_until(day.at(41, 0)).await;
    assert_eq!(events(&hook), ["mails_waiting", "mails_waiting_over"]);
    assert_eq!((sent(&office, "mails_waiting", "sent"), sent(&office, "mails_waiting_over", "sent")), (0, 1));
    assert_eq!(office.sandbox.received().len(), 2, "and no mail, where there is a webhook");
}

#[tokio::test]
async fn a_webhook_that_is_down_gets_the_alert_later_and_the_all_clear_only_then() {
    let day = Day::new();
    let hook = Hook::start(vec![Answer::status(503, ""), Answer::Cut, Answer::status(200, "{}")], None).await;
    let office = relay(&day, "old-down", Some(&hook), |_| {}).await;
    pause(&office, true).await;
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(5, 0)).await;
    assert_eq!(events(&hook), ["mails_waiting"; 3]);
    assert_eq!((sent(&office, "mails_waiting", "failed"), sent(&office, "mails_waiting", "sent")), (2, 1));
}

#[tokio::test]
async fn mail_that_waits_for_a_budget_is_nothing_to_alert_about() {
    let (day, hook) = (Day::new(), hook().await);
    let office = relay(&day, "old-budget", Some(&hook), |settings| {
        let one = Windows { minute: None, hour: None, day: Some(1) };
        let budget = settings.accounts[0].budget.clone();
        settings.accounts[0].budget = BudgetLimits { messages: one, ..budget };
    })
    .await;
    for _ in 0..3 {
        office.send(&["boss@else.test"], MAIL).await;
    }
    day.run_until(day.at(20, 0)).await;
    assert_eq!(office.sandbox.received().len(), 1);
    assert_eq!(events(&hook), [""; 0]);
}

#[tokio::test]
async fn many_failures_are_alerted_by_mail_through_the_only_account() {
    let day = Day::new();
    let mut office = relay(&day, "failed-mail", None, |_| {}).await;
    day.run_until(day.at(0, 5)).await;
    for _ in 0..4 {
        office.send(&["refused@else.test"], MAIL).await;
    }
    day.run_until(day.at(0, 40)).await;
    assert_eq!(subjects(&office), [""; 0]);
    office.send(&["refused@else.test"], MAIL).await;
    day.run_until(day.at(0, 42)).await;
    assert_eq!(subjects(&office), ["Yizhan 驿站: 5 mails not delivered"]);
    let mail = office.sandbox.received().pop().unwrap();
    assert_eq!((mail.to.as_slice(), mail.login.as_str()), (&[USER.to_owned()][..], USER));
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(1, 35)).await;
    assert_eq!(subjects(&office).len(), 1);
    day.run_until(day.at(6, 0)).await;
    assert_eq!(subjects(&office)[1..], ["Yizhan 驿站: mails no longer fail in numbers"]);
}

#[tokio::test]
async fn an_account_that_cannot_send_carries_no_alert_and_another_one_does() {
    for accounts in [1, 2] {
        let day = Day::new();
        let office = relay(&day, "able", None, |settings| {
            if accounts == 2 {
                add_account(settings, "spare", SPARE, SPARE_CODE);
            }
        })
        .await;
        pair::open_spare(&office);
        pause(&office, true).await;
        office.send(&["boss@else.test"], MAIL).await;
        day.run_until(day.at(8, 0)).await;
        let expected = if accounts == 2 { vec!["Yizhan 驿站: 1 mail waiting for more than 4 hours"] } else { vec![] };
        assert_eq!(subjects(&office), expected);
        let all = office.list(&MessageState::ALL).await;
        assert_eq!(all.len(), accounts, "no alert waits for an account that cannot send");
        pause(&office, false).await;
        day.run_until(day.at(9, 0)).await;
        assert_eq!(subjects(&office).len(), (accounts - 1) * 2);
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_alerted_and_cleared_over_a_restart() {
    let (day, hook) = (Day::new(), hook().await);
    let mut office =
        relay(&day, "disk-low", Some(&hook), |settings| settings.notice.relay.disk_free = u64::MAX / 2).await;
    // The disk is measured by the machine's time.
    let measured = async || (office.relay.counters().sum(ALERTS, &[]) > 0).then_some(());
    for minutes in 1..200 {
        day.run_until(day.at(0, minutes)).await;
        if measured().await.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(events(&hook), ["disk_low"]);
    let body = last(&hook).json();
    assert!(body["free"].as_u64().is_some_and(|free| free > 0), "{body}");
    assert!(body["text"].as_str().unwrap().contains("df -h"), "{body}");
    day.run_until(day.at(30, 0)).await;
    office.settings.notice.relay.disk_free = 1;
    office = office.restart_at(day.clock()).await;
    for hours in 31..300 {
        day.run_until(day.at(hours, 0)).await;
        if sent(&office, "disk_low_over", "sent") > 0 {
            break;
        }
    }
    assert_eq!(events(&hook), ["disk_low", "disk_low_over"]);
}

#[tokio::test]
async fn mail_that_an_operator_holds_is_not_called_damaged_but_waits_too_long() {
    let (day, hook) = (Day::new(), hook().await);
    let office = relay(&day, "held-by-hand", Some(&hook), |_| {}).await;
    pause(&office, true).await;
    let id = office.send(&["boss@else.test"], MAIL).await;
    let queue = office.relay.queue();
    queue.hold_message(id, HoldReason::Operator, "ask the boss".to_owned()).await.expect("the disk works");
    day.run_until(day.at(0, 3)).await;
    assert_eq!(events(&hook), [""; 0]);
    day.run_until(day.at(5, 0)).await;
    assert_eq!(events(&hook), ["mails_waiting"]);
    let body = last(&hook).json();
    assert_eq!((body["message"].as_str(), body["reply"].as_str()), (Some(id.as_str()), Some("ask the boss")));
}

#[tokio::test]
async fn a_damaged_message_is_alerted() {
    let (day, hook) = (Day::new(), hook().await);
    let office = relay(&day, "held", Some(&hook), |_| {}).await;
    pause(&office, true).await;
    let id = office.send(&["boss@else.test"], MAIL).await;
    let queue = office.relay.queue();
    let lane = LaneRequest { pools: vec!["office".to_owned()], lane: Lane::Normal, limit: 1 };
    let request = LeaseRequest { turns: "office".to_owned(), lanes: vec![lane], total: 1, recipients: 100 };
    let lease = queue.lease(day.now(), request).await.expect("the queue can be read").pop().expect("a message");
    queue.hold(lease, "the checksum is wrong".to_owned()).await.expect("the disk works");
    day.run_until(day.at(0, 3)).await;
    assert_eq!(events(&hook), ["mails_held"]);
    let body = last(&hook).json();
    assert_eq!((body["message"].as_str(), body["reply"].as_str()), (Some(id.as_str()), Some("the checksum is wrong")));
    day.run_until(day.at(5, 0)).await;
    assert_eq!(events(&hook), ["mails_held", "mails_waiting"], "it waits as well");
    queue.drop_message(id).await.expect("the disk works");
    day.run_until(day.at(6, 0)).await;
    let mut over = events(&hook)[2..].to_vec();
    over.sort();
    assert_eq!(over, ["mails_held_over", "mails_waiting_over"]);
}

#[tokio::test]
async fn a_panic_is_alerted_once_an_hour() {
    let (day, hook) = (Day::new(), hook().await);
    let office = relay(&day, "panic", Some(&hook), |_| {}).await;
    let fail = || panic::caught::<()>("delivery", office.relay.counters(), || panic!("on purpose"));
    fail();
    day.run_until(day.at(0, 3)).await;
    assert_eq!(events(&hook), ["panic"]);
    let body = last(&hook).json();
    assert_eq!((&body["task"], &body["panics"]), (&"delivery".into(), &1.into()));
    assert!(!body.to_string().contains("on purpose"), "{body}");
    fail();
    fail();
    day.run_until(day.at(0, 50)).await;
    assert_eq!(events(&hook), ["panic"]);
    day.run_until(day.at(10, 0)).await;
    assert_eq!((events(&hook), &last(&hook).json()["panics"]), (vec!["panic".to_owned(); 2], &2.into()));
}

#[tokio::test]
async fn a_robot_gets_signatures_with_the_relays_time() {
    let day = Day::new();
    let hook = Hook::start(vec![Answer::status(200, r#"{"errcode":0}"#)], None).await;
    let office = relay(&day, "signed", Some(&hook), |settings| {
        settings.notice.format = Format::Dingtalk;
        settings.notice.sign = Some(SecretSource::Plain(Secret::new("SECsecretsecret")));
    })
    .await;
    pause(&office, true).await;
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(5, 0)).await;
    let line = last(&hook).line;
    let time = line.split("timestamp=").nth(1).and_then(|rest| rest.split('&').next()).expect("a timestamp");
    let time: i64 = time.parse().expect("a number");
    assert!((day.at(4, 0).millis()..=day.at(4, 3).millis()).contains(&time), "{line}");
    assert!(line.contains("&sign=") && !line.contains("SECsecretsecret"), "{line}");
}

async fn test(office: &Office) -> Vec<(String, String)> {
    let data = office.folder.path().join("data");
    match control::ask(&data, &AdminCommand::TestNotice {}).await.expect("it answers") {
        AdminReply::Notices { channels, .. } => {
            let remedied = channels.iter().all(|one| one.result != "failed" || one.remedy.is_some());
            assert!(remedied, "{channels:?}");
            channels.into_iter().map(|one| (one.channel, one.result)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn pairs<const N: usize>(all: [(&str, &str); N]) -> Vec<(String, String)> {
    all.map(|(channel, result)| (channel.to_owned(), result.to_owned())).into()
}

#[tokio::test]
async fn the_test_of_an_operator_goes_where_alerts_go() {
    let answers = vec![Answer::status(200, "{}"), Answer::status(404, "no room")];
    let hook = Hook::start(answers, None).await;
    let office = relay(&Day::new(), "test-hook", Some(&hook), |_| {}).await;
    assert_eq!(test(&office).await, pairs([("webhook", "sent"), ("mail", "skipped")]));
    assert_eq!(test(&office).await, pairs([("webhook", "failed"), ("mail", "skipped")]));
    assert_eq!(events(&hook), ["test", "test"]);
    assert!(last(&hook).json()["text"].as_str().unwrap().contains("test alert"));

    let day = Day::new();
    let office = relay(&day, "test-mail", None, |_| {}).await;
    assert_eq!(test(&office).await, pairs([("mail", "sent")]));
    day.run_until(day.at(0, 1)).await;
    assert_eq!(subjects(&office), ["Yizhan 驿站: test alert"]);
    pause(&office, true).await;
    assert_eq!(test(&office).await, pairs([("mail", "failed")]));
    office.relay.stop(PATIENCE).await;

    let office = relay(&Day::new(), "test-none", None, |settings| settings.notice.to = NoticeTo::Nobody).await;
    assert_eq!(test(&office).await, pairs([]));
}
