//! Commands about the queue and the accounts, as values: what may be asked, and the answer.
//!
//! Both are plain data with a JSON form (one object a line on the control socket, and what `--json` prints). Ids and
//! states are checked here: nothing unchecked reaches the queue.

use serde::{Deserialize, Serialize};

use crate::account::AccountStatus;
use crate::clock::{Clock, Timestamp};
use crate::mail::Id;
use crate::queue::{MessageFilter, MessageState, Queue, QueueEntry, QueueError, RecipientOutcome, WaitReason};
use crate::secret::redact::redact;

use super::accounts::Accounts;
use super::channel_report::ChannelReport;
use super::forecast;

/// The year 9000 (UTC). What waits until then or longer waits for a person: the delivery says so with the end of time.
const NOBODY_KNOWS: Timestamp = Timestamp::from_millis(221_845_392_000_000);

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminCommand {
    /// The messages in these states (none named: all that are not final), oldest first.
    List {
        /// Names of states.
        #[serde(default)]
        states: Vec<String>,
        /// At most so many; 0 means 100.
        #[serde(default)]
        limit: usize,
    },
    /// One message with its header block.
    Show {
        /// Its id.
        id: String,
    },
    /// Send it now.
    Retry {
        /// Its id.
        id: String,
    },
    /// Delete it.
    Drop {
        /// Its id.
        id: String,
    },
    /// How full the queue is.
    Depth {},
    /// The accounts, with their state and budget.
    Accounts {},
    /// Stop sending through an account, until it is resumed.
    PauseAccount {
        /// Its name.
        name: String,
        /// Why, for those who look at it later.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Make an account ready again.
    ResumeAccount {
        /// Its name.
        name: String,
    },
    /// Send a test alert over every channel that alerts use.
    TestNotice {},
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminReply {
    /// To `List`.
    Messages(Vec<MessageStatus>),
    /// To `Show`: the message and its header block, as text.
    Message(Box<MessageStatus>, String),
    /// To `Retry`, `Drop`, `PauseAccount` and `ResumeAccount`.
    Done,
    /// To `Retry`: done, but the message still waits, for the reason it has now.
    StillWaits(Box<MessageStatus>),
    /// To `Depth`: how many messages are in each state.
    Depth(Vec<(String, u64)>),
    /// To `Accounts`.
    Accounts(Vec<AccountStatus>),
    /// To `TestNotice`: each channel; none: alerts have no channel.
    Notices(Vec<ChannelReport>),
    /// The command could not be carried out: why.
    Refused(String),
}

/// A message, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// When it arrived.
    pub received: String,
    /// When it may next be tried, for one that waits in a line an estimate; none in a final state, and none while it waits for somebody to resume an account.
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
    /// Whether it is a failure notice of ours.
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
    /// Why it was set aside, if it was.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Why it does not leave although it is due: a budget, the account, a provider that cannot be reached, or other
    /// messages that go first.
    #[serde(default)]
    pub reason: Option<WaitReason>,
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

/// Carries out a command. Never fails: what went wrong is the reply.
pub async fn carry_out(queue: &dyn Queue, accounts: &dyn Accounts, clock: &Clock, command: AdminCommand) -> AdminReply {
    match try_carry_out(queue, accounts, clock.now(), command).await {
        Ok(reply) => reply,
        Err(reason) => AdminReply::Refused(reason),
    }
}

async fn try_carry_out(
    queue: &dyn Queue,
    accounts: &dyn Accounts,
    now: Timestamp,
    command: AdminCommand,
) -> Result<AdminReply, String> {
    let text = |error: QueueError| error.to_string();
    match command {
        AdminCommand::List { states, limit } => {
            let states = states.iter().map(|name| state(name)).collect::<Result<_, _>>()?;
            let entries =
                queue.list(MessageFilter { states, limit, ..MessageFilter::default() }).await.map_err(text)?;
            Ok(AdminReply::Messages(forecast::of_list(accounts, &entries)))
        }
        AdminCommand::Show { id } => {
            let (entry, head, _) = queue.show(parse(&id)?).await.map_err(text)?;
            let message = forecast::of_one(queue, accounts, &entry).await.map_err(text)?;
            Ok(AdminReply::Message(Box::new(message), String::from_utf8_lossy(&head).into_owned()))
        }
        AdminCommand::Retry { id } => retry(queue, accounts, now, parse(&id)?).await.map_err(text),
        AdminCommand::Drop { id } => queue.drop_message(parse(&id)?).await.map_err(text).map(|()| AdminReply::Done),
        AdminCommand::Depth {} => {
            let depth = queue.depth().await.map_err(text)?;
            let counts = MessageState::ALL.iter().zip(depth.messages).map(|(state, n)| (state.name().to_owned(), n));
            Ok(AdminReply::Depth(counts.collect()))
        }
        AdminCommand::Accounts {} => Ok(AdminReply::Accounts(accounts.list().await)),
        AdminCommand::PauseAccount { name, reason } => accounts.pause(name, reason).await.map(|()| AdminReply::Done),
        AdminCommand::ResumeAccount { name } => accounts.resume(name).await.map(|()| AdminReply::Done),
        AdminCommand::TestNotice {} => {
            let tests = accounts.test_alerts().await?;
            Ok(AdminReply::Notices(tests.into_iter().map(ChannelReport::from).collect()))
        }
    }
}

async fn retry(queue: &dyn Queue, accounts: &dyn Accounts, now: Timestamp, id: Id) -> Result<AdminReply, QueueError> {
    queue.retry(id, now).await?;
    let Ok((mut entry, ..)) = queue.show(id).await else { return Ok(AdminReply::Done) };
    // A final message keeps its pool when the settings change. No account leases from one that they do not have.
    if let Some(pool) = accounts.new_pool(&entry) {
        queue.assign(vec![(id, pool)]).await?;
        (entry, ..) = queue.show(id).await?;
    }
    // It is due now; what keeps it back all the same is not undone by a retry.
    match entry.state {
        MessageState::Waiting => Ok(AdminReply::StillWaits(Box::new(MessageStatus::from(&entry)))),
        MessageState::Queued
        | MessageState::Sending
        | MessageState::Deferred
        | MessageState::Held
        | MessageState::Delivered
        | MessageState::Failed => Ok(AdminReply::Done),
    }
}

fn parse(id: &str) -> Result<Id, String> {
    Id::parse(id).ok_or_else(|| "an id is 16 characters of 0-9 and a-z; `yizhan queue list` shows them".to_owned())
}

fn state(name: &str) -> Result<MessageState, String> {
    MessageState::parse(name).ok_or_else(|| {
        let names: Vec<&str> = MessageState::ALL.iter().map(|state| state.name()).collect();
        format!("there is no state `{}`; the states are {}", name.escape_debug(), names.join(", "))
    })
}

impl MessageStatus {
    /// The same with the time at which it may be expected to go, with so many recipients in the line before it. The
    /// stored time stays where nobody knows better.
    pub(super) fn with_forecast(mut self, accounts: &dyn Accounts, entry: &QueueEntry, ahead: u64) -> MessageStatus {
        if let Some(at) = accounts.expected(&entry.pool, entry.lane, ahead) {
            self.next = Some(at.max(entry.due.min(NOBODY_KNOWS)).rfc3339()).filter(|_| entry.due < NOBODY_KNOWS);
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
            next: (!entry.state.is_final() && entry.due < NOBODY_KNOWS).then(|| entry.due.rfc3339()),
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
        }
    }
}

impl From<&crate::queue::RecipientEntry> for Recipient {
    fn from(recipient: &crate::queue::RecipientEntry) -> Recipient {
        let (outcome, reply) = match &recipient.outcome {
            RecipientOutcome::Open { last } => ("open", last.clone()),
            RecipientOutcome::Delivered { reply, .. } => ("delivered", Some(reply.clone())),
            RecipientOutcome::Failed { reason, .. } => ("failed", Some(reason.clone())),
        };
        Recipient { to: recipient.address.to_string(), outcome: outcome.to_owned(), reply: reply.as_deref().map(clean) }
    }
}

/// A stored text. What an older version stored may have a secret in it.
fn clean(text: &str) -> String {
    redact(text).into_owned()
}

fn without_secrets(reason: WaitReason) -> WaitReason {
    match reason {
        WaitReason::Account { account, cause, text } => WaitReason::Account { account, cause, text: clean(&text) },
        WaitReason::Unreachable { account, text } => WaitReason::Unreachable { account, text: clean(&text) },
        WaitReason::Budget { .. } | WaitReason::Share => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_a_strict_json_form() {
        let command: AdminCommand = serde_json::from_str(r#"{"do":"retry","id":"x"}"#).unwrap();
        assert_eq!(command, AdminCommand::Retry { id: "x".into() });
        assert!(serde_json::from_str::<AdminCommand>(r#"{"do":"retry"}"#).is_err());
        assert!(serde_json::from_str::<AdminCommand>(r#"{"do":"explode"}"#).is_err());
        assert!(serde_json::from_str::<AdminCommand>(r#"{"do":"depth","x":1}"#).is_err());
    }

    #[test]
    fn odd_ids_and_states_are_refused_with_a_hint() {
        for id in ["../../etc/passwd", "%2e%2e", "", &"a".repeat(10_000)] {
            assert!(parse(id).unwrap_err().contains("queue list"), "{id}");
        }
        assert!(state("lost").unwrap_err().contains("deferred"));
    }
}
