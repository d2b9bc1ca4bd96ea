//! Declares the series of the metrics that the settings name, so that each exists at 0 from the start.

use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::settle::RecipientEvent;
use crate::mail::Lane;
use crate::message::Repair;
use crate::telemetry::counter::{self, Counters};

/// What a log-in ends with.
const LOGIN_OUTCOMES: [&str; 2] = ["accepted", "refused"];
/// Which part of the relay a panic can end.
const TASKS: [&str; 5] = ["session", "proxy", "delivery", "settlement", "order"];
/// Phases in which a recipient gets a reply of its own, or one of its message.
const PHASES: [&str; 3] = ["mail", "rcpt", "data"];
/// The classes of a reply.
const CLASSES: [&str; 4] = ["2", "4", "5", "unknown"];

/// Makes all series.
pub(super) fn declare(settings: &Settings, counters: &Counters, clock: &Clock) {
    let clients: Vec<&str> = settings.clients.iter().map(|client| client.name.as_str()).chain(["other"]).collect();
    for listener in &settings.listeners {
        counters.declare(counter::CONNECTIONS, &[("listener", &listener.name)]);
        for client in &clients {
            counters.declare(counter::ACCEPTED, &[("listener", &listener.name), ("client", client)]);
        }
    }
    for repair in Repair::ALL {
        counters.declare(counter::REPAIRS, &[("repair", repair.name())]);
    }
    for task in TASKS {
        counters.declare(counter::PANICS, &[("task", task)]);
    }
    counters.declare(counter::LOG_DROPPED, &[]);
    counters.declare(counter::ACCEPT_SECONDS, &[]);
    counters.declare(counter::AGE_AT_DELIVERY, &[]);
    counters.declare(counter::COMMIT_SECONDS, &[]);
    for account in &settings.accounts {
        declare_account(&account.name, counters);
    }
    for pool in settings.router().pools() {
        for lane in Lane::ALL {
            counters.declare(counter::LANE_WAITING, &[("pool", &pool), ("lane", lane.name())]);
        }
    }
    counters.set(counter::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    counters.set(counter::RELOAD_SUCCESSFUL, &[], 1.0);
    counters.set(counter::RELOAD_TIME, &[], clock.now().millis() as f64 / 1000.0);
}

fn declare_account(account: &str, counters: &Counters) {
    let events =
        [RecipientEvent::Delivered, RecipientEvent::Deferred, RecipientEvent::Uncertain, RecipientEvent::Failed];
    for event in events {
        counters.declare(counter::DELIVERIES, &[("account", account), ("outcome", event.name())]);
    }
    for outcome in LOGIN_OUTCOMES {
        counters.declare(counter::LOGINS, &[("account", account), ("outcome", outcome)]);
    }
    for phase in PHASES {
        for class in CLASSES {
            counters.declare(counter::REPLIES, &[("account", account), ("phase", phase), ("class", class)]);
        }
    }
    counters.declare(counter::UNKNOWN_REPLIES, &[("account", account)]);
    counters.declare(counter::DELIVERY_SECONDS, &[("account", account)]);
    counters.declare(counter::UPSTREAM_CONNECTIONS, &[("account", account)]);
}
