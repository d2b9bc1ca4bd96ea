//! Presets: what each provider wants of a client, read from the tables in `presets/` beside this file.
//!
//! The tables are part of the program and are parsed once; a test proves that they parse, so that the `expect` below cannot
//! fail in the field. Not here: what the user changed of it (that is `config`), and how a log-in is done.
//!
//! Invariants: every preset has at least one port and one log-in mechanism; there is no way to say "no TLS", because a
//! secret never travels in the clear (RFC 8314 section 3).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::budget::{DayWindow, PresetBudget};
use super::group::Group;
use super::token_service::TokenService;
use crate::smtp::Mechanism;
use crate::smtp::client::Tls;

/// One place to connect to. The certificate is checked against `host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A host name or an address, as the settings or the preset name it.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
    /// How TLS begins there.
    pub tls: Tls,
}

/// Which sender addresses the provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FromPolicy {
    /// Only the address one has logged in with, in the envelope and in the From field.
    Login,
    /// That address, or another one of the account.
    Alias,
    /// The provider puts its own address in From, whatever stands there.
    Rewritten,
    /// Any address, as far as we know: the sender is left alone.
    Free,
}

/// What a user name looks like there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserForm {
    /// The whole mail address.
    Address,
    /// Anything.
    Any,
}

/// A port of the preset, before the host is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    port: u16,
    tls: Tls,
}

/// What one provider wants. All figures are limits for the relay; the tables say where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The word in the settings, such as `qq`.
    #[serde(skip)]
    pub name: String,
    /// The name for people, such as `QQ Mail`.
    pub title: String,
    /// The same in Chinese.
    pub title_zh: String,
    /// What the owner has to know before it can work; one sentence or two.
    pub note: Option<String>,
    /// The same in Chinese; there when `note` is.
    pub note_zh: Option<String>,
    /// Which chapter of the reply catalogue is read first.
    pub group: Group,
    /// Host names, best first; none where the settings must name one.
    pub hosts: Vec<String>,
    #[serde(default = "usual::endpoints")]
    endpoints: Vec<Port>,
    /// Log-in mechanisms, best first. The relay takes the first one the server offers and does not fall through to the
    /// next after a refusal.
    #[serde(default = "usual::login")]
    pub login: Vec<Mechanism>,
    /// Octets of the largest message after encoding; `None` when only EHLO can tell (RFC 1870).
    pub size_limit: Option<u64>,
    /// Most recipients of one transaction.
    #[serde(default = "usual::recipients")]
    pub recipients: usize,
    /// Which senders it takes.
    pub from_policy: FromPolicy,
    /// Whether RSET is avoided and a fresh connection taken instead.
    #[serde(default = "usual::never_rset")]
    pub never_rset: bool,
    /// Whether the commands of the next message may go out behind the final dot of this one (RFC 2920 section 3.1).
    #[serde(default)]
    pub announce_next: bool,
    /// What a user name looks like.
    #[serde(default = "usual::user_form")]
    pub user_form: UserForm,
    /// Most connections of one account at a time.
    #[serde(default = "usual::connections")]
    pub connections: usize,
    /// Seconds after which an idle connection is closed.
    #[serde(default = "usual::idle_seconds")]
    pub idle_seconds: u64,
    /// Seconds after which a connection takes no further message, however busy it was.
    #[serde(default = "usual::connection_age_seconds")]
    pub connection_age_seconds: u64,
    /// Messages after which a connection is replaced.
    #[serde(default = "usual::messages_per_connection")]
    pub messages_per_connection: usize,
    /// Most messages a second, over all connections of the account.
    pub messages_per_second: Option<u32>,
    /// How much may be sent; over it mail waits, it is never refused.
    #[serde(default)]
    pub budget: PresetBudget,
    /// Who gives out access tokens for it; `None` where the settings must name the end points.
    pub oauth: Option<TokenService>,
    /// The tenant of a sign-in, where the provider has tenants.
    pub oauth_tenant: Option<String>,
    /// When the day of its quota ends.
    #[serde(default)]
    pub day: DayWindow,
}

/// What a field is when a table leaves it out; the head of `presets/china.toml` lists the same.
mod usual {
    use crate::provider::preset::{Mechanism, Port, Tls, UserForm};

    /// RFC 8314 section 3.3 prefers implicit TLS.
    pub(super) fn endpoints() -> Vec<Port> {
        vec![Port { port: 465, tls: Tls::Implicit }, Port { port: 587, tls: Tls::StartTls }]
    }

    pub(super) fn login() -> Vec<Mechanism> {
        vec![Mechanism::Login, Mechanism::Plain]
    }

    /// RFC 5321 section 4.5.3.1.8.
    pub(super) fn recipients() -> usize {
        100
    }

    pub(super) fn never_rset() -> bool {
        true
    }

    pub(super) fn user_form() -> UserForm {
        UserForm::Address
    }

    pub(super) fn connections() -> usize {
        1
    }

    pub(super) fn idle_seconds() -> u64 {
        60
    }

    pub(super) fn connection_age_seconds() -> u64 {
        1800
    }

    pub(super) fn messages_per_connection() -> usize {
        50
    }
}

impl Preset {
    /// The places to try at `host`, best first.
    pub fn endpoints(&self, host: &str) -> Vec<Endpoint> {
        self.endpoints.iter().map(|p| Endpoint { host: host.to_owned(), port: p.port, tls: p.tls }).collect()
    }
}

/// The tables, in no order: names are sorted.
const TABLES: [&str; 3] =
    [include_str!("presets/china.toml"), include_str!("presets/world.toml"), include_str!("presets/services.toml")];

static PRESETS: LazyLock<BTreeMap<String, Preset>> = LazyLock::new(|| {
    let read = |table: &str| -> BTreeMap<String, Preset> {
        toml::from_str(table).expect("the tables are part of the program and a test parses them")
    };
    let mut presets: BTreeMap<String, Preset> = TABLES.into_iter().flat_map(read).collect();
    for (name, preset) in &mut presets {
        preset.name.clone_from(name);
    }
    presets
});

/// The preset called `name`, exactly as written.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.get(name)
}

/// The names of all presets, in the order of the alphabet.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.keys().map(String::as_str)
}

#[cfg(test)]
mod tests;
