//! May it come in? The limits of the listener: [`rate`]s, what each client has spent of them ([`guard`]), [`capacity`],
//! wrong passwords by address ([`lockout`]) and by user ([`user_pace`]), and lines of the log ([`log_budget`]). Each
//! counts a client under the networks of its [`source`], and [`known_clients`] says which have sent before.
//!
//! Not here: how fast mail goes *out* (the pace of an account, `delivery`), and which clients may send at all (networks,
//! `intake`). A limit is always answered with a 4xx, so that mail is late and not lost.

use std::num::NonZeroU32;
use std::time::Duration;

pub mod capacity;
pub mod guard;
pub mod known_clients;
pub mod lockout;
pub mod log_budget;
pub mod rate;
pub mod source;
pub mod user_pace;

/// The limits of all listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSettings {
    /// Connections at one time, over all listeners.
    pub connections: usize,
    /// Connections at one time from one address.
    pub connections_per_client: usize,
    /// Messages from one address.
    pub messages_per_client: rate::Rate,
    /// Recipients, of all messages together, from one address.
    pub recipients_per_client: rate::Rate,
    /// Octets of messages from one address.
    pub bytes_per_client: rate::Flow,
    /// Refused commands from one address.
    pub failures_per_client: rate::Rate,
    /// Messages of one envelope sender. `None`: they are not counted.
    pub messages_per_sender: Option<rate::Rate>,
    /// Octets of all messages in the queue that are not final.
    pub queue_size: u64,
    /// Of these, octets of messages from one address.
    pub queue_size_per_client: u64,
    /// Octets that must stay free on the disk of the queue.
    pub disk_free: u64,
    /// Octets of one message.
    pub message_size: u64,
    /// Recipients of one message.
    pub recipients: usize,
    /// Messages of one connection.
    pub messages_per_connection: u32,
}

impl LimitSettings {
    /// Limits that nobody reaches, for those who want to name only a few.
    pub fn unlimited() -> LimitSettings {
        let any = rate::Rate { count: NonZeroU32::MAX, per: Duration::from_secs(1) };
        LimitSettings {
            connections: usize::MAX,
            connections_per_client: usize::MAX,
            messages_per_client: any,
            recipients_per_client: any,
            bytes_per_client: rate::Flow { octets: u64::MAX, per: Duration::from_secs(1) },
            failures_per_client: any,
            messages_per_sender: None,
            queue_size: u64::MAX,
            queue_size_per_client: u64::MAX,
            disk_free: 0,
            message_size: u64::MAX,
            recipients: usize::MAX,
            messages_per_connection: u32::MAX,
        }
    }
}
