//! Do alerts about an account reach the operator? Pure: a rule on the settings, for `check`, the start and `status`.
//!
//! An alert about an account goes to the webhook, else by mail through another account, never through the one it is about.

use super::own_mail::NoticeTo;

/// Why alerts about an account reach no one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// There is one account, and no webhook.
    OneAccount,
    /// `notice.to` is `none`, and there is no webhook: no alert is sent at all.
    NoticeNone,
}

impl Unreached {
    /// Whether and why alerts about an account reach no one, with so many accounts.
    pub fn of(accounts: usize, has_webhook: bool, to: &NoticeTo) -> Option<Unreached> {
        match (has_webhook, accounts, to) {
            // Without an account there is nothing to alert about: the relay does not start.
            (true, ..) | (_, 0, _) => None,
            (false, _, NoticeTo::Nobody) => Some(Unreached::NoticeNone),
            (false, 1, NoticeTo::Account | NoticeTo::Sender | NoticeTo::Address(_)) => Some(Unreached::OneAccount),
            (false, _, NoticeTo::Account | NoticeTo::Sender | NoticeTo::Address(_)) => None,
        }
    }

    /// Why, in English and in Chinese.
    pub const fn why(self) -> (&'static str, &'static str) {
        match self {
            Unreached::OneAccount => (
                "there is one account and no notice.webhook: when it is stopped, only the log and `yizhan account list` say so",
                "只有一个账号，又没有 notice.webhook：账号停用时，只有日志和 `yizhan account list` 会说",
            ),
            Unreached::NoticeNone => (
                "notice.to is \"none\" and there is no notice.webhook: when an account is stopped, only the log and `yizhan \
                 account list` say so",
                "notice.to 为 \"none\"，又没有 notice.webhook：账号停用时，只有日志和 `yizhan account list` 会说",
            ),
        }
    }

    /// What to set, in English and in Chinese.
    pub const fn remedy(self) -> (&'static str, &'static str) {
        match self {
            Unreached::OneAccount => (
                "set notice.webhook, or add a second [account.NAME]; `yizhan notice test` tries it",
                "请设置 notice.webhook，或再加一个 [account.NAME]；用 `yizhan notice test` 试一下",
            ),
            Unreached::NoticeNone => (
                "set notice.webhook, or set notice.to to \"self\" or an address; `yizhan notice test` tries it",
                "请设置 notice.webhook，或把 notice.to 设为 \"self\" 或一个地址；用 `yizhan notice test` 试一下",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_or_another_account_reaches_the_operator() {
        let of = Unreached::of;
        assert_eq!(of(1, false, &NoticeTo::Account), Some(Unreached::OneAccount));
        assert_eq!(of(1, false, &NoticeTo::Nobody), Some(Unreached::NoticeNone));
        assert_eq!(of(3, false, &NoticeTo::Nobody), Some(Unreached::NoticeNone));
        assert_eq!((of(2, false, &NoticeTo::Sender), of(0, false, &NoticeTo::Nobody)), (None, None));
        assert_eq!((of(1, true, &NoticeTo::Account), of(2, true, &NoticeTo::Nobody)), (None, None));
    }
}
