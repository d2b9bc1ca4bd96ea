//! A pool: the accounts that may take a message, as a text that is kept with it. Pure.
//!
//! Invariants: the text of a pool names no account twice and reads back as the same pool. Names of accounts have neither
//! comma nor bar in them; the settings see to it.

use std::fmt;
use std::sync::Arc;

/// The accounts that may take a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Names of accounts, the preferred one first.
    pub accounts: Vec<String>,
    /// By turns instead of in order; means nothing for less than two accounts.
    pub spread: bool,
}

impl Pool {
    /// Reads what [`Pool`] displays. Never fails: the text may be older than the settings, so that each name has to be
    /// looked up anyway. Blanks, empty names and repeated names are left out.
    pub fn parse(text: &str) -> Pool {
        let names: Vec<String> = text.split([',', '|']).map(|name| name.trim().to_owned()).collect();
        Pool { accounts: distinct(&names).map(str::to_owned).collect(), spread: text.contains('|') }.canonical()
    }

    /// The canonical text.
    pub fn text(&self) -> Arc<str> {
        Arc::from(self.to_string())
    }

    fn canonical(mut self) -> Pool {
        self.spread &= self.accounts.len() > 1;
        self
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = distinct(&self.accounts).collect();
        f.write_str(&names.join(if self.spread { "|" } else { "," }))
    }
}

/// The names that are not empty, each where it stands first.
fn distinct(names: &[String]) -> impl Iterator<Item = &str> {
    let first = |place: usize| !names[..place].contains(&names[place]);
    names
        .iter()
        .enumerate()
        .filter(move |(place, name)| !name.is_empty() && first(*place))
        .map(|(_, name)| name.as_str())
}
