//! A search among all messages: the index for those that it has, the rows of the others.
//!
//! Reads only, in one read transaction, on the connection of the reader or of the writer. Invariant: the answer is that of
//! [`MessageSearch::fits`] on every message that can be read, as operators see it.

use rusqlite::{Row, params};

use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::record_set::{RecordSet, block_of, first_of, place_of};
use crate::queue::search::{Condition, RowConditions, ScannedRow, SearchTerm};
use crate::queue::{MessageSearch, MessageState, QueueError, SearchCursor, SearchOrder, SearchPage};

use super::history_index::{self, Block, Overlap, Trouble, add_row};
use super::inspection_query::InspectionQuery;

/// The columns that a scan compares.
const COLUMNS: &str = "seq, state, received, client, addr, sender, account, pool, lane, due, subject";
/// The messages that the table has in a state.
pub(super) const IN_STATE: &str = "SELECT seq, state, received, client, addr, sender, account, pool, lane, due, subject \
    FROM message INDEXED BY message_place WHERE state = ?1";
/// The finished messages that the index lacks.
pub(super) const NEW: &str = "SELECT seq, state, received, client, addr, sender, account, pool, lane, due, subject \
    FROM history_new CROSS JOIN message USING (seq)";
/// The messages of a block that have a term in a range.
pub(super) const TERMS: &str = "SELECT records FROM history_term WHERE block = ?1 AND term >= ?2 AND term < ?3";
/// Up to so many messages of a block are read one by one.
const FEW: usize = 64;

/// The answer to a search, and the blocks of the index that are damaged: to be indexed anew.
pub(super) struct Searched {
    pub(super) page: SearchPage,
    pub(super) damaged: Vec<i64>,
}

/// The messages that fit, by their place.
#[derive(Default)]
struct Matches {
    /// Those that the index has, by block, the oldest block first.
    indexed: Vec<(i64, RecordSet)>,
    /// The others, in order.
    scanned: Vec<i64>,
}

impl Matches {
    fn total(&self) -> u64 {
        self.indexed.iter().map(|(_, set)| set.len() as u64).sum::<u64>() + self.scanned.len() as u64
    }

    /// The first `most` that come after the place of the search, in its order.
    fn page(&self, search: &MessageSearch, most: usize) -> Vec<i64> {
        let in_block = |(block, set): &(i64, RecordSet)| {
            let first = first_of(*block);
            set.iter().map(|place| first + i64::from(place)).collect::<Vec<_>>()
        };
        let mut page: Vec<i64> = match (search.order, search.after) {
            (SearchOrder::OldestFirst, after) => {
                let after = after.map_or(i64::MIN, |SearchCursor(place)| place);
                let blocks = self.indexed.iter().filter(|(block, _)| *block >= block_of(after));
                let indexed = blocks.flat_map(in_block).filter(|seq| *seq > after).take(most);
                indexed.chain(self.scanned.iter().copied().filter(|seq| *seq > after).take(most)).collect()
            }
            (SearchOrder::NewestFirst, after) => {
                let after = after.map_or(i64::MAX, |SearchCursor(place)| place);
                let blocks = self.indexed.iter().rev().filter(|(block, _)| *block <= block_of(after));
                let indexed =
                    blocks.flat_map(|one| in_block(one).into_iter().rev()).filter(|seq| *seq < after).take(most);
                let scanned = self.scanned.iter().rev().copied().filter(|seq| *seq < after).take(most);
                indexed.chain(scanned).collect()
            }
        };
        page.sort_unstable();
        if search.order == SearchOrder::NewestFirst {
            page.reverse();
        }
        page.truncate(most);
        page
    }
}

impl InspectionQuery<'_> {
    /// See [`crate::queue::Inspection::search`].
    pub(super) fn search(&self, search: &MessageSearch) -> Result<Searched, QueueError> {
        let transaction = self.read(|| self.conn.unchecked_transaction())?;
        let scan = Scan { query: self, conditions: search.row_conditions() };
        let (mut matches, mut damaged) = (Matches::default(), Vec::new());
        self.read(|| {
            scan.unfinished(search, &mut matches.scanned)?;
            if search.wants(MessageState::Delivered) || search.wants(MessageState::Failed) {
                scan.rows(NEW, [], &mut matches.scanned)?;
                damaged = self.indexed(search, &mut matches.indexed)?;
                for block in &damaged {
                    scan.block(*block, &mut matches.scanned)?;
                }
            }
            Ok(())
        })?;
        matches.scanned.sort_unstable();
        matches.scanned.dedup();
        let limit = if search.limit == 0 { 100 } else { search.limit };
        let mut rows = matches.page(search, limit.saturating_add(1));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().copied().filter(|_| more).map(SearchCursor);
        let page = SearchPage { total: matches.total(), entries: self.entries(rows)?, next };
        drop(transaction);
        Ok(Searched { page, damaged })
    }

    /// Adds what the index finds to `found`, and returns the blocks that are damaged.
    fn indexed(&self, search: &MessageSearch, found: &mut Vec<(i64, RecordSet)>) -> rusqlite::Result<Vec<i64>> {
        let mut conditions: Vec<Condition> =
            search.conditions().into_iter().chain(search.account_condition()).collect();
        // A range of terms costs more, and is not read where the others find nothing.
        conditions.sort_by_key(|condition| condition.iter().any(|term| matches!(term, SearchTerm::Prefix(_))));
        let sql = "SELECT block, first, last, present, failed FROM history_block ORDER BY block";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut damaged = Vec::new();
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            match self.in_block(search, &conditions, number, row) {
                Ok(set) if set.is_empty() => {}
                Ok(set) => found.push((number, set)),
                Err(Trouble::Damaged(block)) => damaged.push(block),
                Err(Trouble::Failed(error)) => return Err(error),
            }
        }
        Ok(damaged)
    }

    /// The messages of a block that fit.
    fn in_block(
        &self,
        search: &MessageSearch,
        conditions: &[Condition],
        number: i64,
        row: &Row<'_>,
    ) -> Result<RecordSet, Trouble> {
        let block = Block::of(row, 1, number)?;
        let overlap = block.overlap(search.since, search.until);
        if overlap == Overlap::None {
            return Ok(RecordSet::default());
        }
        let mut set = block.present;
        match (search.wants(MessageState::Delivered), search.wants(MessageState::Failed)) {
            (true, true) => {}
            (true, false) => set.and_not(&block.failed),
            (false, _) => set.and(&block.failed),
        }
        for condition in conditions {
            if set.is_empty() {
                return Ok(set);
            }
            let mut having = RecordSet::default();
            for term in condition {
                match term {
                    SearchTerm::Exact(term) => history_index::add_term(self.conn, number, term, &mut having)?,
                    SearchTerm::Prefix(prefix) => self.add_terms(number, prefix, &mut having)?,
                }
            }
            set.and(&having);
        }
        if overlap == Overlap::Part { self.in_time(search, number, &set).map_err(Trouble::from) } else { Ok(set) }
    }

    /// Adds the messages of the block with a term that begins with `prefix` to `set`.
    fn add_terms(&self, block: i64, prefix: &str, set: &mut RecordSet) -> Result<(), Trouble> {
        let mut statement = self.conn.prepare_cached(TERMS)?;
        // No word has this character.
        let mut rows = statement.query(params![block, prefix, format!("{prefix}{}", char::MAX)])?;
        while let Some(row) = rows.next()? {
            add_row(row, block, set)?;
        }
        Ok(())
    }

    /// Those of the messages that were received in the time that is asked for.
    fn in_time(&self, search: &MessageSearch, block: i64, set: &RecordSet) -> rusqlite::Result<RecordSet> {
        let mut within = RecordSet::default();
        let mut keep = |row: &Row<'_>| -> rusqlite::Result<()> {
            let place = place_of(row.get(0)?);
            if set.contains(place) && search.is_in_time(Timestamp::from_millis(row.get(1)?)) {
                within.insert(place);
            }
            Ok(())
        };
        let sql = "SELECT seq, received FROM message WHERE seq >= ?1 AND seq < ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut read = |first: i64, end: i64| -> rusqlite::Result<()> {
            let mut rows = statement.query([first, end])?;
            while let Some(row) = rows.next()? {
                keep(row)?;
            }
            Ok(())
        };
        let first = first_of(block);
        if set.len() <= FEW {
            set.iter().map(|place| first + i64::from(place)).try_for_each(|seq| read(seq, seq + 1))?;
        } else {
            read(first, first_of(block + 1))?;
        }
        Ok(within)
    }
}

/// Reads rows and keeps those that fit.
struct Scan<'a> {
    query: &'a InspectionQuery<'a>,
    conditions: RowConditions<'a>,
}

impl Scan<'_> {
    /// Unfinished messages, by the states in which they may be shown.
    fn unfinished(&self, search: &MessageSearch, found: &mut Vec<i64>) -> rusqlite::Result<()> {
        let snapshot = self.query.snapshot;
        let others = MessageState::ALL.into_iter().filter(|state| *state != MessageState::Sending && !state.is_final());
        let shown_so = |state: MessageState| {
            let as_waiting = !snapshot.closed.is_empty() && search.wants(MessageState::Waiting);
            search.wants(state) || as_waiting && matches!(state, MessageState::Queued | MessageState::Deferred)
        };
        let states: Vec<MessageState> = others.filter(|state| shown_so(*state)).collect();
        for state in &states {
            self.rows(IN_STATE, [state.name()], found)?;
        }
        // What is leased is not counted twice: the caller removes what was found before.
        if search.wants(MessageState::Sending) {
            let sql = format!("SELECT {COLUMNS} FROM message WHERE seq = ?1");
            for leased in snapshot.counters.all_leased().filter(|leased| !states.contains(&leased.state)) {
                self.rows(&sql, [leased.seq], found)?;
            }
        }
        Ok(())
    }

    /// The finished messages of a block.
    fn block(&self, block: i64, found: &mut Vec<i64>) -> rusqlite::Result<()> {
        let sql =
            format!("SELECT {COLUMNS} FROM message WHERE seq >= ?1 AND seq < ?2 AND state IN ('delivered', 'failed')");
        self.rows(&sql, [first_of(block), first_of(block + 1)], found)
    }

    fn rows(&self, sql: &str, parameters: impl rusqlite::Params, found: &mut Vec<i64>) -> rusqlite::Result<()> {
        let mut statement = self.query.conn.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            // A row with a value that cannot be is no message.
            if self.fits(seq, row).unwrap_or(false) && self.has_recipient(seq)? {
                found.push(seq);
            }
        }
        Ok(())
    }

    /// Whether the columns fit; `None` when one of them cannot be read.
    fn fits(&self, seq: i64, row: &Row<'_>) -> Option<bool> {
        let text = |column| row.get_ref(column).ok()?.as_str().ok();
        let number = |column| row.get_ref(column).ok()?.as_i64_or_null().ok();
        let (pool, lane) = (text(7)?, Lane::parse(text(8)?)?);
        let received = Timestamp::from_millis(number(2)??);
        let due = number(9)?.map_or(received, Timestamp::from_millis);
        let state = self.query.shown(seq, MessageState::parse(text(1)?)?, due, pool, lane);
        let optional = |column| row.get_ref(column).ok()?.as_str_or_null().ok();
        Some(self.conditions.fit(&ScannedRow {
            state,
            received,
            client: text(3)?,
            addr: text(4)?,
            sender: text(5)?,
            account: optional(6)?,
            pool,
            subject: optional(10)?,
        }))
    }

    fn has_recipient(&self, seq: i64) -> rusqlite::Result<bool> {
        if !self.conditions.needs_recipients() {
            return Ok(true);
        }
        let mut statement = self.query.conn.prepare_cached("SELECT address FROM recipient WHERE seq = ?1")?;
        let mut rows = statement.query([seq])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(0)?.as_str().is_ok_and(|address| self.conditions.recipient_fits(address)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
