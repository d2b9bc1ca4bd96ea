//! The octets of a message as it would leave: the header block of the account that would take it, a blank line, the body.
//!
//! Invariant: at most the header block and one piece of the body are in memory, besides a body that the queue keeps in one piece.

use bytes::Bytes;

use crate::mail::Id;
use crate::queue::{BodyReader, Queue, QueueError};

use super::accounts::Accounts;
use super::error::{AdminError, content_is_gone};
use super::reply::ExportStatus;

/// The octets of a message, piece by piece.
#[derive(Debug)]
pub struct MessageContent {
    head: Option<Bytes>,
    first: Option<Bytes>,
    body: BodyReader,
}

impl MessageContent {
    /// Opens the content of a message.
    ///
    /// # Errors
    /// There is no such message, or its content is deleted.
    pub(super) async fn open(
        queue: &dyn Queue,
        accounts: &dyn Accounts,
        id: Id,
    ) -> Result<(ExportStatus, MessageContent), AdminError> {
        let (entry, stored, body) = queue.show(id).await?;
        // Every stored message has a header block: at least its Received and Date fields.
        if stored.is_empty() {
            return Err(content_is_gone(&id.to_string()));
        }
        let mut head = accounts.outgoing_head(&entry, &stored);
        head.extend_from_slice(b"\r\n");
        let status = ExportStatus { id: id.to_string(), octets: head.len() as u64 + body.len() };
        let mut reader = body.reader();
        // A file that is open stays readable when the message is delivered meanwhile.
        let first = reader.next_chunk().await?;
        Ok((status, MessageContent { head: Some(Bytes::from(head)), first, body: reader }))
    }

    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// The body cannot be read, or is damaged.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, QueueError> {
        match self.head.take().or_else(|| self.first.take()) {
            Some(piece) => Ok(Some(piece)),
            None => self.body.next_chunk().await,
        }
    }
}
