//! `cargo bench --bench history`: what it costs to keep 1,000,000 records of finished mail, and to search them.
//!
//! Not a test: the figures go into `docs/performance.md`. `-- 100000` takes another number of records; `-- rate` measures only
//! how fast messages are stored and settled, in an empty queue, so that it also runs on a version without the index.
#![allow(clippy::print_stdout, reason = "the figures are the product")]

mod fill;
mod load;
mod search;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use yizhan::clock::Clock;
use yizhan::mail::Lane;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{LaneRequest, LeaseRequest, Queue, RetentionSettings};

/// Records of finished mail.
const RECORDS: usize = 1_000_000;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts on this machine");
    let folder = std::env::temp_dir().join(format!("yz-history-{}", std::process::id()));
    match arguments.as_slice() {
        [word] if word == "rate" => runtime.block_on(load::rate(&folder, "an empty queue")),
        [] => runtime.block_on(measure(&folder, RECORDS)),
        [number, ..] => runtime.block_on(measure(&folder, number.parse().expect("a number of records"))),
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Opens the queue, as the relay does.
fn open(folder: &Path) -> SqliteQueue {
    let keep = RetentionSettings { keep_records: YEAR, keep_failed: YEAR, keep_subject: true };
    SqliteQueue::open(folder, keep).expect("the queue opens").0
}

/// The database, for reading beside the queue.
fn beside(folder: &Path) -> Connection {
    Connection::open_with_flags(folder.join("queue.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it is a database")
}

fn number(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, [], |row| row.get(0)).expect("the tables are there")
}

/// Octets of the pages that are in use.
fn used(conn: &Connection) -> i64 {
    let pages = number(conn, "PRAGMA page_count") - number(conn, "PRAGMA freelist_count");
    pages * number(conn, "PRAGMA page_size")
}

async fn measure(folder: &Path, records: usize) {
    println!("{records} records of finished mail");
    fill::fill(folder, records);
    let table = used(&beside(folder));

    start(folder, "not indexed yet").await;
    let queue: Arc<dyn Queue> = Arc::new(open(folder));
    let begin = Instant::now();
    let conn = beside(folder);
    // The last few stay out of the index.
    while number(&conn, "SELECT count(*) FROM (SELECT 1 FROM history_new LIMIT 256)") == 256 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begin.elapsed();
    println!(
        "  {:8.1} s until the index has them, {:.0} a second",
        took.as_secs_f64(),
        records as f64 / took.as_secs_f64()
    );
    queue.close().await.expect("it closes");
    let index = used(&conn) - table;
    let each = |octets: i64| octets as f64 / records as f64;
    println!("  {:8.0} octets a record in the tables, {:.0} in the index", each(table), each(index));
    println!("  {:8} terms", number(&conn, "SELECT count(*) FROM history_term"));
    let begin = Instant::now();
    let sql = "SELECT count(*) FROM (SELECT state, pool, lane, count(*), total(size) FROM message GROUP BY state, pool, lane)";
    number(&conn, sql);
    println!("  {:8.1} ms: a count of all messages, as a start made it before", begin.elapsed().as_secs_f64() * 1e3);
    drop(conn);

    start(folder, "indexed").await;
    search::searches(folder, "nothing else is done", 0).await;
    search::searches(folder, "1,000 messages a second are stored and settled", 1000).await;
    load::rate(folder, "beside the history").await;
}

/// From opening the queue to the first lease.
async fn start(folder: &Path, what: &str) {
    let begin = Instant::now();
    let queue: Arc<dyn Queue> = Arc::new(open(folder));
    let opened = begin.elapsed();
    let lane = LaneRequest { lane: Lane::Normal, pools: vec![String::new()], limit: 1 };
    let request = LeaseRequest { turns: "a".to_owned(), lanes: vec![lane], total: 1, recipients: 10 };
    queue.lease(Clock::system().now(), request).await.expect("it answers");
    let [opened, leased] = [opened, begin.elapsed()].map(|time| time.as_secs_f64() * 1e3);
    println!("  {opened:8.1} ms: open; {leased:.1} ms: first lease ({what})");
    queue.close().await.expect("it closes");
}
