//! The one thread that owns the database: it collects what was asked for, commits it as one group, then answers.
//!
//! Not here: what a change writes (`change`, `settlement`), and how a group is committed (`transaction`).
//!
//! Invariants: no caller is answered `Ok` before the commit is synced. Nothing in memory (counters, leases, files) changes
//! before it either. Questions are answered after the commit of their group, so that each caller sees what was acknowledged
//! before. After a commit that failed, the connection is never used again: it is closed, a new one is opened, and what the
//! failed commit may have left behind is deleted before anything else is accepted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::clock::Timestamp;
use crate::queue::disk_reserve::DiskReserve;
use crate::queue::{
    ClosedLane, LeaseGuard, LeaseRequest, MessageState, PendingSettlement, PoolLane, QueueEntry, QueueError,
    RetentionSettings, Settled, Spool, StartupReport,
};
use crate::telemetry::counter::Counters;

use super::backup::Source;
use super::change::Done;
use super::connection::{Database, Fault};
use super::history_pace::HistoryPace;
use super::inspection_query::{InspectionQuery, Snapshot};
use super::lease_query::{Candidate, LeaseQuery, Stopped};
use super::memory::Memory;
use super::reader::{Inspect, Reader};
use super::settlement;
use super::startup_check::{self, Survey};
use super::transaction::FailedPut;
use super::write::Write;

/// The most changes in one transaction. The octets are bounded by the permits of the callers.
const GROUP: usize = 256;
/// How long to wait before a settlement that could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long nothing must happen before free pages are given back.
const IDLE: Duration = Duration::from_secs(2);
/// A scan of this many messages takes less than a millisecond.
const FEW: u64 = 256;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// What arrives at the writer.
pub(super) enum Message {
    /// A change; the permit bounds how much may wait here.
    Write(Write, Asker, OwnedSemaphorePermit),
    /// A question.
    Ask(Question),
    /// The lanes that are closed from now on. Needs no database.
    CloseLanes(Vec<ClosedLane>, Reply<()>),
    /// A lease was dropped.
    Release(u64),
    /// What was in the queue at its start.
    Surveyed(Result<Survey, QueueError>),
    /// The end.
    Close(Option<Reply<()>>),
}

/// Is called with the writer, or with the reason why it cannot answer.
pub(super) type Answer = Box<dyn FnOnce(Result<&mut Writer, QueueError>) + Send>;

/// A question, which is answered after a commit. An answer that no caller waits for is dropped, leases with it.
pub(super) struct Question {
    /// Whether the answer depends on what was in the queue at its start.
    pub(super) needs_counts: bool,
    pub(super) answer: Answer,
}

/// The caller that waits for a change.
pub(super) enum Asker {
    /// The writer itself.
    Writer,
    /// Any caller but that of `settle`.
    Change(Reply<bool>),
    /// The caller of `settle`.
    Settlement(Reply<Settled>),
    /// The caller of `settle`, which knows that the settlement is kept.
    Pending(Reply<()>),
}

/// A change on its way through a group.
pub(super) struct Job {
    pub(super) write: Write,
    asker: Asker,
    permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// A settlement could not be written and is kept: tells its caller, once, and gives the permit back.
    pub(super) fn keep(&mut self, why: QueueError) {
        self.permit = None;
        self.asker = match std::mem::replace(&mut self.asker, Asker::Writer) {
            Asker::Settlement(reply) => {
                let (pending, written) = oneshot::channel();
                let _ = reply.send(Ok(Settled::Pending(PendingSettlement { why, written })));
                Asker::Pending(pending)
            }
            other => other,
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
            Asker::Writer => {}
            Asker::Change(reply) => drop(reply.send(result)),
            Asker::Settlement(reply) => drop(reply.send(result.map(|_| Settled::Written))),
            Asker::Pending(reply) => drop(reply.send(result.map(drop))),
        }
    }
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) retention: RetentionSettings,
    pub(super) spool: Arc<Spool>,
    pub(super) memory: Memory,
    /// The lanes that no account can take from.
    pub(super) closed: HashMap<PoolLane, ClosedLane>,
    /// The last time that it was given; before that, long ago.
    pub(super) now: Timestamp,
    /// For the leases that are handed out: the way back.
    pub(super) inbox: Sender<Message>,
    /// Whether it was logged that the files of the database are missing.
    pub(super) missing: bool,
    /// Settlements that could not be written. Their messages stay leased, so that they are not sent again.
    pub(super) unsettled: Vec<Job>,
    /// What was answered with an error, although its commit may have been written.
    pub(super) failed_puts: Vec<FailedPut>,
    pub(super) due: Arc<Notify>,
    pub(super) unlink: Sender<PathBuf>,
    /// Answers what operators ask.
    pub(super) reader: Reader,
    /// Questions that wait until the queue is counted.
    pub(super) parked: Vec<Question>,
    pub(super) reserve: DiskReserve,
    /// Whether there may be free pages to give back.
    pub(super) slack: bool,
    /// When finished messages are indexed.
    pub(super) history: HistoryPace,
    /// How long commits take is counted here.
    pub(super) counters: Counters,
}

impl Writer {
    /// Works until it is closed, or every sender is gone.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        self.count_at_start();
        loop {
            let shrink = (self.slack || self.reserve.is_spent()).then_some(IDLE);
            let index = self.history.patience();
            let patience = match self.has_unwritten() {
                true => Some(AGAIN),
                false => shrink.into_iter().chain(index).min(),
            };
            let begin = Instant::now();
            let first = match inbox.try_recv() {
                Ok(first) => Ok(first),
                Err(_) if self.history.may_step() && !self.has_unwritten() => {
                    self.index_history();
                    continue;
                }
                Err(_) => match patience {
                    Some(patience) => inbox.recv_timeout(patience),
                    None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                },
            };
            match first {
                Ok(first) => {
                    self.history.note_arrival(begin.elapsed());
                    if let Some(reply) = self.work(first, inbox) {
                        return self.close(reply);
                    }
                    if self.history.may_step() {
                        self.index_history();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.has_unwritten() => self.commit(Vec::new()),
                Err(RecvTimeoutError::Timeout) if index.is_some() && index == patience => self.index_idle(),
                Err(RecvTimeoutError::Timeout) => self.shrink(),
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    /// Returns whether something must be written that no caller asks for.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unsettled.is_empty() || !self.failed_puts.is_empty()
    }

    /// Takes what has arrived, commits it, answers. `Some` when it is time to close.
    fn work(&mut self, first: Message, inbox: &Receiver<Message>) -> Option<Option<Reply<()>>> {
        let (mut jobs, mut questions, mut close) = (Vec::new(), Vec::new(), None);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(mut write, asker, permit) => {
                    if !self.retention.keep_subject {
                        write.forget_subjects();
                    }
                    jobs.push(Job { write, asker, permit: Some(permit) });
                }
                Message::Ask(question) => questions.push(question),
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
        for question in questions {
            match self.ready() {
                Ok(()) => self.answer(question),
                Err(fault) => (question.answer)(Err(fault.error())),
            }
        }
        close
    }

    /// Carries out what follows from a change that is committed or was refused, and answers.
    pub(super) fn finish(&mut self, job: Job, result: Result<Done, QueueError>) {
        match result {
            Ok(done) => {
                self.memory.apply(job.write, &done);
                for path in done.unlink {
                    let _ = self.unlink.send(path);
                }
                self.slack |= done.freed;
                let finished = done.moves.iter().filter(|change| change.to.is_some_and(MessageState::is_final)).count();
                self.history.note(finished, done.emptied);
                if done.wake {
                    self.due.notify_one();
                }
                job.asker.answer(Ok(done.more));
            }
            Err(error) => {
                // A settlement that was refused gives its message back, as a dropped lease does.
                if let Write::Settle { token, .. } | Write::Hold { token, .. } = &job.write {
                    self.release(*token);
                }
                job.refuse(error);
            }
        }
    }

    fn release(&mut self, token: u64) {
        if self.memory.release(token) {
            self.due.notify_one();
        }
    }

    /// Writes what is still unwritten, closes the database and gives the folder back.
    fn close(mut self, reply: Option<Reply<()>>) {
        if self.has_unwritten() {
            self.commit(Vec::new());
        }
        for job in &self.unsettled {
            if let Write::Settle { id, .. } = &job.write {
                tracing::error!(event = "queue_error", %id, "how the last try of this message ended could not be written; it may be sent again");
            }
        }
        // The last connection to go copies the log back into the database.
        drop(self.reader);
        let closed = self.database.close();
        if let Some(reply) = reply {
            let _ = reply.send(closed);
        }
    }

    /// Opens the database again after a failure; does nothing when it is open.
    pub(super) fn ready(&mut self) -> Result<(), Fault> {
        let undo = |conn: &Connection| FailedPut::undo(conn, &self.failed_puts);
        if !self.database.reopen(self.spool.folder(), undo)? {
            return Ok(());
        }
        for file in self.failed_puts.drain(..).filter_map(FailedPut::into_file) {
            let _ = self.unlink.send(file);
        }
        self.memory.recount(&self.database);
        self.answer_parked();
        tracing::warn!(event = "queue_reopened", path = %self.database.path().display(), "the queue's database was opened again");
        self.due.notify_one();
        Ok(())
    }

    /// Closes a connection that has failed.
    pub(super) fn abandon(&mut self) {
        self.memory.recent.clear();
        self.database.abandon();
    }

    /// Gives some free pages back to the file system, a few at a time, while nothing else is to do.
    fn shrink(&mut self) {
        self.reserve.renew();
        if !self.slack || !self.database.is_open() {
            self.slack = false;
            return;
        }
        self.slack = self.database.give_back_pages().unwrap_or_else(|error| {
            tracing::warn!(event = "queue_error", %error, "free pages could not be given back");
            self.abandon();
            false
        });
    }

    /// Counts what is stored: a small queue at once, a large one beside the work, so that new mail need not wait.
    fn count_at_start(&mut self) {
        let inbox = self.inbox.clone();
        // The writer may be gone already.
        let surveyed = Box::new(move |survey| drop(inbox.send(Message::Surveyed(survey))));
        if startup_check::is_small(&self.database.path()) || !self.reader.survey(surveyed) {
            self.memory.recount(&self.database);
        }
    }

    /// Takes in what was stored at the start, and answers the questions that have waited for it.
    fn take_survey(&mut self, survey: Result<Survey, QueueError>) {
        match survey {
            // The database was opened again meanwhile, and counted.
            _ if self.memory.counters.is_counted() => {}
            Ok(survey) if !survey.damaged => self.memory.add(survey),
            other => {
                if let Err(error) = other {
                    tracing::error!(event = "queue_error", %error, "the messages in the queue could not be counted beside the work");
                }
                let mut report = StartupReport::new();
                let mended = self.database.conn().and_then(|conn| startup_check::mend_lines(conn, &mut report));
                if let Err(error) = mended {
                    tracing::error!(event = "queue_error", %error, "damaged names could not be mended");
                }
                for sentence in report {
                    tracing::warn!(event = "queue_report", "{sentence}");
                }
                self.memory.recount(&self.database);
            }
        }
        self.answer_parked();
    }

    fn answer_parked(&mut self) {
        for question in std::mem::take(&mut self.parked) {
            self.answer(question);
        }
        self.due.notify_one();
    }

    /// Answers one question, or puts it off until the queue is counted.
    fn answer(&mut self, question: Question) {
        if question.needs_counts && !self.memory.counters.is_counted() {
            self.parked.push(question);
        } else {
            (question.answer)(Ok(self));
        }
    }

    /// Answers from the tables.
    pub(super) fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        self.database.conn().and_then(query).map_err(|error| self.failed(&error))
    }

    /// Turns an error of a question into its answer.
    fn failed(&self, error: &rusqlite::Error) -> QueueError {
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        self.database.fault(error).error()
    }

    /// See [`crate::queue::MessageQueue::lease`].
    pub(super) fn lease(&mut self, now: Timestamp, request: &LeaseRequest) -> Result<Vec<Candidate>, QueueError> {
        self.now = now;
        let mut leases = Vec::new();
        // What could not be written would be sent again after a crash, so nothing else is sent before.
        if !self.unsettled.is_empty() {
            return Ok(leases);
        }
        for lane in &request.lanes {
            let most = leases.len() + lane.limit.min(request.total.saturating_sub(leases.len()));
            // A row in quarantine was moved in a commit, which may have changed anything: the lane is read anew.
            while let Err(stopped) = self.query(|query| query.lease_lane(now, request, lane, most, &mut leases)) {
                match stopped {
                    Stopped::Failed(error) => return Err(self.failed(&error)),
                    Stopped::Unreadable(seq, reason) => self.quarantine(seq, reason),
                }
            }
        }
        Ok(leases)
    }

    /// Moves row `seq` out of the way. If not even that can be written, it is passed over from now on.
    fn quarantine(&mut self, seq: i64, reason: String) {
        tracing::error!(event = "set_aside", row = seq, %reason, "a message cannot be read and was set aside");
        self.memory.damaged.insert(seq);
        self.commit(vec![Job { write: Write::Quarantine { seq, reason }, asker: Asker::Writer, permit: None }]);
    }

    /// See [`crate::queue::MessageQueue::first_due`]; never, while nothing may be leased.
    pub(super) fn first_due(&mut self, lines: &[PoolLane]) -> Result<Vec<Option<Timestamp>>, QueueError> {
        if !self.unsettled.is_empty() {
            return Ok(vec![None; lines.len()]);
        }
        let due = self.query(|query| lines.iter().map(|line| query.first_due(line)).collect::<Result<_, _>>());
        due.map_err(|error: rusqlite::Error| self.failed(&error))
    }

    fn query<T, E: From<rusqlite::Error>>(
        &mut self,
        query: impl FnOnce(&mut LeaseQuery<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let guard = |token| {
            let inbox = self.inbox.clone();
            LeaseGuard { token, release: Some(Box::new(move || drop(inbox.send(Message::Release(token))))) }
        };
        let (spool, memory) = (&self.spool, &mut self.memory);
        query(&mut LeaseQuery { conn: self.database.conn()?, spool, memory, guard: &guard })
    }

    /// See [`crate::queue::MessageQueue::unreported`].
    pub(super) fn unreported(&self, limit: usize) -> Result<Vec<QueueEntry>, QueueError> {
        let rows = self.read(|conn| settlement::unreported(conn, limit))?;
        self.inspect_here(|query| query.and_then(|query| query.entries(rows)))
    }

    /// Hands a question of an operator to the reader. While the files are missing, only the open connection leads to them; and
    /// a `quick` one, which is asked at each start, is answered here when the queue is small: no thread is worth its memory.
    pub(super) fn inspect(&mut self, quick: bool, inspect: Inspect) {
        let counters = &self.memory.counters;
        if quick && counters.is_counted() && counters.len() <= FEW || self.database.is_missing() {
            self.inspect_here(inspect);
        } else {
            self.reader.inspect(inspect, self.snapshot(), self.database.identity());
        }
    }

    fn inspect_here<T>(&self, inspect: impl FnOnce(Result<&InspectionQuery<'_>, QueueError>) -> T) -> T {
        let (snapshot, folder, stop) = (&self.snapshot(), self.database.folder(), self.reader.stop());
        match self.database.conn() {
            Ok(conn) => inspect(Ok(&InspectionQuery { conn, spool: &self.spool, folder, snapshot, stop })),
            Err(error) => inspect(Err(self.failed(&error))),
        }
    }

    /// What a backup copies.
    pub(super) fn backup_source(&self) -> Source {
        let (folder, database) = (self.database.folder().to_owned(), self.database.path());
        Source { folder, database, identity: self.database.identity(), spool: self.spool.clone() }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { counters: self.memory.counters.clone(), closed: self.closed.clone(), now: self.now }
    }
}
