//! `yizhan queue`: list, show, retry, drop. Asks the running relay; when none runs, opens the queue itself.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::admin::command::{AdminCommand, AdminReply, MessageStatus};
use crate::message::Repair;
use crate::queue::WaitReason;

use super::failure::NOT_FOUND;
use super::relay_client;
use super::runtime;
use super::screen::{self, Ink, Lang, Paint, harmless, one_line, size};
use super::settings_arguments::SettingsArguments;

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
    /// The messages that are not finished, oldest first 列出未完成的邮件
    List {
        /// Only those in this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated)
        #[arg(long, value_name = "STATE")]
        state: Vec<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件
    Show {
        /// Its id
        id: String,
    },
    /// Send messages now, failed ones too 立即重试
    Retry {
        /// Their ids
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Delete messages for good 删除
    Drop {
        /// Their ids
        #[arg(required = true)]
        id: Vec<String>,
    },
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.load(true)?.settings;
    let commands = match arguments.action {
        Action::List { state, limit } => vec![AdminCommand::List { states: state, limit }],
        Action::Show { id } => vec![AdminCommand::Show { id }],
        Action::Retry { id } => id.into_iter().map(|id| AdminCommand::Retry { id }).collect(),
        Action::Drop { id } => id.into_iter().map(|id| AdminCommand::Drop { id }).collect(),
    };
    let replies = runtime::start()?.block_on(relay_client::ask(&settings, &commands))?;
    let mut code = ExitCode::SUCCESS;
    for (command, reply) in commands.iter().zip(&replies) {
        if arguments.json {
            screen::say_json(&json(reply, lang)?)?;
        } else {
            show(command, reply, lang);
        }
        if let AdminReply::Refused(reason) = reply {
            let not_found = reason.starts_with("there is no message") || reason.starts_with("an id is");
            code = ExitCode::from(if not_found { NOT_FOUND } else { 1 });
        }
    }
    Ok(code)
}

fn show(command: &AdminCommand, reply: &AdminReply, lang: Lang) {
    match reply {
        AdminReply::Messages(messages) if messages.is_empty() => {
            screen::say(lang.pick("No message is waiting.", "没有待处理的邮件。"));
        }
        AdminReply::Messages(messages) => messages.iter().for_each(|message| screen::say(&line(message, lang))),
        AdminReply::Message(message, head) => show_one(message, head, lang),
        AdminReply::Done => screen::say(&match command {
            AdminCommand::Retry { id } => format!("{id} {}", lang.pick("is due now", "将立即重试")),
            AdminCommand::Drop { id } => format!("{id} {}", lang.pick("was dropped", "已删除")),
            AdminCommand::List { .. }
            | AdminCommand::Show { .. }
            | AdminCommand::Depth {}
            | AdminCommand::Accounts {}
            | AdminCommand::PauseAccount { .. }
            | AdminCommand::ResumeAccount { .. }
            | AdminCommand::TestNotice {} => String::new(),
        }),
        AdminReply::StillWaits(message) => {
            let id = &message.id;
            screen::say(&format!(
                "{id} {}",
                lang.pick("is due now, but it still waits:", "已到重试时间，但仍在等待：")
            ));
            remarks(message, lang).iter().for_each(|remark| screen::say(&format!("  {remark}")));
        }
        // `yizhan account` and `yizhan notice` show these.
        AdminReply::Accounts(_) | AdminReply::Notices(_) => {}
        AdminReply::Depth(counts) => counts.iter().for_each(|(state, n)| screen::say(&format!("{state:<10} {n}"))),
        AdminReply::Refused(reason) => screen::complain(&one_line(reason)),
    }
}

/// The reply, and beside the repairs of one message the reason of each.
fn json(reply: &AdminReply, lang: Lang) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(reply)?;
    if let (AdminReply::Message(message, _), Some(object)) = (reply, value.pointer_mut("/message/0")) {
        let known = message.repairs.iter().filter_map(|name| Some((name, repair_reason(name, lang)?)));
        object["reasons"] =
            known.map(|(name, why)| (name.clone(), why.into())).collect::<serde_json::Map<_, _>>().into();
    }
    Ok(value)
}

/// Why a repair was made; none for a name that this version does not know (a queue written by a later one).
fn repair_reason(name: &str, lang: Lang) -> Option<&'static str> {
    let repair = Repair::ALL.iter().find(|repair| repair.name() == name)?;
    Some(lang.pick(repair.why(), repair.why_zh()))
}

fn line(message: &MessageStatus, lang: Lang) -> String {
    let to: Vec<&str> = message.recipients.iter().map(|r| r.to.as_str()).collect();
    let next = match (&message.next, message.state.as_str()) {
        (Some(next), _) => next,
        (None, "waiting") => lang.pick("when-resumed", "待恢复账号"),
        (None, _) => "-",
    };
    let pool = if message.pool.is_empty() { "-" } else { &message.pool };
    let reason = message.reason.as_ref().map_or_else(String::new, |reason| format!(" reason={}", reason.kind()));
    let line = format!(
        "{} {:<9} {:>9} tries={} next={next}{reason} lane={} pool={pool} client={} from=<{}> to={}",
        message.id,
        message.state,
        size(message.size),
        message.tries,
        message.lane,
        message.client,
        message.from,
        to.join(",")
    );
    one_line(&line)
}

/// Why a message does not leave, in one sentence.
fn why(reason: &WaitReason, lang: Lang) -> String {
    let text = match (lang, reason) {
        (Lang::En, reason) => reason.to_string(),
        (Lang::Zh, WaitReason::Budget { account, unit, window, limit, kept }) => {
            let unit = match unit.as_str() {
                "messages" => "封邮件",
                "recipients" => "位收件人",
                _ => "次登录",
            };
            let window = match window.as_str() {
                "minute" => "每分钟",
                "hour" => "每小时",
                _ => "每天",
            };
            let kept = if *kept > 0 { format!("；其中 {kept} 留给更紧急的邮件") } else { String::new() };
            format!("账号 {account} 的额度已用完：{window} {limit} {unit}{kept}")
        }
        (Lang::Zh, WaitReason::Account { account, cause, text }) => {
            let text = if text.is_empty() { String::new() } else { format!("：{text}") };
            format!("账号 {account} 暂停使用（{cause}）{text}")
        }
        (Lang::Zh, WaitReason::Unreachable { account, text }) => format!("连不上账号 {account} 的服务商：{text}"),
        (Lang::Zh, WaitReason::Share) => "轮到其他邮件先发".to_owned(),
    };
    one_line(&text)
}

/// What is out of the ordinary about one message: what it waits for, and what was learnt about it.
fn remarks(message: &MessageStatus, lang: Lang) -> Vec<String> {
    let mut all = Vec::new();
    match (message.state.as_str(), &message.next) {
        ("waiting", Some(until)) => all.push(format!("{} {until}", lang.pick("waiting until", "等到"))),
        ("waiting", None) => all.push(
            lang.pick(
                "waiting until somebody resumes the account (`yizhan account list` says why it is stopped)",
                "等到有人恢复账号（停用原因见 `yizhan account list`）",
            )
            .to_owned(),
        ),
        _ => {}
    }
    all.extend(
        message.reason.as_ref().map(|reason| format!("{} {}", lang.pick("reason:", "原因："), why(reason, lang))),
    );
    if let Some(chunk) = message.chunk {
        all.push(format!("{} {chunk}", lang.pick("recipients in one transaction, at most:", "每次最多收件人数：")));
    }
    if message.strict {
        let en = "goes with the account's own address only: the provider refused another one";
        all.push(lang.pick(en, "只用账号自己的地址发出：服务商拒绝了别的地址").to_owned());
    }
    if let Some(trouble) = &message.trouble {
        all.push(format!("{} {}", lang.pick("set aside:", "已搁置："), one_line(trouble)));
    }
    all
}

fn show_one(message: &MessageStatus, head: &str, lang: Lang) {
    let paint = Paint::new();
    screen::say(&line(message, lang));
    remarks(message, lang).iter().for_each(|remark| screen::say(&format!("  {remark}")));
    for recipient in &message.recipients {
        let reply = recipient.reply.as_deref().unwrap_or("-");
        let ink = match recipient.outcome.as_str() {
            "delivered" => Ink::Good,
            "failed" => Ink::Bad,
            _ => Ink::Quiet,
        };
        screen::say(&format!("  {} <{}>: {}", paint.ink(ink, &recipient.outcome), recipient.to, one_line(reply)));
    }
    if !message.repairs.is_empty() {
        screen::say(&format!("  {}:", lang.pick("repaired", "已修复")));
    }
    for name in &message.repairs {
        let why = repair_reason(name, lang).unwrap_or("");
        screen::say(&format!("    {}  {why}", paint.ink(Ink::Quiet, &one_line(name))));
    }
    if !head.is_empty() {
        screen::say(&format!("\n{}", harmless(&head.replace('\r', ""))));
    }
}
