//! Every reply of the catalogue, said to a whole relay: what becomes of the message, and of the one behind it.
//!
//! The table is the program's own: each row's sample is said by the sandbox in each phase of the row, to an account of
//! the row's group. What must follow is read off the row's verdict by [`act`], the one place to change when the relay
//! learns to do more. The second message tells whom the reply condemned: where it was the account, it waits and the
//! provider hears nothing of it; else it goes out.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::day::Day;
use support::office::{Office, endpoint};
use tokio::task::{JoinSet, LocalSet};
use yizhan::provider::{Action, Group, Phase, Scope, Tls, Verdict, classify, names, preset};
use yizhan::queue::entry::{Entry, Outcome, State};
use yizhan::sandbox::{Fault, Limits, Stage};

const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";

/// One reply, said at one stage.
#[derive(Debug, Clone)]
struct Case {
    id: &'static str,
    group: Group,
    phase: Phase,
    stage: Stage,
    reply: &'static str,
}

/// What a reply does to the message that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It goes out.
    Delivered,
    /// A try was spent, the next one is soon.
    Deferred,
    /// No try was spent; the account rests.
    Waiting,
    /// It failed, and a notice tells of it.
    Failed,
}

fn act(verdict: Verdict, phase: Phase) -> Act {
    let before_mail = matches!(phase, Phase::Connect | Phase::Ehlo | Phase::StartTls | Phase::Auth);
    let accounts = matches!(verdict.scope, Scope::Account | Scope::Session);
    match verdict.action {
        Action::Ok => Act::Delivered,
        // A refused log-in is never tried again at once, whatever else it says.
        _ if phase == Phase::Auth => Act::Waiting,
        Action::Cool15 | Action::Cool15ThenPause | Action::RetryHour | Action::RetryDay | Action::Pause if accounts => {
            Act::Waiting
        }
        _ if before_mail => Act::Deferred,
        Action::Bounce | Action::BounceRecipient | Action::Rewrite => Act::Failed,
        Action::RetrySoon
        | Action::Split
        | Action::Cool15
        | Action::Cool15ThenPause
        | Action::RetryHour
        | Action::RetryDay
        | Action::Pause => Act::Deferred,
    }
}

/// The table's rows, at each stage where they can be said. Refusals only: what follows a yes is tested elsewhere.
fn cases() -> Vec<Case> {
    let table = include_str!("../src/provider/replies.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    let mut cases = Vec::new();
    for columns in rows {
        let (id, group, reply) = (columns[0], group(columns[1]), *columns.last().expect("a row has columns"));
        for (phase, stage) in columns[2].split(',').flat_map(stages) {
            if reply.starts_with(['4', '5']) {
                cases.push(Case { id, group, phase, stage, reply });
            }
        }
    }
    cases
}

/// The group that the table calls so; every group has a preset.
fn group(word: &str) -> Group {
    let mut groups = names().filter_map(preset).map(|preset| preset.group);
    let plain = |text: &str| text.replace('-', "").to_lowercase();
    groups.find(|group| plain(&format!("{group:?}")) == plain(word)).unwrap_or_else(|| panic!("no group {word}"))
}

fn stages(phase: &str) -> Vec<(Phase, Stage)> {
    match phase {
        "CONNECT" => vec![(Phase::Connect, Stage::Connect)],
        "EHLO" => vec![(Phase::Ehlo, Stage::Ehlo)],
        "STARTTLS" => vec![(Phase::StartTls, Stage::StartTls)],
        "AUTH" => vec![(Phase::Auth, Stage::Auth)],
        "MAIL" => vec![(Phase::Mail, Stage::Mail)],
        "RCPT" => vec![(Phase::Rcpt, Stage::Rcpt(None))],
        "DATA" => vec![(Phase::Data, Stage::Data), (Phase::Data, Stage::FinalDot)],
        "QUIT" => Vec::new(),
        other => panic!("no phase {other}"),
    }
}

fn became(entry: &Entry) -> Option<Act> {
    match (entry.state, entry.tries) {
        (State::Delivered, _) => Some(Act::Delivered),
        (State::Deferred, 1) => Some(Act::Deferred),
        (State::Waiting, 0) => Some(Act::Waiting),
        (State::Failed, _) => Some(Act::Failed),
        _ => None,
    }
}

fn verdict(case: &Case) -> Verdict {
    let (code, text) = case.reply.split_at(3);
    classify(case.group, case.phase, code.parse().expect("a sample has a code"), text.trim())
}

/// What went wrong, if anything.
async fn run(case: &Case) -> Option<String> {
    let day = Day::new();
    let mut office = Office::at(day.clock(), "catalogue", Limits::default(), |settings| {
        settings.queue.retry = vec![Duration::from_secs(60)];
        let of_group = names().filter_map(preset).find(|preset| preset.group == case.group);
        settings.accounts[0].preset = of_group.expect("every group has a preset");
    })
    .await;
    if case.phase == Phase::StartTls {
        office.settings.accounts[0].endpoints =
            vec![endpoint(office.sandbox.starttls_addr().expect("it is open"), Tls::StartTls)];
        office = office.restart_at(day.clock()).await;
    }
    let wanted = act(verdict(case), case.phase);
    office.sandbox.fault(Fault::reply(case.stage.clone(), case.reply));
    let id = office.send(&["a@else.test"], MAIL).await;
    day.rest().await;
    let first = office.entry(id).await;
    let last = |entry: &Entry| match &entry.recipients[0].outcome {
        Outcome::Open { last } => last.clone().unwrap_or_default(),
        Outcome::Failed { reason, .. } => reason.clone(),
        Outcome::Delivered { reply, .. } => reply.clone(),
    };
    if became(&first) != Some(wanted) || !last(&first).starts_with(&case.reply[..3]) {
        return Some(format!("{wanted:?} was wanted, {}: {}", first.state, last(&first)));
    }
    let notices = office.list(&State::ALL).await.iter().filter(|entry| entry.notice).count();
    if notices != usize::from(wanted == Act::Failed) {
        return Some(format!("{notices} notices"));
    }
    let connections = office.sandbox.stats().connections;
    let second = office.send(&["b@else.test"], MAIL).await;
    // A line that failed is tried again after some seconds, an account that rests is not.
    day.run_until(day.now() + Duration::from_secs(10)).await;
    let state = office.entry(second).await.state;
    let silent = office.sandbox.stats().connections == connections;
    match wanted {
        Act::Waiting if state != State::Waiting || !silent => Some(format!("the account does not rest: {state}")),
        Act::Delivered | Act::Deferred | Act::Failed if state != State::Delivered => {
            Some(format!("the message behind it: {state}"))
        }
        Act::Delivered | Act::Deferred | Act::Waiting | Act::Failed => None,
    }
}

#[tokio::test]
async fn every_reply_of_the_catalogue_does_to_the_relay_what_its_row_says() {
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    let (mut wrong, mut acts) = (Vec::new(), BTreeSet::new());
    // Most of the time of a case is waiting for the disk: some run side by side.
    for some in cases.chunks(8) {
        let (here, mut running) = (LocalSet::new(), JoinSet::new());
        for case in some {
            acts.insert(format!("{:?}", act(verdict(case), case.phase)));
            let case = case.clone();
            running.spawn_local_on(async move { run(&case).await.map(|why| (case, why)) }, &here);
        }
        for (case, why) in here.run_until(running.join_all()).await.into_iter().flatten() {
            wrong.push(format!("{} {:?} `{}`: {why}", case.id, case.stage, case.reply));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(acts.len(), 3, "deferred, waiting and failed all occur: {acts:?}");
}
