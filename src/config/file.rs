//! The settings file: found, read, and taken apart with the line of every key.
//!
//! Not here: what a value means. Unknown keys, keys of a later version, and sections that are none are found here,
//! because only here is the line known.
//!
//! Invariant: no problem quotes the text of the file. A line that does not parse may hold a secret, and the value of a
//! key nobody knows may be one (`pasword = ".."`).

use std::fmt;
use std::path::{Path, PathBuf};

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::keys::{Found, Key, Kind, MAX_ROWS, NAMED, NUMBERED, find};
use super::layer::{Layer, is_table, legal_name, secret_pair};
use super::problem::Problem;
use super::suggest::suggest;

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
    let unreadable = |reason: String, remedy: &str| Problem {
        key: String::new(),
        value: None,
        origin,
        reason: format!("the settings file {} {reason}", path.display()),
        remedy: remedy.to_owned(),
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
            self.problems.push(Problem {
                key: String::new(),
                value: None,
                origin: origin.clone(),
                reason: format!("this is not TOML, at column {column}: {}", error.message()),
                remedy: "texts stand between double quotes, lists between square brackets, and every key once"
                    .to_owned(),
            });
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
        if chosen && is_table(written) && !legal_name(&path[1]) {
            let remedy = "use lower-case letters, digits, `-` and single `_`, 32 characters at most";
            return self.problem(path, origin, "this name cannot be used", remedy);
        }
        match (found, written) {
            (Found::Key(key), DeValue::Table(_)) if !key.kind.is_secret() => {
                let remedy = format!("write {} = .. with a value, not a section or braces", path.join("."));
                self.problem(path, origin, "this is a section, but it must be a value", &remedy);
            }
            (Found::Key(key), _) => {
                let value = value(key, written, origin, self.name.parent());
                self.layer.set(&path.join("."), value);
            }
            (Found::Section, DeValue::Table(table)) => {
                if chosen {
                    self.layer.name_section(&path.join("."), origin);
                }
                self.table(path, table);
            }
            (Found::Section, _) => self.no_section(path, origin),
            // A flat file, without [account.NAME]; `[user.NAME]` is something else, and later.
            (Found::Later, written) if parts == ["user"] && !is_table(written) => {
                self.problem(path, origin, "there is no such setting", &suggest(&parts));
            }
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
        let key = path.join(".");
        let (origin, reason, remedy) = (origin.to_owned(), reason.to_owned(), remedy.to_owned());
        self.problems.push(Problem { key, value: None, origin, reason, remedy });
    }
}

/// The value of `key` as a layer holds it. Relative paths start from `folder`, the one the file is in.
pub(super) fn value(key: &Key, written: &DeValue<'_>, origin: &str, folder: Option<&Path>) -> Value {
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
