//! Why there is no token, and whom that condemns.
//!
//! What the service says is read with the rows of the group `oauth` of the reply catalogue, by its words and by the numbers
//! of Entra. What is wrong on this machine has verdicts of its own. Invariant: a service that cannot be reached condemns
//! nothing; mail waits as it does for an unreachable provider.

use crate::provider::{Action, Basis, Catalogue, Group, Phase, Remedy, Scope, Verdict, reply_text};
use crate::secret::redact::redact;

/// Characters of the service's words that are kept.
const WORDS: usize = 400;

/// Why there is no token. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The service cannot be reached, is busy, or its refusal is not believed yet.
    #[error("{0}")]
    Unreachable(String),
    /// The service refuses, or something is wrong on this machine.
    #[error("{text}")]
    Refused {
        /// What to do, and what the operator should do.
        verdict: Verdict,
        /// The words of the service, or our own reason.
        text: String,
    },
}

const fn own(cause: &'static str, action: Action, en: &'static str, zh: &'static str) -> Verdict {
    let remedy = Remedy { en, zh };
    Verdict { cause, scope: Scope::Config, action, alert: true, basis: Basis::Row, remedy }
}

/// No person has signed in for the account.
pub const NOT_SIGNED_IN: Verdict = own(
    "not-signed-in",
    Action::Pause,
    "Sign in once with `yizhan login NAME`, where NAME is that of [account.NAME], as the user of the relay. The relay then \
     goes on by itself.",
    "请以中继的用户运行 `yizhan login NAME` 登录一次（NAME 是 [account.NAME] 的名称），之后中继自动继续。",
);

/// The file of the sign-in is one of another mailbox or program.
pub const OTHER_SIGN_IN: Verdict = own(
    "other-sign-in",
    Action::Pause,
    "The stored sign-in is one of another mailbox, program or tenant than the settings name. Sign in with `yizhan login NAME`, \
     or undo the change of user, client_id or tenant.",
    "保存的登录属于另一个邮箱、应用或租户，与配置不符。请运行 `yizhan login NAME` 重新登录，或改回 user、client_id、tenant。",
);

/// The file of the sign-in cannot be read.
pub const TOKEN_FILE: Verdict = own(
    "token-file",
    Action::Cool15,
    "The relay cannot read the file of the sign-in. Look whether the user of the relay owns it (folder oauth in the data \
     folder); if it is damaged, sign in again with `yizhan login NAME`. The relay looks again by itself.",
    "中继读不到保存登录的文件。请检查数据目录下 oauth 文件夹是否属于中继的用户；若文件已损坏，请运行 `yizhan login NAME`。中继会自己再看。",
);

/// The client secret or the key of the program cannot be read or used.
pub const CLIENT_SECRET: Verdict = own(
    "client-secret",
    Action::Cool15,
    "The relay cannot use client_secret or key of [account.NAME.oauth]. Look whether the file is there, readable for the user \
     of the relay, and as the service gave it out. The relay looks again by itself.",
    "中继无法使用 [account.NAME.oauth] 的 client_secret 或 key。请检查文件是否存在、中继的用户能否读取、内容是否原样。中继会自己再看。",
);

/// The answer to a sign-in has no refresh token, so it would end within the hour.
pub const NO_REFRESH_TOKEN: Verdict = own(
    "no-refresh-token",
    Action::Pause,
    "The sign-in would end within the hour, because the service gave no refresh token. Add offline_access to `scope` of \
     [account.NAME.oauth], or remove `scope` to get the one of the provider; then run `yizhan login NAME` again.",
    "服务没有给出刷新令牌，登录一小时内就会失效。请在 [account.NAME.oauth] 的 scope 里加上 offline_access，或去掉 scope 使用默认值，再运行 `yizhan login NAME`。",
);

/// A refusal that is not believed the first time (see [`TokenError::Unreachable`]).
pub fn is_doubtful(verdict: Verdict) -> bool {
    verdict.action == Action::Cool15ThenPause
}

/// A doubtful refusal that came twice.
pub fn confirmed(verdict: Verdict) -> Verdict {
    if is_doubtful(verdict) { Verdict { action: Action::Pause, alert: true, ..verdict } } else { verdict }
}

/// What the service's refusal means. `error` and `description` are those of its JSON.
pub fn of_answer(catalogue: &Catalogue, status: u16, error: &str, description: &str) -> (Verdict, String) {
    let line = line_of(error, description);
    // What is shown is without secrets; what is understood is as it came.
    let verdict = catalogue.classify(Group::Oauth, Phase::Auth, status, &line);
    (verdict, redact(&line).chars().filter(|c| !c.is_control()).take(WORDS).collect())
}

/// One line of the service's words, without its trace numbers.
fn line_of(error: &str, description: &str) -> String {
    let description = description.split(" Trace ID:").next().unwrap_or("");
    reply_text([format!("{error} {description}").trim().as_bytes()])
}

/// What a refused log-in with a token means: the rows for tokens go before those of the provider, which speak of passwords.
pub fn of_log_in(catalogue: &Catalogue, provider: Group, code: u16, text: &str) -> Verdict {
    let verdict = catalogue.classify(Group::Oauth, Phase::Auth, code, text);
    let own = verdict.cause.starts_with("OA-");
    if own { verdict } else { catalogue.classify(provider, Phase::Auth, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(status: u16, error: &str, description: &str) -> (Action, &'static str) {
        let (verdict, _) = of_answer(&Catalogue::built_in(), status, error, description);
        (verdict.action, verdict.cause)
    }

    #[test]
    fn the_numbers_of_entra_decide_and_not_the_word() {
        for (number, cause) in [
            ("AADSTS70043", "OA-G3"),
            ("AADSTS700082", "OA-G1"),
            ("AADSTS70008", "OA-G1"),
            ("AADSTS50173", "OA-G2"),
            ("AADSTS50076", "OA-G4"),
            ("AADSTS50079", "OA-G4"),
            ("AADSTS65001", "OA-G6"),
            ("AADSTS7000215", "OA-G8"),
            ("AADSTS7000222", "OA-G7"),
            ("AADSTS700016", "OA-G10"),
            ("AADSTS53003", "OA-G5"),
            ("AADSTS90002", "OA-G11"),
            ("AADSTS50020", "OA-G13"),
        ] {
            for error in ["invalid_grant", "invalid_client", "interaction_required"] {
                let said = format!("{number}: Something. Trace ID: 1 Correlation ID: 2 Timestamp: 3");
                assert_eq!(action(400, error, &said), (Action::Pause, cause), "{error} {number}");
            }
        }
        for number in ["AADSTS90033", "AADSTS50196"] {
            assert_eq!(action(400, "invalid_grant", &format!("{number}: x")).0, Action::RetrySoon);
        }
        assert_eq!(action(400, "invalid_grant", "AADSTS9999999: new").0, Action::Cool15ThenPause);
    }

    #[test]
    fn the_words_of_google_have_their_remedies() {
        assert_eq!(action(400, "invalid_grant", "Token has been expired or revoked."), (Action::Pause, "OA-G15"));
        assert_eq!(action(400, "invalid_grant", "Bad Request"), (Action::Cool15ThenPause, "OA-G22"));
        assert_eq!(action(401, "invalid_client", "Unauthorized"), (Action::Pause, "OA-G21"));
        assert_eq!(action(400, "invalid_scope", "Invalid device flow scope: https://mail.google.com/").1, "OA-G12");
    }

    #[test]
    fn a_refused_log_in_is_one_of_tenant_mailbox_or_token() {
        let cause = |group, code, text: &str| of_log_in(&Catalogue::built_in(), group, code, text).cause;
        let off = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the";
        assert_eq!(cause(Group::Microsoft, 535, &format!("{off} Tenant. Visit x")), "OA-S1");
        assert_eq!(cause(Group::Microsoft, 535, &format!("{off} Mailbox. Visit x")), "OA-S2");
        assert_eq!(cause(Group::Microsoft, 535, "5.7.3 Authentication unsuccessful [X]"), "OA-S6");
        assert_eq!(cause(Group::Gmail, 535, "5.7.8 Username and Password not accepted."), "OA-S7");
        assert_eq!(cause(Group::Microsoft, 501, "5.5.127 Invalid XOAUTH2 auth data - Token will expire soon"), "OA-S4");
        assert_eq!(cause(Group::Generic, 535, "5.7.8 Error: authentication failed: "), "OA-S8");
        assert_eq!(cause(Group::Microsoft, 432, "4.3.2 Concurrent connections limit exceeded."), "MS-C1");
    }

    #[test]
    fn what_is_shown_is_one_short_line_without_trace_numbers() {
        let words = |error: &str, description: &str| of_answer(&Catalogue::built_in(), 400, error, description).1;
        let said = words("invalid_grant", "AADSTS50173: It is over.\r\n Trace ID: abc Correlation ID: d");
        assert_eq!(said, "invalid_grant AADSTS50173: It is over.");
        assert!(words("x", &"y".repeat(9999)).len() <= WORDS);
    }
}
