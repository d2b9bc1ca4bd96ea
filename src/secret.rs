//! Secrets: where a password or an authorization code comes from, and a type that will not show it.
//!
//! Invariant: nothing in this crate can print a [`Secret`]; only [`Secret::expose`] hands the text out, and the only
//! callers are the log-in dialogues, the comparison of passwords, and the doctor, who looks at its shape. The memory is
//! wiped when it is dropped (`secrecy`).

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

pub mod password;

/// A password or authorization code. `Debug` shows `[secret]`, there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps `text`, less the blanks around it and, for an authorization code pasted as `abcd efgh ijkl mnop`, the
    /// blanks inside (QQ prints codes in groups of four; a code never has one).
    pub fn new(text: &str) -> Secret {
        let trimmed = text.trim();
        let groups: Vec<&str> = trimmed.split(' ').collect();
        let is_code =
            groups.len() == 4 && groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| b.is_ascii_alphanumeric()));
        Secret(SecretString::from(if is_code { groups.concat() } else { trimmed.to_owned() }))
    }

    /// The text itself. Never log it, never put it into an error.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

/// Where a secret is found. It is read again at each log-in, so that a renewed code takes effect without a restart.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// `secret = { file = "..." }`
    File(PathBuf),
    /// `secret = { env = "..." }`
    Env(String),
    /// `secret = "..."`, in the settings themselves: works, and is warned about.
    Plain(Secret),
}

/// Why a secret could not be read. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing or may not be read.
    #[error("the secret file {} cannot be read: {source}", path.display())]
    File {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The environment variable is not set.
    #[error("the environment variable {0}, which should hold the secret, is not set")]
    Env(String),
    /// There is nothing in it but blanks.
    #[error("the secret is empty")]
    Empty,
}

impl SecretSource {
    /// Reads the secret from where it is kept.
    ///
    /// # Errors
    /// [`SecretError`] when it is missing, unreadable or empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let secret = match self {
            SecretSource::Plain(secret) => secret.clone(),
            SecretSource::Env(name) => Secret::new(&std::env::var(name).map_err(|_| SecretError::Env(name.clone()))?),
            SecretSource::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| SecretError::File { path: path.clone(), source })?;
                Secret::new(&text)
            }
        };
        if secret.expose().is_empty() { Err(SecretError::Empty) } else { Ok(secret) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_code_loses_its_blanks_and_a_pass_phrase_keeps_them() {
        assert_eq!(Secret::new(" abcd efgh ijkl mnop\n").expose(), "abcdefghijklmnop");
        assert_eq!(Secret::new("correct horse\n").expose(), "correct horse");
    }

    #[test]
    fn no_debug_output_shows_it() {
        let source = SecretSource::Plain(Secret::new("hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = SecretSource::File("/no/such/file".into()).read().unwrap_err();
        assert!(error.to_string().contains("/no/such/file"));
        let error = SecretSource::Env("YIZHAN_TEST_UNSET".into()).read().unwrap_err();
        assert!(error.to_string().contains("YIZHAN_TEST_UNSET"));
        assert!(matches!(SecretSource::Plain(Secret::new("  ")).read(), Err(SecretError::Empty)));
    }
}
