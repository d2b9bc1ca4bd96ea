//! Header lines over 998 octets are folded (RFC 5322 section 2.2.3, Q-089).
//!
//! What this is not: a beautifier. A line of 500 octets is legal and stays.

use crate::message::cleanse::unstructured;
use crate::message::encoded_word;
use crate::message::header::Field;

/// Where a line that has to be folded is folded, if it can be (RFC 5322 section 2.1.1).
const GOOD_LINE: usize = 78;
/// A piece without any blank is cut at this length at the latest.
///
/// With the longest name that `single` leaves, 200 octets, that stays within 998.
const HARD_PIECE: usize = 700;

/// The field with no line over 998 octets, if its name leaves room for that.
pub(super) fn folded(field: &Field) -> Field {
    let value = field.unfolded();
    let words = value.split(|b| b.is_ascii_whitespace());
    let longest = words.map(<[u8]>::len).max().unwrap_or(0);
    if longest > HARD_PIECE && (field.is("Subject") || field.is("Comments") || field.is("Content-Description")) {
        // Free text without blanks: an encoded word can be folded and read back without a change.
        let text = encoded_word::decode(&String::from_utf8_lossy(&value));
        return Field::new(field.name(), encoded_word::encode(&text, field.name().len() + 2));
    }
    let mut out: Vec<u8> = Vec::with_capacity(value.len() + value.len() / 32);
    let mut column = field.name().len() + 2;
    for word in value.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()) {
        for (i, piece) in pieces(word).into_iter().enumerate() {
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
    if out.is_empty() {
        // Nothing but blanks, a thousand of them.
        return unstructured(field.name(), "");
    }
    Field::new(field.name(), out)
}

/// Cuts a word that is too long for a line, after a comma, semicolon or angle bracket where there is one.
fn pieces(mut word: &[u8]) -> Vec<&[u8]> {
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
