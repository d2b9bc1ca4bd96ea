//! The last lines of a dialogue, kept for the moment when something goes wrong (RFC 5321 has no word for it; every
//! support desk does).
//!
//! What it is not: a log. Nothing is written anywhere until somebody asks.
//!
//! Invariants: bounded in lines and in octets per line; printable ASCII only; a secret never gets in, because the
//! machine that writes it into the dialogue records `[redacted]` in its place, and one that the server repeats is taken
//! out of its line.

use std::collections::VecDeque;
use std::fmt;

use crate::secret::redact::redact_octets;

use super::command::printable;

/// Longest line that is kept, in characters.
const LINE_CAP: usize = 512;

/// The end of a dialogue. `C:` marks what the client said, `S:` the server.
#[derive(Clone, Debug)]
pub struct Transcript {
    lines: VecDeque<String>,
    keep: usize,
    lost: u64,
}

impl Transcript {
    /// Keeps the last `keep` lines.
    pub fn new(keep: usize) -> Transcript {
        Transcript { lines: VecDeque::new(), keep, lost: 0 }
    }

    /// The client said `line`. The caller has taken secrets out.
    pub fn client(&mut self, line: &[u8]) {
        self.push("C: ", line);
    }

    /// The server said `line`.
    pub fn server(&mut self, line: &[u8]) {
        self.push("S: ", &redact_octets(line));
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    fn push(&mut self, who: &str, line: &[u8]) {
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
            self.lost += 1;
        }
        if self.keep > 0 {
            self.lines.push_back(format!("{who}{}", printable(line, LINE_CAP)));
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lost > 0 {
            writeln!(f, "({} earlier lines)", self.lost)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_printable() {
        let mut transcript = Transcript::new(2);
        transcript.client(b"EHLO x");
        transcript.server("250 \u{1b}[2J好".as_bytes());
        transcript.client(&[b'x'; 2000]);
        let text = transcript.to_string();
        assert!(text.starts_with("(1 earlier lines)\nS: 250 \\x1b[2J\\xe5\\xa5\\xbd\nC: xxx"), "{text}");
        assert!(text.lines().all(|line| line.len() <= LINE_CAP + 3));
    }
}
