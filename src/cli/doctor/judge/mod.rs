//! From facts to findings: what was seen, whether that is good, why, and what to do. Pure; `probe` gathers the facts.
//!
//! ```text
//!  machine      data folder, disk, ports, clients, clock
//!  tables       what /proc says about ports
//!  secret       does it look like a code at all?
//!  way          name, TCP, TLS
//!  certificate  the dates in a certificate (a DER walk)
//!  dialogue     EHLO, log-in, sender
//!  records      SPF, DKIM, DMARC;  question: the DNS messages for them
//! ```
//!
//! Invariants: every finding that is not good says why and what to do, in both languages; no secret reaches this module.

pub(crate) mod certificate;
pub(crate) mod dialogue;
pub(crate) mod machine;
pub(crate) mod question;
pub(crate) mod records;
pub(crate) mod secret;
pub(crate) mod tables;
pub(crate) mod way;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
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
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
            State::Skip => "skip",
        }
    }

    /// The word in Chinese; all four are as wide as each other.
    pub(crate) fn name_zh(self) -> &'static str {
        match self {
            State::Ok => "正常",
            State::Warn => "注意",
            State::Fail => "故障",
            State::Skip => "跳过",
        }
    }
}

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// English.
    pub(crate) en: String,
    /// Chinese.
    pub(crate) zh: String,
}

/// Both languages of one text.
pub(crate) fn words(en: impl Into<String>, zh: impl Into<String>) -> Words {
    Words { en: en.into(), zh: zh.into() }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which check; one of a fixed list of words (docs/operations.md has it).
    pub(crate) check: &'static str,
    /// The account it is about; none for the machine.
    pub(crate) account: Option<String>,
    /// How it ended.
    pub(crate) state: State,
    /// What was seen.
    pub(crate) what: Words,
    /// Why it is not good.
    pub(crate) cause: Option<Words>,
    /// What to do.
    pub(crate) remedy: Option<Words>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, what: Words) -> Finding {
        Finding { check, account: None, state: State::Ok, what, cause: None, remedy: None }
    }

    pub(crate) fn skip(check: &'static str, what: Words) -> Finding {
        Finding { state: State::Skip, ..Finding::ok(check, what) }
    }

    pub(crate) fn warn(check: &'static str, what: Words, cause: Words, remedy: Words) -> Finding {
        Finding { state: State::Warn, cause: Some(cause), remedy: Some(remedy), ..Finding::ok(check, what) }
    }

    pub(crate) fn fail(check: &'static str, what: Words, cause: Words, remedy: Words) -> Finding {
        Finding { state: State::Fail, ..Finding::warn(check, what, cause, remedy) }
    }

    /// The same, about an account.
    pub(crate) fn about(mut self, account: &str) -> Finding {
        self.account = Some(account.to_owned());
        self
    }
}

/// Whether all is well: nothing warned, nothing failed. What was skipped is no fault.
pub(crate) fn all_good(findings: &[Finding]) -> bool {
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
