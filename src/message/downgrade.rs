//! The same mail in seven bits, for a server that does not offer 8BITMIME (RFC 6152 section 3).
//!
//! A survey for seven bits plans an encoding for every part that has 8-bit octets, and the usual second pass carries it out.
//! Signed parts are encoded as well, because otherwise they could not be sent; the plan's repairs report it.
//!
//! ```text
//!  let mut survey = downgrade::survey(&head);      // pass 1 over the stored body
//!  survey.push(chunk) ...
//!  let plan = survey.finish();
//!  let new_head = downgrade::head(&head, &plan);
//!  let mut rewriter = downgrade::rewriter(&head, &plan);   // pass 2 while it is sent, if plan.rewrites_body()
//! ```
//!
//! Invariants: the new body is ASCII; for a mail that is 7-bit already the plan changes at most a label; where octets cannot
//! be kept, [`Plan::lossy`] is set and the caller should report the mail as undeliverable.

use crate::message::header::{Field, Header};
use crate::message::mime::{BodyRewriter, Demand, Plan, Survey};
use crate::message::repair_names::Repair;

/// The first pass over the body that belongs to this head (fields with CRLF, no blank line).
pub fn survey(head: &[u8]) -> Survey {
    Survey::new(&Header::parse(head), &Demand { seven_bit: true, ..Demand::default() })
}

/// The head that belongs to the converted body.
pub fn head(head: &[u8], plan: &Plan) -> Vec<u8> {
    if plan.root.is_empty() {
        return head.to_vec();
    }
    let mut header = Header::parse(head);
    if header.first_with_value("MIME-Version").is_none() {
        header.set(Field::new("MIME-Version", "1.0"));
    }
    plan.apply(0, &plan.root, &mut header);
    header.render()
}

/// Converts the body, chunk by chunk. `head` must be the one that the survey began with.
pub fn rewriter<'p>(head: &[u8], plan: &'p Plan) -> BodyRewriter<'p> {
    BodyRewriter::new(&Header::parse(head), plan)
}

/// The repairs of the conversion, for the log: `signature-broken` above all.
pub fn repairs(plan: &Plan) -> Vec<Repair> {
    plan.body_repairs.iter().chain(&plan.part_repairs).copied().collect()
}

#[cfg(test)]
mod tests;
