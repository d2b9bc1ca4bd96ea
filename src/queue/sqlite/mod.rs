//! The embedded queue: SQLite for everything small, a spool folder for long bodies, one thread that writes.
//!
//! Not here: what the promises are (`queue`), how bodies arrive (`queue::body`). This file is the handle that tasks hold; it
//! sends what they ask to the writer's thread and waits.
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
//! What operators ask is answered by one more thread, which only reads (`reader`); a backup has another one (`backup`), for
//! whose end the unlinker waits.
//!
//! Invariants: one connection that writes, and one thread that uses it; at most 8 MB wait to be written; a body file is
//! unlinked only after the commit that no longer needs it, and never on the writer's thread.

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::telemetry::counter::Counters;

use super::disk_reserve::DiskReserve;
use super::{
    BackupReport, BodyDraft, ClosedLane, HoldReason, LONGEST_HOLD_TEXT, Lease, LeaseRequest, MessageQueue, NewMessage,
    PoolLane, Queue, QueueEntry, QueueError, QueueFuture, RetentionSettings, SavedTime, Settled, Settlement, Spool,
    StartupReport,
};

mod answers;
mod backup;
mod change;
mod command_log;
mod connection;
mod held;
mod history_index;
mod history_pace;
mod history_search;
mod inspection_query;
mod lease_query;
mod memory;
mod reader;
mod rows;
mod schema;
mod settlement;
mod startup_check;
mod transaction;
mod unlink;
mod write;
mod writer;

use connection::{Database, explain};
use history_pace::HistoryPace;
use inspection_query::InspectionQuery;
use lease_query::Candidate;
use memory::Memory;
use reader::{Inspect, Reader, spawn};
use unlink::{BackupGate, unlinker};
use write::Write;
use writer::{Asker, Message, Question, Reply, Writer};

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
    gate: Arc<BackupGate>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteQueue {
    /// Opens the queue in the folder `data_dir`, which is made when it is missing, and returns what was found wrong there.
    ///
    /// Takes a few milliseconds, however much is queued. Blocks.
    ///
    /// # Errors
    /// [`QueueError::InUse`], [`QueueError::Unusable`], [`QueueError::Full`], [`QueueError::Io`]. Nothing in the queue is
    /// changed then.
    pub fn open(data_dir: &Path, retention: RetentionSettings) -> Result<(SqliteQueue, StartupReport), QueueError> {
        SqliteQueue::open_counted(data_dir, retention, Counters::default())
    }

    /// As [`SqliteQueue::open`]; how long its commits take is counted in `counters`.
    ///
    /// # Errors
    /// As [`SqliteQueue::open`].
    pub fn open_counted(
        data_dir: &Path,
        retention: RetentionSettings,
        counters: Counters,
    ) -> Result<(SqliteQueue, StartupReport), QueueError> {
        let spool = Arc::new(Spool::new(data_dir.join("spool"), random()));
        let (database, was_empty) = Database::open(data_dir, spool.folder())?;
        let path = database.path();
        let mut report = StartupReport::new();
        if was_empty {
            report.push(format!("{} was empty; a new queue was begun", path.display()));
        }
        let order = |conn: &Connection| -> rusqlite::Result<()> {
            // A large one is checked later, beside the work.
            if startup_check::is_small(&path) {
                startup_check::mend_lines(conn, &mut report)?;
            }
            startup_check::put_in_order(conn, &spool, &mut report)
        };
        database.conn().and_then(order).map_err(|error| explain(&error, &path))?;

        let (inbox, messages) = channel();
        let (unlink, paths) = channel();
        let due = Arc::new(Notify::new());
        let writer = Writer {
            database,
            retention,
            spool: spool.clone(),
            memory: Memory::new(random()),
            closed: Default::default(),
            now: Timestamp::from_millis(i64::MIN),
            inbox: inbox.clone(),
            missing: false,
            unsettled: Vec::new(),
            failed_puts: Vec::new(),
            due: due.clone(),
            unlink,
            reader: Reader::new(data_dir, path, spool.clone()),
            parked: Vec::new(),
            reserve: DiskReserve::take(data_dir, spool.clone()),
            slack: false,
            history: HistoryPace::new(),
            counters,
        };
        let closed = Arc::new(AtomicBool::new(false));
        let end = End { closed: closed.clone(), due: due.clone() };
        let gate = Arc::new(BackupGate::default());
        let threads = vec![
            spawn("queue-writer", move || {
                let _end = end;
                writer.run(&messages);
            })?,
            spawn("queue-unlink", unlinker(paths, gate.clone()))?,
        ];
        let room = Arc::new(Semaphore::new(ROOM));
        Ok((SqliteQueue { inbox, room, due, spool, closed, gate, threads: Mutex::new(threads) }, report))
    }

    /// Waits until there is room for a change.
    async fn room_for(&self, write: &Write) -> Result<OwnedSemaphorePermit, QueueError> {
        let units = (write.octets() / UNIT + 1).min(ROOM) as u32;
        self.room.clone().acquire_many_owned(units).await.map_err(|_| QueueError::Closed)
    }

    /// Sends a change to the writer and waits for its commit. The value is that of [`Queue::purge`].
    async fn change(&self, write: Write) -> Result<bool, QueueError> {
        let permit = self.room_for(&write).await?;
        self.send(|reply| Message::Write(write, Asker::Change(reply), permit)).await
    }

    /// As [`SqliteQueue::change`], for a change without a value.
    fn write(&self, write: Write) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.change(write).await.map(drop) })
    }

    async fn send<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, QueueError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(QueueError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// Asks the writer; `needs_counts`: whether the answer depends on what was in the queue at its start.
    fn ask<T: Send + 'static>(
        &self,
        needs_counts: bool,
        question: impl FnOnce(&mut Writer) -> Result<T, QueueError> + Send + 'static,
    ) -> QueueFuture<'_, T> {
        Box::pin(self.send(move |reply| {
            let answer = Box::new(move |writer: Result<&mut Writer, QueueError>| {
                let _ = reply.send(writer.and_then(question));
            });
            Message::Ask(Question { needs_counts, answer })
        }))
    }

    /// Asks the writer for something that it reads from the tables.
    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> QueueFuture<'_, T> {
        self.ask(false, |writer| writer.read(query))
    }

    /// Asks the reader, by way of the writer; `quick`: whether the writer may answer when the queue is small.
    fn inspect<T: Send + 'static>(
        &self,
        needs_counts: bool,
        quick: bool,
        question: impl FnOnce(&InspectionQuery<'_>) -> Result<T, QueueError> + Send + 'static,
    ) -> QueueFuture<'_, T> {
        Box::pin(self.send(move |reply| {
            let inspect: Inspect = Box::new(move |query: Result<&InspectionQuery<'_>, QueueError>| {
                let _ = reply.send(query.and_then(question));
            });
            let answer = Box::new(move |writer: Result<&mut Writer, QueueError>| match writer {
                Ok(writer) => writer.inspect(quick, inspect),
                Err(error) => inspect(Err(error)),
            });
            Message::Ask(Question { needs_counts, answer })
        }))
    }

    /// Hands a lease out, unless its content is damaged: then it is held, and `None` is returned (A-085, A-086).
    async fn checked(&self, (lease, sum): Candidate) -> Result<Option<Lease>, QueueError> {
        let Some(sum) = sum else { return Ok(Some(lease)) };
        let addresses = lease.entry.recipients.iter().map(|r| &r.address);
        let actual = rows::checksum(&lease.entry.id, &lease.entry.sender, addresses, &lease.head, &lease.body);
        let sound = match lease.body.spool_file() {
            _ if actual != sum => Err("the checksum of its envelope and content is wrong".to_owned()),
            None => Ok(()),
            Some(file) => {
                let file = file.again();
                // A task that dies proves nothing about the file; the next reader will.
                spawn_blocking(move || file.verify()).await.unwrap_or(Ok(()))
            }
        };
        let Err(reason) = sound else { return Ok(Some(lease)) };
        self.hold(lease, reason).await.map(|()| None)
    }

    fn join(&self) {
        // Poisoned or not, the list is whole: nothing panics while it is held.
        let mut threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Marks the queue as closed when the writer ends: after a panic, too, no caller may wait for it.
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

impl MessageQueue for SqliteQueue {
    fn draft(&self) -> BodyDraft {
        BodyDraft::new(self.spool.clone())
    }

    fn put_all(&self, messages: Vec<NewMessage>) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let sums: Vec<u32> = messages.iter().map(rows::checksum_new).collect();
            self.change(Write::Put(messages.into_iter().zip(sums).collect())).await.map(drop)
        })
    }

    fn lease(&self, now: Timestamp, request: LeaseRequest) -> QueueFuture<'_, Vec<Lease>> {
        Box::pin(async move {
            let candidates = self.ask(true, move |writer| writer.lease(now, &request)).await?;
            let mut leases = Vec::with_capacity(candidates.len());
            for candidate in candidates {
                leases.extend(self.checked(candidate).await?);
            }
            Ok(leases)
        })
    }

    fn settle(&self, mut lease: Lease, settlement: Settlement) -> QueueFuture<'_, Settled> {
        Box::pin(async move {
            let (id, token) = (lease.entry.id, lease.guard.token);
            let notice_sum = settlement.notice.as_deref().map_or(0, rows::checksum_new);
            let write = Write::Settle { id, token, settlement: Box::new(settlement), notice_sum };
            let permit = self.room_for(&write).await?;
            // From here on the writer ends the lease. Before, a call that is given up still gives it back.
            drop(lease.guard.release.take());
            self.send(|reply| Message::Write(write, Asker::Settlement(reply), permit)).await
        })
    }

    fn hold(&self, lease: Lease, reason: String) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            tracing::error!(event = "set_aside", id = %lease.entry.id, %reason, "a message is damaged; it is held and not sent");
            // The lease must not end before the message is held.
            self.change(Write::Hold { token: lease.guard.token, reason }).await.map(|_| drop(lease))
        })
    }

    fn wait(&self) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            if !self.closed.load(Ordering::SeqCst) {
                self.due.notified().await;
            }
            if self.closed.load(Ordering::SeqCst) {
                // The next waiter must learn it as well.
                self.due.notify_one();
                return Err(QueueError::Closed);
            }
            Ok(())
        })
    }

    fn first_due(&self, lines: Vec<PoolLane>) -> QueueFuture<'_, Vec<Option<Timestamp>>> {
        self.ask(true, move |writer| writer.first_due(&lines))
    }

    fn close_lanes(&self, closed: Vec<ClosedLane>) -> QueueFuture<'_, ()> {
        Box::pin(self.send(|reply| Message::CloseLanes(closed, reply)))
    }

    fn assign(&self, changes: Vec<(Id, String)>) -> QueueFuture<'_, ()> {
        self.write(Write::Assign(changes))
    }

    fn unreported(&self, limit: usize) -> QueueFuture<'_, Vec<QueueEntry>> {
        self.ask(false, move |writer| writer.unreported(limit))
    }

    fn mark_reported(&self, notice: Option<NewMessage>, ids: Vec<Id>) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let notice_sum = notice.as_ref().map_or(0, rows::checksum_new);
            self.change(Write::MarkReported { notice: notice.map(Box::new), notice_sum, ids }).await.map(drop)
        })
    }

    fn retry(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        self.write(Write::Retry(id, now))
    }

    fn hold_message(&self, id: Id, reason: HoldReason, mut text: String) -> QueueFuture<'_, ()> {
        text.truncate(text.floor_char_boundary(LONGEST_HOLD_TEXT));
        self.write(Write::HoldMessage(id, reason, text))
    }

    fn release(&self, id: Id, now: Timestamp) -> QueueFuture<'_, ()> {
        self.write(Write::Release(id, now))
    }

    fn drop_message(&self, id: Id) -> QueueFuture<'_, ()> {
        self.write(Write::Drop(id))
    }
}

impl Queue for SqliteQueue {
    fn correct_times(&self, now: Timestamp, latest: Timestamp) -> QueueFuture<'_, ()> {
        self.write(Write::CorrectTimes { now, latest })
    }

    fn purge(&self, now: Timestamp) -> QueueFuture<'_, bool> {
        Box::pin(self.change(Write::Purge { now, usage: true }))
    }

    fn check_write(&self, now: Timestamp) -> QueueFuture<'_, ()> {
        self.write(Write::Check(now))
    }

    fn save_time(&self, saved: SavedTime) -> QueueFuture<'_, ()> {
        self.write(Write::SaveTime(saved))
    }

    fn saved_time(&self) -> QueueFuture<'_, Option<SavedTime>> {
        self.read(settlement::saved_time)
    }

    fn backup(&self, into: PathBuf) -> QueueFuture<'_, BackupReport> {
        Box::pin(async move {
            let source = self.ask(false, |writer| Ok(writer.backup_source())).await?;
            backup::run(&self.gate, source, into).await
        })
    }

    fn close(&self) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            if self.closed.swap(true, Ordering::SeqCst) {
                return Err(QueueError::Closed);
            }
            self.gate.close_from_task().await;
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

impl Drop for SqliteQueue {
    fn drop(&mut self) {
        self.gate.close();
        // After close() no thread listens any more, and nothing is left to do.
        let _ = self.inbox.send(Message::Close(None));
        self.join();
    }
}
