//! libFuzzer's door to `invariants::client`; what must hold is said there.
#![no_main]

#[path = "../invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::client::client_dialogue(data));
