//! What the findings about the dialogue must be, with the providers' own words.

use std::time::Duration;

use super::*;
use crate::cli::finding::State;

fn said(code: u16, text: &str) -> Refusal {
    Refusal::Reply(code, text.to_owned())
}

#[test]
fn a_greeting_with_a_date_tells_the_time() {
    let date = date_in("220 mx.test ESMTP Exim 4.96 Sat, 21 Nov 2026 20:48:44 +0800").unwrap();
    assert_eq!(date.millis(), 1_795_265_324_000);
    assert_eq!(date_in("220 smtp.qq.com Esmtp QQ Mail Server"), None);
    assert_eq!(date_in("220 hello, world"), None);
    assert_eq!(date_in(", "), None);
}

#[test]
fn a_skewed_clock_is_a_warning_either_way() {
    let now = Timestamp::from_millis(1_795_265_324_000);
    assert_eq!(clock(now, now + Duration::from_secs(300)).state, State::Ok);
    let ahead = clock(now, now + Duration::from_secs(301));
    assert_eq!((ahead.state, ahead.what.en.as_str()), (State::Warn, "our clock is 301 s ahead of the provider's"));
    assert_eq!(clock(now, now - Duration::from_secs(3600)).what.zh, "本机时钟比服务商慢 3600 秒");
}

#[test]
fn mechanisms_of_all_lines_add_up() {
    let lines = ["smtp.qq.com", "PIPELINING", "AUTH LOGIN PLAIN XOAUTH2", "auth=login"];
    assert_eq!(mechanisms(lines), ["LOGIN", "PLAIN", "XOAUTH2"]);
    assert!(mechanisms(["AUTHENTIC x"]).is_empty());
}

#[test]
fn an_offer_is_held_against_the_preset() {
    let login = vec![Mechanism::Login, Mechanism::Plain];
    let qq = Offer {
        size: Some(73_400_320),
        size_expected: Some(73_400_320),
        mechanisms: vec!["LOGIN".into(), "PLAIN".into()],
        login: login.clone(),
    };
    assert_eq!(ehlo(&qq).state, State::Ok);
    assert_eq!(ehlo(&qq).what.en, "SIZE 70.0 MiB, AUTH LOGIN PLAIN");
    assert_eq!(ehlo(&Offer { size: Some(1024), ..qq.clone() }).state, State::Warn);
    assert_eq!(ehlo(&Offer { size: None, ..qq.clone() }).state, State::Ok);
    let oauth = ehlo(&Offer { mechanisms: vec!["XOAUTH2".into()], ..qq });
    assert_eq!(oauth.state, State::Fail);
    assert!(oauth.cause.unwrap().en.contains("login, plain"));
}

#[test]
fn a_refused_log_in_names_the_row_and_says_to_wait() {
    let vague = "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, \
        or system is busy.";
    for (group, code, text, cause, word) in [
        (Group::Tencent, 535, vague, "QQ-A3", "new authorization code"),
        (Group::Tencent, 535, "Error: 请使用授权码登录。", "QQ-A1", "authorization code"),
        (Group::Tencent, 454, "Authentication failed, please open smtp flag first!", "QQ-A4", "SMTP service"),
    ] {
        let found = login("a@qq.com", group, Err(&said(code, text)));
        assert_eq!(found.state, State::Fail);
        assert!(found.cause.unwrap().en.contains(cause));
        let remedy = found.remedy.unwrap();
        assert!(remedy.en.contains(word) && remedy.en.contains("15 minutes"), "{}", remedy.en);
    }
    let other = login("a@b.c", Group::Generic, Err(&said(535, "5.7.8 bad credentials")));
    assert!(other.remedy.unwrap().zh.contains("15 分钟"));
    assert_eq!(login("a@b.c", Group::Generic, Ok(())).state, State::Ok);
    assert_eq!(login("a@b.c", Group::Generic, Err(&Refusal::Lost(Lost::Eof))).state, State::Fail);
}

#[test]
fn a_refused_sender_is_told_from_a_pause() {
    let other = said(501, "Mail from address must be same as authorization user.");
    assert!(sender("a@b.c", Group::Tencent, Err(&other)).remedy.unwrap().en.contains("user"));
    let fast = said(550, "Ip frequency limited");
    assert!(sender("a@b.c", Group::Tencent, Err(&fast)).remedy.unwrap().en.contains("wait"));
    assert_eq!(sender("a@b.c", Group::Tencent, Ok(())).state, State::Ok);
}

#[test]
fn a_dialogue_that_ends_early_is_a_failure() {
    assert_eq!(opening(&said(421, "busy")).state, State::Fail);
    assert!(opening(&Refusal::Lost(Lost::Reset)).remedy.unwrap().en.contains("port"));
    assert_eq!((no_starttls().check, no_starttls().state), ("tls", State::Fail));
}
