//! One group of changes as one transaction, each in a savepoint of its own.
//!
//! Not here: what follows from it, committed or not (`writer`). Invariant: when this returns no transaction is open, unless
//! the connection has failed.

use rusqlite::ErrorCode;

use crate::queue::QueueError;

use super::apply::{Context, Done, Write, apply};
use super::fault::{Failure, Fault};
use super::writer::{Job, Writer};

/// What became of each change of a group.
type Results = Vec<Result<Done, QueueError>>;
/// The results of a commit; those that come with a fault are of a commit that failed: it may be there, or not.
pub(super) type Committed = Result<Results, (Fault, Results)>;

/// How a transaction ended.
pub(super) enum Ended {
    Committed(Results),
    /// The change at this place met a damaged page. Nothing was written, and without it the others may succeed.
    Poisoned(usize, QueueError),
    /// Somebody took the database away: what is new must not be written. Nothing was.
    Astray,
    /// See [`Committed`].
    Failed(Fault, Results),
}

/// Why the body of a transaction was left.
enum Left {
    Poisoned(usize, QueueError),
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Left {
    fn from(error: rusqlite::Error) -> Left {
        Left::Broken(error)
    }
}

impl Writer {
    /// Runs the group as one transaction.
    pub(super) fn transaction(&self, group: &[Job]) -> Ended {
        let folder = &self.folder;
        let failed = |error: rusqlite::Error, results| Ended::Failed(Fault::of(&error, folder), results);
        let conn = match self.conn() {
            Ok(conn) => conn,
            Err(error) => return failed(error, Vec::new()),
        };
        let run = |sql: &str| conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map(drop);
        let results = match self.changes(group) {
            Ok(results) => results,
            Err(left) => {
                let back = run("ROLLBACK");
                return match (left, back) {
                    (Left::Poisoned(place, error), Ok(())) => Ended::Poisoned(place, error),
                    (Left::Poisoned(_, _), Err(error)) | (Left::Broken(error), _) => failed(error, Vec::new()),
                };
            }
        };
        // A write into a file that somebody has deleted succeeds, and is lost.
        if self.is_astray() && group.iter().any(|job| matches!(job.write, Write::Put(..))) {
            return match run("ROLLBACK") {
                Ok(()) => Ended::Astray,
                Err(error) => failed(error, Vec::new()),
            };
        }
        let Err(error) = run("COMMIT") else { return Ended::Committed(results) };
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let back = full && (conn.is_autocommit() || run("ROLLBACK").is_ok());
        failed(error, if back { Vec::new() } else { results })
    }

    /// Begins a transaction and does all changes.
    fn changes(&self, group: &[Job]) -> Result<Results, Left> {
        let conn = self.conn()?;
        let context = Context { conn, ledger: &self.ledger, spool: &self.spool, settings: &self.settings };
        let run = |sql: &str| conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map(drop);
        let mut results = Vec::with_capacity(group.len());
        run("BEGIN IMMEDIATE")?;
        for (place, job) in group.iter().enumerate() {
            run("SAVEPOINT one")?;
            match apply(&context, &job.write) {
                Ok(done) => results.push(Ok(done)),
                Err(Failure::Refused(error)) => {
                    run("ROLLBACK TO one")?;
                    results.push(Err(error));
                }
                Err(Failure::Poisoned(error)) => return Err(Left::Poisoned(place, error)),
                Err(Failure::Broken(error)) => return Err(Left::Broken(error)),
            }
            run("RELEASE one")?;
        }
        Ok(results)
    }
}
