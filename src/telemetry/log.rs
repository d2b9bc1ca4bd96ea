//! The log: one line a fact, as text or as JSON, on standard error.
//!
//! A fact is a `tracing` event with the field `event` (`accepted`, `delivered` ...) and fields beside it, `id` first:
//! `info!(event = "accepted", id = %id, ...)`. Events of the libraries appear from level `warn` on, with their target as
//! `event`. Secrets are taken out of every value that is not a name ([`NAMES`]). Text from peers is escaped, so that one
//! fact is always one line and a terminal obeys nobody but us.
//! Where standard error is the journal of systemd, each line begins with its priority (`<4>`, sd-daemon(3)).
//! Lines are written by a thread of their own ([`writer`]): a reader that stops costs lines, never mail.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::Clock;
use crate::secret::redact::redact;

use super::counter::{Counters, LOG_DROPPED};
use super::escape::{Escaped, is_printable_ascii, obeyed, quoted};
use writer::{LogWriter, Report};

mod writer;

/// Octets of lines that may wait for the reader of standard error: some 5,000 lines.
const WAITING: usize = 1 << 20;
/// How long the end of the process waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The log of this process, once it was started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// `2026-11-21T18:00:00.123+08:00 INFO  accepted id=... client=...`
    Text,
    /// One JSON object a line, with `time`, `level` and `event`.
    Json,
}

/// The settings of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line is written.
    pub format: LineFormat,
    /// The least important level that is written.
    pub level: LevelFilter,
    /// Whether `accepted` has the subject of the mail.
    pub subject: bool,
}

/// Starts the log of this process. A second call does nothing (tests run in one process).
///
/// # Errors
/// The system gives no thread, or standard error is closed.
pub fn start(settings: LogSettings) -> std::io::Result<()> {
    let journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let lines = Lines { journal, format: settings.format, level: settings.level, clock: Clock::system() };
    if WRITER.get().is_none() {
        // Not through `std::io::stderr`, whose lock a write that waits would keep from everybody else.
        let sink = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
        let _ = WRITER.set(LogWriter::start(WAITING, report(settings.format, journal), sink)?);
    }
    // The only error is "there is a subscriber already", which is what the doc comment promises to accept.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    Ok(())
}

/// Whether standard error is the journal: systemd names its device and inode in `$JOURNAL_STREAM` (systemd.exec(5)).
fn is_journal(stream: Option<&str>) -> bool {
    let own = rustix::fs::fstat(std::io::stderr()).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    own.is_ok_and(|own| stream == Some(own.as_str()))
}

/// What a line of this level begins with in the journal (sd-daemon(3)), so that `journalctl -p warning` finds it.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Waits until every line is written, as long as the reader goes on. To be called before the process ends, and before
/// anything else is written to standard error.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush(PATIENCE);
    }
}

/// Adds the lines that were dropped since the last call to the counters.
pub fn count_dropped(counters: &Counters) {
    let dropped = WRITER.get().map_or(0, LogWriter::take_dropped);
    if dropped > 0 {
        counters.add(LOG_DROPPED, &[], dropped);
    }
}

/// What stands in the place of lines that were dropped.
fn report(format: LineFormat, journal: bool) -> Report {
    let clock = Clock::system();
    Box::new(move |dropped| {
        let mut fact = Fact { format: Some(format), name: "log_dropped".to_owned(), ..Fact::default() };
        fact.fields = match format {
            LineFormat::Text => format!(" lines={dropped}"),
            LineFormat::Json => format!(",\"lines\":{dropped}"),
        };
        if journal {
            fact.line.push_str(priority(Level::WARN));
        }
        fact.line(&clock.now().rfc3339(), Level::WARN, "").to_owned()
    })
}

struct Lines {
    /// Each line begins with its priority.
    journal: bool,
    format: LineFormat,
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
        let mut fact = Fact::begin(self.format);
        event.record(&mut fact);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        if self.journal {
            fact.line.push_str(priority(level));
        }
        let line = fact.line(&self.clock.now().rfc3339(), level, target);
        if let Some(writer) = WRITER.get() {
            writer.push(line.as_bytes());
        }
        fact.keep();
    }
}

/// Fields whose values are ids, addresses and names from the settings. A weak secret that is like one of them must not
/// make a log unreadable. `recipient` is not one of them: it may be text that is no address.
const NAMES: [&str; 11] =
    ["id", "client", "account", "listener", "pool", "addr", "user", "from", "to", "sender", "first"];

/// Longer buffers are not kept.
const KEPT: usize = 4 * 1024;

thread_local! {
    /// The buffers of this thread: a line of the log is written for every message.
    static FACT: Cell<Fact> = Cell::default();
}

/// One fact on its way to a line.
#[derive(Default)]
struct Fact {
    format: Option<LineFormat>,
    name: String,
    fields: String,
    line: String,
    /// A value before its secrets are taken out.
    value: String,
}

impl Fact {
    /// An empty one, in the buffers of this thread. They are taken, not borrowed: a value that logs while it is shown
    /// finds none, and neither does a thread that is about to end.
    fn begin(format: LineFormat) -> Fact {
        let mut fact = FACT.try_with(Cell::take).unwrap_or_default();
        fact.format = Some(format);
        for text in [&mut fact.name, &mut fact.fields, &mut fact.line] {
            text.clear();
        }
        fact
    }

    /// Gives the buffers back for the next one.
    fn keep(self) {
        if [&self.fields, &self.line, &self.value].iter().all(|text| text.capacity() <= KEPT) {
            let _ = FACT.try_with(|fact| fact.set(self));
        }
    }

    /// Writes a field: a number or a truth as it is, anything else as text without secrets.
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>, plain: bool) {
        let name = field.name();
        if plain || name == "event" || NAMES.contains(&name) {
            return self.show(name, value, plain);
        }
        let mut text = std::mem::take(&mut self.value);
        text.clear();
        let _ = text.write_fmt(value);
        self.show(name, format_args!("{}", redact(&text)), false);
        self.value = text;
    }

    fn show(&mut self, name: &str, value: fmt::Arguments<'_>, plain: bool) {
        // Writing into a String cannot fail; a value that cannot be shown is shown as far as it goes.
        if name == "event" {
            let _ = self.name.write_fmt(value);
        } else if self.format == Some(LineFormat::Json) {
            let _ = write!(self.fields, ",\"{name}\":");
            let _ = if plain { self.fields.write_fmt(value) } else { quoted(&mut self.fields, value) };
        } else if name == "message" {
            self.fields.push(' ');
            let _ = Escaped(&mut self.fields).write_fmt(value);
        } else {
            let _ = write!(self.fields, " {name}=");
            let begin = self.fields.len();
            let _ = self.fields.write_fmt(value);
            let text = &self.fields[begin..];
            if text.is_empty() || text.contains([' ', '"', '=']) {
                // A backslash of the peer's before our quote would end the value early.
                let inner = self.fields.split_off(begin).replace('\\', "\\\\").replace('"', "\\\"");
                let _ = write!(Escaped(&mut self.fields), "\"{inner}\"");
            } else if !is_printable_ascii(text) && text.contains(obeyed) {
                let text = self.fields.split_off(begin);
                let _ = Escaped(&mut self.fields).write_str(&text);
            }
        }
    }

    /// The whole line. A fact without a name goes by `target`.
    fn line(&mut self, time: &str, level: Level, target: &str) -> &str {
        let name = if self.name.is_empty() { target } else { &self.name };
        let line = &mut self.line;
        if self.format == Some(LineFormat::Json) {
            let _ =
                write!(line, "{{\"time\":\"{time}\",\"level\":\"{}\",\"event\":", level.as_str().to_ascii_lowercase());
            let _ = quoted(line, format_args!("{name}"));
            line.push_str(&self.fields);
            line.push('}');
        } else {
            let _ = write!(line, "{time} {level:<5} ");
            let _ = write!(Escaped(line), "{name}");
            line.push_str(&self.fields);
        }
        line.push('\n');
        line
    }
}

impl Visit for Fact {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"), false);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, format_args!("{value}"), true);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, format_args!("{value}"), true);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, format_args!("{value}"), true);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, format_args!("{value}"), true);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"), false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::escape::harmless_json;
    use super::*;

    /// What a fact becomes, through the layer's own visitor.
    fn line(format: LineFormat, tell: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Taken(format, lines.clone())), tell);
        lines.lock().unwrap().clone()
    }

    struct Taken(LineFormat, Arc<Mutex<String>>);

    impl<S: Subscriber> Layer<S> for Taken {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fact = Fact::begin(self.0);
            event.record(&mut fact);
            self.1.lock().unwrap().push_str(fact.line("T", *event.metadata().level(), event.metadata().target()));
            fact.keep();
        }
    }

    #[test]
    fn a_fact_is_one_line_whatever_a_peer_sends() {
        let helo = "x\r\nlevel=ERROR \u{1b}[2J\u{9b}";
        let text = line(LineFormat::Text, || {
            tracing::info!(event = "accepted", id = "01abc", helo, n = 7, empty = "", ok = true)
        });
        assert_eq!(
            text,
            "T INFO  accepted id=01abc helo=\"x\\r\\nlevel=ERROR \\u{1b}[2J\\u{9b}\" n=7 empty=\"\" ok=true\n"
        );
        let text = line(LineFormat::Text, || {
            tracing::warn!(event = "refused", why = %"say \"no\"", "two\nwords");
            tracing::event!(Level::WARN, "nameless");
        });
        assert_eq!(
            text,
            "T WARN  refused two\\nwords why=\"say \\\"no\\\"\"\nT WARN  yizhan::telemetry::log::tests nameless\n"
        );
    }

    #[test]
    fn a_042_a_043_no_value_ends_before_its_quote() {
        let told = |value: &str| line(LineFormat::Text, || tracing::info!(event = "x", why = value));
        assert_eq!(told("a\\\" id=forged"), "T INFO  x why=\"a\\\\\\\" id=forged\"\n");
        assert_eq!(told("a b\\"), "T INFO  x why=\"a b\\\\\"\n");
        assert_eq!(told("a\u{202e}b"), "T INFO  x why=a\\u{202e}b\n");
        for (hidden, shown) in [
            ("\u{61c}", "\\u{61c}"),
            ("\u{feff}", "\\u{feff}"),
            ("\u{e0041}\u{e007f}", "\\u{e0041}\\u{e007f}"),
            ("\u{200d}", "\\u{200d}"),
            ("\u{3164}", "\\u{3164}"),
        ] {
            assert_eq!(told(&format!("a{hidden}b")), format!("T INFO  x why=a{shown}b\n"));
        }
        assert_eq!(told("驿站é😀"), "T INFO  x why=驿站é😀\n");
        let evil = "a\u{9b}2J\u{7f}\u{2028}\u{202e}\u{61c}\u{feff}\u{e0041}";
        let shown = harmless_json(&serde_json::to_string(evil).unwrap());
        assert!(shown.is_ascii() && serde_json::from_str::<String>(&shown).unwrap() == evil, "{shown}");
        let json = line(LineFormat::Json, || tracing::info!(event = "x", why = evil));
        assert!(json.trim_end().chars().all(|c| !obeyed(c)), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["why"], evil);
    }

    #[test]
    fn a_report_of_dropped_lines_is_a_fact_like_any_other() {
        let text = report(LineFormat::Text, false)(7);
        assert!(text.ends_with(" WARN  log_dropped lines=7\n"), "{text}");
        assert_eq!(report(LineFormat::Text, true)(7)[..4], format!("<4>{}", &text[..1]));
        let value: serde_json::Value = serde_json::from_str(&report(LineFormat::Json, false)(7)).unwrap();
        assert_eq!(
            (&value["event"], &value["level"], &value["lines"]),
            (&"log_dropped".into(), &"warn".into(), &7.into())
        );
    }

    #[test]
    fn json_has_the_event_and_the_fields_at_the_top() {
        let text = line(LineFormat::Json, || {
            tracing::warn!(
                event = "deferred",
                id = "01abc",
                why = "a\nb\\ \"c\" \u{7f}\u{2028}驿",
                size = 3,
                user = Some("x"),
                "said"
            );
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let all = serde_json::json!({"time": "T", "level": "warn", "event": "deferred", "id": "01abc",
            "why": "a\nb\\ \"c\" \u{7f}\u{2028}驿", "size": 3, "user": "x", "message": "said"});
        assert_eq!(value, all);
        assert_eq!(text.matches('\n').count(), 1);
    }
}
