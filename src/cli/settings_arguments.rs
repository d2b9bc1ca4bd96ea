//! The settings that the command line takes, for every command that reads the settings file.

use std::path::PathBuf;

use clap::Args;

use super::failure::CommandFailure;
use crate::config;

/// Settings on the command line. A secret is never one of them: `ps` would show it.
#[derive(Args, Default)]
pub(super) struct SettingsArguments {
    /// The settings file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Preset of the account `main`, e.g. qq, exmail, 163, gmail
    #[arg(long, global = true, value_name = "NAME")]
    provider: Option<String>,
    /// Log-in name of the account `main`, e.g. 10000@qq.com
    #[arg(long, global = true, value_name = "ADDRESS")]
    user: Option<String>,
    /// Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Client network that may send, e.g. 192.168.1.0/24 (may be repeated)
    #[arg(long, global = true, value_name = "NETWORK")]
    allow: Vec<String>,
    /// Where the queue is kept
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl SettingsArguments {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// All mistakes in them. `can_ask`: a missing secret is no mistake.
    pub(super) fn load(self, can_ask: bool) -> Result<config::Loaded, CommandFailure> {
        self.read(can_ask).map_err(CommandFailure::bad_settings)
    }

    /// As [`SettingsArguments::load`], for a caller that shows the mistakes in its own way.
    pub(super) fn read(self, can_ask: bool) -> Result<config::Loaded, config::Problems> {
        config::load(config::Sources::of_process(self.into_overrides(), can_ask))
    }

    /// The data folder that the command line or the environment names, without a look at the settings file.
    pub(super) fn named_data_dir(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os("YIZHAN_DATA_DIR").filter(|dir| !dir.is_empty());
        self.data_dir.clone().or_else(|| variable().map(PathBuf::from))
    }

    fn into_overrides(self) -> config::Overrides {
        config::Overrides {
            config: self.config,
            provider: self.provider,
            user: self.user,
            listen: self.listen,
            allow: self.allow,
            data_dir: self.data_dir,
        }
    }
}
