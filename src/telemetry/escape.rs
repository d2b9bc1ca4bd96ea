//! Escapes what a terminal obeys or hides, in text and in JSON.
//!
//! Everything that a peer or a file may have chosen goes through here before it reaches a log or a terminal.

use std::fmt::{self, Write as _};

/// Writes a string of JSON (RFC 8259 section 7).
pub(super) fn quoted(out: &mut String, value: fmt::Arguments<'_>) -> fmt::Result {
    out.push('"');
    let written = Quoted(out).write_fmt(value);
    out.push('"');
    written
}

/// What stands between the quotes.
struct Quoted<'a>(&'a mut String);

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if obeyed(c) => json_escape(self.0, c),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// JSON with nothing in it that a terminal obeys. JSON itself escapes C0 only, and a terminal may take C1 (U+009B) for
/// the begin of a command.
pub fn harmless_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if obeyed(c) {
            json_escape(&mut out, c);
        } else {
            out.push(c);
        }
        out
    })
}

/// Writes a character as JSON writes it in ASCII: beyond U+FFFF as two surrogates (RFC 8259 section 7).
fn json_escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// What a terminal or an editor obeys, or hides, instead of showing it.
///
/// These are the controls (general category Cc), the format characters (Cf: direction of the text, joiners, tags, the byte
/// order mark), the line and paragraph separators (Zl, Zp), and what has no glyph of its own (Default_Ignorable_Code_Point of
/// the Unicode Character Database 16.0: fillers and variation selectors too).
pub fn obeyed(c: char) -> bool {
    c.is_control() || c >= UNSEEN[0].0 && UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// The characters of [`obeyed`] beside the controls, in their order.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether no character needs an escape; true of most texts.
pub(super) fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|octet| matches!(octet, b' '..=b'~'))
}

/// Writes what is unsafe as escapes, and everything else as it is.
pub(super) struct Escaped<'a>(pub(super) &'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_printable_ascii(text) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if obeyed(c) {
                self.0.extend(c.escape_default());
            } else {
                self.0.push(c);
            }
        }
        Ok(())
    }
}
