//! The notices as another program reads them.

use mail_parser::{MessageParser, MimeHeaders};

use super::alarm::{Alarm, Kind, Remedy};
use super::digest::{Digest, MOST_ROWS, Row};
use super::relay_event::{RelayEvent, RelayFact, StuckMails};
use super::*;
use crate::clock::Timestamp;
use crate::mail::ReversePath;
use crate::message::from_rule::qq_accepts;

const DATE: &str = "Sat, 21 Nov 2026 18:00:00 +0800";
/// What a peer might say to become more than words.
const EVIL: [&str; 7] = [
    "",
    "550 a\r\n\r\n--=_yizhan_0000000020000002\r\nFinal-Recipient: evil",
    "x\r\nBcc: evil@example.com\r\n\r\nbody",
    "x\nBcc: evil@example.com",
    "\u{1b}[2J\0 \u{202e}驿\u{2028}Bcc: evil@example.com",
    "=?UTF-8?B?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20NCg0K?=",
    "\u{85}Bcc: evil@example.com | a | b",
];

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn letter<'a>(from: &'a Address, to: &'a Address, language: Language) -> Letter<'a> {
    let id = Id::new(Timestamp::from_millis(2), 2);
    Letter { from, to, id, domain: "qq.com", host: "relay.lan", date: DATE, language }
}

fn notice(reply: &str, original: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (owner, bob) = (address("login@qq.com"), address("bob@corp.cn"));
    let remedy = Some(("Check the address.", "请检查收件人地址。"));
    let failure = Failure { recipient: &bob, status: "5.1.1", reply, remedy };
    build(&Notice {
        letter: letter(&owner, &owner, Language::Both),
        failed: Id::new(Timestamp::from_millis(1), 1),
        arrived: DATE,
        tries: 3,
        original,
        failures: &[failure],
    })
}

fn many(evil: &str, rows: usize, unlisted: u64, language: Language) -> (Vec<u8>, Vec<u8>) {
    let (owner, bob) = (address("login@qq.com"), address("bob@corp.cn"));
    let row = |n: usize| Row {
        id: Id::new(Timestamp::from_millis(1), n as u64),
        client: evil,
        subject: evil,
        recipient: &bob,
        reply: evil,
        cause: if n.is_multiple_of(3) { "QQ-R1" } else { "QQ-D2" },
        remedy: n.is_multiple_of(3).then_some(("Check the address.", "请检查收件人地址。")),
    };
    let rows: Vec<Row<'_>> = (0..rows).map(row).collect();
    let letter = letter(&owner, &owner, language);
    digest::build(&Digest { letter, between: (DATE, DATE), mails: 7, rows: &rows, unlisted })
}

fn stopped(kind: Kind, evil: &str) -> Alarm {
    Alarm {
        kind,
        again: false,
        account: format!("office{evil}"),
        provider: format!("qq{evil}"),
        address: format!("10000@qq.com{evil}"),
        since: format!("2026-11-21T18:00:00.123+08:00{evil}"),
        cause: format!("QQ-A3{evil}"),
        reply: format!("535 Login fail.{evil}"),
        remedy: Some(Remedy { en: format!("Wait.{evil}"), zh: format!("请等待。{evil}") }),
        waiting: 12,
        hostname: format!("relay.lan{evil}"),
    }
}

fn kinds() -> [Kind; 5] {
    let until = "2026-11-21T19:00:00.000+08:00".to_owned();
    [Kind::Paused, Kind::Cooling { until }, Kind::Unreachable, Kind::Resumed, Kind::Failed { mails: 31 }]
}

fn assert_legal(octets: &[u8]) {
    assert!(octets.is_ascii() && octets.ends_with(b"\r\n"));
    for line in octets.split(|&b| b == b'\n').filter(|l| !l.is_empty()) {
        let line = line.strip_suffix(b"\r").expect("CRLF");
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
    }
}

#[test]
fn it_is_a_report_that_programs_understand() {
    let (head, body) =
        notice("550 5.1.1 No such user 用户不存在", b"Subject: =?UTF-8?B?5oql5ZGK?=\r\nFrom: a@b.cn\r\n");
    assert_legal(&head);
    assert_legal(&body);
    assert!(qq_accepts(&head) && !head.windows(4).any(|w| w == b"\r\n\r\n"));
    let whole = [&head[..], b"\r\n", &body].concat();
    let mail = MessageParser::new().parse(&whole).unwrap();
    assert_eq!(mail.subject(), Some("Mail not delivered 邮件未能送达: 报告"));
    let kind = mail.content_type().unwrap();
    assert_eq!((kind.c_type.as_ref(), kind.attribute("report-type")), ("multipart", Some("delivery-status")));
    let text = mail.body_text(0).unwrap();
    for part in [
        "报告",
        "No such user 用户不存在",
        "Check the address.",
        "请检查收件人地址。",
        "bob@corp.cn",
        "yizhan queue retry 0000000010000001",
        "tried 3 times",
        "尝试了 3 次",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let body = String::from_utf8(body).unwrap();
    for part in [
        "Content-Type: message/delivery-status\r\n",
        "Reporting-MTA: dns; relay.lan\r\n",
        "\r\n\r\nFinal-Recipient: rfc822; bob@corp.cn\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; =?UTF-8?B?",
        "Content-Type: text/rfc822-headers\r\n",
        "Subject: =?UTF-8?B?5oql5ZGK?=\r\n",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("Auto-Submitted: auto-replied\r\n"), "{head}");
    assert!(head.contains("X-Yizhan-Notice-For: 0000000010000001\r\n"), "{head}");
}

#[test]
fn the_words_of_others_stay_words() {
    let long = "x".repeat(5000);
    for reply in EVIL.iter().copied().chain([long.as_str()]) {
        let subject = reply.replace(['\r', '\n'], " ");
        let original = format!("Subject: {subject}\r\n\r\nno field\r\n{long}");
        let (head, body) = notice(reply, original.as_bytes());
        assert_legal(&head);
        assert_legal(&body);
        assert_eq!(notice(reply, b"A: b\r\n"), notice(reply, b"A: b\r\n"), "stable");
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.matches("\r\n--=_yizhan_0000000020000002\r\n").count(), 3, "{text}");
        assert!(!text.contains("\r\nFinal-Recipient: evil"));
        assert_is_ours(&head, &text, &["X-Yizhan-Notice-For", "Auto-Submitted: auto-replied"]);
    }
}

/// No field but ours, one reader, and the marks that stop answers (RFC 3834 section 5).
fn assert_is_ours(head: &[u8], body: &str, marks: &[&str]) {
    let whole = [head, b"\r\n", body.as_bytes()].concat();
    let mail = MessageParser::new().parse(&whole).unwrap();
    assert!(mail.bcc().is_none() && mail.cc().is_none(), "{}", head.escape_ascii());
    assert_eq!(mail.to().and_then(|to| to.first()).and_then(|to| to.address()), Some("login@qq.com"));
    assert!(qq_accepts(head));
    let head = String::from_utf8(head.to_vec()).unwrap();
    for mark in marks.iter().chain(&["X-Auto-Response-Suppress: All\r\n", "Message-ID: <0000000020000002@qq.com>\r\n"])
    {
        assert_eq!(head.matches(mark).count(), 1, "{mark}: {head}");
    }
    // The subject must not become a field by being decoded either.
    assert!(!mail.subject().unwrap().contains(char::is_control), "{head}");
    let seen = mail.body_text(0).unwrap();
    assert!(seen.lines().all(|line| !line.starts_with("Bcc:")), "{seen}");
    assert!(!seen.contains(['\u{1b}', '\u{202e}', '\0', '\u{85}']), "{seen}");
}

#[test]
fn a_notice_is_in_the_language_of_the_settings() {
    let (owner, bob) = (address("login@qq.com"), address("bob@corp.cn"));
    let failures =
        [Failure { recipient: &bob, status: "5.1.1", reply: "", remedy: Some(("In English.", "中文。")) }];
    for (language, there, not) in [(Language::En, "In English.", "中文。"), (Language::Zh, "中文。", "In English.")]
    {
        let (head, body) = build(&Notice {
            letter: letter(&owner, &owner, language),
            failed: Id::new(Timestamp::from_millis(1), 1),
            arrived: DATE,
            tries: 0,
            original: b"From: a@b.cn\r\n",
            failures: &failures,
        });
        let whole = [&head[..], b"\r\n", &body].concat();
        let mail = MessageParser::new().parse(&whole).unwrap();
        let text = mail.body_text(0).unwrap();
        assert!(text.contains(there) && !text.contains(not) && !text.contains("--------"), "{text}");
        assert_eq!(mail.subject(), Some(if language == Language::En { "Mail not delivered" } else { "邮件未能送达" }));
    }
}

#[test]
fn a_digest_is_a_table_by_cause() {
    let (head, body) = many("x", 7, 5, Language::Both);
    let whole = [&head[..], b"\r\n", &body].concat();
    let mail = MessageParser::new().parse(&whole).unwrap();
    assert_eq!(mail.subject(), Some("7 mails not delivered 7 封邮件未能送达"));
    let text = mail.body_text(0).unwrap();
    assert_eq!(text.matches(" | bob@corp.cn | ").count(), 7, "{text}");
    assert!(text.contains("== 3 x QQ-R1 ==") && text.contains("== 4 x QQ-D2 =="), "{text}");
    assert_eq!((text.matches("Check the address.").count(), text.matches("请检查收件人地址。").count()), (1, 1));
    assert!(text.contains("and 5 more: 另有 5 条： yizhan queue list --state failed"), "{text}");
}

#[test]
fn a_digest_of_ten_thousand_is_one_mail_of_a_few_pages() {
    for evil in EVIL.iter().copied().chain([&*"驿".repeat(4000), &*"x y ".repeat(4000)]) {
        let (head, body) = many(evil, 10_000, 0, Language::Both);
        assert_legal(&head);
        assert_legal(&body);
        let body = String::from_utf8(body).unwrap();
        assert!(body.len() < 250_000, "{}", body.len());
        assert_is_ours(&head, &body, &["X-Yizhan-Notice: digest\r\n", "Auto-Submitted: auto-generated\r\n"]);
        let whole = [&head[..], b"\r\n", body.as_bytes()].concat();
        let text = MessageParser::new().parse(&whole).unwrap().body_text(0).unwrap().into_owned();
        assert_eq!(text.lines().filter(|line| line.matches(" | ").count() == 4).count(), MOST_ROWS, "{text}");
        assert!(text.contains("and 9800 more:"));
    }
}

#[test]
fn an_alarm_is_a_mail_and_a_text_that_nothing_gets_out_of() {
    let long = "x".repeat(5000);
    for evil in EVIL.iter().copied().chain([long.as_str()]) {
        for kind in kinds() {
            let (from, to) = (address("backup@163.com"), address("login@qq.com"));
            let event = kind.event();
            for language in Language::ALL {
                let alarm = stopped(kind.clone(), evil);
                let (head, body) = alarm::build(&letter(&from, &to, language), &alarm);
                assert_legal(&head);
                assert_legal(&body);
                let body = String::from_utf8(body).unwrap();
                let mark = format!("X-Yizhan-Notice: {event}\r\n");
                assert_is_ours(&head, &body, &[&mark, "Auto-Submitted: auto-generated\r\n"]);
                assert!(!alarm.title(language).contains(char::is_control));
            }
        }
    }
}

#[test]
fn an_alarm_says_what_the_owner_must_know() {
    let [paused, cooling, unreachable, resumed, failed] =
        kinds().map(|kind| stopped(kind, "").text(Language::Both, 500));
    for (text, parts) in [
        (
            &paused,
            &[
                "office (qq, 10000@qq.com)",
                "2026-11-21 18:00:00 +08:00",
                "535 Login fail.",
                "Wait.",
                "请等待。",
                "QQ-A3",
                "yizhan account resume office",
                "Waiting: 12 mails. Nothing is lost",
                "12 封。邮件不会丢失",
                "relay.lan",
            ][..],
        ),
        (&cooling, &["until 2026-11-21 19:00:00 +08:00", "休息到 2026-11-21 19:00:00 +08:00", "Nothing is lost"][..]),
        (&unreachable, &["What happens: 535 Login fail.", "连不上", "every minute", "Wait.", "Nothing is lost"][..]),
        (&resumed, &["sends again", "已恢复发信", "Waited meanwhile: 12 mails", "无需处理"][..]),
        (&failed, &["31 mails", "31 封", "yizhan queue list --state failed"][..]),
    ] {
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let again = Alarm { again: true, ..stopped(Kind::Paused, "") };
    assert_eq!(again.title(Language::Both), "Yizhan 驿站: account office still cannot send 账号 office 仍无法发信");
    let stored = serde_json::to_string(&again).unwrap();
    assert_eq!(serde_json::from_str::<Alarm>(&stored).unwrap(), again);
}

fn relay_events(evil: &str) -> Vec<RelayEvent> {
    let stuck = StuckMails {
        mails: 100,
        more: true,
        id: format!("0000000010000001{evil}"),
        client: format!("printer{evil}"),
        received: DATE.to_owned(),
    };
    let facts = [RelayFact::Oldest, RelayFact::Held, RelayFact::Failed, RelayFact::DiskFree, RelayFact::Panic];
    let mut all = vec![
        RelayEvent::Oldest { stuck: stuck.clone(), limit: 14_400 },
        RelayEvent::Held { stuck },
        RelayEvent::DiskLow { free: 852_000_000, limit: 1 << 30 },
        RelayEvent::Panicked { times: 2, task: format!("session{evil}"), place: format!("src/x.rs:1:2{evil}") },
        RelayEvent::Test,
    ];
    all.extend(facts.map(|fact| RelayEvent::Over { fact }));
    all
}

fn about_relay(event: RelayEvent, evil: &str) -> Alarm {
    let remedy = event.remedy();
    let none = String::new;
    let kind = Kind::Relay(event);
    Alarm { account: none(), provider: none(), address: none(), cause: none(), remedy, ..stopped(kind, evil) }
}

#[test]
fn an_alert_about_the_relay_is_a_mail_in_both_languages_that_nothing_gets_out_of() {
    let (from, to) = (address("backup@163.com"), address("login@qq.com"));
    let mut names = std::collections::BTreeSet::new();
    for evil in EVIL.iter().copied().chain([&*"x".repeat(5000)]) {
        for event in relay_events(evil) {
            names.insert(event.event());
            let alarm = about_relay(event, evil);
            for language in Language::ALL {
                let (head, body) = alarm::build(&letter(&from, &to, language), &alarm);
                assert_legal(&head);
                assert_legal(&body);
                let mark = format!("X-Yizhan-Notice: {}\r\n", alarm.kind.event());
                assert_is_ours(
                    &head,
                    &String::from_utf8(body).unwrap(),
                    &[&mark, "Auto-Submitted: auto-generated\r\n"],
                );
            }
            let chinese = |text: &str| text.contains('。');
            assert!(chinese(&alarm.text(Language::Zh, 60)) && !chinese(&alarm.text(Language::En, 60)));
        }
    }
    assert_eq!(names.len(), 10, "each has a name of its own: {names:?}");
}

#[test]
fn an_alert_about_the_relay_says_what_to_type() {
    let text = |event: RelayEvent| about_relay(event, "").text(Language::Both, 500);
    let all: Vec<String> = relay_events("").into_iter().map(text).collect();
    for (text, parts) in all.iter().zip([
        &[
            "at least 100 mails",
            "至少 100 封邮件",
            "4 hours",
            "4 小时",
            "printer",
            "yizhan queue show 0000000010000001",
            "535",
        ][..],
        &["damaged", "损坏", "yizhan queue retry 0000000010000001", "yizhan queue drop"],
        &["812.5 MiB", "1.0 GiB", "df -h", "452"],
        &["panic", "session", "src/x.rs:1:2", "event=panic"],
        &["test alert", "测试告警"],
        &["nothing to do", "无需处理"],
    ]) {
        for part in parts.iter().chain(&["relay.lan", "2026-11-21 18:00:00 +08:00"]) {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("account"), "{text}");
    }
}

#[test]
fn a_bounce_is_never_bounced() {
    let sender = ReversePath::parse("device@office.lan").unwrap();
    let null = ReversePath::parse("").unwrap();
    let tell = |head: &[u8], sender: &ReversePath| {
        (may_tell(head, sender, Reader::Owner), may_tell(head, sender, Reader::Sender))
    };
    assert_eq!(tell(b"Subject: x\r\n", &sender), (true, true));
    assert_eq!(tell(b"Subject: x\r\n", &null), (true, false), "a forged or empty sender is not written to");
    // Everything this module writes.
    let own = [notice("x", b"A: b\r\n").0, many("x", 3, 0, Language::En).0];
    let (from, to) = (address("backup@163.com"), address("login@qq.com"));
    let alarms = kinds().map(|kind| alarm::build(&letter(&from, &to, Language::Zh), &stopped(kind, "")).0);
    for head in own.iter().chain(&alarms) {
        assert_eq!(tell(head, &sender), (false, false), "{}", head.escape_ascii());
    }
    for (head, owner, other) in [
        (&b"Auto-Submitted: auto-replied; x=y\r\n"[..], false, false),
        (b"auto-submitted: Auto-Notified\r\n", false, false),
        (b"Auto-Submitted: no\r\n", true, true),
        (b"Auto-Submitted: auto-generated (cron)\r\n", true, false),
        (b"Content-Type: multipart/report; report-type=delivery-status\r\n", false, false),
        (b"X-Auto-Response-Suppress: All\r\n", true, false),
        (b"X-Auto-Response-Suppress: None\r\n", true, true),
        (b"Precedence: bulk\r\n", true, false),
        (b"List-Id: <l.example.com>\r\n", true, false),
    ] {
        assert_eq!(tell(head, &sender), (owner, other), "{}", head.escape_ascii());
    }
}
