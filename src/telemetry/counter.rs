//! Counters by name and label, in the words of the Prometheus text format.
//!
//! Few and bounded: names are constants of this file, label values are names from the settings or words from the code,
//! never text from a peer. Not here: gauges of the queue, which are asked of the queue itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Messages that were answered 250 after the final dot. Labels: listener; client, the name of its entry or `other`.
pub const ACCEPTED: &str = "yizhan_accepted_total";
/// Connections and commands that were refused. Label: reason.
pub const REFUSED: &str = "yizhan_refused_total";
/// Repairs made to messages. Label: repair.
pub const REPAIRS: &str = "yizhan_repairs_total";
/// Recipients, by what became of a try. Labels: account, outcome.
pub const DELIVERIES: &str = "yizhan_deliveries_total";
/// Replies that no row of the catalogue describes, by recipient. Label: account.
pub const UNKNOWN_REPLIES: &str = "yizhan_unknown_replies_total";
/// Log-ins tried. Labels: account, outcome.
pub const LOGINS: &str = "yizhan_logins_total";
/// Lines of the log that were dropped because no reader took those before them.
pub const LOG_DROPPED: &str = "yizhan_log_dropped_total";
/// Alerts, by what became of a try to send one. Labels: kind, the event in the webhook's JSON form; result (sent, failed,
/// given_up).
pub const ALERTS: &str = "yizhan_alerts_total";
/// Pieces of work that were lost to a mistake of ours. Label: task (session, proxy, delivery, settlement, order).
pub const PANICS: &str = "yizhan_panics_total";

type Labels = Vec<(&'static str, String)>;
/// By name; those of a name are sorted by their labels.
type Series = BTreeMap<&'static str, Vec<(Labels, u64)>>;

/// A piece of work that was lost to a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWork {
    /// The kind of work, as in the label of [`PANICS`].
    pub task: &'static str,
    /// The place in the source, `file:line:column`; empty when it is not known.
    pub place: String,
}

/// All counters of one relay, and its last panic. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    series: Arc<Mutex<Series>>,
    lost: Arc<Mutex<Option<LostWork>>>,
}

impl Counters {
    /// Adds `by` to the counter `name` with these labels.
    pub fn add(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        let mut all = self.lock();
        let series = all.entry(name).or_default();
        // Compared as they are: a counter that is there costs no copy of its labels.
        let order = |have: &Labels| have.iter().map(|(k, v)| (*k, v.as_str())).cmp(labels.iter().copied());
        match series.binary_search_by(|(have, _)| order(have)) {
            Ok(place) => series[place].1 += by,
            Err(place) => series.insert(place, (labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(), by)),
        }
    }

    /// The sum of all series called `name` that carry every one of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let carries = |have: &Labels| labels.iter().all(|l| have.iter().any(|(k, v)| (*k, v.as_str()) == *l));
        let all = self.lock();
        all.get(name).into_iter().flatten().filter(|(have, _)| carries(have)).map(|(_, count)| count).sum()
    }

    /// Every counter in the Prometheus text format, sorted.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, series) in self.lock().iter() {
            let _ = writeln!(text, "# TYPE {name} counter");
            for (labels, count) in series {
                let labels: Vec<String> =
                    labels.iter().map(|(k, v)| format!("{k}=\"{}\"", v.escape_default())).collect();
                let _ = writeln!(text, "{name}{{{}}} {count}", labels.join(","));
            }
        }
        text
    }

    /// Counts a panic in a task of this kind, at this place.
    pub(super) fn add_panic(&self, task: &'static str, place: String) {
        self.add(PANICS, &[("task", task)], 1);
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(LostWork { task, place });
    }

    /// The last panic that was counted.
    pub fn last_panic(&self) -> Option<LostWork> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Series> {
        // Adding to a number cannot leave the map half done.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
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
