//! The listener: access rules, log-ins, TLS, limits and deadlines, over real sockets.

mod auth;
mod intake;
mod limits;
mod networks;
mod refusals;
mod tls;
mod together;

#[path = "../support/mod.rs"]
mod support;
