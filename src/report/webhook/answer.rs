//! What the other side answered: accepted, or why not.
//!
//! A program answers with the status (RFC 9110 section 15). The chat vendors answer 200 in any case and put a code into the
//! body: WeCom and DingTalk `errcode`, Feishu `code` (and `StatusCode` before it); 0 is well, anything else is not. Slack
//! uses the status. Invariant: what is shown of an answer is one short line without the token.

use serde_json::Value;

use crate::message::notice;

use super::form::Format;
use super::retry::Fault;
use super::target::Target;

/// How much of an answer is shown, in characters.
const MAX_WORDS: usize = 200;

/// The codes that mean "too many, too fast" or "our fault", so that the same alarm may be taken later: WeCom 45009,
/// DingTalk 130101 (twenty a minute), Feishu 11232 (hundred a minute) and 2200 (internal), and busy (-1) of the first two.
const PASSING: &[i64] = &[-1, 45009, 130_101, 11_232, 2200];

/// It answered, and did not take the alarm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The status is not one of success. Redirects are among them: they are not followed.
    #[error("status {status}{}", colon(said))]
    Status {
        /// The status (RFC 9110 section 15).
        status: u16,
        /// The start of the answer.
        said: String,
    },
    /// The status is 200, the code in the body is not 0.
    #[error("error code {code}{}", colon(said))]
    Code {
        /// The vendor's code.
        code: i64,
        /// The vendor's words.
        said: String,
    },
    /// The status is 200, and the body is none of this vendor: a log-in page of a guest network, another format.
    #[error("the answer is not one of {}{}", format.name(), colon(said))]
    Strange {
        /// Whose answer was expected.
        format: Format,
        /// The start of the answer.
        said: String,
    },
}

fn colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl Refusal {
    /// Whether trying again later may help.
    pub fn fault(&self) -> Fault {
        match self {
            // RFC 9110 section 15.5.9 and RFC 6585 section 4: the two of the 4xx that pass.
            Refusal::Status { status: 408 | 429 | 500..=599, .. } => Fault::Passing,
            Refusal::Status { .. } => Fault::Lasting,
            Refusal::Code { code, .. } if PASSING.contains(code) => Fault::Passing,
            Refusal::Code { .. } => Fault::Lasting,
            Refusal::Strange { .. } => Fault::Passing,
        }
    }
}

/// Reads an answer. `body` may have been cut.
///
/// # Errors
/// [`Refusal`]: the alarm was not taken.
pub(super) fn read(format: Format, status: u16, body: &[u8], target: &Target) -> Result<(), Refusal> {
    let said = |text: &str| notice::one_line(&target.redact(text), MAX_WORDS);
    let whole = String::from_utf8_lossy(body);
    if !(200..300).contains(&status) {
        return Err(Refusal::Status { status, said: said(&whole) });
    }
    let (codes, words) = match format {
        // Any status of success will do; Slack itself answers `ok` and nothing else.
        Format::Json | Format::Slack => return Ok(()),
        Format::Wecom | Format::Dingtalk => (["errcode", "errcode"], "errmsg"),
        Format::Feishu => (["code", "StatusCode"], "msg"),
    };
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    match codes.iter().find_map(|code| value.get(code)?.as_i64()) {
        Some(0) => Ok(()),
        Some(code) => {
            let text = value.get(words).and_then(Value::as_str).unwrap_or("");
            Err(Refusal::Code { code, said: said(text) })
        }
        None => Err(Refusal::Strange { format, said: said(&whole) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target::parse("https://qyapi.example.com/cgi-bin/webhook/send?key=73febdcb-1b38").unwrap()
    }

    #[test]
    fn answers_are_read_as_their_vendors_mean_them() {
        let ok = |format, status, body: &str| read(format, status, body.as_bytes(), &target()).is_ok();
        assert!(ok(Format::Json, 204, ""));
        assert!(ok(Format::Slack, 200, "ok"));
        assert!(ok(Format::Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#));
        assert!(ok(
            Format::Feishu,
            200,
            r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#
        ));
        assert!(ok(Format::Feishu, 200, r#"{"StatusCode":0,"StatusMessage":"success"}"#));
        for (format, status, body, passing) in [
            (Format::Json, 302, "", false),
            (Format::Json, 404, "", false),
            (Format::Json, 408, "", true),
            (Format::Slack, 403, "invalid_token", false),
            (Format::Slack, 429, "", true),
            (Format::Slack, 500, "rollup_error", true),
            (Format::Wecom, 200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, false),
            (Format::Wecom, 200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, true),
            (Format::Dingtalk, 200, r#"{"errcode":310000,"errmsg":"keywords not in content"}"#, false),
            (Format::Dingtalk, 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, true),
            (Format::Feishu, 200, r#"{"code":19024,"msg":"Key Words Not Found"}"#, false),
            (Format::Feishu, 200, r#"{"code":11232,"msg":"frequency limited"}"#, true),
            (Format::Feishu, 200, r#"{"code":9499,"msg":"Bad Request","StatusCode":0}"#, false),
            (Format::Wecom, 200, "<html>please log in</html>", true),
            (Format::Wecom, 200, "", true),
            (Format::Dingtalk, 200, "[1]", true),
            (Format::Dingtalk, 200, r#"{"errcode":"0"}"#, true),
        ] {
            let refusal = read(format, status, body.as_bytes(), &target()).unwrap_err();
            assert_eq!(refusal.fault() == Fault::Passing, passing, "{body}");
        }
    }

    #[test]
    fn an_answer_shows_one_short_line_and_no_token() {
        let body =
            format!("no hook\r\n\u{1b}[2J /cgi-bin/webhook/send?key=73febdcb-1b38 73febdcb-1b38 {}", "x".repeat(9999));
        let text = read(Format::Json, 404, body.as_bytes(), &target()).unwrap_err().to_string();
        assert!(text.starts_with("status 404: no hook [2J [secret] [secret] xxx"), "{text}");
        assert!(text.chars().count() < 250 && !text.contains(char::is_control), "{text}");
    }

    #[test]
    fn a_token_is_found_in_every_form_in_which_it_may_come_back() {
        let target = Target::parse("https://hooks.example.com/in%2Dgroup/x?key=73feb%2Bdcb%2F1b38%3D").unwrap();
        for echo in [
            "73feb%2Bdcb%2F1b38%3D",
            "73feb%2bdcb%2f1b38%3d",
            "73feb+dcb/1b38=",
            "73feb+dcb\\/1b38=",
            "73FEB+DCB/1B38=",
            "NzNmZWIrZGNiLzFiMzg9",
            "37336665622b6463622f316233383d",
            "/in-group/x?key=73feb+dcb/1b38=",
            "%2Fin-group%2Fx%3Fkey%3D73feb%2Bdcb%2F1b38%3D",
        ] {
            let text = read(Format::Json, 404, format!("no room {echo}, sorry").as_bytes(), &target).unwrap_err();
            assert_eq!(text.to_string(), "status 404: no room [secret], sorry", "{echo}");
        }
    }
}
