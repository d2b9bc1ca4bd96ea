//! May it come in? The guard at the door against a client that has gone wild: rates ([`rate`]), room ([`room`]) and guessed
//! passwords ([`lockout`]).
//!
//! Not here: how fast mail goes *out* (that is the pace of an account, and `delivery`'s), and who may send at all
//! (networks, `intake`). A limit is always answered with a 4xx, so that mail is late and not lost.

pub mod lockout;
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
    /// Octets of all messages in the queue that are not final.
    pub queue_size: u64,
    /// Octets that must stay free on the disk of the queue.
    pub disk_free: u64,
}
