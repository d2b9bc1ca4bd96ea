//! The HTTP face of the operator: the API, sessions and probes, and attacks on them.
#![cfg(feature = "http")]

mod api;
mod attacks;
mod desk;
mod entrances;
mod openapi;
mod submission;

#[path = "../support/mod.rs"]
mod support;
