//! Settings: what the file, the environment and the command line say, and what it means.
//!
//! ```text
//!  keys         the one table: every key, its kind, its default, its comment (key); the reference file (reference)
//!     |
//!  file ------+                  taken apart, with the line of every key
//!  environment+--> layer merge -> values  each read by its kind (value) -> check   all values -> Settings
//!  defaults --+                                             listener, user, account, client, route, notice, admin
//!                                                                              |
//!                                                                           loaded   what is in force, as text
//! ```
//!
//! Not here: reading an account's secret, opening a socket, asking a name server. No module below knows this one. Every
//! mistake that can be found is reported at once, with key, value, place, reason and remedy.
//!
//! Invariant: no secret is in any message, warning or listing that comes from here.

mod account;
mod admin;
mod check;
mod client;
mod display;
mod environment;
mod file;
mod key;
mod keys;
mod layer;
mod listener;
mod loaded;
mod notice;
mod oauth;
mod own_listener;
mod problem;
mod reference;
mod route;
mod secret_place;
mod settings;
mod sources;
mod suggest;
mod user;
mod value;
mod values;
mod written;

use std::path::PathBuf;

pub use environment::Overrides;
pub use file::FileSource;
pub use loaded::Loaded;
pub use problem::{Problem, Problems};
pub use reference::reference;
pub use settings::{Account, Notice, QueueSettings, Settings};
pub use sources::Sources;

use layer::{Layer, Names};

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
    check::check(&sources, &above, &Names::of(&above), problems)
        .map(|loaded| Loaded { file: fetched.map(|(name, _)| name), ..loaded })
}
