//! limits to the process, signals in the middle of things, and what changes while it runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use yizhan::admin::control;
use yizhan::admin::{AdminCommand, AdminReply};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};
use yizhan::secret::Secret;

use super::{nobody_home, not_now, run_as, send, taken};
use crate::support::harm::Tracer;
use crate::support::load::{Books, Courier};
use crate::support::office::{CODE, Device, PATIENCE, USER, provider, until};
use crate::support::peers::{account, program, require_root};
use crate::support::program::{Program, QUICK, Site, clean, event_of, field_of, finish};
use crate::support::skip::{Missing, need};

/// Sets a limit of a running process (prlimit(1)).
async fn limit(relay: &Program, option: &str) -> Result<(), Missing> {
    finish(limiting(relay, option)?).await.with_code(0);
    Ok(())
}

fn limiting(relay: &Program, option: &str) -> Result<Command, Missing> {
    let mut command = clean(Command::new(program("prlimit")?), ["--pid", &relay.pid().to_string()]);
    command.arg(option);
    Ok(command)
}

/// Octets of address space that it has now (`VmSize` of proc(5)).
fn address_space(relay: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Clients that all send at once what stays in memory; gives the replies, none for a connection that was lost.
async fn crowd(books: &Arc<Books>, relay: &Program) -> Vec<Option<String>> {
    let mut tasks = JoinSet::new();
    for _ in 0..40 {
        let (books, door) = (books.clone(), relay.door());
        tasks.spawn(async move { send(&books, door, 120_000).await });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_090_without_memory_it_refuses_or_ends_and_the_queue_is_whole() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("memory", &sandbox, QUICK);
    let books = Arc::new(Books::default());
    let mut ends = Vec::new();
    for spare in [0, 1 << 20, 4 << 20, 64 << 20] {
        let mut command = site.run_command();
        // One heap, which grows by asking the system.
        command.env("MALLOC_ARENA_MAX", "1");
        let relay = Program::start(command).await;
        taken(&books, relay.door(), 700).await;
        need!(limit(&relay, &format!("--as={}", address_space(&relay) + spare)).await);
        let replies = crowd(&books, &relay).await;
        for reply in replies.iter().flatten() {
            assert!(["250 ", "421 ", "451 ", "452 "].iter().any(|start| reply.starts_with(start)), "{reply}");
        }
        ends.push((spare, replies.iter().flatten().count(), relay.ended()));
        // By itself, or now.
        let _ = kill_process(Pid::from_raw(relay.pid()).expect("not zero"), Signal::KILL);
        let (status, lines) = relay.end().await;
        assert!(!status.success(), "whoever watches over it must know: {lines:?}");
    }
    println!("octets to spare, replies, whether it ended: {ends:?}");
    let relay = site.start().await;
    taken(&books, relay.door(), 300_000).await;
    sandbox.clear_faults();
    relay.kill().await;
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

/// Root is not limited in its threads, so the relay is somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_090_without_threads_it_refuses_and_heals() {
    need!(require_root("another user"));
    let (uid, gid) = need!(account("nobody").ok_or_else(|| Missing("the user nobody".to_owned())));
    let sandbox = provider(SandboxLimits::default()).await;
    not_now(&sandbox);
    let site = Site::new("threads", &sandbox, QUICK);
    let relay = Program::start(run_as(&site, uid, gid)).await;
    let books = Books::default();
    // Bodies in files are written by threads that are made when they are needed; none has been yet.
    // A root without all its capabilities may not limit others; one's own processes anybody may.
    let limit = async |option: &str| {
        let mut command = limiting(&relay, option)?;
        command.uid(uid).gid(gid);
        finish(command).await.with_code(0);
        Ok::<(), Missing>(())
    };
    need!(limit("--nproc=1:").await);
    let mut said = Vec::new();
    for size in [150_000, 700, 150_000, 150_000] {
        let reply = send(&books, relay.door(), size).await.expect("it says something");
        assert!(
            reply.starts_with("250 ") || reply.starts_with("451 4.3.0") || reply.starts_with("421 4.3.0"),
            "{reply}"
        );
        said.push(reply);
    }
    // What needs no thread is taken, or at least nothing hangs and nothing dies.
    assert!(!relay.ended(), "{said:?}");
    println!("without threads: {said:?}, {} panics", relay.told("panic").len());
    need!(limit("--nproc=5000:").await);
    let healed = async || send(&books, relay.door(), 150_000).await?.starts_with("250 ").then_some(());
    until("the relay to take mail again", healed).await;
    sandbox.clear_faults();
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_090_with_too_little_memory_it_does_not_start_and_says_so_by_its_exit_code() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("start", &sandbox, QUICK);
    let books = Books::default();
    let relay = site.start().await;
    taken(&books, relay.door(), 150_000).await;
    relay.kill().await;
    let mut started = Vec::new();
    for mebibytes in [8, 16, 24, 28, 32, 36, 40, 44, 48] {
        let option = format!("--as={}", mebibytes << 20);
        let mut command = clean(Command::new(need!(program("prlimit"))), [option.as_str(), "--"]);
        command.arg(crate::support::program::YIZHAN).args(site.run_arguments());
        let relay = Program::spawn(command);
        let up = async || (relay.ended() || !relay.told("listening").is_empty()).then_some(());
        until("it to start or to end", up).await;
        started.push((mebibytes, !relay.ended()));
        if relay.ended() {
            let (status, lines) = relay.end().await;
            assert!(!status.success(), "{lines:?}");
        }
    }
    println!("mebibytes of addresses, whether it started: {started:?}");
    assert!(started.iter().any(|(_, up)| !up), "nothing was tried out");
    sandbox.clear_faults();
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0, "what was queued is still there, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_091_a_signal_in_the_middle_finishes_what_was_begun() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("term", &sandbox, &format!("{QUICK}[account.office.budget]\nconnections = 1\n{BUDGET}"));
    let relay = site.start().await;
    let books = Books::default();
    // One is on its way to the provider, whose verdict takes its time; others wait behind it.
    sandbox.fault(Fault::once(Stage::FinalDot, What::Delay(Duration::from_secs(3))));
    for size in [700, 900, 150_000] {
        taken(&books, relay.door(), size).await;
    }
    until("the first to be under way", async || (sandbox.stats().logins_ok > 0).then_some(())).await;
    let mut idle = Device::connect(relay.door()).await;
    let mut busy = Device::connect(relay.door()).await;
    for (command, start) in [("MAIL FROM:<d@lan.local>", "250"), ("RCPT TO:<a@else.test>", "250"), ("DATA", "354")] {
        busy.ask(command, start).await;
    }
    busy.write(b"Subject: half\r\n\r\nfirst half\r\n").await;
    let door = relay.door();
    relay.signal(Signal::TERM);
    relay.event("draining").await;
    idle.expect("421 4.3.2").await;
    busy.write(b"second half\r\n.\r\n").await;
    busy.expect("250 2.0.0 queued as ").await;
    let (status, lines) = relay.end().await;
    assert_eq!(status.code(), Some(0), "{lines:?}");
    assert!(Courier::connect(door).await.is_err(), "nobody listens any more");
    let before = sandbox.stats().accepted;
    assert!((1..4).contains(&before), "what was begun was finished, and nothing else was begun: {before}");
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    let received = sandbox.received();
    assert_eq!(received.len(), 4, "each once");
    let letters: Vec<_> = received.into_iter().filter(|one| one.subject() != "half").collect();
    assert_eq!(books.audit(&letters), 0);
}

const BUDGET: &str = "messages_per_minute = 1000000\nrecipients_per_hour = 1000000\nrecipients_per_day = 1000000\n\
    logins_per_hour = 1000000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_092_a_settings_file_that_is_wrong_changes_nothing_while_it_runs() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("wrong", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 300).await;
    let sound = fs::read_to_string(&site.config).expect("it is ours");
    for wrong in ["this is = not [ toml", "[account.office]\nprovider = \"nobody\"\n", ""] {
        fs::write(&site.config, wrong).expect("it is ours");
        relay.signal(Signal::HUP);
        taken(&books, relay.door(), 900).await;
    }
    site.drained(&sandbox).await;
    assert!(!relay.ended());
    // The next start says what is wrong, and with which code.
    fs::write(&site.config, "this is = not [ toml").expect("it is ours");
    relay.stop().await;
    finish(site.run_command()).await.with_code(78);
    fs::write(&site.config, sound).expect("it is ours");
    site.start().await.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_092_queued_mail_uses_the_new_password() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("rotated", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    sandbox.set_secret(USER, Secret::new("newcodenewcodene"));
    for size in [300, 150_000, 900] {
        taken(&books, relay.door(), size).await;
    }
    relay.event("account_cooling").await;
    assert_eq!(sandbox.stats().accepted, 0);
    // The owner writes the new code into the file, and may say so.
    fs::write(&site.code, "newcodenewcodene").expect("it is ours");
    relay.signal(Signal::HUP);
    relay.event("account_resumed").await;
    site.drained(&sandbox).await;
    let lines = relay.stop().await;
    assert!(!lines.iter().any(|line| line.contains("newcode")), "{lines:?}");
    assert_eq!((books.audit(&sandbox.received()), sandbox.stats().logins_refused), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_does_not_stop_the_mail() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("log-unread", &sandbox, &format!("{QUICK}level = \"debug\"\n"));
    let relay = site.start().await;
    relay.leave_unread(true);
    let mut device = Device::connect(relay.door()).await;
    let mut ids = Vec::new();
    for n in 0..400 {
        let text = format!("Subject: {n}\r\n\r\nbody\r\n");
        let id = device.send(&format!("a{}@b.c", "x".repeat(40)), &["d@e.f"], text.as_bytes()).await;
        ids.push(id.to_string());
    }
    let all = tokio::time::timeout(PATIENCE, sandbox.wait_for(400)).await;
    assert!(all.is_ok(), "the mail stands still: {:?}", sandbox.stats());
    // Everything else is answered as well.
    site.ask(&["queue", "list"]).await.with_code(0);
    relay.signal(Signal::TERM);
    relay.leave_unread(false);
    let (status, lines) = relay.end().await;
    assert_eq!(status.code(), Some(0), "{status}");
    let told = |event: &str| lines.iter().filter(|line| event_of(line).as_deref() == Some(event)).count();
    assert_eq!((told("delivered"), told("stopped"), told("log_dropped")), (400, 1, 0), "nothing is lost: it fits");
    let accepted = lines.iter().filter(|line| event_of(line).as_deref() == Some("accepted"));
    assert_eq!(accepted.filter_map(|line| field_of(line, "id")).collect::<Vec<_>>(), ids, "the order stays");
    assert!(lines.iter().map(String::len).sum::<usize>() > 3 * 64 * 1024, "more than a pipe holds");
}

/// Other programs send these to have a log opened anew, to ask for figures, or with a timer that was inherited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_091_a_signal_without_a_meaning_is_logged_and_ignored() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("signals", &sandbox, QUICK);
    let relay = site.start().await;
    let signals = [
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
    ];
    for (signal, name) in signals {
        relay.signal(signal);
        let named = |line: &str| (field_of(line, "signal").as_deref() == Some(name)).then_some(());
        relay.line(name, named).await;
    }
    assert_eq!(relay.told("signal_ignored").len(), signals.len());
    let books = Books::default();
    taken(&books, relay.door(), 700).await;
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0);
}

/// A core file would hold secrets and mail. What a process that may not be dumped has in `/proc` belongs to root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_044_the_memory_of_the_relay_is_closed_to_its_own_user() {
    need!(require_root("another user"));
    let (uid, gid) = need!(account("nobody").ok_or_else(|| Missing("the user nobody".to_owned())));
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("core", &sandbox, QUICK);
    let relay = Program::start(run_as(&site, uid, gid)).await;
    let owner = fs::metadata(format!("/proc/{}/mem", relay.pid())).expect("it runs").uid();
    assert_eq!(owner, 0, "the user {uid} could read its memory");
    relay.stop().await;
}

/// Has the relay wait for ten minutes when it opens this file, or until the tracer is dropped: a network disk that hangs.
async fn hang(relay: &Program, file: &Path) -> Result<Tracer, Missing> {
    let (file, inject) = (file.display().to_string(), "inject=openat,open:delay_enter=600000000");
    Tracer::attach(relay.pid(), &["-P", &file, "-e", "trace=openat,open", "-e", inject]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_092_a_secret_file_that_hangs_holds_up_nothing_but_log_ins() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("secret-hangs", &sandbox, QUICK);
    let relay = site.start().await;
    let mut device = Device::connect(relay.door()).await;
    device.send("a@b.c", &["d@e.f"], b"Subject: 1\r\n\r\nx\r\n").await;
    sandbox.wait_for(1).await;
    let tracer = need!(hang(&relay, &site.code).await);
    sandbox.fault(Fault::reply(Stage::Mail, "550 Sender frequency limited."));
    device.send("a@b.c", &["d@e.f"], b"Subject: 2\r\n\r\nx\r\n").await;
    relay.event("account_cooling").await;
    // Not by the command line, which looks at the files that the settings name, and would hang as well.
    let ask = async |order: AdminCommand| {
        let asked = tokio::time::timeout(Duration::from_secs(15), control::ask(&site.data, &order)).await;
        asked.expect("the relay answers").expect("the socket works")
    };
    for _ in 0..3 {
        let AdminReply::Accounts { accounts, .. } = ask(AdminCommand::Accounts {}).await else {
            panic!("another answer")
        };
        assert_eq!(accounts[0].state, "cooling");
    }
    let resumed = AdminReply::Account { account: "office".to_owned(), paused: false };
    assert_eq!(ask(AdminCommand::ResumeAccount { name: "office".to_owned() }).await, resumed);
    // The next log-in cannot read it either; that is said, and waits for the file.
    let why =
        relay.line("that the secret cannot be read", |line| line.contains("secret file").then(|| line.to_owned()));
    let why = why.await;
    assert!(why.contains("seconds"), "{why}");
    // The disk is there again: who waits for it goes on.
    drop(tracer);
    fs::remove_file(&site.code).expect("it is ours");
    fs::write(&site.code, CODE).expect("it is ours");
    sandbox.wait_for(2).await;
    relay.stop().await;
}
