//! The answers to commands: one JSON object each, with stable field names.
//!
//! A list is under a plural name beside `next` and `total`. Texts for people are in both languages on the control socket;
//! [`AdminReply::in_language`] is the form for one reader. `tests/commands/answers.json` keeps the names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::AccountStatus;
use crate::delivery::alert_sender::ChannelTest;
use crate::language::{Tongue, Words};

use super::channel_report::ChannelReport;
use super::error::{AdminError, ErrorCode};
use super::status::{HealthStatus, RelayStatus};
use super::view::{CommandStatus, MessageStatus};

/// The answer to a command. The first fields of each variant tell them apart in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AdminReply {
    /// The command was refused.
    Refused {
        /// Why.
        error: Box<AdminError>,
    },
    /// To `Messages`.
    Messages {
        /// The page.
        messages: Vec<MessageStatus>,
        /// Where the next page begins; none on the last one.
        next: Option<String>,
        /// How many messages fit in all.
        total: u64,
    },
    /// To `Show`.
    Message {
        /// The message.
        message: Box<MessageStatus>,
        /// Its header block as text; empty when its content is deleted.
        header: String,
        /// The reason of each repair, by its name.
        reasons: BTreeMap<String, Words>,
    },
    /// To `Change`.
    Changed {
        /// How many messages were changed.
        changed: u64,
        /// The messages that were not changed, each with the reason.
        skipped: Vec<Skipped>,
        /// After `retry` and `release`: the first messages that are due and still wait, for the reason they have now.
        still_waiting: Vec<MessageStatus>,
    },
    /// To `Export`: the octets follow.
    Export {
        /// What follows.
        export: ExportStatus,
    },
    /// To `Commands`.
    Commands {
        /// The page, newest first.
        commands: Vec<CommandStatus>,
        /// Where the next page begins; none on the last one.
        next: Option<String>,
        /// How many commands fit in all.
        total: u64,
    },
    /// To `Backup`.
    Backup {
        /// The copy.
        backup: BackupStatus,
    },
    /// To `OpenCode`.
    Page {
        /// The address of the page, with the code.
        url: String,
        /// How long the code is good, in seconds.
        seconds: u64,
    },
    /// To `Depth`.
    Depth {
        /// The numbers.
        depth: DepthStatus,
    },
    /// To `TestNotice`.
    Notices {
        /// The channels of alerts, each with what became of the test.
        channels: Vec<ChannelReport>,
        /// Always none: there is one page.
        next: Option<String>,
        /// How many there are.
        total: u64,
    },
    /// To `Status`.
    Status {
        /// The relay.
        status: Box<RelayStatus>,
    },
    /// To `Health`.
    Health {
        /// Whether it is alive and ready.
        health: HealthStatus,
    },
    /// To `Accounts`.
    Accounts {
        /// The accounts, in the order of the settings.
        accounts: Vec<AccountStatus>,
        /// Always none: there is one page.
        next: Option<String>,
        /// How many there are.
        total: u64,
    },
    /// To `PauseAccount` and `ResumeAccount`.
    Account {
        /// Its name.
        account: String,
        /// Whether it is paused now.
        paused: bool,
    },
}

/// A message that a change has left as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id, as it was given; at most 40 characters of it.
    pub id: String,
    /// The kind of the reason.
    pub code: ErrorCode,
    /// The reason with the remedy.
    pub message: Words,
}

/// A message as it would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportStatus {
    /// Its id.
    pub id: String,
    /// Octets that follow.
    pub octets: u64,
}

/// A copy of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// The file.
    pub file: String,
    /// Messages in it, finished ones included.
    pub messages: u64,
    /// Its octets.
    pub octets: u64,
}

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthStatus {
    /// The number of messages in each state.
    pub states: BTreeMap<String, u64>,
    /// The number of messages that are due and are not sent, by reason.
    pub waiting: BTreeMap<String, u64>,
    /// Octets of all unfinished messages.
    pub octets: u64,
    /// When the oldest unfinished message arrived.
    pub oldest: Option<String>,
}

impl AdminReply {
    /// The answer to `TestNotice`.
    pub fn notices(tests: Vec<ChannelTest>) -> AdminReply {
        let channels: Vec<ChannelReport> = tests.into_iter().map(ChannelReport::from).collect();
        let total = channels.len() as u64;
        AdminReply::Notices { channels, next: None, total }
    }

    /// The answer for one reader: each text that has two languages is in this one.
    ///
    /// # Errors
    /// None is known: every answer has a JSON form.
    pub fn in_language(&self, tongue: impl Into<Tongue>) -> serde_json::Result<Value> {
        let mut value = serde_json::to_value(self)?;
        pick(&mut value, tongue.into());
        Ok(value)
    }
}

impl From<AdminError> for AdminReply {
    fn from(error: AdminError) -> AdminReply {
        AdminReply::Refused { error: Box::new(error) }
    }
}

/// Replaces each `{"en": .., "zh": ..}` by one of the two texts.
fn pick(value: &mut Value, tongue: Tongue) {
    match value {
        Value::Object(fields) => {
            let words = match (fields.len(), fields.get("en"), fields.get("zh")) {
                (2, Some(Value::String(en)), Some(Value::String(zh))) => Some(tongue.pick(en, zh).clone()),
                _ => None,
            };
            match words {
                Some(words) => *value = Value::String(words),
                None => fields.values_mut().for_each(|field| pick(field, tongue)),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| pick(item, tongue)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::error::no_such_account;

    #[test]
    fn an_answer_is_read_as_the_kind_that_was_written() {
        for reply in [
            AdminReply::from(no_such_account("x", ["a"])),
            AdminReply::Messages { messages: Vec::new(), next: None, total: 0 },
            AdminReply::Commands { commands: Vec::new(), next: Some("7".into()), total: 9 },
            AdminReply::Accounts { accounts: Vec::new(), next: None, total: 0 },
            AdminReply::Changed { changed: 0, skipped: Vec::new(), still_waiting: Vec::new() },
            AdminReply::Backup { backup: BackupStatus { file: "/x".into(), messages: 1, octets: 2 } },
            AdminReply::Export { export: ExportStatus { id: "x".into(), octets: 2 } },
            AdminReply::Depth { depth: DepthStatus::default() },
            AdminReply::Page { url: "http://127.0.0.1:8025/login?code=x".into(), seconds: 120 },
            AdminReply::Account { account: "office".into(), paused: true },
        ] {
            let text = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<AdminReply>(&text).unwrap(), reply, "{text}");
        }
    }

    #[test]
    fn a_reader_gets_one_language() {
        let reply = AdminReply::from(no_such_account("x", ["a"]));
        assert_eq!(reply.in_language(Tongue::Zh).unwrap()["error"]["message"], "没有账号 `x`");
        assert_eq!(reply.in_language(Tongue::En).unwrap()["error"]["remedy"], "there is: a");
        assert_eq!(reply.in_language(Tongue::En).unwrap()["error"]["code"], "no_account");
    }
}
