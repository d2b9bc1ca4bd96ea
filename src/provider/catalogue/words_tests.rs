//! The general rules on words, and what must never follow from one.

// The figures are what these tests are run for by hand.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;

use super::words::{CLASSES, RULES};
use super::*;
use crate::provider::reply_text;

/// Written by the author of the rules; its head says what it is worth.
const REPLIES: &str = include_str!("words_tests.tsv");

fn classify(phase: Phase, code: u16, text: &str) -> Verdict {
    Catalogue::built_in().classify(Group::Generic, phase, code, text)
}

/// Phase, code, text, and the words of action and scope.
pub(super) fn replies() -> Vec<(Phase, u16, String, &'static str, &'static str)> {
    let lines = REPLIES.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[phase, reply, action, scope] = columns.as_slice() else { panic!("{line}") };
        let code = reply[..3].parse().unwrap();
        let text = reply_text(reply.split("\\n").map(|line| &line[4..]));
        (Phase::named(phase).unwrap(), code, text, action, scope)
    };
    lines.map(read).collect()
}

#[test]
fn the_list_of_the_author_is_understood() {
    let replies = replies();
    let mut wrong = Vec::new();
    for (phase, code, text, action, scope) in &replies {
        let verdict = classify(*phase, *code, text);
        if (verdict.action.word(), verdict.scope.word()) != (*action, *scope) {
            let got = (verdict.cause, verdict.action.word(), verdict.scope.word(), verdict.remedy.en);
            wrong.push(format!("{} {code} {text}: {got:?}, and not {action} {scope}", phase.word()));
        }
    }
    println!("{} of {} replies of the list are right", replies.len() - wrong.len(), replies.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(replies.len() >= 120);
}

#[test]
fn the_table_is_read_and_every_class_has_rules() {
    let mut count = BTreeMap::new();
    for rule in RULES.iter() {
        *count.entry(rule.class.cause).or_insert(0) += 1;
    }
    println!("{} rules: {count:?}", RULES.len());
    assert_eq!(count.len(), CLASSES.len());
}

/// The story: one reply with the word "suspended" stopped an account at night, until an operator resumed it.
#[test]
fn a_general_rule_never_pauses_an_account() {
    for (phase, code, text, ..) in replies() {
        for code in [code, code ^ 1, 451, 554] {
            let verdict = classify(phase, code, &text);
            let pauses = matches!(
                verdict.action,
                Action::Pause | Action::Cool15ThenPause | Action::RetryHourThenPause | Action::RetryDay
            );
            assert!(verdict.basis != Basis::Words || !pauses, "{code} {text}: {verdict:?}");
        }
    }
}

/// The story: a recipient whose mailbox was full or closed made the whole account wait.
#[test]
fn recipients_come_first_at_rcpt() {
    for text in [
        "5.2.2 mailbox full, quota exceeded",
        "5.2.1 account disabled",
        "user suspended",
        "this user is over quota",
        "mailbox is inactive",
        "5.1.1 user unknown; message rejected, too large, spam",
        "用户已停用",
        "账号不存在",
    ] {
        let verdict = classify(Phase::Rcpt, 550, text);
        if text == "用户已停用" {
            // Nothing says whose user: the harmless reading.
            assert_eq!(verdict.cause, "W-ACCOUNT");
            continue;
        }
        assert_eq!((verdict.action, verdict.scope), (Action::BounceRecipient, Scope::Recipient), "{text}: {verdict:?}");
    }
    // At MAIL the same words speak of this account.
    assert_eq!(classify(Phase::Mail, 550, "5.2.1 account disabled").cause, "W-ACCOUNT");
    // After DATA only with a recipient named.
    assert_eq!(classify(Phase::Data, 550, "account disabled").cause, "W-ACCOUNT");
    assert_eq!(classify(Phase::Data, 550, "5.2.1 account disabled").cause, "W-RCPT");
    assert_eq!(classify(Phase::Data, 550, "no such user").basis, Basis::Digit);
    assert_eq!(classify(Phase::Data, 550, "<a@b.example> no such user").cause, "W-RCPT");
}

/// The story: a limit of the account was named at RCPT with 550, and every recipient of the queue bounced.
#[test]
fn what_passes_or_is_about_the_account_is_never_bounced_by_a_rule() {
    for (phase, code, text, action, _) in replies() {
        if ["cool15", "retry_soon", "retry>bounce"].contains(&action) && code >= 500 {
            for code in [code, 550, 552, 554] {
                let verdict = classify(phase, code, &text);
                let failed = matches!(verdict.action, Action::Bounce | Action::BounceRecipient);
                assert!(!failed, "{phase:?} {code} {text}: {verdict:?}");
            }
        }
        // What is about the account at RCPT is so at MAIL and after DATA.
        for phase in [Phase::Mail, Phase::Data].into_iter().filter(|_| action == "cool15") {
            let verdict = classify(phase, code, &text);
            let failed = matches!(verdict.action, Action::Bounce | Action::BounceRecipient);
            assert!(!failed, "{phase:?} {code} {text}: {verdict:?}");
        }
    }
}

/// The story: a server in trouble answered 451 with the words of a refusal, and the mail was given up.
#[test]
fn a_4yz_is_never_failed_by_a_rule() {
    for (phase, code, text, ..) in replies() {
        let verdict = classify(phase, 400 + code % 100, &text);
        let failed = matches!(verdict.action, Action::Bounce | Action::BounceRecipient | Action::Rewrite);
        assert!(!failed, "{phase:?} {code} {text}: {verdict:?}");
    }
}

#[test]
fn the_rules_keep_to_the_transaction() {
    for phase in [Phase::Connect, Phase::Ehlo, Phase::StartTls, Phase::Auth, Phase::Rset, Phase::Quit] {
        for (_, code, text, ..) in replies() {
            assert_ne!(classify(phase, code, &text).basis, Basis::Words, "{phase:?} {text}");
        }
    }
    assert_eq!(classify(Phase::Data, 250, "queued, no spam, quota exceeded").action, Action::Ok);
    assert_eq!(classify(Phase::Data, 600, "quota exceeded"), UNREADABLE);
}

#[test]
fn a_guessed_remedy_quotes_the_words_and_explains_them() {
    let remedy = classify(Phase::Data, 550, "5.7.1 Too many messages, slow down").remedy;
    assert!(remedy.en.starts_with("The relay guesses from the words \"slow down\"."), "{}", remedy.en);
    assert!(remedy.zh.starts_with("中继根据“slow down”（过于频繁）推测："), "{}", remedy.zh);
    let remedy = classify(Phase::Mail, 550, "账号被冻结").remedy;
    assert!(remedy.en.contains("冻结\" (account blocked or limited)."), "{}", remedy.en);
    for class in &CLASSES {
        let Remedy { en, zh } = class.remedy_of("x", "词");
        assert!(en.ends_with('.') && zh.ends_with('。') && en.contains("guesses") && zh.contains("推测"), "{en} {zh}");
        for misleading in ["most often", "password", "robably nothing"] {
            assert!(!en.contains(misleading), "{en}");
        }
    }
}

/// Texts that fit a rule in ever new ways do not fill the memory.
#[test]
fn only_some_wordings_are_quoted() {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n).unwrap());
    for n in 0..26 {
        let verdict = classify(Phase::Data, 550, &format!("throttl{}", letter(n)));
        assert_eq!(verdict.cause, "W-RATE");
    }
    let last = classify(Phase::Data, 550, "throttlz").remedy;
    assert!(last.en.starts_with("The relay guesses from the words of the reply."), "{}", last.en);
}
