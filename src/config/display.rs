//! A written value as TOML for a person, with secrets hidden.
//!
//! Invariants: what is shown of a secret is where it is kept, never what it is; no value can draw on a terminal.

use config::{Value, ValueKind};

use super::key::Kind;
use super::written::is_empty_secret;
use crate::net::proxy::Proxy;
use crate::telemetry::escape::obeyed;

/// The value of a key of this kind as TOML, with secrets hidden.
pub(super) fn display(kind: Kind, value: &Value) -> String {
    match (kind, &value.kind) {
        (Kind::Webhook, _) if is_empty_secret(value) => quote(""),
        (kind, _) if kind.is_secret() => secret_reference(value).unwrap_or_else(|| HIDDEN.to_owned()),
        (Kind::Proxy, ValueKind::String(text)) => bare_proxy(text).map_or(HIDDEN.to_owned(), |proxy| quote(&proxy)),
        (Kind::Proxy, _) => HIDDEN.to_owned(),
        _ => plain(value),
    }
}

/// A proxy without its log-in. `None` when the text is no proxy: a password may be anywhere in it.
fn bare_proxy(text: &str) -> Option<String> {
    let bare = Proxy::parse(text).ok()?.to_string();
    let (scheme, place) = bare.split_once("://")?;
    let hidden = if text.contains('@') { "[secret]@" } else { "" };
    Some(format!("{scheme}://{hidden}{place}"))
}

/// Shown in place of a secret.
pub(super) const HIDDEN: &str = "\"[secret]\"";

/// `{ file = ".." }` and `{ env = ".." }` say where a secret is and may be shown; everything else may not.
fn secret_reference(value: &Value) -> Option<String> {
    let ValueKind::Array(parts) = &value.kind else { return None };
    let [how, text] = parts.as_slice() else { return None };
    match (&how.kind, &text.kind) {
        (ValueKind::String(how), ValueKind::String(text)) if how == "file" || how == "env" => {
            Some(format!("{{ {how} = {} }}", quote(text)))
        }
        _ => None,
    }
}

/// A value as TOML. An address with a password in it (`scheme://user:password@host`) is hidden.
pub(super) fn plain(value: &Value) -> String {
    match &value.kind {
        ValueKind::Nil => "(a date)".to_owned(),
        ValueKind::Boolean(flag) => flag.to_string(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::I128(number) => number.to_string(),
        ValueKind::U64(number) => number.to_string(),
        ValueKind::U128(number) => number.to_string(),
        ValueKind::Float(number) => number.to_string(),
        ValueKind::String(text) if text.contains("://") && text.contains('@') => HIDDEN.to_owned(),
        ValueKind::String(text) => quote(text),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(_) => "{ .. }".to_owned(),
    }
}

/// A TOML basic string. What a terminal obeys or hides is escaped, so that a value cannot draw on it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if obeyed(c) && c > '\u{ffff}' => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c if obeyed(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_is_read_as_itself_and_shows_what_it_hides() {
        let value = "a\"b\\c\u{1b}\u{202e}\u{feff}\u{e0041}驿";
        let quoted = quote(value);
        assert_eq!(quoted, r#""a\"b\\c\u001b\u202e\ufeff\U000e0041驿""#);
        let read: toml::Table = format!("value = {quoted}").parse().unwrap();
        assert_eq!(read["value"].as_str(), Some(value));
    }
}
