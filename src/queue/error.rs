//! Why a call to the queue fails, and the form in which every backend answers.

use std::future::Future;
use std::io;
use std::pin::Pin;

use crate::mail::Id;

use super::state::{HoldReason, MessageState};

/// The answer to a call: boxed, so that one `dyn Queue` serves every backend.
pub type QueueFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// Why the queue could not do what it was asked. The texts are for the log and the operator, not for a peer.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No space or no quota is left in the place with this name (answer 452 4.3.1).
    #[error("no space is left in {0}")]
    Full(String),
    /// Another process has the queue, or another backup runs: a sentence with the place and the remedy.
    #[error("{0}")]
    InUse(String),
    /// The queue cannot be read, or a later version wrote it.
    #[error("the queue in {place} cannot be used: {reason}")]
    Unusable {
        /// The name of the place.
        place: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file or a folder could not be read, written or synced.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to what.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The database refused the call or failed.
    #[error("the queue's database failed: {0}")]
    Database(String),
    /// There is no such message.
    #[error("there is no message {0}")]
    NotFound(Id),
    /// The message is leased.
    #[error("message {0} is being sent right now; try again in a moment")]
    Busy(Id),
    /// The call is not possible in the state of the message.
    #[error("message {0} is {1}")]
    WrongState(Id, MessageState),
    /// An operator or a content rule holds the message.
    #[error("message {0} is held by {name}; release it", name = match .1 {
        HoldReason::Damaged => "the relay because it is damaged",
        HoldReason::Operator => "an operator",
        HoldReason::Policy => "a content rule",
    })]
    Held(Id, HoldReason),
    /// The content of the message was deleted; its record is still kept.
    #[error("the content of message {0} was deleted when `queue.keep_failed` had passed; only its record is kept")]
    NoContent(Id),
    /// The lease was lost: the message was leased again, or the queue was opened again.
    #[error("message {0} is no longer leased")]
    NotLeased(Id),
    /// A name or a text is longer than the queue stores.
    #[error("{what} is longer than {limit} octets")]
    TooLong {
        /// Which name or text.
        what: &'static str,
        /// The most octets it may have.
        limit: usize,
    },
    /// The queue has been closed.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// Returns whether a file itself is at fault, so that reading it again would end in the same way. A lack of
    /// descriptors, threads or memory passes and is not a fault of the file.
    pub fn is_about_the_file(&self) -> bool {
        use rustix::io::Errno;
        let QueueError::Io { source, .. } = self else { return false };
        match Errno::from_io_error(source) {
            Some(errno) => !matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR),
            // An error of the queue itself: wrong length, wrong checksum, or no plain file.
            None => source.kind() == io::ErrorKind::InvalidData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_at_fault_unless_the_process_lacks_something() {
        let io = |source| QueueError::Io { what: "cannot read x".to_owned(), source };
        let system = |code| io(io::Error::from_raw_os_error(code));
        // EIO, ENOENT, EACCES; EMFILE, ENFILE, ENOMEM.
        assert_eq!(
            [5, 2, 13, 24, 23, 12].map(|code| system(code).is_about_the_file()),
            [true, true, true, false, false, false]
        );
        assert!(io(io::ErrorKind::InvalidData.into()).is_about_the_file());
        assert!(!io(io::Error::other("given up")).is_about_the_file() && !QueueError::Closed.is_about_the_file());
    }
}
