//! What a walk over a body meets: parts, their content, and what stands between them.
//!
//! What this is not: the walk (`walker`), or anything that is done on the way (`survey`, `mender`). Invariant: the octets
//! of all events, in their order, are the octets of the body (RFC 2046 section 5.1).

use crate::message::content::Content;
use crate::message::header::Header;

/// How freely the content of a part may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Care {
    /// It is put right.
    Open,
    /// In a message that is enclosed as a document: only what may not be sent is mended.
    Enclosed,
    /// Signed: likewise, and mending it breaks the signature.
    Signed,
}

/// A part whose header is complete.
#[derive(Debug)]
pub(super) struct Part {
    /// 0 is the message itself; parts count on in the order they begin.
    pub(super) ordinal: u32,
    pub(super) header: Header,
    /// The header block as it came, without the blank line. Empty for the message itself.
    pub(super) raw: Vec<u8>,
    /// Whether the blank line after the header was there.
    pub(super) separated: bool,
    pub(super) content: Content,
    pub(super) care: Care,
    /// Whether other parts are in it, so that it has no content of its own.
    pub(super) composite: bool,
}

/// What a walk meets, in the order of the octets.
pub(super) trait Visitor {
    /// A part begins; its header (and blank line) are octets of this event.
    fn begin(&mut self, part: Part);
    /// Octets of the content of the part that began last.
    fn content(&mut self, octets: &[u8]);
    /// Octets of no part: delimiters, and what stands before the first and after the last of them.
    fn glue(&mut self, octets: &[u8]);
    /// The content of the part that began last is over.
    fn end(&mut self);
    /// A composite is over, with everything in it.
    fn close(&mut self, ordinal: u32);
}
