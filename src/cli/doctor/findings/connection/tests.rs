//! What the findings about the way must be, case by case.

use std::time::Duration;

use super::*;
use crate::cli::finding::State;

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn names_count_both_families() {
    let found = name("smtp.qq.com", Ok(&addresses(&["203.0.113.7", "2001:db8::1", "203.0.113.8"])), true);
    assert_eq!(found.state, State::Ok);
    assert_eq!(found.what.en, "smtp.qq.com has 2 IPv4 and 1 IPv6 addresses (203.0.113.7)");
    assert_eq!(name("127.0.0.1", Ok(&addresses(&["127.0.0.1"])), false).state, State::Ok);
    assert_eq!(name("x", Ok(&[]), false).state, State::Fail);
    assert_eq!(name("x", Err("no such host"), false).cause.unwrap().en, "no such host");
}

#[test]
fn a_fake_address_of_a_proxy_is_noticed_for_public_hosts_only() {
    for fake in ["198.18.0.7", "198.19.255.1", "127.0.0.1", "10.0.0.1", "0.0.0.0", "::1", "fd00::1"] {
        assert_eq!(name("smtp.qq.com", Ok(&addresses(&[fake])), true).state, State::Warn, "{fake}");
        assert_eq!(name("mail.lan", Ok(&addresses(&[fake])), false).state, State::Ok, "{fake}");
    }
    assert_eq!(name("smtp.qq.com", Ok(&addresses(&["198.20.0.1"])), true).state, State::Ok);
}

#[test]
fn a_blocked_first_port_is_a_warning_with_words() {
    let open = Try { port: 587, result: Ok(12) };
    let shut = Try { port: 465, result: Err("no connection to h:465 within 10 s".into()) };
    let found = tcp("h", &[shut.clone(), open.clone()]);
    assert_eq!(found.state, State::Warn);
    assert_eq!(found.what.en, "h answers at 587 in 12 ms, not at 465");
    assert!(found.remedy.unwrap().en.contains("465"));
    assert_eq!(tcp("h", std::slice::from_ref(&open)).state, State::Ok);
    assert_eq!(tcp("h", &[shut]).state, State::Fail);
}

#[test]
fn every_trouble_has_a_cause_and_a_remedy() {
    let at = Timestamp::from_millis(1_577_836_800_000);
    for (trouble, word) in [
        (Trouble::UnknownIssuer, "virus scanner"),
        (Trouble::WrongName(vec!["other.test".into()]), "host"),
        (Trouble::Expired(Some(at)), "clock"),
        (Trouble::NotYet(None), "clock"),
        (Trouble::NotTls, "starttls"),
        (Trouble::TooOld, "updated"),
        (Trouble::Ca("empty".into()), "PEM"),
        (Trouble::Other("eof".into()), "firewall"),
    ] {
        let found = tls("h", 465, Err(&trouble));
        assert_eq!(found.state, State::Fail);
        let (cause, remedy) = (found.cause.unwrap(), found.remedy.unwrap());
        assert!(remedy.en.contains(word), "{trouble:?}: {}", remedy.en);
        assert!(!cause.en.is_empty() && !cause.zh.is_empty() && !remedy.zh.is_empty());
    }
    let named = tls("h", 465, Err(&Trouble::WrongName(vec!["a.test".into(), "b.test".into()])));
    assert!(named.cause.unwrap().en.contains("a.test, b.test"));
}

#[test]
fn days_are_counted_down() {
    let now = Timestamp::from_millis(1_795_000_000_000);
    let left = |days: u64| {
        let until = now + Duration::from_secs(days * 86_400 + 60);
        certificate(Some(until), now)
    };
    assert_eq!(left(90).state, State::Ok);
    assert!(left(90).what.en.starts_with("good for 90 more days"));
    assert_eq!(left(6).state, State::Warn);
    assert_eq!(certificate(None, now).state, State::Skip);
}
