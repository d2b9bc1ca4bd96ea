//! From and To: there is one of each, and it can be used (RFC 5322 sections 3.6.2 and 3.6.3).
//!
//! What this is not: the account's seal. An address that is usable stays, even a foreign one; `rewrite` deals with it
//! when the account is known.

use super::{Facts, Level, Repair, Work};
use crate::message::charset::Hints;
use crate::message::cleanse::hides_control;
use crate::message::header::Field;
use crate::message::mailbox::{self, Mailbox};
use crate::message::{charset, from_rule};

/// Where the value of From begins on its line.
const FROM_COLUMN: usize = "From: ".len();

/// Makes the From one field with a usable mailbox: adds it, merges several, replaces what nobody can answer.
pub(super) fn from(work: &mut Work, facts: &Facts<'_>) {
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
        // `<>` and the like tell nobody anything.
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

/// Whether a To has an address in it, or is a group, which may be empty (RFC 5322 section 3.4).
fn names_somebody(value: &[u8], facts: &Facts<'_>) -> bool {
    let group = value.contains(&b':') && value.trim_ascii_end().ends_with(b";");
    let hints = facts.hints();
    group || (!mailbox::usable(value, hints).is_empty() && mailbox::is_closed(value, hints))
}

/// The name that the owner has given the client.
fn display<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts.client.display.filter(|name| !name.trim().is_empty())
}

/// A From that is good but has no name gets the client's. Nobody refuses it without, so not at level `minimal`.
fn name_the_nameless(work: &mut Work, facts: &Facts<'_>) {
    let (Some(name), Level::Full) = (display(facts), facts.client.level) else { return };
    let found = work.header.get("From").map(|f| mailbox::parse_field(f.value(), Hints::default())).unwrap_or_default();
    if let [only] = &found[..]
        && only.name.is_empty()
        && let Some(address) = only.address()
    {
        let written = mailbox::write(name, &address, FROM_COLUMN);
        // A name of nothing but invisible characters is no name.
        if written != address.as_str() {
            work.header.set(Field::new("From", written));
            work.note(Repair::DisplayAdded);
        }
    }
}

/// Where answers go, when the owner has set it for the client and the mail does not say.
pub(super) fn reply_to(work: &mut Work, facts: &Facts<'_>) {
    let Some(address) = facts.client.reply_to.filter(|address| address.is_qualified()) else { return };
    let old = work.header.get("Reply-To").map(|f| mailbox::parse_field(f.value(), Hints::default()));
    if old.is_none_or(|list| list.iter().all(|m| m.address().is_none())) {
        work.header.set(Field::new("Reply-To", address.as_str()));
        work.note(Repair::ReplyToSet);
    }
}

/// Several mailboxes in one From are legal (RFC 5322 section 3.6.2) and stay until the seal.
fn is_clean_list(value: &[u8]) -> bool {
    let printable = value.iter().all(|&b| (0x20..0x7f).contains(&b) || b"\t\r\n".contains(&b));
    let list = if printable { mailbox::parse_field(value, Hints::default()) } else { Vec::new() };
    list.len() > 1
        && list.iter().all(|m| m.address().is_some())
        && !hides_control(&charset::decode(value, Hints::default()))
}

/// Makes sure there is a To, and that it names somebody: `To: root` from cron does not, outside its host.
pub(super) fn to(work: &mut Work, facts: &Facts<'_>) {
    let old = work.header.get("To").map(Field::unfolded);
    match old {
        None => work.note(Repair::ToAdded),
        Some(old) if names_somebody(&old, facts) => return,
        Some(old) => {
            work.note(Repair::ToReplaced);
            work.keep_original("To", &old);
            // An open quote hides addresses from strict readers.
            let found = mailbox::usable(&old, facts.hints());
            if !found.is_empty() {
                work.header.set(Field::new("To", mailbox::write_list(&found, "To: ".len())));
                return;
            }
            if let [only] = facts.recipients
                && only.is_qualified()
            {
                let name = mailbox::parse_field(&old, facts.hints()).first().map_or(String::new(), |m| m.name.clone());
                work.header.set(Field::new("To", mailbox::write(&name, only, "To: ".len())));
                return;
            }
        }
    }
    // The recipients may not see one another; this says so in the form of RFC 5322 section A.1.3.
    work.header.set(Field::new("To", "undisclosed-recipients:;"));
}
