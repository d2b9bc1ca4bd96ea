//! `yizhan account`: list, pause, resume. Asks the running relay; when none runs, opens the queue itself.
//!
//! Not here: whether an account works (`doctor` tries it), and what pausing does to mail (`delivery`).

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::account::status::{AccountStatus, BudgetStatus};
use crate::admin::{AdminCommand, AdminReply};
use crate::clock::wall_time;

use super::failure::end;
use super::relay_client;
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, harmless};
use super::settings_arguments::SettingsArguments;
use super::table;

/// What `account` takes.
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
    /// State, budget left, what waits, and when the next mail may go 列出账号
    List,
    /// Stop sending through an account; its mail waits, and spends no try 暂停账号
    Pause {
        /// The NAME of [account.NAME]
        name: String,
        /// Why, for those who look at it later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Send through an account again 恢复账号
    Resume {
        /// The NAME of [account.NAME]
        name: String,
    },
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    // A secret that is missing is no matter here: nobody logs in.
    let settings = arguments.settings.load(true)?.settings;
    let command = match arguments.action {
        Action::List => AdminCommand::Accounts {},
        Action::Pause { name, reason } => AdminCommand::PauseAccount { name, reason },
        Action::Resume { name } => AdminCommand::ResumeAccount { name },
    };
    let reply = runtime::start()?.block_on(relay_client::ask(&settings, &command, lang))?;
    match &reply {
        AdminReply::Accounts { .. } | AdminReply::Account { .. } if arguments.json => {
            screen::say_json(&reply.in_language(lang)?)?;
        }
        AdminReply::Accounts { accounts, .. } if accounts.is_empty() => {
            screen::say(lang.pick("There is no account in the settings.", "配置中没有账号。"));
        }
        AdminReply::Accounts { accounts, .. } => {
            screen::print(&accounts_table(accounts, lang));
            let paint = Paint::new();
            accounts.iter().for_each(|account| details(account, lang, paint));
        }
        AdminReply::Account { account, paused: true } => screen::say(&match lang {
            Lang::En => format!("{account} is paused; `yizhan account resume {account}` goes on"),
            Lang::Zh => format!("{account} 已暂停；用 `yizhan account resume {account}` 恢复"),
        }),
        AdminReply::Account { account, paused: false } => {
            screen::say(&format!("{account} {}", lang.pick("is ready", "已恢复")));
        }
        other => return end(other, arguments.json, lang),
    }
    Ok(ExitCode::SUCCESS)
}

/// All accounts, one line each, in columns as wide as their widest cell.
fn accounts_table(accounts: &[AccountStatus], lang: Lang) -> String {
    let head = match lang {
        Lang::En => ["NAME", "STATE", "WHY", "UNTIL", "BUDGET LEFT", "WAITING", "NEXT"],
        Lang::Zh => ["账号", "状态", "原因", "直到", "剩余额度", "等待", "下一封"],
    };
    let dash = || "-".to_owned();
    let row = |account: &AccountStatus| {
        let budget: Vec<String> = account.budget.iter().map(left).collect();
        [
            account.name.clone(),
            state(account, lang).to_owned(),
            account.cause.clone().unwrap_or_else(dash),
            account.until.as_deref().map_or_else(dash, wall_time),
            if budget.is_empty() { dash() } else { budget.join(", ") },
            account.waiting.to_string(),
            account.next.as_deref().map_or_else(|| lang.pick("now", "随时").to_owned(), wall_time),
        ]
    };
    let rows: Vec<[String; 7]> = std::iter::once(head.map(str::to_owned))
        .chain(accounts.iter().map(row))
        .map(|row| row.map(|c| harmless(&c)))
        .collect();
    table::table(&rows, None, &[])
}

/// Why an account is not ready, and what to do about it.
fn details(account: &AccountStatus, lang: Lang, paint: Paint) {
    if account.state == "ready" {
        return;
    }
    let said = match (&account.reply, account.by_operator) {
        (Some(reply), _) if account.state == "unreachable" => match lang {
            Lang::En => format!("its provider cannot be reached: {reply}"),
            Lang::Zh => format!("连不上服务商：{reply}"),
        },
        (Some(reply), _) => match lang {
            Lang::En => format!("the provider said: {reply}"),
            Lang::Zh => format!("服务商答复：{reply}"),
        },
        (None, true) => lang.pick("an operator paused it", "由操作员暂停").to_owned(),
        (None, false) => lang.pick("what the provider said is not known any more", "服务商的答复已不可查").to_owned(),
    };
    let remedy = match lang {
        Lang::En => account.remedy_en.clone(),
        Lang::Zh => account.remedy_zh.clone(),
    };
    let remedy = remedy.unwrap_or_else(|| match lang {
        Lang::En => {
            format!("`yizhan doctor {0}` looks for the cause; `yizhan account resume {0}` goes on", account.name)
        }
        Lang::Zh => format!("`yizhan doctor {0}` 查找原因；`yizhan account resume {0}` 恢复发送", account.name),
    });
    screen::say("");
    screen::say(&format!("{}: {}", paint.ink(Ink::Bad, &harmless(&account.name)), harmless(&said)));
    screen::say(&format!("  {} {}", lang.pick("what to do:", "处理办法："), harmless(&remedy)));
}

fn state(account: &AccountStatus, lang: Lang) -> &str {
    match (lang, account.state.as_str()) {
        (Lang::Zh, "ready") => "正常",
        (Lang::Zh, "unreachable") => "连不上",
        (Lang::Zh, "cooling") => "冷却",
        (Lang::Zh, "paused") => "暂停",
        // English, or a state that a later relay knows.
        (_, other) => other,
    }
}

/// `12/15 min`: what is left, of how many, in which time.
fn left(budget: &BudgetStatus) -> String {
    let window = match budget.window.as_str() {
        "minute" => "min",
        "hour" => "h",
        "day" => "d",
        other => other,
    };
    let unit = if budget.unit == "logins" { " log-ins" } else { "" };
    format!("{}/{} {window}{unit}", budget.left, budget.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> AccountStatus {
        let budget = |window: &str, limit, left| BudgetStatus {
            unit: "messages".into(),
            window: window.into(),
            limit,
            left,
            opens: None,
        };
        AccountStatus {
            name: "office".into(),
            state: "cooling".into(),
            cause: Some("QQ-A3".into()),
            until: Some("2026-11-21T18:00:00.123+08:00".into()),
            budget: vec![budget("minute", 15, 12), budget("hour", 100, 80), budget("day", 500, 420)],
            waiting: 7,
            ..AccountStatus::default()
        }
    }

    #[test]
    fn the_table_is_aligned_in_both_languages() {
        assert_eq!(
            accounts_table(&[view()], Lang::En),
            "NAME    STATE    WHY    UNTIL                BUDGET LEFT                     WAITING  NEXT\n\
             office  cooling  QQ-A3  2026-11-21 18:00:00  12/15 min, 80/100 h, 420/500 d  7        now\n"
        );
        assert_eq!(
            accounts_table(&[view()], Lang::Zh),
            "账号    状态  原因   直到                 剩余额度                        等待  下一封\n\
             office  冷却  QQ-A3  2026-11-21 18:00:00  12/15 min, 80/100 h, 420/500 d  7     随时\n"
        );
    }

    #[test]
    fn what_comes_from_a_relay_cannot_touch_the_terminal() {
        let odd = AccountStatus { name: "\u{1b}[2J".into(), state: "ready".into(), ..AccountStatus::default() };
        assert!(!accounts_table(&[odd], Lang::En).contains('\u{1b}'));
    }
}
