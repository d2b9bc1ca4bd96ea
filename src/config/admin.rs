//! The HTTP face: its address, tokens, names and TLS.
//!
//! Not here: opening anything. Invariant: a token that can be read now has at least [`SHORTEST_TOKEN`] characters.

use super::listener;
use super::problem::{Checked, Findings, Problem};
use super::secret_place;
use super::values::{Values, get};
use crate::admin::settings::SHORTEST_TOKEN;
use crate::admin::{AdminBind, AdminSettings, MetricsAccess};
use crate::intake::ListenerSettings;
use crate::regular_file;
use crate::secret::{Secret, SecretSource};

const BIND: &str = "admin.bind";
const DEFAULT: Option<&str> = Some("\"127.0.0.1:8025\"");
const TOKEN: &str = "admin.token";
const VIEW: &str = "admin.view_token";

/// Checks the section.
pub(super) fn admin(values: &Values<'_>) -> Checked<AdminSettings> {
    Findings::of(|findings| {
        let bind: Option<AdminBind> = get!(values, BIND, AdminBind);
        let token = findings.take(token(values, TOKEN));
        let view = findings.take(token_pair(values, &token));
        let metrics = get!(values, "admin.metrics", Word).map(|word| match word {
            "token" => MetricsAccess::Token,
            "open" => MetricsAccess::Open,
            _ => MetricsAccess::Loopback,
        });
        let tls = match get!(values, "admin.tls", Word)? {
            "on" => findings.take(listener::identity(values, "admin")).map(Some),
            _ => {
                if values.has("admin.certificate") || values.has("admin.key") {
                    let text = "there is a certificate, but it is not shown to anybody; write tls = \"on\"";
                    findings.warnings.push(values.warning("admin.tls", text));
                }
                Some(None)
            }
        };
        if let (Some(AdminBind::Tcp(addr)), Some(None)) = (&bind, &tls)
            && !addr.ip().is_loopback()
        {
            let text =
                "tokens cross the network in the clear; tls = \"on\" protects them, or a proxy in front of 127.0.0.1";
            findings.warnings.push(values.warning(BIND, text));
        }
        Some(AdminSettings {
            bind: bind?,
            // The default counts as such where it is written, too: the reference file means the same as no file.
            named: values.shown.get(BIND).map(String::as_str) != DEFAULT,
            token: token?.map(|(source, _)| source),
            view_token: view?,
            names: get!(values, "admin.names", Texts).unwrap_or_default(),
            metrics: metrics?,
            tls: tls?,
        })
    })
}

/// A token, and its text if it can be read now; `Some(None)` when none was written.
type Token = Option<(SecretSource, Option<Secret>)>;

fn token(values: &Values<'_>, key: &str) -> Checked<Token> {
    Findings::of(|findings| {
        if !values.has(key) {
            return Some(None);
        }
        let source: SecretSource = get!(values, key, Secret)?;
        let source = findings.take(secret_place::look(values, key, source))?;
        let text = match &source {
            SecretSource::Plain(text) => Some(text.clone()),
            SecretSource::Env(name) => values.variable(name).map(Secret::new),
            SecretSource::File(file) => regular_file::read_text(file).ok().map(|text| Secret::new(&text)),
        };
        if text.as_ref().is_some_and(|text| text.expose().chars().count() < SHORTEST_TOKEN) {
            let reason = format!("a token with fewer than {SHORTEST_TOKEN} characters can be guessed");
            let remedy =
                "use what `openssl rand -base64 32` prints, or remove the line: the relay makes a token of its own";
            findings.problems.push(Problem::new(key, values.origin(key), &reason, remedy));
            return None;
        }
        Some(Some((source, text)))
    })
}

/// The view token, which must not be the other one.
fn token_pair(values: &Values<'_>, full: &Option<Token>) -> Checked<Option<SecretSource>> {
    Findings::of(|findings| {
        let Some((source, text)) = findings.take(token(values, VIEW))? else { return Some(None) };
        let full = full.as_ref().and_then(|full| full.as_ref()?.1.as_ref());
        if text.is_some() && full == text.as_ref() {
            let remedy = "give it a text of its own, so that its holder cannot give orders";
            findings.problems.push(Problem::new(VIEW, values.origin(VIEW), "it is the same as admin.token", remedy));
            return None;
        }
        Some(Some(source))
    })
}

/// The address is not that of a listener.
pub(super) fn address(
    values: &Values<'_>,
    admin: Option<&AdminSettings>,
    listeners: &[Option<ListenerSettings>],
) -> Option<Problem> {
    let AdminBind::Tcp(own) = admin?.bind else { return None };
    let same = |listener: &&ListenerSettings| listener.bind.contains(&own);
    let listener = listeners.iter().flatten().find(same)?;
    let key = format!("listener.{}.bind", listener.name);
    let (key, reason) = match admin?.named {
        true => (BIND.to_owned(), format!("{own} is also in {key}")),
        false => (key, format!("{own} is where page and API listen, unless admin.bind says otherwise")),
    };
    Some(values.misfit(&key, &reason, "name every address once"))
}
