//! The header block as a list of fields that keep the octets they came with.
//!
//! The modules beside this one read the values: mailboxes, dates, charsets.
//!
//! Invariants: the name of a [`Field`] is printable ASCII without a colon (RFC 5322 section 2.2). A field holds no NUL, and
//! CR and LF only as a CRLF before a blank (a fold, section 2.2.3). A field that no repair changes is rendered octet for
//! octet as it came.

use std::borrow::Cow;

use memchr::memchr;

/// One header field: name, colon and value, folds included, without the CRLF that ends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    raw: Vec<u8>,
    name_len: usize,
}

impl Field {
    /// Builds a field. `value` may hold folds (CRLF and a blank); any other CR, LF or NUL becomes a blank.
    ///
    /// Octets that are illegal in a name are dropped.
    pub fn new(name: &str, value: impl AsRef<[u8]>) -> Field {
        let bytes = value.as_ref();
        let mut raw: Vec<u8> = name.bytes().filter(|b| b.is_ascii_graphic() && *b != b':').collect();
        let name_len = raw.len();
        raw.reserve(bytes.len() + 2);
        raw.extend_from_slice(b": ");
        raw.extend(bytes.iter().enumerate().map(|(at, &octet)| match octet {
            b'\r' if is_fold(&bytes[at..]) => octet,
            b'\n' if at > 0 && is_fold(&bytes[at - 1..]) => octet,
            octet => clean_octet(octet),
        }));
        Field { raw, name_len }
    }

    /// Reads the first line of a field; `None` when the line is not `name:` (blanks before the colon are dropped).
    ///
    /// RFC 5322 section 4.5 allows the blanks in obsolete mail; a blank *inside* the name makes it no field at all,
    /// because parsers downstream disagree about `Fr om:`.
    pub(super) fn from_line(line: &[u8]) -> Option<Field> {
        let (name_len, colon) = name_end(line)?;
        let mut raw = Vec::with_capacity(line.len());
        raw.extend_from_slice(&line[..name_len]);
        raw.extend(line[colon..].iter().map(|&b| clean_octet(b)));
        Some(Field { raw, name_len })
    }

    /// Appends a folded line, blank first. Lines of blanks alone are dropped (RFC 5322 section 3.2.2).
    pub(super) fn push_folded(&mut self, line: &[u8]) {
        self.raw.extend_from_slice(b"\r\n");
        self.raw.extend(line.iter().map(|&b| clean_octet(b)));
    }

    /// The name as it was written.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.raw[..self.name_len]).expect("a field name is made of ASCII")
    }

    /// Whether this is the field `name`, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.raw[..self.name_len].eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether this is one of these fields.
    pub(super) fn is_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    /// The value with its folds, without the blanks at both ends.
    pub fn value(&self) -> &[u8] {
        let value = &self.raw[self.name_len + 1..];
        // Not `trim_ascii`: a form feed is no blank (RFC 5322 section 3.2.2), and repair must see it.
        let is_text = |b: &u8| !b" \t\r\n".contains(b);
        match (value.iter().position(is_text), value.iter().rposition(is_text)) {
            (Some(first), Some(last)) => &value[first..=last],
            _ => &[],
        }
    }

    /// The value on one line: the CRLF of every fold is gone, the blank after it stays (RFC 5322 section 2.2.3).
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.value())
    }

    /// The whole field without the CRLF at its end.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The length of the longest line, in octets without CRLF.
    pub fn longest_line(&self) -> usize {
        longest_line(&self.raw)
    }
}

/// The faults around the header block, which the splitter corrects before there are fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Framing {
    /// The first line was an mbox separator, `From someone Mon ...`; it was dropped.
    pub mbox_line: bool,
    /// Lines ended in a bare LF or in more than one CR, or a bare CR was inside a line.
    pub bare_line_ends: bool,
    /// NUL octets were in the header; they were dropped.
    pub nul: bool,
    /// The blank line between header and body was missing.
    pub no_separator: bool,
    /// Blank lines were before the header, or lines of blanks in it; they were dropped.
    pub blank_lines: bool,
    /// A name had blanks before its colon; they were dropped.
    pub name_blanks: bool,
    /// There was no header at all: everything is body.
    pub no_header: bool,
}

/// The header block: fields in the order they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The fields, first line first.
    pub fields: Vec<Field>,
    /// The faults around them.
    pub framing: Framing,
}

impl Header {
    /// Reads a header block that was stored or built before. Lines that belong to no field are left out.
    pub fn parse(head: &[u8]) -> Header {
        let mut header = Header::default();
        // Empty are the blank line and the slice after the last CRLF.
        for line in lines(head).filter(|line| !line.is_empty()) {
            header.push_line(line);
        }
        header
    }

    /// Adds one line without its line end; `false` when it is neither a field nor the continuation of one.
    pub(super) fn push_line(&mut self, line: &[u8]) -> bool {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let Some(last) = self.fields.last_mut() else { return false };
            if line.iter().all(|&b| b == 0 || b.is_ascii_whitespace()) {
                self.framing.blank_lines = true;
            } else {
                last.push_folded(line);
            }
            return true;
        }
        match Field::from_line(line) {
            Some(field) => {
                self.framing.name_blanks |= line.get(field.name_len) != Some(&b':');
                self.fields.push(field);
            }
            None => return false,
        }
        true
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// The first field of that name with a value: the one that stays when there are several.
    pub fn first_with_value(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(name) && !field.value().is_empty())
    }

    /// The first field of that name on one line, as text; octets that are not UTF-8 are replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned())
    }

    /// How many fields have that name.
    pub fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|field| field.is(name)).count()
    }

    /// Replaces the first field of the same name and removes the later ones; without one, appends `field`.
    pub fn set(&mut self, field: Field) {
        let Some(at) = self.fields.iter().position(|old| old.is(field.name())) else { return self.fields.push(field) };
        let later = self.fields.split_off(at + 1);
        self.fields.extend(later.into_iter().filter(|old| !old.is(field.name())));
        self.fields[at] = field;
    }

    /// Removes every field of that name, and returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|field| !field.is(name));
        self.fields.len() != before
    }

    /// The block as octets: every field with its CRLF, without the blank line.
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.fields.iter().map(|f| f.raw.len() + 2).sum());
        for field in &self.fields {
            out.extend_from_slice(&field.raw);
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// The value on one line: without the CRLF of each fold (RFC 5322 section 2.2.3).
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|&b| b != b'\r' && b != b'\n').collect()
}

/// The lines of a block, without their line ends.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The length of the longest line of a block, in octets without CRLF.
pub(super) fn longest_line(block: &[u8]) -> usize {
    lines(block).map(<[u8]>::len).max().unwrap_or(0)
}

/// The line without its NUL octets.
pub(super) fn without_nul(line: &[u8]) -> Cow<'_, [u8]> {
    match memchr(0, line) {
        Some(_) => line.iter().copied().filter(|&b| b != 0).collect(),
        None => Cow::Borrowed(line),
    }
}

/// Whether the octet is legal in a header line: printable ASCII, a blank or a tab.
pub(super) fn is_plain(octet: u8) -> bool {
    matches!(octet, b'\t' | 0x20..0x7f)
}

/// The pieces of a value between semicolons: the value first, then its parameters (RFC 2045 section 5.1). A semicolon
/// inside quotes is text.
pub(super) fn pieces(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    })
}

/// Whether `bytes` begins with CRLF and a blank: a legal fold.
fn is_fold(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\r', b'\n', b' ' | b'\t', ..])
}

/// A bare CR inside a header line becomes a blank: as a line end it would let text slip out of its field.
fn clean_octet(octet: u8) -> u8 {
    if octet == b'\r' || octet == b'\n' || octet == 0 { b' ' } else { octet }
}

/// The end of the name, and the place of its colon.
fn name_end(line: &[u8]) -> Option<(usize, usize)> {
    let colon = memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some((name.len(), colon))
}
