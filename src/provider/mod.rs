//! What a mailbox provider wants, and what its replies mean: data, and pure functions on it.
//!
//! ```text
//!  preset   qq, exmail, custom ...   host, ports, log-in, limits      <- presets.toml
//!  reply    octets of a reply     -> one line of text
//!  verdict  (group, phase, code, text) -> who is condemned, what follows   <- replies.tsv
//! ```
//!
//! Not here: sockets, schedules and the state of an account. Nothing here knows how a reply is read from the wire; it
//! takes the code and the text. The three-digit code of RFC 5321 section 4.2 is asked last, because the providers
//! answer rate limits with 550 and wrong settings with 454.

mod preset;
mod reply;
mod verdict;

pub use preset::{Endpoint, FromPolicy, Group, Mechanism, Preset, Tls, UserForm, names, preset};
pub use reply::reply_text;
pub use verdict::{Action, Phase, Scope, Verdict, classify};
