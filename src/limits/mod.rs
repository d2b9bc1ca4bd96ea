//! May it come in? The guard at the door against a client that has gone wild: [`rate`]s, what each client has spent of
//! them ([`guard`]), [`room`], guessed passwords ([`lockout`]), and lines of the log ([`log_budget`]).
//!
//! Not here: how fast mail goes *out* (that is the pace of an account, and `delivery`'s), and who may send at all
//! (networks, `intake`). A limit is always answered with a 4xx, so that mail is late and not lost.

use std::num::NonZeroU32;
use std::time::Duration;

pub mod guard;
pub mod lockout;
pub mod log_budget;
pub mod rate;
pub mod room;

/// The settings of the door.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
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
}

impl Settings {
    /// Limits that nobody reaches, for those who want to name only a few.
    pub fn unlimited() -> Settings {
        let any = rate::Rate { count: NonZeroU32::MAX, per: Duration::from_secs(1) };
        Settings {
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
        }
    }
}
