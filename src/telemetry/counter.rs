//! Metrics: counters, gauges and histograms by name and label, in the text format of Prometheus.
//!
//! Few and bounded: names and help texts are in the table of this file; label values are names from the settings or words
//! from the code, never text of a peer. What a running relay can count from its start is declared then, so that each series
//! exists at 0. Not here: levels of the queue, the accounts and the process, which are set when the metrics are asked for
//! (`admin::metrics`).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The content type of [`Counters::render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Messages that were answered 250 after the final dot. Labels: listener; client, the name of its entry or `other`.
pub const ACCEPTED: &str = "yizhan_accepted_total";
/// Connections and commands that were refused. Label: reason.
pub const REFUSED: &str = "yizhan_refused_total";
/// Repairs made to messages. Label: repair.
pub const REPAIRS: &str = "yizhan_repairs_total";
/// Recipients, by what became of an attempt. Labels: account, outcome.
pub const DELIVERIES: &str = "yizhan_deliveries_total";
/// Replies of the provider to recipients. Labels: account; phase; class, `2`, `4`, `5` or `unknown`.
pub const REPLIES: &str = "yizhan_replies_total";
/// Replies that no row of the catalogue describes, by recipient. Label: account.
pub const UNKNOWN_REPLIES: &str = "yizhan_unknown_replies_total";
/// Log-ins that were attempted. Labels: account, outcome.
pub const LOGINS: &str = "yizhan_logins_total";
/// Lines of the log that were dropped because no reader took those before them.
pub const LOG_DROPPED: &str = "yizhan_log_dropped_total";
/// Tasks that a fault of the relay ended. Label: task (session, proxy, delivery, settlement, order).
pub const PANICS: &str = "yizhan_panics_total";
/// Alerts. Labels: kind, the event in the webhook's JSON form; result (sent, failed, given_up).
pub const ALERTS: &str = "yizhan_alerts_total";
/// Seconds from the final dot to its reply.
pub const ACCEPT_SECONDS: &str = "yizhan_accept_seconds";
/// Seconds of one attempt, without the time that the message waited. Label: account.
pub const DELIVERY_SECONDS: &str = "yizhan_delivery_seconds";
/// Seconds from the 250 to the provider's.
pub const AGE_AT_DELIVERY: &str = "yizhan_age_at_delivery_seconds";
/// Seconds of one synced commit of the queue.
pub const COMMIT_SECONDS: &str = "yizhan_commit_seconds";
/// Open connections of clients. Label: listener.
pub const CONNECTIONS: &str = "yizhan_connections";
/// When a client with an entry of its own sent the last message that was accepted. Label: client.
pub const CLIENT_LAST_ACCEPTED: &str = "yizhan_client_last_accepted_timestamp_seconds";
/// Messages in each state. Label: state.
pub const QUEUE_MESSAGES: &str = "yizhan_queue_messages";
/// Octets of all unfinished messages.
pub const QUEUE_BYTES: &str = "yizhan_queue_bytes";
/// Seconds since the oldest unfinished message arrived.
pub const QUEUE_OLDEST: &str = "yizhan_queue_oldest_seconds";
/// Unfinished messages of each pool and lane. Labels: pool, lane.
pub const LANE_WAITING: &str = "yizhan_lane_waiting_messages";
/// Open connections to the provider. Label: account.
pub const UPSTREAM_CONNECTIONS: &str = "yizhan_upstream_connections";
/// 1 for the state that an account is in. Labels: account, state.
pub const ACCOUNT_STATE: &str = "yizhan_account_state";
/// When an account may be used again; 0 while it may be used. Label: account.
pub const ACCOUNT_RESUMES: &str = "yizhan_account_resumes_timestamp_seconds";
/// What is left of a budget. Labels: account, unit, window.
pub const BUDGET_LEFT: &str = "yizhan_account_budget_left";
/// The limit of a budget. Labels: account, unit, window.
pub const BUDGET_LIMIT: &str = "yizhan_account_budget_limit";
/// Octets free on the disk of the data folder.
pub const DISK_FREE: &str = "yizhan_disk_free_bytes";
/// 1 while new mail can be accepted.
pub const READY: &str = "yizhan_ready";
/// 1. Label: version.
pub const BUILD_INFO: &str = "yizhan_build_info";
/// 1 if the settings were read without a mistake the last time.
pub const RELOAD_SUCCESSFUL: &str = "yizhan_config_last_reload_successful";
/// When the settings were read without a mistake the last time.
pub const RELOAD_TIME: &str = "yizhan_config_last_reload_success_timestamp_seconds";
/// Resident memory of the process.
pub const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
/// Processor time of the process.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Open descriptors of the process.
pub const PROCESS_FDS: &str = "process_open_fds";
/// The most descriptors that the process may open.
pub const PROCESS_MAX_FDS: &str = "process_max_fds";
/// When the process began.
pub const PROCESS_START: &str = "process_start_time_seconds";

/// Seconds: short work inside the relay.
const SHORT: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Seconds: an exchange with a provider.
const EXCHANGE: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds: a message that may wait for days.
const WAIT: &[f64] =
    &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 432_000.0];

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It only grows.
    Counter,
    /// It only grows, and is a fraction that is measured elsewhere.
    Total,
    /// A level.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// All metrics: name, kind, help.
const METRICS: &[(&str, Kind, &str)] = &[
    (ACCEPTED, Kind::Counter, "Messages answered 250 after the final dot"),
    (REFUSED, Kind::Counter, "Connections, commands and messages that were refused"),
    (REPAIRS, Kind::Counter, "Repairs made to messages"),
    (DELIVERIES, Kind::Counter, "Recipients by the outcome of an attempt"),
    (REPLIES, Kind::Counter, "Replies of the provider to recipients by phase and class"),
    (UNKNOWN_REPLIES, Kind::Counter, "Replies that no row of the catalogue describes"),
    (LOGINS, Kind::Counter, "Log-ins that were attempted"),
    (LOG_DROPPED, Kind::Counter, "Lines of the log that were dropped"),
    (PANICS, Kind::Counter, "Tasks that a fault of the relay ended"),
    (ALERTS, Kind::Counter, "Alerts by kind and result"),
    (ACCEPT_SECONDS, Kind::Histogram(SHORT), "Seconds from the final dot to its reply"),
    (DELIVERY_SECONDS, Kind::Histogram(EXCHANGE), "Seconds of one attempt, waiting excluded"),
    (AGE_AT_DELIVERY, Kind::Histogram(WAIT), "Seconds from the 250 to the delivery"),
    (COMMIT_SECONDS, Kind::Histogram(SHORT), "Seconds of one synced commit of the queue"),
    (CONNECTIONS, Kind::Gauge, "Open connections of clients"),
    (CLIENT_LAST_ACCEPTED, Kind::Gauge, "When a client with an entry sent its last accepted message"),
    (QUEUE_MESSAGES, Kind::Gauge, "Messages in the queue by state"),
    (QUEUE_BYTES, Kind::Gauge, "Octets of unfinished messages"),
    (QUEUE_OLDEST, Kind::Gauge, "Age of the oldest unfinished message"),
    (LANE_WAITING, Kind::Gauge, "Unfinished messages by pool and lane"),
    (UPSTREAM_CONNECTIONS, Kind::Gauge, "Open connections to the provider"),
    (ACCOUNT_STATE, Kind::Gauge, "1 for the state that the account is in"),
    (ACCOUNT_RESUMES, Kind::Gauge, "When the account may be used again, 0 while it may be used"),
    (BUDGET_LEFT, Kind::Gauge, "What is left of a budget"),
    (BUDGET_LIMIT, Kind::Gauge, "The limit of a budget"),
    (DISK_FREE, Kind::Gauge, "Octets free on the disk of the data folder"),
    (READY, Kind::Gauge, "1 while new mail can be accepted"),
    (BUILD_INFO, Kind::Gauge, "The version of the program"),
    (RELOAD_SUCCESSFUL, Kind::Gauge, "1 if the settings were read without a mistake the last time"),
    (RELOAD_TIME, Kind::Gauge, "When the settings were read without a mistake the last time"),
    (PROCESS_MEMORY, Kind::Gauge, "Resident memory of the process"),
    (PROCESS_CPU, Kind::Total, "Processor time of the process"),
    (PROCESS_FDS, Kind::Gauge, "Open descriptors of the process"),
    (PROCESS_MAX_FDS, Kind::Gauge, "The most descriptors that the process may open"),
    (PROCESS_START, Kind::Gauge, "When the process began"),
];

type Labels = Vec<(&'static str, String)>;
type Level = Gauge<f64, AtomicU64>;
type Total = Counter<f64, AtomicU64>;

/// One metric with its series, sorted by their labels.
#[derive(Debug)]
enum Metric {
    Counter(Family<Labels, Counter>, Vec<(Labels, Counter)>),
    Total(Family<Labels, Total>, Vec<(Labels, Total)>),
    Gauge(Family<Labels, Level>, Vec<(Labels, Level)>),
    Histogram(Family<Labels, Histogram, Buckets>, Vec<(Labels, Histogram)>),
}

/// Makes the histograms of one family.
#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A piece of work that was lost to a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWork {
    /// The kind of work, as in the label of [`PANICS`].
    pub task: &'static str,
    /// The place in the source, `file:line:column`; empty when it is not known.
    pub place: String,
}

/// All metrics of one relay, and its last panic. Clones count together.
#[derive(Clone, Debug)]
pub struct Counters(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    metrics: Mutex<BTreeMap<&'static str, Metric>>,
    lost: Mutex<Option<LostWork>>,
}

impl Default for Counters {
    fn default() -> Counters {
        let (mut registry, mut metrics) = (Registry::default(), BTreeMap::new());
        for &(name, kind, help) in METRICS {
            let metric = match kind {
                Kind::Counter => {
                    let family = Family::default();
                    // The format adds the ending itself.
                    registry.register(name.trim_end_matches("_total"), help, family.clone());
                    Metric::Counter(family, Vec::new())
                }
                Kind::Total => {
                    let family = Family::default();
                    registry.register(name.trim_end_matches("_total"), help, family.clone());
                    Metric::Total(family, Vec::new())
                }
                Kind::Gauge => {
                    let family = Family::default();
                    registry.register(name, help, family.clone());
                    Metric::Gauge(family, Vec::new())
                }
                Kind::Histogram(bounds) => {
                    let family = Family::new_with_constructor(Buckets(bounds));
                    registry.register(name, help, family.clone());
                    Metric::Histogram(family, Vec::new())
                }
            };
            metrics.insert(name, metric);
        }
        Counters(Arc::new(Shared { registry, metrics: Mutex::new(metrics), lost: Mutex::default() }))
    }
}

/// The series with these labels, made by `new` when there is none yet.
fn series<'a, M>(
    all: &'a mut Vec<(Labels, M)>,
    labels: &[(&'static str, &str)],
    new: impl FnOnce(&Labels) -> M,
) -> &'a M {
    // Compared as they are: a series that is there costs no copy of its labels.
    let order = |have: &Labels| have.iter().map(|(k, v)| (*k, v.as_str())).cmp(labels.iter().copied());
    let place = match all.binary_search_by(|(have, _)| order(have)) {
        Ok(place) => place,
        Err(place) => {
            let owned: Labels = labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
            let metric = new(&owned);
            all.insert(place, (owned, metric));
            place
        }
    };
    &all[place].1
}

impl Counters {
    /// Adds `by` to the counter `name` with these labels. A name that is no counter is left alone.
    pub fn add(&self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        if let Some(Metric::Counter(family, all)) = self.lock().get_mut(name) {
            series(all, labels, |labels| family.get_or_create_owned(labels)).inc_by(by);
        }
    }

    /// Sets the gauge `name`, or the total that is measured elsewhere, with these labels.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], level: f64) {
        match self.lock().get_mut(name) {
            Some(Metric::Gauge(family, all)) => {
                series(all, labels, |labels| family.get_or_create_owned(labels)).set(level);
            }
            Some(Metric::Total(family, all)) => {
                let total = series(all, labels, |labels| family.get_or_create_owned(labels));
                total.inc_by((level - total.get()).max(0.0));
            }
            Some(Metric::Counter(..) | Metric::Histogram(..)) | None => {}
        }
    }

    /// Raises the gauge `name` by one until the result is dropped.
    pub fn hold(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Option<Raised> {
        let mut metrics = self.lock();
        let Some(Metric::Gauge(family, all)) = metrics.get_mut(name) else { return None };
        let level = series(all, labels, |labels| family.get_or_create_owned(labels)).clone();
        level.inc();
        Some(Raised(level))
    }

    /// Adds a duration to the histogram `name` with these labels.
    pub fn observe(&self, name: &'static str, labels: &[(&'static str, &str)], took: Duration) {
        if let Some(Metric::Histogram(family, all)) = self.lock().get_mut(name) {
            series(all, labels, |labels| family.get_or_create_owned(labels)).observe(took.as_secs_f64());
        }
    }

    /// Makes the series of `name` with these labels, at 0.
    pub fn declare(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        match self.lock().get_mut(name) {
            Some(Metric::Counter(family, all)) => {
                series(all, labels, |labels| family.get_or_create_owned(labels));
            }
            Some(Metric::Total(family, all)) => {
                series(all, labels, |labels| family.get_or_create_owned(labels));
            }
            Some(Metric::Gauge(family, all)) => {
                series(all, labels, |labels| family.get_or_create_owned(labels));
            }
            Some(Metric::Histogram(family, all)) => {
                series(all, labels, |labels| family.get_or_create_owned(labels));
            }
            None => {}
        }
    }

    /// Removes all series of the gauge `name`, before those that there are now are set.
    pub fn clear(&self, name: &'static str) {
        if let Some(Metric::Gauge(family, all)) = self.lock().get_mut(name) {
            family.clear();
            all.clear();
        }
    }

    /// The sum of all series of the counter `name` that carry every one of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let carries = |have: &Labels| labels.iter().all(|l| have.iter().any(|(k, v)| (*k, v.as_str()) == *l));
        match self.lock().get(name) {
            Some(Metric::Counter(_, all)) => {
                all.iter().filter(|(have, _)| carries(have)).map(|(_, counter)| counter.get()).sum()
            }
            Some(Metric::Total(..) | Metric::Gauge(..) | Metric::Histogram(..)) | None => 0,
        }
    }

    /// Every metric in the text format of Prometheus ([`CONTENT_TYPE`]).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.0.registry);
        text
    }

    /// Counts a panic in a task of this kind, at this place.
    pub(super) fn add_panic(&self, task: &'static str, place: String) {
        self.add(PANICS, &[("task", task)], 1);
        *self.0.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(LostWork { task, place });
    }

    /// The last panic that was counted.
    pub fn last_panic(&self) -> Option<LostWork> {
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Metric>> {
        // Adding to a number cannot leave the map half done.
        self.0.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gauge that is raised by one as long as this lives.
#[derive(Debug)]
pub struct Raised(Level);

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
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
        let text = counters.render();
        assert!(text.contains("# TYPE yizhan_deliveries_total counter\n"), "{text}");
        assert!(text.contains("yizhan_deliveries_total{account=\"main\",outcome=\"delivered\"} 3\n"), "{text}");
    }

    #[test]
    fn levels_rise_and_fall_and_durations_are_sorted_into_buckets() {
        let counters = Counters::default();
        let labels = [("listener", "local")];
        let first = counters.hold(CONNECTIONS, &labels);
        drop(counters.hold(CONNECTIONS, &labels));
        assert!(counters.render().contains("yizhan_connections{listener=\"local\"} 1"));
        drop(first);
        assert!(counters.render().contains("yizhan_connections{listener=\"local\"} 0"));
        counters.observe(ACCEPT_SECONDS, &[], Duration::from_millis(3));
        let text = counters.render();
        assert!(text.contains("yizhan_accept_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.contains("yizhan_accept_seconds_bucket{le=\"0.0025\"} 0\n"), "{text}");
        assert!(text.contains("yizhan_accept_seconds_count 1\n"), "{text}");
    }

    #[test]
    fn what_is_declared_exists_at_zero_and_odd_label_values_are_escaped() {
        let counters = Counters::default();
        counters.declare(ACCEPTED, &[("listener", "a\"b\\c\n\u{9a7f}"), ("client", "other")]);
        let text = counters.render();
        assert!(
            text.contains("yizhan_accepted_total{listener=\"a\\\"b\\\\c\\n\u{9a7f}\",client=\"other\"} 0\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_gone_is_cleared() {
        let counters = Counters::default();
        counters.set(ACCOUNT_STATE, &[("account", "old"), ("state", "ready")], 1.0);
        counters.clear(ACCOUNT_STATE);
        counters.set(ACCOUNT_STATE, &[("account", "new"), ("state", "ready")], 1.0);
        let text = counters.render();
        assert!(!text.contains("\"old\"") && text.contains("account=\"new\""), "{text}");
    }

    #[test]
    fn every_name_is_a_metric_of_the_table() {
        let counters = Counters::default();
        for &(name, kind, _) in METRICS {
            assert_eq!(matches!(kind, Kind::Counter | Kind::Total), name.ends_with("_total"), "{name}");
            counters.declare(name, &[]);
            assert!(counters.render().contains(name), "{name}");
        }
    }
}
