//! `yizhan history`: what came, when, and what became of it; `--commands`: what operators ordered.

use std::process::ExitCode;

use clap::Args;

use crate::admin::conditions::LARGEST_PAGE;
use crate::admin::view::{CommandStatus, MessageStatus};
use crate::admin::{AdminCommand, AdminReply, MessageConditions, Order};
use crate::clock::{Clock, Timestamp, wall_time};

use super::failure::{end, refuse};
use super::filter_arguments::FilterArguments;
use super::message_words::{none_fits, recipients, state_words};
use super::queue::pages;
use super::relay_client::RelayClient;
use super::runtime;
use super::screen::{self, Lang, one_line, size};
use super::settings_arguments::SettingsArguments;
use super::table::{cut, terminal_width};

pub(super) const HELP: &str = "Newest first. A time is 30m, 1h, 2d (that long ago), 2026-11-30, \"2026-11-30 14:00\", or RFC 3339.\n\
    Records of finished mail are kept for some days, without their content.\n\n\
    Examples 示例:\n  yizhan history --client scanner --since 1h\n  yizhan history --to boss@example.com --subject invoice\n  \
    yizhan history --state failed --since 2026-11-30 --until \"2026-12-01 12:00\" --json\n  \
    yizhan history --commands --since 7d";

/// What `history` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(flatten)]
    filter: FilterArguments,
    /// Show the commands of operators instead of messages; with --since, --until 操作记录
    #[arg(long, conflicts_with_all = ["state", "client", "from", "to", "subject", "account"])]
    commands: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Begin where the page before ended (its `next`)
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let Arguments { settings, filter, commands, limit, cursor, json } = arguments;
    let settings = settings.load(true)?.settings;
    let filter = match filter.conditions() {
        Ok(filter) => filter,
        Err(error) => return refuse(&error, json, lang),
    };
    let reply = runtime::start()?.block_on(async {
        let mut client = RelayClient::new(&settings, lang).await;
        let reply = match commands {
            false => pages(&mut client, &filter, Order::Newest, limit, cursor).await,
            true => pages_of_commands(&mut client, &filter, limit, cursor).await,
        };
        client.close().await?;
        reply
    })?;
    match &reply {
        AdminReply::Messages { .. } | AdminReply::Commands { .. } if json => {
            screen::say_json(&reply.in_language(lang)?)?;
        }
        AdminReply::Messages { messages, .. } if messages.is_empty() => screen::say(&none_fits(&filter, lang)),
        AdminReply::Messages { messages, next, total } => {
            let (now, width) = (Clock::system().now(), terminal_width());
            messages.iter().for_each(|message| screen::say(&entry(message, now, width, lang)));
            screen::say(&foot(messages.len(), *total, next.as_deref(), lang));
        }
        AdminReply::Commands { commands, .. } if commands.is_empty() => {
            screen::say(lang.pick("No command is recorded for this time.", "这段时间没有操作记录。"));
        }
        AdminReply::Commands { commands, next, total } => {
            commands.iter().for_each(|command| screen::say(&command_line(command)));
            screen::say(&foot(commands.len(), *total, next.as_deref(), lang));
        }
        other => return end(other, json, lang),
    }
    Ok(ExitCode::SUCCESS)
}

async fn pages_of_commands(
    client: &mut RelayClient<'_>,
    filter: &MessageConditions,
    limit: usize,
    mut cursor: Option<String>,
) -> anyhow::Result<AdminReply> {
    let (since, until) = (filter.since.clone(), filter.until.clone());
    let mut all = Vec::new();
    let mut left = if limit == 0 { 100 } else { limit };
    loop {
        let limit = left.min(LARGEST_PAGE);
        let command = AdminCommand::Commands { since: since.clone(), until: until.clone(), cursor, limit };
        let reply = client.ask(&command).await?;
        let AdminReply::Commands { commands, next, total } = reply else { return Ok(reply) };
        left = left.saturating_sub(commands.len());
        all.extend(commands);
        if left == 0 || next.is_none() {
            return Ok(AdminReply::Commands { commands: all, next, total });
        }
        cursor = next;
    }
}

/// One message: a line, or two that fit the terminal.
fn entry(message: &MessageStatus, now: Timestamp, width: Option<usize>, lang: Lang) -> String {
    let first = format!("{}  {}  {}", wall_time(&message.received), message.id, state_words(message, now, lang));
    let from = if message.from.is_empty() { "<>" } else { &message.from };
    let subject = message.subject.as_deref().map_or_else(|| "-".to_owned(), |subject| format!("\"{subject}\""));
    let account = message.account.as_deref().unwrap_or("-");
    let second =
        format!("{}  {from} -> {}  {subject}  {}  {account}", message.client, recipients(message), size(message.size));
    let (first, second) = (one_line(&first), one_line(&second));
    match width {
        None => format!("{first}  {second}"),
        Some(width) => format!("{}\n  {}", cut(&first, width), cut(&second, width.saturating_sub(2))),
    }
}

fn command_line(command: &CommandStatus) -> String {
    let CommandStatus { at, who, from, command, target, result } = command;
    one_line(&format!("{}  {who}  {from}  {command}  {target}  {result}", wall_time(at)))
}

/// How many match, and where the next page begins.
fn foot(shown: usize, total: u64, next: Option<&str>, lang: Lang) -> String {
    let counts = match (lang, shown as u64 == total) {
        (Lang::En, true) => format!("{total} match"),
        (Lang::En, false) => format!("{shown} of {total} that match"),
        (Lang::Zh, true) => format!("共 {total} 条符合"),
        (Lang::Zh, false) => format!("共 {total} 条符合，显示 {shown} 条"),
    };
    match next {
        None => counts,
        Some(next) => format!("{counts}{} --cursor {next}", lang.pick("; more:", "；更多：")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message_words::tests::{NOW, message};
    use super::super::table::width;
    use super::*;

    #[test]
    fn a_pipe_gets_one_line_and_a_terminal_two_that_fit() {
        let mut one = message("waiting");
        one.subject = Some("扫描件 \u{202e}7".into());
        let line = entry(&one, NOW, None, Lang::En);
        let time = wall_time(&one.received);
        assert_eq!(
            line,
            format!(
                "{time}  0mwqqovrlykg0q2v  waits for an operator  scanner  scan@office.lan -> boss@example.com  \
                 \"扫描件 \\u{{202e}}7\"  1.2 KiB  office"
            )
        );
        for most in [10, 40, 80] {
            let text = entry(&one, NOW, Some(most), Lang::Zh);
            assert_eq!(text.lines().count(), 2);
            assert!(text.lines().all(|line| width(line) <= most), "{text}");
        }
    }

    #[test]
    fn the_foot_says_how_many_match() {
        assert_eq!(foot(3, 3, None, Lang::En), "3 match");
        assert_eq!(foot(3, 9, Some("1f"), Lang::En), "3 of 9 that match; more: --cursor 1f");
        assert_eq!(foot(3, 9, Some("1f"), Lang::Zh), "共 9 条符合，显示 3 条；更多： --cursor 1f");
    }
}
