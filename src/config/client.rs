//! One client: which addresses are meant, and what is known of the devices there.
//!
//! Not here: who may send (`listener.NAME.allow` says that), and which entry fits a connection (that is `intake`).
//! Invariant: a client that comes out has a network, or a user who is it, and no network belongs to two clients, so that of all the networks
//! an address lies in, one is the narrowest.

use ipnet::IpNet;

use super::check::{Check, Section, get};
use super::settings::{Client, Profile, RepairLevel};
use super::value::Meaning;
use crate::mail::Lane;
use crate::route::Pattern;

/// Puts the client of `section` together; `None` after a problem was noted.
pub(super) fn client(check: &mut Check<'_>, (name, origin): Section<'_>) -> Option<Client> {
    let path = |key: &str| format!("client.{name}.{key}");
    let from: Option<Vec<IpNet>> = get!(check, path("from"), Networks);
    if !check.shown.contains_key(&path("from")) && !is_user(check, name) {
        let remedy = format!("add from = [\"192.168.1.20\"] to [client.{name}]");
        check.problem(&path("from"), None, origin, "the client has no address to be known by", &remedy);
        return None;
    }
    too_late(check, name);
    let (senders, recipients) = (patterns(check, &path("sender")), patterns(check, &path("recipient")));
    let minimal = get!(check, path("repair"), Word) == Some("minimal");
    Some(Client {
        name: name.to_owned(),
        from: if check.shown.contains_key(&path("from")) { from? } else { Vec::new() },
        display: get!(check, path("display"), Text),
        charset: get!(check, path("charset"), Charset),
        reply_to: get!(check, path("reply_to"), Mailbox),
        subject_prefix: get!(check, path("subject_prefix"), Text),
        drop_cron_env: get!(check, path("drop_cron_env"), Flag).unwrap_or(false),
        senders: senders?,
        null_sender: get!(check, path("null_sender"), Flag).unwrap_or(true),
        recipients: recipients?,
        profile: get!(check, path("profile"), Word).and_then(Profile::of),
        idle: get!(check, path("idle"), Time),
        lane: get!(check, path("lane"), Word).and_then(Lane::parse).unwrap_or_default(),
        // A word that is none was noted when it was read.
        repair: if minimal { RepairLevel::Minimal } else { RepairLevel::Full },
    })
}

/// What counts from the greeting on is found by the address alone: nobody has logged in by then.
fn too_late(check: &mut Check<'_>, name: &str) {
    let path = |key: &str| format!("client.{name}.{key}");
    if check.shown.contains_key(&path("from")) {
        return;
    }
    for path in [path("profile"), path("idle")].into_iter().filter(|path| check.shown.contains_key(path)) {
        let origin = check.origins.get(&path).cloned().unwrap_or_default();
        check.warnings.push(format!(
            "{path} ({origin}): it counts from the greeting on, when nobody has logged in yet, and the client has no address to be \
             known by; add `from` to [client.{name}]"
        ));
    }
}

/// A list of patterns, as they will be compared; empty when nothing was written. `None` after a problem was noted.
fn patterns(check: &Check<'_>, path: &str) -> Option<Vec<Pattern>> {
    if !check.shown.contains_key(path) {
        return Some(Vec::new());
    }
    // A text that is no pattern was noted when it was read.
    get!(check, path, Texts)?.iter().map(|text| Pattern::parse(text).ok()).collect()
}

/// Whether a user is this client, who is then known by its log-in.
fn is_user(check: &Check<'_>, name: &str) -> bool {
    let names_it =
        |meaning: &Meaning| matches!(meaning, Meaning::Texts(names) if names.iter().any(|known| known == name));
    check
        .meanings
        .iter()
        .any(|(path, meaning)| path.starts_with("user.") && path.ends_with(".client") && names_it(meaning))
}

/// No network belongs to two clients: it would be chance which of them counts.
pub(super) fn networks(check: &mut Check<'_>, clients: &[Option<Client>]) {
    let mut seen: Vec<(IpNet, &str)> = Vec::new();
    for client in clients.iter().flatten() {
        for network in &client.from {
            if let Some((_, first)) = seen.iter().find(|(known, name)| known == network && *name != client.name) {
                let reason = format!("{network} is also in client.{first}.from");
                let remedy = "give it to one of the two; of different networks the narrowest counts";
                check.misfit(&format!("client.{}.from", client.name), &reason, remedy);
            }
            seen.push((*network, &client.name));
        }
    }
}
