//! The stored commands of operators: recorded, read in pages, and deleted when they are old.
//!
//! The place of a command is the time at which it was recorded, in milliseconds, or the place after the last one where that is
//! later. So a new command never gets the place of one that was purged, and a cursor keeps its meaning.

use rusqlite::{Connection, Row, params};

use crate::clock::{EARLIEST, Timestamp};
use crate::queue::{AuditFilter, AuditPage, AuditRecord, KEEP_COMMANDS, LONGEST_AUDIT_TEXT, SearchCursor};

use super::rows::lossy;

/// A page, by place. The index by time would need a sort.
pub(super) const PAGE: &str = "SELECT place, at, who, origin, command, target, result FROM command NOT INDEXED \
    WHERE place < ?1 AND at >= ?2 AND at < ?3 ORDER BY place DESC LIMIT ?4";
/// How many commands were given in a span of time.
pub(super) const COUNT: &str = "SELECT count(*) FROM command WHERE at >= ?1 AND at < ?2";
/// The oldest commands of a span of time.
pub(super) const OLD: &str = "SELECT place FROM command WHERE at >= ?1 AND at < ?2 ORDER BY at LIMIT ?3";

/// Cuts the texts of a record to the length that is stored.
pub(super) fn cut(mut record: AuditRecord) -> AuditRecord {
    let AuditRecord { at: _, who, from, command, target, result } = &mut record;
    for text in [who, from, command, target, result] {
        text.truncate(text.floor_char_boundary(LONGEST_AUDIT_TEXT));
    }
    record
}

/// Octets that a record keeps in memory until it is committed.
pub(super) fn octets(record: &AuditRecord) -> usize {
    let AuditRecord { at: _, who, from, command, target, result } = record;
    [who, from, command, target, result].map(String::len).iter().sum()
}

/// Stores a command.
pub(super) fn record(conn: &Connection, record: &AuditRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO command (place, at, who, origin, command, target, result) \
               VALUES (max(1, ?1, (SELECT coalesce(max(place), 0) + 1 FROM command)), ?1, ?2, ?3, ?4, ?5, ?6)";
    let AuditRecord { at, who, from, command, target, result } = record;
    conn.prepare_cached(sql)?.execute(params![at.millis(), who, from, command, target, result]).map(drop)
}

/// Commands that are dated before the clock was set count as given now.
pub(super) fn correct_times(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE command SET at = ?1 WHERE at < ?2";
    conn.prepare_cached(sql)?.execute([now.millis(), EARLIEST.millis()]).map(drop)
}

/// Deletes at most `limit` commands that are older than [`KEEP_COMMANDS`]; true when there may be more.
pub(super) fn forget(conn: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<bool> {
    // What was dated before the clock was set is not old: see `correct_times`.
    let earliest = if now >= EARLIEST { EARLIEST.millis() } else { i64::MIN };
    let sql = format!("DELETE FROM command WHERE place IN ({OLD})");
    let parameters = params![earliest, (now - KEEP_COMMANDS).millis(), limit as i64];
    let deleted = conn.prepare_cached(&sql)?.execute(parameters)?;
    Ok(deleted == limit)
}

/// Reads a page.
pub(super) fn commands(conn: &Connection, filter: &AuditFilter) -> rusqlite::Result<AuditPage> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let since = filter.since.map_or(i64::MIN, Timestamp::millis);
    let until = filter.until.map_or(i64::MAX, Timestamp::millis);
    let before = filter.after.map_or(i64::MAX, |SearchCursor(place)| place);
    // The page and the number are of one moment.
    let transaction = conn.unchecked_transaction()?;
    let total: i64 = transaction.prepare_cached(COUNT)?.query_row([since, until], |row| row.get(0))?;
    let mut statement = transaction.prepare_cached(PAGE)?;
    // One more than the page has, to know whether there is a next one.
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let rows = statement.query_map(params![before, since, until, most], read)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    drop(statement);
    transaction.commit()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(place, _)| SearchCursor(*place));
    Ok(AuditPage { records: rows.into_iter().map(|(_, record)| record).collect(), total: total.max(0) as u64, next })
}

fn read(row: &Row<'_>) -> rusqlite::Result<(i64, AuditRecord)> {
    // A damaged text must not hide the other commands.
    let text = |column| Ok::<_, rusqlite::Error>(lossy(row.get_ref(column)?.as_bytes().unwrap_or_default()));
    let at = Timestamp::from_millis(row.get(1)?);
    let (who, from, command, target, result) = (text(2)?, text(3)?, text(4)?, text(5)?, text(6)?);
    Ok((row.get(0)?, AuditRecord { at, who, from, command, target, result }))
}
