//! Raw 8-bit text: finds its charset and decodes it.
//!
//! The order is: UTF-8 if it is legal, else the charset that the mail declares, else the client's charset, else a guess, else
//! GB18030, else windows-1252, which reads anything (Q-096). Text in a body is never converted, its charset is only declared.
//!
//! Invariants: decoding never fails and never panics; the text is at most three times as long as the octets; a guess reads at
//! most [`MAX_GUESS`] octets.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, SHIFT_JIS, UTF_8, WINDOWS_1250, WINDOWS_1251,
    WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258, X_USER_DEFINED,
};

/// The octets of text that a guess reads.
const MAX_GUESS: usize = 4096;
/// With fewer 8-bit octets than this, a guess is worth little: six Chinese characters.
const FEW: usize = 12;

/// The possible results of a guess: charsets of office machines in East Asia, and the Windows code pages.
const PLAUSIBLE: &[&Encoding] = &[
    BIG5,
    EUC_KR,
    EUC_JP,
    SHIFT_JIS,
    WINDOWS_1250,
    WINDOWS_1251,
    WINDOWS_1252,
    WINDOWS_1253,
    WINDOWS_1254,
    WINDOWS_1255,
    WINDOWS_1256,
    WINDOWS_1257,
    WINDOWS_1258,
];

/// The known facts about the charset of octets without a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// The charset that the mail declares for its text: the first guess, where it fits.
    pub declared: Option<&'static Encoding>,
    /// The client's charset: the second guess.
    pub client: Option<&'static Encoding>,
}

/// The charset that a label declares; none where it is unknown, or ASCII.
pub fn declared(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label_no_replacement(label.trim().as_bytes())?;
    (!is_ascii(label) && encoding != X_USER_DEFINED).then_some(encoding)
}

/// Decodes octets without a label.
pub fn decode(raw: &[u8], hints: Hints) -> String {
    if raw.is_ascii() && memchr::memmem::find(raw, b"\x1b$").is_none() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    decoded(guess(raw, hints), raw)
}

/// The charset of octets without a label, by the first [`MAX_GUESS`] of them.
pub fn guess(raw: &[u8], hints: Hints) -> &'static Encoding {
    let sample = &raw[..raw.len().min(MAX_GUESS)];
    // A mail with CRLFs cannot hold UTF-16, so that label is wrong; and it fits nearly everything.
    let possible = |named: &&'static Encoding| named.output_encoding() == *named && fits(named, sample);
    let declared = hints.declared.filter(possible).filter(|declared| is_credible(declared, sample));
    // Chinese of a few characters may be valid UTF-8. Where the mail is declared Chinese, it is.
    if let Some(declared) = declared
        && std::str::from_utf8(sample).is_ok_and(|text| !text.is_ascii() && !is_evident_utf8(text, Some(declared)))
    {
        return as_meant(declared);
    }
    if fits(UTF_8, sample) && !(sample.is_ascii() && sample.contains(&0x1b)) {
        return UTF_8;
    }
    if let Some(named) = declared.or(hints.client.filter(possible)) {
        return as_meant(named);
    }
    // Seven-bit, and switches to two octets a character and back (RFC 1468).
    if sample.is_ascii() {
        return if fits(ISO_2022_JP, sample) { ISO_2022_JP } else { UTF_8 };
    }
    if let Some(found) = detect(sample) {
        return found;
    }
    if fits(GB18030, sample) { GB18030 } else { WINDOWS_1252 }
}

/// A reliable guess; none when the text is short and may be Chinese.
fn detect(sample: &[u8]) -> Option<&'static Encoding> {
    let eight = sample.iter().filter(|&&b| b >= 0x80).count();
    let chinese = fits(GB18030, sample);
    // Chinese has its octets of 0x80 and above side by side; a lone one within a Latin word is an accent.
    let latin = lone(sample) * 4 >= eight * 3;
    if chinese && !latin && eight < FEW {
        return None;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    let found = detector.guess(None, Utf8Detection::Deny);
    let plausible = PLAUSIBLE.contains(&found) && fits(found, sample);
    let single = PLAUSIBLE[4..].contains(&found);
    (plausible && (!chinese || single == latin)).then_some(found)
}

/// Whether a declared charset that fits can be believed.
///
/// Programs declare ISO-8859-1 without looking, and it fits everything. In Latin text at most two octets of 0x80 and
/// above are side by side, and two are letters; a Chinese word that looks so is shorter than two characters.
fn is_credible(declared: &'static Encoding, sample: &[u8]) -> bool {
    if declared != WINDOWS_1252 || !fits(GB18030, sample) {
        return true;
    }
    let mut runs = sample.split(|b| b.is_ascii()).filter(|run| !run.is_empty());
    runs.all(|run| {
        let letters = || declared.decode_without_bom_handling(run).0.chars().all(char::is_alphabetic);
        run.len() == 1 || (run.len() == 2 && letters())
    })
}

/// How many octets of 0x80 and above have an ASCII letter before them and no other such octet beside them.
fn lone(sample: &[u8]) -> usize {
    let high = |at: usize| sample.get(at).is_some_and(|&b| b >= 0x80);
    let letter = |at: usize| sample.get(at).is_some_and(u8::is_ascii_alphabetic);
    (1..sample.len()).filter(|&at| high(at) && !high(at + 1) && letter(at - 1)).count()
}

/// Whether the octets are legal in that charset. A character cut at the end counts against it, unless the sample was cut.
fn fits(encoding: &'static Encoding, sample: &[u8]) -> bool {
    fits_as(encoding, sample, sample.len() < MAX_GUESS)
}

/// Whether the octets are legal in that charset; unless they are `whole`, the last character may be cut.
fn fits_as(encoding: &'static Encoding, sample: &[u8], whole: bool) -> bool {
    let sample = &single_escapes(encoding, sample)[..];
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let Some(room) = decoder.max_utf8_buffer_length_without_replacement(sample.len()) else { return false };
    let mut text = vec![0; room];
    let (result, ..) = decoder.decode_to_utf8_without_replacement(sample, &mut text, whole);
    result == encoding_rs::DecoderResult::InputEmpty
}

/// The text of the octets in that charset.
fn decoded(encoding: &'static Encoding, raw: &[u8]) -> String {
    encoding.decode_without_bom_handling(&single_escapes(encoding, raw)).0.into_owned()
}

/// ISO-2022-JP without escapes that another one follows at once, as they are where pieces were joined. They have no
/// effect, but the decoder of the web takes the second for an error.
fn single_escapes<'r>(encoding: &'static Encoding, raw: &'r [u8]) -> Cow<'r, [u8]> {
    let escape = |at: usize| matches!(raw[at..], [0x1b, b'(' | b'$', _, ..]);
    let idle = |at: usize| escape(at) && escape(at + 3);
    if encoding != ISO_2022_JP || !memchr::memchr_iter(0x1b, raw).any(idle) {
        return Cow::Borrowed(raw);
    }
    let (mut out, mut at) = (Vec::with_capacity(raw.len()), 0);
    while let Some(&octet) = raw.get(at) {
        if idle(at) {
            at += 3;
        } else {
            out.push(octet);
            at += 1;
        }
    }
    Cow::Owned(out)
}

/// GB2312 and GBK are read as GB18030, which contains both: senders label the one and use the other.
fn as_meant(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == GBK { GB18030 } else { encoding }
}

/// The name to declare, in lower case.
pub fn label(encoding: &'static Encoding) -> &'static str {
    const NAMES: &[(&Encoding, &str)] = &[
        (UTF_8, "utf-8"),
        (GB18030, "gb18030"),
        (GBK, "gbk"),
        (BIG5, "big5"),
        (EUC_KR, "euc-kr"),
        (EUC_JP, "euc-jp"),
        (SHIFT_JIS, "shift_jis"),
        (ISO_2022_JP, "iso-2022-jp"),
    ];
    NAMES.iter().find(|(known, _)| *known == encoding).map_or(encoding.name(), |(_, name)| name)
}

/// Decodes octets with a label; `None` when it is unknown, or ASCII although the octets are not.
///
/// A label that cannot be true is ignored. A character that is cut at the end does not count against it.
pub fn decode_as(label: &str, raw: &[u8]) -> Option<String> {
    let label = label.trim();
    let encoding = as_meant(Encoding::for_label_no_replacement(label.as_bytes())?);
    if is_ascii(label) && !raw.is_ascii() {
        return None;
    }
    let text = decoded(encoding, raw);
    if fits_as(encoding, raw, false) {
        return Some(text);
    }
    let other = guess(raw, Hints::default());
    // Everything is legal windows-1252; it counts only where the label decodes no 8-bit character.
    let likely = other != WINDOWS_1252 || text.chars().all(|c| c.is_ascii() || c == char::REPLACEMENT_CHARACTER);
    Some(if likely { decoded(other, raw) } else { text })
}

/// Whether the label is one of ASCII, which programs also give to text that is not (RFC 2046 section 4.1.2).
pub(super) fn is_ascii(label: &str) -> bool {
    ["us-ascii", "ascii"].iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// Whether octets that are valid UTF-8 are that even under the label of another charset.
///
/// Of a charset with one octet a character they would be accents and signs in a row. Two Chinese characters in UTF-8
/// are octets that hardly any text in another charset has.
pub(super) fn is_evident_utf8(text: &str, labelled: Option<&'static Encoding>) -> bool {
    !text.is_ascii()
        && (labelled.is_none_or(Encoding::is_single_byte) || text.chars().filter(|c| c.len_utf8() > 2).count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(encoding: &'static Encoding, text: &str) -> Vec<u8> {
        encoding.encode(text).0.into_owned()
    }

    const NONE: Hints = Hints { declared: None, client: None };

    fn client(client: &'static Encoding) -> Hints {
        Hints { declared: None, client: Some(client) }
    }

    #[test]
    fn what_the_mail_declares_is_the_first_guess() {
        for (label, raw, text) in [
            ("koi8-r", &b"\xef\xd4\xde\xa3\xd4"[..], "Отчёт"),
            ("KOI8-R", "Отчёт".as_bytes(), "Отчёт"),
            ("iso-8859-1", b"Gr\xf6\xdfe: 5 \xb0C, cr\xe9\xe9e", "Größe: 5 °C, créée"),
            ("iso-8859-1", b"\xd5\xc5\xc8\xfd", "张三"),
            ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
            ("big5", b"\xb3\xf8\xa7i", "報告"),
            // Valid UTF-8 as well, but hardly meant.
            ("gb2312", b"\xc3\xa9\xcc\xa8", "茅台"),
            ("gb2312", "报告".as_bytes(), "报告"),
            // These cannot be what is declared.
            ("utf-8", b"\xb1\xa8\xb8\xe6", "报告"),
            ("us-ascii", b"\xb1\xa8\xb8\xe6", "报告"),
            ("gb2312", b"caf\xe9", "café"),
            ("utf-16", b"\xb1\xa8\xb8\xe6", "报告"),
            ("x-user-defined", b"\xb1\xa8\xb8\xe6", "报告"),
        ] {
            let hints = Hints { declared: declared(label), client: None };
            assert_eq!(decode(raw, hints), text, "{label} {}", raw.escape_ascii());
            let both = Hints { client: Some(WINDOWS_1253), ..hints };
            let believed = hints.declared.is_some_and(|named| label != "utf-16" && fits(named, raw));
            if believed && is_credible(declared(label).unwrap(), raw) {
                assert_eq!(decode(raw, both), text, "the mail counts before the client: {label}");
            }
        }
    }

    #[test]
    fn raw_text_is_recognised() {
        for (raw, text) in [
            (&b"scan"[..], "scan"),
            ("报告".as_bytes(), "报告"),
            (b"\xb1\xa8\xb8\xe6", "报告"),
            (b"\xd5\xc5\xc8\xfd", "张三"),
            // The second octet of this character is a backslash.
            (b"\x81\x5c", "乗"),
            (b"caf\xe9", "café"),
            (b"r\xe9sum\xe9s of the caf\xe9s", "résumés of the cafés"),
            (b"M\xfcller, Stra\xdfe 5", "Müller, Straße 5"),
            (b"a\xff", "aÿ"),
            (b"\x1b$B;3\x1b(B", "山"),
            (b"\x1b$B;3\x1b(B\x1b$B@n\x1b(B\x1b(B ok", "山川 ok"),
        ] {
            assert_eq!(decode(raw, NONE), text, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn a_client_that_is_said_to_write_utf_16_is_not_believed() {
        let wide = client(encoding_rs::UTF_16LE);
        assert_eq!(decode(b"report \xb1\xa8\xb8\xe6.", wide), "report 报告.");
        assert_eq!(guess(&[0x80; 900], wide), guess(&[0x80; 900], NONE));
    }

    #[test]
    fn long_text_of_the_neighbours_is_recognised() {
        for (encoding, text) in [
            (GB18030, "打印机已经把所有的页面扫描完毕，请查收附件。谢谢！"),
            (BIG5, "印表機已經把所有的頁面掃描完畢，請查收附件。謝謝！"),
            (EUC_KR, "프린터가 모든 페이지를 스캔했습니다. 첨부 파일을 확인하십시오."),
            (SHIFT_JIS, "プリンターですべてのページをスキャンしました。添付ファイルをご確認ください。"),
            (EUC_JP, "プリンターですべてのページをスキャンしました。添付ファイルをご確認ください。"),
            (WINDOWS_1251, "Принтер отсканировал все страницы, смотрите вложение."),
        ] {
            let raw = octets(encoding, text);
            assert_eq!(decode(&raw, NONE), text, "{}", encoding.name());
            assert_eq!(label(guess(&raw, NONE)), label(encoding));
        }
    }

    #[test]
    fn the_client_knows_better_than_a_guess() {
        let raw = octets(BIG5, "報告");
        assert_eq!(decode(&raw, client(BIG5)), "報告");
        assert_eq!(decode(&octets(GBK, "报告"), client(GBK)), "报告");
        assert_eq!(decode("报告".as_bytes(), client(BIG5)), "报告", "UTF-8 is never anything else");
        assert_eq!(decode(b"caf\xe9", client(GBK)), "café", "it is not GBK");
    }

    #[test]
    fn labels_are_read_as_senders_mean_them() {
        assert_eq!(decode_as("GB2312", b"\xe9F").as_deref(), Some("镕"));
        assert_eq!(decode_as("utf-8", "é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(decode_as("iso-8859-1", b"\xe9").as_deref(), Some("é"));
        for unknown in ["utf-7", "x-unknown", "", "hz-gb-2312", "iso-2022-kr"] {
            assert_eq!(decode_as(unknown, b"a"), None, "{unknown}");
        }
    }
}
