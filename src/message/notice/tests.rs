//! The notice as another program reads it.

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::clock::Timestamp;
use crate::message::from_rule::qq_accepts;

fn notice(reply: &str, original: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (owner, bob) = (Address::parse("login@qq.com").unwrap(), Address::parse("bob@corp.cn").unwrap());
    let date = "Sat, 21 Nov 2026 18:00:00 +0800";
    let failure =
        Failure {
            recipient: &bob, status: "5.1.1", reply, remedy: Some(("Check the address.", "请检查收件人地址。"))
        };
    build(&Notice {
        owner: &owner,
        id: Id::new(Timestamp::from_millis(2), 2),
        domain: "qq.com",
        host: "relay.lan",
        date,
        failed: Id::new(Timestamp::from_millis(1), 1),
        arrived: date,
        original,
        failures: &[failure],
    })
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
    assert_eq!(mail.subject(), Some("Mail not delivered 邮件未能送达"));
    let kind = mail.content_type().unwrap();
    assert_eq!((kind.c_type.as_ref(), kind.attribute("report-type")), ("multipart", Some("delivery-status")));
    let text = mail.body_text(0).unwrap();
    for part in ["报告", "No such user 用户不存在", "Check the address.", "请检查收件人地址。", "bob@corp.cn"]
    {
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
    for reply in ["", "550 a\r\n\r\n--=_yizhan_0000000020000002\r\nFinal-Recipient: evil", &long, "\u{1b}[2J\0 驿"] {
        let (head, body) = notice(reply, &[b"Subject: \xff\0\r\n\r\nno field\r\n", long.as_bytes()].concat());
        assert_legal(&head);
        assert_legal(&body);
        assert_eq!(notice(reply, b"A: b\r\n"), notice(reply, b"A: b\r\n"), "stable");
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.matches("\r\n--=_yizhan_0000000020000002\r\n").count(), 3, "{text}");
        assert!(!text.contains("\r\nFinal-Recipient: evil"));
    }
}
