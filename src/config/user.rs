//! One user that may log in at a listener with `auth = "verify"`, and what is known of it.
//!
//! Not here: whether a password is right (that is `intake`). Invariants: a user that comes out has a password that can
//! be right, a log-in name that no other user has, and no hash of a password is in any text from here.

use std::sync::Arc;

use super::layer::{Names, Section};
use super::problem::{Checked, Findings, Problem};
use super::route::unknown_names;
use super::secret_place;
use super::values::{Values, get};
use crate::intake::{Client, ListenerSettings, User};
use crate::route::Pool;
use crate::secret::SecretSource;
use crate::secret::password::{Password, is_hash};
use crate::smtp::server::AuthMode;

/// Checks the user of `section`. `clients` are those that have no mistake.
pub(super) fn user(
    values: &Values<'_>,
    (name, origin): Section<'_>,
    names: &Names<'_>,
    clients: &[Arc<Client>],
) -> Checked<User> {
    Findings::of(|findings| {
        let path = |key: &str| format!("user.{name}.{key}");
        let password = findings.take(password(values, (name, origin)));
        let mut one_of = |kind: &str, sections: &[Section<'_>], reason: &str, remedy: &str| {
            let wanted: Vec<String> = get!(values, path(kind), Texts).unwrap_or_default();
            let unknown = unknown_names(values, &path(kind), kind, &wanted, sections);
            let known = unknown.is_empty();
            findings.problems.extend(unknown);
            if wanted.len() > 1 {
                findings.problems.push(values.misfit(&path(kind), reason, remedy));
            }
            known.then(|| wanted.into_iter().next())
        };
        let client = one_of("client", &names.clients, "a user is one client", "name one, or make a user for each");
        let remedy = "name one, or tie it to a client, and give that a route";
        let account = one_of("account", &names.accounts, "a user has one account", remedy);
        Some(User {
            name: name.to_owned(),
            login: get!(values, path("login"), Text).unwrap_or_else(|| name.to_owned()),
            password: password?,
            client: client?.and_then(|name| clients.iter().find(|client| client.name == name)).cloned(),
            pool: account?.map(|name| Pool { accounts: vec![name], spread: false }.text()),
            senders: get!(values, path("sender"), Patterns).unwrap_or_default(),
        })
    })
}

fn password(values: &Values<'_>, (name, origin): Section<'_>) -> Checked<SecretSource> {
    let key = format!("user.{name}.password");
    Findings::of(|findings| {
        if !values.has(&key) {
            let remedy = format!("add password = \"$argon2id$..\" to [user.{name}]; `yizhan hash-password` makes it");
            findings.problems.push(Problem::new(&key, origin, "the user has no password", &remedy));
            return None;
        }
        let source: SecretSource = get!(values, key, Secret)?;
        if let SecretSource::Plain(secret) = &source
            && is_hash(secret)
        {
            // A hash may stand in the settings: that is what it is for.
            let Err(error) = Password::new(secret.clone()) else { return Some(source) };
            let remedy = "make it with `yizhan hash-password`, and copy all of it";
            findings.problems.push(values.misfit(&key, &error.to_string(), remedy));
            return None;
        }
        findings.take(secret_place::look(values, &key, source))
    })
}

/// Whether each user has a log-in name of its own, and whether there are users where there are log-ins.
pub(super) fn log_ins(values: &Values<'_>, users: &[Option<User>], listeners: &[Option<ListenerSettings>]) -> Findings {
    let mut findings = Findings::default();
    for (at, user) in users.iter().enumerate() {
        let Some(user) = user else { continue };
        let same = |other: &&User| other.login.eq_ignore_ascii_case(&user.login);
        if let Some(first) = users[..at].iter().flatten().find(same) {
            let reason = format!("[user.{}] logs in with the same name", first.name);
            let key = format!("user.{}.login", user.name);
            findings.problems.push(values.misfit(&key, &reason, "give each user a log-in name of its own"));
        }
    }
    let mut verifies = false;
    for listener in listeners.iter().flatten().filter(|listener| listener.auth == AuthMode::Verify) {
        verifies = true;
        let key = format!("listener.{}.auth", listener.name);
        if users.is_empty() {
            let remedy = "add [user.NAME] with a password, or write \"accept-any\"";
            findings.problems.push(values.misfit(&key, "nobody could log in: there is no user", remedy));
        }
        if listener.tls.is_none() {
            let text = "passwords cross the network in the clear; tls = \"starttls\" or \"implicit\" protects those of clients \
                        that can do it";
            findings.warnings.push(values.warning(&key, text));
        }
    }
    if !users.is_empty() && !verifies && listeners.iter().all(Option::is_some) {
        let text = "there are users, but no listener has auth = \"verify\": nobody is asked for a password";
        findings.warnings.push(text.to_owned());
    }
    findings
}
