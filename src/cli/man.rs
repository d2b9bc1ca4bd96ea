//! `yizhan man`: prints a manual page for `man -l -`. The pages are in `deploy/man`, for packages too.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::screen;

/// The arguments of `yizhan man`.
#[derive(Args)]
pub(super) struct Arguments {
    /// yizhan: the commands; yizhan.toml: the settings
    #[arg(default_value = "yizhan")]
    page: Page,
}

/// A page of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Page {
    Yizhan,
    #[value(name = "yizhan.toml")]
    Settings,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    screen::print(match arguments.page {
        Page::Yizhan => COMMANDS,
        Page::Settings => SETTINGS,
    });
    ExitCode::SUCCESS
}

const COMMANDS: &str = include_str!("../../deploy/man/yizhan.1");
const SETTINGS: &str = include_str!("../../deploy/man/yizhan.toml.5");

#[cfg(test)]
pub(super) mod tests;
