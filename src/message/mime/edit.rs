//! The fields of one header that a [`Mend`] names.
//!
//! What this is not: a judge. Invariant: every other field stays octet for octet.

use super::plan::Mend;
use crate::message::MAX_LINE;
use crate::message::charset::Hints;
use crate::message::cleanse;
use crate::message::content::{self, Content};
use crate::message::fold::folded;
use crate::message::header::{Field, Header};

/// Whether a field of a part has what may not stand in a header.
pub(super) fn is_dirty(field: &Field) -> bool {
    cleanse::is_dirty(field)
}

/// Whether the header block of a part may not be sent at all: a line over 998 octets, or NUL.
pub(super) fn is_illegal_head(raw: &[u8]) -> bool {
    raw.contains(&0) || raw.split(|&b| b == b'\n').any(|line| line.len() > MAX_LINE + 1)
}

/// Carries out the mend on the header of the part. What that header declares itself counts before `hints`. Gives back a Content-Type that could not be read, if it went.
pub(crate) fn apply(header: &mut Header, mend: &Mend, hints: Hints) -> Option<Vec<u8>> {
    let mut lost = None;
    if mend.head {
        let hints = Hints { declared: Content::of(header).encoding().or(hints.declared), ..hints };
        for field in &mut header.fields {
            *field = cleanse::encoded(field, hints);
        }
    }
    if let Some(charset) = mend.charset {
        lost = declare(header, charset);
    }
    if let Some(transfer) = mend.transfer {
        header.set(Field::new("Content-Transfer-Encoding", transfer));
    }
    if mend.head {
        for field in &mut header.fields {
            if field.longest_line() > MAX_LINE {
                *field = folded(field);
            }
        }
    }
    lost
}

/// Whether the header names the file that the part is.
pub(super) fn names_file(header: &Header) -> bool {
    [("Content-Disposition", "filename"), ("Content-Type", "name")].iter().any(|(field, parameter)| {
        let value = content::cleansed(header, field).map(|field| field.unfolded()).unwrap_or_default();
        let value = String::from_utf8_lossy(&value).to_ascii_lowercase();
        content::pieces(&value).skip(1).any(|piece| {
            let key = piece.split('=').next().unwrap_or("").trim();
            key.split('*').next() == Some(parameter)
        })
    })
}

/// Names the file that the part is; `name` as it came.
pub(crate) fn name_file(header: &mut Header, name: &[u8], hints: Hints) {
    let name: Vec<u8> = name.iter().copied().filter(|b| !b"\"\\".contains(b)).collect();
    let field = Field::new("Content-Disposition", [b"attachment; filename=\"", &name[..], b"\""].concat());
    header.set(cleanse::encoded(&field, hints));
}

/// Names the charset in Content-Type, other parameters kept.
fn declare(header: &mut Header, charset: &str) -> Option<Vec<u8>> {
    let content = Content::of(header);
    let old = header.first_with_value("Content-Type").map(|field| field.unfolded()).unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    let readable = !content.media.is_empty();
    let mut value = if readable { content.media } else { "text/plain".to_owned() };
    if readable {
        for parameter in content::pieces(&old).skip(1) {
            let key = parameter.split('=').next().unwrap_or("").trim();
            if !key.is_empty() && !key.trim_end_matches('*').eq_ignore_ascii_case("charset") {
                value.push_str("; ");
                value.push_str(parameter.trim());
                // A quote that is never closed would swallow the charset that follows.
                if parameter.matches('"').count() % 2 == 1 {
                    value.push('"');
                }
            }
        }
    }
    header.set(Field::new("Content-Type", format!("{value}; charset={charset}")));
    (!readable && !old.is_empty()).then(|| old.into_bytes())
}
