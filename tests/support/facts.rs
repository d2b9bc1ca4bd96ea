//! The facts that this process logs, as values: each event with its fields, from `info` on.
//!
//! Tests tell their facts apart by a field, an address mostly. Not here: how a fact becomes a line (`telemetry::log`), and
//! the log of the real program ([`super::program`]).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// One fact: its fields by name.
pub type Fact = BTreeMap<String, String>;

/// What was logged so far.
#[derive(Clone, Default)]
pub struct Facts(Arc<Mutex<Vec<Fact>>>);

impl Facts {
    /// Those of the whole process. The first call begins to listen.
    pub fn listen() -> Facts {
        static ALL: OnceLock<Facts> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let facts = Facts::default();
            let subscriber = tracing_subscriber::registry().with(facts.clone());
            tracing::subscriber::set_global_default(subscriber).expect("no other test listens in another way");
            facts
        });
        all.clone()
    }

    /// The facts with one of these events whose field has this value, oldest first.
    pub fn with(&self, events: &[&str], field: &str, value: &str) -> Vec<Fact> {
        let has = |fact: &&Fact| {
            events.iter().any(|event| fact.get("event").is_some_and(|name| name == event))
                && fact.get(field).is_some_and(|found| found == value)
        };
        self.0.lock().expect("no test holds it").iter().filter(has).cloned().collect()
    }
}

impl<S: Subscriber> Layer<S> for Facts {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::INFO {
            let mut fact = Fields(Fact::new());
            event.record(&mut fact);
            self.0.lock().expect("no test holds it").push(fact.0);
        }
    }
}

struct Fields(Fact);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
