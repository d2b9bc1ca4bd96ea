//! Commits changes in groups: one transaction for each group, one savepoint for each change; and what follows when the disk
//! refuses one.
//!
//! On a disk that refuses writes, the results of attempts come first and alone: they are kept in memory until they are
//! written, and nothing new is stored or leased before. So a crash there repeats the attempts that were under way, and no
//! more. On a full disk everything but new mail may use the reserve.
//!
//! After a failed sync it is unknown what was written. So messages whose call failed then are deleted once the database has
//! been opened again ([`FailedPut`], promise 1). Invariant: the row goes first, then its file (promise 4).
//!
//! While the files of the database are missing (`connection`), nothing new is taken (promise 1), and what is queued is sent
//! through the open connection. It is given up for a new database once nothing is left to send.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use crate::mail::Id;
use crate::queue::{NewMessage, QueueError};
use crate::telemetry::counter;

use super::change::{Context, Done};
use super::connection::{Failure, Fault};
use super::settlement;
use super::write::Write;
use super::writer::{Job, Writer};

/// The result of each change of a group.
type Results = Vec<Result<Done, QueueError>>;

/// How a transaction ended.
enum Ended {
    Committed(Results),
    /// The change at this place met a damaged page. Nothing was written, and without it the others may succeed.
    Poisoned(usize, QueueError),
    /// The files of the database are missing: what is new must not be written. Nothing was.
    Missing,
    /// With results, the commit itself failed: it may have been written, or not.
    Failed(Fault, Results),
}

impl Writer {
    /// Commits a group, behind the settlements that are still to be written, and answers all callers.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) {
        jobs.iter().filter_map(|job| job.write.time()).for_each(|now| self.now = now);
        self.leave_if_missing();
        if !self.unsettled.is_empty() {
            let kept = std::mem::take(&mut self.unsettled);
            let count = kept.len();
            if let Some(fault) = self.commit_group(kept) {
                return self.fail(jobs, &fault);
            }
            tracing::warn!(event = "outcomes_written", count, "how these tries ended is written now; sending goes on");
            self.due.notify_one();
        }
        if let Some(fault) = self.commit_group(jobs)
            && !self.unsettled.is_empty()
        {
            tracing::error!(event = "outcomes_kept", count = self.unsettled.len(), error = %fault.error(),
                "how these tries ended could not be written; it is kept in memory, and nothing else is sent until it is");
        }
    }

    /// Commits a group and answers all callers. Returns why it could not be written; its settlements are kept then.
    fn commit_group(&mut self, mut group: Vec<Job>) -> Option<Fault> {
        let mut ways = 0;
        self.reserve.renew();
        if self.reserve.is_spent() {
            // Free space is for what is queued.
            self.fail(take_new_mail(&mut group), &Fault::full(self.database.folder()));
        }
        loop {
            if let Err(fault) = self.ready() {
                self.fail(group, &fault);
                return Some(fault);
            }
            let begin = Instant::now();
            let committed = self.sound_transaction(&mut group);
            self.counters.observe(counter::COMMIT_SECONDS, &[], begin.elapsed());
            let (fault, results) = match committed {
                Ok(results) => {
                    group.into_iter().zip(results).for_each(|(job, result)| self.finish(job, result));
                    return None;
                }
                Err(failed) => failed,
            };
            // A write that found no space was refused before any sync, and was rolled back: the connection is as sound as
            // before, and with it what is queued can still be read and sent. After any other error the connection goes
            // first: nothing may be written to it any more.
            let sound = self.database.conn().is_ok_and(Connection::is_autocommit) && results.is_empty();
            let full = matches!(fault, Fault::Full(_)) && sound;
            if !full {
                self.abandon();
            }
            for (job, result) in group.iter_mut().zip(results) {
                if result.is_ok_and(|done| !done.stored.is_empty()) {
                    self.failed_puts.extend(FailedPut::of(&mut job.write));
                }
            }
            let new = take_new_mail(&mut group);
            let alone = !new.is_empty();
            self.fail(new, &fault);
            if !full || group.is_empty() || !(alone || self.make_way(&mut ways)) {
                self.fail(group, &fault);
                return Some(fault);
            }
        }
    }

    /// Makes room on a full disk for what is not new mail, a step further each time. False when nothing is left to do.
    fn make_way(&mut self, ways: &mut u32) -> bool {
        *ways += 1;
        match ways {
            1 | 3 => {
                let _ = self.database.copy_log_back();
                true
            }
            2 => self.reserve.give_up(),
            _ => false,
        }
    }

    /// Runs the group as a transaction. A change that meets a damaged page is answered, and the others begin anew.
    fn sound_transaction(&mut self, group: &mut Vec<Job>) -> Result<Results, (Fault, Results)> {
        loop {
            let (place, error) = match self.transaction(group) {
                Ended::Committed(results) => return Ok(results),
                Ended::Failed(fault, results) => return Err((fault, results)),
                Ended::Missing => {
                    let path = self.database.path();
                    for job in take_new_mail(group) {
                        let text = format!("{} was moved or deleted while it was in use", path.display());
                        self.finish(job, Err(QueueError::Database(text)));
                    }
                    continue;
                }
                Ended::Poisoned(place, error) => (place, error),
            };
            tracing::error!(event = "queue_error", %error, "a change met a damaged page of the queue's database");
            if group[place].write.reduce() {
                continue;
            }
            let job = group.remove(place);
            if let Write::Settle { token, .. } = &job.write {
                // Its result cannot be written, so it would be sent again, and again.
                self.memory.damaged.extend(self.memory.counters.holder(*token).map(|leased| leased.seq));
            }
            self.finish(job, Err(error));
        }
    }

    /// Runs the group as one transaction. Afterwards none is open, unless the connection has failed.
    fn transaction(&self, group: &[Job]) -> Ended {
        let failed = |error: rusqlite::Error, results| Ended::Failed(self.database.fault(&error), results);
        let conn = match self.database.conn() {
            Ok(conn) => conn,
            Err(error) => return failed(error, Vec::new()),
        };
        let mut results = Vec::with_capacity(group.len());
        if let Err(failure) = self.changes(conn, group, &mut results) {
            return match (failure, run(conn, "ROLLBACK")) {
                // The change after those that have a result.
                (Failure::Poisoned(error) | Failure::Refused(error), Ok(())) => Ended::Poisoned(results.len(), error),
                (Failure::Broken(error), _) | (_, Err(error)) => failed(error, Vec::new()),
            };
        }
        // A write into a file that was deleted succeeds, and is lost.
        if self.database.is_missing() && group.iter().any(|job| job.write.is_new_mail()) {
            return match run(conn, "ROLLBACK") {
                Ok(()) => Ended::Missing,
                Err(error) => failed(error, Vec::new()),
            };
        }
        let Err(error) = run(conn, "COMMIT") else { return Ended::Committed(results) };
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let back = full && (conn.is_autocommit() || run(conn, "ROLLBACK").is_ok());
        failed(error, if back { Vec::new() } else { results })
    }

    /// Begins a transaction and makes all changes. The failure is of the transaction, or of the change at its place.
    fn changes(&self, conn: &Connection, group: &[Job], results: &mut Results) -> Result<(), Failure> {
        let (counters, spool, retention) = (&self.memory.counters, &*self.spool, self.retention);
        let context = Context { conn, counters, spool, retention };
        let step = |sql| run(conn, sql).map_err(Failure::Broken);
        step("BEGIN IMMEDIATE")?;
        for job in group {
            step("SAVEPOINT one")?;
            let result = match context.apply(&job.write) {
                Err(Failure::Refused(error)) => {
                    step("ROLLBACK TO one")?;
                    Err(error)
                }
                other => Ok(other?),
            };
            step("RELEASE one")?;
            results.push(result);
        }
        Ok(())
    }

    /// Answers all callers of a group that it failed. Settlements are kept: the provider has already replied, and writing
    /// that late is better than sending the mail twice.
    fn fail(&mut self, group: Vec<Job>, fault: &Fault) {
        if group.is_empty() {
            return;
        }
        tracing::error!(event = "queue_error", changes = group.len(), error = %fault.error(), "a group of changes could not be written");
        for mut job in group {
            if let Write::Settle { .. } = job.write {
                job.keep(fault.error());
                self.unsettled.push(job);
            } else {
                job.refuse(fault.error());
            }
        }
    }

    /// Logs when the files of the database go missing or are back. A missing one that has nothing left to send is given up.
    fn leave_if_missing(&mut self) {
        let (missing, path) = (self.database.is_missing(), self.database.path());
        let before = std::mem::replace(&mut self.missing, missing);
        if missing && !before {
            let left: u64 = self.memory.counters.pools().iter().map(|(_, count)| count).sum();
            tracing::error!(event = "queue_astray", path = %path.display(), left,
                "the queue's files were moved or deleted, or cannot be read; nothing new is taken before they are back, or what is left has been sent");
        } else if before && !missing {
            tracing::warn!(event = "queue_found", path = %path.display(), "the queue's files are in their place again");
        }
        if missing && self.memory.counters.pools().is_empty() && self.unsettled.is_empty() {
            self.abandon();
        }
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

fn take_new_mail(group: &mut Vec<Job>) -> Vec<Job> {
    group.extract_if(.., |job| job.write.is_new_mail()).collect()
}

/// A message whose call was answered with an error, although its commit may have been written: it must not be stored.
#[derive(Debug)]
pub(super) struct FailedPut {
    id: Id,
    /// Its file, to be unlinked once the row is gone.
    file: Option<PathBuf>,
    /// Failures that it would have reported.
    unreported: Vec<Id>,
}

impl FailedPut {
    /// The messages that `write` may have stored.
    fn of(write: &mut Write) -> Vec<FailedPut> {
        let message = |message: &mut NewMessage, unreported| {
            message.body.keep();
            FailedPut { id: message.id, file: message.body.file().map(Path::to_owned), unreported }
        };
        match write {
            Write::Put(messages) => messages.iter_mut().map(|(one, _)| message(one, Vec::new())).collect(),
            Write::MarkReported { notice, ids, .. } => {
                notice.iter_mut().map(|notice| message(notice, std::mem::take(ids))).collect()
            }
            // The notice stays with its settlement, and is stored again with it.
            Write::Settle { settlement, .. } => {
                let failed = |id| FailedPut { id, file: None, unreported: Vec::new() };
                settlement.notice.iter().map(|notice| failed(notice.id)).collect()
            }
            Write::Retry(..)
            | Write::HoldMessage(..)
            | Write::Release(..)
            | Write::Drop(_)
            | Write::CorrectTimes { .. }
            | Write::Purge { .. }
            | Write::Assign(_)
            | Write::AddUsage(_)
            | Write::SaveAccountState(_)
            | Write::SaveTime(_)
            | Write::RecordCommand(_)
            | Write::Check(_)
            | Write::Hold { .. }
            | Write::Quarantine { .. } => Vec::new(),
        }
    }

    /// Deletes the messages that a failed commit may have stored, and marks the failures anew that they would have reported.
    pub(super) fn undo(conn: &Connection, failed: &[FailedPut]) -> rusqlite::Result<()> {
        for put in failed {
            conn.execute("DELETE FROM message WHERE id = ?1", [put.id.as_str()])?;
            settlement::mark(conn, &put.unreported, true)?;
        }
        Ok(())
    }

    /// The file to unlink once that is done.
    pub(super) fn into_file(self) -> Option<PathBuf> {
        self.file
    }
}
