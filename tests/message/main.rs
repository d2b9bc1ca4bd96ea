//! Messages: repaired mails octet for octet, notices, foreign judges of both, and the corpora of the fuzzer.

mod corpus;
mod golden;
mod golden_relay;
mod judges;
mod notice;

#[path = "../../fuzz/invariants/mod.rs"]
mod invariants;
#[path = "../support/mod.rs"]
mod support;
