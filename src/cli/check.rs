//! `yizhan check`: the effective settings, each with where it comes from, or every mistake at once.

use std::process::ExitCode;

use super::exposed_files;
use super::screen::{self, Lang};
use super::settings_arguments::SettingsArguments;
use crate::config::Settings;
use crate::intake::login::WORKERS;
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
    if let Some(unreached) = loaded.settings.unreached_alerts() {
        let ((why_en, why_zh), (en, zh)) = (unreached.why(), unreached.remedy());
        screen::complain(&match lang {
            Lang::En => format!("warning: {why_en}; {en}"),
            Lang::Zh => format!("警告：{why_zh}；{zh}"),
        });
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
