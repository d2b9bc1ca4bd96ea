//! Raw 8-bit text: which charset is it, and what does it say?
//!
//! Not here: encoded words (`encoded_word`), and the charset of a body, which is declared and never converted.
//!
//! Invariant: decoding never fails and never panics; the text is at most three times as long as the octets.

use encoding_rs::{Encoding, GB18030};

/// What raw octets were taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// Seven-bit text.
    Ascii,
    /// Valid UTF-8.
    Utf8,
    /// Not UTF-8, but valid GB18030 (and with it GBK and GB2312).
    Gb18030,
    /// Neither: octets that mean nothing became U+FFFD.
    Lossy,
}

/// Reads octets that came without any charset: UTF-8 if they are that, else GB18030, else whatever can be read.
///
/// The order matters: GB18030 accepts most UTF-8 text, UTF-8 accepts hardly any GB18030 text.
pub fn decode(raw: &[u8]) -> (String, Charset) {
    if let Ok(text) = std::str::from_utf8(raw) {
        return (text.to_owned(), if raw.is_ascii() { Charset::Ascii } else { Charset::Utf8 });
    }
    match GB18030.decode_without_bom_handling_and_without_replacement(raw) {
        Some(text) => (text.into_owned(), Charset::Gb18030),
        None => (String::from_utf8_lossy(raw).into_owned(), Charset::Lossy),
    }
}

/// Reads octets whose charset has a name; `None` when nobody here knows the name.
///
/// GB2312 and GBK are read as GB18030, which contains both: senders label the one and use the other.
pub fn decode_as(label: &str, raw: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(label.trim().as_bytes())?;
    let encoding = if encoding == encoding_rs::GBK { GB18030 } else { encoding };
    Some(encoding.decode_without_bom_handling(raw).0.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_text_is_recognised() {
        assert_eq!(decode(b"scan"), ("scan".to_owned(), Charset::Ascii));
        assert_eq!(decode("报告".as_bytes()), ("报告".to_owned(), Charset::Utf8));
        assert_eq!(decode(b"\xb1\xa8\xb8\xe6"), ("报告".to_owned(), Charset::Gb18030));
        assert_eq!(decode(b"a\xff"), ("a\u{fffd}".to_owned(), Charset::Lossy));
    }

    #[test]
    fn labels_are_read_as_senders_mean_them() {
        assert_eq!(decode_as("GB2312", b"\xe9F").as_deref(), Some("镕".to_owned().as_str()));
        assert_eq!(decode_as("utf-8", "é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(decode_as("iso-8859-1", b"\xe9").as_deref(), Some("é"));
        for unknown in ["utf-7", "x-unknown", "", "hz-gb-2312", "iso-2022-kr"] {
            assert_eq!(decode_as(unknown, b"a"), None, "{unknown}");
        }
    }
}
