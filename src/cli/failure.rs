//! An error that ends a command with its own text and exit code. Every other error ends it with `yizhan: TEXT` and 1.

/// Exit code: there is no such message or client.
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
