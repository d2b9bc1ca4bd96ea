//! Gives commands to the running relay; when none runs, carries them out on the queue in the data folder.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::failure::CommandFailure;
use super::screen::{self, Lang};
use crate::admin::control::{self, IncomingContent};
use crate::admin::{Admin, AdminCommand, AdminError, AdminReply, Answered, Caller, MessageContent, user_name};
use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::queue::sqlite::SqliteQueue;
use crate::queue::{Queue as _, QueueError};

/// The relay of a data folder, or its files.
pub(super) struct RelayClient<'a> {
    settings: &'a Settings,
    lang: Lang,
    files: Option<Files>,
}

/// The queue of a relay that does not run.
struct Files {
    queue: Arc<SqliteQueue>,
    admin: Admin,
    caller: Caller,
}

/// The octets of an exported message.
pub(super) enum Content {
    OfRelay(IncomingContent),
    OfFiles(MessageContent),
}

impl Content {
    /// The next piece; `None` at the end.
    pub(super) async fn next_chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self {
            Content::OfRelay(content) => Ok(content.next_chunk().await?),
            Content::OfFiles(content) => Ok(content.next_chunk().await?),
        }
    }
}

impl<'a> RelayClient<'a> {
    /// A client for the relay of these settings.
    pub(super) async fn new(settings: &'a Settings, lang: Lang) -> RelayClient<'a> {
        app::read_secrets(settings).await;
        RelayClient { settings, lang, files: None }
    }

    /// Gives a command.
    ///
    /// # Errors
    /// There was no answer. A refusal is an answer.
    pub(super) async fn ask(&mut self, command: &AdminCommand) -> anyhow::Result<AdminReply> {
        self.open(command).await.map(|(reply, _)| reply)
    }

    /// Gives a command whose answer may have octets behind it.
    ///
    /// # Errors
    /// As [`RelayClient::ask`].
    pub(super) async fn open(&mut self, command: &AdminCommand) -> anyhow::Result<(AdminReply, Option<Content>)> {
        let data_dir = &self.settings.queue.data_dir;
        if self.files.is_none() {
            match control::open(data_dir, command).await {
                Ok((reply, content)) => return Ok((reply, content.map(Content::OfRelay))),
                Err(error) if is_not_running(&error) => {}
                Err(error) => return Err(no_answer(&error, data_dir, self.lang).into()),
            }
        }
        let Files { admin, caller, .. } = self.files()?;
        let Answered { reply, content } = admin.carry_out(caller, command.clone()).await;
        Ok((reply, content.map(Content::OfFiles)))
    }

    /// Closes the files, if they were used.
    ///
    /// # Errors
    /// The queue could not be closed.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if let Some(Files { queue, admin, .. }) = self.files {
            drop(admin);
            queue.close().await?;
        }
        Ok(())
    }

    fn files(&mut self) -> anyhow::Result<&Files> {
        let files = match self.files.take() {
            Some(files) => files,
            None => open_files(self.settings, self.lang)?,
        };
        Ok(self.files.insert(files))
    }
}

/// Gives one command to the relay that runs on the data folder, or to the queue in it.
pub(super) async fn ask(settings: &Settings, command: &AdminCommand, lang: Lang) -> anyhow::Result<AdminReply> {
    let mut client = RelayClient::new(settings, lang).await;
    let reply = client.ask(command).await;
    client.close().await?;
    reply
}

/// As [`ask`], of the files alone, for some commands.
pub(super) async fn ask_files(
    settings: &Settings,
    commands: &[AdminCommand],
    lang: Lang,
) -> anyhow::Result<Vec<AdminReply>> {
    let mut client = RelayClient { settings, lang, files: Some(open_files(settings, lang)?) };
    let mut replies = Vec::new();
    for command in commands {
        replies.push(client.ask(command).await?);
    }
    client.close().await?;
    Ok(replies)
}

pub(super) fn is_not_running(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

/// Asking about a queue must not make one.
pub(super) fn has_queue(data_dir: &Path) -> bool {
    data_dir.join("queue.db").exists()
}

fn open_files(settings: &Settings, lang: Lang) -> anyhow::Result<Files> {
    let data_dir = &settings.queue.data_dir;
    if !has_queue(data_dir) {
        let folder = data_dir.display();
        return Err(CommandFailure::general(match lang {
            Lang::En => format!("there is no queue in {folder}; --data-dir names another folder"),
            Lang::Zh => format!("{folder} 中没有队列；请用 --data-dir 指定其他目录"),
        })
        .into());
    }
    let (queue, report) = SqliteQueue::open(data_dir, settings.queue.retention).map_err(|error| match &error {
        QueueError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => not_mine(data_dir, lang),
        _ => CommandFailure::general(AdminError::from(error).sentence().pick(lang)),
    })?;
    for sentence in report {
        screen::complain(&sentence);
    }
    let queue = Arc::new(queue);
    let accounts = app::accounts_offline(settings, queue.clone(), &Clock::system())?;
    let admin = Admin::new(queue.clone(), accounts, Clock::system()).with_settings(settings.status());
    Ok(Files { queue, admin, caller: Caller::offline() })
}

/// Why the running relay gave no answer, with the remedy.
pub(super) fn no_answer(error: &std::io::Error, data_dir: &Path, lang: Lang) -> CommandFailure {
    let text = match error.kind() {
        ErrorKind::PermissionDenied => return not_mine(data_dir, lang),
        ErrorKind::TimedOut => lang.pick(
            "the running relay did not answer in time; its log says why",
            "运行中的中继没有及时回答；原因见它的日志",
        ),
        ErrorKind::InvalidData => lang.pick(
            "the running relay has another version than this program; restart it",
            "运行中的中继与本程序版本不同；请重启中继",
        ),
        _ => {
            let text =
                lang.pick("the running relay gave no answer; its log says why", "运行中的中继没有回答；原因见它的日志");
            return CommandFailure::general(format!("{text} ({error})"));
        }
    };
    CommandFailure::general(text)
}

/// The data folder is that of another user.
fn not_mine(data_dir: &Path, lang: Lang) -> CommandFailure {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(data_dir).ok().map(|found| found.uid());
    let owner = owner.map_or_else(|| "USER".to_owned(), |uid| user_name(uid).unwrap_or_else(|| format!("#{uid}")));
    let folder = data_dir.display();
    CommandFailure::general(match lang {
        Lang::En => format!(
            "permission denied: {folder} belongs to another user; run the command as the user of the relay, for example \
             with `sudo -u {owner}`, or as root"
        ),
        Lang::Zh => format!("没有权限：{folder} 属于其他用户；请以中继的用户执行，例如 `sudo -u {owner}`，或使用 root"),
    })
}
