//! `yizhan check`: the effective settings, each with where it comes from, or every mistake at once.

use std::process::ExitCode;

use crate::config;

use super::run::SettingsArguments;
use super::{BAD_SETTINGS, screen};

pub(super) fn run(arguments: SettingsArguments) -> anyhow::Result<ExitCode> {
    match config::load(config::Sources::of_process(arguments.into_overrides(), false)) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                screen::complain(&format!("warning: {warning}"));
            }
            screen::print(&loaded.effective());
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            screen::complain(&problems.to_string());
            Ok(ExitCode::from(BAD_SETTINGS))
        }
    }
}
