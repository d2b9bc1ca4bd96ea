//! What an operator asks or orders, as values: one command is one JSON object on the control socket.
//!
//! Nothing here is checked; [`conditions`](super::conditions) and `carry_out` check each text before it reaches the queue.
//! To add a command: a variant here, its audit line in [`AdminCommand::audit`], its answer in `reply`, its work in
//! `carry_out`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::conditions::MessageConditions;

/// How long a command may take that reads or changes a little.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a change of many messages may take.
const PATIENCE_FOR_MANY: Duration = Duration::from_secs(600);
/// The number of ids that an audit line names.
const NAMED_IDS: usize = 5;

/// The order of a list of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The message that arrived last comes first.
    #[default]
    Newest,
    /// The message that arrived first comes first.
    Oldest,
}

/// A change of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageChange {
    /// Keep unfinished messages back until they are released.
    Hold,
    /// End the hold of held messages.
    Release,
    /// Send unfinished and failed messages now.
    Retry,
    /// Delete messages in any state.
    Drop,
}

impl MessageChange {
    /// All changes.
    pub const ALL: [MessageChange; 4] =
        [MessageChange::Hold, MessageChange::Release, MessageChange::Retry, MessageChange::Drop];

    /// The name of the command.
    pub const fn name(self) -> &'static str {
        match self {
            MessageChange::Hold => "hold",
            MessageChange::Release => "release",
            MessageChange::Retry => "retry",
            MessageChange::Drop => "drop",
        }
    }
}

/// The messages of a [`AdminCommand::Change`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These.
    Ids(Vec<String>),
    /// All that meet these conditions and are in a state that the change is for.
    Filter(MessageConditions),
}

/// What an operator asks or orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminCommand {
    /// A page of the messages that meet the conditions.
    Messages {
        /// The conditions; none: all messages, finished ones too.
        #[serde(default)]
        filter: MessageConditions,
        /// Their order.
        #[serde(default)]
        order: Order,
        /// Where the page begins: `next` of the page before.
        #[serde(default)]
        cursor: Option<String>,
        /// At most this many, up to [`LARGEST_PAGE`](super::conditions::LARGEST_PAGE); 0 means 100.
        #[serde(default)]
        limit: usize,
    },
    /// One message with its header block.
    Show {
        /// Its id.
        id: String,
    },
    /// Change one message or many.
    Change {
        /// What to do.
        change: MessageChange,
        /// With which messages.
        which: Selection,
        /// The number of messages that is expected; a filter needs it. The command changes nothing when there is another
        /// number.
        #[serde(default)]
        expect: Option<u64>,
        /// Why, for those who look at it later.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A message as it would leave; its octets follow the answer.
    Export {
        /// Its id.
        id: String,
    },
    /// A page of the commands that were given, newest first.
    Commands {
        /// Given at this time or later.
        #[serde(default)]
        since: Option<String>,
        /// Given before this time.
        #[serde(default)]
        until: Option<String>,
        /// Where the page begins.
        #[serde(default)]
        cursor: Option<String>,
        /// As that of `Messages`.
        #[serde(default)]
        limit: usize,
    },
    /// Write a copy of the queue.
    Backup {
        /// The new file: an absolute path.
        file: String,
    },
    /// The address of the page with a code that opens it once.
    OpenCode {},
    /// How full the queue is.
    Depth {},
    /// The state of the whole relay, and what the operator must do.
    Status {},
    /// Whether the relay is alive, and ready for mail.
    Health {},
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

/// What the audit log says of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AuditLine {
    /// The name of the command.
    pub(super) command: &'static str,
    /// What it is about.
    pub(super) target: String,
}

impl AdminCommand {
    /// How long the command may take until its answer begins; `None`: as long as it takes.
    pub fn patience(&self) -> Option<Duration> {
        match self {
            AdminCommand::Backup { .. } => None,
            AdminCommand::Change { .. } => Some(PATIENCE_FOR_MANY),
            // A webhook may take its time, and a mail is written as well.
            AdminCommand::TestNotice {} => Some(PATIENCE * 2),
            AdminCommand::Messages { .. }
            | AdminCommand::Show { .. }
            | AdminCommand::Export { .. }
            | AdminCommand::Commands { .. }
            | AdminCommand::OpenCode {}
            | AdminCommand::Depth {}
            | AdminCommand::Status {}
            | AdminCommand::Health {}
            | AdminCommand::Accounts {}
            | AdminCommand::PauseAccount { .. }
            | AdminCommand::ResumeAccount { .. } => Some(PATIENCE),
        }
    }

    /// The audit line of a command that changes something or reads content; `None` for the others.
    pub(super) fn audit(&self) -> Option<AuditLine> {
        let line = |command, target| Some(AuditLine { command, target });
        match self {
            AdminCommand::Change { change, which, expect, reason } => {
                let expect = expect.map_or_else(String::new, |count| format!(" expect={count}"));
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" reason={reason:?}"));
                line(change.name(), format!("{}{expect}{reason}", which.text()))
            }
            AdminCommand::Export { id } => line("export", id.clone()),
            AdminCommand::Backup { file } => line("backup", file.clone()),
            AdminCommand::PauseAccount { name, reason } => {
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" reason={reason:?}"));
                line("pause", format!("{name}{reason}"))
            }
            AdminCommand::ResumeAccount { name } => line("resume", name.clone()),
            AdminCommand::TestNotice {} => line("notice test", String::new()),
            AdminCommand::OpenCode {} => line("open", String::new()),
            AdminCommand::Messages { .. }
            | AdminCommand::Show { .. }
            | AdminCommand::Commands { .. }
            | AdminCommand::Depth {}
            | AdminCommand::Status {}
            | AdminCommand::Health {}
            | AdminCommand::Accounts {} => None,
        }
    }
}

impl Selection {
    fn text(&self) -> String {
        match self {
            Selection::Ids(ids) => some_of(ids),
            Selection::Filter(filter) => filter.to_string(),
        }
    }
}

/// The first ids of a list, and how many there are beside them.
pub(super) fn some_of(ids: &[String]) -> String {
    let named = ids.iter().take(NAMED_IDS).cloned().collect::<Vec<_>>().join(" ");
    match ids.len().saturating_sub(NAMED_IDS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_a_strict_json_form() {
        let command: AdminCommand = serde_json::from_str(r#"{"do":"show","id":"x"}"#).unwrap();
        assert_eq!(command, AdminCommand::Show { id: "x".into() });
        let command: AdminCommand =
            serde_json::from_str(r#"{"do":"change","change":"hold","which":{"filter":{"client":"ups"}},"expect":3}"#)
                .unwrap();
        let filter = MessageConditions { client: Some("ups".into()), ..MessageConditions::default() };
        let which = Selection::Filter(filter);
        assert_eq!(command, AdminCommand::Change { change: MessageChange::Hold, which, expect: Some(3), reason: None });
        for odd in [
            r#"{"do":"show"}"#,
            r#"{"do":"explode"}"#,
            r#"{"do":"depth","x":1}"#,
            r#"{"do":"messages","filter":{"colour":"red"}}"#,
            r#"{"do":"change","change":"drop"}"#,
            r#"{"do":"change","change":"drop","which":{}}"#,
            r#"{"do":"messages","order":"sideways"}"#,
        ] {
            assert!(serde_json::from_str::<AdminCommand>(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn audit_lines_name_the_filter_or_the_first_ids() {
        let ids: Vec<String> = (0..7).map(|n| format!("id{n}")).collect();
        let change = |which, expect| AdminCommand::Change { change: MessageChange::Drop, which, expect, reason: None };
        let line = change(Selection::Ids(ids), None).audit().unwrap();
        assert_eq!((line.command, line.target.as_str()), ("drop", "id0 id1 id2 id3 id4 and 2 more"));
        let filter = MessageConditions { to: Some("a@b.c".into()), ..MessageConditions::default() };
        assert_eq!(change(Selection::Filter(filter), Some(4)).audit().unwrap().target, "to=a@b.c expect=4");
        assert_eq!(AdminCommand::Depth {}.audit(), None);
    }
}
