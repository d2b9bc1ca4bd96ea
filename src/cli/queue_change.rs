//! `yizhan queue hold`, `release`, `retry` and `drop`: messages by their ids, or all that meet conditions.
//!
//! Invariant: conditions change nothing before the operator has confirmed the number of messages, at a terminal or with
//! `--expect`.

use std::process::ExitCode;

use clap::Args;

use crate::admin::change::matches;
use crate::admin::reply::Skipped;
use crate::admin::view::MessageStatus;
use crate::admin::{
    AdminCommand, AdminError, AdminReply, ErrorCode, MessageChange, MessageConditions, Order, Selection,
};
use crate::config::Settings;
use crate::language::words;

use super::failure::{NOT_FOUND, another_answer, refuse};
use super::filter_arguments::FilterArguments;
use super::message_words::{none_fits, remarks};
use super::prompt;
use super::relay_client::RelayClient;
use super::screen::{self, Lang, one_line};

pub(super) const HOLD_HELP: &str = "Messages that are being sent are skipped and named; repeat the command for them.\n\
    Conditions need --expect N unless a terminal can confirm the number. At most 10,000 messages for one command.\n\n\
    Examples 示例:\n  yizhan queue hold 0mwqqovrlykg0q2v --reason \"ask Anna first\"\n  \
    yizhan queue hold --client scanner --since 1h\n  yizhan queue hold --subject invoice --expect 3";
pub(super) const RELEASE_HELP: &str = "Examples 示例:\n  yizhan queue release 0mwqqovrlykg0q2v\n  \
    yizhan queue release --client scanner --expect 3";
pub(super) const RETRY_HELP: &str = "A retry opens no budget and resumes no account; the answer says when a message still waits.\n\
    What an operator or a rule holds is skipped: use release.\n\n\
    Examples 示例:\n  yizhan queue retry 0mwqqovrlykg0q2v\n  yizhan queue retry --state failed --since 1d --expect 12";
pub(super) const DROP_HELP: &str = "Nothing brings a dropped message back: `yizhan queue export ID > x.eml` keeps a copy first.\n\
    Without an ID or a condition nothing is dropped.\n\n\
    Examples 示例:\n  yizhan queue drop 0mwqqovrlykg0q2v\n  yizhan queue drop --to old@example.com --expect 40";

/// The most skipped messages that are named on the screen.
const NAMED: usize = 20;

/// What a change takes.
#[derive(Args)]
pub(super) struct ChangeArguments {
    /// Their ids
    id: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Change nothing unless the conditions match so many messages 预期数量
    #[arg(long, value_name = "N")]
    expect: Option<u64>,
    /// Why, for those who look at it later 原因
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Carries out a change of messages.
pub(super) async fn run(
    settings: &Settings,
    change: MessageChange,
    arguments: ChangeArguments,
    json: bool,
    lang: Lang,
) -> anyhow::Result<ExitCode> {
    let ChangeArguments { id: ids, filter, expect, reason } = arguments;
    let filter = match filter.conditions() {
        Ok(filter) => filter,
        Err(error) => return refuse(&error, json, lang),
    };
    let mut client = RelayClient::new(settings, lang).await;
    let asked = match (ids.is_empty(), filter.is_empty()) {
        (false, false) => Err(both()),
        (false, true) => Ok((Selection::Ids(ids.clone()), expect)),
        (true, _) => match change.narrowed(&filter) {
            Err(error) => Err(error),
            Ok(narrowed) if expect.is_none() && !json && prompt::can_ask() => {
                match confirmed(&mut client, change, &filter, &narrowed, lang).await? {
                    Ok(count) => Ok((Selection::Filter(filter), Some(count))),
                    Err(code) => {
                        client.close().await?;
                        return Ok(code);
                    }
                }
            }
            Ok(_) => Ok((Selection::Filter(filter), expect)),
        },
    };
    let (which, expect) = match asked {
        Ok(asked) => asked,
        Err(error) => return refuse(&error, json, lang),
    };
    let reply = client.ask(&AdminCommand::Change { change, which, expect, reason }).await;
    client.close().await?;
    let reply = reply?;
    if let AdminReply::Refused { error } = &reply {
        return refuse(error, json, lang);
    }
    let AdminReply::Changed { changed, skipped, still_waiting } = &reply else { return Err(another_answer(lang)) };
    if json {
        screen::say_json(&reply.in_language(lang)?)?;
    } else if ids.is_empty() {
        screen::say(&summary(change, *changed, lang));
        complain(skipped, lang);
    } else {
        say_each(change, &ids, skipped, still_waiting, lang);
        complain(skipped, lang);
    }
    Ok(code(skipped))
}

fn both() -> AdminError {
    AdminError {
        code: ErrorCode::BadFilter,
        message: words("IDs and conditions cannot be given together", "编号（ID）和条件不能同时使用"),
        remedy: words("name one or the other", "请只用其中一种"),
    }
}

/// Asks the operator at the terminal: the number of messages that was confirmed, or the exit code.
async fn confirmed(
    client: &mut RelayClient<'_>,
    change: MessageChange,
    filter: &MessageConditions,
    narrowed: &MessageConditions,
    lang: Lang,
) -> anyhow::Result<Result<u64, ExitCode>> {
    let count = AdminCommand::Messages { filter: narrowed.clone(), order: Order::Oldest, cursor: None, limit: 1 };
    let reply = client.ask(&count).await?;
    if let AdminReply::Refused { error } = &reply {
        return Ok(Err(refuse(error, false, lang)?));
    }
    let AdminReply::Messages { total, .. } = reply else { return Err(another_answer(lang)) };
    if total == 0 {
        screen::say(&none_fits(filter, lang));
        return Ok(Err(ExitCode::SUCCESS));
    }
    Ok(match prompt::confirm(&one_line(&question(change, total, filter, lang)))? {
        true => Ok(total),
        false => Err(ExitCode::FAILURE),
    })
}

fn question(change: MessageChange, total: u64, filter: &MessageConditions, lang: Lang) -> String {
    let (en, zh) = match change {
        MessageChange::Hold => ("Hold them?", "要扣留吗？"),
        MessageChange::Release => ("Release them?", "要放行吗？"),
        MessageChange::Retry => ("Send them now?", "要立即重试吗？"),
        MessageChange::Drop => ("Delete them for good?", "要永久删除吗？"),
    };
    match lang {
        Lang::En => format!("{} {filter}. {en}", matches(total)),
        Lang::Zh => format!("有 {total} 封邮件符合 {filter}。{zh}"),
    }
}

/// What became of the messages that conditions have found.
fn summary(change: MessageChange, count: u64, lang: Lang) -> String {
    let (en, zh) = done(change);
    match lang {
        Lang::En if count == 1 => format!("1 message {en}"),
        Lang::En => format!("{count} messages {}", en.replacen("is ", "are ", 1).replacen("was ", "were ", 1)),
        Lang::Zh => format!("{count} 封邮件{zh}"),
    }
}

fn done(change: MessageChange) -> (&'static str, &'static str) {
    match change {
        MessageChange::Hold => ("is held", "已扣留"),
        MessageChange::Release => ("was released", "已放行"),
        MessageChange::Retry => ("is due now", "将立即重试"),
        MessageChange::Drop => ("was dropped", "已删除"),
    }
}

/// A line for each id that was changed.
fn say_each(change: MessageChange, ids: &[String], skipped: &[Skipped], waiting: &[MessageStatus], lang: Lang) {
    let mut seen = std::collections::HashSet::new();
    let odd = |id: &String| skipped.iter().any(|one| id.starts_with(&one.id));
    for id in ids.iter().filter(|id| !odd(id) && seen.insert(id.as_str())) {
        let (en, zh) = done(change);
        match waiting.iter().find(|message| message.id == *id) {
            None => screen::say(&format!("{id} {}", lang.pick(en, zh))),
            Some(message) => {
                let en = format!("{en}, but it still waits:");
                screen::say(&format!("{id} {}", lang.pick(&en, &format!("{zh}，但仍在等待："))));
                remarks(message, lang).iter().for_each(|remark| screen::say(&format!("  {remark}")));
            }
        }
    }
}

/// The messages that were left as they were.
fn complain(skipped: &[Skipped], lang: Lang) {
    for one in skipped.iter().take(NAMED) {
        screen::complain(&one_line(one.message.pick(lang)));
    }
    let more = skipped.len().saturating_sub(NAMED);
    if more > 0 {
        screen::complain(&match lang {
            Lang::En => format!("{more} more were skipped; --json names all of them"),
            Lang::Zh => format!("另有 {more} 封被跳过；--json 会全部列出"),
        });
    }
}

/// 0 when all was done, 2 when an id is no message, 1 when another message was skipped.
fn code(skipped: &[Skipped]) -> ExitCode {
    let unknown = |one: &Skipped| matches!(one.code, ErrorCode::NotFound | ErrorCode::BadId);
    match skipped.iter().any(unknown) {
        true => ExitCode::from(NOT_FOUND),
        false if skipped.is_empty() => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_the_number_the_conditions_and_the_change() {
        let filter = MessageConditions { client: Some("ups".into()), ..MessageConditions::default() };
        assert_eq!(
            question(MessageChange::Drop, 34, &filter, Lang::En),
            "34 messages match client=ups. Delete them for good?"
        );
        assert_eq!(question(MessageChange::Hold, 3, &filter, Lang::Zh), "有 3 封邮件符合 client=ups。要扣留吗？");
    }

    #[test]
    fn a_summary_is_a_sentence() {
        assert_eq!(summary(MessageChange::Drop, 1, Lang::En), "1 message was dropped");
        assert_eq!(summary(MessageChange::Retry, 7, Lang::En), "7 messages are due now");
        assert_eq!(summary(MessageChange::Release, 0, Lang::En), "0 messages were released");
        assert_eq!(summary(MessageChange::Hold, 7, Lang::Zh), "7 封邮件已扣留");
    }
}
