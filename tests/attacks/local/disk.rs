//! disks that are full, crowded, read-only, gone, or that fail; writes that are cut short.

use std::fs;
use std::path::Path;

use rustix::process::{Signal, kill_process};

use yizhan::queue::MessageState;
use yizhan::route::Pattern;
use yizhan::sandbox::{Sandbox, SandboxLimits};
use yizhan::secret::Secret;

use super::brittle::office;
use super::{nobody_home, not_now, run_as, send, taken};
use crate::support::folder::set_mode;
use crate::support::harm::{Disk, Tracer, start_under_strace, trace, traced};
use crate::support::load::{Books, Courier, letter};
use crate::support::office::{Device, USER, provider, until};
use crate::support::pair::{self, SPARE, SPARE_CODE, add_account, route};
use crate::support::peers::{account, program, require_root};
use crate::support::program::{Program, QUICK, Site, clean, files};
use crate::support::skip::{Missing, need};

const FULL: &str = "452 4.3.1 Insufficient system storage, try again later";
const NOT_STORED: &str = "451 4.3.0 The message could not be stored, try again later";

/// The relay takes mail again, without a restart.
async fn heals(books: &Books, relay: &Program, size: usize) {
    let healed = async || send(books, relay.door(), size).await?.starts_with("250 ").then_some(());
    until("the relay to take mail again", healed).await;
}

/// Everything that was taken arrives once; what was refused does not.
async fn all_is_sent(site: &Site, sandbox: &Sandbox, relay: Program, books: &Books) {
    sandbox.clear_faults();
    site.drained(sandbox).await;
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0, "copies");
    let left = files(&site.data.join("spool"));
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_080_a_size_that_finds_no_room_is_refused_at_mail_and_a_draft_leaves_nothing() {
    let sandbox = provider(SandboxLimits::default()).await;
    let settings = QUICK.replace("disk_free = 0", "disk_free = \"1MiB\"");
    let site = Site::with("size", &sandbox, &settings, |folder| folder.path().join("disk").join("data"));
    let disk = need!(Disk::mount(&site.folder.path().join("disk"), "size=8m"));
    let relay = site.start().await;
    let mut device = Device::connect(relay.door()).await;
    let announced = async |device: &mut Device| {
        device.write(b"MAIL FROM:<d@lan.local> SIZE=20000000\r\n").await;
        let reply = device.reply().await.expect("it does not hang up");
        device.ask("RSET", "250").await;
        reply
    };
    until("the disk to be measured", async || (announced(&mut device).await == FULL).then_some(())).await;
    // A message that began while there was room, and grows beyond it.
    for (command, start) in [("MAIL FROM:<d@lan.local>", "250"), ("RCPT TO:<a@else.test>", "250"), ("DATA", "354")] {
        device.ask(command, start).await;
    }
    device.write(&[b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcde\r\n".repeat(20_000)].concat()).await;
    until("its body to have a file", async || (!files(&site.data.join("spool")).is_empty()).then_some(())).await;
    disk.fill();
    device.write(&b"0123456789abcde\r\n".repeat(40_000)).await;
    assert_eq!(device.ask(".", "452").await, FULL);
    assert!(files(&site.data.join("spool")).is_empty(), "the draft is gone at once");
    disk.free();
    let books = Books::default();
    heals(&books, &relay, 200_000).await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_no_inodes_refuses_keeps_sends_and_heals() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::with("inodes", &sandbox, QUICK, |folder| folder.path().join("disk").join("data"));
    let disk = need!(Disk::mount(&site.folder.path().join("disk"), "size=64m,nr_inodes=1200"));
    not_now(&sandbox);
    let relay = site.start().await;
    let books = Books::default();
    for size in [300, 150_000, 900] {
        taken(&books, relay.door(), size).await;
    }
    // Greeted while there was room; its body needs a file that cannot be made.
    let mut early = Courier::connect(relay.door()).await.expect("it listens");
    disk.crowd();
    let reply = early.send(&letter("early", 200_000)).await.expect("it does not hang up");
    assert_eq!(reply, FULL);
    let refused = until("the door to know", async || {
        let mut device = Device::dial(relay.door()).await;
        device.reply().await.filter(|greeting| !greeting.starts_with("220"))
    });
    assert_eq!(refused.await, "421 4.3.1 Insufficient system storage, try again later");
    // What is queued leaves meanwhile.
    sandbox.clear_faults();
    site.drained(&sandbox).await;
    disk.uncrowd();
    heals(&books, &relay, 200_000).await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

/// A file system that has gone read-only under a running relay answers every write so; a remount would be refused while
/// files are open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_a_disk_that_goes_read_only_refuses_keeps_and_heals() {
    let sandbox = provider(SandboxLimits::default()).await;
    not_now(&sandbox);
    let site = Site::new("read-only", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    for size in [300, 150_000] {
        taken(&books, relay.door(), size).await;
    }
    let calls = "pwrite64,fsync,fdatasync,ftruncate,fallocate";
    let inject = format!("inject={calls}:error=EROFS");
    let tracer = need!(Tracer::attach(relay.pid(), &["-e", &format!("trace={calls}"), "-e", &inject]).await);
    for size in [300, 150_000, 4000] {
        assert_eq!(send(&books, relay.door(), size).await.expect("it does not hang up"), NOT_STORED);
    }
    assert!(!relay.told("queue_error").is_empty(), "it is said loudly");
    drop(tracer);
    heals(&books, &relay, 150_000).await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_a_queue_folder_that_is_deleted_takes_nothing_and_sends_what_it_has() {
    let sandbox = provider(SandboxLimits::default()).await;
    not_now(&sandbox);
    let site = Site::new("deleted", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    for size in [300, 5000] {
        taken(&books, relay.door(), size).await;
    }
    fs::remove_dir_all(&site.data).expect("it is ours");
    for size in [300, 150_000] {
        assert_eq!(send(&books, relay.door(), size).await.expect("it does not hang up"), NOT_STORED);
    }
    let line = relay.event("queue_astray").await;
    assert!(line.contains("moved or deleted") && line.contains("\"left\":2"), "{line}");
    // The open files still have it; when all of it has been sent, a new queue is begun at the old place.
    sandbox.clear_faults();
    until("what it had to arrive", async || (sandbox.stats().accepted == 2).then_some(())).await;
    heals(&books, &relay, 150_000).await;
    until("that to arrive as well", async || {
        (sandbox.stats().accepted as usize == books.acknowledged().len()).then_some(())
    })
    .await;
    let second = crate::support::program::finish(site.run_command()).await.with_code(1);
    assert!(second.contains("data_dir"), "the new place is locked as well: {second}");
    relay.stop().await;
    assert_eq!(books.audit(&sandbox.received()), 0, "copies");
}

/// Root may read everything, so the relay is somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_081_a_queue_folder_that_nobody_may_enter_refuses_keeps_and_heals() {
    need!(require_root("another user"));
    let (uid, gid) = need!(account("nobody").ok_or_else(|| Missing("the user nobody".to_owned())));
    let sandbox = provider(SandboxLimits::default()).await;
    not_now(&sandbox);
    let site = Site::new("mode", &sandbox, QUICK);
    let relay = Program::start(run_as(&site, uid, gid)).await;
    let books = Books::default();
    for size in [300, 150_000] {
        taken(&books, relay.door(), size).await;
    }
    set_mode(&site.data, 0o000);
    for size in [300, 150_000] {
        assert_eq!(send(&books, relay.door(), size).await.expect("it does not hang up"), NOT_STORED);
    }
    relay.event("queue_error").await;
    set_mode(&site.data, 0o700);
    heals(&books, &relay, 150_000).await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

/// Each of the first syncs of each thread fails once, in a run of its own: those of the start, of SQLite's log, of a body
/// and of its folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_082_each_sync_that_fails_is_no_250_and_is_not_tried_again() {
    let (mut injected, mut refused) = (0, 0);
    for error in ["EIO", "ENOSPC"] {
        let sandbox = provider(SandboxLimits::default()).await;
        nobody_home(&sandbox);
        let site = Site::new("sync", &sandbox, QUICK);
        site.start().await.stop().await;
        let books = Books::default();
        for nth in 1..=7 {
            let before = books.refused().len();
            let inject = format!("inject=fsync,fdatasync:error={error}:when={nth}");
            let relay = need!(start_under_strace(&site, &["-y", "-e", "trace=fsync,fdatasync", "-e", &inject]).await);
            for size in [700, 150_000, 700, 150_000, 700, 700] {
                let reply = send(&books, relay.door(), size).await.expect("it does not hang up");
                let legal = reply.starts_with("250 ") || reply == NOT_STORED || reply == FULL;
                assert!(legal, "{error} {nth}: {reply}");
            }
            taken(&books, relay.door(), 500).await;
            // What is on the disk now, is.
            kill_process(traced(&site), Signal::KILL).expect("it lives");
            let _ = relay.end().await;
            let failed = failed_syncs(&trace(&site));
            assert_eq!(
                books.refused().len() - before,
                failed,
                "{error} {nth}: one letter for each sync that it needed"
            );
            injected += failed;
        }
        refused += books.refused().len();
        let relay = site.start().await;
        taken(&books, relay.door(), 300).await;
        relay.kill().await;
        sandbox.clear_faults();
        let relay = site.start().await;
        all_is_sent(&site, &sandbox, relay, &books).await;
    }
    println!("{injected} syncs failed, {refused} letters were refused");
    assert!(injected >= 14, "{injected}");
}

/// The second of the two messages that one letter becomes cannot be stored: the first one does not leave either, because
/// the client, which was refused, sends the letter again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_082_a_letter_for_two_pools_is_stored_whole_or_not_at_all() {
    let (office, queue) = office("two-pools", |settings| {
        add_account(settings, "spare", SPARE, SPARE_CODE);
        let mut spare = route(&["spare"]);
        spare.recipients = vec![Pattern::parse("*@spare.test").unwrap()];
        settings.routes = vec![spare];
    })
    .await;
    pair::open_spare(&office);
    queue.refuse_pool(Some("spare"));
    let mut device = Device::connect(office.door()).await;
    let to = ["a@else.test", "b@spare.test"];
    device.ask("MAIL FROM:<device@lan.local>", "250").await;
    for to in to {
        device.ask(&format!("RCPT TO:<{to}>"), "250").await;
    }
    device.ask("DATA", "354").await;
    device
        .write(&[b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcde\r\n".repeat(20_000), b".\r\n".to_vec()].concat())
        .await;
    assert_eq!(device.expect("451").await, NOT_STORED);
    assert!(office.list(&MessageState::ALL).await.is_empty(), "neither of them is there");
    let left = files(&office.folder.path().join("data/spool"));
    assert!(left.is_empty(), "{left:?}");
    queue.refuse_pool(None);
    device.send("device@lan.local", &to, b"Subject: again\r\n\r\nbody\r\n").await;
    office.received(2).await;
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 2, "each recipient has it once");
}

/// Hands in a letter for the two pools of `two_pools`, and gives the reply.
async fn send_to_both(relay: &Program, subject: &str, lines: usize) -> String {
    let mut device = Device::connect(relay.door()).await;
    for command in ["MAIL FROM:<d@lan.local>", "RCPT TO:<a@else.test>", "RCPT TO:<b@spare.test>"] {
        device.ask(command, "250").await;
    }
    device.ask("DATA", "354").await;
    let head = format!("Subject: {subject}\r\n\r\n").into_bytes();
    device.write(&[head, b"0123456789abcde\r\n".repeat(lines), b".\r\n".to_vec()].concat()).await;
    device.reply().await.expect("it does not hang up")
}

/// A site with a second account, through which the mail for `spare.test` leaves.
fn two_pools(sandbox: &Sandbox) -> Site {
    sandbox.set_secret(SPARE, Secret::new(SPARE_CODE));
    let site = Site::new("two-pools-sync", sandbox, QUICK);
    let (text, code) = (fs::read_to_string(&site.config).expect("it is ours"), site.folder.file("spare", SPARE_CODE));
    let first =
        &text[text.find("[account.office]").expect("there is one")..text.find("[limits]").expect("there is one")];
    let second = first
        .replace("[account.office]", "[account.spare]")
        .replace(USER, SPARE)
        .replace(&site.code.display().to_string(), &code.display().to_string());
    let route = "[[route]]\nrecipient = \"*@spare.test\"\naccount = \"spare\"\n";
    site.folder.file("yizhan.toml", format!("{text}{second}{route}"));
    site
}

/// The disk fails at the commit of such a letter: what the database may have kept of the two messages is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_082_a_commit_that_fails_leaves_nothing_of_a_letter_for_two_pools() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = two_pools(&sandbox);
    site.start().await.stop().await;
    let (mut taken, mut refused) = (Vec::new(), 0);
    for nth in 1..=6 {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let relay = need!(start_under_strace(&site, &["-e", "trace=fsync,fdatasync", "-e", &inject]).await);
        for (number, lines) in [50, 9000, 50, 9000, 50, 50].into_iter().enumerate() {
            let subject = format!("letter {nth}.{number}");
            let reply = send_to_both(&relay, &subject, lines).await;
            if reply.starts_with("250 ") {
                taken.push(subject);
            } else {
                assert_eq!(reply, NOT_STORED, "{nth}");
                refused += 1;
            }
        }
        let last = format!("letter {nth}.last");
        assert!(send_to_both(&relay, &last, 50).await.starts_with("250 "), "{nth}: the faults are over");
        taken.push(last);
        kill_process(traced(&site), Signal::KILL).expect("it lives");
        let _ = relay.end().await;
    }
    assert!(refused >= 4, "{refused}");
    sandbox.clear_faults();
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    for user in [USER, SPARE] {
        let mut subjects: Vec<String> = sandbox.received_from(user).iter().map(|one| one.subject()).collect();
        subjects.sort();
        taken.sort();
        assert_eq!(subjects, taken, "{user}");
    }
    let left = files(&site.data.join("spool"));
    assert!(left.is_empty(), "{left:?}");
}

/// While every sync fails, the commit of a refused letter stays in the log, whole. It is deleted before anything else is done
/// with the database, because the client, which was refused, sends the letter again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_082_a_letter_whose_sync_failed_is_deleted_when_the_disk_works_again() {
    let sandbox = provider(SandboxLimits::default()).await;
    not_now(&sandbox);
    let site = Site::new("no-sync", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 300).await;
    let inject = "inject=fsync,fdatasync:error=EIO";
    let tracer = need!(Tracer::attach(relay.pid(), &["-e", "trace=fsync,fdatasync", "-e", inject]).await);
    for size in [300, 4000] {
        assert_eq!(send(&books, relay.door(), size).await.expect("it does not hang up"), NOT_STORED);
    }
    drop(tracer);
    heals(&books, &relay, 700).await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

/// How many syncs failed that a letter needs: of its body, of the body's folder, of the log of the database. None of those
/// files is synced again afterwards under the same name: the kernel reports a lost page once, and a second sync would be
/// an idle promise. (The log is opened anew; a body gets another name.)
fn failed_syncs(trace: &str) -> usize {
    let file = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let lines: Vec<(String, bool)> = trace
        .lines()
        .map(|line| (file(line), line.contains("(INJECTED)")))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    for (place, (name, _)) in lines.iter().enumerate().filter(|(_, (name, failed))| *failed && name.ends_with(".part"))
    {
        assert!(lines[place + 1..].iter().all(|(later, _)| later != name), "{name} was synced again: {trace}");
    }
    let needed = |name: &str| name.ends_with(".part") || name.ends_with("queue.db-wal") || name.contains("/spool");
    lines.iter().filter(|(name, failed)| *failed && needed(name)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_083_interrupted_calls_are_made_again() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("eintr", &sandbox, QUICK);
    // Every third of these calls of each thread. (Not write: the runtime wakes itself with it, where it cannot happen.)
    let inject = "inject=pwrite64,pread64,ftruncate:error=EINTR:when=3+3";
    let relay = need!(start_under_strace(&site, &["-e", "trace=pwrite64,pread64,ftruncate", "-e", inject]).await);
    let books = Books::default();
    let mut taken = 0;
    for round in 0..40 {
        let reply = send(&books, relay.door(), if round % 4 == 3 { 150_000 } else { 900 }).await;
        let reply = reply.expect("it does not hang up");
        taken += usize::from(reply.starts_with("250 "));
        assert!(reply.starts_with("250 ") || reply == NOT_STORED, "{reply}");
    }
    assert!(taken >= 20, "{taken}");
    let injected = trace(&site).matches("(INJECTED)").count();
    assert!(injected > 20, "{injected}");
    kill_process(traced(&site), Signal::KILL).expect("it lives");
    let _ = relay.end().await;
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    books.audit(&sandbox.received());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_083_a_file_that_says_later_is_an_error_and_nothing_is_torn() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("eagain", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 900).await;
    let inject = "inject=pwrite64:error=EAGAIN:when=2..60+5";
    let tracer = need!(Tracer::attach(relay.pid(), &["-e", "trace=pwrite64", "-e", inject]).await);
    let mut refused = 0;
    for round in 0..60 {
        let reply = send(&books, relay.door(), if round % 4 == 3 { 150_000 } else { 900 }).await;
        let reply = reply.expect("it does not hang up");
        assert!(reply.starts_with("250 ") || reply == NOT_STORED, "{reply}");
        refused += usize::from(reply == NOT_STORED);
    }
    drop(tracer);
    assert!(refused > 0, "nothing was tried out");
    heals(&books, &relay, 150_000).await;
    relay.kill().await;
    let relay = site.start().await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

/// A limit to the size of a file cuts a write short in truth, and sends a signal that ends who does not expect it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_083_a_file_that_may_not_grow_is_an_error_and_not_the_end() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("fsize", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 900).await;
    let limit = async |octets: &str| {
        let mut command = clean(std::process::Command::new(program("prlimit")?), ["--pid"]);
        command.arg(relay.pid().to_string()).arg(format!("--fsize={octets}:unlimited"));
        crate::support::program::finish(command).await.with_code(0);
        Ok::<(), Missing>(())
    };
    // In the middle of a page of the log, and of a piece of a body.
    need!(limit("150001").await);
    let mut refused = 0;
    for round in 0..60 {
        let reply = send(&books, relay.door(), if round % 4 == 3 { 170_000 } else { 9000 }).await;
        let reply = reply.expect("it does not hang up");
        assert!(reply.starts_with("250 ") || reply == NOT_STORED, "{reply}");
        refused += usize::from(reply == NOT_STORED);
    }
    assert!(refused > 10, "{refused}");
    need!(limit("unlimited").await);
    heals(&books, &relay, 170_000).await;
    relay.kill().await;
    let relay = site.start().await;
    all_is_sent(&site, &sandbox, relay, &books).await;
}

/// A bit that flips on the disk while the message waits: it is held, the log says so aloud, the others go on, and
/// `yizhan queue` shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_086_a_flipped_bit_is_held_and_told() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("flipped", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 150_000).await;
    taken(&books, relay.door(), 700).await;
    relay.kill().await;
    let [body] = &files(&site.data.join("spool"))[..] else { panic!("one body has a file") };
    flip(body, 70_000);
    sandbox.clear_faults();
    let relay = site.start().await;
    let line = relay.event("set_aside").await;
    assert!(line.contains("checksum") && line.contains("\"error\""), "{line}");
    site.drained(&sandbox).await;
    assert_eq!((sandbox.stats().accepted, site.depth(&["held"]).await), (1, 1));
    let list = site.ask(&["queue", "list", "--state", "held"]).await.with_code(0);
    assert!(list.contains("held") && !list.contains("panicked"), "{list}");
    taken(&books, relay.door(), 150_000).await;
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!(sandbox.stats().accepted, 2);
}

fn flip(file: &Path, place: usize) {
    let mut octets = fs::read(file).expect("it is ours");
    octets[place] ^= 1;
    fs::write(file, octets).expect("it is ours");
}
