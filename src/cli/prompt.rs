//! Asking for a secret on a terminal, without showing it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::screen::Lang;
use crate::secret::{Secret, SecretSource};
use crate::telemetry::log;

/// Whether there is a person to ask.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; the answer is not echoed.
///
/// # Errors
/// What the terminal says; an empty answer.
pub(super) fn secret(question: &str) -> anyhow::Result<Secret> {
    let stdin = std::io::stdin();
    log::flush();
    write!(std::io::stderr(), "{question}")?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    writeln!(std::io::stderr())?;
    read?;
    let secret = Secret::new(&line);
    anyhow::ensure!(!secret.expose().is_empty(), "no secret was typed");
    Ok(secret)
}

/// Asks for the secret of the mailbox `user`.
///
/// # Errors
/// As [`secret`].
pub(super) fn secret_of(user: &str, lang: Lang) -> anyhow::Result<SecretSource> {
    let question = match lang {
        Lang::En => format!("Authorization code or password of {user}: "),
        Lang::Zh => format!("{user} 的授权码或密码："),
    };
    Ok(SecretSource::Plain(secret(&question)?))
}

/// Asks a question that is answered with yes or no; anything but a yes is a no.
///
/// # Errors
/// What the terminal says.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    write!(std::io::stderr(), "{question} [y/N] ")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes" | "是"))
}
