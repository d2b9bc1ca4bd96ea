//! `yizhan doctor`: tries everything that sending needs, one line a check, and says what to do.
//!
//! ```text
//!  probe  looks: machine, network, provider   -> facts
//!  judge  facts -> findings with cause and remedy (pure)
//!  show   findings -> lines as they come, or JSON at the end
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
use crate::admin::control;
use crate::admin::order::{Message, Order, Reply};
use crate::clock::Clock;
use crate::config::{self, Account, Settings};
use crate::intake::nat_detection;
use crate::queue::MessageState;
use crate::secret::SecretSource;

use super::run::SettingsArguments;
use super::screen::{self, Lang};
use super::{exposed, prompt, queue};
use judge::{Finding, Words, machine, words};
use probe::account::Errand;
use probe::resolver::Resolver;
use show::Show;

pub(super) mod judge;
mod probe;
mod show;

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
    let mut show = Show::new(json, lang);
    // Whoever can be asked for a secret may leave it out of the settings; that is no mistake here.
    let loaded = match config::load(config::Sources::of_process(settings.into_overrides(), true)) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show.tell(bad_settings(&problems.to_string()));
            return show.end();
        }
    };
    let mut accounts = loaded.settings.accounts.clone();
    if let Some(name) = &account {
        accounts.retain(|one| one.name == *name);
        if accounts.is_empty() {
            let names = loaded.settings.accounts.iter().map(|one| one.name.as_str());
            screen::complain(&crate::admin::accounts::no_such_account(name, names));
            return Ok(ExitCode::FAILURE);
        }
    }
    let choice = match (no_login, login) {
        (true, _) => Choice::Never,
        (false, true) => Choice::Always,
        (false, false) => Choice::Ask,
    };
    let resolver = resolver.map_or_else(Resolver::of_system, Resolver::at);
    super::runtime()?.block_on(async {
        good_settings(&loaded, &mut show);
        for one in exposed::find(&loaded.settings) {
            show.tell(Finding::warn("modes", one.what, one.cause, one.remedy));
        }
        let clock = Clock::system();
        let relay = look_at_relay(&loaded.settings, &mut show).await;
        look_at_machine(&loaded.settings, &relay, &clock, &mut show).await;
        if accounts.is_empty() {
            show.tell(no_account());
        }
        let errands = errands(&loaded.settings, accounts, &relay, choice, &resolver, &mut show)?;
        look_at_accounts(errands, &mut show).await;
        show.end()
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

fn good_settings(loaded: &config::Loaded, show: &mut Show) {
    let from = loaded.file.as_ref().map(|path| path.display().to_string());
    let text = match &from {
        Some(path) => words(format!("{path} is understood"), format!("{path} 正确")),
        None => words(
            "there is no settings file; environment and command line are enough",
            "没有配置文件；环境变量与命令行已足够",
        ),
    };
    show.tell(Finding::ok("settings", text));
    for warning in &loaded.warnings {
        show.tell(Finding::warn(
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
    messages: Vec<Message>,
}

/// Asks the running relay; when none runs, the queue itself, if it is ours.
async fn look_at_relay(settings: &Settings, show: &mut Show) -> Relay {
    let data_dir = &settings.queue.data_dir;
    let states = MessageState::ALL.iter().map(|state| state.name().to_owned()).collect();
    let orders = [Order::Accounts {}, Order::List { states, limit: MESSAGES }];
    let (runs, replies) = match control::ask(data_dir, &Order::Depth {}).await {
        Ok(_) => (true, queue::ask(settings, &orders).await),
        // Whoever opens the files of another user may leave some behind that the relay cannot open any more.
        Err(error) if queue::is_not_running(&error) && queue::has_queue(data_dir) && is_mine(data_dir) => {
            (false, queue::ask_files(settings, &orders).await)
        }
        Err(error) if queue::is_not_running(&error) => (false, Ok(Vec::new())),
        Err(error) => (true, Err(anyhow::Error::from(error))),
    };
    show.tell(match (&replies, runs) {
        (Ok(_), true) => Finding::ok("relay", words("a relay runs on this data folder", "中继正在这个数据目录上运行")),
        (Ok(_), false) => {
            Finding::ok("relay", words("no relay runs on this data folder", "这个数据目录上没有中继在运行"))
        }
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
        match reply {
            Reply::Accounts(accounts) => relay.accounts = accounts,
            Reply::Messages(messages) => relay.messages = messages,
            // A relay of another version may refuse; then less is known.
            Reply::Message(..) | Reply::Done | Reply::StillWaits(_) | Reply::Depth(_) | Reply::Refused(_) => {}
        }
    }
    relay
}

fn is_mine(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

async fn look_at_machine(settings: &Settings, relay: &Relay, clock: &Clock, show: &mut Show) {
    let folder = probe::machine::folder(&settings.queue.data_dir, settings.limits.disk_free);
    show.tell(machine::folder(&folder));
    show.tell(machine::disk(&folder));
    for listener in &settings.listeners {
        for &addr in &listener.bind {
            let door = probe::machine::door(addr, &settings.hostname).await;
            show.tell(machine::port(&listener.name, addr, relay.runs, &door));
        }
    }
    // Clients that have a name in the settings are told apart already.
    let seen: Vec<IpAddr> = relay.messages.iter().filter_map(|message| message.client.parse().ok()).collect();
    show.tell(machine::clients(&seen, &nat_detection::gateways()));
    show.tell(machine::clock(clock.now()));
}

/// Tells how the relay sees each account, and asks what must be asked before the first look.
fn errands(
    settings: &Settings,
    accounts: Vec<Account>,
    relay: &Relay,
    choice: Choice,
    resolver: &Resolver,
    show: &mut Show,
) -> anyhow::Result<Vec<Errand>> {
    let mut errands = Vec::new();
    for mut account in accounts {
        let view = relay.accounts.iter().find(|view| view.name == account.name && view.state != "ready");
        if let Some(view) = view {
            show.tell(resting(view));
        }
        let no_login = no_login(&account.name, view, choice, show.lang())?;
        if no_login.is_none() && account.secret.is_none() && prompt::can_ask() {
            let question = match show.lang() {
                Lang::En => format!("Authorization code or password of {}: ", account.user),
                Lang::Zh => format!("{} 的授权码或密码：", account.user),
            };
            account.secret = Some(SecretSource::Plain(prompt::secret(&question)?));
        }
        let (hostname, resolver) = (settings.hostname.clone(), resolver.clone());
        errands.push(Errand { account, hostname, no_login, resolver, clock: Clock::system() });
    }
    Ok(errands)
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

/// All accounts at the same time; what is found is told account by account.
async fn look_at_accounts(errands: Vec<Errand>, show: &mut Show) {
    let begin = |errand: Errand| {
        let (tell, told) = unbounded_channel();
        tokio::spawn(probe::account::examine(errand, tell));
        told
    };
    for mut told in errands.into_iter().map(begin).collect::<Vec<_>>() {
        while let Some(finding) = told.recv().await {
            show.tell(finding);
        }
    }
}
