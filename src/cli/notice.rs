//! `yizhan notice test`: sends one test alert over every channel that alerts use, through the running relay.
//!
//! When no relay runs, the command calls the webhook itself, and mail is skipped. Exit code 0 when a channel worked and none
//! failed, else 1.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::admin::channel_report::ChannelReport;
use crate::admin::{AdminCommand, AdminReply, control};
use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::alert_sender::no_channel;
use crate::message::notice::alarm::Remedy;

use super::failure::end;
use super::relay_client;
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, harmless};
use super::settings_arguments::SettingsArguments;

/// What `notice` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Send one test alert over every channel: the webhook, or a mail to where alerts go 发送测试告警
    Test,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.load(true)?.settings;
    let Action::Test = arguments.action;
    let reply = runtime::start()?.block_on(test(&settings, lang))?;
    let AdminReply::Notices { channels, .. } = &reply else { return end(&reply, arguments.json, lang) };
    if arguments.json {
        screen::say_json(&reply.in_language(lang)?)?;
    } else {
        show(channels, lang);
    }
    let has = |result: &str| channels.iter().any(|channel| channel.result == result);
    Ok(if has("sent") && !has("failed") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the running relay; where none runs, tries what needs no relay.
async fn test(settings: &Settings, lang: Lang) -> anyhow::Result<AdminReply> {
    app::read_secrets(settings).await;
    match control::ask(&settings.queue.data_dir, &AdminCommand::TestNotice {}).await {
        Ok(reply) => Ok(reply),
        Err(error) if relay_client::is_not_running(&error) => {
            Ok(AdminReply::notices(app::test_alerts_offline(settings, &Clock::system()).await?))
        }
        Err(error) => Err(relay_client::no_answer(&error, &settings.queue.data_dir, lang).into()),
    }
}

fn show(channels: &[ChannelReport], lang: Lang) {
    let pick = |text: &Remedy| harmless(lang.pick(&text.en, &text.zh));
    let to_do =
        |remedy: &Remedy| screen::say(&format!("  {} {}", lang.pick("what to do:", "处理办法："), pick(remedy)));
    if channels.is_empty() {
        let (why, remedy) = no_channel();
        screen::say(&format!("{}{}", lang.pick("Alerts have no channel: ", "告警没有任何通道："), pick(&why)));
        to_do(&remedy);
    }
    let paint = Paint::new();
    for channel in channels {
        let (ink, word) = match channel.result.as_str() {
            "sent" => (Ink::Good, lang.pick("sent", "已发送")),
            "failed" => (Ink::Bad, lang.pick("failed", "失败")),
            "skipped" => (Ink::Quiet, lang.pick("skipped", "跳过")),
            // A later relay may know more.
            other => (Ink::Quiet, other),
        };
        let name = harmless(&channel.channel);
        screen::say(&format!("{name:<8} {}  {}", paint.ink(ink, &harmless(word)), pick(&channel.detail)));
        channel.remedy.iter().for_each(to_do);
    }
}
