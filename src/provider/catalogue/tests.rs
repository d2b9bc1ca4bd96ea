//! The catalogue against itself, against replies seen in the field, and against nonsense.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::provider::reply_text;

fn classify(group: Group, phase: Phase, code: u16, text: &str) -> Verdict {
    Catalogue::built_in().classify(group, phase, code, text)
}

/// A reply with its code in front, as people copy it.
fn of_reply(group: Group, phase: Phase, reply: &str) -> Verdict {
    let (code, text) = reply.split_once(' ').unwrap();
    classify(group, phase, code.parse().unwrap(), &reply_text([text]))
}

#[test]
fn every_row_classifies_its_own_sample_in_every_one_of_its_phases() {
    let mut ids = BTreeSet::new();
    for row in TABLE.iter() {
        for &phase in &row.phases {
            let verdict = of_reply(row.group.unwrap(), phase, row.sample);
            assert_eq!(verdict, row.verdict, "{phase:?} {}", row.sample);
        }
        assert!(ids.insert(row.verdict.cause), "{} twice", row.verdict.cause);
    }
    // Of these, 14 are what this program needs so that there is always an answer.
    assert_eq!(TABLE.len(), 318);
}

#[test]
fn every_pattern_of_the_table_compiles_and_says_what_it_needs() {
    for row in TABLE.iter() {
        assert!(row.regex().is_some(), "{}", row.verdict.cause);
        // A pattern without words would be run for every reply with its code.
        let cheap = row.filter.has_words() || row.filter.is_whole_pattern();
        assert!(cheap, "{}: {:?}", row.verdict.cause, row.filter);
    }
}

#[test]
fn every_row_tells_the_owner_what_to_do_in_both_languages() {
    for row in TABLE.iter() {
        let (cause, Remedy { en, zh }) = (row.verdict.cause, row.verdict.remedy);
        assert!(en.len() > 20 && en.ends_with('.') && en.is_ascii(), "{cause}: {en}");
        assert!(zh.chars().count() > 6 && zh.ends_with('。') && !zh.is_ascii(), "{cause}: {zh}");
        // What nobody has confirmed is not said as a fact.
        if row.grade == Grade::Hearsay {
            assert!(en.to_lowercase().contains("probably") && zh.contains("可能"), "{cause}: {en}");
        }
        let misleads = ["most often the address", "Probably nothing", "Look at host and port"]
            .iter()
            .any(|what| en.contains(what));
        assert!(!misleads || row.group != Some(Group::Generic), "{cause}: {en}");
        let waits = !matches!(row.verdict.action, Action::Pause | Action::Bounce | Action::BounceRecipient);
        assert!(waits || !en.starts_with("Nothing to do"), "{cause}");
    }
}

/// Rows whose first digit says the opposite of what is true: for each the digit, and whether it passes by itself.
const LIARS: &[(&str, char, bool)] = &[
    ("QQ-A4", '4', false),
    ("QQ-D5", '5', true),
    ("QQ-F1", '5', true),
    ("QQ-F2", '5', true),
    ("QQ-F3", '5', true),
    ("QQ-F4", '5', true),
    ("QQ-F5", '5', true),
    ("QQ-F6", '5', true),
    ("QQ-R2", '5', true),
    ("NE-A2", '5', false),
    ("NE-Q2", '5', true),
    ("NE-Q3", '5', true),
    ("NE-Q4", '5', true),
    ("NE-B2", '4', true),
    ("NE-R2", '5', true),
    ("AL-M1", '4', false),
    ("AL-Q2", '5', true),
    ("DM-M1", '4', false),
    ("DM-Q1", '5', true),
    ("SI-C1", '5', true),
    ("GM-Q1", '5', true),
    ("GM-Q2", '5', true),
    ("MS-T1", '4', false),
    ("MS-Q1", '5', true),
    ("MS-Q2", '5', true),
    ("MS-R2", '5', true),
    ("IC-Q1", '5', true),
    ("ZO-Q1", '5', true),
    ("MG-A2", '4', false),
    ("MS-Q5", '5', true),
    ("MS-Q6", '5', true),
    ("AL-Q3", '5', true),
    ("AL-Q4", '5', true),
    ("TC-Q1", '5', true),
    ("TC-Q2", '5', true),
    ("TC-Q3", '5', true),
    ("TC-Q4", '5', true),
    ("YX-A3", '5', true),
    ("YX-Q1", '5', true),
    ("GX-Q1", '5', true),
    ("GD-Q1", '5', true),
    ("OV-Q1", '5', true),
    ("CP-Q1", '5', true),
    ("CP-Q2", '5', true),
    ("CP-Q3", '5', true),
    ("XX-11", '5', true),
    ("XX-12", '5', true),
];

#[test]
fn a_first_digit_that_lies_is_not_believed() {
    for &(cause, digit, passes) in LIARS {
        let row = TABLE.iter().find(|row| row.verdict.cause == cause).unwrap();
        assert_eq!(row.sample.chars().next(), Some(digit), "{cause}");
        for &phase in &row.phases {
            let verdict = of_reply(row.group.unwrap(), phase, row.sample);
            assert_eq!(verdict.cause, cause);
            let waits = matches!(verdict.action, Action::RetryHour | Action::RetryDay | Action::Cool15);
            // What does not pass pauses the account or is repaired: neither a bounce nor a try after a try.
            let acts = matches!(verdict.action, Action::Pause | Action::Rewrite);
            assert_eq!((waits, acts), (passes, !passes), "{cause} {verdict:?}");
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
        assert!(verdict.scope.holds_account(), "{text}");
        assert_eq!(verdict.action, Action::RetryHour, "{text}");
    }
    assert_eq!(classify(Group::Tencent, Phase::Mail, 550, "域名当日发信量到达上限").action, Action::RetryDay);
}

#[test]
fn a_log_in_is_never_repeated_at_once() {
    for group in Group::ALL {
        // 421 says that the server closes; the account's state makes minutes of it (upstream::outcome).
        for code in (400..600).filter(|code| *code != 421) {
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
fn gbk_octets_are_understood() {
    let (gbk, _, _) = encoding_rs::GB18030.encode("Error: 请使用授权码登录。");
    assert_eq!(classify(Group::Tencent, Phase::Auth, 535, &reply_text([gbk])).cause, "QQ-A1");
    let (gbk, _, _) = encoding_rs::GB18030.encode("系统已强制要求该帐号绑定微信，请登录exmail.qq.com绑定微信");
    let verdict = classify(Group::Tencent, Phase::Mail, 501, &reply_text([gbk]));
    assert_eq!((verdict.cause, verdict.action), ("QQ-M5", Action::Pause));
}

#[test]
fn a_group_hides_its_rows_from_the_others() {
    // The general rules still understand what others can read.
    assert_eq!(classify(Group::Generic, Phase::Data, 550, "Ip frequency limited").cause, "W-RATE");
    assert_eq!(classify(Group::Gmail, Phase::Data, 554, "MI:STC").cause, "XX-10");
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
    for code in [452, 552] {
        assert_eq!(classify(Group::Generic, Phase::Rcpt, code, "4.5.3 Too many recipients").action, Action::Split);
    }
    // A full mailbox of one recipient does not stop the account; the same words after the message may mean either.
    assert_eq!(classify(Group::Netease, Phase::Rcpt, 550, "User is over flow").scope, Scope::Recipient);
    assert_eq!(classify(Group::Netease, Phase::Data, 550, "User is over flow").scope, Scope::Account);
}

#[test]
fn nothing_said_after_the_dot_matters() {
    for phase in [Phase::Quit, Phase::Rset] {
        for code in [0, 221, 250, 421, 500, 551, 999, u16::MAX] {
            for group in Group::ALL {
                let verdict = classify(group, phase, code, "\u{1a} main account unavailable");
                assert!(matches!(verdict.action, Action::Ok | Action::RetrySoon), "{code}");
                assert_eq!(verdict.scope, Scope::Session, "{code}");
            }
        }
    }
}

#[test]
fn every_code_has_a_verdict_and_none_bounces_without_a_text() {
    for phase in Phase::ALL {
        for group in Group::ALL {
            for code in 0..=1000 {
                let verdict = classify(group, phase, code, "");
                let bounced = matches!(verdict.action, Action::Bounce | Action::BounceRecipient);
                assert!(!bounced, "{phase:?} {code} {verdict:?}");
                let good = (200..400).contains(&code) || !phase.matters() && (0..1000).contains(&code);
                assert_eq!(verdict.action == Action::Ok, good, "{phase:?} {code} {verdict:?}");
            }
            assert_eq!(classify(group, phase, u16::MAX, ""), UNREADABLE);
        }
    }
}

#[test]
fn what_only_the_digit_decided_is_not_known() {
    for (phase, code, known) in [
        (Phase::Data, 550, false),
        (Phase::Data, 451, false),
        (Phase::Rcpt, 550, false),
        (Phase::Auth, 534, false),
        (Phase::Connect, 554, false),
        (Phase::Data, 250, true),
        (Phase::Auth, 535, true),
        (Phase::Data, 421, true),
        (Phase::Data, 552, true),
        (Phase::Mail, 503, true),
        (Phase::Data, 199, false),
    ] {
        assert_eq!(classify(Group::Generic, phase, code, "words of nobody").is_known(), known, "{phase:?} {code}");
    }
}

#[test]
fn an_unknown_wording_is_news_once() {
    let catalogue = Catalogue::built_in();
    assert!(catalogue.is_news(550, "5.7.1 Strange words for <a@example.com> (id 12345)"));
    assert!(
        !catalogue.is_news(550, "5.7.1 strange words for <b@example.com> (id 99)"),
        "only address and number differ"
    );
    assert!(catalogue.is_news(554, "5.7.1 strange words for <b@example.com>"), "another code");
    assert!(!catalogue.clone().is_news(554, "strange words for"), "clones share what they know");
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    let wordings =
        (0..2 * MOST_UNKNOWN).map(|n| [letter(n / 676), letter(n / 26), letter(n)].iter().collect::<String>());
    let news = wordings.filter(|text| catalogue.is_news(550, text)).count();
    assert_eq!(news, MOST_UNKNOWN - 2, "no more than a few are remembered");
}

fn own(pattern: &str, action: &str) -> UserRow {
    UserRow { pattern: pattern.to_owned(), action: action.to_owned(), ..UserRow::default() }
}

#[test]
fn rows_of_the_owner_come_first() {
    let rows = vec![
        UserRow {
            provider: Some("foxmail".to_owned()),
            phase: Some("data, RCPT".to_owned()),
            remedy: Some("Call Ms Li.".to_owned()),
            ..own("^550 .*mailbox not found", "retry_day+alert")
        },
        UserRow { scope: Some("recipient".to_owned()), ..own("quota of the moon", "Cool15") },
    ];
    let catalogue = Catalogue::with(rows).unwrap();
    let verdict = catalogue.classify(Group::Tencent, Phase::Rcpt, 550, "MAILBOX not found");
    assert_eq!((verdict.cause, verdict.scope, verdict.action), ("own-1", Scope::Account, Action::RetryDay));
    assert!(verdict.alert && verdict.basis == Basis::Row);
    assert_eq!(verdict.remedy, Remedy { en: "Call Ms Li.", zh: "Call Ms Li." });
    // Another phase, another provider: the built-in rows.
    assert_eq!(catalogue.classify(Group::Tencent, Phase::Data, 550, "Ip frequency limited").cause, "QQ-F1");
    assert_eq!(catalogue.classify(Group::Gmail, Phase::Rcpt, 550, "mailbox not found").cause, "W-RCPT");
    for group in Group::ALL {
        let verdict = catalogue.classify(group, Phase::Connect, 554, "5.7.1 the Quota of the Moon");
        assert_eq!((verdict.cause, verdict.scope, verdict.action), ("own-2", Scope::Recipient, Action::Cool15));
        assert_eq!(catalogue.classify(group, Phase::Quit, 554, "the quota of the moon").cause, "XX-8");
    }
    let entry = catalogue.entry("own-2").unwrap();
    assert_eq!((entry.grade, entry.sample), (Grade::Own, ""));
    assert_eq!(catalogue.entry("QQ-F1").unwrap().sample, "550 Ip frequency limited");
    assert_eq!(catalogue.entry("nothing"), None);
}

#[test]
fn a_bad_word_of_the_owner_names_the_legal_ones() {
    let some = |word: &str| Some(word.to_owned());
    let cases = [
        (UserRow { provider: some("qqq"), ..own("x", "pause") }, "provider", "tencent"),
        (UserRow { provider: some("qqq"), ..own("x", "pause") }, "provider", "163-enterprise"),
        (UserRow { phase: some("body"), ..own("x", "pause") }, "phase", "any, connect, ehlo"),
        (own("550 (", "pause"), "pattern", "cannot be read"),
        (own("(a{1000}){1000}", "pause"), "pattern", "cannot be read"),
        (own("x", "wait"), "action", "retry_hour>pause"),
        (own("x", "pause+shout"), "action", "+alert"),
        (UserRow { scope: some("world"), ..own("x", "pause") }, "scope", "account+host"),
    ];
    for (bad, key, names) in cases {
        let error = Catalogue::with(vec![own("x", "pause"), bad]).unwrap_err();
        assert_eq!((error.row(), error.key()), (1, key));
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[test]
fn every_action_has_a_scope_of_its_own_for_the_owner() {
    for action in Action::ALL {
        let word = action.word();
        let catalogue = Catalogue::with(vec![own("moon", word), own("sun", &word.to_uppercase())]).unwrap();
        let verdict = catalogue.classify(Group::Generic, Phase::Rcpt, 550, "moon");
        assert_eq!(verdict.action, action);
        let holds = matches!(verdict.scope, Scope::Account);
        let stops = ["cool15", "cool15>pause", "retry_hour", "retry_hour>pause", "retry_day", "pause"];
        assert_eq!(holds, stops.contains(&word), "{word}");
        assert_eq!(catalogue.classify(Group::Generic, Phase::Rcpt, 550, "sun").action, action);
    }
}

proptest! {
    // Each case asks 270 times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a server says, there is a verdict, and it is the same the second time.
    #[test]
    fn arbitrary_text_never_panics(code in 0u16..=1001, text in "\\PC{0,400}", octets in prop::collection::vec(any::<u8>(), 0..64)) {
        for group in Group::ALL {
            for phase in Phase::ALL {
                let catalogue = Catalogue::built_in();
                let first = catalogue.classify(group, phase, code, &text);
                prop_assert_eq!(catalogue.classify(group, phase, code, &text), first);
                catalogue.classify(group, phase, code, &reply_text([&octets]));
                catalogue.is_news(code, &text);
            }
        }
    }
}

proptest! {
    /// Every pattern of the table is run on texts like the samples, filter or not; both must say the same.
    #[test]
    fn no_filter_of_the_table_is_stricter_than_its_pattern(
        row in 0usize..285, cut in 0usize..40, before in "\\PC{0,20}", after in "\\PC{0,20}",
    ) {
        let (code, text) = TABLE[row].sample.split_once(' ').unwrap();
        let cut = text.floor_char_boundary(cut.min(text.len()));
        let line = format!("{code} {before}{}{after}", &text[cut..]);
        for row in TABLE.iter() {
            let (fits, passes) = (row.regex().unwrap().is_match(&line), row.filter.lets_pass(&line.to_ascii_lowercase()));
            prop_assert!(passes || !fits, "{} {}", row.verdict.cause, line);
            prop_assert!(fits || !passes || !row.filter.is_whole_pattern(), "{} {}", row.verdict.cause, line);
        }
    }
}
