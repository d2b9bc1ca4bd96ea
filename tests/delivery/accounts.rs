//! Two accounts at one provider: which of them carries what, and under whose name it arrives.
//!
//! Real time, real sockets. What survives the process is in `tests/delivery/survival.rs`, how a message is cut into
//! transactions in `tests/delivery/transactions.rs`; days with real figures are in `tests/delivery/day_story.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::support::office::{CODE, Device, Office, PATIENCE, USER, field, until};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account, burst, client, route};
use yizhan::account::breaker::BreakerState;
use yizhan::admin::{Admin, AdminCommand, AdminReply, Caller, MessageChange, Selection, control};
use yizhan::app::accounts_offline;
use yizhan::config::Settings;
use yizhan::intake::User;
use yizhan::mail::{Id, Lane};
use yizhan::provider::Windows;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{Inspection as _, MessageState};
use yizhan::route::{Pattern, Rule};
use yizhan::sandbox::{Fault, Received, SandboxLimits, Stage, What};
use yizhan::secret::{Secret, SecretSource};
use yizhan::smtp::server::AuthMode;

const MAIL: &[u8] = b"From: Scanner <scan@corp.lan>\r\nSubject: scan\r\n\r\nbody\r\n";
const NEW_CODE: &str = "newcodenewcodene";

/// An office with the accounts `office` and `spare`, in this order for everybody.
async fn pair(name: &str, change: impl FnOnce(&mut Settings)) -> Office {
    let office = Office::with(name, SandboxLimits::default(), |settings| {
        add_account(settings, "spare", SPARE, SPARE_CODE);
        settings.routes = vec![route(&["office", "spare"])];
        settings.limits.messages_per_client.count = 100_000_u32.try_into().unwrap();
        change(settings);
    })
    .await;
    pair::open_spare(&office);
    office
}

/// By whom each arrived, in the order of arrival.
fn carriers(received: &[Received]) -> Vec<&str> {
    received.iter().map(|one| one.login.as_str()).collect()
}

/// Envelope and From are those of this mailbox.
fn is_sent_as(received: &Received, user: &str) {
    assert_eq!(received.login, user);
    assert!(received.from.contains(user), "{received:?}");
    let from = field(&received.data, "From").expect("there is one");
    assert!(from.contains(&format!("<{user}>")) && from.contains("Scanner"), "{from}");
    let other = if user == USER { SPARE } else { USER };
    assert!(!String::from_utf8_lossy(&received.data).contains(other), "nothing of the other account is in it");
}

fn gate(office: &Office, name: &str) -> BreakerState {
    let now = yizhan::clock::Clock::system().now();
    office.relay.delivery().account(name).expect("it is in the settings").account.state(now)
}

#[tokio::test]
async fn another_account_stands_in_and_the_first_comes_back() {
    let office = pair("failover", |_| {}).await;
    office.sandbox.revoke(USER);
    let id = office.send(&["boss@else.test"], MAIL).await;
    is_sent_as(&office.received(1).await[0], SPARE);
    let entry = office.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.tries, entry.account.as_deref()), (0, Some("spare")), "waiting for another account is no try");
    office.send(&["boss@else.test"], MAIL).await;
    is_sent_as(&office.received(2).await[1], SPARE);
    assert_eq!(office.sandbox.stats().logins_refused, 1, "the first is left alone");

    office.sandbox.set_secret(USER, Secret::new(NEW_CODE));
    office.folder.file("code", NEW_CODE);
    office.relay.look_at_secrets();
    until("the first account to be ready", async || (gate(&office, "office") == BreakerState::Ready).then_some(()))
        .await;
    office.send(&["boss@else.test"], MAIL).await;
    // The alarm about the first account went to the other mailbox, or will: it has nothing to do with it.
    let scans = office.received(3).await;
    let last = scans.iter().rfind(|one| one.subject() == "scan").expect("it was sent");
    is_sent_as(last, USER);
}

#[tokio::test]
async fn what_is_over_the_budget_of_the_first_goes_through_the_second() {
    let hour = |n| Windows { minute: Some(15), hour: Some(n), day: None };
    let office = pair("overflow", |settings| {
        settings.accounts[0].budget.messages = hour(10);
        settings.clients =
            vec![client("panel", 1, Lane::Alarm), client("desk", 2, Lane::Normal), client("books", 3, Lane::Bulk)];
    })
    .await;
    // Ten an hour: bulk may fill it up to seven, ordinary mail up to nine, alarms to the brim.
    for (number, word, count) in [(3, "bulk", 9), (2, "normal", 4), (1, "alarm", 3)] {
        let before = office.sandbox.received().len();
        burst(&office, number, word, count).await;
        office.received(before + count).await;
        office.wait_empty().await;
    }
    let by = |user: &str, word: &str| {
        office.sandbox.received_from(user).iter().filter(|one| one.subject().starts_with(word)).count()
    };
    let first = ["bulk", "normal", "alarm"].map(|word| by(USER, word));
    let second = ["bulk", "normal", "alarm"].map(|word| by(SPARE, word));
    assert_eq!((first, second), ([7, 2, 1], [2, 2, 2]));
}

#[tokio::test]
async fn what_is_over_the_share_of_its_lane_waits_with_a_time_while_alarms_go() {
    let office = Office::with("share", SandboxLimits::default(), |settings| {
        settings.accounts[0].budget.messages = Windows { minute: Some(15), hour: Some(10), day: None };
        settings.clients = vec![client("panel", 1, Lane::Alarm), client("books", 3, Lane::Bulk)];
    })
    .await;
    let begin = yizhan::clock::Clock::system().now();
    burst(&office, 3, "bulk", 9).await;
    office.received(7).await;
    let waiting = until("what is over the share to wait", async || {
        let waiting = office.list(&[MessageState::Waiting]).await;
        (waiting.len() == 2).then_some(waiting)
    });
    let hour = Duration::from_secs(3600);
    for entry in waiting.await {
        let now = yizhan::clock::Clock::system().now();
        assert!(entry.due > now && entry.due >= begin + hour && entry.due <= now + hour, "{entry:?}");
        assert_eq!((entry.lane, entry.tries), (Lane::Bulk, 0));
    }
    burst(&office, 1, "alarm", 1).await;
    assert_eq!(office.received(8).await[7].subject(), "alarm 0", "alarms may still go");
    assert_eq!(
        (office.list(&[MessageState::Waiting]).await.len(), office.list(&[MessageState::Queued]).await.len()),
        (2, 0)
    );
}

#[tokio::test]
async fn accounts_that_share_the_mail_carry_about_as_much() {
    let office = pair("spread", |settings| settings.routes[0].spread = true).await;
    burst(&office, 1, "mail", 20).await;
    let received = office.received(20).await;
    office.wait_empty().await;
    let first = carriers(&received).into_iter().filter(|user| *user == USER).count();
    assert!((8..=12).contains(&first), "{first} of 20 through the first");
    assert_eq!(received.len(), 20);
}

#[tokio::test]
async fn routes_go_by_client_sender_and_recipient() {
    let office = pair("routes", |settings| {
        let to_spare = |change: fn(&mut Rule)| {
            let mut route = route(&["spare"]);
            change(&mut route);
            route
        };
        settings.clients = vec![client("panel", 1, Lane::Normal), client("desk", 2, Lane::Normal)];
        settings.routes = vec![
            to_spare(|route| route.clients = vec!["panel".into()]),
            to_spare(|route| route.senders = vec![Pattern::parse("*@books.lan").unwrap()]),
            to_spare(|route| route.recipients = vec![Pattern::parse("*@spare.test").unwrap()]),
        ];
    })
    .await;
    let rows = [
        (1, "a@desk.lan", "boss@else.test", SPARE),
        (2, "a@desk.lan", "boss@else.test", USER),
        (2, "a@books.lan", "boss@else.test", SPARE),
        (2, "a@desk.lan", "boss@spare.test", SPARE),
        (2, "a@desk.lan", "boss@SPARE.test", SPARE),
    ];
    for (place, (number, from, to, carrier)) in rows.into_iter().enumerate() {
        pair::device(&office, number).await.send(from, &[to], MAIL).await;
        is_sent_as(&office.received(place + 1).await[place], carrier);
    }
}

#[tokio::test]
async fn recipients_with_different_routes_make_two_messages_and_each_is_reached_once() {
    let office = pair("two-routes", |settings| {
        let mut spare = route(&["spare"]);
        spare.recipients = vec![Pattern::parse("*@spare.test").unwrap()];
        settings.routes = vec![spare];
    })
    .await;
    let id = office.send(&["a@else.test", "b@spare.test", "c@else.test"], MAIL).await;
    office.received(2).await;
    office.wait_empty().await;
    let entries = office.list(&[MessageState::Delivered]).await;
    assert_eq!(entries.len(), 2);
    let first = office.entry(id).await;
    assert_eq!(first.recipients.len(), 2, "the device was told of the first: {first:?}");
    assert_eq!(office.sandbox.received_from(USER)[0].to, ["a@else.test", "c@else.test"]);
    assert_eq!(office.sandbox.received_from(SPARE)[0].to, ["b@spare.test"]);
    // One route: one message, one transaction.
    office.send(&["a@else.test", "c@else.test"], MAIL).await;
    office.received(3).await;
    office.wait_empty().await;
    assert_eq!((office.list(&[MessageState::Delivered]).await.len(), office.sandbox.stats().accepted), (3, 3));
}

/// An account is renamed, or goes: what failed before that is routed as if it came now when it is retried.
#[tokio::test]
async fn a_retry_finds_an_account_when_that_of_the_message_is_gone() {
    let mut office = Office::open("renamed").await;
    office.sandbox.fault(Fault::forever(Stage::Rcpt(None), What::Reply(b"550 5.1.1 no such user\r\n".to_vec())));
    let (id, other) = (office.send(&["a@else.test"], MAIL).await, office.send(&["b@else.test"], MAIL).await);
    office.wait_state(id, MessageState::Failed).await;
    office.wait_state(other, MessageState::Failed).await;
    office.sandbox.clear_faults();
    office.settings.accounts[0].name = "other".to_owned();
    let data = office.settings.queue.data_dir.clone();
    office = office.restart().await;
    // By then the start has looked at what the last process left.
    office.send(&["b@else.test"], MAIL).await;
    office.received(1).await;
    let retry = |id: Id| {
        let (change, which) = (MessageChange::Retry, Selection::Ids(vec![id.to_string()]));
        AdminCommand::Change { change, which, expect: None, reason: None }
    };
    let changed = AdminReply::Changed { changed: 1, skipped: Vec::new(), still_waiting: Vec::new() };
    assert_eq!(control::ask(&data, &retry(id)).await.expect("it answers"), changed);
    let entry = office.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.pool.as_str(), entry.account.as_deref()), ("other", Some("other")));
    // The same of a relay that does not run.
    let Office { relay, settings, .. } = office;
    relay.stop(PATIENCE).await;
    let of = &settings.queue;
    let own = of.retention;
    let (queue, clock) =
        (Arc::new(SqliteQueue::open(&of.data_dir, own).expect("it is free").0), yizhan::clock::Clock::system());
    let accounts = accounts_offline(&settings, queue.clone(), &clock).expect("there is an account");
    let admin = Admin::new(queue.clone(), accounts, clock);
    assert_eq!(admin.carry_out(&Caller::offline(), retry(other)).await.reply, changed);
    let entry = queue.show(other).await.expect("it is there").0;
    assert_eq!((entry.pool.as_str(), entry.state), ("other", MessageState::Queued));
}

/// The message waits without an end that is known, and has spent no try.
async fn waits_for_the_operator(office: &Office, id: Id) {
    let entry = office.wait_state(id, MessageState::Waiting).await;
    assert_eq!((entry.tries, entry.due), (0, yizhan::clock::Timestamp::from_millis(i64::MAX)), "{entry:?}");
}

#[tokio::test]
async fn an_operator_stops_an_account_and_lets_it_go_on() {
    let mut office = Office::open("operator").await;
    let delivery = office.relay.delivery();
    delivery.pause(delivery.account("office").expect("it is there"), "holidays").await.expect("the disk works");
    let id = office.send(&["boss@else.test"], MAIL).await;
    waits_for_the_operator(&office, id).await;
    // A new code is no reason to go on: nobody asked for that.
    office.folder.file("code", NEW_CODE);
    office.relay.look_at_secrets();
    office = office.restart().await;
    waits_for_the_operator(&office, id).await;
    let view = office.relay.delivery().statuses().await.remove(0);
    assert_eq!((view.state.as_str(), view.by_operator, view.reply.as_deref()), ("paused", true, Some("holidays")));
    assert_eq!((view.waiting, office.sandbox.stats().connections), (1, 0));
    office.folder.file("code", CODE);
    let delivery = office.relay.delivery();
    delivery.resume(delivery.account("office").expect("it is there")).await.expect("the disk works");
    office.received(1).await;
    assert_eq!(office.wait_state(id, MessageState::Delivered).await.tries, 0);
}

#[tokio::test]
async fn the_control_socket_stops_an_account_as_well() {
    let mut office = Office::open("operator-socket").await;
    let data = office.settings.queue.data_dir.clone();
    let name = "office".to_owned();
    let pause = AdminCommand::PauseAccount { name: name.clone(), reason: Some("holidays".into()) };
    let state = |paused| AdminReply::Account { account: name.clone(), paused };
    assert_eq!(control::ask(&data, &pause).await.expect("it answers"), state(true));
    let id = office.send(&["boss@else.test"], MAIL).await;
    waits_for_the_operator(&office, id).await;
    office = office.restart().await;
    waits_for_the_operator(&office, id).await;
    match control::ask(&data, &AdminCommand::Show { id: id.to_string() }).await.expect("it answers") {
        AdminReply::Message { message, .. } => assert_eq!((message.state.as_str(), message.next), ("waiting", None)),
        other => panic!("{other:?}"),
    }
    match control::ask(&data, &AdminCommand::Accounts {}).await.expect("it answers") {
        AdminReply::Accounts { accounts: views, .. } => {
            assert_eq!((views[0].state.as_str(), views[0].waiting), ("paused", 1));
        }
        other => panic!("{other:?}"),
    }
    let resume = AdminCommand::ResumeAccount { name: name.clone() };
    assert_eq!(control::ask(&data, &resume).await.expect("it answers"), state(false));
    office.received(1).await;
    assert_eq!(office.wait_state(id, MessageState::Delivered).await.tries, 0);
    office.relay.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_user_leaves_through_its_own_account_whatever_the_routes_say() {
    let mut office = pair("user-account", |settings| {
        settings.listeners[0].auth = AuthMode::Verify;
        settings.routes = vec![route(&["office"])];
        settings.users.push(User {
            name: "erp".to_owned(),
            login: "erp".to_owned(),
            password: SecretSource::Plain(Secret::new("password")),
            client: None,
            pool: Some("spare".into()),
            senders: Vec::new(),
        });
    })
    .await;
    // What waits for it over a restart is not given to another account.
    let spare = office.relay.delivery().account("spare").expect("it is in the settings");
    office.relay.delivery().pause(spare, "a test").await.expect("the disk works");
    let mut device = Device::connect(office.door()).await;
    device.ask("AUTH PLAIN AGVycABwYXNzd29yZA==", "235").await;
    let id = device.send("erp@corp.lan", &["boss@else.test"], MAIL).await;
    // The same device, logged out: as the routes say.
    let mut other = Device::connect(office.door()).await;
    let free = other.send("erp@corp.lan", &["boss@else.test"], MAIL).await;
    office.wait_state(free, MessageState::Delivered).await;
    office = office.restart().await;
    let spare = office.relay.delivery().account("spare").expect("it is in the settings");
    assert_eq!(office.entry(id).await.pool, "spare");
    office.relay.delivery().resume(spare).await.expect("the disk works");
    office.wait_state(id, MessageState::Delivered).await;
    assert_eq!(carriers(&office.sandbox.received()), [USER, SPARE]);
}
