//! Which messages are leased, and when the next one will be due. Runs on the writer's connection, after its commit.
//!
//! `lines` picks the next client in memory; the database returns that client's oldest message. The one thing this changes in
//! the tables: a row that cannot be read is set aside, so that the others go on.

use std::collections::VecDeque;

use rusqlite::params;

use crate::clock::Timestamp;
use crate::mail::{ClientKey, Lane};
use crate::queue::fair::Client;
use crate::queue::{
    LaneRequest, Lease, LeaseGuard, LeaseRequest, MessageState, PoolLane, QueueEntry, QueueError, StoredBody,
};

use super::apply::Write;
use super::ledger::Leased;
use super::lines::First;
use super::rows::{self, Content, Unreadable};
use super::writer::{Message, Writer};

/// The messages of one client in one line, the longest due first.
pub(super) const FLOW: &str = "SELECT seq, due FROM message \
    WHERE pool = ?1 AND lane = ?2 AND client_key = ?3 AND due IS NOT NULL ORDER BY due, seq";

/// Rows that are read ahead of one client at most.
const AHEAD: usize = 16;

/// A lease, and the checksum its content must have; `None` when it never left the memory.
pub(super) type Candidate = (Lease, Option<u32>);

/// The first messages of one client in one line that are not leased: row and due time, the longest due first.
struct Head {
    pool: usize,
    client: Client,
    rows: VecDeque<(i64, i64)>,
    /// Whether the line has no more of them than `rows`.
    complete: bool,
}

impl Writer {
    pub(super) fn lease(&mut self, now: Timestamp, request: &LeaseRequest) -> Result<Vec<Candidate>, QueueError> {
        let mut leases = Vec::new();
        // What could not be written down would be sent again after a crash, so nothing else is sent before.
        if !self.unsettled.is_empty() {
            return Ok(leases);
        }
        for lane in &request.lanes {
            let most = leases.len() + lane.limit.min(request.total.saturating_sub(leases.len()));
            self.lease_lane(now, request, lane, most, &mut leases)?;
        }
        Ok(leases)
    }

    /// Leases from one lane until there are `most` leases, client by client as their turns come.
    fn lease_lane(
        &mut self,
        now: Timestamp,
        request: &LeaseRequest,
        lane: &LaneRequest,
        most: usize,
        leases: &mut Vec<Candidate>,
    ) -> Result<(), QueueError> {
        let mut heads: Vec<Head> = Vec::new();
        while leases.len() < most {
            let Some((place, client)) = self.lines.next(&request.turns, lane.lane, &lane.pools, now) else { break };
            let pool = lane.pools[place].as_str();
            let key = self.lines.key(client);
            let known = heads.iter().position(|head| (head.pool, head.client) == (place, client));
            let known = known.filter(|&at| !heads[at].rows.is_empty() || heads[at].complete);
            let head = match known {
                Some(at) => &mut heads[at],
                None => {
                    let rows = self.first_rows(pool, lane.lane, &key, (most - leases.len()).min(AHEAD) + 1)?;
                    heads.retain(|head| (head.pool, head.client) != (place, client));
                    heads.push(Head { pool: place, client, complete: rows.1, rows: rows.0 });
                    heads.last_mut().expect("it was just put there")
                }
            };
            match head.rows.front() {
                Some(&(seq, due)) if due <= now.millis() => {
                    head.rows.pop_front();
                    let after = head.rows.front().map(|&(_, due)| due);
                    let complete = head.complete;
                    if !self.take(seq, request, pool, lane.lane, &key, leases)? {
                        // The row was set aside in a commit, which may have changed anything: all is read anew.
                        heads.clear();
                        continue;
                    }
                    if after.is_some() || complete {
                        self.lines.learn(pool, lane.lane, client, after);
                    }
                }
                later => {
                    let later = later.map(|&(_, due)| due);
                    self.lines.learn(pool, lane.lane, client, later);
                }
            }
        }
        Ok(())
    }

    /// Leases row `seq`; false when it cannot be read and was set aside.
    fn take(
        &mut self,
        seq: i64,
        request: &LeaseRequest,
        pool: &str,
        lane: Lane,
        key: &ClientKey,
        leases: &mut Vec<Candidate>,
    ) -> Result<bool, QueueError> {
        match self.candidate(seq, request, pool, lane, key) {
            Ok(candidate) => {
                leases.push(candidate);
                return Ok(true);
            }
            Err(Unreadable::Failed(error)) => return Err(self.failed(&error)),
            Err(Unreadable::Missing) => self.unreadable(seq, "the row is gone".to_owned()),
            Err(Unreadable::Damaged(reason)) => self.unreadable(seq, reason),
        }
        Ok(false)
    }

    /// The first rows of a client in a line that may be leased, at most `limit`; true when there are no others.
    fn first_rows(
        &self,
        pool: &str,
        lane: Lane,
        key: &ClientKey,
        limit: usize,
    ) -> Result<(VecDeque<(i64, i64)>, bool), QueueError> {
        let read = || -> rusqlite::Result<(VecDeque<(i64, i64)>, bool)> {
            let mut statement = self.conn()?.prepare_cached(FLOW)?;
            let mut rows = statement.query(params![pool, lane.name(), key.as_str()])?;
            let mut first = VecDeque::new();
            // Leased ones are still in the index; there are never more of them than deliveries under way.
            while let Some(row) = rows.next()? {
                let seq = row.get(0)?;
                if !self.ledger.is_leased(seq) && !self.skip.contains(&seq) {
                    first.push_back((seq, row.get(1)?));
                    if first.len() == limit {
                        return Ok((first, false));
                    }
                }
            }
            Ok((first, true))
        };
        read().map_err(|error| self.failed(&error))
    }

    fn candidate(
        &mut self,
        seq: i64,
        request: &LeaseRequest,
        pool: &str,
        lane: Lane,
        key: &ClientKey,
    ) -> Result<Candidate, Unreadable> {
        let (entry, head, body, sum) = match self.fresh.take(seq) {
            Some((entry, head, body)) => (entry, head, StoredBody::from(body), None),
            None => {
                let entry = rows::entry(self.conn()?, seq)?;
                let content = rows::content(self.conn()?, &self.spool, seq)?;
                let Content { head, body, sum } =
                    content.ok_or_else(|| Unreadable::Damaged("the content is gone".to_owned()))?;
                (entry, head, body, Some(sum))
            }
        };
        // An index that differs from its row is damaged, and would send the mail from another client's account.
        if entry.pool != pool || entry.lane != lane || entry.origin.key != *key {
            return Err(Unreadable::Damaged("the pool, the lane or the client cannot be read".to_owned()));
        }
        let charged = entry.offered(request.recipients).len() as u32;
        self.lines.lease(&request.turns, pool, lane, key, charged);
        let token = self.ledger.lease(Leased {
            seq,
            id: entry.id,
            state: entry.state,
            due: entry.due,
            pool: pool.into(),
            lane,
            key: key.clone(),
            turns: request.turns.as_str().into(),
            charged: charged.max(1),
        });
        let inbox = self.inbox.clone();
        let release = move || drop(inbox.send(Message::Release(token)));
        let guard = LeaseGuard { token, release: Some(Box::new(release)) };
        let entry = QueueEntry { state: MessageState::Sending, ..entry };
        Ok((Lease { entry, head, body, guard }, sum))
    }

    /// Sets row `seq` aside. If not even that can be written, it is passed over from now on.
    fn unreadable(&mut self, seq: i64, reason: String) {
        tracing::error!(event = "set_aside", row = seq, %reason, "a message cannot be read and was set aside");
        self.skip.insert(seq);
        self.commit_alone(Write::Banish { seq, reason });
    }

    /// When the first message of each line is due that is not leased; never, while nothing may be leased.
    pub(super) fn first_due(&mut self, lines: &[PoolLane]) -> Result<Vec<Option<Timestamp>>, QueueError> {
        if !self.unsettled.is_empty() {
            return Ok(vec![None; lines.len()]);
        }
        lines.iter().map(|line| self.first_of(&line.pool, line.lane)).collect()
    }

    fn first_of(&mut self, pool: &str, lane: Lane) -> Result<Option<Timestamp>, QueueError> {
        loop {
            match self.lines.first(pool, lane) {
                First::Known(due) => return Ok(due),
                First::Ask(client) => {
                    let key = self.lines.key(client);
                    let (rows, _) = self.first_rows(pool, lane, &key, 1)?;
                    self.lines.learn(pool, lane, client, rows.front().map(|&(_, due)| due));
                }
            }
        }
    }

    /// Ends a lease in memory: `offered` recipients count as served. Gives back what was leased.
    pub(super) fn end_lease(&mut self, token: u64, offered: u32) -> Option<Leased> {
        let leased = self.ledger.release(token)?;
        let unused = leased.charged.saturating_sub(offered);
        self.lines.end(&leased.turns, &leased.pool, leased.lane, &leased.key, unused);
        Some(leased)
    }

    /// A lease was dropped: the message is as it was.
    pub(super) fn release(&mut self, token: u64) {
        if let Some(leased) = self.ledger.holder(token) {
            // Its due time may have changed meanwhile: the database knows.
            self.lines.look_again(&leased.pool, leased.lane, &leased.key);
            self.end_lease(token, 0);
            self.due.notify_one();
        }
    }
}
