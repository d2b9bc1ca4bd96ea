//! Mailboxes in header fields: read leniently, written strictly (RFC 5322 section 3.4).
//!
//! Envelope addresses: `mail::Address`, which also decides which address is usable here.
//!
//! Invariants: reading is one pass without recursion, at any nesting of comments; the written form is ASCII, folded at 76,
//! and one mailbox to every reader.

use crate::mail::Address;
use crate::message::charset::Hints;
use crate::message::encoded_word;
use crate::message::header::{Field, unfold};
use crate::message::steps::Steps;

/// The most mailboxes that are read from one field.
const MAX_MAILBOXES: usize = 10_000;
/// A longer display name is cut, because some providers refuse it.
const MAX_NAME: usize = 100;

/// One mailbox as a header names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// The display name, decoded, or else the comment of the old form `a@b (Name)`; empty when there is none.
    pub name: String,
    /// The text in the place of the address; may be empty or no address at all.
    pub text: String,
}

impl Mailbox {
    /// The address, if it is legal, has a domain, and is the same to every reader.
    pub fn address(&self) -> Option<Address> {
        Address::parse(&self.text).ok().filter(|a| a.is_qualified() && is_seen_alike(&self.text))
    }

    /// The name to show: the display name, or what was written instead of an address (`From: printer`).
    pub fn label(&self) -> String {
        if self.name.is_empty() && !self.text.contains('@') { tidy_name(&self.text) } else { self.name.clone() }
    }
}

/// Whether an address has nothing in it that some readers take for an encoded word, or for the brackets around another
/// address. Only a quoted local part can.
pub(super) fn is_seen_alike(address: &str) -> bool {
    !address.contains("=?") && !address.contains(['<', '>'])
}

/// Reads the value of an address field as it came, with raw text, encoded words, groups and comments.
///
/// The text is decoded before it is parsed, because GBK octets may look like `\` and `@`. A field that is one encoded
/// word from end to end (`=?utf-8?B?...?=` around `Name <a@b>`) is opened once.
pub fn parse_field(value: &[u8], hints: Hints) -> Vec<Mailbox> {
    let text = encoded_word::text_of(&unfold(value), hints);
    let list = parse(&text);
    if text.contains("=?") && list.iter().all(|mailbox| !mailbox.text.contains('@')) {
        let opened = parse(&encoded_word::decode(&text));
        if opened.iter().any(|mailbox| mailbox.address().is_some()) {
            return opened;
        }
    }
    list
}

/// The usable mailboxes of a list field, ready to be written.
pub(super) fn usable(value: &[u8], hints: Hints) -> Vec<(String, Address)> {
    parse_field(value, hints).into_iter().filter_map(|m| m.address().map(|a| (m.name, a))).collect()
}

/// Whether the field is missing, or has no usable address.
pub(super) fn lacks_address(field: Option<&Field>) -> bool {
    field.is_none_or(|field| usable(field.value(), Hints::default()).is_empty())
}

/// Whether every quote in the value is closed; otherwise strict readers see no address at all in it.
pub(super) fn is_closed(value: &[u8], hints: Hints) -> bool {
    !read(&encoded_word::text_of(&unfold(value), hints)).in_quotes
}

/// Reads a list of mailboxes from text. Groups are flattened; empty elements are left out.
///
/// When a quote is never closed, quotes mean nothing, because it would hide the rest.
pub fn parse(text: &str) -> Vec<Mailbox> {
    let reader = read(text);
    if reader.in_quotes { read(&text.replace('"', "")).list } else { reader.list }
}

fn read(text: &str) -> Reader {
    let mut reader = Reader::default();
    for c in text.chars() {
        reader.take(c);
        if reader.list.len() >= MAX_MAILBOXES {
            return reader;
        }
    }
    let in_quotes = reader.in_quotes;
    reader.end_mailbox();
    Reader { in_quotes, ..reader }
}

#[derive(Default)]
struct Reader {
    list: Vec<Mailbox>,
    /// The words outside brackets, quotes and escapes removed: the display name.
    words: String,
    /// The same as it was written: the local part may need its quotes.
    written: String,
    comment: String,
    bracket: Option<String>,
    in_bracket: bool,
    in_quotes: bool,
    in_literal: bool,
    escaped: bool,
    depth: usize,
    /// Characters taken.
    steps: Steps,
}

impl Reader {
    fn take(&mut self, c: char) {
        self.steps.add(1);
        if self.escaped {
            self.escaped = false;
            // The escape is kept where it may be part of a local part, and is not shown in a name.
            if self.depth == 0 {
                self.text('\\', false);
            }
            self.text(c, true);
        } else if self.depth > 0 {
            self.in_comment(c);
        } else if c == '\\' {
            self.escaped = true;
        } else if self.in_quotes {
            self.in_quotes = c != '"';
            self.text(c, c != '"');
        } else {
            self.plain(c);
        }
    }

    fn plain(&mut self, c: char) {
        match c {
            '"' => {
                self.in_quotes = true;
                self.text(c, false);
            }
            '(' => self.depth = 1,
            '<' => {
                // `<<a@b>>` and `<the dude <a@b>>`: the innermost wins.
                self.in_bracket = true;
                self.bracket = Some(String::new());
            }
            '>' => self.in_bracket = false,
            '[' | ']' => {
                self.in_literal = c == '[';
                self.text(c, true);
            }
            ',' | ';' if !self.in_bracket => self.end_mailbox(),
            // A group's name ends here, unless it is an address literal such as a@[IPv6:::1].
            ':' if !self.in_bracket && !self.in_literal => self.clear(),
            _ => self.text(c, true),
        }
    }

    fn in_comment(&mut self, c: char) {
        match c {
            '\\' => self.escaped = true,
            '(' => self.depth += 1,
            ')' => self.depth -= 1,
            _ => self.comment.push(c),
        }
    }

    /// A character of the mailbox itself; `shown` when it belongs to the display name, too.
    fn text(&mut self, c: char, shown: bool) {
        if self.depth > 0 {
            self.comment.push(c);
        } else if self.in_bracket {
            self.bracket.get_or_insert_default().push(c);
        } else if self.bracket.is_none() {
            self.written.push(c);
            if shown {
                self.words.push(c);
            }
        }
    }

    fn end_mailbox(&mut self) {
        let (words, written) = (self.words.trim(), self.written.trim());
        let (name, text) = match &self.bracket {
            Some(inner) => (words, without_route(inner)),
            // `Bob bob@example.com`: the last word is the address if it looks like one.
            None => match written.rsplit_once(char::is_whitespace) {
                Some((before, last)) if last.contains('@') && !written.starts_with('"') => (before.trim(), last),
                _ => ("", written),
            },
        };
        let comment = self.comment.trim();
        let name = encoded_word::decode(if name.is_empty() { comment } else { name });
        // A bare encoded word is a name, not an address.
        let (name, text) = match encoded_word::decode(text) {
            decoded if name.is_empty() && decoded != text && !text.contains('@') => (decoded, ""),
            _ => (name, text),
        };
        if !name.trim().is_empty() || !text.is_empty() {
            self.list.push(Mailbox { name: tidy_name(&name), text: text.to_owned() });
        }
        self.clear();
    }

    fn clear(&mut self) {
        *self = Reader { list: std::mem::take(&mut self.list), steps: self.steps, ..Reader::default() };
    }
}

/// `@relay,@other:a@b` (RFC 5322 section 4.4) means `a@b`.
fn without_route(inner: &str) -> &str {
    let inner = inner.trim();
    let inner = if inner.starts_with('@') { inner.split_once(':').map_or(inner, |(_, rest)| rest) } else { inner };
    // `<'a@b'>` and `<mailto:a@b>` come from hand-made configurations.
    let inner = inner.strip_prefix("mailto:").unwrap_or(inner);
    inner.strip_prefix('\'').and_then(|i| i.strip_suffix('\'')).unwrap_or(inner).trim()
}

/// Text on one line for display: single blanks, no control characters, nothing invisible. It may still be up to four times
/// as long as `most` characters.
pub(super) fn visible_line(text: &str, most: usize) -> String {
    let seen = text.chars().map(encoded_word::no_control).filter(|c| !is_invisible(*c));
    // The limit counts before blanks are joined, so that a text of blanks alone takes bounded time.
    let line: String = seen.take(most.saturating_mul(4)).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A display name as [`visible_line`] gives it, cut to a legal length, without quotes around it.
pub(super) fn tidy_name(name: &str) -> String {
    let name = visible_line(name, MAX_NAME);
    let name: String = name.chars().take(MAX_NAME).collect();
    let mut name = name.trim();
    // Every pair of quotes, not one: a name that is tidied again must not change, or vanish (four quotes and no text).
    while let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        name = inner.trim();
    }
    name.to_owned()
}

/// Marks that change the reading direction or are invisible, used to fake names.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Writes one mailbox: `address`, `Name <address>`, `"N. Ame" <address>` or `=?UTF-8?B?...?= <address>`.
///
/// `column` is its place on the line; the result may hold folds.
pub fn write(name: &str, address: &Address, column: usize) -> String {
    let name = tidy_name(name);
    if name.is_empty() {
        return address.as_str().to_owned();
    }
    let phrase = if name.is_ascii() && name.len() <= 60 && !name.contains("=?") {
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&b)) {
            name
        } else {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
    } else {
        encoded_word::encode(&name, column)
    };
    let last = phrase.rsplit('\n').next().unwrap_or("").len() + if phrase.contains('\n') { 0 } else { column };
    let gap = if last + address.as_str().len() + 3 > 76 { "\r\n " } else { " " };
    format!("{phrase}{gap}<{address}>")
}

/// Writes a list of mailboxes after the name of a field that is `column` octets long, one a line when it is long.
pub fn write_list(list: &[(String, Address)], column: usize) -> String {
    let mut out = String::new();
    let mut column = column;
    for (i, (name, address)) in list.iter().enumerate() {
        let mut text = write(name, address, column + 1);
        if i > 0 {
            out.push(',');
            if column + 1 + text.split('\r').next().unwrap_or("").len() >= 76 {
                out.push_str("\r\n");
                column = 0;
                text = write(name, address, 1);
            }
            out.push(' ');
        }
        column = match text.rsplit_once('\n') {
            Some((_, last)) => last.len() + 1,
            None => column + text.len() + 2,
        };
        out.push_str(&text);
    }
    out
}

#[cfg(test)]
mod tests;
