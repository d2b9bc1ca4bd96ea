//! What an operator types: settings, good and broken, and each command of the program.

mod account;
mod account_settings;
mod answers;
mod bad_config;
mod bulk;
mod cli;
mod control_socket;
mod desk;
mod doctor;
mod explain;
mod history;
mod login;
mod notice;
mod repair;
mod settings;
mod status;

#[path = "../support/mod.rs"]
mod support;
