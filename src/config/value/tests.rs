//! Every kind of value: what is read, and what is not.

use super::*;
use crate::config::keys::KEYS;
use crate::config::written;

fn string(text: &str) -> Value {
    Value::from(text)
}

fn list_of(items: &[&str]) -> Value {
    Value::from(items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>())
}

#[test]
fn every_default_and_every_example_reads() {
    for key in KEYS {
        let text = key.default.unwrap_or(key.example);
        assert!(!text.is_empty() && !key.help.is_empty(), "{}", key.pattern);
        let value = written::constant(key, text);
        if let Err(fault) = read(key.kind, &value) {
            panic!("{} = {text}: {fault:?}", key.pattern);
        }
    }
}

#[test]
fn times() {
    let millis = |text: &str| time(text, 0).map(|time| time.as_millis());
    for (text, expected) in [
        ("1m", 60_000),
        ("5d", 432_000_000),
        ("500ms", 500),
        ("1h30m", 5_400_000),
        ("0s", 0),
        ("3650d", 315_360_000_000),
    ] {
        assert_eq!(millis(text), Ok(expected), "{text}");
    }
    for text in
        ["", "5", "d", "5 d", "-5s", "1.5h", "5days", "1h30", "99999999999999999999s", "18446744073709551615d", "4000d"]
    {
        assert!(millis(text).is_err(), "{text}");
    }
    assert!(time("500ms", 1).is_err() && time("1s", 1).is_ok());
}

#[test]
fn sizes() {
    for (text, expected) in [
        ("50MiB", 52_428_800),
        ("5GiB", 5_368_709_120),
        ("200MB", 200_000_000),
        ("1048576", 1_048_576),
        ("50 mib", 52_428_800),
        ("2k", 2048),
    ] {
        assert_eq!(size(&string(text), 0), Ok(expected), "{text}");
    }
    assert_eq!(size(&Value::from(1_048_576_i64), 0), Ok(1_048_576));
    for text in ["", "MiB", "-1", "5.5GiB", "5XB", "99999999999TiB"] {
        assert!(size(&string(text), 0).is_err(), "{text}");
    }
    assert!(size(&Value::from(-1_i64), 0).is_err());
    assert!(size(&string("1k"), 4096).is_err());
}

#[test]
fn rates() {
    let parts = |text: &str| rate(text).map(|rate| (rate.count.get(), rate.per.as_secs()));
    assert_eq!(parts("600/min"), Ok((600, 60)));
    assert_eq!(parts("10 / s"), Ok((10, 1)));
    for text in ["600", "600/", "/min", "0/min", "-1/s", "600/day", "4294967296/s"] {
        assert!(rate(text).is_err(), "{text}");
    }
}

#[test]
fn networks() {
    for (text, expected) in [
        ("192.168.1.20", "192.168.1.20/32"),
        ("192.168.1.20/24", "192.168.1.0/24"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("fc00::/7", "fc00::/7"),
    ] {
        assert_eq!(own_network(text).unwrap().to_string(), expected);
    }
    for text in ["", "192.168.1", "192.168.1.0/33", "10.0.0.0/8/8", "lan", "192.168.1.0-9"] {
        assert!(own_network(text).is_err() && network(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_known_may_be_known_of_everybody() {
    for text in ["0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"] {
        assert_eq!(network(text).unwrap().to_string(), text);
    }
    for text in ["::ffff:0:0/96", "::ffff:10.0.0.1", "::/1"] {
        assert!(network(text).is_err(), "{text}");
    }
}

#[test]
fn texts_for_people_and_charsets() {
    assert_eq!(phrase("扫描仪 2F", LONGEST_PHRASE).as_deref(), Ok("扫描仪 2F"));
    for text in ["", "a\r\nBcc: b@c.d", &"长".repeat(101)] {
        assert!(phrase(text, LONGEST_PHRASE).is_err(), "{text}");
    }
    for (label, name) in [("GBK", "GBK"), ("gb2312", "GBK"), ("big5", "Big5"), (" utf-8 ", "UTF-8"), ("cp936", "")] {
        assert_eq!(charset(label).map_or("", Encoding::name), name, "{label}");
    }
    assert!(charset("utf-16").is_err() && charset("utf-7").is_err() && charset("iso-2022-kr").is_err());
    assert!(mailbox("a@b.c").is_ok() && mailbox("root").is_err() && mailbox("A <a@b.c>").is_err());
}

#[test]
fn nobody_becomes_an_open_relay_by_a_slip() {
    for text in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "::/1", "2000::/3", "::ffff:0.0.0.0/96", "1.2.3.4/0"]
    {
        assert!(own_network(text).is_err(), "{text}");
    }
}

#[test]
fn sockets() {
    for text in ["127.0.0.1:25", "[::]:25", "127.0.0.1:0"] {
        assert!(socket(text).is_ok(), "{text}");
    }
    for text in ["25", ":25", "localhost:25", "127.0.0.1", "127.0.0.1:65536", "::1:25:", "*:25"] {
        assert!(socket(text).is_err(), "{text}");
    }
}

#[test]
fn host_names() {
    for text in ["relay", "relay.example.lan", "my_host", "[192.0.2.1]", "relay.example.lan."] {
        assert!(hostname(text).is_ok(), "{text}");
    }
    for text in ["", "a b", "中继", "a..b", "192.0.2.1", "x>\r\nQUIT", "[", "host:25"] {
        assert!(hostname(text).is_err(), "{text}");
    }
    for text in ["smtp.qq.com", "127.0.0.1", "::1", "localhost"] {
        assert!(host(text).is_ok(), "{text}");
    }
    for text in ["smtp.qq.com:465", "[::1]", "smtps://smtp.qq.com", "a@b", ""] {
        assert!(host(text).is_err(), "{text}");
    }
}

#[test]
fn choices() {
    assert_eq!(word("off", &["off"], &["starttls"]), Ok("off"));
    assert!(word("starttls", &["off"], &["starttls"]).unwrap_err().reason.contains("not supported yet"));
    assert!(word("Off", &["off"], &[]).unwrap_err().reason.contains("no such choice"));
    assert_eq!(words(&string("plain"), &["login", "plain"], &[]), Ok(vec!["plain"]));
    assert_eq!(words(&list_of(&["plain", "login"]), &["login", "plain"], &[]), Ok(vec!["plain", "login"]));
    assert!(words(&list_of(&[]), &["login"], &[]).is_err());
}

#[test]
fn notices() {
    assert_eq!(notice("self"), Ok(NoticeTo::Account));
    assert!(matches!(notice("a@b.c"), Ok(NoticeTo::Address(_))));
    for text in ["", "me", "a@", "a@b@c"] {
        assert!(notice(text).is_err(), "{text}");
    }
}

#[test]
fn types_are_strict() {
    assert!(read(Kind::Whole(1, 9), &string("5")).is_err());
    assert!(read(Kind::Host, &Value::from(5_i64)).is_err());
    assert!(read(Kind::Sockets, &string("127.0.0.1:25")).is_err());
    assert!(read(Kind::Times, &Value::from(vec![1_i64])).is_err());
    assert!(read(Kind::Provider, &string("QQ")).unwrap_err().remedy.contains("did you mean \"qq\""));
}

#[test]
fn no_fault_quotes_a_secret() {
    for value in [string("hunter2"), list_of(&["hunter2"]), list_of(&["what", "hunter2"]), Value::from(7_i64)] {
        let fault = read(Kind::Secret, &value).unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"));
    }
    assert_eq!(
        read(Kind::Secret, &list_of(&["plain", "007"])),
        Ok(Meaning::Secret(SecretSource::Plain(Secret::new("007"))))
    );
}

#[test]
fn proxies() {
    for (text, shown, has_login) in [
        ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080", false),
        ("SOCKS5h://proxy.lan:1080/", "socks5://proxy.lan:1080", false),
        ("http://[::1]:3128", "http://[::1]:3128", false),
        ("socks5://relay:p%40ss:w@rd@proxy:1080", "socks5://proxy:1080", true),
        ("http://u:p@proxy.example.com:8080", "http://proxy.example.com:8080", true),
    ] {
        let proxy = proxy(text).unwrap();
        assert_eq!((proxy.to_string().as_str(), proxy.has_login()), (shown, has_login), "{text}");
    }
    let shown = |text: &str| display::display(Kind::Proxy, &string(text));
    for (text, reason) in [
        ("", "is written socks5://"),
        ("127.0.0.1:1080", "is written socks5://"),
        ("https://proxy:3128", "not supported"),
        ("socks4://proxy:1080", "is written socks5://"),
        ("socks5://proxy", "needs its port"),
        ("socks5://proxy:0", "needs its port"),
        ("socks5://proxy:70000", "needs its port"),
        ("socks5://proxy:+1", "needs its port"),
        ("socks5://:1080", "needs a host name"),
        ("socks5://::1:1080", "needs a host name"),
        ("socks5://proxy:1080/path", "behind the port"),
        // What other programs take: it must not be read as anything, and not be shown.
        ("socks5://proxy:1080:relay:hunter2", "behind the port"),
        ("socks5://relay@proxy:1080", "log-in"),
        ("socks5://:hunter2@proxy:1080", "log-in"),
        ("socks5://relay:50%@proxy:1080", "log-in"),
    ] {
        let fault = proxy(text).unwrap_err();
        assert!(fault.reason.contains(reason), "{text}: {}", fault.reason);
        assert!(!format!("{fault:?}").contains("hunter2") && shown(text) == display::HIDDEN, "{text}");
    }
    assert_eq!(shown("socks5://relay:hun@ter2@proxy:1080"), "\"socks5://[secret]@proxy:1080\"");
    assert_eq!(shown("http://proxy:1080"), "\"http://proxy:1080\"");
}

#[test]
fn webhooks() {
    for url in [
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx",
        "https://hooks.example.com:8443",
        "HTTPS://[2001:db8::1]/x",
    ] {
        assert_eq!(webhook_url(url), Ok(Carriage::Encrypted), "{url}");
    }
    for url in [
        "http://localhost:9000/hook",
        "http://127.0.0.1/x",
        "http://192.168.1.2:80/x",
        "http://[::1]:9000/",
        "http://[fd00::1]/",
        "http://alertmanager:9093/",
        "http://hooks.office.lan/x",
        "http://hooks.svc.cluster.local/x?token=1",
    ] {
        assert_eq!(webhook_url(url), Ok(Carriage::Clear), "{url}");
    }
    for (url, reason) in [
        ("", "not a URL"),
        ("hunter2", "not a URL"),
        ("ftp://hooks.example.com/hunter2", "https://"),
        ("http://hooks.example.com/hunter2", "in the clear"),
        ("http://8.8.8.8/hunter2", "in the clear"),
        ("http://172.32.0.1/hunter2", "in the clear"),
        ("http://localhost.example.com/hunter2", "in the clear"),
        ("https://hooks.example.com/a hunter2", "blanks"),
        ("https://hooks.example.com/钩子", "ASCII"),
        ("https:///hunter2", "no host"),
        ("https://relay:hunter2@hooks.example.com/", "no host"),
        ("http://127.0.0.1@hooks.example.com/hunter2", "no host"),
        ("https://hooks.example.com:x/hunter2", "no host"),
        ("https://[::1/hunter2", "no host"),
    ] {
        let fault = webhook_url(url).unwrap_err();
        assert!(fault.reason.contains(reason), "{url}: {}", fault.reason);
        assert!(!format!("{fault:?}").contains("hunter2"), "{url}");
    }
}

#[test]
fn patterns_and_names() {
    for text in ["*@example.com", "boss@example.com", "*", "printer@"] {
        assert_eq!(pattern(text).map(|pattern| pattern.to_string()).as_deref(), Ok(text));
    }
    for (text, remedy) in [
        ("example.com", "write \"*@example.com\""),
        ("@example.com", "write \"*@example.com\""),
        ("a b@example.com", "for all of a domain"),
        ("a@b@c", "for all of a domain"),
        ("老板@example.com", "for all of a domain"),
        ("", "for all of a domain"),
        ("root@*", "for all of a domain"),
        ("*scan*@*.lan", "for all of a domain"),
        ("printer", "write \"printer@\""),
    ] {
        assert!(pattern(text).unwrap_err().remedy.contains(remedy), "{text}");
    }
    assert_eq!(name("office"), Ok("office".to_owned()));
    assert!(name("Office 2").is_err() && name("").is_err());
    assert_eq!(read(Kind::Names, &string(" office ")), Ok(Meaning::Texts(vec!["office".to_owned()])));
    assert_eq!(read(Kind::Names, &list_of(&["a", "b"])), Ok(Meaning::Texts(vec!["a".to_owned(), "b".to_owned()])));
}

#[test]
fn words_of_the_reply_catalogue() {
    assert_eq!(read(Kind::Phases, &list_of(&["data", "RCPT"])), Ok(Meaning::Words(vec!["DATA", "RCPT"])));
    assert!(phase("DATE").unwrap_err().remedy.starts_with("did you mean \"DATA\"? there is: CONNECT, "));
    for (text, meaning) in [
        ("OK", "OK"),
        ("cool15>pause", "COOL15>PAUSE"),
        ("RETRY_HOUR>PAUSE+ALERT", "RETRY_HOUR>PAUSE+ALERT"),
        ("bounce_rcpt +alert", "BOUNCE_RCPT+ALERT"),
        ("retry>bounce", "RETRY>BOUNCE"),
    ] {
        assert_eq!(action(text).as_deref(), Ok(meaning));
    }
    for text in ["", "+ALERT", "RETRY", "OK+ALERT+ALERT", "PAUSE>COOL15", "BOUNCE>PAUSE"] {
        assert!(action(text).is_err(), "{text}");
    }
}
