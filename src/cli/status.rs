//! `yizhan status`: one screen about the whole relay, with what the operator must do now.
//!
//! Exit codes: 0 all is well, 1 the operator must act or look, 2 no relay runs.

use std::process::ExitCode;

use clap::Args;

use crate::account::AccountStatus;
use crate::admin::attention::{Attention, Urgency};
use crate::admin::error::state_zh;
use crate::admin::{AdminCommand, AdminReply, RelayStatus};
use crate::clock::{Clock, Timestamp, wall_time};
use crate::queue::MessageState;

use super::failure::end;
use super::message_words::short_time;
use super::relay_client::{self, has_queue};
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, one_line, size};
use super::settings_arguments::SettingsArguments;

/// The exit code when no relay runs.
const NOT_RUNNING: u8 = 2;

pub(super) const HELP: &str = "Exit code 0: all is well; 1: something needs you, and the screen says what; 2: no relay runs.\n\n\
    Examples 示例:\n  yizhan status\n  yizhan status --json | jq .status.attention\n  \
    yizhan status >/dev/null || yizhan status | mail -s \"mail relay\" admin@example.com";

/// What `status` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.load(true)?.settings;
    let data_dir = &settings.queue.data_dir;
    let reply = match has_queue(data_dir) {
        true => runtime::start()?.block_on(relay_client::ask(&settings, &AdminCommand::Status {}, lang))?,
        // It never ran: there is nothing to ask.
        false => AdminReply::Status { status: Box::new(RelayStatus::of_stopped(&settings.status())) },
    };
    let AdminReply::Status { status } = &reply else { return end(&reply, arguments.json, lang) };
    if arguments.json {
        screen::say_json(&reply.in_language(lang)?)?;
    } else {
        show(status, Clock::system().now(), Paint::new(), lang).iter().for_each(|line| screen::say(line));
    }
    let needed = status.attention.iter().any(|point| point.urgency != Urgency::Note);
    Ok(match (status.running, needed) {
        (false, _) => ExitCode::from(NOT_RUNNING),
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::SUCCESS,
    })
}

/// The lines of the screen.
fn show(status: &RelayStatus, now: Timestamp, paint: Paint, lang: Lang) -> Vec<String> {
    let mut lines = vec![sentence(status, paint, lang)];
    for point in &status.attention {
        lines.push(String::new());
        lines.extend(attention(point, paint, lang));
    }
    lines.push(String::new());
    let mut row = |name: (&str, &str), text: String| {
        let name = lang.pick(name.0, name.1);
        let blanks = " ".repeat(12usize.saturating_sub(super::table::width(name)));
        lines.push(format!("{}{blanks}{}", paint.ink(Ink::Quiet, name), one_line(&text)));
    };
    row(("relay", "中继"), relay(status, lang));
    for account in &status.accounts {
        row(("account", "账号"), account_line(account, lang));
    }
    row(("waiting", "等待"), waiting(status, now, lang));
    row(
        ("today", "今天"),
        match lang {
            Lang::En => format!("{} delivered, {} failed", status.today.delivered, status.today.failed),
            Lang::Zh => format!("已送达 {}，失败 {}", status.today.delivered, status.today.failed),
        },
    );
    if let Some(free) = status.disk_free {
        row(
            ("disk", "磁盘"),
            match lang {
                Lang::En => format!("{} free (new mail is refused below {})", size(free), size(status.disk_needed)),
                Lang::Zh => format!("剩余 {}（低于 {} 时拒收新邮件）", size(free), size(status.disk_needed)),
            },
        );
    }
    lines
}

/// The one sentence that comes first.
fn sentence(status: &RelayStatus, paint: Paint, lang: Lang) -> String {
    let worst = status.attention.iter().map(|point| point.urgency).min();
    match worst {
        None | Some(Urgency::Note) => {
            let unfinished: u64 = status.unfinished.iter().map(|count| count.messages).sum();
            let text = match (lang, unfinished) {
                (Lang::En, 0) => "All is well. No mail waits.".to_owned(),
                (Lang::En, 1) => "All is well. 1 message is on its way.".to_owned(),
                (Lang::En, n) => format!("All is well. {n} messages are on their way."),
                (Lang::Zh, 0) => "一切正常，没有邮件等待。".to_owned(),
                (Lang::Zh, n) => format!("一切正常，{n} 封邮件在途。"),
            };
            paint.ink(Ink::Good, &text)
        }
        Some(Urgency::Act) => paint.ink(Ink::Bad, lang.pick("You must act now.", "需要您立即处理。")),
        Some(Urgency::Look) => paint.ink(Ink::Bad, lang.pick("Something needs your attention.", "有事项需要留意。")),
    }
}

fn attention(point: &Attention, paint: Paint, lang: Lang) -> [String; 2] {
    let (mark, ink) = match point.urgency {
        Urgency::Act => ("!!", Ink::Bad),
        Urgency::Look => ("! ", Ink::Bad),
        Urgency::Note => ("- ", Ink::Quiet),
    };
    let what = one_line(point.what.pick(lang));
    let todo = lang.pick("what to do:", "处理办法：");
    [format!("{} {what}", paint.ink(ink, mark)), format!("   {todo} {}", one_line(point.remedy.pick(lang)))]
}

fn relay(status: &RelayStatus, lang: Lang) -> String {
    let addresses: Vec<String> =
        status.listeners.iter().map(|listener| format!("{} ({})", listener.address, listener.name)).collect();
    let since = status.since.as_deref().map(wall_time);
    match (since, lang) {
        (Some(since), Lang::En) => {
            format!("{} runs since {since}, version {}, on {}", status.hostname, status.version, addresses.join(", "))
        }
        (Some(since), Lang::Zh) => {
            format!("{} 自 {since} 起运行，版本 {}，监听 {}", status.hostname, status.version, addresses.join("、"))
        }
        (None, Lang::En) => format!("{} does not run", status.hostname),
        (None, Lang::Zh) => format!("{} 未运行", status.hostname),
    }
}

fn account_line(account: &AccountStatus, lang: Lang) -> String {
    let state = match (lang, account.state.as_str()) {
        (Lang::Zh, "ready") => "正常",
        (Lang::Zh, "unreachable") => "连不上",
        (Lang::Zh, "cooling") => "冷却",
        (Lang::Zh, "paused") => "暂停",
        // English, or a state that a later relay knows.
        (Lang::En | Lang::Zh, other) => other,
    };
    let until = account.until.as_deref().map_or_else(String::new, |until| match lang {
        Lang::En => format!(" until {}", wall_time(until)),
        Lang::Zh => format!("至 {}", wall_time(until)),
    });
    match lang {
        Lang::En => format!("{}: {state}{until}, {} waiting", account.name, account.waiting),
        Lang::Zh => format!("{}：{state}{until}，{} 封等待", account.name, account.waiting),
    }
}

fn waiting(status: &RelayStatus, now: Timestamp, lang: Lang) -> String {
    let counts: Vec<String> = status
        .unfinished
        .iter()
        .filter(|count| count.messages > 0)
        .map(|count| {
            let zh = MessageState::parse(&count.state).map_or(count.state.as_str(), |state| state_zh(state));
            format!("{} {}", count.messages, lang.pick(&count.state, zh))
        })
        .collect();
    let Some(oldest) = &status.oldest else { return lang.pick("none", "无").to_owned() };
    let (counts, since) = (counts.join(", "), short_time(&oldest.received, now));
    let (id, client) = (&oldest.id, &oldest.client);
    match lang {
        Lang::En => {
            format!("{counts} ({}); the oldest is {id} from {client}, {since}", size(status.unfinished_octets))
        }
        Lang::Zh => format!("{counts}（{}）；最早的是 {client} 的 {id}，{since}", size(status.unfinished_octets)),
    }
}
