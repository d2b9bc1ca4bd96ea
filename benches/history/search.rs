//! Searches, each many times with other words.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use yizhan::clock::Clock;
use yizhan::queue::{MessageSearch, MessageState, Queue, SearchOrder};

use super::load::Load;
use super::{fill, open};

/// How often each search is made.
const TIMES: usize = 200;

type Kind = (&'static str, fn(usize) -> MessageSearch);

const DAY: Duration = Duration::from_secs(86_400);

fn any() -> MessageSearch {
    MessageSearch::default()
}

const KINDS: [Kind; 14] = [
    ("all, newest first", |_| any()),
    ("client", |n| MessageSearch { client: Some(fill::client(n)), ..any() }),
    ("sender", |n| MessageSearch { sender: Some(fill::sender(n)), ..any() }),
    ("domain of the sender", |n| MessageSearch { sender: Some(format!("office{}.example", n % 10)), ..any() }),
    ("recipient", |n| MessageSearch { recipient: Some(fill::recipient(n, 0)), ..any() }),
    ("word of the subject", |n| MessageSearch {
        subject: Some(["scan", "toner", "invoice", "battery"][n % 4].to_owned()),
        ..any()
    }),
    ("number in the subject", |n| MessageSearch { subject: Some((n * 4999).to_string()), ..any() }),
    ("beginning of 100,000 numbers", |n| MessageSearch { subject: Some((101 + n % 800).to_string()), ..any() }),
    ("pair of Chinese characters", |n| MessageSearch {
        subject: Some(["缺纸", "备份", "付款", "扫描件"][n % 4].to_owned()),
        ..any()
    }),
    ("a week", |n| {
        let since = Clock::system().now() - DAY * (n % 170) as u32 - DAY * 7;
        MessageSearch { since: Some(since), until: Some(since + DAY * 7), ..any() }
    }),
    ("failed", |_| MessageSearch { states: vec![MessageState::Failed], ..any() }),
    ("account, oldest first", |n| MessageSearch {
        account: Some(format!("account{}", n % 4)),
        order: SearchOrder::OldestFirst,
        ..any()
    }),
    ("client, recipient's domain, two words, failed, a month", |n| MessageSearch {
        client: Some(fill::client(n)),
        recipient: Some(format!("customer{}.example", n % 400)),
        subject: Some("scan report".to_owned()),
        states: vec![MessageState::Failed],
        since: Some(Clock::system().now() - DAY * 30),
        ..any()
    }),
    ("no match", |n| MessageSearch { client: Some(format!("nothing{n}")), subject: Some("zebra".to_owned()), ..any() }),
];

/// Makes all searches while `rate` messages a second arrive.
pub(crate) async fn searches(folder: &Path, what: &str, rate: usize) {
    println!("searches, {TIMES} times each ({what})");
    let queue: Arc<dyn Queue> = Arc::new(open(folder));
    let load = (rate > 0).then(|| Load::begin(&queue, rate));
    let begin = Instant::now();
    for (name, search) in KINDS {
        let (mut times, mut total) = (Vec::new(), 0);
        for n in 0..TIMES {
            let search = MessageSearch { limit: 50, ..search(n * 7) };
            let begin = Instant::now();
            total += queue.search(search).await.expect("it answers").total;
            times.push(begin.elapsed());
        }
        times.sort();
        let at = |part: usize| times[(TIMES * part / 100).min(TIMES - 1)].as_secs_f64() * 1e3;
        println!("  {:8.2} ms, p99 {:.2} ms: {name} ({} fit)", at(50), at(99), total / TIMES as u64);
    }
    if let Some(load) = load {
        let (settled, puts) = load.end().await;
        let rate = settled as f64 / begin.elapsed().as_secs_f64();
        let at = |part: usize| puts[(puts.len() * part / 1000).min(puts.len() - 1)].as_secs_f64() * 1e3;
        println!(
            "  {rate:8.0} a second meanwhile; put: {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            at(500),
            at(990),
            at(999)
        );
    }
    queue.close().await.expect("it closes");
}
