//! Programs from elsewhere: mail clients, libraries, Postfix, Dovecot and smtp-sink, against the relay.

mod apps;
mod clients;
mod faults;
mod harness;
mod postfix;
mod sink;

#[path = "../support/mod.rs"]
mod support;
