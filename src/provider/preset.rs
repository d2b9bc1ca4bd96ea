//! Presets: what each provider wants of a client, read from `presets.toml` beside this file.
//!
//! The table is part of the program and is parsed once; a test proves that it parses, so that the `expect` below cannot
//! fail in the field. Not here: what the user changed of it (that is `config`), and how a log-in is done.
//!
//! Invariants: every preset has at least one port and one log-in mechanism; there is no way to say "no TLS", because a
//! secret never travels in the clear (RFC 8314 section 3).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// How the TLS session begins. There is no third way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first octet (RFC 8314 section 3.3; port 465).
    Implicit,
    /// After the STARTTLS command, which is then required (RFC 3207; port 587).
    StartTls,
}

impl Tls {
    /// The word in the settings: `implicit` or `starttls`.
    pub fn word(self) -> &'static str {
        match self {
            Tls::Implicit => "implicit",
            Tls::StartTls => "starttls",
        }
    }
}

/// A SASL mechanism that the relay may log in with (RFC 4954).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// LOGIN: never standardised, offered everywhere, and the one QQ wants.
    Login,
    /// PLAIN (RFC 4616), sent with its initial response.
    Plain,
}

impl Mechanism {
    /// The word in the settings: `login` or `plain`.
    pub fn word(self) -> &'static str {
        match self {
            Mechanism::Login => "login",
            Mechanism::Plain => "plain",
        }
    }
}

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

/// Providers whose replies have the same wording: one chapter of the reply catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// QQ Mail, Foxmail, Tencent Exmail.
    Tencent,
    /// No chapter of its own.
    Generic,
}

/// A port of the preset, before the host is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    port: u16,
    tls: Tls,
}

/// What one provider wants. All figures are limits for the relay; see `presets.toml` for where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The word in the settings, such as `qq`.
    #[serde(skip)]
    pub name: String,
    /// The name for people, such as `QQ Mail`.
    pub title: String,
    /// Which chapter of the reply catalogue is read first.
    pub group: Group,
    /// Host names, best first; none for `custom`.
    pub hosts: Vec<String>,
    endpoints: Vec<Port>,
    /// Log-in mechanisms, best first. The relay takes the first one the server offers and does not fall through to the
    /// next after a refusal.
    pub login: Vec<Mechanism>,
    /// Octets of the largest message after encoding; `None` when only EHLO can tell (RFC 1870).
    pub size_limit: Option<u64>,
    /// Most recipients of one transaction.
    pub recipients: usize,
    /// Which senders it takes.
    pub from_policy: FromPolicy,
    /// Whether RSET is avoided and a fresh connection taken instead.
    pub never_rset: bool,
    /// Whether the commands of the next message may go out behind the final dot of this one (RFC 2920 section 3.1).
    pub announce_next: bool,
    /// What a user name looks like.
    pub user_form: UserForm,
    /// Most connections of one account at a time.
    pub connections: usize,
    /// Seconds after which an idle connection is closed.
    pub idle_seconds: u64,
    /// Messages after which a connection is replaced.
    pub messages_per_connection: usize,
}

impl Preset {
    /// The places to try at `host`, best first.
    pub fn endpoints(&self, host: &str) -> Vec<Endpoint> {
        self.endpoints.iter().map(|p| Endpoint { host: host.to_owned(), port: p.port, tls: p.tls }).collect()
    }
}

static PRESETS: LazyLock<BTreeMap<String, Preset>> = LazyLock::new(|| {
    let mut presets: BTreeMap<String, Preset> =
        toml::from_str(include_str!("presets.toml")).expect("the table is part of the program and a test parses it");
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
mod tests {
    use super::*;

    #[test]
    fn the_table_parses_and_is_complete() {
        assert_eq!(names().collect::<Vec<_>>(), ["custom", "exmail", "qq"]);
        for name in names() {
            let preset = preset(name).unwrap();
            assert_eq!(preset.name, name);
            assert!(!preset.title.is_empty() && !preset.endpoints.is_empty() && !preset.login.is_empty(), "{name}");
            assert!(preset.endpoints.iter().all(|p| p.port != 0), "{name}");
            assert!(preset.recipients > 0 && preset.connections > 0 && preset.messages_per_connection > 0, "{name}");
            assert!(preset.idle_seconds > 0, "{name}");
            assert_eq!(preset.hosts.is_empty(), name == "custom", "{name}");
        }
    }

    #[test]
    fn qq_is_met_on_465_with_login_first() {
        let qq = preset("qq").unwrap();
        let host = "smtp.qq.com".to_owned();
        assert_eq!(
            qq.endpoints(&qq.hosts[0]),
            [
                Endpoint { host: host.clone(), port: 465, tls: Tls::Implicit },
                Endpoint { host, port: 587, tls: Tls::StartTls }
            ]
        );
        assert_eq!(qq.login, [Mechanism::Login, Mechanism::Plain]);
        assert_eq!((qq.from_policy, qq.never_rset, qq.size_limit), (FromPolicy::Login, true, Some(73_400_320)));
    }

    #[test]
    fn names_are_exact() {
        assert!(preset("QQ").is_none() && preset("").is_none());
    }

    #[test]
    fn words_are_those_of_the_table() {
        for tls in [Tls::Implicit, Tls::StartTls] {
            assert!(include_str!("presets.toml").contains(&format!("tls = \"{}\"", tls.word())));
        }
        for mechanism in [Mechanism::Login, Mechanism::Plain] {
            assert!(include_str!("presets.toml").contains(&format!("\"{}\"", mechanism.word())));
        }
    }
}
