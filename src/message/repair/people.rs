//! From and To: there is one of each, and it can be used (RFC 5322 sections 3.6.2 and 3.6.3).
//!
//! What this is not: the account's seal. An address that is usable stays, even a foreign one; `rewrite` deals with it
//! when the account is known.

use super::{Facts, Repair, Work};
use crate::mail::Address;
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
        return;
    }
    let Some(first) = fields.first().map(|f| f.unfolded()) else {
        let name = facts.sender.address().map_or("", |sender| sender.local());
        let name = if name == facts.fallback_from.local() { "" } else { name };
        work.header.set(Field::new("From", mailbox::write(name, facts.fallback_from, FROM_COLUMN)));
        work.note(Repair::FromAdded);
        return;
    };
    let raw = fields.iter().any(|f| !f.raw().is_ascii());
    let found: Vec<Mailbox> = fields.iter().flat_map(|f| mailbox::parse_field(f.value())).collect();
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
    work.header.set(Field::new("From", mailbox::write(&name, &address, FROM_COLUMN)));
}

/// Several mailboxes in one From are legal (RFC 5322 section 3.6.2) and stay until the seal.
fn is_clean_list(value: &[u8]) -> bool {
    let printable = value.iter().all(|&b| (0x20..0x7f).contains(&b) || b"\t\r\n".contains(&b));
    let list = if printable { mailbox::parse_field(value) } else { Vec::new() };
    list.len() > 1 && list.iter().all(|m| m.address().is_some()) && !super::hides_control(&charset::decode(value).0)
}

/// Makes sure there is a To, and that it names somebody: `To: root` from cron does not, outside its host.
pub(super) fn to(work: &mut Work, facts: &Facts<'_>) {
    let old = work.header.get("To").map(Field::unfolded);
    match old {
        None => work.note(Repair::ToAdded),
        Some(old) if old.contains(&b'@') || old.contains(&b':') => return,
        Some(old) => {
            work.note(Repair::ToReplaced);
            work.keep_original("To", &old);
            if let [only] = facts.recipients
                && only.is_qualified()
            {
                let name = mailbox::parse_field(&old).first().map_or(String::new(), |m| m.name.clone());
                work.header.set(Field::new("To", mailbox::write(&name, only, "To: ".len())));
                return;
            }
        }
    }
    // The recipients may not see one another; this says so in the form of RFC 5322 section A.1.3.
    work.header.set(Field::new("To", "undisclosed-recipients:;"));
}

/// The usable mailboxes of a list field, ready to be written.
pub(super) fn usable(value: &[u8]) -> Vec<(String, Address)> {
    mailbox::parse_field(value).into_iter().filter_map(|m| m.address().map(|a| (m.name, a))).collect()
}
