//! `yizhan hash-password`: from a password to the line for `[user.NAME]`.
//!
//! The password comes from a terminal, twice, or as one line of standard input. It is never an argument (`ps` would show
//! it), and what is printed tells nothing about it. The salt is chance of the cryptography that TLS uses.

use std::io::{BufRead as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::secret::Secret;
use crate::secret::password::{SALT, hash, is_hash};

use super::prompt;
use super::screen::{self, Lang};

/// Octets of the longest password that is read.
const LONGEST: u64 = 4096;

pub(super) fn run(lang: Lang) -> anyhow::Result<ExitCode> {
    let password = if prompt::can_ask() { ask(lang)? } else { read()? };
    ensure!(!is_hash(&password), "this begins like a hash already; write it into the settings as it is");
    let mut salt = [0; SALT];
    crate::net::tls::provider().secure_random.fill(&mut salt).ok().context("the system has no randomness to give")?;
    screen::print(&format!("{}\n", hash(&password, &salt)));
    Ok(ExitCode::SUCCESS)
}

fn ask(lang: Lang) -> anyhow::Result<Secret> {
    let (first, again, differ) = match lang {
        Lang::En => ("Password: ", "Once more: ", "the two are not the same"),
        Lang::Zh => ("密码：", "再输入一次：", "两次输入不一致"),
    };
    let password = prompt::secret(first)?;
    ensure!(password == prompt::secret(again)?, "{differ}");
    Ok(password)
}

fn read() -> anyhow::Result<Secret> {
    let mut line = String::new();
    std::io::stdin().lock().take(LONGEST).read_line(&mut line).context("the password cannot be read")?;
    let password = Secret::new(&line);
    ensure!(!password.expose().is_empty(), "standard input holds no password");
    Ok(password)
}
