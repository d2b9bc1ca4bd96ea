//! Digs the mailbox out of what clients put behind `FROM:` and `TO:` (RFC 5321 section 4.1.2, and much that is not in
//! it). What it is not: the check whether the mailbox is legal; that is [`crate::mail::Address`].
//!
//! Invariants: every scan is one pass with counters, no recursion; text in quotes is never interpreted, so an at sign
//! or a bracket inside a quoted local part cannot move the end of the path.

use std::borrow::Cow;

use super::{CommandError, trim_end, trim_start};

/// So many nested angle brackets are taken off; nobody has been seen with more.
const BRACKETS: usize = 5;
/// So deep may comments be nested (RFC 5322 section 3.2.2 sets no limit).
const COMMENTS: usize = 50;

/// Follows quotes: inside `"..."` a backslash escapes (RFC 5321 section 4.1.2, `Quoted-string`).
#[derive(Clone, Copy, Default)]
struct Quotes {
    inside: bool,
    escaped: bool,
}

impl Quotes {
    /// Takes one octet; true if it is in quotes, or is one.
    fn covers(&mut self, octet: u8) -> bool {
        if !self.inside {
            self.inside = octet == b'"';
            return self.inside;
        }
        match octet {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.inside = false,
            _ => {}
        }
        true
    }
}

/// Cuts the text behind the colon into the innermost mailbox and the parameters.
pub(super) fn split(text: &[u8]) -> Result<(&[u8], &[u8]), CommandError> {
    let mut quotes = Quotes::default();
    let (mut open, mut depth, mut blank) = (None, 0, None);
    for (i, &octet) in text.iter().enumerate() {
        if quotes.covers(octet) {
            continue;
        }
        match octet {
            b'<' if depth == BRACKETS => return Err(CommandError::Argument),
            // A parameter may hold a bracket (`AUTH=<>`): it opens no path.
            b'<' if depth == 0 && i > 0 && text[i - 1] == b'=' => {}
            b'<' => (open, depth) = (Some(i + 1), depth + 1),
            b'>' if depth > 0 => {
                let start = open.expect("depth counts the brackets that set it");
                return Ok((&text[start..i], closing(&text[i + 1..], depth - 1)?));
            }
            b' ' | b'\t' if depth == 0 && blank.is_none() => blank = Some(i),
            _ => {}
        }
    }
    // No brackets at all: the mailbox ends at the first blank.
    match blank {
        _ if depth > 0 || quotes.inside || text.is_empty() => Err(CommandError::Argument),
        Some(blank) => Ok((&text[..blank], &text[blank..])),
        None => Ok((text, &[])),
    }
}

/// Takes the brackets that are still to be closed; what follows must be a parameter.
fn closing(mut rest: &[u8], depth: usize) -> Result<&[u8], CommandError> {
    for _ in 0..depth {
        rest = trim_start(rest).strip_prefix(b">").ok_or(CommandError::Argument)?;
    }
    match rest.first() {
        None | Some(b' ' | b'\t') => Ok(rest),
        Some(_) => Err(CommandError::Argument),
    }
}

/// Takes off what is not mailbox: blanks, comments, a source route (RFC 5321 appendix C), one pair of `'`.
pub(super) fn clean(path: &[u8]) -> Result<Cow<'_, [u8]>, CommandError> {
    let path = trim(path);
    let path = if has_comment(path) { Cow::Owned(without_comments(path)?) } else { Cow::Borrowed(path) };
    Ok(match path {
        Cow::Borrowed(path) => Cow::Borrowed(unquote(without_route(path))),
        Cow::Owned(path) => Cow::Owned(unquote(without_route(trim(&path))).to_vec()),
    })
}

fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

fn has_comment(path: &[u8]) -> bool {
    memchr::memchr(b'(', path).is_some()
}

fn without_comments(path: &[u8]) -> Result<Vec<u8>, CommandError> {
    let (mut quotes, mut depth, mut escaped) = (Quotes::default(), 0, false);
    let mut kept = Vec::with_capacity(path.len());
    for &octet in path {
        if depth == 0 && quotes.covers(octet) {
            kept.push(octet);
            continue;
        }
        match octet {
            _ if escaped => escaped = false,
            b'\\' if depth > 0 => escaped = true,
            b'(' if depth == COMMENTS => return Err(CommandError::Argument),
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth == 0 => kept.push(octet),
            _ => {}
        }
    }
    if depth == 0 { Ok(kept) } else { Err(CommandError::Argument) }
}

/// `@a,@b:user@c` is `user@c` (RFC 5321 section 4.1.1.3: the route is to be ignored).
fn without_route(path: &[u8]) -> &[u8] {
    // `<@>` and `<@host>` have no colon and stay, to be taken for the null sender or refused.
    if path.first() != Some(&b'@') {
        return path;
    }
    let mut literal = false;
    for (i, &octet) in path.iter().enumerate() {
        match octet {
            b'[' => literal = true,
            b']' => literal = false,
            b':' if !literal => return &path[i + 1..],
            _ => {}
        }
    }
    path
}

/// Takes off the quotes of a shell. Only from a whole mailbox, which cannot end in one: what is left then has
/// no other pair, and means the same when it is read again.
fn unquote(path: &[u8]) -> &[u8] {
    match path {
        [b'\'', inner @ .., b'\''] if inner.contains(&b'@') => inner,
        _ => path,
    }
}
