//! What is written when a message is held, set aside, or let go again.
//!
//! Each function runs inside a change, which also keeps the counters right (`change`). Invariant: a held message has no due
//! time, so that nothing leases it, and its life time does not count.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::clock::Timestamp;
use crate::queue::HoldReason;

/// Holds the message in row `seq`, for whatever reason it was held before.
pub(super) fn hold(conn: &Connection, seq: i64, reason: HoldReason, text: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE message SET state = 'held', held = ?2, due = NULL, finished = NULL, trouble = ?3 WHERE seq = ?1";
    let text = (!text.is_empty()).then_some(text);
    conn.prepare_cached(sql)?.execute(params![seq, reason.name(), text]).map(drop)
}

/// Writes to each open recipient that the message is damaged.
pub(super) fn note_damage(conn: &Connection, seq: i64, reason: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE recipient SET text = ?2 WHERE seq = ?1 AND outcome = 'open'";
    conn.prepare_cached(sql)?.execute(params![seq, format!("set aside: {reason}")]).map(drop)
}

/// Sets aside a row that cannot be read.
pub(super) fn set_aside(conn: &Connection, seq: i64, reason: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE message SET state = 'aside', due = NULL, finished = NULL, trouble = ?2 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, reason]).map(drop)
}

/// Why row `seq` is held; `None` when the reason cannot be read.
pub(super) fn reason(conn: &Connection, seq: i64) -> rusqlite::Result<Option<HoldReason>> {
    let sql = "SELECT held FROM message WHERE seq = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str().ok().and_then(HoldReason::parse));
    conn.prepare_cached(sql)?.query_row([seq], read).optional().map(Option::flatten)
}

/// Makes row `seq` due at `now`. An expired message gets its life time anew, and time for unknown replies too.
pub(super) fn let_go(conn: &Connection, seq: i64, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE message SET state = 'queued', due = ?2, finished = NULL, held = NULL, trouble = NULL, \
               unknown_since = NULL, \
               expires = CASE WHEN expires <= ?2 THEN ?2 + (expires - received) ELSE expires END WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, now.millis()]).map(drop)
}

/// Opens the failed recipients of row `seq` again. Their failure need not be reported any more.
pub(super) fn open_failed(conn: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE recipient SET outcome = 'open', at = NULL WHERE seq = ?1 AND outcome = 'failed'";
    conn.prepare_cached(sql)?.execute([seq])?;
    conn.prepare_cached("UPDATE message SET untold = 0 WHERE seq = ?1")?.execute([seq]).map(drop)
}

/// Whether row `seq` has an open recipient. A message that had failed before it was found damaged has none.
pub(super) fn has_open(conn: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM recipient WHERE seq = ?1 AND outcome = 'open')";
    conn.prepare_cached(sql)?.query_row([seq], |row| row.get(0))
}
