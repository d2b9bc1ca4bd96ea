//! The prefix that the owner has set for a client goes before the Subject, once.
//!
//! What this is not: the encoding of raw text, which is done by then (`text`). Invariant: a Subject that begins with the
//! prefix already is left alone, so a second repair changes nothing.

use super::{Facts, Repair, Work};
use crate::message::cleanse::unstructured;
use crate::message::encoded_word;
use crate::message::header::Field;

/// Puts the prefix there.
pub(super) fn prefix(work: &mut Work, facts: &Facts<'_>) {
    let prefix: String = facts.client.subject_prefix.unwrap_or("").chars().map(encoded_word::no_control).collect();
    let prefix = prefix.trim();
    if prefix.is_empty() {
        return;
    }
    let old = work.header.get("Subject").map(Field::unfolded).unwrap_or_default();
    let old = encoded_word::decode(&String::from_utf8_lossy(&old));
    if old.trim_start().starts_with(prefix) {
        return;
    }
    work.header.set(unstructured("Subject", format!("{prefix} {}", old.trim()).trim()));
    work.note(Repair::SubjectPrefixed);
}
