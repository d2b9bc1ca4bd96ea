//! The relay's side towards the provider: connections, proxies, replies, and the sandbox that plays the provider.

mod announce;
mod catalogue;
mod connections;
mod proxy;
mod sandbox;

#[path = "../support/mod.rs"]
mod support;
