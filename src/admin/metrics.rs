//! The metrics of a running relay: sets the levels that are asked of others, then renders all.
//!
//! Invariant: a scrape reads counters in memory and a few index entries, whatever is in the queue; what cannot be read is left
//! as it was, so that a scrape never fails.

use crate::account::AccountStatus;
use crate::clock::Timestamp;
use crate::mail::Lane;
use crate::queue::{MessageState, Queue};
use crate::telemetry::counter::{self, Counters};

use super::accounts::Accounts;

/// The states of an account.
const ACCOUNT_STATES: [&str; 4] = ["ready", "unreachable", "cooling", "paused"];

/// Returns all metrics in the text format of Prometheus.
pub async fn scrape(queue: &dyn Queue, accounts: &dyn Accounts, counters: &Counters, now: Timestamp) -> String {
    set_queue(queue, counters, now).await;
    set_accounts(&accounts.list().await, counters);
    let counted = counters.clone();
    // A task that dies leaves the levels of the last scrape.
    let _ = tokio::task::spawn_blocking(move || set_process(&counted)).await;
    counters.render()
}

async fn set_queue(queue: &dyn Queue, counters: &Counters, now: Timestamp) {
    let Ok(depth) = queue.depth().await else { return };
    for (state, messages) in MessageState::ALL.iter().zip(depth.messages) {
        counters.set(counter::QUEUE_MESSAGES, &[("state", state.name())], messages as f64);
    }
    counters.set(counter::QUEUE_BYTES, &[], depth.bytes as f64);
    counters.set(counter::QUEUE_OLDEST, &[], depth.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()));
    let Ok(lanes) = queue.lanes().await else { return };
    counters.clear(counter::LANE_WAITING);
    for (pool, messages) in lanes {
        for (lane, messages) in Lane::ALL.into_iter().zip(messages) {
            counters.set(counter::LANE_WAITING, &[("pool", &pool), ("lane", lane.name())], messages as f64);
        }
    }
}

fn set_accounts(accounts: &[AccountStatus], counters: &Counters) {
    let gauges = [
        counter::ACCOUNT_STATE,
        counter::ACCOUNT_RESUMES,
        counter::BUDGET_LEFT,
        counter::BUDGET_LIMIT,
        counter::UPSTREAM_CONNECTIONS,
    ];
    // An account that was removed from the settings has no series any more.
    gauges.into_iter().for_each(|name| counters.clear(name));
    for account in accounts {
        let name = ("account", account.name.as_str());
        for state in ACCOUNT_STATES {
            let level = f64::from(u8::from(account.state == state));
            counters.set(counter::ACCOUNT_STATE, &[name, ("state", state)], level);
        }
        let resumes = account.until.as_deref().and_then(|until| Timestamp::parse(until, Timestamp::default()));
        counters.set(counter::ACCOUNT_RESUMES, &[name], resumes.map_or(0.0, seconds));
        counters.set(counter::UPSTREAM_CONNECTIONS, &[name], account.connections as f64);
        for budget in &account.budget {
            let labels = [name, ("unit", budget.unit.as_str()), ("window", budget.window.as_str())];
            counters.set(counter::BUDGET_LEFT, &labels, f64::from(budget.left));
            counters.set(counter::BUDGET_LIMIT, &labels, f64::from(budget.limit));
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.millis() as f64 / 1000.0
}

/// What the kernel says of this process; nothing where there is no `/proc`.
fn set_process(counters: &Counters) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
    let page = rustix::param::page_size() as f64;
    if let Some(resident) = read("statm").ok().as_deref().and_then(|text| nth_number(text, 1)) {
        counters.set(counter::PROCESS_MEMORY, &[], resident * page);
    }
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let Ok(stat) = read("stat")
        && let Some((_, rest)) = stat.rsplit_once(')')
    {
        // Fields 14 and 15 are the processor time, 22 is the start in ticks after the boot (proc_pid_stat(5)); the rest
        // begins with field 3.
        if let Some((user, system)) = nth_number(rest, 11).zip(nth_number(rest, 12)) {
            counters.set(counter::PROCESS_CPU, &[], (user + system) / ticks);
        }
        let boot = std::fs::read_to_string("/proc/stat").ok();
        let boot =
            boot.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()));
        if let Some((start, boot)) = nth_number(rest, 19).zip(boot) {
            let boot: f64 = boot;
            counters.set(counter::PROCESS_START, &[], boot + start / ticks);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        counters.set(counter::PROCESS_FDS, &[], open.count().saturating_sub(1) as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    counters.set(counter::PROCESS_MAX_FDS, &[], limit.map_or(f64::INFINITY, |limit| limit as f64));
}

fn nth_number(text: &str, place: usize) -> Option<f64> {
    text.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let counters = Counters::default();
        set_process(&counters);
        let text = counters.render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
        };
        assert!(value(counter::PROCESS_MEMORY) > 1e6 && value(counter::PROCESS_FDS) >= 3.0);
        assert!(
            value(counter::PROCESS_START) > 1.7e9 && value(counter::PROCESS_MAX_FDS) >= value(counter::PROCESS_FDS)
        );
        assert!(value(counter::PROCESS_CPU) >= 0.0);
    }

    #[test]
    fn an_account_has_one_state_and_its_budget_by_unit_and_window() {
        let counters = Counters::default();
        let budget = crate::account::status::BudgetStatus {
            unit: "recipients".into(),
            window: "hour".into(),
            limit: 100,
            left: 83,
            opens: None,
        };
        let account = AccountStatus {
            name: "office".into(),
            state: "cooling".into(),
            until: Some("2026-11-21T18:00:00.000+08:00".into()),
            budget: vec![budget],
            ..AccountStatus::default()
        };
        set_accounts(&[account], &counters);
        let text = counters.render();
        assert!(text.contains("yizhan_account_state{account=\"office\",state=\"cooling\"} 1"), "{text}");
        assert!(text.contains("yizhan_account_state{account=\"office\",state=\"ready\"} 0"), "{text}");
        let left = "yizhan_account_budget_left{account=\"office\",unit=\"recipients\",window=\"hour\"} 83";
        assert!(text.contains(left), "{text}");
        assert!(text.contains("yizhan_account_resumes_timestamp_seconds{account=\"office\"} 1795255200"), "{text}");
        set_accounts(&[], &counters);
        assert!(!counters.render().contains("office"));
    }
}
