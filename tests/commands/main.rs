//! What an operator types: settings, good and broken, and each command of the program.

mod account;
mod account_settings;
mod bad_config;
mod cli;
mod doctor;
mod explain;
mod notice;
mod repair;
mod settings;

#[path = "../support/mod.rs"]
mod support;
