//! All values that were written, read by the kinds of their keys, with what is shown of them and where they come from.
//!
//! Not here: what one value means (that is `value`), and whether values go together (that is `check` and the files of the
//! sections).

use std::collections::BTreeMap;

use config::Value;

use super::display::{HIDDEN, display};
use super::environment::variable;
use super::keys;
use super::problem::{Findings, Problem};
use super::sources::Sources;
use super::value::{Meaning, read};

/// The values of all keys that were written or have a default.
pub(super) struct Values<'a> {
    sources: &'a Sources,
    meanings: BTreeMap<String, Meaning>,
    pub(super) origins: BTreeMap<String, String>,
    /// Each value as TOML, secrets hidden.
    pub(super) shown: BTreeMap<String, String>,
}

/// The meaning of a key, if it was written and is right.
macro_rules! get {
    ($values:expr, $key:expr, $variant:ident) => {
        match $values.meaning(AsRef::<str>::as_ref(&$key)) {
            Some(crate::config::value::Meaning::$variant(meaning)) => Some(meaning.clone()),
            Some(_) | None => None,
        }
    };
}
pub(super) use get;

impl<'a> Values<'a> {
    /// Reads the merged values. What cannot be read is in the findings.
    pub(super) fn read(sources: &'a Sources, merged: BTreeMap<String, Value>) -> (Values<'a>, Findings) {
        let (meanings, origins, shown) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut values = Values { sources, meanings, origins, shown };
        let mut findings = Findings::default();
        for (path, value) in merged {
            let kind = keys::key(&path).expect("a layer holds known keys only").kind;
            let origin = value.origin().unwrap_or_default().to_owned();
            match read(kind, &value) {
                Ok(meaning) => {
                    values.meanings.insert(path.clone(), meaning);
                }
                Err(fault) => {
                    let shown = fault.item.unwrap_or_else(|| display(kind, &value));
                    let problem = Problem::new(&path, &origin, &fault.reason, &fault.remedy);
                    findings.problems.push(Problem { value: Some(shown), ..problem });
                }
            }
            values.shown.insert(path.clone(), display(kind, &value));
            values.origins.insert(path, origin);
        }
        (values, findings)
    }

    /// The meaning of a key, if it was written and is right. [`get!`] returns it as the type of its kind.
    pub(super) fn meaning(&self, key: &str) -> Option<&Meaning> {
        self.meanings.get(key)
    }

    /// All meanings, by their keys.
    pub(super) fn meanings(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.meanings.iter().map(|(key, meaning)| (key.as_str(), meaning))
    }

    /// Whether a key was written, rightly or wrongly, or has a default.
    pub(super) fn has(&self, key: &str) -> bool {
        self.shown.contains_key(key)
    }

    /// Whether a key was written wrongly.
    pub(super) fn is_misread(&self, key: &str) -> bool {
        self.has(key) && self.meaning(key).is_none()
    }

    /// Where a key was written; empty when it was not.
    pub(super) fn origin(&self, key: &str) -> &str {
        self.origins.get(key).map_or("", String::as_str)
    }

    /// The environment variable, if it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        variable(&self.sources.env, name)
    }

    /// Whether the caller can ask for a secret that is missing.
    pub(super) fn can_ask(&self) -> bool {
        self.sources.can_ask
    }

    /// Removes a key that has its default.
    pub(super) fn forget_default(&mut self, key: &str) {
        if self.origin(key) == "default" {
            self.meanings.remove(key);
            self.origins.remove(key);
            self.shown.remove(key);
        }
    }

    /// Shows nothing of the value of a key.
    pub(super) fn hide(&mut self, key: &str) {
        self.shown.insert(key.to_owned(), HIDDEN.to_owned());
    }

    /// A mistake in a value that was read, but does not go with something else.
    pub(super) fn misfit(&self, key: &str, reason: &str, remedy: &str) -> Problem {
        Problem { value: self.shown.get(key).cloned(), ..Problem::new(key, self.origin(key), reason, remedy) }
    }

    /// A warning about the value of a key.
    pub(super) fn warning(&self, key: &str, text: &str) -> String {
        format!("{key} ({}): {text}", self.origin(key))
    }
}
