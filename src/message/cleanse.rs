//! One header field at a time: raw 8-bit and control characters become encoded words, or go (RFC 5322 section 2.2, RFC
//! 2047, RFC 2231).
//!
//! What this is not: a tidy-up. A field that is ASCII and holds no control character is left alone, unless its encoded words
//! hide a control character or stand where they may not be: inside quotes, longer than 75 octets. It serves the header of the message (`repair`) and
//! those of parts (`mime`).
//!
//! Invariant: what comes out is ASCII without control characters, and cleansing it again changes nothing.

use std::borrow::Cow;

use crate::message::charset::Hints;
use crate::message::header::Field;
use crate::message::{charset, content, encoded_word, mailbox, raw_word};

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

/// Whether the field names mailboxes.
pub(super) fn is_people(field: &Field) -> bool {
    PEOPLE.iter().any(|name| field.is(name))
}

/// Whether the field holds what may not be in a header: 8-bit or control characters, in the open or in encoded words.
pub(super) fn is_dirty(field: &Field) -> bool {
    let raw = field.unfolded();
    raw.iter().any(|&b| !(0x20..0x7f).contains(&b) && b != b'\t')
        || std::str::from_utf8(&raw).is_ok_and(|text| !MACHINE.iter().any(|name| field.is(name)) && hides_control(text))
}

/// Fields of free text whose encoded words are worth putting right.
const FREE: &[&str] = &["Subject", "Comments", "Content-Description"];

/// Whether encoded words stand where RFC 2047 section 5 forbids them, or are longer than section 2 allows.
///
/// A list in which anything is no mailbox is left alone: writing it anew would lose that.
pub(super) fn is_misencoded(field: &Field) -> bool {
    let people = is_people(field);
    if !people && !FREE.iter().any(|name| field.is(name)) {
        return false;
    }
    let value = field.unfolded();
    let Some(text) = std::str::from_utf8(&value).ok().filter(|text| text.contains("=?")) else { return false };
    let (mut quoted, mut escaped, mut skip) = (false, false, 0);
    let wrong = text.char_indices().any(|(at, c)| {
        let was_escaped = escaped;
        escaped = people && c == '\\' && !was_escaped;
        quoted ^= people && c == '"' && !was_escaped;
        if c != '=' || at < skip {
            return false;
        }
        let Some(length) = encoded_word::length(&text[at..]) else { return false };
        skip = at + length;
        quoted || length > encoded_word::LONGEST || (people && text[skip..].starts_with('<'))
    });
    wrong && (!people || mailbox::parse_field(&value, Hints::default()).iter().all(|m| m.address().is_some()))
}

/// The field with nothing in it but printable ASCII, and the same meaning.
pub(super) fn encoded(field: &Field, hints: Hints) -> Field {
    let name = field.name();
    let listed = |names: &[&str]| names.iter().any(|n| field.is(n));
    let value = field.unfolded();
    let legal = raw_word::made_legal(&value, hints);
    let text = charset::decode(&legal, hints);
    let dirty = is_dirty(field);
    if !dirty && !is_misencoded(field) {
        field.clone()
    } else if is_people(field) {
        Field::new(name, mailbox::write_list(&mailbox::usable(field.value(), hints), name.len() + 2))
    } else if listed(MACHINE) {
        Field::new(name, ascii_only(&text))
    } else if listed(PARAMETERS) {
        Field::new(name, parameters(&text, matches!(legal, Cow::Owned(_))))
    } else if dirty && matches!(legal, Cow::Borrowed(_)) {
        unstructured(name, &text)
    } else {
        Field::new(name, encoded_word::encode(encoded_word::decode(&text).trim(), name.len() + 2))
    }
}

/// A blank for a control character, a question mark for what is not ASCII.
fn ascii_only(text: &str) -> String {
    let shown = |c: char| {
        if c.is_ascii_control() {
            ' '
        } else if c.is_ascii() {
            c
        } else {
            '?'
        }
    };
    text.chars().map(shown).collect::<String>().trim().to_owned()
}

/// Writes `name="报告.pdf"` as `name*=UTF-8''%E6...` (RFC 2231 section 4), the rest of the field as it stands; with
/// `words` also what stands in an encoded word.
fn parameters(text: &str, words: bool) -> String {
    let mut out = Vec::new();
    for piece in content::pieces(text).filter(|piece| !piece.trim().is_empty()) {
        let encoded = match piece.split_once('=') {
            Some((key, value)) if !out.is_empty() && needs_encoding(value, words) => {
                let key = ascii_only(key.trim()).replace('*', "");
                let value: String = encoded_word::decode(value).chars().map(encoded_word::no_control).collect();
                format!("{key}*=UTF-8''{}", percent(value.trim().trim_matches('"')))
            }
            // No encoded word belongs here; one that hides a line end is broken up.
            _ if hides_control(piece) => ascii_only(piece.trim()).replace("=?", "??"),
            _ => ascii_only(piece.trim()),
        };
        // Nothing is left of a piece of control characters, and a line of blanks is no continuation.
        if !encoded.is_empty() {
            out.push(encoded);
        }
    }
    out.join(";\r\n ")
}

/// Whether the value of a parameter cannot stay; encoded words in quotes are legal nowhere, but left alone if they can be.
fn needs_encoding(value: &str, words: bool) -> bool {
    !value.is_ascii() || hides_control(value) || (words && encoded_word::decode(value) != value)
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

/// A field of free text: as it is when it is plain, in encoded words when it is not.
pub(super) fn unstructured(name: &str, text: &str) -> Field {
    let line: String = text.chars().filter(|&c| c != '\r' && c != '\n').collect();
    let plain = line.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t') && !hides_control(&line);
    if plain {
        return Field::new(name, line);
    }
    Field::new(name, encoded_word::encode(encoded_word::decode(&line).trim(), name.len() + 2))
}

/// Whether encoded words in `text` hold control characters.
pub(super) fn hides_control(text: &str) -> bool {
    text.contains("=?") && encoded_word::decode(text).chars().any(|c| c != '\t' && encoded_word::no_control(c) != c)
}
