//! Backups: what is in them while the queue is used, what a restore gives back, and what is left when one ends early.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mailbag::*;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    AccountState, AccountStore as _, AuditFilter, AuditLog as _, AuditRecord, BackupReport, HoldReason,
    Inspection as _, MessageFilter, MessageQueue as _, MessageState, NextAttempt, Queue, QueueError, StartupReport,
};

contract!(
    embedded,
    embedded,
    [a_backup_goes_into_a_new_file, a_backup_of_an_empty_queue_is_an_empty_queue, a_closed_queue_makes_no_backup,]
);

/// A folder for backups.
fn outside() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let file = folder.path().join("queue.tar");
    (folder, file)
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn a_backup_goes_into_a_new_file(open: Open<'_>) {
    let (folder, file) = outside();
    let queue = open();
    queue.put(message(1, START, 1, body(&*queue, 1, 300_000).await)).await.unwrap();
    queue.put(short(2, START)).await.unwrap();
    let report = queue.backup(file.clone()).await.unwrap();
    let found = fs::metadata(&file).unwrap();
    assert_eq!(report, BackupReport { messages: 2, octets: found.len() });
    assert_eq!(found.mode() & 0o777, 0o600, "it has mail in it");
    assert_eq!(names(folder.path()), ["queue.tar".to_owned()].into());
    // A file that exists is never replaced.
    let error = queue.backup(file.clone()).await.unwrap_err();
    assert!(error.to_string().contains("choose another name"), "{error}");
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    let before = fs::read(&file).unwrap();
    let missing = folder.path().join("no such folder/queue.tar");
    for refused in [file.clone(), folder.path().join("link"), folder.path().to_owned(), missing] {
        assert!(matches!(queue.backup(refused.clone()).await, Err(QueueError::Io { .. })), "{}", refused.display());
    }
    assert!(fs::read(&file).unwrap() == before);
    assert_eq!(names(folder.path()), ["link".to_owned(), "queue.tar".to_owned()].into());
    // What a dead run has left is replaced, not followed.
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("second.tar.part")).unwrap();
    fs::write(folder.path().join("second.tar.part.db"), "half a database").unwrap();
    fs::write(folder.path().join("second.tar.part.db-journal"), "a journal").unwrap();
    queue.backup(folder.path().join("second.tar")).await.unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    let left = ["link", "queue.tar", "second.tar", "victim"].map(str::to_owned);
    assert_eq!(names(folder.path()), left.into());
}

async fn a_backup_of_an_empty_queue_is_an_empty_queue(open: Open<'_>) {
    let (_folder, file) = outside();
    let report = open().backup(file.clone()).await.unwrap();
    assert_eq!(report.messages, 0);
    let restored = restore(&file);
    assert_eq!(open_clean(restored.path()).depth().await.unwrap().messages, [0; 7]);
}

async fn a_closed_queue_makes_no_backup(open: Open<'_>) {
    let (folder, file) = outside();
    let queue = open();
    queue.close().await.unwrap();
    assert!(matches!(queue.backup(file).await, Err(QueueError::Closed)));
    assert_eq!(names(folder.path()).len(), 0);
}

/// Unpacks a backup with `tar` into an empty data folder.
fn restore(file: &Path) -> Folder {
    let folder = Folder::new();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let tar = Command::new("tar").arg("-xf").arg(file).arg("-C").arg(&data).output().unwrap();
    assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    folder
}

/// The target may lie in the data folder, but not where the queue keeps its own files.
#[tokio::test]
async fn a_backup_is_refused_in_the_place_of_the_queues_own_files() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    queue.put(message(1, START, 1, body(&queue, 1, 300_000).await)).await.unwrap();
    let data = folder.path().join("data");
    fs::create_dir(data.join("quarantine")).unwrap();
    std::os::unix::fs::symlink(data.join("spool"), folder.path().join("elsewhere")).unwrap();
    let spool = files(&data.join("spool")).pop().unwrap().parent().unwrap().join("queue.tar");
    for inside in ["spool/queue.tar", "quarantine/queue.tar", "aside", "queue.db-journal", "spool/../spool/x"] {
        let error = queue.backup(data.join(inside)).await.unwrap_err();
        assert!(error.to_string().contains("uses this place itself"), "{inside}: {error}");
    }
    for inside in [spool, folder.path().join("elsewhere/queue.tar")] {
        assert!(matches!(queue.backup(inside).await, Err(QueueError::Io { .. })));
    }
    let before = names(&data);
    queue.backup(data.join("queue.tar")).await.unwrap();
    assert_eq!(names(&data).difference(&before).collect::<Vec<_>>(), ["queue.tar"]);
    drop(queue);
    open_clean(folder.path());
}

/// Everything that the queue has comes back: states, reasons, accounts, commands, content.
#[tokio::test]
async fn a_restored_queue_has_everything() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 0..4 {
        queue.put(message(n, at(n), 2, body(&queue, n, 200_000 + n as usize).await)).await.unwrap();
        queue.put(short(n + 10, at(n + 10))).await.unwrap();
    }
    let leases = lease_due(&queue, at(2), 3).await.unwrap();
    for (lease, outcomes) in leases.into_iter().zip([vec![(0, delivered(1)), (1, delivered(1))], vec![(0, again())]]) {
        queue.settle(lease, settlement(outcomes, NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    queue.hold_message(short(3, at(3)).id, HoldReason::Policy, "a rule".to_owned()).await.unwrap();
    queue.save_account_state(AccountState { account: "a".to_owned(), state: "{}".to_owned() }).await.unwrap();
    let text = String::new();
    let [who, from, command, target, result] = std::array::from_fn(|_| text.clone());
    queue.record_command(AuditRecord { at: at(1), who, from, command, target, result }).await.unwrap();
    let (_outside, file) = outside();
    assert_eq!(queue.backup(file.clone()).await.unwrap().messages, 8);
    let seen = async |queue: &SqliteQueue| {
        let filter = MessageFilter { states: MessageState::ALL.to_vec(), limit: 99, ..MessageFilter::default() };
        let list = queue.list(filter).await.unwrap();
        let accounts = queue.account_states().await.unwrap();
        (format!("{list:?} {accounts:?}"), queue.commands(AuditFilter::default()).await.unwrap().records)
    };
    let before = seen(&queue).await;
    drop(queue);
    let restored = restore(&file);
    let queue = open_clean(restored.path());
    assert_eq!(seen(&queue).await, before);
    let data = fs::metadata(restored.path().join("data/spool")).unwrap();
    assert_eq!(data.mode() & 0o777, 0o700);
    assert_eq!(files(&restored.path().join("data/spool")).len(), 3, "the body of what was delivered is gone");
    assert_eq!(content(&queue).await.len(), 6, "what is held is not leased");
    queue.release(short(3, at(3)).id, at(99)).await.unwrap();
    assert!(content(&queue).await[&3] == noise(3, 200_003));
}

/// The number of each message that is due, with its body, which has passed its checks.
async fn content(queue: &SqliteQueue) -> BTreeMap<u64, Vec<u8>> {
    let mut found = BTreeMap::new();
    for lease in lease_due(queue, at(1_000_000), usize::MAX).await.unwrap() {
        let number = std::str::from_utf8(&lease.head).unwrap()[9..].split('\r').next().unwrap().parse().unwrap();
        assert!(found.insert(number, read(&lease.body).await.unwrap()).is_none());
    }
    found
}

/// Every third body is long enough for a file.
fn length(n: u64) -> usize {
    if n.is_multiple_of(3) { 140_000 + n as usize % 1_000 } else { n as usize * 37 % 6_000 }
}

/// Puts and delivers until it is to end. Returns the numbers that were accepted, and those that were delivered.
async fn work(queue: Arc<SqliteQueue>, first: u64, end: Arc<AtomicBool>) -> (Vec<u64>, Vec<u64>) {
    let (mut accepted, mut done) = (Vec::new(), Vec::new());
    for n in first.. {
        if end.load(Ordering::SeqCst) {
            break;
        }
        queue.put(message(n, START, 1, body(&*queue, n, length(n)).await)).await.unwrap();
        accepted.push(n);
        for lease in lease_due(&*queue, at(9), 1).await.unwrap() {
            let number = std::str::from_utf8(&lease.head).unwrap()[9..].split('\r').next().unwrap().parse().unwrap();
            // Read as the delivery reads it: never may a body be gone.
            assert!(read(&lease.body).await.unwrap() == noise(number, length(number)));
            queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
            done.push(number);
        }
    }
    (accepted, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_accepted_and_not_delivered() {
    let folder = Folder::new();
    let queue = Arc::new(open_clean(folder.path()));
    let before: Vec<u64> = (0..60).collect();
    for n in &before {
        queue.put(message(*n, START, 1, body(&*queue, *n, length(*n)).await)).await.unwrap();
    }
    let end = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (1..4).map(|task| tokio::spawn(work(queue.clone(), task * 1_000_000, end.clone()))).collect();
    let (outside, _) = outside();
    let mut backups = Vec::new();
    for n in 0..4 {
        let [file, other] = ["first", "second"].map(|name| outside.path().join(format!("{name} {n}.tar")));
        match tokio::join!(queue.backup(file.clone()), queue.backup(other.clone())) {
            (Ok(_), Err(QueueError::InUse(text))) if text.contains("try again") => backups.push(file),
            (Err(QueueError::InUse(text)), Ok(_)) if text.contains("try again") => backups.push(other),
            other => panic!("one of two at the same time is refused: {other:?}"),
        }
    }
    end.store(true, Ordering::SeqCst);
    let (mut accepted, mut done) = (before.clone(), BTreeSet::new());
    for task in tasks {
        let (more, settled) = task.await.unwrap();
        accepted.extend(more);
        done.extend(settled);
    }
    for file in &backups {
        let restored = restore(file);
        let queue = open_clean(restored.path());
        let found = content(&queue).await;
        assert!(found.iter().all(|(n, body)| *body == noise(*n, length(*n))));
        let lost: Vec<_> = before.iter().filter(|n| !done.contains(n) && !found.contains_key(n)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert!(found.keys().all(|n| accepted.contains(n)));
        let depth = queue.depth().await.unwrap();
        assert_eq!(depth.messages[MessageState::Held as usize], 0);
    }
    // The last backup is not older than what was accepted before it began.
    let gone: Vec<_> = accepted.iter().filter(|n| !done.contains(n)).collect();
    assert_eq!(content(&queue).await.len(), gone.len());
    // What was delivered meanwhile is unlinked afterwards.
    let queue = Arc::into_inner(queue).unwrap();
    queue.close().await.unwrap();
    let long = gone.iter().filter(|n| n.is_multiple_of(3)).count();
    assert_eq!(files(&folder.path().join("data/spool")).len(), long);
    drop(queue);
    open_clean(folder.path());
}

/// A body whose message is delivered while the backup runs stays until the backup has it, and goes then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_kept_until_it_is_in_the_archive() {
    let folder = Folder::new();
    let queue = Arc::new(open_clean(folder.path()));
    // The work of a backup: long enough for what follows.
    for n in 0..40 {
        queue.put(message(n, at(n), 1, body(&*queue, n, 1_000_000).await)).await.unwrap();
    }
    let leases = lease_due(&*queue, at(99), 99).await.unwrap();
    let paths: Vec<_> = leases.iter().map(|lease| lease.body.file().unwrap().to_owned()).collect();
    let (outside, file) = outside();
    let backup = tokio::spawn({
        let (queue, file) = (queue.clone(), file.clone());
        async move { queue.backup(file).await }
    });
    // The archive begins after the snapshot.
    let part = outside.path().join("queue.tar.part");
    while !part.exists() && !backup.is_finished() {
        tokio::task::yield_now().await;
    }
    for lease in leases {
        queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    backup.await.unwrap().unwrap();
    let restored = restore(&file);
    assert_eq!(content(&open_clean(restored.path())).await.len(), 40);
    queue.close().await.unwrap();
    assert!(paths.iter().all(|path| !path.exists()));
}

/// A body that is damaged already is no reason to have no backup.
#[tokio::test]
async fn a_damaged_body_spoils_no_backup() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 0..4 {
        queue.put(message(n, at(n), 1, body(&queue, n, 200_000).await)).await.unwrap();
    }
    let [gone, link, short_file] = std::array::from_fn(|n| {
        let id = short(n as u64, at(n as u64)).id;
        let name: String = rusqlite::Connection::open(folder.path().join("data/queue.db"))
            .unwrap()
            .query_row("SELECT spool FROM content JOIN message USING (seq) WHERE id = ?1", [id.as_str()], |r| r.get(0))
            .unwrap();
        folder.path().join("data/spool").join(&name[14..]).join(name)
    });
    fs::remove_file(&gone).unwrap();
    fs::rename(&link, folder.path().join("target")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
    fs::File::options().write(true).open(&short_file).unwrap().set_len(100).unwrap();
    let (_outside, file) = outside();
    assert_eq!(queue.backup(file.clone()).await.unwrap().messages, 4);
    let restored = restore(&file);
    let (queue, report) = open(restored.path()).unwrap();
    assert_eq!(report.iter().filter(|line| line.contains("is held")).count(), 3, "{report:?}");
    assert_eq!(content(&queue).await.into_keys().collect::<Vec<_>>(), [3]);
}

/// A damaged database cannot be copied while it is used; the error names the way out, and the mail goes on.
#[tokio::test]
async fn a_damaged_database_is_not_copied() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    queue.put(short(1, START)).await.unwrap();
    queue.close().await.unwrap();
    let database = folder.path().join("data/queue.db");
    let page: i64 = rusqlite::Connection::open(&database)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'usage'", [], |row| row.get(0))
        .unwrap();
    let file = File::options().write(true).open(&database).unwrap();
    file.write_all_at(&noise(1, 4096), (page as u64 - 1) * 4096).unwrap();
    let queue = open_clean(folder.path());
    let (outside, file) = outside();
    let error = queue.backup(file).await.unwrap_err();
    assert!(error.to_string().contains("stop the relay and copy"), "{error}");
    assert_eq!(names(outside.path()).len(), 0);
    assert_eq!(lease_due(&queue, at(1), 9).await.unwrap().len(), 1);
}

/// A stop does not wait for a backup, and leaves no half of one; nor does a caller that gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_given_up_leaves_nothing() {
    let folder = Folder::new();
    let queue = Arc::new(open_clean(folder.path()));
    for n in 0..40 {
        queue.put(message(n, at(n), 1, body(&*queue, n, 1_000_000).await)).await.unwrap();
    }
    let (outside, file) = outside();
    let backup = |queue: Arc<SqliteQueue>| {
        let file = file.clone();
        tokio::spawn(async move { queue.backup(file).await })
    };
    let begun = async |task: &tokio::task::JoinHandle<_>| {
        while names(outside.path()).is_empty() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    let given_up = backup(queue.clone());
    begun(&given_up).await;
    given_up.abort();
    while names(outside.path()).iter().any(|name| name.contains(".part")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(outside.path()).len(), 0, "no caller waits for it");
    // Its last step is to let the next one begin.
    let stopped = loop {
        let task = backup(queue.clone());
        begun(&task).await;
        if !task.is_finished() {
            break task;
        }
        assert!(matches!(task.await.unwrap(), Err(QueueError::InUse(_))));
    };
    queue.close().await.unwrap();
    let ended = stopped.await.unwrap();
    assert!(matches!(ended, Err(QueueError::Closed)), "{ended:?}");
    assert_eq!(names(outside.path()).len(), 0);
    drop(queue);
    open_clean(folder.path());
}

/// A mounted file system that goes away at the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A backup for which there is no room is refused at once; one whose disk fills up meanwhile leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_080_a_backup_on_a_full_disk_leaves_nothing_and_mail_goes_on() {
    let (outside, file) = outside();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=90m", "tmpfs"]).arg(outside.path()).output();
    if !mount.is_ok_and(|mounted| mounted.status.success()) {
        return skipped("a_080_a_backup_on_a_full_disk_leaves_nothing_and_mail_goes_on: no file system can be mounted");
    }
    let _mount = Mount(outside.path().to_owned());
    let folder = Folder::new();
    let queue = Arc::new(open_clean(folder.path()));
    for n in 0..30 {
        queue.put(message(n, at(n), 1, body(&*queue, n, 2_000_000).await)).await.unwrap();
    }
    let ballast = outside.path().join("ballast");
    let fill = |keep: usize| {
        let file = File::create(&ballast).unwrap();
        let piece = vec![0; 4096];
        let mut written = 0;
        while file.write_all_at(&piece, written).is_ok() {
            written += 4096;
        }
        file.set_len(written - keep.min(written as usize) as u64).unwrap();
    };
    fill(40_000_000);
    let left = outside.path().join("queue.tar.part.db");
    fs::write(&left, "of a dead run").unwrap();
    let error = queue.backup(file.clone()).await.unwrap_err();
    assert!(matches!(&error, QueueError::Full(place) if place.contains("yizhan-queue")), "{error}");
    assert_eq!(fs::read(&left).unwrap(), b"of a dead run", "it was refused before anything was written");
    fs::remove_file(left).unwrap();
    // There is room when it begins, and none when it is half done.
    let mut full = 0;
    for _ in 0..50 {
        fs::remove_file(&ballast).unwrap();
        let backup = tokio::spawn({
            let (queue, file) = (queue.clone(), file.clone());
            async move { queue.backup(file).await }
        });
        while !outside.path().join("queue.tar.part").exists() && !backup.is_finished() {
            tokio::task::yield_now().await;
        }
        fill(0);
        queue.put(short(1_000 + full, at(1))).await.unwrap();
        match backup.await.unwrap() {
            Ok(_) => fs::remove_file(&file).unwrap(),
            Err(QueueError::Full(_)) => full += 1,
            Err(other) => panic!("{other}"),
        }
        assert_eq!(names(outside.path()), ["ballast".to_owned()].into());
        if full == 3 {
            break;
        }
        let _ = queue.drop_message(short(1_000 + full, at(1)).id).await;
    }
    assert!(full > 0, "the disk was never full in the middle of a backup");
    fs::remove_file(&ballast).unwrap();
    queue.backup(file).await.unwrap();
}

/// The child of the next test: makes one backup after the other while mail comes, and prints when it begins.
#[test]
fn child_that_backs_up() {
    let Some(folder) = std::env::var_os("YIZHAN_TEST_BACKUP_FOLDER").map(PathBuf::from) else { return };
    let first: u64 = std::env::var("YIZHAN_TEST_BACKUP_FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let queue = Arc::new(open(&folder).unwrap().0);
        let mails = queue.clone();
        tokio::spawn(async move {
            for n in first.. {
                mails.put(message(n, START, 1, body(&*mails, n, length(n)).await)).await.unwrap();
                let line = format!("stored {n}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
        loop {
            queue.backup(folder.join("out/queue.tar")).await.unwrap();
            fs::remove_file(folder.join("out/queue.tar")).unwrap();
        }
    });
}

/// Killed in the middle of a backup: no file has its name, the queue is whole, and the next backup works.
#[tokio::test]
async fn a_084_kill_9_in_the_middle_of_a_backup_spoils_nothing() {
    let folder = Folder::new();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let (mut acknowledged, mut in_the_middle) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "backup::child_that_backs_up", "--nocapture"])
            .env("YIZHAN_TEST_BACKUP_FOLDER", folder.path())
            .env("YIZHAN_TEST_BACKUP_FIRST", (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            acknowledged.extend(line.split("stored ").nth(1).and_then(|n| n.trim().parse::<u64>().ok()));
            seen += 1;
            if seen >= 20 + round * 11 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        in_the_middle.extend(names(&out));
        // Between its last step and its answer a backup is complete.
        if out.join("queue.tar").exists() {
            open_clean(restore(&out.join("queue.tar")).path());
            fs::remove_file(out.join("queue.tar")).unwrap();
        }
        let (queue, report) = open(folder.path()).unwrap();
        let leftovers = |line: &String| line.contains("never finished") || line.contains("belongs to no message");
        assert!(report.iter().all(leftovers), "{report:?}");
        queue.backup(out.join("queue.tar")).await.unwrap();
        assert_eq!(names(&out), ["queue.tar".to_owned()].into());
        let restored = restore(&out.join("queue.tar"));
        let (copy, report) = open(restored.path()).unwrap();
        assert_eq!(report, StartupReport::new());
        let found = content(&copy).await;
        assert!(acknowledged.iter().all(|n| found.get(n).is_some_and(|body| *body == noise(*n, length(*n)))));
        fs::remove_file(out.join("queue.tar")).unwrap();
    }
    assert!(in_the_middle.contains("queue.tar.part"), "no backup was killed in the middle: {in_the_middle:?}");
}
