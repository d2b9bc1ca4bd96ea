//! Replies that neither the catalogue nor the rules have seen: collected from public threads and graded before the rules were
//! measured on them (`unseen_replies.tsv`).
//!
//! A verdict is right when its act is one of those that the grade calls right, and harmful when it is one that the grade
//! calls harmful. What a row says may be disputed; the sources are beside it. The figures are in `docs/testing.md`.

use std::fs;
use std::path::Path;

use yizhan::provider::{Action, Catalogue, Group, Phase, Scope, Verdict};

/// One reply with its grade.
struct Graded {
    id: String,
    group: Group,
    phase: Phase,
    code: u16,
    text: String,
    cause: String,
    truth: String,
    acts: Vec<String>,
    bad: Vec<String>,
}

fn graded() -> Vec<Graded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upstream/unseen_replies.tsv");
    let text = fs::read_to_string(path).unwrap();
    let list = |text: &str| text.split('|').map(str::trim).filter(|act| !act.is_empty()).map(str::to_owned).collect();
    text.lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let &[id, group, phase, reply, cause, truth, acts, bad, _source] = columns.as_slice() else {
                panic!("{} columns: {line}", columns.len())
            };
            let (code, text) = reply.split_once(' ').unwrap();
            Graded {
                id: id.into(),
                group: Group::named(group).unwrap_or_else(|| panic!("no group {group}")),
                phase: Phase::named(phase).unwrap(),
                code: code.parse().unwrap(),
                text: text.into(),
                cause: cause.into(),
                truth: truth.into(),
                acts: list(acts),
                bad: list(bad),
            }
        })
        .collect()
}

/// What the relay does first, in the words of the grades.
fn act(verdict: Verdict) -> &'static str {
    match (verdict.action, verdict.scope) {
        (Action::Ok, _) => "ok",
        (Action::Bounce, _) => "bounce",
        (Action::BounceRecipient, _) => "bounce_rcpt",
        (Action::Rewrite, _) => "rewrite",
        (Action::Split, _) => "split",
        (Action::RetryThenBounce, _) => "retry>bounce",
        (_, Scope::Message | Scope::Recipient) | (Action::RetrySoon, Scope::Session) => "later",
        (Action::Pause, _) => "pause",
        (
            Action::RetrySoon
            | Action::Cool15
            | Action::Cool15ThenPause
            | Action::RetryHour
            | Action::RetryHourThenPause
            | Action::RetryDay,
            _,
        ) => "cool",
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are a part of the result")]
fn nine_of_ten_unseen_replies_get_the_right_act_and_no_passing_cause_is_bounced() {
    let (catalogue, all) = (Catalogue::built_in(), graded());
    assert!(all.len() >= 60);
    let (mut right, mut wrong, mut harmful, mut bounced) = (0, Vec::new(), Vec::new(), Vec::new());
    for one in &all {
        let verdict = catalogue.classify(one.group, one.phase, one.code, &one.text);
        let act = act(verdict);
        let line = format!(
            "{} {} {}: {} {} -> {act} ({}), right: {}",
            one.id,
            one.phase.word(),
            one.cause,
            one.code,
            one.text,
            verdict.cause,
            one.acts.join("|")
        );
        let is = |list: &[String]| list.iter().any(|other| other == act);
        if matches!(one.truth.as_str(), "T" | "A") && act.starts_with("bounce") {
            bounced.push(line.clone());
        }
        if is(&one.bad) {
            harmful.push(line.clone());
        }
        match is(&one.acts) {
            true => right += 1,
            false => wrong.push(line),
        }
    }
    println!("{right} of {} right, {} harmful\n{}", all.len(), harmful.len(), wrong.join("\n"));
    println!("HARMFUL\n{}", harmful.join("\n"));
    assert!(bounced.is_empty(), "a cause that passes, or that is the account's, was bounced:\n{}", bounced.join("\n"));
    assert!(right * 10 >= all.len() * 9, "only {right} of {} are right", all.len());
}
