//! The promises that let several accounts share a queue, as one list that every backend must keep: pools, lanes, closed
//! pools, what accounts have used and are like, and who is still to be told.
//!
//! As in `queue/contract.rs`, each function takes a way to open the queue and knows nothing else of it.

use std::time::Duration;

use crate::mailbag::*;
use yizhan::clock::Timestamp;
use yizhan::mail::{Id, Lane};
use yizhan::queue::{
    AccountState, AccountUsage, ClosedLane, KEEP_USAGE, LONGEST_POOL, LONGEST_STATE, Lease, MessageFilter,
    MessageState, NewMessage, NextAttempt, PoolLane, Queue, QueueEntry, QueueError, StoredBody, WaitReason,
};

contract!(
    embedded,
    embedded,
    [
        pool_and_lane_come_back,
        wants_are_served_in_order,
        a_line_is_served_the_longest_due_first,
        nothing_of_another_pool_is_leased,
        next_due_asks_its_pools_only,
        pools_are_counted_while_messages_are_not_final,
        assign_changes_what_waits_and_nothing_else,
        a_closed_pool_is_shown_as_waiting,
        a_deferred_message_of_a_closed_pool_is_shown_as_it_is_until_it_is_due,
        a_lane_closes_by_itself,
        the_depth_of_closed_pools_leaves_leases_alone,
        a_list_can_be_of_one_pool,
        waiting_keeps_the_place_in_the_line,
        who_was_not_tried_stays_open,
        what_a_try_taught_stays,
        usage_is_kept_by_the_minute,
        usage_is_forgotten_after_a_month,
        a_settlement_its_usage_and_its_state_are_one,
        a_usage_that_cannot_be_kept_does_not_send_the_mail_again,
        states_are_replaced_and_remembered,
        the_untold_are_told_once,
        a_notice_that_cannot_be_put_tells_nobody,
        retry_needs_no_telling,
        names_have_a_limit,
        a_shared_body_is_two_bodies,
    ]
);

/// Message number `n` in a pool and a lane.
fn placed(n: u64, received: Timestamp, pool: &str, lane: Lane) -> NewMessage {
    NewMessage { pool: pool.to_owned(), lane, ..short(n, received) }
}

fn used(account: &str, seconds: u64, [messages, recipients, logins]: [u32; 3]) -> AccountUsage {
    AccountUsage { account: account.to_owned(), at: at(seconds), messages, recipients, logins }
}

fn like(account: &str, state: &str) -> AccountState {
    AccountState { account: account.to_owned(), state: state.to_owned() }
}

fn ids(leases: &[Lease]) -> Vec<Id> {
    leases.iter().map(|lease| lease.entry.id).collect()
}

async fn one(queue: &dyn Queue, pool: &str, now: Timestamp) -> Lease {
    let mut leases = queue.lease(now, request(wants(pool, 1), 1)).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.pop().unwrap()
}

async fn entry(queue: &dyn Queue, id: Id) -> QueueEntry {
    queue.show(id).await.unwrap().0
}

async fn pool_and_lane_come_back(open: Open<'_>) {
    let queue = open();
    queue.put(placed(1, START, "office|backup,旧", Lane::Alarm)).await.unwrap();
    let mut queue = queue;
    for _ in 0..2 {
        let lease = one(&*queue, "office|backup,旧", at(0)).await;
        assert_eq!((lease.entry.pool.as_str(), lease.entry.lane), ("office|backup,旧", Lane::Alarm));
        assert_eq!((lease.entry.chunk, lease.entry.strict, &lease.entry.trouble), (None, false, &None));
        drop((lease, queue));
        queue = open();
    }
}

async fn wants_are_served_in_order(open: Open<'_>) {
    let queue = open();
    let mut put = Vec::new();
    for (n, (pool, lane)) in
        [("a", Lane::Bulk), ("a", Lane::Normal), ("b", Lane::Alarm), ("a", Lane::Alarm), ("b", Lane::Normal)]
            .into_iter()
            .enumerate()
    {
        for m in 0..3 {
            let new = placed(n as u64 * 10 + m, at(m), pool, lane);
            put.push(new.id);
            queue.put(new).await.unwrap();
        }
    }
    let asked = vec![
        want("b", Lane::Normal, 2),
        want("a", Lane::Alarm, 0),
        want("a", Lane::Normal, 5),
        want("c", Lane::Normal, 5),
        want("a", Lane::Bulk, 9),
    ];
    let leases = queue.lease(at(2), request(asked.clone(), 7)).await.unwrap();
    assert_eq!(ids(&leases), [put[12], put[13], put[3], put[4], put[5], put[0], put[1]]);
    // The same again gives what is left, and nobody else's.
    let rest = queue.lease(at(2), request(asked, 100)).await.unwrap();
    assert_eq!(ids(&rest), [put[14], put[2]]);
    assert!(queue.lease(at(2), request(Vec::new(), 100)).await.unwrap().is_empty());
    assert!(queue.lease(at(2), request(wants("a", 5), 0)).await.unwrap().is_empty());
    drop((leases, rest));
}

async fn a_line_is_served_the_longest_due_first(open: Open<'_>) {
    let queue = open();
    for n in [5, 3, 9, 1] {
        queue.put(placed(n, at(n), "a", Lane::Bulk)).await.unwrap();
        queue.put(placed(n + 10, at(n - 1), "b", Lane::Bulk)).await.unwrap();
    }
    for _ in 0..2 {
        let due = queue.lease(at(5), request(vec![want("a", Lane::Bulk, 10)], 10)).await.unwrap();
        assert_eq!(due.iter().map(|lease| lease.entry.due).collect::<Vec<_>>(), [at(1), at(3), at(5)]);
    }
}

async fn nothing_of_another_pool_is_leased(open: Open<'_>) {
    let queue = open();
    queue.put(placed(1, START, "office", Lane::Normal)).await.unwrap();
    for other in ["", "offic", "office ", "Office", "office,backup", "offica", "%"] {
        assert!(queue.lease(at(9), request(wants(other, 9), 9)).await.unwrap().is_empty(), "{other:?}");
        assert_eq!(earliest(&*queue, wants(other, 1)).await, None, "{other:?}");
    }
    assert!(queue.lease(at(9), request(vec![want("office", Lane::Alarm, 9)], 9)).await.unwrap().is_empty());
    one(&*queue, "office", at(9)).await;
}

async fn next_due_asks_its_pools_only(open: Open<'_>) {
    let queue = open();
    for (n, pool, lane) in [(4, "a", Lane::Normal), (2, "b", Lane::Bulk), (7, "b", Lane::Alarm), (1, "c", Lane::Alarm)]
    {
        queue.put(placed(n, at(n), pool, lane)).await.unwrap();
    }
    let next = async |pools: &[&str]| earliest(&*queue, pools.iter().flat_map(|p| wants(p, 1)).collect()).await;
    assert_eq!(next(&["a", "b"]).await, Some(at(2)));
    assert_eq!(next(&["a"]).await, Some(at(4)));
    assert_eq!((next(&[]).await, next(&["d"]).await), (None, None));
    let held = queue.lease(at(2), request(wants("b", 9), 9)).await.unwrap();
    assert_eq!((held.len(), next(&["a", "b"]).await, next(&["b"]).await), (1, Some(at(4)), Some(at(7))));
}

async fn pools_are_counted_while_messages_are_not_final(open: Open<'_>) {
    let queue = open();
    for (n, pool) in ["b", "a", "", "b", "c", "b"].into_iter().enumerate() {
        queue.put(placed(n as u64, START, pool, Lane::ALL[n % 3])).await.unwrap();
    }
    let counts = |list: &[(&str, u64)]| list.iter().map(|(pool, n)| ((*pool).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(queue.pools().await.unwrap(), counts(&[("", 1), ("a", 1), ("b", 3), ("c", 1)]));
    let lease = one(&*queue, "a", at(0)).await;
    let failed_id = lease.entry.id;
    assert_eq!(queue.pools().await.unwrap().len(), 4, "a leased message is not final");
    queue.settle(lease, settlement(vec![(0, failed(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    let lease = one(&*queue, "b", at(0)).await;
    queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    let lease = one(&*queue, "b", at(0)).await;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(60)))).await.unwrap();
    let lease = one(&*queue, "c", at(0)).await;
    let dropped = lease.entry.id;
    drop(lease);
    queue.drop_message(dropped).await.unwrap();
    assert_eq!(queue.pools().await.unwrap(), counts(&[("", 1), ("b", 2)]));
    drop(queue);
    let queue = open();
    assert_eq!(queue.pools().await.unwrap(), counts(&[("", 1), ("b", 2)]));
    queue.retry(failed_id, at(2)).await.unwrap();
    assert_eq!(queue.pools().await.unwrap(), counts(&[("", 1), ("a", 1), ("b", 2)]));
}

async fn assign_changes_what_waits_and_nothing_else(open: Open<'_>) {
    let queue = open();
    let mut named = Vec::new();
    for n in 0..5 {
        let new = short(n, at(n));
        named.push(new.id);
        queue.put(new).await.unwrap();
    }
    let lease = one(&*queue, "", at(0)).await;
    queue.settle(lease, settlement(vec![(0, delivered(0))], NextAttempt::Deferred(at(60)))).await.unwrap();
    let lease = one(&*queue, "", at(1)).await;
    queue.settle(lease, settlement(vec![], NextAttempt::Deferred(at(60)))).await.unwrap();
    let leased = one(&*queue, "", at(2)).await;
    while std::future::Future::poll(
        queue.wait().as_mut(),
        &mut std::task::Context::from_waker(std::task::Waker::noop()),
    )
    .is_ready()
    {}
    let mut changes: Vec<_> = named.iter().map(|id| (*id, "office".to_owned())).collect();
    changes[4].1 = String::new();
    changes.push((Id::new(START, 99), "office".to_owned()));
    queue.assign(changes).await.unwrap();
    queue.wait().await.unwrap();
    let pools = async |queue: &dyn Queue| {
        let all =
            queue.list(MessageFilter { states: MessageState::ALL.to_vec(), ..MessageFilter::default() }).await.unwrap();
        all.into_iter().map(|entry| (entry.pool, entry.state)).collect::<Vec<_>>()
    };
    let expected = |third| {
        let [office, none] = ["office", ""].map(str::to_owned);
        [
            (none.clone(), MessageState::Delivered),
            (office.clone(), MessageState::Deferred),
            (none.clone(), third),
            (office, MessageState::Queued),
            (none, MessageState::Queued),
        ]
    };
    assert_eq!(pools(&*queue).await, expected(MessageState::Sending));
    assert_eq!(queue.pools().await.unwrap(), [(String::new(), 2), ("office".to_owned(), 2)]);
    // What was in memory a moment ago has its new pool as well.
    assert_eq!(one(&*queue, "office", at(9)).await.entry.id, named[3]);
    drop((leased, queue));
    let queue = open();
    assert_eq!(pools(&*queue).await, expected(MessageState::Queued));
    assert_eq!(ids(&queue.lease(at(99), request(wants("office", 9), 9)).await.unwrap()), [named[3], named[1]]);
}

/// What list, show and depth say of the messages that are not final.
async fn shown(queue: &dyn Queue) -> Vec<(MessageState, Timestamp)> {
    let list = queue.list(MessageFilter::default()).await.unwrap();
    let mut counts = [0; 7];
    for listed in &list {
        counts[listed.state as usize] += 1;
        assert_eq!(format!("{listed:?}"), format!("{:?}", entry(queue, listed.id).await));
    }
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.messages[..5], counts[..5], "{list:?}");
    for state in MessageState::ALL {
        let only = queue.list(MessageFilter { states: vec![state], ..MessageFilter::default() }).await.unwrap();
        assert_eq!(only.len() as u64, depth.messages[state as usize], "{state}");
        assert!(only.iter().all(|entry| entry.state == state), "{only:?}");
    }
    list.iter().map(|entry| (entry.state, entry.due)).collect()
}

/// One lane, closed for some seconds.
fn closed_lane(pool: &str, lane: Lane, seconds: u64) -> ClosedLane {
    let reason = WaitReason::Account { account: "qq".to_owned(), cause: "QQ-A3".to_owned(), text: String::new() };
    ClosedLane { line: PoolLane { pool: pool.to_owned(), lane }, until: Some(at(seconds)), reason }
}

/// All lanes of these pools, closed for some seconds.
fn closed(pools: &[(&str, u64)]) -> Vec<ClosedLane> {
    pools.iter().flat_map(|(pool, s)| Lane::ALL.map(|lane| closed_lane(pool, lane, *s))).collect()
}

async fn a_closed_pool_is_shown_as_waiting(open: Open<'_>) {
    let queue = open();
    for (n, pool) in ["a", "b", "a", "c"].into_iter().enumerate() {
        queue.put(placed(n as u64, at(n as u64), pool, Lane::ALL[n % 3])).await.unwrap();
    }
    let lease = one(&*queue, "c", at(4)).await;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(3)))).await.unwrap();
    let stored = vec![
        (MessageState::Queued, at(0)),
        (MessageState::Queued, at(1)),
        (MessageState::Queued, at(2)),
        (MessageState::Waiting, at(3)),
    ];
    assert_eq!(shown(&*queue).await, stored);
    queue.close_lanes(closed(&[("a", 900), ("c", 500), ("x", 5)])).await.unwrap();
    let wait = |seconds| (MessageState::Waiting, at(seconds));
    assert_eq!(shown(&*queue).await, [wait(900), (MessageState::Queued, at(1)), wait(900), wait(500)]);
    // What comes later is shown the same way.
    queue.put(placed(4, at(4), "a", Lane::Normal)).await.unwrap();
    assert_eq!(shown(&*queue).await[4], wait(900));
    // It is a picture: the line goes on as it was.
    assert_eq!(earliest(&*queue, wants("a", 1)).await, Some(at(0)));
    let lease = one(&*queue, "a", at(9)).await;
    assert_eq!((lease.entry.state, lease.entry.due), (MessageState::Sending, at(0)));
    assert_eq!(shown(&*queue).await[0], (MessageState::Sending, at(0)));
    drop(lease);
    queue.close_lanes(closed(&[("b", 7)])).await.unwrap();
    assert_eq!(shown(&*queue).await[..4], [stored[0], wait(7), stored[2], stored[3]]);
    drop(queue);
    assert_eq!(shown(&*open()).await[..4], stored, "nothing of it was written");
}

async fn a_deferred_message_of_a_closed_pool_is_shown_as_it_is_until_it_is_due(open: Open<'_>) {
    let queue = open();
    for n in 0..3 {
        queue.put(placed(n, START, "a", Lane::Normal)).await.unwrap();
    }
    for due in [50, 100, 2_000] {
        let lease = one(&*queue, "a", at(0)).await;
        queue.settle(lease, settlement(vec![], NextAttempt::Deferred(at(due)))).await.unwrap();
    }
    queue.close_lanes(closed(&[("a", 1_000)])).await.unwrap();
    let later = |seconds| (MessageState::Deferred, at(seconds));
    let wait = (MessageState::Waiting, at(1_000));
    assert_eq!(shown(&*queue).await, [later(50), later(100), later(2_000)]);
    // The queue has no clock: it hears what time it is.
    queue.lease(at(99), request(Vec::new(), 0)).await.unwrap();
    assert_eq!(shown(&*queue).await, [wait, later(100), later(2_000)]);
    queue.purge(at(100)).await.unwrap();
    assert_eq!(shown(&*queue).await, [wait, wait, later(2_000)]);
    let _leased = one(&*queue, "a", at(100)).await;
    assert_eq!(shown(&*queue).await, [(MessageState::Sending, at(50)), wait, later(2_000)]);
}

async fn a_lane_closes_by_itself(open: Open<'_>) {
    let queue = open();
    // An alarm, an ordinary message and a bulk one, twice over, in each of two pools.
    for n in 0..12 {
        queue.put(placed(n, at(n), ["a", "b"][n as usize / 6], Lane::ALL[n as usize % 3])).await.unwrap();
    }
    let closed =
        vec![closed_lane("a", Lane::Normal, 60), closed_lane("a", Lane::Bulk, 90), closed_lane("b", Lane::Alarm, 30)];
    queue.close_lanes(closed).await.unwrap();
    let (ready, wait) = (|s| (MessageState::Queued, at(s)), |s| (MessageState::Waiting, at(s)));
    let first = [ready(0), wait(60), wait(90), ready(3), wait(60), wait(90)];
    let second = [wait(30), ready(7), ready(8), wait(30), ready(10), ready(11)];
    assert_eq!(shown(&*queue).await, [first, second].concat());
    // Leases and what is deferred count for their own lane only.
    let leased =
        queue.lease(at(12), request(vec![want("a", Lane::Alarm, 1), want("a", Lane::Bulk, 1)], 2)).await.unwrap();
    let [alarm, bulk] = <[Lease; 2]>::try_from(leased).unwrap();
    let sending = |s| (MessageState::Sending, at(s));
    assert_eq!(shown(&*queue).await[..6], [sending(0), wait(60), sending(2), ready(3), wait(60), wait(90)]);
    queue.settle(alarm, settlement(vec![], NextAttempt::Deferred(at(13)))).await.unwrap();
    queue.settle(bulk, settlement(vec![], NextAttempt::Deferred(at(14)))).await.unwrap();
    queue.lease(at(15), request(Vec::new(), 0)).await.unwrap();
    let deferred = (MessageState::Deferred, at(13));
    assert_eq!(shown(&*queue).await[..6], [deferred, wait(60), wait(90), ready(3), wait(60), wait(90)]);
    // The pool is counted as one, and what is given another pool waits in its own lane there.
    assert_eq!(queue.pools().await.unwrap(), [("a".to_owned(), 6), ("b".to_owned(), 6)]);
    let ids: Vec<Id> = queue.list(MessageFilter::default()).await.unwrap().iter().map(|entry| entry.id).collect();
    queue.assign(vec![(ids[1], "b".to_owned()), (ids[3], "b".to_owned())]).await.unwrap();
    assert_eq!(shown(&*queue).await[..4], [deferred, ready(1), wait(90), wait(30)]);
    queue.close_lanes(vec![closed_lane("a", Lane::Alarm, 40)]).await.unwrap();
    assert_eq!(shown(&*queue).await[..4], [wait(40), ready(1), (MessageState::Deferred, at(14)), ready(3)]);
}

async fn the_depth_of_closed_pools_leaves_leases_alone(open: Open<'_>) {
    let queue = open();
    for n in 0..6 {
        queue.put(placed(n, START, if n < 4 { "a" } else { "b" }, Lane::Normal)).await.unwrap();
    }
    let leases = queue.lease(at(0), request(wants("a", 3), 3)).await.unwrap();
    queue.close_lanes(closed(&[("a", 60)])).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().messages, [2, 3, 1, 0, 0, 0, 0]);
    drop(leases);
    assert_eq!(queue.depth().await.unwrap().messages, [2, 0, 4, 0, 0, 0, 0]);
    for mut lease in queue.lease(at(0), request(wants("a", 9), 9)).await.unwrap() {
        lease.entry.state = MessageState::Sending;
        queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().messages, [2, 0, 0, 0, 0, 4, 0]);
}

async fn a_list_can_be_of_one_pool(open: Open<'_>) {
    let queue = open();
    for n in 0..9 {
        queue.put(placed(n, at(n), ["a", "b", ""][n as usize % 3], Lane::Normal)).await.unwrap();
    }
    let _leased = one(&*queue, "a", at(0)).await;
    let of = async |pool: &str, after| {
        let filter = MessageFilter { pool: Some(pool.to_owned()), limit: 2, after, ..MessageFilter::default() };
        let list = queue.list(filter).await.unwrap();
        assert!(list.iter().all(|entry| entry.pool == pool));
        list.into_iter().map(|entry| entry.received).collect::<Vec<_>>()
    };
    assert_eq!(of("a", None).await, [at(0), at(3)]);
    assert_eq!(of("", None).await, [at(2), at(5)]);
    assert_eq!(of("b", Some(Id::new(at(1), 1))).await, [at(4), at(7)]);
    assert!(of("c", None).await.is_empty());
}

async fn waiting_keeps_the_place_in_the_line(open: Open<'_>) {
    let queue = open();
    let (first, second) = (short(1, at(0)), short(2, at(5)));
    let named = [first.id, second.id];
    queue.put(first).await.unwrap();
    queue.put(second).await.unwrap();
    let lease = one(&*queue, "", at(9)).await;
    let due = lease.entry.due;
    queue.settle(lease, settlement(vec![], NextAttempt::Waiting(due))).await.unwrap();
    let back = entry(&*queue, named[0]).await;
    assert_eq!((back.state, back.due, back.tries), (MessageState::Waiting, at(0), 0));
    assert_eq!(ids(&queue.lease(at(9), request(wants("", 9), 9)).await.unwrap()), named);
}

async fn who_was_not_tried_stays_open(open: Open<'_>) {
    let queue = open();
    for (n, next, state, tries) in [
        (1, NextAttempt::Waiting(at(0)), MessageState::Waiting, 0),
        (2, NextAttempt::Deferred(at(70)), MessageState::Deferred, 1),
    ] {
        queue.put(message(n, at(0), 5, StoredBody::from(bytes::Bytes::new()))).await.unwrap();
        let lease = one(&*queue, "", at(0)).await;
        let id = lease.entry.id;
        let outcomes = vec![(0, delivered(1)), (3, failed(1)), (4, again())];
        queue.settle(lease, settlement(outcomes, next)).await.unwrap();
        let (NextAttempt::Waiting(due) | NextAttempt::Deferred(due)) = next;
        let after = entry(&*queue, id).await;
        assert_eq!((after.state, after.due, after.tries), (state, due, tries));
        assert_eq!(after.open().map(|(place, _)| place).collect::<Vec<_>>(), [1, 2, 4]);
        let lease = one(&*queue, "", at(70)).await;
        let rest = vec![(1, delivered(71)), (2, delivered(71)), (4, delivered(71))];
        queue.settle(lease, settlement(rest, NextAttempt::Waiting(at(0)))).await.unwrap();
        assert_eq!(entry(&*queue, id).await.state, MessageState::Failed);
    }
}

async fn what_a_try_taught_stays(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let lessons = [(None, false), (Some(20), false), (None, true), (Some(10), false), (None, false)];
    let known = [(None, false), (Some(20), false), (Some(20), true), (Some(10), true), (Some(10), true)];
    for ((chunk, strict), known) in lessons.into_iter().zip(known) {
        let lease = one(&*queue, "", at(0)).await;
        let id = lease.entry.id;
        let mut end = settlement(vec![], NextAttempt::Waiting(at(0)));
        (end.chunk, end.strict) = (chunk, strict);
        queue.settle(lease, end).await.unwrap();
        let after = entry(&*queue, id).await;
        assert_eq!((after.chunk, after.strict), known);
    }
    drop(queue);
    let lease = one(&*open(), "", at(0)).await;
    assert_eq!((lease.entry.chunk, lease.entry.strict), (Some(10), true));
}

async fn usage_is_kept_by_the_minute(open: Open<'_>) {
    let queue = open();
    // The tests begin 20 seconds after a full minute.
    assert_eq!(START.millis() % 60_000, 20_000);
    let minute = |n: u64| Timestamp::from_millis(START.millis() - 20_000) + Duration::from_secs(60 * n);
    queue.add_usage(used("office", 0, [0, 0, 1])).await.unwrap();
    for n in 0..4 {
        queue.put(short(n, START)).await.unwrap();
    }
    for (lease, seconds) in
        queue.lease(at(0), request(wants("", 9), 9)).await.unwrap().into_iter().zip([0, 39, 40, 200])
    {
        let mut end = settlement(vec![(0, delivered(seconds))], NextAttempt::Deferred(at(60)));
        end.usage = Some(used("office", seconds, [1, 3, 0]));
        queue.settle(lease, end).await.unwrap();
    }
    queue.add_usage(used("other", 0, [7, 7, 7])).await.unwrap();
    queue.add_usage(used("office", 40, [0, 0, u32::MAX])).await.unwrap();
    queue.add_usage(used("office", 40, [0, 0, u32::MAX])).await.unwrap();
    let row = |n, messages, recipients, logins| AccountUsage {
        account: "office".to_owned(),
        at: minute(n),
        messages,
        recipients,
        logins,
    };
    let all = [row(0, 2, 6, 1), row(1, 1, 3, u32::MAX), row(3, 1, 3, 0)];
    assert_eq!(queue.usage("office".to_owned(), at(0)).await.unwrap(), all);
    drop(queue);
    let queue = open();
    let since = async |when| queue.usage("office".to_owned(), when).await.unwrap();
    assert_eq!(since(Timestamp::from_millis(i64::MIN)).await, all);
    assert_eq!(since(at(99)).await, all[1..], "from the minute in which it lies");
    assert_eq!(since(at(100)).await, all[2..]);
    assert!(since(at(999)).await.is_empty());
    assert!(queue.usage("nobody".to_owned(), START).await.unwrap().is_empty());
}

async fn usage_is_forgotten_after_a_month(open: Open<'_>) {
    let queue = open();
    for account in ["a", "b"] {
        for n in 0..5 {
            queue.add_usage(used(account, n * 60, [1, 1, 1])).await.unwrap();
        }
    }
    let left = async |account: &str| queue.usage(account.to_owned(), START).await.unwrap().len();
    assert!(!queue.purge(at(39) + KEEP_USAGE).await.unwrap());
    assert_eq!((left("a").await, left("b").await), (5, 5));
    assert!(!queue.purge(at(140) + KEEP_USAGE).await.unwrap());
    assert_eq!((left("a").await, left("b").await), (3, 3));
    queue.purge(at(9_999) + KEEP_USAGE).await.unwrap();
    assert_eq!((left("a").await, left("b").await), (0, 0));
}

async fn a_settlement_its_usage_and_its_state_are_one(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    queue.put(short(2, START)).await.unwrap();
    let full = |usage, state: &str| {
        let mut end = settlement(vec![(0, failed(1))], NextAttempt::Deferred(at(60)));
        end.usage = Some(used("office", usage, [1, 1, 0]));
        end.account_state = Some(like("office", state));
        (end.chunk, end.strict, end.unreported) = (Some(5), true, true);
        end
    };
    // A notice that cannot be put takes everything with it.
    let lease = one(&*queue, "", at(0)).await;
    let id = lease.entry.id;
    let mut refused = full(0, "refused");
    refused.notice = Some(Box::new(short(2, START)));
    assert!(queue.settle(lease, refused).await.is_err());
    // So does a lease that is no longer held.
    let stale = one(&*queue, "", at(0)).await;
    drop(queue);
    let queue = open();
    assert!(matches!(queue.settle(stale, full(0, "stale")).await, Err(QueueError::NotLeased(_))));
    let nothing = async |queue: &dyn Queue| {
        let after = entry(queue, id).await;
        assert_eq!((after.state, after.tries, after.chunk, after.strict), (MessageState::Queued, 0, None, false));
        assert!(queue.usage("office".to_owned(), START).await.unwrap().is_empty());
        assert!(queue.account_states().await.unwrap().is_empty() && queue.unreported(9).await.unwrap().is_empty());
    };
    nothing(&*queue).await;
    let lease = one(&*queue, "", at(0)).await;
    queue.settle(lease, full(0, "{\"log_in\":\"fine\"}")).await.unwrap();
    drop(queue);
    let queue = open();
    let after = entry(&*queue, id).await;
    assert_eq!((after.state, after.tries, after.chunk, after.strict), (MessageState::Failed, 1, Some(5), true));
    let usage = queue.usage("office".to_owned(), START).await.unwrap();
    assert_eq!(usage.iter().map(|u| (u.messages, u.recipients, u.logins)).collect::<Vec<_>>(), [(1, 1, 0)]);
    assert_eq!(queue.account_states().await.unwrap(), [like("office", "{\"log_in\":\"fine\"}")]);
    assert_eq!(queue.unreported(9).await.unwrap()[0].id, id);
}

async fn a_usage_that_cannot_be_kept_does_not_send_the_mail_again(open: Open<'_>) {
    let queue = open();
    queue.put(short(1, START)).await.unwrap();
    let lease = one(&*queue, "", at(0)).await;
    let id = lease.entry.id;
    let mut end = settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)));
    end.usage = Some(used(&"x".repeat(256), 0, [1, 1, 1]));
    end.account_state = Some(like("office", &"x".repeat(LONGEST_STATE + 1)));
    queue.settle(lease, end).await.unwrap();
    assert_eq!(entry(&*queue, id).await.state, MessageState::Delivered);
    assert!(queue.account_states().await.unwrap().is_empty());
}

async fn states_are_replaced_and_remembered(open: Open<'_>) {
    let queue = open();
    assert!(queue.account_states().await.unwrap().is_empty());
    for (account, state) in [("b", "1"), ("a", "{}"), ("旧", "2"), ("b", "3")] {
        queue.save_account_state(like(account, state)).await.unwrap();
    }
    let all = [like("a", "{}"), like("b", "3"), like("旧", "2")];
    assert_eq!(queue.account_states().await.unwrap(), all);
    drop(queue);
    assert_eq!(open().account_states().await.unwrap(), all);
}

/// Three failed messages whose owner is to be told, and one whose owner is not.
async fn failures(queue: &dyn Queue) -> Vec<Id> {
    for n in 0..4 {
        queue.put(short(n, at(n))).await.unwrap();
    }
    let mut named = Vec::new();
    for (n, lease) in queue.lease(at(9), request(wants("", 9), 9)).await.unwrap().into_iter().enumerate() {
        named.push(lease.entry.id);
        let mut end = settlement(vec![(0, failed(10))], NextAttempt::Deferred(at(60)));
        end.unreported = n != 1;
        queue.settle(lease, end).await.unwrap();
    }
    named.remove(1);
    named
}

async fn untold(queue: &dyn Queue) -> Vec<Id> {
    queue.unreported(9).await.unwrap().iter().map(|entry| entry.id).collect()
}

async fn the_untold_are_told_once(open: Open<'_>) {
    let queue = open();
    let named = failures(&*queue).await;
    assert_eq!(queue.unreported(2).await.unwrap().len(), 2);
    drop(queue);
    let queue = open();
    assert_eq!(untold(&*queue).await, named);
    let digest = short(50, at(50));
    let digest_id = digest.id;
    queue.mark_reported(Some(digest), vec![named[0], Id::new(START, 99), named[2]]).await.unwrap();
    queue.wait().await.unwrap();
    assert_eq!(untold(&*queue).await, [named[1]]);
    assert_eq!(one(&*queue, "", at(50)).await.entry.id, digest_id);
    queue.mark_reported(None, vec![named[1]]).await.unwrap();
    assert!(untold(&*queue).await.is_empty());
    drop(queue);
    let queue = open();
    assert!(untold(&*queue).await.is_empty());
    assert_eq!(entry(&*queue, digest_id).await.state, MessageState::Queued);
    assert_eq!(entry(&*queue, named[0]).await.state, MessageState::Failed);
}

async fn a_notice_that_cannot_be_put_tells_nobody(open: Open<'_>) {
    let queue = open();
    let named = failures(&*queue).await;
    let refused = message(1, at(1), 1, body(&*queue, 1, 200_000).await);
    assert!(matches!(queue.mark_reported(Some(refused), named.clone()).await, Err(QueueError::Database(_))));
    assert_eq!(untold(&*queue).await, named);
    // A message that is only partly failed is told when it has ended, and a later settlement does not forget it.
    queue.put(message(7, at(7), 2, StoredBody::from(bytes::Bytes::new()))).await.unwrap();
    let mut id = None;
    for (outcome, untold_then) in [((0, failed(8)), true), ((1, delivered(9)), false)] {
        let lease = one(&*queue, "", at(9)).await;
        id = Some(lease.entry.id);
        assert_eq!(untold(&*queue).await, named);
        let mut end = settlement(vec![outcome], NextAttempt::Waiting(at(0)));
        end.unreported = untold_then;
        queue.settle(lease, end).await.unwrap();
    }
    assert_eq!(untold(&*queue).await[3..], [id.unwrap()]);
}

async fn retry_needs_no_telling(open: Open<'_>) {
    let queue = open();
    let named = failures(&*queue).await;
    queue.retry(named[1], at(20)).await.unwrap();
    assert_eq!(untold(&*queue).await, [named[0], named[2]]);
    let lease = one(&*queue, "", at(20)).await;
    queue.settle(lease, settlement(vec![(0, failed(21))], NextAttempt::Deferred(at(60)))).await.unwrap();
    assert_eq!(untold(&*queue).await, [named[0], named[2]], "this time they were told at once");
    queue.drop_message(named[0]).await.unwrap();
    assert_eq!(untold(&*queue).await, [named[2]]);
}

async fn names_have_a_limit(open: Open<'_>) {
    let queue = open();
    let too_long =
        |result: Result<(), QueueError>| assert!(matches!(result, Err(QueueError::TooLong { .. })), "{result:?}");
    let (fits, over) = ("p".repeat(LONGEST_POOL), "p".repeat(LONGEST_POOL + 1));
    too_long(queue.put(placed(1, START, &over, Lane::Normal)).await);
    let (first, second) = (placed(2, START, &fits, Lane::Normal), short(3, START));
    let named = [first.id, second.id];
    queue.put(first).await.unwrap();
    queue.put(second).await.unwrap();
    too_long(queue.assign(vec![(named[1], "office".to_owned()), (named[0], over)]).await);
    assert_eq!(entry(&*queue, named[1]).await.pool, "", "all or nothing");
    too_long(queue.save_account_state(like("a", &"x".repeat(LONGEST_STATE + 1))).await);
    too_long(queue.save_account_state(like(&"a".repeat(256), "x")).await);
    too_long(queue.add_usage(used(&"a".repeat(256), 0, [1, 1, 1])).await);
    queue.save_account_state(like("a", &"x".repeat(LONGEST_STATE))).await.unwrap();
    assert_eq!(one(&*queue, &fits, at(0)).await.entry.id, named[0]);
}

async fn a_shared_body_is_two_bodies(open: Open<'_>) {
    let queue = open();
    for (n, len) in [(1u64, 5_000), (3, 300_000)] {
        let stored = body(&*queue, n, len).await;
        let shared = stored.share().unwrap();
        assert_eq!(shared.len(), len as u64);
        let (first, second) = (message(n, at(n), 1, stored), message(n + 1, at(n), 1, shared));
        let named = [first.id, second.id];
        queue.put(first).await.unwrap();
        queue.put(second).await.unwrap();
        // Whichever goes first, the other one stays whole, over a restart as well.
        queue.drop_message(named[n as usize % 2]).await.unwrap();
        let lease = one(&*queue, "", at(n)).await;
        assert!(read(&lease.body).await.unwrap() == noise(n, len));
        queue.settle(lease, settlement(vec![], NextAttempt::Waiting(at(1_000)))).await.unwrap();
    }
    drop(queue);
    let queue = open();
    for (n, lease) in [1, 3].into_iter().zip(queue.lease(at(1_000), request(wants("", 9), 9)).await.unwrap()) {
        // What has been stored can be shared as well.
        let again = lease.body.share().unwrap();
        assert!(read(&again).await.unwrap() == noise(n, lease.body.len() as usize));
        queue.settle(lease, settlement(vec![(0, delivered(1))], NextAttempt::Deferred(at(60)))).await.unwrap();
    }
    // A second name that is not put leaves no trace, and a body that is gone has none.
    let stored = body(&*queue, 9, 300_000).await;
    let second = stored.share().unwrap();
    let path = second.file().expect("it shares the file").to_owned();
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
    assert!(read(&stored).await.unwrap() == noise(9, 300_000));
    drop(stored);
    drop(queue);
    open();
}
