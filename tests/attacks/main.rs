//! Attacks and faults, row by row: the protocol, abuse, the machine, providers, smuggling, secrets.

mod abuse;
mod echoes;
mod local;
mod protocol;
mod secrets;
mod smuggling;
mod upstream;

#[path = "../support/mod.rs"]
mod support;
