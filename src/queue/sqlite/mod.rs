//! The embedded queue: SQLite for everything small, a spool folder for long bodies, one thread that writes.
//!
//! Not here: what the promises are (`queue`), how bodies arrive (`queue::body`). This file is the handle that tasks
//! hold; it checks nothing and writes nothing itself, it asks the writer's thread and waits.
//!
//! ```text
//!  put, settle, retry ...        lease, list, depth ...
//!        | permit (8 MB)               |
//!        v                             v
//!   +--------------------------------------+   commit   +-----------+
//!   | writer: group -> savepoints -> fsync |----------->| queue.db  |
//!   |         then: answers, leases, files |            +-----------+
//!   +------------------+-------------------+
//!                      | after the commit               +-----------+
//!                      +---- unlinker ----------------->| spool/xx/ |
//!                                                       +-----------+
//! ```
//!
//! What operators ask is answered by one more thread, which only reads (`reader`).
//!
//! Invariants: one connection that writes, and one thread that uses it; at most 8 MB wait to be written; a body file is unlinked only
//! after the commit that let go of it, and never on the writer's thread.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::clock::Timestamp;
use crate::mail::Id;

use super::{
    AccountState, AccountStore, AccountUsage, BodyDraft, ClosedLane, Inspection, Lease, LeaseRequest, MessageFilter,
    MessageQueue, NewMessage, PoolLane, Queue, QueueDepth, QueueEntry, QueueError, QueueFuture, RetentionSettings,
    SavedTime, Settled, Settlement, Spool, StartupReport, StoredBody, folder,
};

mod accounts;
mod apply;
mod astray;
mod commit;
mod fault;
mod fresh;
mod group;
mod lease;
mod ledger;
mod lines;
mod lock;
mod lookup;
mod reader;
mod reserve;
mod revoke;
mod rows;
mod schema;
mod settle;
mod start;
mod upkeep;
mod view;
mod writer;

use apply::Write;
use lease::Candidate;
use lookup::{Read, Reply};
use reader::{Look, Reader};
use writer::{Asker, Message, Writer};

/// Room for what waits to be written, in units of 4 KiB: 8 MB.
const ROOM: usize = 2048;
const UNIT: usize = 4096;

/// The embedded queue. Dropping it closes it, and blocks until the writer is done.
#[derive(Debug)]
pub struct SqliteQueue {
    inbox: Sender<Message>,
    room: Arc<Semaphore>,
    due: Arc<Notify>,
    spool: Arc<Spool>,
    closed: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteQueue {
    /// Opens the queue in the folder `data_dir`, which is made when it is missing, and says what was found wrong there.
    ///
    /// Takes a few milliseconds, however much is queued. Blocks.
    ///
    /// # Errors
    /// [`QueueError::InUse`], [`QueueError::Unusable`], [`QueueError::Full`], [`QueueError::Io`]. Nothing that was there is changed then.
    pub fn open(data_dir: &Path, settings: RetentionSettings) -> Result<(SqliteQueue, StartupReport), QueueError> {
        folder::make(data_dir)?;
        let lock = lock::Lock::take(data_dir)?;
        let spool = Arc::new(Spool::new(data_dir.join("spool"), random()));
        folder::refuse_link(spool.folder())?;
        folder::make(spool.folder())?;
        let path = writer::database(data_dir);
        let existed = path.exists();
        let (conn, empty) = schema::connect(&path)?;
        let mut report = StartupReport::new();
        if empty && existed {
            report.push(format!("{} was empty; a new queue was begun", path.display()));
        }
        let mut order = || -> rusqlite::Result<()> {
            // A large one is looked through later, beside the work.
            if upkeep::is_small(&path) {
                start::check_lines(&conn, &mut report)?;
            }
            start::put_in_order(&conn, &spool, &mut report)
        };
        order().map_err(|error| schema::explain(&error, &path))?;
        // The writer counts what is there before its first answer; nobody has to wait for that here.
        let ledger = ledger::Ledger::new(random());

        let (inbox, messages) = channel();
        let (unlink, paths) = channel();
        let due = Arc::new(Notify::new());
        let writer = Writer {
            folder: data_dir.to_owned(),
            settings,
            spool: spool.clone(),
            ledger,
            lines: lines::Lines::default(),
            fresh: fresh::Fresh::default(),
            skip: std::collections::HashSet::new(),
            closed: std::collections::HashMap::new(),
            now: Timestamp::from_millis(i64::MIN),
            inbox: inbox.clone(),
            conn: Some(conn),
            identity: writer::identity(data_dir),
            astray: false,
            unsettled: Vec::new(),
            revoked: Vec::new(),
            due: due.clone(),
            unlink,
            reader: Reader::new(data_dir, spool.clone()),
            parked: Vec::new(),
            changed: false,
            reserve: reserve::Reserve::take(data_dir, spool.clone()),
            slack: false,
            lock,
        };
        let closed = Arc::new(AtomicBool::new(false));
        let end = End { closed: closed.clone(), due: writer.due.clone() };
        let threads = vec![
            spawn("queue-writer", move || {
                let _end = end;
                writer.run(&messages);
            })?,
            spawn("queue-unlink", move || unlink_all(&paths))?,
        ];
        let room = Arc::new(Semaphore::new(ROOM));
        let threads = Mutex::new(threads);
        Ok((SqliteQueue { inbox, room, due, spool, closed, threads }, report))
    }

    /// Sends a change to the writer and waits for its commit. `octets` is what it keeps in memory until then.
    async fn change(&self, write: Write, octets: usize) -> Result<bool, QueueError> {
        let units = (octets / UNIT + 1).min(ROOM) as u32;
        let permit = self.room.clone().acquire_many_owned(units).await.map_err(|_| QueueError::Closed)?;
        self.ask(|reply| Message::Write(write, Asker::Change(reply), permit)).await
    }

    async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, QueueError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(QueueError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// Hands a lease out, unless its content is damaged: then it is set aside, and `None` (A-085, A-086).
    async fn checked(&self, (lease, sum): Candidate) -> Result<Option<Lease>, QueueError> {
        let Some(sum) = sum else { return Ok(Some(lease)) };
        let addresses = lease.entry.recipients.iter().map(|r| &r.address);
        let actual = rows::checksum(&lease.entry.id, &lease.entry.sender, addresses, &lease.head, &lease.body);
        let verdict = match lease.body.spool_file() {
            _ if actual != sum => Err("the checksum of its envelope and content is wrong".to_owned()),
            None => Ok(()),
            Some(file) => {
                let file = file.again();
                // A task that dies says nothing about the file; whoever reads it will see.
                spawn_blocking(move || file.verify()).await.unwrap_or(Ok(()))
            }
        };
        let Err(reason) = verdict else { return Ok(Some(lease)) };
        self.set_aside(lease, reason).await.map(|()| None)
    }

    async fn set_aside(&self, lease: Lease, reason: String) -> Result<(), QueueError> {
        tracing::error!(event = "set_aside", id = %lease.entry.id, %reason, "a message is damaged; it is held and not sent");
        self.change(Write::SetAside { token: lease.guard.token, reason }, 0).await.map(drop)
    }

    fn join(&self) {
        // Poisoned or not, the list is whole: nothing panics while it is held.
        let mut threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Says that the writer is gone, however it went: after a panic nobody may wait for it.
struct End {
    closed: Arc<AtomicBool>,
    due: Arc<Notify>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.due.notify_one();
    }
}

/// A number that differs from run to run.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, QueueError> {
    let thread = Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(body);
    thread.map_err(|source| QueueError::Io { what: format!("cannot start the thread {name}"), source })
}

/// Unlinks files until the writer is gone. What cannot be unlinked is swept at the next start.
fn unlink_all(paths: &Receiver<PathBuf>) {
    for path in paths {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(event = "queue_error", path = %path.display(), %error, "the body of a message that is gone could not be deleted");
        }
    }
}

impl MessageQueue for SqliteQueue {
    fn draft(&self) -> BodyDraft {
        BodyDraft::new(self.spool.clone())
    }

    fn put_all(&self, messages: Vec<NewMessage>) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let octets = messages.iter().map(octets_of).sum();
            let sums: Vec<u32> = messages.iter().map(rows::checksum_new).collect();
            self.change(Write::Put(messages.into_iter().zip(sums).collect()), octets).await.map(drop)
        })
    }

    fn lease(&self, now: Timestamp, request: LeaseRequest) -> QueueFuture<'_, Vec<Lease>> {
        Box::pin(async move {
            let candidates = self.ask(|reply| Message::Read(Read::Lease(now, request, reply))).await?;
            let mut leases = Vec::with_capacity(candidates.len());
            for candidate in candidates {
                leases.extend(self.checked(candidate).await?);
            }
            Ok(leases)
        })
    }

    fn settle(&self, mut lease: Lease, settlement: Settlement) -> QueueFuture<'_, Settled> {
        Box::pin(async move {
            let octets = settlement.notice.as_deref().map_or(0, octets_of);
            let notice_sum = settlement.notice.as_deref().map_or(0, rows::checksum_new);
            let (id, token) = (lease.entry.id, lease.guard.token);
            let write = Write::Settle { id, token, settlement: Box::new(settlement), notice_sum };
            let units = (octets / UNIT + 1).min(ROOM) as u32;
            let permit = self.room.clone().acquire_many_owned(units).await.map_err(|_| QueueError::Closed)?;
            // From here on the writer ends the lease. Before, a call that is given up still gives it back.
            drop(lease.guard.release.take());
            self.ask(|reply| Message::Write(write, Asker::Settlement(reply), permit)).await
        })
    }

    fn hold(&self, lease: Lease, reason: String) -> QueueFuture<'_, ()> {
        Box::pin(self.set_aside(lease, reason))
    }

    fn wait(&self) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            if !self.closed.load(Ordering::SeqCst) {
                self.due.notified().await;
            }
            if self.closed.load(Ordering::SeqCst) {
                // Whoever waits beside us is to hear it as well.
                self.due.notify_one();
                return Err(QueueError::Closed);
            }
            Ok(())
        })
    }

    fn first_due(&self, lines: Vec<PoolLane>) -> QueueFuture<'_, Vec<Option<Timestamp>>> {
        Box::pin(self.ask(|reply| Message::Read(Read::FirstDue(lines, reply))))
    }

    fn close_lanes(&self, closed: Vec<ClosedLane>) -> QueueFuture<'_, ()> {
        Box::pin(self.ask(|reply| Message::CloseLanes(closed, reply)))
    }

    fn assign(&self, changes: Vec<(Id, String)>) -> QueueFuture<'_, ()> {
        let octets = changes.iter().map(|(id, pool)| id.as_str().len() + pool.len()).sum();
        Box::pin(async move { self.change(Write::Assign(changes), octets).await.map(drop) })
    }

    fn unreported(&self, limit: usize) -> QueueFuture<'_, Vec<QueueEntry>> {
        Box::pin(self.ask(move |reply| Message::Read(Read::Untold(limit, reply))))
    }

    fn mark_reported(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let octets = notice.as_ref().map_or(0, octets_of);
            let sum = notice.as_ref().map_or(0, rows::checksum_new);
            self.change(Write::Tell { notice: notice.map(Box::new), sum, ids }, octets).await.map(drop)
        })
    }

    fn retry(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(Write::Retry(id, now), 0).await.map(drop) })
    }

    fn drop_message(&self, id: Id) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(Write::Drop(id), 0).await.map(drop) })
    }
}

impl AccountStore for SqliteQueue {
    fn add_usage(&self, usage: AccountUsage) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(Write::Spend(usage), 0).await.map(drop) })
    }

    fn usage(&self, account: String, since: Timestamp) -> QueueFuture<'_, Vec<AccountUsage>> {
        Box::pin(self.ask(move |reply| Message::Read(Read::Usage(account, since, reply))))
    }

    fn save_account_state(&self, state: AccountState) -> QueueFuture<'_, ()> {
        let octets = state.state.len();
        Box::pin(async move { self.change(Write::Remember(state), octets).await.map(drop) })
    }

    fn account_states(&self) -> QueueFuture<'_, Vec<AccountState>> {
        Box::pin(self.ask(|reply| Message::Read(Read::Recall(reply))))
    }
}

impl Inspection for SqliteQueue {
    fn list(&self, filter: MessageFilter) -> QueueFuture<'_, Vec<QueueEntry>> {
        Box::pin(self.ask(|reply| Message::Read(Read::Look(Look::List(filter, reply)))))
    }

    fn show(&self, id: Id) -> QueueFuture<'_, (QueueEntry, Bytes, StoredBody)> {
        Box::pin(self.ask(move |reply| Message::Read(Read::Look(Look::Show(id, reply)))))
    }

    fn depth(&self) -> QueueFuture<'_, QueueDepth> {
        Box::pin(self.ask(|reply| Message::Read(Read::Look(Look::Depth(reply)))))
    }

    fn bytes(&self) -> QueueFuture<'_, u64> {
        Box::pin(self.ask(|reply| Message::Read(Read::Bytes(reply))))
    }

    fn bytes_by_addr(&self) -> QueueFuture<'_, Vec<(IpAddr, u64)>> {
        Box::pin(self.ask(|reply| Message::Read(Read::Look(Look::BytesByAddr(reply)))))
    }

    fn pools(&self) -> QueueFuture<'_, Vec<(String, u64)>> {
        Box::pin(self.ask(|reply| Message::Read(Read::Pools(reply))))
    }
}

impl Queue for SqliteQueue {
    fn correct_times(&self, now: Timestamp, latest: Timestamp) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(Write::MendTimes { now, latest }, 0).await.map(drop) })
    }

    fn purge(&self, now: Timestamp) -> QueueFuture<'_, bool> {
        Box::pin(self.change(Write::Purge { now, usage: true }, 0))
    }

    fn save_time(&self, saved: SavedTime) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(Write::SaveTime(saved), 0).await.map(drop) })
    }

    fn saved_time(&self) -> QueueFuture<'_, Option<SavedTime>> {
        Box::pin(self.ask(|reply| Message::Read(Read::SavedTime(reply))))
    }

    fn close(&self) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            if self.closed.swap(true, Ordering::SeqCst) {
                return Err(QueueError::Closed);
            }
            let (reply, answer) = oneshot::channel();
            self.inbox.send(Message::Close(Some(reply))).map_err(|_| QueueError::Closed)?;
            let closed = answer.await.map_err(|_| QueueError::Closed)?;
            // What is still waiting for room would wait for ever.
            self.room.close();
            self.due.notify_one();
            // The writer has answered, so this is a moment: the unlinker empties its list.
            self.join();
            closed
        })
    }
}

/// What a new message keeps in memory.
fn octets_of(message: &NewMessage) -> usize {
    message.head.len() + message.body.in_memory().map_or(0, Bytes::len)
}

impl Drop for SqliteQueue {
    fn drop(&mut self) {
        // After close() nobody listens any more, and nothing is left to do.
        let _ = self.inbox.send(Message::Close(None));
        self.join();
    }
}
