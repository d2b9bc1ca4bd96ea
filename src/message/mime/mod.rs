//! The body: which of its parts may not be sent as they are, and the changes to exactly those.
//!
//! ```text
//!  body as normalised --> survey (pass 1, while it is stored) --> plan --> nearly always empty
//!                           part_scanner, part_stats, decide        |
//!  body as stored ------> rewriter (pass 2) <-----------------------+
//!                           part_scanner, reencoder
//! ```
//!
//! A message without parts has one part here, number 0. No tree is in memory. `repair` carries out the change to part 0 on
//! the header of the message.
//!
//! Invariants: a part without a change comes out octet for octet; one with a change decodes to the same octets, except for
//! lines that could only be broken; a survey of the result gives an empty plan; memory does not grow with the body (RFC 2045
//! section 6, RFC 2046 section 5.1).

mod content;
mod decide;
mod part_scanner;
mod part_stats;
mod plan;
mod reencoder;
mod rewriter;
mod survey;
mod uuencode;

pub use part_scanner::{MAX_DEPTH, MAX_PARTS};
pub use plan::{Demand, PartChange, Plan, Recoding};
pub use rewriter::BodyRewriter;
pub use survey::Survey;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
