//! The questions to the queue and where their answers go. Runs on the writer's connection, after its commit, so that each
//! caller sees what was acknowledged before. Not here: leases (`lease`), and what operators see (`view`).

use std::net::IpAddr;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::queue::body::Stored;
use crate::queue::entry::{AccountState, Entry, SavedTime, Usage};
use crate::queue::request::{LeaseRequest, Line};
use crate::queue::{Depth, Error, Filter};

use super::accounts;
use super::fault::Fault;
use super::lease::Candidate;
use super::writer::Writer;

/// Where the answer to a question goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A question.
pub(super) enum Read {
    Lease(Timestamp, LeaseRequest, Reply<Vec<Candidate>>),
    FirstDue(Vec<Line>, Reply<Vec<Option<Timestamp>>>),
    Pools(Reply<Vec<(String, u64)>>),
    Usage(String, Timestamp, Reply<Vec<Usage>>),
    Recall(Reply<Vec<AccountState>>),
    SavedTime(Reply<Option<SavedTime>>),
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
            Read::Lease(_, _, reply) => drop(reply.send(Err(error))),
            Read::FirstDue(_, reply) => drop(reply.send(Err(error))),
            Read::Pools(reply) => drop(reply.send(Err(error))),
            Read::Usage(_, _, reply) => drop(reply.send(Err(error))),
            Read::Recall(reply) => drop(reply.send(Err(error))),
            Read::SavedTime(reply) => drop(reply.send(Err(error))),
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
                let states = self.conn().and_then(accounts::recall);
                drop(reply.send(states.map_err(|error| self.failed(&error))));
            }
            Read::SavedTime(reply) => {
                let saved = self.conn().and_then(accounts::saved_time);
                drop(reply.send(saved.map_err(|error| self.failed(&error))));
            }
            Read::Untold(limit, reply) => drop(reply.send(self.untold(limit))),
            Read::List(filter, reply) => drop(reply.send(self.list(&filter))),
            Read::Show(id, reply) => drop(reply.send(self.show(id))),
            Read::BytesByAddr(reply) => drop(reply.send(self.bytes_by_addr())),
            Read::Depth(reply) => drop(reply.send(self.depth())),
        }
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
