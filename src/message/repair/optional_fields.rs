//! The fields that a mail may lack: those that are dropped, may occur once, hold raw text, or come from the client's settings.
//!
//! From has rules of its own (`required_fields`). The order of the repairs is in `repair`.

use super::facts::{Facts, HeaderUnderRepair};
use crate::message::field_encoding::{encoded, is_dirty, is_misencoded, is_people, unstructured};
use crate::message::header::Field;
use crate::message::repair_names::Repair;
use crate::message::{encoded_word, mailbox};

/// A longer name leaves no room for a value on a line.
const MAX_NAME: usize = 200;

/// These may occur once (RFC 5322 section 3.6, Q-100); of several the first with a value stays.
const ONCE: &[&str] = &[
    "Date",
    "Message-ID",
    "Subject",
    "Sender",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "Content-Description",
];

/// Drops private fields (Bcc), those of the last server (Return-Path, Delivered-To), and Content-Length, which would be wrong.
///
/// Some providers refuse a second Delivered-To, so it is dropped at every level, as Bcc is.
pub(super) fn drop_private(work: &mut HeaderUnderRepair, full: bool) {
    for (name, repair, always) in [
        ("Bcc", Repair::BccDropped, true),
        ("Resent-Bcc", Repair::BccDropped, true),
        ("Return-Path", Repair::ReturnPathDropped, false),
        ("Delivered-To", Repair::DeliveredToDropped, true),
        ("Content-Length", Repair::ContentLengthDropped, false),
    ] {
        if full || always {
            work.drop_field(name, repair);
        }
    }
}

/// Keeps one of each field of [`ONCE`], and joins the recipients of several To or Cc.
pub(super) fn drop_duplicates(work: &mut HeaderUnderRepair) {
    for name in ONCE {
        if work.header.count(name) > 1 {
            let first = work.header.first_with_value(name).or_else(|| work.header.get(name)).cloned();
            if let Some(first) = first {
                work.header.set(first);
            }
            work.note(Repair::DuplicatesDropped);
        }
    }
    for name in ["To", "Cc"] {
        if work.header.count(name) > 1 {
            let values = work.header.fields.iter().filter(|f| f.is(name)).map(Field::value);
            let values: Vec<&[u8]> = values.filter(|v| !v.is_empty()).collect();
            let joined = Field::new(name, values.join(&b",\r\n "[..]));
            work.header.set(joined);
            work.note(Repair::RecipientsJoined);
        }
    }
}

/// Drops fields whose name cannot be put on a line.
pub(super) fn drop_overlong_names(work: &mut HeaderUnderRepair) {
    let before = work.header.fields.len();
    work.header.fields.retain(|field| field.name().len() <= MAX_NAME);
    if work.header.fields.len() != before {
        work.note(Repair::FieldDropped);
    }
}

/// Encodes every field with raw 8-bit or control characters (RFC 5322 section 2.2, Q-096); `full` also wrong encoded words.
pub(super) fn encode_raw(work: &mut HeaderUnderRepair, full: bool) {
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
    // A list without any address is not legal (RFC 5322 section 3.4).
    let before = work.header.fields.len();
    work.header.fields.retain(|field| !(is_people(field) && field.value().is_empty()));
    if work.header.fields.len() != before {
        work.note(Repair::EmptyListDropped);
    }
}

/// Sets the client's Reply-To in a mail without a usable one.
pub(super) fn reply_to(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let Some(address) = facts.client.reply_to.filter(|address| address.is_qualified()) else { return };
    if mailbox::lacks_address(work.header.get("Reply-To")) {
        work.header.set(Field::new("Reply-To", address.as_str()));
        work.note(Repair::ReplyToSet);
    }
}

/// Puts the client's prefix before the Subject, unless the Subject begins with it already.
pub(super) fn subject_prefix(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
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
