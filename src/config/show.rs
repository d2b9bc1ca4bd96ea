//! Settings as text: what is in force, and the reference file.
//!
//! Both are TOML, both come from the table of keys. Not here: hiding secrets (the values come hidden), and the format
//! of mistakes. Invariant: the reference file, as it stands, says the same as no file at all.

use std::collections::BTreeSet;

use super::Loaded;
use super::keys::{KEYS, Key, NUMBERED};
use super::settings::Account;
use super::value::ACTIONS;
use crate::mail::Address;
use crate::provider::{self, Endpoint};

/// The settings in force, each with where it came from. For `yizhan check`.
pub(super) fn effective(loaded: &Loaded) -> String {
    let mut out = String::new();
    match &loaded.file {
        Some(file) => out.push_str(&format!("# settings file: {}\n", file.display())),
        None => out.push_str("# settings file: none\n"),
    }
    let settings = &loaded.settings;
    let mut rest = KEYS;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|key| kind(key) != kind(first)).unwrap_or(rest.len());
        let (keys, tail) = rest.split_at(end);
        match kind(first) {
            "listener" => settings.listeners.iter().for_each(|one| section(loaded, keys, &one.name, &mut out)),
            "user" => settings.users.iter().for_each(|one| section(loaded, keys, &one.name, &mut out)),
            "account" => settings.accounts.iter().for_each(|one| section(loaded, keys, &one.name, &mut out)),
            numbered if NUMBERED.contains(&numbered) => {
                rows(loaded, numbered)
                    .into_iter()
                    .for_each(|number| section(loaded, keys, &number.to_string(), &mut out));
            }
            "client" => settings.clients.iter().for_each(|one| section(loaded, keys, &one.name, &mut out)),
            _ => section(loaded, keys, "", &mut out),
        }
        rest = tail;
    }
    out
}

/// The numbers of `[[kind]]` that were written, in their order.
fn rows(loaded: &Loaded, kind: &str) -> BTreeSet<usize> {
    let number = |path: &String| path.strip_prefix(kind)?.strip_prefix('.')?.split('.').next()?.parse().ok();
    loaded.shown.keys().filter_map(number).collect()
}

fn section(loaded: &Loaded, keys: &[Key], name: &str, out: &mut String) {
    if let Some((head, _)) = keys.first().and_then(|key| split(key)) {
        match kind(&keys[0]) {
            numbered if NUMBERED.contains(&numbered) => out.push_str(&format!("\n[[{numbered}]]\n")),
            _ => out.push_str(&format!("\n[{}]\n", head.replace('*', name))),
        }
    }
    if let Some(account) = loaded
        .settings
        .accounts
        .iter()
        .find(|account| keys.first().map(kind) == Some("account") && account.name == name)
    {
        let list = |all: &[Address]| all.iter().map(Address::as_str).collect::<Vec<_>>().join(", ");
        let aliases =
            if account.aliases.is_empty() { String::new() } else { format!(", or as {}", list(&account.aliases)) };
        out.push_str(&format!("# sends as {}{aliases}\n", list(account.address.as_slice())));
        let place = |e: &Endpoint| format!("{}:{} {}", e.host, e.port, e.tls.word());
        let places: Vec<String> = account.endpoints.iter().map(place).collect();
        let login: Vec<&str> = account.login.iter().map(|mechanism| mechanism.word()).collect();
        out.push_str(&format!("# connects to {}\n# logs in with {}", places.join(", then "), login.join(", else ")));
        out.push_str(&format!("; at most {} connection(s)\n", account.budget.connections));
        out.push_str(&format!("# may send {}\n", allowance(account)));
    }
    for key in keys {
        let path = key.pattern.replace('*', name);
        let (Some(value), Some(origin)) = (loaded.shown.get(&path), loaded.origins.get(&path)) else { continue };
        let last = split(key).map_or(key.pattern, |(_, last)| last);
        out.push_str(&format!("{last} = {value}  # {origin}\n"));
    }
}

/// What is in force of the budget, with the provider's figures where the owner wrote none.
fn allowance(account: &Account) -> String {
    let budget = account.effective();
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

fn kind(key: &Key) -> &'static str {
    key.pattern.split_once('.').map_or("", |(kind, _)| kind)
}

/// `listener.*.bind` is `bind` in `[listener.*]`, and `account.*.budget.connections` is `budget.connections` there.
fn split(key: &Key) -> Option<(&'static str, &'static str)> {
    match key.pattern.find(".*.") {
        Some(at) => Some((&key.pattern[..at + 2], &key.pattern[at + 3..])),
        None => key.pattern.split_once('.'),
    }
}

/// Characters of a comment line.
const WIDEST: usize = 118;

const HEAD: &str = "\
# Yizhan 驿站: every setting, with its default. The file may hold as few of them as you like, or not exist.
#
# Found at --config FILE, else $YIZHAN_CONFIG, else ./yizhan.toml, else /etc/yizhan/yizhan.toml. Every key can also be a
# variable: `bind` in [listener.local] is YIZHAN__LISTENER__LOCAL__BIND, with lists split at commas; variables win over
# the file, and the command line wins over both. `yizhan check` shows what is in force, or every mistake.
#
# `# text` explains; `#key = value` is an example that is switched off. Times are \"90s\", \"15m\", \"1h30m\", \"5d\"; sizes
# are \"50MiB\", \"200MB\", \"5GiB\"; relative paths start from the folder of this file.
";

const SECTIONS: &[(&str, &str)] = &[
    (
        "listener",
        "Where clients come in: any number of [listener.NAME]. This one is there when the file names no other.\n\
         # Without a file: YIZHAN_LISTEN, YIZHAN_ALLOW, --listen, --allow.",
    ),
    ("user", "Who may log in where auth is verify: any number of [user.NAME]."),
    (
        "account",
        "The mailboxes that mail leaves through: any number of [account.NAME].\n\
         # Without a file: YIZHAN_PROVIDER, YIZHAN_USER, YIZHAN_SECRET or YIZHAN_SECRET_FILE make [account.main].",
    ),
    (
        "client",
        "What is known of clients, by their addresses: any number of [client.NAME]. Other clients are treated alike.",
    ),
    (
        "route",
        "Which mail leaves through which account: any number of [[route]], and the first that fits counts. Without one, and for\n\
         # mail that none fits, it is the first account. As a variable: YIZHAN__ROUTE__0__ACCOUNT.",
    ),
    (
        "reply",
        "Your own rows of the reply catalogue, read before all others: any number of [[reply]], and the first that fits counts.\n\
         # `yizhan explain` says what a reply means.",
    ),
    ("limits", "The door: an abuse guard, answered with 4yz, so that clients come again."),
    ("queue", "What waits, and for how long."),
    ("notice", "Who is told when a message has failed, or an account is in trouble."),
    ("log", "One line a fact."),
];

/// The text of `conf/yizhan.toml`.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let mut current = "";
    for key in KEYS {
        if kind(key) != current {
            current = kind(key);
            let help = SECTIONS.iter().find(|(name, _)| *name == current).map_or("", |(_, help)| help);
            let (head, off) = match current {
                "listener" => ("listener.local", ""),
                "user" => ("user.scanner", "#"),
                "account" => ("account.office", "#"),
                "client" => ("client.scanner", "#"),
                "route" => ("[route]", "#"),
                "reply" => ("[reply]", "#"),
                other => (other, ""),
            };
            out.push_str(&format!("\n# {help}\n{off}[{head}]\n"));
        }
        let last = split(key).map_or(key.pattern, |(_, last)| last);
        let (off, value) = key.default.map_or(("#", key.example), |default| ("", default));
        out.push_str(&format!("\n{}{off}{last} = {value}\n", comment(key.help)));
    }
    out
}

/// The help of a key as comment lines, with the lists that other tables hold put in.
fn comment(help: &str) -> String {
    let help = help
        .replace("{providers}", &provider::names().collect::<Vec<_>>().join(" | "))
        .replace("{actions}", &ACTIONS.join(" | "));
    let (mut out, mut line) = (String::new(), String::from("#"));
    for word in help.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDEST {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}
