//! A control socket around a queue that a test fills: holds, busy messages, the audit log and backups are made up here, so
//! that each answer of the commands can be brought about. Everything else is the embedded queue.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use yizhan::admin::Admin;
use yizhan::admin::control::Control;
use yizhan::clock::{Clock, Timestamp};
use yizhan::drain::Drain;
use yizhan::mail::{Address, ClientKey, Id, IdSource, Lane, ReversePath};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::*;

use super::account::{Made, cooling};
use crate::support::folder::Folder;
use crate::support::program::yizhan;

/// The embedded queue with holds, busy messages and commands of its own.
pub(super) struct Recorder {
    sound: SqliteQueue,
    held: Mutex<BTreeMap<Id, String>>,
    /// These are being sent.
    pub(super) busy: Mutex<HashSet<Id>>,
    pub(super) records: Mutex<Vec<AuditRecord>>,
    /// No command can be recorded.
    pub(super) full: AtomicBool,
}

impl Recorder {
    fn overlaid(&self, mut entry: QueueEntry) -> QueueEntry {
        if let Some(text) = self.held.lock().unwrap().get(&entry.id) {
            entry.state = MessageState::Held;
            (entry.held, entry.trouble) = (Some(HoldReason::Operator), Some(text.clone()));
        }
        entry
    }

    fn not_busy(&self, id: Id) -> Result<(), QueueError> {
        if self.busy.lock().unwrap().contains(&id) { Err(QueueError::Busy(id)) } else { Ok(()) }
    }
}

/// A control socket that answers until it is dropped.
pub(super) struct Desk {
    pub(super) folder: Folder,
    pub(super) queue: Arc<Recorder>,
    ids: IdSource,
    drain: Drain,
}

impl Desk {
    pub(super) async fn open(name: &str) -> Desk {
        let folder = Folder::new(name);
        let keep = std::time::Duration::from_secs(60);
        let own = RetentionSettings { keep_records: keep, keep_failed: keep, keep_subject: true };
        let (sound, _) = SqliteQueue::open(&folder.path().join("data"), own).expect("the folder is ours");
        let queue = Arc::new(Recorder {
            sound,
            held: Mutex::default(),
            busy: Mutex::default(),
            records: Mutex::default(),
            full: AtomicBool::new(false),
        });
        let (made, drain) = (Arc::new(Made::default()), Drain::default());
        *made.views.lock().unwrap() = vec![cooling()];
        let control = Control::bind(&folder.path().join("data")).expect("the folder is ours");
        let admin = Admin::new(queue.clone(), made, Clock::system());
        tokio::spawn(control.run(admin, Default::default(), drain.clone()));
        Desk { folder, queue, ids: IdSource::new(7), drain }
    }

    /// Puts a message; returns its id.
    pub(super) async fn put(&self, client: &str, to: &[&str], subject: &str, body: &[u8]) -> Id {
        let now = Clock::system().now();
        let id = self.ids.next(now);
        let mut draft = self.queue.draft();
        draft.write(body).await.expect("there is room");
        let message = NewMessage {
            id,
            received: now,
            expires: now + std::time::Duration::from_secs(86_400),
            origin: MessageOrigin {
                client: client.to_owned(),
                key: ClientKey::stored("192.0.2.1"),
                addr: [192, 0, 2, 1].into(),
                listener: "local".to_owned(),
                helo: "scanner".to_owned(),
            },
            sender: ReversePath::Address(Address::parse("scan@office.lan").expect("an address")),
            recipients: to.iter().map(|to| Address::parse(to).expect("an address")).collect(),
            head: Bytes::from(format!("From: scan@office.lan\r\nSubject: {subject}\r\n")),
            body: draft.finish().await.expect("there is room"),
            repairs: vec!["date-added".to_owned()],
            notice: false,
            lane: Lane::Normal,
            pool: "office".to_owned(),
            subject: Some(subject.to_owned()),
            message_id: Some("1@office.lan".to_owned()),
        };
        self.queue.put(message).await.expect("there is room");
        id
    }

    /// A command line for the relay of this socket.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = yizhan(arguments);
        command.arg("--data-dir").arg(self.folder.path().join("data"));
        command
    }

    /// Whether the queue has the message.
    pub(super) async fn has(&self, id: Id) -> bool {
        self.queue.show(id).await.is_ok()
    }

    pub(super) async fn state(&self, id: Id) -> MessageState {
        self.queue.show(id).await.expect("it is there").0.state
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.drain.start();
    }
}

impl MessageQueue for Recorder {
    fn draft(&self) -> BodyDraft {
        self.sound.draft()
    }
    fn put_all(&self, messages: Vec<NewMessage>) -> QueueFuture<'_, ()> {
        self.sound.put_all(messages)
    }
    fn lease(&self, now: Timestamp, request: LeaseRequest) -> QueueFuture<'_, Vec<Lease>> {
        self.sound.lease(now, request)
    }
    fn settle(&self, lease: Lease, settlement: Settlement) -> QueueFuture<'_, Settled> {
        self.sound.settle(lease, settlement)
    }
    fn hold(&self, lease: Lease, reason: String) -> QueueFuture<'_, ()> {
        self.sound.hold(lease, reason)
    }
    fn wait(&self) -> QueueFuture<'_, ()> {
        self.sound.wait()
    }
    fn first_due(&self, lines: Vec<PoolLane>) -> QueueFuture<'_, Vec<Option<Timestamp>>> {
        self.sound.first_due(lines)
    }
    fn close_lanes(&self, closed: Vec<ClosedLane>) -> QueueFuture<'_, ()> {
        self.sound.close_lanes(closed)
    }
    fn assign(&self, changes: Vec<(Id, String)>) -> QueueFuture<'_, ()> {
        self.sound.assign(changes)
    }
    fn unreported(&self, limit: usize) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.sound.unreported(limit)
    }
    fn mark_reported(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> QueueFuture<'_, ()> {
        self.sound.mark_reported(notice, ids)
    }
    fn retry(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            self.not_busy(id)?;
            if self.held.lock().unwrap().contains_key(&id) {
                return Err(QueueError::Held(id, HoldReason::Operator));
            }
            self.sound.retry(id, now).await
        })
    }
    fn hold_message(&self, id: Id, _: HoldReason, text: String) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            self.not_busy(id)?;
            let state = self.sound.show(id).await?.0.state;
            if state.is_final() {
                return Err(QueueError::WrongState(id, state));
            }
            self.held.lock().unwrap().insert(id, text);
            Ok(())
        })
    }
    fn release(&self, id: Id, _: Timestamp) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let state = self.sound.show(id).await?.0.state;
            let held = self.held.lock().unwrap().remove(&id);
            held.map(drop).ok_or(QueueError::WrongState(id, state))
        })
    }
    fn drop_message(&self, id: Id) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            self.not_busy(id)?;
            self.sound.drop_message(id).await
        })
    }
}

impl AccountStore for Recorder {
    fn add_usage(&self, usage: AccountUsage) -> QueueFuture<'_, ()> {
        self.sound.add_usage(usage)
    }
    fn usage(&self, account: String, since: Timestamp) -> QueueFuture<'_, Vec<AccountUsage>> {
        self.sound.usage(account, since)
    }
    fn save_account_state(&self, state: AccountState) -> QueueFuture<'_, ()> {
        self.sound.save_account_state(state)
    }
    fn account_states(&self) -> QueueFuture<'_, Vec<AccountState>> {
        self.sound.account_states()
    }
}

/// The part of a list after a place, with the place where the next one begins.
fn page<T>(all: Vec<T>, after: Option<SearchCursor>, limit: usize) -> (Vec<T>, Option<SearchCursor>) {
    let begin = after.map_or(0, |after| usize::from_str_radix(&after.to_string(), 16).expect("a place"));
    let end = begin + if limit == 0 { 100 } else { limit };
    let next = (end < all.len()).then(|| SearchCursor::parse(&format!("{end:x}")).expect("a place"));
    (all.into_iter().skip(begin).take(end - begin).collect(), next)
}

impl Inspection for Recorder {
    fn list(&self, filter: MessageFilter) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.sound.list(filter)
    }
    fn search(&self, search: MessageSearch) -> QueueFuture<'_, SearchPage> {
        Box::pin(async move {
            let states = MessageState::ALL.to_vec();
            let all = self.list(MessageFilter { states, limit: usize::MAX, ..MessageFilter::default() }).await?;
            let mut all: Vec<_> = all.into_iter().map(|entry| self.overlaid(entry)).collect();
            all.retain(|entry| search.fits(entry));
            if search.order == SearchOrder::NewestFirst {
                all.reverse();
            }
            let total = all.len() as u64;
            let (entries, next) = page(all, search.after, search.limit);
            Ok(SearchPage { entries, total, next })
        })
    }
    fn show(&self, id: Id) -> QueueFuture<'_, (QueueEntry, Bytes, StoredBody)> {
        Box::pin(async move {
            let (entry, head, body) = self.sound.show(id).await?;
            Ok((self.overlaid(entry), head, body))
        })
    }
    fn depth(&self) -> QueueFuture<'_, QueueDepth> {
        self.sound.depth()
    }
    fn finished_since(&self, since: Timestamp) -> QueueFuture<'_, (u64, u64)> {
        self.sound.finished_since(since)
    }
    fn bytes(&self) -> QueueFuture<'_, u64> {
        self.sound.bytes()
    }
    fn bytes_by_addr(&self) -> QueueFuture<'_, Vec<(IpAddr, u64)>> {
        self.sound.bytes_by_addr()
    }
    fn pools(&self) -> QueueFuture<'_, Vec<(String, u64)>> {
        self.sound.pools()
    }
    fn lanes(&self) -> QueueFuture<'_, Vec<(String, [u64; yizhan::mail::Lane::ALL.len()])>> {
        self.sound.lanes()
    }
}

impl AuditLog for Recorder {
    fn record_command(&self, record: AuditRecord) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            if self.full.load(Ordering::SeqCst) {
                return Err(QueueError::Full("the test".to_owned()));
            }
            self.records.lock().unwrap().push(record);
            Ok(())
        })
    }
    fn commands(&self, filter: AuditFilter) -> QueueFuture<'_, AuditPage> {
        Box::pin(async move {
            let mut all = self.records.lock().unwrap().clone();
            all.retain(|one| filter.since.is_none_or(|since| one.at >= since));
            all.retain(|one| filter.until.is_none_or(|until| one.at < until));
            all.reverse();
            let total = all.len() as u64;
            let (records, next) = page(all, filter.after, filter.limit);
            Ok(AuditPage { records, total, next })
        })
    }
}

impl Queue for Recorder {
    fn correct_times(&self, now: Timestamp, latest: Timestamp) -> QueueFuture<'_, ()> {
        self.sound.correct_times(now, latest)
    }
    fn purge(&self, now: Timestamp) -> QueueFuture<'_, bool> {
        self.sound.purge(now)
    }
    fn save_time(&self, saved: SavedTime) -> QueueFuture<'_, ()> {
        self.sound.save_time(saved)
    }
    fn check_write(&self, now: Timestamp) -> QueueFuture<'_, ()> {
        self.sound.check_write(now)
    }
    fn saved_time(&self) -> QueueFuture<'_, Option<SavedTime>> {
        self.sound.saved_time()
    }
    fn backup(&self, into: PathBuf) -> QueueFuture<'_, BackupReport> {
        let made = std::fs::File::create_new(&into).and_then(|mut file| io::Write::write_all(&mut file, b"copy"));
        let failed = |source| QueueError::Io { what: format!("cannot write {}", into.display()), source };
        let made = made.map(|()| BackupReport { messages: 3, octets: 4 }).map_err(failed);
        Box::pin(async { made })
    }
    fn close(&self) -> QueueFuture<'_, ()> {
        self.sound.close()
    }
}
