//! How the writer looks after its connection: counting at the start, opening again after a failure, giving space back.
//!
//! Not here: what is asked of it (`writer`). Invariant: a connection that has failed is closed before another is opened.

use std::path::Path;

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Lane};
use crate::queue::{QueueError, StartupReport, folder};

use super::fault::Fault;
use super::lock::Lock;
use super::revoke::take_back;
use super::start::Survey;
use super::writer::{Writer, database, identity};
use super::{schema, start};

/// Free pages that are left alone: they will be used again soon.
const SPARE_PAGES: i64 = 1024;

/// A database of up to so many octets is counted before the first change; that takes some milliseconds.
const SMALL: u64 = 32 * 1024 * 1024;

/// Whether the database is looked through before the first change.
pub(super) fn is_small(path: &Path) -> bool {
    path.metadata().map_or(true, |file| file.len() <= SMALL)
}

impl Writer {
    /// Counts what is there: a small queue at once, a large one beside the work, so that new mail need not wait for that.
    pub(super) fn count_at_start(&mut self) {
        if !is_small(&database(&self.folder)) && self.reader.survey(&self.inbox) {
            return;
        }
        self.recount();
    }

    /// Takes in what was there at the start, and answers those who have waited for it.
    pub(super) fn take_survey(&mut self, survey: Result<Survey, QueueError>) {
        match survey {
            // It was opened anew meanwhile, and counted.
            _ if self.ledger.is_counted() => {}
            Ok(survey) if !survey.damaged => {
                self.ledger.add(survey.counts);
                for (pool, lane, key, due) in survey.clients {
                    self.lines.note(&pool, lane, &key, Timestamp::from_millis(due));
                }
                if self.changed {
                    self.lines.forget_times();
                }
            }
            other => {
                if let Err(error) = other {
                    tracing::error!(event = "queue_error", %error, "the messages in the queue could not be counted beside the work");
                }
                let mut report = StartupReport::new();
                let mended = self.conn().and_then(|conn| start::check_lines(conn, &mut report));
                if let Err(error) = mended {
                    tracing::error!(event = "queue_error", %error, "damaged names could not be mended");
                }
                for sentence in report {
                    tracing::warn!(event = "queue_report", "{sentence}");
                }
                self.recount();
            }
        }
        self.answer_parked();
    }

    /// Answers what had to wait until the queue was counted.
    fn answer_parked(&mut self) {
        for read in std::mem::take(&mut self.parked) {
            self.answer(read);
        }
        self.due.notify_one();
    }

    /// Counts what is in the tables. An index that cannot be read makes the numbers wrong, not the queue useless.
    pub(super) fn recount(&mut self) {
        match self.conn().and_then(start::count) {
            Ok(counts) => self.ledger.recount(counts),
            Err(error) => {
                tracing::error!(event = "queue_error", %error, "the messages in the queue could not be counted");
                // Whatever waits for the counts must not wait for ever.
                self.ledger.add([]);
            }
        }
        match self.conn().and_then(start::clients) {
            Ok(clients) => self.refill(clients),
            Err(error) => {
                tracing::error!(event = "queue_error", %error, "the clients that wait could not be read");
            }
        }
    }

    /// Takes in which clients wait. Leases outlive the connection under which they were given.
    fn refill(&mut self, clients: Vec<(String, Lane, ClientKey, i64)>) {
        self.lines.clear();
        for (pool, lane, key, due) in clients {
            self.lines.note(&pool, lane, &key, Timestamp::from_millis(due));
        }
        for leased in self.ledger.all_leased() {
            self.lines.restore(&leased.pool, leased.lane, &leased.key);
        }
    }

    /// Gives the connection up. Closing it first makes SQLite drop the frames of a commit that failed.
    pub(super) fn abandon(&mut self) {
        self.fresh.clear();
        if let Some(conn) = self.conn.take() {
            let _ = conn.close();
        }
    }

    /// Opens the database again after a failure; does nothing when it is open.
    pub(super) fn ready(&mut self) -> Result<(), Fault> {
        if self.conn.is_some() {
            return Ok(());
        }
        let fault = |error: QueueError| match error {
            QueueError::Full(folder) => Fault::Full(folder),
            other => Fault::Failed(other.to_string()),
        };
        folder::make(self.spool.folder()).map_err(fault)?;
        if !self.lock.is_in(&self.folder) {
            // The lock went with the folder: another process could take one of that name.
            self.lock = Lock::take(&self.folder).map_err(fault)?;
        }
        let path = database(&self.folder);
        let (conn, _) = schema::connect(&path).map_err(fault)?;
        let folder = &self.folder;
        take_back(&conn, &self.revoked).map_err(|error| Fault::of(&error, folder))?;
        for file in self.revoked.drain(..).filter_map(|revoked| revoked.file) {
            let _ = self.unlink.send(file);
        }
        self.identity = identity(&self.folder);
        self.conn = Some(conn);
        self.recount();
        self.answer_parked();
        tracing::warn!(event = "queue_reopened", path = %path.display(), "the queue's database was opened again");
        self.due.notify_one();
        Ok(())
    }

    /// Gives some free pages back to the file system, a little at a time, while nothing else is to do.
    pub(super) fn shrink(&mut self) {
        self.reserve.renew();
        if !self.slack {
            return;
        }
        let step = |conn: &Connection| -> rusqlite::Result<bool> {
            let free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            if free <= SPARE_PAGES {
                // What was freed shows in the file only after the log has been copied back.
                conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
                return Ok(false);
            }
            // One page goes with each step of the statement.
            let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({SPARE_PAGES})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(true)
        };
        match self.conn.as_ref().map(step) {
            Some(Ok(more)) => self.slack = more,
            Some(Err(error)) => {
                tracing::warn!(event = "queue_error", %error, "free pages could not be given back");
                self.slack = false;
                self.abandon();
            }
            None => self.slack = false,
        }
    }
}
