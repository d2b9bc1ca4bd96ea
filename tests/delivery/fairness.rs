//! One client floods, and the others hardly notice; what waits says why. Whole relay, real budgets, a clock moved by hand.

use std::net::IpAddr;
use std::time::Duration;

use crate::support::day::Day;
use crate::support::office::{Device, Office, provider_at, until};
use crate::support::pair::route;
use bytes::Bytes;
use yizhan::admin::view::MessageStatus;
use yizhan::admin::{Admin, AdminCommand, AdminReply, Caller, MessageChange, Selection};
use yizhan::mail::{Address, ClientKey, Id, Lane, ReversePath};
use yizhan::provider::Windows;
use yizhan::queue::{MessageOrigin, MessageState, NewMessage, WaitReason};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

const SCAN: &[u8] = b"From: scanner@office.lan\r\nSubject: scan\r\n\r\npage\r\n";

/// An office whose account may send this many messages a minute.
async fn office(day: &Day, name: &str, minute: u32) -> Office {
    Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        let messages = Windows { minute: Some(minute), hour: Some(100_000), day: Some(1_000_000) };
        settings.accounts[0].budget.messages = messages;
    })
    .await
}

/// Puts mail of the client at `addr` into the queue, as if it had come in.
async fn put(office: &Office, day: &Day, addr: [u8; 4], numbers: std::ops::Range<u64>, lane: Lane) {
    let addr = IpAddr::from(addr);
    let mut puts = tokio::task::JoinSet::new();
    for n in numbers {
        let now = day.now();
        let new = NewMessage {
            id: Id::new(now, n),
            received: now,
            expires: now + Duration::from_secs(432_000),
            origin: MessageOrigin {
                client: addr.to_string(),
                key: ClientKey::of_client(None, addr),
                addr,
                listener: "local".into(),
                helo: "newsletter".into(),
            },
            sender: ReversePath::parse("news@office.lan").expect("a path"),
            recipients: vec![Address::parse(&format!("reader{n}@else.test")).expect("an address")],
            head: Bytes::from_static(b"From: news@office.lan\r\nSubject: news\r\n"),
            body: Bytes::from_static(b"news\r\n").into(),
            repairs: Vec::new(),
            notice: false,
            subject: None,
            message_id: None,
            lane,
            pool: "office".into(),
        };
        let queue = office.relay.queue();
        puts.spawn(async move { queue.put(new).await.expect("there is room") });
    }
    puts.join_all().await;
}

/// Hands in a scan from another address, and gives its id.
async fn scan(office: &Office, from: [u8; 4]) -> Id {
    let mut device = Device::dial_from(from.into(), office.door()).await;
    device.expect("220").await;
    device.ask("EHLO scanner", "250").await;
    device.send("scanner@office.lan", &["boss@else.test"], SCAN).await
}

/// The subjects of what the provider has, in the order in which it came.
fn subjects(office: &Office) -> Vec<String> {
    office.sandbox.received().iter().map(|one| one.field("Subject").unwrap_or_default()).collect()
}

async fn ask(office: &Office, day: &Day, order: AdminCommand) -> AdminReply {
    let admin = Admin::new(office.relay.queue(), std::sync::Arc::new(office.relay.delivery().clone()), day.clock());
    admin.carry_out(&Caller::offline(), order).await.reply
}

async fn shown(office: &Office, day: &Day, id: Id) -> MessageStatus {
    match ask(office, day, AdminCommand::Show { id: id.to_string() }).await {
        AdminReply::Message { message, .. } => *message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_hundred_messages_of_one_client_delay_three_of_another_by_little() {
    let day = Day::new();
    let office = office(&day, "flood", 20).await;
    put(&office, &day, [127, 0, 0, 1], 0..200, Lane::Normal).await;
    day.rest().await;
    let mut scans = Vec::new();
    for _ in 0..3 {
        scans.push(scan(&office, [127, 0, 0, 7]).await);
    }
    // 18 of the 20 are for ordinary mail; they are spent, and the next ones come free a minute later.
    day.run_until(day.at(0, 2)).await;
    for id in scans {
        assert_eq!(office.entry(id).await.state, MessageState::Delivered);
    }
    let order = subjects(&office);
    let place = |n| order.iter().enumerate().filter(|(_, subject)| *subject == "scan").nth(n).map(|(place, _)| place);
    assert!(place(0) <= Some(19) && place(2) <= Some(23), "{order:?}");
}

#[tokio::test]
async fn five_thousand_newsletters_wait_and_a_scan_is_among_the_next_two() {
    let day = Day::new();
    let office = office(&day, "newsletter", 20).await;
    put(&office, &day, [127, 0, 0, 1], 0..5000, Lane::Normal).await;
    day.rest().await;
    let before = subjects(&office).len();
    scan(&office, [127, 0, 0, 7]).await;
    day.run_until(day.at(0, 2)).await;
    let next = &subjects(&office)[before..before + 2];
    assert!(next.iter().any(|subject| subject == "scan"), "{next:?}");
}

#[tokio::test]
async fn a_flood_in_one_pool_does_not_starve_another_pool_of_the_same_account() {
    let day = Day::new();
    let second = provider_at(day.clock(), SandboxLimits::default()).await;
    let office = Office::at(day.clock(), "two-pools", SandboxLimits::default(), |settings| {
        let messages = Windows { minute: Some(20), hour: Some(100_000), day: Some(1_000_000) };
        settings.accounts[0].budget.messages = messages;
        let mut backup = settings.accounts[0].clone();
        backup.name = "backup".into();
        backup.endpoints[0].port = second.implicit_addr().expect("it is open").port();
        settings.accounts.push(backup);
        settings.routes = vec![route(&["office", "backup"])];
    })
    .await;
    // The flood is in the pool of the account alone, the scan in the pool of both accounts.
    put(&office, &day, [127, 0, 0, 1], 0..200, Lane::Normal).await;
    day.rest().await;
    let id = scan(&office, [127, 0, 0, 7]).await;
    assert_ne!(office.entry(id).await.pool, "office");
    day.run_until(day.at(0, 2)).await;
    assert_eq!(office.entry(id).await.state, MessageState::Delivered);
}

#[tokio::test]
async fn a_lane_that_no_mail_uses_is_never_overdue() {
    let day = Day::new();
    let office = office(&day, "unused-lane", 4).await;
    put(&office, &day, [127, 0, 0, 1], 0..400, Lane::Alarm).await;
    put(&office, &day, [127, 0, 0, 2], 1000..1010, Lane::Normal).await;
    day.run_until(day.at(1, 10)).await;
    let account = &office.relay.accounts()[0];
    assert!(!account.account.is_overdue(Lane::Bulk, day.now()), "bulk has no mail");
    let normal =
        office.list(&[MessageState::Delivered]).await.into_iter().filter(|entry| entry.lane == Lane::Normal).count();
    assert!((1..10).contains(&normal), "the flood of alarms lets ordinary mail through after an hour: {normal}");
}

#[tokio::test]
async fn what_waits_for_a_budget_says_which_and_how_much_is_kept_for_alarms() {
    let day = Day::new();
    let office = office(&day, "why-budget", 20).await;
    put(&office, &day, [127, 0, 0, 1], 0..30, Lane::Normal).await;
    day.rest().await;
    let id = scan(&office, [127, 0, 0, 7]).await;
    day.rest().await;
    let message = shown(&office, &day, id).await;
    let budget = |limit, kept| WaitReason::Budget {
        account: "office".into(),
        unit: "messages".into(),
        window: "minute".into(),
        limit,
        kept,
    };
    assert_eq!((message.state.as_str(), &message.reason), ("waiting", &Some(budget(20, 2))));
    let depth = office.relay.queue().depth().await.expect("it answers");
    assert_eq!(depth.waiting, [depth.messages[MessageState::Waiting as usize], 0, 0, 0]);
    // A retry cannot open the budget, and says so.
    let (change, which) = (MessageChange::Retry, Selection::Ids(vec![id.to_string()]));
    match ask(&office, &day, AdminCommand::Change { change, which, expect: None, reason: None }).await {
        AdminReply::Changed { changed: 1, still_waiting, .. } => {
            assert_eq!(still_waiting[0].reason, Some(budget(20, 2)));
        }
        other => panic!("{other:?}"),
    }
    // The forecast knows the turns: the scan goes before nearly all of the other client's mail.
    let Some(next) = message.next else { panic!("it has a time") };
    assert!(next < day.at(0, 2).rfc3339(), "{next}");
}

#[tokio::test]
async fn what_waits_for_an_account_or_a_provider_says_so() {
    let day = Day::new();
    let office = office(&day, "why-account", 1000).await;
    let account = office.relay.delivery().account("office").expect("it is there");
    office.relay.delivery().pause(account, "new printer").await.expect("it can be written");
    let id = scan(&office, [127, 0, 0, 7]).await;
    day.rest().await;
    let message = shown(&office, &day, id).await;
    let paused = WaitReason::Account { account: "office".into(), cause: "operator".into(), text: "new printer".into() };
    assert_eq!((message.next, message.reason), (None, Some(paused)));
    office.sandbox.fault(Fault::forever(Stage::Connect, What::Close));
    office.relay.delivery().resume(account).await.expect("it can be written");
    day.run_until(day.at(0, 10)).await;
    let second = scan(&office, [127, 0, 0, 8]).await;
    day.rest().await;
    let message = shown(&office, &day, second).await;
    let Some(WaitReason::Unreachable { account, text }) = message.reason else { panic!("{:?}", message.reason) };
    assert!(account == "office" && !text.is_empty(), "{text}");
}

#[tokio::test]
async fn what_waits_for_its_turn_says_so() {
    let office = Office::open("why-share").await;
    office.sandbox.fault(Fault::forever(Stage::FinalDot, What::Stall));
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(scan(&office, [127, 0, 0, 7]).await);
    }
    until("the connections to be in use", async || {
        (!office.list(&[MessageState::Sending]).await.is_empty()).then_some(())
    })
    .await;
    let last = until("the last one to wait", async || {
        let entry = office.entry(ids[7]).await;
        (entry.wait == Some(WaitReason::Share)).then_some(entry)
    });
    assert_eq!(last.await.state, MessageState::Queued);
    let depth = office.relay.queue().depth().await.expect("it answers");
    let queued = office.list(&[MessageState::Queued]).await;
    assert_eq!(depth.waiting, [0, 0, 0, queued.len() as u64]);
    assert!(queued.iter().all(|entry| entry.wait == Some(WaitReason::Share)), "{queued:?}");
}
