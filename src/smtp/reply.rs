//! Replies (RFC 5321 section 4.2): the value, how it is written, and how it is read from bytes that arrive in pieces.
//!
//! What it is not: a judgement. Whether a reply means "wait" or "never" is decided by those who know the provider.
//!
//! Invariants: a code is between 200 and 599; a [`Reply`] that we built is printable ASCII and no line of it is longer
//! than 512 octets (section 4.5.3.1.5); a [`Reply`] that we read keeps the bytes as they came, whatever their charset.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Longest line we write: 512 octets with code, separator and CRLF (RFC 5321 section 4.5.3.1.5).
const WRITE_LINE: usize = 512 - 6;
/// Longest line we read, in octets. Providers exceed 512 now and then; nobody needs more than this.
pub const READ_LINE: usize = 2048;
/// Longest reply we read, all lines together, in octets.
pub const READ_TOTAL: usize = 100_000;

/// A reply: a code and one or more lines of text.
///
/// Cloning copies no text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    code: u16,
    /// The lines without code and line end, joined by LF. A line itself cannot hold an LF.
    text: Bytes,
}

/// What the first digit of a code says (RFC 5321 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 2yz: done.
    Positive,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now.
    Transient,
    /// 5yz: no.
    Permanent,
}

impl Reply {
    /// Builds a reply that is fit to be sent. An LF in `text` starts a new line, what is not printable ASCII becomes
    /// `?`, and a line that would exceed 512 octets goes on in the next. A code outside 200..=599 becomes 451.
    pub fn new(code: u16, text: &str) -> Reply {
        let code = if (200..600).contains(&code) { code } else { 451 };
        let fits = |line: &[u8]| line.len() <= WRITE_LINE && line.iter().all(|octet| matches!(octet, b' '..=b'~'));
        if text.as_bytes().split(|&octet| octet == b'\n').all(fits) {
            return Reply { code, text: Bytes::copy_from_slice(text.as_bytes()) };
        }
        let mut out = BytesMut::with_capacity(text.len());
        for (n, line) in text.split('\n').enumerate() {
            let clean: Vec<u8> = line
                .trim_end_matches('\r')
                .chars()
                .map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' })
                .collect();
            let mut pieces = clean.chunks(WRITE_LINE);
            // An empty line has no piece, and still is a line.
            let first = pieces.next().unwrap_or_default();
            for piece in std::iter::once(first).chain(pieces) {
                if n > 0 || !out.is_empty() {
                    out.extend_from_slice(b"\n");
                }
                out.extend_from_slice(piece);
            }
        }
        Reply { code, text: out.freeze() }
    }

    /// A reply of one line that the program knows beforehand: printable ASCII of at most 506 octets. Copies nothing.
    pub const fn fixed(code: u16, text: &'static str) -> Reply {
        debug_assert!(200 <= code && code < 600 && text.len() <= WRITE_LINE);
        Reply { code, text: Bytes::from_static(text.as_bytes()) }
    }

    /// The code, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// What the first digit says.
    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Positive,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Whether the code is 2yz.
    pub fn is_positive(&self) -> bool {
        self.class() == Class::Positive
    }

    /// The text as it came, lines joined by LF, in whatever charset the peer used.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The lines, without code and line end. There is at least one, which may be empty.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&b| b == b'\n')
    }

    /// The enhanced status code (RFC 3463 section 2) in front of the first line, if its class agrees with the code.
    ///
    /// A peer that contradicts itself (`250 5.1.1`) is taken by its code.
    pub fn enhanced(&self) -> Option<(u8, u16, u16)> {
        let word = self.text.split(|&b| b == b' ' || b == b'\n').next()?;
        let mut parts = std::str::from_utf8(word).ok()?.split('.');
        let class: u8 = number(parts.next()?, 1)?;
        let subject: u16 = number(parts.next()?, 3)?;
        let detail: u16 = number(parts.next()?, 3)?;
        (parts.next().is_none() && u16::from(class) == self.code / 100).then_some((class, subject, detail))
    }

    /// Appends the reply as it goes over the wire.
    pub fn write(&self, out: &mut BytesMut) {
        let code = [b'0' + (self.code / 100) as u8, b'0' + (self.code / 10 % 10) as u8, b'0' + (self.code % 10) as u8];
        let mut rest: &[u8] = &self.text;
        loop {
            let end = memchr::memchr(b'\n', rest);
            out.extend_from_slice(&code);
            out.extend_from_slice(if end.is_some() { b"-" } else { b" " });
            out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            out.extend_from_slice(b"\r\n");
            match end {
                Some(end) => rest = &rest[end + 1..],
                None => return,
            }
        }
    }
}

fn number<N: std::str::FromStr>(text: &str, digits: usize) -> Option<N> {
    let plain = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Code and text on one line; what is not printable ASCII is escaped, so that it can go into a log.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for line in self.lines() {
            write!(f, " {}", line.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why the peer's bytes are not a reply. After any of these the connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line longer than [`READ_LINE`].
    #[error("a line of the reply is longer than {READ_LINE} octets")]
    LineTooLong,
    /// More than [`READ_TOTAL`] octets without an end.
    #[error("the reply is longer than {READ_TOTAL} octets")]
    TooLong,
    /// No code between 200 and 599, or something else than a blank or a hyphen after it.
    #[error("the line does not start with a reply code")]
    NoCode,
    /// The lines of one reply have different codes (RFC 5321 section 4.2.1 wants the same in each).
    #[error("the lines of one reply have different codes")]
    MixedCodes,
}

/// Reads replies from bytes that arrive in any pieces. A bare LF is taken as the end of a line.
#[derive(Debug, Default)]
pub struct ReplyParser {
    code: Option<u16>,
    text: BytesMut,
    /// Octets of this reply so far, line ends and codes included.
    total: usize,
    /// Octets at the start of the input that are known to hold no LF, so that single octets cost no second look.
    scanned: usize,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new() -> ReplyParser {
        ReplyParser::default()
    }

    /// Takes the next whole reply out of `input`; `None` when it is not there yet.
    ///
    /// # Errors
    /// [`ReplyError`] when the bytes cannot be a reply.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &input[self.scanned..]) else {
                self.scanned = input.len();
                return if input.len() > READ_LINE { Err(ReplyError::LineTooLong) } else { Ok(None) };
            };
            let length = self.scanned + found + 1;
            if length > READ_LINE {
                return Err(ReplyError::LineTooLong);
            }
            self.scanned = 0;
            let last = self.line(&input[..length])?;
            input.advance(length);
            if last && let Some(code) = self.code.take() {
                self.total = 0;
                return Ok(Some(Reply { code, text: self.text.split().freeze() }));
            }
        }
    }

    /// Takes one line with its LF; true if it is the last of the reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        self.total += line.len();
        if self.total > READ_TOTAL {
            return Err(ReplyError::TooLong);
        }
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let (code, last, text) = match line[..end] {
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] => {
                let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
                match rest {
                    // A code with nothing after it: legal to read (RFC 5321 section 4.2).
                    [] => (code, true, rest),
                    [b' ', text @ ..] => (code, true, text),
                    [b'-', text @ ..] => (code, false, text),
                    [..] => return Err(ReplyError::NoCode),
                }
            }
            [..] => return Err(ReplyError::NoCode),
        };
        match self.code {
            None => self.code = Some(code),
            Some(before) if before == code => self.text.extend_from_slice(b"\n"),
            Some(_) => return Err(ReplyError::MixedCodes),
        }
        self.text.extend_from_slice(text);
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
