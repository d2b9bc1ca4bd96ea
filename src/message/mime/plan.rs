//! What the first pass found to do: a short list, whatever the size of the body.
//!
//! What this is not: the decisions (`cure`) or the work (`mender`). Invariant: parts are listed in the order in which
//! they stand in the body, each once, and only if something has to be done to them.

use encoding_rs::Encoding;

use crate::message::charset::Hints;
use crate::message::repair::Repair;

/// What is done to the octets of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cure {
    /// Nothing.
    #[default]
    None,
    /// Encode as quoted-printable (RFC 2045 section 6.7).
    QuotedPrintable,
    /// It is quoted-printable already, with lines too long or octets it may not have: put only those right.
    RewrapQuotedPrintable,
    /// Encode as base64 (RFC 2045 section 6.8).
    Base64,
    /// It is uuencoded, which has no 7-bit form: decode it and encode the outcome as base64.
    Uudecode,
    /// It is base64 already, in lines too long: wrap at 76.
    RewrapBase64,
    /// It may not be encoded (RFC 2045 section 6.4), or is in an encoding nobody here knows: break lines over 998
    /// octets, drop NUL.
    BreakLines,
}

/// What is done to one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mend {
    /// Its content.
    pub cure: Cure,
    /// The charset to declare.
    pub charset: Option<&'static str>,
    /// The Content-Transfer-Encoding to declare.
    pub transfer: Option<&'static str>,
    /// Its header has fields that may not stand as they are. Never set for part 0, whose header `repair` puts right.
    pub head: bool,
}

impl Mend {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Mend::default()
    }
}

/// What the first pass is asked to look for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    /// The body has to be 7-bit, because the next server does not offer 8BITMIME (RFC 6152).
    pub seven_bit: bool,
    /// Only what may not be sent at all: illegal lines.
    pub minimal: bool,
    /// What the client writes in when it does not say so and it is not UTF-8.
    pub charset: Option<&'static Encoding>,
}

/// The outcome of the first pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// What is done to part 0: the whole body of a mail without parts, and the fields of the message's header that
    /// describe it.
    pub root: Mend,
    /// What is done to other parts, by their number.
    pub(super) parts: Vec<(u32, Mend)>,
    /// File names that only the content of uuencoded parts has, by the number of the part.
    pub(super) file_names: Vec<(u32, Vec<u8>)>,
    /// What stands outside all parts has illegal octets.
    pub(super) glue: bool,
    /// The parts cannot be told: only legal lines are made, all over.
    pub(super) whole: bool,
    /// Whether the body has 8-bit octets once the plan is carried out, so that it needs 8BITMIME.
    pub eight_bit: bool,
    /// A 7-bit body was asked for and some 8-bit octets can only become question marks, because they stand where no
    /// encoding is allowed and the parts cannot be told. Never set without [`Demand::seven_bit`].
    pub lossy: bool,
    /// The charset that the message declares for its text, or all those of its parts that declare one.
    pub declared: Option<&'static Encoding>,
    pub(super) demand: Demand,
    /// What will have been done to the octets of the body.
    pub(crate) body_repairs: Vec<Repair>,
    /// What will have been done to the headers of parts.
    pub(crate) part_repairs: Vec<Repair>,
}

impl Plan {
    /// Whether the stored body has to be written anew (pass 2). Otherwise every octet of it stays.
    pub fn rewrites_body(&self) -> bool {
        self.whole || self.glue || !self.parts.is_empty() || self.root.cure != Cure::None
    }

    /// The file name that the header of a part has to be given.
    pub(crate) fn file_name(&self, ordinal: u32) -> Option<&[u8]> {
        self.file_names.iter().find(|(part, _)| *part == ordinal).map(|(_, name)| &name[..])
    }

    /// What raw text in headers may be written in.
    pub(crate) fn hints(&self) -> Hints {
        Hints { declared: self.declared, client: self.demand.charset }
    }

    /// Whether neither the body nor the fields that describe it change.
    pub fn is_empty(&self) -> bool {
        !self.rewrites_body() && self.root.is_empty()
    }
}
