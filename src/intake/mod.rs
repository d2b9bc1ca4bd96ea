//! From socket to durable: listeners, sessions, and the admission of a message into the queue.
//!
//! ```text
//!  listener   accept, network allowed?, a place?       -> 554 / 421 before the greeting
//!  proxy      who is behind a load balancer?
//!  connection socket, deadlines, drives smtp::server   -> one write a reply
//!  pace       until when must the next octets come?
//!  handshake  TLS: which version a client offered (client_hello), and what to do where it failed
//!  client     which entry of the settings is it?
//!  login      is the password right, and may this address try?
//!  admit      limits -> arrival -> queue.put -> 250
//!  arrival    body to the draft as it comes -> repair
//!  submission  a mail that came over HTTP, through the same admission
//!  log_lines  how much may one address write into the log?
//!  nat_detection  are the clients hidden behind one address?
//!  refusal    every text that a client is refused with, and the label it is counted under
//!  refusal_log  the line of the log about each of them
//! ```
//!
//! Not here: how SMTP is spoken (`smtp::server`), what is repaired (`message`), what happens afterwards (`delivery`;
//! intake cannot see it). Invariant: 250 after the final dot is said only after `Queue::put` returned.

mod admit;
pub mod arrival;
pub mod client;
mod client_hello;
mod connection;
mod context;
mod handshake;
pub mod listener;
pub(crate) mod log_lines;
pub mod login;
pub mod nat_detection;
mod pace;
mod proxy;
pub mod refusal;
mod refusal_log;
mod settings;
mod split;
pub mod submission;

pub use client::{Client, Clients};
pub use context::{IntakeContext, Owner};
pub use listener::Listener;
pub use login::{User, Users};
pub use nat_detection::NatDetection;
pub use settings::{Deadlines, ListenerSettings, ListenerTls};
