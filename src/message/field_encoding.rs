//! One header field at a time: raw 8-bit and control characters become encoded words or are removed, and long lines are
//! folded (RFC 5322 sections 2.1.1 and 2.2, RFC 2047, RFC 2231).
//!
//! A field that is ASCII and holds no control character stays, unless its encoded words hide a control character,
//! are inside quotes, or are longer than 75 octets. A line of 998 octets is legal and stays. `repair` uses
//! this for the header of the message, `mime` for the headers of parts.
//!
//! Invariant: the result is ASCII without control characters, and encoding it again changes nothing.

use std::borrow::Cow;

use crate::message::charset::Hints;
use crate::message::header::{Field, is_plain, pieces};
use crate::message::{charset, encoded_word, mailbox};

/// A line that has to be folded is folded here, if it can be (RFC 5322 section 2.1.1).
const GOOD_LINE: usize = 78;
/// The longest piece without a blank; a longer one is cut.
///
/// With the longest name that `repair` leaves, 200 octets, the line stays within 998.
const HARD_PIECE: usize = 700;

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

/// Fields that may hold no encoded word at all: in them all that is not ASCII is noise.
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

/// Fields of free text whose encoded words are worth a repair.
const FREE: &[&str] = &["Subject", "Comments", "Content-Description"];

/// Whether the field names mailboxes.
pub(super) fn is_people(field: &Field) -> bool {
    field.is_any(PEOPLE)
}

/// Whether the field holds 8-bit or control characters, raw or in encoded words.
pub(super) fn is_dirty(field: &Field) -> bool {
    let raw = field.unfolded();
    !raw.iter().all(|&b| is_plain(b))
        || std::str::from_utf8(&raw).is_ok_and(|text| !field.is_any(MACHINE) && hides_control(text))
}

/// Whether encoded words are where RFC 2047 section 5 forbids them, or are longer than section 2 allows.
///
/// A list with an element that is no mailbox stays: the new list would lose that element.
pub(super) fn is_misencoded(field: &Field) -> bool {
    let people = is_people(field);
    if !people && !field.is_any(FREE) {
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
    let value = field.unfolded();
    let legal = encoded_word::made_legal(&value, hints);
    let text = charset::decode(&legal, hints);
    let dirty = is_dirty(field);
    if !dirty && !is_misencoded(field) {
        field.clone()
    } else if is_people(field) {
        Field::new(name, mailbox::write_list(&mailbox::usable(field.value(), hints), name.len() + 2))
    } else if field.is_any(MACHINE) {
        Field::new(name, ascii_only(&text))
    } else if field.is_any(PARAMETERS) {
        Field::new(name, parameters(&text, matches!(legal, Cow::Owned(_))))
    } else if dirty && matches!(legal, Cow::Borrowed(_)) {
        unstructured(name, &text)
    } else {
        in_words(name, &text)
    }
}

/// A field of free text in encoded words.
fn in_words(name: &str, text: &str) -> Field {
    Field::new(name, encoded_word::encode(encoded_word::decode(text).trim(), name.len() + 2))
}

/// A blank for a control character, a question mark for what is not ASCII.
fn ascii_only(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_ascii_control() => ' ',
        c if c.is_ascii() => c,
        _ => '?',
    };
    text.chars().map(shown).collect::<String>().trim().to_owned()
}

/// Writes `name="报告.pdf"` as `name*=UTF-8''%E6...` (RFC 2231 section 4), and keeps the rest of the field. With `words`
/// the same is done to a value in an encoded word.
fn parameters(text: &str, words: bool) -> String {
    let mut out = Vec::new();
    for piece in pieces(text).filter(|piece| !piece.trim().is_empty()) {
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

/// A field of free text: unchanged when it is plain, else in encoded words.
pub(super) fn unstructured(name: &str, text: &str) -> Field {
    let line: String = text.chars().filter(|&c| c != '\r' && c != '\n').collect();
    let plain = line.bytes().all(is_plain) && !hides_control(&line);
    if plain { Field::new(name, line) } else { in_words(name, &line) }
}

/// Whether encoded words in `text` hold control characters.
pub(super) fn hides_control(text: &str) -> bool {
    text.contains("=?") && encoded_word::decode(text).chars().any(|c| c != '\t' && encoded_word::no_control(c) != c)
}

/// The field with no line over 998 octets, if its name leaves room for that.
pub(super) fn folded(field: &Field) -> Field {
    let value = field.unfolded();
    let words = || value.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
    if field.is_any(FREE) && words().any(|word| word.len() > HARD_PIECE) {
        // Free text without blanks: an encoded word can be folded and read back without a change.
        let text = encoded_word::decode(&String::from_utf8_lossy(&value));
        return Field::new(field.name(), encoded_word::encode(&text, field.name().len() + 2));
    }
    let mut out: Vec<u8> = Vec::with_capacity(value.len() + value.len() / 32);
    let mut column = field.name().len() + 2;
    for word in words() {
        for (i, piece) in cut(word).into_iter().enumerate() {
            if !out.is_empty() && (i > 0 || column + 1 + piece.len() > GOOD_LINE) {
                out.extend_from_slice(b"\r\n");
                column = 0;
            }
            if !out.is_empty() {
                out.push(b' ');
                column += 1;
            }
            out.extend_from_slice(piece);
            column += piece.len();
        }
    }
    Field::new(field.name(), out)
}

/// Cuts a word that is too long for a line, after a comma, semicolon or angle bracket where there is one.
fn cut(mut word: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while word.len() > HARD_PIECE {
        let window = &word[..HARD_PIECE];
        let at = window.iter().rposition(|b| b",;>".contains(b)).map_or(HARD_PIECE, |p| p + 1);
        out.push(&word[..at]);
        word = &word[at..];
    }
    out.push(word);
    out
}
