//! The catalogue against itself, against replies seen in the field, and against nonsense.

use std::collections::BTreeSet;

use super::*;
use crate::provider::reply_text;

#[test]
fn every_row_classifies_its_own_sample() {
    let mut ids = BTreeSet::new();
    for row in ROWS.iter() {
        let (code, text) = row.sample.split_once(' ').unwrap();
        for &phase in &row.phases {
            let code = if row.codes.iter().any(|p| fits_code(p, code)) { code } else { panic!("{row:?}") };
            let verdict = classify(row.group, phase, code.parse().unwrap(), &reply_text([text]));
            assert_eq!(verdict, row.verdict, "{phase:?} {}", row.sample);
        }
        assert!(ids.insert(row.verdict.cause), "{} twice", row.verdict.cause);
        let parts = || row.needles.iter().flatten();
        assert!(parts().all(|part| *part == part.to_ascii_lowercase()), "{row:?}");
        // One empty alternative among others would swallow every text.
        assert!(row.needles.len() == 1 && row.needles[0].len() == 1 || parts().all(|part| !part.is_empty()), "{row:?}");
    }
}

#[test]
fn every_alternative_of_every_row_is_reached() {
    for row in ROWS.iter() {
        for all in &row.needles {
            let text = format!("x {} x", all.join(" - ")).to_uppercase();
            for codes in &row.codes {
                let code: u16 = codes.replace('.', "0").parse().unwrap();
                let code = if code == 0 { 200 } else { code };
                let verdict = classify(row.group, row.phases[0], code, &text);
                // An earlier, sharper row may answer; it must then say the same of the same scope.
                assert_eq!((verdict.scope, verdict.action), (row.verdict.scope, row.verdict.action), "{text} {row:?}");
            }
        }
    }
}

#[test]
fn rate_limits_that_call_themselves_permanent_are_waited_for() {
    for text in [
        "Ip frequency limited",
        "Connection frequency limited",
        "Sender frequency limited.",
        "DOMAIN FREQUENCY LIMITED",
    ] {
        let verdict = classify(Group::Tencent, Phase::Data, 550, text);
        assert_eq!((verdict.scope, verdict.action), (Scope::Account, Action::RetryHour), "{text}");
    }
    assert_eq!(classify(Group::Tencent, Phase::Mail, 550, "域名当日发信量到达上限").action, Action::RetryDay);
}

#[test]
fn a_log_in_is_never_repeated_at_once() {
    for group in [Group::Tencent, Group::Generic] {
        for code in (400..600).filter(|code| *code != 502) {
            let verdict = classify(group, Phase::Auth, code, "whatever");
            assert!(matches!(verdict.action, Action::Cool15 | Action::Cool15ThenPause), "{code} {verdict:?}");
            assert_eq!(verdict.scope, Scope::Account);
        }
    }
    let vague = "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, \
                 or system is busy. More information at https://help.mail.qq.com/detail/0/1023";
    assert_eq!(classify(Group::Tencent, Phase::Auth, 535, vague).cause, "QQ-A3");
}

#[test]
fn a_permanent_cause_behind_a_4yz_pauses() {
    let verdict = classify(Group::Tencent, Phase::Auth, 454, "Authentication failed, please open smtp flag first!");
    assert_eq!((verdict.cause, verdict.action), ("QQ-A4", Action::Pause));
}

#[test]
fn gbk_octets_are_understood() {
    let (gbk, _, _) = encoding_rs::GB18030.encode("Error: 请使用授权码登录。");
    assert_eq!(classify(Group::Tencent, Phase::Auth, 535, &reply_text([gbk])).cause, "QQ-A1");
    let (gbk, _, _) = encoding_rs::GB18030.encode("系统已强制要求该帐号绑定微信，请登录exmail.qq.com绑定微信");
    let verdict = classify(Group::Tencent, Phase::Mail, 501, &reply_text([gbk]));
    assert_eq!((verdict.cause, verdict.action), ("QQ-M5", Action::Pause));
}

#[test]
fn a_group_hides_its_rows_from_the_others() {
    assert_eq!(classify(Group::Generic, Phase::Data, 550, "Ip frequency limited").cause, "XX-10");
}

#[test]
fn one_bad_recipient_condemns_nobody_else() {
    let verdict = classify(Group::Tencent, Phase::Rcpt, 550, "Mailbox not found.");
    assert_eq!((verdict.scope, verdict.action), (Scope::Recipient, Action::BounceRecipient));
    for code in (500..600).filter(|code| *code != 503) {
        assert_eq!(classify(Group::Generic, Phase::Rcpt, code, "no").scope, Scope::Recipient, "{code}");
    }
    // Out of step: nothing was said about the recipient.
    assert_eq!(classify(Group::Generic, Phase::Rcpt, 503, "no").scope, Scope::Session);
    assert_eq!(classify(Group::Generic, Phase::Rcpt, 452, "4.5.3 Too many recipients").action, Action::Split);
}

#[test]
fn nothing_said_after_the_dot_matters() {
    for code in [0, 221, 250, 421, 500, 999, u16::MAX] {
        let verdict = classify(Group::Tencent, Phase::Quit, code, "\u{1a} ");
        assert!(matches!(verdict.action, Action::Ok | Action::RetrySoon) && verdict.scope == Scope::Session, "{code}");
    }
}

#[test]
fn every_code_has_a_verdict_and_only_5yz_bounces_without_a_text() {
    for (_, phase) in Phase::ALL {
        for group in [Group::Tencent, Group::Generic] {
            for code in 0..=1000 {
                let verdict = classify(group, phase, code, "");
                let bounced = matches!(verdict.action, Action::Bounce | Action::BounceRecipient);
                assert!(!bounced || (500..600).contains(&code), "{phase:?} {code} {verdict:?}");
                let good = (200..400).contains(&code) || phase == Phase::Quit && (0..1000).contains(&code);
                assert_eq!(verdict.action == Action::Ok, good, "{phase:?} {code} {verdict:?}");
            }
            assert_eq!(classify(group, phase, u16::MAX, ""), UNREADABLE);
        }
    }
}
