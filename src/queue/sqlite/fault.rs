//! What the database and the disk say, sorted by whom it condemns: one request, or everything that was under way.
//!
//! Invariant: a [`Failure::Broken`] is never followed by another statement on the same connection but a rollback.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::queue::QueueError;

/// Why one request was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request itself is at fault; the others of its group are not touched.
    Refused(QueueError),
    /// A page that the request needs is damaged. Measured: once SQLite has met one in a transaction that writes, even
    /// after a savepoint was rolled back, it refuses all that follows and the commit. So the group begins anew without.
    Poisoned(QueueError),
    /// The disk or the connection is at fault: the whole group fails.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        let said = QueueError::Database(error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => Failure::Poisoned(said),
            // No code: the value in a row is not what it should be.
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) | None => Failure::Refused(said),
            Some(_) => Failure::Broken(error),
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        Failure::Refused(error)
    }
}

/// Why a group failed; every waiter gets its own copy as an [`QueueError`].
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No space, no quota.
    Full(String),
    /// Anything else.
    Failed(String),
}

impl Fault {
    /// Sorts an error of the database that lies in `folder`.
    pub(super) fn of(error: &rusqlite::Error, folder: &Path) -> Fault {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Fault::Full(folder.display().to_string()),
            // SQLite knows ENOSPC on a write only; a used-up quota, or no space for the shared-memory file, is an
            // I/O error to it. So the disk is asked.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full(folder) => {
                Fault::Full(folder.display().to_string())
            }
            _ => Fault::Failed(error.to_string()),
        }
    }

    /// What a waiter is told.
    pub(super) fn error(&self) -> QueueError {
        match self {
            Fault::Full(folder) => QueueError::Full(folder.clone()),
            Fault::Failed(text) => QueueError::Database(text.clone()),
        }
    }
}

/// Whether a small file cannot be written into `folder` for want of space.
fn is_full(folder: &Path) -> bool {
    let path = folder.join("space.probe");
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let written = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(nofollow).open(&path);
    let written = written.and_then(|mut file| file.write_all(&[0; 65536]));
    let _ = fs::remove_file(&path);
    let full = |e: io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    written.is_err_and(full)
}
