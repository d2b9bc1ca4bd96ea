//! Messages and commands as an operator sees them: plain data with stable field names in JSON.
//!
//! Times are texts as `Timestamp::rfc3339` writes them. Invariant: no secret is in a view.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::queue::{AuditRecord, MessageState, QueueEntry, RecipientEntry, RecipientOutcome, WaitReason};
use crate::secret::redact::redact;

use super::accounts::Accounts;

/// The year 9000 (UTC). The delivery writes the end of time for a message that waits for an operator.
const NO_KNOWN_END: Timestamp = Timestamp::from_millis(221_845_392_000_000);

/// A message, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// When it arrived.
    pub received: String,
    /// When it may next be tried, for one that waits in a line an estimate; none in a final state, while it is held, and
    /// while it waits for an operator to resume an account.
    pub next: Option<String>,
    /// Failed tries.
    pub tries: u32,
    /// Tries that ended between the final dot and its reply.
    pub uncertain: u32,
    /// The account that tried last.
    pub account: Option<String>,
    /// The client that sent it.
    pub client: String,
    /// The envelope sender, as the client gave it; empty for the null sender.
    pub from: String,
    /// The recipients.
    pub recipients: Vec<Recipient>,
    /// Octets.
    pub size: u64,
    /// What was repaired.
    pub repairs: Vec<String>,
    /// Whether it is a failure notice of the relay.
    pub notice: bool,
    /// How urgent it is: `alarm`, `normal` or `bulk`.
    #[serde(default)]
    pub lane: String,
    /// The accounts that may take it, as `office,backup` (in order) or `office|backup` (in turns); empty: not known yet.
    #[serde(default)]
    pub pool: String,
    /// The most recipients one transaction may have, where a provider took some and refused the rest.
    #[serde(default)]
    pub chunk: Option<u32>,
    /// Whether it goes with the account's own address only, because the provider refused another one.
    #[serde(default)]
    pub strict: bool,
    /// The words for `held`: what is damaged, or what the operator wrote.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Why it does not leave although it is due: a budget, the account, a provider that cannot be reached, or other
    /// messages that go first.
    #[serde(default)]
    pub reason: Option<WaitReason>,
    /// The decoded subject, if records keep it.
    #[serde(default)]
    pub subject: Option<String>,
    /// Its Message-ID, without the angle brackets.
    #[serde(default)]
    pub message_id: Option<String>,
    /// When it was delivered or failed.
    #[serde(default)]
    pub finished: Option<String>,
    /// Why it is held: `damaged`, `operator` or `policy`.
    #[serde(default)]
    pub held: Option<String>,
}

/// A recipient, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub to: String,
    /// `open`, `delivered` or `failed`.
    pub outcome: String,
    /// The provider's last words about it.
    pub reply: Option<String>,
}

/// A command that was given, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandStatus {
    /// When it was carried out.
    pub at: String,
    /// Who gave it: `uid 1000 (anna)`.
    pub who: String,
    /// From where: `socket`, `offline`, or an address.
    pub from: String,
    /// The name of the command.
    pub command: String,
    /// What it was about: ids, an account, a filter.
    pub target: String,
    /// `done`, `changed N, skipped N`, or why it was refused.
    pub result: String,
}

impl MessageStatus {
    /// The same with the time at which it may be expected to go, with so many recipients in the line before it. The stored
    /// time stays where there is no estimate.
    pub(super) fn with_forecast(mut self, accounts: &dyn Accounts, entry: &QueueEntry, ahead: u64) -> MessageStatus {
        if let Some(at) = accounts.expected(&entry.pool, entry.lane, ahead) {
            self.next = Some(at.max(entry.due.min(NO_KNOWN_END)).rfc3339()).filter(|_| entry.due < NO_KNOWN_END);
        }
        self
    }
}

impl From<&QueueEntry> for MessageStatus {
    fn from(entry: &QueueEntry) -> MessageStatus {
        MessageStatus {
            id: entry.id.to_string(),
            state: entry.state.to_string(),
            received: entry.received.rfc3339(),
            next: (has_next(entry.state) && entry.due < NO_KNOWN_END).then(|| entry.due.rfc3339()),
            tries: entry.tries,
            uncertain: entry.uncertain,
            account: entry.account.clone(),
            client: entry.origin.client.clone(),
            from: entry.sender.to_string(),
            recipients: entry.recipients.iter().map(Recipient::from).collect(),
            size: entry.size,
            repairs: entry.repairs.clone(),
            notice: entry.notice,
            lane: entry.lane.name().to_owned(),
            pool: entry.pool.clone(),
            chunk: entry.chunk,
            strict: entry.strict,
            trouble: entry.trouble.as_deref().map(clean),
            reason: entry.wait.clone().map(without_secrets),
            subject: entry.subject.as_deref().map(clean),
            message_id: entry.message_id.clone(),
            finished: entry.finished.map(Timestamp::rfc3339),
            held: entry.held.map(|reason| reason.name().to_owned()),
        }
    }
}

/// Whether the due time of a message in this state means something.
fn has_next(state: MessageState) -> bool {
    match state {
        MessageState::Queued | MessageState::Sending | MessageState::Waiting | MessageState::Deferred => true,
        MessageState::Held | MessageState::Delivered | MessageState::Failed => false,
    }
}

impl From<&RecipientEntry> for Recipient {
    fn from(recipient: &RecipientEntry) -> Recipient {
        let (outcome, reply) = match &recipient.outcome {
            RecipientOutcome::Open { last } => ("open", last.clone()),
            RecipientOutcome::Delivered { reply, .. } => ("delivered", Some(reply.clone())),
            RecipientOutcome::Failed { reason, .. } => ("failed", Some(reason.clone())),
        };
        Recipient { to: recipient.address.to_string(), outcome: outcome.to_owned(), reply: reply.as_deref().map(clean) }
    }
}

impl From<&AuditRecord> for CommandStatus {
    fn from(record: &AuditRecord) -> CommandStatus {
        CommandStatus {
            at: record.at.rfc3339(),
            who: record.who.clone(),
            from: record.from.clone(),
            command: record.command.clone(),
            target: clean(&record.target),
            result: clean(&record.result),
        }
    }
}

/// A stored text. What an older version stored may have a secret in it.
pub(super) fn clean(text: &str) -> String {
    redact(text).into_owned()
}

fn without_secrets(reason: WaitReason) -> WaitReason {
    match reason {
        WaitReason::Account { account, cause, text } => WaitReason::Account { account, cause, text: clean(&text) },
        WaitReason::Unreachable { account, text } => WaitReason::Unreachable { account, text: clean(&text) },
        WaitReason::Budget { .. } | WaitReason::Share => reason,
    }
}
