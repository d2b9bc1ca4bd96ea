//! What the header says the body is: media type, charset, transfer encoding (RFC 2045).
//!
//! Not here: what the body *really* is; `mime` counts that, and compares the two.
//!
//! Invariant: reads one header field at a time, never the body; a value that cannot be read counts as absent.

use encoding_rs::Encoding;

use crate::message::charset::{self, Hints};
use crate::message::cleanse;
use crate::message::header::{Field, Header};
use crate::message::uuencode;

/// The longest type, subtype or charset that is a name (RFC 6838 section 4.2; charsets have 40, RFC 2978 section 2.3). A
/// longer one would be cut when its line is folded, and read otherwise by the next who looks.
const MAX_NAME: usize = 127;

/// How the body is encoded for transfer (RFC 2045 section 6), misspelt values of the field included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// No field, or an empty one.
    Absent,
    /// `7bit`.
    SevenBit,
    /// `8bit`, also as `8-bit`, `8 bit`, `8bits`, or a charset where the encoding should be.
    EightBit,
    /// `binary`, which may not be sent without BINARYMIME (RFC 3030).
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// Something else, `x-uuencode` perhaps.
    Other,
}

/// What the header says about the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The media type in lower case, `text/plain`; empty when there is none or it cannot be read.
    pub media: String,
    /// Whether there is a Content-Type field at all.
    pub declared: bool,
    /// The charset parameter in lower case, if there is one with a value.
    pub charset: Option<String>,
    /// The transfer encoding.
    pub transfer: Transfer,
    /// The transfer encoding as it is written, in lower case.
    pub transfer_text: String,
}

impl Content {
    /// Reads Content-Type and Content-Transfer-Encoding.
    pub fn of(header: &Header) -> Content {
        let value =
            cleansed(header, "Content-Type").map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned());
        let text = value.as_deref().unwrap_or("").to_ascii_lowercase();
        let media = text.split(';').next().unwrap_or("").trim();
        let name = |text: &str| text.len() <= MAX_NAME && is_token(text);
        let legal = media.split_once('/').is_some_and(|(kind, sub)| name(kind) && name(sub));
        let transfer_text = cleansed(header, "Content-Transfer-Encoding");
        let transfer_text = transfer_text.map(|f| String::from_utf8_lossy(&f.unfolded()).trim().to_ascii_lowercase());
        let transfer_text = transfer_text.unwrap_or_default();
        Content {
            media: if legal { media.to_owned() } else { String::new() },
            declared: value.is_some(),
            charset: parameter(&text, "charset"),
            transfer: transfer(&transfer_text),
            transfer_text,
        }
    }

    /// Whether the body is text: `text/...`, or nothing that says otherwise (RFC 2045 section 5.2).
    pub fn is_text(&self) -> bool {
        self.media.is_empty() || self.media.starts_with("text/")
    }

    /// Whether it is text whose charset nobody named, or was named ASCII.
    pub fn wants_charset(&self) -> bool {
        self.is_text() && matches!(self.charset.as_deref(), None | Some("us-ascii" | "ascii" | "unknown-8bit"))
    }

    /// Whether the body says that it is uuencoded.
    pub(super) fn is_uuencoded(&self) -> bool {
        uuencode::is_label(&self.transfer_text)
    }

    /// The charset that is declared for the text, if anybody here knows it and it is more than ASCII.
    pub fn encoding(&self) -> Option<&'static Encoding> {
        self.charset.as_deref().and_then(charset::declared)
    }

    /// Whether the body has parts or a message in it, so that no encoding may be put on the whole (section 6.4).
    pub fn is_composite(&self) -> bool {
        self.is_multipart() || self.media.starts_with("message/")
    }

    /// Whether the body has parts in it, between boundaries.
    pub(super) fn is_multipart(&self) -> bool {
        self.media.starts_with("multipart/")
    }
}

/// The field as it will be once the header is cleansed, so that asking again gives the same answer.
pub(super) fn cleansed(header: &Header, name: &str) -> Option<Field> {
    header.first_with_value(name).map(|field| cleanse::encoded(field, Hints::default()))
}

fn transfer(value: &str) -> Transfer {
    let word = value.split([';', '(']).next().unwrap_or("").trim().trim_matches('"');
    let word: String = word.chars().filter(|c| !matches!(c, ' ' | '\t' | '-' | '_')).collect();
    match word.as_str() {
        "" => Transfer::Absent,
        "7bit" | "7bits" => Transfer::SevenBit,
        "8bit" | "8bits" | "utf8" | "gbk" | "gb2312" | "none" => Transfer::EightBit,
        "binary" => Transfer::Binary,
        "quotedprintable" => Transfer::QuotedPrintable,
        "base64" => Transfer::Base64,
        _ => Transfer::Other,
    }
}

/// The value of a parameter of a lower-case field value.
fn parameter(text: &str, name: &str) -> Option<String> {
    let (_, value) =
        pieces(text).skip(1).filter_map(|piece| piece.split_once('=')).find(|(key, _)| key.trim() == name)?;
    let value = value.trim().trim_matches(['"', '\'']).trim();
    (1..=MAX_NAME).contains(&value.len()).then(|| value.to_owned())
}

/// The pieces between semicolons: the value first, then its parameters. A semicolon inside quotes parts nothing.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    })
}

/// `token` of RFC 2045 section 5.1.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(head: &str) -> Content {
        Content::of(&Header::parse(head.as_bytes()))
    }

    #[test]
    fn fields_are_read_as_they_are_meant() {
        let c = content("content-type: Text/HTML; format=\"a;charset=x\";\r\n CharSet=\"GB2312\"\r\n");
        assert_eq!((c.media.as_str(), c.charset.as_deref()), ("text/html", Some("gb2312")));
        assert!(c.is_text() && !c.is_composite());
        assert!(content("Content-Type: multipart/mixed; boundary=x\r\n").is_composite());
        assert!(content("Subject: x\r\n").is_text());
        assert_eq!(content("Content-Type: text\r\n").media, "");
        assert_eq!(content("Content-Type: text/plain; charset=\r\n").charset, None);
        let long = "x".repeat(128);
        assert_eq!(content(&format!("Content-Type: multipart/{long}\r\n")).media, "");
        assert_eq!(content(&format!("Content-Type: {long}/mixed\r\n")).media, "");
        assert_eq!(content(&format!("Content-Type: text/plain; charset={long}\r\n")).charset, None);
        assert_eq!(content("Content-Transfer-Encoding: 8-Bit (x)\r\n").transfer, Transfer::EightBit);
        for (label, transfer) in [
            ("8 bit", Transfer::EightBit),
            ("8-bits", Transfer::EightBit),
            ("7 bit", Transfer::SevenBit),
            ("Quoted Printable", Transfer::QuotedPrintable),
            ("base 64", Transfer::Base64),
            ("uue", Transfer::Other),
        ] {
            assert_eq!(content(&format!("Content-Transfer-Encoding: {label}\r\n")).transfer, transfer, "{label}");
        }
    }
}
