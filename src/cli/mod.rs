//! What an operator types: one file a command, and what they share.
//!
//! Exit codes are part of the surface: 0 all well, 1 it went wrong, 2 there is no such message (or client, or the command
//! line was not understood), 78 the settings are wrong (`EX_CONFIG`). Not here: anything a running relay needs; this layer only
//! starts things and shows them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::log;

mod account;
mod backup;
mod check;
mod completions;
mod demo;
mod doctor;
mod explain;
mod exposed_files;
mod failure;
mod filter_arguments;
mod finding;
mod hash_password;
mod health;
mod history;
#[cfg(feature = "oauth")]
mod login;
mod man;
mod message_words;
mod notice;
mod page;
mod prompt;
mod queue;
mod queue_change;
mod relay_client;
mod repair;
mod run;
mod runtime;
mod sandbox;
mod screen;
pub mod serve;
mod settings_arguments;
mod status;
mod table;
mod token_finding;

use failure::CommandFailure;
use screen::Lang;
use settings_arguments::SettingsArguments;

#[derive(Parser)]
#[command(
    name = "yizhan",
    version,
    about = "A relay post for legacy mail 驿站: plaintext SMTP in, your mailbox provider out",
    long_about = "Yizhan takes plaintext SMTP from printers, scripts and old applications, answers 250 once the mail is safe \
        on disk, repairs what is broken in it, and sends it on as one of your mailbox accounts (QQ Mail, Tencent Exmail, any \
        other) over verified TLS with an authorization code.\n\n驿站接收打印机、脚本和旧程序发来的明文 SMTP 邮件，安全落盘后才回答 250，\
        修复格式，再用您的邮箱账号（QQ 邮箱、腾讯企业邮等）经 TLS 发出。",
    after_help = "Try it without an account:   yizhan demo\n\
        Relay for QQ Mail:           YIZHAN_PROVIDER=qq YIZHAN_USER=10000@qq.com YIZHAN_SECRET_FILE=code.txt yizhan run\n\
        Every setting, explained:    conf/yizhan.toml"
)]
struct Arguments {
    /// Language of what people read: en or zh (default: from $LANG)
    #[arg(long, global = true, value_name = "LANG")]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay 运行中继
    #[command(after_help = "Without --config: $YIZHAN_CONFIG, ./yizhan.toml, /etc/yizhan/yizhan.toml, or none.\n\
        A secret is never an argument: use YIZHAN_SECRET_FILE, YIZHAN_SECRET, the settings file, or type it when asked.\n\
        Stop with Ctrl-C or SIGTERM: what was begun is finished first.")]
    Run(run::Arguments),
    /// Show the main job in half a minute: broken mails in, clean mails out 演示
    Demo(demo::Arguments),
    /// Print the effective settings, or every mistake in them 检查配置
    Check(SettingsArguments),
    /// Is all well? One screen: accounts, what waits, what failed, what you must do now 总览
    #[command(after_help = status::HELP)]
    Status(status::Arguments),
    /// Is the relay alive? Is it ready for mail? For HEALTHCHECK, probes and cron 健康检查
    #[command(after_help = health::HELP)]
    Health(health::Arguments),
    /// Try everything that sending needs, one line a check, with cause and remedy; sends nothing 体检
    Doctor(doctor::Arguments),
    /// List, show, hold, release, retry, drop or export queued messages, also while the relay is stopped 查看队列
    Queue(queue::Arguments),
    /// What came, when, and what became of it; who ordered what 收发记录
    #[command(after_help = history::HELP)]
    History(history::Arguments),
    /// Write a consistent copy of the queue to a new file, also while the relay runs 备份队列
    #[command(after_help = "The relay writes the file as its own user; it has mail in it and must be kept secret.\n\
        Example 示例: yizhan backup /var/backups/yizhan-2026-11-30.db")]
    Backup(backup::Arguments),
    /// List accounts, stop and resume sending through one; works while the relay runs and while it is stopped 账号状态
    Account(account::Arguments),
    /// Send a test alert over every channel that alerts use 测试告警通道
    Notice(notice::Arguments),
    /// Sign in for an account with access tokens, store it, and try it at once (OAuth2) 登录授权
    #[cfg(feature = "oauth")]
    #[command(after_help = "What the account needs is in [account.NAME.oauth]; docs/oauth.md shows it step by step.\n\
        Exit code 0 when the log-in worked, 1 when it did not, 78 when the settings are wrong. A running relay notices by itself.")]
    Login(login::Arguments),
    /// Delete the sign-in of an account 删除登录授权
    #[cfg(feature = "oauth")]
    Logout(login::Arguments),
    /// Print the token for the page and the API of the relay 显示令牌
    #[command(
        after_help = "Example: curl -H \"Authorization: Bearer $(yizhan token)\" http://127.0.0.1:8025/api/v1/summary"
    )]
    Token(SettingsArguments),
    /// Print an address that opens the page of the running relay, once and within two minutes 打开页面
    Open(SettingsArguments),
    /// Show what the relay would make of a message: before, after, and each repair with its reason 试修一封邮件
    Repair(repair::Arguments),
    /// Turn a password into the hash for [user.NAME] in the settings 生成密码散列
    #[command(
        after_help = "Asks for it on a terminal, else reads one line of standard input; it is never an argument.\n\
        Example: printf '%s' \"$PASSWORD\" | yizhan hash-password"
    )]
    HashPassword,
    /// Say what a provider's reply means, what the relay does about it, and what you should do 解释服务商的回复
    #[command(after_help = "Example: yizhan explain \"550 Ip frequency limited\" --provider qq\n\
        Exit code 1 when only the first digit of a reply was understood.")]
    Explain(explain::Arguments),
    /// Print the completion file of a shell 命令补全
    #[command(after_help = "Example: yizhan completions bash > /etc/bash_completion.d/yizhan")]
    Completions(completions::Arguments),
    /// Print a manual page 手册
    #[command(after_help = "Example: yizhan man yizhan.toml | man -l -")]
    Man(man::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Secrets and mail are in memory: no core file, and no look into it by other processes of the same user.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    run_with(std::env::args_os())
}

/// Waits for the log when a command ends, also by a panic.
struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        log::flush();
    }
}

/// Runs a command line: `arguments` begins with the name of the program.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // `--help` and `--version` come this way too, with exit code 0.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let lang = arguments.lang.unwrap_or_else(Lang::from_environment);
    let _last_lines = LastLines;
    let result = match arguments.command {
        Command::Run(arguments) => run::run(arguments, lang),
        Command::Demo(arguments) => demo::run(arguments, lang),
        Command::Check(arguments) => check::run(arguments, lang),
        Command::Doctor(arguments) => doctor::run(arguments, lang),
        Command::Status(arguments) => status::run(arguments, lang),
        Command::Health(arguments) => health::run(arguments, lang),
        Command::Queue(arguments) => queue::run(arguments, lang),
        Command::History(arguments) => history::run(arguments, lang),
        Command::Backup(arguments) => backup::run(arguments, lang),
        Command::Account(arguments) => account::run(arguments, lang),
        Command::Notice(arguments) => notice::run(arguments, lang),
        #[cfg(feature = "oauth")]
        Command::Login(arguments) => login::run(arguments, lang),
        #[cfg(feature = "oauth")]
        Command::Logout(arguments) => login::forget(arguments, lang),
        Command::Token(arguments) => page::token(arguments, lang),
        Command::Open(arguments) => page::open(arguments, lang),
        Command::Repair(arguments) => repair::run(arguments, lang),
        Command::HashPassword => hash_password::run(lang),
        Command::Explain(arguments) => explain::run(&arguments, lang),
        Command::Completions(arguments) => Ok(completions::run(&arguments)),
        Command::Man(arguments) => Ok(man::run(&arguments)),
    };
    result.unwrap_or_else(|error| {
        let failure = error.downcast().unwrap_or_else(|other| CommandFailure::general(format!("yizhan: {other:#}")));
        screen::complain(&failure.to_string());
        ExitCode::from(failure.code)
    })
}
