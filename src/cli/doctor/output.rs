//! Findings for people, a line each as they come, and for programs, as JSON at the end.
//!
//! A finding that is not good has two more lines, why and what to do. Not here: what was found. Invariant: text from
//! outside (replies, file names) cannot do anything to a terminal.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::finding::{Finding, State, all_good};
use crate::cli::screen::{self, Ink, Lang, Paint, harmless};

/// Outputs findings, and remembers them.
#[derive(Debug)]
pub(in crate::cli) struct Output {
    json: bool,
    lang: Lang,
    paint: Paint,
    findings: Vec<Finding>,
}

impl Output {
    pub(in crate::cli) fn new(json: bool, lang: Lang) -> Output {
        Output { json, lang, paint: Paint::new(), findings: Vec::new() }
    }

    pub(super) fn lang(&self) -> Lang {
        self.lang
    }

    /// Takes a finding, and shows it at once to a person.
    pub(in crate::cli) fn show(&mut self, finding: Finding) {
        if !self.json {
            text(&finding, self.lang, self.paint).iter().for_each(|line| screen::say(line));
        }
        self.findings.push(finding);
    }

    /// As [`Output::end`], for a trial: what works in spite of a warning is a success.
    #[cfg(feature = "oauth")]
    pub(in crate::cli) fn end_trial(self) -> anyhow::Result<ExitCode> {
        let works = self.findings.iter().all(|finding| finding.state != State::Fail);
        self.end()?;
        Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The sum of it all, and the exit code.
    pub(in crate::cli) fn end(self) -> anyhow::Result<ExitCode> {
        let good = all_good(&self.findings);
        if self.json {
            screen::say_json(&to_json(&self.findings, self.lang))?;
        } else {
            screen::say(&sum(&self.findings, self.lang));
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The lines of one finding.
fn text(finding: &Finding, lang: Lang, paint: Paint) -> Vec<String> {
    let word = match lang {
        Lang::En => format!("{:<4}", finding.state.name()),
        Lang::Zh => finding.state.name_zh().to_owned(),
    };
    let ink = match finding.state {
        State::Ok => Ink::Good,
        State::Warn => Ink::Title,
        State::Fail => Ink::Bad,
        State::Skip => Ink::Quiet,
    };
    let of = match &finding.account {
        Some(account) => format!("{}/{}", harmless(account), finding.check),
        None => finding.check.to_owned(),
    };
    let mut lines = vec![format!("{}  {of:<20}  {}", paint.ink(ink, &word), harmless(finding.what.pick(lang)))];
    for (label, words) in [(lang.pick("why", "原因"), &finding.cause), (lang.pick("fix", "办法"), &finding.remedy)]
    {
        let Some(words) = words else { continue };
        let indented = harmless(words.pick(lang)).trim_end().replace('\n', "\n           ");
        lines.push(format!("      {label}: {indented}"));
    }
    lines
}

/// The last line: how many of each.
fn sum(findings: &[Finding], lang: Lang) -> String {
    let count = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    let (ok, warn, fail, skip) = (count(State::Ok), count(State::Warn), count(State::Fail), count(State::Skip));
    match (lang, warn + fail) {
        (Lang::En, 0) => format!("\nAll good: {ok} ok, {skip} skipped."),
        (Lang::En, _) => format!("\n{fail} failed, {warn} warned; {ok} ok, {skip} skipped."),
        (Lang::Zh, 0) => format!("\n一切正常：{ok} 项正常，{skip} 项跳过。"),
        (Lang::Zh, _) => format!("\n{fail} 项故障，{warn} 项注意；{ok} 项正常，{skip} 项跳过。"),
    }
}

/// `{"good": .., "findings": [{"check", "account", "state", "what", "cause", "remedy"}]}`; what is not there is null.
fn to_json(findings: &[Finding], lang: Lang) -> serde_json::Value {
    let one = |finding: &Finding| {
        json!({
            "check": finding.check,
            "account": finding.account,
            "state": finding.state.name(),
            "what": finding.what.pick(lang),
            "cause": finding.cause.as_ref().map(|words| words.pick(lang)),
            "remedy": finding.remedy.as_ref().map(|words| words.pick(lang)),
        })
    };
    json!({ "good": all_good(findings), "findings": findings.iter().map(one).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::finding::words;

    fn plain() -> Paint {
        // Tests have no terminal.
        Paint::new()
    }

    fn failure() -> Finding {
        let finding =
            Finding::fail("tls", words("no TLS", "没有 TLS"), words("why\u{1b}[2J", "因"), words("this\nthat", "这样"));
        finding.about("office")
    }

    #[test]
    fn a_failure_has_three_lines_and_harms_no_terminal() {
        let lines = text(&failure(), Lang::En, plain());
        assert_eq!(
            lines,
            ["fail  office/tls            no TLS", "      why: why\\u{1b}[2J", "      fix: this\n           that"]
        );
        assert_eq!(text(&failure(), Lang::Zh, plain())[1], "      原因: 因");
        let good = Finding::ok("disk", words("room", "空间充足"));
        assert_eq!(text(&good, Lang::Zh, plain()), ["正常  disk                  空间充足"]);
    }

    #[test]
    fn the_json_form_is_fixed() {
        let value = to_json(&[failure()], Lang::Zh);
        assert_eq!(
            value,
            json!({ "good": false, "findings": [{
                "check": "tls", "account": "office", "state": "fail", "what": "没有 TLS", "cause": "因", "remedy": "这样"
            }]})
        );
        assert_eq!(to_json(&[], Lang::En), json!({ "good": true, "findings": [] }));
    }

    #[test]
    fn the_sum_counts() {
        assert_eq!(sum(&[failure()], Lang::En), "\n1 failed, 0 warned; 0 ok, 0 skipped.");
        assert_eq!(sum(&[Finding::ok("x", words("", ""))], Lang::Zh), "\n一切正常：1 项正常，0 项跳过。");
    }
}
