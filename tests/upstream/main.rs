//! The relay's side towards the provider: connections, proxies, replies, and the sandbox that plays the provider.

mod announce;
mod catalogue;
mod connection_limit;
mod connections;
mod oauth;
mod proxy;
mod roots;
mod sandbox;
mod unseen_replies;

#[path = "../support/mod.rs"]
mod support;
