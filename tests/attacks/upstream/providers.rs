//! Habits of certain providers and of the boxes before them.

use yizhan::account::SavedAccount;
use yizhan::provider::Tls;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, SandboxLimits, SandboxRates, Stage, What};

use super::{MAIL, Scene, reason};
use crate::support::office::{Device, USER};
use crate::support::scripted::{Say, Scripted};

#[tokio::test]
async fn u_01_u_12_the_envelope_and_the_from_field_are_the_accounts() {
    let server = Scripted::implicit(|_, _| Say::Usual).await;
    let scene = Scene::at("whose", &server, Tls::Implicit).await;
    let mut device = Device::connect(scene.office.door()).await;
    for from in ["", "root@localhost.localdomain", "printer@192-168-1-9.lan", USER] {
        let own = MAIL.to_vec();
        device.send(from, &["a@else.test"], &own).await;
    }
    scene.day.rest().await;
    assert_eq!(server.count(&format!("MAIL FROM:<{USER}>")), 4);
    assert_eq!(server.count("MAIL FROM:"), 4);
    let from = format!("From: Boss <{USER}>");
    let messages = server.heard().concat().into_iter().filter(|line| line.contains("Subject: hello"));
    assert!(messages.into_iter().all(|text| text.contains(&from) && !text.contains("From: Boss <boss@corp.lan>\r\nS")));
}

/// Said at MAIL or after the end: another sender cannot be had, so the message has failed, and its owner is told once.
#[tokio::test]
async fn u_01_a_refused_sender_fails_the_message_alone() {
    for stage in [Stage::Mail, Stage::FinalDot] {
        let scene = Scene::open("u-01").await;
        let words = "501 Mail from address must be same as authorization user.";
        scene.office.sandbox.fault(Fault::reply(stage.clone(), words));
        let entry = scene.send(&["a@else.test"]).await;
        assert!(entry.state == MessageState::Failed && reason(&entry).contains(words), "{stage:?}: {entry:?}");
        assert_eq!(scene.notices().await, 1, "{stage:?}");
        assert_eq!(scene.send(&["a@else.test"]).await.state, MessageState::Delivered, "{stage:?}: the account works");
    }
}

/// The sandbox reads From as strictly as QQ does. Whatever a device writes, what goes out is taken.
#[tokio::test]
async fn u_02_every_from_field_becomes_one_that_is_taken() {
    let fields: [&[u8]; 9] = [
        b"From: Boss <boss@corp.lan>\r\n",
        b"From: boss\r\n",
        b"",
        b"From: =?utf-8?B?TG9nU2VuZGVyIDxhQHFxLmNvbT4=?=\r\n",
        b"From: \xc9\xa8\xc3\xe8\xd2\xc7 <scan@lan>\r\n",
        "From: 扫描仪 <scan@lan>\r\n".as_bytes(),
        b"From: a@b.c, d@e.f\r\n",
        b"From: \"unclosed <x@y.z>\r\n",
        b"From: <>\r\nFrom: second@lan\r\n",
    ];
    let scene = Scene::open("u-02").await;
    for (n, field) in fields.into_iter().enumerate() {
        let mail = [field, b"Subject: x\r\n\r\nbody\r\n"].concat();
        let id = scene.office.send(&["a@else.test"], &mail).await;
        scene.day.rest().await;
        let entry = scene.office.entry(id).await;
        assert_eq!(entry.state, MessageState::Delivered, "{}: {}", field.escape_ascii(), reason(&entry));
        let from = scene.office.sandbox.received()[n].field("From").unwrap();
        assert!(from.contains(USER) && from.is_ascii(), "{from}");
    }
    assert_eq!(scene.office.sandbox.stats().refused, 0);
}

#[tokio::test]
async fn u_05_a_113_a_550_that_passes_is_waited_for() {
    for words in [
        "550 Connection denied",
        "550 Sender frequency limited. http://service.mail.qq.com/",
        "550 Suspected spam ip",
        "550 Ip frequency limited",
        "550 Domain frequency limited",
    ] {
        let scene = Scene::open("u-05").await;
        scene.office.sandbox.fault(Fault::reply(Stage::Mail, words));
        let entry = scene.send(&["a@else.test"]).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{words}: {entry:?}");
        let entry = scene.after(59, entry.id).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{words}: it rests an hour at least");
        let entry = scene.after(25 * 60, entry.id).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0), "{words}");
        assert_eq!(scene.notices().await, 0, "{words}");
    }
    let scene = Scene::open("u-05-content").await;
    scene.office.sandbox.fault(Fault::reply(Stage::FinalDot, "550 Mail content denied. http://service.mail.qq.com/"));
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!(entry.state, MessageState::Failed, "{entry:?}");
    assert_eq!(scene.notices().await, 1);
}

/// Only a reply about the account or its domain says how much it may send; one about the relay's address does not.
#[tokio::test]
async fn u_05_a_refused_address_teaches_no_quota() {
    for (words, limits) in [("550 Suspected spam ip", 0), ("550 域名当日发信量到达上限", 2)] {
        let scene = Scene::open("u-05-quota").await;
        assert_eq!(scene.send(&["a@else.test"]).await.state, MessageState::Delivered);
        scene.office.sandbox.fault(Fault::reply(Stage::Mail, words));
        assert_eq!(scene.send(&["a@else.test"]).await.state, MessageState::Waiting, "{words}");
        let states = scene.office.relay.queue().account_states().await.expect("the queue can be read");
        let learnt = SavedAccount::read(&states[0]).expect("it can be read").learnt;
        assert_eq!(learnt.limits.len(), limits, "{words}: {learnt:?}");
        assert!(
            learnt.limits.iter().all(|lesson| lesson.limit == u32::MAX / 10),
            "a tenth of the limit, because only one message was taken before: {learnt:?}"
        );
    }
}

/// A burst into a real limit: the account rests, everything arrives in the end, nothing bounces, nothing is doubled.
#[tokio::test]
async fn a_113_a_burst_over_the_limit_is_no_storm_of_bounces() {
    let limits = SandboxLimits {
        message_rates: SandboxRates { minute: Some(5), hour: Some(20), day: None },
        ..SandboxLimits::default()
    };
    let scene = Scene::with("burst", limits, |_| {}).await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(scene.office.send(&["a@else.test"], MAIL).await);
    }
    scene.day.run_until(scene.day.at(4 * 24, 0)).await;
    for id in &ids {
        let entry = scene.office.entry(*id).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0), "{entry:?}");
    }
    let stats = scene.office.sandbox.stats();
    assert_eq!((stats.accepted, scene.notices().await), (30, 0), "{stats:?}");
    // One refusal for each rest of the account, not one for each message.
    let refusals = scene.office.sandbox.limited().len();
    assert!((1..=8).contains(&refusals), "{refusals} refusals");
}

#[tokio::test]
async fn u_06_u_07_the_end_right_after_the_verdict_changes_nothing() {
    for (what, verdict) in [("TLS cut", true), ("in order", false)] {
        let server = Scripted::implicit(move |line, _| match line {
            "." if verdict => Say::Cut(b"250 2.0.0 taken\r\n".to_vec()),
            "." => Say::Octets(b"250 2.0.0 taken\r\n221 and goodbye\r\n".to_vec()),
            _ => Say::Usual,
        })
        .await;
        let scene = Scene::at("u-06", &server, Tls::Implicit).await;
        for _ in 0..3 {
            let entry = scene.send(&["a@else.test"]).await;
            assert_eq!(
                (entry.state, entry.tries, entry.uncertain),
                (MessageState::Delivered, 0, 0),
                "{what}: {entry:?}"
            );
        }
        assert_eq!(server.count("DATA"), 3, "{what}: each once");
    }
}

#[tokio::test]
async fn u_07_the_end_of_tls_before_the_verdict_is_uncertain() {
    let server = Scripted::implicit(|line, before| match line {
        "." if !before.is_empty() => Say::Cut(Vec::new()),
        _ => Say::Usual,
    })
    .await;
    let scene = Scene::at("u-07", &server, Tls::Implicit).await;
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.uncertain), (MessageState::Deferred, 1), "{entry:?}");
}

/// The verdict of a server that hangs up in the middle of a large message is read before the line is given up.
#[tokio::test]
async fn u_08_a_101_a_verdict_in_the_middle_of_the_message_is_obeyed() {
    let large = [MAIL, "0123456789abcdef0123456789abcdef\r\n".repeat(60_000).as_bytes()].concat();
    let cases = [
        ("552 5.3.4 Message too large", true, MessageState::Failed),
        ("552 5.3.4 Message too large", false, MessageState::Failed),
        ("452 4.3.1 Insufficient system storage", true, MessageState::Deferred),
    ];
    for (words, hangs_up, state) in cases {
        let scene = Scene::open("u-08").await;
        let octets = format!("{words}\r\n").into_bytes();
        let what = if hangs_up { What::ReplyThenClose(octets) } else { What::Reply(octets) };
        scene.office.sandbox.fault(Fault::once(Stage::Body, what));
        let id = scene.office.send(&["a@else.test"], &large).await;
        scene.day.rest().await;
        let entry = scene.office.entry(id).await;
        assert!(entry.state == state && reason(&entry).contains(words), "{words} {hangs_up}: {}", reason(&entry));
        assert_eq!(entry.uncertain, 0, "{words}");
    }
}

#[tokio::test]
async fn u_10_a_firewall_that_hides_starttls_gets_no_secret() {
    let cases: [(&str, &str); 3] = [
        ("250-scripted\r\n250-XXXXXXXA\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN", "TLS is required"),
        ("500 5.5.1 command unrecognized: \"XXXX\"", "500"),
        ("502 5.5.2 Error: command not recognized", "502"),
    ];
    for (ehlo, words) in cases {
        let server = Scripted::plain(move |line, _| match line.split(' ').next() {
            Some("") => Say::line("220 **************************************0******"),
            Some("EHLO") => Say::line(ehlo),
            _ => Say::Usual,
        })
        .await;
        let scene = Scene::at("u-10", &server, Tls::StartTls).await;
        let entry = scene.send(&["a@else.test"]).await;
        assert!(matches!(entry.state, MessageState::Deferred | MessageState::Waiting), "{ehlo}: {entry:?}");
        assert!(reason(&entry).contains(words), "{ehlo}: {}", reason(&entry));
        for word in ["AUTH", "MAIL", "HELO"] {
            assert_eq!(server.count(word), 0, "{ehlo}: {:?}", server.heard());
        }
        assert_eq!(scene.notices().await, 0);
    }
}

#[tokio::test]
async fn u_11_two_lists_of_mechanisms_are_one() {
    // What EHLO lists; the beginning of the log-in that follows.
    let cases = [
        ("250-AUTH CRAM-MD5 DIGEST-MD5\r\n250 AUTH=LOGIN", "AUTH LOGIN"),
        ("250-AUTH XOAUTH2 PLAIN\r\n250 AUTH=XOAUTH2", "AUTH PLAIN "),
        ("250-AUTH=PLAIN LOGIN XOAUTH2\r\n250 AUTH PLAIN LOGIN XOAUTH2", "AUTH LOGIN"),
        ("250-auth\tlogin\r\n250 AUTH", "AUTH LOGIN"),
    ];
    for (lists, start) in cases {
        let server = Scripted::implicit(move |line, before| {
            let asked = before.iter().position(|line| line == "AUTH LOGIN").map_or(0, |at| before.len() - at);
            match (line.split(' ').next(), asked) {
                (Some("EHLO"), _) => Say::line(&format!("250-scripted\r\n{lists}")),
                // Challenges that are no base64, as some servers send them.
                (Some("AUTH"), _) if line == "AUTH LOGIN" => Say::line("334 user please!"),
                (_, 1) => Say::line("334 "),
                (_, 2) => Say::line("235 ok"),
                _ => Say::Usual,
            }
        })
        .await;
        let scene = Scene::at("u-11", &server, Tls::Implicit).await;
        let entry = scene.send(&["a@else.test"]).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0), "{lists}: {entry:?} {:?}", server.heard());
        assert_eq!((server.count(start), server.count("AUTH")), (1, 1), "{lists}: {:?}", server.heard());
    }
}
