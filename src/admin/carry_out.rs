//! Carries out commands, and writes each one that changes something or reads content to the audit log.
//!
//! Not here: changes of messages (`change`), and what follows an export (`content`). Invariant: a command whose audit row
//! cannot be written is carried out all the same; the log has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::language::words;
use crate::message::Repair;
use crate::queue::{AuditFilter, AuditRecord, LONGEST_AUDIT_TEXT, MessageSearch, MessageState, Queue, WaitReason};
use crate::telemetry::counter::{self, Counters};

use super::accounts::Accounts;
use super::caller::Caller;
use super::change;
use super::command::{AdminCommand, AuditLine, Order};
use super::conditions::{self, MessageConditions};
use super::content::MessageContent;
use super::error::{AdminError, ErrorCode};
use super::forecast;
use super::metrics;
use super::open_codes::{self, OpenCodes};
use super::reply::{AdminReply, BackupStatus, DepthStatus};
use super::status::{Overview, RelayFacts, StatusSettings};
use super::view::{CommandStatus, clean};

/// What carries out commands: on a running relay, or on the files of one that is stopped. Clones share everything.
#[derive(Clone)]
pub struct Admin {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) clock: Clock,
    overview: Overview,
    pub(super) codes: Arc<OpenCodes>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// The answer to a command, and the octets that follow it.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub reply: AdminReply,
    /// The content of an exported message; `None` for every other command.
    pub content: Option<MessageContent>,
}

impl Answered {
    fn from(reply: Result<AdminReply, AdminError>) -> Answered {
        Answered { reply: reply.unwrap_or_else(AdminReply::from), content: None }
    }
}

impl Admin {
    /// Carries out commands on this queue and these accounts.
    pub fn new(queue: Arc<dyn Queue>, accounts: Arc<dyn Accounts>, clock: Clock) -> Admin {
        let (settings, proof) = (Arc::default(), Arc::default());
        let overview = Overview {
            queue: queue.clone(),
            accounts: accounts.clone(),
            clock: clock.clone(),
            settings,
            relay: None,
            proof,
        };
        Admin { queue, accounts, clock, overview, codes: Arc::default() }
    }

    /// The same with what a status needs of the settings.
    #[must_use]
    pub fn with_settings(mut self, settings: StatusSettings) -> Admin {
        self.overview.settings = Arc::new(settings);
        self
    }

    /// The same for a relay that runs.
    #[must_use]
    pub fn of_relay(mut self, relay: RelayFacts) -> Admin {
        self.overview.relay = Some(Arc::new(relay));
        self
    }

    /// The codes that open the page; the HTTP face sets its address.
    pub fn codes(&self) -> &Arc<OpenCodes> {
        &self.codes
    }

    /// All metrics in the text format of Prometheus.
    pub async fn metrics(&self, counters: &Counters) -> String {
        let ready = self.overview.health().await.ready;
        counters.set(counter::READY, &[], f64::from(u8::from(ready)));
        if let Some(free) = self.overview.disk_free() {
            counters.set(counter::DISK_FREE, &[], free as f64);
        }
        metrics::scrape(self.queue.as_ref(), self.accounts.as_ref(), counters, self.clock.now()).await
    }

    /// Carries out a command. It never fails: a refusal is the answer.
    pub async fn carry_out(&self, caller: &Caller, command: AdminCommand) -> Answered {
        let audit = command.audit();
        let (answered, affected) = self.perform(command).await;
        if let Some(line) = audit {
            self.record(caller, line, &affected, &answered.reply).await;
        }
        answered
    }

    /// Carries out a command; the text names the messages that a filter has found.
    async fn perform(&self, command: AdminCommand) -> (Answered, String) {
        let reply = match command {
            AdminCommand::Messages { filter, order, cursor, limit } => {
                self.messages(&filter, order, cursor.as_deref(), limit).await
            }
            AdminCommand::Show { id } => self.show(&id).await,
            AdminCommand::Change { change, which, expect, reason } => {
                let (reply, affected) = change::change(self, change, which, expect, reason).await;
                return (Answered::from(reply), affected);
            }
            AdminCommand::Export { id } => return (self.export(&id).await, String::new()),
            AdminCommand::Commands { since, until, cursor, limit } => {
                self.commands(since.as_deref(), until.as_deref(), cursor.as_deref(), limit).await
            }
            AdminCommand::Backup { file } => self.backup(file).await,
            AdminCommand::OpenCode {} => self.open_code(),
            AdminCommand::Depth {} => self.depth().await,
            AdminCommand::TestNotice {} => self.accounts.test_alerts().await.map(AdminReply::notices),
            AdminCommand::Status {} => self.status().await,
            AdminCommand::Health {} => Ok(AdminReply::Health { health: self.overview.health().await }),
            AdminCommand::Accounts {} => {
                let accounts = self.accounts.list().await;
                let total = accounts.len() as u64;
                Ok(AdminReply::Accounts { accounts, next: None, total })
            }
            AdminCommand::PauseAccount { name, reason } => {
                let paused = self.accounts.pause(name.clone(), reason).await;
                paused.map(|()| AdminReply::Account { account: name, paused: true })
            }
            AdminCommand::ResumeAccount { name } => {
                let resumed = self.accounts.resume(name.clone()).await;
                resumed.map(|()| AdminReply::Account { account: name, paused: false })
            }
        };
        (Answered::from(reply), String::new())
    }

    async fn messages(
        &self,
        filter: &MessageConditions,
        order: Order,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AdminReply, AdminError> {
        let search = MessageSearch {
            order: conditions::order(order),
            after: conditions::cursor(cursor)?,
            limit: conditions::limit(limit)?,
            ..filter.search(self.accounts.as_ref(), self.clock.now())?
        };
        let page = self.queue.search(search).await?;
        let messages = forecast::of_list(self.accounts.as_ref(), &page.entries, order);
        Ok(AdminReply::Messages { messages, next: page.next.map(|next| next.to_string()), total: page.total })
    }

    async fn show(&self, id: &str) -> Result<AdminReply, AdminError> {
        let (entry, head, _) = self.queue.show(conditions::id(id)?).await?;
        let message = forecast::of_one(self.queue.as_ref(), self.accounts.as_ref(), &entry).await?;
        // A later version may know repairs that this one does not.
        let known = |name: &String| Repair::ALL.iter().find(|repair| repair.name() == name.as_str());
        let reason = |name| known(name).map(|repair| (name.clone(), words(repair.why(), repair.why_zh())));
        let reasons = message.repairs.iter().filter_map(reason).collect();
        let header = String::from_utf8_lossy(&head).into_owned();
        Ok(AdminReply::Message { message: Box::new(message), header, reasons })
    }

    async fn export(&self, id: &str) -> Answered {
        let opened =
            async { MessageContent::open(self.queue.as_ref(), self.accounts.as_ref(), conditions::id(id)?).await };
        match opened.await {
            Ok((export, content)) => Answered { reply: AdminReply::Export { export }, content: Some(content) },
            Err(error) => Answered { reply: error.into(), content: None },
        }
    }

    async fn commands(
        &self,
        since: Option<&str>,
        until: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AdminReply, AdminError> {
        let (since, until) = conditions::times(since, until, self.clock.now())?;
        let (after, limit) = (conditions::cursor(cursor)?, conditions::limit(limit)?);
        let page = self.queue.commands(AuditFilter { since, until, after, limit }).await?;
        let commands = page.records.iter().map(CommandStatus::from).collect();
        Ok(AdminReply::Commands { commands, next: page.next.map(|next| next.to_string()), total: page.total })
    }

    async fn backup(&self, file: String) -> Result<AdminReply, AdminError> {
        if !Path::new(&file).is_absolute() {
            let file = conditions::shown(&file);
            return Err(AdminError::new(
                ErrorCode::BadPath,
                words(format!("`{file}` is not an absolute path"), format!("`{file}` 不是绝对路径")),
                words("write the path from `/` on", "请写出从 `/` 开始的完整路径"),
            ));
        }
        let report = self.queue.backup(PathBuf::from(&file)).await?;
        Ok(AdminReply::Backup { backup: BackupStatus { file, messages: report.messages, octets: report.octets } })
    }

    async fn status(&self) -> Result<AdminReply, AdminError> {
        Ok(AdminReply::Status { status: Box::new(self.overview.status().await?) })
    }

    fn open_code(&self) -> Result<AdminReply, AdminError> {
        match self.codes.issue(std::time::Instant::now()) {
            Ok(Some(url)) => Ok(AdminReply::Page { url, seconds: open_codes::LIFE.as_secs() }),
            Ok(None) => Err(AdminError::new(
                ErrorCode::NoPage,
                words("this relay has no page that a browser can reach", "这个中继没有浏览器可以访问的页面"),
                words(
                    "set admin.bind to an address such as 127.0.0.1:8025 and restart the relay; its log says if that port is \
                     busy",
                    "请把 admin.bind 设为一个地址，例如 127.0.0.1:8025，然后重启中继；若端口被占用，日志会说明",
                ),
            )),
            Err(error) => Err(AdminError::new(
                ErrorCode::Internal,
                words(error.to_string(), "系统无法提供随机数"),
                words("try again", "请重试"),
            )),
        }
    }

    async fn depth(&self) -> Result<AdminReply, AdminError> {
        let depth = self.queue.depth().await?;
        let states = MessageState::ALL.iter().zip(depth.messages).map(|(state, n)| (state.name().to_owned(), n));
        let waiting = WaitReason::KINDS.iter().zip(depth.waiting).map(|(kind, n)| ((*kind).to_owned(), n));
        Ok(AdminReply::Depth {
            depth: DepthStatus {
                states: states.collect(),
                waiting: waiting.collect(),
                octets: depth.bytes,
                oldest: depth.oldest.map(crate::clock::Timestamp::rfc3339),
            },
        })
    }

    /// Logs a command and stores it.
    async fn record(&self, caller: &Caller, line: AuditLine, affected: &str, reply: &AdminReply) {
        let Caller { who, from } = caller;
        let AuditLine { command, target } = line;
        let target = if affected.is_empty() { target } else { format!("{target}: {affected}") };
        let (target, result) = (short(&clean(&target)), short(&clean(&outcome(reply))));
        tracing::info!(event = "command", who, from, command, target, result);
        let record = AuditRecord {
            at: self.clock.now(),
            who: who.clone(),
            from: from.clone(),
            command: command.to_owned(),
            target,
            result,
        };
        if let Err(error) = self.queue.record_command(record).await {
            tracing::error!(
                event = "queue_error",
                command,
                "the command is carried out, but it could not be recorded: {error}"
            );
        }
    }
}

/// The result of a command in the audit log, in English as the rest of the log.
fn outcome(reply: &AdminReply) -> String {
    match reply {
        AdminReply::Refused { error } => format!("{}: {}", error.code.name(), error.message.en),
        AdminReply::Changed { changed, skipped, .. } => match skipped.first() {
            None => format!("changed {changed}"),
            Some(first) => format!("changed {changed}, skipped {} (first: {})", skipped.len(), first.code.name()),
        },
        AdminReply::Backup { backup } => format!("done: {} messages, {} octets", backup.messages, backup.octets),
        AdminReply::Export { export } => format!("done: {} octets", export.octets),
        AdminReply::Account { .. }
        | AdminReply::Messages { .. }
        | AdminReply::Message { .. }
        | AdminReply::Commands { .. }
        | AdminReply::Page { .. }
        | AdminReply::Depth { .. }
        | AdminReply::Notices { .. }
        | AdminReply::Status { .. }
        | AdminReply::Health { .. }
        | AdminReply::Accounts { .. } => "done".to_owned(),
    }
}

/// The text, cut to what the queue stores.
fn short(text: &str) -> String {
    match text.len() <= LONGEST_AUDIT_TEXT {
        true => text.to_owned(),
        false => format!("{}...", &text[..text.floor_char_boundary(LONGEST_AUDIT_TEXT - 3)]),
    }
}
