//! The questions to the queue and where their answers go. They are taken up after the commit of their group, so that each
//! caller sees what was acknowledged before. What operators ask goes on to the reader. Not here: leases (`lease`), and what
//! operators see (`view`).

use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::queue::{AccountState, AccountUsage, LeaseRequest, PoolLane, QueueEntry, QueueError, SavedTime};

use super::accounts;
use super::fault::Fault;
use super::lease::Candidate;
use super::reader::Look;
use super::view::{Picture, View};
use super::writer::Writer;

/// A sum over so many messages takes less than a millisecond.
const FEW: u64 = 256;

/// Where the answer to a question goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// A question.
pub(super) enum Read {
    Lease(Timestamp, LeaseRequest, Reply<Vec<Candidate>>),
    FirstDue(Vec<PoolLane>, Reply<Vec<Option<Timestamp>>>),
    Pools(Reply<Vec<(String, u64)>>),
    Usage(String, Timestamp, Reply<Vec<AccountUsage>>),
    Recall(Reply<Vec<AccountState>>),
    SavedTime(Reply<Option<SavedTime>>),
    Untold(usize, Reply<Vec<QueueEntry>>),
    Bytes(Reply<u64>),
    Look(Look),
}

impl Read {
    /// Whether the answer depends on what was in the queue at its start.
    fn needs_counts(&self) -> bool {
        match self {
            Read::Lease(..) | Read::FirstDue(..) | Read::Pools(_) | Read::Bytes(_) | Read::Look(Look::Depth(_)) => true,
            Read::Usage(..) | Read::Recall(_) | Read::SavedTime(_) | Read::Untold(..) | Read::Look(_) => false,
        }
    }

    /// Says that the queue cannot answer.
    pub(super) fn refuse(self, error: QueueError) {
        match self {
            Read::Lease(_, _, reply) => drop(reply.send(Err(error))),
            Read::FirstDue(_, reply) => drop(reply.send(Err(error))),
            Read::Pools(reply) => drop(reply.send(Err(error))),
            Read::Usage(_, _, reply) => drop(reply.send(Err(error))),
            Read::Recall(reply) => drop(reply.send(Err(error))),
            Read::SavedTime(reply) => drop(reply.send(Err(error))),
            Read::Untold(_, reply) => drop(reply.send(Err(error))),
            Read::Bytes(reply) => drop(reply.send(Err(error))),
            Read::Look(look) => look.refuse(error),
        }
    }
}

impl Writer {
    /// Answers one question, or puts it off until the queue is counted. An answer that nobody waits for any more is dropped, leases with it.
    pub(super) fn answer(&mut self, read: Read) {
        if !self.ledger.is_counted() && read.needs_counts() {
            self.parked.push(read);
            return;
        }
        match read {
            Read::Lease(now, request, reply) => {
                self.now = now;
                drop(reply.send(self.lease(now, &request)));
            }
            Read::FirstDue(lines, reply) => drop(reply.send(self.first_due(&lines))),
            Read::Pools(reply) => drop(reply.send(Ok(self.ledger.pools()))),
            Read::Usage(account, since, reply) => {
                let usage = self.conn().and_then(|conn| accounts::usage(conn, &account, since));
                drop(reply.send(usage.map_err(|error| self.failed(&error))));
            }
            Read::Recall(reply) => {
                let states = self.conn().and_then(accounts::account_states);
                drop(reply.send(states.map_err(|error| self.failed(&error))));
            }
            Read::SavedTime(reply) => {
                let saved = self.conn().and_then(accounts::saved_time);
                drop(reply.send(saved.map_err(|error| self.failed(&error))));
            }
            Read::Untold(limit, reply) => drop(reply.send(self.untold(limit))),
            Read::Bytes(reply) => drop(reply.send(Ok(self.ledger.bytes()))),
            Read::Look(look) => self.look(look),
        }
    }

    fn untold(&self, limit: usize) -> Result<Vec<QueueEntry>, QueueError> {
        let rows = self.conn().and_then(|conn| accounts::unreported(conn, limit));
        let (rows, picture) = (rows.map_err(|error| self.failed(&error))?, self.picture());
        self.view(&picture).map_err(|error| self.failed(&error))?.entries(rows)
    }

    /// Hands a look to the reader. Where the files are out of their place, only the open connection leads to them; and for
    /// what each client has in a small queue, which is asked at each start, no thread is worth its memory.
    fn look(&mut self, look: Look) {
        let picture = self.picture();
        let quick = matches!(look, Look::BytesByAddr(_)) && self.ledger.is_counted() && self.ledger.len() <= FEW;
        if quick || self.is_astray() {
            match self.view(&picture) {
                Ok(view) => look.answer(&view),
                Err(error) => look.refuse(self.failed(&error)),
            }
        } else {
            self.reader.look(look, picture, self.identity);
        }
    }

    fn picture(&self) -> Picture {
        Picture { ledger: self.ledger.clone(), closed: self.closed.clone(), now: self.now }
    }

    fn view<'a>(&'a self, picture: &'a Picture) -> rusqlite::Result<View<'a>> {
        let folder = &self.folder;
        Ok(View { conn: self.conn()?, spool: &self.spool, folder, picture, stop: self.reader.stop() })
    }

    /// Turns an error of a question into its answer.
    pub(super) fn failed(&self, error: &rusqlite::Error) -> QueueError {
        tracing::error!(event = "queue_error", %error, "the queue's database could not be read");
        Fault::of(error, &self.folder).error()
    }
}
