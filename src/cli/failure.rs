//! An error that ends a command with its own text and exit code. Every other error ends it with `yizhan: TEXT` and 1.

use std::process::ExitCode;

use super::screen::{self, Lang};
use crate::admin::{AdminError, AdminReply};

/// Exit code: there is no such message or client, or the command line was not understood.
pub(super) const NOT_FOUND: u8 = 2;

/// A reported failure of a command.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct CommandFailure {
    pub(super) code: u8,
    text: String,
}

impl CommandFailure {
    /// The operation failed.
    pub(super) fn general(text: impl ToString) -> CommandFailure {
        CommandFailure { code: 1, text: text.to_string() }
    }

    /// What was named does not exist.
    pub(super) fn not_found(text: impl ToString) -> CommandFailure {
        CommandFailure { code: NOT_FOUND, text: text.to_string() }
    }

    /// The settings are wrong (`EX_CONFIG` of sysexits.h).
    pub(super) fn bad_settings(text: impl ToString) -> CommandFailure {
        CommandFailure { code: 78, text: text.to_string() }
    }
}

/// Prints the refusal of a command, as JSON on standard output or as a sentence on standard error; returns the exit code.
///
/// # Errors
/// The refusal has no JSON form; none is known.
pub(super) fn refuse(error: &AdminError, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    match json {
        true => screen::say_json(&AdminReply::from(error.clone()).in_language(lang)?)?,
        false => screen::complain(&screen::one_line(error.sentence().pick(lang))),
    }
    Ok(ExitCode::from(if error.code.is_about_the_command() { NOT_FOUND } else { 1 }))
}

/// Ends a command whose answer is not the one that it asked for: a refusal, or the answer to another command.
///
/// # Errors
/// The second.
pub(super) fn end(reply: &AdminReply, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    if let AdminReply::Refused { error } = reply { refuse(error, json, lang) } else { Err(another_answer(lang)) }
}

/// The error for an answer that belongs to another command.
pub(super) fn another_answer(lang: Lang) -> anyhow::Error {
    let text = lang.pick(
        "the relay gave the answer to another command; restart it, so that it has the version of this program",
        "中继的回答与请求不符；请重启中继，使其版本与本程序一致",
    );
    CommandFailure::general(text).into()
}
