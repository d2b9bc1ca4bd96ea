//! What is kept of pools and accounts, over `kill -9`, a full disk, damage, and a database of the first format.
//!
//! The sister of `queue/damage.rs`, for what several accounts share. Nothing may be half written, nothing lost.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::mailbag::*;
use bytes::Bytes;
use yizhan::mail::{Id, Lane};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    AccountState, AccountStore as _, AccountUsage, Inspection as _, MessageFilter, MessageQueue as _, MessageState,
    NewMessage, NextAttempt, Queue, QueueError, RecipientOutcome, Settled, StoredBody,
};

fn database(folder: &Path) -> PathBuf {
    folder.join("data/queue.db")
}

fn edit(folder: &Path, sql: &str) {
    rusqlite::Connection::open(database(folder)).unwrap().execute_batch(sql).unwrap();
}

fn usage(account: &str) -> AccountUsage {
    AccountUsage { account: account.to_owned(), at: START, messages: 1, recipients: 1, logins: 0 }
}

/// How many tasks the child has; every fourth one fails its messages and tells of them.
const TASKS: u64 = 8;

/// The child of the next test: settles messages as fast as it can, and says which are settled.
#[test]
fn child_that_settles() {
    let Some(folder) = std::env::var_os("YIZHAN_TEST_SETTLE_FOLDER").map(PathBuf::from) else { return };
    let first: u64 = std::env::var("YIZHAN_TEST_SETTLE_FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let queue = Arc::new(open(&folder).unwrap().0);
        for task in 0..TASKS {
            tokio::spawn(settle_for_ever(queue.clone(), task, first + task));
        }
        std::future::pending::<()>().await;
    });
}

async fn settle_for_ever(queue: Arc<SqliteQueue>, task: u64, first: u64) {
    let account = format!("account{task}");
    let states = queue.account_states().await.unwrap();
    let mut count: u64 = states.iter().find(|s| s.account == account).map_or(0, |s| s.state.parse().unwrap());
    for n in (first..).step_by(TASKS as usize) {
        let new = NewMessage { pool: account.clone(), ..short(n, START) };
        queue.put(new).await.unwrap();
        for lease in queue.lease(START, request(wants(&account, 9), 9)).await.unwrap() {
            count += 1;
            let fails = task.is_multiple_of(4);
            let outcome = if fails { failed(1) } else { delivered(1) };
            let mut end = settlement(vec![(0, outcome)], NextAttempt::Deferred(at(60)));
            end.account = Some(account.clone());
            end.usage = Some(usage(&account));
            end.account_state = Some(AccountState { account: account.clone(), state: count.to_string() });
            end.unreported = fails;
            queue.settle(lease, end).await.unwrap();
            let line = format!("settled {task} {count}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        }
        if task == 0 && n % 3 == 0 {
            tell_of_some(&queue, n).await;
        }
    }
}

/// Tells of what has failed; the digest names it in its body.
async fn tell_of_some(queue: &SqliteQueue, n: u64) {
    let ids: Vec<Id> = queue.unreported(20).await.unwrap().iter().map(|entry| entry.id).collect();
    let body = ids.iter().map(|id| format!("{id}\r\n")).collect::<String>();
    let digest = message(n + 1_000_000_000, at(1), 1, StoredBody::from(Bytes::from(body)));
    queue.mark_reported(Some(NewMessage { pool: "digest".to_owned(), ..digest }), ids).await.unwrap();
}

/// The settlement, what it used, what the account was like then, and the mark: all of them or none, wherever the
/// process was killed; and a failure is either marked or in exactly one digest.
#[tokio::test]
async fn a_084_a_settlement_and_a_digest_are_whole_after_kill_9() {
    let folder = Folder::new();
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "survival::child_that_settles", "--nocapture"])
            .env("YIZHAN_TEST_SETTLE_FOLDER", folder.path())
            .env("YIZHAN_TEST_SETTLE_FIRST", (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut seen, wanted) = (0, 25 + round * 17);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["settled", task, count] = words[..] else { continue };
            acknowledged.insert(format!("account{task}"), count.parse().unwrap());
            seen += 1;
            if seen == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= wanted, "the child ended by itself");
        let queue = open_clean(folder.path());
        check_accounts(&queue, &acknowledged).await;
        check_digests(&queue).await;
    }
}

async fn check_accounts(queue: &SqliteQueue, acknowledged: &BTreeMap<String, u64>) {
    let filter = MessageFilter {
        states: vec![MessageState::Delivered, MessageState::Failed],
        limit: usize::MAX,
        ..MessageFilter::default()
    };
    let mut settled: BTreeMap<String, u64> = BTreeMap::new();
    for entry in queue.list(filter).await.unwrap() {
        *settled.entry(entry.account.unwrap()).or_default() += 1;
    }
    for state in queue.account_states().await.unwrap() {
        let used = queue.usage(state.account.clone(), START).await.unwrap();
        let used: u64 = used.iter().map(|u| u64::from(u.messages)).sum();
        let settled = settled.remove(&state.account).unwrap_or(0);
        assert_eq!((used, state.state.parse()), (settled, Ok(settled)), "{}", state.account);
        assert!(acknowledged.get(&state.account).is_none_or(|n| *n <= settled), "{}", state.account);
    }
    assert!(settled.is_empty(), "settled without a state: {settled:?}");
}

async fn check_digests(queue: &SqliteQueue) {
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    for lease in queue.lease(at(9), request(wants("digest", usize::MAX), usize::MAX)).await.unwrap() {
        let body = String::from_utf8(read(&lease.body).await.unwrap()).unwrap();
        body.lines().for_each(|id| *told.entry(id.to_owned()).or_default() += 1);
    }
    for entry in queue.unreported(usize::MAX).await.unwrap() {
        *told.entry(entry.id.to_string()).or_default() += 1;
    }
    let filter = MessageFilter { states: vec![MessageState::Failed], limit: usize::MAX, ..MessageFilter::default() };
    let failures = queue.list(filter).await.unwrap();
    assert_eq!(told.len(), failures.len());
    for entry in failures {
        assert_eq!(told.get(entry.id.as_str()), Some(&1), "{}", entry.id);
    }
}

/// Overwrites the first pages of these tables or indexes.
fn spoil(folder: &Path, names: &[&str]) {
    let conn = rusqlite::Connection::open(database(folder)).unwrap();
    let root = |name: &&str| -> u32 {
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    let pages: Vec<usize> = names.iter().map(|name| root(name) as usize).collect();
    drop(conn);
    let mut octets = fs::read(database(folder)).unwrap();
    for page in pages {
        octets[(page - 1) * 4096..page * 4096].copy_from_slice(&noise(page as u64, 4096));
    }
    fs::write(database(folder), octets).unwrap();
}

/// What SQLite finds damaged in a transaction spoils all of it: the others of the group must not suffer for it.
#[tokio::test]
async fn a_settlement_that_meets_a_damaged_page_spoils_nothing_else() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 0..2 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    queue.close().await.unwrap();
    spoil(folder.path(), &["message_finished"]);
    let queue = open_clean(folder.path());
    let mut leases = queue.lease(at(9), request(wants("", 9), 9)).await.unwrap();
    let (second, first) = (leases.pop().unwrap(), leases.pop().unwrap());
    let ids = [first.entry.id, second.entry.id];
    let (bad, good, put) = tokio::join!(
        queue.settle(first, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))),
        queue.settle(second, settlement(vec![(0, again())], NextAttempt::Deferred(at(60)))),
        queue.put(short(2, at(9)))
    );
    assert!(matches!(bad, Err(QueueError::Database(_))), "{bad:?}");
    good.unwrap();
    put.unwrap();
    // The provider has the first one; nobody is given it again, and everything goes on.
    queue.put(short(3, at(9))).await.unwrap();
    let leases = queue.lease(at(99), request(wants("", 9), 9)).await.unwrap();
    let leased: Vec<_> = leases.iter().map(|lease| lease.entry.id).collect();
    assert_eq!(leased, [short(2, at(9)).id, short(3, at(9)).id, ids[1]]);
}

/// A damaged count is no reason to send the mail again, nor to keep it.
#[tokio::test]
async fn damage_to_what_is_kept_of_accounts_stops_no_mail() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    let small = || AccountState { account: "office".to_owned(), state: "{}".to_owned() };
    for n in 0..300 {
        queue.add_usage(AccountUsage { at: at(n * 60), ..usage("office") }).await.unwrap();
    }
    queue.save_account_state(small()).await.unwrap();
    queue.put(short(1, START)).await.unwrap();
    queue.close().await.unwrap();
    spoil(folder.path(), &["usage", "account"]);
    let queue = open_clean(folder.path());
    assert!(matches!(queue.account_states().await, Err(QueueError::Database(_))));
    assert!(matches!(queue.usage("office".to_owned(), START).await, Err(QueueError::Database(_))));
    assert!(matches!(queue.add_usage(usage("office")).await, Err(QueueError::Database(_))));
    let lease = queue.lease(at(0), request(wants("", 9), 9)).await.unwrap().pop().unwrap();
    let id = lease.entry.id;
    let mut end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)));
    (end.usage, end.account_state) = (Some(usage("office")), Some(small()));
    queue.settle(lease, end).await.unwrap();
    assert_eq!(queue.show(id).await.unwrap().0.state, MessageState::Delivered);
    queue.purge(at(9) + KEEP).await.unwrap();
    assert!(matches!(queue.show(id).await, Err(QueueError::NotFound(_))));
}

#[tokio::test]
async fn a_table_that_is_missing_is_found_at_the_start() {
    let tables = ["usage", "account", "recipient", "content", "command", "history_new", "history_term", "deleted"];
    for table in tables {
        let folder = Folder::new();
        drop(open_clean(folder.path()));
        edit(folder.path(), &format!("DROP TABLE {table}"));
        let Err(QueueError::Unusable { reason, .. }) = open(folder.path()) else { panic!("{table}: it was opened") };
        assert!(reason.contains(table), "{reason}");
    }
}

/// Nobody would ever ask for them.
#[tokio::test]
async fn a_lane_or_a_pool_that_cannot_be_is_put_right() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    let placed = |n, pool: &str, lane| NewMessage { pool: pool.to_owned(), lane, ..short(n, at(n)) };
    for (n, pool, lane) in
        [(0, "a", Lane::Alarm), (1, "b", Lane::Bulk), (2, "b", Lane::Alarm), (3, "c", Lane::Bulk), (4, "d", Lane::Bulk)]
    {
        queue.put(placed(n, pool, lane)).await.unwrap();
    }
    queue.close().await.unwrap();
    edit(folder.path(), "UPDATE message SET lane = 'urgent' WHERE seq IN (2, 3)");
    edit(folder.path(), "UPDATE message SET pool = CAST(x'ff61' AS TEXT) WHERE seq = 4");
    edit(folder.path(), "UPDATE message SET pool = CAST(x'fe61' AS TEXT), lane = '' WHERE seq = 5");
    let (queue, report) = open(folder.path()).unwrap();
    assert_eq!(report.len(), 3, "{report:?}");
    assert!(report[0].contains("2 messages") && report[0].contains("\"urgent\""), "{report:?}");
    let pools = queue.pools().await.unwrap();
    assert_eq!(pools, [(String::new(), 4), ("a".to_owned(), 1)]);
    let leases = queue.lease(at(9), request(wants("", 9), 9)).await.unwrap();
    let seen: Vec<_> = leases.iter().map(|lease| (lease.entry.due, lease.entry.lane)).collect();
    assert_eq!(
        seen,
        [(at(1), Lane::Normal), (at(2), Lane::Normal), (at(4), Lane::Normal), (at(3), Lane::Bulk)],
        "the lane is kept where only the pool was damaged"
    );
    drop(leases);
    drop(queue);
    open_clean(folder.path());
}

/// A row whose index says otherwise might be sent from somebody else's account.
#[tokio::test]
async fn a_message_that_is_not_where_the_index_says_is_not_sent() {
    for (column, value) in [("pool", "'b'"), ("lane", "'bulk'")] {
        let folder = Folder::new();
        let queue = open_clean(folder.path());
        let new = NewMessage { pool: "a".to_owned(), ..short(1, START) };
        let id = new.id;
        queue.put(new).await.unwrap();
        queue.close().await.unwrap();
        // The row changes while the index is away, as a flipped bit would do it.
        let conn = rusqlite::Connection::open(database(folder.path())).unwrap();
        let sql = "SELECT sql FROM sqlite_schema WHERE name = 'message_line'";
        let text: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        conn.execute_batch(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET type = 'table', name = 'hidden', tbl_name = 'hidden', \
             sql = 'CREATE TABLE hidden (a, b, c, d, PRIMARY KEY (a, b, c, d)) WITHOUT ROWID' WHERE name = 'message_line'",
        )
        .unwrap();
        drop(conn);
        let conn = rusqlite::Connection::open(database(folder.path())).unwrap();
        conn.execute_batch(&format!("UPDATE message SET {column} = {value}")).unwrap();
        conn.execute_batch("PRAGMA writable_schema = ON").unwrap();
        let sql = "UPDATE sqlite_schema SET type = 'index', name = 'message_line', tbl_name = 'message', sql = ?1 \
                   WHERE name = 'hidden'";
        conn.execute(sql, [text]).unwrap();
        drop(conn);
        let queue = open_clean(folder.path());
        let next = NewMessage { pool: "a".to_owned(), ..short(2, at(2)) };
        let next_id = next.id;
        queue.put(next).await.unwrap();
        // It cannot even be held, because its index cannot be changed: it is passed over, and the next one goes.
        let leased = queue.lease(at(9), request(wants("a", 9), 9)).await.unwrap();
        assert_eq!(leased.iter().map(|lease| lease.entry.id).collect::<Vec<_>>(), [next_id]);
        assert!(queue.lease(at(9), request(wants("a", 9), 9)).await.unwrap().is_empty());
        assert!(!queue.show(id).await.unwrap().0.state.is_final());
    }
}

/// A crash between sharing a body and putting its message leaves a file that is nobody's.
#[tokio::test]
async fn a_084_what_a_crash_leaves_of_a_shared_body_is_swept() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    let stored = body(&queue, 1, 300_000).await;
    let shared = stored.share().unwrap();
    queue.put(message(1, START, 1, stored)).await.unwrap();
    let copy = Folder::new();
    fs::create_dir_all(copy.path().join("data")).unwrap();
    for file in files(&folder.path().join("data")) {
        let target = copy.path().join(file.strip_prefix(folder.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
    drop(shared);
    let (queue, report) = open(copy.path()).unwrap();
    assert!(report.len() == 1 && report[0].contains("belongs to no message"), "{report:?}");
    let lease = queue.lease(at(0), request(wants("", 9), 9)).await.unwrap().pop().unwrap();
    assert!(read(&lease.body).await.unwrap() == noise(1, 300_000));
    assert_eq!(files(&copy.path().join("data/spool")).len(), 1);
    drop((lease, queue));
    open_clean(copy.path());
}

/// CRC-32 as the file format has it, written down a second time.
fn crc(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !parts.iter().flat_map(|part| part.iter()).fold(!0, step)
}

/// A database of the first format, with a message in every state.
fn first_format(folder: &Path) -> Vec<Id> {
    fs::create_dir_all(folder.join("data/spool/0a")).unwrap();
    let conn = rusqlite::Connection::open(database(folder)).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    conn.execute_batch(include_str!("queue_format_1.sql")).unwrap();
    let file = noise(6, 200_000);
    fs::write(folder.join("data/spool/0a/000000000000000a"), &file).unwrap();
    let states = ["queued", "waiting", "deferred", "held", "delivered", "failed", "queued"];
    let mut ids = Vec::new();
    for (n, state) in (0..).zip(states) {
        let (id, received) = (Id::new(at(n), n), at(n).millis());
        let due = (!["held", "delivered", "failed"].contains(&state)).then_some(received + 1_000);
        let finished = ["delivered", "failed"].contains(&state).then_some(received);
        let sql = "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 2, 1, 'qq', 'printer', '192.0.2.7', 'lan', \
                   'mfp-3', 'scan@office.example', 9, '[\"bare-lf\"]', 0, NULL)";
        let expires = received + 1_000_000;
        let row = rusqlite::params![n as i64 + 1, id.as_str(), state, received, expires, due, finished];
        conn.execute(sql, row).unwrap();
        let (outcome, when) = match state {
            "delivered" | "failed" => (state, Some(received)),
            _ => ("open", None),
        };
        let sql = "INSERT INTO recipient VALUES (?1, ?2, ?3, ?4, ?5, '250 ok')";
        for (place, address) in ["a@example.com", "b@example.com"].into_iter().enumerate() {
            conn.execute(sql, rusqlite::params![n as i64 + 1, place as i64, address, outcome, when]).unwrap();
        }
        if state == "delivered" {
            ids.push(id);
            continue;
        }
        let (head, body) = (b"Subject: old\r\n", format!("body {n}\r\n").into_bytes());
        let envelope = format!("{id}scan@office.example\na@example.com\nb@example.com\n");
        let (spool, inline) = if n == 6 { (Some("000000000000000a"), None) } else { (None, Some(&body)) };
        let file_sum = spool.map(|_| crc(&[&file]));
        let tail = file_sum.map_or(body.clone(), |sum| sum.to_be_bytes().to_vec());
        let sum = crc(&[envelope.as_bytes(), head, &tail]);
        let (sql, len) = ("INSERT INTO content VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", spool.map(|_| 200_000));
        conn.execute(sql, rusqlite::params![n as i64 + 1, sum, head, spool, len, file_sum, inline]).unwrap();
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn a_queue_of_the_first_format_opens_and_loses_nothing() {
    let folder = Folder::new();
    let ids = first_format(folder.path());
    for _ in 0..2 {
        let queue = open_clean(folder.path());
        let all =
            queue.list(MessageFilter { states: MessageState::ALL.to_vec(), ..MessageFilter::default() }).await.unwrap();
        let states = all.iter().map(|entry| entry.state.name()).collect::<Vec<_>>();
        assert_eq!(states, ["queued", "waiting", "deferred", "held", "delivered", "failed", "queued"]);
        assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
        for entry in &all {
            assert_eq!((entry.pool.as_str(), entry.lane, entry.chunk, entry.strict), ("", Lane::Normal, None, false));
            assert_eq!((entry.tries, entry.uncertain, entry.account.as_deref()), (2, 1, Some("qq")));
            assert_eq!((entry.recipients.len(), &entry.repairs[..]), (2, &["bare-lf".to_owned()][..]));
        }
        assert_eq!(queue.pools().await.unwrap(), [(String::new(), 5)]);
        assert_eq!(queue.depth().await.unwrap().messages, [2, 0, 1, 1, 1, 1, 1]);
        assert!(queue.unreported(9).await.unwrap().is_empty() && queue.account_states().await.unwrap().is_empty());
        let leases = queue.lease(at(99), request(wants("", 9), 9)).await.unwrap();
        assert_eq!(leases.iter().map(|lease| lease.entry.id).collect::<Vec<_>>(), [ids[0], ids[1], ids[2], ids[6]]);
        assert_eq!(read(&leases[1].body).await.unwrap(), b"body 1\r\n");
        assert!(read(&leases[3].body).await.unwrap() == noise(6, 200_000));
    }
    // It is a queue like any other now.
    let queue = open_clean(folder.path());
    queue.assign(ids.iter().map(|id| (*id, "office".to_owned())).collect()).await.unwrap();
    queue.retry(ids[3], at(50)).await.unwrap();
    queue.retry(ids[5], at(50)).await.unwrap();
    for lease in queue.lease(at(99), request(wants("office", 9), 9)).await.unwrap() {
        let done = RecipientOutcome::Delivered { at: at(99), reply: "250".to_owned() };
        let mut end = settlement(vec![(0, done.clone()), (1, done)], NextAttempt::Deferred(at(60)));
        end.usage = Some(usage("office"));
        queue.settle(lease, end).await.unwrap();
    }
    assert_eq!(queue.usage("office".to_owned(), START).await.unwrap()[0].messages, 5);
    let left = queue.list(MessageFilter::default()).await.unwrap();
    assert_eq!(left.iter().map(|entry| (entry.id, entry.pool.as_str())).collect::<Vec<_>>(), [(ids[5], "")]);
}

/// What cannot be upgraded is left as it is.
#[tokio::test]
async fn a_first_format_that_is_not_whole_is_named_and_kept() {
    let folder = Folder::new();
    first_format(folder.path());
    edit(folder.path(), "DROP INDEX message_due; PRAGMA wal_checkpoint(TRUNCATE)");
    let before = fs::read(database(folder.path())).unwrap();
    let Err(QueueError::Unusable { reason, .. }) = open(folder.path()) else { panic!("it was opened") };
    assert!(reason.contains("message_due"), "{reason}");
    assert!(fs::read(database(folder.path())).unwrap() == before, "it was touched");
    edit(folder.path(), "CREATE INDEX message_due ON message (due) WHERE due IS NOT NULL");
    open_clean(folder.path());
}

/// Another program holds the database, so that nothing can be written for a while.
#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_kept_and_nothing_is_leased_before_it_is() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 1..4 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    let mut leases = lease_due(&queue, at(100), 1).await.unwrap();
    let id = leases[0].entry.id;
    let other = rusqlite::Connection::open(database(folder.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let settled =
        queue.settle(leases.remove(0), settlement(vec![(0, delivered(100))], NextAttempt::Deferred(at(0)))).await;
    let Settled::Pending(kept) = settled.unwrap() else { panic!("it cannot be written") };
    assert!(!kept.why.to_string().is_empty());
    assert_eq!(lease_due(&queue, at(100), 9).await.unwrap().len(), 0, "a crash now would send more than one again");
    assert_eq!(earliest(&queue, wants("", 9)).await, None, "nothing to wake for");
    // New mail does not go before the outcome.
    assert!(queue.put(short(9, at(9))).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    kept.written().await.unwrap();
    assert_eq!(queue.show(id).await.unwrap().0.state, MessageState::Delivered);
    queue.wait().await.unwrap();
    assert_eq!(lease_due(&queue, at(100), 9).await.unwrap().len(), 2);
}
