//! What a key is, how it is found by its path, and how its value is shown.
//!
//! The keys themselves are in `keys::table`. Not here: how a value is read (that is `value`).
//!
//! Invariant: what is shown of a secret is where it is kept, never what it is.

use config::{Value, ValueKind};

use crate::telemetry::escape::obeyed;

mod table;

pub(super) use table::KEYS;

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A host name or an address literal for EHLO.
    Hostname,
    /// A host to connect to.
    Host,
    /// A log-in name.
    User,
    /// The name of a preset.
    Provider,
    /// One of these words; the second list is in the manual and comes with a later version.
    Word(&'static [&'static str], &'static [&'static str]),
    /// One of these words or a list of them.
    Words(&'static [&'static str], &'static [&'static str]),
    /// A whole number in this range.
    Whole(i64, i64),
    /// `true` or `false`.
    Flag,
    /// A length of time, at least this many seconds.
    Time(u64),
    /// A list of lengths of time, each at least a second.
    Times,
    /// Octets, at least this many.
    Size(u64),
    /// So many in so long.
    Rate,
    /// So many octets in so long.
    Flow,
    /// A list of IP addresses with a port.
    Sockets,
    /// A list of networks that may send: none wider than one owner can have.
    Networks,
    /// A list of networks of any width.
    AnyNetworks,
    /// A file or folder.
    Path,
    /// A proxy, whose log-in is a secret.
    Proxy,
    /// The URL of a webhook, kept as a secret is; an empty one is none.
    Webhook,
    /// A secret: `{ file = ".." }`, `{ env = ".." }` or the text itself.
    Secret,
    /// As a secret; or the hash of one, which may stand in the settings.
    Password,
    /// `self`, `sender`, `none` or a mail address.
    Notice,
    /// A mail address with a domain.
    Mailbox,
    /// A list of mail addresses with a domain.
    Mailboxes,
    /// A short text for people, in one line.
    Phrase,
    /// A longer one, or a pattern.
    Sentence,
    /// The name of a section, or a list of them.
    Names,
    /// An address with `*` in it, or a list of them.
    Patterns,
    /// The commands of SMTP that a reply may be to, one or a list.
    Phases,
    /// What follows from a reply: a word of the reply catalogue, perhaps with `+ALERT`.
    Action,
    /// The name of a charset.
    Charset,
}

impl Kind {
    /// Whether a variable or an argument is split at commas.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Kind::Words(..)
                | Kind::Times
                | Kind::Sockets
                | Kind::Networks
                | Kind::AnyNetworks
                | Kind::Mailboxes
                | Kind::Names
                | Kind::Patterns
                | Kind::Phases
        )
    }

    /// Whether it is kept as a secret is: in a file, in a variable, or in the settings themselves.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Kind::Secret | Kind::Webhook | Kind::Password)
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Dotted; `*` stands for a name that the user chooses.
    pub(super) pattern: &'static str,
    pub(super) kind: Kind,
    /// As TOML; `None` when the default is not a constant, or there is none.
    pub(super) default: Option<&'static str>,
    /// As TOML, for the reference file; shown commented out. Only where there is no default.
    pub(super) example: &'static str,
    /// What it is, for the reference file.
    pub(super) help: &'static str,
}

/// Settings that the manual promises and this version does not have. A key below one of them is meant, too.
static LATER: &[&str] = &["admin"];

/// Sections of which there may be any number, each with a name that the user chooses.
pub(super) static NAMED: &[&str] = &["listener", "user", "account", "client"];

/// Sections of which there may be any number, in the order that counts: `[[route]]`, in paths `route.0`.
pub(super) static NUMBERED: &[&str] = &["route", "reply"];

/// The most sections of one such kind.
pub(super) const MAX_ROWS: usize = 1000;

/// What a dotted path is.
#[derive(Debug)]
pub(super) enum Found {
    /// A setting.
    Key(&'static Key),
    /// A table on the way to settings.
    Section,
    /// Promised, not here yet.
    Later,
    /// Nothing.
    Unknown,
}

/// Looks a path up, segment by segment.
pub(super) fn find(path: &[&str]) -> Found {
    let starts = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        let fits = parts.iter().zip(path).all(|(part, segment)| *part == "*" || part == segment);
        fits.then_some(parts.len())
    };
    if let Some(key) = KEYS.iter().find(|key| starts(key.pattern) == Some(path.len())) {
        return Found::Key(key);
    }
    if LATER.iter().any(|pattern| starts(pattern).is_some_and(|length| length <= path.len())) {
        return Found::Later;
    }
    if KEYS.iter().any(|key| starts(key.pattern).is_some_and(|length| length > path.len())) {
        return Found::Section;
    }
    Found::Unknown
}

/// The key of a path that is known to be one.
pub(super) fn key(path: &str) -> Option<&'static Key> {
    match find(&path.split('.').collect::<Vec<_>>()) {
        Found::Key(key) => Some(key),
        Found::Section | Found::Later | Found::Unknown => None,
    }
}

impl Key {
    /// The value as TOML for a person, with secrets hidden.
    pub(super) fn display(&self, value: &Value) -> String {
        match (self.kind, &value.kind) {
            (Kind::Secret | Kind::Webhook | Kind::Password, _) => {
                secret_reference(value).unwrap_or_else(|| HIDDEN.to_owned())
            }
            // Of a proxy only what stands behind the log-in; of what is none, nothing: a password may be anywhere in it.
            (Kind::Proxy, ValueKind::String(text)) => {
                super::value::bare_proxy(text).map_or(HIDDEN.to_owned(), |p| quote(&p))
            }
            (Kind::Proxy, _) => HIDDEN.to_owned(),
            _ => display(value),
        }
    }
}

/// Stands for what may not be shown.
const HIDDEN: &str = "\"[secret]\"";

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
pub(super) fn display(value: &Value) -> String {
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
        ValueKind::Array(items) => format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(", ")),
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
    fn paths_are_found() {
        assert!(matches!(find(&["listener", "x", "bind"]), Found::Key(_)));
        assert!(matches!(find(&["listener", "x"]), Found::Section));
        assert!(matches!(find(&["account", "x", "budget"]), Found::Section));
        assert!(matches!(find(&["client", "x"]), Found::Section));
        assert!(matches!(find(&["admin", "bind"]), Found::Later));
        assert!(matches!(find(&["route"]), Found::Section));
        assert!(matches!(find(&["route", "0", "account"]), Found::Key(_)));
        assert!(matches!(find(&["listener", "x", "bind", "y"]), Found::Unknown));
        assert!(matches!(find(&[""]), Found::Unknown));
    }

    #[test]
    fn a_quoted_value_is_read_as_itself_and_shows_what_it_hides() {
        let value = "a\"b\\c\u{1b}\u{202e}\u{feff}\u{e0041}驿";
        let quoted = quote(value);
        assert_eq!(quoted, r#""a\"b\\c\u001b\u202e\ufeff\U000e0041驿""#);
        let read: toml::Table = format!("value = {quoted}").parse().unwrap();
        assert_eq!(read["value"].as_str(), Some(value));
    }
}
