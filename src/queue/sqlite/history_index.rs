//! The index of finished messages: which of them have which terms, by blocks of 4096 `seq`.
//!
//! | table | |
//! | --- | --- |
//! | `history_new` | finished messages that the index lacks |
//! | `history_block` | `present`: the messages of the block that the index has; `failed`: those of them that failed; `first`, `last`: when the earliest and the latest of them arrived, or an earlier and a later time |
//! | `history_term` | the messages of the block that have the term, and perhaps some that `present` lacks |
//!
//! Invariants: each finished message is in `history_new` or in `present`, never in both. A `seq` is never used twice, so
//! what is left of a deleted message in `history_term` finds nothing. A block whose octets are damaged is indexed anew.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::MessageState;
use crate::queue::record_set::{BLOCK, DamagedSet, RecordSet, block_of, first_of, place_of};
use crate::queue::search::{TermTexts, term};

/// The most terms of an empty block that one step deletes.
const CLEARED: usize = 1000;
/// With more messages in `history_new` than this, finished messages are counted by the index of the states.
const MANY_NEW: i64 = 10_000;

/// The next messages for the index.
pub(super) const NEXT: &str = "SELECT seq FROM history_new ORDER BY seq LIMIT ?1";
/// A block whose messages are all gone.
pub(super) const EMPTY_BLOCK: &str = "SELECT block FROM history_block WHERE present = x'' LIMIT 1";
/// The messages of a block that have a term.
pub(super) const TERM: &str = "SELECT records FROM history_term WHERE block = ?1 AND term = ?2";
/// Writes the messages of a block that have a term.
const WRITE_TERM: &str = "INSERT INTO history_term (block, term, records) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET records = ?3";
/// Some terms of an empty block.
pub(super) const CLEAR: &str = "DELETE FROM history_term WHERE block = ?1 AND term IN \
    (SELECT term FROM history_term WHERE block = ?1 ORDER BY term LIMIT ?2)";

/// Why the index could not be read or changed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Octets of this block are no set.
    Damaged(i64),
    /// The database failed.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        Trouble::Failed(error)
    }
}

/// A row of `history_block`.
#[derive(Debug)]
pub(super) struct Block {
    first: i64,
    last: i64,
    /// The messages that the index has.
    pub(super) present: RecordSet,
    /// Those of them that failed.
    pub(super) failed: RecordSet,
}

/// How the times of a block lie to the time that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// No message is in it.
    None,
    /// Some messages may be in it.
    Part,
    /// All messages are in it.
    All,
}

impl Block {
    /// Reads the columns `first`, `last`, `present`, `failed` of block `block`, the first of them in `column`.
    pub(super) fn of(row: &Row<'_>, column: usize, block: i64) -> Result<Block, Trouble> {
        let set = |column| set_of(row, column).map_err(|DamagedSet| Trouble::Damaged(block));
        let time = |column| row.get::<_, i64>(column).map_err(|_| Trouble::Damaged(block));
        let (first, last) = (time(column)?, time(column + 1)?);
        Ok(Block { first, last, present: set(column + 2)?, failed: set(column + 3)? })
    }

    fn read(conn: &Connection, block: i64) -> Result<Option<Block>, Trouble> {
        let sql = "SELECT first, last, present, failed FROM history_block WHERE block = ?1";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([block])?;
        rows.next()?.map(|row| Block::of(row, 0, block)).transpose()
    }

    fn write(&self, conn: &Connection, block: i64) -> rusqlite::Result<()> {
        let sql = "INSERT INTO history_block (block, first, last, present, failed) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT DO UPDATE SET first = ?2, last = ?3, present = ?4, failed = ?5";
        let (present, failed) = (self.present.encode(), self.failed.encode());
        conn.prepare_cached(sql)?.execute(params![block, self.first, self.last, present, failed]).map(drop)
    }

    /// How the block lies to the time from `since` until before `until`.
    pub(super) fn overlap(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Overlap {
        let (since, until) = (since.map(Timestamp::millis), until.map(Timestamp::millis));
        if since.is_some_and(|since| self.last < since) || until.is_some_and(|until| self.first >= until) {
            Overlap::None
        } else if since.is_none_or(|since| self.first >= since) && until.is_none_or(|until| self.last < until) {
            Overlap::All
        } else {
            Overlap::Part
        }
    }
}

fn set_of(row: &Row<'_>, column: usize) -> Result<RecordSet, DamagedSet> {
    let octets = row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
    RecordSet::decode(octets.ok_or(DamagedSet)?)
}

/// Adds the messages of the block that have this term to `set`.
pub(super) fn add_term(conn: &Connection, block: i64, term: &str, set: &mut RecordSet) -> Result<(), Trouble> {
    let mut statement = conn.prepare_cached(TERM)?;
    let mut rows = statement.query(params![block, term])?;
    rows.next()?.map_or(Ok(()), |row| add_row(row, block, set))
}

/// Adds the set in the first column to `set`.
pub(super) fn add_row(row: &Row<'_>, block: i64, set: &mut RecordSet) -> Result<(), Trouble> {
    let octets = row.get_ref(0)?.as_blob().map_err(|_| Trouble::Damaged(block))?;
    set.add_encoded(octets).map_err(|DamagedSet| Trouble::Damaged(block))
}

/// Notes that a message is finished: the index lacks it.
pub(super) fn note_finished(conn: &Connection, seq: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO history_new (seq) VALUES (?1)")?.execute([seq]).map(drop)
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stepped {
    /// Messages that left `history_new`.
    pub(super) taken: usize,
    /// Whether there is an empty block left.
    pub(super) empty: bool,
    /// Whether rows were deleted, so that pages are free.
    pub(super) freed: bool,
}

/// Takes at most `most` messages of `history_new` into the index and deletes a part of an empty block, inside the open
/// transaction.
pub(super) fn step(conn: &Connection, most: usize) -> Result<Stepped, Trouble> {
    let seqs: Vec<i64> =
        conn.prepare_cached(NEXT)?.query_map([most as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut blocks: BTreeMap<i64, Block> = BTreeMap::new();
    let mut found: Vec<(i64, String, u16)> = Vec::with_capacity(seqs.len() * 16);
    for record in Record::read_all(conn, &seqs)? {
        let (number, place, received) = (block_of(record.seq), place_of(record.seq), record.received);
        let new =
            Block { first: received, last: received, present: RecordSet::default(), failed: RecordSet::default() };
        let block = match blocks.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Block::read(conn, number)?.unwrap_or(new)),
        };
        (block.first, block.last) = (block.first.min(received), block.last.max(received));
        block.present.insert(place);
        if record.failed {
            block.failed.insert(place);
        }
        found.extend(record.terms.into_iter().map(|term| (number, term, place)));
    }
    // In the order of the table.
    found.sort_unstable();
    write_terms(conn, &found)?;
    for (number, block) in &blocks {
        block.write(conn, *number)?;
    }
    let mut delete = conn.prepare_cached("DELETE FROM history_new WHERE seq = ?1")?;
    for seq in &seqs {
        delete.execute([seq])?;
    }
    let (empty, freed) = clear(conn)?;
    Ok(Stepped { taken: seqs.len(), empty, freed })
}

/// Adds these messages, in order, to the sets of their terms.
fn write_terms(conn: &Connection, found: &[(i64, String, u16)]) -> Result<(), Trouble> {
    let (mut select, mut insert) = (conn.prepare_cached(TERM)?, conn.prepare_cached(WRITE_TERM)?);
    for of_term in found.chunk_by(|one, other| (one.0, &one.1) == (other.0, &other.1)) {
        let (block, term, _) = &of_term[0];
        let mut set = RecordSet::default();
        {
            let mut rows = select.query(params![block, term])?;
            rows.next()?.map_or(Ok(()), |row| add_row(row, *block, &mut set))?;
        }
        of_term.iter().for_each(|(_, _, place)| set.insert(*place));
        insert.execute(params![block, term, set.encode()])?;
    }
    Ok(())
}

/// What the index stores of a finished message.
struct Record {
    seq: i64,
    received: i64,
    failed: bool,
    terms: BTreeSet<String>,
}

impl Record {
    /// The finished ones of these messages that can be read.
    fn read_all(conn: &Connection, seqs: &[i64]) -> rusqlite::Result<Vec<Record>> {
        let mut message = conn.prepare_cached(
            "SELECT state, received, client, addr, sender, account, subject FROM message WHERE seq = ?1",
        )?;
        let mut recipients = conn.prepare_cached("SELECT address FROM recipient WHERE seq = ?1")?;
        let mut records = Vec::with_capacity(seqs.len());
        for &seq in seqs {
            let mut addresses: Vec<String> = Vec::with_capacity(1);
            let mut rows = recipients.query([seq])?;
            while let Some(row) = rows.next()? {
                addresses.extend(row.get_ref(0)?.as_str().ok().map(str::to_owned));
            }
            let mut rows = message.query([seq])?;
            let Some(row) = rows.next()? else { continue };
            match Record::of(seq, row, &addresses) {
                Some(record) => records.push(record),
                None => tracing::warn!(
                    event = "queue_error",
                    row = seq,
                    "a finished message cannot be read; no search finds it"
                ),
            }
        }
        Ok(records)
    }

    fn of(seq: i64, row: &Row<'_>, recipients: &[String]) -> Option<Record> {
        let text = |column| row.get_ref(column).ok()?.as_str().ok();
        let optional = |column| row.get_ref(column).ok()?.as_str_or_null().ok();
        let state = MessageState::parse(text(0)?).filter(|state| state.is_final())?;
        let texts = TermTexts {
            client: text(2)?,
            addr: text(3)?,
            sender: text(4)?,
            account: optional(5)?,
            subject: optional(6)?,
        };
        let terms = texts.terms(recipients.iter().map(String::as_str));
        Some(Record { seq, received: row.get(1).ok()?, failed: state == MessageState::Failed, terms })
    }
}

/// Deletes a part of an empty block. Returns whether there may be more to delete, and whether anything was.
fn clear(conn: &Connection) -> rusqlite::Result<(bool, bool)> {
    let block: Option<i64> = conn.prepare_cached(EMPTY_BLOCK)?.query_row([], |row| row.get(0)).optional()?;
    let Some(block) = block else { return Ok((false, false)) };
    if conn.prepare_cached(CLEAR)?.execute(params![block, CLEARED as i64])? < CLEARED {
        conn.prepare_cached("DELETE FROM history_block WHERE block = ?1")?.execute([block])?;
    }
    Ok((true, true))
}

/// Removes a message from the history that is no longer finished. Returns whether its block is empty now.
///
/// Of its terms only the account goes: the others are the same when it is indexed again.
pub(super) fn withdraw(conn: &Connection, seq: i64) -> rusqlite::Result<bool> {
    removed(conn, seq, || {
        let emptied = remove(conn, seq)?;
        let sql = "SELECT account FROM message WHERE seq = ?1 AND typeof(account) = 'text'";
        let account = conn.prepare_cached(sql)?.query_row([seq], |row| row.get::<_, String>(0)).optional();
        if let Some(account) = account.ok().flatten() {
            let (block, term, mut set) = (block_of(seq), term('a', &account), RecordSet::default());
            add_term(conn, block, &term, &mut set)?;
            if set.contains(place_of(seq)) {
                set.remove(place_of(seq));
                conn.prepare_cached(WRITE_TERM)?.execute(params![block, term, set.encode()])?;
            }
        }
        Ok(emptied)
    })
}

/// Removes a message from the history that is about to be deleted. Returns whether its block is empty now.
pub(super) fn forget(conn: &Connection, seq: i64) -> rusqlite::Result<bool> {
    removed(conn, seq, || remove(conn, seq))
}

fn removed(conn: &Connection, seq: i64, remove: impl FnOnce() -> Result<bool, Trouble>) -> rusqlite::Result<bool> {
    let emptied = match remove() {
        Ok(emptied) => emptied,
        Err(Trouble::Failed(error)) => return Err(error),
        Err(Trouble::Damaged(block)) => {
            index_anew(conn, block)?;
            false
        }
    };
    conn.prepare_cached("DELETE FROM history_new WHERE seq = ?1")?.execute([seq])?;
    Ok(emptied)
}

/// Removes a message from `present`.
fn remove(conn: &Connection, seq: i64) -> Result<bool, Trouble> {
    let (number, place) = (block_of(seq), place_of(seq));
    let Some(mut block) = Block::read(conn, number)?.filter(|block| block.present.contains(place)) else {
        return Ok(false);
    };
    block.present.remove(place);
    block.failed.remove(place);
    block.write(conn, number)?;
    Ok(block.present.is_empty())
}

/// Deletes what the index has of a block; its finished messages are in `history_new` then.
pub(super) fn index_anew(conn: &Connection, block: i64) -> rusqlite::Result<()> {
    tracing::warn!(
        event = "history_damaged",
        block,
        "a part of the index of finished messages is damaged; it is made anew"
    );
    conn.execute("DELETE FROM history_term WHERE block = ?1", [block])?;
    conn.execute("DELETE FROM history_block WHERE block = ?1", [block])?;
    let sql = "INSERT OR IGNORE INTO history_new SELECT seq FROM message \
               WHERE seq >= ?1 AND seq < ?2 AND state IN ('delivered', 'failed')";
    conn.execute(sql, params![first_of(block), first_of(block + 1)]).map(drop)
}

/// Widens the times of the blocks whose messages get a new time of arrival: see
/// [`Queue::correct_times`](crate::queue::Queue::correct_times).
pub(super) fn widen(conn: &Connection, now: Timestamp, before: &Id) -> rusqlite::Result<()> {
    let sql = "UPDATE history_block SET first = min(first, ?1), last = max(last, ?1) \
               WHERE block IN (SELECT seq / ?3 FROM message WHERE id < ?2)";
    conn.execute(sql, params![now.millis(), before.as_str(), BLOCK]).map(drop)
}

/// How many messages are delivered, and how many have failed. Reads the index, not the messages, where that is possible.
pub(super) fn count(conn: &Connection) -> rusqlite::Result<[u64; 2]> {
    let indexed = || -> Result<Option<[u64; 2]>, Trouble> {
        let new: i64 =
            conn.query_row("SELECT count(*) FROM (SELECT 1 FROM history_new LIMIT ?1)", [MANY_NEW], |row| row.get(0))?;
        if new == MANY_NEW {
            return Ok(None);
        }
        let mut counts = [0; 2];
        let mut statement = conn.prepare("SELECT block, first, last, present, failed FROM history_block")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let block = Block::of(row, 1, row.get(0)?)?;
            let failed = block.failed.len();
            counts[0] += block.present.len().saturating_sub(failed) as u64;
            counts[1] += failed as u64;
        }
        let sql = "SELECT ifnull(sum(state = 'delivered'), 0), ifnull(sum(state = 'failed'), 0) \
                   FROM history_new CROSS JOIN message USING (seq)";
        let [delivered, failed]: [i64; 2] = conn.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?]))?;
        Ok(Some([counts[0] + delivered.max(0) as u64, counts[1] + failed.max(0) as u64]))
    };
    match indexed() {
        Ok(Some(counts)) => Ok(counts),
        // The index is made anew when a search meets the damage; the counts do not wait for that.
        Ok(None) | Err(Trouble::Damaged(_)) => {
            let mut statement =
                conn.prepare("SELECT count(*) FROM message INDEXED BY message_place WHERE state = ?1")?;
            let mut count = |state: MessageState| statement.query_row([state.name()], |row| row.get::<_, i64>(0));
            Ok([count(MessageState::Delivered)?.max(0) as u64, count(MessageState::Failed)?.max(0) as u64])
        }
        Err(Trouble::Failed(error)) => Err(error),
    }
}
