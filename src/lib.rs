//! # Yizhan 驿站
//!
//! An SMTP relay for legacy mail: plaintext SMTP comes in from printers, scripts and old applications, is made safe on
//! disk, repaired, and goes out as one of the owner's mailbox accounts, over verified TLS.
//!
//! `docs/architecture.md` has the drawing, the layers, the path of a message by file and function, and a line for each
//! file. Imports go down only, never sideways (`tests/shape/tidy.rs`).

pub mod account;
pub mod admin;
pub mod alert_channels;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod drain;
pub mod fingerprint;
pub mod intake;
pub mod language;
pub mod limits;
pub mod mail;
pub mod message;
pub mod net;
pub mod oauth;
pub mod provider;
pub mod queue;
pub mod regular_file;
pub mod report;
pub mod route;
pub mod sandbox;
pub mod secret;
pub mod smtp;
pub mod telemetry;
pub mod upstream;
