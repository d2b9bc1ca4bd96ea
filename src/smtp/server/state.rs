//! The states of a session. Each holds only what is legal in it (RFC 5321 section 4.1.4).

use crate::smtp::data::Unstuff;

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
    Body(Body),
    /// The driver has a message to judge.
    AskedEnd,
    /// The client owes a response in a log-in dialogue.
    Login(Step),
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
    /// The last reply is in the output.
    Closing,
}

/// A transaction between MAIL and DATA.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Recipients that were accepted.
    pub(super) accepted: usize,
    /// Recipients beyond the limit.
    pub(super) overflow: usize,
}

/// A message that is coming.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) unstuff: Unstuff,
    /// Octets so far.
    pub(super) size: u64,
    /// The driver was told to forget it.
    pub(super) discarded: bool,
    /// A bare CR or LF was seen. Only looked for in a strict profile.
    pub(super) bare: bool,
    /// The octet before was a CR. Only kept in a strict profile.
    pub(super) cr: bool,
}

impl Body {
    pub(super) fn new(unstuff: Unstuff) -> Body {
        Body { unstuff, size: 0, discarded: false, bare: false, cr: false }
    }
}

/// Which response is due in a log-in dialogue.
#[derive(Debug)]
pub(super) enum Step {
    /// PLAIN: the blob.
    Plain,
    /// LOGIN: the user.
    User,
    /// LOGIN: the password.
    Password {
        /// The user.
        user: String,
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

/// What counts against a client, since its last delivery; messages and refused log-ins since the beginning.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) errors: u32,
    pub(super) junk: u32,
    pub(super) blank: u32,
    pub(super) messages: u32,
    pub(super) failed_logins: u32,
}
