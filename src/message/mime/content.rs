//! What the header of a part declares about its content: media type, charset, transfer encoding, boundary, file name (RFC
//! 2045; RFC 2046 section 5.1.1; RFC 2231 sections 3 and 4).
//!
//! `part_stats` counts what the content is, and `decide` compares the two. `part_scanner` searches the boundary in the body.
//!
//! Invariants: a field is read as `field_encoding` would write it, so that a second reading gives the same answer; a value
//! that cannot be read counts as absent; where mail readers would find different boundaries, the answer is
//! [`Boundary::Disputed`] and no guess.

use encoding_rs::Encoding;

use super::uuencode;
use crate::message::charset::{self, Hints};
use crate::message::header::{Header, pieces};
use crate::message::{encoded_word, field_encoding};

/// The longest type, subtype or charset that is a name (RFC 6838 section 4.2; charsets have 40, RFC 2978 section 2.3). A
/// longer one would be cut when its line is folded, and the next reader would read it otherwise.
const MAX_NAME: usize = 127;
/// The longest boundary that is read: RFC 2046 section 5.1.1 allows 70 octets.
pub(super) const MAX_BOUNDARY: usize = 200;
/// The most pieces of a boundary.
const MAX_SECTIONS: usize = 70;

/// How the body is encoded for transfer (RFC 2045 section 6), misspelt values of the field included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transfer {
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

/// The declared form of the content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Content {
    /// The media type in lower case, `text/plain`; empty when there is none or it cannot be read.
    pub media: String,
    /// The charset parameter in lower case, if there is one with a value.
    pub charset: Option<String>,
    /// The transfer encoding.
    pub transfer: Transfer,
    /// The transfer encoding as it is written, in lower case.
    pub transfer_text: String,
}

impl Content {
    /// Reads Content-Type and Content-Transfer-Encoding.
    pub(super) fn of(header: &Header) -> Content {
        let text = value(header, "Content-Type").unwrap_or_default().to_ascii_lowercase();
        let media = text.split(';').next().unwrap_or("").trim();
        let name = |text: &str| text.len() <= MAX_NAME && is_token(text);
        let legal = media.split_once('/').is_some_and(|(kind, sub)| name(kind) && name(sub));
        let transfer_text = value(header, "Content-Transfer-Encoding").unwrap_or_default().trim().to_ascii_lowercase();
        Content {
            media: if legal { media.to_owned() } else { String::new() },
            charset: parameter(&text, "charset"),
            transfer: transfer(&transfer_text),
            transfer_text,
        }
    }

    /// Whether the body is text: `text/...`, or no readable type (RFC 2045 section 5.2).
    pub(super) fn is_text(&self) -> bool {
        self.media.is_empty() || self.media.starts_with("text/")
    }

    /// Whether it is text without a declared charset, or declared as ASCII.
    pub(super) fn wants_charset(&self) -> bool {
        self.is_text() && matches!(self.charset.as_deref(), None | Some("us-ascii" | "ascii" | "unknown-8bit"))
    }

    /// Whether the body is declared as uuencoded.
    pub(super) fn is_uuencoded(&self) -> bool {
        uuencode::is_label(&self.transfer_text)
    }

    /// The charset that is declared for the text, if it is known and more than ASCII.
    pub(super) fn encoding(&self) -> Option<&'static Encoding> {
        self.charset.as_deref().and_then(charset::declared)
    }

    /// Whether the body has parts or a message in it, so that no encoding may be put on the whole (section 6.4).
    pub(super) fn is_composite(&self) -> bool {
        self.is_multipart() || self.media.starts_with("message/")
    }

    /// Whether the body has parts in it, between boundaries.
    pub(super) fn is_multipart(&self) -> bool {
        self.media.starts_with("multipart/")
    }
}

/// The value of the first field of this name that has one, unfolded, as `field_encoding` would write it: in ASCII.
fn value(header: &Header, name: &str) -> Option<String> {
    let field = field_encoding::encoded(header.first_with_value(name)?, Hints::default());
    Some(String::from_utf8_lossy(&field.unfolded()).into_owned())
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

/// Names and values of the parameters of a field.
fn parameters(value: &str) -> impl Iterator<Item = (&str, &str)> {
    pieces(value).skip(1).filter_map(|piece| piece.split_once('=')).map(|(key, text)| (key.trim(), text.trim()))
}

/// The value of a parameter of a lower-case field value.
fn parameter(text: &str, name: &str) -> Option<String> {
    let (_, value) = parameters(text).find(|(key, _)| *key == name)?;
    let value = value.trim_matches(['"', '\'']).trim();
    (1..=MAX_NAME).contains(&value.len()).then(|| value.to_owned())
}

/// `token` of RFC 2045 section 5.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// Whether the header names the file that the part is.
pub(super) fn names_file(header: &Header) -> bool {
    [("Content-Disposition", "filename"), ("Content-Type", "name")].iter().any(|(field, parameter)| {
        let value = value(header, field).unwrap_or_default().to_ascii_lowercase();
        let mut keys = pieces(&value).skip(1).map(|piece| piece.split('=').next().unwrap_or("").trim());
        keys.any(|key| key.split('*').next() == Some(parameter))
    })
}

/// The boundary of a multipart, in one piece, in several, or escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Boundary {
    /// None that could be in a body.
    Absent,
    /// This one, octet for octet.
    Named(Vec<u8>),
    /// Mail readers would find different ones.
    Disputed,
}

/// Reads the boundary from the Content-Type of a part.
///
/// A value without quotes ends at the next semicolon, with any characters in it (`boundary=:foo`, Q-108).
pub(super) fn boundary(header: &Header) -> Boundary {
    const NAME: &str = "boundary";
    let value = value(header, "Content-Type").unwrap_or_default();
    let (mut plain, mut escaped, mut sections) = (None, None, Sections::default());
    for (key, text) in parameters(&value) {
        let Some((name, rest)) = key.split_at_checked(NAME.len()) else { continue };
        if !name.eq_ignore_ascii_case(NAME) {
            continue;
        }
        let text = || text.strip_prefix('"').map_or_else(|| text.as_bytes().to_vec(), unquoted);
        match (rest, rest.strip_prefix('*')) {
            ("", _) => plain = plain.or_else(|| Some(Some(text()))),
            ("*", _) => escaped = escaped.or_else(|| Some(first_escaped(&text()))),
            (_, Some(number)) => sections.take(number, text()),
            (_, None) => {}
        }
    }
    let said = [plain, escaped, sections.joined()].into_iter().flatten();
    let mut said = said.map(|text: Option<Vec<u8>>| text.map(|text| text.trim_ascii_end().to_vec()));
    match said.next() {
        None => Boundary::Absent,
        Some(Some(text)) if said.all(|other| other.as_ref() == Some(&text)) => {
            // A boundary is ASCII (RFC 2046 section 5.1.1); one that was not ASCII before it was escaped matches nothing.
            let usable = (1..=MAX_BOUNDARY).contains(&text.len()) && text.iter().all(|b| (0x20..0x7f).contains(b));
            if usable { Boundary::Named(text) } else { Boundary::Absent }
        }
        Some(_) => Boundary::Disputed,
    }
}

/// The pieces of a boundary by their numbers.
#[derive(Default)]
struct Sections {
    /// Whether the piece is escaped, and its text.
    pieces: Vec<Option<(bool, Vec<u8>)>>,
    /// A number is illegal or occurs twice: some readers count such a piece, some do not.
    odd: bool,
}

impl Sections {
    /// `number` follows the first star: `0`, `1*` and so on.
    fn take(&mut self, number: &str, text: Vec<u8>) {
        let (digits, escaped) = number.strip_suffix('*').map_or((number, false), |digits| (digits, true));
        // No leading zeros: RFC 2231 section 3.
        let legal = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
        let Some(place) = digits.parse::<usize>().ok().filter(|place| legal && *place < MAX_SECTIONS) else {
            self.odd = true;
            return;
        };
        if self.pieces.len() <= place {
            self.pieces.resize(place + 1, None);
        }
        self.odd |= self.pieces[place].replace((escaped, text)).is_some();
    }

    /// All pieces in the order of their numbers; `Some(None)` when readers would differ.
    fn joined(self) -> Option<Option<Vec<u8>>> {
        if self.odd {
            return Some(None);
        }
        let mut pieces = self.pieces.into_iter();
        let first = pieces.next()?.and_then(|(escaped, text)| if escaped { first_escaped(&text) } else { Some(text) });
        let join = |whole: Option<Vec<u8>>, piece: Option<(bool, Vec<u8>)>| {
            let (escaped, text) = piece?;
            let text = if escaped { unescaped(&text)? } else { text };
            Some([whole?, text].concat())
        };
        Some(pieces.fold(first, join))
    }
}

/// The text after `charset'language'`; a boundary is ASCII in every charset.
fn first_escaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.splitn(3, |&b| b == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(text)) => unescaped(text),
        _ => None,
    }
}

/// `%41` is A; `None` for a percent sign that escapes nothing.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.split(|&b| b == b'%');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        out.push(encoded_word::hex_pair(part)?);
        out.extend_from_slice(&part[2..]);
    }
    Some(out)
}

/// A quoted string after its first quote (RFC 5322 section 3.2.4).
fn unquoted(inner: &str) -> Vec<u8> {
    let (mut out, mut escaped) = (Vec::with_capacity(inner.len()), false);
    for b in inner.bytes() {
        match b {
            _ if escaped => {
                escaped = false;
                out.push(b);
            }
            b'\\' => escaped = true,
            b'"' => break,
            _ => out.push(b),
        }
    }
    out
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

    fn read(parameters: &str) -> Boundary {
        boundary(&Header::parse(format!("Content-Type: multipart/mixed; {parameters}\r\n").as_bytes()))
    }

    fn named(text: &str) -> Boundary {
        Boundary::Named(text.as_bytes().to_vec())
    }

    #[test]
    fn a_boundary_in_one_piece() {
        assert_eq!(read("boundary=abc"), named("abc"));
        assert_eq!(read("BOUNDARY = \"a;b\\\"c \" ; x=y"), named("a;b\"c"));
        assert_eq!(read("boundary=:foo"), named(":foo"));
        assert_eq!(read("boundary=a; boundary=b"), named("a"), "the first one, as ever");
        for nothing in ["x=y", "boundary=", "boundary=\"\"", "boundary", "boundaries=x", "xboundary=x"] {
            assert_eq!(read(nothing), Boundary::Absent, "{nothing}");
        }
    }

    #[test]
    fn a_boundary_in_several_pieces() {
        let long = format!("boundary*0={}; boundary*1={}", "x".repeat(MAX_BOUNDARY), "y");
        assert_eq!(read(&long), Boundary::Absent);
        assert_eq!(read("boundary*0=ab; boundary*1=\"cd\""), named("abcd"));
        assert_eq!(read("boundary*1=cd;\r\n boundary*0=\"a \""), named("a cd"), "in any order");
        assert_eq!(read("boundary*0*=us-ascii'en'a%3Db; boundary*1=%3D; boundary*2*=%2a"), named("a=b%3D*"));
        assert_eq!(read("boundary*0=x"), named("x"));
        let many: Vec<String> = (0..MAX_SECTIONS).map(|n| format!("boundary*{n}=x")).collect();
        assert_eq!(read(&many.join("; ")), named(&"x".repeat(MAX_SECTIONS)));
    }

    #[test]
    fn an_escaped_boundary() {
        assert_eq!(read("boundary*=us-ascii''a%3Db'c"), named("a=b'c"));
        assert_eq!(read("boundary*=\"''abc\""), named("abc"));
        assert_eq!(read("boundary*=''abc; boundary=abc; boundary*0=abc"), named("abc"), "all say the same");
        // A raw one was escaped when the header was cleansed: it is still none that a body could hold as it was meant.
        assert_eq!(read("boundary=\"\u{8fb9}\""), Boundary::Absent);
        assert_eq!(read("boundary*=''a%0Ab"), Boundary::Absent);
    }

    #[test]
    fn a_boundary_that_readers_dispute() {
        for parameters in [
            "boundary=a; boundary*0=b",
            "boundary=a; boundary*=''b",
            "boundary*0=a; boundary*2=b",
            "boundary*1=a",
            "boundary*0=a; boundary*0=b",
            "boundary*0=a; boundary*01=b",
            "boundary*0=a; boundary*x=b",
            "boundary*0=a; boundary**=b",
            "boundary*0=a; boundary*99999999999999999999=b",
            "boundary*0=a; boundary*70=b",
            "boundary*=abc",
            "boundary*=us-ascii'abc",
            "boundary*=''a%4",
            "boundary*0*=''a%zz",
        ] {
            assert_eq!(read(parameters), Boundary::Disputed, "{parameters}");
        }
    }
}
