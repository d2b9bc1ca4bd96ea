//! The table of senders, and what each becomes at a provider that checks.

use super::*;
use crate::message::from_rule::qq_accepts;

fn sealed(head: &str, display: Option<&str>, policy: FromPolicy) -> String {
    let address = Address::parse("login@qq.com").unwrap();
    let seal_it = |head: &[u8]| seal(head, &Seal { address: &address, display, policy });
    let out = seal_it(head.as_bytes());
    assert!(qq_accepts(&out), "{}", out.escape_ascii());
    assert_eq!(seal_it(&out), out, "sealing twice");
    String::from_utf8(out).unwrap()
}

#[test]
fn from_becomes_the_login() {
    for (head, expected) in [
        ("From: login@qq.com\r\n", "From: login@qq.com\r\n"),
        ("from:   \"Me\" <LOGIN@qq.com>\r\n", "from:   \"Me\" <LOGIN@qq.com>\r\n"),
        ("", "From: login@qq.com\r\n"),
        ("From: printer\r\n", "From: printer <login@qq.com>\r\n"),
        ("From: root (Cron Daemon)\r\n", "From: Cron Daemon <login@qq.com>\r\n"),
        (
            "From: Bob <bob@corp.cn>\r\nSubject: x\r\n",
            "From: Bob <login@qq.com>\r\nSubject: x\r\nReply-To: Bob <bob@corp.cn>\r\nX-Original-From: bob@corp.cn\r\n",
        ),
        (
            "From: bob@corp.cn\r\nReply-To: help@corp.cn\r\n",
            "From: bob <login@qq.com>\r\nReply-To: help@corp.cn\r\nX-Original-From: bob@corp.cn\r\n",
        ),
        (
            "From: team: a@b.cn, c@d.cn;\r\nFrom: e@f.cn\r\n",
            "From: a <login@qq.com>\r\nReply-To: a@b.cn\r\nX-Original-From: a@b.cn\r\n",
        ),
        (
            "From: =?utf-8?B?TG9nU2VuZGVyIDxhQHFxLmNvbT4=?=\r\n",
            "From: LogSender <login@qq.com>\r\nReply-To: LogSender <a@qq.com>\r\nX-Original-From: a@qq.com\r\n",
        ),
        (
            "Sender: root@vm\r\nResent-From: x@y.cn\r\nDisposition-Notification-To: x@y.cn\r\nX-A:  b\t\r\n\
             Return-Receipt-To: <login@qq.com>\r\nFrom: login@qq.com\r\n",
            "X-A:  b\t\r\nReturn-Receipt-To: <login@qq.com>\r\nFrom: login@qq.com\r\n",
        ),
    ] {
        assert_eq!(sealed(head, None, FromPolicy::MustEqualLogin), expected, "{head}");
    }
}

#[test]
fn the_account_has_a_name_of_its_own() {
    let given = |head| sealed(head, Some("驿站"), FromPolicy::MustEqualLogin);
    assert_eq!(given("From: login@qq.com\r\n"), "From: =?UTF-8?B?6am/56uZ?= <login@qq.com>\r\n");
    assert!(given("From: bob@corp.cn\r\n").starts_with("From: =?UTF-8?B?6am/56uZ?= <login@qq.com>\r\n"));
    assert!(given("From: Bob <bob@corp.cn>\r\n").starts_with("From: Bob <login@qq.com>\r\n"));
}

#[test]
fn a_free_provider_keeps_the_address() {
    for (head, expected) in [
        ("Sender: x@y.cn\r\nFrom: Bob <bob@corp.cn>\r\n", "Sender: x@y.cn\r\nFrom: Bob <bob@corp.cn>\r\n"),
        ("From: bob@corp.cn, eve@corp.cn\r\n", "From: bob@corp.cn\r\n"),
        ("From: printer\r\n", "From: printer <login@qq.com>\r\n"),
    ] {
        assert_eq!(sealed(head, None, FromPolicy::Free), expected);
    }
}

#[test]
fn nothing_is_injected() {
    for from in [
        "=?utf-8?q?a=0d=0aBcc:_evil@x.cn?= <a@b.cn>",
        "\"x\\\r\n y\" <a@b.cn>",
        "a@b.cn>, <evil@x.cn",
        "=?utf-8?q?=3Cevil=40x.cn=3E?= <a@b.cn>",
        "a@b.cn\r\n\t(\r\n Bcc: x)",
        "=?utf-8?q?evil=40x.cn=0d=0a_Bcc=3Ay?=",
    ] {
        let out = sealed(&format!("From: {from}\r\n"), None, FromPolicy::MustEqualLogin);
        let header = Header::parse(out.as_bytes());
        assert!(header.get("Bcc").is_none() && header.count("From") == 1, "{out}");
        assert!(out.lines().all(|line| !line.starts_with("Bcc")));
    }
}
