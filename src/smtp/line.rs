//! Lines of a dialogue: cuts the input at LF, and keeps a peer that never sends one from filling the memory.
//!
//! What it is not: the framing of message data, which has no lines that long and another end ([`super::data`]).
//!
//! Invariants: a line ends at LF and nowhere else, so a bare CR or a NUL stays inside and can be refused; what is
//! returned never exceeds the cap; the pieces in which the input arrives make no difference (RFC 5321 section 4.5.3.1.4).

use bytes::{Buf, BytesMut};

/// Cap of a command line in octets. RFC 5321 asks for 512; extensions add to it.
pub const COMMAND_CAP: usize = 2048;
/// Cap of a line in a log-in dialogue, in octets (RFC 4954 section 4).
pub const AUTH_CAP: usize = 12_288;
/// After so many octets without an LF nobody is talking SMTP any more.
pub const FLOOD: usize = 65_536;

/// What the splitter found at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// No whole line yet.
    Partial,
    /// A line. The LF is gone, and one CR before it.
    Whole {
        /// The octets of the line.
        text: BytesMut,
        /// The line ended in LF without a CR.
        bare_lf: bool,
    },
    /// A line that was longer than the cap has ended; it was thrown away.
    TooLong,
    /// More than [`FLOOD`] octets without an LF: hang up.
    Flood,
}

/// Cuts lines. Holds no octets itself, only how far it has looked.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// Octets at the start of the input without an LF.
    scanned: usize,
    /// Octets of the present line that were thrown away because it is too long.
    dropped: usize,
}

impl LineSplitter {
    /// A splitter at the start of a line.
    pub fn new() -> LineSplitter {
        LineSplitter::default()
    }

    /// Whether the first octet of the input is the first of a line.
    pub fn at_start(&self) -> bool {
        self.dropped == 0
    }

    /// Takes the next line of at most `cap` octets (with its line end) out of `input`.
    pub fn next(&mut self, input: &mut BytesMut, cap: usize) -> Line {
        // The input can be shorter than before when it was cleared at STARTTLS.
        self.scanned = self.scanned.min(input.len());
        match memchr::memchr(b'\n', &input[self.scanned..]) {
            Some(found) => self.whole(input, self.scanned + found, cap),
            None => self.partial(input, cap),
        }
    }

    fn whole(&mut self, input: &mut BytesMut, end: usize, cap: usize) -> Line {
        self.scanned = 0;
        let length = std::mem::take(&mut self.dropped) + end + 1;
        if length > cap {
            input.advance(end + 1);
            return if length > FLOOD { Line::Flood } else { Line::TooLong };
        }
        let mut text = input.split_to(end + 1);
        text.truncate(end);
        let bare_lf = text.last() != Some(&b'\r');
        if !bare_lf {
            text.truncate(end - 1);
        }
        Line::Whole { text, bare_lf }
    }

    fn partial(&mut self, input: &mut BytesMut, cap: usize) -> Line {
        if self.dropped + input.len() > cap {
            self.dropped += input.len();
            input.clear();
        }
        self.scanned = input.len();
        if self.dropped > FLOOD { Line::Flood } else { Line::Partial }
    }

    /// Forgets the present line: used when the input is thrown away at STARTTLS (RFC 3207 section 4.2).
    pub fn reset(&mut self) {
        *self = LineSplitter::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_065_a_long_line_is_dropped_and_the_next_one_is_whole() {
        let mut lines = LineSplitter::new();
        let mut input = BytesMut::new();
        for _ in 0..30 {
            input.extend_from_slice(&[b'x'; 100]);
            assert_eq!(lines.next(&mut input, COMMAND_CAP), Line::Partial);
            assert!(input.len() <= COMMAND_CAP);
        }
        input.extend_from_slice(b"\nNOOP\r\n");
        assert_eq!(lines.next(&mut input, COMMAND_CAP), Line::TooLong);
        assert_eq!(lines.next(&mut input, COMMAND_CAP), Line::Whole { text: BytesMut::from("NOOP"), bare_lf: false });
    }

    #[test]
    fn a_065_a_flood_is_told_however_it_arrives() {
        for piece in [1000, FLOOD + 1] {
            let (mut lines, mut input, mut sent) = (LineSplitter::new(), BytesMut::new(), 0);
            let seen = loop {
                input.extend_from_slice(&vec![b'x'; piece]);
                sent += piece;
                match lines.next(&mut input, COMMAND_CAP) {
                    Line::Partial => assert!(sent <= FLOOD),
                    other => break other,
                }
            };
            assert_eq!(seen, Line::Flood);
        }
    }

    #[test]
    fn cr_and_nul_stay_inside() {
        let mut input = BytesMut::from("a\rb\0c\n\r\r\n");
        let mut lines = LineSplitter::new();
        let whole = |text: &str, bare_lf| Line::Whole { text: BytesMut::from(text), bare_lf };
        assert_eq!(lines.next(&mut input, 99), whole("a\rb\0c", true));
        assert_eq!(lines.next(&mut input, 99), whole("\r", false));
        assert_eq!(lines.next(&mut input, 99), Line::Partial);
    }
}
