//! The table of senders, and what each becomes at a provider that checks.

use super::*;
use crate::message::from_rule::qq_accepts;

fn rewritten(head: &str, display: Option<&str>, policy: FromPolicy) -> String {
    let address = Address::parse("login@qq.com").unwrap();
    let rewrite = SenderRewrite { address: &address, display, policy, keep_dkim: false };
    let out = rewrite_sender(head.as_bytes(), &rewrite, &[]);
    assert!(qq_accepts(&out), "{}", out.escape_ascii());
    assert_eq!(rewrite_sender(&out, &rewrite, &[]), out, "rewriting twice");
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
        assert_eq!(rewritten(head, None, FromPolicy::MustEqualLogin), expected, "{head}");
    }
}

#[test]
fn the_account_has_a_name_of_its_own() {
    let given = |head| rewritten(head, Some("驿站"), FromPolicy::MustEqualLogin);
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
        assert_eq!(rewritten(head, None, FromPolicy::Free), expected);
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
        let out = rewritten(&format!("From: {from}\r\n"), None, FromPolicy::MustEqualLogin);
        let header = Header::parse(out.as_bytes());
        assert!(header.get("Bcc").is_none() && header.count("From") == 1, "{out}");
        assert!(out.lines().all(|line| !line.starts_with("Bcc")));
    }
}

/// The addresses that a careless reader finds in a From: one that decodes the field, as often as it can, and takes it
/// apart then; one that takes brackets for the address wherever they are; and one that shows the name alone.
fn seen_by_the_careless(head: &str) -> Vec<String> {
    let header = Header::parse(head.as_bytes());
    let mut text = String::from_utf8(header.get("From").unwrap().value().to_vec()).unwrap().replace("\r\n", "");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(mailbox::parse(&text).into_iter().map(|one| one.text));
        seen.extend(text.split(['<', '>', ',', ';', '"', '(', ')', ' ', ':']).map(str::to_owned));
        text = crate::message::encoded_word::decode(&text);
    }
    seen.retain(|text| text.contains(['@', '\u{ff20}', '\u{fe6b}']));
    seen.dedup();
    seen
}

#[test]
fn no_display_name_is_read_as_another_sender() {
    let encoded = |name: &str| {
        let octets: String = name.bytes().map(|octet| format!("={octet:02X}")).collect();
        format!("=?utf-8?q?{octets}?=")
    };
    let names = [
        encoded("ceo@bank.example, x"),
        encoded("ceo@bank.example"),
        encoded("<ceo@bank.example>"),
        encoded("\"ceo@bank.example\" <ceo@bank.example>, x"),
        encoded("ceo\u{ff20}bank.example"),
        encoded("ceo\u{fe6b}bank.example"),
        encoded(&encoded("ceo@bank.example, x")),
        encoded("董事长 ceo@bank.example"),
        "\"ceo@bank.example, x\"".to_owned(),
        "\"ceo@bank.example\"".to_owned(),
        "\"<ceo@bank.example>\"".to_owned(),
        "ceo@bank.example".to_owned(),
        format!("\"{}\"", encoded("ceo@bank.example, x")),
    ];
    for policy in [FromPolicy::MustEqualLogin, FromPolicy::MayBeAlias] {
        for name in &names {
            for address in ["login@qq.com", "bob@corp.cn", "\"ceo@bank.example\"@corp.cn"] {
                let head = rewritten(&format!("From: {name} <{address}>\r\n"), None, policy);
                let seen = seen_by_the_careless(&head);
                assert!(seen.iter().all(|one| one == "login@qq.com"), "{name} <{address}> became {head}: {seen:?}");
            }
        }
        // The whole of it in a comment, or as the name that the account would have shown.
        for from in ["login@qq.com (ceo@bank.example)", "\"ceo@bank.example, x\""] {
            let head = rewritten(&format!("From: {from}\r\n"), None, policy);
            assert!(seen_by_the_careless(&head).iter().all(|one| one == "login@qq.com"), "{from} became {head}");
        }
    }
    let free = "From: \"ceo@bank.example\" <bob@corp.cn>\r\n";
    assert_eq!(rewritten(free, None, FromPolicy::Free), free);
}

#[test]
fn ordinary_display_names_stay_octet_for_octet() {
    for from in [
        "\"Smith, John\" <login@qq.com>",
        "=?UTF-8?B?5byg5LiJ?= <login@qq.com>",
        "=?UTF-8?B?546L5bCP5piO77yM6LSi5Yqh6YOo?= <login@qq.com>",
        "\"Sales: [3rd floor]\" <login@qq.com>",
        "\"login@qq.com\" <login@qq.com>",
    ] {
        let head = format!("From: {from}\r\n");
        assert_eq!(rewritten(&head, None, FromPolicy::MustEqualLogin), head);
    }
}

/// Every row of what QQ says about From, rewritten: the result is one it takes, and nothing of the old one is lost.
#[test]
fn the_table_of_the_strictest_provider() {
    for (from, expected) in [
        (&b"login@qq.com"[..], "From: login@qq.com\r\n"),
        (b"\"Chris\" <login@qq.com>", "From: \"Chris\" <login@qq.com>\r\n"),
        (b"=?utf-8?B?5byg5LiJ?= <login@qq.com>", "From: =?utf-8?B?5byg5LiJ?= <login@qq.com>\r\n"),
        (b"=?utf-8?B?5byg5LiJ?=<login@qq.com>", "From: =?utf-8?B?5byg5LiJ?=<login@qq.com>\r\n"),
        (b"=?utf-8?q?login=40qq=2Ecom?=", "From: login@qq.com\r\n"),
        (b"=?utf-8?B?TG9nU2VuZGVyIDxsb2dpbkBxcS5jb20+?=", "From: LogSender <login@qq.com>\r\n"),
        (b"LogSender", "From: LogSender <login@qq.com>\r\n"),
        (b"\xd5\xc5\xc8\xfd <login@qq.com>", "From: =?UTF-8?B?5byg5LiJ?= <login@qq.com>\r\n"),
        ("\u{5f20}\u{4e09} <login@qq.com>".as_bytes(), "From: =?UTF-8?B?5byg5LiJ?= <login@qq.com>\r\n"),
        (b"login@qq.com\r\nFrom: bob@corp.cn", "From: login@qq.com\r\n"),
        (b"team: login@qq.com, bob@corp.cn;", "From: login@qq.com\r\n"),
        (b"login@qq.com, bob@corp.cn", "From: login@qq.com\r\n"),
        (b"\"open <login@qq.com>", "From: open <login@qq.com>\r\n"),
        (b"login@qq.com (Bob (the) Man)", "From: Bob the Man <login@qq.com>\r\n"),
        (b"\"a\\\\\\\"b\" <login@qq.com>", "From: \"a\\\\\\\"b\" <login@qq.com>\r\n"),
    ] {
        let head = [b"From: ", from, b"\r\n"].concat();
        let address = Address::parse("login@qq.com").unwrap();
        let rewrite =
            SenderRewrite { address: &address, display: None, policy: FromPolicy::MustEqualLogin, keep_dkim: false };
        let out = rewrite_sender(&head, &rewrite, &[]);
        assert!(qq_accepts(&out));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{}", from.escape_ascii());
    }
}

#[test]
fn an_alias_may_stand_where_the_provider_knows_it() {
    let (login, alias) = (Address::parse("login@qq.com").unwrap(), Address::parse("Sales@corp.cn").unwrap());
    let put = |head: &str, policy| {
        let rewrite = SenderRewrite { address: &login, display: None, policy, keep_dkim: false };
        let again = |head: &[u8]| rewrite_sender(head, &rewrite, std::slice::from_ref(&alias));
        let out = again(head.as_bytes());
        assert!(qq_accepts(&out));
        assert_eq!(again(&out), out, "rewriting twice");
        String::from_utf8(out).unwrap()
    };
    let from_alias = "From: Bob <sales@corp.cn>\r\n";
    assert_eq!(put(from_alias, FromPolicy::MayBeAlias), from_alias);
    assert_eq!(put("From: sales@corp.cn\r\n", FromPolicy::MayBeAlias), "From: sales@corp.cn\r\n");
    let foreign = "From: Bob <login@qq.com>\r\nReply-To: Bob <bob@corp.cn>\r\nX-Original-From: bob@corp.cn\r\n";
    assert_eq!(put("From: Bob <bob@corp.cn>\r\n", FromPolicy::MayBeAlias), foreign);
    assert!(put(from_alias, FromPolicy::MustEqualLogin).starts_with("From: Bob <login@qq.com>\r\n"));
    let receipts =
        "From: login@qq.com\r\nDisposition-Notification-To: sales@corp.cn\r\nX-Confirm-Reading-To: x@y.cn\r\n";
    assert_eq!(
        put(receipts, FromPolicy::MayBeAlias),
        "From: login@qq.com\r\nDisposition-Notification-To: sales@corp.cn\r\n"
    );
    // Two addresses, of which the second is ours: the first usable one counts, for answers reach it.
    assert!(put("From: x@y.cn, sales@corp.cn\r\n", FromPolicy::MayBeAlias).contains("Reply-To: x@y.cn\r\n"));
}

#[test]
fn what_a_provider_rewrites_is_offered_and_kept_aside() {
    let out = rewritten("Sender: x@y.cn\r\nFrom: Bob <bob@corp.cn>\r\n", None, FromPolicy::RewrittenAnyway);
    assert_eq!(out, "From: Bob <bob@corp.cn>\r\nReply-To: Bob <bob@corp.cn>\r\nX-Original-From: bob@corp.cn\r\n");
    assert_eq!(rewritten("From: printer\r\n", None, FromPolicy::RewrittenAnyway), "From: printer <login@qq.com>\r\n");
}

#[test]
fn a_dkim_signature_goes_only_where_the_new_from_breaks_it() {
    let signed = "DKIM-Signature: v=1; d=corp.cn; h=From; b=x\r\n";
    let foreign = format!("{signed}From: Bob <bob@corp.cn>\r\nDKIM-Signature: v=1; d=x.cn; h=From; b=y\r\n");
    let out = rewritten(&foreign, None, FromPolicy::MustEqualLogin);
    assert!(out.starts_with("From: Bob <login@qq.com>\r\n") && !is_signed(out.as_bytes()), "{out}");
    let two = rewritten(&format!("{signed}From: a@b.cn\r\nFrom: c@d.cn\r\n"), None, FromPolicy::Free);
    assert_eq!(two, "From: a@b.cn\r\n");
    for (from, policy) in
        [("Bob <login@qq.com>", FromPolicy::MustEqualLogin), ("Bob <bob@corp.cn>", FromPolicy::RewrittenAnyway)]
    {
        let out = rewritten(&format!("{signed}From: {from}\r\n"), None, policy);
        assert!(out.starts_with(&format!("{signed}From: {from}\r\n")), "{out}");
    }
    let address = Address::parse("login@qq.com").unwrap();
    let rewrite =
        SenderRewrite { address: &address, display: None, policy: FromPolicy::MustEqualLogin, keep_dkim: true };
    assert!(is_signed(&rewrite_sender(foreign.as_bytes(), &rewrite, &[])));
}

/// A name in a word within a word, and nothing in that but a blank.
#[test]
fn a_name_that_comes_to_nothing_is_none() {
    let empty = "=?utf-8?q?=3D=3Futf-8=3Fq=3F=5F=3F=3D?=";
    for policy in [FromPolicy::MustEqualLogin, FromPolicy::MayBeAlias, FromPolicy::RewrittenAnyway] {
        let out = rewritten(&format!("From: {empty} <login@qq.com>\r\n"), Some("Office"), policy);
        assert_eq!(out, "From: Office <login@qq.com>\r\n", "{policy:?}");
        let out = rewritten(&format!("From: {empty}\r\n"), Some("Office"), policy);
        assert_eq!(out, "From: Office <login@qq.com>\r\n", "{policy:?}");
        let out = rewritten(&format!("From: {empty}, printer\r\n"), Some("Office"), policy);
        assert_eq!(out, "From: printer <login@qq.com>\r\n", "{policy:?}");
    }
    let out = rewritten(&format!("From: {empty} <bob@corp.cn>\r\n"), None, FromPolicy::MustEqualLogin);
    assert!(out.starts_with("From: bob <login@qq.com>\r\n"), "{out}");
}

#[test]
fn only_what_can_be_an_address_changes() {
    let address = Address::parse("office@qq.com").unwrap();
    for (name, expected) in [
        ("ceo@bank.example, x", "ceo at bank.example x"),
        ("ceo@bank.example", "ceo at bank.example"),
        ("<ceo@bank.example> \"x\"", "ceo at bank.example x"),
        ("<ceo>", "ceo"),
        ("boss: ceo@bank.example;", "boss ceo at bank.example"),
        ("ceo\u{ff20}bank.example", "ceo at bank.example"),
        ("ceo\u{fe6b}bank.example", "ceo at bank.example"),
        ("ceo\u{200b}@bank.example", "ceo at bank.example"),
        ("=?utf-8?q?ceo=40bank.example?=", "ceo at bank.example"),
        ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fceo=3D40bank.example=3F=3D?=", "ceo at bank.example"),
        ("=\u{200b}?utf-8?q?ceo=40bank.example?=", "ceo at bank.example"),
        ("张三@bank.example", "张三 at bank.example"),
        ("@", "at"),
        // Ordinary names.
        ("张三", "张三"),
        ("张三 (财务部)", "张三 (财务部)"),
        ("王小明，财务部", "王小明，财务部"),
        ("Smith, John", "Smith, John"),
        ("Sales: \"Bob\" [3rd floor]", "Sales: \"Bob\" [3rd floor]"),
        ("C = ? =? =?x", "C = ? =? =?x"),
        ("Office@QQ.com", "Office@QQ.com"),
        ("", ""),
    ] {
        let defused = defuse(name, &address);
        assert_eq!(defused, expected, "{name}");
        assert_eq!(defuse(&defused, &address), defused, "twice");
    }
}
