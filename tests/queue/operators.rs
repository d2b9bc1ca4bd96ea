//! What operators order: messages that are held and released, and the commands that are stored. Through the traits, so that
//! every backend must keep it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::mailbag::*;
use yizhan::clock::{EARLIEST, Timestamp};
use yizhan::mail::{Id, Lane};
use yizhan::queue::{
    AuditFilter, AuditLog as _, AuditPage, AuditRecord, ClosedLane, HoldReason, Inspection as _, KEEP_COMMANDS,
    LONGEST_AUDIT_TEXT, LONGEST_HOLD_TEXT, MessageFilter, MessageQueue as _, MessageState, NewMessage, NextAttempt,
    PoolLane, Queue, QueueEntry, QueueError, RecipientOutcome, StoredBody, WaitReason,
};

contract!(
    embedded,
    embedded,
    [
        a_held_message_is_not_sent_before_it_is_released,
        a_held_message_is_shown_with_its_reason,
        a_held_message_does_not_expire,
        a_hold_keeps_the_outcomes_of_recipients,
        only_open_messages_are_held,
        only_held_messages_are_released,
        a_retry_ends_only_the_hold_of_a_damaged_message,
        a_released_message_that_had_failed_is_sent_again,
        a_held_message_can_move_to_another_pool,
        a_held_message_of_a_closed_lane_does_not_wait,
        a_long_text_is_cut_between_characters,
        commands_come_back_newest_first,
        commands_are_read_in_pages,
        commands_are_found_by_time,
        old_commands_are_purged_a_few_at_a_time,
        a_cursor_outlives_the_commands_before_it,
        commands_of_an_unset_clock_count_from_the_time_it_is_set,
    ]
);

async fn entry(queue: &dyn Queue, id: Id) -> QueueEntry {
    queue.show(id).await.unwrap().0
}

/// Puts message `n`, and returns its id.
async fn put(queue: &dyn Queue, n: u64) -> Id {
    let new = short(n, at(n));
    let id = new.id;
    queue.put(new).await.unwrap();
    id
}

async fn leased(queue: &dyn Queue, now: Timestamp) -> Vec<Id> {
    lease_due(queue, now, 100).await.unwrap().iter().map(|lease| lease.entry.id).collect()
}

async fn a_held_message_is_not_sent_before_it_is_released(open: Open<'_>) {
    let queue = open();
    let (first, second) = (put(&*queue, 1).await, put(&*queue, 2).await);
    queue.wait().await.unwrap();
    queue.hold_message(first, HoldReason::Operator, "wait for the invoice".to_owned()).await.unwrap();
    assert_eq!(leased(&*queue, at(9)).await, [second]);
    // The dropped lease has woken.
    queue.wait().await.unwrap();
    drop(queue);
    let queue = open();
    assert_eq!(leased(&*queue, at(9)).await, [second]);
    assert_eq!(next_due(&*queue).await, Some(at(2)));
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.messages, depth.oldest), ([1, 0, 0, 0, 1, 0, 0], Some(at(1))));
    queue.wait().await.unwrap();
    queue.release(first, at(20)).await.unwrap();
    queue.wait().await.unwrap();
    assert_eq!(entry(&*queue, first).await.due, at(20));
    assert_eq!(leased(&*queue, at(19)).await, [second]);
    assert_eq!(leased(&*queue, at(20)).await, [second, first]);
    assert_eq!(queue.depth().await.unwrap().messages, [2, 0, 0, 0, 0, 0, 0]);
}

async fn a_held_message_is_shown_with_its_reason(open: Open<'_>) {
    let queue = open();
    let id = put(&*queue, 1).await;
    let hold = |reason, text: &str| queue.hold_message(id, reason, text.to_owned());
    let shown = async || {
        let filter = MessageFilter { states: vec![MessageState::Held], ..MessageFilter::default() };
        let mut list = queue.list(filter).await.unwrap();
        let (listed, shown) = (list.pop().unwrap(), entry(&*queue, id).await);
        assert_eq!(format!("{listed:?}"), format!("{shown:?}"));
        assert_eq!((shown.state, shown.due, shown.wait), (MessageState::Held, shown.received, None));
        (shown.held.unwrap(), shown.trouble)
    };
    hold(HoldReason::Policy, "rule `card numbers`").await.unwrap();
    assert_eq!(shown().await, (HoldReason::Policy, Some("rule `card numbers`".to_owned())));
    // A new reason replaces the old one.
    hold(HoldReason::Operator, "待确认").await.unwrap();
    assert_eq!(shown().await, (HoldReason::Operator, Some("待确认".to_owned())));
    hold(HoldReason::Operator, "").await.unwrap();
    assert_eq!(shown().await, (HoldReason::Operator, None));
    assert_eq!(queue.depth().await.unwrap().messages[MessageState::Held as usize], 1);
    queue.release(id, at(2)).await.unwrap();
    let released = entry(&*queue, id).await;
    assert_eq!((released.state, released.held, released.trouble), (MessageState::Queued, None, None));
}

async fn a_held_message_does_not_expire(open: Open<'_>) {
    let queue = open();
    let (short_hold, long_hold) = (put(&*queue, 1).await, put(&*queue, 2).await);
    for id in [short_hold, long_hold] {
        queue.hold_message(id, HoldReason::Operator, String::new()).await.unwrap();
    }
    let late = START + LIFE * 4;
    queue.correct_times(at(10), at(10)).await.unwrap();
    while queue.purge(late).await.unwrap() {}
    assert_eq!(entry(&*queue, long_hold).await.state, MessageState::Held);
    queue.release(short_hold, at(100)).await.unwrap();
    queue.release(long_hold, late).await.unwrap();
    assert_eq!(entry(&*queue, short_hold).await.expires, at(1) + LIFE, "what is left of its life stays");
    assert_eq!(entry(&*queue, long_hold).await.expires, late + LIFE);
}

async fn a_hold_keeps_the_outcomes_of_recipients(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 4, StoredBody::from(bytes::Bytes::new()))).await.unwrap();
    let lease = lease_due(&*queue, at(0), 1).await.unwrap().pop().unwrap();
    let id = lease.entry.id;
    let mut partial = settlement(vec![(0, delivered(1)), (1, failed(1)), (2, again())], NextAttempt::Deferred(at(60)));
    (partial.unknown_since, partial.chunk, partial.unreported) = (Some(at(1)), Some(7), true);
    queue.settle(lease, partial).await.unwrap();
    let before = entry(&*queue, id).await;
    queue.hold_message(id, HoldReason::Policy, "x".to_owned()).await.unwrap();
    assert_eq!(entry(&*queue, id).await.recipients, before.recipients);
    assert_eq!(next_due(&*queue).await, None);
    queue.release(id, at(30)).await.unwrap();
    let after = entry(&*queue, id).await;
    assert_eq!((&after.recipients, after.tries, after.chunk), (&before.recipients, 1, Some(7)));
    assert_eq!(after.unknown_since, None, "the time in which it was held does not count against it");
    // The failure of the second recipient is still to be reported.
    let lease = lease_due(&*queue, at(30), 1).await.unwrap().pop().unwrap();
    let end = settlement(vec![(2, delivered(31)), (3, delivered(31))], NextAttempt::Deferred(at(90)));
    queue.settle(lease, end).await.unwrap();
    assert_eq!(queue.unreported(9).await.unwrap().len(), 1);
}

async fn only_open_messages_are_held(open: Open<'_>) {
    let queue = open();
    let hold = |id| queue.hold_message(id, HoldReason::Operator, String::new());
    let unknown = Id::new(START, 99);
    assert!(matches!(hold(unknown).await, Err(QueueError::NotFound(id)) if id == unknown));
    for (n, outcome, state) in [(1, delivered(1), MessageState::Delivered), (2, failed(1), MessageState::Failed)] {
        let id = put(&*queue, n).await;
        let lease = lease_due(&*queue, at(9), 1).await.unwrap().pop().unwrap();
        assert!(matches!(hold(id).await, Err(QueueError::Busy(busy)) if busy == id));
        queue.settle(lease, settlement(vec![(0, outcome)], NextAttempt::Deferred(at(60)))).await.unwrap();
        assert!(matches!(hold(id).await, Err(QueueError::WrongState(_, found)) if found == state));
        assert_eq!(entry(&*queue, id).await.state, state);
    }
    let id = put(&*queue, 3).await;
    for next in [NextAttempt::Waiting(at(20)), NextAttempt::Deferred(at(40))] {
        let lease = lease_due(&*queue, at(20), 1).await.unwrap().pop().unwrap();
        queue.settle(lease, settlement(vec![], next)).await.unwrap();
        hold(id).await.unwrap();
        assert_eq!((next_due(&*queue).await, leased(&*queue, at(99)).await), (None, vec![]));
        queue.release(id, at(20)).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().messages, [1, 0, 0, 0, 0, 1, 1]);
}

async fn only_held_messages_are_released(open: Open<'_>) {
    let queue = open();
    let unknown = Id::new(START, 99);
    assert!(matches!(queue.release(unknown, at(0)).await, Err(QueueError::NotFound(id)) if id == unknown));
    let id = put(&*queue, 1).await;
    let refused = async || match queue.release(id, at(9)).await {
        Err(QueueError::WrongState(_, state)) => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused().await, MessageState::Queued);
    let lease = lease_due(&*queue, at(1), 1).await.unwrap().pop().unwrap();
    assert!(matches!(queue.release(id, at(9)).await, Err(QueueError::Busy(_))));
    queue.settle(lease, settlement(vec![(0, failed(2))], NextAttempt::Deferred(at(60)))).await.unwrap();
    assert_eq!(refused().await, MessageState::Failed);
}

async fn a_retry_ends_only_the_hold_of_a_damaged_message(open: Open<'_>) {
    let queue = open();
    for (n, reason) in (1..).zip(HoldReason::ALL) {
        let id = put(&*queue, n).await;
        queue.hold_message(id, reason, "as a test".to_owned()).await.unwrap();
        match (reason, queue.retry(id, at(9)).await) {
            (HoldReason::Damaged, Ok(())) => {
                assert_eq!(entry(&*queue, id).await.held, None);
                queue.drop_message(id).await.unwrap();
            }
            (_, Err(QueueError::Held(held, found))) => {
                assert_eq!((held, found), (id, reason));
                assert_eq!(entry(&*queue, id).await.held, Some(reason));
            }
            (_, other) => panic!("{reason:?}: {other:?}"),
        }
    }
    // A lease that finds damage holds for that reason; both ways out are open.
    for n in [11, 12] {
        let id = put(&*queue, n).await;
        let lease = lease_due(&*queue, at(20), 1).await.unwrap().pop().unwrap();
        queue.hold(lease, "the file is gone".to_owned()).await.unwrap();
        let held = entry(&*queue, id).await;
        assert_eq!((held.held, held.trouble.as_deref()), (Some(HoldReason::Damaged), Some("the file is gone")));
        if n == 11 {
            queue.release(id, at(20)).await.unwrap()
        } else {
            queue.retry(id, at(20)).await.unwrap()
        }
        assert_eq!(leased(&*queue, at(20)).await, [id]);
        queue.drop_message(id).await.unwrap();
    }
}

/// A message that had failed can be held only because it was found damaged at a start.
async fn a_released_message_that_had_failed_is_sent_again(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 2, body(&*queue, 1, 300_000).await)).await.unwrap();
    let lease = lease_due(&*queue, at(0), 1).await.unwrap().pop().unwrap();
    let (id, path) = (lease.entry.id, lease.body.file().unwrap().to_owned());
    let mut end = settlement(vec![(0, delivered(1)), (1, failed(1))], NextAttempt::Deferred(at(60)));
    end.unreported = true;
    queue.settle(lease, end).await.unwrap();
    drop(queue);
    fs::rename(&path, path.with_extension("away")).unwrap();
    let data = path.parent().unwrap().parent().unwrap().parent().unwrap();
    let (queue, _) = crate::mailbag::open(data.parent().unwrap()).unwrap();
    assert_eq!(entry(&queue, id).await.held, Some(HoldReason::Damaged));
    let moved = files(&data.join("quarantine")).pop().unwrap();
    fs::rename(moved, &path).unwrap();
    queue.release(id, at(9)).await.unwrap();
    let lease = lease_due(&queue, at(9), 1).await.unwrap().pop().unwrap();
    assert_eq!(lease.entry.recipients[0].outcome, delivered(1));
    assert_eq!(lease.entry.offered(9), [1]);
    assert!(matches!(&lease.entry.recipients[1].outcome, RecipientOutcome::Open { last: Some(_) }));
}

async fn a_held_message_can_move_to_another_pool(open: Open<'_>) {
    let queue = open();
    let id = put(&*queue, 1).await;
    queue.hold_message(id, HoldReason::Operator, String::new()).await.unwrap();
    queue.assign(vec![(id, "office".to_owned())]).await.unwrap();
    assert_eq!(queue.pools().await.unwrap(), [("office".to_owned(), 1)]);
    assert_eq!(earliest(&*queue, wants("office", 1)).await, None);
    queue.release(id, at(5)).await.unwrap();
    let leases = queue.lease(at(5), request(wants("office", 9), 9)).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.entry.id).collect::<Vec<_>>(), [id]);
}

async fn a_held_message_of_a_closed_lane_does_not_wait(open: Open<'_>) {
    let queue = open();
    let (held, waits) = (put(&*queue, 1).await, put(&*queue, 2).await);
    queue.hold_message(held, HoldReason::Operator, String::new()).await.unwrap();
    let line = PoolLane { pool: String::new(), lane: Lane::Normal };
    let reason = WaitReason::Unreachable { account: "a".to_owned(), text: "refused".to_owned() };
    queue.close_lanes(vec![ClosedLane { line, until: Some(at(99)), reason }]).await.unwrap();
    assert_eq!(entry(&*queue, held).await.state, MessageState::Held);
    assert_eq!(entry(&*queue, waits).await.state, MessageState::Waiting);
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.messages, [0, 0, 1, 0, 1, 0, 0]);
    assert_eq!(depth.waiting.iter().sum::<u64>(), 1);
    queue.release(held, at(3)).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().messages, [0, 0, 2, 0, 0, 0, 0]);
}

async fn a_long_text_is_cut_between_characters(open: Open<'_>) {
    let queue = open();
    let id = put(&*queue, 1).await;
    queue.hold_message(id, HoldReason::Operator, format!("x{}", "驿".repeat(500))).await.unwrap();
    let text = entry(&*queue, id).await.trouble.unwrap();
    assert!(text.len() <= LONGEST_HOLD_TEXT && text.len() > LONGEST_HOLD_TEXT - 3);
    assert!(text.chars().skip(1).all(|c| c == '驿'));
    let long = format!("x{}", "驿".repeat(500));
    let [who, from, command, target, result] = std::array::from_fn(|_| long.clone());
    queue.record_command(AuditRecord { at: at(1), who, from, command, target, result }).await.unwrap();
    let record = queue.commands(AuditFilter::default()).await.unwrap().records.pop().unwrap();
    for text in [record.who, record.from, record.command, record.target, record.result] {
        assert!(text.len() <= LONGEST_AUDIT_TEXT && text.len() > LONGEST_AUDIT_TEXT - 3);
    }
}

fn command(n: u64, at: Timestamp) -> AuditRecord {
    AuditRecord {
        at,
        who: format!("uid {n} (anna)"),
        from: "socket".to_owned(),
        command: "retry".to_owned(),
        target: format!("message {n}"),
        result: "done".to_owned(),
    }
}

async fn page(queue: &dyn Queue, filter: AuditFilter) -> AuditPage {
    queue.commands(filter).await.unwrap()
}

async fn commands_come_back_newest_first(open: Open<'_>) {
    let queue = open();
    assert_eq!(page(&*queue, AuditFilter::default()).await, AuditPage::default());
    // The clock does not decide the order: it may jump.
    let given: Vec<_> = [5, 3, 3, 9, 1].into_iter().map(|n| command(n, at(n))).collect();
    for record in &given {
        queue.record_command(record.clone()).await.unwrap();
    }
    drop(queue);
    let queue = open();
    let page = page(&*queue, AuditFilter::default()).await;
    assert_eq!((page.total, page.next), (5, None));
    assert_eq!(page.records.iter().rev().cloned().collect::<Vec<_>>(), given);
}

async fn commands_are_read_in_pages(open: Open<'_>) {
    let queue = open();
    let given: Vec<_> = (0..250).map(|n| command(n, at(n / 10))).collect();
    let answers = futures(given.iter().map(|record| queue.record_command(record.clone())));
    answers.await;
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = page(&*queue, AuditFilter { after, ..AuditFilter::default() }).await;
        assert_eq!(page.total, 250 + u64::from(pages > 0), "what comes meanwhile is counted");
        seen.extend(page.records);
        pages += 1;
        if pages == 1 {
            // It is newer than the page that was read: the next pages stay what they are.
            queue.record_command(command(999, at(999))).await.unwrap();
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (3, 250));
    seen.reverse();
    assert_eq!(seen, given);
    let all = page(&*queue, AuditFilter { limit: 251, ..AuditFilter::default() }).await;
    assert_eq!((all.records.len(), all.next), (251, None));
    let most = page(&*queue, AuditFilter { limit: usize::MAX, ..AuditFilter::default() }).await;
    assert_eq!(most.records.len(), 251);
}

/// Waits for all of them, one after the other; they were all asked for before.
async fn futures<T>(answers: impl Iterator<Item = yizhan::queue::QueueFuture<'_, T>>) {
    let mut answers: Vec<_> = answers.collect();
    std::future::poll_fn(|context| {
        answers.retain_mut(|answer| match answer.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                drop(result.unwrap());
                false
            }
            std::task::Poll::Pending => true,
        });
        if answers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn commands_are_found_by_time(open: Open<'_>) {
    let queue = open();
    for n in 0..10 {
        queue.record_command(command(n, at(n))).await.unwrap();
    }
    let filter = AuditFilter { since: Some(at(2)), until: Some(at(8)), limit: 4, after: None };
    let first = page(&*queue, filter.clone()).await;
    let numbers = |page: &AuditPage| page.records.iter().map(|record| record.at).collect::<Vec<_>>();
    assert_eq!((first.total, numbers(&first)), (6, [7, 6, 5, 4].map(at).to_vec()));
    let last = page(&*queue, AuditFilter { after: first.next, ..filter }).await;
    assert_eq!((last.total, numbers(&last), last.next), (6, [3, 2].map(at).to_vec(), None));
}

/// A point in time at which the clock counts as set.
fn set(seconds: u64) -> Timestamp {
    EARLIEST + Duration::from_secs(seconds)
}

async fn old_commands_are_purged_a_few_at_a_time(open: Open<'_>) {
    let queue = open();
    futures((0..300).map(|n| queue.record_command(command(n, set(1))))).await;
    queue.record_command(command(300, set(2))).await.unwrap();
    let left = async |now| {
        let more = queue.purge(now).await.unwrap();
        (more, page(&*queue, AuditFilter::default()).await.total)
    };
    assert_eq!(left(set(1) + KEEP_COMMANDS).await, (false, 301));
    assert_eq!(left(set(2) + KEEP_COMMANDS).await, (true, 45), "a few at a time");
    assert_eq!(left(set(2) + KEEP_COMMANDS).await, (false, 1));
    assert_eq!(left(set(3) + KEEP_COMMANDS).await, (false, 0));
}

async fn a_cursor_outlives_the_commands_before_it(open: Open<'_>) {
    let queue = open();
    for n in 0..3 {
        queue.record_command(command(n, set(n))).await.unwrap();
    }
    let first = page(&*queue, AuditFilter { limit: 1, ..AuditFilter::default() }).await;
    let later = set(9) + KEEP_COMMANDS;
    queue.purge(later).await.unwrap();
    queue.record_command(command(7, later)).await.unwrap();
    // What is recorded now is newer than the place of the cursor, and no part of what follows it.
    let next = page(&*queue, AuditFilter { after: first.next, ..AuditFilter::default() }).await;
    assert_eq!((next.records, next.total), (vec![], 1));
}

async fn commands_of_an_unset_clock_count_from_the_time_it_is_set(open: Open<'_>) {
    let queue = open();
    let set = EARLIEST + Duration::from_secs(86_400);
    queue.record_command(command(1, Timestamp::from_millis(5_000))).await.unwrap();
    queue.record_command(command(2, set)).await.unwrap();
    queue.purge(set).await.unwrap();
    queue.correct_times(set, set).await.unwrap();
    let times: Vec<_> = page(&*queue, AuditFilter::default()).await.records.iter().map(|record| record.at).collect();
    assert_eq!(times, [set, set]);
    queue.purge(set + KEEP_COMMANDS + Duration::from_secs(1)).await.unwrap();
    assert_eq!(page(&*queue, AuditFilter::default()).await.total, 0);
}

/// How many messages the child holds and releases in turn.
const TASKS: u64 = 6;

/// The child of the next test: holds and releases as fast as it can, records each command, and prints what is done.
#[test]
fn child_that_holds() {
    let Some(folder) = std::env::var_os("YIZHAN_TEST_HOLD_FOLDER").map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let queue = std::sync::Arc::new(crate::mailbag::open(&folder).unwrap().0);
        for task in 0..TASKS {
            let queue = queue.clone();
            tokio::spawn(async move {
                let id = short(task, at(task)).id;
                for n in 0.. {
                    let step = match queue.show(id).await.unwrap().0.state {
                        MessageState::Held => {
                            queue.release(id, at(n)).await.unwrap();
                            "released"
                        }
                        _ => {
                            queue.hold_message(id, HoldReason::Operator, format!("hold {n}")).await.unwrap();
                            "held"
                        }
                    };
                    say(&format!("{step} {task}"));
                    queue.record_command(command(task, at(n))).await.unwrap();
                    say(&format!("recorded {task}"));
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A hold, a release and a command that were acknowledged survive `kill -9`; each message is in one whole state.
#[tokio::test]
async fn a_084_holds_and_commands_survive_kill_9() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in 0..TASKS {
        put(&queue, n).await;
    }
    drop(queue);
    let mut recorded = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "operators::child_that_holds", "--nocapture"])
            .env("YIZHAN_TEST_HOLD_FOLDER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut seen, wanted) = (0, 30 + round * 23);
        let mut last = vec![String::new(); TASKS as usize];
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [step @ ("held" | "released" | "recorded"), task] = words[..] else { continue };
            last[task.parse::<usize>().unwrap()] = step.to_owned();
            recorded += u64::from(step == "recorded");
            seen += 1;
            if seen == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= wanted, "the child ended by itself");
        let queue = open_clean(folder.path());
        let total = queue.commands(AuditFilter::default()).await.unwrap().total;
        assert!(total >= recorded && total <= recorded + TASKS, "{total} of {recorded}");
        recorded = total;
        let mut due = Vec::new();
        for task in 0..TASKS {
            let entry = entry(&queue, short(task, at(task)).id).await;
            let held = (entry.state, entry.held.is_some(), entry.trouble.is_some());
            match (last[task as usize].as_str(), held) {
                // The last answer is the state, or a step that came after it.
                ("held", (MessageState::Held, true, true)) | ("released", (MessageState::Queued, false, false)) => {}
                ("recorded" | "", (MessageState::Held, true, true) | (MessageState::Queued, false, false)) => {}
                (last, found) => panic!("{task}: {last:?}, but {found:?}"),
            }
            due.extend((entry.state == MessageState::Queued).then_some(entry.id));
        }
        let mut sent = leased(&queue, at(1_000_000)).await;
        sent.sort();
        assert_eq!(sent, due);
    }
}

/// What is damaged at a start is held for that reason, what an operator holds keeps its own.
#[tokio::test]
async fn a_start_notes_why_it_holds_a_message() {
    let folder = Folder::new();
    let queue = open_clean(folder.path());
    for n in [1, 2] {
        queue.put(NewMessage { ..message(n, at(n), 1, body(&queue, n, 300_000).await) }).await.unwrap();
    }
    let [first, second] = [1, 2].map(|n| short(n, at(n)).id);
    queue.hold_message(second, HoldReason::Policy, "a rule".to_owned()).await.unwrap();
    drop(queue);
    for file in files(&folder.path().join("data/spool")) {
        fs::remove_file(file).unwrap();
    }
    let (queue, _) = crate::mailbag::open(folder.path()).unwrap();
    assert_eq!(entry(&queue, first).await.held, Some(HoldReason::Damaged));
    let second_entry = entry(&queue, second).await;
    assert_eq!((second_entry.held, second_entry.trouble.as_deref()), (Some(HoldReason::Policy), Some("a rule")));
    // Once it is released, the damage is found.
    queue.release(second, at(9)).await.unwrap();
    assert!(lease_due(&queue, at(9), 9).await.unwrap().is_empty());
    assert_eq!(entry(&queue, second).await.held, Some(HoldReason::Damaged));
}
