//! Places outside the settings that they name: files and variables with a secret, files with an authority to trust.
//!
//! They are looked at, so that a slip is reported now and not at the first log-in or alarm. Not here: what is in an
//! account's secret.
//!
//! Invariant: neither a secret nor a path that may be one by mistake is in any text from here.

use std::path::PathBuf;

use super::problem::{Checked, Findings, Problem};
use super::values::{Values, get};
use crate::regular_file;
use crate::secret::SecretSource;

/// The secret in `source`, if it is where it should be.
pub(super) fn look(values: &Values<'_>, key: &str, source: SecretSource) -> Checked<SecretSource> {
    Findings::of(|findings| {
        match &source {
            SecretSource::File(file) => {
                // Only a warning: it is read when it is needed, and may be put there later. The path is not quoted, because
                // some people write the code itself where the path should be.
                if let Err(e) = regular_file::open(file) {
                    findings.warnings.push(values.warning(key, &format!("the file cannot be read now: {e}")));
                    if !file.as_os_str().as_encoded_bytes().contains(&b'/') {
                        findings.hidden.push(key.to_owned());
                    }
                }
            }
            SecretSource::Env(name) => {
                if values.variable(name).is_none() {
                    let reason = "the variable that should hold the secret is not set, or empty";
                    let remedy = "set the variable, or correct its name";
                    findings.problems.push(Problem::new(key, values.origin(key), reason, remedy));
                    return None;
                }
            }
            SecretSource::Plain(_) => {
                let text = "the secret is in the settings themselves; { file = \"..\" } keeps it apart from them";
                findings.warnings.push(values.warning(key, text));
            }
        }
        Some(source)
    })
}

/// The PEM file of this key: `Some(None)` when the system's authorities are meant.
pub(super) fn authority(values: &Values<'_>, key: &str) -> Checked<Option<PathBuf>> {
    Findings::of(|findings| {
        if !values.has(key) {
            return Some(None);
        }
        let file: PathBuf = get!(values, key, Path)?;
        if let Err(e) = regular_file::open(&file) {
            let reason = format!("the file cannot be read: {e}");
            findings.problems.push(values.misfit(key, &reason, "correct the path, or remove the line"));
            return None;
        }
        Some(Some(file))
    })
}
