//! Settings: what the file, the environment and the command line say, and what it means.
//!
//! ```text
//!  keys         the one table: every key, its kind, its default, its comment
//!     |
//!  file ------+                    taken apart, with the line of every key
//!  environment+--> layer  merge -> value  one value -> check   all values -> Settings
//!  defaults --+                                        account, client, door, user, route, notice
//!                                                         |
//!                                                       show   what is in force, and the reference file
//! ```
//!
//! Not here: reading an account's secret, opening a socket, asking a name server. No module knows this one; `app` hands each its
//! part. Every mistake that can be found is reported at once, with key, value, place, reason and remedy.
//!
//! Invariant: no secret is in any message, warning or listing that comes from here.

mod account;
mod check;
mod client;
mod door;
mod environment;
mod file;
mod keys;
mod layer;
mod notice;
mod own_door;
mod problem;
mod route;
mod secret_place;
mod settings;
mod show;
mod suggest;
mod user;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use environment::Overrides;
pub use file::FileSource;
pub use problem::{Problem, Problems};
pub use settings::{
    Account, Auth, Budget, Client, Flow, Limits, Listener, ListenerTls, Log, LogFormat, LogLevel, Notice, NoticeTo,
    Profile, QueueSettings, Rate, RepairLevel, Reply, Route, Settings, User, WebhookFormat,
};
pub use show::reference;

use check::Names;
use layer::Layer;

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

/// Settings without a mistake, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What everything means.
    pub settings: Settings,
    /// What is allowed but unwise, one sentence each.
    pub warnings: Vec<String>,
    /// For each dotted key where its value was written: `yizhan.toml:5`, `$YIZHAN_USER`, `--user` or `default`.
    pub origins: BTreeMap<String, String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Each dotted key with its value as TOML, secrets hidden.
    shown: BTreeMap<String, String>,
}

impl Loaded {
    /// The settings in force as TOML, each with its origin, secrets hidden.
    pub fn effective(&self) -> String {
        show::effective(self)
    }
}

/// Reads everything, checks everything.
///
/// # Errors
/// [`Problems`] holds every mistake there is, in the order of the file, then by name.
pub fn load(sources: Sources) -> Result<Loaded, Problems> {
    let env = &sources.env;
    let mut problems = Vec::new();
    let variable = environment::variable(env, "YIZHAN_CONFIG").map(|path| (PathBuf::from(path), "$YIZHAN_CONFIG"));
    let named = sources.overrides.config.clone().map(|path| (path, "--config")).or(variable);
    let fetched = file::fetch(named, &sources.file).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let written = match &fetched {
        Some((name, text)) => file::parse(name, text, &mut problems),
        None => Layer::default(),
    };
    let long = environment::long(env, &mut problems);
    let known: Vec<&str> = Layer::names(&[&written, &long], "listener").into_iter().map(|(name, _)| name).collect();
    let short = environment::short(env, &known, &mut problems);
    let arguments = environment::arguments(&sources.overrides, &known, &mut problems);
    // A file that could not be taken apart would be blamed for everything it seems not to say.
    if problems.iter().any(|problem| problem.key.is_empty()) {
        return Err(Problems::sorted(problems));
    }

    let above = [&written, &short, &long, &arguments];
    let mut names = Names {
        listeners: Layer::names(&above, "listener"),
        users: Layer::names(&above, "user"),
        accounts: Layer::names(&above, "account"),
        clients: Layer::names(&above, "client"),
        routes: Layer::rows(&above, "route"),
        replies: Layer::rows(&above, "reply"),
    };
    if names.listeners.is_empty() {
        names.listeners.push(("local", "default"));
    }
    check::check(&sources, &above, &names, problems).map(|checked| Loaded {
        settings: checked.settings,
        warnings: checked.warnings,
        origins: checked.origins,
        file: fetched.map(|(name, _)| name),
        shown: checked.shown,
    })
}
