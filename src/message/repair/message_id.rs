//! Message-ID: there must be one, of the form `<left@right>` (RFC 5322 section 3.6.4, Q-091, Q-098).
//!
//! Invariant: an id that is legal is never changed, so that a second attempt, a reply and a bounce all name the same
//! mail.

use super::{Facts, Repair, Work};
use crate::message::header::Field;

/// Longer ids do not fit on a line, and an id cannot be folded.
const MAX_ID: usize = 900;

/// Adds a Message-ID, wraps one that lacks its brackets, replaces one that cannot be used.
pub(super) fn message_id(work: &mut Work, facts: &Facts<'_>) {
    let old = work.header.get("Message-ID").map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned());
    let new = match &old {
        None => {
            work.note(Repair::MessageIdAdded);
            None
        }
        Some(old) if is_legal(old) => return,
        Some(old) => {
            work.note(Repair::MessageIdReplaced);
            let found = rescued(old);
            // Brackets and blanks are no loss; anything else beside the id is kept.
            let bare = |id: &str| id.replace(['<', '>', ' ', '\t'], "");
            if found.as_deref().map(bare) != Some(bare(old)) {
                work.keep_original("Message-ID", old.as_bytes());
            }
            found
        }
    };
    let new = new.unwrap_or_else(|| format!("<{}@{}>", facts.id, facts.domain));
    work.header.set(Field::new("Message-ID", new));
}

/// One `<left@right>` of visible ASCII, and nothing beside it.
fn is_legal(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or("");
    text.len() <= MAX_ID
        && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
        && inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
}

/// The id inside a text that is nearly one: without brackets, with blanks in it, or with something beside it.
fn rescued(text: &str) -> Option<String> {
    let inner = match text.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(""),
        None => text.trim_matches('>'),
    };
    let id = format!("<{}>", inner.split_ascii_whitespace().collect::<String>());
    is_legal(&id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_wrapped_or_given_up() {
        for (text, legal, found) in [
            ("<a@b>", true, Some("<a@b>")),
            ("<20261121163655.mE6Al%a@example.org>", true, Some("<20261121163655.mE6Al%a@example.org>")),
            ("uuid@host", false, Some("<uuid@host>")),
            ("<a@ b>", false, Some("<a@b>")),
            ("<a@b> (x)", false, Some("<a@b>")),
            ("<a@b", false, Some("<a@b>")),
            ("<a>", false, None),
            ("", false, None),
            ("<@>", false, None),
            ("<é@b>", false, None),
        ] {
            assert_eq!((is_legal(text), rescued(text).as_deref()), (legal, found), "{text}");
        }
    }
}
