//! Counts the octets of one part while they stream by.
//!
//! `decide` compares the numbers with what the header declares.
//!
//! Invariants: the numbers do not depend on how the octets were cut; at most [`MAX_SAMPLE`] octets are kept, and only of
//! text without a declared charset.

use memchr::{memchr, memchr_iter};

use super::uuencode::Uudecoder;
use crate::message::line_ends::MAX_LINE;

/// How much text is kept for guessing its charset, in octets, from the first 8-bit one on.
const MAX_SAMPLE: usize = 4096;

/// Counts of one part, or of the octets outside all parts.
#[derive(Debug, Default)]
pub(super) struct PartStats {
    /// Octets.
    pub(super) octets: u64,
    /// The longest line, in octets without its CRLF.
    longest: u64,
    /// Octets of 0x80 and above.
    pub(super) eight_bit: u64,
    /// NUL octets.
    pub(super) nuls: u64,
    /// The start of the 8-bit text, when a sample is wanted.
    pub(super) sample: Vec<u8>,
    /// Whether to keep a sample.
    sampling: bool,
    line: u64,
    utf8: Utf8Check,
    /// Uuencoded content is decoded to check that it is legal.
    uuencoded: Option<Uudecoder>,
}

impl PartStats {
    /// `sampling` for text without a declared charset; `uuencoded` for a part that is declared so.
    pub(super) fn new(sampling: bool, uuencoded: bool) -> PartStats {
        PartStats { sampling, uuencoded: uuencoded.then(Uudecoder::default), ..PartStats::default() }
    }

    /// Whether everything so far is one uuencoded file.
    pub(super) fn is_uuencoded(&self) -> bool {
        self.uuencoded.as_ref().is_some_and(Uudecoder::is_whole)
    }

    /// The name of that file, as it came.
    pub(super) fn file_name(&self) -> &[u8] {
        self.uuencoded.as_ref().map_or(&[], Uudecoder::name)
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, octets: &[u8]) {
        if let Some(decoder) = &mut self.uuencoded {
            decoder.push(octets, &mut Vec::new());
        }
        self.octets += octets.len() as u64;
        let mut start = 0;
        for at in memchr_iter(b'\n', octets) {
            // The CR before the LF is the last octet counted.
            self.longest = self.longest.max((self.line + (at - start) as u64).saturating_sub(1));
            self.line = 0;
            start = at + 1;
        }
        self.line += (octets.len() - start) as u64;
        if memchr(0, octets).is_some() {
            self.nuls += memchr_iter(0, octets).count() as u64;
        }
        if !octets.is_ascii() {
            self.eight_bit += octets.iter().filter(|&&b| b >= 0x80).count() as u64;
        }
        self.utf8.push(octets);
        if self.sampling && self.eight_bit > 0 && self.sample.len() < MAX_SAMPLE {
            let first = if self.sample.is_empty() { octets.iter().position(|&b| b >= 0x80).unwrap_or(0) } else { 0 };
            let take = (octets.len() - first).min(MAX_SAMPLE - self.sample.len());
            self.sample.extend_from_slice(&octets[first..first + take]);
        }
    }

    /// The longest line so far, in octets without its CRLF, the one without an end included.
    fn longest(&self) -> u64 {
        self.longest.max(self.line)
    }

    /// Whether the octets may not be sent at all: a line over 998 octets, or NUL.
    pub(super) fn is_illegal(&self) -> bool {
        self.longest() > MAX_LINE as u64 || self.nuls > 0
    }

    /// Whether everything so far is UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.utf8.finish()
    }
}

/// Checks UTF-8 over chunk borders; a character that is cut waits in `tail`.
#[derive(Debug, Default)]
struct Utf8Check {
    bad: bool,
    tail: Vec<u8>,
}

impl Utf8Check {
    fn push(&mut self, chunk: &[u8]) {
        if self.bad {
            return;
        }
        let joined: Vec<u8>;
        let octets = if self.tail.is_empty() {
            chunk
        } else {
            joined = [&self.tail, chunk].concat();
            &joined
        };
        match std::str::from_utf8(octets) {
            Ok(_) => self.tail.clear(),
            Err(error) if error.error_len().is_some() => self.bad = true,
            Err(error) => self.tail = octets[error.valid_up_to()..].to_vec(),
        }
    }

    fn finish(&self) -> bool {
        !self.bad && self.tail.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8], step: usize) -> PartStats {
        let mut stats = PartStats::new(true, false);
        input.chunks(step).for_each(|chunk| stats.push(chunk));
        stats
    }

    #[test]
    fn utf8_is_told_from_gbk_at_every_split() {
        let utf8 = "驿站 relay 𝄞\r\n".as_bytes();
        for step in 1..=utf8.len() {
            assert!(run(utf8, step).is_utf8(), "{step}");
            assert!(!run(&utf8[..utf8.len() - 3], step).is_utf8(), "{step}");
            assert!(!run(b"\xe6\x8a\xa5 ok \xb1\xa8\xb8\xe6\r\n", step).is_utf8(), "{step}");
            assert!(!run(b"\xe6a\r\n", step).is_utf8(), "{step}");
        }
    }

    #[test]
    fn everything_is_counted_at_every_split() {
        let input = b"abc\r\n\0\xff long\r\nx";
        for step in 1..=input.len() {
            let stats = run(input, step);
            let counts = (stats.octets, stats.longest(), stats.eight_bit, stats.nuls);
            assert_eq!(counts, (15, 7, 1, 1), "{step}");
            assert_eq!(stats.sample, b"\xff long\r\nx", "{step}");
        }
    }
}
