//! What a setting is: its path, its kind, its default and its help; and the names that sections may have.
//!
//! Not here: which settings there are (that is `keys`), and how a value is read (that is `value`).

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
    /// Where the HTTP face listens: an address, `unix:/path`, or nothing.
    AdminBind,
    /// A list of host names.
    Hosts,
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
                | Kind::Hosts
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

impl Key {
    /// A setting with a default.
    pub(super) const fn fixed(pattern: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
        Key { pattern, kind, default: Some(default), example: "", help }
    }

    /// A setting without a constant default.
    pub(super) const fn open(pattern: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Key {
        Key { pattern, kind, default: None, example, help }
    }

    /// The kind of section it is in: `listener` for `listener.*.bind`, and nothing for a key at the top.
    pub(super) fn section(&self) -> &'static str {
        self.pattern.split_once('.').map_or("", |(section, _)| section)
    }

    /// The head of its section and the rest: `listener.*` and `bind`, `account.*` and `budget.connections`. `None` at the
    /// top.
    pub(super) fn parts(&self) -> Option<(&'static str, &'static str)> {
        match self.pattern.find(".*.") {
            Some(at) => Some((&self.pattern[..at + 2], &self.pattern[at + 3..])),
            None => self.pattern.split_once('.'),
        }
    }

    /// Its name inside its section.
    pub(super) fn last(&self) -> &'static str {
        self.parts().map_or(self.pattern, |(_, last)| last)
    }
}

/// Sections of which there may be any number, each with a name that the user chooses.
pub(super) static NAMED: &[&str] = &["listener", "user", "account", "client"];

/// Sections of which there may be any number, in the order that counts: `[[route]]`, in paths `route.0`.
pub(super) static NUMBERED: &[&str] = &["route", "reply"];

/// The most sections of one such kind.
pub(super) const MAX_ROWS: usize = 1000;

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

#[cfg(test)]
mod tests {
    use super::*;

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
