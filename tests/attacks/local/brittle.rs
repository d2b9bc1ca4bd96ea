//! A queue that panics where a test wants it: a mistake of ours, made to order, outside of the relay's own code.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use yizhan::app::Relay;
use yizhan::clock::{Clock, Timestamp};
use yizhan::config::Settings;
use yizhan::mail::{Id, Lane};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{
    AccountState, AccountStore, AccountUsage, AuditFilter, AuditLog, AuditPage, AuditRecord, BackupReport, BodyDraft,
    ClosedLane, HoldReason, Inspection, LONGEST_POOL, Lease, LeaseRequest, MessageFilter, MessageQueue, MessageSearch,
    NewMessage, PoolLane, Queue, QueueDepth, QueueEntry, QueueFuture, SavedTime, SearchPage, Settled, Settlement,
    StoredBody,
};
use yizhan::sandbox::SandboxLimits;

use crate::support::folder::Folder;
use crate::support::office::{Office, provider, settings};

/// Long enough for a message that is stored to reach the provider.
const SLOW: Duration = Duration::from_millis(500);

/// The embedded queue, and where it panics next.
pub(crate) struct Brittle {
    sound: SqliteQueue,
    /// The calls that panic, each with how many of them go well before.
    next: Mutex<Vec<(&'static str, u32)>>,
    /// The pool whose messages the queue cannot store.
    refused: Mutex<Option<&'static str>>,
}

impl Brittle {
    /// The next call of each name panics.
    pub(crate) fn panic_at(&self, call: &'static str) {
        self.panic_at_nth(call, 1);
    }

    /// The nth call of this name from now on panics.
    pub(crate) fn panic_at_nth(&self, call: &'static str, nth: u32) {
        self.next().push((call, nth - 1));
    }

    /// From now on a message of this pool is refused, and only after a while; `None`: of no pool.
    pub(crate) fn refuse_pool(&self, pool: Option<&'static str>) {
        *self.refused.lock().expect("no panic holds it") = pool;
    }

    fn next(&self) -> MutexGuard<'_, Vec<(&'static str, u32)>> {
        self.next.lock().expect("no panic holds it")
    }

    fn touch(&self, call: &'static str) -> &SqliteQueue {
        let mut next = self.next();
        if let Some(place) = next.iter().position(|(one, _)| *one == call) {
            let Some(left) = next[place].1.checked_sub(1) else {
                next.remove(place);
                drop(next);
                panic!("on purpose at {call}");
            };
            next[place].1 = left;
        }
        &self.sound
    }
}

/// A queue that is sound until it is told otherwise.
pub(crate) fn brittle(sound: SqliteQueue) -> Arc<Brittle> {
    Arc::new(Brittle { sound, next: Mutex::default(), refused: Mutex::default() })
}

/// The embedded queue, as the relay would open it.
pub(crate) fn open_queue(settings: &Settings) -> SqliteQueue {
    let of = &settings.queue;
    let keep = of.retention;
    SqliteQueue::open(&of.data_dir, keep).expect("the queue opens").0
}

/// An office whose queue is brittle, after `change` has had a hand in its settings.
pub(crate) async fn office(name: &str, change: impl FnOnce(&mut Settings)) -> (Office, Arc<Brittle>) {
    let (folder, sandbox) = (Folder::new(name), provider(SandboxLimits::default()).await);
    let mut settings = settings(&sandbox, &folder);
    change(&mut settings);
    let queue = brittle(open_queue(&settings));
    let relay = Relay::on(queue.clone(), &settings, Clock::system()).unwrap_or_else(|error| panic!("{error}"));
    (Office { sandbox, relay, settings, folder }, queue)
}

impl MessageQueue for Brittle {
    fn draft(&self) -> BodyDraft {
        self.touch("draft").draft()
    }
    fn put_all(&self, mut messages: Vec<NewMessage>) -> QueueFuture<'_, ()> {
        let sound = self.touch("put");
        let refused = *self.refused.lock().expect("no panic holds it");
        let mut fails = false;
        for message in messages.iter_mut().filter(|message| Some(message.pool.as_str()) == refused) {
            message.pool = "x".repeat(LONGEST_POOL + 1);
            fails = true;
        }
        Box::pin(async move {
            if fails {
                tokio::time::sleep(SLOW).await;
            }
            sound.put_all(messages).await
        })
    }
    fn lease(&self, now: Timestamp, request: LeaseRequest) -> QueueFuture<'_, Vec<Lease>> {
        self.touch("lease").lease(now, request)
    }
    fn settle(&self, lease: Lease, settlement: Settlement) -> QueueFuture<'_, Settled> {
        self.touch("settle").settle(lease, settlement)
    }
    fn hold(&self, lease: Lease, reason: String) -> QueueFuture<'_, ()> {
        self.touch("hold").hold(lease, reason)
    }
    fn wait(&self) -> QueueFuture<'_, ()> {
        self.touch("wait").wait()
    }
    fn first_due(&self, lines: Vec<PoolLane>) -> QueueFuture<'_, Vec<Option<Timestamp>>> {
        self.touch("first_due").first_due(lines)
    }
    fn close_lanes(&self, closed: Vec<ClosedLane>) -> QueueFuture<'_, ()> {
        self.touch("close_lanes").close_lanes(closed)
    }
    fn assign(&self, changes: Vec<(Id, String)>) -> QueueFuture<'_, ()> {
        self.touch("assign").assign(changes)
    }
    fn unreported(&self, limit: usize) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.touch("unreported").unreported(limit)
    }
    fn mark_reported(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> QueueFuture<'_, ()> {
        self.touch("mark_reported").mark_reported(notice, ids)
    }
    fn retry(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        self.touch("retry").retry(id, now)
    }
    fn hold_message(&self, id: Id, reason: HoldReason, text: String) -> QueueFuture<'_, ()> {
        self.touch("hold_message").hold_message(id, reason, text)
    }
    fn release(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        self.touch("release").release(id, now)
    }
    fn drop_message(&self, id: Id) -> QueueFuture<'_, ()> {
        self.touch("drop_message").drop_message(id)
    }
}

impl AccountStore for Brittle {
    fn add_usage(&self, usage: AccountUsage) -> QueueFuture<'_, ()> {
        self.touch("add_usage").add_usage(usage)
    }
    fn usage(&self, account: String, since: Timestamp) -> QueueFuture<'_, Vec<AccountUsage>> {
        self.touch("usage").usage(account, since)
    }
    fn save_account_state(&self, state: AccountState) -> QueueFuture<'_, ()> {
        self.touch("save_account_state").save_account_state(state)
    }
    fn account_states(&self) -> QueueFuture<'_, Vec<AccountState>> {
        self.touch("account_states").account_states()
    }
}

impl Inspection for Brittle {
    fn list(&self, filter: MessageFilter) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.touch("list").list(filter)
    }
    fn search(&self, search: MessageSearch) -> QueueFuture<'_, SearchPage> {
        self.touch("search").search(search)
    }
    fn show(&self, id: Id) -> QueueFuture<'_, (QueueEntry, Bytes, StoredBody)> {
        self.touch("show").show(id)
    }
    fn depth(&self) -> QueueFuture<'_, QueueDepth> {
        self.touch("depth").depth()
    }
    fn finished_since(&self, since: Timestamp) -> QueueFuture<'_, (u64, u64)> {
        self.touch("finished_since").finished_since(since)
    }
    fn bytes(&self) -> QueueFuture<'_, u64> {
        self.touch("bytes").bytes()
    }
    fn bytes_by_addr(&self) -> QueueFuture<'_, Vec<(IpAddr, u64)>> {
        self.touch("bytes_by_addr").bytes_by_addr()
    }
    fn pools(&self) -> QueueFuture<'_, Vec<(String, u64)>> {
        self.touch("pools").pools()
    }
    fn lanes(&self) -> QueueFuture<'_, Vec<(String, [u64; Lane::ALL.len()])>> {
        self.touch("lanes").lanes()
    }
}

impl AuditLog for Brittle {
    fn record_command(&self, record: AuditRecord) -> QueueFuture<'_, ()> {
        self.touch("record_command").record_command(record)
    }
    fn commands(&self, filter: AuditFilter) -> QueueFuture<'_, AuditPage> {
        self.touch("commands").commands(filter)
    }
}

impl Queue for Brittle {
    fn correct_times(&self, now: Timestamp, latest: Timestamp) -> QueueFuture<'_, ()> {
        self.touch("correct_times").correct_times(now, latest)
    }
    fn purge(&self, now: Timestamp) -> QueueFuture<'_, bool> {
        self.touch("purge").purge(now)
    }
    fn check_write(&self, now: Timestamp) -> QueueFuture<'_, ()> {
        self.touch("check_write").check_write(now)
    }
    fn save_time(&self, saved: SavedTime) -> QueueFuture<'_, ()> {
        self.touch("save_time").save_time(saved)
    }
    fn saved_time(&self) -> QueueFuture<'_, Option<SavedTime>> {
        self.touch("saved_time").saved_time()
    }
    fn backup(&self, into: PathBuf) -> QueueFuture<'_, BackupReport> {
        self.touch("backup").backup(into)
    }
    fn close(&self) -> QueueFuture<'_, ()> {
        self.touch("close").close()
    }
}
