//! What operators see: the list, one message, the depth. Messages of closed pools are shown as `waiting`.
//!
//! Only the picture is changed, never a row ([`crate::queue::Queue::close_pools`]). Invariant: list, show and depth tell
//! the same story, whatever is leased or closed.

use std::net::IpAddr;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::body::Stored;
use crate::queue::entry::{Entry, State};
use crate::queue::{Depth, Error, Filter};

use super::rows::{self, Unreadable};
use super::start::as_text;
use super::writer::Writer;

/// The pools of one state: the first, and the one after another.
pub(super) const FIRST_POOL: &str = "SELECT pool FROM message WHERE state = ?1 AND pool >= ?2 ORDER BY pool LIMIT 1";
pub(super) const NEXT_POOL: &str = "SELECT pool FROM message WHERE state = ?1 AND pool > ?2 ORDER BY pool LIMIT 1";
/// What is in one state and pool.
pub(super) const PLACE: &str = "SELECT id, seq FROM message WHERE state = ?1 AND pool = ?2 AND id > ?3 ORDER BY id";
/// The oldest of one state and pool.
pub(super) const OLDEST: &str = "SELECT received FROM message WHERE state = ?1 AND pool = ?2 ORDER BY id LIMIT 1";
/// How many of one pool are deferred and due.
pub(super) const DEFERRED: &str = "SELECT count(*) FROM message WHERE state = 'deferred' AND pool = ?1 AND due <= ?2";
/// What each address has in the queue. A scan, for once in a while.
const BY_ADDR: &str = "SELECT addr, sum(size) FROM message \
     WHERE state IN ('queued', 'sending', 'waiting', 'deferred', 'held') GROUP BY addr";

/// Which messages of one pool and one stored state are wanted.
enum Part {
    All,
    /// Only those due at this moment, or only those that are not.
    Due(Timestamp, bool),
}

impl Writer {
    pub(super) fn list(&mut self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let after = filter.after.as_ref().map_or("", Id::as_str);
        let wanted_pool = |pool: &str| filter.pool.as_deref().is_none_or(|wanted| wanted == pool);
        // Each state and pool is in order by itself; the first `limit` of all are among the first `limit` of each.
        let mut found: Vec<(Id, i64)> = Vec::new();
        if wanted(filter, State::Sending) {
            let leased = self.ledger.all_leased().filter(|l| l.id.as_str() > after && wanted_pool(&l.pool));
            found.extend(leased.map(|leased| (leased.id, leased.seq)));
        }
        let read = |found: &mut Vec<(Id, i64)>| -> rusqlite::Result<()> {
            for state in State::ALL.into_iter().filter(|&state| state != State::Sending) {
                for pool in self.pools_in(state)?.iter().filter(|pool| wanted_pool(&String::from_utf8_lossy(pool))) {
                    if let Some(part) = self.part(filter, state, pool) {
                        found.extend(self.ids_in(state, pool, &part, after, limit)?);
                    }
                }
            }
            Ok(())
        };
        read(&mut found).map_err(|error| self.failed(&error))?;
        found.sort_unstable();
        found.truncate(limit);
        self.entries(found.into_iter().map(|(_, seq)| seq).collect())
    }

    /// The messages in these rows, without those that cannot be read.
    pub(super) fn entries(&mut self, rows: Vec<i64>) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            match self.entry(row) {
                Ok(entry) => entries.push(entry),
                Err(Unreadable::Failed(error)) => return Err(self.failed(&error)),
                // It is set aside when its turn to be sent comes; a list must not fail for it.
                Err(unreadable) => {
                    tracing::warn!(event = "queue_error", row, ?unreadable, "a message was left out of the list")
                }
            }
        }
        Ok(entries)
    }

    /// Which messages of `pool` that the table has in `state` are shown in a state that is wanted.
    fn part(&self, filter: &Filter, state: State, pool: &[u8]) -> Option<Part> {
        let closed = std::str::from_utf8(pool).is_ok_and(|pool| self.closed.contains_key(pool));
        let (as_is, as_waiting) = (wanted(filter, state), wanted(filter, State::Waiting));
        match state {
            State::Queued if closed => as_waiting.then_some(Part::All),
            State::Deferred if closed && as_is != as_waiting => Some(Part::Due(self.now, as_waiting)),
            State::Queued
            | State::Sending
            | State::Waiting
            | State::Deferred
            | State::Held
            | State::Delivered
            | State::Failed => as_is.then_some(Part::All),
        }
    }

    /// The pools of all messages that the table has in `state`. As octets: what is damaged may not be text.
    fn pools_in(&self, state: State) -> rusqlite::Result<Vec<Vec<u8>>> {
        // From one to the next by the index, so that the time depends on the pools, not on the messages.
        let conn = self.conn()?;
        let look = |sql: &str, from: &[u8]| {
            let from = as_text(from);
            let mut statement = conn.prepare_cached(sql)?;
            let octets = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes()?.to_vec());
            statement.query_row(params![state.name(), from], octets).optional()
        };
        let mut pools: Vec<Vec<u8>> = Vec::new();
        let mut next = look(FIRST_POOL, b"")?;
        while let Some(pool) = next {
            // In a damaged index the next one may not come after this one.
            if pools.last().is_some_and(|last| *last >= pool) {
                break;
            }
            next = look(NEXT_POOL, &pool)?;
            pools.push(pool);
        }
        Ok(pools)
    }

    /// The first `limit` messages that the table has in `state` and `pool` and that are not leased.
    fn ids_in(
        &self,
        state: State,
        pool: &[u8],
        part: &Part,
        after: &str,
        limit: usize,
    ) -> rusqlite::Result<Vec<(Id, i64)>> {
        let mut statement = self.conn()?.prepare_cached(PLACE)?;
        let pool = as_text(pool);
        let mut rows = statement.query(params![state.name(), pool, after])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = row.get(1)?;
            let fits = match part {
                Part::All => true,
                Part::Due(now, due) => self.is_due(seq, *now)? == *due,
            };
            if let Some(id) = row.get_ref(0)?.as_str().ok().and_then(Id::parse)
                && fits
                && !self.ledger.is_leased(seq)
            {
                ids.push((id, seq));
                if ids.len() == limit {
                    break;
                }
            }
        }
        Ok(ids)
    }

    fn is_due(&self, seq: i64, now: Timestamp) -> rusqlite::Result<bool> {
        let sql = "SELECT due <= ?2 FROM message WHERE seq = ?1";
        self.conn()?.prepare_cached(sql)?.query_row([seq, now.millis()], |row| row.get(0))
    }

    /// A message as operators see it.
    fn entry(&self, seq: i64) -> Result<Entry, Unreadable> {
        let mut entry = rows::entry(self.conn()?, seq)?;
        if self.ledger.is_leased(seq) {
            entry.state = State::Sending;
        }
        let due = match entry.state {
            State::Queued | State::Waiting => true,
            State::Deferred => entry.due <= self.now,
            State::Sending | State::Held | State::Delivered | State::Failed => false,
        };
        if let Some(&until) = self.closed.get(&entry.pool)
            && due
        {
            (entry.state, entry.due) = (State::Waiting, entry.due.max(until));
        }
        Ok(entry)
    }

    pub(super) fn show(&mut self, id: Id) -> Result<(Entry, Bytes, Stored), Error> {
        let read = || -> Result<(Entry, Bytes, Stored), Unreadable> {
            let sql = "SELECT seq FROM message WHERE id = ?1";
            let seq = self.conn()?.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0))?;
            let entry = self.entry(seq)?;
            let content = rows::content(self.conn()?, &self.spool, seq)?;
            let (head, body) = content.map_or((Bytes::new(), Bytes::new().into()), |c| (c.head, c.body));
            Ok((entry, head, body))
        };
        read().map_err(|unreadable| match unreadable {
            Unreadable::Missing => Error::NotFound(id),
            Unreadable::Damaged(reason) => Error::Database(format!("message {id} is damaged: {reason}")),
            Unreadable::Failed(error) => self.failed(&error),
        })
    }

    pub(super) fn depth(&mut self) -> Result<Depth, Error> {
        let read = || -> rusqlite::Result<Depth> {
            let mut depth = self.ledger.depth();
            for pool in self.closed.keys() {
                let leased = |state, due: Timestamp| {
                    let of_pool = self.ledger.all_leased().filter(|leased| *leased.pool == **pool);
                    of_pool.filter(|leased| leased.state == state && leased.due <= due).count() as u64
                };
                let queued = self.ledger.in_pool(pool, State::Queued);
                let deferred = self.deferred(pool)?;
                for (state, all, leased) in [
                    (State::Queued, queued, leased(State::Queued, Timestamp::from_millis(i64::MAX))),
                    (State::Deferred, deferred, leased(State::Deferred, self.now)),
                ] {
                    let moved = all.saturating_sub(leased).min(depth.messages[state as usize]);
                    depth.messages[state as usize] -= moved;
                    depth.messages[State::Waiting as usize] += moved;
                }
            }
            depth.oldest = self.oldest()?;
            Ok(depth)
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Octets of all messages that are not final, by address. An address that cannot be read any more has none.
    pub(super) fn bytes_by_addr(&self) -> Result<Vec<(IpAddr, u64)>, Error> {
        let read = || -> rusqlite::Result<Vec<(IpAddr, u64)>> {
            let mut statement = self.conn()?.prepare_cached(BY_ADDR)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.iter().filter_map(|(addr, size)| Some((addr.parse().ok()?, (*size).max(0) as u64))).collect())
        };
        read().map_err(|error| self.failed(&error))
    }

    /// How many deferred messages of `pool` are due, leased or not.
    fn deferred(&self, pool: &str) -> rusqlite::Result<u64> {
        if self.ledger.in_pool(pool, State::Deferred) == 0 {
            return Ok(0);
        }
        let count =
            self.conn()?.prepare_cached(DEFERRED)?.query_row(params![pool, self.now.millis()], |row| row.get(0));
        count.map(|n: i64| n.max(0) as u64)
    }

    /// When the oldest message that is not final arrived.
    fn oldest(&self) -> rusqlite::Result<Option<Timestamp>> {
        let mut oldest = None;
        // Ids sort by time of arrival, so the first one of each state and pool is enough.
        let mut statement = self.conn()?.prepare_cached(OLDEST)?;
        for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
            for pool in self.pools_in(state)? {
                let pool = as_text(&pool);
                let received = statement.query_row(params![state.name(), pool], |row| row.get(0)).optional()?;
                oldest = oldest.into_iter().chain(received.map(Timestamp::from_millis)).min();
            }
        }
        Ok(oldest)
    }
}

/// Whether `filter` asks for messages that are shown in `state`.
fn wanted(filter: &Filter, state: State) -> bool {
    match filter.states[..] {
        [] => !state.is_final(),
        ref states => states.contains(&state),
    }
}
