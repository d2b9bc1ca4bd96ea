//! The layers of settings and how they lie on each other: defaults, file, environment, command line.
//!
//! The `config` crate does the laying; each value carries its origin through it. What is *not* used of that crate is
//! its guessing of types (`try_parsing` would make the password `007` the number 7): a layer is filled with values
//! that have their type already. Lists and secrets replace each other as a whole, sections are merged key by key.
//!
//! Invariant: a layer holds only paths that `keys::find` knows as keys, in sections with legal names.

use std::collections::BTreeMap;
use std::fmt;

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::key::{NAMED, NUMBERED, row_number};
use super::keys::KEYS;
use super::written::constant;

/// One layer.
#[derive(Clone, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
    /// `account.office` and `listener.lan`, with their origins, in the order they were named.
    sections: Vec<(String, String)>,
}

impl Layer {
    /// Puts a value in and notes the section it names.
    pub(super) fn set(&mut self, path: &str, value: Value) {
        if let [kind, name, _, ..] = path.split('.').collect::<Vec<_>>().as_slice()
            && (NAMED.contains(kind) || NUMBERED.contains(kind))
        {
            self.name_section(&format!("{kind}.{name}"), value.origin().unwrap_or_default());
        }
        self.values.insert(path.to_owned(), value);
    }

    /// Notes that `[section]` was written, even if nothing is in it.
    pub(super) fn name_section(&mut self, section: &str, origin: &str) {
        if !self.sections.iter().any(|(known, _)| known == section) {
            self.sections.push((section.to_owned(), origin.to_owned()));
        }
    }

    /// The names of the sections of `kind` with their origins, as they were named first.
    pub(super) fn names<'a>(layers: &[&'a Layer], kind: &str) -> Vec<Section<'a>> {
        let mut names: Vec<Section<'a>> = Vec::new();
        for (section, origin) in layers.iter().flat_map(|layer| &layer.sections) {
            let name = section.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.'));
            if let Some(name) = name.filter(|name| !names.iter().any(|(known, _)| known == name)) {
                names.push((name, origin));
            }
        }
        names
    }

    /// The numbers of the sections of `kind`, in their order.
    pub(super) fn rows<'a>(layers: &[&'a Layer], kind: &str) -> Vec<Section<'a>> {
        let mut rows = Layer::names(layers, kind);
        rows.sort_by_key(|(number, _)| row_number(number));
        rows
    }
}

/// A section's name or number, and where it was named first.
pub(super) type Section<'a> = (&'a str, &'a str);

/// The sections that were named.
pub(super) struct Names<'a> {
    /// At least one: `local`, unless others are named.
    pub(super) listeners: Vec<Section<'a>>,
    pub(super) users: Vec<Section<'a>>,
    pub(super) accounts: Vec<Section<'a>>,
    pub(super) clients: Vec<Section<'a>>,
    pub(super) routes: Vec<Section<'a>>,
    pub(super) replies: Vec<Section<'a>>,
}

impl<'a> Names<'a> {
    /// The sections that these layers name.
    pub(super) fn of(layers: &[&'a Layer]) -> Names<'a> {
        let mut listeners = Layer::names(layers, "listener");
        if listeners.is_empty() {
            listeners.push(("local", "default"));
        }
        Names {
            listeners,
            users: Layer::names(layers, "user"),
            accounts: Layer::names(layers, "account"),
            clients: Layer::names(layers, "client"),
            routes: Layer::rows(layers, "route"),
            replies: Layer::rows(layers, "reply"),
        }
    }
}

/// Shows the paths only: a value may be a secret.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

/// Lays `layers` on each other, the last on top, and returns every value by its dotted path.
pub(super) fn merge(layers: &[&Layer]) -> BTreeMap<String, Value> {
    let builder = layers.iter().fold(Config::builder(), |builder, layer| builder.add_source((*layer).clone()));
    let config = builder.build().expect("a layer in memory has no way to fail");
    let mut flat = BTreeMap::new();
    flatten("", config.cache, &mut flat);
    flat
}

fn flatten(path: &str, value: Value, flat: &mut BTreeMap<String, Value>) {
    if let ValueKind::Table(table) = value.kind {
        for (name, inner) in table {
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            flatten(&path, inner, flat);
        }
    } else {
        flat.insert(path.to_owned(), value);
    }
}

/// The layer at the bottom: the constants of the table, once for every section there is of a kind that has names.
pub(super) fn defaults(names: &Names<'_>) -> Layer {
    let mut layer = Layer::default();
    for key in KEYS {
        let Some(text) = key.default else { continue };
        let sections: &[Section<'_>] = match key.section() {
            "listener" => &names.listeners,
            "user" => &names.users,
            "account" => &names.accounts,
            "client" => &names.clients,
            _ => &[("", "")],
        };
        for (name, _) in sections {
            layer.set(&key.pattern.replace('*', name), constant(key, text));
        }
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;
    use crate::config::written::{from_text, secret_pair};

    fn layer(path: &str, text: &str, origin: &str) -> Layer {
        let mut layer = Layer::default();
        layer.set(path, from_text(keys::key(path).unwrap(), text, origin));
        layer
    }

    #[test]
    fn the_upper_layer_wins_and_keeps_its_origin() {
        let written = layer("listener.1.bind", "127.0.0.1:2525, [::1]:25", "$A");
        let merged = merge(&[&defaults(&Names::of(&[&written])), &written, &layer("log.level", "debug", "--x")]);
        let bind = &merged["listener.1.bind"];
        assert_eq!(bind.origin(), Some("$A"));
        assert!(matches!(&bind.kind, ValueKind::Array(items) if items.len() == 2));
        assert_eq!(merged["log.level"].origin(), Some("--x"));
        assert_eq!(merged["log.format"].origin(), Some("default"));
        assert_eq!(merged["limits.connections"].kind, ValueKind::I64(500));
    }

    #[test]
    fn one_secret_replaces_the_other() {
        let mut below = Layer::default();
        below.set("account.a.secret", secret_pair("file", "/x", "f:1"));
        let merged = merge(&[&below, &layer("account.a.secret", "007", "$CODE")]);
        let ValueKind::Array(pair) = &merged["account.a.secret"].kind else { panic!() };
        let texts: Vec<String> = pair.iter().map(|part| part.clone().into_string().unwrap()).collect();
        assert_eq!(texts, ["variable", "CODE"]);
    }

    #[test]
    fn no_debug_output_shows_a_value() {
        let mut layer = Layer::default();
        layer.set("account.a.secret", secret_pair("plain", "hunter2", "f:1"));
        assert!(!format!("{layer:?}").contains("hunter2"));
    }
}
