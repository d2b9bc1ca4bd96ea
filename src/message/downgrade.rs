//! For a server that does not offer 8BITMIME: the same mail in seven bits (RFC 6152 section 3).
//!
//! What this is not: another mechanism. A survey that is asked for seven bits plans an encoding for every part that has
//! 8-bit octets, and the usual second pass carries it out. Signed parts are encoded as well, because the other choice is
//! not to send them; the plan's repairs say so.
//!
//! ```text
//!  let mut survey = downgrade::survey(&head);      // pass 1 over the stored body
//!  survey.push(chunk) ...
//!  let plan = survey.finish();
//!  let new_head = downgrade::head(&head, &plan);
//!  let mut mender = downgrade::mender(&head, &plan);   // pass 2 while it is sent, if plan.rewrites_body()
//! ```
//!
//! Invariants: the new body is ASCII; a mail that is 7-bit already gives an empty plan but for a label; where octets
//! cannot be kept, [`Plan::lossy`] is set and the caller should rather report the mail as undeliverable.

use crate::message::header::{Field, Header};
use crate::message::mime::{Demand, Mender, Plan, Survey, edit};
use crate::message::repair::Repair;

/// Looks at the body that belongs to this head (fields with CRLF, no blank line).
pub fn survey(head: &[u8]) -> Survey {
    Survey::new(&Header::parse(head), &Demand { seven_bit: true, ..Demand::default() })
}

/// The head that goes with the converted body.
pub fn head(head: &[u8], plan: &Plan) -> Vec<u8> {
    if plan.root.is_empty() {
        return head.to_vec();
    }
    let mut header = Header::parse(head);
    if header.first_with_value("MIME-Version").is_none() {
        header.set(Field::new("MIME-Version", "1.0"));
    }
    edit::apply(&mut header, &plan.root, plan.hints());
    if let Some(name) = plan.file_name(0) {
        edit::name_file(&mut header, name, plan.hints());
    }
    header.render()
}

/// Converts the body, chunk by chunk. `head` is the one that the survey began with.
pub fn mender<'p>(head: &[u8], plan: &'p Plan) -> Mender<'p> {
    Mender::new(&Header::parse(head), plan)
}

/// What the conversion does, for the log: `signature-broken` above all.
pub fn repairs(plan: &Plan) -> Vec<Repair> {
    plan.body_repairs.iter().chain(&plan.part_repairs).copied().collect()
}

#[cfg(test)]
mod tests;
