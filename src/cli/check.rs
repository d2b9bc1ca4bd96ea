//! `yizhan check`: the effective settings, each with where it comes from, or every mistake at once.

use std::process::ExitCode;

use super::exposed_files;
use super::screen::{self, Lang};
use super::settings_arguments::SettingsArguments;
use crate::config::Settings;
use crate::intake::login::WORKERS;
use crate::report::NoticeTo;
use crate::secret::SecretSource;
use crate::secret::password::{Cost, Password};
use crate::smtp::server::AuthMode;

/// Memory of the program at rest, rounded up (docs/performance.md, "At rest").
const REST: u64 = 10;
const MIB: u64 = 1024 * 1024;

pub(super) fn run(arguments: SettingsArguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let loaded = arguments.load(false)?;
    for warning in &loaded.warnings {
        screen::complain(&format!("warning: {warning}"));
    }
    if let Some(sentence) = silence(&loaded.settings, lang) {
        screen::complain(&sentence);
    }
    for one in exposed_files::find(&loaded.settings) {
        let [what, cause, remedy] = [&one.what, &one.cause, &one.remedy].map(|words| words.pick(lang));
        screen::complain(&match lang {
            Lang::En => format!("warning: {what}: {cause}; {remedy}"),
            Lang::Zh => format!("警告：{what}：{cause}；{remedy}"),
        });
    }
    if let Some(sentence) = log_ins(&loaded.settings, lang) {
        screen::complain(&sentence);
    }
    screen::print(&loaded.effective());
    Ok(ExitCode::SUCCESS)
}

/// The memory to plan for where log-ins are verified: comparing a password takes what its hash asks for, and
/// [`WORKERS`] run at a time. Passwords that cannot be read count with the default cost.
fn log_ins(settings: &Settings, lang: Lang) -> Option<String> {
    settings.listeners.iter().find(|listener| listener.auth == AuthMode::Verify)?;
    let cost = |source: &SecretSource| {
        let password = source.read().ok().and_then(|secret| Password::new(secret).ok());
        password.map_or_else(Cost::default, |password| password.cost()).memory().div_ceil(MIB)
    };
    let costliest = settings.users.iter().map(|user| cost(&user.password)).max()?;
    let all = REST + WORKERS as u64 * costliest;
    Some(match lang {
        Lang::En => format!(
            "memory: about {all} MiB while clients log in: {REST} MiB at rest, and {WORKERS} x {costliest} MiB to compare \
             passwords with the costliest hash"
        ),
        Lang::Zh => format!(
            "内存：客户端登录时约需 {all} MiB：空闲时 {REST} MiB，另加比较密码的 {WORKERS} x {costliest} MiB（按开销最大的哈希计算）"
        ),
    })
}

/// What to say when nobody would hear that an account is in trouble: an alarm goes over a webhook, else over another
/// account, and never over the one it is about.
fn silence(settings: &Settings, lang: Lang) -> Option<String> {
    let (one, mute) = (settings.accounts.len() == 1, settings.notice.to == NoticeTo::Nobody);
    let silent = settings.notice.webhook.is_none() && (one || (mute && !settings.accounts.is_empty()));
    let (en, zh) = if one {
        (
            "warning: there is one account and no notice.webhook: when it is stopped, only the log and `yizhan account list` say so",
            "警告：只有一个账号，又没有 notice.webhook：账号停用时，只有日志和 `yizhan account list` 会说",
        )
    } else {
        (
            "warning: notice.to is \"none\" and there is no notice.webhook: when an account is stopped, only the log and `yizhan account list` say so",
            "警告：notice.to 为 \"none\"，又没有 notice.webhook：账号停用时，只有日志和 `yizhan account list` 会说",
        )
    };
    silent.then(|| lang.pick(en, zh).to_owned())
}
