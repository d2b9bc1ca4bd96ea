//! The one table of settings: every key with its kind, its default and its comment.
//!
//! From it come the check of the file, the names of environment variables, the text of `conf/yizhan.toml` and what
//! `yizhan check` prints. A key that is not here does not exist. Not here: how a value is read (that is `value`).
//!
//! Invariant: every default and every example reads without fault (a test does it).

use config::{Value, ValueKind};

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
    /// A length of time, at least this many seconds.
    Time(u64),
    /// A list of lengths of time, each at least a second.
    Times,
    /// Octets, at least this many.
    Size(u64),
    /// So many in so long.
    Rate,
    /// A list of IP addresses with a port.
    Sockets,
    /// A list of networks that may send: none wider than one owner can have.
    Networks,
    /// A list of networks of any width.
    AnyNetworks,
    /// A file or folder.
    Path,
    /// A secret: `{ file = ".." }`, `{ env = ".." }` or the text itself.
    Secret,
    /// `self`, `sender`, `none` or a mail address.
    Notice,
    /// A mail address with a domain.
    Mailbox,
    /// A short text for people, in one line.
    Phrase,
    /// The name of a charset.
    Charset,
}

impl Kind {
    /// Whether a variable or an argument is split at commas.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Kind::Words(..) | Kind::Times | Kind::Sockets | Kind::Networks | Kind::AnyNetworks)
    }
}

/// One setting.
#[derive(Debug)]
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

const fn fixed(pattern: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { pattern, kind, default: Some(default), example: "", help }
}

const fn open(pattern: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Key {
    Key { pattern, kind, default: None, example, help }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Every setting of this version, in the order of the reference file.
pub(super) static KEYS: &[Key] = &[
    open(
        "hostname",
        Kind::Hostname,
        r#""relay.example.lan""#,
        "the name in EHLO and Received; default: the machine's name",
    ),
    open(
        "data_dir",
        Kind::Path,
        r#""/var/lib/yizhan""#,
        "queue and state; default: $STATE_DIRECTORY, else $XDG_STATE_HOME/yizhan, else ~/.local/state/yizhan",
    ),
    fixed("listener.*.bind", Kind::Sockets, r#"["127.0.0.1:25"]"#, "addresses to listen on, with the port"),
    fixed(
        "listener.*.tls",
        Kind::Word(&["off"], &["starttls", "implicit"]),
        r#""off""#,
        "off, the only choice in this version",
    ),
    fixed(
        "listener.*.auth",
        Kind::Word(&["off", "accept-any"], &["verify"]),
        r#""off""#,
        "off | accept-any (any user name and password will do; it allows nobody who is not in `allow`)",
    ),
    fixed(
        "listener.*.allow",
        Kind::Networks,
        r#"["127.0.0.0/8", "::1/128"]"#,
        "client networks; everybody else is refused with 554 5.7.1",
    ),
    fixed(
        "listener.*.profile",
        Kind::Word(&["strict", "tolerant", "legacy"], &[]),
        r#""tolerant""#,
        "how much broken SMTP is put up with: strict | tolerant | legacy",
    ),
    open(
        "account.*.provider",
        Kind::Provider,
        r#""qq""#,
        "qq | exmail | 163 | aliyun | gmail ...: docs/operations.md has them all; custom and ses need `host`",
    ),
    open("account.*.user", Kind::User, r#""10000@qq.com""#, "the log-in name, which for most providers is the address"),
    open(
        "account.*.secret",
        Kind::Secret,
        r#"{ file = "/run/secrets/qq" }"#,
        "the authorization code: { file = \"..\" }, { env = \"..\" }, or the code itself (warned about)",
    ),
    open("account.*.host", Kind::Host, r#""smtp.qq.com""#, "default: the provider's"),
    open("account.*.port", Kind::Whole(1, 65535), "465", "default: the provider's, else 465 and then 587"),
    open(
        "account.*.tls",
        Kind::Word(&["implicit", "starttls"], &[]),
        r#""implicit""#,
        "implicit | starttls; default: what belongs to the port. There is no way without TLS",
    ),
    open(
        "account.*.login",
        Kind::Words(&["login", "plain"], &["xoauth2"]),
        r#"["login", "plain"]"#,
        "log-in mechanisms, best first; default: the provider's",
    ),
    open("account.*.ca", Kind::Path, r#""certs/ca.pem""#, "PEM file with an authority to trust beside the system's"),
    open(
        "account.*.budget.connections",
        Kind::Whole(1, 100),
        "1",
        "most connections at a time; default: the provider's",
    ),
    open(
        "client.*.from",
        Kind::AnyNetworks,
        r#"["192.168.1.20", "10.0.0.0/8"]"#,
        "its addresses and networks; the narrowest that fits counts. It allows nobody who is not in `allow`",
    ),
    open("client.*.display", Kind::Phrase, r#""Scanner 2F""#, "the name in From: when the mail brings none"),
    open(
        "client.*.charset",
        Kind::Charset,
        r#""gb18030""#,
        "the charset of text that is not UTF-8 and names none; default: found by looking at it",
    ),
    open(
        "client.*.reply_to",
        Kind::Mailbox,
        r#""reception@example.com""#,
        "where answers go when the mail does not say; default: its own sender",
    ),
    open("client.*.subject_prefix", Kind::Phrase, r#""[scan]""#, "what stands before every subject"),
    open(
        "client.*.repair",
        Kind::Word(&["full", "minimal"], &[]),
        r#""full""#,
        "full | minimal (only what the provider would refuse); default: full",
    ),
    fixed("limits.connections", Kind::Whole(1, 100_000), "500", "connections of all clients together"),
    fixed("limits.connections_per_client", Kind::Whole(1, 100_000), "50", "connections of one client address"),
    fixed(
        "limits.messages_per_client",
        Kind::Rate,
        r#""600/min""#,
        "messages of one client address: N/s, N/min or N/h",
    ),
    fixed("limits.recipients", Kind::Whole(1, 10_000), "100", "recipients of one message"),
    // RFC 5321 section 4.5.3.1.7: every server must take 64 KiB.
    fixed("limits.message_size", Kind::Size(64 * KIB), r#""50MiB""#, "the largest message"),
    fixed("limits.queue_size", Kind::Size(MIB), r#""5GiB""#, "what the queue may hold"),
    fixed("limits.disk_free", Kind::Size(0), r#""200MiB""#, "what stays free on the disk"),
    fixed(
        "queue.url",
        Kind::Word(&["sqlite"], &["postgres://", "postgresql://"]),
        r#""sqlite""#,
        "sqlite: a file in data_dir",
    ),
    fixed(
        "queue.retry",
        Kind::Times,
        r#"["1m", "5m", "15m", "1h", "2h", "4h"]"#,
        "waits between tries; then the last one again and again",
    ),
    fixed("queue.expire", Kind::Time(1), r#""5d""#, "after this long a message has failed"),
    fixed(
        "queue.keep_delivered",
        Kind::Time(0),
        r#""7d""#,
        "how long the record of a delivered message is kept, without its body",
    ),
    fixed(
        "queue.keep_failed",
        Kind::Time(0),
        r#""30d""#,
        "how long a failed message is kept, with its body, so that it can be sent again",
    ),
    fixed(
        "notice.to",
        Kind::Notice,
        r#""self""#,
        "failure notices go to: self (the account's own mailbox) | sender | an address | none",
    ),
    fixed("log.format", Kind::Word(&["text", "json"], &[]), r#""text""#, "text | json"),
    fixed(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"], &[]),
        r#""info""#,
        "error | warn | info | debug | trace",
    ),
];

/// Settings that the manual promises and this version does not have. A key below one of them is meant, too.
static LATER: &[&str] = &[
    "admin",
    "route",
    "user",
    "listener.*.certificate",
    "listener.*.key",
    "account.*.proxy",
    "account.*.budget.messages_per_minute",
    "account.*.budget.recipients_per_hour",
    "account.*.budget.recipients_per_day",
    "account.*.budget.logins_per_hour",
    "notice.webhook",
    "notice.format",
];

/// Sections of which there may be any number, each with a name that the user chooses.
pub(super) static NAMED: &[&str] = &["listener", "account", "client"];

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
        if self.kind == Kind::Secret {
            return secret_reference(value).unwrap_or_else(|| "\"[secret]\"".to_owned());
        }
        display(value)
    }
}

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
        ValueKind::String(text) if text.contains("://") && text.contains('@') => "\"[secret]\"".to_owned(),
        ValueKind::String(text) => quote(text),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(_) => "{ .. }".to_owned(),
    }
}

/// A TOML basic string (control characters escaped, so that a value cannot draw on a terminal).
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
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
        assert!(matches!(find(&["route"]), Found::Later));
        assert!(matches!(find(&["listener", "x", "bind", "y"]), Found::Unknown));
        assert!(matches!(find(&[""]), Found::Unknown));
    }
}
