//! The body: which of its parts may not go as they are, and the work of putting exactly those right.
//!
//! ```text
//!  body as normalised --> Survey (pass 1, while it is stored) --> Plan --> nothing to do, nearly always
//!                                                                  |
//!  body as stored ------> Mender (pass 2) <------------------------+
//! ```
//!
//! A message without parts is one part here, number 0, so there is one road for all. What this is not: a tree in memory,
//! or a judge of the header of the message (`repair` does what the plan says of part 0).
//!
//! Invariants: what the plan does not name comes out octet for octet; what it names decodes to the octets it decoded to
//! before, but for lines that could only be broken; the outcome surveyed again gives an empty plan; memory does not
//! grow with the body (RFC 2045 section 6, RFC 2046 section 5.1).

mod boundary;
mod cure;
pub(crate) mod edit;
mod mender;
mod part;
mod plan;
mod stats;
mod survey;
mod walker;

pub use mender::Mender;
pub use plan::{Cure, Demand, Mend, Plan};
pub use survey::Survey;
pub use walker::{MAX_DEPTH, MAX_PARTS};

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
