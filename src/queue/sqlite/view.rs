//! What operators see: the list, one message, the depth. Messages of closed lanes are shown as `waiting`.
//!
//! Only what is shown is changed, never a row ([`crate::queue::Queue::close_lanes`]). Reads only, on whichever connection
//! (`reader`). Invariant: list, show and depth tell the same story, whatever is leased or closed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};
use crate::queue::{
    ClosedLane, MessageFilter, MessageState, PoolLane, QueueDepth, QueueEntry, QueueError, Spool, StoredBody,
    WaitReason,
};

use super::fault::Fault;
use super::ledger::{Leased, Ledger};
use super::rows::{self, Unreadable};
use super::start::as_text;

/// The lanes of one state, pool by pool: the first, and the one after another.
pub(super) const FIRST_LANE: &str =
    "SELECT pool, lane FROM message WHERE state = ?1 AND (pool, lane) >= (?2, ?3) ORDER BY pool, lane LIMIT 1";
pub(super) const NEXT_LANE: &str =
    "SELECT pool, lane FROM message WHERE state = ?1 AND (pool, lane) > (?2, ?3) ORDER BY pool, lane LIMIT 1";
/// What is in one state, pool and lane.
pub(super) const PLACE: &str =
    "SELECT id, seq FROM message WHERE state = ?1 AND pool = ?2 AND lane = ?3 AND id > ?4 ORDER BY id";
/// The oldest of one state, pool and lane.
pub(super) const OLDEST: &str =
    "SELECT received FROM message WHERE state = ?1 AND pool = ?2 AND lane = ?3 ORDER BY id LIMIT 1";
/// How many of one pool and lane are deferred and due.
pub(super) const DEFERRED: &str =
    "SELECT count(*) FROM message WHERE state = 'deferred' AND pool = ?1 AND lane = ?2 AND due <= ?3";
/// What each address has in the queue. A scan, for once in a while.
const BY_ADDR: &str = "SELECT addr, sum(size) FROM message \
     WHERE state IN ('queued', 'sending', 'waiting', 'deferred', 'held') GROUP BY addr";

/// Later than any date that is shown.
const UNTIL_AN_OPERATOR_ACTS: Timestamp = Timestamp::from_millis(i64::MAX);

/// The names of a pool and a lane, as octets: what is damaged may not be text.
type Names = (Vec<u8>, Vec<u8>);

/// Which messages of one pool, lane and stored state are wanted.
enum Part {
    All,
    /// Only those due at this moment, or only those that are not.
    Due(Timestamp, bool),
}

/// What the writer knows beside the tables, as of one moment.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) ledger: Ledger,
    /// The lanes that no account can take from.
    pub(super) closed: HashMap<PoolLane, ClosedLane>,
    /// The time, as it was told last.
    pub(super) now: Timestamp,
}

/// A look at the tables, with a picture of what the writer knows.
pub(super) struct View<'a> {
    pub(super) conn: &'a Connection,
    pub(super) spool: &'a Arc<Spool>,
    pub(super) folder: &'a Path,
    pub(super) picture: &'a Picture,
    /// Set when the queue is being closed: then a long look ends.
    pub(super) stop: &'a AtomicBool,
}

impl View<'_> {
    pub(super) fn list(&self, filter: &MessageFilter) -> Result<Vec<QueueEntry>, QueueError> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let after = filter.after.as_ref().map_or("", Id::as_str);
        let wanted_pool = |pool: &str| filter.pool.as_deref().is_none_or(|wanted| wanted == pool);
        // Each state, pool and lane is in order by itself; the first `limit` of all are among the first `limit` of each.
        let mut found: Vec<(Id, i64)> = Vec::new();
        if wanted(filter, MessageState::Sending) {
            let leased = self.picture.ledger.all_leased().filter(|l| l.id.as_str() > after && wanted_pool(&l.pool));
            found.extend(leased.map(|leased| (leased.id, leased.seq)));
        }
        let read = |found: &mut Vec<(Id, i64)>| -> rusqlite::Result<()> {
            for state in MessageState::ALL.into_iter().filter(|&state| state != MessageState::Sending) {
                let lanes = self.lanes_in(state)?.into_iter();
                for names in lanes.filter(|(pool, _)| wanted_pool(&String::from_utf8_lossy(pool))) {
                    if let Some(part) = self.part(filter, state, &names) {
                        found.extend(self.ids_in(state, &names, &part, after, limit)?);
                    }
                }
            }
            Ok(())
        };
        read(&mut found).map_err(|error| self.failed(&error))?;
        found.sort_unstable();
        found.truncate(limit);
        let mut entries = self.entries(found.into_iter().map(|(_, seq)| seq).collect())?;
        // What was leased when the picture was made may have been settled since.
        entries.retain(|entry| wanted(filter, entry.state));
        Ok(entries)
    }

    /// The messages in these rows, without those that cannot be read.
    pub(super) fn entries(&self, rows: Vec<i64>) -> Result<Vec<QueueEntry>, QueueError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            if self.stop.load(Ordering::Relaxed) {
                return Err(QueueError::Closed);
            }
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

    /// Why this lane of `pool` is closed; `None` when it is not.
    fn closed(&self, pool: &str, lane: Lane) -> Option<&ClosedLane> {
        self.picture.closed.get(&PoolLane { pool: pool.to_owned(), lane })
    }

    /// Which messages of this pool and lane that the table has in `state` are shown in a state that is wanted.
    fn part(&self, filter: &MessageFilter, state: MessageState, (pool, lane): &Names) -> Option<Part> {
        let lane = std::str::from_utf8(lane).ok().and_then(Lane::parse);
        let closed =
            std::str::from_utf8(pool).ok().zip(lane).and_then(|(pool, lane)| self.closed(pool, lane)).is_some();
        let (as_is, as_waiting) = (wanted(filter, state), wanted(filter, MessageState::Waiting));
        match state {
            MessageState::Queued if closed => as_waiting.then_some(Part::All),
            MessageState::Deferred if closed && as_is != as_waiting => Some(Part::Due(self.picture.now, as_waiting)),
            MessageState::Queued
            | MessageState::Sending
            | MessageState::Waiting
            | MessageState::Deferred
            | MessageState::Held
            | MessageState::Delivered
            | MessageState::Failed => as_is.then_some(Part::All),
        }
    }

    /// The pools and lanes of all messages that the table has in `state`.
    fn lanes_in(&self, state: MessageState) -> rusqlite::Result<Vec<Names>> {
        // From one to the next by the index, so that the time depends on the lanes, not on the messages.
        let conn = self.conn;
        let look = |sql: &str, (pool, lane): &Names| {
            let mut statement = conn.prepare_cached(sql)?;
            let octets = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Names> {
                Ok((row.get_ref(0)?.as_bytes()?.to_vec(), row.get_ref(1)?.as_bytes()?.to_vec()))
            };
            statement.query_row(params![state.name(), as_text(pool), as_text(lane)], octets).optional()
        };
        let mut lanes: Vec<Names> = Vec::new();
        let mut next = look(FIRST_LANE, &Names::default())?;
        while let Some(names) = next {
            // In a damaged index the next one may not come after this one.
            if lanes.last().is_some_and(|last| *last >= names) {
                break;
            }
            next = look(NEXT_LANE, &names)?;
            lanes.push(names);
        }
        Ok(lanes)
    }

    /// The first `limit` messages that the table has in `state`, in this pool and lane, and that are not leased.
    fn ids_in(
        &self,
        state: MessageState,
        (pool, lane): &Names,
        part: &Part,
        after: &str,
        limit: usize,
    ) -> rusqlite::Result<Vec<(Id, i64)>> {
        let mut statement = self.conn.prepare_cached(PLACE)?;
        let mut rows = statement.query(params![state.name(), as_text(pool), as_text(lane), after])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = row.get(1)?;
            let fits = match part {
                Part::All => true,
                Part::Due(now, due) => self.is_due(seq, *now)? == *due,
            };
            if let Some(id) = row.get_ref(0)?.as_str().ok().and_then(Id::parse)
                && fits
                && !self.picture.ledger.is_leased(seq)
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
        self.conn.prepare_cached(sql)?.query_row([seq, now.millis()], |row| row.get(0))
    }

    /// A message as operators see it.
    fn entry(&self, seq: i64) -> Result<QueueEntry, Unreadable> {
        let mut entry = rows::entry(self.conn, seq)?;
        if self.picture.ledger.is_leased(seq) && !entry.state.is_final() {
            entry.state = MessageState::Sending;
        }
        let due = match entry.state {
            MessageState::Queued | MessageState::Waiting => true,
            MessageState::Deferred => entry.due <= self.picture.now,
            MessageState::Sending | MessageState::Held | MessageState::Delivered | MessageState::Failed => false,
        };
        let closed = self.closed(&entry.pool, entry.lane).filter(|_| due);
        if let Some(ClosedLane { until, reason, .. }) = closed {
            (entry.state, entry.wait) = (MessageState::Waiting, Some(reason.clone()));
            entry.due = entry.due.max(until.unwrap_or(UNTIL_AN_OPERATOR_ACTS));
        } else if due
            && entry.state != MessageState::Waiting
            && self.picture.ledger.all_leased().any(|leased| *leased.pool == *entry.pool)
        {
            // Nothing is in its way but those of its pool that are sent now.
            entry.wait = Some(WaitReason::Share);
        }
        Ok(entry)
    }

    pub(super) fn show(&self, id: Id) -> Result<(QueueEntry, Bytes, StoredBody), QueueError> {
        let read = || -> Result<(QueueEntry, Bytes, StoredBody), Unreadable> {
            let sql = "SELECT seq FROM message WHERE id = ?1";
            let seq = self.conn.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0))?;
            let entry = self.entry(seq)?;
            let content = rows::content(self.conn, self.spool, seq)?;
            let (head, body) = content.map_or((Bytes::new(), Bytes::new().into()), |c| (c.head, c.body));
            Ok((entry, head, body))
        };
        read().map_err(|unreadable| match unreadable {
            Unreadable::Missing => QueueError::NotFound(id),
            Unreadable::Damaged(reason) => QueueError::Database(format!("message {id} is damaged: {reason}")),
            Unreadable::Failed(error) => self.failed(&error),
        })
    }

    pub(super) fn depth(&self) -> Result<QueueDepth, QueueError> {
        let read = || -> rusqlite::Result<QueueDepth> {
            let mut depth = self.picture.ledger.depth();
            for ClosedLane { line: PoolLane { pool, lane }, reason, .. } in self.picture.closed.values() {
                let (lane, moved_before) = (*lane, depth.messages[MessageState::Waiting as usize]);
                let leased = |state, due: Timestamp| {
                    let here =
                        self.picture.ledger.all_leased().filter(|leased| leased.lane == lane && *leased.pool == **pool);
                    here.filter(|leased| leased.state == state && leased.due <= due).count() as u64
                };
                let queued = self.picture.ledger.in_lane(pool, lane, MessageState::Queued);
                let deferred = self.deferred(pool, lane)?;
                for (state, all, leased) in [
                    (MessageState::Queued, queued, leased(MessageState::Queued, Timestamp::from_millis(i64::MAX))),
                    (MessageState::Deferred, deferred, leased(MessageState::Deferred, self.picture.now)),
                ] {
                    let moved = all.saturating_sub(leased).min(depth.messages[state as usize]);
                    depth.messages[state as usize] -= moved;
                    depth.messages[MessageState::Waiting as usize] += moved;
                }
                let stored = self.picture.ledger.in_lane(pool, lane, MessageState::Waiting);
                let stored = stored.saturating_sub(leased(MessageState::Waiting, Timestamp::from_millis(i64::MAX)));
                let moved = depth.messages[MessageState::Waiting as usize] - moved_before;
                depth.waiting[reason.place()] += moved + stored;
            }
            depth.waiting[WaitReason::Share.place()] = self.share()?;
            depth.oldest = self.oldest()?;
            Ok(depth)
        };
        read().map_err(|error| self.failed(&error))
    }

    /// How many messages wait only for others of their pool that are being sent.
    fn share(&self) -> rusqlite::Result<u64> {
        let pools: BTreeSet<&str> = self.picture.ledger.all_leased().map(|leased| &*leased.pool).collect();
        let lanes = pools.into_iter().flat_map(|pool| Lane::ALL.map(|lane| (pool, lane)));
        let open = lanes.filter(|(pool, lane)| self.closed(pool, *lane).is_none());
        open.map(|(pool, lane)| {
            let due = |leased: &&Leased| match leased.state {
                MessageState::Queued => true,
                MessageState::Deferred => leased.due <= self.picture.now,
                MessageState::Sending
                | MessageState::Waiting
                | MessageState::Held
                | MessageState::Delivered
                | MessageState::Failed => false,
            };
            let here = |leased: &&Leased| leased.lane == lane && *leased.pool == *pool && due(leased);
            let leased = self.picture.ledger.all_leased().filter(here).count() as u64;
            Ok((self.picture.ledger.in_lane(pool, lane, MessageState::Queued) + self.deferred(pool, lane)?)
                .saturating_sub(leased))
        })
        .sum()
    }

    /// Turns an error of a look into its answer.
    fn failed(&self, error: &rusqlite::Error) -> QueueError {
        if self.stop.load(Ordering::Relaxed) {
            return QueueError::Closed;
        }
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        Fault::of(error, self.folder).error()
    }

    /// Octets of all messages that are not final, by address. An address that cannot be read any more has none.
    pub(super) fn bytes_by_addr(&self) -> Result<Vec<(IpAddr, u64)>, QueueError> {
        let read = || -> rusqlite::Result<Vec<(IpAddr, u64)>> {
            let mut statement = self.conn.prepare_cached(BY_ADDR)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.iter().filter_map(|(addr, size)| Some((addr.parse().ok()?, (*size).max(0) as u64))).collect())
        };
        read().map_err(|error| self.failed(&error))
    }

    /// How many deferred messages of this pool and lane are due, leased or not.
    fn deferred(&self, pool: &str, lane: Lane) -> rusqlite::Result<u64> {
        if self.picture.ledger.in_lane(pool, lane, MessageState::Deferred) == 0 {
            return Ok(0);
        }
        let mut statement = self.conn.prepare_cached(DEFERRED)?;
        let count = statement.query_row(params![pool, lane.name(), self.picture.now.millis()], |row| row.get(0));
        count.map(|n: i64| n.max(0) as u64)
    }

    /// When the oldest message that is not final arrived.
    fn oldest(&self) -> rusqlite::Result<Option<Timestamp>> {
        let mut oldest = None;
        // Ids sort by time of arrival, so the first one of each state, pool and lane is enough.
        let mut statement = self.conn.prepare_cached(OLDEST)?;
        for state in MessageState::ALL.into_iter().filter(|state| !state.is_final()) {
            for (pool, lane) in self.lanes_in(state)? {
                let names = params![state.name(), as_text(&pool), as_text(&lane)];
                let received = statement.query_row(names, |row| row.get(0)).optional()?;
                oldest = oldest.into_iter().chain(received.map(Timestamp::from_millis)).min();
            }
        }
        Ok(oldest)
    }
}

/// Whether `filter` asks for messages that are shown in `state`.
fn wanted(filter: &MessageFilter, state: MessageState) -> bool {
    match filter.states[..] {
        [] => !state.is_final(),
        ref states => states.contains(&state),
    }
}
