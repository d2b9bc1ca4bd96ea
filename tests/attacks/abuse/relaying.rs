//! Who may write to whom: strangers, the probes of scanners, and every way around a list of recipients.

use std::collections::BTreeSet;

use super::{DATA, FLAT, HONEST, Plan, Scene, connect, count, pour};
use crate::support::office::Device;

const OWN: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// Sender and recipient of nmap's `smtp-open-relay`, for a relay `relay.test` at 127.0.0.1; and what the provider is
/// given when a client asks that may send: the recipient as it was compared, or nothing (553 5.1.3).
const PROBES: [(&str, &str, Option<&str>); 16] = [
    ("", "tester@scan.example", Some("tester@scan.example")),
    ("spam@scan.example", "tester@scan.example", Some("tester@scan.example")),
    ("spam@relay.test", "tester@scan.example", Some("tester@scan.example")),
    ("spam@[127.0.0.1]", "tester@scan.example", Some("tester@scan.example")),
    ("spam@[127.0.0.1]", "tester%scan.example@[127.0.0.1]", None),
    ("spam@[127.0.0.1]", "tester%scan.example@relay.test", Some("tester%scan.example@relay.test")),
    ("spam@[127.0.0.1]", r#""tester@scan.example""#, None),
    ("spam@[127.0.0.1]", r#""tester%scan.example""#, None),
    ("spam@[127.0.0.1]", "tester@scan.example@[127.0.0.1]", None),
    ("spam@[127.0.0.1]", r#""tester@scan.example"@[127.0.0.1]"#, None),
    ("spam@[127.0.0.1]", "tester@scan.example@relay.test", None),
    ("spam@[127.0.0.1]", "@[127.0.0.1]:tester@scan.example", Some("tester@scan.example")),
    ("spam@[127.0.0.1]", "@relay.test:tester@scan.example", Some("tester@scan.example")),
    ("spam@[127.0.0.1]", "scan.example!tester", None),
    ("spam@[127.0.0.1]", "scan.example!tester@[127.0.0.1]", None),
    ("spam@[127.0.0.1]", "scan.example!tester@relay.test", Some("scan.example!tester@relay.test")),
];

async fn finish(device: &mut Device) {
    device.ask("DATA", "354").await;
    device.write(DATA).await;
    device.ask(".", "250 2.0.0 queued as ").await;
}

#[tokio::test]
async fn a_050_no_probe_of_a_stranger_gets_through() {
    let scene = Scene::open("stranger", Plan { allow: &["127.0.0.1/32", "127.0.99.99/32"], ..Plan::default() }).await;
    for (from, to, _) in PROBES {
        let mut polite = Device::dial_from(STRANGER.into(), scene.door()).await;
        polite.expect("554 5.7.1").await;
        assert_eq!(polite.reply().await, None, "{to}");
        // One that does not listen.
        let blind = format!("EHLO x\r\nMAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n");
        let (_, said) = pour(connect(STRANGER, scene.door()).await, [blind.into_bytes()].into_iter()).await;
        assert!(said.is_empty() || (said.starts_with("554 5.7.1 ") && said.lines().count() == 1), "{to}: {said}");
    }
    scene.after(&[]).await;
}

#[tokio::test]
async fn a_050_no_probe_gets_through_without_a_log_in() {
    let plan = Plan {
        tables: "[user.printer]\npassword = \"right\"\n",
        set: &[("LISTENER__LOCAL__AUTH", "verify")],
        allow: &["127.0.99.99/32"],
        ..Plan::default()
    };
    let scene = Scene::open("log_in", plan).await;
    for (from, to, _) in PROBES {
        let mut stranger = scene.device(STRANGER).await;
        stranger.ask(&format!("MAIL FROM:<{from}>"), "530 5.7.0").await;
        stranger.ask(&format!("RCPT TO:<{to}>"), "5").await;
        stranger.ask("DATA", "503 5.5.1").await;
        stranger.ask("QUIT", "221").await;
    }
    scene.after(&[]).await;
}

#[tokio::test]
async fn a_051_probes_of_a_client_are_taken_as_they_stand_or_refused() {
    let scene = Scene::open("probes", Plan::default()).await;
    let mut expected: Vec<[&str; 1]> = Vec::new();
    for (from, to, taken) in PROBES {
        let mut device = scene.device(OWN).await;
        device.ask(&format!("MAIL FROM:<{from}>"), "250").await;
        device.ask(&format!("RCPT TO:<{to}>"), if taken.is_some() { "250" } else { "553 5.1.3" }).await;
        match taken {
            Some(taken) => {
                finish(&mut device).await;
                expected.push([taken]);
            }
            None => drop(device.ask("DATA", "554 5.5.1").await),
        }
    }
    let expected: Vec<&[&str]> = expected.iter().map(|to| &to[..]).collect();
    scene.after(&expected).await;
}

/// What follows `RCPT TO:`, and what the provider is to get; nothing: 55z.
const AROUND_A_LIST: [(&str, Option<&str>); 41] = [
    ("<a@corp.example>", Some("a@corp.example")),
    ("<A@CORP.Example>", Some("A@CORP.Example")),
    ("<b@corp.example.>", Some("b@corp.example")),
    ("<c@corp.example..>", None),
    ("<a@sub.corp.example>", None),
    ("<a@xcorp.example>", None),
    ("<a@corp.example.evil.example>", None),
    ("<a@corp.example@evil.example>", None),
    ("<a@evil.example@corp.example>", None),
    (r#"<"a@corp.example"@evil.example>"#, None),
    (r#"<"a\@corp.example"@evil.example>"#, None),
    (r#"<"a\"@corp.example"@evil.example>"#, None),
    (r#"<"a@evil.example x"@corp.example>"#, None),
    (r#"<"a@evil.example"@corp.example>"#, None),
    ("<a%evil.example@corp.example>", None),
    (r#"<"a%evil.example"@corp.example>"#, None),
    ("<evil.example!a@corp.example>", None),
    ("<@evil.example:evil.example!a@corp.example>", None),
    ("</var/mail/a@corp.example>", None),
    ("<listed%else.example@corp.example>", Some("listed%else.example@corp.example")),
    ("<a%corp.example@evil.example>", None),
    ("<corp.example!a@evil.example>", None),
    ("<@corp.example:a@evil.example>", None),
    ("<@evil.example,@else.example:d@corp.example>", Some("d@corp.example")),
    ("<a@evil.example(@corp.example)>", None),
    ("<a(@corp.example)@evil.example>", None),
    ("<e(@evil.example)@corp.example>", Some("e@corp.example")),
    ("<f@corp.example\t>", Some("f@corp.example")),
    ("<a\t@corp.example>", None),
    ("<a@corp.example\tx>", None),
    ("<a@evil.example> <a@corp.example>", None),
    ("<a@evil.example> ORCPT=rfc822;a@corp.example", None),
    ("<g@corp.example> ORCPT=rfc822;a@evil.example", Some("g@corp.example")),
    ("a@corp.example,a@evil.example", None),
    ("<a@xn--crp-5cd.example>", None),
    ("<=?utf-8?q?a=40corp.example?=@evil.example>", None),
    ("<a@evil.example%00@corp.example>", None),
    ("<boss@else.example>", Some("boss@else.example")),
    (r#"<"bo\ss"@ELSE.example>"#, Some(r#""bo\ss"@ELSE.example"#)),
    ("<boss2@else.example>", None),
    ("<a@corp.example;a@evil.example>", None),
];

#[tokio::test]
async fn a_053_the_provider_is_given_what_the_list_was_asked_about() {
    let list = "[client.listed]\nfrom = [\"127.0.1.0/24\"]\n\
        recipient = [\"*@corp.example\", \"Boss@Else.example\", \"listed%else.example@corp.example\"]\n";
    let scene = Scene::open("list", Plan { tables: list, ..Plan::default() }).await;
    let long = format!("<a@{}corp.example>", "x.".repeat(122));
    let (homograph, fullwidth) = ("<a@c\u{43e}rp.example>", "<a@corp\u{ff0e}example>");
    let odd = [(long.as_str(), None), (homograph, None), (fullwidth, None)];
    let mut expected = Vec::new();
    for (path, taken) in AROUND_A_LIST.into_iter().chain(odd) {
        let mut device = scene.device([127, 0, 1, 1]).await;
        device.ask("MAIL FROM:<a@corp.example>", "250").await;
        device.ask(&format!("RCPT TO:{path}"), if taken.is_some() { "250" } else { "55" }).await;
        if let Some(taken) = taken {
            finish(&mut device).await;
            expected.push([taken]);
        }
    }
    let expected: Vec<&[&str]> = expected.iter().map(|to| &to[..]).collect();
    scene.after(&expected).await;
}

#[tokio::test]
async fn a_054_an_address_that_is_not_ascii_is_nobody_elses() {
    let scene = Scene::open("ascii", Plan::default()).await;
    for parameters in ["", " SMTPUTF8", " BODY=8BITMIME SMTPUTF8"] {
        let mut device = scene.device(OWN).await;
        device.ask(&format!("MAIL FROM:<用户@例子.广告>{parameters}"), "553 5.6.7").await;
        device.ask(&format!("MAIL FROM:<a@b.c>{parameters}"), "250").await;
        for to in ["用户@例子.广告", "user@例子.广告", "用户@else.test", "\"用户\"@else.test", "us\u{10a}er@else.test"]
        {
            device.ask(&format!("RCPT TO:<{to}>"), "553 5.6.7").await;
        }
        // GBK, and an octet that is no text at all.
        device.write(b"RCPT TO:<\xd3\xc3\xbb\xa7@else.test>\r\nRCPT TO:<user\xff@else.test>\r\n").await;
        device.expect("553 5.6.7").await;
        device.expect("553 5.6.7").await;
        device.ask("DATA", "554 5.5.1").await;
        device.ask("RCPT TO:<user@else.test>", "250").await;
        finish(&mut device).await;
    }
    scene.after(&[&["user@else.test"][..]; 3]).await;
}

#[tokio::test]
async fn a_055_mail_without_a_sender_leaves_as_the_account() {
    let scene = Scene::open("null", Plan::default()).await;
    scene.device(OWN).await.send("", &["a@else.test"], DATA).await;
    scene.after(&[&["a@else.test"]]).await;
}

#[tokio::test]
async fn a_056_ten_thousand_recipients_are_as_many_as_the_limit_says() {
    let scene = Scene::open("recipients", Plan::default()).await;
    scene.device(HONEST).await.send("a@b.c", &["warm@else.test"], DATA).await;
    let begin = b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n".to_vec();
    let rcpt = |n: u32| format!("RCPT TO:<r{n}@else.test>\r\n").into_bytes();
    // A thousand beyond the limit are not held against the client.
    let end = [b"DATA\r\n", DATA, b".\r\nQUIT\r\n"].concat();
    let pieces = [begin.clone()].into_iter().chain((0..1100).map(rcpt)).chain([end]);
    let (_, said) = pour(connect(OWN, scene.door()).await, pieces).await;
    assert_eq!(
        (count(&said, "250 2.1.5"), count(&said, "452 4.5.3"), count(&said, "250 2.0.0 queued")),
        (100, 1000, 1)
    );
    let grown = scene
        .growth(async {
            let pieces = [begin.clone()].into_iter().chain((0..10_000).map(rcpt));
            let (_, said) = pour(connect(OWN, scene.door()).await, pieces).await;
            assert_eq!((count(&said, "250 2.1.5"), count(&said, "452 4.5.3")), (100, 1020));
            assert!(said.lines().last().is_some_and(|last| last.starts_with("421 4.7.0")), "{said}");
        })
        .await;
    assert!(grown < FLAT, "{grown}");
    scene.greets().await;
    scene.site.drained(&scene.sandbox).await;
    // The provider takes fewer at a time: each of the hundred once.
    let received = scene.sandbox.received();
    let reached: Vec<&str> = received.iter().flat_map(|one| one.to.iter().map(String::as_str)).collect();
    let wanted: BTreeSet<String> =
        (0..100).map(|n| format!("r{n}@else.test")).chain(["warm@else.test".into()]).collect();
    assert_eq!((reached.len(), reached.iter().map(|to| to.to_string()).collect()), (101, wanted));
    scene.is_tidy().await;
}

/// Upper and lower case of the whole address, in the bits of `n`.
fn in_case(text: &str, n: usize) -> String {
    let turn = |(at, c): (usize, char)| if n >> (at % 9) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    text.chars().enumerate().map(turn).collect()
}

#[tokio::test]
async fn a_057_one_mailbox_is_written_to_once_however_it_is_spelt() {
    let scene = Scene::open("same", Plan { set: &[("LIMITS__RECIPIENTS", "1000")], ..Plan::default() }).await;
    let forms =
        [r"some.body@else.test", r#""some.body"@else.test"#, r"some.body@else.test.", r#""so\me.b\ody"@else.test"#];
    let mut device = scene.device(OWN).await;
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    for n in 0..500 {
        device.ask(&format!("RCPT TO:<{}>", in_case(forms[n % forms.len()], n)), "250 2.1.5").await;
    }
    // Other mailboxes, all of them.
    for other in [r#""some body"@else.test"#, "somebody@else.test", "some.body@sub.else.test"] {
        device.ask(&format!("RCPT TO:<{other}>"), "250 2.1.5").await;
    }
    finish(&mut device).await;
    // The first spelling counts: what is sent is never changed (RFC 5321 section 2.4).
    scene
        .after(&[&["some.body@else.test", r#""some body"@else.test"#, "somebody@else.test", "some.body@sub.else.test"]])
        .await;
}
