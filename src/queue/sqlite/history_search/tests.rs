//! Random operations, and after each of them searches whose answers must be those of `MessageSearch::fits` on all messages.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::mail::{Address, ClientKey, Id, ReversePath};
use crate::queue::sqlite::SqliteQueue;
use crate::queue::{
    ClosedLane, Inspection as _, Lease, LeaseRequest, MessageFilter, MessageOrigin, MessageQueue as _, NewMessage,
    NextAttempt, PoolLane, Queue as _, QueueEntry, RecipientOutcome, RetentionSettings, Settlement, WaitReason,
};

use super::*;

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const CLIENTS: [&str; 3] = ["printer", "Door-Bell", "nas"];
const SENDERS: [&str; 4] = ["scan@office.example", "Bell@home.example", "nas@office.example", ""];
const RECIPIENTS: [&str; 5] =
    ["boss@example.com", "staff@example.com", "boss@other.example", "Li@xn--fiq228c.example", "scan@office.example"];
const SUBJECTS: [&str; 6] =
    ["", "Scan from MFP-3", "2楼扫描件 scan.pdf", "Invoice 2026-11", "打印机缺纸", "invoices of the month"];
const ACCOUNTS: [&str; 3] = ["qq", "Office", "spare"];
const POOLS: [&str; 2] = ["", "office"];

#[derive(Clone, Debug)]
enum Action {
    Put {
        client: usize,
        sender: usize,
        recipients: Vec<usize>,
        subject: usize,
        pool: usize,
        second: u64,
    },
    /// Leases some; they stay leased until they are settled.
    Lease(usize),
    Settle {
        which: usize,
        account: usize,
        end: End,
    },
    GiveBack,
    Retry(usize),
    Drop(usize),
    Purge(u64),
    CloseLanes(Vec<usize>),
    CorrectTimes,
    Step,
    /// The next message is the last but one of a block.
    SkipToBlock,
    /// A set of the index is damaged: of a term or of a block.
    Damage(usize),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Delivered,
    Failed,
    Deferred(u64),
    Waiting,
}

fn action() -> impl Strategy<Value = Action> {
    let put = (
        0..CLIENTS.len(),
        0..SENDERS.len(),
        proptest::sample::subsequence((0..RECIPIENTS.len()).collect::<Vec<_>>(), 1..3),
        0..SUBJECTS.len(),
        0..POOLS.len(),
        0..100u64,
    );
    let put = put.prop_map(|(client, sender, recipients, subject, pool, second)| Action::Put {
        client,
        sender,
        recipients,
        subject,
        pool,
        second,
    });
    let end = prop_oneof![
        4 => Just(End::Delivered),
        3 => Just(End::Failed),
        1 => (0..300u64).prop_map(End::Deferred),
        1 => Just(End::Waiting)
    ];
    let settle = (any::<usize>(), 0..ACCOUNTS.len(), end);
    prop_oneof![
        10 => put,
        6 => (1..5usize).prop_map(Action::Lease),
        12 => settle.prop_map(|(which, account, end)| Action::Settle { which, account, end }),
        1 => Just(Action::GiveBack),
        3 => any::<usize>().prop_map(Action::Retry),
        2 => any::<usize>().prop_map(Action::Drop),
        1 => (0..200u64).prop_map(Action::Purge),
        1 => proptest::collection::vec(0..POOLS.len(), 0..2).prop_map(Action::CloseLanes),
        1 => Just(Action::CorrectTimes),
        6 => Just(Action::Step),
        1 => Just(Action::SkipToBlock),
        1 => any::<usize>().prop_map(Action::Damage),
        1 => Just(Action::Restart),
    ]
}

fn maybe(texts: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![3 => Just(None), 2 => proptest::sample::select(texts).prop_map(|text| Some(text.to_owned()))]
}

fn search() -> impl Strategy<Value = MessageSearch> {
    let states = proptest::sample::subsequence(MessageState::ALL.to_vec(), 0..3);
    let time = || proptest::option::weighted(0.3, (0..110u64).prop_map(|second| START + Duration::from_secs(second)));
    let texts = (
        maybe(&["PRINTER", "door-bell", "192.0.2.1", "nobody"]),
        maybe(&["office.example", "scan", "bell@home.example", "<>", "home"]),
        maybe(&["boss", "example.com", "@other.example", "li@xn--fiq228c.example", "x@y.z"]),
        maybe(&["scan", "扫描", "invoice", "invoice 2026", "纸", "of", "件 scan", "nothing"]),
        maybe(&["qq", "office", "none"]),
    );
    let pools = proptest::sample::subsequence(POOLS.to_vec(), 0..2);
    let order = prop_oneof![Just(SearchOrder::NewestFirst), Just(SearchOrder::OldestFirst)];
    (states, texts, pools, time(), time(), order, 1..6usize).prop_map(
        |(states, texts, pools, since, until, order, limit)| {
            let (client, sender, recipient, subject, account) = texts;
            let account_pools = pools.into_iter().map(str::to_owned).collect();
            MessageSearch {
                states,
                client,
                sender,
                recipient,
                subject,
                account,
                account_pools,
                since,
                until,
                order,
                after: None,
                limit,
            }
        },
    )
}

/// The queue, and what the test remembers of it.
struct World {
    folder: std::path::PathBuf,
    queue: SqliteQueue,
    /// All that were put, in their order.
    ids: Vec<Id>,
    leased: Vec<Lease>,
    now: Timestamp,
}

fn open(folder: &Path) -> SqliteQueue {
    let keep = Duration::from_secs(100);
    let retention = RetentionSettings { keep_records: keep, keep_failed: keep / 2, keep_subject: true };
    SqliteQueue::open(folder, retention).unwrap().0
}

/// Message `n`, from this client.
fn message(
    n: u64,
    client: usize,
    sender: usize,
    recipients: &[usize],
    subject: usize,
    pool: usize,
    second: u64,
) -> NewMessage {
    // Some arrive while the clock is not set.
    let clock = if second < 10 { Timestamp::from_millis(1_000_000) } else { START };
    let received = clock + Duration::from_secs(second);
    NewMessage {
        id: Id::new(received, n),
        received,
        expires: received + Duration::from_secs(1000),
        origin: MessageOrigin {
            client: CLIENTS[client].to_owned(),
            key: ClientKey::stored(CLIENTS[client]),
            addr: format!("192.0.2.{client}").parse().unwrap(),
            listener: "lan".to_owned(),
            helo: "x".to_owned(),
        },
        sender: ReversePath::parse(SENDERS[sender]).unwrap(),
        recipients: recipients.iter().map(|at| Address::parse(RECIPIENTS[*at]).unwrap()).collect(),
        head: Bytes::from_static(b"From: a@b.example\r\n"),
        body: Bytes::from_static(b"x\r\n").into(),
        repairs: Vec::new(),
        notice: false,
        lane: Lane::Normal,
        pool: POOLS[pool].to_owned(),
        subject: Some(SUBJECTS[subject].to_owned()).filter(|subject| !subject.is_empty()),
        message_id: None,
    }
}

impl World {
    fn new() -> World {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("yizhan-history-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        World {
            queue: open(&folder),
            folder,
            ids: Vec::new(),
            leased: Vec::new(),
            now: START + Duration::from_secs(100),
        }
    }

    fn one(&self, which: usize) -> Option<Id> {
        (!self.ids.is_empty()).then(|| self.ids[which % self.ids.len()])
    }

    async fn sql(&self, sql: &'static str, number: i64) {
        self.queue.read(move |conn| conn.execute(sql, [number])).await.unwrap();
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Put { client, sender, recipients, subject, pool, second } => {
                let n = self.ids.len() as u64;
                let message = message(n, client, sender, &recipients, subject, pool, second);
                self.ids.push(message.id);
                self.queue.put(message).await.unwrap();
            }
            Action::Lease(total) => {
                let pools = POOLS.map(str::to_owned).to_vec();
                let lane = crate::queue::LaneRequest { lane: Lane::Normal, pools, limit: total };
                let request = LeaseRequest { turns: "qq".to_owned(), lanes: vec![lane], total, recipients: 9 };
                self.leased.extend(self.queue.lease(self.now, request).await.unwrap());
            }
            Action::Settle { which, account, end } => {
                if self.leased.is_empty() {
                    return;
                }
                let lease = self.leased.swap_remove(which % self.leased.len());
                self.queue.settle_so(lease, ACCOUNTS[account], end, self.now).await;
            }
            Action::GiveBack => self.leased.clear(),
            // What is leased, delivered, stripped or gone is refused.
            Action::Retry(which) => {
                if let Some(id) = self.one(which) {
                    let _ = self.queue.retry(id, self.now).await;
                }
            }
            Action::Drop(which) => {
                if let Some(id) = self.one(which) {
                    let _ = self.queue.drop_message(id).await;
                }
            }
            Action::Purge(second) => drop(self.queue.purge(START + Duration::from_secs(100 + second)).await.unwrap()),
            Action::CloseLanes(pools) => {
                let line = |pool: usize| PoolLane { pool: POOLS[pool].to_owned(), lane: Lane::Normal };
                let reason = || WaitReason::Unreachable { account: "qq".to_owned(), text: String::new() };
                let closed = |pool| ClosedLane { line: line(pool), until: None, reason: reason() };
                self.queue.close_lanes(pools.into_iter().map(closed).collect()).await.unwrap();
            }
            Action::CorrectTimes => self.queue.correct_times(self.now, self.now).await.unwrap(),
            Action::Step => self.step().await,
            Action::SkipToBlock => {
                let sql = "INSERT INTO deleted (one, seq) SELECT 1, (max(seq) / ?1 + 1) * ?1 - 3 FROM message \
                           HAVING max(seq) IS NOT NULL ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)";
                self.sql(sql, crate::queue::record_set::BLOCK).await;
            }
            Action::Damage(which) => {
                let sql = match which % 3 {
                    0 => "UPDATE history_block SET present = x'ff' WHERE block % 2 = ?1",
                    1 => "UPDATE history_block SET failed = x'01000100' WHERE block % 2 = ?1",
                    _ => "UPDATE history_term SET records = x'ffff' WHERE length(term) % 3 = ?1",
                };
                self.sql(sql, (which / 3 % 2) as i64).await;
            }
            Action::Restart => {
                self.leased.clear();
                self.queue.close().await.unwrap();
                self.queue = open(&self.folder);
            }
        }
    }

    /// A step of the index, as an idle writer takes it.
    async fn step(&self) {
        let step = |writer: &mut crate::queue::sqlite::Writer| {
            writer.index_idle();
            Ok(())
        };
        self.queue.ask(false, step).await.unwrap();
    }

    async fn all(&self) -> Vec<QueueEntry> {
        let filter =
            MessageFilter { states: MessageState::ALL.to_vec(), limit: usize::MAX, ..MessageFilter::default() };
        let mut all = self.queue.list(filter).await.unwrap();
        all.sort_by_key(|entry| self.ids.iter().position(|id| *id == entry.id));
        all
    }

    /// All pages of a search, which must be what fits.
    async fn check(&self, search: &MessageSearch) {
        let mut fitting: Vec<QueueEntry> = self.all().await.into_iter().filter(|entry| search.fits(entry)).collect();
        if search.order == SearchOrder::NewestFirst {
            fitting.reverse();
        }
        let wanted: Vec<_> = fitting.iter().map(|entry| (entry.id, entry.state)).collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.queue.search(MessageSearch { after, ..search.clone() }).await.unwrap();
            assert_eq!(page.total, wanted.len() as u64, "{search:?}");
            found.extend(page.entries.iter().map(|entry| (entry.id, entry.state)));
            after = page.next;
            if after.is_none() {
                break;
            }
            assert_eq!(page.entries.len(), search.limit, "only the last page is short");
        }
        assert_eq!(found, wanted, "{search:?}");
    }

    /// What the invariants of the tables say.
    async fn check_tables(&self) {
        let query = |conn: &rusqlite::Connection| -> rusqlite::Result<(i64, i64)> {
            let sql = "SELECT (SELECT count(*) FROM history_new LEFT JOIN message USING (seq) \
                       WHERE ifnull(state, '') NOT IN ('delivered', 'failed')), \
                       (SELECT count(*) FROM message WHERE stripped AND seq IN (SELECT seq FROM content))";
            conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        };
        assert_eq!(self.queue.read(query).await.unwrap(), (0, 0));
        let depth = self.queue.depth().await.unwrap().messages;
        for (state, count) in MessageState::ALL.into_iter().zip(depth).filter(|(state, _)| state.is_final()) {
            let listed = self.all().await.into_iter().filter(|entry| entry.state == state).count();
            assert_eq!(count, listed as u64, "{state}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl SqliteQueue {
    async fn settle_so(&self, lease: Lease, account: &str, end: End, now: Timestamp) {
        let (outcome, next) = match end {
            End::Delivered => (RecipientOutcome::Delivered { at: now, reply: String::new() }, now),
            End::Failed => (RecipientOutcome::Failed { at: now, reason: String::new() }, now),
            End::Deferred(second) => (RecipientOutcome::Open { last: None }, START + Duration::from_secs(second)),
            End::Waiting => (RecipientOutcome::Open { last: None }, now),
        };
        let next = if let End::Waiting = end { NextAttempt::Waiting(next) } else { NextAttempt::Deferred(next) };
        let outcomes = (0..lease.entry.recipients.len()).map(|place| (place, outcome.clone())).collect();
        let settlement = Settlement {
            outcomes,
            next,
            uncertain: false,
            account: Some(account.to_owned()),
            notice: None,
            chunk: None,
            strict: false,
            account_state: None,
            usage: None,
            unknown_since: None,
            unreported: false,
        };
        self.settle(lease, settlement).await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_fits(
        actions in proptest::collection::vec((action(), search()), 1..60),
        last in proptest::collection::vec(search(), 20),
    ) {
        runtime().block_on(async {
            let mut world = World::new();
            for (action, search) in actions {
                world.act(action).await;
                world.check(&search).await;
            }
            for search in last {
                world.check(&search).await;
            }
            world.check_tables().await;
            world.queue.close().await.unwrap();
        });
    }
}

fn put(client: usize) -> Action {
    Action::Put { client, sender: 0, recipients: vec![0], subject: 0, pool: 0, second: 50 }
}

fn fail(account: usize) -> [Action; 3] {
    [Action::Lease(1), Action::Settle { which: 0, account, end: End::Failed }, Action::Step]
}

async fn acted(actions: impl IntoIterator<Item = Action>) -> World {
    let mut world = World::new();
    for action in actions {
        world.act(action).await;
    }
    world
}

#[test]
fn a_message_that_was_sent_again_has_its_last_account_only() {
    runtime().block_on(async {
        let world = acted([put(0)].into_iter().chain(fail(0)).chain([Action::Retry(0)]).chain(fail(1))).await;
        for account in ACCOUNTS {
            world
                .check(&MessageSearch { account: Some(account.to_owned()), limit: 9, ..MessageSearch::default() })
                .await;
        }
    });
}

/// What the index has of the dropped one must not find the other.
#[test]
fn a_message_is_not_found_by_what_a_dropped_one_was() {
    runtime().block_on(async {
        let world = acted([put(0)].into_iter().chain(fail(0)).chain([Action::Drop(0), put(1)]).chain(fail(0))).await;
        for client in CLIENTS {
            world.check(&MessageSearch { client: Some(client.to_owned()), limit: 9, ..MessageSearch::default() }).await;
        }
    });
}
