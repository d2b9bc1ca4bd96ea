//! A number of 64 bits for a value: equal values have the same, different values very likely not.
//!
//! It is no secret and no defence against an attacker. It is the same in every process of one build of the program.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};

/// The fingerprint of `value`.
pub fn of(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}
