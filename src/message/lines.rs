//! Gives a body legal line ends while it streams by.
//!
//! Bare LF, bare CR and any run of CR before LF become CRLF (RFC 5321 section 2.3.8, RFC 5322 section 2.3: CR and LF
//! occur only together). Nothing else is changed: what to do about NUL, long lines and 8-bit octets depends on the part
//! they stand in (see `mime`). Mail is lines (RFC 5321 section 4.5.2): a body that claims to be `binary` has lost its
//! own line ends here, because no sender can tell a relay which of them are data.
//!
//! Invariants: the output and the [`BodyStats`] do not depend on how the input was cut; the output is empty or ends in
//! CRLF; every octet is looked at a fixed number of times.

use memchr::memchr2_iter;

/// What had to be done to the line ends of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BodyStats {
    /// Octets of the normalised body.
    pub octets: u64,
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
    /// Whether octets of an unfinished line were written; how many does not matter here.
    line: u64,
    /// CRs that were read and not yet written, because what follows decides what they are.
    pending_cr: u64,
}

impl Default for Normaliser {
    fn default() -> Normaliser {
        Normaliser::new()
    }
}

impl Normaliser {
    /// At the start of a body.
    pub fn new() -> Normaliser {
        Normaliser { stats: BodyStats::default(), line: 0, pending_cr: 0 }
    }

    /// Takes the next octets and appends what they become to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if chunk.is_empty() {
            return;
        }
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
        self.line = 0;
    }
}

#[cfg(test)]
mod tests;
