//! Counters by name and label, in the words of the Prometheus text format.
//!
//! Few and bounded: names are constants of this file, label values are names from the settings or words from the code,
//! never text from a peer. Not here: gauges of the queue, which are asked of the queue itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

/// Messages that were answered 250 after the final dot. Labels: listener, client.
pub const ACCEPTED: &str = "yizhan_accepted_total";
/// Connections and commands that were refused. Label: reason.
pub const REFUSED: &str = "yizhan_refused_total";
/// Repairs made to messages. Label: repair.
pub const REPAIRS: &str = "yizhan_repairs_total";
/// Recipients, by what became of a try. Labels: account, outcome.
pub const DELIVERIES: &str = "yizhan_deliveries_total";
/// Log-ins tried. Labels: account, outcome.
pub const LOGINS: &str = "yizhan_logins_total";
/// Pieces of work that were lost to a mistake of ours. Label: task (session, proxy, delivery, settlement, order).
pub const PANICS: &str = "yizhan_panics_total";

type Series = (&'static str, Vec<(&'static str, String)>);

/// All counters of one relay. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<Series, u64>>>);

impl Counters {
    /// Adds `by` to the counter `name` with these labels.
    pub fn add(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        let key = (name, labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect());
        *self.lock().entry(key).or_default() += by;
    }

    /// The sum of all series called `name` that carry every one of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let carries =
            |have: &[(&'static str, String)]| labels.iter().all(|l| have.iter().any(|(k, v)| (*k, v.as_str()) == *l));
        self.lock().iter().filter(|((n, have), _)| *n == name && carries(have)).map(|(_, count)| count).sum()
    }

    /// Every counter in the Prometheus text format, sorted.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((name, labels), count) in self.lock().iter() {
            if *name != last {
                let _ = writeln!(text, "# TYPE {name} counter");
                last = name;
            }
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", v.escape_default())).collect();
            let _ = writeln!(text, "{name}{{{}}} {count}", labels.join(","));
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Series, u64>> {
        // Adding to a number cannot leave the map half done.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sums_and_renders() {
        let counters = Counters::default();
        counters.add(DELIVERIES, &[("account", "main"), ("outcome", "delivered")], 2);
        counters.add(DELIVERIES, &[("account", "main"), ("outcome", "uncertain")], 1);
        counters.clone().add(DELIVERIES, &[("account", "main"), ("outcome", "delivered")], 1);
        assert_eq!(counters.sum(DELIVERIES, &[("outcome", "delivered")]), 3);
        assert_eq!(counters.sum(DELIVERIES, &[]), 4);
        assert!(counters.render().contains("yizhan_deliveries_total{account=\"main\",outcome=\"delivered\"} 3\n"));
    }
}
