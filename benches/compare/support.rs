//! The parts of the test harness that the benchmark uses: an authority, folders, ports, foreign processes.
//!
//! Not all of it, because the rest needs the library, and this benchmark measures a finished binary.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, reason = "only a part of each file is used")]

#[path = "../../tests/support/ca.rs"]
pub mod ca;
#[path = "../../tests/support/folder.rs"]
pub mod folder;
#[path = "../../tests/support/peers.rs"]
pub mod peers;
#[path = "../../tests/support/ports.rs"]
pub mod ports;
#[path = "../../tests/support/process.rs"]
pub mod process;
#[path = "../../tests/support/skip.rs"]
pub mod skip;
