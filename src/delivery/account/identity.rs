//! Who an account is: what the settings and the preset say of it, and what no reply ever changes.
//!
//! Not here: the log-in itself and its secret (`upstream`), and the budget (`budget`).

use crate::mail::Address;
use crate::message::rewrite::FromPolicy;

/// What does not change about an account.
#[derive(Debug)]
pub struct Identity {
    /// Its name in the settings.
    pub name: String,
    /// The name of its preset.
    pub provider: String,
    /// The mailbox it sends as.
    pub address: Address,
    /// Other addresses of that mailbox.
    pub aliases: Vec<Address>,
    /// What the provider asks of `From:`.
    pub policy: FromPolicy,
    /// Most recipients of one transaction.
    pub recipients: usize,
    /// Octets of the largest message, where that is known.
    pub size: Option<u64>,
    /// Most messages in a second.
    pub per_second: Option<std::num::NonZeroU32>,
}
