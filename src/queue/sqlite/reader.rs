//! Answers what operators ask, on a connection of its own that only reads: a long list must not hold up a 250.
//!
//! The writer makes a picture of what it knows beside the tables and hands it over with the question; the tables are read
//! after that, so an answer is never older than the question. At the start of a large queue its messages are counted here,
//! as they were before the first change.
//!
//! Invariants: nothing is written; the file that is read is the one that the writer has open; when the queue is closed the
//! reader ends at once, whatever it was asked.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, InterruptHandle, OpenFlags};

use crate::mail::Id;
use crate::queue::{MessageFilter, QueueDepth, QueueEntry, QueueError, Spool, StoredBody};

use super::fault::Fault;
use super::lookup::Reply;
use super::start::{self, Survey};
use super::view::{Picture, View};
use super::writer::{Message, database};

/// How long the connection is kept open without a question.
const IDLE: Duration = Duration::from_secs(5);

/// What operators ask.
pub(super) enum Look {
    List(MessageFilter, Reply<Vec<QueueEntry>>),
    Show(Id, Reply<(QueueEntry, Bytes, StoredBody)>),
    BytesByAddr(Reply<Vec<(IpAddr, u64)>>),
    Depth(Reply<QueueDepth>),
}

impl Look {
    /// Answers, with whatever can be read.
    pub(super) fn answer(self, view: &View<'_>) {
        match self {
            Look::List(filter, reply) => drop(reply.send(view.list(&filter))),
            Look::Show(id, reply) => drop(reply.send(view.show(id))),
            Look::BytesByAddr(reply) => drop(reply.send(view.bytes_by_addr())),
            Look::Depth(reply) => drop(reply.send(view.depth())),
        }
    }

    /// Says that the queue cannot answer.
    pub(super) fn refuse(self, error: QueueError) {
        match self {
            Look::List(_, reply) => drop(reply.send(Err(error))),
            Look::Show(_, reply) => drop(reply.send(Err(error))),
            Look::BytesByAddr(reply) => drop(reply.send(Err(error))),
            Look::Depth(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// Device and inode of a file.
type Identity = Option<(u64, u64)>;

/// What arrives at the reader.
enum Ask {
    Look(Look, Box<Picture>, Identity),
    /// Count everything. The first channel hears when later changes are not seen any more, the second what was counted.
    Survey(SyncSender<()>, Sender<Message>),
}

/// The reader, as the writer holds it. Dropping it ends the thread, in the middle of an answer too.
#[derive(Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    path: PathBuf,
    spool: Arc<Spool>,
    stop: Arc<Stop>,
    /// There once something was asked: most relays are never asked anything.
    thread: Option<(Sender<Ask>, JoinHandle<()>)>,
}

/// How the thread is stopped.
#[derive(Debug, Default)]
struct Stop {
    asked: AtomicBool,
    running: Mutex<Option<Interrupt>>,
}

/// Interrupts what a connection does.
struct Interrupt(InterruptHandle);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

impl Reader {
    /// A reader that has not been asked anything.
    pub(super) fn new(folder: &Path, spool: Arc<Spool>) -> Reader {
        let (folder, path) = (folder.to_owned(), database(folder));
        Reader { folder, path, spool, stop: Arc::default(), thread: None }
    }

    /// The way to the thread, which is started when it is not there.
    fn asks(&mut self) -> Result<&Sender<Ask>, QueueError> {
        if self.thread.is_none() {
            let (asks, inbox) = channel();
            let Reader { folder, path, spool, stop, .. } = &*self;
            let (folder, path, spool) = (folder.clone(), path.clone(), spool.clone());
            let work = Work { folder, path, spool, stop: stop.clone(), open: None };
            self.thread = Some((asks, super::spawn("queue-reader", move || work.run(&inbox))?));
        }
        Ok(&self.thread.as_ref().expect("it was started, if it was not there").0)
    }

    /// Asks for a look at the file with this identity.
    pub(super) fn look(&mut self, look: Look, picture: Picture, identity: Identity) {
        match self.asks() {
            // It only fails when the thread is gone; the question is dropped with it, and that is an answer.
            Ok(asks) => drop(asks.send(Ask::Look(look, Box::new(picture), identity))),
            Err(error) => look.refuse(error),
        }
    }

    /// Has everything counted that is there now; the answer comes to `inbox`. Returns once later changes are not counted any
    /// more; false when it cannot be done.
    pub(super) fn survey(&mut self, inbox: &Sender<Message>) -> bool {
        let (begun, begins) = sync_channel(1);
        let asked = self.asks().is_ok_and(|asks| asks.send(Ask::Survey(begun, inbox.clone())).is_ok());
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
        let Some((asks, thread)) = self.thread.take() else { return };
        drop(asks);
        if let Some(running) = &*self.stop.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.0.interrupt();
        }
        // A reader that died has answered nobody, and there is nothing left to do about it.
        let _ = thread.join();
    }
}

/// What the thread owns.
struct Work {
    folder: PathBuf,
    path: PathBuf,
    spool: Arc<Spool>,
    stop: Arc<Stop>,
    open: Option<(Connection, Identity)>,
}

impl Work {
    fn run(mut self, inbox: &Receiver<Ask>) {
        loop {
            let ask = match self.open {
                Some(_) => inbox.recv_timeout(IDLE),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match ask {
                Ok(Ask::Look(look, picture, identity)) => self.look(look, &picture, identity),
                Ok(Ask::Survey(begun, answer)) => self.survey(begun, &answer),
                Err(RecvTimeoutError::Timeout) => self.close(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn look(&mut self, look: Look, picture: &Picture, identity: Identity) {
        if self.open.as_ref().is_some_and(|(_, open)| *open != identity || *open != identity_of(&self.path)) {
            self.close();
        }
        let (spool, folder, stop) = (self.spool.clone(), self.folder.clone(), self.stop.clone());
        match self.connection() {
            Ok(conn) => look.answer(&View { conn, spool: &spool, folder: &folder, picture, stop: &stop.asked }),
            Err(error) => look.refuse(error),
        }
        if self.open.as_ref().is_some_and(|(conn, _)| !conn.is_autocommit()) {
            self.close();
        }
    }

    fn survey(&mut self, begun: SyncSender<()>, answer: &Sender<Message>) {
        let surveyed = self.connection().and_then(|conn| {
            let read = || -> rusqlite::Result<Survey> {
                let transaction = conn.unchecked_transaction()?;
                // The first read fixes what is seen.
                transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
                let _ = begun.send(());
                let survey = start::survey(&transaction)?;
                transaction.commit()?;
                Ok(survey)
            };
            read().map_err(|error| QueueError::Database(error.to_string()))
        });
        drop(begun);
        // The writer may be gone already.
        let _ = answer.send(Message::Surveyed(surveyed));
    }

    /// The connection; opened when there is none.
    fn connection(&mut self) -> Result<&Connection, QueueError> {
        if self.stop.asked.load(Ordering::Relaxed) {
            return Err(QueueError::Closed);
        }
        if self.open.is_none() {
            let identity = identity_of(&self.path);
            let conn = connect(&self.path).map_err(|error| Fault::of(&error, &self.folder).error())?;
            let handle = Some(Interrupt(conn.get_interrupt_handle()));
            *self.stop.running.lock().unwrap_or_else(PoisonError::into_inner) = handle;
            self.open = Some((conn, identity));
        }
        Ok(&self.open.as_ref().expect("it was opened, if it was not open").0)
    }

    fn close(&mut self) {
        *self.stop.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.open = None;
    }
}

fn identity_of(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Opens the database for reading.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    // One plan for each question, as the writer has it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}
