//! The states of a session. Each holds only what is legal in it (RFC 5321 section 4.1.4).

use super::auth::AuthExchange;
use super::body::MessageBody;
use super::envelope::Envelope;

/// Where the dialogue stands. `Asked` states wait for the driver.
#[derive(Debug)]
pub(super) enum State {
    /// No transaction.
    Idle,
    /// The driver has a sender to judge.
    AskedMail,
    /// A transaction with this many accepted recipients.
    Envelope(Envelope),
    /// The driver has a recipient to judge.
    AskedRcpt(Envelope),
    /// The driver has a DATA to judge.
    AskedData {
        /// The command ended in a bare LF.
        bare_lf: bool,
    },
    /// The message is coming.
    Body(MessageBody),
    /// The driver has a message to judge.
    AskedEnd,
    /// The client owes a response in a log-in dialogue.
    Login(AuthExchange),
    /// The driver has a log-in to judge.
    AskedLogin {
        /// Who it would be.
        user: String,
    },
    /// 220 was said to STARTTLS; nothing that comes in plaintext counts.
    Handshake,
    /// Octets behind a BDAT that was not announced.
    Skip {
        /// Octets still to come.
        left: u64,
    },
}

/// What the next lines are suspected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Commands.
    None,
    /// DATA was refused: the message may come all the same.
    RefusedData,
    /// A message has just ended: a client that does not double dots may send the rest of it.
    AfterEnd,
    /// A message has just ended at LF.LF. Whether what follows is a command or the message of somebody who wrote a lone
    /// dot into it cannot be told, so it is not run.
    AfterBareEnd,
}
