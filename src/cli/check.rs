//! `yizhan check`: the effective settings, each with where it comes from, or every mistake at once.

use std::process::ExitCode;

use super::exposed;
use super::run::SettingsArguments;
use super::screen::{self, Lang};
use crate::config::{NoticeTo, Settings};

pub(super) fn run(arguments: SettingsArguments, lang: Lang) -> ExitCode {
    let loaded = match arguments.load(false) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        screen::complain(&format!("warning: {warning}"));
    }
    if let Some(sentence) = silence(&loaded.settings, lang) {
        screen::complain(&sentence);
    }
    for one in exposed::find(&loaded.settings) {
        let [what, cause, remedy] = [&one.what, &one.cause, &one.remedy].map(|words| lang.pick(&words.en, &words.zh));
        screen::complain(&match lang {
            Lang::En => format!("warning: {what}: {cause}; {remedy}"),
            Lang::Zh => format!("警告：{what}：{cause}；{remedy}"),
        });
    }
    screen::print(&loaded.effective());
    ExitCode::SUCCESS
}

/// What to say when nobody would hear that an account is in trouble: an alarm goes over a webhook, else over another
/// account, and never over the one it is about.
fn silence(settings: &Settings, lang: Lang) -> Option<String> {
    let (one, mute) = (settings.accounts.len() == 1, settings.notice.to == NoticeTo::None);
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
