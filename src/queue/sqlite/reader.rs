//! Answers what operators ask, on a connection of its own that only reads: a long list must not delay a 250.
//!
//! The writer hands over a snapshot of its memory with the question; the tables are read after that, so an answer is never
//! older than the question. At the start of a large queue its messages are counted here, as they were before the first change.
//!
//! Invariants: nothing is written; the file that is read is the one that the writer has open; when the queue is closed the
//! reader ends at once, whatever it was asked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};

use crate::queue::{QueueError, Spool};

use super::connection::{Fault, Identity, connect_to_read, identity_of};
use super::inspection_query::{InspectionQuery, Snapshot};
use super::startup_check::{self, Survey};

/// How long the connection is kept open without a question.
const IDLE: Duration = Duration::from_secs(5);

/// What an operator asks. It is called with the tables, or with the reason why they cannot be read.
pub(super) type Inspect = Box<dyn FnOnce(Result<&InspectionQuery<'_>, QueueError>) + Send>;

/// Is called with what was counted.
pub(super) type Surveyed = Box<dyn FnOnce(Result<Survey, QueueError>) + Send>;

/// What arrives at the reader.
enum Question {
    Inspect(Inspect, Box<Snapshot>, Identity),
    /// Count everything. The channel is used once later changes are not counted any more.
    Survey(SyncSender<()>, Surveyed),
}

/// The reader, as the writer holds it. Dropping it ends the thread, in the middle of an answer too.
pub(super) struct Reader {
    folder: PathBuf,
    path: PathBuf,
    spool: Arc<Spool>,
    stop: Arc<Stop>,
    /// Started by the first question: most relays are never asked anything.
    thread: Option<(Sender<Question>, JoinHandle<()>)>,
}

/// How the thread is stopped.
#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    running: Mutex<Option<InterruptHandle>>,
}

impl Stop {
    fn running(&self) -> MutexGuard<'_, Option<InterruptHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// A reader of the database at `path` in `folder`, which has not been asked anything.
    pub(super) fn new(folder: &Path, path: PathBuf, spool: Arc<Spool>) -> Reader {
        Reader { folder: folder.to_owned(), path, spool, stop: Arc::default(), thread: None }
    }

    /// The way to the thread, which is started when it does not run.
    fn questions(&mut self) -> Result<&Sender<Question>, QueueError> {
        let thread = match self.thread.take() {
            Some(running) => running,
            None => {
                let (questions, inbox) = channel();
                let Reader { folder, path, spool, stop, .. } = &*self;
                let (folder, path, spool) = (folder.clone(), path.clone(), spool.clone());
                let work = ReaderThread { folder, path, spool, stop: stop.clone(), open: None };
                (questions, spawn("queue-reader", move || work.run(&inbox))?)
            }
        };
        Ok(&self.thread.insert(thread).0)
    }

    /// Asks about the file with this identity.
    pub(super) fn inspect(&mut self, inspect: Inspect, snapshot: Snapshot, identity: Identity) {
        match self.questions() {
            // It only fails when the thread is gone; the question is dropped with it, and that is an answer.
            Ok(questions) => drop(questions.send(Question::Inspect(inspect, Box::new(snapshot), identity))),
            Err(error) => inspect(Err(error)),
        }
    }

    /// Has everything counted that is there now. Returns once later changes are not counted any more; false when it cannot be
    /// done.
    pub(super) fn survey(&mut self, surveyed: Surveyed) -> bool {
        let (begun, begins) = sync_channel(1);
        let asked = self.questions().is_ok_and(|asks| asks.send(Question::Survey(begun, surveyed)).is_ok());
        asked && begins.recv().is_ok()
    }

    /// Set once the reader is to stop.
    pub(super) fn stop(&self) -> &AtomicBool {
        &self.stop.asked
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.asked.store(true, Ordering::Relaxed);
        let Some((questions, thread)) = self.thread.take() else { return };
        drop(questions);
        if let Some(running) = &*self.stop.running() {
            running.interrupt();
        }
        // A reader that died has answered nobody, and nothing is left to do about it.
        let _ = thread.join();
    }
}

/// What the thread owns.
struct ReaderThread {
    folder: PathBuf,
    path: PathBuf,
    spool: Arc<Spool>,
    stop: Arc<Stop>,
    open: Option<(Connection, Identity)>,
}

impl ReaderThread {
    fn run(mut self, inbox: &Receiver<Question>) {
        loop {
            let question = match self.open {
                Some(_) => inbox.recv_timeout(IDLE),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match question {
                Ok(Question::Inspect(inspect, snapshot, identity)) => self.inspect(inspect, &snapshot, identity),
                Ok(Question::Survey(begun, surveyed)) => self.survey(begun, surveyed),
                Err(RecvTimeoutError::Timeout) => self.close(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn inspect(&mut self, inspect: Inspect, snapshot: &Snapshot, identity: Identity) {
        if self.open.as_ref().is_some_and(|(_, open)| *open != identity || *open != identity_of(&self.path)) {
            self.close();
        }
        let (spool, folder, stop) = (self.spool.clone(), self.folder.clone(), self.stop.clone());
        match self.connection() {
            Ok(conn) => {
                let stop = &stop.asked;
                inspect(Ok(&InspectionQuery { conn, spool: &spool, folder: &folder, snapshot, stop }));
            }
            Err(error) => inspect(Err(error)),
        }
        if self.open.as_ref().is_some_and(|(conn, _)| !conn.is_autocommit()) {
            self.close();
        }
    }

    fn survey(&mut self, begun: SyncSender<()>, surveyed: Surveyed) {
        let read = |conn: &Connection| -> rusqlite::Result<Survey> {
            let transaction = conn.unchecked_transaction()?;
            // The first read fixes what is seen.
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            let _ = begun.send(());
            let survey = startup_check::survey(&transaction)?;
            transaction.commit()?;
            Ok(survey)
        };
        let survey = self.connection();
        let survey = survey.and_then(|conn| read(conn).map_err(|error| QueueError::Database(error.to_string())));
        drop(begun);
        surveyed(survey);
    }

    /// The connection; opened when there is none.
    fn connection(&mut self) -> Result<&Connection, QueueError> {
        if self.stop.asked.load(Ordering::Relaxed) {
            return Err(QueueError::Closed);
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let identity = identity_of(&self.path);
                let conn = connect_to_read(&self.path).map_err(|error| Fault::of(&error, &self.folder).error())?;
                *self.stop.running() = Some(conn.get_interrupt_handle());
                (conn, identity)
            }
        };
        Ok(&self.open.insert(open).0)
    }

    fn close(&mut self) {
        *self.stop.running() = None;
        self.open = None;
    }
}

/// Starts a thread of the queue.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, QueueError> {
    let thread = Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(body);
    thread.map_err(|source| QueueError::Io { what: format!("cannot start the thread {name}"), source })
}
