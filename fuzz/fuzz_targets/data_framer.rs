//! libFuzzer's door to `invariants::framer`; what must hold is said there.
#![no_main]

#[path = "../invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::framer::data_framer(data));
