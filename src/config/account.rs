//! One account: what the preset says, what the user changed, and what is still missing.
//!
//! Not here: whether the log-in works. Invariant: an account that comes out has a place to connect to, a way to log in
//! and a secret (or a caller who can ask for it), and never a connection without TLS (RFC 8314 section 3).

use super::layer::Section;
use super::oauth;
use super::problem::{Checked, Findings, Problem};
use super::secret_place;
use super::settings::Account;
use super::values::{Values, get};
use crate::account::budget::BudgetLimits;
use crate::mail::Address;
use crate::net::proxy::Proxy;
use crate::provider::{self, Endpoint, Mechanism, Preset, Tls, UserForm, Windows};
use crate::secret::SecretSource;

/// Checks the account of `section`.
pub(super) fn account(values: &Values<'_>, section: Section<'_>) -> Checked<Account> {
    Findings::of(|findings| {
        let name = section.0;
        let path = |key: &str| format!("account.{name}.{key}");
        for (key, what) in [("provider", "provider"), ("user", "log-in name")] {
            findings.problems.extend(missing(values, section, key, what));
        }
        let secret = findings.take(secret(values, section));
        let ca = findings.take(secret_place::authority(values, &path("ca")));
        let preset: Option<&'static Preset> = get!(values, path("provider"), Provider);
        let user: Option<String> = get!(values, path("user"), Text);
        let login = user.as_ref().and_then(|user| Address::parse(user).ok()).filter(Address::is_qualified);
        let endpoints = preset.and_then(|preset| findings.take(endpoints(values, name, preset)));
        let (preset, user) = (preset?, user?);
        if preset.user_form == UserForm::Address && login.is_none() {
            let reason = format!("{} logs in with a whole mail address, and this is none", preset.title);
            let remedy = "write the whole address, such as name@example.com";
            findings.problems.push(values.misfit(&path("user"), &reason, remedy));
            return None;
        }
        let address = findings.take(mailbox(values, name, login))?;
        let proxy = get!(values, path("proxy"), Proxy);
        findings.warnings.extend(proxy.as_ref().and_then(|proxy| written_password(values, name, proxy)));
        let usual = Account::of_preset(name, preset, &user, address);
        let way = oauth::Way { preset, user: &user, proxy: proxy.as_ref(), ca: ca.as_ref(), secret: secret.as_ref() };
        let oauth = findings.take(oauth::oauth(values, section, way));
        let whole = |key: &str| get!(values, path(key), Whole);
        Some(Account {
            aliases: aliases(values, name, &usual.address),
            keep_dkim: get!(values, path("keep_dkim"), Flag).unwrap_or(usual.keep_dkim),
            secret: secret?,
            endpoints: endpoints?,
            login: match oauth.as_ref()? {
                Some(_) => Mechanism::FOR_TOKENS.to_vec(),
                None => get!(values, path("login"), Words).map_or(usual.login, |words| mechanisms(&words)),
            },
            oauth: oauth?,
            ca: ca?,
            budget: budget(values, name, usual.budget),
            connections: whole("budget.connections").and_then(|n| usize::try_from(n).ok()).unwrap_or(usual.connections),
            proxy,
            ..usual
        })
    })
}

/// The mailbox to send as: `address`, else the log-in name when it is one.
fn mailbox(values: &Values<'_>, name: &str, login: Option<Address>) -> Checked<Address> {
    let key = format!("account.{name}.address");
    Findings::of(|findings| {
        if values.has(&key) {
            return get!(values, key, Mailbox);
        }
        if login.is_none() {
            let origin = values.origin(&format!("account.{name}.user"));
            let reason = "the log-in name is not a mail address, so it is not known which mailbox sends";
            let remedy = format!("add address = \"office@example.com\" to [account.{name}]");
            findings.problems.push(Problem::new(&key, origin, reason, &remedy));
        }
        login
    })
}

/// The other addresses, each once. The account's own is one in any case.
fn aliases(values: &Values<'_>, name: &str, address: &Address) -> Vec<Address> {
    let mut all: Vec<Address> = get!(values, format!("account.{name}.aliases"), Mailboxes).unwrap_or_default();
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

/// The problem that `key` was not written at all. A value that is wrong was found when it was read.
fn missing(values: &Values<'_>, (name, origin): Section<'_>, key: &str, what: &str) -> Option<Problem> {
    let path = format!("account.{name}.{key}");
    if values.has(&path) {
        return None;
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
    Some(Problem::new(&path, origin, &format!("the account has no {what}"), &remedy))
}

/// `Some(None)` when the caller will ask.
fn secret(values: &Values<'_>, section: Section<'_>) -> Checked<Option<SecretSource>> {
    let key = format!("account.{}.secret", section.0);
    Findings::of(|findings| {
        if !values.has(&key) && (values.can_ask() || oauth::is_there(values, section.0)) {
            return Some(None);
        }
        findings.problems.extend(missing(values, section, "secret", "secret"));
        let source: SecretSource = get!(values, key, Secret)?;
        findings.take(secret_place::look(values, &key, source)).map(Some)
    })
}

/// The limits of each window: the owner's, else those of the preset.
fn budget(values: &Values<'_>, name: &str, preset: BudgetLimits) -> BudgetLimits {
    let limit = |unit: &str, window: &str| {
        let key = format!("account.{name}.budget.{unit}_per_{window}");
        get!(values, key, Whole).and_then(|n| u32::try_from(n).ok())
    };
    let windows = |unit: &str, preset: Windows| Windows {
        minute: limit(unit, "minute").or(preset.minute),
        hour: limit(unit, "hour").or(preset.hour),
        day: limit(unit, "day").or(preset.day),
    };
    BudgetLimits {
        messages: windows("messages", preset.messages),
        recipients: windows("recipients", preset.recipients),
        logins: windows("logins", preset.logins),
        day: preset.day,
    }
}

/// The warning about a proxy whose password is in the file.
fn written_password(values: &Values<'_>, name: &str, proxy: &Proxy) -> Option<String> {
    let key = format!("account.{name}.proxy");
    let variable = format!("YIZHAN__ACCOUNT__{}__PROXY", name.to_ascii_uppercase());
    let text = format!("the proxy's password is in the settings themselves; ${variable} keeps it apart from them");
    (proxy.has_login() && !values.origin(&key).starts_with('$')).then(|| values.warning(&key, &text))
}

/// The preset's places, or the one place that `host`, `port` and `tls` say.
fn endpoints(values: &Values<'_>, name: &str, preset: &Preset) -> Checked<Vec<Endpoint>> {
    let path = |key: &str| format!("account.{name}.{key}");
    Findings::of(|findings| {
        let of_cloud = || oauth::smtp_host(values, name, preset).or_else(|| preset.hosts.first().cloned());
        let host: Option<String> = get!(values, path("host"), Text).or_else(of_cloud);
        let Some(host) = host else {
            if !values.has(&path("host")) {
                let remedy = format!("add host = \"smtp.example.com\" to [account.{name}]");
                let reason = format!("provider \"{}\" needs the name of the server", preset.name);
                findings.problems.push(Problem::new(&path("host"), values.origin(&path("provider")), &reason, &remedy));
            }
            return None;
        };
        // What was written wrongly was found when it was read; then nothing is made up in its place.
        if ["host", "port", "tls"].iter().any(|key| values.is_misread(&path(key))) {
            return None;
        }
        let all = preset.endpoints(&host);
        let port = get!(values, path("port"), Whole).and_then(|port| u16::try_from(port).ok());
        let tls =
            get!(values, path("tls"), Word).map(|word| if word == "implicit" { Tls::Implicit } else { Tls::StartTls });
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
                    let reason = "it is not known how TLS begins at this port";
                    let remedy = "add tls = \"implicit\" or tls = \"starttls\"";
                    findings.problems.push(values.misfit(&path("port"), reason, remedy));
                }
                known.map(|tls| vec![Endpoint { host, port, tls }])
            }
        }
    })
}
