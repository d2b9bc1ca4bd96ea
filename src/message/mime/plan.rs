//! The changes that the first pass found: a short list, whatever the size of the body.
//!
//! `decide` makes the changes, `survey` lists them, `repair` and `rewriter` carry them out on the header and the body.
//!
//! Invariants: parts are listed in the order in which they are in the body, each once, and only with a change; a change
//! leaves all other fields of a header octet for octet.

use encoding_rs::Encoding;

use super::content::Content;
use crate::message::charset::Hints;
use crate::message::field_encoding::{encoded, folded};
use crate::message::header::{Field, Header, pieces};
use crate::message::line_ends::MAX_LINE;
use crate::message::repair_names::Repair;

/// The change to the octets of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Recoding {
    /// The octets stay.
    #[default]
    None,
    /// Encode as quoted-printable (RFC 2045 section 6.7).
    QuotedPrintable,
    /// It is quoted-printable with lines too long or illegal octets: change only those.
    RewrapQuotedPrintable,
    /// Encode as base64 (RFC 2045 section 6.8).
    Base64,
    /// It is uuencoded, which has no 7-bit form: decode it and encode the result as base64.
    Uudecode,
    /// It is base64 in lines too long: wrap at 76.
    RewrapBase64,
    /// It may not be encoded (RFC 2045 section 6.4), or is in an unknown encoding: break lines over 998 octets, drop NUL.
    BreakLines,
}

/// The change to one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartChange {
    /// The change to its content.
    pub recoding: Recoding,
    /// The charset to declare.
    pub charset: Option<&'static str>,
    /// The Content-Transfer-Encoding to declare.
    pub transfer: Option<&'static str>,
    /// Its header has fields that have to be encoded or folded. Never set for part 0, whose header `repair` changes.
    pub head: bool,
}

impl PartChange {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == PartChange::default()
    }

    /// Changes the header of the part. A charset that the header declares itself counts before `hints`. Returns an unreadable
    /// Content-Type, if it was replaced.
    pub(crate) fn apply(&self, header: &mut Header, hints: Hints) -> Option<Vec<u8>> {
        if self.head {
            let hints = Hints { declared: Content::of(header).encoding().or(hints.declared), ..hints };
            header.fields.iter_mut().for_each(|field| *field = encoded(field, hints));
        }
        let lost = self.charset.and_then(|charset| declare(header, charset));
        if let Some(transfer) = self.transfer {
            header.set(Field::new("Content-Transfer-Encoding", transfer));
        }
        if self.head {
            let long = header.fields.iter_mut().filter(|field| field.longest_line() > MAX_LINE);
            long.for_each(|field| *field = folded(field));
        }
        lost
    }
}

/// Writes the charset into Content-Type and keeps its other parameters. Returns an unreadable one, which is replaced.
fn declare(header: &mut Header, charset: &str) -> Option<Vec<u8>> {
    let media = Content::of(header).media;
    let old = header.first_with_value("Content-Type").map(|field| field.unfolded()).unwrap_or_default();
    let text = String::from_utf8_lossy(&old);
    let readable = !media.is_empty();
    let mut value = if readable { media } else { "text/plain".to_owned() };
    for parameter in pieces(&text).skip(1).filter(|_| readable) {
        let key = parameter.split('=').next().unwrap_or("").trim();
        if !key.is_empty() && !key.trim_end_matches('*').eq_ignore_ascii_case("charset") {
            value.push_str("; ");
            value.push_str(parameter.trim());
            // A quote that is never closed would hide the charset that follows.
            if parameter.matches('"').count() % 2 == 1 {
                value.push('"');
            }
        }
    }
    header.set(Field::new("Content-Type", format!("{value}; charset={charset}")));
    (!readable && !text.is_empty()).then(|| text.into_owned().into_bytes())
}

/// The aim of the first pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    /// The body has to be 7-bit, because the next server does not offer 8BITMIME (RFC 6152).
    pub seven_bit: bool,
    /// Only octets that may not be sent at all: illegal lines.
    pub minimal: bool,
    /// The client's charset for text that declares none and is not UTF-8.
    pub charset: Option<&'static Encoding>,
}

/// The result of the first pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The change to part 0: the whole body of a mail without parts, and the fields of the message's header that describe
    /// it.
    pub root: PartChange,
    /// The changes to other parts, by their number.
    pub(super) parts: Vec<(u32, PartChange)>,
    /// File names that only the content of uuencoded parts has, by the number of the part.
    pub(super) file_names: Vec<(u32, Vec<u8>)>,
    /// The octets outside all parts are illegal.
    pub(super) outside: bool,
    /// The parts are ambiguous: all lines are made legal, and nothing else.
    pub(super) whole: bool,
    /// Whether the body has 8-bit octets once the plan is carried out, so that it needs 8BITMIME.
    pub eight_bit: bool,
    /// A 7-bit body was asked for and some 8-bit octets can only become question marks, because no encoding is allowed
    /// there or the parts are ambiguous. Never set without [`Demand::seven_bit`].
    pub lossy: bool,
    /// The charset that the message declares for its text, or all those of its parts that declare one.
    pub declared: Option<&'static Encoding>,
    pub(super) demand: Demand,
    /// The repairs of the body.
    pub(crate) body_repairs: Vec<Repair>,
    /// The repairs of the headers of parts.
    pub(crate) part_repairs: Vec<Repair>,
}

impl Plan {
    /// Whether the stored body has to be written anew (pass 2). Otherwise every octet of it stays.
    pub fn rewrites_body(&self) -> bool {
        self.whole || self.outside || !self.parts.is_empty() || self.root.recoding != Recoding::None
    }

    /// Carries out the change on the header of the part with this number.
    pub(crate) fn apply(&self, ordinal: u32, change: &PartChange, header: &mut Header) {
        change.apply(header, self.hints());
        if let Some((_, name)) = self.file_names.iter().find(|(part, _)| *part == ordinal) {
            let name: Vec<u8> = name.iter().copied().filter(|b| !b"\"\\".contains(b)).collect();
            let field = Field::new("Content-Disposition", [b"attachment; filename=\"", &name[..], b"\""].concat());
            header.set(encoded(&field, self.hints()));
        }
    }

    /// The charsets that raw text in headers may be in.
    pub(crate) fn hints(&self) -> Hints {
        Hints { declared: self.declared, client: self.demand.charset }
    }

    /// Whether neither the body nor the fields that describe it change.
    pub fn is_empty(&self) -> bool {
        !self.rewrites_body() && self.root.is_empty()
    }
}
