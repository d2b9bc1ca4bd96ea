//! What clients send: the entries of the settings, sessions row by row, written dialogues, and a second codec.

mod codec;
mod entries;
mod rows;
mod sessions;
mod transcripts;

#[path = "../support/mod.rs"]
mod support;
