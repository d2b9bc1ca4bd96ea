//! From the device to the provider: messages, accounts, schedules, notices and alerts through the whole relay.

mod accounts;
mod alerts;
mod aliases;
mod clock;
mod crash;
mod day_story;
mod disk;
mod fairness;
mod forecast;
mod forms;
mod log;
mod memory;
mod power_cut;
mod relay;
mod relay_alerts;
mod simulated_day;
mod stop;
mod survival;
mod transactions;
mod unknown_replies;
mod webhook;

#[path = "../support/mod.rs"]
mod support;

#[path = "../mailbag/mod.rs"]
mod mailbag;
