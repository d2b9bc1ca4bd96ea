//! Every refusal that intake itself says: the bland line for the peer, and the label under which it is counted.
//!
//! The cause, with ids and paths, goes to the log and never onto the wire. Refusals of syntax and sequence are
//! `smtp::server`'s. A refusal that time will mend is a 4xx, one that it will not is a 5xx.

use crate::limits::capacity::Full;
use crate::limits::guard::Spent;
use crate::queue::QueueError;
use crate::smtp::Reply;

/// A reply that refuses, and the value of the label `reason` in `yizhan_refused_total`.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What the peer reads.
    pub reply: Reply,
    /// What is counted.
    pub reason: &'static str,
}

impl Refusal {
    fn new(code: u16, text: &'static str, reason: &'static str) -> Refusal {
        Refusal { reply: Reply::fixed(code, text), reason }
    }
}

/// The peer is in no network that may send.
pub fn network() -> Refusal {
    Refusal::new(554, "5.7.1 Relaying denied: this client is not in an allowed network", "network")
}

/// A log-in whose password is wrong, or whose user does not exist: nobody is told which.
pub fn login() -> Refusal {
    Refusal::new(535, "5.7.8 Authentication failed", "login")
}

/// A log-in from an address that has guessed too often. The connection ends with it.
pub fn locked_out() -> Refusal {
    Refusal::new(421, "4.7.0 Too many failed log-ins from your address, try again later", "locked_out")
}

/// A log-in as a user whose password is being guessed from many addresses (RFC 4954 section 6).
pub fn user_later() -> Refusal {
    Refusal::new(454, "4.7.0 Too many failed log-ins as this user, try again in a minute", "user_pace")
}

/// A log-in that could not be checked: the relay has no memory or thread for it (RFC 4954 section 6).
pub fn login_unavailable() -> Refusal {
    Refusal::new(454, "4.7.0 The log-in could not be checked, try again later", "login_unavailable")
}

/// A sender that the user who is logged in may not use.
pub fn sender() -> Refusal {
    Refusal::new(553, "5.7.1 You may not send as this address", "sender")
}

/// The relay is stopping.
pub fn draining() -> Refusal {
    Refusal::new(421, "4.3.2 The relay is stopping, try again later", "draining")
}

/// A client that took too long for a command or a message (RFC 5321 section 4.5.3.2).
pub fn timeout() -> Refusal {
    Refusal::new(421, "4.4.2 Timeout, closing connection", "timeout")
}

/// A connection that finds no place.
pub fn no_place(full: Full) -> Refusal {
    match full {
        Full::Connections => Refusal::new(421, "4.3.2 Too many connections, try again later", full.reason()),
        Full::ConnectionsOfClient => {
            Refusal::new(421, "4.7.0 Too many connections from your address, try again later", full.reason())
        }
        Full::Queue | Full::Disk | Full::Inodes => {
            Refusal::new(421, "4.3.1 Insufficient system storage, try again later", full.reason())
        }
    }
}

/// A message that finds no room.
pub fn no_space(full: Full) -> Refusal {
    Refusal::new(452, "4.3.1 Insufficient system storage, try again later", full.reason())
}

/// A client, or a sender, that has spent what it may spend.
pub fn spent(spent: Spent) -> Refusal {
    let (code, text) = match spent {
        Spent::Messages => (450, "4.7.1 Too many messages from your address, try again later"),
        Spent::Recipients => (450, "4.7.1 Too many recipients from your address, try again later"),
        Spent::Bytes => (450, "4.7.1 Too much mail from your address, try again later"),
        Spent::Failures => (450, "4.7.0 Too many errors from your address, try again later"),
        Spent::Sender => (450, "4.7.1 Too many messages from this sender, try again later"),
        Spent::Share => (452, "4.3.1 Too much mail from your address is waiting, try again later"),
    };
    Refusal::new(code, text, spent.reason())
}

/// A log-in of a client that has made too many mistakes: it is not looked at (RFC 4954 section 6).
pub fn login_later() -> Refusal {
    Refusal::new(454, "4.7.0 Too many errors from your address, try again later", Spent::Failures.reason())
}

/// A sender that this client may not use.
pub fn sender_not_allowed() -> Refusal {
    Refusal::new(553, "5.7.1 This sender is not allowed for your address", "client_sender")
}

/// A recipient that this client may not write to.
pub fn recipient_not_allowed() -> Refusal {
    Refusal::new(550, "5.7.1 This recipient is not allowed for your address", "client_recipient")
}

/// A recipient without a domain: no provider could deliver to it.
pub fn unqualified() -> Refusal {
    Refusal::new(553, "5.1.3 The recipient address needs a domain", "recipient")
}

/// A recipient at an address literal: no provider would deliver to it.
pub fn literal() -> Refusal {
    Refusal::new(553, "5.1.3 Recipients at an address literal are not accepted", "recipient")
}

/// A mail that was handed in without a recipient.
pub fn no_recipient() -> Refusal {
    Refusal::new(554, "5.5.1 No recipient", "recipient")
}

/// A mail that was handed in for more recipients than one message may have.
pub fn too_many_recipients() -> Refusal {
    Refusal::new(452, "4.5.3 Too many recipients", "recipients")
}

/// A mail that was handed in and is larger than `limits.message_size`.
pub fn too_large(largest: u64) -> Refusal {
    let text = format!("5.3.4 The message is too large; at most {largest} octets are taken");
    Refusal { reply: Reply::new(552, &text), reason: "message_size" }
}

/// A header block beyond the caps.
pub fn header_too_large() -> Refusal {
    Refusal::new(552, "5.3.4 The header of the message is too large", "header_size")
}

/// A header block with more fields than anybody needs.
pub fn too_many_fields() -> Refusal {
    Refusal::new(554, "5.6.0 The header of the message has too many fields", "header_fields")
}

/// A message that no account could send, however long one waits (RFC 1870 section 6.3).
pub fn too_large_for_provider(size: u64, largest: u64) -> Refusal {
    let text = format!("5.3.4 The message has {size} octets; the mail provider takes at most {largest}");
    Refusal { reply: Reply::new(552, &text), reason: "message_size" }
}

/// A message that has been through too many hands, or through ours before.
pub fn loops() -> Refusal {
    Refusal::new(554, "5.4.6 Too many hops: the message is in a loop", "loop")
}

/// The message could not be stored.
pub fn not_stored(error: &QueueError) -> Refusal {
    match error {
        QueueError::Full(_) => Refusal::new(452, "4.3.1 Insufficient system storage, try again later", "disk_full"),
        QueueError::InUse(_)
        | QueueError::Unusable { .. }
        | QueueError::Io { .. }
        | QueueError::Database(_)
        | QueueError::NotFound(_)
        | QueueError::Busy(_)
        | QueueError::WrongState(..)
        | QueueError::Held(..)
        | QueueError::NoContent(_)
        | QueueError::NotLeased(_)
        | QueueError::TooLong { .. }
        | QueueError::Closed => {
            Refusal::new(451, "4.3.0 The message could not be stored, try again later", "queue_error")
        }
    }
}

/// Something in here went wrong that is not the client's fault.
pub fn fault() -> Refusal {
    Refusal::new(421, "4.3.0 Internal fault, try again later", "fault")
}
