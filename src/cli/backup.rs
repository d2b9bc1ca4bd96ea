//! `yizhan backup`: a consistent copy of the queue, written by the running relay, or from the files of a stopped one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::admin::{AdminCommand, AdminReply};

use super::failure::{CommandFailure, another_answer, refuse};
use super::relay_client;
use super::runtime;
use super::screen::{self, Lang, one_line, size};
use super::settings_arguments::SettingsArguments;

/// What `backup` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The new file; one that exists is never overwritten
    file: PathBuf,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let Arguments { settings, json, file } = arguments;
    let settings = settings.load(true)?.settings;
    // The relay has another working folder.
    let file = std::path::absolute(&file).context("the current folder cannot be read")?;
    let Some(file) = file.to_str().map(str::to_owned) else {
        return Err(CommandFailure::not_found(
            lang.pick("the path is not valid UTF-8; choose another file name", "路径不是有效的 UTF-8；请换一个文件名"),
        )
        .into());
    };
    let reply = runtime::start()?.block_on(relay_client::ask(&settings, &AdminCommand::Backup { file }, lang))?;
    if let AdminReply::Refused { error } = &reply {
        return refuse(error, json, lang);
    }
    let AdminReply::Backup { backup } = &reply else { return Err(another_answer(lang)) };
    if json {
        screen::say_json(&reply.in_language(lang)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (file, messages, octets) = (one_line(&backup.file), backup.messages, size(backup.octets));
    screen::say(&match lang {
        Lang::En => format!("{file}: {messages} messages, {octets}\nThe file has mail in it: keep it secret."),
        Lang::Zh => format!("{file}：{messages} 封邮件，{octets}\n该文件含有邮件内容，请妥善保密。"),
    });
    Ok(ExitCode::SUCCESS)
}
