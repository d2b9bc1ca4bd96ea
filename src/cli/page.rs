//! `yizhan token` and `yizhan open`: how a person reaches the page and the API of the relay.
//!
//! Not here: making tokens and codes (`admin`).

use std::process::ExitCode;

use crate::admin::control;
use crate::admin::{AdminCommand, AdminReply, token_file};

use super::failure::{CommandFailure, another_answer, refuse};
use super::relay_client::is_not_running;
use super::runtime;
use super::screen::{self, Lang};
use super::settings_arguments::SettingsArguments;

/// Prints the token.
pub(super) fn token(arguments: SettingsArguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.load(true)?.settings;
    let source = token_file::source(&settings.admin, &settings.queue.data_dir);
    let token = source.read().map_err(|error| {
        CommandFailure::general(match lang {
            Lang::En => format!(
                "{error}; the relay makes the token at its first start, and only its own user and root may read it"
            ),
            Lang::Zh => format!("{error}；中继首次启动时生成令牌，只有中继的用户和 root 可以读取"),
        })
    })?;
    screen::print_secret(&token);
    Ok(ExitCode::SUCCESS)
}

/// Prints a URL that opens the page once.
pub(super) fn open(arguments: SettingsArguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.load(true)?.settings;
    let asked = runtime::start()?.block_on(control::ask(&settings.queue.data_dir, &AdminCommand::OpenCode {}));
    let reply = asked.map_err(|error| match is_not_running(&error) {
        true => CommandFailure::general(
            lang.pick("the relay does not run; start it, then repeat the command", "中继没有运行；请启动后重新执行"),
        ),
        false => CommandFailure::general(match lang {
            Lang::En => format!("the relay gave no answer ({error}); run the command as its user, or as root"),
            Lang::Zh => format!("中继没有回答（{error}）；请以中继的用户或 root 执行"),
        }),
    })?;
    if let AdminReply::Refused { error } = &reply {
        return refuse(error, false, lang);
    }
    let AdminReply::Page { url, seconds } = reply else { return Err(another_answer(lang)) };
    screen::say(&url);
    screen::say(&match lang {
        Lang::En => format!("It opens the page once, within {seconds} seconds."),
        Lang::Zh => format!("该地址只能使用一次，{seconds} 秒内有效。"),
    });
    Ok(ExitCode::SUCCESS)
}
