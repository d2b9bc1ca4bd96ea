//! Whole cycles of the queue on a real disk: put, lease, settle as delivered, by 1, 8 and 64 tasks.
//!
//! The folder is below the system's temporary folder; where that is in memory the figures say nothing about syncs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use yizhan::mail::{Address, ClientKey, IdSource, Lane, ReversePath};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    LaneRequest, LeaseRequest, MessageOrigin, NewMessage, NextAttempt, Queue, QueueError, RecipientOutcome,
    RetentionSettings, Settlement,
};

use super::{LEGAL, NOW, text};

/// How long each number of tasks works.
const SPAN: Duration = Duration::from_secs(2);
const LIFE: Duration = Duration::from_secs(86_400);

pub(super) fn cycles() {
    for tasks in [1, 8, 64] {
        let folder = std::env::temp_dir().join(format!("yz-micro-{}-{tasks}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let done = run(&folder, tasks);
        let _ = fs::remove_dir_all(&folder);
        match done {
            Ok(rate) => println!("  {rate:8.0} cycles/s, {tasks} tasks"),
            Err(error) => println!("  {tasks} tasks: {error}"),
        }
    }
}

fn run(folder: &std::path::Path, tasks: u64) -> Result<f64, QueueError> {
    let settings = RetentionSettings { keep_records: LIFE, keep_failed: LIFE, keep_subject: true };
    let (queue, _) = SqliteQueue::open(folder, settings)?;
    let queue: Arc<dyn Queue> = Arc::new(queue);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts on this machine");
    let (ids, over) = (Arc::new(IdSource::new(7)), Arc::new(AtomicBool::new(false)));
    let done = Arc::new(AtomicU64::new(0));
    let body = Bytes::from(text(4096));
    runtime.block_on(async {
        let begin = Instant::now();
        let workers: Vec<_> = (0..tasks)
            .map(|_| {
                let (queue, ids, over) = (queue.clone(), ids.clone(), over.clone());
                let (done, body) = (done.clone(), body.clone());
                let lane = LaneRequest { lane: Lane::Normal, pools: vec![String::new()], limit: 1 };
                let request = LeaseRequest { turns: "main".to_owned(), lanes: vec![lane], total: 1, recipients: 100 };
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        queue.put(message(&ids, &body)).await?;
                        for lease in queue.lease(NOW, request.clone()).await? {
                            queue.settle(lease, delivered()).await?;
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok::<(), QueueError>(())
                })
            })
            .collect();
        tokio::time::sleep(SPAN).await;
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.expect("no worker panics")?;
        }
        let rate = done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
        queue.close().await?;
        Ok(rate)
    })
}

fn message(ids: &IdSource, body: &Bytes) -> NewMessage {
    let address = |text: &str| Address::parse(text).expect("it is one");
    NewMessage {
        id: ids.next(NOW),
        received: NOW,
        expires: NOW + LIFE,
        origin: MessageOrigin {
            client: "127.0.0.1".to_owned(),
            key: ClientKey::stored("127.0.0.1"),
            addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener: "local".to_owned(),
            helo: "device.test".to_owned(),
        },
        sender: ReversePath::Address(address("printer@device.test")),
        recipients: vec![address("someone@example.test")],
        head: Bytes::from_static(LEGAL),
        body: body.clone().into(),
        repairs: Vec::new(),
        notice: false,
        subject: None,
        message_id: None,
        lane: Lane::Normal,
        pool: String::new(),
    }
}

fn delivered() -> Settlement {
    Settlement {
        outcomes: vec![(0, RecipientOutcome::Delivered { at: NOW, reply: "250 2.0.0 Ok".to_owned() })],
        next: NextAttempt::Deferred(NOW),
        uncertain: false,
        account: Some("main".to_owned()),
        notice: None,
        chunk: None,
        strict: false,
        account_state: None,
        usage: None,
        unknown_since: None,
        unreported: false,
    }
}
