//! From replies to fates and conditions: who is condemned, and who is not.

use std::time::Duration;

use super::*;
use crate::provider::{Catalogue, Group};
use crate::secret::{Secret, SecretSource};

fn settings(group: Group) -> UpstreamSettings {
    UpstreamSettings {
        account: "office".to_owned(),
        hostname: "relay.test".to_owned(),
        endpoints: Vec::new(),
        user: None,
        secret: SecretSource::Plain(Secret::new("")),
        token: None,
        login: Vec::new(),
        proxy: None,
        limits: crate::upstream::ConnectLimits::default(),
        ca: None,
        roots: Default::default(),
        group,
        catalogue: Catalogue::built_in(),
        connections: 1,
        idle: Duration::from_secs(60),
        oldest: Duration::from_secs(1800),
        announce: false,
        messages_per_connection: 1,
    }
}

fn reply(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').unwrap();
    Reply::new(code.parse().unwrap(), text)
}

fn refused(phase: client::ClientPhase, text: &str) -> RecipientOutcome {
    RecipientOutcome::Refused { phase, reply: reply(text) }
}

/// The fate of one recipient and the condition of the account after this refusal.
fn after(group: Group, phase: client::ClientPhase, text: &str) -> (Fate, Condition) {
    let report = of_transaction(&settings(group), &[refused(phase, text)]);
    (report.outcomes[0].fate, report.condition)
}

fn session(group: Group, phase: client::ClientPhase, text: &str) -> Condition {
    let kind = FailureKind::Refused(reply(text));
    of_failure(&settings(group), &Failure { phase, kind, sent_credentials: true })
}

#[test]
fn each_recipient_is_judged_by_itself() {
    let outcomes = [
        RecipientOutcome::Accepted(reply("250 OK")),
        refused(client::ClientPhase::Rcpt, "550 Mailbox not found"),
        refused(client::ClientPhase::Rcpt, "452 4.5.3 Too many recipients"),
        refused(client::ClientPhase::Rcpt, "550 Mailbox unavailable or access denied"),
    ];
    let report = of_transaction(&settings(Group::Tencent), &outcomes);
    let fates: Vec<Fate> = report.outcomes.iter().map(|one| one.fate).collect();
    assert_eq!(fates, [Fate::Delivered, Fate::Refused, Fate::Split, Fate::Later]);
    assert_eq!(report.condition, Condition::Works);
    let causes: Vec<_> = report.outcomes.iter().map(|one| one.verdict.map(|v| v.cause)).collect();
    assert_eq!(causes, [None, Some("QQ-R1"), Some("XX-7"), Some("QQ-R2")]);
}

#[test]
fn a_limit_of_the_account_spends_no_try() {
    let cases = [
        (Group::Tencent, "550 Ip frequency limited", Action::RetryHour),
        (Group::Netease, "554 5.5.0 MI:STC", Action::RetryDay),
        (Group::Netease, "451 MI:SFQ", Action::Cool15),
        (Group::Gmail, "550 5.4.5 Daily user sending limit exceeded.", Action::RetryDay),
        (Group::Ses, "454 Throttling failure: Maximum sending rate exceeded", Action::RetrySoon),
        (Group::Microsoft, "554 5.2.2 mailbox full", Action::Pause),
    ];
    for (group, text, action) in cases {
        let (fate, condition) = after(group, client::ClientPhase::FinalDot, text);
        assert_eq!(fate, Fate::Waits, "{text}");
        let Condition::Account { verdict, text: kept } = condition else { panic!("{text}") };
        assert_eq!((verdict.action, kept.as_str()), (action, text));
    }
}

#[test]
fn what_is_wrong_with_a_message_is_not_held_against_the_account() {
    let cases = [
        ("550 The \"From\" header is missing or invalid.", Fate::Rewrite),
        ("550 Mail content denied.", Fate::Refused),
        ("550 Mailbox unavailable or access denied", Fate::Later),
        ("451 whatever", Fate::Later),
        ("421 closing", Fate::Later),
    ];
    for (text, fate) in cases {
        assert_eq!(after(Group::Tencent, client::ClientPhase::FinalDot, text), (fate, Condition::Works), "{text}");
    }
}

#[test]
fn a_refused_log_in_never_bounces_and_is_never_tried_at_once() {
    for group in Group::ALL {
        for code in 200..600 {
            let condition = session(group, client::ClientPhase::Auth, &format!("{code} no"));
            let Condition::Account { verdict, .. } = condition else { panic!("{code} {condition:?}") };
            let waits = matches!(verdict.action, Action::RetrySoon | Action::Cool15 | Action::Cool15ThenPause);
            assert!(waits, "{code} {verdict:?}");
        }
    }
    let text = "502 Invalid input from 203.0.113.9 to node.qq.com.";
    let Condition::Account { verdict, .. } = session(Group::Tencent, client::ClientPhase::Auth, text) else { panic!() };
    assert_eq!((verdict.cause, verdict.action, verdict.scope), ("QQ-A8", Action::Cool15ThenPause, Scope::Account));
    // A row of the owner that says so does not make it a bounce either.
    let row = crate::provider::UserRow { pattern: "moon".into(), action: "bounce".into(), ..Default::default() };
    let settings = UpstreamSettings { catalogue: Catalogue::with(vec![row]).unwrap(), ..settings(Group::Generic) };
    let kind = FailureKind::Refused(reply("535 moon"));
    let failure = Failure { phase: client::ClientPhase::Auth, kind, sent_credentials: true };
    let Condition::Account { verdict, .. } = of_failure(&settings, &failure) else { panic!() };
    assert_eq!((verdict.cause, verdict.action), ("own-1", Action::Cool15ThenPause));
}

#[test]
fn a_session_that_is_refused_is_the_lines_fault_unless_it_names_a_limit() {
    assert!(matches!(session(Group::Generic, client::ClientPhase::Greeting, "421 busy"), Condition::Line(_)));
    let condition = session(Group::Tencent, client::ClientPhase::Greeting, "550 Ip frequency limited");
    assert!(matches!(condition, Condition::Account { verdict, .. } if verdict.cause == "QQ-F1"), "{condition:?}");
}

#[test]
fn faults_of_our_own_have_remedies() {
    let failure = Failure { phase: client::ClientPhase::Ehlo, kind: FailureKind::NoMechanism, sent_credentials: false };
    let condition = of_failure(&settings(Group::Generic), &failure);
    let Condition::Account { verdict, .. } = &condition else { panic!("{condition:?}") };
    assert_eq!(*verdict, NO_MECHANISM);
    let report = Report::all(2, condition);
    assert!(report.outcomes.iter().all(|one| one.fate == Fate::Waits && one.verdict == Some(NO_MECHANISM)));
    for verdict in [NO_MECHANISM, NO_SECRET, NO_TLS] {
        assert!(verdict.is_known() && verdict.alert && verdict.scope.holds_account());
        assert!(verdict.remedy.en.ends_with('.') && verdict.remedy.zh.ends_with('。'), "{verdict:?}");
    }
}
