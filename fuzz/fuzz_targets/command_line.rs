//! libFuzzer's door to `invariants::command`; what must hold is said there.
#![no_main]

#[path = "../invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::command::command_line(data));
