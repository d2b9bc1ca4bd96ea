//! The promises of the queue, as one list that every backend must keep.
//!
//! Each function takes a way to open the queue and knows nothing else of it; opening again must give the same queue.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::mailbag::*;
use yizhan::clock::{EARLIEST, Timestamp};
use yizhan::mail::Id;
use yizhan::queue::{
    INLINE_LIMIT, LONGEST_POOL, MessageFilter, MessageState, NewMessage, NextAttempt, Queue, QueueError,
    RecipientOutcome, StoredBody,
};

contract!(
    embedded,
    embedded,
    [
        what_was_put_comes_back_whole,
        bodies_of_every_size_come_back,
        a_draft_or_a_body_that_is_not_put_leaves_no_trace,
        several_messages_are_put_together_or_not_at_all,
        a_message_is_leased_once,
        the_longest_due_goes_first,
        a_dropped_lease_gives_the_message_back,
        a_put_between_lease_and_wait_wakes,
        everything_that_makes_a_message_due_wakes,
        delivered_keeps_the_record_only,
        failed_keeps_its_content,
        a_partial_try_is_kept_for_the_others,
        waiting_spends_no_try,
        a_settlement_and_its_notice_are_one,
        a_stale_lease_changes_nothing,
        a_bad_request_does_not_spoil_its_neighbours,
        a_held_message_is_leased_after_a_retry_only,
        retry_opens_what_failed,
        drop_deletes_whatever_it_is,
        busy_and_unknown_messages_are_named,
        a_clock_that_was_set_back_keeps_no_message,
        what_an_unset_clock_has_dated_counts_from_the_time_it_is_set,
        lists_can_be_read_in_pages,
        depth_counts_what_is_there,
        purge_deletes_what_is_old,
        close_is_the_end,
        leases_do_not_survive_a_restart,
    ]
);

/// Whether `future` is done at its first poll.
fn ready<T>(future: impl Future<Output = T>) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn lease_one(queue: &dyn Queue, now: Timestamp) -> yizhan::queue::Lease {
    let mut leases = lease_due(queue, now, 1).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.pop().unwrap()
}

async fn state(queue: &dyn Queue, id: Id) -> MessageState {
    queue.show(id).await.unwrap().0.state
}

async fn what_was_put_comes_back_whole(open: Open<'_>) {
    let queue = open();
    let sent = message(7, START, 3, body(&*queue, 7, 5_000).await);
    let (id, head) = (sent.id, sent.head.clone());
    let (origin, recipients) = (sent.origin.clone(), sent.recipients.clone());
    queue.put(sent).await.unwrap();
    // Once out of memory, once from the disk.
    let mut queue = queue;
    for _ in 0..2 {
        let lease = lease_one(&*queue, at(0)).await;
        assert_eq!((lease.entry.id, &lease.head, &lease.entry.origin), (id, &head, &origin));
        assert_eq!(lease.entry.recipients.iter().map(|r| r.address.clone()).collect::<Vec<_>>(), recipients);
        assert_eq!((lease.entry.tries, lease.entry.uncertain, lease.entry.notice), (0, 0, false));
        assert_eq!((lease.entry.received, lease.entry.expires, lease.entry.due), (START, START + LIFE, START));
        assert_eq!(lease.entry.repairs, ["date-added", "bare-lf"]);
        assert_eq!(lease.entry.sender.to_string(), "scan@office.example");
        assert_eq!(lease.entry.size, head.len() as u64 + 5_000);
        assert_eq!(read(&lease.body).await.unwrap(), noise(7, 5_000));
        drop((lease, queue));
        queue = open();
    }
}

async fn bodies_of_every_size_come_back(open: Open<'_>) {
    let queue = open();
    let sizes = [0, 1, 65_536, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 200_000, 1_000_003];
    for (n, size) in sizes.into_iter().enumerate() {
        let stored = body(&*queue, n as u64, size).await;
        assert_eq!(stored.file().is_some(), size > INLINE_LIMIT, "{size}");
        queue.put(message(n as u64, at(n as u64), 1, stored)).await.unwrap();
    }
    let fresh = lease_due(&*queue, at(100), 100).await.unwrap();
    assert_eq!(fresh.len(), sizes.len());
    drop(fresh);
    drop(queue);
    let queue = open();
    for (n, lease) in lease_due(&*queue, at(100), 100).await.unwrap().into_iter().enumerate() {
        assert_eq!(lease.body.len(), sizes[n] as u64);
        assert_eq!(read(&lease.body).await.unwrap(), noise(n as u64, sizes[n]));
        // A body can be read as often as one likes.
        assert_eq!(read(&lease.body).await.unwrap().len(), sizes[n]);
    }
}

async fn a_draft_or_a_body_that_is_not_put_leaves_no_trace(open: Open<'_>) {
    let queue = open();
    let mut draft = queue.draft();
    draft.write(&noise(1, 400_000)).await.unwrap();
    drop(draft);
    let stored = body(&*queue, 2, 400_000).await;
    let path = stored.file().expect("it is too long for the memory").to_owned();
    assert!(path.exists());
    drop(stored);
    assert!(!path.exists());
    // A put that is refused leaves none either.
    queue.put(short(3, START)).await.unwrap();
    let stored = body(&*queue, 3, 400_000).await;
    let path = stored.file().expect("it is too long for the memory").to_owned();
    queue.put(message(3, START, 1, stored)).await.unwrap_err();
    assert!(!path.exists());
    drop(queue);
    open();
}

async fn several_messages_are_put_together_or_not_at_all(open: Open<'_>) {
    let queue = open();
    queue.put_all(Vec::new()).await.unwrap();
    assert!(!ready(queue.wait()), "nothing was put");
    queue
        .put_all(vec![short(1, at(1)), message(2, at(2), 3, body(&*queue, 2, 300_000).await), short(3, at(3))])
        .await
        .unwrap();
    queue.wait().await.unwrap();
    assert!(!ready(queue.wait()), "they wake once");
    let before = queue.depth().await.unwrap();
    assert_eq!(before.messages[MessageState::Queued as usize], 3);
    // Each of these spoils those beside it, wherever it stands.
    let too_long = NewMessage { pool: "x".repeat(LONGEST_POOL + 1), ..short(6, at(6)) };
    let nobody = NewMessage { recipients: Vec::new(), ..short(6, at(6)) };
    for (place, bad) in [short(1, at(1)), short(4, at(4)), too_long, nobody].into_iter().enumerate() {
        let stored = body(&*queue, 5, 400_000).await;
        let path = stored.file().expect("it is too long for the memory").to_owned();
        let mut messages = vec![short(4, at(4)), message(5, at(5), 1, stored)];
        messages.insert(if place == 0 { 0 } else { 2 }, bad);
        queue.put_all(messages).await.unwrap_err();
        assert!(!path.exists() && !ready(queue.wait()), "{place}");
        assert_eq!(queue.depth().await.unwrap(), before, "{place}");
        assert!(matches!(queue.show(short(4, at(4)).id).await, Err(QueueError::NotFound(_))), "{place}");
    }
    // Once out of memory, once from the disk.
    let mut queue = queue;
    for _ in 0..2 {
        let leases = lease_due(&*queue, at(10), 10).await.unwrap();
        let recipients: Vec<usize> = leases.iter().map(|lease| lease.entry.recipients.len()).collect();
        assert_eq!(recipients, [1, 3, 1]);
        assert_eq!(read(&leases[0].body).await.unwrap(), b"body 1\r\n");
        assert_eq!(read(&leases[1].body).await.unwrap(), noise(2, 300_000));
        assert_eq!(read(&leases[2].body).await.unwrap(), b"body 3\r\n");
        drop((leases, queue));
        queue = open();
    }
}

async fn a_message_is_leased_once(open: Open<'_>) {
    let queue = open();
    for n in 0..50 {
        queue.put(short(n, START)).await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..5 {
        held.extend(lease_due(&*queue, at(0), 20).await.unwrap());
    }
    let mut ids: Vec<Id> = held.iter().map(|lease| lease.entry.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((held.len(), ids.len()), (50, 50));
    assert!(held.iter().all(|lease| lease.entry.state == MessageState::Sending));
    assert_eq!(next_due(&*queue).await, None);
}

async fn the_longest_due_goes_first(open: Open<'_>) {
    let queue = open();
    for n in [5, 3, 9, 1] {
        queue.put(short(n, at(n))).await.unwrap();
    }
    assert_eq!(next_due(&*queue).await, Some(at(1)));
    assert!(lease_due(&*queue, at(0), 10).await.unwrap().is_empty());
    let due = lease_due(&*queue, at(5), 10).await.unwrap();
    assert_eq!(due.iter().map(|lease| lease.entry.due).collect::<Vec<_>>(), [at(1), at(3), at(5)]);
    assert_eq!(next_due(&*queue).await, Some(at(9)));
}

async fn a_dropped_lease_gives_the_message_back(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let before = queue.list(MessageFilter::default()).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    assert_eq!(state(&*queue, lease.entry.id).await, MessageState::Sending);
    drop(lease);
    let after = queue.list(MessageFilter::default()).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    lease_one(&*queue, at(0)).await;
}

async fn a_put_between_lease_and_wait_wakes(open: Open<'_>) {
    let queue = open();
    assert!(lease_due(&*queue, at(0), 1).await.unwrap().is_empty());
    assert!(!ready(queue.wait()));
    queue.put(short(1, START)).await.unwrap();
    queue.wait().await.unwrap();
    assert!(!ready(queue.wait()), "one put wakes once");
}

async fn everything_that_makes_a_message_due_wakes(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    queue.wait().await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    drop(lease);
    queue.wait().await.unwrap();
    // A settlement with a next try: the sleeper must learn of the new time.
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(50)))).await.unwrap();
    queue.wait().await.unwrap();
    queue.retry(id, at(1)).await.unwrap();
    queue.wait().await.unwrap();
    let lease = lease_one(&*queue, at(1)).await;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(50)))).await.unwrap();
    queue.wait().await.unwrap();
    queue.correct_times(at(2), at(2)).await.unwrap();
    queue.wait().await.unwrap();
    assert!(!ready(queue.wait()));
}

async fn delivered_keeps_the_record_only(open: Open<'_>) {
    let queue = open();
    let path = {
        let stored = body(&*queue, 1, 300_000).await;
        let path = stored.file().expect("it is too long for the memory").to_owned();
        queue.put(message(1, START, 1, stored)).await.unwrap();
        path
    };
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    assert_eq!(read(&lease.body).await.unwrap().len(), 300_000);
    queue.settle(lease, settlement(vec![(0, delivered(3))], NextAttempt::Deferred(at(60)))).await.unwrap();
    let (entry, head, body) = queue.show(id).await.unwrap();
    assert_eq!((entry.state, entry.tries, entry.account.as_deref()), (MessageState::Delivered, 0, Some("qq")));
    assert_eq!(entry.recipients[0].outcome, delivered(3));
    assert!(head.is_empty() && body.is_empty());
    assert_eq!(next_due(&*queue).await, None);
    queue.close().await.unwrap();
    assert!(!path.exists());
}

async fn failed_keeps_its_content(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 2, body(&*queue, 1, 300_000).await)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let (id, outcomes) = (lease.entry.id, vec![(0, delivered(1)), (1, failed(2))]);
    queue.settle(lease, settlement(outcomes, NextAttempt::Deferred(at(60)))).await.unwrap();
    let (entry, head, body) = queue.show(id).await.unwrap();
    assert_eq!((entry.state, entry.tries), (MessageState::Failed, 1));
    assert!(!head.is_empty());
    assert_eq!(read(&body).await.unwrap(), noise(1, 300_000));
}

async fn a_partial_try_is_kept_for_the_others(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 3, StoredBody::from(bytes::Bytes::new()))).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    let mut first = settlement(vec![(0, delivered(1)), (2, again())], NextAttempt::Deferred(at(60)));
    first.uncertain = true;
    queue.settle(lease, first).await.unwrap();
    let entry = queue.show(id).await.unwrap().0;
    assert_eq!((entry.state, entry.tries, entry.uncertain, entry.due), (MessageState::Deferred, 1, 1, at(60)));
    assert_eq!(entry.open().map(|(place, _)| place).collect::<Vec<_>>(), [1, 2]);
    assert!(lease_due(&*queue, at(59), 1).await.unwrap().is_empty());
    let lease = lease_one(&*queue, at(60)).await;
    assert_eq!(lease.entry.recipients[2].outcome, again());
    // An outcome that is final stays, even if a later settlement says otherwise; a place that is not there is no harm.
    let outcomes = vec![(0, failed(61)), (1, delivered(61)), (2, delivered(61)), (9, delivered(61))];
    queue.settle(lease, settlement(outcomes, NextAttempt::Deferred(at(120)))).await.unwrap();
    let entry = queue.show(id).await.unwrap().0;
    assert_eq!((entry.state, &entry.recipients[0].outcome), (MessageState::Delivered, &delivered(1)));
}

async fn waiting_spends_no_try(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(30)))).await.unwrap();
    let entry = queue.show(id).await.unwrap().0;
    assert_eq!((entry.state, entry.tries, entry.due), (MessageState::Waiting, 0, at(30)));
}

async fn a_settlement_and_its_notice_are_one(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let failed_id = lease.entry.id;
    let mut notice = short(2, at(9));
    notice.notice = true;
    notice.sender = yizhan::mail::ReversePath::Null;
    let notice_id = notice.id;
    let mut end = settlement(vec![(0, failed(9))], NextAttempt::Deferred(at(60)));
    end.notice = Some(Box::new(notice));
    queue.settle(lease, end).await.unwrap();
    assert_eq!(state(&*queue, failed_id).await, MessageState::Failed);
    let lease = lease_one(&*queue, at(9)).await;
    assert_eq!((lease.entry.id, lease.entry.notice, lease.entry.sender.address()), (notice_id, true, None));
    drop(lease);
    // A notice that cannot be stored takes the settlement with it, and the lease comes back.
    queue.put(short(3, at(10))).await.unwrap();
    let taken: Vec<_> = lease_due(&*queue, at(10), 2).await.unwrap();
    for lease in taken {
        let id = lease.entry.id;
        let mut end = settlement(vec![(0, failed(11))], NextAttempt::Deferred(at(60)));
        end.notice = Some(Box::new(short(1, START)));
        assert!(matches!(queue.settle(lease, end).await, Err(QueueError::Database(_))));
        let entry = queue.show(id).await.unwrap().0;
        assert_eq!((entry.state, entry.tries), (MessageState::Queued, 0));
    }
    assert_eq!(lease_due(&*queue, at(10), 5).await.unwrap().len(), 2);
}

async fn a_stale_lease_changes_nothing(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let stale = lease_one(&*queue, at(0)).await;
    let id = stale.entry.id;
    drop(queue);
    let queue = open();
    let held = lease_one(&*queue, at(0)).await;
    let end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)));
    assert!(matches!(queue.settle(stale, end).await, Err(QueueError::NotLeased(i)) if i == id));
    assert_eq!(state(&*queue, id).await, MessageState::Sending);
    queue.settle(held, settlement(vec![(0, failed(2))], NextAttempt::Deferred(at(60)))).await.unwrap();
    assert_eq!(state(&*queue, id).await, MessageState::Failed);
}

async fn a_bad_request_does_not_spoil_its_neighbours(open: Open<'_>) {
    let queue = open();
    queue.put(short(0, START)).await.unwrap();
    // Asked for in one breath, so that they share a group: every second one is refused.
    let (good, bad) = ((1..20).map(|n| queue.put(short(n, START))), (1..20).map(|_| queue.put(short(0, START))));
    let mut answers: Vec<_> = good.zip(bad).flat_map(|(good, bad)| [good, bad]).collect();
    let mut results = Vec::new();
    std::future::poll_fn(|context| {
        answers.retain_mut(|answer| match answer.as_mut().poll(context) {
            Poll::Ready(result) => {
                results.push(result.is_ok());
                false
            }
            Poll::Pending => true,
        });
        if answers.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert_eq!(results.iter().filter(|&&ok| ok).count(), 19);
    assert_eq!(queue.list(MessageFilter::default()).await.unwrap().len(), 20);
    assert_eq!(queue.depth().await.unwrap().messages[MessageState::Queued as usize], 20);
}

async fn a_held_message_is_leased_after_a_retry_only(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 1, StoredBody::from(bytes::Bytes::from_static(b"x")))).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    queue.hold(lease, "cannot read spool/ab/cd".to_owned()).await.unwrap();
    assert_eq!((state(&*queue, id).await, lease_due(&*queue, at(9), 1).await.unwrap().len()), (MessageState::Held, 0));
    queue.close().await.unwrap();
    drop(queue);
    let queue = open();
    assert_eq!((state(&*queue, id).await, lease_due(&*queue, at(9), 1).await.unwrap().len()), (MessageState::Held, 0));
    queue.retry(id, at(10)).await.unwrap();
    let lease = lease_one(&*queue, at(10)).await;
    assert_eq!((lease.entry.id, lease.entry.tries), (id, 0));
}

async fn retry_opens_what_failed(open: Open<'_>) {
    let queue = open();
    queue.put(message(1, START, 2, StoredBody::from(bytes::Bytes::from_static(b"x")))).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let (id, outcomes) = (lease.entry.id, vec![(0, delivered(1)), (1, failed(2))]);
    queue.settle(lease, settlement(outcomes, NextAttempt::Deferred(at(60)))).await.unwrap();
    // Long after it expired.
    let now = START + LIFE * 3;
    queue.retry(id, now).await.unwrap();
    let lease = lease_one(&*queue, now).await;
    assert_eq!(lease.entry.expires, now + LIFE);
    assert_eq!(lease.entry.recipients[0].outcome, delivered(1));
    let reason = "550 5.1.1 no such user".to_owned();
    assert_eq!(lease.entry.recipients[1].outcome, RecipientOutcome::Open { last: Some(reason) });
    queue.settle(lease, settlement(vec![(1, delivered(9))], NextAttempt::Deferred(now))).await.unwrap();
    assert!(matches!(queue.retry(id, now).await, Err(QueueError::WrongState(i, MessageState::Delivered)) if i == id));
}

async fn drop_deletes_whatever_it_is(open: Open<'_>) {
    let queue = open();
    let stored = body(&*queue, 1, 300_000).await;
    let path = stored.file().expect("it is too long for the memory").to_owned();
    let spooled = message(1, START, 1, stored);
    let id = spooled.id;
    queue.put(spooled).await.unwrap();
    queue.drop_message(id).await.unwrap();
    assert!(matches!(queue.show(id).await, Err(QueueError::NotFound(_))));
    assert_eq!(queue.depth().await.unwrap(), yizhan::queue::QueueDepth::default());
    queue.put(short(2, START)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    queue.drop_message(id).await.unwrap();
    assert!(matches!(queue.drop_message(id).await, Err(QueueError::NotFound(_))));
    queue.close().await.unwrap();
    assert!(!path.exists());
}

async fn busy_and_unknown_messages_are_named(open: Open<'_>) {
    let queue = open();
    let unknown = Id::new(START, 99);
    assert!(matches!(queue.show(unknown).await, Err(QueueError::NotFound(i)) if i == unknown));
    assert!(matches!(queue.retry(unknown, at(0)).await, Err(QueueError::NotFound(_))));
    assert!(matches!(queue.drop_message(unknown).await, Err(QueueError::NotFound(_))));
    queue.put(short(1, START)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    let id = lease.entry.id;
    assert!(matches!(queue.retry(id, at(0)).await, Err(QueueError::Busy(i)) if i == id));
    assert!(matches!(queue.drop_message(id).await, Err(QueueError::Busy(i)) if i == id));
    drop(lease);
    queue.drop_message(id).await.unwrap();
}

/// Five messages of a clock that was eight hours ahead: the due time is brought back in every state, for a message that
/// is leased meanwhile, and for one that was never read back from the disk.
async fn what_an_unset_clock_has_dated_counts_from_the_time_it_is_set(open: Open<'_>) {
    let unset = |seconds| Timestamp::from_millis(seconds * 1000);
    let set = EARLIEST + Duration::from_secs(86_400);
    let queue = open();
    for n in 0..4 {
        queue.put(short(n, unset(n as i64))).await.unwrap();
    }
    queue.put(short(9, EARLIEST)).await.unwrap();
    let mut leases = lease_due(&*queue, unset(10), 3).await.unwrap();
    let ids: Vec<Id> = leases.iter().map(|lease| lease.entry.id).collect();
    let leased = leases.pop().unwrap();
    queue.settle(leases.pop().unwrap(), settlement(vec![], NextAttempt::Deferred(unset(900)))).await.unwrap();
    queue
        .settle(
            leases.pop().unwrap(),
            settlement(
                vec![(0, RecipientOutcome::Failed { at: unset(10), reason: "550 no".to_owned() })],
                NextAttempt::Deferred(unset(0)),
            ),
        )
        .await
        .unwrap();
    // The clock is still not set: as old as it says.
    queue.correct_times(unset(20), unset(900)).await.unwrap();
    assert_eq!(queue.show(ids[1]).await.unwrap().0.received, unset(1));
    // Set, and not yet mended: what failed must not be taken for old.
    assert!(!queue.purge(set).await.unwrap());
    queue.correct_times(set, set).await.unwrap();
    drop(leased);
    for id in &ids[1..] {
        let entry = queue.show(*id).await.unwrap().0;
        assert_eq!((entry.received, entry.due, entry.expires), (set, set, set + LIFE), "{entry:?}");
    }
    assert_eq!(queue.show(ids[0]).await.unwrap().0.state, MessageState::Failed);
    assert_eq!(queue.show(Id::new(EARLIEST, 9)).await.unwrap().0.received, EARLIEST, "a sound time stays");
    assert!(!queue.purge(set + KEEP * 2).await.unwrap());
    queue.show(ids[0]).await.expect("its time is counted from the day the clock was set");
    queue.purge(set + KEEP * 2 + Duration::from_secs(1)).await.unwrap();
    assert!(queue.show(ids[0]).await.is_err());
}

async fn a_clock_that_was_set_back_keeps_no_message(open: Open<'_>) {
    const AHEAD: u64 = 8 * 3600;
    let queue = open();
    for n in 0..5 {
        queue.put(short(n, at(AHEAD + n))).await.unwrap();
    }
    let mut leases = lease_due(&*queue, at(AHEAD + 10), 4).await.unwrap();
    let leased = leases.pop().unwrap();
    for next in
        [NextAttempt::Deferred(at(AHEAD + 900)), NextAttempt::Deferred(at(AHEAD + 60)), NextAttempt::Waiting(at(AHEAD))]
    {
        queue.settle(leases.pop().unwrap(), settlement(vec![], next)).await.unwrap();
    }
    queue.wait().await.unwrap();
    queue.correct_times(at(10), at(AHEAD + 60)).await.unwrap();
    queue.wait().await.unwrap();
    let numbers = |leases: &[yizhan::queue::Lease]| -> Vec<(String, Timestamp)> {
        leases.iter().map(|l| (l.entry.recipients[0].address.to_string(), l.entry.due)).collect()
    };
    let due = |n: u64| (format!("r0.{n}@example.com"), at(10));
    assert_eq!(next_due(&*queue).await, Some(at(10)));
    let others = lease_due(&*queue, at(10), 10).await.unwrap();
    assert_eq!(numbers(&others), [due(0), due(2), due(4)]);
    // What is deferred no longer than the schedule says stays as it is.
    assert_eq!(next_due(&*queue).await, Some(at(AHEAD + 60)));
    drop(leased);
    let dropped = lease_due(&*queue, at(10), 10).await.unwrap();
    assert_eq!(numbers(&dropped), [due(3)]);
    drop((others, dropped, queue));
    let queue = open();
    assert_eq!(numbers(&lease_due(&*queue, at(10), 10).await.unwrap()), [due(0), due(2), due(3), due(4)]);
}

async fn lists_can_be_read_in_pages(open: Open<'_>) {
    let queue = open();
    for n in 0..25 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    let _leased = lease_due(&*queue, at(3), 10).await.unwrap();
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = queue.list(MessageFilter { limit: 10, after, ..MessageFilter::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        pages.extend(page);
    }
    assert_eq!(pages.iter().map(|e| e.received).collect::<Vec<_>>(), (0..25).map(at).collect::<Vec<_>>());
    assert_eq!(pages.iter().filter(|e| e.state == MessageState::Sending).count(), 4);
    let only = |states: Vec<MessageState>| queue.list(MessageFilter { states, limit: 3, ..MessageFilter::default() });
    assert_eq!(only(vec![MessageState::Queued]).await.unwrap()[0].received, at(4));
    assert_eq!(only(vec![MessageState::Sending]).await.unwrap().len(), 3);
    assert!(only(vec![MessageState::Held, MessageState::Failed]).await.unwrap().is_empty());
}

async fn depth_counts_what_is_there(open: Open<'_>) {
    let queue = open();
    let sizes: Vec<u64> = (0..3).map(|n| short(n, at(n)).head.len() as u64 + 8).collect();
    for n in 0..3 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    let lease = lease_one(&*queue, at(9)).await;
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.messages, [2, 1, 0, 0, 0, 0, 0]);
    assert_eq!((depth.bytes, depth.oldest), (sizes.iter().sum(), Some(at(0))));
    queue.settle(lease, settlement(vec![(0, delivered(9))], NextAttempt::Deferred(at(60)))).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.messages, [2, 0, 0, 0, 0, 1, 0]);
    assert_eq!((depth.bytes, depth.oldest), (sizes[1] + sizes[2], Some(at(1))));
    drop(queue);
    assert_eq!(open().depth().await.unwrap(), depth);
}

async fn purge_deletes_what_is_old(open: Open<'_>) {
    let queue = open();
    for (n, outcome) in [(1, delivered(10)), (2, failed(10)), (3, delivered(20))] {
        queue.put(short(n, START)).await.unwrap();
        let lease = lease_one(&*queue, at(0)).await;
        queue.settle(lease, settlement(vec![(0, outcome)], NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    queue.put(short(4, START)).await.unwrap();
    let left = async |now| {
        assert!(!queue.purge(now).await.unwrap());
        queue
            .list(MessageFilter { states: MessageState::ALL.to_vec(), ..MessageFilter::default() })
            .await
            .unwrap()
            .len()
    };
    assert_eq!(left(at(10) + KEEP).await, 4);
    assert_eq!(left(at(11) + KEEP).await, 3);
    assert_eq!(left(at(11) + KEEP * 2).await, 1, "what is not final stays");
    for n in 10..310 {
        queue.put(short(n, START)).await.unwrap();
    }
    for lease in lease_due(&*queue, at(0), 1_000).await.unwrap() {
        queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    assert!(queue.purge(at(10) + KEEP).await.unwrap(), "a few at a time");
    assert!(!queue.purge(at(10) + KEEP).await.unwrap());
    assert_eq!(queue.depth().await.unwrap(), yizhan::queue::QueueDepth::default());
}

async fn close_is_the_end(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    queue.wait().await.unwrap();
    let mut draft = queue.draft();
    let lease = lease_one(&*queue, at(0)).await;
    let (closed, waited) = tokio::join!(queue.close(), queue.wait());
    closed.unwrap();
    assert!(matches!(waited, Err(QueueError::Closed)));
    assert!(matches!(queue.put(short(2, START)).await, Err(QueueError::Closed)));
    assert!(matches!(queue.depth().await, Err(QueueError::Closed)));
    assert!(matches!(queue.wait().await, Err(QueueError::Closed)));
    assert!(matches!(queue.close().await, Err(QueueError::Closed)));
    let end = settlement(vec![(0, delivered(9))], NextAttempt::Deferred(at(60)));
    assert!(matches!(queue.settle(lease, end).await, Err(QueueError::Closed)));
    draft.write(b"still harmless").await.unwrap();
    // The folder is free although the closed queue is still there.
    assert_eq!(open().depth().await.unwrap().messages[MessageState::Queued as usize], 1);
}

async fn leases_do_not_survive_a_restart(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let lease = lease_one(&*queue, at(0)).await;
    drop(queue);
    let queue = open();
    assert_eq!(state(&*queue, lease.entry.id).await, MessageState::Queued);
    lease_one(&*queue, at(0)).await;
}
