//! What is wrong with a mail, and what is its right form: bytes in, values out.
//!
//! ```text
//!  DATA content --> FirstPass: Splitter --> Header ------------------> repair --> head as stored
//!                      |          |                                      ^
//!                      |          +--> body --> Normaliser --> Survey --> Plan
//!                      v                                                 |
//!                 body as normalised ---------> Mender (second pass) <---+   only when the plan says so
//!                                                 |
//!                                                 v
//!                                           body as stored
//!
//!  head as stored --> rewrite::seal (each attempt, when the account is known) --> head as sent
//!  head, body     --> downgrade     (each attempt, when the server lacks 8BITMIME)
//! ```
//!
//! Not here: sockets, files, clocks, and dot-stuffing (that is `smtp::data`). Times and ids are arguments, so the same
//! input always gives the same output.
//!
//! Invariants: what leaves this module has CRLF line ends only, no NUL, no line over [`MAX_LINE`] octets, and an ASCII
//! header with one From, one Date and one Message-ID (RFC 5322 sections 2.1.1 and 3.6). Nothing recurses, nothing takes
//! more than linear time, and no input panics.

pub mod charset;
mod cleanse;
pub mod content;
mod cr_lines;
mod display_name;
pub mod downgrade;
pub mod encoded_word;
mod first_pass;
mod fold;
pub mod from_rule;
pub mod header;
pub mod lines;
pub mod mailbox;
pub mod mime;
pub mod notice;
mod raw_word;
pub mod received;
mod reencode;
pub mod repair;
pub mod rewrite;
pub mod splitter;
mod uuencode;

pub use first_pass::{Examined, FirstPass};
pub use header::{Field, Framing, Header};
pub use lines::{BodyStats, Normaliser};
pub use mime::{Demand, Mender, Plan, Survey};
pub use notice::{Failure, Notice};
pub use repair::{Client, Facts, Level, Repair, Repaired, repair};
pub use rewrite::{FromPolicy, Seal, seal, seal_among};
pub use splitter::{BodyPart, SplitError, Splitter};

/// The longest legal line of a message, without its CRLF, in octets (RFC 5322 section 2.1.1).
pub const MAX_LINE: usize = 998;

#[cfg(test)]
mod tests;
