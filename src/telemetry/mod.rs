//! What the relay tells about itself: log lines ([`log`]), counters ([`counter`]), and what is made of a
//! panic ([`panic`]).
//!
//! Not here: the status page and `/metrics`, which are `admin`'s and read what is counted here. Invariant: nothing that
//! passes through this module can hold a secret (`secret::Secret` has no text form), and no octet from a peer reaches a
//! terminal unescaped.

pub mod counter;
pub mod escape;
pub mod log;
pub mod panic;
