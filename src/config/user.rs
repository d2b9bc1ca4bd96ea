//! One user: somebody who may log in at a listener with `auth = "verify"`, and what is known of it.
//!
//! Not here: whether a password is right (that is `intake`). Invariants: a user that comes out has a password that can
//! be right, a log-in name that no other user has, and no hash of a password is in any text from here.

use super::check::{Check, Section, get};
use super::secret_place;
use super::settings::{Auth, Listener, User};
use super::value::Meaning;
use super::{check::Names, route};
use crate::secret::SecretSource;
use crate::secret::password::{Password, is_hash};

/// Puts the user of `section` together; `None` after a problem was noted.
pub(super) fn user(check: &mut Check<'_>, (name, origin): Section<'_>, names: &Names<'_>) -> Option<User> {
    let path = |key: &str| format!("user.{name}.{key}");
    let password = password(check, (name, origin));
    let clients: Vec<String> = get!(check, path("client"), Texts).unwrap_or_default();
    let known = route::exist(check, &path("client"), "client", &clients, &names.clients);
    if clients.len() > 1 {
        check.misfit(&path("client"), "a user is one client", "name one, or make a user for each");
    }
    let accounts: Vec<String> = get!(check, path("account"), Texts).unwrap_or_default();
    let known = route::exist(check, &path("account"), "account", &accounts, &names.accounts) && known;
    if accounts.len() > 1 {
        check.misfit(
            &path("account"),
            "a user has one account",
            "name one, or tie it to a client, and give that a route",
        );
    }
    known.then_some(User {
        name: name.to_owned(),
        login: get!(check, path("login"), Text).unwrap_or_else(|| name.to_owned()),
        password: password?,
        client: clients.into_iter().next(),
        account: accounts.into_iter().next(),
        senders: get!(check, path("sender"), Texts).unwrap_or_default(),
    })
}

fn password(check: &mut Check<'_>, (name, origin): Section<'_>) -> Option<SecretSource> {
    let path = format!("user.{name}.password");
    if !check.shown.contains_key(&path) {
        let remedy = format!("add password = \"$argon2id$..\" to [user.{name}]; `yizhan hash-password` makes it");
        check.problem(&path, None, origin, "the user has no password", &remedy);
        return None;
    }
    let source: SecretSource = get!(check, path, Secret)?;
    if let SecretSource::Plain(secret) = &source
        && is_hash(secret)
    {
        // A hash may stand in the settings: that is what it is for.
        return match Password::new(secret.clone()) {
            Ok(_) => Some(source),
            Err(error) => {
                check.misfit(&path, &error.to_string(), "make it with `yizhan hash-password`, and copy all of it");
                None
            }
        };
    }
    secret_place::look(check, &path, &source).map(|()| source)
}

/// No two users with one log-in name, and users where there are log-ins.
pub(super) fn log_ins(check: &mut Check<'_>, users: &[Option<User>], listeners: &[Option<Listener>]) {
    for (at, user) in users.iter().enumerate() {
        let Some(user) = user else { continue };
        let same = |other: &&User| other.login.eq_ignore_ascii_case(&user.login);
        if let Some(first) = users[..at].iter().flatten().find(same) {
            let reason = format!("[user.{}] logs in with the same name", first.name);
            check.misfit(&format!("user.{}.login", user.name), &reason, "give each user a log-in name of its own");
        }
    }
    let mut verifies = false;
    for listener in listeners.iter().flatten().filter(|listener| listener.auth == Auth::Verify) {
        verifies = true;
        let path = format!("listener.{}.auth", listener.name);
        if users.is_empty() {
            let remedy = "add [user.NAME] with a password, or write \"accept-any\"";
            check.misfit(&path, "nobody could log in: there is no user", remedy);
        }
        if listener.tls.is_none() {
            let origin = check.origins.get(&path).cloned().unwrap_or_default();
            check.warnings.push(format!(
                "{path} ({origin}): passwords cross the network in the clear; tls = \"starttls\" or \"implicit\" protects those \
                 of clients that can do it"
            ));
        }
    }
    if !users.is_empty() && !verifies && listeners.iter().all(Option::is_some) {
        check
            .warnings
            .push("there are users, but no listener has auth = \"verify\": nobody is asked for a password".to_owned());
    }
}
