//! RFC 2047 encoded words: read leniently, written strictly.
//!
//! A word may also hold raw octets: `=?gb2312?Q?` and `?=` around text that was never encoded. The octets belong to the
//! charset that the word names, so [`text_of`] puts legal words with the same text in their place before the field is
//! read. All other functions need to know legal words only. Raw octets outside of words: `charset`.
//!
//! Invariants: what is written is UTF-8 in B, at most 75 octets a word and 76 a line, with whole characters and without
//! control characters, so that no reader finds a line end in it (RFC 2047 sections 2 and 5); a value without raw words
//! stays octet for octet; each octet is read a fixed number of times.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{BIG5, Encoding, GB18030, GBK, SHIFT_JIS};
use memchr::{memchr, memmem};

use crate::message::charset::{self, Hints};

/// The longest line that holds an encoded word, in octets (RFC 2047 section 2).
const LINE: usize = 76;
/// The longest encoded word, in octets (RFC 2047 section 2).
pub(super) const LONGEST: usize = 75;
/// `=?UTF-8?B?` and `?=`.
const FRAME: usize = 12;
/// Octets of text in the longest word: 75 octets less the frame is 60 of base64.
const WORD_TEXT: usize = 45;
/// The longest label of a charset, in octets.
const MAX_LABEL: usize = 64;
/// The first octet of an escape of ISO-2022 (RFC 1468).
const ESCAPE: u8 = 0x1b;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A word, or neighbours under one label.
struct Word<'v> {
    /// The charset, without a language (RFC 2231 section 5).
    label: &'v str,
    octets: Vec<u8>,
    /// Whether it holds raw octets.
    raw: bool,
    /// The length, from the first `=?` to the last `?=`.
    length: usize,
}

impl<'v> Word<'v> {
    fn new(frame: &Frame<'v>, label: &'v str, octets: Vec<u8>, content: &[u8]) -> Word<'v> {
        Word { label, octets, raw: content.iter().any(is_raw), length: 2 + frame.label.len() + 3 + content.len() + 2 }
    }
}

/// `=?label?B?` or `=?label?Q?`, and what follows it.
struct Frame<'v> {
    label: &'v str,
    base64: bool,
    rest: &'v [u8],
}

impl<'v> Frame<'v> {
    /// Reads the frame at the start of `value`.
    fn read(value: &'v [u8]) -> Option<Frame<'v>> {
        let inner = value.strip_prefix(b"=?")?;
        let end = memchr(b'?', &inner[..inner.len().min(MAX_LABEL + 1)])?;
        let label = std::str::from_utf8(&inner[..end]).ok()?;
        let legal = !label.is_empty() && label.bytes().all(|b| b.is_ascii_graphic());
        match inner[end + 1..] {
            [encoding @ (b'B' | b'b' | b'Q' | b'q'), b'?', ref rest @ ..] if legal => {
                Some(Frame { label, base64: matches!(encoding, b'B' | b'b'), rest })
            }
            _ => None,
        }
    }

    /// The charset: the label may also carry a language, `utf-8*en` (RFC 2231 section 5).
    fn charset(&self) -> &'v str {
        self.label.split('*').next().unwrap_or(self.label)
    }
}

/// Replaces every encoded word that can be read by its text; everything else stays as it is.
///
/// Blanks between two words vanish (RFC 2047 section 6.2). The octets of neighbours in one charset are joined before they
/// are decoded, because many senders cut characters in two.
pub fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Option<(&str, Vec<u8>)> = None;
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let Some(word) = read_word(&rest[at..]) else {
            flush(&mut run, &mut out);
            out.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        let gap = &rest[..at];
        match &mut run {
            Some((label, octets)) if gap.trim().is_empty() && label.eq_ignore_ascii_case(word.label) => {
                octets.extend_from_slice(&word.octets);
            }
            joined => {
                let neighbours = joined.is_some() && gap.trim().is_empty();
                flush(joined, &mut out);
                out.push_str(if neighbours { "" } else { gap });
                run = Some((word.label, word.octets));
            }
        }
        rest = &rest[at + word.length..];
    }
    flush(&mut run, &mut out);
    out.push_str(rest);
    out
}

fn flush(run: &mut Option<(&str, Vec<u8>)>, out: &mut String) {
    if let Some((label, octets)) = run.take() {
        out.push_str(&labelled(label, &octets, Hints::default()));
    }
}

/// The text of octets under this label, which counts unless they cannot be in that charset.
fn labelled(label: &str, octets: &[u8], hints: Hints) -> String {
    charset::decode_as(label, octets).unwrap_or_else(|| charset::decode(octets, hints))
}

/// The length of the encoded word at the start of `text`, in octets.
pub(super) fn length(text: &str) -> Option<usize> {
    read_word(text).map(|word| word.length)
}

/// Reads the word at the start of `text`. Every search stops at the next question mark, which keeps this linear.
fn read_word(text: &str) -> Option<Word<'_>> {
    let frame = Frame::read(text.as_bytes())?;
    let content = &frame.rest[..memchr(b'?', frame.rest)?];
    if frame.rest.get(content.len() + 1) != Some(&b'=') {
        return None;
    }
    let octets = if frame.base64 { base64_lenient(content) } else { q_decode(content, false) };
    // Text that was decoded before is UTF-8, whatever its label.
    let decoded = !content.is_ascii() && std::str::from_utf8(&octets).is_ok();
    let label = if decoded { "utf-8" } else { frame.charset() };
    Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(Word::new(&frame, label, octets, content))
}

/// Base64 whatever its padding; octets outside the alphabet are skipped.
fn base64_lenient(data: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> =
        data.iter().copied().filter(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/').collect();
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    LENIENT.decode(&clean).unwrap_or_default()
}

/// The Q encoding (RFC 2047 section 4.2).
///
/// In a charset with `wide` characters a `_` right after the raw first octet of a character is the second octet.
fn q_decode(content: &[u8], wide: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let (mut at, mut lead, mut raw_lead) = (0, false, false);
    while let Some(&octet) = content.get(at) {
        let escaped = if octet == b'=' { hex_pair(&content[at + 1..]) } else { None };
        let meant = match escaped {
            Some(escaped) => escaped,
            None if octet == b'_' && !raw_lead => b' ',
            None => octet,
        };
        out.push(meant);
        lead = wide && !lead && meant > 0x80;
        raw_lead = lead && escaped.is_none();
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// The octet that the two hexadecimal digits at the start of `data` name.
pub(super) fn hex_pair(data: &[u8]) -> Option<u8> {
    let hex = |at: usize| data.get(at).and_then(|&b| (b as char).to_digit(16));
    Some((hex(0)? * 16 + hex(1)?) as u8)
}

/// Writes `text` as encoded words, folded with CRLF and a blank; `column` is the place of the first word.
///
/// Control characters become blanks, so that no CR LF can come out of a word. An empty text gives an empty
/// string.
pub fn encode(text: &str, column: usize) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut room = room_at(column);
    let mut piece = String::with_capacity(WORD_TEXT);
    for c in text.chars().map(no_control) {
        if piece.len() + c.len_utf8() > room {
            if !piece.is_empty() {
                push_word(&piece, &mut out);
                piece.clear();
            }
            out.push_str("\r\n ");
            room = WORD_TEXT;
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        push_word(&piece, &mut out);
    }
    out
}

/// How many octets of text a word may carry that begins at `column`.
fn room_at(column: usize) -> usize {
    (LINE.saturating_sub(column + FRAME) / 4 * 3).min(WORD_TEXT)
}

fn push_word(piece: &str, out: &mut String) {
    out.push_str("=?UTF-8?B?");
    base64::engine::general_purpose::STANDARD.encode_string(piece, out);
    out.push_str("?=");
}

/// A blank in place of a control character, C1 and the line separators of Unicode among them.
pub(super) fn no_control(c: char) -> char {
    if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c }
}

/// The text of a header value without folds, whatever its charset. It still has encoded words; all of them are legal.
pub(super) fn text_of(value: &[u8], hints: Hints) -> String {
    charset::decode(&made_legal(value, hints), hints)
}

/// The value with legal words in place of those that hold raw octets; borrowed when there are none.
///
/// Neighbours under one label are one text, because senders cut characters in two (RFC 2047 section 6.2).
pub(super) fn made_legal<'v>(value: &'v [u8], hints: Hints) -> Cow<'v, [u8]> {
    if !value.iter().any(is_raw) {
        return Cow::Borrowed(value);
    }
    let (mut out, mut rest) = (Vec::new(), value);
    let mut replaced = false;
    while let Some(at) = memmem::find(rest, b"=?") {
        let Some(run) = read_run(&rest[at..]) else {
            out.extend_from_slice(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        out.extend_from_slice(&rest[..at]);
        if run.raw {
            let words = encode(&run_text(&run, hints), 0);
            out.extend(words.bytes().filter(|b| !b"\r\n".contains(b)));
            replaced = true;
        } else {
            out.extend_from_slice(&rest[at..at + run.length]);
        }
        rest = &rest[at + run.length..];
    }
    if !replaced {
        return Cow::Borrowed(value);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The word at the start of `value`, with all neighbours under the same label.
fn read_run(value: &[u8]) -> Option<Word<'_>> {
    let mut run = read_raw_word(value)?;
    loop {
        let rest = &value[run.length..];
        let gap = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
        match read_raw_word(&rest[gap..]) {
            Some(next) if next.label.eq_ignore_ascii_case(run.label) => {
                run.octets.extend_from_slice(&next.octets);
                run.raw |= next.raw;
                run.length += gap + next.length;
            }
            Some(_) | None => return Some(run),
        }
    }
}

fn read_raw_word(value: &[u8]) -> Option<Word<'_>> {
    let frame = Frame::read(value)?;
    let content = &frame.rest[..content_length(frame.rest)?];
    let raw = content.iter().any(is_raw);
    let octets = match frame.base64 {
        // Raw octets are no base64, and an escape shifts to octets that may look like `=` and `_`.
        base64 if raw && (base64 || content.contains(&ESCAPE)) => content.to_vec(),
        true => base64_lenient(content),
        false => q_decode(content, raw && has_wide_characters(frame.charset())),
    };
    Some(Word::new(&frame, frame.charset(), octets, content))
}

/// The length of the content before the `?=` that ends a word. Text that was never encoded may have question marks in it.
///
/// The search stops where another word begins, which keeps this linear.
fn content_length(content: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr(b'?', &content[from..])?;
        if content.get(at + 1) == Some(&b'=') {
            let legal = from == 0 || content[..at].iter().any(is_raw);
            return legal.then_some(at);
        }
        if at > 0 && content[at - 1] == b'=' {
            return None;
        }
        from = at + 1;
    }
}

/// Whether the octet is illegal in an encoded word, and carries text.
fn is_raw(octet: &u8) -> bool {
    *octet >= 0x80 || *octet == ESCAPE
}

/// Whether the charset has characters of two octets of which the second may be 0x5F, a `_`.
fn has_wide_characters(label: &str) -> bool {
    Encoding::for_label_no_replacement(label.as_bytes())
        .is_none_or(|known| [GBK, GB18030, BIG5, SHIFT_JIS].contains(&known))
}

/// The text of a word. Its label counts, unless the octets cannot be that or are UTF-8 beyond doubt.
fn run_text(run: &Word<'_>, hints: Hints) -> String {
    match std::str::from_utf8(&run.octets) {
        Ok(text) if charset::is_evident_utf8(text, Encoding::for_label(run.label.as_bytes())) => text.to_owned(),
        Ok(_) | Err(_) => labelled(run.label, &run.octets, hints),
    }
}

#[cfg(test)]
mod tests;
