//! Q-078 to Q-085: line ends, the end of the data, and dots; what the provider has in the end.

use std::time::Duration;

use super::{
    HEAD, LENIENT, Log, PROFILES, blindly, codes, door, door_with, hand_in, office, relayed, relayed_body, replies,
};
use crate::support::office::{Device, until};
use yizhan::smtp::server::Profile;

const CRLF: &str = "\r\n";
const LF: &str = "\n";

/// A header whose lines end in LF alone.
const LF_HEAD: &str = "From: Printer <printer@lan.local>\nTo: boss@else.test\nSubject: scan\n\n";

/// The header, and what follows it.
fn mail(head: &str, rest: &str) -> Vec<u8> {
    format!("{head}{rest}").into_bytes()
}

/// Hands in each of these with its own ends of lines, and compares the body at the provider.
async fn compare(profile: Profile, cases: &[(&str, &str, &str, &str)]) {
    let office = office("lines", profile).await;
    for (line_end, head, rest, wanted) in cases {
        let one = relayed_body(&office, line_end, &mail(head, rest)).await;
        assert_eq!(one, wanted.escape_default().to_string(), "{profile:?}: {rest:?}");
    }
    assert!(office.sandbox.received().iter().all(|one| one.subject() == "scan"));
}

/// Hands in each of these to a strict listener: refused by name, nothing relayed, and the session goes on.
async fn refused_when_strict(cases: &[&[u8]]) {
    let door = door("strict", Profile::Strict);
    let mut device = Device::connect(door.addr).await;
    for data in cases {
        let verdict = hand_in(&mut device, CRLF, data).await.expect("a verdict");
        assert!(verdict.starts_with("550 5.5.2 "), "{verdict}: {}", data.escape_ascii());
    }
    device.send("a@b.c", &["d@e.f"], b"Subject: good\r\n\r\nbody\r\n").await;
    assert_eq!(door.queued().await.len(), 1);
}

#[tokio::test]
async fn q_078_bare_lf_ends_lines_and_never_the_message() {
    let cases = [
        (LF, HEAD, "first\r\nsecond\nthird\r\n.\r\n", "first\r\nsecond\r\nthird\r\n"),
        (CRLF, LF_HEAD, "first\r\nsecond\r\n.\r\n", "first\r\nsecond\r\n"),
        (CRLF, LF_HEAD, "first\n\nsecond\n\r\n.\r\n", "first\r\n\r\nsecond\r\n\r\n"),
        (CRLF, HEAD, "first\n.\nsecond\r\n.\r\n", "first\r\n.\r\nsecond\r\n"),
        (CRLF, HEAD, "first\n.\r\nsecond\r\n.\r\n", "first\r\n.\r\nsecond\r\n"),
    ];
    for profile in LENIENT {
        compare(profile, &cases).await;
    }
    refused_when_strict(&[&mail(HEAD, "first\r\nsecond\nthird\r\n.\r\n"), &mail(LF_HEAD, "first\r\n.\r\n")]).await;
    // A command needs its CRLF there.
    let door = door("strict", Profile::Strict);
    let mut device = Device::connect(door.addr).await;
    device.write(b"MAIL FROM:<a@b.c>\n").await;
    device.expect("500 5.5.2").await;
    device.send("a@b.c", &["d@e.f"], b"Subject: good\r\n\r\nbody\r\n").await;
}

#[tokio::test]
async fn q_079_a_session_without_a_cr_is_whole_where_it_is_listed() {
    let office = office("lf", Profile::Legacy).await;
    // Word by word, and as `printf | nc` writes it.
    let body = relayed_body(&office, LF, &mail(LF_HEAD, "first\n..two\n\nlast\n.\n")).await;
    assert_eq!(body, "first\\r\\n.two\\r\\n\\r\\nlast\\r\\n");
    let session = [
        b"HELO nc\nMAIL FROM:<a@b.c>\nRCPT TO:<boss@else.test>\nDATA\n".as_slice(),
        LF_HEAD.as_bytes(),
        b"blind\n.\nQUIT\n",
    ];
    assert_eq!(blindly(office.door(), &session.concat()).await, ["220", "250", "250", "250", "354", "250", "221"]);
    let second = office.received(2).await.remove(1);
    assert!(second.data.ends_with(b"\r\n\r\nblind\r\n"), "{}", second.data.escape_ascii());
    // Nothing but the goodbye is run behind such an end, and one line with a CR in front forbids it.
    let session = session[..2].concat();
    let more =
        [&session, b"first\n.\nMAIL FROM:<evil@b.c>\nRCPT TO:<x@else.test>\nDATA\nevil\n.\n".as_slice()].concat();
    let said = blindly(office.door(), &more).await;
    assert_eq!(said, ["220", "250", "250", "250", "354", "250", "554 5.5.0"]);
    let mixed =
        [b"HELO nc\nMAIL FROM:<a@b.c>\nRCPT TO:<x@else.test>\nDATA\n", HEAD.as_bytes(), b"x\n.\nQUIT\n"].concat();
    assert_eq!(blindly(office.door(), &mixed).await, ["220", "250", "250", "250", "354"]);
    office.received(3).await;
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 3);
}

#[tokio::test]
async fn q_079_where_it_is_not_listed_the_log_names_the_remedy() {
    let log = Log::listen();
    let door = door_with("lf-elsewhere", Profile::Tolerant, |plan| {
        plan.listener.name = "elsewhere".to_owned();
        plan.listener.deadlines.data = Duration::from_millis(300);
    });
    let mut device = Device::connect(door.addr).await;
    let verdict = hand_in(&mut device, LF, &mail(LF_HEAD, "first\n.\nQUIT\n")).await.expect("a verdict");
    assert!(verdict.starts_with("421 4.4.2 "), "{verdict}");
    assert_eq!(device.reply().await, None);
    let noted = until("the note", async || log.lines(&["listener=elsewhere", "\"noted\""]).pop()).await;
    assert!(noted.contains("bare LF line ends") && noted.contains("legacy profile"), "{noted}");
    assert!(door.queued().await.is_empty());
    // A strict one understands none of it.
    let door = super::door("lf-strict", Profile::Strict);
    let session = mail("HELO nc\nMAIL FROM:<a@b.c>\nRCPT TO:<d@e.f>\nDATA\n", LF_HEAD);
    let said = blindly(door.addr, &session).await;
    assert_eq!(said[..5], ["220", "500 5.5.2", "500 5.5.2", "500 5.5.2", "500 5.5.2"]);
    assert!(said.iter().all(|code| !code.starts_with("25") && code != "354") && door.queued().await.is_empty());
}

#[tokio::test]
async fn q_080_dots_are_taken_off_by_the_senders_own_convention() {
    let cases = [
        // Lines end in CRLF by the first of them: a dot counts after CRLF and nowhere else.
        (CRLF, HEAD, "hi\n.dot\n\r\n\r\n\r\n.\r\n", "hi\r\n.dot\r\n\r\n\r\n\r\n"),
        (CRLF, HEAD, "hi\n..dot\n...\r\n.\r\n", "hi\r\n..dot\r\n...\r\n"),
        (CRLF, HEAD, "hi\r\n..dot\r\n...\r\n.\r\n", "hi\r\n.dot\r\n..\r\n"),
        (CRLF, HEAD, "hi\n.lf\r\n..crlf\n..lf\r\n.\r\n", "hi\r\n.lf\r\n.crlf\r\n..lf\r\n"),
        // They end in LF: it counts after each.
        (LF, LF_HEAD, "hi\n..dot\n...\r\n.\r\n", "hi\r\n.dot\r\n..\r\n"),
        (CRLF, LF_HEAD, "hi\n..lf\r\n..crlf\r\n.\r\n", "hi\r\n.lf\r\n.crlf\r\n"),
        (CRLF, LF_HEAD, "..first\n..second\n\r\n.\r\n", ".first\r\n.second\r\n\r\n"),
    ];
    for profile in LENIENT {
        compare(profile, &cases).await;
    }
    refused_when_strict(&[&mail(HEAD, "hi\n.dot\n\r\n\r\n\r\n.\r\n"), &mail(LF_HEAD, "hi\n..dot\n\r\n.\r\n")]).await;
}

/// emailjs to the octet: the end comes later, in a write of its own, and the connection closes without QUIT.
#[tokio::test]
async fn q_080_emailjs_keeps_its_dot() {
    for profile in LENIENT {
        let office = office("emailjs", profile).await;
        let mut device = Device::connect(office.door()).await;
        for (command, code) in
            [("mail FROM:<a@lan.local>", "250"), ("rcpt TO:<boss@else.test>", "250"), ("data", "354")]
        {
            device.ask(command, code).await;
        }
        device.write(&mail(HEAD, "hi\n.dot\n\r\n\r\n")).await;
        device.write(b"\r\n.\r\n").await;
        device.expect("250 2.0.0 queued as ").await;
        drop(device);
        let one = office.received(1).await.remove(0);
        assert!(one.data.ends_with(b"\r\n\r\nhi\r\n.dot\r\n\r\n\r\n\r\n"), "{}", one.data.escape_ascii());
    }
}

#[tokio::test]
async fn q_081_cr_cr_lf_before_the_end() {
    let cases = [
        (CRLF, HEAD, "first\r\n..dot\r\r\n.\r\n", "first\r\n.dot\r\n"),
        (CRLF, HEAD, "first\r\n..dot\r\r\r\r\n.\r\n", "first\r\n.dot\r\n"),
    ];
    for profile in LENIENT {
        compare(profile, &cases).await;
    }
    refused_when_strict(&[&mail(HEAD, "first\r\n..dot\r\r\n.\r\n")]).await;
}

#[tokio::test]
async fn q_082_cr_cr_lf_everywhere() {
    let head = HEAD.replace(CRLF, "\r\r\n");
    for profile in LENIENT {
        let office = office("text-mode", profile).await;
        // The commands, too.
        let one = relayed(&office, "\r\r\n", &mail(&head, "one\r\r\n\r\r\n..two\r\r\n.\r\n")).await;
        assert_eq!(one.subject(), "scan", "the header was found");
        assert!(one.data.ends_with(b"\r\n\r\none\r\n\r\n.two\r\n"), "{}", one.data.escape_ascii());
    }
    refused_when_strict(&[&mail(&head, "one\r\r\n.\r\n")]).await;
}

#[tokio::test]
async fn q_083_bare_cr_becomes_a_line_end_or_a_blank() {
    let cases = [
        (CRLF, HEAD, "one\rtwo\r\rfour\r\n.\r\n", "one\r\ntwo\r\n\r\nfour\r\n"),
        (CRLF, HEAD, "one\r.\rtwo\r\n.\r\n", "one\r\n.\r\ntwo\r\n"),
    ];
    for profile in LENIENT {
        compare(profile, &cases).await;
        let office = office("mac", profile).await;
        let one = relayed(&office, CRLF, b"Subject: a\rX-Injected: b\r\n\r\nbody\r\n.\r\n").await;
        assert_eq!(one.subject(), "a X-Injected: b");
        assert_eq!(one.field("X-Injected"), None);
    }
    refused_when_strict(&[&mail(HEAD, "one\rtwo\r\n.\r\n"), b"Subject: a\rX: b\r\n\r\nbody\r\n.\r\n"]).await;
}

#[tokio::test]
async fn q_084_who_doubles_a_lone_dot_only_loses_one_of_the_others() {
    let cases = [
        (CRLF, HEAD, "..\r\n.dot\r\n..two\r\n...\r\n.\r\n", ".\r\ndot\r\n.two\r\n..\r\n"),
        (CRLF, HEAD, "text\r\n.gitignore\r\n.\r\n", "text\r\ngitignore\r\n"),
    ];
    for profile in PROFILES {
        compare(profile, &cases).await;
    }
}

/// What a client that does not double its dots sends behind a lone one.
const BEHIND: [&str; 7] = [
    "two\r\n.\r\n",
    "\r\ntwo\r\n.\r\n",
    "PS: two\r\n\r\nMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@else.test>\r\nDATA\r\nevil\r\n.\r\n",
    "JVBERi0xLjQKJVBERi0xLjQK\r\nMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@else.test>\r\nDATA\r\nevil\r\n.\r\n",
    "Mail me tomorrow\r\nHelp yourself\r\nor not\r\nMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@else.test>\r\nDATA\r\n.\r\n",
    "--boundary\r\nContent-Type: text/plain\r\n\r\nsecond part\r\n--boundary--\r\n.\r\n",
    "\u{4f60}\u{597d}\r\n.\r\nQUIT\r\n",
];

#[tokio::test]
async fn q_085_what_stands_behind_a_lone_dot_is_neither_relayed_nor_run() {
    let log = Log::listen();
    for profile in PROFILES {
        let office = office("undotted", profile).await;
        for (n, behind) in BEHIND.iter().enumerate() {
            let from = std::net::IpAddr::from([127, 1 + profile as u8, 85, 1 + n as u8]);
            let mut device = Device::dial_from(from, office.door()).await;
            device.expect("220").await;
            device.ask("HELO old.lan", "250").await;
            let data = mail(HEAD, &format!("one\r\n.\r\n{behind}"));
            let verdict = hand_in(&mut device, CRLF, &data).await.expect("a verdict");
            assert!(verdict.starts_with("250 2.0.0 "), "{verdict}");
            let said = codes(&replies(&mut device).await);
            assert_eq!(said.last().map(String::as_str), Some("554 5.5.0"), "{profile:?} {behind:?}: {said:?}");
            assert!(!said.iter().any(|code| code.starts_with("25") || code == "354"), "{behind:?}: {said:?}");
            drop(device);
            let one = office.received(n + 1).await.remove(n);
            assert!(one.data.ends_with(b"\r\n\r\none\r\n"), "{}", one.data.escape_ascii());
            let addr = format!("addr={from} ");
            until("the line", async || log.lines(&[&addr, "\"refused\"", "does not dot-stuff"]).pop()).await;
        }
        office.wait_empty().await;
        assert_eq!(office.sandbox.stats().accepted, BEHIND.len() as u64, "{profile:?}");
    }
}
