//! Sends commands to the running relay; when none runs, carries them out on the queue in the data folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::screen;
use crate::admin::command::{self, AdminCommand, AdminReply};
use crate::admin::control;
use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::queue::Queue as _;
use crate::queue::sqlite::SqliteQueue;

/// Asks the relay that runs on the data folder, or the queue in it.
pub(super) async fn ask(settings: &Settings, commands: &[AdminCommand]) -> anyhow::Result<Vec<AdminReply>> {
    let data_dir = &settings.queue.data_dir;
    app::read_secrets(settings).await;
    let mut replies = Vec::new();
    for command in commands {
        match control::ask(data_dir, command).await {
            Ok(reply) => replies.push(reply),
            Err(error) if is_not_running(&error) => return ask_files(settings, commands).await,
            Err(error) => return Err(error).context("the running relay did not answer"),
        }
    }
    Ok(replies)
}

pub(super) fn is_not_running(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

pub(super) async fn ask_files(settings: &Settings, commands: &[AdminCommand]) -> anyhow::Result<Vec<AdminReply>> {
    let data_dir = &settings.queue.data_dir;
    anyhow::ensure!(
        has_queue(data_dir),
        "there is no queue in {} (--data-dir names another folder)",
        data_dir.display()
    );
    let keep = settings.queue.retention;
    let (queue, report) = SqliteQueue::open(data_dir, keep)?;
    for sentence in report {
        screen::complain(&sentence);
    }
    let queue = Arc::new(queue);
    let accounts = app::accounts_offline(settings, queue.clone(), &Clock::system())?;
    let mut replies = Vec::new();
    for command in commands {
        replies.push(command::carry_out(queue.as_ref(), accounts.as_ref(), &Clock::system(), command.clone()).await);
    }
    drop(accounts);
    queue.close().await?;
    Ok(replies)
}

/// Asking about a queue must not make one.
pub(super) fn has_queue(data_dir: &Path) -> bool {
    data_dir.join("queue.db").exists()
}
