//! What the owner is told, and what not: alarms about accounts, notices and digests of failures.
//!
//! Simulated time, real sockets. The words themselves are tested where they are made (`message::notice`), the forms of the
//! webhooks in `tests/delivery/webhook.rs`; here it is who hears of what, how often, and over which way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::support::day::Day;
use crate::support::hook::{Answer, Hook};
use crate::support::office::{CODE, Office, USER, endpoint};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account, burst};
use yizhan::clock::Timestamp;
use yizhan::config::{QueueSettings, Settings};
use yizhan::language::Language;
use yizhan::mail::{Address, ClientKey, Id, Lane, ReversePath};
use yizhan::provider::Tls;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    LaneRequest, LeaseRequest, MessageFilter, MessageOrigin, MessageQueue as _, MessageState, NewMessage, NextAttempt,
    Queue, QueueEntry, RecipientOutcome, Settlement,
};
use yizhan::report::NoticeTo;
use yizhan::route::Rule;
use yizhan::sandbox::{Fault, Received, SandboxLimits, Stage};
use yizhan::secret::{Secret, SecretSource};

const MAIL: &[u8] = b"From: Scanner <scan@corp.lan>\r\nSubject: scan\r\n\r\nbody\r\n";
const NEW_CODE: &str = "newcodenewcodene";

/// Two accounts; without a route the first takes everything.
async fn pair(day: &Day, name: &str, change: impl FnOnce(&mut Settings)) -> Office {
    let office = Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry = vec![Duration::from_secs(60)];
        settings.limits.messages_per_client.count = 100_000_u32.try_into().unwrap();
        add_account(settings, "spare", SPARE, SPARE_CODE);
        change(settings);
    })
    .await;
    pair::open_spare(&office);
    office
}

/// Subject and text as a mail program shows them.
fn read(mail: &Received) -> (String, String) {
    let message = mail_parser::MessageParser::default().parse(&mail.data[..]).expect("a message");
    let text = message.body_text(0).expect("a text").into_owned();
    (message.subject().unwrap_or_default().to_owned(), text)
}

fn subjects(mails: &[Received]) -> Vec<String> {
    mails.iter().map(|mail| read(mail).0).collect()
}

/// No secret is in it, neither as it is nor in base64.
fn has_no_secret(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    for secret in [CODE, SPARE_CODE, NEW_CODE, "YWJjZGVmZ2hpamtsbW5vcA", "s3cr3tt0ken"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// Our own mails that are still in the queue.
async fn own_mails(office: &Office) -> Vec<QueueEntry> {
    let list = office.relay.queue().list(MessageFilter { limit: 10_000, ..MessageFilter::default() }).await;
    list.expect("the queue can be read").into_iter().filter(|entry| entry.notice).collect()
}

async fn operator(office: &Office, name: &str, pause: bool) {
    let delivery = office.relay.delivery();
    let account = delivery.account(name).expect("it is in the settings");
    match pause {
        true => delivery.pause(account, "holidays").await,
        false => delivery.resume(account).await,
    }
    .expect("the disk works");
}

/// The code is void, and the line is cut.
fn revoke(office: &Office) {
    office.sandbox.revoke(USER);
    office.sandbox.fault_for(USER, Fault::once(Stage::Idle, yizhan::sandbox::What::Close));
}

fn renew(office: &Office) {
    office.sandbox.set_secret(USER, Secret::new(NEW_CODE));
    office.folder.file("code", NEW_CODE);
}

#[tokio::test]
async fn another_account_tells_each_thing_once_and_then_that_it_is_over() {
    let day = Day::new();
    let mut office = pair(&day, "told-mail", |_| {}).await;
    revoke(&office);
    burst(&office, 1, "scan", 5).await;
    // 00:00 and 00:15 refused; at 00:45 it is stopped, and that is told at once.
    day.run_until(day.at(0, 44)).await;
    assert_eq!(office.sandbox.received().len(), 0, "a rest of less than an hour is nobody's business");
    day.run_until(day.at(0, 46)).await;
    assert_eq!(office.sandbox.received_from(SPARE).len(), 1);
    day.run_until(day.at(6, 0)).await;
    assert_eq!(office.sandbox.received_from(SPARE).len(), 1);
    office = office.restart_at(day.clock()).await;
    burst(&office, 1, "scan", 5).await;
    day.run_until(day.at(12, 0)).await;
    assert_eq!(office.sandbox.received_from(SPARE).len(), 1, "a restart tells nothing twice");
    renew(&office);
    day.run_until(day.at(20, 0)).await;
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(30, 0)).await;
    let told = office.sandbox.received_from(SPARE);
    assert_eq!(
        subjects(&told),
        ["Yizhan 驿站: account office cannot send", "Yizhan 驿站: account office sends again",]
    );
    assert_eq!(office.sandbox.received_from(USER).len(), 10, "and no alarm among them");
    for mail in &told {
        assert_eq!((mail.to.as_slice(), mail.login.as_str()), (&[SPARE.to_owned()][..], SPARE));
        has_no_secret(&mail.data);
    }
    let (_, text) = read(&told[0]);
    assert!(text.contains(USER) && text.contains("535 Login fail.") && text.contains('5'), "{text}");
}

#[tokio::test]
async fn a_day_later_it_is_said_again() {
    let day = Day::new();
    let office = pair(&day, "told-again", |_| {}).await;
    revoke(&office);
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(24 + 20, 0)).await;
    let told = subjects(&office.sandbox.received_from(SPARE));
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn a_webhook_that_is_down_hears_of_it_later_and_once() {
    let day = Day::new();
    let answers = vec![Answer::status(503, ""), Answer::Cut, Answer::status(200, "{}")];
    let hook = Hook::start(answers, None).await;
    let url = hook.url("127.0.0.1", "/alarm?token=s3cr3tt0ken");
    let mut office = pair(&day, "told-hook", |settings| {
        settings.notice.webhook = Some(SecretSource::Plain(Secret::new(&url)));
    })
    .await;
    revoke(&office);
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(6, 0)).await;
    office = office.restart_at(day.clock()).await;
    renew(&office);
    day.run_until(day.at(12, 0)).await;
    let seen = hook.seen();
    // Two that failed, then each thing once.
    let events: Vec<_> = seen.iter().skip(2).map(|one| one.json()["event"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(events, ["account_paused", "account_resumed"], "{seen:?}");
    for one in &seen {
        has_no_secret(&one.body);
    }
    assert_eq!(office.sandbox.received_from(SPARE).len(), 0, "the webhook has told it");
}

#[tokio::test]
async fn what_an_operator_does_is_told_to_nobody() {
    let day = Day::new();
    let hook = Hook::start(vec![Answer::status(200, "{}")], None).await;
    let url = hook.url("127.0.0.1", "/alarm");
    for webhook in [false, true] {
        let mut office = pair(&day, "told-operator", |settings| {
            settings.notice.webhook = webhook.then(|| SecretSource::Plain(Secret::new(&url)));
        })
        .await;
        operator(&office, "office", true).await;
        office.send(&["boss@else.test"], MAIL).await;
        day.run_until(day.now() + Duration::from_secs(12 * 3600)).await;
        office = office.restart_at(day.clock()).await;
        day.run_until(day.now() + Duration::from_secs(30 * 3600)).await;
        assert_eq!(own_mails(&office).await.len(), 0);
        operator(&office, "office", false).await;
        day.run_until(day.now() + Duration::from_secs(3600)).await;
        assert_eq!((office.sandbox.received().len(), hook.seen().len()), (1, 0));
        office.relay.stop(crate::support::office::PATIENCE).await;
    }
}

#[tokio::test]
async fn an_alarm_waits_rather_than_go_over_the_account_it_is_about() {
    let day = Day::new();
    let office = pair(&day, "told-waits", |_| {}).await;
    operator(&office, "spare", true).await;
    revoke(&office);
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(3, 0)).await;
    let own = own_mails(&office).await;
    assert_eq!(own.len(), 1, "one fault, one alarm: {own:?}");
    for entry in &own {
        assert_eq!((entry.state, entry.tries, entry.pool.as_str()), (MessageState::Waiting, 0, "spare"), "{entry:?}");
    }
    // The account works again, and still does not carry what is about itself.
    renew(&office);
    day.run_until(day.at(4, 0)).await;
    assert_eq!(office.sandbox.received().len(), 1);
    operator(&office, "spare", false).await;
    day.run_until(day.at(5, 0)).await;
    assert_eq!(office.sandbox.received_from(SPARE).len(), 2, "the alarm, and the all-clear");
}

#[tokio::test]
async fn a_provider_out_of_reach_for_an_hour_is_told_once_and_then_that_it_is_back() {
    let day = Day::new();
    let mut right = Vec::new();
    let mut office = pair(&day, "told-away", |settings| {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        right = std::mem::replace(&mut settings.accounts[0].endpoints, vec![endpoint(closed, Tls::Implicit)]);
    })
    .await;
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(0, 58)).await;
    assert_eq!(own_mails(&office).await.len(), 0, "an hour is nobody's business");
    day.run_until(day.at(12, 0)).await;
    assert_eq!(office.sandbox.received_from(SPARE).len(), 1);
    office.settings.accounts[0].endpoints = right;
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(24, 0)).await;
    let told = office.sandbox.received_from(SPARE);
    assert_eq!(
        subjects(&told),
        ["Yizhan 驿站: account office cannot reach its provider", "Yizhan 驿站: account office sends again"]
    );
    let (_, text) = read(&told[0]);
    assert!(text.contains("no connection") && text.contains("host, port and proxy"), "{text}");
    assert_eq!(office.sandbox.received_from(USER).len(), 1, "the mail itself has come");
}

#[tokio::test]
async fn where_the_whole_line_is_down_nothing_is_told_later_of_what_is_over_by_then() {
    let day = Day::new();
    let office = pair(&day, "told-offline", |settings| {
        settings.queue.schedule.retry = vec![Duration::from_secs(1200)];
        settings.clients.push(pair::client("two", 2, Lane::Normal));
        settings.routes.push(Rule { clients: vec!["two".to_owned()], ..pair::route(&["spare"]) });
    })
    .await;
    office.sandbox.fault(Fault::forever(Stage::Connect, yizhan::sandbox::What::Reset));
    office.send(&["boss@else.test"], MAIL).await;
    burst(&office, 2, "scan", 1).await;
    day.run_until(day.at(5, 0)).await;
    assert_eq!(own_mails(&office).await.len(), 0);
    office.sandbox.clear_faults();
    day.run_until(day.at(12, 0)).await;
    // Which of the two is tried first, chance decides.
    let mut arrived = subjects(&office.sandbox.received());
    arrived.sort();
    assert_eq!(arrived, ["scan", "scan 0"]);
    assert_eq!(own_mails(&office).await.len(), 0);
}

/// Mails to somebody who does not exist.
async fn failures(office: &Office, count: usize) {
    for _ in 0..count {
        office.send(&["refused@else.test"], MAIL).await;
    }
}

#[tokio::test]
async fn thirty_failures_make_five_notices_and_one_digest() {
    let day = Day::new();
    let mut office = pair(&day, "told-digest", |_| {}).await;
    for minute in 0..5 {
        failures(&office, 3).await;
        day.run_until(day.at(0, minute + 1)).await;
    }
    assert_eq!(office.sandbox.received().len(), 5, "a handful of notices");
    office = office.restart_at(day.clock()).await;
    for minute in 5..8 {
        failures(&office, 5).await;
        day.run_until(day.at(0, minute + 1)).await;
    }
    day.run_until(day.at(6, 0)).await;
    let told = office.sandbox.received();
    assert_eq!(told.len(), 6, "{:?}", subjects(&told));
    assert_eq!(office.list(&[MessageState::Failed]).await.len(), 30);
    let (subject, text) = read(&told[5]);
    assert!(text.contains("25") && text.matches("refused@else.test").count() >= 25, "{subject}\n{text}");
    for mail in &told {
        assert_eq!(mail.to, [USER]);
        has_no_secret(&mail.data);
    }
    let late = told[5].at.since(day.at(0, 0));
    assert!(late <= Duration::from_secs(15 * 60), "{late:?}");
    office = office.restart_at(day.clock()).await;
    day.run_until(day.at(12, 0)).await;
    assert_eq!(office.sandbox.received().len(), 6, "told is told");
}

/// A message that waits in a pool of its own.
fn in_pool(n: u64, now: Timestamp) -> NewMessage {
    NewMessage {
        id: Id::new(now, n),
        received: now,
        expires: now + Duration::from_secs(86_400),
        origin: MessageOrigin {
            client: "printer".to_owned(),
            key: ClientKey::stored("192.0.2.7"),
            addr: "192.0.2.7".parse().expect("an address"),
            listener: "lan".to_owned(),
            helo: "mfp-3".to_owned(),
        },
        sender: ReversePath::parse("scan@office.example").expect("a sender"),
        recipients: vec![Address::parse("gone@else.test").expect("a mailbox")],
        head: Bytes::from_static(b"Subject: scan\r\n"),
        body: Bytes::from_static(b"x\r\n").into(),
        repairs: Vec::new(),
        notice: false,
        subject: None,
        message_id: None,
        lane: Lane::Normal,
        pool: "past".to_owned(),
    }
}

/// Leaves `count` failures in the queue that nobody was told of, as an outage leaves them.
async fn leave_untold(settings: &Settings, count: u64, now: Timestamp) {
    let QueueSettings { data_dir, retention: keep, .. } = settings.queue.clone();
    let queue = Arc::new(SqliteQueue::open(&data_dir, keep).expect("nobody else has it").0);
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let queue = queue.clone();
        tasks.spawn(async move { queue.put(in_pool(n, now)).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let lane = LaneRequest { pools: vec!["past".to_owned()], lane: Lane::Normal, limit: 10_000 };
    let request = LeaseRequest { turns: "office".to_owned(), lanes: vec![lane], total: 10_000, recipients: 100 };
    let mut tasks = JoinSet::new();
    for lease in queue.lease(now, request).await.expect("the queue can be read") {
        let queue = queue.clone();
        let settlement = Settlement {
            outcomes: vec![(0, RecipientOutcome::Failed { reason: "550 5.1.1 no such user".to_owned(), at: now })],
            next: NextAttempt::Deferred(now),
            account: Some("office".to_owned()),
            unreported: true,
            uncertain: false,
            notice: None,
            chunk: None,
            strict: false,
            account_state: None,
            usage: None,
            unknown_since: None,
        };
        tasks.spawn(async move { queue.settle(lease, settlement).await });
    }
    assert_eq!(tasks.join_all().await.iter().filter(|end| end.is_ok()).count() as u64, count);
    queue.close().await.expect("the disk works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_failures_than_one_digest_holds_are_told_in_the_next() {
    let day = Day::new();
    let Office { sandbox, relay, settings, folder } = pair(&day, "told-many", |_| {}).await;
    assert!(relay.stop(crate::support::office::PATIENCE).await);
    leave_untold(&settings, 5003, day.now()).await;
    let relay = yizhan::app::Relay::start(&settings, day.clock()).expect("it starts again");
    let office = Office { sandbox, relay, settings, folder };
    day.run_until(day.at(2, 0)).await;
    let told = office.sandbox.received();
    let numbers: Vec<bool> = told.iter().zip(["5000", "3"]).map(|(mail, count)| read(mail).0.contains(count)).collect();
    assert_eq!(numbers, [true, true], "{:?}", subjects(&told));
    let apart = told[1].at.since(told[0].at);
    assert!(apart >= Duration::from_secs(600) && told.len() == 2, "{apart:?}");
    assert!(office.relay.queue().unreported(1).await.expect("the queue can be read").is_empty());
}

#[tokio::test]
async fn the_first_alarm_after_a_restart_names_what_was_refused_last() {
    let day = Day::new();
    let mut office = pair(&day, "told-last", |_| {}).await;
    office.sandbox.fault(Fault::reply(Stage::Mail, "550 Sender frequency limited."));
    office.send(&["boss@else.test"], MAIL).await;
    day.run_until(day.at(0, 30)).await;
    assert_eq!(own_mails(&office).await.len(), 0, "half an hour is nobody's business");
    // While the relay is stopped, the code becomes void and the rest ends.
    let Office { sandbox, relay, settings, folder } = office;
    assert!(relay.stop(crate::support::office::PATIENCE).await);
    sandbox.revoke(USER);
    day.clock().set(day.at(3, 0));
    let relay = yizhan::app::Relay::start(&settings, day.clock()).expect("it starts again");
    office = Office { sandbox, relay, settings, folder };
    day.run_until(day.at(3, 10)).await;
    let told = office.sandbox.received_from(SPARE);
    assert_eq!(told.len(), 1, "{:?}", subjects(&told));
    let (_, text) = read(&told[0]);
    assert!(text.contains("535 Login fail.") && !text.contains("frequency limited."), "{text}");
}

#[tokio::test]
async fn a_notice_that_fails_makes_no_notice() {
    let day = Day::new();
    let office = pair(&day, "told-no-loop", |settings| {
        settings.notice.to = NoticeTo::Address(Address::parse("refused.owner@else.test").expect("a mailbox"));
    })
    .await;
    failures(&office, 12).await;
    day.run_until(day.at(10 * 24, 0)).await;
    let all = office.list(&MessageState::ALL).await;
    let notices = all.iter().filter(|entry| entry.notice).count();
    assert!(all.len() <= 12 + 6 && notices <= 6, "five notices and a digest, and none about them: {}", all.len());
    assert_eq!(office.sandbox.received().len(), 0);
    assert_eq!(office.list(&[]).await.len(), 0, "nothing is left to be tried");
}

#[tokio::test]
async fn it_is_written_in_the_language_of_the_settings() {
    for (language, chinese, english) in
        [(Language::Zh, true, false), (Language::En, false, true), (Language::Both, true, true)]
    {
        let day = Day::new();
        let office = pair(&day, "told-language", |settings| settings.notice.language = language).await;
        failures(&office, 7).await;
        day.run_until(day.at(0, 20)).await;
        revoke(&office);
        office.send(&["boss@else.test"], MAIL).await;
        day.run_until(day.at(3, 0)).await;
        let told = office.sandbox.received();
        // Five notices, a digest and an alarm.
        assert_eq!(told.len(), 7, "{:?}", subjects(&told));
        for mail in &told {
            let (subject, text) = read(mail);
            let words = text.contains("could not") || text.contains("cannot") || text.contains("The relay");
            assert_eq!((text.contains('。'), words), (chinese, english), "{language:?}: {subject}\n{text}");
            has_no_secret(&mail.data);
        }
    }
}
