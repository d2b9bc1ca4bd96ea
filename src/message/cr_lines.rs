//! Decides whether CR alone ends the lines of a header.
//!
//! A CR inside a header line is no line end: otherwise text in a field could make fields and a body of its own (A-041).
//! But programs of old systems write no LF at all, or none before the body. So a first line with a CR inside is in doubt,
//! until the lines after it decide.
//!
//! Invariant: where the lines that end in LF are fields of a mail, LF ends the lines.

use memchr::memchr;

use crate::message::header::Field;

/// Fields of which every mail has some (RFC 5322 section 3.6, RFC 2045 section 3).
const USUAL: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Sender",
    "Reply-To",
    "Received",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// A header that other lines follow must have at least this many usual fields, and a From, for CR to end its lines.
const WHOLE: usize = 3;

/// What ends the lines of the header.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum LineEnd {
    Cr,
    Lf,
}

/// A first line with a CR inside, and the lines after it that may be fields.
#[derive(Debug)]
pub(super) struct Doubt {
    /// The lines as they came.
    pub(super) octets: Vec<u8>,
    /// Fields that CR divides the first line into.
    fields: usize,
    /// Whether they are a header that could be sent.
    whole: bool,
    /// Whether a blank line, or one that is no field, follows them.
    ended: bool,
    /// Whether lines follow the first.
    followed: bool,
}

impl Doubt {
    /// The doubt about the first line of a header; none when there is no CR inside, or no fields between CRs.
    pub(super) fn about(first: &[u8]) -> Option<Doubt> {
        let text = content(first);
        memchr(b'\r', text)?;
        let (mut fields, mut usual, mut from, mut ended) = (0, 0, false, false);
        let lines = text.split(|&b| b == b'\r').skip_while(|line| line.is_empty() || line.starts_with(b"From "));
        for line in lines {
            match Field::from_line(line) {
                _ if is_fold(line) && fields > 0 => {}
                Some(field) => {
                    fields += 1;
                    usual += usize::from(is_usual(&field));
                    from |= field.is("From");
                }
                None => {
                    ended = true;
                    break;
                }
            }
        }
        let (whole, octets) = (from && usual >= WHOLE, first.to_vec());
        (fields > 1 || (fields == 1 && ended)).then_some(Doubt { octets, fields, whole, ended, followed: false })
    }

    /// Takes the next line, and returns the decision if this line allows one.
    pub(super) fn next(&mut self, line: &[u8]) -> Option<LineEnd> {
        self.octets.extend_from_slice(line);
        self.followed = true;
        let text = content(line);
        let field = Field::from_line(text);
        if !self.whole || field.as_ref().is_some_and(|field| !self.ended || is_usual(field)) {
            return Some(LineEnd::Lf);
        }
        (field.is_none() && !is_fold(text)).then_some(LineEnd::Cr)
    }

    /// The decision at the end of the message, or when too much of it is in doubt.
    pub(super) fn end(&self) -> LineEnd {
        debug_assert!(self.fields > 0);
        if self.followed && !self.whole { LineEnd::Lf } else { LineEnd::Cr }
    }
}

/// The line without its line end.
fn content(line: &[u8]) -> &[u8] {
    let mut text = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(shorter) = text.strip_suffix(b"\r") {
        text = shorter;
    }
    text
}

fn is_fold(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

fn is_usual(field: &Field) -> bool {
    field.is_any(USUAL)
}

/// How long the first line of `octets` is, its line end included.
pub(super) fn line_length(octets: &[u8], end: LineEnd) -> usize {
    let found = match end {
        LineEnd::Lf => memchr(b'\n', octets),
        LineEnd::Cr => memchr::memchr2(b'\r', b'\n', octets),
    };
    let Some(at) = found else { return octets.len() };
    at + if octets[at..].starts_with(b"\r\n") { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Splitter;

    /// Names of the fields, and the body.
    fn split(mail: &str) -> (String, String) {
        let outcome = |step: usize| {
            let (mut splitter, mut body) = (Splitter::new(), Vec::new());
            for chunk in mail.as_bytes().chunks(step) {
                let part = splitter.push(chunk).unwrap();
                body.extend_from_slice(&part.held);
                body.extend_from_slice(part.rest);
            }
            let (header, held) = splitter.finish().unwrap();
            body.extend_from_slice(&held);
            let names: Vec<&str> = header.fields.iter().map(Field::name).collect();
            (names.join(" "), String::from_utf8(body).unwrap())
        };
        let whole = outcome(mail.len());
        for step in 1..6 {
            assert_eq!(outcome(step), whole, "{mail:?} in pieces of {step}");
        }
        whole
    }

    #[test]
    fn cr_ends_lines_where_lf_does_not() {
        let long = "x".repeat(300_000);
        for (mail, names, body) in [
            ("From: a\rTo: b\rSubject: c\r\rbody\rmore\r\n", "From To Subject", "body\rmore\r\n"),
            ("\r\rFrom: a\rTo: b\r d\rSubject: c\r\rbody\rmore", "From To Subject", "body\rmore"),
            ("Subject: c\r\rbody\r\r\n", "Subject", "body\r\r\n"),
            ("From: a\rTo: b\r\n", "From To", ""),
            ("From: a\rTo: b\rDate: c\r\r1\r\n2\n\nFrom: x\n", "From To Date", "1\r\n2\n\nFrom: x\n"),
            ("From: a\rTo: b\rDate: c\r\rStatus: 1\nLevel: 2\n", "From To Date", "Status: 1\nLevel: 2\n"),
            ("From: a\rTo: b\rDate: c\r\n\r\nbody\r\n", "From To Date", "body\r\n"),
            ("From: a\rTo: b\rDate: c\rbody\r\n", "From To Date", "body\r\n"),
            (&format!("From: a\rTo: b\r\r{long}\r"), "From To", &format!("{long}\r")),
        ] {
            assert_eq!(split(mail), (names.to_owned(), body.to_owned()), "{:?}", &mail[..mail.len().min(80)]);
        }
    }

    #[test]
    fn a_041_cr_makes_no_fields_where_lf_ends_lines() {
        for (mail, names, body) in [
            ("Subject: a\rBcc: x\r\revil\r\nFrom: b\r\n\r\nbody\r\n", "Subject From", "body\r\n"),
            ("Subject: a\rFrom: x\rTo: y\r\revil\r\nX-Id: 1\r\nTo: b\r\n\r\nbody\r\n", "Subject X-Id To", "body\r\n"),
            ("Subject: a\rContent-Type: text/html\r\revil\r\n\r\nbody\r\n", "Subject", "body\r\n"),
            ("From: a\rTo: b\rDate: c\r\nX-Id: d\r\n\r\nbody\r\n", "From X-Id", "body\r\n"),
            ("From: a\r\nTo: b\rBcc: x\r\revil\r\n\r\nbody\r\n", "From To", "body\r\n"),
            ("Subject: a\rFrom: x\r\revil\r\n\r\nbody\r\n", "Subject", "body\r\n"),
            ("Subject: a\rb\r\n", "Subject", "b\r\n"),
        ] {
            assert_eq!(split(mail), (names.to_owned(), body.to_owned()), "{mail:?}");
        }
    }
}
