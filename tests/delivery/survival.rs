//! What is known of an account outlives the process: a rest, the budget; and two processes notice each other.
//!
//! Restarts in this process, and the real program, killed. Not here: messages that survive a kill (`tests/delivery/crash.rs`).

use crate::support::office::{CODE, Device, Office, PATIENCE, USER, until};
use crate::support::pair::client;
use crate::support::program::{Program, QUICK, Site, event_of, field_of};
use rustix::process::Signal;
use yizhan::account::breaker::BreakerState;
use yizhan::mail::Lane;
use yizhan::provider::Windows;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Sandbox, SandboxLimits};

/// Everybody's mail may use the whole budget, so that nothing is kept in reserve.
const PANEL: &str = "[client.panel]\nfrom = [\"127.0.0.0/8\"]\nlane = \"alarm\"\n";
const MAIL: &[u8] = b"From: Scanner <scan@corp.lan>\r\nSubject: scan\r\n\r\nbody\r\n";

async fn hand_in(program: &Program, count: usize) {
    let mut device = Device::connect(program.door()).await;
    for _ in 0..count {
        device.send("device@lan.local", &["boss@else.test"], MAIL).await;
    }
}

/// Waits until so many messages of the running relay wait for the account.
async fn wait_waiting(site: &Site, count: u64) {
    until("messages to wait", async || (site.depth(&["waiting"]).await == count).then_some(())).await;
}

#[tokio::test]
async fn a_rest_goes_on_after_a_restart() {
    let mut office = Office::open("rest-restart").await;
    office.sandbox.revoke(USER);
    let id = office.send(&["boss@else.test"], MAIL).await;
    // The message is waiting a moment before the list knows until when.
    let before = until("the end of the rest to be known", async || {
        let entry = office.entry(id).await;
        (entry.state == MessageState::Waiting && entry.due.since(entry.received).as_secs() >= 14 * 60).then_some(entry)
    })
    .await;
    for _ in 0..2 {
        office = office.restart().await;
        let other = office.send(&["boss@else.test"], MAIL).await;
        let after = office.wait_state(other, MessageState::Waiting).await;
        assert_eq!((after.tries, after.due), (0, before.due), "the same rest, to the same end");
        let account = office.relay.delivery().account("office").expect("it is there");
        assert!(matches!(account.account.state(yizhan::clock::Clock::system().now()), BreakerState::Cooling(_)));
    }
    assert_eq!((office.sandbox.stats().connections, office.sandbox.stats().logins_refused), (1, 1));
}

#[tokio::test]
async fn what_did_not_reach_the_disk_is_written_again() {
    let office = Office::open("rest-unwritten").await;
    let account = &office.relay.accounts()[0].account;
    let saved = account.unsaved();
    assert!(saved.is_some() && account.unsaved().is_none(), "once, while nothing changes");
    account.not_saved();
    assert_eq!(account.unsaved(), saved);
}

#[tokio::test]
async fn a_rest_goes_on_after_a_kill() {
    let sandbox = crate::support::office::provider(SandboxLimits::default()).await;
    sandbox.revoke(USER);
    let site = Site::new("rest-kill", &sandbox, QUICK);
    let program = site.start().await;
    hand_in(&program, 1).await;
    program.event("account_cooling").await;
    wait_waiting(&site, 1).await;
    program.kill().await;
    let program = site.start().await;
    hand_in(&program, 1).await;
    wait_waiting(&site, 2).await;
    // Killed at any moment, a refused log-in is not tried again before its time.
    program.kill().await;
    let program = site.start().await;
    wait_waiting(&site, 2).await;
    assert_eq!((sandbox.stats().connections, sandbox.stats().logins_refused), (1, 1));
    sandbox.set_secret(USER, yizhan::secret::Secret::new("newcodenewcodene"));
    site.folder.file("code", "newcodenewcodene");
    program.signal(Signal::HUP);
    site.drained(&sandbox).await;
    assert_eq!(sandbox.stats().accepted, 2);
    program.stop().await;
}

/// A site with this budget, and a sandbox.
async fn site_with_budget(name: &str, budget: &str) -> (Sandbox, Site) {
    let sandbox = crate::support::office::provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, &format!("[account.office.budget]\n{budget}\n{PANEL}{QUICK}"));
    (sandbox, site)
}

#[tokio::test]
async fn the_budget_is_remembered_after_a_kill() {
    let (sandbox, site) = site_with_budget("budget-kill", "messages_per_hour = 2").await;
    let program = site.start().await;
    hand_in(&program, 4).await;
    sandbox.wait_for(2).await;
    wait_waiting(&site, 2).await;
    program.kill().await;
    let program = site.start().await;
    hand_in(&program, 1).await;
    wait_waiting(&site, 3).await;
    assert_eq!(sandbox.stats().accepted, 2, "what was used before the kill counts");
    program.stop().await;
}

#[tokio::test]
async fn the_budget_is_remembered_after_a_restart() {
    let mut office = Office::with("budget-restart", SandboxLimits::default(), |settings| {
        let messages = Windows { minute: Some(15), hour: Some(2), day: None };
        settings.clients = vec![client("panel", 0, Lane::Alarm)];
        settings.accounts[0].budget.messages = messages;
    })
    .await;
    for _ in 0..2 {
        office.send(&["boss@else.test"], MAIL).await;
    }
    office.received(2).await;
    office.wait_empty().await;
    office = office.restart().await;
    let id = office.send(&["boss@else.test"], MAIL).await;
    let entry = office.wait_state(id, MessageState::Waiting).await;
    assert_eq!((entry.tries, office.sandbox.stats().accepted), (0, 2));
    assert!(office.relay.stop(PATIENCE).await);
}

#[tokio::test]
async fn two_relays_with_one_account_keep_their_own_budgets_and_the_second_says_so() {
    let sandbox = crate::support::office::provider(SandboxLimits::default()).await;
    let site = |name: &str| {
        let more = format!("[account.office.budget]\nmessages_per_hour = 2\n{PANEL}{QUICK}");
        let site = Site::new(name, &sandbox, &more);
        let text = std::fs::read_to_string(&site.config).expect("it was just written");
        std::fs::write(&site.config, text.replace("relay.test", &format!("{name}.test"))).expect("it is ours");
        site
    };
    let (one, two) = (site("left"), site("right"));
    // A temporary folder of their own: the other tests here send through the same mailbox at the same time.
    let temporary = one.folder.dir("tmp", 0o700);
    let start = async |site: &Site| {
        let mut command = site.run_command();
        command.env("TMPDIR", &temporary);
        Program::start(command).await
    };
    let first = start(&one).await;
    let second = start(&two).await;
    let warning = second.event("account_shared").await;
    assert_eq!(field_of(&warning, "account").as_deref(), Some("office"));
    assert_eq!(field_of(&warning, "level").map(|level| level.to_lowercase()).as_deref(), Some("warn"));
    assert!(field_of(&warning, "remedy").is_some_and(|remedy| remedy.contains("budget")), "{warning}");
    assert!(!warning.contains(CODE));
    for (program, site) in [(&first, &one), (&second, &two)] {
        hand_in(program, 3).await;
        wait_waiting(site, 1).await;
    }
    let received = sandbox.wait_for(4).await;
    for name in ["left.test", "right.test"] {
        let by =
            |message: &&yizhan::sandbox::Received| message.field("Received").is_some_and(|text| text.contains(name));
        assert_eq!(received.iter().filter(by).count(), 2, "{name}");
    }
    assert!(first.told("account_shared").is_empty(), "the first was alone when it started");
    first.kill().await;
    second.stop().await;
    // The kernel has taken the lock from both.
    let lines = start(&one).await.stop().await;
    assert!(!lines.iter().any(|line| event_of(line).as_deref() == Some("account_shared")), "{lines:?}");
}
