//! From facts to findings: what was seen, whether that is good, why, and what to do. Pure; `probe` gathers the facts.
//!
//! Invariants: every finding that is not good says why and what to do, in both languages; no secret reaches this module.

pub(super) mod connection;
pub(super) mod domain_records;
pub(super) mod machine;
pub(super) mod secret;
pub(super) mod smtp;
