//! `[[route]]` and `[[reply]]`: sections whose order counts.
//!
//! Not here: which route fits a message (that is `route`), and what a pattern of a reply means (that is `provider`).
//! Invariant: a route that comes out names accounts, each of them once, and every name in it is that of a section.

use super::check::{Check, Names, Section, get};
use super::settings::{Reply, Route};
use super::suggest::nearest;
use super::value::{ACTIONS, Meaning};
use crate::provider::Catalogue;

/// All routes in their order; `None` after a problem was noted.
pub(super) fn routes(check: &mut Check<'_>, names: &Names<'_>) -> Option<Vec<Route>> {
    let routes: Vec<Option<Route>> = names.routes.iter().map(|section| route(check, *section, names)).collect();
    let takes_all = |route: &Route| route.clients.is_empty() && route.senders.is_empty() && route.recipients.is_empty();
    if let Some(at) = routes.iter().position(|route| route.as_ref().is_some_and(takes_all))
        && let Some((next, origin)) = names.routes.get(at + 1)
    {
        let number = names.routes[at].0;
        check
            .warnings
            .push(format!("route.{next} ({origin}): it is never used, because route.{number} fits every mail"));
    }
    routes.into_iter().collect()
}

fn route(check: &mut Check<'_>, (number, origin): Section<'_>, names: &Names<'_>) -> Option<Route> {
    let path = |key: &str| format!("route.{number}.{key}");
    let texts = |check: &Check<'_>, key: &str| get!(check, path(key), Texts);
    let accounts: Vec<String> = if check.shown.contains_key(&path("account")) {
        texts(check, "account").unwrap_or_default()
    } else {
        let remedy = "add account = \"..\" with the NAME of an [account.NAME]";
        check.problem(&path("account"), None, origin, "the route leads to no account", remedy);
        Vec::new()
    };
    let clients = texts(check, "client").unwrap_or_default();
    let known = exist(check, &path("account"), "account", &accounts, &names.accounts)
        & exist(check, &path("client"), "client", &clients, &names.clients);
    if let Some((_, twice)) = accounts.iter().enumerate().find(|(at, name)| accounts[..*at].contains(name)) {
        check.misfit(&path("account"), &format!("the account {twice} is in the list twice"), "name every account once");
    }
    (known && !accounts.is_empty()).then(|| Route {
        clients,
        senders: texts(check, "sender").unwrap_or_default(),
        recipients: texts(check, "recipient").unwrap_or_default(),
        accounts,
        spread: get!(check, path("spread"), Flag).unwrap_or(false),
    })
}

/// Whether every name is that of a section; if not, it was noted.
pub(super) fn exist(
    check: &mut Check<'_>,
    path: &str,
    kind: &str,
    wanted: &[String],
    sections: &[Section<'_>],
) -> bool {
    let mut all = true;
    for name in wanted {
        if sections.iter().any(|(known, _)| known == name) {
            continue;
        }
        all = false;
        let near = nearest(name, sections.iter().map(|(known, _)| *known));
        let near = near.map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
        let there = match sections {
            [] => format!("add [{kind}.{name}]; there is no section of this kind yet"),
            some => format!("there is: {}", some.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ")),
        };
        check.misfit(path, &format!("there is no [{kind}.{name}]"), &format!("{near}{there}"));
    }
    all
}

/// One row for the reply catalogue; `None` after a problem was noted.
pub(super) fn reply(check: &mut Check<'_>, (number, origin): Section<'_>) -> Option<Reply> {
    let path = |key: &str| format!("reply.{number}.{key}");
    let actions = format!("add action = \"..\"; there is: {}", ACTIONS.join(", "));
    for (key, reason, remedy) in [
        ("pattern", "the row has no pattern", "add pattern = '^550\\b.*words of the reply'"),
        ("action", "the row has no action", actions.as_str()),
    ] {
        if !check.shown.contains_key(&path(key)) {
            check.problem(&path(key), None, origin, reason, remedy);
        }
    }
    let reply = Reply {
        provider: get!(check, path("provider"), Provider).map(|preset| preset.name.clone()),
        phases: get!(check, path("phase"), Words).unwrap_or_else(|| vec!["ANY"]),
        pattern: get!(check, path("pattern"), Text)?,
        action: get!(check, path("action"), Text)?,
        scope: get!(check, path("scope"), Word).map(str::to_owned),
        remedy: get!(check, path("remedy"), Text),
    };
    // The catalogue itself reads the row, so that what is right here is right when the relay starts.
    if let Err(error) = Catalogue::with(vec![reply.row()]) {
        // The other words were read before; only the pattern is new to it.
        let remedy = "write a regular expression without look-around and back-references, between single quotes; a \
                      backslash makes ( ) [ ] { } . * + ? ordinary characters";
        check.misfit(&path(error.key()), &error.to_string(), remedy);
        return None;
    }
    Some(reply)
}
