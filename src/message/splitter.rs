//! Finds the end of the header block of a message, chunk by chunk.
//!
//! Real mail breaks RFC 5322 section 2.1: bare LF, CR CR LF, CR alone (`cr_lines`), blank lines in front, an mbox line, no
//! blank line before the body, no header at all. Each of these has one meaning here.
//!
//! Invariants: the result does not depend on how the octets were cut into chunks; each octet is read a fixed number of
//! times; at most [`MAX_HEADER`] octets are held.

use memchr::memchr;

use crate::message::cr_lines::{self, Doubt, LineEnd};
use crate::message::header::{Header, without_nul};
use crate::message::steps::Steps;

/// The largest header block, in octets as they came.
pub const MAX_HEADER: usize = 256 * 1024;
/// The largest number of header fields.
pub const MAX_FIELDS: usize = 1000;

/// Why a message is refused for its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The header block is larger than [`MAX_HEADER`]: `552 5.3.4`.
    #[error("the header block is larger than 256 KiB")]
    HeaderTooLarge,
    /// More than [`MAX_FIELDS`] fields: `554 5.6.0`.
    #[error("the header has more than 1000 fields")]
    TooManyFields,
}

/// Octets of the body, in this order: those held back from earlier chunks, then the rest of this one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BodyPart<'c> {
    /// Octets that were taken for header until now (a message without a header, or without its blank line).
    pub held: Vec<u8>,
    /// The end of the chunk.
    pub rest: &'c [u8],
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Place {
    /// Only blank lines so far.
    #[default]
    Front,
    Header,
    Body,
}

/// What one line turned out to be.
enum Line {
    Taken,
    Separator,
    Body,
}

/// Takes DATA content (dots already unstuffed); returns the body as it comes, and the header at the end.
#[derive(Debug, Default)]
pub struct Splitter {
    header: Header,
    /// The current line as it came, line end included.
    line: Vec<u8>,
    /// Lines that are not taken yet, while their line end is in doubt.
    doubt: Option<Doubt>,
    /// Octets of the finished header lines.
    used: usize,
    place: Place,
    error: Option<SplitError>,
    /// Octets copied and read.
    pub(super) steps: Steps,
}

impl Splitter {
    /// At the start of a message.
    pub fn new() -> Splitter {
        Splitter::default()
    }

    /// Whether the body has begun, so that [`Splitter::header`] is whole.
    pub fn in_body(&self) -> bool {
        self.place == Place::Body
    }

    /// The header as far as it is known.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Takes the next octets and gives back those of them, and of earlier ones, that are body.
    ///
    /// # Errors
    /// [`SplitError`]; the message is then beyond rescue and every later call fails alike.
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Result<BodyPart<'c>, SplitError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut rest = chunk;
        while self.place != Place::Body && !rest.is_empty() {
            let room = MAX_HEADER - self.held();
            let window = &rest[..rest.len().min(room)];
            let (take, ended) = match memchr(b'\n', window) {
                Some(at) => (at + 1, true),
                None => (window.len(), false),
            };
            self.line.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            self.steps.add(take);
            let full = self.held() >= MAX_HEADER;
            if !ended && !full {
                break;
            }
            let held = match self.complete(full) {
                Ok(held) => held,
                Err(error) => {
                    self.error = Some(error);
                    return Err(error);
                }
            };
            if let Some(held) = held {
                return Ok(BodyPart { held, rest });
            }
        }
        Ok(BodyPart { held: Vec::new(), rest: if self.place == Place::Body { rest } else { &[] } })
    }

    /// Ends the message: the header, and octets that turned out to be body after all.
    ///
    /// # Errors
    /// As [`Splitter::push`].
    pub fn finish(mut self) -> Result<(Header, Vec<u8>), SplitError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut held = Vec::new();
        if self.place != Place::Body {
            if !self.line.is_empty() {
                held = self.complete(false)?.unwrap_or_default();
            }
            if let Some(doubt) = self.doubt.take() {
                held = self.replay(&doubt.octets, doubt.end(), false)?.unwrap_or_default();
            }
            // A header that simply stops has an empty body; that is legal (RFC 5322 section 3.5).
            self.header.framing.no_header = self.header.fields.is_empty();
        }
        Ok((self.header, held))
    }

    /// Octets that count against [`MAX_HEADER`].
    fn held(&self) -> usize {
        self.used + self.doubt.as_ref().map_or(0, |doubt| doubt.octets.len()) + self.line.len()
    }

    /// Takes the line that is complete (or that fills all the room), unless its line end is in doubt. `Some` when the body
    /// begins.
    fn complete(&mut self, full: bool) -> Result<Option<Vec<u8>>, SplitError> {
        let verdict = match &mut self.doubt {
            Some(doubt) => doubt.next(&self.line),
            None if self.place == Place::Front => {
                self.doubt = Doubt::about(&self.line);
                None
            }
            None => None,
        };
        let Some(doubt) = self.doubt.take() else { return self.end_line(full) };
        self.line.clear();
        match verdict.or(full.then(|| doubt.end())) {
            Some(end) => self.replay(&doubt.octets, end, full),
            None => {
                self.doubt = Some(doubt);
                Ok(None)
            }
        }
    }

    /// Takes lines that were in doubt. What follows the header is body.
    fn replay(&mut self, octets: &[u8], end: LineEnd, full: bool) -> Result<Option<Vec<u8>>, SplitError> {
        self.header.framing.bare_line_ends |= end == LineEnd::Cr;
        let mut rest = octets;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(cr_lines::line_length(rest, end));
            rest = after;
            self.line.extend_from_slice(line);
            if let Some(mut held) = self.end_line(full && rest.is_empty())? {
                held.extend_from_slice(rest);
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Reads the line that is complete (or that fills all the room). `Some` when the body begins.
    fn end_line(&mut self, full: bool) -> Result<Option<Vec<u8>>, SplitError> {
        let line = std::mem::take(&mut self.line);
        self.steps.add(line.len());
        match self.classify(&line) {
            Line::Taken if full => Err(SplitError::HeaderTooLarge),
            Line::Taken if self.header.fields.len() > MAX_FIELDS => Err(SplitError::TooManyFields),
            Line::Taken => {
                // Blank lines in front cost no room: a hundred thousand of them are skipped one by one.
                self.used += if self.place == Place::Front { 0 } else { line.len() };
                self.line = line;
                self.line.clear();
                Ok(None)
            }
            Line::Separator => {
                self.place = Place::Body;
                Ok(Some(Vec::new()))
            }
            Line::Body => {
                self.place = Place::Body;
                self.header.framing.no_header = self.header.fields.is_empty();
                self.header.framing.no_separator = !self.header.fields.is_empty();
                Ok(Some(line))
            }
        }
    }

    fn classify(&mut self, raw: &[u8]) -> Line {
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let crs = text.iter().rev().take_while(|&&b| b == b'\r').count();
        let text = &text[..text.len() - crs];
        let cleaned = without_nul(text);
        let line = &cleaned[..];
        if line.trim_ascii().is_empty() && (line.is_empty() || self.place == Place::Front) {
            if !self.header.fields.is_empty() {
                return Line::Separator;
            }
            self.header.framing.blank_lines = true;
            return Line::Taken;
        }
        // mbox: the separator line, and the escaped one that some programs leave in.
        let first = self.place == Place::Front && !self.header.framing.mbox_line;
        if first && (line.starts_with(b"From ") || line.starts_with(b">From ")) && !is_field(line) {
            self.header.framing.mbox_line = true;
            return Line::Taken;
        }
        if !self.header.push_line(line) {
            return Line::Body;
        }
        self.place = Place::Header;
        self.header.framing.nul |= line.len() < text.len();
        self.header.framing.bare_line_ends |= (raw.ends_with(b"\n") && crs != 1) || memchr(b'\r', line).is_some();
        Line::Taken
    }
}

/// `From :` is a field with a blank before its colon; `From someone Mon Jan` is not.
fn is_field(line: &[u8]) -> bool {
    let end = memchr(b':', line).unwrap_or(0);
    line[..end].trim_ascii_end() == b"From"
}
