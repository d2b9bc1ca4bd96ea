//! Gives a body legal line ends while it streams by, and notes what else is wrong with it.
//!
//! Bare LF, bare CR and any run of CR before LF become CRLF (RFC 5321 section 2.3.8, RFC 5322 section 2.3: CR and LF
//! occur only together). Nothing else is changed: NUL, long lines and 8-bit octets are only counted, because what to do
//! about them depends on the header (see `remedy`).
//!
//! Invariants: the output and the [`BodyStats`] do not depend on how the input was cut; the output is empty or ends in
//! CRLF; every octet is looked at a fixed number of times.

use memchr::{memchr_iter, memchr2_iter};

/// What a body is like after its line ends were put right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BodyStats {
    /// Octets of the normalised body.
    pub octets: u64,
    /// Lines of the normalised body.
    pub lines: u64,
    /// The longest line, in octets without its CRLF.
    pub longest_line: u64,
    /// Octets of 0x80 and above.
    pub eight_bit: u64,
    /// Whether the whole body is valid UTF-8 (also true for plain ASCII).
    pub utf8: bool,
    /// NUL octets; they are still in the body.
    pub nuls: u64,
    /// LF that stood without CR, now CRLF.
    pub bare_lf: u64,
    /// CR that stood without LF, now CRLF.
    pub bare_cr: u64,
    /// Lines that ended in more than one CR before the LF, now CRLF.
    pub extra_cr: u64,
    /// The last line had no line end and got one.
    pub end_added: bool,
}

impl BodyStats {
    /// Whether any line end was not a plain CRLF. A missing last one does not count: nobody can tell it was missing.
    pub fn line_ends_changed(&self) -> bool {
        self.bare_lf + self.bare_cr + self.extra_cr > 0
    }
}

/// Normalises line ends, chunk by chunk.
#[derive(Debug)]
pub struct Normaliser {
    stats: BodyStats,
    /// Octets of the line that is being written.
    line: u64,
    /// CRs that were read and not yet written, because what follows decides what they are.
    pending_cr: u64,
    utf8: Utf8Check,
}

impl Default for Normaliser {
    fn default() -> Normaliser {
        Normaliser::new()
    }
}

impl Normaliser {
    /// At the start of a body.
    pub fn new() -> Normaliser {
        let stats = BodyStats { utf8: true, ..BodyStats::default() };
        Normaliser { stats, line: 0, pending_cr: 0, utf8: Utf8Check::default() }
    }

    /// Takes the next octets and appends what they become to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if chunk.is_empty() {
            return;
        }
        self.count_octets(chunk);
        out.reserve(chunk.len() + 2);
        let before = out.len();
        // `done` is how far the chunk is dealt with, `line_start` where the current line begins in it. Clean lines are
        // not copied one by one: `done` stays behind until something has to change.
        let (mut done, mut line_start) = (0, 0);
        for at in memchr2_iter(b'\r', b'\n', chunk) {
            if self.pending_cr > 0 && at > line_start {
                self.settle_cr(out);
            }
            if chunk[at] == b'\r' {
                if self.pending_cr == 0 {
                    if chunk.get(at + 1) == Some(&b'\n') {
                        continue;
                    }
                    self.line += (at - line_start) as u64;
                    out.extend_from_slice(&chunk[done..at]);
                }
                self.pending_cr += 1;
                done = at + 1;
                line_start = at + 1;
                continue;
            }
            let clean = self.pending_cr == 0 && at > line_start && chunk[at - 1] == b'\r';
            if clean {
                self.line += (at - 1 - line_start) as u64;
                self.end_line();
            } else {
                self.end_dirty_line(&chunk[done..at], (at - line_start) as u64, out);
                done = at + 1;
            }
            line_start = at + 1;
        }
        if line_start < chunk.len() {
            if self.pending_cr > 0 {
                self.settle_cr(out);
            }
            self.line += (chunk.len() - line_start) as u64;
        }
        out.extend_from_slice(&chunk[done..]);
        self.stats.octets += (out.len() - before) as u64;
    }

    /// Ends the body: adds a last CRLF when the last line has none, and gives what was seen.
    pub fn finish(mut self, out: &mut Vec<u8>) -> BodyStats {
        let before = out.len();
        if self.pending_cr > 0 {
            self.settle_cr(out);
        }
        if self.line > 0 {
            out.extend_from_slice(b"\r\n");
            self.end_line();
            self.stats.end_added = true;
        }
        self.stats.octets += (out.len() - before) as u64;
        self.stats.utf8 = self.utf8.finish();
        self.stats
    }

    /// An LF that is not the second half of a clean CRLF: `text` is what stands before it and is not yet written.
    fn end_dirty_line(&mut self, text: &[u8], length: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(text);
        match self.pending_cr {
            0 => self.stats.bare_lf += 1,
            // The CR was the last octet of a chunk: the line was clean after all.
            1 => {}
            _ => self.stats.extra_cr += 1,
        }
        self.pending_cr = 0;
        self.line += length;
        out.extend_from_slice(b"\r\n");
        self.end_line();
    }

    /// The CRs that were held back did not end in LF: each one is a line end.
    fn settle_cr(&mut self, out: &mut Vec<u8>) {
        for _ in 0..std::mem::take(&mut self.pending_cr) {
            out.extend_from_slice(b"\r\n");
            self.stats.bare_cr += 1;
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.stats.lines += 1;
        self.stats.longest_line = self.stats.longest_line.max(self.line);
        self.line = 0;
    }

    fn count_octets(&mut self, chunk: &[u8]) {
        self.stats.nuls += memchr_iter(0, chunk).count() as u64;
        if !chunk.is_ascii() {
            self.stats.eight_bit += chunk.iter().filter(|&&b| b >= 0x80).count() as u64;
        }
        self.utf8.push(chunk);
    }
}

/// Checks UTF-8 over chunk borders; a character that is cut waits in `tail`.
#[derive(Debug, Default)]
struct Utf8Check {
    bad: bool,
    tail: [u8; 4],
    held: usize,
}

impl Utf8Check {
    fn push(&mut self, mut chunk: &[u8]) {
        if self.bad {
            return;
        }
        while self.held > 0 && !chunk.is_empty() {
            self.tail[self.held] = chunk[0];
            self.held += 1;
            chunk = &chunk[1..];
            match std::str::from_utf8(&self.tail[..self.held]) {
                Ok(_) => self.held = 0,
                Err(error) if error.error_len().is_none() && self.held < 4 => {}
                Err(_) => {
                    self.bad = true;
                    return;
                }
            }
        }
        if let Err(error) = std::str::from_utf8(chunk) {
            if error.error_len().is_some() {
                self.bad = true;
                return;
            }
            let tail = &chunk[error.valid_up_to()..];
            self.tail[..tail.len()].copy_from_slice(tail);
            self.held = tail.len();
        }
    }

    fn finish(&self) -> bool {
        !self.bad && self.held == 0
    }
}

#[cfg(test)]
mod tests;
