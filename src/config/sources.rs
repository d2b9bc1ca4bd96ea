//! Where settings come from: the file, the environment, the command line, the machine.

use std::collections::BTreeMap;
use std::fmt;

use super::environment::Overrides;
use super::file::FileSource;

/// Everything that settings can come from. A test fills it by hand.
#[derive(Clone)]
pub struct Sources {
    /// Where the file is looked for when neither `--config` nor `$YIZHAN_CONFIG` names one.
    pub file: FileSource,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The command line.
    pub overrides: Overrides,
    /// The machine's name, the default of `hostname`.
    pub machine: String,
    /// Whether the caller can ask for a secret that is missing. If so, a missing secret is no mistake.
    pub can_ask: bool,
}

/// Shows the names of the variables only: the environment holds secrets, ours and other people's.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &self.env.keys())
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// The sources of this process. Variables that are not UTF-8 are left out.
    pub fn of_process(overrides: Overrides, can_ask: bool) -> Sources {
        let text = |(name, text): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, text.into_string().ok()?))
        };
        Sources {
            file: FileSource::usual(),
            env: std::env::vars_os().filter_map(text).collect(),
            overrides,
            machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            can_ask,
        }
    }
}
