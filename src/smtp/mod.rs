//! How SMTP is spoken, on both sides, as pure machines: bytes in, events out.
//!
//! What it is: the grammar of commands ([`command`]) and replies ([`reply`]), the framing of lines ([`line`]) and of
//! message data ([`data`]), the extension list ([`extension`]), the log-in dialogues ([`sasl`]), and two state machines
//! that use them: [`server`] for those who bring mail to us, [`client`] for those we bring it to. Beside it what load
//! balancers put in front of a connection ([`proxy_header`]).
//!
//! What it is not: it opens no socket, keeps no deadline and stores no mail. Whoever drives a machine reads, writes and
//! waits; the machine says when (RFC 5321, 2920, 3207, 4954, 6152, 1870).
//!
//! Invariants: input may arrive in any pieces, and the result is the same; a message ends at CRLF.CRLF and nowhere
//! else (one opt-in exception, [`data`]); a command line never holds an octet that did not come from a checked value.

pub mod client;
pub mod command;
pub mod data;
pub mod extension;
pub mod line;
pub mod proxy_header;
pub mod reply;
pub mod sasl;
pub mod server;
pub mod transcript;

pub use extension::Extensions;
pub use reply::{Class, Reply, ReplyError, ReplyParser};
pub use sasl::Mechanism;
pub use transcript::Transcript;
