//! `yizhan check`: the effective settings, each with where it comes from, or every mistake at once.

use std::process::ExitCode;

use super::run::SettingsArguments;
use super::screen;

pub(super) fn run(arguments: SettingsArguments) -> ExitCode {
    let loaded = match arguments.load(false) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        screen::complain(&format!("warning: {warning}"));
    }
    screen::print(&loaded.effective());
    ExitCode::SUCCESS
}
