//! What was found about the access token of an account: its owner, or why it is missing.
//!
//! `doctor` and `login` show the same. Not here: asking for a token (`oauth`). Invariant: no finding holds a token.

use std::time::Duration;

use super::finding::{Finding, Words, words};
use crate::oauth::TokenError;
use crate::provider::Remedy;

/// How many days before its end a client secret is warned about.
const SOON: i32 = 30;

/// There is a token.
pub(super) fn there(left: Option<Duration>) -> Finding {
    let what = match left.map(|left| left.as_secs() / 60) {
        Some(minutes) => words(
            format!("there is an access token, with {minutes} minutes left"),
            format!("有访问令牌，还剩 {minutes} 分钟"),
        ),
        None => words("there is an access token", "有访问令牌"),
    };
    Finding::ok("token", what)
}

/// There is none.
pub(super) fn absent(error: &TokenError, name: &str) -> Finding {
    let what = words("there is no access token", "没有访问令牌");
    match error {
        TokenError::Unreachable(text) => Finding::fail(
            "token",
            what,
            words(text.clone(), text.clone()),
            words(
                "look at the network and the proxy of the account; the relay keeps the mail and asks again by itself",
                "请检查网络和该账号的代理；中继会保留邮件并自动再试",
            ),
        ),
        TokenError::Refused { verdict, text } => {
            let said = words(format!("{text} ({})", verdict.cause), format!("{text}（{}）", verdict.cause));
            Finding::fail("token", what, said, remedy(verdict.remedy, name))
        }
    }
}

/// A remedy with the account's own name in its commands and keys.
pub(super) fn remedy(remedy: Remedy, name: &str) -> Words {
    let (en, zh) = remedy.named(name);
    words(en, zh)
}

/// Another account has signed in than the mailbox.
#[cfg(feature = "oauth")]
pub(super) fn other_account(user: &str, signed_in: &str) -> Finding {
    Finding::warn(
        "token",
        words(
            format!("{signed_in} has signed in, and the mailbox is {user}"),
            format!("登录的是 {signed_in}，而邮箱是 {user}"),
        ),
        words(
            "the provider takes that only where the one may send as the other",
            "只有前者有权代表后者发信时，服务商才会接受",
        ),
        words(
            format!(
                "sign in as {user} (a private window of the browser helps), or let the administrator grant full access"
            ),
            format!("请以 {user} 登录（可用浏览器的无痕窗口），或请管理员授予完全访问权限"),
        ),
    )
}

/// The client secret ends soon, or has ended; `None` when there is time.
pub(super) fn secret_ends(days: i32) -> Option<Finding> {
    let what = match days {
        ..0 => words("the client secret of the app has ended", "应用的客户端密码已过期"),
        0.. => words(
            format!("the client secret of the app ends in {days} days"),
            format!("应用的客户端密码还有 {days} 天到期"),
        ),
    };
    (days <= SOON).then(|| {
        Finding::warn(
            "token",
            what,
            words("without a new one no mail leaves through this account", "不更换就无法再用该账号发信"),
            words(
                "make a new client secret where the app is registered, write it into client_secret, and set expires to its end",
                "请在注册应用处新建客户端密码，写入 client_secret，并更新 expires",
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::State;
    use crate::oauth::fault;

    #[test]
    fn the_command_has_the_accounts_name() {
        let error = TokenError::Refused { verdict: fault::NOT_SIGNED_IN, text: "x".to_owned() };
        let remedy = absent(&error, "cloud").remedy.unwrap();
        assert!(remedy.en.contains("`yizhan login cloud`") && remedy.zh.contains("`yizhan login cloud`"), "{remedy:?}");
    }

    #[test]
    fn the_end_of_a_secret_is_told_in_time() {
        assert!(secret_ends(31).is_none());
        assert_eq!(secret_ends(30).unwrap().state, State::Warn);
        assert!(secret_ends(-1).unwrap().what.en.contains("has ended"));
    }
}
