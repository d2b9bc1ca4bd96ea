//! Settings that were loaded, and their text for `yizhan check`: TOML, each value with where it comes from.
//!
//! Not here: hiding secrets (the values come hidden). Invariant: the text can be read again as a settings file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::key::{Key, NUMBERED};
use super::keys::KEYS;
use super::settings::{Account, Settings};
use crate::mail::Address;
use crate::provider::Endpoint;

/// Settings without a mistake, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What everything means.
    pub settings: Settings,
    /// What is allowed but unwise, one sentence each.
    pub warnings: Vec<String>,
    /// For each dotted key where its value was written: `yizhan.toml:5`, `$YIZHAN_USER`, `--user` or `default`.
    pub origins: BTreeMap<String, String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Each dotted key with its value as TOML, secrets hidden.
    pub(super) shown: BTreeMap<String, String>,
}

impl Loaded {
    /// The settings in force as TOML, each with its origin, secrets hidden.
    pub fn effective(&self) -> String {
        let file = self.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
        let mut out = format!("# settings file: {file}\n");
        for keys in KEYS.chunk_by(|one, next| one.section() == next.section()) {
            for name in self.names(keys[0].section()) {
                self.section(keys, &name, &mut out);
            }
        }
        out
    }

    /// The names or numbers of the sections of this kind, in their order; one empty name for a kind without names.
    fn names(&self, section: &str) -> Vec<String> {
        let settings = &self.settings;
        match section {
            "listener" => settings.listeners.iter().map(|one| one.name.clone()).collect(),
            "user" => settings.users.iter().map(|one| one.name.clone()).collect(),
            "account" => settings.accounts.iter().map(|one| one.name.clone()).collect(),
            "client" => settings.clients.iter().map(|one| one.name.clone()).collect(),
            numbered if NUMBERED.contains(&numbered) => {
                let number =
                    |path: &String| path.strip_prefix(numbered)?.strip_prefix('.')?.split('.').next()?.parse().ok();
                let numbers: BTreeSet<usize> = self.shown.keys().filter_map(number).collect();
                numbers.into_iter().map(|number| number.to_string()).collect()
            }
            _ => vec![String::new()],
        }
    }

    fn section(&self, keys: &[Key], name: &str, out: &mut String) {
        let section = keys[0].section();
        if NUMBERED.contains(&section) {
            out.push_str(&format!("\n[[{section}]]\n"));
        } else if let Some((head, _)) = keys[0].parts() {
            out.push_str(&format!("\n[{}]\n", head.replace('*', name)));
        }
        if section == "account" {
            self.settings.accounts.iter().filter(|account| account.name == name).for_each(|one| remarks(one, out));
        }
        for key in keys {
            let path = key.pattern.replace('*', name);
            if let (Some(value), Some(origin)) = (self.shown.get(&path), self.origins.get(&path)) {
                out.push_str(&format!("{} = {value}  # {origin}\n", key.last()));
            }
        }
    }
}

/// What the preset and the settings of an account come to, as comments.
fn remarks(account: &Account, out: &mut String) {
    let list = |all: &[Address]| all.iter().map(Address::as_str).collect::<Vec<_>>().join(", ");
    let aliases =
        if account.aliases.is_empty() { String::new() } else { format!(", or as {}", list(&account.aliases)) };
    out.push_str(&format!("# sends as {}{aliases}\n", account.address.as_str()));
    let place = |e: &Endpoint| format!("{}:{} {}", e.host, e.port, e.tls.word());
    let places: Vec<String> = account.endpoints.iter().map(place).collect();
    let login: Vec<&str> = account.login.iter().map(|mechanism| mechanism.word()).collect();
    out.push_str(&format!("# connects to {}\n# logs in with {}", places.join(", then "), login.join(", else ")));
    out.push_str(&format!("; at most {} connection(s)\n", account.connections));
    out.push_str(&format!("# may send {}\n", allowance(account)));
}

/// What is in force of the budget, with the provider's figures where the owner wrote none.
fn allowance(account: &Account) -> String {
    let budget = &account.budget;
    let mut parts = Vec::new();
    for (unit, windows) in
        [("messages", budget.messages), ("recipients", budget.recipients), ("log-ins", budget.logins)]
    {
        let limits = [(windows.minute, "a minute"), (windows.hour, "an hour"), (windows.day, "a day")];
        let limits: Vec<String> =
            limits.into_iter().filter_map(|(limit, window)| Some(format!("{} {window}", limit?))).collect();
        let limits = if limits.is_empty() { "without limit".to_owned() } else { limits.join(" and ") };
        parts.push(format!("{unit}: {limits}"));
    }
    format!("{} (what is not written below is the preset's)", parts.join("; "))
}
