//! A queue that panics where a test wants it: a mistake of ours, made to order, outside of the relay's own code.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use yizhan::app::Relay;
use yizhan::clock::{Clock, Timestamp};
use yizhan::config::Settings;
use yizhan::mail::Id;
use yizhan::queue::body::{Draft, Stored};
use yizhan::queue::entry::{AccountState, Entry, LONGEST_POOL, NewMessage, SavedTime, Settlement, Usage};
use yizhan::queue::request::{ClosedLane, LeaseRequest, Line};
use yizhan::queue::sqlite::Sqlite;
use yizhan::queue::{self, Answer, Depth, Filter, Lease, Queue, Settled};
use yizhan::sandbox::Limits;

use crate::support::folder::Folder;
use crate::support::office::{Office, provider, settings};

/// Long enough for a message that is stored to reach the provider.
const SLOW: Duration = Duration::from_millis(500);

/// The embedded queue, and where it panics next.
pub(crate) struct Brittle {
    sound: Sqlite,
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

    fn touch(&self, call: &'static str) -> &Sqlite {
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
pub(crate) fn brittle(sound: Sqlite) -> Arc<Brittle> {
    Arc::new(Brittle { sound, next: Mutex::default(), refused: Mutex::default() })
}

/// The settings of the queue, as the relay would have them.
pub(crate) fn queue_settings(settings: &Settings) -> queue::Settings {
    let of = &settings.queue;
    queue::Settings { data_dir: of.data_dir.clone(), keep_delivered: of.keep_delivered, keep_failed: of.keep_failed }
}

/// An office whose queue is brittle, after `change` has had a hand in its settings.
pub(crate) async fn office(name: &str, change: impl FnOnce(&mut Settings)) -> (Office, Arc<Brittle>) {
    let (folder, sandbox) = (Folder::new(name), provider(Limits::default()).await);
    let mut settings = settings(&sandbox, &folder);
    change(&mut settings);
    let (sound, _) = Sqlite::open(&queue_settings(&settings)).expect("a new queue opens");
    let queue = brittle(sound);
    let relay = Relay::on(queue.clone(), &settings, Clock::system()).unwrap_or_else(|error| panic!("{error}"));
    (Office { sandbox, relay, settings, folder }, queue)
}

impl Queue for Brittle {
    fn draft(&self) -> Draft {
        self.touch("draft").draft()
    }
    fn put_all(&self, mut messages: Vec<NewMessage>) -> Answer<'_, ()> {
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
    fn lease(&self, now: Timestamp, request: LeaseRequest) -> Answer<'_, Vec<Lease>> {
        self.touch("lease").lease(now, request)
    }
    fn settle(&self, lease: Lease, settlement: Settlement) -> Answer<'_, Settled> {
        self.touch("settle").settle(lease, settlement)
    }
    fn hold(&self, lease: Lease, reason: String) -> Answer<'_, ()> {
        self.touch("hold").hold(lease, reason)
    }
    fn wait(&self) -> Answer<'_, ()> {
        self.touch("wait").wait()
    }
    fn first_due(&self, lines: Vec<Line>) -> Answer<'_, Vec<Option<Timestamp>>> {
        self.touch("first_due").first_due(lines)
    }
    fn pools(&self) -> Answer<'_, Vec<(String, u64)>> {
        self.touch("pools").pools()
    }
    fn assign(&self, changes: Vec<(Id, String)>) -> Answer<'_, ()> {
        self.touch("assign").assign(changes)
    }
    fn close_lanes(&self, closed: Vec<ClosedLane>) -> Answer<'_, ()> {
        self.touch("close_lanes").close_lanes(closed)
    }
    fn spend(&self, usage: Usage) -> Answer<'_, ()> {
        self.touch("spend").spend(usage)
    }
    fn usage(&self, account: String, since: Timestamp) -> Answer<'_, Vec<Usage>> {
        self.touch("usage").usage(account, since)
    }
    fn remember(&self, state: AccountState) -> Answer<'_, ()> {
        self.touch("remember").remember(state)
    }
    fn recall(&self) -> Answer<'_, Vec<AccountState>> {
        self.touch("recall").recall()
    }
    fn save_time(&self, saved: SavedTime) -> Answer<'_, ()> {
        self.touch("save_time").save_time(saved)
    }
    fn saved_time(&self) -> Answer<'_, Option<SavedTime>> {
        self.touch("saved_time").saved_time()
    }
    fn untold(&self, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.touch("untold").untold(limit)
    }
    fn tell(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> Answer<'_, ()> {
        self.touch("tell").tell(notice, ids)
    }
    fn list(&self, filter: Filter) -> Answer<'_, Vec<Entry>> {
        self.touch("list").list(filter)
    }
    fn show(&self, id: Id) -> Answer<'_, (Entry, Bytes, Stored)> {
        self.touch("show").show(id)
    }
    fn retry(&self, id: Id, now: Timestamp) -> Answer<'_, ()> {
        self.touch("retry").retry(id, now)
    }
    fn drop_message(&self, id: Id) -> Answer<'_, ()> {
        self.touch("drop_message").drop_message(id)
    }
    fn mend_times(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, ()> {
        self.touch("mend_times").mend_times(now, latest)
    }
    fn bytes_by_addr(&self) -> Answer<'_, Vec<(IpAddr, u64)>> {
        self.touch("bytes_by_addr").bytes_by_addr()
    }
    fn bytes(&self) -> Answer<'_, u64> {
        self.touch("bytes").bytes()
    }
    fn depth(&self) -> Answer<'_, Depth> {
        self.touch("depth").depth()
    }
    fn purge(&self, now: Timestamp) -> Answer<'_, bool> {
        self.touch("purge").purge(now)
    }
    fn close(&self) -> Answer<'_, ()> {
        self.touch("close").close()
    }
}
