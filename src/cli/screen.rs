//! What a person sees: lines on standard output, complaints on standard error, colour on a terminal, two languages.
//!
//! Invariant: a secret that the command has read, or a form of it, is in nothing that is said here, except by [`print_secret`].
//! A reader that has gone away (`yizhan queue list | head -1`) is no error.

use std::io::{IsTerminal as _, Write as _};

pub(super) use crate::language::size;

use crate::language::Tongue;
use crate::secret::Secret;
use crate::secret::redact::redact;
use crate::telemetry::escape::{harmless_json, obeyed};
use crate::telemetry::log;

/// The language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lang {
    En,
    Zh,
}

impl std::str::FromStr for Lang {
    type Err = String;

    fn from_str(text: &str) -> Result<Lang, String> {
        match text {
            "en" => Ok(Lang::En),
            "zh" => Ok(Lang::Zh),
            _ => Err("the languages are en and zh".to_owned()),
        }
    }
}

impl From<Lang> for Tongue {
    fn from(lang: Lang) -> Tongue {
        match lang {
            Lang::En => Tongue::En,
            Lang::Zh => Tongue::Zh,
        }
    }
}

impl Lang {
    /// Chinese where the locale says so, English otherwise.
    pub(super) fn from_environment() -> Lang {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = names.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
        if set.is_some_and(|value| value.starts_with("zh")) { Lang::Zh } else { Lang::En }
    }

    /// The one of two texts that is in this language.
    pub(super) fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

/// Prints a line.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", redact(line));
}

/// Prints text as it is.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(redact(text).as_bytes());
}

/// Prints a secret that the operator has asked for.
pub(super) fn print_secret(secret: &Secret) {
    let _ = writeln!(std::io::stdout().lock(), "{}", secret.expose());
}

/// Prints lines on standard error, behind what the log has to say. Text of a peer or a file cannot do anything there.
pub(super) fn complain(text: &str) {
    log::flush();
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&redact(text)));
}

/// How a piece of text stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Title,
    Bad,
    Good,
    Quiet,
}

/// Colours text, if standard output is a terminal that wants colour (no `NO_COLOR`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn new() -> Paint {
        Paint(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    pub(super) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Title => "1;36",
            Ink::Bad => "31",
            Ink::Good => "32",
            Ink::Quiet => "2",
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text from a mail or a peer for a terminal: what a terminal obeys or hides ([`obeyed`]) is escaped. Lines stay lines.
pub(super) fn harmless(text: &str) -> String {
    escaped(text, |c| obeyed(c) && c != '\n' && c != '\t')
}

/// The same for what must stay on one line, because the next one is ours.
pub(super) fn one_line(text: &str) -> String {
    escaped(text, obeyed)
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> String {
    text.chars().flat_map(|c| if is_bad(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Prints a value as one line of JSON.
pub(super) fn say_json(value: &impl serde::Serialize) -> serde_json::Result<()> {
    say(&harmless_json(&serde_json::to_string(value)?));
    Ok(())
}
