//! Two days of one mailbox, with real figures, sockets and queue, and a clock that is moved by hand.
//!
//! More mail than a day allows comes at midnight, the code is revoked at two, the relay is restarted at five, and the code
//! is renewed at eight. The provider's limits are those of the budget: whoever oversteps is refused, and it is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::day::Day;
use crate::support::hook::{Answer, Hook};
use crate::support::office::{CODE, Office, USER};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account, before, burst, client};
use yizhan::config::Settings;
use yizhan::mail::{Id, Lane};
use yizhan::provider::Windows;
use yizhan::queue::{MessageState, RecipientOutcome};
use yizhan::sandbox::{self, Received, SandboxLimits, SandboxRates};
use yizhan::secret::{Secret, SecretSource};

const ALARMS: usize = 300;
const REPORTS: usize = 40;
const NEW_CODE: &str = "newcodenewcodene";
/// The clients, by the third number of their addresses.
const PANEL: u8 = 1;
const BOOKS: u8 = 2;

const A_DAY: Windows = Windows { minute: Some(15), hour: Some(100), day: Some(300) };

/// What the provider refuses is what the budget promises not to do.
fn limits() -> SandboxLimits {
    SandboxLimits {
        message_rates: SandboxRates { minute: A_DAY.minute, hour: A_DAY.hour, day: A_DAY.day },
        login_rates: SandboxRates { hour: Some(20), ..SandboxRates::default() },
        day: sandbox::Day::Calendar { offset: 8 * 3600 },
        ..SandboxLimits::default()
    }
}

fn settings(settings: &mut Settings) {
    settings.queue.schedule.retry = [1, 5, 15, 60, 120, 240].map(|minutes| Duration::from_secs(minutes * 60)).to_vec();
    settings.limits.messages_per_client.count = 100_000_u32.try_into().unwrap();
    settings.clients = vec![client("panel", PANEL, Lane::Alarm), client("books", BOOKS, Lane::Bulk)];
    let windows = Windows { minute: None, hour: Some(20), day: None };
    let budget = &mut settings.accounts[0].budget;
    (budget.messages, budget.logins) = (A_DAY, windows);
}

/// Hands in the night's mail in one moment of simulated time: the reports first, so that only their lane holds them up.
async fn midnight(office: &Office, day: &Day) -> (Vec<Id>, Vec<Id>) {
    let delivery = office.relay.delivery();
    let account = delivery.account("office").expect("it is in the settings");
    delivery.pause(account, "until all of it is there").await.expect("the disk works");
    let reports = burst(office, BOOKS, "report", REPORTS).await;
    let alarms = burst(office, PANEL, "alarm", ALARMS).await;
    delivery.resume(account).await.expect("the disk works");
    assert_eq!(day.now(), day.at(0, 0));
    (alarms, reports)
}

/// What the mailbox at work has sent.
fn sent(office: &Office) -> Vec<Received> {
    office.sandbox.received_from(USER)
}

/// Most messages and log-ins of the busiest minute, hour and day, as the provider saw them.
fn busiest(office: &Office) -> BTreeMap<&'static str, usize> {
    let sent: Vec<_> = sent(office).iter().map(|one| one.at).collect();
    let logins: Vec<_> = office.sandbox.logins().iter().filter(|one| one.user == USER).map(|one| one.at).collect();
    let most = |dates: &[yizhan::clock::Timestamp], seconds: u64| {
        let within = |from| dates.iter().filter(|&&at| at >= from && at.since(from).as_secs() < seconds).count();
        dates.iter().map(|&from| within(from)).max().unwrap_or(0)
    };
    BTreeMap::from([
        ("messages a minute", most(&sent, 60)),
        ("messages an hour", most(&sent, 3600)),
        ("log-ins an hour", most(&logins, 3600)),
        ("log-ins", logins.len()),
    ])
}

fn is_report(one: &Received) -> bool {
    one.subject().starts_with("report")
}

/// The subject as a mail program shows it.
fn subject(one: &Received) -> String {
    let message = mail_parser::MessageParser::default().parse(&one.data[..]).expect("a message");
    message.subject().unwrap_or_default().to_owned()
}

/// Full minutes from the begin of the day until it arrived.
fn minutes(day: &Day, one: &Received) -> u64 {
    one.at.since(day.at(0, 0)).as_secs() / 60
}

/// Every message is delivered, and the provider has each of them once.
async fn each_arrived_once(office: &Office, ids: &[Id]) {
    for &id in ids {
        let entry = office.entry(id).await;
        assert_eq!((entry.state, entry.tries, entry.uncertain), (MessageState::Delivered, 0, 0), "{entry:?}");
    }
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for one in sent(office) {
        *count.entry(one.subject()).or_default() += 1;
    }
    assert_eq!(count.len(), ids.len());
    assert!(count.values().all(|&times| times == 1), "{count:?}");
}

/// All that wait say so, until when, and have spent no try.
async fn all_wait(office: &Office, day: &Day, ids: &[Id], until_is_known: bool) -> usize {
    let mut waiting = 0;
    for &id in ids {
        let entry = office.entry(id).await;
        if entry.state == MessageState::Delivered {
            continue;
        }
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{entry:?}");
        assert!(entry.recipients.iter().all(|one| matches!(one.outcome, RecipientOutcome::Open { .. })), "{entry:?}");
        assert!(entry.due > day.now(), "{:?} is no time to come at {:?}", entry.due, day.now());
        let known = entry.due <= day.at(24, 30);
        assert_eq!(known, until_is_known, "{:?}", entry.due);
        waiting += 1;
    }
    waiting
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "the figures of the story, for whoever runs it with --nocapture")]
async fn two_days_of_a_mailbox_that_is_given_too_much() {
    let real = Instant::now();
    let day = Day::new();
    let mut office = Office::at(day.clock(), "story", limits(), |s| {
        settings(s);
        add_account(s, "spare", SPARE, SPARE_CODE);
    })
    .await;
    pair::open_spare(&office);
    let (alarms, reports) = midnight(&office, &day).await;
    let all = [alarms.clone(), reports.clone()].concat();

    day.run_until(day.at(0, 30)).await;
    assert_eq!(sent(&office).len(), 100, "the first hour's share");
    assert_eq!(all_wait(&office, &day, &all, true).await, 240);
    day.run_until(day.at(2, 0)).await;
    let by_two = sent(&office).len();
    office.sandbox.revoke(USER);
    day.run_until(day.at(5, 0)).await;
    assert_eq!(sent(&office).len(), by_two, "without a code nothing goes");
    all_wait(&office, &day, &all, false).await;

    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(8, 0)).await;
    assert_eq!(sent(&office).len(), by_two);
    all_wait(&office, &day, &all, false).await;
    let refused = office.sandbox.stats().logins_refused;
    assert_eq!(refused, 3, "02:00, 02:15, 02:45, and then nobody asks any more");
    office.sandbox.set_secret(USER, Secret::new(NEW_CODE));
    office.folder.file("code", NEW_CODE);
    day.run_until(day.at(23, 59)).await;
    let first_day = sent(&office);
    assert_eq!(first_day.len(), 300, "the restart did not give the day another budget");
    let left = all_wait(&office, &day, &all, true).await;
    day.run_until(day.at(30, 0)).await;

    each_arrived_once(&office, &all).await;
    assert_eq!(office.sandbox.limited(), [], "the provider never had to say that it was too much");
    let order = sent(&office);
    let busiest = busiest(&office);
    let told: Vec<(String, u64)> =
        office.sandbox.received_from(SPARE).iter().map(|one| (subject(one), minutes(&day, one))).collect();
    let early: Vec<u64> = order[..ALARMS].iter().filter(|one| is_report(one)).map(|one| minutes(&day, one)).collect();
    println!(
        "by 01:00 {}, by 02:00 {by_two}, day one {} (then {left} waited), day two {}; busiest {busiest:?}; reports among \
         the first {ALARMS} in minutes: {early:?}; told: {told:?}; all of it took {:?}",
        before(&order, day.at(1, 0)),
        first_day.len(),
        order.len() - first_day.len(),
        real.elapsed(),
    );
    // A report that has waited for an hour may take one place; there are two such hours before the day is used up.
    assert!(order[..100].iter().all(|one| !is_report(one)), "alarms go first");
    assert!(early.len() <= 2 && early.iter().all(|&minutes| minutes >= 60), "{early:?}");
    // 15 connections of twenty messages are the least; then the hours, the night, and the second day.
    assert!(busiest["log-ins an hour"] <= 20 && busiest["log-ins"] <= 24, "{busiest:?}");
    // The rest ends in a stop before an hour is over, so one alarm tells it.
    let kinds: Vec<&str> = told.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(kinds, ["Yizhan 驿站: account office cannot send", "Yizhan 驿站: account office sends again",]);
    assert!((165..=170).contains(&told[0].1) && (480..=481).contains(&told[1].1), "{told:?}");
}

#[tokio::test]
async fn a_webhook_hears_of_it_where_there_is_no_other_account() {
    let day = Day::new();
    let hook = Hook::start(vec![Answer::status(200, "{}")], None).await;
    let url = hook.url("127.0.0.1", "/alarm?token=s3cr3tt0ken");
    let mut office = Office::at(day.clock(), "story-hook", limits(), |s| {
        settings(s);
        s.notice.webhook = Some(SecretSource::Plain(Secret::new(&url)));
    })
    .await;
    office.sandbox.revoke(USER);
    let ids = burst(&office, PANEL, "alarm", 3).await;
    day.run_until(day.at(5, 0)).await;
    all_wait(&office, &day, &ids, false).await;
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(8, 0)).await;
    office.sandbox.set_secret(USER, Secret::new(NEW_CODE));
    office.folder.file("code", NEW_CODE);
    day.run_until(day.at(23, 0)).await;
    each_arrived_once(&office, &ids).await;
    let seen = hook.seen();
    let events: Vec<String> =
        seen.iter().map(|one| one.json()["event"].as_str().unwrap_or("none").to_owned()).collect();
    assert_eq!(events, ["account_paused", "account_resumed"], "{seen:?}");
    for one in &seen {
        let body = String::from_utf8_lossy(&one.body);
        assert!(body.contains(USER) && !body.contains(CODE) && !body.contains(NEW_CODE), "{body}");
    }
}
