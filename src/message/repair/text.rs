//! Raw 8-bit and control characters in the header become encoded words, or go (RFC 5322 section 2.2, RFC 2047).
//!
//! What this is not: a tidy-up. A field that is ASCII and holds no control character is left alone, however odd its
//! encoded words are, unless they hide a control character.

use super::{Repair, Work, hides_control, people, unstructured};
use crate::message::header::Field;
use crate::message::{charset, content, encoded_word, mailbox};

/// Fields of mailboxes: only the names in them may be encoded (RFC 2047 section 5).
const PEOPLE: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "Errors-To",
];

/// Fields that may hold no encoded word at all: what is not ASCII in them is noise.
const MACHINE: &[&str] = &[
    "Received",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Resent-Date",
    "Resent-Message-ID",
    "MIME-Version",
    "Content-Transfer-Encoding",
    "Content-ID",
    "DKIM-Signature",
    "Auto-Submitted",
    "Precedence",
];

/// Fields with parameters: a file name is written as RFC 2231 wants it.
const PARAMETERS: &[&str] = &["Content-Type", "Content-Disposition"];

/// Encodes every field that holds what may not be in a header.
pub(super) fn encode_raw(work: &mut Work) {
    for at in 0..work.header.fields.len() {
        let field = &work.header.fields[at];
        if !is_dirty(field) {
            continue;
        }
        let new = encoded(field);
        let old = field.clone();
        let repair = if field.is("Subject") { Repair::SubjectEncoded } else { Repair::HeaderEncoded };
        work.header.fields[at] = new;
        work.note(repair);
        if is_people(&old) && mailbox::parse_field(old.value()).iter().any(|m| m.address().is_none()) {
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

fn is_people(field: &Field) -> bool {
    PEOPLE.iter().any(|name| field.is(name))
}

fn is_dirty(field: &Field) -> bool {
    let raw = field.unfolded();
    raw.iter().any(|&b| !(0x20..0x7f).contains(&b) && b != b'\t')
        || std::str::from_utf8(&raw).is_ok_and(|text| !MACHINE.iter().any(|name| field.is(name)) && hides_control(text))
}

fn encoded(field: &Field) -> Field {
    let name = field.name();
    let listed = |names: &[&str]| names.iter().any(|n| field.is(n));
    let text = charset::decode(&field.unfolded()).0;
    if is_people(field) {
        Field::new(name, mailbox::write_list(&people::usable(field.value()), name.len() + 2))
    } else if listed(MACHINE) {
        Field::new(name, ascii_only(&text))
    } else if listed(PARAMETERS) {
        Field::new(name, parameters(&text))
    } else {
        unstructured(name, &text)
    }
}

fn ascii_only(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
}

/// Writes `name="报告.pdf"` as `name*=UTF-8''%E6...` (RFC 2231 section 4), the rest of the field as it stands.
fn parameters(text: &str) -> String {
    let mut out = Vec::new();
    for piece in content::pieces(text).filter(|piece| !piece.trim().is_empty()) {
        let encoded = match piece.split_once('=') {
            Some((key, value)) if !out.is_empty() && (!value.is_ascii() || hides_control(value)) => {
                let key = ascii_only(key.trim()).replace('*', "");
                let value: String = encoded_word::decode(value).chars().map(encoded_word::no_control).collect();
                format!("{key}*=UTF-8''{}", percent(value.trim().trim_matches('"')))
            }
            // No encoded word belongs here; one that hides a line end is broken up.
            _ if hides_control(piece) => ascii_only(piece.trim()).replace("=?", "??"),
            _ => ascii_only(piece.trim()),
        };
        out.push(encoded);
    }
    out.join(";\r\n ")
}

/// `attribute-char` of RFC 2231 section 7 stays, everything else is escaped.
fn percent(value: &str) -> String {
    let mut out = String::new();
    for b in value.bytes() {
        if b.is_ascii_alphanumeric() || b".-_~!#$&+^`{}|".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
