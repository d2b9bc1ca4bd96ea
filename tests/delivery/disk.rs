//! Promise 1 on a disk that is full, and on one that fails: no 250 without durability, what is queued leaves, and the
//! relay takes mail again without a restart.
//!
//! The full disk is a small tmpfs (root only). The failing one is `strace`, which makes `fsync` and `fdatasync` of the
//! real program return EIO, and shows that every 250 comes after the syncs it stands for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::time::timeout;

use yizhan::queue::{self, MessageQueue as _, NextAttempt, Settled};
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, Stats, What};

use crate::mailbag;
use crate::support::folder::Folder;
use crate::support::harm::{Disk, Tracer, start_under_strace, trace, traced};
use crate::support::load::{Books, Courier, letter};
use crate::support::office::{PATIENCE, provider, until};
use crate::support::program::{Program, QUICK, Site};
use crate::support::skip::{Missing, need};

/// Hands in one letter and gives the reply; it is in the books afterwards.
async fn send(books: &Books, door: SocketAddr, size: usize) -> String {
    let token = books.token();
    let mut courier = Courier::connect(door).await.expect("the relay listens");
    let reply = courier.send(&letter(&token, size)).await.expect("the relay does not hang up");
    books.enter(token, &reply);
    reply
}

/// Waits until as many letters have arrived as were acknowledged.
async fn all_arrived(books: &Books, sandbox: &Sandbox) {
    let count = books.acknowledged().len();
    let arrived = timeout(PATIENCE, sandbox.wait_for(count)).await.is_ok();
    assert!(arrived, "{count} acknowledged: {:?}", sandbox.stats());
}

/// The provider is slow, so that the queue is not empty.
fn slow(sandbox: &Sandbox) {
    sandbox.fault(Fault::forever(Stage::FinalDot, What::Delay(Duration::from_millis(300))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_080_a_full_disk_refuses_keeps_sends_and_heals() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::with("full", &sandbox, QUICK, |folder| folder.path().join("disk").join("data"));
    let disk = need!(Disk::mount(&site.folder.path().join("disk"), "size=12m"));
    let relay = site.start().await;
    let (door, books) = (relay.door(), Books::default());
    slow(&sandbox);
    for size in [100, 4000, 150_000, 200_000, 300, 150_000, 500, 900] {
        let reply = send(&books, door, size).await;
        assert!(reply.starts_with("250 "), "{reply}");
    }
    disk.fill();
    for size in [300_000, 150_000] {
        assert_eq!(send(&books, door, size).await, "452 4.3.1 Insufficient system storage, try again later");
    }
    // Small ones may still find room in the files that are there; then they are as safe as any.
    let mut small = 0;
    let refusal = loop {
        let reply = send(&books, door, 8000).await;
        if !reply.starts_with("250 ") {
            break reply;
        }
        small += 1;
        assert!(small < 2000, "the disk is never full");
    };
    assert_eq!(refusal, "452 4.3.1 Insufficient system storage, try again later");
    println!("{small} small letters found room after the disk was full");
    // What is queued leaves while the disk is full.
    sandbox.clear_faults();
    all_arrived(&books, &sandbox).await;
    disk.free();
    let healed = async || send(&books, door, 200_000).await.starts_with("250 ").then_some(());
    until("the relay to take mail again", healed).await;
    assert!(send(&books, door, 400).await.starts_with("250 "));
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0, "copies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_080_a_relay_killed_on_a_full_disk_starts_there_and_sends_what_it_has() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::with("full-kill", &sandbox, QUICK, |folder| folder.path().join("disk").join("data"));
    let disk = need!(Disk::mount(&site.folder.path().join("disk"), "size=12m"));
    let relay = site.start().await;
    let books = Books::default();
    slow(&sandbox);
    for size in [100, 150_000, 4000, 200_000, 300] {
        assert!(send(&books, relay.door(), size).await.starts_with("250 "));
    }
    disk.fill();
    relay.kill().await;
    disk.fill();
    let relay = site.start().await;
    sandbox.clear_faults();
    all_arrived(&books, &sandbox).await;
    disk.free();
    let healed = async || send(&books, relay.door(), 200_000).await.starts_with("250 ").then_some(());
    until("the relay to take mail again", healed).await;
    site.drained(&sandbox).await;
    relay.stop().await;
    println!("{} copies", books.audit(&sandbox.received()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_082_a_disk_that_fails_to_sync_gets_no_letter_acknowledged_and_loses_none() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("eio", &sandbox, QUICK);
    // Every third sync of each thread fails, from its 30th to its 120th.
    let inject = "inject=fsync,fdatasync:error=EIO:when=30..120+3";
    let relay = need!(start_under_strace(&site, &["-e", "trace=fsync,fdatasync", "-e", inject]).await);
    let (door, books) = (relay.door(), Books::default());
    let mut after = 0;
    for round in 0..400 {
        let reply = send(&books, door, if round % 4 == 3 { 150_000 } else { 700 }).await;
        match reply.as_str() {
            "451 4.3.0 The message could not be stored, try again later" => after = 0,
            reply => {
                assert!(reply.starts_with("250 "), "{reply}");
                after += 1;
            }
        }
        // The faults are over: it has taken mail many times in a row.
        if after == 20 && !books.refused().is_empty() {
            break;
        }
    }
    let injected = trace(&site).lines().filter(|line| line.contains("(INJECTED)")).count();
    let (acknowledged, refused) = (books.acknowledged().len(), books.refused().len());
    println!("{acknowledged} acknowledged, {refused} refused, {injected} syncs failed");
    assert!(after == 20 && refused > 3 && injected > 3, "it does not take mail again");
    // It is still the same process. A kill shows what is really on the disk, and the next run has a sound one.
    kill_process(traced(&site), Signal::KILL).expect("it lives");
    let _ = relay.end().await;
    let relay = site.start().await;
    assert!(send(&books, relay.door(), 700).await.starts_with("250 "));
    site.drained(&sandbox).await;
    relay.stop().await;
    println!("{} copies", books.audit(&sandbox.received()));
}

/// A power cut must not take the data folder away because its name was never written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_085_the_names_of_new_folders_are_synced() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::with("new-folder", &sandbox, QUICK, |folder| folder.path().join("one/two/data"));
    let relay = need!(start_under_strace(&site, &["-y", "-s", "200", "-e", "trace=mkdir,mkdirat,fsync"]).await);
    kill_process(traced(&site), Signal::KILL).expect("it lives");
    let _ = relay.end().await;
    let trace = trace(&site);
    let made = |path: &Path| {
        let name = format!("\"{}\"", path.display());
        trace.lines().position(|line| line.contains("mkdir") && line.contains(&name) && line.contains("= 0"))
    };
    let synced = |path: &Path| {
        let name = format!("<{}>", path.display());
        let synced = |line: &&str| line.contains("fsync(") && line.contains(&name) && line.contains("= 0");
        trace.lines().enumerate().filter(|(_, line)| synced(line)).map(|(place, _)| place).last()
    };
    for folder in ["one", "one/two", "one/two/data", "one/two/data/spool"] {
        let path = site.folder.path().join(folder);
        let (made, synced) = (made(&path), synced(path.parent().expect("it is in a folder")));
        assert!(made.is_some() && made < synced, "{folder}: {made:?} {synced:?}\n{trace}");
    }
}

/// The files that were synced without error between one reply of the relay and the next, in the order of the trace.
/// Gives, for each reply to a final dot, those since the reply to its DATA.
fn synced_before_250(trace: &str) -> Vec<Vec<String>> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let (mut synced, mut found) = (Vec::new(), Vec::new());
    for line in trace.lines() {
        let (thread, call) = line.split_once(char::is_whitespace).expect("a thread and a call");
        let call = call.trim_start();
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            // `fdatasync(9</path/to/queue.db-wal>) = 0`, or ` <unfinished ...>` where another thread comes between.
            let path = call.split(['<', '>']).nth(1).expect("-y names the file").to_owned();
            if call.ends_with("= 0") { synced.push(path) } else { drop(begun.insert(thread, path)) }
        } else if call.starts_with("<... f") && call.ends_with("= 0") {
            synced.extend(begun.remove(thread));
        } else if call.contains("\"354 ") {
            synced.clear();
        } else if call.contains("\"250 2.0.0 queued as ") {
            found.push(std::mem::take(&mut synced));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_082_no_letter_is_acknowledged_before_it_is_synced() {
    let sandbox = provider(SandboxLimits::default()).await;
    // Nothing is sent meanwhile, so that every sync is for a letter that comes in.
    sandbox.fault(Fault::forever(Stage::Connect, What::Stall));
    let site = Site::new("order", &sandbox, QUICK);
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg";
    let relay = need!(start_under_strace(&site, &["-y", "-s", "40", "-e", calls]).await);
    let books = Books::default();
    let sizes = [500, 150_000, 3000, 200_000, 600];
    for size in sizes {
        assert!(send(&books, relay.door(), size).await.starts_with("250 "));
    }
    kill_process(traced(&site), Signal::KILL).expect("it lives");
    let _ = relay.end().await;
    let trace = trace(&site);
    let synced = synced_before_250(&trace);
    assert_eq!(synced.len(), sizes.len(), "{trace}");
    for (size, synced) in sizes.iter().zip(synced) {
        let place = |end: &dyn Fn(&str) -> bool| synced.iter().position(|path| end(path));
        let log = place(&|path| path.ends_with("queue.db-wal")).unwrap_or_else(|| panic!("{size}: {synced:?}"));
        if *size > 128 * 1024 {
            // The body, then the folder with its final name, and only then the row that names it.
            let body = place(&|path| path.contains("/spool/") && path.ends_with(".part"));
            let folder = synced.iter().rposition(|path| path.contains("/spool") && !path.contains('.'));
            assert!(body.is_some() && body < folder && folder < Some(log), "{size}: {synced:?}");
        }
    }
}

/// The calls that change a file, and the answer of a file system that has gone read-only.
const READ_ONLY: [&str; 4] = [
    "-e",
    "trace=pwrite64,fsync,fdatasync,ftruncate,fallocate",
    "-e",
    "inject=pwrite64,fsync,fdatasync,ftruncate,fallocate:error=EROFS",
];

/// Waits until the queue has tried a few more times in vain to write how deliveries ended.
async fn tried_in_vain(relay: &Program) {
    relay.event("outcomes_kept").await;
    let tries = || relay.lines().iter().filter(|line| line.contains("a group of changes could not be written")).count();
    let before = tries();
    until("more tries to write", async || (tries() >= before + 4).then_some(())).await;
}

/// Twenty letters that wait, a slow provider, and then a disk that takes no more writes.
async fn read_only(name: &str) -> Result<(Site, Sandbox, Program, Books, Tracer), Missing> {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    slow(&sandbox);
    for _ in 0..20 {
        assert!(send(&books, relay.door(), 900).await.starts_with("250 "));
    }
    let tracer = Tracer::attach(relay.pid(), &READ_ONLY).await?;
    sandbox.clear_faults();
    tried_in_vain(&relay).await;
    Ok((site, sandbox, relay, books, tracer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_a_kill_on_a_disk_that_takes_no_outcome_makes_a_copy_for_each_connection_at_most() {
    let (site, sandbox, relay, books, tracer) = need!(read_only("read-only-kill").await);
    let accepted = sandbox.stats().accepted;
    assert!(accepted < 20, "the relay went on sending");
    relay.kill().await;
    drop(tracer);
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    let copies = books.audit(&sandbox.received());
    assert!(copies <= 2, "{copies} copies, {accepted} were accepted before the kill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_outcomes_are_logged_once_the_disk_takes_them() {
    let (site, sandbox, relay, books, tracer) = need!(read_only("read-only-heals").await);
    let told = relay.told("delivered").len();
    assert!(told < sandbox.stats().accepted as usize, "an outcome was logged that is not on the disk");
    drop(tracer);
    relay.event("outcomes_written").await;
    site.drained(&sandbox).await;
    let lines = relay.stop().await;
    let delivered = lines.iter().filter(|line| line.contains("\"event\":\"delivered\"")).count();
    assert_eq!((delivered, books.audit(&sandbox.received())), (20, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_080_on_a_disk_without_any_space_outcomes_are_written_and_space_is_made() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.fault(Fault::forever(Stage::Connect, What::Close));
    let site = Site::with("reserve", &sandbox, QUICK, |folder| folder.path().join("disk").join("data"));
    let disk = need!(Disk::mount(&site.folder.path().join("disk"), "size=24m"));
    let relay = site.start().await;
    let books = Books::default();
    for size in [150_000, 8000, 700] {
        while send(&books, relay.door(), size).await.starts_with("250 ") {}
        disk.fill();
    }
    while send(&books, relay.door(), 700).await.starts_with("250 ") {}
    let count = books.acknowledged().len();
    relay.kill().await;
    // Not one octet is left but those of the reserve, at the start as well.
    disk.fill();
    sandbox.clear_faults();
    let relay = site.start().await;
    let half = |stats: &Stats| stats.accepted as usize > count / 2;
    timeout(PATIENCE, sandbox.wait_until(half)).await.expect("it sends on a full disk");
    relay.kill().await;
    let relay = site.start().await;
    all_arrived(&books, &sandbox).await;
    site.drained(&sandbox).await;
    relay.stop().await;
    let copies = books.audit(&sandbox.received());
    assert!(copies <= 2, "{copies} copies of {count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_080_new_mail_never_takes_what_the_reserve_gave_back() {
    let folder = Folder::new("reserve-new");
    let disk = need!(Disk::mount(&folder.path().join("disk"), "size=16m"));
    let queue = mailbag::open_clean(&folder.path().join("disk"));
    for n in 0..40 {
        queue.put(mailbag::short(n, mailbag::at(n))).await.expect("there is room");
    }
    let (data, settlement) = (folder.path().join("disk/data"), || {
        mailbag::settlement(vec![(0, mailbag::delivered(100))], NextAttempt::Deferred(mailbag::at(100)))
    });
    let lease = async || mailbag::lease_due(&queue, mailbag::at(100), 1).await.expect("it can be read").pop();
    // Somebody reads for a long time, so that the log cannot begin anew.
    let reader = rusqlite::Connection::open(data.join("queue.db")).expect("it is a database");
    reader.execute_batch("BEGIN; SELECT count(*) FROM message").expect("it can be read");
    disk.fill();
    let reserve = data.join("reserve");
    assert!(reserve.exists());
    while reserve.exists() {
        let lease = lease().await.expect("some are left");
        assert!(matches!(queue.settle(lease, settlement()).await, Ok(Settled::Written)), "an outcome is written");
    }
    let put = queue.put(mailbag::short(100, mailbag::at(100))).await;
    assert!(matches!(put, Err(queue::QueueError::Full(_))), "a short one: {put:?}");
    let long = queue.draft().write(&[b'x'; 300_000]).await;
    assert!(matches!(long, Err(queue::QueueError::Full(_))), "a long one: {long:?}");
    let lease = lease().await.expect("some are left");
    assert!(matches!(queue.settle(lease, settlement()).await, Ok(Settled::Written)), "an outcome is written");
    disk.free();
    until("it to take mail again", async || queue.put(mailbag::short(101, mailbag::at(101))).await.ok()).await;
    assert!(reserve.exists(), "it has its reserve again");
}
