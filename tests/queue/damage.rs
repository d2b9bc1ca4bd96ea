//! What is left after a crash, a full disk, a bad disk or a careless hand: opened again, reported, and never sent half.
//!
//! Each test breaks the files of an embedded queue from outside. Nothing may panic, nothing undamaged may be lost.

#![allow(clippy::print_stdout)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::mailbag::*;
use yizhan::mail::Id;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    AccountStore as _, AccountUsage, Inspection as _, MessageFilter, MessageQueue as _, MessageState, NextAttempt,
    Queue, QueueError, RecipientOutcome, StoredBody,
};

fn database(folder: &Path) -> PathBuf {
    folder.join("data/queue.db")
}

/// A queue with one short and one long message, closed.
async fn two_messages(folder: &Path) -> (Id, Id) {
    let queue = open_clean(folder);
    let (first, second) = (short(1, at(1)), message(2, at(2), 1, body(&queue, 2, 300_000).await));
    let ids = (first.id, second.id);
    queue.put(first).await.unwrap();
    queue.put(second).await.unwrap();
    queue.close().await.unwrap();
    ids
}

fn edit(folder: &Path, sql: &str) {
    rusqlite::Connection::open(database(folder)).unwrap().execute_batch(sql).unwrap();
}

async fn leased(queue: &SqliteQueue) -> Vec<Id> {
    lease_due(queue, at(1_000), 100).await.unwrap().iter().map(|lease| lease.entry.id).collect()
}

/// Why a held message is held, as an operator sees it.
async fn reason(queue: &SqliteQueue, id: Id) -> String {
    let entry = queue.show(id).await.unwrap().0;
    assert_eq!(entry.state, MessageState::Held);
    let RecipientOutcome::Open { last: Some(last) } = entry.recipients[0].outcome.clone() else { panic!("{entry:?}") };
    last
}

fn spool_file(folder: &Path) -> PathBuf {
    let all = files(&folder.join("data/spool"));
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[tokio::test]
async fn a_048_files_are_for_their_owner_only() {
    let folder = Folder::new();
    two_messages(folder.path()).await;
    let _queue = open_clean(folder.path());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    assert_eq!(mode(&folder.path().join("data/spool")), 0o700);
    for file in files(&folder.path().join("data")) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_087_a_second_process_is_refused() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    match open(folder.path()) {
        Err(QueueError::InUse(text)) => {
            let (data, pid) = (folder.path().join("data"), std::process::id());
            let start = format!("{} is in use by another yizhan (process {pid}); stop it", data.display());
            assert!(text.starts_with(&start), "{text}");
        }
        other => panic!("{other:?}"),
    }
    drop(queue);
    open_clean(folder.path());
}

#[tokio::test]
async fn a_086_a_file_that_is_no_database_is_named_and_kept() {
    let folder = Folder::new();
    two_messages(folder.path()).await;
    let path = database(folder.path());
    let sound = fs::read(&path).unwrap();
    let mut torn = sound.clone();
    torn[..4096].copy_from_slice(&noise(1, 4096));
    for broken in [torn, b"not a database at all, but long enough to look".repeat(50)] {
        fs::write(&path, &broken).unwrap();
        let Err(QueueError::Unusable { place, reason }) = open(folder.path()) else { panic!("it was opened") };
        assert_eq!(place, path.display().to_string());
        assert!(reason.contains("Restore"), "{reason}");
        assert_eq!(fs::read(&path).unwrap(), broken, "it was touched");
    }
    fs::write(&path, &sound).unwrap();
    assert_eq!(leased(&open_clean(folder.path())).await.len(), 2);
}

#[tokio::test]
async fn a_086_another_version_and_another_program_are_refused() {
    let folder = Folder::new();
    two_messages(folder.path()).await;
    edit(folder.path(), "PRAGMA user_version = 9");
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("format 9") && error.contains("start the later version"), "{error}");
    edit(folder.path(), "PRAGMA user_version = 2; PRAGMA application_id = 5");
    assert!(open(folder.path()).unwrap_err().to_string().contains("another program"));
    edit(folder.path(), "PRAGMA application_id = 0x59495a48");
    edit(folder.path(), "DROP TABLE message");
    assert!(open(folder.path()).unwrap_err().to_string().contains("no such table"));
}

#[tokio::test]
async fn an_empty_database_is_a_new_one_unless_its_log_says_otherwise() {
    let folder = Folder::new();
    two_messages(folder.path()).await;
    fs::write(database(folder.path()), b"").unwrap();
    let log = folder.path().join("data/queue.db-wal");
    fs::write(&log, noise(1, 5_000)).unwrap();
    assert!(matches!(open(folder.path()), Err(QueueError::Unusable { .. })));
    assert_eq!(fs::read(&log).unwrap(), noise(1, 5_000));
    fs::remove_file(&log).unwrap();
    let (queue, report) = open(folder.path()).unwrap();
    assert!(report[0].contains("was empty"), "{report:?}");
    // The long body is nobody's now, and may be all that is left: it is kept.
    assert!(report[1].contains("belongs to no message"), "{report:?}");
    assert_eq!(fs::read(&files(&folder.path().join("data/quarantine"))[0]).unwrap(), noise(2, 300_000));
    queue.put(short(3, START)).await.unwrap();
}

#[tokio::test]
async fn what_an_earlier_version_kept_in_aside_moves_to_quarantine() {
    let folder = Folder::new();
    drop(open_clean(folder.path()));
    let (old, new) = (folder.path().join("data/aside"), folder.path().join("data/quarantine"));
    fs::create_dir(&old).unwrap();
    fs::create_dir(&new).unwrap();
    for (path, content) in [(old.join("ef-one"), 1), (old.join("ef-two"), 2), (new.join("ef-two"), 3)] {
        fs::write(path, [content]).unwrap();
    }
    let (queue, report) = open(folder.path()).unwrap();
    assert!(report.len() == 1 && report[0].contains("aside is now called"), "{report:?}");
    assert!(!old.exists());
    let read = |name: &str| fs::read(new.join(name)).unwrap()[0];
    assert_eq!((read("ef-one"), read("ef-two"), read("ef-two.1")), (1, 3, 2), "no file takes the place of another");
    drop(queue);
    open_clean(folder.path());
    // A link of that name is not followed.
    std::os::unix::fs::symlink(&new, &old).unwrap();
    drop(open_clean(folder.path()));
    assert!(old.is_symlink() && files(&new).len() == 3);
}

#[tokio::test]
async fn the_spool_is_swept() {
    let folder = Folder::new();
    let (short, long) = two_messages(folder.path()).await;
    let spool = folder.path().join("data/spool");
    fs::create_dir_all(spool.join("7f")).unwrap();
    let stray = ["7f/000000000000007f.part", "7f/000000000000007f", "7f/notes.txt", "7f/../7f/empty"];
    for (n, name) in stray.iter().enumerate() {
        fs::write(spool.join(name), noise(9, n * 100)).unwrap();
    }
    let (queue, report) = open(folder.path()).unwrap();
    assert_eq!(report.len(), 4, "{report:?}");
    assert_eq!(report.iter().filter(|line| line.contains("never finished; removed")).count(), 1);
    assert_eq!(files(&folder.path().join("data/quarantine")).len(), 3);
    assert_eq!(leased(&queue).await, [short, long]);
    queue.close().await.unwrap();
    open_clean(folder.path());
}

#[tokio::test]
async fn a_086_a_missing_or_torn_body_is_held() {
    for (damage, words) in [(None, "No such file"), (Some(0), "has 0 octets"), (Some(299_999), "instead of 300000")] {
        let folder = Folder::new();
        let (short, long) = two_messages(folder.path()).await;
        let file = spool_file(folder.path());
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(len) => fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(len).unwrap(),
        }
        let (queue, report) = open(folder.path()).unwrap();
        assert!(report.len() == 1 && report[0].contains(words) && report[0].contains(long.as_str()), "{report:?}");
        assert_eq!(leased(&queue).await, [short]);
        assert!(reason(&queue, long).await.contains(words));
        // Held is not gone: with the file restored it can be retried.
        fs::write(&file, noise(2, 300_000)).unwrap();
        queue.retry(long, at(5)).await.unwrap();
        let lease = lease_due(&queue, at(1_000), 100).await.unwrap().pop().unwrap();
        assert_eq!(read(&lease.body).await.unwrap(), noise(2, 300_000));
        assert_eq!(queue.depth().await.unwrap().messages[MessageState::Held as usize], 0);
    }
}

#[tokio::test]
async fn a_086_a_flipped_bit_is_never_sent() {
    let folder = Folder::new();
    let (short, long) = two_messages(folder.path()).await;
    let file = spool_file(folder.path());
    let mut octets = fs::read(&file).unwrap();
    octets[250_000] ^= 4;
    fs::write(&file, octets).unwrap();
    edit(folder.path(), "UPDATE content SET body = CAST('bodz 1' || x'0d0a' AS BLOB) WHERE spool IS NULL");
    let queue = open_clean(folder.path());
    assert!(leased(&queue).await.is_empty());
    for id in [short, long] {
        assert!(reason(&queue, id).await.contains("checksum"));
    }
    assert_eq!(queue.depth().await.unwrap().messages[MessageState::Held as usize], 2);
    // A retry does not help, and does no harm.
    queue.retry(short, at(5)).await.unwrap();
    assert!(leased(&queue).await.is_empty());
    drop(queue);
    // An address that still looks like one is as bad: the mail would go to somebody else.
    let folder = Folder::new();
    let (short, long) = two_messages(folder.path()).await;
    edit(folder.path(), "UPDATE recipient SET address = 's0.1@example.com' WHERE address = 'r0.1@example.com'");
    let queue = open_clean(folder.path());
    assert_eq!(leased(&queue).await, [long]);
    assert!(reason(&queue, short).await.contains("checksum"));
}

#[tokio::test]
async fn a_body_that_goes_bad_while_it_is_read_does_not_end_quietly() {
    let folder = Folder::new();
    two_messages(folder.path()).await;
    let queue = open_clean(folder.path());
    let lease = lease_due(&queue, at(1_000), 2).await.unwrap().pop().unwrap();
    let file = spool_file(folder.path());
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100_000).unwrap();
    let mut reader = lease.body.reader();
    let mut end = reader.next_chunk().await;
    while let Ok(Some(_)) = end {
        end = reader.next_chunk().await;
    }
    assert!(end.unwrap_err().to_string().contains("shorter"));
    assert!(reader.next_chunk().await.is_err(), "after an error there is no end either");
    fs::write(&file, noise(3, 300_000)).unwrap();
    assert!(read(&lease.body).await.unwrap_err().to_string().contains("checksum"));
}

/// what is read back is checked as if it came from a stranger.
#[tokio::test]
async fn a_036_a_086_a_row_that_cannot_be_read_is_set_aside_and_the_others_go_on() {
    for sql in [
        "UPDATE recipient SET address = 'a@b' || x'0d0a' || 'RCPT TO:<c@d>' WHERE seq = 1",
        "UPDATE recipient SET outcome = 'lost' WHERE seq = 1",
        "UPDATE recipient SET outcome = 'failed' WHERE seq = 1",
        "UPDATE recipient SET place = 3 WHERE seq = 1",
        "DELETE FROM recipient WHERE seq = 1",
        "UPDATE message SET sender = '<>' WHERE seq = 1",
        "UPDATE message SET sender = CAST(x'ff' AS TEXT) WHERE seq = 1",
        "UPDATE message SET repairs = '[1' WHERE seq = 1",
        "UPDATE message SET addr = 'printer' WHERE seq = 1",
        "UPDATE message SET client = 'a' || x'0a' || 'id=forged' WHERE seq = 1",
        "UPDATE message SET helo = 'x' || x'0d0a' || 'Bcc: evil@x' WHERE seq = 1",
        "UPDATE message SET state = 'flying' WHERE seq = 1",
        "UPDATE message SET tries = -1 WHERE seq = 1",
        "UPDATE message SET size = -1 WHERE seq = 1",
        "UPDATE message SET notice = 7, id = '../../etc/passwd' WHERE seq = 1",
    ] {
        let folder = Folder::new();
        let (first, long) = two_messages(folder.path()).await;
        edit(folder.path(), sql);
        let queue = open_clean(folder.path());
        queue.list(MessageFilter::default()).await.unwrap();
        let _ = queue.show(first).await;
        assert_eq!(leased(&queue).await, [long], "{sql}");
        assert_eq!(queue.list(MessageFilter::default()).await.unwrap().len(), 1, "{sql}");
        queue.put(short(3, START)).await.unwrap();
        assert_eq!(leased(&queue).await.len(), 2);
        drop(queue);
        let (queue, report) = open(folder.path()).unwrap();
        assert!(report.len() == 1 && report[0].contains("is set aside"), "{sql}: {report:?}");
        assert_eq!(queue.depth().await.unwrap().messages[MessageState::Queued as usize], 2, "{sql}");
        match queue.drop_message(first).await {
            Ok(()) => {}
            Err(error) => assert!(sql.contains("passwd") && matches!(error, QueueError::NotFound(_)), "{sql}: {error}"),
        }
    }
}

/// A length that no memory could hold is only a number.
#[tokio::test]
async fn a_086_a_huge_length_is_held_and_the_others_go_on() {
    for (sql, damaged) in [
        ("UPDATE content SET spool_len = 9223372036854775807 WHERE spool IS NOT NULL", true),
        ("UPDATE content SET spool_len = -1 WHERE spool IS NOT NULL", true),
        ("UPDATE message SET size = 9223372036854775807 WHERE seq = 2", false),
    ] {
        let folder = Folder::new();
        let (short, long) = two_messages(folder.path()).await;
        edit(folder.path(), sql);
        let (queue, report) = open(folder.path()).unwrap();
        assert_eq!(report.len(), usize::from(damaged), "{sql}: {report:?}");
        let expected = if damaged { vec![short] } else { vec![short, long] };
        assert_eq!(leased(&queue).await, expected, "{sql}");
        if damaged {
            let shown = queue
                .list(MessageFilter { states: vec![MessageState::Held], ..MessageFilter::default() })
                .await
                .unwrap();
            assert!(shown.iter().all(|entry| entry.id == long) && report[0].contains("octets instead of"), "{sql}");
        }
        queue.put(message(3, START, 1, body(&queue, 3, 200_000).await)).await.unwrap();
        queue.depth().await.unwrap();
    }
}

#[tokio::test]
async fn content_that_is_gone_is_held() {
    let folder = Folder::new();
    let (short, long) = two_messages(folder.path()).await;
    edit(folder.path(), "DELETE FROM content WHERE spool IS NULL");
    let queue = open_clean(folder.path());
    assert_eq!(leased(&queue).await, [long]);
    assert!(reason(&queue, short).await.contains("content is gone"));
}

/// whatever octet of the database is wrong, what is leased is what was stored.
#[tokio::test]
async fn a_085_a_086_random_damage_never_panics_and_never_sends_what_was_not_stored() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 0..40 {
        queue.put(message(n, at(n), 2, body(&queue, n, 3_000).await)).await.unwrap();
    }
    queue.close().await.unwrap();
    let sound = fs::read(database(folder.path())).unwrap();
    let mut sent = 0;
    for round in 0..60u64 {
        let place = noise(round + 1, 64);
        let place = u64::from_le_bytes(place[40..48].try_into().unwrap()) as usize % sound.len();
        let mut broken = sound.clone();
        match round % 3 {
            0 => broken[place] ^= 1 << (round % 8),
            1 => broken[place..].iter_mut().take(200).for_each(|octet| *octet = 0xff),
            _ => broken.truncate(place),
        }
        for leftover in files(&folder.path().join("data")) {
            fs::remove_file(leftover).unwrap();
        }
        fs::write(database(folder.path()), broken).unwrap();
        let Ok((queue, _)) = open(folder.path()) else { continue };
        let _ = (queue.list(MessageFilter::default()).await, queue.depth().await, next_due(&queue).await);
        for lease in lease_due(&queue, at(1_000), 100).await.unwrap_or_default() {
            let number: u64 =
                std::str::from_utf8(&lease.head).unwrap()[9..].split('\r').next().unwrap().parse().unwrap();
            let stored = message(number, at(number), 2, StoredBody::from(bytes::Bytes::new()));
            let recipients: Vec<_> = lease.entry.recipients.iter().map(|r| r.address.clone()).collect();
            assert_eq!((lease.entry.id, recipients, &lease.head), (stored.id, stored.recipients, &stored.head));
            assert_eq!(read(&lease.body).await.unwrap(), noise(number, 3_000));
            sent += 1;
        }
        let _ = queue.put(short(100, START)).await;
    }
    assert!(sent > 200, "most rounds should leave most messages readable: {sent}");
}

#[tokio::test]
async fn a_081_a_database_that_is_taken_away_is_noticed_and_its_mail_is_sent() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    queue.put(short(1, START)).await.unwrap();
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        fs::rename(folder.path().join("data").join(name), folder.path().join(name)).unwrap();
    }
    // What is written now would be lost with the file, so nothing is; what is queued is still read, sent and settled.
    for n in 2..4 {
        let error = queue.put(short(n, START)).await.unwrap_err();
        assert!(error.to_string().contains("moved or deleted"), "{error}");
    }
    let lease = lease_due(&queue, at(1_000), 100).await.unwrap().pop().unwrap();
    assert_eq!(lease.entry.id, short(1, START).id);
    queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    // Nothing is left: a new one is begun, under a lock that others can see.
    queue.put(short(4, START)).await.unwrap();
    assert!(matches!(open(folder.path()), Err(QueueError::InUse(_))));
    drop(queue);
    assert_eq!(leased(&open_clean(folder.path())).await, [short(4, START).id]);
}

/// A mounted file system that goes away at the end.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// a full disk refuses, loses nothing, and needs no restart.
#[tokio::test]
async fn a_080_a_full_disk_refuses_and_recovers() {
    let folder = Folder::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skipped("a_080_a_full_disk_refuses_and_recovers: no file system can be mounted here");
    }
    let _mount = Mount(folder.path().to_owned());
    let queue = open_clean(folder.path());
    queue.put(short(1, START)).await.unwrap();
    queue.put(short(2, START)).await.unwrap();
    let mut stored = vec![short(1, START).id, short(2, START).id];
    let ballast = folder.path().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let lease = lease_due(&queue, at(0), 1).await.unwrap().pop().unwrap();
    let mut full = 0;
    for n in 10..60 {
        match queue.put(message(n, START, 1, body(&queue, n, 60_000).await)).await {
            Ok(()) => stored.push(message(n, START, 1, StoredBody::from(bytes::Bytes::new())).id),
            Err(QueueError::Full(_)) => full += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(full > 40, "{full}");
    // A long body finds out earlier.
    let mut draft = queue.draft();
    assert!(matches!(draft.write(&noise(1, 2_000_000)).await, Err(QueueError::Full(_))));
    drop(draft);
    // The provider has taken this one; if that cannot be written now, it must not be sent again meanwhile.
    let sent = lease.entry.id;
    let mut end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)));
    let account = "office".to_owned();
    end.usage = Some(AccountUsage { account: account.clone(), at: START, messages: 1, recipients: 1, logins: 0 });
    let settled = queue.settle(lease, end).await;
    assert!(!leased(&queue).await.contains(&sent), "{settled:?}");
    fs::remove_file(&ballast).unwrap();
    queue.put(short(99, START)).await.unwrap();
    assert_eq!(queue.show(sent).await.unwrap().0.state, MessageState::Delivered);
    let used = queue.usage(account, START).await.unwrap();
    assert_eq!(used.iter().map(|usage| usage.messages).collect::<Vec<_>>(), [1], "what was kept is counted once");
    stored.push(short(99, START).id);
    stored.retain(|id| *id != sent);
    drop(queue);
    let queue = open_clean(folder.path());
    let mut ids = leased(&queue).await;
    ids.sort();
    stored.sort();
    assert_eq!(ids, stored);
}

/// The child of the next test: stores messages as fast as it can and says which are safe.
#[test]
fn child_that_stores() {
    let Some(folder) = std::env::var_os("YIZHAN_TEST_CRASH_FOLDER").map(PathBuf::from) else { return };
    let first: u64 = std::env::var("YIZHAN_TEST_CRASH_FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let queue = std::sync::Arc::new(open(&folder).unwrap().0);
        for task in 0..8 {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in (first + task..).step_by(8) {
                    let new = message(n, START, 2, body(&*queue, n, length(n)).await);
                    queue.put(new).await.unwrap();
                    let line = format!("stored {n}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

/// Every ninth is long enough for a file of its own.
fn length(n: u64) -> usize {
    if n.is_multiple_of(9) { 140_000 + n as usize % 1_000 } else { n as usize * 37 % 6_000 }
}

/// what was acknowledged survives `kill -9`, octet for octet.
#[tokio::test]
async fn a_084_nothing_acknowledged_is_lost_by_kill_9() {
    let folder = Folder::new();
    let (mut acknowledged, mut first) = (Vec::new(), 0);
    for round in 0..10 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "damage::child_that_stores", "--nocapture"])
            .env("YIZHAN_TEST_CRASH_FOLDER", folder.path())
            .env("YIZHAN_TEST_CRASH_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed in the middle of its work, at another point each round; what it said until then counts.
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            let number = line.split("stored ").nth(1).and_then(|n| n.trim().parse::<u64>().ok());
            acknowledged.extend(number);
            first = first.max(number.map_or(0, |n| n + 1000));
            seen += usize::from(number.is_some());
            if seen == 20 + round * 13 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 20 + round * 13, "the child ended by itself");
        let (queue, report) = open(folder.path()).unwrap();
        let leftovers = |line: &String| line.contains("never finished") || line.contains("belongs to no message");
        assert!(report.iter().all(leftovers), "{report:?}");
        drop(queue);
    }
    let queue = open_clean(folder.path());
    let mut found = std::collections::BTreeSet::new();
    for lease in lease_due(&queue, at(0), 1_000_000).await.unwrap() {
        let number: u64 = std::str::from_utf8(&lease.head).unwrap()[9..].split('\r').next().unwrap().parse().unwrap();
        assert_eq!(read(&lease.body).await.unwrap(), noise(number, length(number)), "{number}");
        assert_eq!(lease.entry.recipients.len(), 2);
        assert!(found.insert(number), "{number} is there twice");
    }
    let lost: Vec<_> = acknowledged.iter().filter(|n| !found.contains(n)).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
    println!("{} acknowledged, {} found", acknowledged.len(), found.len());
}

/// Puts something else in the place of `path`; the octets that were there go to `outside`.
type Plant = fn(&Path, &Path);

const PLANTS: [(&str, Plant); 3] = [
    ("a link to a file", |file, outside| {
        fs::rename(file, outside.join("target")).unwrap();
        std::os::unix::fs::symlink(outside.join("target"), file).unwrap();
    }),
    ("a link to a folder", |file, outside| {
        let folder = file.parent().unwrap();
        fs::rename(folder, outside.join("target")).unwrap();
        std::os::unix::fs::symlink(outside.join("target"), folder).unwrap();
    }),
    ("a pipe", |file, outside| {
        fs::rename(file, outside.join("target")).unwrap();
        assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
    }),
];

/// What a link leads to is never read, also when it holds the right octets; a pipe is not waited for.
#[tokio::test]
async fn a_048_a_link_planted_while_the_queue_is_open_is_not_followed() {
    for (what, plant) in PLANTS {
        let folder = Folder::new();
        let (short, long) = two_messages(folder.path()).await;
        let queue = open_clean(folder.path());
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        plant(&spool_file(folder.path()), &outside);
        assert_eq!(leased(&queue).await, [short], "{what}");
        assert!(reason(&queue, long).await.contains("place"), "{what}");
    }
}

/// What a link leads to is not swept either: it is somebody else's.
#[tokio::test]
async fn a_048_a_link_that_is_found_at_the_start_holds_the_message_and_nothing_outside_is_touched() {
    for (what, plant) in PLANTS {
        let folder = Folder::new();
        let (short, long) = two_messages(folder.path()).await;
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        plant(&spool_file(folder.path()), &outside);
        // Beside it a link to a folder with what a sweep would take away.
        let strange = outside.join("strange");
        fs::create_dir(&strange).unwrap();
        for name in ["0123456789abcdef", "0123456789abcdef.part", "passwd"] {
            fs::write(strange.join(name), "not ours").unwrap();
        }
        std::os::unix::fs::symlink(&strange, folder.path().join("data/spool/strange")).unwrap();
        let before = files(&outside);
        let (queue, report) = open(folder.path()).unwrap();
        assert!(report.iter().any(|line| line.contains("is held")), "{what}: {report:?}");
        assert_eq!(leased(&queue).await, [short], "{what}");
        reason(&queue, long).await;
        queue.drop_message(long).await.unwrap();
        drop(queue);
        assert_eq!(files(&outside), before, "{what}");
        let moved = folder.path().join("data/quarantine/spool-strange");
        assert!(moved.is_symlink() && !folder.path().join("data/spool/strange").is_symlink(), "{what}");
    }
}

/// The database and the lock are opened where they are, not where a link leads.
#[tokio::test]
async fn a_048_a_link_in_the_place_of_the_database_or_the_lock_is_refused() {
    for name in ["yizhan.lock", "queue.db", "queue.db-wal", "queue.db-shm"] {
        for begun in [true, false] {
            let folder = Folder::new();
            fs::create_dir(folder.path().join("data")).unwrap();
            if begun {
                two_messages(folder.path()).await;
            }
            let (link, target) = (folder.path().join("data").join(name), folder.path().join("target"));
            let _ = fs::remove_file(&link);
            fs::write(&target, "precious").unwrap();
            std::os::unix::fs::symlink(&target, &link).unwrap();
            let error = open(folder.path()).expect_err("it is refused").to_string();
            assert!(error.contains(name), "{error}");
            assert_eq!(fs::read(&target).unwrap(), b"precious", "{name}");
        }
    }
}

/// Whoever puts links in the place of all folders of the spool does not get the mail.
#[tokio::test]
async fn a_048_a_long_body_is_not_written_through_a_link() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for n in 0..=255 {
        std::os::unix::fs::symlink(&outside, folder.path().join(format!("data/spool/{n:02x}"))).unwrap();
    }
    let mut draft = queue.draft();
    let error = match draft.write(&noise(1, 300_000)).await {
        Err(error) => error,
        Ok(()) => draft.finish().await.expect_err("there is no place for it"),
    };
    assert!(matches!(error, QueueError::Io { .. }), "{error}");
    assert_eq!(files(&outside), Vec::<PathBuf>::new());
    queue.put(short(1, at(1))).await.unwrap();
    assert_eq!(leased(&queue).await.len(), 1);
}
