//! The second pass: encodes a stored body anew, chunk by chunk.
//!
//! Takes a body that `lines::Normaliser` has been through (CRLF only). What it is not: the judge of whether that is
//! needed (`remedy`).
//!
//! Invariants: the output does not depend on how the input was cut, ends in CRLF, has no NUL, no line over 76 octets
//! (998 where lines are only broken), and decodes to the input (RFC 2045 sections 6.7 and 6.8). At most one line of 998
//! octets is held.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::message::MAX_LINE;
use crate::message::remedy::Remedy;

/// The longest line of an encoded body (RFC 2045 sections 6.7 and 6.8).
const ENCODED_LINE: usize = 76;
/// Octets that make one full line of base64.
const BASE64_LINE: usize = ENCODED_LINE / 4 * 3;

/// Applies a [`Remedy`] to a body that streams by.
#[derive(Debug)]
pub struct Reencoder {
    remedy: Remedy,
    /// What waits for its end: a base64 line, or a line of text, or a blank that may be the last of its line.
    held: Vec<u8>,
    /// Octets on the output line.
    column: usize,
    /// The base64 that is being wrapped has had its padding.
    padded: bool,
}

impl Reencoder {
    /// For one body.
    pub fn new(remedy: Remedy) -> Reencoder {
        Reencoder { remedy, held: Vec::new(), column: 0, padded: false }
    }

    /// Takes the next octets of the body.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.remedy {
            Remedy::None => out.extend_from_slice(chunk),
            Remedy::Base64 => self.base64(chunk, out),
            Remedy::RewrapBase64 => self.wrap_base64(chunk, out),
            Remedy::QuotedPrintable => chunk.iter().for_each(|&b| self.quote(b, false, out)),
            Remedy::RewrapQuotedPrintable => chunk.iter().for_each(|&b| self.quote(b, true, out)),
            Remedy::BreakLines => chunk.iter().for_each(|&b| self.break_line(b, out)),
        }
    }

    /// Ends the body.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        match self.remedy {
            Remedy::None => {}
            Remedy::Base64 => {
                if !self.held.is_empty() {
                    push_base64_line(&self.held, out);
                }
            }
            Remedy::RewrapBase64 => {
                if self.column > 0 {
                    out.extend_from_slice(b"\r\n");
                }
            }
            Remedy::QuotedPrintable | Remedy::RewrapQuotedPrintable => {
                for b in std::mem::take(&mut self.held) {
                    self.put_quoted(b, out);
                }
                if self.column > 0 {
                    out.extend_from_slice(b"\r\n");
                }
            }
            Remedy::BreakLines => {
                out.extend_from_slice(&self.held);
                if !self.held.is_empty() {
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    fn base64(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            let take = chunk.len().min(BASE64_LINE - self.held.len());
            self.held.extend_from_slice(&chunk[..take]);
            chunk = &chunk[take..];
            if self.held.len() < BASE64_LINE {
                return;
            }
            push_base64_line(&self.held, out);
            self.held.clear();
        }
        let lines = chunk.chunks_exact(BASE64_LINE);
        self.held.extend_from_slice(lines.remainder());
        lines.for_each(|line| push_base64_line(line, out));
    }

    /// Wraps base64 that is there already. Octets outside the alphabet mean nothing (RFC 2045 section 6.8) and go; after
    /// padding a new line begins, because what follows is a new run of base64.
    fn wrap_base64(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for &octet in chunk {
            let padding = octet == b'=';
            if !padding && !octet.is_ascii_alphanumeric() && octet != b'+' && octet != b'/' {
                continue;
            }
            if self.column == ENCODED_LINE || (self.padded && !padding) {
                out.extend_from_slice(b"\r\n");
                self.column = 0;
            }
            self.padded = padding;
            out.push(octet);
            self.column += 1;
        }
    }

    /// Quoted-printable, octet by octet; `keep` leaves `=XX` and soft line ends as they stand.
    ///
    /// A CR waits for its LF and a blank for what follows: a blank at the end of a line must be quoted.
    fn quote(&mut self, octet: u8, keep: bool, out: &mut Vec<u8>) {
        match (self.held.first().copied(), octet) {
            (Some(b'\r'), b'\n') => {
                self.held.clear();
                out.extend_from_slice(b"\r\n");
                self.column = 0;
                return;
            }
            (Some(blank @ (b' ' | b'\t')), b'\r') => {
                // A blank at the end of a line in old quoted-printable is padding of a transport: it goes.
                self.held.clear();
                if !keep {
                    self.put_quoted(blank, out);
                }
            }
            (Some(blank @ (b' ' | b'\t')), _) => {
                self.held.clear();
                self.put_plain(blank, out);
            }
            // Cannot be in a normalised body; quoted, so that nothing is lost.
            (Some(other), _) => {
                self.held.clear();
                self.put_quoted(other, out);
            }
            (None, _) => {}
        }
        match octet {
            b'\r' | b' ' | b'\t' => self.held.push(octet),
            b'=' if keep => self.put_escape_start(out),
            b'!'..=b'<' | b'>'..=b'~' => self.put_plain(octet, out),
            _ => self.put_quoted(octet, out),
        }
    }

    fn put_plain(&mut self, octet: u8, out: &mut Vec<u8>) {
        // An escape that was kept (`=XX`) may not be torn: its `=` made sure of the room.
        self.make_room(1, out);
        out.push(octet);
        self.column += 1;
    }

    fn put_escape_start(&mut self, out: &mut Vec<u8>) {
        self.make_room(3, out);
        out.push(b'=');
        self.column += 1;
    }

    fn put_quoted(&mut self, octet: u8, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        self.make_room(3, out);
        out.extend_from_slice(&[b'=', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        self.column += 3;
    }

    /// Room for `octets` and for the `=` of a soft line end after them.
    fn make_room(&mut self, octets: usize, out: &mut Vec<u8>) {
        if self.column + octets > ENCODED_LINE - 1 {
            out.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
    }

    /// Breaks a line over 998 octets: after its last blank if there is one, else between two characters.
    fn break_line(&mut self, octet: u8, out: &mut Vec<u8>) {
        match octet {
            0 => {}
            b'\r' => {}
            b'\n' => {
                out.extend_from_slice(&self.held);
                out.extend_from_slice(b"\r\n");
                self.held.clear();
            }
            _ => {
                if self.held.len() == MAX_LINE {
                    let at = break_point(&self.held);
                    out.extend_from_slice(&self.held[..at]);
                    out.extend_from_slice(b"\r\n");
                    self.held.drain(..at);
                }
                self.held.push(octet);
            }
        }
    }
}

/// Where a full line is cut. Base64 has no blanks: 996 is a multiple of four, so its groups stay whole.
fn break_point(line: &[u8]) -> usize {
    if let Some(blank) = line.iter().rposition(|&b| b == b' ' || b == b'\t') {
        // A line that is all blanks but for its end must still get shorter by a good piece.
        if blank >= line.len() / 2 {
            return blank + 1;
        }
    }
    let hard = MAX_LINE / 4 * 4;
    // Not inside a UTF-8 character, which has at most three octets after its first.
    (hard - 3..=hard).rev().find(|&at| line[at] & 0xc0 != 0x80).unwrap_or(hard)
}

fn push_base64_line(octets: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + octets.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(octets, &mut out[start..]).expect("the room is the length of the encoding");
    debug_assert_eq!(start + written, out.len());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
