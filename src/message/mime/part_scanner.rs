//! Finds the parts of a body while it streams by: where each part begins and ends (RFC 2046 section 5).
//!
//! Both passes use this scanner, so that both see the same parts under the same numbers. It builds no tree; it holds the
//! open boundaries, the header of the part that begins, and the line that may be a delimiter. Mail readers differ on broken
//! trees (a boundary used twice, a line that only begins like an open boundary, a header without end): there
//! [`PartScanner::is_ambiguous`].
//!
//! Invariants: the input has CRLF only (`line_ends`); the events do not depend on how the octets were cut; the octets of all
//! events, in their order, are the octets of the body; nothing recurses; each octet is read a fixed number of times, and a
//! line that begins with `--` once more for each open boundary, of which there are at most [`MAX_DEPTH`].

use memchr::{memchr, memmem};

use super::content::{Boundary, Content, MAX_BOUNDARY, Transfer, boundary};
use crate::message::header::{Header, without_nul};
use crate::message::steps::Steps;

/// Composites inside one another; a deeper one is not opened.
pub const MAX_DEPTH: usize = 100;
/// Parts of one message; after the last of them everything is taken as it is.
pub const MAX_PARTS: u32 = 10_000;
/// The header of one part, in octets.
const MAX_PART_HEADER: usize = 64 * 1024;
/// The longest line that can be a delimiter: `--boundary--`, blanks, CRLF, and the CRLF before it.
const MAX_DELIMITER: usize = MAX_BOUNDARY + 64;
/// The CRLF before a delimiter belongs to it, not to the part (RFC 2046 section 5.1.1).
const MARK: &[u8; 4] = b"\r\n--";

/// How freely the content of a part may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Care {
    /// It is repaired.
    Open,
    /// In a message that is enclosed as a document: only what may not be sent is changed.
    Enclosed,
    /// Signed: likewise, and a change breaks the signature.
    Signed,
}

/// A part whose header is complete.
#[derive(Debug)]
pub(super) struct Part {
    /// 0 is the message itself; the parts are counted in the order in which they begin.
    pub(super) ordinal: u32,
    pub(super) header: Header,
    /// The header block as it came, without the blank line. Empty for the message itself.
    pub(super) raw: Vec<u8>,
    /// Whether the header ended in a blank line.
    pub(super) separated: bool,
    pub(super) content: Content,
    pub(super) care: Care,
    /// Whether it consists of other parts, so that it has no content of its own.
    pub(super) composite: bool,
}

/// Receives the events of a scan, in the order of the octets.
pub(super) trait Visitor {
    /// A part begins; its header (and blank line) are octets of this event.
    fn begin(&mut self, part: Part);
    /// Octets of the content of the part that began last.
    fn content(&mut self, octets: &[u8]);
    /// Octets outside of all parts: delimiters, and the text before the first and after the last of them.
    fn outside(&mut self, octets: &[u8]);
    /// The content of the part that began last is over.
    fn end(&mut self);
    /// A composite is over, with everything in it.
    fn close(&mut self, ordinal: u32);
}

/// A composite that is open.
#[derive(Debug)]
struct Frame {
    ordinal: u32,
    /// None for an enclosed message.
    boundary: Option<Vec<u8>>,
    care: Care,
    digest: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    Head,
    Content,
    #[default]
    Outside,
}

/// The state of a line that may be a delimiter.
enum Waiting {
    More,
    No,
    Line,
}

/// Splits a body into the events of a [`Visitor`].
#[derive(Debug, Default)]
pub(super) struct PartScanner {
    frames: Vec<Frame>,
    place: Place,
    parts: u32,
    /// What may be the start of a delimiter, its CRLF included; also the line of a part header that is not complete.
    held: Vec<u8>,
    /// How many octets of [`MARK`] `held` must have first: two at the start of a body, else four.
    mark: usize,
    waiting: bool,
    header: Header,
    raw: Vec<u8>,
    ambiguous: bool,
    /// Octets read and boundaries compared.
    pub(super) steps: Steps,
}

impl PartScanner {
    /// At the start of the body of a message with this header, which is the first event.
    pub(super) fn new(header: &Header, visitor: &mut impl Visitor) -> PartScanner {
        let mut scanner = PartScanner { mark: 2, waiting: true, header: header.clone(), ..PartScanner::default() };
        scanner.begin_part(true, visitor);
        scanner
    }

    /// Whether mail readers would find different parts. Valid at the end of the scan.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, chunk: &[u8], visitor: &mut impl Visitor) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let before = rest.len();
            rest = match self.place {
                Place::Head => self.head(rest, visitor),
                Place::Content | Place::Outside => self.body(rest, visitor),
            };
            self.steps.add(before - rest.len());
        }
    }

    /// Ends the body, and every part that is open.
    pub(super) fn finish(&mut self, visitor: &mut impl Visitor) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Head {
            // Normalised octets end in CRLF, so `held` is empty here and the header simply stops.
            self.raw.extend_from_slice(&held);
            self.begin_part(false, visitor);
        } else {
            self.emit(&held, visitor);
        }
        self.close_down_to(0, visitor);
    }

    fn emit(&self, octets: &[u8], visitor: &mut impl Visitor) {
        match (octets.is_empty(), self.place) {
            (true, _) => {}
            (false, Place::Content) => visitor.content(octets),
            (false, Place::Outside | Place::Head) => visitor.outside(octets),
        }
    }

    /// Octets up to the next delimiter.
    fn body<'c>(&mut self, mut rest: &'c [u8], visitor: &mut impl Visitor) -> &'c [u8] {
        // An ambiguous body is passed on as it is, so that cuts do not matter.
        if self.ambiguous || !self.frames.iter().any(|frame| frame.boundary.is_some()) {
            let held = std::mem::take(&mut self.held);
            self.waiting = false;
            self.emit(&held, visitor);
            self.emit(rest, visitor);
            return &[];
        }
        loop {
            if self.waiting {
                let (used, verdict) = self.wait(rest);
                rest = &rest[used..];
                match verdict {
                    Waiting::More => return &[],
                    Waiting::No => {
                        let held = std::mem::take(&mut self.held);
                        // Too long for a delimiter, even when it begins like one.
                        self.ambiguous |= self.find_delimiter(&held).is_some();
                        self.emit(&held, visitor);
                        self.waiting = false;
                        if self.ambiguous {
                            return rest;
                        }
                    }
                    Waiting::Line => {
                        let line = std::mem::take(&mut self.held);
                        if self.delimiter(&line, visitor) {
                            return rest;
                        }
                        if self.ambiguous {
                            self.emit(&line, visitor);
                            return rest;
                        }
                        self.emit(&line[..line.len() - 2], visitor);
                        self.line_starts();
                    }
                }
            }
            if !self.waiting {
                match memmem::find(rest, MARK) {
                    Some(at) => {
                        self.emit(&rest[..at], visitor);
                        rest = &rest[at..];
                        (self.waiting, self.mark) = (true, MARK.len());
                    }
                    None => {
                        let tail = (1..MARK.len()).rev().find(|&n| rest.ends_with(&MARK[..n])).unwrap_or(0);
                        let (now, later) = rest.split_at(rest.len() - tail);
                        self.emit(now, visitor);
                        self.held.extend_from_slice(later);
                        (self.waiting, self.mark) = (tail > 0, MARK.len());
                        return &[];
                    }
                }
            }
        }
    }

    /// A CRLF was read; what follows it may be a delimiter.
    fn line_starts(&mut self) {
        self.held.clear();
        self.held.extend_from_slice(b"\r\n");
        (self.waiting, self.mark) = (true, MARK.len());
    }

    /// Gathers the line that may be a delimiter; how much of `rest` was used for it.
    fn wait(&mut self, rest: &[u8]) -> (usize, Waiting) {
        let mut used = 0;
        while self.held.len() < self.mark {
            let Some(&octet) = rest.get(used) else { return (used, Waiting::More) };
            if octet != MARK[MARK.len() - self.mark + self.held.len()] {
                return (used, Waiting::No);
            }
            self.held.push(octet);
            used += 1;
        }
        let window = &rest[used..rest.len().min(used + MAX_DELIMITER - self.held.len())];
        match memchr(b'\n', window) {
            Some(at) => {
                self.held.extend_from_slice(&window[..=at]);
                (used + at + 1, Waiting::Line)
            }
            None => {
                self.held.extend_from_slice(window);
                (used + window.len(), if self.held.len() >= MAX_DELIMITER { Waiting::No } else { Waiting::More })
            }
        }
    }

    /// Ends and begins parts when `line` (its leading CRLF included) is a delimiter; `false` when it is none.
    fn delimiter(&mut self, line: &[u8], visitor: &mut impl Visitor) -> bool {
        let Some((depth, closing)) = self.find_delimiter(line) else { return false };
        if self.place == Place::Content {
            visitor.end();
        }
        self.place = Place::Outside;
        self.close_down_to(depth + usize::from(!closing), visitor);
        visitor.outside(line);
        if closing {
            // The CRLF of a delimiter is also the one that the next may begin with; here it has gone out already.
            (self.waiting, self.mark) = (true, 2);
        } else if self.parts >= MAX_PARTS {
            self.close_down_to(0, visitor);
        } else {
            self.place = Place::Head;
            self.waiting = false;
        }
        true
    }

    /// The frame whose delimiter this is, innermost first, and whether it is the closing one.
    fn find_delimiter(&mut self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"\r\n").unwrap_or(line).strip_prefix(b"--")?;
        // Without NUL, as it will be rewritten, so that the result has the parts that are found here.
        let clean = without_nul(text);
        let text = clean.trim_ascii_end();
        let shut = text.strip_suffix(b"--");
        let mut alike = false;
        self.steps.add(self.frames.len());
        for (depth, frame) in self.frames.iter().enumerate().rev() {
            let Some(boundary) = &frame.boundary else { continue };
            if text == boundary {
                return Some((depth, false));
            }
            if shut == Some(boundary) {
                return Some((depth, true));
            }
            alike |= text.starts_with(boundary);
        }
        // Some readers take `--boundary and more` for a delimiter.
        self.ambiguous |= alike;
        None
    }

    fn close_down_to(&mut self, depth: usize, visitor: &mut impl Visitor) {
        if self.place == Place::Content {
            visitor.end();
            self.place = Place::Outside;
        }
        for frame in self.frames.drain(depth.min(self.frames.len())..).rev() {
            visitor.close(frame.ordinal);
        }
    }

    /// One line of the header of a part.
    fn head<'c>(&mut self, rest: &'c [u8], visitor: &mut impl Visitor) -> &'c [u8] {
        if self.raw.len() + self.held.len() > MAX_PART_HEADER {
            self.ambiguous = true;
            let line = std::mem::take(&mut self.held);
            self.give_up_head(&line, visitor);
            return rest;
        }
        let window = &rest[..rest.len().min(MAX_PART_HEADER + 1)];
        let Some(at) = memchr(b'\n', window) else {
            self.held.extend_from_slice(window);
            return &rest[window.len()..];
        };
        self.held.extend_from_slice(&rest[..=at]);
        let rest = &rest[at + 1..];
        let line = std::mem::take(&mut self.held);
        let delimiter = if line.starts_with(b"--") { self.find_delimiter(&line) } else { None };
        if self.ambiguous {
            self.give_up_head(&line, visitor);
        } else if delimiter.is_some() {
            self.begin_part(false, visitor);
            // An empty part: the line is read once more, as a delimiter.
            self.place = if self.place == Place::Head { Place::Outside } else { self.place };
            self.delimiter(&line, visitor);
        } else if line == b"\r\n" {
            self.begin_part(true, visitor);
        } else if self.header.push_line(&without_nul(line.strip_suffix(b"\r\n").unwrap_or(&line))) {
            self.raw.extend_from_slice(&line);
        } else {
            self.begin_part(false, visitor);
            if self.place == Place::Head {
                // The header of an enclosed message that begins with what is no field.
                self.begin_part(false, visitor);
            }
            self.emit(&line[..line.len() - 2], visitor);
            self.line_starts();
        }
        rest
    }

    /// An ambiguous header of a part is no header.
    fn give_up_head(&mut self, line: &[u8], visitor: &mut impl Visitor) {
        let raw = [&std::mem::take(&mut self.raw), line].concat();
        self.header = Header::default();
        self.place = Place::Outside;
        self.emit(&raw, visitor);
    }

    /// The header of a part is complete: reports the part, and decides whether it is a leaf or a composite.
    fn begin_part(&mut self, separated: bool, visitor: &mut impl Visitor) {
        let (header, raw) = (std::mem::take(&mut self.header), std::mem::take(&mut self.raw));
        let ordinal = self.parts;
        self.parts += 1;
        let parent = self.frames.last();
        let mut content = Content::of(&header);
        if content.media.is_empty() && parent.is_some_and(|frame| frame.digest) {
            // RFC 2046 section 5.1.5.
            content.media = "message/rfc822".to_owned();
        }
        let top = parent.is_none_or(|frame| frame.boundary.is_none());
        let signed = content.media == "multipart/signed" || (top && header.get("DKIM-Signature").is_some());
        let outer = parent.map_or(Care::Open, |frame| frame.care);
        let care = if signed { Care::Signed } else { outer };
        let frame = self.frame_of(&header, &content, care, ordinal);
        let message = frame.as_ref().is_some_and(|frame| frame.boundary.is_none());
        let composite = frame.is_some();
        visitor.begin(Part { ordinal, header, raw, separated, content, care, composite });
        self.held.clear();
        (self.waiting, self.mark) = (true, 2);
        self.place = match (composite, message) {
            (false, _) => Place::Content,
            (true, false) => Place::Outside,
            (true, true) => Place::Head,
        };
        self.frames.extend(frame);
    }

    /// The frame of a composite that can be scanned.
    fn frame_of(&mut self, header: &Header, content: &Content, care: Care, ordinal: u32) -> Option<Frame> {
        if self.frames.len() >= MAX_DEPTH {
            return None;
        }
        if content.is_multipart() {
            let named = boundary(header);
            self.ambiguous |= named == Boundary::Disputed;
            let Boundary::Named(boundary) = named else { return None };
            // Two open boundaries with one name are ambiguous.
            self.ambiguous |= self.frames.iter().any(|frame| frame.boundary.as_ref() == Some(&boundary));
            let digest = content.media == "multipart/digest";
            return Some(Frame { ordinal, boundary: Some(boundary), care, digest });
        }
        let plain = !matches!(content.transfer, Transfer::Base64 | Transfer::QuotedPrintable | Transfer::Other);
        let message = plain && matches!(content.media.as_str(), "message/rfc822" | "message/global");
        if !message || self.parts >= MAX_PARTS {
            return None;
        }
        let care = if care == Care::Open { Care::Enclosed } else { care };
        Some(Frame { ordinal, boundary: None, care, digest: false })
    }
}
