//! Every reply of the catalogue, said to a whole relay: what becomes of the message, the account, and the mail behind it.
//!
//! The table is read as text, so that what must follow is worked out here, from the words of each row (`table`), and
//! not by the code that is tested. Each row's sample is said by the sandbox in each phase of the row, to an account of the
//! row's group, as often as it takes to see the end of it. Time is moved by hand: a rest is looked at one second before
//! its end, and at its end. Not here: that each sample finds its own row (`tests/commands/explain.rs`).

mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::day::{Day, MIDNIGHT};
use crate::support::office::{Office, USER, endpoint, field};
use table::{Case, End, cases};
use tokio::task::{JoinSet, LocalSet};
use yizhan::account::breaker::BreakerState;
use yizhan::clock::Timestamp;
use yizhan::config::Account;
use yizhan::mail::Id;
use yizhan::provider::{DayWindow, FromPolicy, Tls, names, preset};
use yizhan::queue::{MessageState, QueueEntry, RecipientOutcome};
use yizhan::sandbox::{Fault, SandboxLimits, Stage};

const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";
const FOUR: [&str; 4] = ["a@else.test", "b@else.test", "c@else.test", "d@else.test"];
const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What is left behind the end of a day, at most.
const SPREAD: Duration = Duration::from_secs(600);
/// Ten in the morning at Beijing.
const MORNING: Timestamp = Timestamp::from_millis(MIDNIGHT.millis() + 10 * 3_600_000);

/// A relay whose account is of the case's group, the day it lives in, and what is wrong with it so far.
struct Trial {
    day: Day,
    office: Office,
    /// Until when the provider's day lasts for this account.
    midnight: Timestamp,
    /// The sender stands in its strictest form from the first try on.
    always_strict: bool,
}

/// A case that went another way.
type Wrong = String;

impl Trial {
    async fn open(case: &Case) -> Trial {
        let day = Day::starting(MORNING);
        let of_group = names().filter_map(preset).find(|preset| preset.group == case.group);
        let of_group = of_group.expect("every group has a preset");
        let mut office = Office::at(day.clock(), "catalogue", SandboxLimits::default(), |settings| {
            settings.queue.schedule.retry = vec![MINUTE];
            let account = &mut settings.accounts[0];
            account.preset = of_group;
            let usual = Account::of_preset(&account.name, of_group, &account.user, account.address.clone());
            account.budget.day = usual.budget.day;
        })
        .await;
        if case.stage == Stage::StartTls {
            let addr = office.sandbox.starttls_addr().expect("it is open");
            office.settings.accounts[0].endpoints = vec![endpoint(addr, Tls::StartTls)];
            office = office.restart_at(day.clock()).await;
        }
        let midnight = match &of_group.day {
            DayWindow::Rolling => MORNING + DAY,
            // The one zone of the presets.
            DayWindow::Calendar(_) => MIDNIGHT + DAY,
        };
        let always_strict = of_group.from_policy == FromPolicy::Login;
        Trial { day, office, midnight, always_strict }
    }

    async fn send(&self, to: &[&str]) -> QueueEntry {
        let id = self.office.send(to, MAIL).await;
        self.day.rest().await;
        self.office.entry(id).await
    }

    /// Sets the clock to `at`, and lets happen what happens then.
    async fn at(&self, at: Timestamp) {
        self.day.clock().set(at);
        self.day.rest().await;
    }

    async fn state(&self, id: Id) -> MessageState {
        self.office.entry(id).await.state
    }

    fn gate(&self) -> BreakerState {
        self.office.relay.accounts()[0].account.state(self.day.now())
    }

    fn faults(&self) -> u64 {
        self.office.sandbox.stats().faults
    }

    /// The text of each notice about a message that failed.
    async fn notices(&self) -> Vec<String> {
        // A notice goes out like any mail.
        self.at(self.day.now() + MINUTE).await;
        let received = self.office.sandbox.received();
        let own = received.iter().filter(|one| one.to == [USER]);
        own.map(|one| text_of(&one.data)).collect()
    }

    /// The account works: what comes now goes out.
    async fn goes_on(&self) -> Result<(), Wrong> {
        let next = self.send(&["next@else.test"]).await;
        // A line that failed is tried again after a second.
        self.at(self.day.now() + Duration::from_secs(2)).await;
        let state = self.state(next.id).await;
        check(state == MessageState::Delivered, || format!("the message behind it: {state}"))
    }
}

fn text_of(data: &[u8]) -> String {
    let mail = mail_parser::MessageParser::default().parse(data).expect("it is a mail");
    let text = mail.body_text(0).expect("it has a text").into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(good: bool, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if good { Ok(()) } else { Err(what()) }
}

fn words(entry: &QueueEntry) -> String {
    match &entry.recipients[0].outcome {
        RecipientOutcome::Open { last } => last.clone().unwrap_or_default(),
        RecipientOutcome::Failed { reason, .. } => reason.clone(),
        RecipientOutcome::Delivered { reply, .. } => reply.clone(),
    }
}

/// One notice, with the reply and with what to do about it.
async fn one_notice(case: &Case, trial: &Trial) -> Result<(), Wrong> {
    let notices = trial.notices().await;
    check(notices.len() == 1, || format!("{} notices: {notices:?}", notices.len()))?;
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let remedy = squeezed(&notices[0]).contains(&squeezed(case.remedy));
    check(remedy, || format!("the notice does not say what to do: {}", notices[0]))
}

async fn run(case: &Case) -> Result<(), Wrong> {
    let trial = Trial::open(case).await;
    let fault = Fault::reply(case.stage.clone(), case.reply);
    match case.end {
        End::Delivered => {
            trial.office.sandbox.fault(fault);
            let entry = trial.send(&["a@else.test"]).await;
            check((entry.state, entry.tries) == (MessageState::Delivered, 0), || {
                format!("{}: {}", entry.state, words(&entry))
            })?;
            trial.goes_on().await
        }
        End::Deferred => deferred(&trial, fault).await,
        End::Failed => {
            trial.office.sandbox.fault(fault);
            fails(case, &trial).await
        }
        End::Split => split(case, &trial, fault).await,
        End::Strict => strict(case, &trial, fault).await,
        End::Rests { length, then_pause } => {
            let from = trial.day.now() + length;
            rests(case, &trial, fault.clone(), (from, from)).await?;
            if then_pause { pauses_at_last(case, fault, length).await } else { Ok(()) }
        }
        End::RestsToday => {
            let most = trial.day.now() + DAY;
            let (from, until) = (trial.midnight + MINUTE, trial.midnight + SPREAD);
            rests(case, &trial, fault, (from.min(most), until.min(most))).await
        }
        End::Paused => paused(case, &trial, fault).await,
    }
}

/// It fails at the first refusal.
async fn fails(case: &Case, trial: &Trial) -> Result<(), Wrong> {
    let entry = trial.send(&["a@else.test"]).await;
    check(entry.state == MessageState::Failed, || format!("{}: {}", entry.state, words(&entry)))?;
    one_notice(case, trial).await?;
    trial.goes_on().await
}

async fn deferred(trial: &Trial, fault: Fault) -> Result<(), Wrong> {
    trial.office.sandbox.fault(fault);
    let entry = trial.send(&["a@else.test"]).await;
    check((entry.state, entry.tries) == (MessageState::Deferred, 1), || {
        format!("{} after {} tries: {}", entry.state, entry.tries, words(&entry))
    })?;
    trial.goes_on().await?;
    trial.at(entry.due).await;
    let again = trial.office.entry(entry.id).await;
    check(again.state == MessageState::Delivered && trial.faults() == 1, || {
        format!("then {}: {}", again.state, words(&again))
    })?;
    let notices = trial.notices().await;
    check(notices.is_empty(), || format!("notices: {notices:?}"))
}

async fn split(case: &Case, trial: &Trial, fault: Fault) -> Result<(), Wrong> {
    let whole = !matches!(case.stage, Stage::Rcpt(_));
    // Said of the list, or of each recipient of it: nobody is taken at first.
    trial.office.sandbox.fault(fault.clone().times(if whole { 1 } else { 4 }));
    let entry = trial.send(&FOUR).await;
    check((entry.state, entry.tries) == (MessageState::Delivered, 0), || {
        format!("{}: {}", entry.state, words(&entry))
    })?;
    let lists: Vec<Vec<String>> = trial.office.sandbox.received().into_iter().map(|one| one.to).collect();
    check(lists == [&FOUR[..2], &FOUR[2..]], || format!("sent as {lists:?}"))?;
    trial.goes_on().await?;
    // One recipient cannot be fewer.
    trial.office.sandbox.fault(fault);
    let alone = trial.send(&["alone@else.test"]).await;
    check(alone.state == MessageState::Failed, || format!("alone it is {}", alone.state))?;
    one_notice(case, trial).await
}

async fn strict(case: &Case, trial: &Trial, fault: Fault) -> Result<(), Wrong> {
    if trial.always_strict {
        trial.office.sandbox.fault(fault);
        return fails(case, trial).await;
    }
    trial.office.sandbox.fault(fault.clone());
    let entry = trial.send(&["a@else.test"]).await;
    check(entry.state == MessageState::Delivered && entry.strict && entry.tries == 0, || {
        format!("refused once it is {}: {}", entry.state, words(&entry))
    })?;
    let received = trial.office.sandbox.received().pop().expect("it was delivered");
    let from = field(&received.data, "From").unwrap_or_default();
    check(received.from == USER && from.contains(USER) && !from.contains("corp.lan"), || format!("From: {from}"))?;
    trial.office.sandbox.fault(fault.times(2));
    let entry = trial.send(&["a@else.test"]).await;
    check(entry.state == MessageState::Failed && trial.faults() == 3, || {
        format!("refused twice it is {} after {} refusals", entry.state, trial.faults())
    })?;
    one_notice(case, trial).await?;
    trial.goes_on().await
}

/// The account rests until some time between these two; neither message nor log-in is tried before.
async fn rests(case: &Case, trial: &Trial, fault: Fault, (from, to): (Timestamp, Timestamp)) -> Result<(), Wrong> {
    trial.office.sandbox.fault(fault);
    let until = held(case, trial).await?;
    let BreakerState::Cooling(until) = until else { return Err(format!("the account does not rest: {until:?}")) };
    check((from..=to).contains(&until), || format!("it rests until {until:?} and not {from:?} to {to:?}"))?;
    let (behind, before) = (trial.send(&["b@else.test"]).await, trial.office.sandbox.stats());
    trial.at(until - Duration::from_secs(1)).await;
    let waits = trial.state(behind.id).await != MessageState::Delivered;
    let silent = trial.office.sandbox.stats().connections == before.connections;
    check(waits && silent, || "the provider hears of the account before its rest is over".to_owned())?;
    trial.at(until).await;
    all_arrive(trial, behind.id).await
}

/// The first message waits and has cost nothing. Gives the gate of the account.
async fn held(case: &Case, trial: &Trial) -> Result<BreakerState, Wrong> {
    let first = trial.send(&["a@else.test"]).await;
    // A further question is answered, and what is said to that is what counts.
    let said = words(&first).starts_with(&case.reply[..3]) || case.reply.starts_with("334");
    check((first.state, first.tries) == (MessageState::Waiting, 0) && said, || {
        format!("{} after {} tries: {}", first.state, first.tries, words(&first))
    })?;
    Ok(trial.gate())
}

async fn all_arrive(trial: &Trial, behind: Id) -> Result<(), Wrong> {
    let all = trial.office.list(&MessageState::ALL).await;
    let ours: Vec<_> = all.iter().filter(|entry| !entry.notice).collect();
    let good = ours.len() == 2 && ours.iter().all(|entry| (entry.state, entry.tries) == (MessageState::Delivered, 0));
    check(good && ours.iter().any(|entry| entry.id == behind), || {
        format!("after the rest: {:?}", ours.iter().map(|entry| (entry.state, words(entry))).collect::<Vec<_>>())
    })?;
    check(trial.gate() == BreakerState::Ready, || format!("the account is {:?}", trial.gate()))
}

/// The same refusal three times in a row stops the account.
async fn pauses_at_last(case: &Case, fault: Fault, length: Duration) -> Result<(), Wrong> {
    let trial = Trial::open(case).await;
    trial.office.sandbox.fault(fault.times(9));
    let BreakerState::Cooling(first) = held(case, &trial).await? else { return Err("it does not rest".to_owned()) };
    trial.at(first).await;
    let BreakerState::Cooling(second) = trial.gate() else { return Err("it does not rest again".to_owned()) };
    check(second == first + 2 * length, || format!("the second rest ends at {second:?}, the first at {first:?}"))?;
    trial.at(second).await;
    stopped(&trial, 3).await
}

async fn paused(case: &Case, trial: &Trial, fault: Fault) -> Result<(), Wrong> {
    trial.office.sandbox.fault(fault.times(9));
    held(case, trial).await?;
    stopped(trial, 1).await
}

/// The account is stopped after so many refusals, however much time passes, until somebody resumes it.
async fn stopped(trial: &Trial, refusals: u64) -> Result<(), Wrong> {
    check(trial.gate() == BreakerState::Paused, || format!("it is not stopped: {:?}", trial.gate()))?;
    let behind = trial.send(&["b@else.test"]).await;
    trial.at(trial.day.now() + 2 * DAY).await;
    check(trial.faults() == refusals, || format!("{} refusals", trial.faults()))?;
    trial.office.sandbox.clear_faults();
    let delivery = trial.office.relay.delivery();
    delivery.resume(delivery.account("office").expect("it is the only one")).await.expect("the queue can be written");
    trial.day.rest().await;
    all_arrive(trial, behind.id).await
}

#[tokio::test]
async fn every_reply_of_the_catalogue_does_to_the_relay_what_its_row_says() {
    let cases = cases();
    assert!(cases.len() > 250, "only {} cases", cases.len());
    let (mut wrong, mut ends) = (Vec::new(), BTreeMap::new());
    // Most of the time of a case is waiting for the disk: some run side by side.
    for some in cases.chunks(20) {
        let (here, mut running) = (LocalSet::new(), JoinSet::new());
        for case in some {
            let end = format!("{:?}", case.end);
            *ends.entry(end.split(' ').next().expect("it has a name").to_owned()).or_insert(0) += 1;
            let case = case.clone();
            running.spawn_local_on(async move { run(&case).await.map_err(|why| (case, why)) }, &here);
        }
        for (case, why) in here.run_until(running.join_all()).await.into_iter().filter_map(Result::err) {
            wrong.push(format!("{} {:?} `{}` ({:?}): {why}", case.id, case.stage, case.reply, case.end));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(ends.len(), 8, "every end occurs: {ends:?}");
}
