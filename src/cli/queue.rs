//! `yizhan queue`: list, show, hold, release, retry, drop, export. Asks the running relay; when none runs, opens the queue
//! itself.
//!
//! Not here: changes (`queue_change`), the words for a message (`message_words`).

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::admin::conditions::LARGEST_PAGE;
use crate::admin::reply::DepthStatus;
use crate::admin::view::MessageStatus;
use crate::admin::{AdminCommand, AdminReply, MessageChange, MessageConditions, Order};
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::language::Words;
use crate::queue::MessageState;

use super::failure::{CommandFailure, another_answer, refuse};
use super::filter_arguments::FilterArguments;
use super::message_words::{age, none_fits, recipients, remarks, stable_line, state_words};
use super::queue_change::{self, ChangeArguments};
use super::relay_client::{self, RelayClient};
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, harmless, one_line};
use super::settings_arguments::SettingsArguments;
use super::table::{table, terminal_width};

/// What `queue` takes.
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
    /// The messages that are not finished, oldest first: why each waits, and until when 列出未完成的邮件
    #[command(
        after_help = "A terminal shows a table that fits it; a pipe gets one full line a message with stable words.\n\n\
        Examples 示例:\n  yizhan queue list --newest --limit 20\n  yizhan queue list --client scanner --state deferred\n  \
        yizhan queue list --account office --since 1h --json"
    )]
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// The message that arrived last first 最新的在前
        #[arg(long)]
        newest: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// Begin where the page before ended (its `next`)
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件
    Show {
        /// Its id
        id: String,
    },
    /// Keep unfinished messages back until they are released; they do not expire 扣留
    #[command(after_help = queue_change::HOLD_HELP)]
    Hold(ChangeArguments),
    /// Let held messages go 放行
    #[command(after_help = queue_change::RELEASE_HELP)]
    Release(ChangeArguments),
    /// Send messages now, failed ones too 立即重试
    #[command(after_help = queue_change::RETRY_HELP)]
    Retry(ChangeArguments),
    /// Delete messages for good 删除
    #[command(after_help = queue_change::DROP_HELP)]
    Drop(ChangeArguments),
    /// Write a message as it would leave to standard output 导出为 .eml
    #[command(
        after_help = "The header has the sender of the account that would take the message; the body is as stored.\n\
        With --json only a refusal is JSON.\n\nExample 示例: yizhan queue export 0mwqqovrlykg0q2v > mail.eml"
    )]
    Export {
        /// Its id
        id: String,
    },
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.load(true)?.settings;
    let json = arguments.json;
    runtime::start()?.block_on(async {
        let change = async |change, arguments| queue_change::run(&settings, change, arguments, json, lang).await;
        match arguments.action {
            Action::List { filter, newest, limit, cursor } => {
                let order = if newest { Order::Newest } else { Order::Oldest };
                match filter.conditions() {
                    Ok(filter) => list(&settings, filter, order, limit, cursor, json, lang).await,
                    Err(error) => refuse(&error, json, lang),
                }
            }
            Action::Show { id } => show(&settings, id, json, lang).await,
            Action::Hold(arguments) => change(MessageChange::Hold, arguments).await,
            Action::Release(arguments) => change(MessageChange::Release, arguments).await,
            Action::Retry(arguments) => change(MessageChange::Retry, arguments).await,
            Action::Drop(arguments) => change(MessageChange::Drop, arguments).await,
            Action::Export { id } => export(&settings, id, json, lang).await,
        }
    })
}

/// Asks for pages until there are `limit` messages, or no more. A refusal is returned as it is.
pub(super) async fn pages(
    client: &mut RelayClient<'_>,
    filter: &MessageConditions,
    order: Order,
    limit: usize,
    mut cursor: Option<String>,
) -> anyhow::Result<AdminReply> {
    let mut all = Vec::new();
    let mut left = if limit == 0 { 100 } else { limit };
    loop {
        let limit = left.min(LARGEST_PAGE);
        let command = AdminCommand::Messages { filter: filter.clone(), order, cursor, limit };
        let reply = client.ask(&command).await?;
        let AdminReply::Messages { messages, next, total } = reply else { return Ok(reply) };
        left = left.saturating_sub(messages.len());
        all.extend(messages);
        if left == 0 || next.is_none() {
            return Ok(AdminReply::Messages { messages: all, next, total });
        }
        cursor = next;
    }
}

async fn list(
    settings: &Settings,
    filter: MessageConditions,
    order: Order,
    limit: usize,
    cursor: Option<String>,
    json: bool,
    lang: Lang,
) -> anyhow::Result<ExitCode> {
    let mut asked = filter.clone();
    if asked.state.is_empty() {
        let unfinished = MessageState::ALL.iter().filter(|state| !state.is_final());
        asked.state = unfinished.map(|state| state.name().to_owned()).collect();
    }
    let mut client = RelayClient::new(settings, lang).await;
    let reply = pages(&mut client, &asked, order, limit, cursor).await;
    let depth = match filter.is_empty() && !json {
        true => Some(client.ask(&AdminCommand::Depth {}).await),
        false => None,
    };
    client.close().await?;
    let reply = reply?;
    if let AdminReply::Refused { error } = &reply {
        return refuse(error, json, lang);
    }
    let AdminReply::Messages { messages, next, total } = &reply else { return Err(another_answer(lang)) };
    if json {
        screen::say_json(&reply.in_language(lang)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = Clock::system().now();
    if messages.is_empty() {
        let none = lang.pick("No message is waiting.", "没有待处理的邮件。").to_owned();
        screen::say(&if filter.is_empty() { none } else { none_fits(&filter, lang) });
        return Ok(ExitCode::SUCCESS);
    }
    match terminal_width() {
        None => messages.iter().for_each(|message| screen::say(&stable_line(message, now, lang))),
        Some(width) => {
            screen::print(&list_table(messages, now, width, lang));
            let depth = depth.transpose()?;
            let depth =
                depth.and_then(|reply| if let AdminReply::Depth { depth } = reply { Some(depth) } else { None });
            screen::say(&totals(messages, *total, depth.as_ref(), lang));
            if let Some(next) = next {
                screen::say(&format!("{} --cursor {next}", lang.pick("more:", "更多：")));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The messages as a table that fits the terminal.
fn list_table(messages: &[MessageStatus], now: Timestamp, width: usize, lang: Lang) -> String {
    let head = match lang {
        Lang::En => ["ID", "AGE", "STATE", "CLIENT", "FROM", "TO"],
        Lang::Zh => ["编号", "已等", "状态", "来源", "发件人", "收件人"],
    };
    let row = |message: &MessageStatus| {
        let from = if message.from.is_empty() { "<>" } else { &message.from };
        let state = state_words(message, now, lang);
        let (id, client) = (message.id.clone(), message.client.clone());
        [id, age(&message.received, now), state, client, from.to_owned(), recipients(message)]
    };
    let rows = std::iter::once(head.map(str::to_owned)).chain(messages.iter().map(row));
    let rows: Vec<_> = rows.map(|row| row.map(|cell| one_line(&cell))).collect();
    table(&rows, Some(width), &[2, 3, 4, 5])
}

/// `34 messages: 30 waiting (budget 28, account 2), 4 deferred`.
fn totals(messages: &[MessageStatus], total: u64, depth: Option<&DepthStatus>, lang: Lang) -> String {
    let whole = messages.len() as u64 == total;
    let counted = DepthStatus {
        states: count(messages.iter().map(|message| message.state.as_str())),
        waiting: count(messages.iter().filter_map(|message| Some(message.reason.as_ref()?.kind()))),
        ..DepthStatus::default()
    };
    let depth = if whole { Some(&counted) } else { depth };
    let parts = depth.map(|depth| {
        let reasons: Vec<String> =
            depth.waiting.iter().filter(|(_, n)| **n > 0).map(|(kind, n)| format!("{kind} {n}")).collect();
        let states = MessageState::ALL.iter().filter(|state| whole || !state.is_final());
        let states = states.filter_map(|state| Some((state, *depth.states.get(state.name())?))).filter(|(_, n)| *n > 0);
        let part = |(state, n): (&MessageState, u64)| {
            let name = lang.pick(state.name(), crate::admin::error::state_zh(*state));
            match *state == MessageState::Waiting && !reasons.is_empty() {
                true => format!("{n} {name} ({})", reasons.join(", ")),
                false => format!("{n} {name}"),
            }
        };
        states.map(part).collect::<Vec<_>>().join(", ")
    });
    let shown = match (whole, lang) {
        (true, _) => String::new(),
        (false, Lang::En) => format!(" ({} shown)", messages.len()),
        (false, Lang::Zh) => format!("（显示 {} 封）", messages.len()),
    };
    let parts = parts.filter(|parts| !parts.is_empty());
    match lang {
        Lang::En => {
            let noun = if total == 1 { "message" } else { "messages" };
            format!("{total} {noun}{shown}{}", parts.map_or_else(String::new, |parts| format!(": {parts}")))
        }
        Lang::Zh => format!("共 {total} 封{shown}{}", parts.map_or_else(String::new, |parts| format!("：{parts}"))),
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> std::collections::BTreeMap<String, u64> {
    names.fold(Default::default(), |mut counts, name| {
        *counts.entry(name.to_owned()).or_default() += 1;
        counts
    })
}

async fn show(settings: &Settings, id: String, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let reply = relay_client::ask(settings, &AdminCommand::Show { id }, lang).await?;
    if let AdminReply::Refused { error } = &reply {
        return refuse(error, json, lang);
    }
    let AdminReply::Message { message, header, reasons } = &reply else { return Err(another_answer(lang)) };
    match json {
        true => screen::say_json(&reply.in_language(lang)?)?,
        false => show_one(message, header, reasons, lang),
    }
    Ok(ExitCode::SUCCESS)
}

fn show_one(message: &MessageStatus, head: &str, reasons: &std::collections::BTreeMap<String, Words>, lang: Lang) {
    let paint = Paint::new();
    screen::say(&stable_line(message, Clock::system().now(), lang));
    if let Some(subject) = &message.subject {
        screen::say(&format!("  {} {}", lang.pick("subject:", "主题："), one_line(subject)));
    }
    remarks(message, lang).iter().for_each(|remark| screen::say(&format!("  {remark}")));
    for recipient in &message.recipients {
        let reply = recipient.reply.as_deref().unwrap_or("-");
        let ink = match recipient.outcome.as_str() {
            "delivered" => Ink::Good,
            "failed" => Ink::Bad,
            _ => Ink::Quiet,
        };
        screen::say(&format!(
            "  {} <{}>: {}",
            paint.ink(ink, &recipient.outcome),
            one_line(&recipient.to),
            one_line(reply)
        ));
    }
    if !message.repairs.is_empty() {
        screen::say(&format!("  {}:", lang.pick("repaired", "已修复")));
    }
    for name in &message.repairs {
        let why = reasons.get(name).map_or("", |why| why.pick(lang));
        screen::say(&format!("    {}  {why}", paint.ink(Ink::Quiet, &one_line(name))));
    }
    if !head.is_empty() {
        screen::say(&format!("\n{}", harmless(&head.replace('\r', ""))));
    }
}

async fn export(settings: &Settings, id: String, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let mut client = RelayClient::new(settings, lang).await;
    let (reply, content) = client.open(&AdminCommand::Export { id }).await?;
    if let AdminReply::Refused { error } = &reply {
        client.close().await?;
        return refuse(error, json, lang);
    }
    let Some(mut content) = content else { return Err(another_answer(lang)) };
    let broken = |error: anyhow::Error| {
        let text = lang.pick(
            "the message could not be read to its end; what was written is not whole. The log of the relay says why",
            "邮件未能读到末尾，已写出的部分不完整；原因见中继的日志",
        );
        CommandFailure::general(format!("{text} ({error})"))
    };
    // Octets of a client must not reach a terminal as they are.
    let terminal = std::io::stdout().is_terminal();
    while let Some(piece) = content.next_chunk().await.map_err(broken)? {
        if terminal {
            screen::print(&harmless(&String::from_utf8_lossy(&piece).replace('\r', "")));
            continue;
        }
        let write = move || std::io::stdout().lock().write_all(&piece);
        match tokio::task::spawn_blocking(write).await? {
            // The reader has what it wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    let flush = || std::io::stdout().lock().flush();
    match tokio::task::spawn_blocking(flush).await? {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        flushed => flushed?,
    }
    client.close().await?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::super::message_words::tests::{NOW, message};
    use super::*;
    use crate::queue::WaitReason;

    fn waiting() -> MessageStatus {
        let mut one = message("waiting");
        let (account, unit, window) = ("office".into(), "messages".into(), "hour".into());
        one.reason = Some(WaitReason::Budget { account, unit, window, limit: 100, kept: 0 });
        one
    }

    #[test]
    fn the_table_fits_the_terminal_and_cannot_touch_it() {
        let mut odd = waiting();
        odd.client = "\u{1b}[2J".into();
        let text = list_table(&[odd, message("held")], NOW, 80, Lang::En);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("ID                AGE  STATE"), "{text}");
        assert!(text.contains("0mwqqovrlykg0q2v  7m   waits for"), "{text}");
        let wide = list_table(&[waiting()], NOW, 200, Lang::Zh);
        assert!(wide.contains("等待操作员（office 的额度）") && wide.contains("boss@example.com"), "{wide}");
    }

    #[test]
    fn totals_say_what_waits_for_what() {
        let all = [waiting(), waiting(), message("deferred")];
        assert_eq!(totals(&all, 3, None, Lang::En), "3 messages: 2 waiting (budget 2), 1 deferred");
        assert_eq!(totals(&all, 3, None, Lang::Zh), "共 3 封：2 等待 (budget 2), 1 推迟");
        assert_eq!(totals(&all, 9, None, Lang::En), "9 messages (3 shown)");
        let states = [("waiting".to_owned(), 30), ("deferred".to_owned(), 4), ("delivered".to_owned(), 7)].into();
        let waiting = [("budget".to_owned(), 28), ("account".to_owned(), 2), ("share".to_owned(), 0)].into();
        let depth = DepthStatus { states, waiting, ..DepthStatus::default() };
        assert_eq!(
            totals(&all, 34, Some(&depth), Lang::En),
            "34 messages (3 shown): 30 waiting (account 2, budget 28), 4 deferred"
        );
    }
}
