//! One message for one attempt.

use bytes::Bytes;

use crate::mail::{Address, Id, ReversePath};
use crate::queue::StoredBody;
use crate::smtp::client::Transaction;

/// One message for one attempt, with its rewritten sender.
#[derive(Debug)]
pub struct Letter<'a> {
    /// The message, for the log.
    pub id: Id,
    /// The envelope sender.
    pub from: ReversePath,
    /// The recipients to try.
    pub to: Vec<Address>,
    /// The header block with its last CRLF, without the blank line.
    pub head: Bytes,
    /// Everything after the blank line.
    pub body: &'a StoredBody,
    /// Whether there are octets above 127 in the body.
    pub eight_bit: bool,
}

impl Letter<'_> {
    /// What the dialogue must know of it.
    pub(super) fn transaction(&self) -> Transaction {
        let size = self.head.len() as u64 + 2 + self.body.len();
        Transaction { from: self.from.clone(), to: self.to.clone(), size, eight_bit: self.eight_bit }
    }
}
