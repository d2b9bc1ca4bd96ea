//! Raw 8-bit and control characters in the header of the message (RFC 5322 section 2.2, Q-096).
//!
//! What this is not: the encoding itself, which is `cleanse`; here it is noted, and what cannot be kept is kept aside.

use super::{Repair, Work};
use crate::message::cleanse::{encoded, is_dirty, is_misencoded, is_people};
use crate::message::mailbox;

/// Encodes every field that holds what may not be in a header; `full` also what is encoded wrongly.
pub(super) fn encode_raw(work: &mut Work, full: bool) {
    for at in 0..work.header.fields.len() {
        let field = &work.header.fields[at];
        let wrong = is_dirty(field) || (full && is_misencoded(field));
        if !wrong {
            continue;
        }
        let (new, old) = (encoded(field, work.hints), field.clone());
        let repair = if field.is("Subject") { Repair::SubjectEncoded } else { Repair::HeaderEncoded };
        work.header.fields[at] = new;
        work.note(repair);
        let people = if is_people(&old) { mailbox::parse_field(old.value(), work.hints) } else { Vec::new() };
        if people.iter().any(|mailbox| mailbox.address().is_none()) {
            work.keep_original(old.name(), old.value());
        }
    }
    // A list without any address is not legal, and tells nobody anything (RFC 5322 section 3.4).
    let before = work.header.fields.len();
    work.header.fields.retain(|field| !(is_people(field) && field.value().is_empty()));
    if work.header.fields.len() != before {
        work.note(Repair::EmptyListDropped);
    }
}
