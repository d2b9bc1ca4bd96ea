//! What the integration tests stand on: SMTP servers and clients that nobody here wrote, each instance with a free
//! loopback port and a temporary folder of its own, stopped and removed when its value is dropped.
//!
//! Not here: anything of the relay itself. A peer that is not installed is a value ([`skip::Missing`]), never a panic:
//! `let postfix = need!(Postfix::start(options));` returns from the test and counts it as skipped. A peer that is
//! installed and does not start is a panic with its log, because that is a failure.
//!
//! Everything in this folder blocks, except where a name says `async`. A test that runs the relay on its own runtime
//! calls the blocking parts through [`offload`], or takes `#[tokio::test(flavor = "multi_thread")]`.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test file uses a part of this folder"
)]

pub mod account;
pub mod apps;
pub mod branch;
pub mod ca;
pub mod client_script;
pub mod clients;
pub mod conventions;
pub mod day;
pub mod door;
pub mod dovecot;
pub mod endings;
pub mod entrance;
pub mod exim;
pub mod facts;
pub mod folder;
pub mod front;
pub mod harm;
pub mod hook;
pub mod load;
pub mod middle;
pub mod office;
pub mod pair;
pub mod peers;
pub mod ports;
pub mod postfix;
pub mod process;
pub mod program;
pub mod proxy;
pub mod reception;
pub mod scripted;
pub mod sink;
pub mod skip;
pub mod submission;
pub mod tcp_script;
pub mod token_service;
pub mod transcript;
pub mod web;

/// Runs blocking harness code off the runtime's own threads, so that a relay on that runtime keeps running.
pub async fn offload<T, F>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(work).await.expect("the blocking part did not panic")
}
