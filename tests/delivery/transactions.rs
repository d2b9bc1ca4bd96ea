//! How a message becomes transactions: no more recipients than a provider takes, a sender it accepts, a size it accepts.
//!
//! Not here: which account is chosen when all of them could (`tests/delivery/accounts.rs`).

use std::collections::BTreeMap;

use crate::support::office::{Office, USER, field};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account, route};
use yizhan::config::Settings;
use yizhan::mail::Address;
use yizhan::provider::{Group, Preset, preset};
use yizhan::queue::{MessageState, QueueEntry, RecipientOutcome};
use yizhan::sandbox::{Fault, SandboxLimits, Stage};

const MAIL: &[u8] = b"From: Scanner <scan@corp.lan>\r\nSubject: scan\r\n\r\nbody\r\n";

/// A preset of these tests.
fn changed(change: impl FnOnce(&mut Preset)) -> &'static Preset {
    let mut own = preset("qq").expect("it is known").clone();
    change(&mut own);
    Box::leak(Box::new(own))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("r{n}@else.test")).collect()
}

/// Sends one mail to so many recipients, to the end; the sizes of its transactions.
async fn transactions(office: &Office, count: usize) -> (QueueEntry, Vec<usize>) {
    let names = names(count);
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = office.send(&to, MAIL).await;
    let entry = office.wait_state(id, MessageState::Delivered).await;
    let received = office.sandbox.received();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for name in received.iter().flat_map(|one| &one.to) {
        *times.entry(name).or_default() += 1;
    }
    assert_eq!(times.len(), count, "everybody has it");
    assert!(times.values().all(|&times| times == 1), "and nobody has it twice: {times:?}");
    (entry, received.iter().map(|one| one.to.len()).collect())
}

#[tokio::test]
async fn fifty_recipients_go_in_twenties() {
    let office = Office::open("fifty").await;
    let (entry, sizes) = transactions(&office, 50).await;
    assert_eq!((entry.tries, sizes), (0, vec![20, 20, 10]));
}

#[tokio::test]
async fn a_list_that_is_cut_short_by_the_provider_goes_on_behind_the_cut() {
    let limits = SandboxLimits { recipients: 7, ..SandboxLimits::default() };
    let office = Office::with("cut", limits, |_| {}).await;
    let (entry, sizes) = transactions(&office, 20).await;
    assert_eq!((entry.tries, entry.chunk, sizes), (0, Some(7), vec![7, 7, 6]));
}

#[tokio::test]
async fn a_list_that_is_refused_as_a_whole_is_halved() {
    let office = Office::with("halved", SandboxLimits::default(), |settings| {
        settings.accounts[0].preset = changed(|preset| preset.group = Group::Netease);
    })
    .await;
    // Twenty recipients, all refused, then ten: the first ten are too many as well.
    office.sandbox.fault(Fault::reply(Stage::Rcpt(None), "550 RP:RCL 163 smtp1,too much recipient").times(30));
    let (entry, sizes) = transactions(&office, 20).await;
    assert_eq!((entry.tries, entry.chunk, sizes), (0, Some(5), vec![5, 5, 5, 5]));
}

#[tokio::test]
async fn a_sender_that_is_refused_is_put_on_anew_once() {
    let alias = "sales@office.test";
    let with_alias = |settings: &mut Settings| {
        settings.accounts[0].aliases = vec![Address::parse(alias).expect("a mailbox")];
    };
    let office = Office::with("rewrite", SandboxLimits::default(), with_alias).await;
    let mail = format!("From: Sales <{alias}>\r\nSubject: offer\r\n\r\nbody\r\n");
    let refusal = "550 The \"From\" header is missing or invalid. Please follow RFC5322, RFC2047, RFC822 standard \
        protocol. https://service.mail.qq.com/detail/124/995.";
    office.send(&["a@else.test"], mail.as_bytes()).await;
    assert_eq!(field(&office.received(1).await[0].data, "From").as_deref(), Some("Sales <sales@office.test>"));
    for (n, stage) in [Stage::FinalDot, Stage::Data].into_iter().enumerate() {
        office.sandbox.fault(Fault::reply(stage, refusal));
        let id = office.send(&["a@else.test"], mail.as_bytes()).await;
        let entry = office.wait_state(id, MessageState::Delivered).await;
        assert_eq!((entry.tries, entry.strict), (0, true), "{entry:?}");
        let last = office.received(2 + n).await.pop().expect("it arrived");
        assert_eq!(field(&last.data, "From"), Some(format!("Sales <{USER}>")));
        assert_eq!(field(&last.data, "Reply-To").as_deref(), Some("Sales <sales@office.test>"));
    }
    // With its own address refused as well there is nothing left to try.
    office.sandbox.fault(Fault::reply(Stage::FinalDot, refusal).times(2));
    let id = office.send(&["a@else.test"], mail.as_bytes()).await;
    let entry = office.wait_state(id, MessageState::Failed).await;
    assert!(
        matches!(&entry.recipients[0].outcome, RecipientOutcome::Failed { reason, .. } if reason.contains("124/995"))
    );
    assert_eq!(office.sandbox.stats().faults, 4);
}

const SMALL: u64 = 20_000;
const LARGE: u64 = 60_000;

fn large_mail(octets: u64) -> Vec<u8> {
    let line = [b"x".repeat(76), b"\r\n".to_vec()].concat();
    [MAIL.to_vec(), line.repeat(octets as usize / 78)].concat()
}

/// An account that takes little before one that takes more.
async fn sizes(name: &str) -> Office {
    let office = Office::with(name, SandboxLimits::default(), |settings| {
        add_account(settings, "spare", SPARE, SPARE_CODE);
        settings.routes = vec![route(&["office", "spare"])];
        settings.accounts[0].preset = changed(|preset| preset.size_limit = Some(SMALL));
        settings.accounts[1].preset = changed(|preset| preset.size_limit = Some(LARGE));
    })
    .await;
    pair::open_spare(&office);
    office
}

#[tokio::test]
async fn what_no_account_takes_is_refused_at_the_door() {
    let office = sizes("too-large").await;
    let mut device = crate::support::office::Device::connect(office.door()).await;
    device.ask("MAIL FROM:<device@lan.local>", "250").await;
    device.ask("RCPT TO:<a@else.test>", "250").await;
    device.ask("DATA", "354").await;
    device.write(&large_mail(LARGE + 5_000)).await;
    device.write(b".\r\n").await;
    let reply = device.expect("552 5.3.4").await;
    assert!(reply.contains(&LARGE.to_string()), "{reply}");
    assert_eq!(office.list(&MessageState::ALL).await.len(), 0);
}

#[tokio::test]
async fn what_the_first_account_does_not_take_goes_through_the_one_that_does() {
    let office = sizes("larger").await;
    let id = office.send(&["a@else.test"], &large_mail(SMALL + 5_000)).await;
    let received = office.received(1).await;
    assert_eq!(received[0].login, SPARE);
    let entry = office.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.tries, entry.pool.as_str()), (0, "spare"), "{entry:?}");
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 1, "and nobody is told of anything");
    // What fits goes as ever.
    office.send(&["a@else.test"], MAIL).await;
    assert_eq!(office.received(2).await[1].login, USER);
}

#[tokio::test]
async fn a_message_that_has_become_too_large_fails_with_both_sizes() {
    let mut office = Office::open("smaller").await;
    let delivery = office.relay.delivery();
    delivery.pause(delivery.account("office").expect("it is there"), "move").await.expect("the disk works");
    let id = office.send(&["a@else.test"], &large_mail(SMALL + 5_000)).await;
    office.settings.accounts[0].preset = changed(|preset| preset.size_limit = Some(SMALL));
    office = office.restart().await;
    let delivery = office.relay.delivery();
    delivery.resume(delivery.account("office").expect("it is there")).await.expect("the disk works");
    let entry = office.wait_state(id, MessageState::Failed).await;
    let notice = office.received(1).await.remove(0);
    let text = mail_parser::MessageParser::default().parse(&notice.data[..]).expect("a message");
    let text = text.body_text(0).expect("a text").into_owned();
    // The blank line between header block and body is an octet pair that the queue does not keep.
    for size in [(entry.size + 2).to_string(), SMALL.to_string()] {
        assert!(text.contains(&size), "{size} is not in {text}");
    }
}
