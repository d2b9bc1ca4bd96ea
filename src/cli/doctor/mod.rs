//! `yizhan doctor`: tries everything that sending needs, one line a check, and says what to do.
//!
//! ```text
//!  probe     looks: machine, network, provider   -> facts
//!  findings  facts -> findings with cause and remedy (pure)
//!  output    findings -> lines as they come, or JSON at the end
//! ```
//!
//! It works while the relay runs and while it is stopped. Not here: mending anything. Invariants: it never sends mail,
//! never tries two log-ins, and never prints a secret; an account that rests is not logged in to without being asked.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tokio::sync::mpsc::unbounded_channel;

use crate::account::AccountStatus;
use crate::admin::view::MessageStatus;
use crate::admin::{AdminCommand, AdminReply, MessageConditions, Order, control};
use crate::clock::Clock;
use crate::config::{self, Account, Settings};
use crate::intake::nat_detection;
use crate::queue::MessageState;

use super::exposed_files;
use super::failure::CommandFailure;
use super::finding::{Finding, Words, words};
use super::prompt;
use super::relay_client::{self, RelayClient};
use super::runtime;
use super::screen::Lang;
use super::settings_arguments::SettingsArguments;
use findings::machine;
pub(super) use output::Output;
use probe::account::AccountCheck;
use probe::resolver::Resolver;

mod findings;
mod output;
mod probe;

/// So many messages are looked at for the clients' addresses.
const MESSAGES: usize = 1000;

/// What `doctor` takes.
#[derive(Args)]
#[command(after_help = "Exit code 0 when nothing warned or failed, 1 otherwise. What was skipped is no fault.\n\
    One log-in is tried for each account; --no-login leaves it out. Nothing is ever sent.")]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Only this account (the NAME of [account.NAME])
    account: Option<String>,
    /// Print JSON, at the end
    #[arg(long)]
    json: bool,
    /// Try no log-in
    #[arg(long, conflicts_with = "login")]
    no_login: bool,
    /// Log in to accounts that are cooling or paused too, without asking
    #[arg(long)]
    login: bool,
    /// The name server to ask for TXT records, instead of those of the machine
    #[arg(long, hide = true, value_name = "ADDR:PORT")]
    resolver: Option<SocketAddr>,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let Arguments { settings, account, json, no_login, login, resolver } = arguments;
    let mut output = Output::new(json, lang);
    // Whoever can be asked for a secret may leave it out of the settings; that is no mistake here.
    let loaded = match settings.read(true) {
        Ok(loaded) => loaded,
        Err(problems) => {
            output.show(bad_settings(&problems.to_string()));
            return output.end();
        }
    };
    let mut accounts = loaded.settings.accounts.clone();
    if let Some(name) = &account {
        accounts.retain(|one| one.name == *name);
        if accounts.is_empty() {
            let names = loaded.settings.accounts.iter().map(|one| one.name.as_str());
            return Err(CommandFailure::general(
                crate::admin::error::no_such_account(name, names).sentence().pick(lang),
            )
            .into());
        }
    }
    let choice = match (no_login, login) {
        (true, _) => Choice::Never,
        (false, true) => Choice::Always,
        (false, false) => Choice::Ask,
    };
    let resolver = resolver.map_or_else(Resolver::of_system, Resolver::at);
    runtime::start()?.block_on(async {
        good_settings(&loaded, &mut output);
        for one in exposed_files::find(&loaded.settings) {
            output.show(Finding::warn("modes", one.what, one.cause, one.remedy));
        }
        let clock = Clock::system();
        let relay = look_at_relay(&loaded.settings, &mut output).await;
        look_at_machine(&loaded.settings, &relay, &clock, &mut output).await;
        if accounts.is_empty() {
            output.show(no_account());
        }
        let checks = checks(&loaded.settings, accounts, &relay, choice, &resolver, &mut output)?;
        look_at_accounts(checks, &mut output).await;
        output.end()
    })
}

/// Whether to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Never,
    Always,
    /// Yes, but for an account that rests only after a person has said so.
    Ask,
}

fn bad_settings(problems: &str) -> Finding {
    Finding::fail(
        "settings",
        words("the settings have mistakes", "配置有错误"),
        words(problems, problems),
        words("correct them; `yizhan check` shows what is in force", "请改正；`yizhan check` 显示生效的配置"),
    )
}

fn good_settings(loaded: &config::Loaded, output: &mut Output) {
    let from = loaded.file.as_ref().map(|path| path.display().to_string());
    let text = match &from {
        Some(path) => words(format!("{path} is understood"), format!("{path} 正确")),
        None => words(
            "there is no settings file; environment and command line are enough",
            "没有配置文件；环境变量与命令行已足够",
        ),
    };
    output.show(Finding::ok("settings", text));
    for warning in &loaded.warnings {
        output.show(Finding::warn(
            "settings",
            words("allowed, but unwise", "允许，但不妥"),
            words(warning.as_str(), warning.as_str()),
            words("conf/yizhan.toml explains every key", "conf/yizhan.toml 解释每个键"),
        ));
    }
}

fn no_account() -> Finding {
    Finding::fail(
        "account",
        words("there is no account", "没有账号"),
        words("nothing can be sent", "无法发送任何邮件"),
        words(
            "name a mailbox: YIZHAN_PROVIDER, YIZHAN_USER and YIZHAN_SECRET_FILE, or [account.NAME] in yizhan.toml",
            "配置一个邮箱：YIZHAN_PROVIDER、YIZHAN_USER 和 YIZHAN_SECRET_FILE，或 yizhan.toml 中的 [account.NAME]",
        ),
    )
}

/// What the relay, or the files it left, could tell.
#[derive(Debug, Default)]
struct Relay {
    runs: bool,
    accounts: Vec<AccountStatus>,
    messages: Vec<MessageStatus>,
}

/// Asks the running relay; when none runs, the queue itself, if it is ours.
async fn look_at_relay(settings: &Settings, output: &mut Output) -> Relay {
    let data_dir = &settings.queue.data_dir;
    let filter = MessageConditions::default();
    let newest = AdminCommand::Messages { filter, order: Order::Newest, cursor: None, limit: MESSAGES };
    let commands = [AdminCommand::Accounts {}, newest];
    // A relay removes its socket when it stops.
    let killed = control::path(data_dir).exists();
    let (runs, replies) = match control::ask(data_dir, &AdminCommand::Depth {}).await {
        Ok(_) => (true, ask_relay(settings, &commands).await),
        // Whoever opens the files of another user may leave some behind that the relay cannot open any more.
        Err(error)
            if relay_client::is_not_running(&error) && relay_client::has_queue(data_dir) && is_mine(data_dir) =>
        {
            (false, relay_client::ask_files(settings, &commands, Lang::En).await)
        }
        Err(error) if relay_client::is_not_running(&error) => (false, Ok(Vec::new())),
        Err(error) => (true, Err(anyhow::Error::from(error))),
    };
    output.show(match (&replies, runs) {
        (Ok(_), true) => Finding::ok("relay", words("a relay runs on this data folder", "中继正在这个数据目录上运行")),
        (Ok(replies), false) => stopped(unfinished(replies), killed),
        (Err(error), _) => Finding::fail(
            "relay",
            words("the relay, or its queue, cannot be asked", "无法查询中继或其队列"),
            words(format!("{error:#}"), format!("{error:#}")),
            words(
                "run doctor as the user of the relay (or root); if the relay hangs, its log says why",
                "以中继的用户（或 root）运行 doctor；若中继无响应，请看它的日志",
            ),
        ),
    });
    let mut relay = Relay { runs, ..Relay::default() };
    for reply in replies.unwrap_or_default() {
        // A relay of another version may refuse; then less is known.
        if let AdminReply::Accounts { accounts, .. } = reply {
            relay.accounts = accounts;
        } else if let AdminReply::Messages { messages, .. } = reply {
            relay.messages = messages;
        }
    }
    relay
}

/// How many of the newest messages are unfinished.
fn unfinished(replies: &[AdminReply]) -> usize {
    let messages = replies
        .iter()
        .find_map(|reply| if let AdminReply::Messages { messages, .. } = reply { Some(messages) } else { None });
    let waits = |message: &&MessageStatus| !MessageState::parse(&message.state).is_some_and(MessageState::is_final);
    messages.map_or(0, |messages| messages.iter().filter(waits).count())
}

/// No relay runs. It should when mail waits for it, or when it was killed.
fn stopped(unfinished: usize, killed: bool) -> Finding {
    let what = words("no relay runs on this data folder", "这个数据目录上没有中继在运行");
    let cause = match (unfinished, killed) {
        (0, false) => return Finding::ok("relay", what),
        (0, true) => words("the last one ended without a stop: it was killed", "上一个中继没有正常停止，是被杀掉的"),
        (1, _) => words("1 message waits for it", "有 1 封邮件在等待"),
        (n, _) => words(format!("{n} messages wait for it"), format!("有 {n} 封邮件在等待")),
    };
    let remedy = words(
        "start it: `systemctl start yizhan`, or `yizhan run`; its log says why it ended",
        "请启动：`systemctl start yizhan` 或 `yizhan run`；停止的原因见日志",
    );
    Finding::fail("relay", what, cause, remedy)
}

async fn ask_relay(settings: &Settings, commands: &[AdminCommand]) -> anyhow::Result<Vec<AdminReply>> {
    let mut client = RelayClient::new(settings, Lang::En).await;
    let mut replies = Vec::new();
    for command in commands {
        replies.push(client.ask(command).await?);
    }
    client.close().await?;
    Ok(replies)
}

fn is_mine(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

async fn look_at_machine(settings: &Settings, relay: &Relay, clock: &Clock, output: &mut Output) {
    let folder = probe::machine::folder(&settings.queue.data_dir, settings.limits.disk_free);
    output.show(machine::folder(&folder));
    output.show(machine::disk(&folder));
    for listener in &settings.listeners {
        for &addr in &listener.bind {
            let door = probe::machine::door(addr, &settings.hostname).await;
            output.show(machine::port(&listener.name, addr, relay.runs, &door));
        }
    }
    // Clients that have a name in the settings are told apart already.
    let seen: Vec<IpAddr> = relay.messages.iter().filter_map(|message| message.client.parse().ok()).collect();
    output.show(machine::clients(&seen, &nat_detection::gateways()));
    output.show(machine::clock(clock.now()));
}

/// Tells how the relay sees each account, and asks what must be asked before the first look.
fn checks(
    settings: &Settings,
    accounts: Vec<Account>,
    relay: &Relay,
    choice: Choice,
    resolver: &Resolver,
    output: &mut Output,
) -> anyhow::Result<Vec<AccountCheck>> {
    let mut checks = Vec::new();
    for mut account in accounts {
        let view = relay.accounts.iter().find(|view| view.name == account.name && rests(view));
        if let Some(view) = view {
            output.show(resting(view));
        }
        let no_login = no_login(&account.name, view, choice, output.lang())?;
        if no_login.is_none() && account.secret.is_none() && account.oauth.is_none() && prompt::can_ask() {
            account.secret = Some(prompt::secret_of(&account.user, output.lang())?);
        }
        let (hostname, resolver) = (settings.hostname.clone(), resolver.clone());
        checks.push(AccountCheck { account, hostname, no_login, records: true, resolver, clock: Clock::system() });
    }
    Ok(checks)
}

fn rests(view: &AccountStatus) -> bool {
    view.state == "cooling" || view.state == "paused"
}

/// The relay does not use the account at the moment.
fn resting(view: &AccountStatus) -> Finding {
    let until = view.until.as_deref().unwrap_or("?");
    let what = match view.state.as_str() {
        "cooling" => words(format!("cooling until {until}"), format!("冷却至 {until}")),
        _ => words("paused", "已暂停"),
    };
    let reason = view.reply.as_ref().or(view.cause.as_ref()).map_or("-", String::as_str);
    let again = format!("yizhan account resume {}", view.name);
    let remedy_en = view.remedy_en.clone().unwrap_or_else(|| format!("when the cause is mended: `{again}`"));
    let remedy_zh = view.remedy_zh.clone().unwrap_or_else(|| format!("排除原因后：`{again}`"));
    Finding::warn("account", what, words(reason, reason), words(remedy_en, remedy_zh)).about(&view.name)
}

/// Why the log-in of an account is left out; none when it is to be tried.
fn no_login(name: &str, resting: Option<&AccountStatus>, choice: Choice, lang: Lang) -> anyhow::Result<Option<Words>> {
    let why = match (choice, resting) {
        (Choice::Never, _) => words("left out (--no-login)", "未尝试（--no-login）"),
        (Choice::Always, _) | (Choice::Ask, None) => return Ok(None),
        (Choice::Ask, Some(view)) => {
            let state = &view.state;
            let question = match lang {
                Lang::En => {
                    format!("{name} is {state}: each refused log-in makes that longer. Log in once all the same?")
                }
                Lang::Zh => format!("{name} 处于 {state}：每次登录失败都会延长它。仍要登录一次吗？"),
            };
            if prompt::can_ask() && prompt::confirm(&question)? {
                return Ok(None);
            }
            words(
                format!("left out: the account is {state} (--login tries it all the same)"),
                format!("未尝试：账号处于 {state}（--login 可强制尝试）"),
            )
        }
    };
    Ok(Some(why))
}

/// Looks at one account: one log-in is tried, whatever state the relay has it in, because a person has just signed in.
#[cfg(feature = "oauth")]
pub(super) async fn try_account(account: Account, settings: &Settings, output: &mut Output) {
    let (hostname, resolver) = (settings.hostname.clone(), Resolver::of_system());
    let check = AccountCheck { account, hostname, no_login: None, records: false, resolver, clock: Clock::system() };
    look_at_accounts(vec![check], output).await;
}

/// All accounts at the same time; what is found is told account by account.
async fn look_at_accounts(checks: Vec<AccountCheck>, output: &mut Output) {
    let begin = |check: AccountCheck| {
        let (tell, told) = unbounded_channel();
        tokio::spawn(probe::account::examine(check, tell));
        told
    };
    for mut told in checks.into_iter().map(begin).collect::<Vec<_>>() {
        while let Some(finding) = told.recv().await {
            output.show(finding);
        }
    }
}
