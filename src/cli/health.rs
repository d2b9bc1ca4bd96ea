//! `yizhan health`: is the relay alive, is it ready for mail? For HEALTHCHECK, probes and cron.
//!
//! It asks the control socket and never opens the queue: a probe must not stand in the way of a relay that starts. Exit
//! codes: 0 yes, 1 no or no answer in time.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::admin::control;
use crate::admin::{AdminCommand, AdminReply, HealthStatus};
use crate::language::{Words, words};

use super::relay_client::is_not_running;
use super::runtime;
use super::screen::{self, Lang, one_line};
use super::settings_arguments::SettingsArguments;

/// A probe of a container gives up after some seconds.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) const HELP: &str = "Exit code 0: yes; 1: no, or no answer within 8 seconds. It never opens the queue.\n\n\
    Examples 示例:\n  HEALTHCHECK CMD [\"/yizhan\", \"health\"]\n  readinessProbe: { exec: { command: [/yizhan, health, --ready] } }\n  \
    * * * * * yizhan health || logger -p mail.err \"yizhan is not healthy\"";

/// What `health` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Ask whether new mail is accepted, too: not stopping, room for mail, the queue can be written 是否可收信
    #[arg(long)]
    ready: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let named = arguments.settings.named_data_dir();
    let data_dir = match (arguments.settings.read(true), named) {
        (Ok(loaded), _) => loaded.settings.queue.data_dir,
        // A mistake in a file that is being edited says nothing about the relay that runs.
        (Err(_), Some(named)) => named,
        (Err(problems), None) => {
            screen::complain(&problems.to_string());
            return Ok(ExitCode::FAILURE);
        }
    };
    let data_dir = data_dir.as_path();
    let asked = runtime::start()?
        .block_on(async { tokio::time::timeout(PATIENCE, control::ask(data_dir, &AdminCommand::Health {})).await });
    let health = match asked {
        Ok(Ok(AdminReply::Health { health })) => health,
        Ok(Ok(_)) => {
            unwell(words("the relay that runs has another version; restart it", "正在运行的中继版本不同；请重启中继"))
        }
        Ok(Err(error)) if is_not_running(&error) => unwell(words(
            format!("no relay runs on {}; start it, or name its folder with --data-dir", data_dir.display()),
            format!("{} 上没有中继在运行；请启动中继，或用 --data-dir 指定它的目录", data_dir.display()),
        )),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => unwell(words(
            format!("{} belongs to another user; run this as the relay's user or as root", data_dir.display()),
            format!("{} 属于其他用户；请以中继的用户或 root 运行", data_dir.display()),
        )),
        Ok(Err(error)) => unwell(words(
            format!("the relay did not answer: {error}; its log says why"),
            format!("中继没有回答：{error}；原因见它的日志"),
        )),
        Err(_) => unwell(words(
            "the relay did not answer within 8 seconds; its log says why",
            "中继在 8 秒内没有回答；原因见它的日志",
        )),
    };
    let good = if arguments.ready { health.alive && health.ready } else { health.alive };
    if arguments.json {
        screen::say_json(&AdminReply::Health { health }.in_language(lang)?)?;
    } else if good {
        screen::say(match arguments.ready {
            true => lang.pick("ready", "可以收信"),
            false => lang.pick("alive", "运行正常"),
        });
    } else {
        health.reasons.iter().for_each(|reason| screen::complain(&one_line(reason.pick(lang))));
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unwell(reason: Words) -> HealthStatus {
    HealthStatus { alive: false, ready: false, reasons: vec![reason] }
}
