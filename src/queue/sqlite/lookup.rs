//! The questions, and who is due. Runs on the writer's connection, after its commit, so that everybody sees what was
//! acknowledged before. Not here: what operators see (`view`).
//!
//! The one thing it changes: a row that cannot be read is taken out of the way, so that the others go on.

use std::net::IpAddr;

use bytes::Bytes;
use rusqlite::params;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::mail::{Id, Lane};
use crate::queue::body::Stored;
use crate::queue::entry::{AccountState, Entry, State, Usage, Want};
use crate::queue::{Depth, Error, Filter, Lease, LeaseGuard};

use super::accounts;
use super::apply::Write;
use super::fault::Fault;
use super::ledger::Leased;
use super::rows::{self, Content, Unreadable};
use super::writer::{Message, Writer};

/// Who is next in one line.
pub(super) const LINE: &str = "SELECT seq FROM message WHERE pool = ?1 AND lane = ?2 AND due <= ?3 ORDER BY due, seq";
/// When the first of one line is due.
pub(super) const FIRST: &str =
    "SELECT due, seq FROM message WHERE pool = ?1 AND lane = ?2 AND due IS NOT NULL ORDER BY due, seq";

/// A lease, and the checksum its content must have; `None` when it never left the memory.
pub(super) type Candidate = (Lease, Option<u32>);

/// Where the answer to a question goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A question.
pub(super) enum Read {
    Lease(Timestamp, Vec<Want>, usize, Reply<Vec<Candidate>>),
    NextDue(Vec<Want>, Reply<Option<Timestamp>>),
    Pools(Reply<Vec<(String, u64)>>),
    Usage(String, Timestamp, Reply<Vec<Usage>>),
    Recall(Reply<Vec<AccountState>>),
    Untold(usize, Reply<Vec<Entry>>),
    List(Filter, Reply<Vec<Entry>>),
    Show(Id, Reply<(Entry, Bytes, Stored)>),
    BytesByAddr(Reply<Vec<(IpAddr, u64)>>),
    Depth(Reply<Depth>),
}

impl Read {
    /// Says that the queue cannot answer.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Read::Lease(_, _, _, reply) => drop(reply.send(Err(error))),
            Read::NextDue(_, reply) => drop(reply.send(Err(error))),
            Read::Pools(reply) => drop(reply.send(Err(error))),
            Read::Usage(_, _, reply) => drop(reply.send(Err(error))),
            Read::Recall(reply) => drop(reply.send(Err(error))),
            Read::Untold(_, reply) => drop(reply.send(Err(error))),
            Read::List(_, reply) => drop(reply.send(Err(error))),
            Read::Show(_, reply) => drop(reply.send(Err(error))),
            Read::BytesByAddr(reply) => drop(reply.send(Err(error))),
            Read::Depth(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Writer {
    /// Answers one question. An answer that nobody waits for any more is dropped, leases with it.
    pub(super) fn answer(&mut self, read: Read) {
        match read {
            Read::Lease(now, wants, total, reply) => {
                self.now = now;
                drop(reply.send(self.lease(now, &wants, total)));
            }
            Read::NextDue(wants, reply) => drop(reply.send(self.next_due(&wants))),
            Read::Pools(reply) => drop(reply.send(Ok(self.ledger.pools()))),
            Read::Usage(account, since, reply) => {
                let usage = self.conn().and_then(|conn| accounts::usage(conn, &account, since));
                drop(reply.send(usage.map_err(|error| self.failed(&error))));
            }
            Read::Recall(reply) => {
                let states = self.conn().and_then(accounts::recall);
                drop(reply.send(states.map_err(|error| self.failed(&error))));
            }
            Read::Untold(limit, reply) => drop(reply.send(self.untold(limit))),
            Read::List(filter, reply) => drop(reply.send(self.list(&filter))),
            Read::Show(id, reply) => drop(reply.send(self.show(id))),
            Read::BytesByAddr(reply) => drop(reply.send(self.bytes_by_addr())),
            Read::Depth(reply) => drop(reply.send(self.depth())),
        }
    }

    fn lease(&mut self, now: Timestamp, wants: &[Want], total: usize) -> Result<Vec<Candidate>, Error> {
        let mut leases = Vec::new();
        for want in wants {
            let most = leases.len() + want.limit.min(total - leases.len());
            // Reading the message of one row may show that it is damaged; then the next one takes its place.
            while leases.len() < most {
                let due = self.due(now, want, most - leases.len())?;
                if due.is_empty() {
                    break;
                }
                for seq in due {
                    match self.candidate(seq, want) {
                        Ok(candidate) => leases.push(candidate),
                        Err(Unreadable::Failed(error)) => return Err(self.failed(&error)),
                        Err(Unreadable::Missing) => self.unreadable(seq, "the row is gone".to_owned()),
                        Err(Unreadable::Damaged(reason)) => self.unreadable(seq, reason),
                    }
                }
            }
        }
        Ok(leases)
    }

    /// The rows of one pool and lane that may be leased, the longest due first.
    fn due(&mut self, now: Timestamp, want: &Want, limit: usize) -> Result<Vec<i64>, Error> {
        let rows = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.conn()?.prepare_cached(LINE)?;
            let mut rows = statement.query(params![want.pool, want.lane.name(), now.millis()])?;
            let mut due = Vec::new();
            // Leased ones are still in the index; there are never more of them than deliveries under way.
            while let Some(row) = rows.next()? {
                let seq = row.get(0)?;
                if !self.ledger.is_leased(seq) && !self.skip.contains(&seq) {
                    due.push(seq);
                    if due.len() == limit {
                        break;
                    }
                }
            }
            Ok(due)
        };
        rows().map_err(|error| self.failed(&error))
    }

    fn candidate(&mut self, seq: i64, want: &Want) -> Result<Candidate, Unreadable> {
        let (entry, head, body, sum) = match self.fresh.take(seq) {
            Some((entry, head, body)) => (entry, head, Stored::Inline(body), None),
            None => {
                let entry = rows::entry(self.conn()?, seq)?;
                let content = rows::content(self.conn()?, &self.spool, seq)?;
                let Content { head, body, sum } =
                    content.ok_or_else(|| Unreadable::Damaged("the content is gone".to_owned()))?;
                (entry, head, body, Some(sum))
            }
        };
        // An index that says otherwise than its row is damaged, and would send the mail from somebody else's account.
        if entry.pool != want.pool || entry.lane != want.lane {
            return Err(Unreadable::Damaged("the pool or the lane cannot be read".to_owned()));
        }
        let (pool, lane) = (entry.pool.as_str().into(), entry.lane);
        let token = self.ledger.lease(Leased { seq, id: entry.id, state: entry.state, due: entry.due, pool, lane });
        let inbox = self.inbox.clone();
        let release = move || drop(inbox.send(Message::Release(token)));
        let guard = LeaseGuard { token, release: Some(Box::new(release)) };
        let entry = Entry { state: State::Sending, ..entry };
        Ok((Lease { entry, head, body, guard }, sum))
    }

    /// Takes row `seq` out of the way. If not even that can be written, it is passed over from now on.
    fn unreadable(&mut self, seq: i64, reason: String) {
        tracing::error!(event = "set_aside", row = seq, %reason, "a message cannot be read and was set aside");
        self.skip.insert(seq);
        self.commit_alone(Write::Banish { seq, reason });
    }

    fn next_due(&mut self, wants: &[Want]) -> Result<Option<Timestamp>, Error> {
        let first = |pool: &str, lane: Lane| -> rusqlite::Result<Option<i64>> {
            let mut statement = self.conn()?.prepare_cached(FIRST)?;
            let mut rows = statement.query([pool, lane.name()])?;
            while let Some(row) = rows.next()? {
                let seq = row.get(1)?;
                if !self.ledger.is_leased(seq) && !self.skip.contains(&seq) {
                    return row.get(0).map(Some);
                }
            }
            Ok(None)
        };
        let mut earliest: Option<i64> = None;
        for want in wants {
            let due = first(&want.pool, want.lane).map_err(|error| self.failed(&error))?;
            earliest = earliest.into_iter().chain(due).min();
        }
        Ok(earliest.map(Timestamp::from_millis))
    }

    fn untold(&mut self, limit: usize) -> Result<Vec<Entry>, Error> {
        let rows = self.conn().and_then(|conn| accounts::untold(conn, limit));
        self.entries(rows.map_err(|error| self.failed(&error))?)
    }

    /// Turns an error of a question into its answer.
    pub(super) fn failed(&self, error: &rusqlite::Error) -> Error {
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        Fault::of(error, &self.settings.data_dir).error()
    }
}
