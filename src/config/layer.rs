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
use toml::de::{DeTable, DeValue};

use super::file;
use super::keys::{KEYS, Key, Kind, MAX_ROWS, NAMED, NUMBERED};

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
    pub(super) fn names<'a>(layers: &[&'a Layer], kind: &str) -> Vec<(&'a str, &'a str)> {
        let mut names: Vec<(&'a str, &'a str)> = Vec::new();
        for (section, origin) in layers.iter().flat_map(|layer| &layer.sections) {
            let name = section.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.'));
            if let Some(name) = name.filter(|name| !names.iter().any(|(known, _)| known == name)) {
                names.push((name, origin));
            }
        }
        names
    }

    /// The numbers of the sections of `kind`, in their order.
    pub(super) fn rows<'a>(layers: &[&'a Layer], kind: &str) -> Vec<(&'a str, &'a str)> {
        let mut rows = Layer::names(layers, kind);
        rows.sort_by_key(|(number, _)| row_number(number));
        rows
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
pub(super) fn defaults<'a>(names: impl Fn(&str) -> Vec<&'a str>) -> Layer {
    let mut layer = Layer::default();
    for key in KEYS {
        let Some(text) = key.default else { continue };
        let kind = key.pattern.split_once('.').map_or("", |(kind, _)| kind);
        let names = if NAMED.contains(&kind) { names(kind) } else { vec![""] };
        for name in names {
            layer.set(&key.pattern.replace('*', name), constant(key, text));
        }
    }
    layer
}

/// A value of the table, from its TOML.
pub(super) fn constant(key: &Key, text: &str) -> Value {
    let document = format!("value = {text}");
    let table = DeTable::parse(&document).expect("the table of keys holds TOML, and a test reads all of it");
    let value = table.get_ref().get("value").expect("the line above wrote it");
    file::value(key, value.get_ref(), "default", None)
}

/// A value from a variable or an argument, which are always text: lists are split at commas, whole numbers
/// and `true` read.
///
/// A number that cannot be read stays text, so that `check` says what is wrong with it. `origin` of a secret is the
/// variable it is in; the text stays there.
pub(super) fn from_text(key: &Key, text: &str, origin: &str) -> Value {
    let origin_text = origin.to_owned();
    let made = |kind: ValueKind| Value::new(Some(&origin_text), kind);
    if key.kind.is_secret() {
        return secret_pair("variable", origin.trim_start_matches('$'), origin);
    }
    if key.kind.is_list() {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return made(ValueKind::Array(items.map(|item| made(ValueKind::String(item.to_owned()))).collect()));
    }
    let typed = match key.kind {
        Kind::Whole(..) => text.trim().parse().ok().map(ValueKind::I64),
        Kind::Flag => text.trim().parse().ok().map(ValueKind::Boolean),
        _ => None,
    };
    made(typed.unwrap_or_else(|| ValueKind::String(text.to_owned())))
}

/// A secret inside a layer: how it is kept, and the path, the variable or the secret itself.
///
/// A pair and not a table, because tables of two layers would be merged into one that says both.
pub(super) fn secret_pair(how: &str, text: &str, origin: &str) -> Value {
    let origin = origin.to_owned();
    let part = |text: &str| Value::new(Some(&origin), ValueKind::String(text.to_owned()));
    Value::new(Some(&origin), ValueKind::Array(vec![part(how), part(text)]))
}

/// Whether `name` may stand in `[account.NAME]`: it then also fits into a variable, a log line and a metric.
pub(super) fn legal_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    // Two underscores would end the name in `YIZHAN__ACCOUNT__NAME__USER`.
    (1..=32).contains(&name.len()) && name.bytes().all(legal) && !name.contains("__")
}

/// The number that may stand in `route.NUMBER`: without leading zeros, so that each has one name.
pub(super) fn row_number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok().filter(|number| *number < MAX_ROWS)?;
    (number.to_string() == text).then_some(number)
}

/// What kind of thing a TOML value is, for a section that is none.
pub(super) fn is_table(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    fn layer(path: &str, text: &str, origin: &str) -> Layer {
        let mut layer = Layer::default();
        layer.set(path, from_text(keys::key(path).unwrap(), text, origin));
        layer
    }

    #[test]
    fn the_upper_layer_wins_and_keeps_its_origin() {
        let merged = merge(&[
            &defaults(|kind| if kind == "listener" { vec!["1"] } else { Vec::new() }),
            &layer("listener.1.bind", "127.0.0.1:2525, [::1]:25", "$A"),
            &layer("log.level", "debug", "--x"),
        ]);
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

    #[test]
    fn names() {
        for name in ["office", "1", "a-b_c"] {
            assert!(legal_name(name), "{name}");
        }
        for name in ["", "Office", "a__b", "a b", "办公", "a.b"] {
            assert!(!legal_name(name), "{name}");
        }
    }
}
