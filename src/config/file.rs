//! The settings file: found, read, and taken apart with the line of every key.
//!
//! Not here: what a value means. Unknown keys, keys of a later version, and sections that are none are found here,
//! because only here is the line known.
//!
//! Invariant: no problem quotes the text of the file. A line that does not parse may hold a secret, and the value of a
//! key nobody knows may be one (`pasword = ".."`).

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::key::{MAX_ROWS, NAMED, NUMBERED, legal_name};
use super::keys::{Found, find};
use super::layer::Layer;
use super::problem::Problem;
use super::suggest::suggest;
use super::written::from_toml;

/// Where the file comes from, when neither `--config` nor `$YIZHAN_CONFIG` names one.
#[derive(Clone)]
pub enum FileSource {
    /// The first of these that exists; none of them is no mistake.
    Search(Vec<PathBuf>),
    /// This text, under this name.
    Text {
        /// The name for messages; relative paths in the file start from its folder.
        name: PathBuf,
        /// The TOML.
        text: String,
    },
}

/// Shows where, not what: the text may hold a secret.
impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSource::Search(places) => f.debug_tuple("Search").field(places).finish(),
            FileSource::Text { name, .. } => f.debug_struct("Text").field("name", name).finish_non_exhaustive(),
        }
    }
}

impl FileSource {
    /// `./yizhan.toml`, then `/etc/yizhan/yizhan.toml`.
    pub fn usual() -> FileSource {
        FileSource::Search(vec![PathBuf::from("yizhan.toml"), PathBuf::from("/etc/yizhan/yizhan.toml")])
    }
}

/// Reads the file that `named` (by a person, so it must exist) or `source` points to.
pub(super) fn fetch(named: Option<(PathBuf, &str)>, source: &FileSource) -> Result<Option<(PathBuf, String)>, Problem> {
    let (path, origin) = match (named, source) {
        (Some((path, origin)), _) => (path, origin.to_owned()),
        (None, FileSource::Text { name, text }) => return Ok(Some((name.clone(), text.clone()))),
        (None, FileSource::Search(places)) => match places.iter().find(|place| place.exists()) {
            Some(place) => (place.clone(), place.display().to_string()),
            None => return Ok(None),
        },
    };
    let unreadable = |reason: String, remedy: &str| {
        Problem::new("", &origin, &format!("the settings file {} {reason}", path.display()), remedy)
    };
    let octets = match std::fs::read(&path) {
        Ok(octets) => octets,
        Err(e) => return Err(unreadable(format!("cannot be read: {e}"), "check the path and who may read the file")),
    };
    match String::from_utf8(octets) {
        Ok(text) => Ok(Some((path, text))),
        Err(e) => {
            let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Err(unreadable(format!("is not UTF-8 (line {line})"), "save it as UTF-8 in your editor"))
        }
    }
}

/// Takes `text` apart. What is wrong goes to `problems`, what is right into the layer.
pub(super) fn parse(name: &Path, text: &str, problems: &mut Vec<Problem>) -> Layer {
    // Windows editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { name, text, layer: Layer::default(), problems };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.table(&mut Vec::new(), table.get_ref());
    } else {
        reader.syntax(&errors);
    }
    reader.layer
}

struct Reader<'a> {
    name: &'a Path,
    text: &'a str,
    layer: Layer,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn origin(&self, offset: usize) -> String {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        format!("{}:{}", self.name.display(), 1 + before.iter().filter(|b| **b == b'\n').count())
    }

    /// Only the first error of a line: the parser often trips twice over one thing. Its messages are fixed sentences
    /// that quote nothing from the file; the line itself, which its `Display` would show, is left out.
    fn syntax(&mut self, errors: &[toml::de::Error]) {
        let mut lines = Vec::new();
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let origin = self.origin(offset);
            if lines.contains(&origin) {
                continue;
            }
            let before = self.text.get(..offset).unwrap_or("");
            let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
            let reason = format!("this is not TOML, at column {column}: {}", error.message());
            let remedy = "texts stand between double quotes, lists between square brackets, and every key once";
            self.problems.push(Problem::new("", &origin, &reason, remedy));
            lines.push(origin);
        }
    }

    fn table(&mut self, path: &mut Vec<String>, table: &DeTable<'_>) {
        // The parser sorts by name; people name the first account first.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            path.push(key.get_ref().to_string());
            let origin = self.origin(key.span().start);
            self.entry(path, value.get_ref(), &origin);
            path.pop();
        }
    }

    fn entry(&mut self, path: &mut Vec<String>, written: &DeValue<'_>, origin: &str) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let found = find(&parts);
        if let [kind] = parts.as_slice()
            && NUMBERED.contains(kind)
        {
            return self.rows(path, written, origin);
        }
        let chosen = path.len() == 2 && NAMED.contains(&path[0].as_str());
        if chosen && matches!(written, DeValue::Table(_)) && !legal_name(&path[1]) {
            let remedy = "use lower-case letters, digits, `-` and single `_`, 32 characters at most";
            return self.problem(path, origin, "this name cannot be used", remedy);
        }
        match (found, written) {
            (Found::Key(key), DeValue::Table(_)) if !key.kind.is_secret() => {
                let remedy = format!("write {} = .. with a value, not a section or braces", path.join("."));
                self.problem(path, origin, "this is a section, but it must be a value", &remedy);
            }
            (Found::Key(key), _) => {
                let value = from_toml(key, written, origin, self.name.parent());
                self.layer.set(&path.join("."), value);
            }
            (Found::Section, DeValue::Table(table)) => {
                if chosen {
                    self.layer.name_section(&path.join("."), origin);
                }
                self.table(path, table);
            }
            (Found::Section, _) => self.no_section(path, origin),
            (Found::Later, _) => {
                self.problem(path, origin, "this is not in this version yet", "remove it; nothing takes its place yet");
            }
            (Found::Unknown, _) => self.problem(path, origin, "there is no such setting", &suggest(&parts)),
        }
    }

    /// `[[route]]`, each a section of its own: `route.0`, `route.1` and so on.
    fn rows(&mut self, path: &mut Vec<String>, written: &DeValue<'_>, origin: &str) {
        let DeValue::Array(items) = written else { return self.no_section(path, origin) };
        if items.len() > MAX_ROWS {
            let remedy = format!("write at most {MAX_ROWS}");
            return self.problem(path, origin, "there are too many of these sections", &remedy);
        }
        for (number, item) in items.iter().enumerate() {
            let origin = self.origin(item.span().start);
            path.push(number.to_string());
            match item.get_ref() {
                DeValue::Table(table) => {
                    self.layer.name_section(&path.join("."), &origin);
                    self.table(path, table);
                }
                _ => self.no_section(path, &origin),
            }
            path.pop();
        }
    }

    /// `account = ..`, `[[account]]`, or `[listener]` with `bind` right below it.
    fn no_section(&mut self, path: &[String], origin: &str) {
        let section = match path {
            [kind] | [kind, _] if NAMED.contains(&kind.as_str()) => format!("{kind}.NAME"),
            [kind] | [kind, _] if NUMBERED.contains(&kind.as_str()) => format!("[{kind}]"),
            _ => path.join("."),
        };
        let remedy = match path {
            // At the top it is nearly always the mailbox that was meant.
            [kind] if kind == "user" => {
                "did you mean `account.NAME.user`? A [user.NAME] is somebody who logs in here".to_owned()
            }
            _ => format!("write [{section}] on a line of its own and the settings below it"),
        };
        self.problem(path, origin, "this must be a section", &remedy);
    }

    fn problem(&mut self, path: &[String], origin: &str, reason: &str, remedy: &str) {
        self.problems.push(Problem::new(&path.join("."), origin, reason, remedy));
    }
}
