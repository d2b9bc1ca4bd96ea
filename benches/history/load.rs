//! Messages that are stored, leased and settled while something else is measured, or as fast as that goes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;
use yizhan::clock::Clock;
use yizhan::mail::{Address, ClientKey, IdSource, Lane, ReversePath};
use yizhan::queue::{
    LaneRequest, LeaseRequest, MessageOrigin, NewMessage, NextAttempt, Queue, RecipientOutcome, Settlement,
};

use super::{fill, open};

const TASKS: usize = 32;
/// How long the rate is measured, and how often.
const SPAN: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;

/// What the tasks share.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    settled: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    /// Begins to store and settle, `rate` messages a second in all; 0: as many as it can.
    pub(crate) fn begin(queue: &Arc<dyn Queue>, rate: usize) -> Load {
        let (stop, settled) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let ids = Arc::new(IdSource::new(11));
        let task = |task: usize| {
            let (queue, stop, settled, ids) = (queue.clone(), stop.clone(), settled.clone(), ids.clone());
            tokio::spawn(async move {
                let (begin, mut puts, mut n) = (Instant::now(), Vec::new(), task);
                while !stop.load(Ordering::Relaxed) {
                    let next = begin + Duration::from_secs_f64(puts.len() as f64 * TASKS as f64 / rate.max(1) as f64);
                    if rate > 0 {
                        tokio::time::sleep_until(next.into()).await;
                    }
                    let put = Instant::now();
                    queue.put(message(&ids, n)).await.expect("there is room");
                    puts.push(put.elapsed());
                    n += TASKS;
                    settle(&*queue, &settled).await;
                }
                puts
            })
        };
        let tasks = (0..TASKS).map(task).collect();
        Load { stop, settled, tasks }
    }

    /// Ends it; how many messages were settled, and how long each `put` took, in order.
    pub(crate) async fn end(self) -> (u64, Vec<Duration>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut puts = Vec::new();
        for task in self.tasks {
            puts.extend(task.await.expect("no task panics"));
        }
        puts.sort();
        (self.settled.load(Ordering::Relaxed), puts)
    }
}

/// Leases a message and settles it as delivered.
async fn settle(queue: &dyn Queue, settled: &AtomicU64) {
    let now = Clock::system().now();
    let lane = LaneRequest { lane: Lane::Normal, pools: vec!["load".to_owned()], limit: 1 };
    let request = LeaseRequest { turns: "a".to_owned(), lanes: vec![lane], total: 1, recipients: 10 };
    for lease in queue.lease(now, request).await.expect("it answers") {
        let settlement = Settlement {
            outcomes: vec![(0, RecipientOutcome::Delivered { at: now, reply: "250 Ok".to_owned() })],
            next: NextAttempt::Deferred(now),
            uncertain: false,
            account: Some("account1".to_owned()),
            notice: None,
            chunk: None,
            strict: false,
            account_state: None,
            usage: None,
            unknown_since: None,
            unreported: false,
        };
        queue.settle(lease, settlement).await.expect("there is room");
        settled.fetch_add(1, Ordering::Relaxed);
    }
}

fn message(ids: &IdSource, n: usize) -> NewMessage {
    let now = Clock::system().now();
    let address = |text: &str| Address::parse(text).expect("it is one");
    let client = fill::client(n);
    NewMessage {
        id: ids.next(now),
        received: now,
        expires: now + Duration::from_secs(86_400),
        origin: MessageOrigin {
            key: ClientKey::stored(&client),
            client,
            addr: "192.168.0.9".parse().expect("it is one"),
            listener: "lan".to_owned(),
            helo: "device.test".to_owned(),
        },
        sender: ReversePath::Address(address(&fill::sender(n))),
        recipients: vec![address(&fill::recipient(n, 0))],
        head: Bytes::from_static(b"From: printer@device.test\r\nSubject: one page\r\n"),
        body: Bytes::from(vec![b'x'; 2_000]).into(),
        repairs: Vec::new(),
        notice: false,
        subject: Some(fill::subject(n)),
        message_id: Some(format!("{n}@device.test")),
        lane: Lane::Normal,
        pool: "load".to_owned(),
    }
}

/// How many messages a second are stored and settled, and how long a `put` takes.
pub(crate) async fn rate(folder: &Path, what: &str) {
    println!("stored and settled, {TASKS} tasks ({what})");
    let queue: Arc<dyn Queue> = Arc::new(open(folder));
    for _ in 0..ROUNDS {
        let load = Load::begin(&queue, 0);
        tokio::time::sleep(SPAN).await;
        let (settled, puts) = load.end().await;
        let at = |part: usize| puts[(puts.len() * part / 1000).min(puts.len() - 1)].as_secs_f64() * 1e3;
        println!(
            "  {:8.0} a second; put: {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            settled as f64 / SPAN.as_secs_f64(),
            at(500),
            at(990),
            at(999)
        );
    }
    queue.close().await.expect("it closes");
}
