//! Programs from elsewhere: mail clients, libraries, Postfix, Dovecot, Exim and smtp-sink, against the relay.

mod apps;
mod clients;
mod faults;
mod harness;
mod oauth;
mod postfix;
mod routing;
mod sink;

#[path = "../support/mod.rs"]
mod support;
