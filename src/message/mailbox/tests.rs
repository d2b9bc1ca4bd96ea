//! Mailboxes as clients write them, and as nobody should.

use super::*;

/// A field as it came, and the names and addresses in it.
type Row = (&'static [u8], &'static [(&'static str, &'static str)]);

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    parse_field(text, Hints::default()).into_iter().map(|m| (m.name, m.text)).collect()
}

#[test]
fn mailboxes_are_read_leniently() {
    let table: &[Row] = &[
        (b"a@b.cn", &[("", "a@b.cn")]),
        (b"Bob <a@b.cn>", &[("Bob", "a@b.cn")]),
        (b"\"Bob, Jr. \\\"x\\\"\" <a@b.cn>", &[("Bob, Jr. \"x\"", "a@b.cn")]),
        (b"Bob<a@b.cn>", &[("Bob", "a@b.cn")]),
        (b"root (Cron Daemon)", &[("Cron Daemon", "root")]),
        (b"a@b.cn (Bob (the) Man)", &[("Bob the Man", "a@b.cn")]),
        (b"printer", &[("", "printer")]),
        (b"", &[]),
        (b"<>", &[]),
        (b"\xd5\xc5\xc8\xfd <>", &[("张三", "")]),
        (b"\"\xd5\xc5\xc8\xfd\" <a@b.cn>", &[("张三", "a@b.cn")]),
        // The second octet of 乗 in GBK is a backslash.
        (b"\"\x81\x5c\" <a@b.cn>", &[("乗", "a@b.cn")]),
        (b"=?UTF-8?B?5byg5LiJ?= <a@b.cn>", &[("张三", "a@b.cn")]),
        (b"\"=?UTF-8?B?5byg5LiJ?=\" <a@b.cn>", &[("张三", "a@b.cn")]),
        (b"=?utf-8?B?TG9nU2VuZGVyIDxhQHFxLmNvbT4=?=", &[("LogSender", "a@qq.com")]),
        (b"=?utf-8?q?you=40qq=2Ecom?=", &[("", "you@qq.com")]),
        (b"=?utf-8?q?Name?=", &[("Name", "")]),
        (b"team: a@b.cn, Bob <c@d.cn>;", &[("", "a@b.cn"), ("Bob", "c@d.cn")]),
        (b"undisclosed-recipients:;", &[]),
        (b"<@r.cn,@s.cn:a@b.cn>", &[("", "a@b.cn")]),
        (b"<<a@b.cn>>", &[("", "a@b.cn")]),
        (b"<the dude <a@b.cn>>", &[("", "a@b.cn")]),
        (b"Bob a@b.cn", &[("Bob", "a@b.cn")]),
        (b"\"a b\"@c.cn", &[("", "\"a b\"@c.cn")]),
        (b"x <a@[IPv6:::1]>", &[("x", "a@[IPv6:::1]")]),
        (b"Bob <a@b.cn", &[("Bob", "a@b.cn")]),
        (b", ,a@b.cn,,", &[("", "a@b.cn")]),
        (b"Bob\r\n <a@b.cn>", &[("Bob", "a@b.cn")]),
    ];
    for (text, expected) in table {
        let expected: Vec<(String, String)> = expected.iter().map(|(n, a)| (n.to_string(), a.to_string())).collect();
        assert_eq!(pairs(text), expected, "{}", text.escape_ascii());
    }
}

/// Readers that look for the last `<`, or decode first, would see another address.
#[test]
fn an_address_that_holds_another_is_none() {
    let address = |text: &[u8]| parse_field(text, Hints::default()).first().and_then(Mailbox::address);
    for text in [&b"\"a <x@y.z>\"@b.cn"[..], b"Bob <\"<x@y.z>\"@b.cn>", b"\"a>\"@b.cn", b"\"=?utf-8?q?x?=\"@b.cn"] {
        assert_eq!(address(text), None, "{}", text.escape_ascii());
    }
    assert!(address(b"\"a b\"@b.cn").is_some());
}

#[test]
fn mailboxes_are_written_strictly() {
    let address = Address::parse("login@qq.com").unwrap();
    for (name, written) in [
        ("", "login@qq.com"),
        ("Scan Room 2", "Scan Room 2 <login@qq.com>"),
        ("Bob, Jr.", "\"Bob, Jr.\" <login@qq.com>"),
        ("a\\\"b", "\"a\\\\\\\"b\" <login@qq.com>"),
        ("张三", "=?UTF-8?B?5byg5LiJ?= <login@qq.com>"),
        ("x\r\nBcc: evil@x", "\"x Bcc: evil@x\" <login@qq.com>"),
        ("=?utf-8?q?x?=", "=?UTF-8?B?PT91dGYtOD9xP3g/PQ==?= <login@qq.com>"),
    ] {
        assert_eq!(write(name, &address, 6), written);
    }
    let long = write(&"长".repeat(300), &address, 6);
    assert!(long.split("\r\n").all(|line| line.len() <= 76) && long.ends_with("<login@qq.com>"), "{long}");
}

/// Counted steps, not a clock.
#[test]
fn a_071_depth_and_number_cost_linear_time() {
    for bomb in [
        "(".repeat(1_000_000),
        "(a)".repeat(300_000),
        "a:".repeat(500_000),
        "a:a:;".repeat(200_000),
        "<".repeat(1_000_000),
        "\"".repeat(999_999),
        "\\".repeat(999_999),
        "a@b.cn,".repeat(100_000),
        "=?utf-8?q?a?= ".repeat(50_000),
    ] {
        let reader = read(&bomb);
        assert!(reader.steps.count <= bomb.len() as u64, "{}: {}", &bomb[..4], reader.steps.count);
        assert!(parse(&bomb).len() <= MAX_MAILBOXES);
    }
}

#[test]
fn a_quote_that_never_ends_swallows_nothing() {
    for (text, name, address) in [
        (&b"\"Scanner <scan@b.cn>"[..], "Scanner", "scan@b.cn"),
        (b"Scanner\" <scan@b.cn>", "Scanner", "scan@b.cn"),
        (b"\"a\" b\" <scan@b.cn>", "a b", "scan@b.cn"),
    ] {
        assert_eq!(pairs(text), [(name.to_owned(), address.to_owned())], "{}", text.escape_ascii());
        assert!(!is_closed(text, Hints::default()));
    }
    assert!(is_closed(b"\"a\\\"b\" <scan@b.cn>", Hints::default()));
}
