//! The fields that every mail must have: Date, Message-ID, From, To (RFC 5322 sections 3.3, 3.4 and 3.6).
//!
//! A usable value stays, even a wrong date (1970) and a foreign address; `sender_rewriting` replaces the latter when the
//! account is known. A legal Message-ID never changes, so that a second attempt, a reply and a bounce name the same mail.

use jiff::fmt::rfc2822::DateTimeParser;

use super::facts::{Facts, HeaderUnderRepair, Level};
use crate::message::charset::Hints;
use crate::message::field_encoding::hides_control;
use crate::message::header::{Field, is_plain};
use crate::message::mailbox::{self, Mailbox};
use crate::message::repair_names::Repair;
use crate::message::{charset, from_rule};

/// A wrong day of the week is no reason to lose a date.
const PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
/// Longer ids do not fit on a line, and an id cannot be folded.
const MAX_ID: usize = 900;
/// The columns where the values of From and To begin.
const FROM_COLUMN: usize = "From: ".len();
const TO_COLUMN: usize = "To: ".len();
/// A To for recipients that may not see one another (RFC 5322 section A.1.3).
const HIDDEN_RECIPIENTS: &str = "undisclosed-recipients:;";

/// Adds a Date, or replaces an unreadable one; the old one stays as X-Original-Date.
pub(super) fn date(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let old = work.header.get("Date").map(Field::unfolded);
    match &old {
        None => work.note(Repair::DateAdded),
        // The parser takes a form feed for a blank; not every reader does.
        Some(old) if PARSER.parse_timestamp(old).is_ok() && old.iter().all(|&b| is_plain(b)) => {
            return;
        }
        Some(old) => {
            work.note(Repair::DateReplaced);
            work.keep_original("Date", old);
        }
    }
    work.header.set(Field::new("Date", facts.date));
}

/// Adds a Message-ID, wraps one that lacks its brackets, replaces one that cannot be used.
pub(super) fn message_id(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
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

/// Makes the From one field with a usable mailbox: adds it, merges several, replaces an unusable one.
pub(super) fn from(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let fields: Vec<&Field> = work.header.fields.iter().filter(|f| f.is("From")).collect();
    let several = fields.len() > 1;
    if let [field] = fields[..]
        && (from_rule::accepts_value(field.value()) || is_clean_list(field.value()))
    {
        return name_the_nameless(work, facts);
    }
    let Some(first) = fields.first().map(|f| f.unfolded()) else {
        let name = facts.sender.address().map_or("", |sender| sender.local());
        let name = if name == facts.fallback_from.local() { "" } else { name };
        let name = display(facts).unwrap_or(name);
        work.header.set(Field::new("From", mailbox::write(name, facts.fallback_from, FROM_COLUMN)));
        work.note(Repair::FromAdded);
        return;
    };
    let raw = fields.iter().any(|f| !f.raw().is_ascii());
    let found: Vec<Mailbox> = fields.iter().flat_map(|f| mailbox::parse_field(f.value(), facts.hints())).collect();
    let usable = found.iter().find_map(|m| m.address().map(|address| (m.name.clone(), address)));
    let lost = usable.is_none();
    let (name, address) = usable.unwrap_or_else(|| {
        let label = found.iter().map(Mailbox::label).find(|label| !label.is_empty());
        (label.unwrap_or_default(), facts.fallback_from.clone())
    });
    if several {
        work.note(Repair::FromMerged);
    }
    if lost {
        work.note(Repair::FromReplaced);
        // `<>` and the like have no content to keep.
        if !found.is_empty() {
            work.keep_original("From", &first);
        }
    } else if raw {
        work.note(Repair::HeaderEncoded);
    } else if !several {
        work.note(Repair::FromReplaced);
    }
    let name = if name.is_empty() { display(facts).unwrap_or("") } else { &name };
    work.header.set(Field::new("From", mailbox::write(name, &address, FROM_COLUMN)));
}

/// The client's name in the settings.
fn display<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts.client.display.filter(|name| !name.trim().is_empty())
}

/// Adds the client's name to a legal From without one. No provider refuses that From, so not at level `minimal`.
fn name_the_nameless(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let (Some(name), Level::Full) = (display(facts), facts.client.level) else { return };
    let found = work.header.get("From").map(|f| mailbox::parse_field(f.value(), Hints::default())).unwrap_or_default();
    if let [only] = &found[..]
        && only.name.is_empty()
        && let Some(address) = only.address()
    {
        let written = mailbox::write(name, &address, FROM_COLUMN);
        // A name of invisible characters alone is no name.
        if written != address.as_str() {
            work.header.set(Field::new("From", written));
            work.note(Repair::DisplayAdded);
        }
    }
}

/// Several mailboxes in one From are legal (RFC 5322 section 3.6.2) and stay until the sender is rewritten.
fn is_clean_list(value: &[u8]) -> bool {
    let printable = value.iter().all(|&b| is_plain(b) || b == b'\r' || b == b'\n');
    let list = if printable { mailbox::parse_field(value, Hints::default()) } else { Vec::new() };
    list.len() > 1
        && list.iter().all(|m| m.address().is_some())
        && !hides_control(&charset::decode(value, Hints::default()))
}

/// Makes the To one with an address: `To: root` from cron has none outside its host.
pub(super) fn to(work: &mut HeaderUnderRepair, facts: &Facts<'_>) {
    let hints = facts.hints();
    let Some(old) = work.header.get("To").map(Field::unfolded) else {
        work.note(Repair::ToAdded);
        return work.header.set(Field::new("To", HIDDEN_RECIPIENTS));
    };
    let found = mailbox::usable(&old, hints);
    let group = old.contains(&b':') && old.trim_ascii_end().ends_with(b";");
    // An open quote hides addresses from strict readers. A group may be empty (RFC 5322 section 3.4).
    if group || (!found.is_empty() && mailbox::is_closed(&old, hints)) {
        return;
    }
    work.note(Repair::ToReplaced);
    work.keep_original("To", &old);
    let new = match facts.recipients {
        _ if !found.is_empty() => mailbox::write_list(&found, TO_COLUMN),
        [only] if only.is_qualified() => {
            let name = mailbox::parse_field(&old, hints).into_iter().next().map_or(String::new(), |m| m.name);
            mailbox::write(&name, only, TO_COLUMN)
        }
        _ => HIDDEN_RECIPIENTS.to_owned(),
    };
    work.header.set(Field::new("To", new));
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
