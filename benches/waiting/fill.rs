//! The queue is filled: small messages of many clients, each in the pool that its route says, by 64 tasks.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use yizhan::clock::{Clock, Timestamp};
use yizhan::mail::{Address, ClientKey, IdSource, Lane, ReversePath};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{MessageOrigin, NewMessage, Queue, RetentionSettings};

use super::ACCOUNTS;

const LIFE: Duration = Duration::from_secs(86_400);
const TASKS: usize = 64;

/// Opens the queue, as the relay does.
pub(crate) fn open(folder: &Path) -> SqliteQueue {
    let keep = RetentionSettings { keep_records: LIFE, keep_failed: LIFE, keep_subject: true };
    SqliteQueue::open(folder, keep).expect("the queue opens").0
}

/// Puts `number` messages of `clients` clients.
pub(crate) fn fill(folder: &Path, number: usize, clients: usize) {
    let queue: Arc<dyn Queue> = Arc::new(open(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts on this machine").block_on(async {
        let (ids, now) = (Arc::new(IdSource::new(7)), Clock::system().now());
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (queue, ids) = (queue.clone(), ids.clone());
                tokio::spawn(async move {
                    for place in (task..number).step_by(TASKS) {
                        queue.put(message(&ids, place, clients, now)).await.expect("there is room");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        queue.close().await.expect("it closes");
    });
}

fn message(ids: &IdSource, place: usize, clients: usize, now: Timestamp) -> NewMessage {
    let account = place % ACCOUNTS;
    let address = |text: &str| Address::parse(text).expect("it is one");
    NewMessage {
        id: ids.next(now),
        received: now,
        expires: now + LIFE * 5,
        origin: MessageOrigin {
            client: format!("c{account}"),
            // So many clients in all, in every pool and lane.
            key: ClientKey::of_client(None, IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (place / 30 % clients) as u32))),
            addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener: "local".to_owned(),
            helo: "device.test".to_owned(),
        },
        sender: ReversePath::Address(address("printer@device.test")),
        recipients: vec![address("someone@example.test")],
        head: Bytes::from_static(b"From: printer@device.test\r\nSubject: one page\r\n"),
        body: Bytes::from_static(b"Paper is out.\r\n").into(),
        repairs: Vec::new(),
        notice: false,
        subject: None,
        message_id: None,
        // All lanes, in every pool.
        lane: Lane::ALL[place / ACCOUNTS % 3],
        pool: format!("a{account}"),
    }
}
