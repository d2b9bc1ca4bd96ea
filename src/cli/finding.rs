//! What a check found: how it ended, what was seen, why that is not good, and what to do; in both languages.

pub(super) use crate::language::{Words, words};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Mail goes, but somebody should look.
    Warn,
    /// Mail does not go, or not for long.
    Fail,
    /// Not tried, or there was nothing to try.
    Skip,
}

impl State {
    /// The word in `--json` and in English.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
            State::Skip => "skip",
        }
    }

    /// The word in Chinese; all four are as wide as each other.
    pub(super) fn name_zh(self) -> &'static str {
        match self {
            State::Ok => "正常",
            State::Warn => "注意",
            State::Fail => "故障",
            State::Skip => "跳过",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which check; one of a fixed list of words (docs/operations.md has it).
    pub(super) check: &'static str,
    /// The account it is about; none for the machine.
    pub(super) account: Option<String>,
    /// How it ended.
    pub(super) state: State,
    /// What was seen.
    pub(super) what: Words,
    /// Why it is not good.
    pub(super) cause: Option<Words>,
    /// What to do.
    pub(super) remedy: Option<Words>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: Words) -> Finding {
        Finding { check, account: None, state: State::Ok, what, cause: None, remedy: None }
    }

    pub(super) fn skip(check: &'static str, what: Words) -> Finding {
        Finding { state: State::Skip, ..Finding::ok(check, what) }
    }

    pub(super) fn warn(check: &'static str, what: Words, cause: Words, remedy: Words) -> Finding {
        Finding { state: State::Warn, cause: Some(cause), remedy: Some(remedy), ..Finding::ok(check, what) }
    }

    pub(super) fn fail(check: &'static str, what: Words, cause: Words, remedy: Words) -> Finding {
        Finding { state: State::Fail, ..Finding::warn(check, what, cause, remedy) }
    }

    /// The same, about an account.
    pub(super) fn about(mut self, account: &str) -> Finding {
        self.account = Some(account.to_owned());
        self
    }
}

/// Whether all is well: nothing warned, nothing failed. What was skipped is no fault.
pub(super) fn all_good(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| matches!(finding.state, State::Ok | State::Skip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_and_skip_are_good() {
        let text = || words("a", "b");
        let (ok, skip) = (Finding::ok("x", text()), Finding::skip("x", text()));
        assert!(all_good(&[ok.clone(), skip]));
        assert!(!all_good(&[ok.clone(), Finding::warn("x", text(), text(), text())]));
        assert!(!all_good(&[Finding::fail("x", text(), text(), text()), ok]));
    }
}
