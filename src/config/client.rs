//! One client: which addresses are meant, and what is known of the devices there.
//!
//! Not here: who may send (`listener.NAME.allow` says that), and which entry fits a connection (that is `intake`).
//! Invariant: a client that comes out has a network, or a user that is it, and no network belongs to two clients, so that of
//! all the networks that hold an address, one is the narrowest.

use ipnet::IpNet;

use super::layer::Section;
use super::listener::profile;
use super::problem::{Checked, Findings, Problem};
use super::value::Meaning;
use super::values::{Values, get};
use crate::intake::Client;
use crate::mail::Lane;
use crate::message::Level;

/// Checks the client of `section`.
pub(super) fn client(values: &Values<'_>, (name, origin): Section<'_>) -> Checked<Client> {
    Findings::of(|findings| {
        let path = |key: &str| format!("client.{name}.{key}");
        let has_networks = values.has(&path("from"));
        if !has_networks && !is_user(values, name) {
            let remedy = format!("add from = [\"192.168.1.20\"] to [client.{name}]");
            let reason = "the client has no address to be known by";
            findings.problems.push(Problem::new(&path("from"), origin, reason, &remedy));
            return None;
        }
        // What counts from the greeting on is found by the address alone: no user has logged in by then.
        for key in ["profile", "idle"].map(path).iter().filter(|key| !has_networks && values.has(key)) {
            let text = format!(
                "it counts from the greeting on, when nobody has logged in yet, and the client has no address to be known by; \
                 add `from` to [client.{name}]"
            );
            findings.warnings.push(values.warning(key, &text));
        }
        let minimal = get!(values, path("repair"), Word) == Some("minimal");
        Some(Client {
            name: name.to_owned(),
            from: if has_networks { get!(values, path("from"), Networks)? } else { Vec::new() },
            display: get!(values, path("display"), Text),
            charset: get!(values, path("charset"), Charset),
            reply_to: get!(values, path("reply_to"), Mailbox),
            subject_prefix: get!(values, path("subject_prefix"), Text),
            drop_cron_env: get!(values, path("drop_cron_env"), Flag).unwrap_or(false),
            senders: get!(values, path("sender"), Patterns).unwrap_or_default(),
            null_sender: get!(values, path("null_sender"), Flag).unwrap_or(true),
            recipients: get!(values, path("recipient"), Patterns).unwrap_or_default(),
            profile: get!(values, path("profile"), Word).and_then(profile),
            idle: get!(values, path("idle"), Time),
            lane: get!(values, path("lane"), Word).and_then(Lane::parse).unwrap_or_default(),
            // A word that is none was found when it was read.
            level: if minimal { Level::Minimal } else { Level::Full },
        })
    })
}

/// Whether a user is this client, which is then known by its log-in.
fn is_user(values: &Values<'_>, name: &str) -> bool {
    let names_it =
        |meaning: &Meaning| matches!(meaning, Meaning::Texts(names) if names.iter().any(|known| known == name));
    let is_client = |key: &str| key.starts_with("user.") && key.ends_with(".client");
    values.meanings().any(|(key, meaning)| is_client(key) && names_it(meaning))
}

/// The networks that belong to two clients: it would be chance which of them counts.
pub(super) fn networks(values: &Values<'_>, clients: &[Option<Client>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: Vec<(IpNet, &str)> = Vec::new();
    for client in clients.iter().flatten() {
        for network in &client.from {
            if let Some((_, first)) = seen.iter().find(|(known, name)| known == network && *name != client.name) {
                let reason = format!("{network} is also in client.{first}.from");
                let remedy = "give it to one of the two; of different networks the narrowest counts";
                problems.push(values.misfit(&format!("client.{}.from", client.name), &reason, remedy));
            }
            seen.push((*network, &client.name));
        }
    }
    problems
}
