//! The tables of the database, their versions, and the upgrade from an earlier one.
//!
//! A row of `message` is in one of these states:
//!
//! | state | due | content | changed by |
//! | --- | --- | --- | --- |
//! | queued | set | kept | put, retry; then settle |
//! | waiting, deferred | set | kept | settle; correct_times and retry make it due |
//! | held | null | kept | hold, hold_message; release, retry |
//! | delivered | null | deleted | settle; purge deletes the record |
//! | failed | null | kept until it is stripped | settle; retry, purge |
//! | aside | null | kept | a row that cannot be read, in quarantine; only drop |
//!
//! `sending` is never written: leases are in memory, so that a crash ends all of them (promise 2).
//! `content.sum` covers the id, the envelope, the header block and the body or the sum of its file.
//!
//! The other columns that change:
//!
//! | column | | written by |
//! | --- | --- | --- |
//! | pool, lane | which accounts may take it, and how urgent it is | put; assign changes the pool while it is not final |
//! | client_key | counts as one client where clients share an account | put |
//! | unknown_since | when an unknown reply first refused it | settle, once; retry and release remove it |
//! | chunk, strict | what an attempt has taught about the message | settle, for good |
//! | held, trouble | why it is held, and the words for it | hold, hold_message; release, retry |
//! | stripped | 1: it failed, and its content was deleted | purge |
//! | untold | 1: its failure is still to be reported to the owner | settle; mark_reported and retry remove it |
//!
//! `usage` has one row for an account and a minute since 1970, written by settle and add_usage, deleted by purge. `account`
//! has the saved states, written by settle and save_account_state. `saved_time` has one row. `command` has what operators
//! ordered, by a place that is never used twice (`command_log`); purge deletes old rows.
//!
//! `write_check` has one row, which is written to find out whether the database can be.
//!
//! The history: `history_new` has the finished messages that the index lacks; `history_block` and `history_term` are the
//! index of the others, by blocks of `seq` (`history_index`). `deleted` has the greatest `seq` that was deleted while no
//! message had a greater one: a `seq` is never used twice.
//!
//! A test holds each frequent query to its index: the messages of a client in a line by due time (`message_line`); messages and
//! octets by state, pool and lane (`message_place`); deferred messages by due time (`message_deferred`); failures to report
//! (`message_untold`); old records (`message_finished`); old content (`message_content`); commands by place and by time
//! (`command_at`).

use rusqlite::Connection;

/// The version of the tables, kept in `user_version`.
pub(super) const VERSION: i64 = 5;
/// `YIZH`, kept in `application_id`: distinguishes the queue from other databases.
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

/// What version 3 added: clients share an account, and unknown replies are remembered. The client of an older message is its
/// address, because its user was not stored.
const CLIENTS: &str = "
ALTER TABLE message ADD COLUMN client_key TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN unknown_since INTEGER;
UPDATE message SET client_key = CASE WHEN notice THEN 'relay' ELSE addr END WHERE state <> 'delivered';
DROP INDEX IF EXISTS message_line;
CREATE INDEX message_line ON message (pool, lane, client_key, due) WHERE due IS NOT NULL;
";

/// What version 1 lacks for version 2. Its rows stay as they are.
const FROM_1: &str = "
ALTER TABLE message ADD COLUMN lane TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE message ADD COLUMN pool TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN chunk INTEGER;
ALTER TABLE message ADD COLUMN strict INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
DROP INDEX message_state;
DROP INDEX message_due;
";

/// What version 4 added: the saved time.
const TIME: &str = "
CREATE TABLE saved_time (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seen INTEGER NOT NULL,
    pause INTEGER NOT NULL
) STRICT;
";

/// What version 5 added: the history, reasons why a message is held, and the commands of operators. What failed or was
/// delivered before has no subject.
const HISTORY: &str = "
ALTER TABLE message ADD COLUMN subject TEXT;
ALTER TABLE message ADD COLUMN message_id TEXT;
ALTER TABLE message ADD COLUMN held TEXT;
ALTER TABLE message ADD COLUMN stripped INTEGER NOT NULL DEFAULT 0;
UPDATE message SET held = 'damaged' WHERE state = 'held';
CREATE INDEX message_content ON message (finished) WHERE state = 'failed' AND stripped = 0;
CREATE TABLE history_new (
    seq INTEGER PRIMARY KEY
) STRICT;
INSERT INTO history_new SELECT seq FROM message WHERE finished IS NOT NULL;
CREATE TABLE history_block (
    block INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    present BLOB NOT NULL,
    failed BLOB NOT NULL
) STRICT;
CREATE INDEX history_empty ON history_block (block) WHERE present = x'';
CREATE TABLE history_term (
    block INTEGER NOT NULL,
    term TEXT NOT NULL,
    records BLOB NOT NULL,
    PRIMARY KEY (block, term)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
CREATE TABLE command (
    place INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    command TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX command_at ON command (at);
CREATE TABLE write_check (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL
) STRICT;
";

/// The steps to a new database.
const NEW: &[&str] = &[TABLES, SHARED, CLIENTS, TIME, HISTORY];

/// The steps from an earlier version.
const fn from(version: i64) -> &'static [&'static str] {
    match version {
        1 => &[FROM_1, SHARED, CLIENTS, TIME, HISTORY],
        2 => &[CLIENTS, TIME, HISTORY],
        3 => &[TIME, HISTORY],
        _ => &[HISTORY],
    }
}

/// What a database is, before it is used.
pub(super) enum Origin {
    /// It was empty and has the tables now.
    New,
    /// It has the present format.
    Present,
    /// It had an earlier format, and has the present one now.
    Upgraded,
    /// A later version of the relay wrote it, in this format.
    Later(i64),
    /// Another program wrote it.
    Foreign,
}

/// Makes the tables, or brings them to [`VERSION`]. A database that is not ours is left as it is.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<Origin> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (version, application) = (number("PRAGMA user_version")?, number("PRAGMA application_id")?);
    match (version, application, number("SELECT count(*) FROM sqlite_schema")?) {
        (0, 0, 0) => upgrade(conn, NEW).map(|()| Origin::New),
        (1..VERSION, APPLICATION, _) => upgrade(conn, from(version)).map(|()| Origin::Upgraded),
        (VERSION, APPLICATION, _) => Ok(Origin::Present),
        (later, APPLICATION, _) if later > VERSION => Ok(Origin::Later(later)),
        _ => Ok(Origin::Foreign),
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
        // The connection is dropped next.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

#[cfg(test)]
mod tests;
