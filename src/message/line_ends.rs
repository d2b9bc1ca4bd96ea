//! Gives a body legal line ends while it streams by.
//!
//! Bare LF, bare CR and any run of CR before LF become CRLF (RFC 5321 section 2.3.8, RFC 5322 section 2.3: CR and LF
//! occur only together). All other octets stay; the treatment of NUL, long lines and 8-bit octets depends on the part they
//! are in (`mime`). Mail is lines (RFC 5321 section 4.5.2): a body that is declared `binary` loses its own line ends here,
//! because no sender can tell a relay which of them are data.
//!
//! Invariants: the output and the [`BodyStats`] do not depend on how the input was cut; the output is empty or ends in
//! CRLF; each octet is read a fixed number of times.

use memchr::memchr2_iter;

/// The longest legal line of a message, without its CRLF, in octets (RFC 5322 section 2.1.1).
pub const MAX_LINE: usize = 998;

/// The changes to the line ends of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BodyStats {
    /// Octets of the normalised body.
    pub octets: u64,
    /// LF without CR, now CRLF.
    pub bare_lf: u64,
    /// CR without LF, now CRLF.
    pub bare_cr: u64,
    /// Lines that ended in more than one CR before the LF, now CRLF.
    pub extra_cr: u64,
    /// A line end was added to the last line.
    pub end_added: bool,
}

impl BodyStats {
    /// Whether any line end was not a plain CRLF. A missing last one does not count.
    pub fn line_ends_changed(&self) -> bool {
        self.bare_lf + self.bare_cr + self.extra_cr > 0
    }
}

/// Normalises line ends, chunk by chunk.
#[derive(Debug, Default)]
pub struct Normaliser {
    stats: BodyStats,
    /// Whether the line that has not ended has octets.
    open: bool,
    /// CRs that were read and not yet written, because what follows decides what they are.
    pending_cr: u64,
}

impl Normaliser {
    /// At the start of a body.
    pub fn new() -> Normaliser {
        Normaliser::default()
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
            if at > line_start {
                self.end_lines_at_cr(out);
            }
            if chunk[at] == b'\r' {
                if self.pending_cr == 0 {
                    if chunk.get(at + 1) == Some(&b'\n') {
                        continue;
                    }
                    out.extend_from_slice(&chunk[done..at]);
                }
                self.pending_cr += 1;
                done = at + 1;
            } else if self.pending_cr > 0 || at == line_start || chunk[at - 1] != b'\r' {
                out.extend_from_slice(&chunk[done..at]);
                self.end_dirty_line(out);
                done = at + 1;
            }
            self.open = false;
            line_start = at + 1;
        }
        if line_start < chunk.len() {
            self.end_lines_at_cr(out);
            self.open = true;
        }
        out.extend_from_slice(&chunk[done..]);
        self.stats.octets += (out.len() - before) as u64;
    }

    /// Ends the body: adds a last CRLF when the last line has none, and returns the changes.
    pub fn finish(mut self, out: &mut Vec<u8>) -> BodyStats {
        let before = out.len();
        self.end_lines_at_cr(out);
        if self.open {
            out.extend_from_slice(b"\r\n");
            self.stats.end_added = true;
        }
        self.stats.octets += (out.len() - before) as u64;
        self.stats
    }

    /// An LF that is not the second half of a clean CRLF within one chunk.
    fn end_dirty_line(&mut self, out: &mut Vec<u8>) {
        match std::mem::take(&mut self.pending_cr) {
            0 => self.stats.bare_lf += 1,
            // The CR was the last octet of a chunk: the line was clean after all.
            1 => {}
            _ => self.stats.extra_cr += 1,
        }
        out.extend_from_slice(b"\r\n");
    }

    /// No LF follows the CRs that were held back: each one is a line end.
    fn end_lines_at_cr(&mut self, out: &mut Vec<u8>) {
        for _ in 0..std::mem::take(&mut self.pending_cr) {
            out.extend_from_slice(b"\r\n");
            self.stats.bare_cr += 1;
        }
    }
}

#[cfg(test)]
mod tests;
