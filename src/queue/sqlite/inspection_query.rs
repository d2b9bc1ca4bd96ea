//! What operators see: the list, one message, the depth. Messages of closed lanes are shown as `waiting`.
//!
//! Only what is shown is changed, never a row ([`crate::queue::MessageQueue::close_lanes`]). Reads only, on the connection of
//! the reader or of the writer. Invariant: list, show and depth agree, whatever is leased or closed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};
use crate::queue::counters_and_leases::{CountersAndLeases, LeasedMessage};
use crate::queue::{
    AuditFilter, AuditPage, ClosedLane, MessageFilter, MessageState, PoolLane, QueueDepth, QueueEntry, QueueError,
    Spool, StoredBody, WaitReason,
};

use super::command_log;
use super::connection::Fault;
use super::rows::{self, Unreadable, as_text, lossy};

/// The lanes of one state, pool by pool: the first one, and the next one.
pub(super) const FIRST_LANE: &str =
    "SELECT pool, lane FROM message WHERE state = ?1 AND (pool, lane) >= (?2, ?3) ORDER BY pool, lane LIMIT 1";
pub(super) const NEXT_LANE: &str =
    "SELECT pool, lane FROM message WHERE state = ?1 AND (pool, lane) > (?2, ?3) ORDER BY pool, lane LIMIT 1";
/// The messages of one state, pool and lane.
pub(super) const PLACE: &str =
    "SELECT id, seq FROM message WHERE state = ?1 AND pool = ?2 AND lane = ?3 AND id > ?4 ORDER BY id";
/// The oldest message of one state, pool and lane.
pub(super) const FINISHED: &str =
    "SELECT count(*) FROM message WHERE state = ?1 AND finished IS NOT NULL AND finished >= ?2";
pub(super) const OLDEST: &str =
    "SELECT received FROM message WHERE state = ?1 AND pool = ?2 AND lane = ?3 ORDER BY id LIMIT 1";
/// The number of messages of one pool and lane that are deferred and due.
pub(super) const DEFERRED: &str =
    "SELECT count(*) FROM message WHERE state = 'deferred' AND pool = ?1 AND lane = ?2 AND due <= ?3";
/// The octets that each address has in the queue. A scan.
const BY_ADDR: &str = "SELECT addr, sum(size) FROM message \
     WHERE state IN ('queued', 'sending', 'waiting', 'deferred', 'held') GROUP BY addr";

/// Later than any date: what waits for an operator is due then.
const FOR_EVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The names of a pool and a lane, as octets: damaged ones may not be text.
type Names = (Vec<u8>, Vec<u8>);

/// Which messages of one pool, lane and stored state are wanted.
#[derive(Clone, Copy)]
enum Part {
    All,
    /// Only those that are due now (`true`), or only those that are not.
    Due(bool),
}

/// What the writer has in memory beside the tables, as of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) counters: CountersAndLeases,
    /// The lanes that no account can take from.
    pub(super) closed: HashMap<PoolLane, ClosedLane>,
    /// The last time that the queue was given.
    pub(super) now: Timestamp,
}

/// The tables, with a snapshot of the writer's memory.
pub(super) struct InspectionQuery<'a> {
    pub(super) conn: &'a Connection,
    pub(super) spool: &'a Arc<Spool>,
    pub(super) folder: &'a Path,
    pub(super) snapshot: &'a Snapshot,
    /// Set when the queue is being closed: then a long query ends.
    pub(super) stop: &'a AtomicBool,
}

impl InspectionQuery<'_> {
    /// See [`crate::queue::Inspection::list`].
    pub(super) fn list(&self, filter: &MessageFilter) -> Result<Vec<QueueEntry>, QueueError> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let after = filter.after.as_ref().map_or("", Id::as_str);
        let in_pool = |pool: &str| filter.pool.as_deref().is_none_or(|wanted| wanted == pool);
        // Each state, pool and lane is in order by itself; the first `limit` of all are among the first `limit` of each.
        let mut found: Vec<(Id, i64)> = Vec::new();
        if wanted(filter, MessageState::Sending) {
            let leased = self.leased().filter(|l| l.id.as_str() > after && in_pool(&l.line.pool));
            found.extend(leased.map(|leased| (leased.id, leased.seq)));
        }
        self.read(|| {
            for state in MessageState::ALL.into_iter().filter(|&state| state != MessageState::Sending) {
                for names in self.lanes_in(state)?.iter().filter(|(pool, _)| in_pool(&lossy(pool))) {
                    if let Some(part) = self.part(filter, state, names) {
                        found.extend(self.ids_in(state, names, part, after, limit)?);
                    }
                }
            }
            Ok(())
        })?;
        found.sort_unstable();
        found.truncate(limit);
        let mut entries = self.entries(found.into_iter().map(|(_, seq)| seq).collect())?;
        // What was leased when the snapshot was made may have been settled since.
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
                // It goes to quarantine when it is leased; a list must not fail for it.
                Err(unreadable) => {
                    tracing::warn!(event = "queue_error", row, ?unreadable, "a message was left out of the list")
                }
            }
        }
        Ok(entries)
    }

    /// See [`crate::queue::Inspection::show`].
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

    /// See [`crate::queue::Inspection::depth`].
    pub(super) fn depth(&self) -> Result<QueueDepth, QueueError> {
        self.read(|| {
            let mut depth = self.snapshot.counters.depth();
            for ClosedLane { line: PoolLane { pool, lane }, reason, .. } in self.snapshot.closed.values() {
                let lane = *lane;
                let leased = |state, until: Timestamp| {
                    let here = self.leased().filter(|leased| leased.is_in(pool, lane) && leased.state == state);
                    here.filter(|leased| leased.due <= until).count() as u64
                };
                let in_lane = |state| self.snapshot.counters.in_lane(pool, lane, state);
                let mut moved = 0;
                for (state, all, until) in [
                    (MessageState::Queued, in_lane(MessageState::Queued), FOR_EVER),
                    (MessageState::Deferred, self.deferred(pool, lane)?, self.snapshot.now),
                ] {
                    let count = &mut depth.messages[state as usize];
                    let shown = all.saturating_sub(leased(state, until)).min(*count);
                    *count -= shown;
                    moved += shown;
                }
                depth.messages[MessageState::Waiting as usize] += moved;
                let stored = in_lane(MessageState::Waiting).saturating_sub(leased(MessageState::Waiting, FOR_EVER));
                depth.waiting[reason.place()] += moved + stored;
            }
            depth.waiting[WaitReason::Share.place()] = self.share()?;
            depth.oldest = self.oldest()?;
            Ok(depth)
        })
    }

    /// See [`crate::queue::Inspection::finished_since`].
    pub(super) fn finished_since(&self, since: Timestamp) -> Result<(u64, u64), QueueError> {
        let count = |state: MessageState| -> rusqlite::Result<u64> {
            let mut statement = self.conn.prepare_cached(FINISHED)?;
            let count = statement.query_row(params![state.name(), since.millis()], |row| row.get::<_, i64>(0));
            count.map(|n| n.max(0) as u64)
        };
        self.read(|| Ok((count(MessageState::Delivered)?, count(MessageState::Failed)?)))
    }

    /// See [`crate::queue::Inspection::bytes_by_addr`]. An address that cannot be read has none.
    pub(super) fn bytes_by_addr(&self) -> Result<Vec<(IpAddr, u64)>, QueueError> {
        self.read(|| {
            let mut statement = self.conn.prepare_cached(BY_ADDR)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.iter().filter_map(|(addr, size)| Some((addr.parse().ok()?, (*size).max(0) as u64))).collect())
        })
    }

    /// See [`crate::queue::AuditLog::commands`].
    pub(super) fn commands(&self, filter: &AuditFilter) -> Result<AuditPage, QueueError> {
        self.read(|| command_log::commands(self.conn, filter))
    }

    pub(super) fn read<T>(&self, query: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, QueueError> {
        query().map_err(|error| self.failed(&error))
    }

    /// Turns an error of a query into its answer.
    fn failed(&self, error: &rusqlite::Error) -> QueueError {
        if self.stop.load(Ordering::Relaxed) {
            return QueueError::Closed;
        }
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        Fault::of(error, self.folder).error()
    }

    fn leased(&self) -> impl Iterator<Item = &LeasedMessage> {
        self.snapshot.counters.all_leased()
    }

    /// The entry of this lane of `pool` in the closed lanes; `None` when it is open.
    fn closed(&self, pool: &str, lane: Lane) -> Option<&ClosedLane> {
        self.snapshot.closed.get(&PoolLane { pool: pool.to_owned(), lane })
    }

    /// Which messages of this pool and lane that the table has in `state` are shown in a state that is wanted.
    fn part(&self, filter: &MessageFilter, state: MessageState, (pool, lane): &Names) -> Option<Part> {
        let text = |octets| std::str::from_utf8(octets).ok();
        let closed = text(pool).zip(text(lane).and_then(Lane::parse));
        let closed = closed.is_some_and(|(pool, lane)| self.closed(pool, lane).is_some());
        let (as_is, as_waiting) = (wanted(filter, state), wanted(filter, MessageState::Waiting));
        match state {
            MessageState::Queued if closed => as_waiting.then_some(Part::All),
            MessageState::Deferred if closed && as_is != as_waiting => Some(Part::Due(as_waiting)),
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
        let query = |sql: &str, (pool, lane): &Names| {
            let octets = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Names> {
                Ok((row.get_ref(0)?.as_bytes()?.to_vec(), row.get_ref(1)?.as_bytes()?.to_vec()))
            };
            let mut statement = self.conn.prepare_cached(sql)?;
            statement.query_row(params![state.name(), as_text(pool), as_text(lane)], octets).optional()
        };
        let mut lanes: Vec<Names> = Vec::new();
        let mut next = query(FIRST_LANE, &Names::default())?;
        while let Some(names) = next {
            // In a damaged index the next one may not come after this one.
            if lanes.last().is_some_and(|last| *last >= names) {
                break;
            }
            next = query(NEXT_LANE, &names)?;
            lanes.push(names);
        }
        Ok(lanes)
    }

    /// The first `limit` messages that the table has in `state`, in this pool and lane, and that are not leased.
    fn ids_in(
        &self,
        state: MessageState,
        (pool, lane): &Names,
        part: Part,
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
                Part::Due(due) => self.is_due(seq)? == due,
            };
            if let Some(id) = row.get_ref(0)?.as_str().ok().and_then(Id::parse)
                && fits
                && !self.snapshot.counters.is_leased(seq)
            {
                ids.push((id, seq));
                if ids.len() == limit {
                    break;
                }
            }
        }
        Ok(ids)
    }

    fn is_due(&self, seq: i64) -> rusqlite::Result<bool> {
        let sql = "SELECT due <= ?2 FROM message WHERE seq = ?1";
        self.conn.prepare_cached(sql)?.query_row([seq, self.snapshot.now.millis()], |row| row.get(0))
    }

    /// The state of a message as if no lane was closed, and whether it waits for nothing but its turn.
    fn unless_closed(&self, seq: i64, stored: MessageState, due: Timestamp) -> (MessageState, bool) {
        let leased = !stored.is_final() && self.snapshot.counters.is_leased(seq);
        let state = if leased { MessageState::Sending } else { stored };
        let due = match state {
            MessageState::Queued | MessageState::Waiting => true,
            MessageState::Deferred => due <= self.snapshot.now,
            MessageState::Sending | MessageState::Held | MessageState::Delivered | MessageState::Failed => false,
        };
        (state, due)
    }

    /// The state in which a message is shown that the table has in the state `stored`.
    pub(super) fn shown(&self, seq: i64, stored: MessageState, due: Timestamp, pool: &str, lane: Lane) -> MessageState {
        let (state, due) = self.unless_closed(seq, stored, due);
        let closed = due && !self.snapshot.closed.is_empty() && self.closed(pool, lane).is_some();
        if closed { MessageState::Waiting } else { state }
    }

    /// A message as operators see it.
    fn entry(&self, seq: i64) -> Result<QueueEntry, Unreadable> {
        let mut entry = rows::entry(self.conn, seq)?;
        let (state, due) = self.unless_closed(seq, entry.state, entry.due);
        entry.state = state;
        if let Some(ClosedLane { until, reason, .. }) = self.closed(&entry.pool, entry.lane).filter(|_| due) {
            (entry.state, entry.wait) = (MessageState::Waiting, Some(reason.clone()));
            entry.due = entry.due.max(until.unwrap_or(FOR_EVER));
        } else if due
            && entry.state != MessageState::Waiting
            && self.leased().any(|leased| *leased.line.pool == *entry.pool)
        {
            // It waits only for those of its pool that are being sent.
            entry.wait = Some(WaitReason::Share);
        }
        Ok(entry)
    }

    /// How many messages wait only for others of their pool that are being sent.
    fn share(&self) -> rusqlite::Result<u64> {
        let pools: BTreeSet<&str> = self.leased().map(|leased| &*leased.line.pool).collect();
        let lanes = pools.into_iter().flat_map(|pool| Lane::ALL.map(|lane| (pool, lane)));
        let open = lanes.filter(|(pool, lane)| self.closed(pool, *lane).is_none());
        open.map(|(pool, lane)| {
            let due = |leased: &LeasedMessage| match leased.state {
                MessageState::Queued => true,
                MessageState::Deferred => leased.due <= self.snapshot.now,
                MessageState::Sending
                | MessageState::Waiting
                | MessageState::Held
                | MessageState::Delivered
                | MessageState::Failed => false,
            };
            let leased = self.leased().filter(|leased| leased.is_in(pool, lane) && due(leased)).count() as u64;
            let queued = self.snapshot.counters.in_lane(pool, lane, MessageState::Queued);
            Ok((queued + self.deferred(pool, lane)?).saturating_sub(leased))
        })
        .sum()
    }

    /// How many deferred messages of this pool and lane are due, leased or not.
    fn deferred(&self, pool: &str, lane: Lane) -> rusqlite::Result<u64> {
        if self.snapshot.counters.in_lane(pool, lane, MessageState::Deferred) == 0 {
            return Ok(0);
        }
        let mut statement = self.conn.prepare_cached(DEFERRED)?;
        let count = statement.query_row(params![pool, lane.name(), self.snapshot.now.millis()], |row| row.get(0));
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

/// Returns whether `filter` asks for messages that are shown in `state`.
fn wanted(filter: &MessageFilter, state: MessageState) -> bool {
    match filter.states[..] {
        [] => !state.is_final(),
        ref states => states.contains(&state),
    }
}
