//! The log: one line a fact, as text or as JSON, on standard error.
//!
//! A fact is a `tracing` event with the field `event` (`accepted`, `delivered` ...) and fields beside it, `id` first:
//! `info!(event = "accepted", id = %id, ...)`. Events of the libraries appear from level `warn` on, with their target as
//! `event`. Text from peers is escaped, so that one fact is always one line and a terminal obeys nobody but us.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::Clock;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-21T18:00:00.123+08:00 INFO  accepted id=... client=...`
    Text,
    /// One JSON object a line, with `time`, `level` and `event`.
    Json,
}

/// The settings of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a line is written.
    pub format: Format,
    /// The least important level that is written.
    pub level: LevelFilter,
}

/// Starts the log of this process. A second call does nothing (tests run in one process).
pub fn start(settings: Settings) {
    let lines = Lines { format: settings.format, level: settings.level, clock: Clock::system() };
    // The only error is "there is a subscriber already", which is what the doc comment promises to accept.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

struct Lines {
    format: Format,
    level: LevelFilter,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("yizhan");
        *metadata.level() <= self.level && (ours || *metadata.level() <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fact = Fact::default();
        event.record(&mut fact);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let name = fact.name.take().unwrap_or_else(|| target.to_owned());
        let line = match self.format {
            Format::Text => text_line(&self.clock.now().rfc3339(), level, &name, &fact.fields),
            Format::Json => json_line(&self.clock.now().rfc3339(), level, &name, &fact.fields),
        };
        // A log that cannot be written must not stop the mail.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

#[derive(Default)]
struct Fact {
    name: Option<String>,
    fields: Vec<(&'static str, serde_json::Value)>,
}

impl Fact {
    fn put(&mut self, field: &Field, value: serde_json::Value) {
        match (field.name(), value) {
            ("event", serde_json::Value::String(name)) => self.name = Some(name),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fact {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

fn text_line(time: &str, level: Level, name: &str, fields: &[(&'static str, serde_json::Value)]) -> String {
    let mut line = format!("{time} {level:<5} {}", escape(name));
    for (key, value) in fields {
        let owned;
        let text = match value.as_str() {
            Some(text) => text,
            None => {
                owned = value.to_string();
                &owned
            }
        };
        if *key == "message" {
            let _ = write!(line, " {}", escape(text));
        } else if text.is_empty() || text.contains([' ', '"', '=']) {
            // A backslash of the peer's before our quote would end the value early.
            let _ = write!(line, " {key}=\"{}\"", escape(&text.replace('\\', "\\\\").replace('"', "\\\"")));
        } else {
            let _ = write!(line, " {key}={}", escape(text));
        }
    }
    line.push('\n');
    line
}

fn json_line(time: &str, level: Level, name: &str, fields: &[(&'static str, serde_json::Value)]) -> String {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), time.into());
    object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    object.insert("event".to_owned(), name.into());
    for (key, value) in fields {
        object.insert((*key).to_owned(), value.clone());
    }
    format!("{}\n", harmless_json(&serde_json::Value::Object(object).to_string()))
}

/// JSON with nothing in it that a terminal obeys. JSON itself escapes C0 only, and a terminal may take C1 (U+009B) for
/// the begin of a command.
pub fn harmless_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if obeyed(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

/// What a terminal or an editor obeys instead of showing it: controls (C0, DEL, C1), line separators, and what turns the
/// direction of the text (Unicode Standard Annex 9 section 2).
pub fn obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What [`obeyed`] names as escapes; everything else as it is.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if obeyed(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_one_line_whatever_a_peer_sends() {
        let fields = [("id", "01abc".into()), ("helo", "x\r\nlevel=ERROR \u{1b}[2J\u{9b}".into()), ("n", 7.into())];
        let line = text_line("T", Level::INFO, "accepted", &fields);
        assert_eq!(line, "T INFO  accepted id=01abc helo=\"x\\r\\nlevel=ERROR \\u{1b}[2J\\u{9b}\" n=7\n");
    }

    #[test]
    fn a_042_a_043_no_value_ends_before_its_quote() {
        let line = |value: &str| text_line("T", Level::INFO, "x", &[("why", value.into())]);
        assert_eq!(line("a\\\" id=forged"), "T INFO  x why=\"a\\\\\\\" id=forged\"\n");
        assert_eq!(line("a b\\"), "T INFO  x why=\"a b\\\\\"\n");
        assert_eq!(line("a\u{202e}b"), "T INFO  x why=a\\u{202e}b\n");
        let json = json_line("T", Level::INFO, "x", &[("why", "a\u{9b}2J\u{7f}\u{2028}\u{202e}".into())]);
        assert!(json.trim_end().chars().all(|c| !obeyed(c)), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["why"], "a\u{9b}2J\u{7f}\u{2028}\u{202e}");
    }

    #[test]
    fn json_has_the_event_and_the_fields_at_the_top() {
        let line = json_line("T", Level::WARN, "deferred", &[("id", "01abc".into()), ("why", "a\nb".into())]);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&value["event"], &value["id"], &value["why"]),
            (&"deferred".into(), &"01abc".into(), &"a\nb".into())
        );
        assert_eq!(line.matches('\n').count(), 1);
    }
}
