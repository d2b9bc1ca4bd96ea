//! The header block with which an account sends a message: for an attempt, and for an operator who exports the message.

use crate::account::AccountProfile;
use crate::message::sender_rewriting::{FromPolicy, SenderRewrite, rewrite_sender};
use crate::queue::QueueEntry;

/// What From may be when this account sends this message: strict, once the provider has refused another form.
pub(super) fn from_policy(entry: &QueueEntry, profile: &AccountProfile) -> FromPolicy {
    if entry.strict { FromPolicy::MustEqualLogin } else { profile.policy }
}

/// The stored header block with the account as the sender.
pub(super) fn outgoing_head(stored: &[u8], profile: &AccountProfile, policy: FromPolicy) -> Vec<u8> {
    let AccountProfile { address, aliases, keep_dkim, .. } = profile;
    // Intake, which knows the client, has set the display name.
    let rewrite = SenderRewrite { address, display: None, policy, keep_dkim: *keep_dkim };
    rewrite_sender(stored, &rewrite, aliases)
}
