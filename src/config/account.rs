//! One account: what the preset says, what the user changed, and what is still missing.
//!
//! Not here: whether the log-in works. Invariant: an account that comes out has a place to connect to, a way to log in
//! and a secret (or a caller who can ask for it), and never a connection without TLS (RFC 8314 section 3).

use super::check::{Check, Section, get};
use super::secret_place;
use super::settings::{Account, Budget};
use super::value::Meaning;
use crate::mail::Address;
use crate::provider::{self, Endpoint, Mechanism, Preset, Tls, UserForm, Windows};
use crate::secret::{Secret, SecretSource};

/// Puts the account of `section` together; `None` after a problem was noted.
pub(super) fn account(check: &mut Check<'_>, (name, origin): Section<'_>) -> Option<Account> {
    let path = |key: &str| format!("account.{name}.{key}");
    for (key, what) in [("provider", "provider"), ("user", "log-in name")] {
        missing(check, (name, origin), key, what);
    }
    let secret = secret(check, (name, origin));
    let ca = secret_place::authority(check, &path("ca"));
    let preset: Option<&'static Preset> = get!(check, path("provider"), Provider);
    let user: Option<String> = get!(check, path("user"), Text);
    let login = user.as_ref().and_then(|user| Address::parse(user).ok()).filter(Address::is_qualified);
    let endpoints = preset.and_then(|preset| endpoints(check, name, preset));
    let (preset, user) = (preset?, user?);
    if preset.user_form == UserForm::Address && login.is_none() {
        let reason = format!("{} logs in with a whole mail address, and this is none", preset.title);
        check.misfit(&path("user"), &reason, "write the whole address, such as name@example.com");
        return None;
    }
    let address = mailbox(check, name, login);
    let login: Option<Vec<&str>> = get!(check, path("login"), Words);
    Some(Account {
        name: name.to_owned(),
        user,
        aliases: aliases(check, name, address.as_ref()?),
        keep_dkim: get!(check, path("keep_dkim"), Flag).unwrap_or(false),
        address: Some(address?),
        secret: secret?,
        endpoints: endpoints?,
        login: login.map_or_else(|| preset.login.clone(), |words| mechanisms(&words)),
        ca: ca?,
        budget: budget(check, name, preset),
        proxy: proxy(check, name),
        preset,
    })
}

/// The mailbox to send as: `address`, else the log-in name when it is one. `None` after a mistake.
fn mailbox(check: &mut Check<'_>, name: &str, login: Option<Address>) -> Option<Address> {
    let path = format!("account.{name}.address");
    if check.shown.contains_key(&path) {
        return get!(check, path, Mailbox);
    }
    if login.is_none() {
        let origin = check.origins.get(&format!("account.{name}.user")).cloned().unwrap_or_default();
        let reason = "the log-in name is not a mail address, so it is not known which mailbox sends";
        let remedy = format!("add address = \"office@example.com\" to [account.{name}]");
        check.problem(&path, None, &origin, reason, &remedy);
    }
    login
}

/// The other addresses, each once. The account's own is one in any case.
fn aliases(check: &Check<'_>, name: &str, address: &Address) -> Vec<Address> {
    let mut all: Vec<Address> = get!(check, format!("account.{name}.aliases"), Mailboxes).unwrap_or_default();
    let mut seen = vec![address.key()];
    all.retain(|alias| {
        let new = !seen.contains(&alias.key());
        seen.push(alias.key());
        new
    });
    all
}

fn mechanisms(words: &[&str]) -> Vec<Mechanism> {
    let mechanism = |word: &&str| [Mechanism::Login, Mechanism::Plain].into_iter().find(|m| m.word() == *word);
    let mut chosen: Vec<Mechanism> = words.iter().filter_map(mechanism).collect();
    chosen.dedup();
    chosen
}

/// Notes that `key` was not written at all; something wrong was noted before.
fn missing(check: &mut Check<'_>, (name, origin): Section<'_>, key: &str, what: &str) {
    let path = format!("account.{name}.{key}");
    if check.shown.contains_key(&path) {
        return;
    }
    let short = if name == "main" { format!(", or set YIZHAN_{}", key.to_ascii_uppercase()) } else { String::new() };
    let remedy = match key {
        "provider" => {
            let names = provider::names().collect::<Vec<_>>().join(", ");
            format!("add provider = \"..\" to [account.{name}]{short}; there is: {names}")
        }
        "user" => format!("add user = \"name@example.com\" to [account.{name}]{short}"),
        _ => format!("add secret = {{ file = \"/path\" }} to [account.{name}]{short}"),
    };
    check.problem(&path, None, origin, &format!("the account has no {what}"), &remedy);
}

/// `None` after a mistake, `Some(None)` when the caller will ask.
fn secret(check: &mut Check<'_>, section: Section<'_>) -> Option<Option<SecretSource>> {
    let path = format!("account.{}.secret", section.0);
    if !check.shown.contains_key(&path) {
        if check.sources.can_ask {
            return Some(None);
        }
        missing(check, section, "secret", "secret");
        return None;
    }
    let source: SecretSource = get!(check, path, Secret)?;
    secret_place::look(check, &path, &source).map(|()| Some(source))
}

/// What the owner allows in each window.
fn budget(check: &Check<'_>, name: &str, preset: &Preset) -> Budget {
    let whole = |key: &str| get!(check, format!("account.{name}.budget.{key}"), Whole);
    let limit = |unit: &str, window: &str| whole(&format!("{unit}_per_{window}")).and_then(|n| u32::try_from(n).ok());
    let windows =
        |unit: &str| Windows { minute: limit(unit, "minute"), hour: limit(unit, "hour"), day: limit(unit, "day") };
    let connections = whole("connections").and_then(|n| usize::try_from(n).ok());
    Budget {
        messages: windows("messages"),
        recipients: windows("recipients"),
        logins: windows("logins"),
        connections: connections.unwrap_or(preset.connections),
    }
}

/// The way to the provider. A password in the file is warned about.
fn proxy(check: &mut Check<'_>, name: &str) -> Option<Secret> {
    let path = format!("account.{name}.proxy");
    let proxy: Secret = get!(check, path, Proxy)?;
    let origin = check.origins.get(&path).cloned().unwrap_or_default();
    if proxy.expose().contains('@') && !origin.starts_with('$') {
        let variable = format!("YIZHAN__ACCOUNT__{}__PROXY", name.to_ascii_uppercase());
        check.warnings.push(format!(
            "{path} ({origin}): the proxy's password is in the settings themselves; ${variable} keeps it apart from them"
        ));
    }
    Some(proxy)
}

/// The preset's places, or the one place that `host`, `port` and `tls` say.
fn endpoints(check: &mut Check<'_>, name: &str, preset: &Preset) -> Option<Vec<Endpoint>> {
    let path = |key: &str| format!("account.{name}.{key}");
    let host: Option<String> = get!(check, path("host"), Text).or_else(|| preset.hosts.first().cloned());
    let Some(host) = host else {
        if !check.shown.contains_key(&path("host")) {
            let remedy = format!("add host = \"smtp.example.com\" to [account.{name}]");
            let reason = format!("provider \"{}\" needs the name of the server", preset.name);
            let origin = check.origins.get(&path("provider")).cloned().unwrap_or_default();
            check.problem(&path("host"), None, &origin, &reason, &remedy);
        }
        return None;
    };
    let all = preset.endpoints(&host);
    // What was written wrongly was noted; then nothing is made up in its place.
    let unread = |key: &str| check.shown.contains_key(&path(key)) && !check.meanings.contains_key(&path(key));
    if unread("host") || unread("port") || unread("tls") {
        return None;
    }
    let port = get!(check, path("port"), Whole).and_then(|port| u16::try_from(port).ok());
    let tls = get!(check, path("tls"), Word).map(|word| if word == "implicit" { Tls::Implicit } else { Tls::StartTls });
    match (port, tls) {
        (None, None) => Some(all),
        (Some(port), Some(tls)) => Some(vec![Endpoint { host, port, tls }]),
        (None, Some(tls)) => Some(all.into_iter().filter(|place| place.tls == tls).collect()),
        (Some(port), None) => {
            // RFC 8314 section 3: 465 is implicit; 587 and 25 begin in the clear.
            let usual = match port {
                465 => Some(Tls::Implicit),
                25 | 587 => Some(Tls::StartTls),
                _ => None,
            };
            let known = all.iter().find(|place| place.port == port).map(|place| place.tls).or(usual);
            if known.is_none() {
                check.misfit(
                    &path("port"),
                    "it is not known how TLS begins at this port",
                    "add tls = \"implicit\" or tls = \"starttls\"",
                );
            }
            known.map(|tls| vec![Endpoint { host, port, tls }])
        }
    }
}
