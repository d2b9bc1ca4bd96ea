//! What the settings say about one account; it does not change while the relay runs.

use std::num::NonZeroU32;

use crate::mail::Address;
use crate::message::sender_rewriting::FromPolicy;

/// What does not change about an account.
#[derive(Debug)]
pub struct AccountProfile {
    /// Its name in the settings.
    pub name: String,
    /// The name of its preset.
    pub provider: String,
    /// The mailbox it sends as.
    pub address: Address,
    /// Other addresses of that mailbox.
    pub aliases: Vec<Address>,
    /// What the provider requires of `From:`.
    pub policy: FromPolicy,
    /// Whether a DKIM-Signature stays that the account's From breaks.
    pub keep_dkim: bool,
    /// Most recipients of one transaction.
    pub recipients: usize,
    /// Octets of the largest message, where that is known.
    pub size: Option<u64>,
    /// Most messages in a second.
    pub per_second: Option<NonZeroU32>,
}

impl AccountProfile {
    /// Why a message of `size` octets cannot go through this account, if the provider takes less (RFC 1870).
    pub fn too_large(&self, size: u64) -> Option<String> {
        let most = self.size.filter(|&most| size > most)?;
        let provider = &self.provider;
        Some(format!("552 5.3.4 the message has {size} octets, and {provider} takes {most} at most; it was not sent"))
    }
}
