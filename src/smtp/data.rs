//! Message data on the wire (RFC 5321 section 4.5.2): two machines that mirror each other.
//!
//! [`Unstuff`] finds the end of the data and takes the added dots away; [`Stuff`] adds them and writes the end. What
//! they are not: a repair of the message. [`Unstuff`] hands line ends on as they came.
//!
//! Invariants:
//! * The data end at CRLF `.` CRLF and nowhere else, in whatever pieces they arrive. Everything that resembles it (LF
//!   dot LF, dot CR CR LF, a NUL before the dot ...) is text. Otherwise a body that someone else wrote could smuggle in
//!   a second message. The start of the data counts as the CRLF in front.
//! * A dot is taken away only after a real CRLF, except where the sender ends its lines with LF, which is told by its
//!   first line: then after LF. So a client that writes LF in the body and does not stuff there keeps its dots.
//! * With [`Unstuff::new`]`(true)`, and only if the first line ended in a bare LF, LF `.` LF ends the data too.
//! * What [`Stuff`] writes has CR and LF only as CRLF, and one end, at the end. Legal text comes through both machines
//!   unchanged.
//!
//! ```text
//!  Unstuff                    other               '.'                CR             LF
//!            +---------+ <-------------- Start ----------> Dot ---------> DotCr ---------> End
//!            |  Text   | <-------------------------------- | other (dot      | other (dot is dropped,
//!            +---------+ ----- CR LF --> Start               is dropped)       CR is text)
//! ```

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2, memmem};

/// What [`Unstuff::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The input is used up.
    More,
    /// Octets of the message; never empty.
    Text(Bytes),
    /// The end of the data was taken out of the input. What follows is not data.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Where a dot counts; the flag says whether a CRLF is in front (else a bare LF).
    Start { crlf: bool },
    /// A dot at the start was taken, and means nothing yet.
    Dot { crlf: bool },
    /// A dot and a CR were taken.
    DotCr { crlf: bool },
    /// Inside a line; the flag says whether the octet before was a CR.
    Text { cr: bool },
}

/// Takes message data apart as they arrive.
#[derive(Debug)]
pub struct Unstuff {
    at: At,
    /// How the first line ended: `None` until it did, then whether it was a bare LF.
    lf_lines: Option<bool>,
    lf_end: bool,
    ended_bare: bool,
}

impl Unstuff {
    /// A machine at the start of the data. `lf_end` allows LF `.` LF as the end for a sender whose first line ended in
    /// a bare LF. That is unsafe when a body can hold a stranger's text, so it is for listed old devices only.
    pub fn new(lf_end: bool) -> Unstuff {
        Unstuff { at: At::Start { crlf: true }, lf_lines: None, lf_end, ended_bare: false }
    }

    /// The same, after a DATA command that itself ended in a bare LF: an empty message may then be dot LF. For any other
    /// it is still the first line that tells, since some clients write commands and messages in different ways.
    pub fn after_bare_lf(lf_end: bool) -> Unstuff {
        Unstuff { at: At::Start { crlf: !lf_end }, lf_lines: None, lf_end, ended_bare: false }
    }

    /// Whether the end was LF `.` LF.
    pub fn ended_bare(&self) -> bool {
        self.ended_bare
    }

    /// Whether the first line ended in a bare LF.
    pub fn has_lf_lines(&self) -> bool {
        self.lf_lines == Some(true)
    }

    /// Takes the next piece out of `input`. Text is a slice of the input, not a copy.
    pub fn next(&mut self, input: &mut BytesMut) -> Piece {
        while let Some(&octet) = input.first() {
            match (self.at, octet) {
                (At::Start { crlf }, b'.') => {
                    input.advance(1);
                    self.at = At::Dot { crlf };
                }
                (At::Start { .. }, _) => self.at = At::Text { cr: false },
                (At::Dot { crlf }, b'\r') => {
                    input.advance(1);
                    self.at = At::DotCr { crlf };
                }
                // A bare LF in front counts in LF lines only, and where DATA itself ended in one.
                (At::Dot { crlf: false }, b'\n') if self.lf_end => {
                    input.advance(1);
                    self.ended_bare = true;
                    return Piece::End;
                }
                (At::Dot { .. }, _) => self.at = At::Text { cr: false },
                (At::DotCr { crlf: true }, b'\n') => {
                    input.advance(1);
                    return Piece::End;
                }
                (At::DotCr { .. }, _) => {
                    self.at = At::Text { cr: true };
                    return Piece::Text(Bytes::from_static(b"\r"));
                }
                (At::Text { cr }, _) => return Piece::Text(self.text(input, cr)),
            }
        }
        Piece::More
    }

    /// Takes text up to the next place where a dot counts, or all of it. `input` is not empty.
    fn text(&mut self, input: &mut BytesMut, cr_before: bool) -> Bytes {
        if self.lf_lines.is_none()
            && let Some(lf) = memchr(b'\n', input)
        {
            self.lf_lines = Some(!follows_cr(input, lf, cr_before));
        }
        let lf_lines = self.has_lf_lines();
        let counts = memmem::find_iter(input, b"\n.")
            .map(|lf| (lf, follows_cr(input, lf, cr_before)))
            .find(|&(_, crlf)| crlf || lf_lines);
        if let Some((lf, crlf)) = counts {
            self.at = At::Start { crlf };
            return input.split_to(lf + 1).freeze();
        }
        // No dot that counts in here: only the last octets matter to what comes next.
        let last = input.len() - 1;
        self.at = match input[last] {
            b'\r' => At::Text { cr: true },
            b'\n' => match follows_cr(input, last, cr_before) {
                true => At::Start { crlf: true },
                false if lf_lines => At::Start { crlf: false },
                false => At::Text { cr: false },
            },
            _ => At::Text { cr: false },
        };
        input.split().freeze()
    }
}

fn follows_cr(input: &[u8], at: usize, cr_before: bool) -> bool {
    if at == 0 { cr_before } else { input[at - 1] == b'\r' }
}

/// Makes message data fit for the wire as they come.
#[derive(Debug)]
pub struct Stuff {
    line_start: bool,
    cr: bool,
}

impl Default for Stuff {
    fn default() -> Stuff {
        Stuff::new()
    }
}

impl Stuff {
    /// A machine at the start of the data.
    pub fn new() -> Stuff {
        Stuff { line_start: true, cr: false }
    }

    /// Appends `text` to `out` with dots doubled at line starts. A bare LF, a bare CR and a run of CR become CRLF: the
    /// message should have none, and this is the last place where a stray one could be read as an end.
    pub fn push(&mut self, mut text: &[u8], out: &mut BytesMut) {
        out.reserve(text.len() + 2);
        while let Some(&first) = text.first() {
            if self.cr && first != b'\r' {
                out.extend_from_slice(b"\r\n");
                (self.cr, self.line_start) = (false, true);
                if first == b'\n' {
                    text = &text[1..];
                    continue;
                }
            }
            let end = memchr2(b'\r', b'\n', text).unwrap_or(text.len());
            if end > 0 {
                if self.line_start && first == b'.' {
                    out.extend_from_slice(b".");
                }
                out.extend_from_slice(&text[..end]);
                self.line_start = false;
            }
            match text.get(end) {
                Some(b'\r') => self.cr = true,
                Some(_) => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                }
                None => return,
            }
            text = &text[end + 1..];
        }
    }

    /// Ends the last line if it is open, and appends the end of the data. Adds no blank line.
    pub fn finish(self, out: &mut BytesMut) {
        out.extend_from_slice(if self.line_start && !self.cr { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

#[cfg(test)]
mod tests;
