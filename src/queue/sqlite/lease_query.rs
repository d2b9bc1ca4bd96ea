//! Which messages are leased, and when the next one is due. Runs on the writer's connection, after its commit.
//!
//! `client_lines` picks the next client in memory; the database returns that client's oldest message. Nothing is written here:
//! at a row that cannot be read the query stops, and the writer moves the row out of the way.

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::queue::client_lines::{ClientLine, FirstDue};
use crate::queue::counters_and_leases::LeasedMessage;
use crate::queue::fair::Client;
use crate::queue::{
    LaneRequest, Lease, LeaseGuard, LeaseRequest, MessageState, PoolLane, QueueEntry, Spool, StoredBody,
};

use super::memory::Memory;
use super::rows::{self, Content, Unreadable};

/// The messages of one client in one line, the longest due first.
pub(super) const CLIENT_MESSAGES: &str = "SELECT seq, due FROM message \
    WHERE pool = ?1 AND lane = ?2 AND client_key = ?3 AND due IS NOT NULL ORDER BY due, seq";

/// The most rows that are read ahead of one client.
const AHEAD: usize = 16;

/// A lease, and the checksum that its content must have; `None` when it never left the memory.
pub(super) type Candidate = (Lease, Option<u32>);

/// Why a query ended early.
pub(super) enum Stopped {
    /// The database failed.
    Failed(rusqlite::Error),
    /// This row cannot be read, for this reason.
    Unreadable(i64, String),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Stopped {
        Stopped::Failed(error)
    }
}

/// The first messages of one client in one line that are not leased: row and due time, the longest due first.
struct Head {
    place: usize,
    client: Client,
    line: ClientLine,
    rows: VecDeque<(i64, i64)>,
    /// Whether the line has no more of them than `rows`.
    complete: bool,
}

/// The database and the memory that a query reads.
pub(super) struct LeaseQuery<'a> {
    pub(super) conn: &'a Connection,
    pub(super) spool: &'a Arc<Spool>,
    pub(super) memory: &'a mut Memory,
    /// Makes the guard of the lease with this token.
    pub(super) guard: &'a dyn Fn(u64) -> LeaseGuard,
}

impl LeaseQuery<'_> {
    /// Leases from one lane until there are `most` leases, client by client in fair order.
    pub(super) fn lease_lane(
        &mut self,
        now: Timestamp,
        request: &LeaseRequest,
        lane: &LaneRequest,
        most: usize,
        leases: &mut Vec<Candidate>,
    ) -> Result<(), Stopped> {
        let mut heads: Vec<Head> = Vec::new();
        while leases.len() < most {
            let next = self.memory.lines.next(&request.turns, lane.lane, &lane.pools, now);
            let Some((place, client)) = next else { break };
            let is_it = |head: &Head| (head.place, head.client) == (place, client);
            let known = heads.iter().position(|head| is_it(head) && (!head.rows.is_empty() || head.complete));
            let at = match known {
                Some(at) => at,
                None => {
                    heads.retain(|head| !is_it(head));
                    let line = self.memory.lines.client_line(&lane.pools[place], lane.lane, client);
                    let (rows, complete) = self.first_rows(&line, (most - leases.len()).min(AHEAD) + 1)?;
                    heads.push(Head { place, client, line, rows, complete });
                    heads.len() - 1
                }
            };
            let Head { line, rows, complete, .. } = &mut heads[at];
            if let Some((seq, _)) = rows.pop_front_if(|(_, due)| *due <= now.millis()) {
                leases.push(self.candidate(seq, request, line)?);
                if rows.is_empty() && !*complete {
                    continue;
                }
            }
            self.memory.lines.learn(&line.pool, lane.lane, client, rows.front().map(|&(_, due)| due));
        }
        Ok(())
    }

    /// The first rows of a client in a line that may be leased, at most `limit`; true when there are no others.
    fn first_rows(&self, line: &ClientLine, limit: usize) -> rusqlite::Result<(VecDeque<(i64, i64)>, bool)> {
        let mut statement = self.conn.prepare_cached(CLIENT_MESSAGES)?;
        let mut rows = statement.query(params![&*line.pool, line.lane.name(), line.client.as_str()])?;
        let mut first = VecDeque::new();
        // Leased ones are still in the index; there are never more of them than attempts under way.
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            if !self.memory.counters.is_leased(seq) && !self.memory.damaged.contains(&seq) {
                first.push_back((seq, row.get(1)?));
                if first.len() == limit {
                    return Ok((first, false));
                }
            }
        }
        Ok((first, true))
    }

    /// Leases row `seq`.
    fn candidate(&mut self, seq: i64, request: &LeaseRequest, line: &ClientLine) -> Result<Candidate, Stopped> {
        let content = self.read(seq, line).map_err(|unreadable| match unreadable {
            Unreadable::Failed(error) => Stopped::Failed(error),
            Unreadable::Missing => Stopped::Unreadable(seq, "the row is gone".to_owned()),
            Unreadable::Damaged(reason) => Stopped::Unreadable(seq, reason),
        });
        let (entry, head, body, sum) = content?;
        let charged = entry.offered(request.recipients).len() as u32;
        self.memory.lines.lease(&request.turns, line, charged);
        let token = self.memory.counters.lease(LeasedMessage {
            seq,
            id: entry.id,
            state: entry.state,
            due: entry.due,
            line: line.clone(),
            turns: request.turns.as_str().into(),
            charged: charged.max(1),
        });
        let entry = QueueEntry { state: MessageState::Sending, ..entry };
        Ok((Lease { entry, head, body, guard: (self.guard)(token) }, sum))
    }

    fn read(
        &mut self,
        seq: i64,
        line: &ClientLine,
    ) -> Result<(QueueEntry, bytes::Bytes, StoredBody, Option<u32>), Unreadable> {
        let (entry, head, body, sum) = match self.memory.recent.take(seq) {
            Some((entry, head, body)) => (entry, head, StoredBody::from(body), None),
            None => {
                let entry = rows::entry(self.conn, seq)?;
                let content = rows::content(self.conn, self.spool, seq)?;
                let gone = || Unreadable::Damaged("the content is gone".to_owned());
                let Content { head, body, sum } = content.ok_or_else(gone)?;
                (entry, head, body, Some(sum))
            }
        };
        // An index that differs from its row is damaged, and would send the mail from another client's account.
        if *entry.pool != *line.pool || entry.lane != line.lane || entry.origin.key != line.client {
            return Err(Unreadable::Damaged("the pool, the lane or the client cannot be read".to_owned()));
        }
        Ok((entry, head, body, sum))
    }

    /// When the first message of the line is due that is not leased.
    pub(super) fn first_due(&mut self, PoolLane { pool, lane }: &PoolLane) -> rusqlite::Result<Option<Timestamp>> {
        loop {
            match self.memory.lines.first_due(pool, *lane) {
                FirstDue::Known(due) => return Ok(due),
                FirstDue::Ask(client) => {
                    let line = self.memory.lines.client_line(pool, *lane, client);
                    let (rows, _) = self.first_rows(&line, 1)?;
                    self.memory.lines.learn(pool, *lane, client, rows.front().map(|&(_, due)| due));
                }
            }
        }
    }
}
