//! Encoded words that hold raw octets: `=?gb2312?Q?` and `?=` around text that was never encoded (RFC 2047 section 2).
//!
//! The octets belong to the charset that the word names, so such a word is read before the field around it is. It is
//! replaced by legal words with the same text; who reads the field after that needs to know of legal words only.
//!
//! Not here: legal words (`encoded_word`), and raw octets outside of words (`charset`).
//!
//! Invariants: a value without such a word stays octet for octet; what replaces a word is ASCII without control characters; an octet is looked at
//! a fixed number of times.

use std::borrow::Cow;

use encoding_rs::{BIG5, Encoding, GB18030, GBK, SHIFT_JIS};
use memchr::{memchr, memmem};

use crate::message::charset::{self, Hints};
use crate::message::encoded_word;

/// The longest label of a charset, in octets (as in `encoded_word`).
const MAX_LABEL: usize = 64;
/// The first octet of an escape of ISO-2022 (RFC 1468).
const ESCAPE: u8 = 0x1b;

/// The text of a header value without folds, whatever its charset. Encoded words are still in it; all of them are legal.
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
            let words = encoded_word::encode(&text(run.label, &run.octets, hints), 0);
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

/// A word, or neighbours under one label.
struct Word<'v> {
    /// The charset, without a language (RFC 2231 section 5).
    label: &'v str,
    octets: Vec<u8>,
    /// Whether raw octets are in it.
    raw: bool,
    /// How long it is, from the first `=?` to the last `?=`.
    length: usize,
}

/// The word at the start of `value`, with all neighbours under the same label.
fn read_run(value: &[u8]) -> Option<Word<'_>> {
    let mut run = read_word(value)?;
    loop {
        let rest = &value[run.length..];
        let gap = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
        match read_word(&rest[gap..]) {
            Some(next) if next.label.eq_ignore_ascii_case(run.label) => {
                run.octets.extend_from_slice(&next.octets);
                run.raw |= next.raw;
                run.length += gap + next.length;
            }
            Some(_) | None => return Some(run),
        }
    }
}

fn read_word(value: &[u8]) -> Option<Word<'_>> {
    let inner = value.strip_prefix(b"=?")?;
    let label = &inner[..memchr(b'?', &inner[..inner.len().min(MAX_LABEL + 1)])?];
    let label = std::str::from_utf8(label).ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic()))?;
    let [encoding, b'?', ref content @ ..] = inner[label.len() + 1..] else { return None };
    let content = &content[..content_length(content)?];
    let raw = content.iter().any(is_raw);
    let name = label.split('*').next().unwrap_or(label);
    let octets = match encoding {
        // Raw octets are no base64, and an escape shifts to octets that may look like `=` and `_`.
        b'B' | b'b' | b'Q' | b'q' if raw && (!matches!(encoding, b'Q' | b'q') || content.contains(&ESCAPE)) => {
            content.to_vec()
        }
        b'B' | b'b' => encoded_word::base64_lenient(content),
        b'Q' | b'q' if raw => q_decode(content, has_wide_characters(name)),
        b'Q' | b'q' => encoded_word::q_decode(content),
        _ => return None,
    };
    (!label.is_empty()).then_some(Word { label: name, octets, raw, length: 2 + label.len() + 3 + content.len() + 2 })
}

/// How much stands before the `?=` that ends a word. Text that was never encoded may have question marks in it.
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

/// Whether the octet may not stand in an encoded word, and carries text.
fn is_raw(octet: &u8) -> bool {
    *octet >= 0x80 || *octet == ESCAPE
}

/// Whether the charset has characters of two octets of which the second may be 0x5F, a `_`.
fn has_wide_characters(label: &str) -> bool {
    Encoding::for_label_no_replacement(label.as_bytes())
        .is_none_or(|known| [GBK, GB18030, BIG5, SHIFT_JIS].contains(&known))
}

/// As `encoded_word::q_decode`, but a `_` right after the raw first octet of a character is the second one.
fn q_decode(content: &[u8], wide: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let (mut at, mut lead, mut raw_lead) = (0, false, false);
    while let Some(&octet) = content.get(at) {
        let escaped = if octet == b'=' { encoded_word::hex_pair(&content[at + 1..]) } else { None };
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

/// The text of a word. Its label counts, unless the octets cannot be that or are UTF-8 beyond doubt.
fn text(label: &str, octets: &[u8], hints: Hints) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if charset::is_evident_utf8(text, Encoding::for_label(label.as_bytes())) => text.to_owned(),
        Ok(_) | Err(_) => charset::decode_as(label, octets).unwrap_or_else(|| charset::decode(octets, hints)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gbk(text: &str) -> Vec<u8> {
        GBK.encode(text).0.into_owned()
    }

    fn read(value: &[u8]) -> String {
        encoded_word::decode(&text_of(value, Hints::default()))
    }

    fn in_word(before: &str, octets: &[u8]) -> Vec<u8> {
        [before.as_bytes(), octets, b"?="].concat()
    }

    #[test]
    fn raw_octets_are_read_in_the_charset_of_their_word() {
        let wide = encoding_rs::BIG5.encode("報告").0.into_owned();
        for (value, meaning) in [
            (in_word("=?gb2312?Q?", &gbk("报告")), "报告"),
            (in_word("=?GBK?q?", &gbk("报告, 第_一页?")), "报告, 第 一页?"),
            (in_word("=?gb2312?B?", &gbk("报告 1")), "报告 1"),
            (in_word("=?gb18030*zh?Q?", &GB18030.encode("镕€𠀀").0), "镕€𠀀"),
            (in_word("=?big5?Q?", &wide), "報告"),
            (in_word("=?koi8-r?Q?", b"\xf0\xd2\xc9\xd7\xc5\xd4_=F7"), "Привет В"),
            (in_word("=?iso-8859-1?q?", b"caf\xe9_au_lait"), "café au lait"),
            (in_word("=?utf-8?Q?", "驿站_é".as_bytes()), "驿站 é"),
            (in_word("=?iso-2022-jp?Q?", b"\x1b$B;3\x1b(B"), "山"),
            // The second octet of the first character is 0x5F.
            (in_word("=?gb2312?Q?", b"\x81\x5f_\xb1=A8=B8\xe6"), "乢 报告"),
            // The label is wrong.
            (in_word("=?utf-8?Q?", &gbk("报告")), "报告"),
            (in_word("=?us-ascii?Q?", &gbk("报告")), "报告"),
            (in_word("=?iso-8859-1?Q?", "报告é".as_bytes()), "报告é"),
            (in_word("=?gb2312?Q?", "报告".as_bytes()), "报告"),
            (in_word("=?x-unknown?Q?", &gbk("报告")), "报告"),
        ] {
            assert_eq!(read(&value), meaning, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn words_beside_raw_ones_keep_their_meaning() {
        for (value, meaning) in [
            (&b"=?gb2312?Q?\xb1\xa8\xb8?= =?GB2312?Q?\xe6=B5?=\t=?gb2312?B?xA==?="[..], "报告的"),
            (b"=?gb2312?Q?\xb1\xa8?= =?utf-8?B?6am/56uZ?= x", "报驿站 x"),
            (b"\xd5\xc5 =?gb2312?Q?\xb1\xa8?= \xc8\xfd", "张 报 三"),
            (b"\xd5\xc5 =?gb2312?Q?\xb1\xa8", "张 =?gb2312?Q?报"),
            (b"\xd5\xc5\xc8\xfd =?=?gb2312?Q?=B1=A8?=", "张三 =?报"),
            (b"=?gb2312?x?\xb1\xa8?=", "=?gb2312?x?报?="),
        ] {
            assert_eq!(read(value), meaning, "{}", value.escape_ascii());
        }
        let legal = b"=?utf-8?q?a?b?= =?gb2312?B?sai45g==?=";
        assert!(matches!(made_legal(legal, Hints::default()), Cow::Borrowed(_)));
    }

    #[test]
    fn a_name_in_quotes_keeps_its_specials() {
        let value = [&b"\"=?gb2312?Q?"[..], &gbk("张, <三>"), b"?=\" <a@b.cn>, =?gb2312?Q?", &gbk("乗"), b"?=<c@d.cn>"];
        let list = crate::message::mailbox::parse_field(&value.concat(), Hints::default());
        let list: Vec<_> = list.iter().map(|m| (m.name.as_str(), m.text.as_str())).collect();
        assert_eq!(list, [("张, <三>", "a@b.cn"), ("乗", "c@d.cn")]);
    }

    #[test]
    fn bombs_cost_linear_time() {
        for bomb in [&b"=?"[..], b"=?utf-8?q?", b"=?utf-8?q?\xff?", b"=?utf-8?q?\xff?= ", b"=?b?q?\xff? "] {
            let bomb = bomb.repeat(100_000);
            assert!(made_legal(&bomb, Hints::default()).len() <= 2 * bomb.len() + 20);
        }
    }
}
