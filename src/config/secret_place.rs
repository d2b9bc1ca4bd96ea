//! Places outside the settings that they name: files and variables with a secret, files with an authority to trust.
//!
//! Looked at, so that a slip is told now and not at the first log-in or alarm. Not here: what is in an account's secret.
//!
//! Invariant: neither a secret nor a path that may be one by mistake is in any text from here.

use std::path::PathBuf;

use super::check::{Check, get};
use super::environment::variable;
use super::value::Meaning;
use crate::regular_file;
use crate::secret::SecretSource;

/// Whether the secret of the key `path` is where it should be; `None` after a mistake was noted.
pub(super) fn look(check: &mut Check<'_>, path: &str, source: &SecretSource) -> Option<()> {
    let origin = check.origins.get(path).cloned().unwrap_or_default();
    match source {
        SecretSource::File(file) => {
            // Only a warning: it is read when it is needed, and may be put there later. The path is not quoted, because
            // some people write the code itself where the path should be.
            if let Err(e) = regular_file::open(file) {
                check.warnings.push(format!("{path} ({origin}): the file cannot be read now: {e}"));
                if !file.as_os_str().as_encoded_bytes().contains(&b'/') {
                    check.shown.insert(path.to_owned(), "\"[secret]\"".to_owned());
                }
            }
        }
        SecretSource::Env(name) => {
            if variable(&check.sources.env, name).is_none() {
                let reason = "the variable that should hold the secret is not set, or empty";
                check.problem(path, None, &origin, reason, "set the variable, or correct its name");
                return None;
            }
        }
        SecretSource::Plain(_) => check.warnings.push(format!(
            "{path} ({origin}): the secret is in the settings themselves; {{ file = \"..\" }} keeps it apart from them"
        )),
    }
    Some(())
}

/// The PEM file that the key `path` names. `None` after a mistake, `Some(None)` when the system's authorities are meant.
pub(super) fn authority(check: &mut Check<'_>, path: &str) -> Option<Option<PathBuf>> {
    if !check.shown.contains_key(path) {
        return Some(None);
    }
    let file: PathBuf = get!(check, path, Path)?;
    if let Err(e) = regular_file::open(&file) {
        check.misfit(path, &format!("the file cannot be read: {e}"), "correct the path, or remove the line");
        return None;
    }
    Some(Some(file))
}
