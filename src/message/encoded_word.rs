//! RFC 2047 encoded words: read leniently, written strictly.
//!
//! Invariants of what is written: UTF-8 in B, at most 75 octets a word, at most 76 a line, no character is cut in two,
//! and no control character is in it, so that no reader can be made to see a line end (RFC 2047 sections 2 and 5).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::message::charset;

/// The longest line that holds an encoded word, in octets (RFC 2047 section 2).
const LINE: usize = 76;
/// The longest encoded word, in octets (RFC 2047 section 2).
pub(super) const LONGEST: usize = 75;
/// `=?UTF-8?B?` and `?=`.
const FRAME: usize = 12;
/// Octets of text in the longest word: 75 octets less the frame is 60 of base64.
const WORD_TEXT: usize = 45;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One encoded word found in a text.
struct Word<'t> {
    charset: &'t str,
    bytes: Vec<u8>,
    /// How long the word is, from `=?` to `?=`.
    length: usize,
}

/// Replaces every encoded word that can be read by its text; everything else stays as it is.
///
/// Blanks between two words vanish (RFC 2047 section 6.2), and the octets of neighbours in one charset are joined
/// before they are decoded, because many senders cut characters in two.
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
            Some((charset, bytes)) if gap.trim().is_empty() && charset.eq_ignore_ascii_case(word.charset) => {
                bytes.extend_from_slice(&word.bytes);
            }
            joined => {
                let neighbours = joined.is_some() && gap.trim().is_empty();
                flush(joined, &mut out);
                out.push_str(if neighbours { "" } else { gap });
                run = Some((word.charset, word.bytes));
            }
        }
        rest = &rest[at + word.length..];
    }
    flush(&mut run, &mut out);
    out.push_str(rest);
    out
}

fn flush(run: &mut Option<(&str, Vec<u8>)>, out: &mut String) {
    if let Some((label, bytes)) = run.take() {
        let text =
            charset::decode_as(label, &bytes).unwrap_or_else(|| charset::decode(&bytes, charset::Hints::default()));
        out.push_str(&text);
    }
}

/// How long the encoded word at the start of `text` is, in octets; none when there is none.
pub(super) fn length(text: &str) -> Option<usize> {
    read_word(text).map(|word| word.length)
}

/// Reads the word at the start of `text`. Every search stops at the next question mark, which keeps this linear.
fn read_word(text: &str) -> Option<Word<'_>> {
    let inner = text.strip_prefix("=?")?;
    let (label, inner) = inner.split_once('?')?;
    if label.is_empty() || label.len() > 64 || !label.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let (encoding, inner) = inner.split_once('?')?;
    let data = inner.split('?').next().unwrap_or("");
    if !inner[data.len()..].starts_with("?=") {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => base64_lenient(data.as_bytes()),
        "Q" | "q" => q_decode(data.as_bytes()),
        _ => return None,
    };
    // Text that was decoded before is not octets of that charset any more.
    let label_of_text = (!data.is_ascii() && std::str::from_utf8(&bytes).is_ok()).then_some("utf-8");
    // RFC 2231 section 5: the charset may carry a language, `utf-8*en`.
    let charset = label_of_text.or(label.split('*').next()).unwrap_or(label);
    let known = encoding_rs::Encoding::for_label_no_replacement(charset.as_bytes()).is_some();
    known.then_some(Word { charset, bytes, length: 2 + label.len() + 1 + 1 + 1 + data.len() + 2 })
}

/// Base64 without regard to padding and to octets that are none.
pub(super) fn base64_lenient(data: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> =
        data.iter().copied().filter(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/').collect();
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    LENIENT.decode(&clean).unwrap_or_default()
}

/// The Q encoding (RFC 2047 section 4.2).
pub(super) fn q_decode(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut i = 0;
    while i < data.len() {
        match (data[i], hex_pair(&data[i + 1..])) {
            (b'=', Some(octet)) => {
                out.push(octet);
                i += 2;
            }
            (b'_', _) => out.push(b' '),
            (octet, _) => out.push(octet),
        }
        i += 1;
    }
    out
}

/// The octet that the two hexadecimal digits at the start of `data` name.
pub(super) fn hex_pair(data: &[u8]) -> Option<u8> {
    let hex = |at: usize| data.get(at).and_then(|&b| (b as char).to_digit(16));
    Some((hex(0)? * 16 + hex(1)?) as u8)
}

/// Writes `text` as encoded words, folded with CRLF and a blank; `column` is where the first word will stand.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_leniently() {
        for (text, meaning) in [
            ("plain", "plain"),
            ("=?UTF-8?B?6am/56uZ?= x", "驿站 x"),
            ("=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
            ("=?GB2312?B?sai45g==?=", "报告"),
            ("=?gb18030?b?sai45g?=", "报告"),
            ("=?utf-8*zh?B?6am/?=\t =?UTF-8?B?56uZ?=", "驿站"),
            // One character in two words, as PHP cuts them.
            ("=?utf-8?B?6ak=?= =?utf-8?B?vw==?=", "驿"),
            ("=?iso-8859-1?q?=E9?= =?utf-8?q?=C3=A9?=", "éé"),
            ("a =?x-none?q?=41?= b", "a =?x-none?q?=41?= b"),
            ("=?utf-8?x?a?= =?utf-8?q?open", "=?utf-8?x?a?= =?utf-8?q?open"),
            ("=?=?utf-8?q?a?=", "=?a"),
            ("=?utf-8?q?=4?=", "=4"),
        ] {
            assert_eq!(decode(text), meaning, "{text}");
        }
    }

    #[test]
    fn words_are_written_strictly() {
        let text = "季度报告：打印机已经把所有的页面扫描完毕，请查收附件 𝄞 and some ASCII as well, for good measure";
        for column in [0, 9, 40, 63, 75, 90] {
            let out = encode(text, column);
            assert_eq!(decode(&out.replace("\r\n", "")).trim_start(), text);
            for (i, line) in out.split("\r\n").enumerate() {
                assert!(
                    line.trim().len() <= 75 && line.len() + if i == 0 && line.len() > 1 { column } else { 0 } <= 76
                );
            }
        }
        assert_eq!(encode("", 9), "");
        assert_eq!(decode(&encode("a\r\nBcc: evil@x\u{85}\u{2028}", 9).replace("\r\n", "")), "a  Bcc: evil@x  ");
    }

    #[test]
    fn bombs_cost_linear_time() {
        for bomb in ["=?".repeat(200_000), "=?utf-8?q?".repeat(50_000), "=?utf-8?q?a?= ".repeat(50_000)] {
            assert!(decode(&bomb).len() <= bomb.len());
        }
    }
}
