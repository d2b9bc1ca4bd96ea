//! What became of a connection and of each recipient. Values only; what follows from them is decided elsewhere.
//!
//! Invariant: an outcome never claims more than is known. A message whose final dot got no reply is *uncertain*,
//! neither delivered nor failed (RFC 1047).

use crate::smtp::reply::Reply;

/// Where the dialogue stands (RFC 5321 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientPhase {
    /// Waiting for 220.
    Greeting,
    /// EHLO or HELO was sent.
    Ehlo,
    /// STARTTLS was sent, or the handshake is on.
    StartTls,
    /// Logging in.
    Auth,
    /// MAIL was sent.
    Mail,
    /// RCPT was sent.
    Rcpt,
    /// DATA was sent.
    DataCommand,
    /// The message is being sent.
    Body,
    /// The final dot was sent.
    FinalDot,
    /// Logged in, with nothing to do.
    Idle,
    /// QUIT was sent, or the connection is of no use any more.
    Quit,
}

impl ClientPhase {
    /// How long to wait for the peer in this phase, in seconds (RFC 5321 section 4.5.3.2; its figures are minima). For
    /// [`ClientPhase::Body`] it counts from the last octet the peer took, not for the whole message.
    pub fn deadline(self) -> u64 {
        match self {
            ClientPhase::Greeting
            | ClientPhase::Ehlo
            | ClientPhase::StartTls
            | ClientPhase::Auth
            | ClientPhase::Mail
            | ClientPhase::Rcpt => 300,
            ClientPhase::DataCommand => 120,
            ClientPhase::Body => 180,
            ClientPhase::FinalDot => 600,
            ClientPhase::Idle => 60,
            // Fire and forget: some servers never answer it.
            ClientPhase::Quit => 2,
        }
    }
}

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The peer closed.
    Eof,
    /// The peer was silent for too long.
    Timeout,
    /// Reading or writing failed.
    Reset,
    /// The peer said something that is not SMTP, or not an answer to what was said.
    Protocol,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One for each recipient, in the order they were given.
    pub recipients: Vec<RecipientOutcome>,
    /// The connection can take the next transaction as it is. Otherwise close it: a RSET would be needed, which is
    /// never sent, because providers answer it strangely.
    pub reusable: bool,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// Delivered to the server. The reply is the one to the final dot.
    Accepted(Reply),
    /// Refused, for now (4yz) or for good (5yz).
    Refused {
        /// What was refused.
        phase: ClientPhase,
        /// How.
        reply: Reply,
    },
    /// The message was sent to the end, and the verdict did not arrive.
    Uncertain {
        /// How the connection was lost.
        lost: Lost,
    },
    /// The message was certainly not delivered, and nothing is known about the recipient.
    NotTried {
        /// How far it came.
        phase: ClientPhase,
        /// How the connection was lost.
        lost: Lost,
    },
}

/// Why a connection cannot be used. No message was under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{phase:?}: {kind}")]
pub struct Failure {
    /// Where it happened.
    pub phase: ClientPhase,
    /// What happened.
    pub kind: FailureKind,
    /// A password went over the wire, so the server may have counted a log-in.
    pub sent_credentials: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(Reply),
    /// The connection was lost.
    #[error("the connection was lost: {0:?}")]
    Lost(Lost),
    /// The server said something that is not SMTP, or that an attacker put there.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// TLS is required and was not offered (RFC 3207 section 4.1).
    #[error("TLS is required but was not offered")]
    NoTls,
    /// The server offers no way to log in that we may use.
    #[error("the server offers no way to log in that is allowed here")]
    NoMechanism,
}
