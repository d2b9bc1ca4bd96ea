//! Searches among all messages: the promises that every backend keeps, and what damage and crashes leave of the index.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::mailbag::*;
use yizhan::clock::Timestamp;
use yizhan::mail::Id;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    Inspection as _, MessageFilter, MessageSearch, MessageState, NewMessage, NextAttempt, Queue, QueueEntry,
    QueueError, RetentionSettings, SearchOrder, SearchPage,
};

contract!(
    embedded,
    embedded,
    [
        each_condition_finds_what_it_says,
        what_is_finished_and_what_is_not_is_found_in_one_order,
        pages_cover_everything_once_while_mail_arrives,
        a_retry_or_a_drop_is_seen_at_once,
        an_answer_is_the_same_after_a_restart,
        a_dropped_message_leaves_its_place_to_none,
    ]
);

fn any() -> MessageSearch {
    MessageSearch { limit: 1_000, ..MessageSearch::default() }
}

/// Message `n` with a subject, from one of two clients.
fn titled(n: u64, subject: &str) -> NewMessage {
    let mut message = NewMessage { subject: Some(subject.to_owned()), ..short(n, at(n)) };
    if n.is_multiple_of(2) {
        message.origin.client = "Door".to_owned();
    }
    message
}

async fn search(queue: &dyn Queue, search: MessageSearch) -> SearchPage {
    queue.search(search).await.unwrap()
}

async fn found(queue: &dyn Queue, wanted: MessageSearch) -> Vec<Id> {
    let page = search(queue, wanted).await;
    assert_eq!((page.total, page.next), (page.entries.len() as u64, None));
    page.entries.iter().map(|entry| entry.id).collect()
}

/// What fits, from the list of all messages, in the order of their ids.
async fn fitting(queue: &dyn Queue, search: &MessageSearch) -> Vec<QueueEntry> {
    let filter = MessageFilter { states: MessageState::ALL.to_vec(), limit: usize::MAX, ..MessageFilter::default() };
    let mut all = queue.list(filter).await.unwrap();
    all.retain(|entry| search.fits(entry));
    all
}

/// Leases what is due and settles it: every third failed, the others delivered.
async fn settle_due(queue: &dyn Queue, now: Timestamp) {
    for lease in lease_due(queue, now, 100_000).await.unwrap() {
        let fails = lease.entry.received.since(START).as_secs().is_multiple_of(3);
        let outcome = if fails { failed(50) } else { delivered(50) };
        let end = settlement(vec![(0, outcome)], NextAttempt::Deferred(at(60)));
        queue.settle(lease, end).await.unwrap();
    }
}

/// Six messages, three of them finished: 0 failed, 1 and 2 delivered.
async fn six(queue: &dyn Queue) -> Vec<Id> {
    let subjects = ["Scan 1", "2楼扫描件", "Invoice of May", "invoices", "扫描", "scanner is out of paper"];
    let messages: Vec<NewMessage> = subjects.iter().zip(0..).map(|(subject, n)| titled(n, subject)).collect();
    let ids = messages.iter().map(|message| message.id).collect();
    for (n, message) in messages.into_iter().enumerate() {
        queue.put(message).await.unwrap();
        if n == 2 {
            settle_due(queue, at(10)).await;
        }
    }
    ids
}

async fn each_condition_finds_what_it_says(open: Open<'_>) {
    let queue = open();
    let ids = six(&*queue).await;
    let text = |text: &str| Some(text.to_owned());
    let since = |second| MessageSearch { since: Some(at(second)), ..any() };
    for (search, wanted) in [
        (any(), vec![5, 4, 3, 2, 1, 0]),
        (MessageSearch { client: text("door"), ..any() }, vec![4, 2, 0]),
        (MessageSearch { client: text("192.0.2.7"), ..any() }, vec![5, 4, 3, 2, 1, 0]),
        (MessageSearch { sender: text("OFFICE.example"), ..any() }, vec![5, 4, 3, 2, 1, 0]),
        (MessageSearch { recipient: text("r0.3@example.com"), ..any() }, vec![3]),
        (MessageSearch { recipient: text("r0.1"), ..any() }, vec![1]),
        (MessageSearch { subject: text("scan"), ..any() }, vec![5, 0]),
        (MessageSearch { subject: text("扫描"), ..any() }, vec![4, 1]),
        (MessageSearch { subject: text("may invoice"), ..any() }, vec![2]),
        (MessageSearch { subject: text("voice"), ..any() }, vec![]),
        (MessageSearch { account: text("QQ"), ..any() }, vec![2, 1, 0]),
        (MessageSearch { account: text("qq"), account_pools: vec![String::new()], ..any() }, vec![5, 4, 3, 2, 1, 0]),
        (MessageSearch { account: text("no"), account_pools: vec!["no".to_owned()], ..any() }, vec![]),
        (MessageSearch { states: vec![MessageState::Failed], ..any() }, vec![0]),
        (MessageSearch { states: vec![MessageState::Delivered, MessageState::Queued], ..any() }, vec![5, 4, 3, 2, 1]),
        (since(2), vec![5, 4, 3, 2]),
        (MessageSearch { until: Some(at(2)), ..any() }, vec![1, 0]),
        (MessageSearch { until: Some(at(4)), order: SearchOrder::OldestFirst, ..since(1) }, vec![1, 2, 3]),
        (MessageSearch { client: text("door"), subject: text("scan"), ..any() }, vec![0]),
    ] {
        let wanted: Vec<Id> = wanted.into_iter().map(|n: usize| ids[n]).collect();
        assert_eq!(found(&*queue, search.clone()).await, wanted, "{search:?}");
    }
}

async fn what_is_finished_and_what_is_not_is_found_in_one_order(open: Open<'_>) {
    let queue = open();
    let ids = six(&*queue).await;
    let lease = lease_due(&*queue, at(10), 1).await.unwrap().pop().unwrap();
    assert_eq!(lease.entry.id, ids[3]);
    let page = search(&*queue, MessageSearch { order: SearchOrder::OldestFirst, ..any() }).await;
    let states: Vec<MessageState> = page.entries.iter().map(|entry| entry.state).collect();
    let (delivered, queued) = (MessageState::Delivered, MessageState::Queued);
    assert_eq!(states, [MessageState::Failed, delivered, delivered, MessageState::Sending, queued, queued]);
    let sending = MessageSearch { states: vec![MessageState::Sending], ..any() };
    assert_eq!(found(&*queue, sending).await, [ids[3]]);
}

async fn pages_cover_everything_once_while_mail_arrives(open: Open<'_>) {
    let queue = open();
    for n in 0..700 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    settle_due(&*queue, at(600)).await;
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let before: BTreeSet<Id> = fitting(&*queue, &any()).await.iter().map(|entry| entry.id).collect();
        let (mut seen, mut after, mut n) = (Vec::new(), None, 10_000 + 1_000 * order as u64);
        loop {
            let page = search(&*queue, MessageSearch { order, after, limit: 90, ..MessageSearch::default() }).await;
            seen.extend(page.entries.iter().map(|entry| entry.id));
            after = page.next;
            if after.is_none() {
                break;
            }
            // Mail comes and goes between the pages.
            queue.put(short(n, at(n))).await.unwrap();
            settle_due(&*queue, at(if n.is_multiple_of(2) { 699 } else { 20_000 })).await;
            n += 1;
        }
        let all: BTreeSet<Id> = seen.iter().copied().collect();
        assert_eq!(all.len(), seen.len(), "none is on two pages");
        assert!(before.is_subset(&all), "none is left out");
    }
}

async fn a_retry_or_a_drop_is_seen_at_once(open: Open<'_>) {
    let queue = open();
    let ids = six(&*queue).await;
    let failures = || MessageSearch { states: vec![MessageState::Failed], ..any() };
    queue.retry(ids[0], at(20)).await.unwrap();
    assert_eq!(found(&*queue, failures()).await, []);
    queue.drop_message(ids[1]).await.unwrap();
    queue.drop_message(ids[4]).await.unwrap();
    assert_eq!(found(&*queue, any()).await, [5, 3, 2, 0].map(|n: usize| ids[n]));
    // The account of the last attempt counts, not one before.
    let mut leases = lease_due(&*queue, at(30), 10).await.unwrap();
    let lease = leases.remove(leases.iter().position(|lease| lease.entry.id == ids[0]).unwrap());
    let mut end = settlement(vec![(0, failed(31))], NextAttempt::Deferred(at(60)));
    end.account = Some("other".to_owned());
    queue.settle(lease, end).await.unwrap();
    drop(leases);
    let of = |account: &str| MessageSearch { account: Some(account.to_owned()), ..any() };
    drop(queue);
    let queue = open();
    assert_eq!(found(&*queue, of("other")).await, [ids[0]]);
    assert_eq!(found(&*queue, of("qq")).await, [ids[2]]);
    assert_eq!(found(&*queue, failures()).await, [ids[0]]);
}

async fn an_answer_is_the_same_after_a_restart(open: Open<'_>) {
    let mut queue = open();
    for n in 0..600 {
        queue.put(titled(n, ["Scan", "扫描件", "report"][n as usize % 3])).await.unwrap();
    }
    settle_due(&*queue, at(400)).await;
    for _ in 0..3 {
        for subject in ["scan", "扫描", "rep"] {
            let search = MessageSearch { subject: Some(subject.to_owned()), order: SearchOrder::OldestFirst, ..any() };
            let wanted: Vec<Id> = fitting(&*queue, &search).await.iter().map(|entry| entry.id).collect();
            assert_eq!(found(&*queue, search).await, wanted);
        }
        let depth = queue.depth().await.unwrap().messages;
        assert_eq!([MessageState::Delivered, MessageState::Failed].map(|state| depth[state as usize]), [267, 134]);
        drop(queue);
        queue = open();
    }
}

/// A page that ended at a message which is gone must not hide the next one.
async fn a_dropped_message_leaves_its_place_to_none(open: Open<'_>) {
    let mut queue = open();
    for n in 0..3 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    let oldest = || MessageSearch { order: SearchOrder::OldestFirst, limit: 2, ..MessageSearch::default() };
    let page = search(&*queue, oldest()).await;
    settle_due(&*queue, at(1)).await;
    for n in 1..3 {
        queue.drop_message(short(n, at(n)).id).await.unwrap();
    }
    for _ in 0..2 {
        // The records of all are gone, too.
        queue.purge(at(99) + KEEP * 3).await.unwrap();
        drop(queue);
        queue = open();
    }
    queue.put(short(7, at(7))).await.unwrap();
    let next = search(&*queue, MessageSearch { after: page.next, ..oldest() }).await;
    assert_eq!(next.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [short(7, at(7)).id]);
}

fn kept(folder: &Path, retention: RetentionSettings) -> SqliteQueue {
    SqliteQueue::open(&folder.join("data"), retention).unwrap().0
}

#[tokio::test]
async fn the_content_of_a_failed_message_goes_before_its_record() {
    let folder = Folder::new();
    let keep = Duration::from_secs(100);
    let queue =
        kept(folder.path(), RetentionSettings { keep_records: keep * 3, keep_failed: keep, keep_subject: true });
    let message = message(3, at(3), 1, body(&queue, 3, 400_000).await);
    let (id, file) = (message.id, message.body.file().unwrap().to_owned());
    yizhan::queue::MessageQueue::put(&queue, message).await.unwrap();
    settle_due(&queue, at(10)).await;
    assert!(!queue.purge(at(50) + keep).await.unwrap());
    assert!(file.exists() && queue.show(id).await.unwrap().2.len() == 400_000);
    assert!(!queue.purge(at(51) + keep).await.unwrap());
    let (entry, head, body) = queue.show(id).await.unwrap();
    assert_eq!((entry.state, head.len(), body.len()), (MessageState::Failed, 0, 0));
    let retried = yizhan::queue::MessageQueue::retry(&queue, id, at(200)).await;
    assert!(matches!(retried, Err(QueueError::NoContent(named)) if named == id), "{retried:?}");
    assert_eq!(found(&queue, MessageSearch { recipient: Some("r0.3".to_owned()), ..any() }).await, [id]);
    queue.purge(at(51) + keep * 3).await.unwrap();
    assert!(matches!(queue.show(id).await, Err(QueueError::NotFound(_))));
    queue.close().await.unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn a_purge_takes_old_content_a_few_at_a_time() {
    let folder = Folder::new();
    let keep = Duration::from_secs(100);
    let queue =
        kept(folder.path(), RetentionSettings { keep_records: keep * 3, keep_failed: keep, keep_subject: true });
    for n in 0..300 {
        queue.put_failed(n * 3).await;
    }
    assert!(queue.purge(at(51) + keep).await.unwrap());
    assert!(!queue.purge(at(51) + keep).await.unwrap());
    assert_eq!(search(&queue, any()).await.total, 300);
}

trait PutFailed {
    async fn put_failed(&self, n: u64);
}

impl PutFailed for SqliteQueue {
    async fn put_failed(&self, n: u64) {
        yizhan::queue::MessageQueue::put(self, short(n, at(n))).await.unwrap();
        settle_due(self, at(n)).await;
    }
}

#[tokio::test]
async fn records_have_no_subject_where_the_settings_say_so() {
    let folder = Folder::new();
    let keep = |keep_subject| RetentionSettings { keep_records: KEEP, keep_failed: KEEP, keep_subject };
    let old = kept(folder.path(), keep(true));
    yizhan::queue::MessageQueue::put(&old, titled(1, "Scan")).await.unwrap();
    old.close().await.unwrap();
    let queue = kept(folder.path(), keep(false));
    yizhan::queue::MessageQueue::put(&queue, titled(2, "Scan")).await.unwrap();
    let mut leases = lease_due(&queue, at(5), 9).await.unwrap();
    assert_eq!(leases.iter().filter(|lease| lease.entry.subject.is_some()).count(), 1, "in memory, too");
    let mut end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)));
    end.notice = Some(Box::new(titled(3, "Scan")));
    yizhan::queue::MessageQueue::settle(&queue, leases.remove(0), end).await.unwrap();
    yizhan::queue::MessageQueue::mark_reported(&queue, Some(titled(4, "Scan")), Vec::new()).await.unwrap();
    let scans = MessageSearch { subject: Some("scan".to_owned()), ..any() };
    assert_eq!(found(&queue, scans).await, [titled(1, "").id], "an old subject stays");
}

/// How many messages the index lacks, and how many it has.
fn index(folder: &Path) -> (i64, i64) {
    let conn = rusqlite::Connection::open(folder.join("data/queue.db")).unwrap();
    let number = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    (number("SELECT count(*) FROM history_new"), number("SELECT count(*) FROM history_block"))
}

/// The child of the next test: settles messages while the writer indexes them.
#[test]
fn child_that_indexes() {
    let Some(folder) = std::env::var_os("YIZHAN_TEST_INDEX_FOLDER").map(PathBuf::from) else { return };
    let first: u64 = std::env::var("YIZHAN_TEST_INDEX_FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = open(&folder).unwrap().0;
        for round in first.. {
            let message = |n| titled(round * 1_000 + n, ["Scan", "扫描件 2", "report"][n as usize % 3]);
            yizhan::queue::MessageQueue::put_all(&queue, (0..300).map(message).collect()).await.unwrap();
            settle_due(&queue, at(999_999_999)).await;
            std::io::stdout().lock().write_all(b"settled\n").unwrap();
        }
    });
}

/// Wherever the process is killed, each finished message is found once, by what it is.
#[tokio::test]
async fn the_index_is_whole_after_kill_9() {
    let folder = Folder::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "history::child_that_indexes", "--nocapture"])
            .env("YIZHAN_TEST_INDEX_FOLDER", folder.path())
            .env("YIZHAN_TEST_INDEX_FIRST", (round * 1_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let rounds = lines.by_ref().filter(|line| line == "settled").take(2).count();
        assert_eq!(rounds, 2, "the child ended by itself");
        // The index of the messages is being written at this moment.
        child.kill().unwrap();
        child.wait().unwrap();
        let queue = open_clean(folder.path());
        for subject in [None, Some("scan"), Some("扫描"), Some("rep")] {
            let search = MessageSearch { subject: subject.map(str::to_owned), limit: usize::MAX, ..any() };
            let wanted: BTreeSet<Id> = fitting(&queue, &search).await.iter().map(|entry| entry.id).collect();
            let ids = found(&queue, search).await;
            assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<Id>>()), (wanted.len(), wanted));
        }
        queue.close().await.unwrap();
    }
    assert!(index(folder.path()).1 > 0, "something was indexed");
}
