//! What the door is told of limits, as the settings say it.
//!
//! Not here: how it is counted (that is `crate::limits`). Invariant: no rate is 0, it would let nothing in.

use std::time::Duration;

/// What may come in: an abuse guard, answered with 4yz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections of all clients.
    pub connections: usize,
    /// Most connections of one client address.
    pub connections_per_client: usize,
    /// Most messages of one connection.
    pub messages_per_connection: u32,
    /// Most messages of one client address.
    pub messages_per_client: Rate,
    /// Most recipients of one client address, of all its messages together.
    pub recipients_per_client: Rate,
    /// Most octets of one client address.
    pub bytes_per_client: Flow,
    /// Most refused commands of one client address.
    pub failures_per_client: Rate,
    /// Most messages of one envelope sender; `None`: they are not counted.
    pub messages_per_sender: Option<Rate>,
    /// Most recipients of one message.
    pub recipients: usize,
    /// Octets of the largest message.
    pub message_size: u64,
    /// Octets the queue may hold.
    pub queue_size: u64,
    /// Octets that messages of one client address may hold of it.
    pub queue_size_per_client: u64,
    /// Octets that stay free on the disk.
    pub disk_free: u64,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

/// So many octets in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// How many, at least 1.
    pub octets: u64,
    /// A second, a minute or an hour.
    pub per: Duration,
}
