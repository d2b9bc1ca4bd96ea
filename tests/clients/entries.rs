//! What is known of a client, from its address on: which entry counts, and what the mail looks like at the provider.
//!
//! Devices connect from several addresses of 127.0.0.0/8, to a relay that sends to a pretended QQ Mail. The rules of
//! the settings themselves are in `tests/commands/settings.rs`.

use std::net::Ipv4Addr;

use crate::support::office::{Device, Office, field};
use crate::support::program::{QUICK, Site, event_of, field_of};
use yizhan::config::{self, FileSource, Overrides, Sources};
use yizhan::intake::Client;
use yizhan::mail::Id;
use yizhan::message::Repair;
use yizhan::queue::QueueEntry;
use yizhan::sandbox::{Received, SandboxLimits};
use yizhan::telemetry::counter::{ACCEPTED, REPAIRS};

/// The narrowest network is named neither first nor last.
const CLIENTS: &str = r#"
[client.everybody]
from = ["127.0.0.0/8"]
subject_prefix = "[all]"

[client.taipei]
from = ["127.0.1.0/24"]
display = "台北掃描"
charset = "big5"
reply_to = "taipei@example.com"

[client.beijing]
from = ["127.0.2.0/24", "127.0.1.7"]
display = "北京扫描"
charset = "gbk"
subject_prefix = "[扫描]"

[client.plain]
from = ["127.0.3.0/24"]
repair = "minimal"
drop_cron_env = true
"#;

const EVERYBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const TAIPEI: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 6);
const BEIJING: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 7);
const PLAIN: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

fn clients() -> Vec<Client> {
    let sources = Sources {
        file: FileSource::Text { name: "clients.toml".into(), text: CLIENTS.to_owned() },
        env: Default::default(),
        overrides: Overrides { data_dir: Some("/nonexistent".into()), ..Overrides::default() },
        machine: "relay.test".to_owned(),
        can_ask: false,
    };
    config::load(sources).unwrap_or_else(|problems| panic!("{problems}")).settings.clients
}

async fn office(name: &str) -> Office {
    Office::with(name, SandboxLimits::default(), |settings| settings.clients = clients()).await
}

async fn send(office: &Office, from: Ipv4Addr, data: &[u8]) -> Id {
    let mut device = Device::dial_from(from.into(), office.door()).await;
    device.expect("220").await;
    device.ask("EHLO device.lan", "250").await;
    device.send("device@office.lan", &["boss@else.test"], data).await
}

/// Sends a mail from `from`; gives what the queue knows of it and what the provider has got.
async fn pass(office: &Office, from: Ipv4Addr, data: &[u8]) -> (QueueEntry, Received) {
    let before = office.sandbox.received().len();
    let id = send(office, from, data).await;
    let received = office.received(before + 1).await.remove(before);
    let (entry, _, _) = office.relay.queue().show(id).await.expect("it is known");
    (entry, received)
}

/// A field as a mail program shows it.
fn shown(received: &Received, name: &str) -> String {
    let message = mail_parser::MessageParser::default().parse(&received.data[..]).expect("a message");
    let list = |list: Option<&mail_parser::Address<'_>>| {
        let first = list.and_then(|list| list.first()).expect("an address");
        format!("{} <{}>", first.name().unwrap_or(""), first.address().unwrap_or(""))
    };
    match name {
        "From" => list(message.from()),
        "Reply-To" => list(message.reply_to()),
        "Subject" => message.subject().unwrap_or("").to_owned(),
        _ => panic!("{name}"),
    }
}

#[tokio::test]
async fn the_narrowest_network_names_the_client() {
    let office = office("client-names").await;
    let mail = b"From: a@b.c\r\nSubject: x\r\n\r\nbody\r\n";
    for (from, name) in [(EVERYBODY, "everybody"), (TAIPEI, "taipei"), (BEIJING, "beijing"), (PLAIN, "plain")] {
        let (entry, _) = pass(&office, from, mail).await;
        assert_eq!((entry.origin.client.as_str(), entry.origin.addr), (name, from.into()));
        assert_eq!(office.relay.counters().sum(ACCEPTED, &[("client", name)]), 1, "{name}");
    }
    assert!(office.relay.counters().sum(REPAIRS, &[("repair", "date-added")]) == 4);
}

#[tokio::test]
async fn a_client_nobody_knows_goes_by_its_address() {
    let office = Office::open("client-unknown").await;
    let (entry, _) = pass(&office, EVERYBODY, b"From: a@b.c\r\n\r\nbody\r\n").await;
    assert_eq!(entry.origin.client, "127.0.0.9");
    // Counters are no place for addresses: these are personal data, and each would be a series of its own.
    assert_eq!(office.relay.counters().sum(ACCEPTED, &[("client", "other")]), 1);
}

#[tokio::test]
async fn an_entry_lets_nobody_in() {
    let office = Office::with("client-allow", SandboxLimits::default(), |settings| {
        settings.clients = clients();
        settings.listeners[0].allow = vec!["127.0.2.0/24".parse().unwrap()];
    })
    .await;
    Device::dial_from(TAIPEI.into(), office.door()).await.expect("554 5.7.1").await;
    Device::dial_from(Ipv4Addr::new(127, 0, 2, 1).into(), office.door()).await.expect("220").await;
}

#[tokio::test]
async fn the_environment_of_cron_goes_where_the_owner_wants_it_gone() {
    let office = office("client-cron").await;
    let mail = b"From: root (Cron Daemon)\r\nX-Cron-Env: <API_KEY=s3cret>\r\nX-Cron-Env: <HOME=/root>\r\n\r\ndone\r\n";
    for (from, stays) in [(EVERYBODY, true), (PLAIN, false)] {
        let (entry, received) = pass(&office, from, mail).await;
        let seen = String::from_utf8_lossy(&received.data).contains("s3cret");
        let named = entry.repairs.iter().any(|repair| repair == "cron-env-dropped");
        assert_eq!((seen, named), (stays, !stays), "{from}");
    }
    assert_eq!(office.relay.counters().sum(REPAIRS, &[("repair", "cron-env-dropped")]), 1);
}

#[tokio::test]
async fn each_client_is_read_in_its_own_charset() {
    let office = office("client-charset").await;
    // The same octets mean one thing in Big5 and another in GBK; the third client gets what is likely.
    let mail = b"From: a@b.c\r\nSubject: \xb3\xf8\xa7i\xb1\xbd\xb4y\r\n\r\nbody\r\n";
    let (entry, received) = pass(&office, TAIPEI, mail).await;
    assert_eq!(shown(&received, "Subject"), "報告掃描");
    assert!(entry.repairs.contains(&"subject-encoded".to_owned()), "{:?}", entry.repairs);
    let mail = b"From: a@b.c\r\nSubject: \xb1\xa8\xb8\xe6\r\n\r\nbody\r\n";
    assert_eq!(shown(&pass(&office, BEIJING, mail).await.1, "Subject"), "[扫描] 报告");
    assert_eq!(shown(&pass(&office, EVERYBODY, mail).await.1, "Subject"), "[all] 报告");
    // UTF-8 is UTF-8 whoever sends it.
    let mail = "From: a@b.c\r\nSubject: 報告\r\n\r\nbody\r\n".as_bytes();
    assert_eq!(shown(&pass(&office, TAIPEI, mail).await.1, "Subject"), "報告");
}

#[tokio::test]
async fn the_name_and_the_place_for_answers_fill_what_the_mail_leaves_open() {
    let office = office("client-display").await;
    let (_, received) = pass(&office, TAIPEI, b"From: scan@office.lan\r\nSubject: x\r\n\r\nbody\r\n").await;
    assert_eq!(shown(&received, "From"), "台北掃描 <10000@qq.com>");
    assert!(shown(&received, "Reply-To").contains("<taipei@example.com>"));
    assert_eq!(
        shown(&pass(&office, BEIJING, b"Subject: x\r\n\r\nbody\r\n").await.1, "From"),
        "北京扫描 <10000@qq.com>"
    );
    // A name and a place for answers that the mail has of its own are left alone.
    let mail = b"From: Boss <boss@office.lan>\r\nReply-To: desk@office.lan\r\nSubject: x\r\n\r\nbody\r\n";
    let (_, received) = pass(&office, TAIPEI, mail).await;
    assert_eq!(shown(&received, "From"), "Boss <10000@qq.com>");
    assert!(shown(&received, "Reply-To").contains("<desk@office.lan>"));
    // A client without either: as before.
    let (_, received) = pass(&office, EVERYBODY, b"From: scan@office.lan\r\nSubject: x\r\n\r\nbody\r\n").await;
    assert_eq!(shown(&received, "From"), "scan <10000@qq.com>");
    assert!(shown(&received, "Reply-To").contains("<scan@office.lan>"));
}

#[tokio::test]
async fn a_minimal_repair_does_what_the_provider_needs_and_no_more() {
    let office = office("client-minimal").await;
    let mail = b"From: printer\r\nSubject: \xb1\xa8\xb8\xe6\r\nX-Odd: here\r\n\r\nbody\r\n";
    let (full, _) = pass(&office, BEIJING, mail).await;
    let (minimal, received) = pass(&office, PLAIN, mail).await;
    assert_eq!(shown(&received, "Subject"), "报告");
    assert!(shown(&received, "From").ends_with("<10000@qq.com>"));
    for name in ["from-replaced", "date-added", "message-id-added", "subject-encoded"] {
        assert!(minimal.repairs.iter().any(|one| one == name), "{name} in {:?}", minimal.repairs);
    }
    for name in ["to-added", "mime-version-added"] {
        assert!(full.repairs.iter().any(|one| one == name), "{name} in {:?}", full.repairs);
    }
    assert!(minimal.repairs.len() < full.repairs.len(), "{:?} {:?}", minimal.repairs, full.repairs);
    assert!(field(&received.data, "To").is_none());
}

#[tokio::test]
async fn the_log_and_the_queue_speak_of_clients_and_reasons() {
    let sandbox = crate::support::office::provider(SandboxLimits::default()).await;
    let site = Site::new("client-log", &sandbox, &format!("{CLIENTS}{QUICK}"));
    let program = site.start().await;
    let mut device = Device::dial_from(TAIPEI.into(), program.door()).await;
    device.expect("220").await;
    device.ask("EHLO device.lan", "250").await;
    let id = device.send("device@office.lan", &["boss@else.test"], b"From: a@b.c\r\n\r\nbody\r\n").await.to_string();
    site.drained(&sandbox).await;
    let text = site.ask(&["queue", "show", &id]).await.with_code(0);
    assert!(text.contains("client=taipei"), "{text}");
    assert!(text.contains(&format!("  repaired:\n    date-added  {}\n", Repair::DateAdded.why())), "{text}");
    let chinese = site.ask(&["queue", "show", &id, "--lang", "zh"]).await.with_code(0);
    assert!(chinese.contains(&format!("    date-added  {}\n", Repair::DateAdded.why_zh())), "{chinese}");
    let json: serde_json::Value =
        serde_json::from_str(&site.ask(&["queue", "--json", "show", &id]).await.with_code(0)).expect("JSON");
    let message = &json["message"];
    assert_eq!((message["client"].as_str(), message["repairs"][0].as_str()), (Some("taipei"), Some("date-added")));
    assert_eq!(json["reasons"]["date-added"], Repair::DateAdded.why());
    let log = program.stop().await;
    let told = |event: &str| {
        log.iter().find(|line| event_of(line).as_deref() == Some(event)).unwrap_or_else(|| panic!("{event} in {log:?}"))
    };
    let of = |event: &str, name: &str| field_of(told(event), name).unwrap_or_default();
    assert_eq!((of("accepted", "client"), of("accepted", "addr")), ("taipei".to_owned(), "127.0.1.6".to_owned()));
    assert_eq!(of("repaired", "id"), id);
    assert!(of("repaired", "repairs").contains("date-added"));
}
