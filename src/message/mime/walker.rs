//! Walks the parts of a body while it streams by: where each part begins and ends, and nothing more (RFC 2046 section 5).
//!
//! One walker serves both passes, so that both see the same parts under the same numbers. What it is not: a parser that
//! builds a tree; it holds the boundaries that are open, the header of the part that begins, and the line that may be a
//! delimiter.
//!
//! Invariants: it takes what `lines::Normaliser` gives (CRLF only); the events do not depend on how the octets were cut;
//! the octets of all events, in their order, are the octets of the body; nothing recurses; an octet is looked at a
//! fixed number of times, and a line that begins with `--` once more for each open boundary, of which there are at most
//! [`MAX_DEPTH`].
//!
//! Readers differ on broken trees. Where they would (a boundary used twice, a line that only begins like an open
//! boundary, a header without end), the walker gives up: [`Walker::is_lost`].

use memchr::{memchr, memmem};

use super::boundary::{Boundary, MAX_BOUNDARY, boundary};
use super::part::{Care, Part, Visitor};
use crate::message::content::{Content, Transfer};
use crate::message::header::Header;

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

#[derive(Debug)]
struct Frame {
    ordinal: u32,
    /// None for an enclosed message.
    boundary: Option<Vec<u8>>,
    care: Care,
    digest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Content,
    Glue,
}

/// What a line is that may be a delimiter.
enum Waiting {
    More,
    No,
    Line,
}

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Walker {
    frames: Vec<Frame>,
    place: Place,
    parts: u32,
    /// What may be the start of a delimiter, its CRLF included; also the line of a part header that is not complete.
    held: Vec<u8>,
    /// How many octets of [`MARK`] have to stand in `held` first: two at the start of a body, else four.
    mark: usize,
    waiting: bool,
    header: Header,
    raw: Vec<u8>,
    lost: bool,
    /// Octets looked at and boundaries compared: what the tests hold to be linear.
    #[cfg(test)]
    pub(super) steps: u64,
}

impl Walker {
    /// At the start of the body of a message with this header, which is the first event.
    pub(super) fn new(header: &Header, visitor: &mut impl Visitor) -> Walker {
        let mut walker = Walker {
            frames: Vec::new(),
            place: Place::Glue,
            parts: 0,
            held: Vec::new(),
            mark: 2,
            waiting: true,
            header: header.clone(),
            raw: Vec::new(),
            lost: false,
            #[cfg(test)]
            steps: 0,
        };
        walker.begin_part(true, visitor);
        walker
    }

    /// Whether nobody can say what the parts of this body are. Counts at the end of the walk.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, chunk: &[u8], visitor: &mut impl Visitor) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let before = rest.len();
            rest = match self.place {
                Place::Head => self.head(rest, visitor),
                Place::Content | Place::Glue => self.body(rest, visitor),
            };
            self.step((before - rest.len()) as u64);
        }
    }

    /// Ends the body: whatever is open is over.
    pub(super) fn finish(&mut self, visitor: &mut impl Visitor) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Head {
            // Normalised octets end in CRLF, so `held` is empty here and the header simply stops.
            self.raw.extend_from_slice(&held);
            self.end_head(false, visitor);
        } else {
            self.emit(&held, visitor);
        }
        self.close_down_to(0, visitor);
    }

    fn step(&mut self, _steps: u64) {
        #[cfg(test)]
        {
            self.steps += _steps;
        }
    }

    fn emit(&self, octets: &[u8], visitor: &mut impl Visitor) {
        match (octets.is_empty(), self.place) {
            (true, _) => {}
            (false, Place::Content) => visitor.content(octets),
            (false, Place::Glue | Place::Head) => visitor.glue(octets),
        }
    }

    /// Content or glue up to the next delimiter.
    fn body<'c>(&mut self, mut rest: &'c [u8], visitor: &mut impl Visitor) -> &'c [u8] {
        // From the octet on where the walker is lost it only hands through, so that cuts do not matter.
        if self.lost || !self.frames.iter().any(|frame| frame.boundary.is_some()) {
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
                        self.lost |= self.find_delimiter(&held).is_some();
                        self.emit(&held, visitor);
                        self.waiting = false;
                        if self.lost {
                            return rest;
                        }
                    }
                    Waiting::Line => {
                        let line = std::mem::take(&mut self.held);
                        if self.delimiter(&line, visitor) {
                            return rest;
                        }
                        if self.lost {
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
        self.place = Place::Glue;
        self.close_down_to(depth + usize::from(!closing), visitor);
        visitor.glue(line);
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
        // As it reads once NUL is gone, so that the outcome has the parts that are seen here.
        let clean: Vec<u8> = text.iter().copied().filter(|&b| b != 0).collect();
        let text = clean.trim_ascii_end();
        let shut = text.strip_suffix(b"--");
        let mut alike = false;
        self.step(self.frames.len() as u64);
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
        self.lost |= alike;
        None
    }

    fn close_down_to(&mut self, depth: usize, visitor: &mut impl Visitor) {
        if self.place == Place::Content {
            visitor.end();
            self.place = Place::Glue;
        }
        for frame in self.frames.drain(depth.min(self.frames.len())..).rev() {
            visitor.close(frame.ordinal);
        }
    }

    /// One line of the header of a part.
    fn head<'c>(&mut self, rest: &'c [u8], visitor: &mut impl Visitor) -> &'c [u8] {
        if self.raw.len() + self.held.len() > MAX_PART_HEADER {
            self.lost = true;
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
        if self.lost {
            self.give_up_head(&line, visitor);
        } else if delimiter.is_some() {
            self.end_head(false, visitor);
            // An empty part: the line comes once more, as the delimiter it is.
            self.place = if self.place == Place::Head { Place::Glue } else { self.place };
            self.delimiter(&line, visitor);
        } else if line == b"\r\n" {
            self.end_head(true, visitor);
        } else if self.take_field(&line) {
            self.raw.extend_from_slice(&line);
        } else {
            self.end_head(false, visitor);
            if self.place == Place::Head {
                // The header of an enclosed message that begins with what is no field.
                self.end_head(false, visitor);
            }
            self.emit(&line[..line.len() - 2], visitor);
            self.line_starts();
        }
        rest
    }

    /// The header of a part that nobody can be sure of is no header.
    fn give_up_head(&mut self, line: &[u8], visitor: &mut impl Visitor) {
        let raw = [&std::mem::take(&mut self.raw), line].concat();
        self.header = Header::default();
        self.place = Place::Glue;
        self.emit(&raw, visitor);
    }

    /// Whether the line is a field of the part header, or goes on with one.
    fn take_field(&mut self, line: &[u8]) -> bool {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        if memchr(0, text).is_none() {
            return self.header.push_line(text);
        }
        let clean: Vec<u8> = text.iter().copied().filter(|&b| b != 0).collect();
        self.header.push_line(&clean)
    }

    fn end_head(&mut self, separated: bool, visitor: &mut impl Visitor) {
        self.begin_part(separated, visitor);
    }

    /// The header is complete: is this a leaf, or are there parts in it?
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
            (true, false) => Place::Glue,
            (true, true) => Place::Head,
        };
        self.frames.extend(frame);
    }

    /// The frame of a composite that can be walked.
    fn frame_of(&mut self, header: &Header, content: &Content, care: Care, ordinal: u32) -> Option<Frame> {
        if self.frames.len() >= MAX_DEPTH {
            return None;
        }
        if content.media.starts_with("multipart/") {
            let named = boundary(header);
            self.lost |= named == Boundary::Disputed;
            let Boundary::Named(boundary) = named else { return None };
            // Two that are open under one name cannot be told apart.
            self.lost |= self.frames.iter().any(|frame| frame.boundary.as_ref() == Some(&boundary));
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
