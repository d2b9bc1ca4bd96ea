//! Decodes uuencode (POSIX `uuencode`, historical algorithm), labelled as `Content-Transfer-Encoding: x-uuencode`.
//!
//! MIME allows no encoding on top of another (RFC 2045 section 6.4), so such a part must be decoded to be sent in seven
//! bits: its `begin` line has the file name, which may be raw.
//!
//! Invariants: the result does not depend on how the input was cut; at most one line of [`MAX_LINE`] octets is held.

use crate::message::line_ends::MAX_LINE;

/// Labels of the encoding; none of them is registered.
const LABELS: &[&str] = &["x-uuencode", "x-uue", "uuencode", "uue"];

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Place {
    #[default]
    Before,
    Inside,
    After,
    /// Not uuencode, or broken.
    Lost,
}

/// Whether a Content-Transfer-Encoding in lower case is uuencode.
pub(super) fn is_label(transfer: &str) -> bool {
    LABELS.contains(&transfer)
}

/// Decodes one file.
#[derive(Debug, Default)]
pub(super) struct Uudecoder {
    place: Place,
    /// The line that is not complete.
    line: Vec<u8>,
    name: Vec<u8>,
}

impl Uudecoder {
    /// Takes the next octets and appends what they mean.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for piece in octets.split_inclusive(|&b| b == b'\n') {
            if self.place == Place::Lost {
                return;
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(line.trim_ascii_end(), out);
            } else if self.line.len() > MAX_LINE {
                self.place = Place::Lost;
            }
        }
    }

    /// Whether all that was taken is one whole file, from `begin` to `end`, and nothing else.
    pub(super) fn is_whole(&self) -> bool {
        match self.place {
            Place::Inside => self.line.trim_ascii_end() == b"end",
            Place::After => self.line.trim_ascii().is_empty(),
            Place::Before | Place::Lost => false,
        }
    }

    /// The file name of the `begin` line, as it came.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    fn take(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.place = match self.place {
            Place::Before if line.is_empty() => Place::Before,
            Place::Before => match begin(line) {
                Some(name) => {
                    self.name = name.to_vec();
                    Place::Inside
                }
                None => Place::Lost,
            },
            Place::Inside if line == b"end" => Place::After,
            Place::Inside if decode(line, out).is_some() => Place::Inside,
            Place::After if line.is_empty() => Place::After,
            Place::Inside | Place::After | Place::Lost => Place::Lost,
        };
    }
}

/// The name in `begin 644 name`.
fn begin(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"begin ")?;
    let mode = rest.iter().take_while(|b| (b'0'..=b'7').contains(b)).count();
    let name = rest[mode..].strip_prefix(b" ")?.trim_ascii();
    ((3..=4).contains(&mode) && !name.is_empty()).then_some(name)
}

/// Decodes a line; blanks at its end may be gone. `None` when it cannot be one.
fn decode(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // A line of no octets is a grave accent, or a blank that is gone.
    let Some((&first, data)) = line.split_first() else { return Some(()) };
    let length = usize::from(value(first)?);
    let groups = length.div_ceil(3);
    // Some encoders add a checksum of one character.
    if data.len() > groups * 4 + 1 {
        return None;
    }
    let values = data.iter().map(|&b| value(b)).collect::<Option<Vec<u8>>>()?;
    let start = out.len();
    for group in 0..groups {
        let at = |place: usize| values.get(group * 4 + place).copied().unwrap_or(0);
        out.extend_from_slice(&[at(0) << 2 | at(1) >> 4, at(1) << 4 | at(2) >> 2, at(2) << 6 | at(3)]);
    }
    out.truncate(start + length);
    Some(())
}

fn value(octet: u8) -> Option<u8> {
    (0x20..=0x60).contains(&octet).then(|| (octet - 0x20) & 0x3f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8], step: usize) -> Option<Vec<u8>> {
        let (mut decoder, mut out) = (Uudecoder::default(), Vec::new());
        text.chunks(step).for_each(|chunk| decoder.push(chunk, &mut out));
        decoder.is_whole().then_some(out)
    }

    #[test]
    fn a_whole_file_is_decoded_and_nothing_else() {
        let long = format!("begin 644 a\r\n{}\r\nend\r\n", "M".repeat(2000));
        for (text, meaning) in [
            (&b"begin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\n"[..], Some(&b"Cat"[..])),
            (b"\r\nbegin 0644 \xb1\xa8.txt\r\n%2&5L;&\\ \r\n\r\nend", Some(b"Hello")),
            (b"begin 644 a\r\n`\r\nend\r\n\r\n", Some(b"")),
            (b"begin 644 a\r\n#0V%T\r\n`\r\n", None),
            (b"begin 644 a\r\n#0V%T~~\r\n`\r\nend\r\n", None),
            (b"begin 644 a\r\n#0V%T0V%T\r\nend\r\n", None),
            (b"see below\r\nbegin 644 a\r\n`\r\nend\r\n", None),
            (b"begin 644 a\r\n`\r\nend\r\nmore\r\n", None),
            (b"begin 9 a\r\n`\r\nend\r\n", None),
            (long.as_bytes(), None),
        ] {
            for step in [1, 3, 4096] {
                assert_eq!(decoded(text, step).as_deref(), meaning, "{}", text.escape_ascii());
            }
        }
    }
}
