//! Mail that comes back: too many hops, our own trace field, a relay that sends to itself, notices of notices, and
//! notices to those who never wrote.

use tokio::time::timeout;

use super::{DATA, HONEST, Plan, Scene};
use crate::support::ca::{NAMES, TestCa};
use crate::support::office::{CODE, Device, Office, PATIENCE, USER, endpoint, field, until};
use crate::support::ports::Reserved;
use std::sync::Arc;

use yizhan::intake::{ListenerSettings, ListenerTls, User};
use yizhan::mail::Address;
use yizhan::net::tls::identity::Identity;
use yizhan::provider::Tls;
use yizhan::queue::MessageState;
use yizhan::report::NoticeTo;
use yizhan::route::Pattern;
use yizhan::sandbox::SandboxLimits;
use yizhan::secret::{Secret, SecretSource};
use yizhan::smtp::server::AuthMode;

const HOP: &str =
    "Received: from a.example ([10.0.0.1]) by b.example with ESMTP id x; Sat, 21 Nov 2026 18:00:00 +0800\r\n";
/// As we write it, with another id.
const OURS: &str = "Received: from a.lan ([10.0.0.1])\r\n by relay.test (Yizhan) with ESMTP id 0000000000000000;\r\n \
                    Sat, 21 Nov 2026 18:00:00 +0800\r\n";

#[tokio::test]
async fn a_061_hops_and_our_own_name_are_counted_and_never_guessed() {
    let scene = Scene::open("hops", Plan::default()).await;
    let folded = OURS.replace("\r\n by relay.test (Yizhan) with", "\r\n\tBY RELAY.test\r\n\t(Yizhan)  with");
    let mention = "Received: from relay.test (relay.test) by b.example (seen by relay.test) with SMTP; x\r\n";
    let comment = "X-Note: by relay.test (Yizhan) with ESMTP\r\n";
    let cases = [
        ("hops 26", HOP.repeat(26), true),
        ("hops 50", HOP.repeat(50), true),
        ("hops 51", HOP.repeat(51), false),
        ("hops 900", HOP.repeat(900), false),
        ("ours once", OURS.to_owned(), true),
        ("ours twice", OURS.repeat(2), false),
        ("ours twice, and others between", format!("{OURS}{}{folded}", HOP.repeat(3)), false),
        ("ours twice, folded anew", folded.repeat(2), false),
        ("our name, and no field of ours", mention.repeat(9), true),
        ("our field under another name", comment.repeat(9), true),
        ("another relay of the same kind", OURS.replace("relay.test", "relay2.test").repeat(9), true),
    ];
    let mut device = scene.device([127, 0, 0, 1]).await;
    let mut taken = 0;
    for (name, trace, fine) in &cases {
        device.ask("MAIL FROM:<a@b.c>", "250").await;
        device.ask("RCPT TO:<d@else.test>", "250").await;
        device.ask("DATA", "354").await;
        device.write(&[trace.as_bytes(), DATA].concat()).await;
        device.write(b".\r\n").await;
        let reply = device.reply().await.expect("the session goes on");
        assert!(
            reply.starts_with(if *fine { "250 2.0.0 queued" } else { "554 5.4.6 Too many hops" }),
            "{name}: {reply}"
        );
        taken += usize::from(*fine);
    }
    // What the provider got, handed in again and again, as by a rule that forwards it: the second time is the last.
    device.send("a@b.c", &["round@else.test"], DATA).await;
    scene.site.drained(&scene.sandbox).await;
    let first = scene.sandbox.received().pop().expect("it came").data;
    device.send("a@b.c", &["round@else.test"], &first).await;
    scene.site.drained(&scene.sandbox).await;
    let second = scene.sandbox.received().pop().expect("it came again").data;
    assert_eq!(String::from_utf8_lossy(&second).matches("by relay.test (Yizhan) with").count(), 2);
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.ask("RCPT TO:<round@else.test>", "250").await;
    device.ask("DATA", "354").await;
    device.write(&second).await;
    device.ask(".", "554 5.4.6").await;
    let mut expected = vec![&["d@else.test"][..]; taken];
    expected.extend([&["round@else.test"][..]; 2]);
    scene.after(&expected).await;
}

#[tokio::test]
async fn a_061_settings_that_send_to_the_relay_itself_are_refused() {
    let scene = Scene::open("check", Plan::default()).await;
    let text = std::fs::read_to_string(&scene.site.config).unwrap();
    let port = scene.sandbox.implicit_addr().unwrap().port();
    scene.site.ask(&["check"]).await.with_code(0);
    for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
        let circle = text.replace("host = \"127.0.0.1\"", &format!("host = \"{host}\""));
        let circle = circle.replace(&format!("port = {port}"), "port = 2525");
        assert_ne!(circle, text);
        scene.site.folder.file("yizhan.toml", circle);
        for command in ["check", "run"] {
            let told = scene.site.ask(&[command]).await.with_code(78);
            assert!(told.contains("account.office.host") && told.contains("circle"), "{host}: {told}");
        }
    }
    scene.after(&[]).await;
}

/// The settings are made by hand, past the check: a name that a resolver leads back to us does the same.
#[tokio::test]
async fn a_061_a_relay_that_sends_to_itself_comes_to_an_end() {
    let (ca, port) = (TestCa::new(), Reserved::new().release());
    let office = Office::with("circle", SandboxLimits::default(), |settings| {
        let identity = ca.issue(NAMES);
        let folder = ca.file().parent().unwrap().to_owned();
        let (certificate, key) = (folder.join("door.pem"), folder.join("door.key"));
        std::fs::write(&certificate, identity.certificate).unwrap();
        std::fs::write(&key, identity.key).unwrap();
        let shown = Identity::open(&certificate, &key).unwrap();
        let addr = ([127, 0, 0, 1], port).into();
        settings.listeners.push(ListenerSettings {
            name: "circle".to_owned(),
            bind: vec![addr],
            auth: AuthMode::Verify,
            tls: Some(ListenerTls { implicit: true, identity: Arc::new(shown) }),
            ..settings.listeners[0].clone()
        });
        settings.users.push(User {
            name: "self".to_owned(),
            login: USER.to_owned(),
            password: SecretSource::Plain(Secret::new(CODE)),
            client: None,
            pool: None,
            senders: Vec::new(),
        });
        settings.accounts[0].endpoints = vec![endpoint(addr, Tls::Implicit)];
        settings.accounts[0].ca = Some(ca.file().to_owned());
    })
    .await;
    let id = office.send(&["a@else.test"], DATA).await;
    office.wait_state(id, MessageState::Delivered).await;
    // Both circles, that of the mail and that of the notice about it, end where a third turn would begin.
    let open = [MessageState::Queued, MessageState::Sending, MessageState::Waiting, MessageState::Deferred];
    until("both circles to end", async || {
        let failed = office.list(&[MessageState::Failed]).await.len();
        (failed == 2 && office.list(&open).await.is_empty()).then_some(())
    })
    .await;
    let all = office.list(&MessageState::ALL).await;
    let notices = all.iter().filter(|entry| entry.notice).count();
    assert_eq!((all.len(), notices), (5, 1), "{all:?}");
    assert_eq!(office.sandbox.stats().accepted, 0);
}

/// Fields of a mail that fails, and whether its sender hears of it, and its owner.
const CLASSES: [(&str, bool, bool); 12] = [
    ("X-Plain: yes", true, true),
    ("Auto-Submitted: no", true, true),
    ("Auto-Submitted: auto-replied", false, false),
    ("Auto-Submitted: auto-notified; owner-email=\"a@b.c\"", false, false),
    ("AUTO-SUBMITTED:\r\n Auto-Replied (vacation)", false, false),
    ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", false, false),
    ("X-Yizhan-Notice-For: 0000000000000000", false, false),
    // Made by programs: the owner of the programs hears of it.
    ("Auto-Submitted: auto-generated", false, true),
    ("X-Auto-Response-Suppress: All", false, true),
    ("Precedence: bulk", false, true),
    ("Precedence: list", false, true),
    ("List-Id: <list.example>", false, true),
];

/// Lets a mail from `from` fail, and gives to whom notices of it went.
async fn told(office: &Office, from: &str, fields: &str) -> Vec<String> {
    let before = office.sandbox.received().len();
    let mut device = Device::connect(office.door()).await;
    let mail = format!("Subject: x\r\n{fields}\r\n\r\nbody\r\n");
    let id = device.send(from, &["refused@else.test"], mail.as_bytes()).await;
    office.wait_state(id, MessageState::Failed).await;
    office.wait_empty().await;
    let received = office.sandbox.received();
    let notices = &received[before..];
    for notice in notices {
        assert_eq!(field(&notice.data, "X-Yizhan-Notice-For"), Some(id.to_string()));
        assert_eq!(notice.from, USER, "a null sender would be refused");
    }
    notices.iter().flat_map(|notice| notice.to.clone()).collect()
}

/// An office that tells these, with a list that names alice@corp.example and all of lan.example.
async fn telling(name: &str, to: NoticeTo) -> Office {
    Office::with(name, SandboxLimits::default(), |settings| {
        settings.notice.to = to;
        // Other users are there, and are not asked for.
        settings.users.push(User {
            name: "alice".to_owned(),
            login: "alice".to_owned(),
            password: SecretSource::Plain(Secret::new("right")),
            client: None,
            pool: None,
            senders: ["alice@corp.example", "*@lan.example", "*"].map(|text| Pattern::parse(text).unwrap()).to_vec(),
        });
        settings.accounts[0].aliases = vec![Address::parse("office@corp.example").unwrap()];
    })
    .await
}

#[tokio::test]
async fn a_062_one_notice_for_a_failure_and_none_for_what_answers() {
    // Five failures within ten minutes are told together, so each few have an office of their own.
    for (n, classes) in CLASSES.chunks(4).enumerate() {
        let to_sender = telling(&format!("classes-{n}"), NoticeTo::Sender).await;
        let to_owner = telling(&format!("owner-{n}"), NoticeTo::Account).await;
        for (fields, sender, owner) in classes {
            let (told_sender, told_owner) = (
                told(&to_sender, "alice@corp.example", fields).await,
                told(&to_owner, "alice@corp.example", fields).await,
            );
            assert_eq!(told_sender, vec!["alice@corp.example"; usize::from(*sender)], "{fields}");
            assert_eq!(told_owner, vec![USER; usize::from(*owner)], "{fields}");
        }
    }
}

#[tokio::test]
async fn a_063_nobody_hears_of_mail_that_he_may_not_have_sent() {
    let office = telling("forged", NoticeTo::Sender).await;
    // Written down: a user's list, and an alias of the account.
    for known in ["Alice@corp.example", "office@corp.example"] {
        assert_eq!(told(&office, known, "X-A: b").await, [known]);
    }
    // Anybody else may be forged. The failure is not kept from the owner.
    let office = telling("victim", NoticeTo::Sender).await;
    for forged in ["victim@elsewhere.example", "bob@corp.example", ""] {
        assert_eq!(told(&office, forged, "X-A: b").await, [USER], "{forged}");
    }
    let office = telling("lan", NoticeTo::Sender).await;
    assert_eq!(told(&office, "ups@lan.example", "X-A: b").await, ["ups@lan.example"]);
    assert_eq!(told(&office, "ups@sub.lan.example", "X-A: b").await, [USER]);
}

#[tokio::test]
async fn a_063_who_is_told_as_sender_must_be_written_down() {
    let scene = Scene::open("sender", Plan { tables: "[notice]\nto = \"sender\"\n", ..Plan::default() }).await;
    let shown = scene.site.ask(&["check"]).await.with_code(0);
    assert!(shown.contains("nobody knows which senders are real"), "{shown}");
    scene.device(HONEST).await.send("victim@elsewhere.example", &["refused@else.test"], DATA).await;
    scene.program.event("failed").await;
    timeout(PATIENCE, scene.sandbox.wait_for(1)).await.expect("the owner is told");
    scene.site.drained(&scene.sandbox).await;
    scene.greets().await;
    let received = scene.sandbox.received();
    assert_eq!((received.len(), received[0].to.as_slice()), (1, &[USER.to_owned()][..]));
    // The list of a client: what it may send as is real, from wherever it comes.
    let tables = "[client.ups]\nfrom = [\"127.0.5.0/24\"]\nsender = [\"*@lan.example\"]\n[notice]\nto = \"sender\"\n";
    let scene = Scene::open("listed", Plan { tables, ..Plan::default() }).await;
    assert!(!scene.site.ask(&["check"]).await.with_code(0).contains("which senders are real"));
    scene.device([127, 0, 5, 1]).await.send("ups@lan.example", &["refused@else.test"], DATA).await;
    timeout(PATIENCE, scene.sandbox.wait_for(1)).await.expect("the sender is told");
    assert_eq!(scene.sandbox.received()[0].to, ["ups@lan.example"]);
}
