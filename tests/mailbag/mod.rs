//! What the queue tests share: folders that go away, messages that can be told apart, and reading bodies back.

// Each test file uses a part of it.
#![allow(dead_code, unused_macros, unused_imports, unreachable_pub, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use yizhan::clock::Timestamp;
use yizhan::mail::{Address, ClientKey, Id, Lane, ReversePath};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    LaneRequest, Lease, LeaseRequest, MessageOrigin, NewMessage, NextAttempt, Queue, QueueError, RecipientOutcome,
    RetentionSettings, Settlement, StartupReport, StoredBody,
};

/// The moment at which all these tests begin.
pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// How long a message may live in these tests.
pub const LIFE: Duration = Duration::from_secs(100_000);
/// How long records are kept in these tests.
pub const KEEP: Duration = Duration::from_secs(1_000);

/// A point `seconds` after the start.
pub fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// A folder of its own, removed with everything in it at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("yizhan-queue-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The embedded queue in `folder`, and what it reported.
pub fn open(folder: &Path) -> Result<(SqliteQueue, StartupReport), QueueError> {
    SqliteQueue::open(
        &folder.join("data"),
        RetentionSettings { keep_records: KEEP, keep_failed: KEEP * 2, keep_subject: true },
    )
}

/// The embedded queue in `folder`, which must have nothing to report.
pub fn open_clean(folder: &Path) -> SqliteQueue {
    let (queue, report) = open(folder).unwrap();
    assert_eq!(report, StartupReport::new());
    queue
}

/// Message number `n`, received at `received`, for `recipients` people.
pub fn message(n: u64, received: Timestamp, recipients: usize, body: StoredBody) -> NewMessage {
    NewMessage {
        id: Id::new(received, n),
        received,
        expires: received + LIFE,
        origin: MessageOrigin {
            client: "printer".to_owned(),
            key: ClientKey::stored("192.0.2.7"),
            addr: "192.0.2.7".parse().unwrap(),
            listener: "lan".to_owned(),
            helo: "mfp-3".to_owned(),
        },
        sender: ReversePath::parse("scan@office.example").unwrap(),
        recipients: (0..recipients).map(|i| Address::parse(&format!("r{i}.{n}@example.com")).unwrap()).collect(),
        head: Bytes::from(format!("Subject: {n}\r\nFrom: scan@office.example\r\n")),
        body,
        repairs: vec!["date-added".to_owned(), "bare-lf".to_owned()],
        notice: false,
        subject: None,
        message_id: None,
        lane: Lane::Normal,
        pool: String::new(),
    }
}

/// A short message for one recipient.
pub fn short(n: u64, received: Timestamp) -> NewMessage {
    message(n, received, 1, StoredBody::from(Bytes::from(format!("body {n}\r\n"))))
}

/// `len` octets that depend on `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// A body of `len` octets, written in uneven pieces.
pub async fn body(queue: &dyn Queue, seed: u64, len: usize) -> StoredBody {
    let mut draft = queue.draft();
    let all = noise(seed, len);
    let (mut rest, mut piece) = (&all[..], 1);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        draft.write(now).await.unwrap();
        (rest, piece) = (later, piece * 3 % 50_000 + 1);
    }
    assert_eq!(draft.len(), len as u64);
    draft.finish().await.unwrap()
}

/// Everything in a body.
pub async fn read(body: &StoredBody) -> Result<Vec<u8>, QueueError> {
    let mut reader = body.reader();
    let mut all = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        assert!(!chunk.is_empty() && chunk.len() <= 65_536);
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// All files under `folder`, however deep.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

pub fn delivered(seconds: u64) -> RecipientOutcome {
    RecipientOutcome::Delivered { at: at(seconds), reply: "250 2.0.0 Ok: queued".to_owned() }
}

pub fn failed(seconds: u64) -> RecipientOutcome {
    RecipientOutcome::Failed { at: at(seconds), reason: "550 5.1.1 no such user".to_owned() }
}

pub fn again() -> RecipientOutcome {
    RecipientOutcome::Open { last: Some("451 4.7.1 later".to_owned()) }
}

/// A settlement without a notice.
pub fn settlement(outcomes: Vec<(usize, RecipientOutcome)>, next: NextAttempt) -> Settlement {
    Settlement {
        outcomes,
        next,
        uncertain: false,
        account: Some("qq".to_owned()),
        notice: None,
        chunk: None,
        strict: false,
        account_state: None,
        usage: None,
        unknown_since: None,
        unreported: false,
    }
}

/// Up to `limit` messages of one lane of `pool`.
pub fn want(pool: &str, lane: Lane, limit: usize) -> LaneRequest {
    LaneRequest { lane, pools: vec![pool.to_owned()], limit }
}

/// Up to `limit` messages of every lane of `pool`.
pub fn wants(pool: &str, limit: usize) -> Vec<LaneRequest> {
    Lane::ALL.map(|lane| want(pool, lane, limit)).to_vec()
}

/// A request of the account `qq` for at most `total` messages of these lanes.
pub fn request(lanes: Vec<LaneRequest>, total: usize) -> LeaseRequest {
    LeaseRequest { turns: "qq".to_owned(), lanes, total, recipients: 100 }
}

/// When the first message of these lanes is due.
pub async fn earliest(queue: &dyn Queue, lanes: Vec<LaneRequest>) -> Option<Timestamp> {
    let lines = request(lanes, 0).lines().collect();
    queue.first_due(lines).await.unwrap().into_iter().flatten().min()
}

/// Leases what is due in the pool without a name.
pub async fn lease_due(queue: &dyn Queue, now: Timestamp, limit: usize) -> Result<Vec<Lease>, QueueError> {
    queue.lease(now, request(wants("", limit), limit)).await
}

/// When the first message of the pool without a name is due.
pub async fn next_due(queue: &dyn Queue) -> Option<Timestamp> {
    earliest(queue, wants("", 1)).await
}

/// Says on the record that a test could not run here.
pub fn skipped(reason: &str) {
    println!("SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("YIZHAN_SKIP_LOG") {
        use std::io::Write;
        let mut log = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(log, "SKIPPED: {reason}").unwrap();
    }
}

/// A way to open a queue; opening again gives the same queue.
pub type Open<'a> = &'a (dyn Fn() -> Box<dyn Queue> + Sync);

/// The embedded backend.
pub fn embedded(folder: &Path) -> Box<dyn Queue> {
    Box::new(open_clean(folder))
}

/// Makes a test of each function for each backend.
macro_rules! contract {
    ($backend:ident, $open:expr, [$($name:ident),* $(,)?]) => {
        mod $backend {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let folder = Folder::new();
                super::$name(&|| $open(folder.path())).await;
            })*
        }
    };
}
pub(crate) use contract;
