//! `[[route]]` and `[[reply]]`: sections whose order counts.
//!
//! Not here: which route fits a message (that is `route`), and what a pattern of a reply means (that is `provider`).
//! Invariant: a route that comes out names accounts, each of them once, and every name in it is that of a section.

use super::layer::{Names, Section};
use super::problem::{Checked, Findings, Problem};
use super::suggest::nearest;
use super::value::ACTIONS;
use super::values::{Values, get};
use crate::provider::{Catalogue, UserRow};
use crate::route::Rule;

/// Checks all routes, in their order.
pub(super) fn routes(values: &Values<'_>, names: &Names<'_>) -> Checked<Vec<Rule>> {
    Findings::of(|findings| {
        let routes: Vec<Option<Rule>> =
            names.routes.iter().map(|section| findings.take(route(values, *section, names))).collect();
        let takes_all =
            |route: &Rule| route.clients.is_empty() && route.senders.is_empty() && route.recipients.is_empty();
        if let Some(at) = routes.iter().position(|route| route.as_ref().is_some_and(takes_all))
            && let Some((next, origin)) = names.routes.get(at + 1)
        {
            let number = names.routes[at].0;
            let text = format!("route.{next} ({origin}): it is never used, because route.{number} fits every mail");
            findings.warnings.push(text);
        }
        routes.into_iter().collect()
    })
}

fn route(values: &Values<'_>, (number, origin): Section<'_>, names: &Names<'_>) -> Checked<Rule> {
    Findings::of(|findings| {
        let path = |key: &str| format!("route.{number}.{key}");
        let texts = |key: &str| get!(values, path(key), Texts).unwrap_or_default();
        if !values.has(&path("account")) {
            let remedy = "add account = \"..\" with the NAME of an [account.NAME]";
            findings.problems.push(Problem::new(&path("account"), origin, "the route leads to no account", remedy));
        }
        let (accounts, clients): (Vec<String>, Vec<String>) = (texts("account"), texts("client"));
        let mut unknown = unknown_names(values, &path("account"), "account", &accounts, &names.accounts);
        unknown.extend(unknown_names(values, &path("client"), "client", &clients, &names.clients));
        let known = unknown.is_empty();
        findings.problems.extend(unknown);
        if let Some((_, twice)) = accounts.iter().enumerate().find(|(at, name)| accounts[..*at].contains(name)) {
            let reason = format!("the account {twice} is in the list twice");
            findings.problems.push(values.misfit(&path("account"), &reason, "name every account once"));
        }
        (known && !accounts.is_empty()).then(|| Rule {
            clients,
            senders: get!(values, path("sender"), Patterns).unwrap_or_default(),
            recipients: get!(values, path("recipient"), Patterns).unwrap_or_default(),
            accounts,
            spread: get!(values, path("spread"), Flag).unwrap_or(false),
        })
    })
}

/// A problem for each name in the value of `key` that is not that of a section.
pub(super) fn unknown_names(
    values: &Values<'_>,
    key: &str,
    kind: &str,
    wanted: &[String],
    sections: &[Section<'_>],
) -> Vec<Problem> {
    let known: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    let problem = |name: &String| {
        let near = nearest(name, known.iter().copied());
        let near = near.map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
        let there = if known.is_empty() {
            format!("add [{kind}.{name}]; there is no section of this kind yet")
        } else {
            format!("there is: {}", known.join(", "))
        };
        values.misfit(key, &format!("there is no [{kind}.{name}]"), &format!("{near}{there}"))
    };
    wanted.iter().filter(|name| !known.contains(&name.as_str())).map(problem).collect()
}

/// Checks one row for the reply catalogue.
pub(super) fn reply(values: &Values<'_>, (number, origin): Section<'_>) -> Checked<UserRow> {
    Findings::of(|findings| {
        let path = |key: &str| format!("reply.{number}.{key}");
        let actions = format!("add action = \"..\"; there is: {}", ACTIONS.join(", "));
        for (key, reason, remedy) in [
            ("pattern", "the row has no pattern", "add pattern = '^550\\b.*words of the reply'"),
            ("action", "the row has no action", actions.as_str()),
        ] {
            if !values.has(&path(key)) {
                findings.problems.push(Problem::new(&path(key), origin, reason, remedy));
            }
        }
        let reply = UserRow {
            provider: get!(values, path("provider"), Provider).map(|preset| preset.name.clone()),
            phase: Some(get!(values, path("phase"), Words).map_or("ANY".to_owned(), |words| words.join(","))),
            pattern: get!(values, path("pattern"), Text)?,
            action: get!(values, path("action"), Text)?,
            scope: get!(values, path("scope"), Word).map(str::to_owned),
            remedy: get!(values, path("remedy"), Text),
        };
        // The catalogue itself reads the row, so that what is right here is right when the relay starts.
        if let Err(error) = Catalogue::with(vec![reply.clone()]) {
            // The other words were read before; only the pattern is new to it.
            let remedy = "write a regular expression without look-around and back-references, between single quotes; a \
                          backslash makes ( ) [ ] { } . * + ? ordinary characters";
            findings.problems.push(values.misfit(&path(error.key()), &error.to_string(), remedy));
            return None;
        }
        Some(reply)
    })
}
