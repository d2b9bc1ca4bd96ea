//! # Yizhan 驿站
//!
//! A relay post for legacy mail: plaintext SMTP comes in from printers, scripts and old applications, is made safe on
//! disk, repaired, and goes out as one of the owner's mailbox accounts, over verified TLS.
//!
//! ```text
//!        client (plaintext, local)                              provider (TLS, AUTH)
//!                 | bytes                                              ^ bytes
//!                 v                                                    |
//!  +-------------------------------+                    +-------------------------------+
//!  | intake    socket, deadlines   |                    | upstream  dial, TLS, pool     |
//!  |   ^ drives                    |                    |   ^ drives                    |
//!  |   v                           |                    |   v                           |
//!  | smtp::server  bytes -> events |                    | smtp::client  events -> bytes |
//!  +---------------+---------------+                    +---------------^---------------+
//!                  | transaction {client, from, to, body}               | one attempt
//!                  v                                                    |
//!  +-------------------------------+                    +---------------+---------------+
//!  | intake::admit                 |                    | delivery                      |
//!  |  1 limits   may it come in?   |                    |  1 plan     fair lease        |
//!  |  2 message  repair and stamp  |                    |  2 account  budget, breaker   |
//!  |  3 route    which accounts?   |                    |  3 message  sender rewriting  |
//!  |             (the pool)        |                    |  4 attempt  via upstream      |
//!  |  4 queue.put durable, 250     |                    |  5 settle   done/later/failed |
//!  |                               |                    |  6 report   alarms, digests ------> webhook
//!  +---------------+---------------+                    +-------^---------------+-------+
//!                  |          +---------------------+           | lease         | settle + notice
//!                  +--------->|        queue        |-----------+               | (one transaction)
//!                             |       sqlite        |<--------------------------+
//!                             +----------^----------+
//!                                        | list, show, retry, drop; accounts: list, pause, resume (of delivery)
//!                                +-------+-------+
//!                                |     admin     |<---- cli
//!                                +---------------+
//! ```
//!
//! Nothing crosses from the left half to the right half except through the queue. Intake never waits for a provider.
//!
//! Layers; imports go down only, never sideways (`tests/shape/tidy.rs` holds this table):
//!
//! ```text
//!  9  cli
//!  8  app
//!  7  config
//!  6  admin
//!  5  delivery
//!  4  intake | upstream | sandbox
//!  3  account | report
//!  2  queue | limits | provider | route | net
//!  1  smtp | message           pure: bytes in, values out
//!  0  mail  clock  secret  regular_file  fingerprint  drain  telemetry  language
//! ```

pub mod account;
pub mod admin;
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
