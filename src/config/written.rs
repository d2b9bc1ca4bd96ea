//! What was written, as a value that a layer holds: from TOML, from a variable or an argument, from the table of defaults.
//!
//! Values keep the type they were written with; nothing is guessed. Not here: what a value means (that is `value`).

use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind};

/// The value of `key` as a layer holds it. Relative paths start from `folder`, the one the file is in.
pub(super) fn from_toml(key: &Key, written: &DeValue<'_>, origin: &str, folder: Option<&Path>) -> Value {
    match (key.kind, written) {
        (Kind::Secret | Kind::Webhook | Kind::Password, DeValue::String(text)) => secret_pair("plain", text, origin),
        (Kind::Secret | Kind::Webhook | Kind::Password, DeValue::Table(table)) => {
            let text = |name: &str| table.get(name).and_then(|value| value.get_ref().as_str());
            match (table.len(), text("file"), text("env")) {
                (1, Some(path), _) => secret_pair("file", &beside(folder, path), origin),
                (1, None, Some(name)) => secret_pair("env", name, origin),
                _ => Value::new(Some(&origin.to_owned()), ValueKind::Nil),
            }
        }
        // Whatever it is, it was meant to be a secret and is not carried any further.
        (Kind::Secret | Kind::Webhook | Kind::Password, _) => Value::new(Some(&origin.to_owned()), ValueKind::Nil),
        (Kind::Path, DeValue::String(path)) => Value::new(Some(&origin.to_owned()), beside(folder, path)),
        _ => convert(written, origin),
    }
}

fn beside(folder: Option<&Path>, path: &str) -> String {
    match folder {
        Some(folder) if !path.is_empty() => folder.join(path).display().to_string(),
        Some(_) | None => path.to_owned(),
    }
}

fn convert(written: &DeValue<'_>, origin: &str) -> Value {
    let kind = match written {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Integer(digits) => {
            let number = i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX);
            i64::try_from(number).map_or(ValueKind::I128(number), ValueKind::I64)
        }
        DeValue::Float(digits) => ValueKind::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Datetime(_) => ValueKind::Nil,
        DeValue::Array(items) => ValueKind::Array(items.iter().map(|item| convert(item.get_ref(), origin)).collect()),
        // Only its shape is of interest: no key takes one.
        DeValue::Table(_) => ValueKind::Table(Map::new()),
    };
    Value::new(Some(&origin.to_owned()), kind)
}

/// A value of the table, from its TOML.
pub(super) fn constant(key: &Key, text: &str) -> Value {
    let document = format!("value = {text}");
    let table = DeTable::parse(&document).expect("the table of keys holds TOML, and a test reads all of it");
    let value = table.get_ref().get("value").expect("the line above wrote it");
    from_toml(key, value.get_ref(), "default", None)
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

/// Whether a secret was written as an empty text.
pub(super) fn is_empty_secret(value: &Value) -> bool {
    let ValueKind::Array(pair) = &value.kind else { return false };
    let [how, text] = pair.as_slice() else { return false };
    matches!((&how.kind, &text.kind), (ValueKind::String(how), ValueKind::String(text)) if how == "plain" && text.trim().is_empty())
}
