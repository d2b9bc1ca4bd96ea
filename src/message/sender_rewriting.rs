//! Sender rewriting: for one attempt, the header names the account that sends the mail as its sender.
//!
//! Providers check From against the login, and refuse all but one plain mailbox (`from_rule`). So From becomes the
//! account's address with the old display name; the old address moves to Reply-To, if there is none, and to
//! X-Original-From. Each attempt rewrites the stored head; the body is not read.
//!
//! A name before the account's address has no at sign and no angle bracket, so that no mail program takes it for an address:
//! some show the name of `"ceo@bank.example, x" <office@qq.com>` alone, some decode a field before they parse it.
//!
//! Invariants: exactly one From, which [`from_rule::qq_accepts`]; fields without a sender stay octet for octet; rewriting
//! twice is rewriting once; no text of a client becomes more than the text of one field.

use crate::mail::Address;
use crate::message::charset::Hints;
use crate::message::header::{Field, Header};
use crate::message::mailbox::{self, Mailbox, tidy_name};
use crate::message::{encoded_word, from_rule};

/// Whether the provider allows a foreign address in From.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromPolicy {
    /// From must be the login; the safe choice, and the only one for QQ.
    MustEqualLogin,
    /// From may also be another address of the account: those given to [`rewrite_sender`].
    MayBeAlias,
    /// The provider puts its own address in From unless it knows the one that is there. So that one stays, and is kept in
    /// fields that the provider does not check.
    RewrittenAnyway,
    /// Any address is allowed; it is only made a single mailbox.
    Free,
}

/// The sender that an account puts on its mail.
#[derive(Clone, Copy, Debug)]
pub struct SenderRewrite<'a> {
    /// The address the account logs in as. Must be qualified.
    pub address: &'a Address,
    /// The name to show when the mail has none.
    pub display: Option<&'a str>,
    /// The addresses that the provider allows.
    pub policy: FromPolicy,
    /// Whether a DKIM-Signature stays although the new From breaks it.
    pub keep_dkim: bool,
}

/// Fields that ask for receipts to an address: only the account's own may stay.
const RECEIPTS: &[&str] = &["Disposition-Notification-To", "Return-Receipt-To", "X-Confirm-Reading-To", "Errors-To"];

const DKIM: &str = "DKIM-Signature";

/// Whether a head has a DKIM-Signature.
pub fn is_signed(head: &[u8]) -> bool {
    Header::parse(head).get(DKIM).is_some()
}

/// At signs, and the forms of it that look alike (small and full width).
const AT_SIGNS: [char; 3] = ['@', '\u{fe6b}', '\u{ff20}'];
/// The characters that make a text a list, a group, a comment or an address (RFC 5322 section 3.2.3).
const SPECIALS: [char; 11] = [',', ';', ':', '<', '>', '(', ')', '[', ']', '"', '\\'];

/// Rewrites the sender of a stored head (fields with CRLF, no blank line) and returns the head to send.
///
/// `aliases` are the account's other addresses; they count for [`FromPolicy::MayBeAlias`] alone.
pub fn rewrite_sender(head: &[u8], rewrite: &SenderRewrite<'_>, aliases: &[Address]) -> Vec<u8> {
    let mut header = Header::parse(head);
    let aliases = if rewrite.policy == FromPolicy::MayBeAlias { aliases } else { &[] };
    let ours = |address: &Address| {
        address.key() == rewrite.address.key() || aliases.iter().any(|alias| alias.key() == address.key())
    };
    let froms = header.fields.iter().filter(|f| f.is("From"));
    let mailboxes: Vec<Mailbox> =
        froms.clone().flat_map(|f| mailbox::parse_field(f.value(), Hints::default())).collect();
    let plain = match froms.collect::<Vec<_>>()[..] {
        [only] => from_rule::accepted_mailbox(only.value()),
        _ => None,
    };
    let old = mailboxes.iter().find_map(|m| m.address().map(|address| (m.name.clone(), address)));
    if rewrite.policy != FromPolicy::Free {
        hide_foreign_senders(&mut header, ours);
        keep_old_address(&mut header, old.as_ref().filter(|(_, address)| !ours(address)));
    }
    let address = match rewrite.policy {
        FromPolicy::Free | FromPolicy::RewrittenAnyway => old.as_ref(),
        FromPolicy::MustEqualLogin | FromPolicy::MayBeAlias => old.as_ref().filter(|(_, address)| ours(address)),
    };
    let address = address.map_or_else(|| rewrite.address.clone(), |(_, address)| address.clone());
    // With `Free` a client may put any address into From, so a name that looks like one adds no risk.
    let safe = |name: &str| if rewrite.policy == FromPolicy::Free { name.to_owned() } else { defuse(name, &address) };
    let old = old.map(|(name, address)| (safe(&name), address));
    let labels = mailboxes.iter().map(|mailbox| safe(&mailbox.label()));
    let name = match rewrite.policy {
        FromPolicy::Free | FromPolicy::RewrittenAnyway => free(rewrite, labels, old),
        FromPolicy::MustEqualLogin | FromPolicy::MayBeAlias => {
            display(rewrite, labels, old.as_ref().filter(|(name, at)| !name.is_empty() || !ours(at)))
        }
    };
    let name = safe(&name);
    let named = mailboxes.first().is_some_and(|m| m.name == name) || name.is_empty();
    // A From that is already right keeps its octets, so that rewriting it again changes nothing.
    if plain.is_none_or(|plain| plain.key() != address.key() || !named) {
        let from = Field::new("From", mailbox::write(&name, &address, "From: ".len()));
        let broken =
            header.count("From") != 1 || header.get("From").is_some_and(|old| old.unfolded() != from.unfolded());
        // A signature covers From (RFC 6376 section 5.4), and one that fails harms more than none.
        if broken && !rewrite.keep_dkim {
            header.remove(DKIM);
        }
        header.set(from);
    }
    header.render()
}

/// The name before the account's address: the old one, else the account's, else the old local part.
fn display(
    rewrite: &SenderRewrite<'_>,
    mut labels: impl Iterator<Item = String>,
    old: Option<&(String, Address)>,
) -> String {
    let kept = old.map(|(name, _)| name.clone()).filter(|name| !name.is_empty());
    let kept = kept.or_else(|| labels.find(|label| !label.is_empty()));
    let foreign = old.filter(|(_, address)| address.key() != rewrite.address.key());
    kept.or_else(|| rewrite.display.map(str::to_owned).filter(|name| !name.trim().is_empty()))
        .or_else(|| foreign.map(|(_, address)| address.local().trim_matches('"').to_owned()))
        .unwrap_or_default()
}

/// The name where the old address may stay.
fn free(rewrite: &SenderRewrite<'_>, labels: impl Iterator<Item = String>, old: Option<(String, Address)>) -> String {
    match old {
        Some((name, address)) if name.is_empty() && address.key() == rewrite.address.key() => {
            rewrite.display.unwrap_or("").to_owned()
        }
        Some((name, _)) => name,
        None => display(rewrite, labels, None),
    }
}

/// Drops Sender, all Resent- fields, and receipts to other addresses: each names an address that is not the account's.
fn hide_foreign_senders(header: &mut Header, ours: impl Fn(&Address) -> bool) {
    header.fields.retain(|field| {
        if field.is("Sender") || field.name().to_ascii_lowercase().starts_with("resent-") {
            return false;
        }
        !field.is_any(RECEIPTS)
            || mailbox::parse_field(field.value(), Hints::default())
                .iter()
                .all(|m| m.address().is_some_and(|address| ours(&address)))
    });
}

/// Keeps the old sender as the address for answers, and visible to a reader.
fn keep_old_address(header: &mut Header, old: Option<&(String, Address)>) {
    let Some((name, address)) = old else { return };
    if mailbox::lacks_address(header.get("Reply-To")) {
        header.set(Field::new("Reply-To", mailbox::write(&defuse(name, address), address, "Reply-To: ".len())));
    }
    if header.get("X-Original-From").is_none() {
        // The address alone: the name is still in From. An `Address` is ASCII without controls, so it needs no encoding.
        header.set(Field::new("X-Original-From", address.as_str()));
    }
}

/// The name as it may be put before `address`. An at sign becomes ` at `, and the specials in such a name become blanks.
///
/// Other names stay; so does the address itself as its own name.
fn defuse(name: &str, address: &Address) -> String {
    let name = opened(name);
    let own = Address::parse(&name).is_ok_and(|named| named.key() == address.key());
    if own || !name.contains(AT_SIGNS) && !name.contains(['<', '>']) {
        return name;
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            c if AT_SIGNS.contains(&c) => out.push_str(" at "),
            c if SPECIALS.contains(&c) => out.push(' '),
            c => out.push(c),
        }
    }
    tidy_name(&out)
}

/// Encoded words within encoded words are opened, because some readers open them. Each round has fewer characters.
fn opened(name: &str) -> String {
    let mut name = tidy_name(name);
    while name.contains("=?") {
        let next = tidy_name(&encoded_word::decode(&name));
        if next == name {
            break;
        }
        name = next;
    }
    name
}

#[cfg(test)]
mod tests;
