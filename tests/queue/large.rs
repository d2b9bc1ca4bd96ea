//! A queue with much in it: it is counted beside the work at the start, and a long look at it holds nobody up.

use std::path::Path;

use crate::mailbag::*;
use bytes::Bytes;
use yizhan::mail::Lane;
use yizhan::queue::{
    Inspection as _, MessageFilter, MessageQueue as _, MessageState, NewMessage, NextAttempt, Queue, QueueError,
    StoredBody,
};

/// Large enough to be counted beside the work (32 MiB), with a few messages only.
async fn fill(folder: &Path) -> usize {
    let queue = open_clean(folder);
    let bulky = |n: u64| NewMessage {
        pool: format!("p{}", n % 3),
        ..message(n, at(n), 1, StoredBody::from(Bytes::from(noise(n, 120_000))))
    };
    for first in (0..400).step_by(50) {
        queue.put_all((first..first + 50).map(bulky).collect()).await.unwrap();
    }
    let all = request(wants("p0", 9), 9);
    for lease in queue.lease(at(1_000), all).await.unwrap() {
        queue.settle(lease, settlement(vec![(0, failed(1_000))], NextAttempt::Deferred(at(0)))).await.unwrap();
    }
    queue.close().await.unwrap();
    400
}

#[tokio::test]
async fn a_large_queue_is_counted_beside_the_work_and_counts_what_changes_meanwhile() {
    let folder = Folder::new();
    let count = fill(folder.path()).await;
    for round in 0..3 {
        let queue = open_clean(folder.path());
        // At once: before the count can be there.
        let failed =
            queue.list(MessageFilter { states: vec![MessageState::Failed], ..MessageFilter::default() }).await.unwrap();
        let waiting = queue.list(MessageFilter { limit: 2, ..MessageFilter::default() }).await.unwrap();
        queue.retry(failed[0].id, at(2_000)).await.unwrap();
        queue.drop_message(waiting[0].id).await.unwrap();
        queue.assign(vec![(waiting[1].id, format!("new{round}"))]).await.unwrap();
        let new = NewMessage { pool: "p1".to_owned(), ..short(1_000 + round, at(2_000)) };
        queue.put(new).await.unwrap();
        let depth = queue.depth().await.unwrap();
        let list = queue.list(MessageFilter { limit: 1_000, ..MessageFilter::default() }).await.unwrap();
        assert_eq!(depth.messages[MessageState::Queued as usize], list.len() as u64, "round {round}");
        assert_eq!(depth.messages[MessageState::Failed as usize], failed.len() as u64 - 1);
        assert_eq!((list.len(), depth.bytes), (count - 9 + round as usize + 1, list.iter().map(|e| e.size).sum()));
        assert_eq!(queue.bytes().await.unwrap(), depth.bytes);
        let pools: u64 = queue.pools().await.unwrap().iter().map(|(_, count)| count).sum();
        assert_eq!(pools, list.len() as u64);
        for (pool, count) in queue.pools().await.unwrap() {
            assert_eq!(count, list.iter().filter(|entry| entry.pool == pool).count() as u64, "{pool}");
        }
        // Nothing is forgotten by those who lease.
        let mut leased = 0;
        for (pool, count) in queue.pools().await.unwrap() {
            let leases = queue.lease(at(3_000), request(wants(&pool, 1_000), 1_000)).await.unwrap();
            assert_eq!(leases.len() as u64, count, "{pool}");
            leased += leases.len();
        }
        assert_eq!(leased, list.len());
        queue.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_lane_of_a_large_queue_is_mended_beside_the_work() {
    let folder = Folder::new();
    let count = fill(folder.path()).await;
    let database = folder.path().join("data/queue.db");
    let sql = "UPDATE message SET lane = 'qwert' WHERE pool = 'p1' AND due IS NOT NULL";
    let damaged = rusqlite::Connection::open(database).unwrap().execute(sql, []).unwrap() as u64;
    let queue = open_clean(folder.path());
    assert_eq!(queue.depth().await.unwrap().messages[MessageState::Queued as usize], count as u64 - 9);
    assert_eq!(queue.pools().await.unwrap()[0], (String::new(), damaged), "they are to be assigned anew");
    let mended = queue.lease(at(1_000), request(vec![want("", Lane::Normal, 9)], 9)).await.unwrap();
    assert_eq!(mended.len(), 9);
}

#[tokio::test]
async fn a_long_list_holds_up_no_new_mail_and_no_close() {
    let folder = Folder::new();
    let queue = std::sync::Arc::new(open_clean(folder.path()));
    for first in (0..20_000).step_by(1_000) {
        queue.put_all((first..first + 1_000).map(|n| short(n, at(n))).collect()).await.unwrap();
    }
    let all = || {
        let queue = queue.clone();
        tokio::spawn(async move { queue.list(MessageFilter { limit: 20_000, ..MessageFilter::default() }).await })
    };
    let mut list = all();
    // The list is asked for before the mail comes.
    tokio::task::yield_now().await;
    tokio::select! {
        biased;
        _ = &mut list => panic!("the mail had to wait for the list"),
        put = queue.put(short(50_000, at(0))) => put.unwrap(),
    }
    assert_eq!(list.await.unwrap().unwrap().len(), 20_000, "the list is of the moment when it was asked for");
    // Nor does a stop wait for it.
    let list = all();
    tokio::task::yield_now().await;
    queue.close().await.unwrap();
    assert!(matches!(list.await.unwrap(), Err(QueueError::Closed)));
}
