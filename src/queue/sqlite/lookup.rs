//! What is only read: who is due, who is there, how full it is. Runs on the writer's connection, after its commit, so
//! that everybody sees what was acknowledged before.
//!
//! The one thing it changes: a row that cannot be read is taken out of the way, so that the others go on.

use bytes::Bytes;
use rusqlite::params;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::body::Stored;
use crate::queue::entry::{Entry, State};
use crate::queue::{Depth, Error, Filter, Lease, LeaseGuard};

use super::apply::Write;
use super::fault::Fault;
use super::ledger::Leased;
use super::rows::{self, Content, Unreadable};
use super::writer::{Message, Writer};

/// A lease, and the checksum its content must have; `None` when it never left the memory.
pub(super) type Candidate = (Lease, Option<u32>);

/// Where the answer to a question goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A question.
pub(super) enum Read {
    Lease(Timestamp, usize, Reply<Vec<Candidate>>),
    NextDue(Reply<Option<Timestamp>>),
    List(Filter, Reply<Vec<Entry>>),
    Show(Id, Reply<(Entry, Bytes, Stored)>),
    Depth(Reply<Depth>),
}

impl Read {
    /// Says that the queue cannot answer.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Read::Lease(_, _, reply) => drop(reply.send(Err(error))),
            Read::NextDue(reply) => drop(reply.send(Err(error))),
            Read::List(_, reply) => drop(reply.send(Err(error))),
            Read::Show(_, reply) => drop(reply.send(Err(error))),
            Read::Depth(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Writer {
    /// Answers one question. An answer that nobody waits for any more is dropped, leases with it.
    pub(super) fn answer(&mut self, read: Read) {
        match read {
            Read::Lease(now, limit, reply) => {
                let answer = self.lease(now, limit);
                let _ = reply.send(answer);
            }
            Read::NextDue(reply) => drop(reply.send(self.next_due())),
            Read::List(filter, reply) => drop(reply.send(self.list(&filter))),
            Read::Show(id, reply) => drop(reply.send(self.show(id))),
            Read::Depth(reply) => drop(reply.send(self.depth())),
        }
    }

    fn lease(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Candidate>, Error> {
        // Reading the message of one row may show that it is damaged; then the next one takes its place.
        let mut leases = Vec::new();
        while leases.len() < limit {
            let due = self.due(now, limit - leases.len())?;
            if due.is_empty() {
                break;
            }
            for seq in due {
                match self.candidate(seq) {
                    Ok(candidate) => leases.push(candidate),
                    Err(Unreadable::Failed(error)) => return Err(self.failed(&error)),
                    Err(Unreadable::Missing) => self.unreadable(seq, "the row is gone".to_owned()),
                    Err(Unreadable::Damaged(reason)) => self.unreadable(seq, reason),
                }
            }
        }
        Ok(leases)
    }

    /// The rows that may be leased, the longest due first.
    fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<i64>, Error> {
        let rows = || -> rusqlite::Result<Vec<i64>> {
            let sql = "SELECT seq FROM message WHERE due <= ?1 ORDER BY due, seq";
            let mut statement = self.conn()?.prepare_cached(sql)?;
            let mut rows = statement.query([now.millis()])?;
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

    fn candidate(&mut self, seq: i64) -> Result<Candidate, Unreadable> {
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
        let token = self.ledger.lease(Leased { seq, id: entry.id, state: entry.state });
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

    fn next_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let first = || -> rusqlite::Result<Option<Timestamp>> {
            let sql = "SELECT due, seq FROM message WHERE due IS NOT NULL ORDER BY due, seq";
            let mut statement = self.conn()?.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let seq = row.get(1)?;
                if !self.ledger.is_leased(seq) && !self.skip.contains(&seq) {
                    return row.get(0).map(|due| Some(Timestamp::from_millis(due)));
                }
            }
            Ok(None)
        };
        first().map_err(|error| self.failed(&error))
    }

    fn list(&mut self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let wanted = |state: State| match filter.states[..] {
            [] => !state.is_final(),
            ref states => states.contains(&state),
        };
        let after = filter.after.as_ref().map_or("", Id::as_str);
        // Each state is in order by itself; the first `limit` of all are among the first `limit` of each.
        let mut found: Vec<(Id, i64)> = Vec::new();
        if wanted(State::Sending) {
            let leased = self.ledger.all_leased().filter(|leased| leased.id.as_str() > after);
            found.extend(leased.map(|leased| (leased.id, leased.seq)));
        }
        for state in State::ALL.into_iter().filter(|&state| state != State::Sending && wanted(state)) {
            let ids = self.ids_in(state, after, limit).map_err(|error| self.failed(&error))?;
            found.extend(ids);
        }
        found.sort_unstable();
        found.truncate(limit);
        let mut entries = Vec::with_capacity(found.len());
        for (id, seq) in found {
            match self.entry(seq) {
                Ok(entry) => entries.push(entry),
                Err(Unreadable::Failed(error)) => return Err(self.failed(&error)),
                // It is set aside when its turn to be sent comes; a list must not fail for it.
                Err(unreadable) => {
                    tracing::warn!(event = "queue_error", %id, ?unreadable, "a message was left out of the list")
                }
            }
        }
        Ok(entries)
    }

    /// The first `limit` messages that the table has in `state` and that are not leased.
    fn ids_in(&self, state: State, after: &str, limit: usize) -> rusqlite::Result<Vec<(Id, i64)>> {
        let sql = "SELECT id, seq FROM message WHERE state = ?1 AND id > ?2 ORDER BY id";
        let mut statement = self.conn()?.prepare_cached(sql)?;
        let mut rows = statement.query(params![state.name(), after])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            let seq = row.get(1)?;
            if let Some(id) = row.get_ref(0)?.as_str().ok().and_then(Id::parse)
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

    /// A message as operators see it.
    fn entry(&self, seq: i64) -> Result<Entry, Unreadable> {
        let mut entry = rows::entry(self.conn()?, seq)?;
        if self.ledger.is_leased(seq) {
            entry.state = State::Sending;
        }
        Ok(entry)
    }

    fn show(&mut self, id: Id) -> Result<(Entry, Bytes, Stored), Error> {
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

    fn depth(&mut self) -> Result<Depth, Error> {
        let oldest = || -> rusqlite::Result<Option<Timestamp>> {
            let mut oldest = None;
            for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
                // Ids sort by time of arrival, so the first one of each state is enough.
                let sql = "SELECT received FROM message WHERE state = ?1 ORDER BY id LIMIT 1";
                let mut statement = self.conn()?.prepare_cached(sql)?;
                let mut rows = statement.query([state.name()])?;
                if let Some(row) = rows.next()? {
                    let received = Timestamp::from_millis(row.get(0)?);
                    oldest = Some(oldest.map_or(received, |before: Timestamp| before.min(received)));
                }
            }
            Ok(oldest)
        };
        let oldest = oldest().map_err(|error| self.failed(&error))?;
        Ok(Depth { oldest, ..self.ledger.depth() })
    }

    /// Turns an error of a question into its answer.
    fn failed(&self, error: &rusqlite::Error) -> Error {
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        Fault::of(error, &self.settings.data_dir).error()
    }
}
