//! Encodes the content of one part anew, chunk by chunk.
//!
//! The input has CRLF only (`line_ends`).
//!
//! Invariants: the output does not depend on how the input was cut, has no NUL, no line over 76 octets (998 where lines
//! are only broken), and decodes to the input octet for octet (RFC 2045 sections 6.7 and 6.8). No line end is added,
//! because the one before a boundary belongs to the boundary. At most one line of 998 octets is held.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::plan::Recoding;
use super::uuencode::Uudecoder;
use crate::message::line_ends::MAX_LINE;

/// The longest line of an encoded body (RFC 2045 sections 6.7 and 6.8).
const ENCODED_LINE: usize = 76;
/// Octets that make one full line of base64.
const BASE64_LINE: usize = ENCODED_LINE / 4 * 3;

/// Applies a [`Recoding`] to octets that stream by.
#[derive(Debug, Default)]
pub(super) struct Reencoder {
    recoding: Recoding,
    /// Where nothing can be encoded, octets of 0x80 and above become question marks.
    seven_bit: bool,
    /// Octets that wait for more: a base64 line, a line of text, or a blank that may be the last of its line.
    held: Vec<u8>,
    /// Octets on the output line.
    column: usize,
    /// A line of base64 was written already.
    begun: bool,
    /// The base64 that is being wrapped has had its padding.
    padded: bool,
    /// The line that is to be broken has only NUL so far.
    nul: bool,
    uuencoded: Uudecoder,
}

impl Reencoder {
    /// For one part; `seven_bit` when the server does not take 8-bit octets (RFC 6152).
    pub(super) fn new(recoding: Recoding, seven_bit: bool) -> Reencoder {
        Reencoder { recoding, seven_bit, ..Reencoder::default() }
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.recoding {
            Recoding::None => out.extend_from_slice(chunk),
            Recoding::Base64 => self.base64(chunk, out),
            Recoding::Uudecode => {
                let mut octets = Vec::new();
                self.uuencoded.push(chunk, &mut octets);
                self.base64(&octets, out);
            }
            Recoding::RewrapBase64 => self.wrap_base64(chunk, out),
            Recoding::QuotedPrintable => chunk.iter().for_each(|&b| self.quote(b, false, out)),
            Recoding::RewrapQuotedPrintable => chunk.iter().for_each(|&b| self.quote(b, true, out)),
            Recoding::BreakLines => chunk.iter().for_each(|&b| self.break_line(b, out)),
        }
    }

    /// Ends the part, and writes the octets that were held.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        match self.recoding {
            Recoding::None | Recoding::RewrapBase64 => {}
            Recoding::Base64 | Recoding::Uudecode if held.is_empty() => {}
            Recoding::Base64 | Recoding::Uudecode => self.base64_line(&held, out),
            Recoding::QuotedPrintable | Recoding::RewrapQuotedPrintable => {
                held.iter().for_each(|&b| self.put_quoted(b, out));
            }
            Recoding::BreakLines => {
                out.extend_from_slice(if self.nul { b"?" } else { b"" });
                out.extend_from_slice(&held);
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
            let line = std::mem::take(&mut self.held);
            self.base64_line(&line, out);
        }
        let lines = chunk.chunks_exact(BASE64_LINE);
        self.held.extend_from_slice(lines.remainder());
        lines.for_each(|line| self.base64_line(line, out));
    }

    fn base64_line(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(if self.begun { b"\r\n" } else { b"" });
        self.begun = true;
        let start = out.len();
        out.resize(start + octets.len().div_ceil(3) * 4, 0);
        let written = STANDARD.encode_slice(octets, &mut out[start..]).expect("the room is the length of the encoding");
        debug_assert_eq!(start + written, out.len());
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

    /// Quoted-printable, octet by octet; `keep` keeps `=XX` and soft line ends.
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
                // A blank at the end of a line in old quoted-printable is padding of a transport, so it is dropped.
                self.held.clear();
                if !keep {
                    self.put_quoted(blank, out);
                }
            }
            (Some(blank @ (b' ' | b'\t')), _) => {
                self.held.clear();
                self.put(blank, 1, out);
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
            // The escape that is kept (`=XX`) may not be torn.
            b'=' if keep => self.put(octet, 3, out),
            // A line that this encoding begins may not look like a boundary (RFC 2046 section 5.1.1).
            b'-' if self.column == 0 || self.column >= ENCODED_LINE - 1 => self.put_quoted(octet, out),
            b'!'..=b'<' | b'>'..=b'~' => self.put(octet, 1, out),
            _ => self.put_quoted(octet, out),
        }
    }

    /// Writes one octet where there is room for `octets`.
    fn put(&mut self, octet: u8, octets: usize, out: &mut Vec<u8>) {
        self.make_room(octets, out);
        out.push(octet);
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

    /// Forgets the NUL at the start of the line; if `seen`, a question mark takes its place.
    fn replace_nul(&mut self, seen: bool) {
        if std::mem::take(&mut self.nul) && seen {
            self.held.push(b'?');
        }
    }

    /// Breaks a line over 998 octets: after its last blank if there is one, else between two characters.
    ///
    /// Neither a break nor a dropped NUL may turn text into a boundary, or leave a blank line: no dash is left to begin a
    /// line, and a line of NUL alone becomes a question mark. Before other octets NUL leaves no trace, as the scanner reads
    /// the headers of parts.
    fn break_line(&mut self, octet: u8, out: &mut Vec<u8>) {
        match octet {
            0 if self.held.is_empty() => self.nul = true,
            0 if self.held == b"-" => self.held.push(b'?'),
            0 | b'\r' => {}
            b'\n' => {
                self.replace_nul(true);
                out.extend_from_slice(&self.held);
                out.extend_from_slice(b"\r\n");
                self.held.clear();
            }
            _ => {
                self.replace_nul(octet == b'-');
                if self.held.len() == MAX_LINE {
                    let at = break_point(&self.held);
                    out.extend_from_slice(&self.held[..at]);
                    out.extend_from_slice(b"\r\n");
                    self.held.drain(..at);
                    if *self.held.first().unwrap_or(&octet) == b'-' {
                        self.held.insert(0, b' ');
                    }
                }
                self.held.push(if self.seven_bit && octet >= 0x80 { b'?' } else { octet });
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

#[cfg(test)]
mod tests;
