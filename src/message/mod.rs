//! Finds what is wrong with a mail, and makes its right form: bytes in, values out.
//!
//! ```text
//!  DATA content --> first_pass: splitter --> header --------------------> repair --> head as stored
//!                      |          |                                         ^
//!                      |          +--> body --> line_ends --> mime::survey --> mime::plan
//!                      v                                                    |
//!                 body as normalised ---------> mime::rewriter (pass 2) <---+   only when the plan has changes
//!                                                 |
//!                                                 v
//!                                           body as stored
//!
//!  head as stored --> sender_rewriting (each attempt, when the account is known) --> head as sent
//!  head, body     --> downgrade        (each attempt, when the server lacks 8BITMIME)
//! ```
//!
//! By subject: header (`header`, `splitter`, `cr_lines`, `received`), address (`mailbox`, `from_rule`, `sender_rewriting`),
//! text (`charset`, `encoded_word`, `field_encoding`, `line_ends`), the folders `mime`, `repair` and `notice`.
//!
//! Sockets, files, clocks, and dot-stuffing (`smtp::data`) are elsewhere. Times and ids are arguments, so the same input
//! always gives the same output.
//!
//! Invariants: the result has CRLF line ends only, no NUL, no line over [`MAX_LINE`] octets, and an ASCII header with one
//! From, one Date and one Message-ID (RFC 5322 sections 2.1.1 and 3.6). Nothing recurses, nothing takes more than linear
//! time, and no input panics.

pub mod charset;
pub mod composed;
mod cr_lines;
pub mod downgrade;
pub mod encoded_word;
mod field_encoding;
mod first_pass;
pub mod from_rule;
pub mod header;
pub mod line_ends;
pub mod mailbox;
pub mod mime;
pub mod notice;
pub mod received;
pub mod repair;
pub mod repair_names;
pub mod sender_rewriting;
pub mod splitter;
mod steps;
pub mod summary;

pub use first_pass::{Examined, FirstPass};
pub use header::{Field, Framing, Header};
pub use line_ends::{BodyStats, MAX_LINE, Normaliser};
pub use mime::{BodyRewriter, Demand, Plan, Survey};
pub use notice::{Failure, Notice};
pub use repair::{ClientProfile, Facts, Level, Repaired, repair};
pub use repair_names::Repair;
pub use sender_rewriting::{FromPolicy, SenderRewrite, rewrite_sender};
pub use splitter::{BodyPart, SplitError, Splitter};

#[cfg(test)]
mod tests;
