//! The one thread that owns the database: it collects what was asked for, commits it as one group, then answers.
//!
//! Not here: what a change writes (`apply`, `settle`), what a question reads (`lookup`), and what is done when a group cannot
//! be written (`commit`).
//!
//! Invariants: nobody is answered `Ok` before the commit is synced. Nothing in memory (counts, leases, files) changes
//! before it either. After a commit that failed, the connection is never used again: it is closed, a new one is opened,
//! and what the failed commit may have left behind is taken back before anything else is accepted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::clock::Timestamp;
use crate::queue::{
    ClosedLane, NewMessage, PendingSettlement, PoolLane, QueueError, RetentionSettings, Settled, Spool,
};

use super::apply::{Done, Write};
use super::fresh::Fresh;
use super::ledger::Ledger;
use super::lines::Lines;
use super::lock::Lock;
use super::lookup::{Read, Reply};
use super::reader::Reader;
use super::reserve::Reserve;
use super::revoke::Revoked;
use super::start::Survey;

/// Changes in one transaction at most. The octets are bounded by the permits of those who ask.
const GROUP: usize = 256;
/// How long to wait before a settlement that could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long nothing must happen before free pages are given back.
const IDLE: Duration = Duration::from_secs(2);

/// What arrives at the writer.
pub(super) enum Message {
    /// A change; the permit bounds how much may wait here.
    Write(Write, Asker, OwnedSemaphorePermit),
    /// A question.
    Read(Read),
    /// Lanes that are closed. Needs no database.
    CloseLanes(Vec<ClosedLane>, Reply<()>),
    /// A lease was dropped.
    Release(u64),
    /// What was in the queue at its start.
    Surveyed(Result<Survey, QueueError>),
    /// The end.
    Close(Option<Reply<()>>),
}

/// Who waits for a change.
pub(super) enum Asker {
    /// The writer itself wanted it.
    Nobody,
    /// Whoever asked for the change.
    Change(Reply<bool>),
    /// Whoever settled a lease.
    Settlement(Reply<Settled>),
    /// Whoever settled a lease, and has heard that the outcome is kept.
    Kept(Reply<()>),
}

/// A change on its way through a group.
pub(super) struct Job {
    pub(super) write: Write,
    asker: Asker,
    permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// A change of the writer's own.
    pub(super) fn own(write: Write) -> Job {
        Job { write, asker: Asker::Nobody, permit: None }
    }

    /// A settlement could not be written and is kept: says so, once, and gives the permit back.
    pub(super) fn keep(&mut self, why: QueueError) {
        self.permit = None;
        if let Asker::Settlement(_) = self.asker {
            let (written, answer) = oneshot::channel();
            if let Asker::Settlement(reply) = std::mem::replace(&mut self.asker, Asker::Kept(written)) {
                let _ = reply.send(Ok(Settled::Pending(PendingSettlement { why, written: answer })));
            }
        }
    }

    /// Answers that it was not done. First the file of a message that was refused goes, then the answer.
    pub(super) fn refuse(self, error: QueueError) {
        drop(self.write);
        self.asker.answer(Err(error));
    }
}

impl Asker {
    fn answer(self, result: Result<bool, QueueError>) {
        match self {
            Asker::Nobody => {}
            Asker::Change(reply) => drop(reply.send(result)),
            Asker::Settlement(reply) => drop(reply.send(result.map(|_| Settled::Written))),
            Asker::Kept(reply) => drop(reply.send(result.map(drop))),
        }
    }
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) settings: RetentionSettings,
    pub(super) spool: Arc<Spool>,
    pub(super) ledger: Ledger,
    pub(super) lines: Lines,
    pub(super) fresh: Fresh,
    /// Rows that are damaged, until somebody changes them: they are passed over, whatever an index says.
    pub(super) skip: HashSet<i64>,
    /// The lanes that no account can take from.
    pub(super) closed: HashMap<PoolLane, ClosedLane>,
    /// The time, as it was told last; before that, long ago.
    pub(super) now: Timestamp,
    /// For the leases that are handed out: the way back.
    pub(super) inbox: Sender<Message>,
    /// `None` after a failure, until it is opened again.
    pub(super) conn: Option<Connection>,
    /// Device and inode of the database, to notice that somebody took it away.
    pub(super) identity: Option<(u64, u64)>,
    /// It was said that the database is out of its place.
    pub(super) astray: bool,
    /// Settlements that could not be written. Their messages stay leased, so that nobody sends them again.
    pub(super) unsettled: Vec<Job>,
    /// What was answered with an error, although its commit may have got through.
    pub(super) revoked: Vec<Revoked>,
    pub(super) due: Arc<Notify>,
    pub(super) unlink: Sender<PathBuf>,
    /// Answers what operators ask.
    pub(super) reader: Reader,
    /// Questions that wait until the queue is counted.
    pub(super) parked: Vec<Read>,
    /// Whether a row has changed, rather than come, since the start.
    pub(super) changed: bool,
    pub(super) reserve: Reserve,
    /// Whether there may be free pages to give back.
    pub(super) slack: bool,
    pub(super) lock: Lock,
}

/// The database's file.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("queue.db")
}

/// Device and inode of the database.
pub(super) fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(database(folder)).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Writer {
    /// Works until it is told to close, or everybody is gone.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        self.count_at_start();
        loop {
            let idle = self.slack || self.reserve.is_spent();
            let patience = match (self.unsettled.is_empty() && self.revoked.is_empty(), idle) {
                (false, _) => Some(AGAIN),
                (true, true) => Some(IDLE),
                (true, false) => None,
            };
            let first = match patience {
                Some(patience) => inbox.recv_timeout(patience),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(first) => {
                    if let Some(reply) = self.turn(first, inbox) {
                        return self.close(reply);
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.unsettled.is_empty() && self.revoked.is_empty() => self.shrink(),
                Err(RecvTimeoutError::Timeout) => self.commit(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    /// Takes what has arrived, commits it, answers. `Some` when it is time to close.
    fn turn(&mut self, first: Message, inbox: &Receiver<Message>) -> Option<Option<Reply<()>>> {
        let (mut jobs, mut reads, mut close) = (Vec::new(), Vec::new(), None);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(write, asker, permit) => jobs.push(Job { write, asker, permit: Some(permit) }),
                Message::Read(read) => reads.push(read),
                Message::CloseLanes(closed, reply) => {
                    self.closed = closed.into_iter().map(|closed| (closed.line.clone(), closed)).collect();
                    let _ = reply.send(Ok(()));
                }
                Message::Release(token) => self.release(token),
                Message::Surveyed(survey) => self.take_survey(survey),
                Message::Close(reply) => {
                    close = Some(reply);
                    break;
                }
            }
            next = if jobs.len() < GROUP { inbox.try_recv().ok() } else { None };
        }
        if !jobs.is_empty() {
            self.commit(jobs);
        }
        for read in reads {
            match self.ready() {
                Ok(()) => self.answer(read),
                Err(fault) => read.refuse(fault.error()),
            }
        }
        close
    }

    /// Carries out what follows from a change that is committed, and answers.
    pub(super) fn finish(&mut self, job: Job, result: Result<Done, QueueError>) {
        match result {
            Ok(done) => {
                for change in &done.moves {
                    self.ledger.apply(change);
                    if change.from.is_some() {
                        self.changed = true;
                        self.lines.doubt(&change.pool, change.lane, &change.key);
                    }
                    if let Some(due) = change.due {
                        self.lines.note(&change.pool, change.lane, &change.key, due);
                    }
                }
                if let Some((now, latest)) = done.mended {
                    self.lines.forget_times();
                    self.ledger.correct_times(now, latest);
                    self.fresh.clear();
                }
                if let Some(token) = done.released {
                    self.end_lease(token, job.write.offered());
                }
                for &seq in &done.touched {
                    self.fresh.take(seq);
                    // A damaged index may go on naming a row that was set aside; without this it would be met for ever.
                    let damaged = matches!(job.write, Write::SetAside { .. } | Write::Banish { .. });
                    if damaged {
                        self.skip.insert(seq)
                    } else {
                        self.skip.remove(&seq)
                    };
                }
                for (seq, message) in done.stored.into_iter().zip(messages_of(job.write)) {
                    self.fresh.add(seq, kept(message));
                }
                for path in done.unlink {
                    let _ = self.unlink.send(path);
                }
                self.slack |= done.freed;
                if done.wake {
                    self.due.notify_one();
                }
                job.asker.answer(Ok(done.more));
            }
            Err(error) => {
                // A settlement that was refused gives its message back, as a dropped lease does.
                if let Write::Settle { token, .. } | Write::SetAside { token, .. } = &job.write {
                    self.release(*token);
                }
                job.refuse(error);
            }
        }
    }

    /// The connection, for those who have called [`Writer::ready`].
    pub(super) fn conn(&self) -> rusqlite::Result<&Connection> {
        let lost = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), None);
        self.conn.as_ref().ok_or_else(lost)
    }

    /// Writes what is still unwritten, closes the database and gives the folder back.
    fn close(mut self, reply: Option<Reply<()>>) {
        if !self.unsettled.is_empty() || !self.revoked.is_empty() {
            self.commit(Vec::new());
        }
        for job in &self.unsettled {
            if let Write::Settle { id, .. } = &job.write {
                tracing::error!(event = "queue_error", %id, "how the last try of this message ended could not be written; it may be sent again");
            }
        }
        // The last connection to go copies the log back into the database.
        drop(self.reader);
        let closed = self.conn.take().map_or(Ok(()), |conn| conn.close().map_err(|(_, error)| error));
        drop(self.lock);
        if let Some(reply) = reply {
            let _ = reply.send(closed.map_err(|error| QueueError::Database(error.to_string())));
        }
    }
}

/// The messages that a change stores, in the order of [`Done::stored`].
fn messages_of(write: Write) -> Vec<NewMessage> {
    match write {
        Write::Put(messages) => messages.into_iter().map(|(message, _)| message).collect(),
        Write::Settle { settlement, .. } => settlement.notice.into_iter().map(|notice| *notice).collect(),
        Write::Tell { notice, .. } => notice.into_iter().map(|notice| *notice).collect(),
        Write::Retry(..)
        | Write::Drop(_)
        | Write::MendTimes { .. }
        | Write::Purge { .. }
        | Write::Assign(_)
        | Write::Spend(_)
        | Write::Remember(_)
        | Write::SaveTime(_)
        | Write::SetAside { .. }
        | Write::Banish { .. } => Vec::new(),
    }
}

/// From now on a row names the file.
fn kept(mut message: NewMessage) -> NewMessage {
    message.body.keep();
    message
}
