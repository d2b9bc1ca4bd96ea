//! The tables, and how the one connection is opened.
//!
//! A row of `message` is in one of these states; who may move it:
//!
//! | state | due | content | moved by |
//! | --- | --- | --- | --- |
//! | queued | set | kept | put, retry; settle takes it on |
//! | waiting, deferred | set | kept | settle; mend_times and retry make it due |
//! | held | null | kept | set aside when damaged; retry |
//! | delivered | null | deleted | settle; purge deletes the record |
//! | failed | null | kept | settle; retry, purge |
//! | aside | null | kept | a row that cannot be read; nobody but drop |
//!
//! `sending` is never written: leases live in memory, so that a crash gives every one of them back (promise 2).
//! `content.sum` covers the id, the envelope, the header block and the body or the sum of its file.
//!
//! What else a row says, and who writes it:
//!
//! | column | | written by |
//! | --- | --- | --- |
//! | pool, lane | which accounts may take it, and how urgent it is | put; assign changes the pool of what is not final |
//! | client_key | counts as one client where clients share an account | put |
//! | unknown_since | when a reply that is not understood first refused it | settle, once; retry takes it off |
//! | chunk, strict | what a try has taught about the message | settle, which never takes it back |
//! | untold | 1: its owner is still to be told of what failed | settle; tell and retry take it off |
//!
//! `usage` has one row for an account and a minute since 1970, written by settle and spend, deleted by purge;
//! `account` has what the delivery wants to know after a restart, written by settle and remember; `saved_time` has one row, by
//! which a clock that jumps is noticed.
//!
//! How it is asked (a test holds each question to its index): what a client has in a line, and when (`message_line`); what
//! is there by state, pool and lane, and how many octets (`message_place`); what is deferred and due in a closed lane
//! (`message_deferred`); who is to be told (`message_untold`); what is old (`message_finished`).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::queue::QueueError;

/// The version of the tables, kept in `user_version`.
pub(super) const VERSION: i64 = 4;
/// `YIZH`, kept in `application_id`: tells our database from somebody else's.
const APPLICATION: i64 = 0x5949_5a48;

const TABLES: &str = "
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    received INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    due INTEGER,
    finished INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    account TEXT,
    client TEXT NOT NULL,
    addr TEXT NOT NULL,
    listener TEXT NOT NULL,
    helo TEXT NOT NULL,
    sender TEXT NOT NULL,
    size INTEGER NOT NULL,
    repairs TEXT NOT NULL,
    notice INTEGER NOT NULL,
    trouble TEXT,
    lane TEXT NOT NULL DEFAULT 'normal',
    pool TEXT NOT NULL DEFAULT '',
    chunk INTEGER,
    strict INTEGER NOT NULL DEFAULT 0,
    untold INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX message_finished ON message (state, finished) WHERE finished IS NOT NULL;
CREATE TABLE recipient (
    seq INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    place INTEGER NOT NULL,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at INTEGER,
    text TEXT,
    PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE content (
    seq INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    sum INTEGER NOT NULL,
    head BLOB NOT NULL,
    spool TEXT,
    spool_len INTEGER,
    spool_sum INTEGER,
    body BLOB
) STRICT;
CREATE INDEX content_spool ON content (spool) WHERE spool IS NOT NULL;
";

/// What version 2 added: several accounts share the queue. Runs on new databases as well, so that there is one text.
const SHARED: &str = "
CREATE INDEX message_place ON message (state, pool, lane, id, size);
CREATE INDEX message_deferred ON message (state, pool, lane, due) WHERE state = 'deferred';
CREATE INDEX message_untold ON message (id) WHERE untold = 1 AND state = 'failed';
CREATE TABLE usage (
    account TEXT NOT NULL,
    minute INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    logins INTEGER NOT NULL,
    PRIMARY KEY (account, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE account (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What version 3 added: clients share an account, and doubt about a message outlives the process. The client of an
/// older message is its address; its user was not kept.
const CLIENTS: &str = "
ALTER TABLE message ADD COLUMN client_key TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN unknown_since INTEGER;
UPDATE message SET client_key = CASE WHEN notice THEN 'relay' ELSE addr END WHERE state <> 'delivered';
DROP INDEX IF EXISTS message_line;
CREATE INDEX message_line ON message (pool, lane, client_key, due) WHERE due IS NOT NULL;
";

/// From version 1: what it lacks is added, and what is there stays as it is.
const FROM_1: &str = "
ALTER TABLE message ADD COLUMN lane TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE message ADD COLUMN pool TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN chunk INTEGER;
ALTER TABLE message ADD COLUMN strict INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
DROP INDEX message_state;
DROP INDEX message_due;
";

/// What version 4 added: the last time that was known to be right, and how long records must not be purged.
const TIME: &str = "
CREATE TABLE saved_time (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seen INTEGER NOT NULL,
    pause INTEGER NOT NULL
) STRICT;
";

/// The steps to a new database.
const NEW: &[&str] = &[TABLES, SHARED, CLIENTS, TIME];

/// The steps from an earlier version.
const fn from(version: i64) -> &'static [&'static str] {
    match version {
        1 => &[FROM_1, SHARED, CLIENTS, TIME],
        2 => &[CLIENTS, TIME],
        _ => &[TIME],
    }
}

/// Opens the database, makes it when it is missing, and sets what a connection must have. True: it was empty.
///
/// # Errors
/// [`QueueError::Unusable`] when the file is not ours, or not a database; it is left as it is.
pub(super) fn connect(path: &Path) -> Result<(Connection, bool), QueueError> {
    refuse_links(path)?;
    refuse_lost_database(path)?;
    create_private(path)?;
    let open = || -> rusqlite::Result<(Connection, i64, i64, i64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.set_prepared_statement_cache_capacity(64);
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        // One plan for each question, whatever is asked for. Measured: without it SQLite parses `lease` and the reading of
        // recipients anew at each call, to look at the values; that is a sixth of the time of a whole cycle.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // Order matters: auto_vacuum counts only before the first page is written, which journal_mode does. Later it
        // would still write a page at each opening, and a queue on a full disk could not be opened to be emptied.
        if path.metadata().is_ok_and(|file| file.len() == 0) {
            conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -2000;
             PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;",
        )?;
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get(0));
        let (version, application) = (number("PRAGMA user_version")?, number("PRAGMA application_id")?);
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((conn, version, application, tables))
    };
    let (conn, version, application, tables) = open().map_err(|e| explain(&e, path))?;
    let damaged = |reason: String| Err(QueueError::Unusable { place: path.display().to_string(), reason });
    match (version, application, tables) {
        (0, 0, 0) => {
            upgrade(&conn, NEW).map_err(|e| explain(&e, path))?;
            Ok((conn, true))
        }
        (1..VERSION, APPLICATION, _) => {
            upgrade(&conn, from(version)).map_err(|e| explain(&e, path))?;
            tracing::info!(event = "queue_upgraded", path = %path.display(), format = VERSION, "the queue has a new format; earlier versions cannot read it");
            Ok((conn, false))
        }
        (VERSION, APPLICATION, _) => Ok((conn, false)),
        (later, APPLICATION, _) if later > VERSION => damaged(format!(
            "it has format {later} and this version reads format {VERSION}; start the later version again, or give \
             this one a data_dir of its own"
        )),
        _ => damaged("it is the database of another program; give yizhan a data_dir of its own".to_owned()),
    }
}

/// Brings a database up to [`VERSION`] by these steps, in one transaction.
fn upgrade(conn: &Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let steps = steps.concat();
    let sql = format!(
        "BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    );
    let done = conn.execute_batch(&sql);
    if done.is_err() && !conn.is_autocommit() {
        // The connection is dropped next; this only says so.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

/// A link in the place of the database or its log would have the mail written where somebody else chose. SQLite's own
/// flag is of no use: it refuses links in the way to the data folder too, and those are the owner's.
fn refuse_links(path: &Path) -> Result<(), QueueError> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let file = Path::new(&name);
        if file.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            let reason = "it is a symbolic link; move it away, and what it leads to into its place";
            return Err(QueueError::Unusable { place: file.display().to_string(), reason: reason.to_owned() });
        }
    }
    Ok(())
}

/// SQLite takes an empty file for a new database and throws away the log beside it. If there is a log, there was mail.
fn refuse_lost_database(path: &Path) -> Result<(), QueueError> {
    let size = |p: &Path| p.metadata().map_or(0, |m| m.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if size(path) == 0 && size(Path::new(&log)) > 0 {
        let reason = "it is empty or missing, but its log is not; restore it from a copy, or move the -wal file away \
                      to start afresh";
        return Err(QueueError::Unusable { place: path.display().to_string(), reason: reason.to_owned() });
    }
    Ok(())
}

/// Creates the file for its owner only; SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> Result<(), QueueError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(QueueError::Io { what: format!("cannot create {}", path.display()), source: error })
        }
        _ => Ok(()),
    }
}

/// Says what an error at opening means.
pub(super) fn explain(error: &rusqlite::Error, path: &Path) -> QueueError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            let reason = format!(
                "{error}; nothing was changed. Restore it from a copy, save what can be saved with `sqlite3 .recover`, \
                 or move it away to start afresh"
            );
            QueueError::Unusable { place: path.display().to_string(), reason }
        }
        // No code, or a plain one: a table that should be there is not.
        None | Some(ErrorCode::Unknown) => QueueError::Unusable {
            place: path.display().to_string(),
            reason: format!("{error}; restore it from a copy or move it away"),
        },
        Some(_) => super::fault::Fault::of(error, path.parent().unwrap_or(path)).error(),
    }
}

#[cfg(test)]
mod tests;
