//! The seal: for one attempt, the header says that the mail is from the account that sends it.
//!
//! Providers check From against the login, and refuse what is not one plain mailbox (`from_rule`). So From becomes the
//! account's address with the old display name; the old address moves to Reply-To, if there is none, and to
//! X-Original-From. What this is not: a repair; it is done again for each attempt, on the stored head, and the body is
//! not looked at.
//!
//! Invariants: exactly one From, which [`from_rule::qq_accepts`]; no name that can be read as another address
//! (`display_name`), where the provider has a say in From; every field that has nothing to do with the sender
//! comes out octet for octet as it went in; sealing twice is sealing once; no text of a client becomes more than the
//! text of one field.

use crate::mail::Address;
use crate::message::charset::Hints;
use crate::message::display_name::defuse;
use crate::message::from_rule;
use crate::message::header::{Field, Header};
use crate::message::mailbox::{self, Mailbox};

/// Whether the provider lets a foreign address stand in From.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromPolicy {
    /// From must be the login; the safe choice, and the only one for QQ.
    MustEqualLogin,
    /// From may also be another address of the account: those given to [`seal_among`].
    MayBeAlias,
    /// The provider puts its own address in From unless it knows ours, so ours stays as an offer, and the old address is
    /// kept where the provider does not look.
    RewrittenAnyway,
    /// Any address goes; it is only made a single mailbox.
    Free,
}

/// The account's identity.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'a> {
    /// The address the account logs in as. Must be qualified.
    pub address: &'a Address,
    /// The name to show when the mail brings none.
    pub display: Option<&'a str>,
    /// What the provider allows.
    pub policy: FromPolicy,
    /// Whether a DKIM-Signature stays that the new From breaks.
    pub keep_dkim: bool,
}

/// Fields that ask for receipts to an address: only the account's own may stay.
const RECEIPTS: &[&str] = &["Disposition-Notification-To", "Return-Receipt-To", "X-Confirm-Reading-To", "Errors-To"];

const DKIM: &str = "DKIM-Signature";

/// Whether a head has a DKIM-Signature.
pub fn is_signed(head: &[u8]) -> bool {
    Header::parse(head).get(DKIM).is_some()
}

/// Puts the seal on a stored head (fields with CRLF, no blank line) and gives the head to send.
pub fn seal(head: &[u8], seal: &Seal<'_>) -> Vec<u8> {
    seal_among(head, seal, &[])
}

/// As [`seal`], for an account that has other addresses beside its login ([`FromPolicy::MayBeAlias`]).
pub fn seal_among(head: &[u8], seal: &Seal<'_>, aliases: &[Address]) -> Vec<u8> {
    let mut header = Header::parse(head);
    let aliases = if seal.policy == FromPolicy::MayBeAlias { aliases } else { &[] };
    let ours = |address: &Address| {
        address.key() == seal.address.key() || aliases.iter().any(|alias| alias.key() == address.key())
    };
    let froms = header.fields.iter().filter(|f| f.is("From"));
    let mailboxes: Vec<Mailbox> =
        froms.clone().flat_map(|f| mailbox::parse_field(f.value(), Hints::default())).collect();
    let plain = match froms.collect::<Vec<_>>()[..] {
        [only] => from_rule::accepted_mailbox(only.value()),
        _ => None,
    };
    let old = mailboxes.iter().find_map(|m| m.address().map(|address| (m.name.clone(), address)));
    if seal.policy != FromPolicy::Free {
        hide_foreign_senders(&mut header, ours);
        keep_old_address(&mut header, old.as_ref().filter(|(_, address)| !ours(address)));
    }
    let address = match seal.policy {
        FromPolicy::Free | FromPolicy::RewrittenAnyway => old.as_ref(),
        FromPolicy::MustEqualLogin | FromPolicy::MayBeAlias => old.as_ref().filter(|(_, address)| ours(address)),
    };
    let address = address.map_or_else(|| seal.address.clone(), |(_, address)| address.clone());
    // With `Free` a client may put any address into From, so a name that looks like one says nothing new.
    let safe = |name: &str| if seal.policy == FromPolicy::Free { name.to_owned() } else { defuse(name, &address) };
    let old = old.map(|(name, address)| (safe(&name), address));
    let labels = mailboxes.iter().map(|mailbox| safe(&mailbox.label()));
    let name = match seal.policy {
        FromPolicy::Free | FromPolicy::RewrittenAnyway => free(seal, labels, old),
        FromPolicy::MustEqualLogin | FromPolicy::MayBeAlias => {
            display(seal, labels, old.as_ref().filter(|(name, at)| !name.is_empty() || !ours(at)))
        }
    };
    let name = safe(&name);
    let named = mailboxes.first().is_some_and(|m| m.name == name) || name.is_empty();
    // A From that is already right keeps its octets, so that a second seal changes nothing.
    if plain.is_none_or(|plain| plain.key() != address.key() || !named) {
        let from = Field::new("From", mailbox::write(&name, &address, "From: ".len()));
        let broken =
            header.count("From") != 1 || header.get("From").is_some_and(|old| old.unfolded() != from.unfolded());
        // A signature covers From (RFC 6376 section 5.4), and one that fails harms more than none.
        if broken && !seal.keep_dkim {
            header.remove(DKIM);
        }
        header.set(from);
    }
    header.render()
}

/// The name that stands before the account's address: the old one, else the account's, else the old local part.
fn display(seal: &Seal<'_>, mut labels: impl Iterator<Item = String>, old: Option<&(String, Address)>) -> String {
    let kept = old.map(|(name, _)| name.clone()).filter(|name| !name.is_empty());
    let kept = kept.or_else(|| labels.find(|label| !label.is_empty()));
    let foreign = old.filter(|(_, address)| address.key() != seal.address.key());
    kept.or_else(|| seal.display.map(str::to_owned).filter(|name| !name.trim().is_empty()))
        .or_else(|| foreign.map(|(_, address)| address.local().trim_matches('"').to_owned()))
        .unwrap_or_default()
}

/// The name where the old address may stay.
fn free(seal: &Seal<'_>, labels: impl Iterator<Item = String>, old: Option<(String, Address)>) -> String {
    match old {
        Some((name, address)) if name.is_empty() && address.key() == seal.address.key() => {
            seal.display.unwrap_or("").to_owned()
        }
        Some((name, _)) => name,
        None => display(seal, labels, None),
    }
}

/// Drops Sender, all Resent- fields, and receipts to anybody else: each names an address that is not the account's.
fn hide_foreign_senders(header: &mut Header, ours: impl Fn(&Address) -> bool) {
    header.fields.retain(|field| {
        if field.is("Sender") || field.name().to_ascii_lowercase().starts_with("resent-") {
            return false;
        }
        let receipt = RECEIPTS.iter().any(|name| field.is(name));
        !receipt
            || mailbox::parse_field(field.value(), Hints::default())
                .iter()
                .all(|m| m.address().is_some_and(|address| ours(&address)))
    });
}

/// Lets answers still reach the old sender, and lets a reader see who it was.
fn keep_old_address(header: &mut Header, old: Option<&(String, Address)>) {
    let Some((name, address)) = old else { return };
    let answers = header.get("Reply-To").map(|f| mailbox::parse_field(f.value(), Hints::default()));
    if answers.is_none_or(|list| list.iter().all(|m| m.address().is_none())) {
        header.set(Field::new("Reply-To", mailbox::write(&defuse(name, address), address, "Reply-To: ".len())));
    }
    if header.get("X-Original-From").is_none() {
        // The address alone: the name is still in From. An `Address` is ASCII without controls, so it can stand bare.
        header.set(Field::new("X-Original-From", address.as_str()));
    }
}

#[cfg(test)]
mod tests;
