//! The tokens of the settings: one that may do everything, and one that reads all but content and orders nothing.
//!
//! A token that a file holds is read again when it is older than [`LOOK`], so that a new one counts without a restart. What
//! cannot be used then is logged, and the old one stays. Invariant: every token is compared in full, whatever the others
//! came to.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::admin::settings::{AdminSettings, SHORTEST_TOKEN};
use crate::admin::{same_text, token_file};
use crate::secret::{Secret, SecretError, SecretSource};

/// How long a token that was read from a file is good.
const LOOK: Duration = Duration::from_secs(2);

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// Everything.
    Full,
    /// Reading, without content.
    View,
}

/// Why a token cannot be used. Never holds the token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be made or read.
    #[error("{key}: {source}; correct the setting, or remove it")]
    Unreadable {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        source: SecretError,
    },
    /// The file in the data folder cannot be made.
    #[error("admin.token: the file in the data folder cannot be made: {0}")]
    Unmade(std::io::Error),
    /// It could be guessed.
    #[error(
        "{0}: the token has fewer than {SHORTEST_TOKEN} characters; remove the setting or the file admin.token in the data \
         folder, and the relay makes one"
    )]
    Short(&'static str),
    /// Both are the same.
    #[error("admin.view_token: it is the same as admin.token; a reader could give orders")]
    Same,
}

/// Both tokens.
#[derive(Debug)]
pub struct Tokens {
    full: Kept,
    view: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    key: &'static str,
    source: SecretSource,
    read: Mutex<(Secret, Instant)>,
}

impl Tokens {
    /// Reads the tokens of the settings; makes the file in `data_dir` where they name none. Blocks for as long as the disk
    /// does.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(settings: &AdminSettings, data_dir: &Path) -> Result<Tokens, TokenError> {
        if settings.token.is_none() && token_file::make(data_dir).map_err(TokenError::Unmade)? {
            tracing::info!(event = "token_made", file = %token_file::path(data_dir).display());
        }
        let full = Kept::read("admin.token", token_file::source(settings, data_dir))?;
        let view = settings.view_token.clone().map(|source| Kept::read("admin.view_token", source)).transpose()?;
        if view.as_ref().is_some_and(|view| view.is(full.now().0.expose())) {
            return Err(TokenError::Same);
        }
        Ok(Tokens { full, view })
    }

    /// What this token allows; `None` when it is wrong.
    pub(super) async fn rights(&self, presented: &str) -> Option<Rights> {
        self.full.refresh().await;
        if let Some(view) = &self.view {
            view.refresh().await;
        }
        let (full, view) = (self.full.is(presented), self.view.as_ref().is_some_and(|view| view.is(presented)));
        match (full, view) {
            (true, _) => Some(Rights::Full),
            (false, true) => Some(Rights::View),
            (false, false) => None,
        }
    }
}

impl Kept {
    fn read(key: &'static str, source: SecretSource) -> Result<Kept, TokenError> {
        let secret = source.read().map_err(|source| TokenError::Unreadable { key, source })?;
        if !is_long(&secret) {
            return Err(TokenError::Short(key));
        }
        Ok(Kept { key, source, read: Mutex::new((secret, Instant::now())) })
    }

    fn is(&self, presented: &str) -> bool {
        same_text(self.now().0.expose(), presented)
    }

    /// Reads a file again if that is due.
    async fn refresh(&self) {
        let SecretSource::File(_) = &self.source else { return };
        {
            let mut now = self.now();
            if now.1.elapsed() < LOOK {
                return;
            }
            now.1 = Instant::now();
        }
        match self.source.read_apart().await {
            Ok(secret) if is_long(&secret) => self.now().0 = secret,
            Ok(_) => {
                tracing::warn!(
                    event = "token_kept",
                    key = self.key,
                    "the new token is too short; the old one still counts"
                );
            }
            Err(error) => {
                tracing::warn!(event = "token_kept", key = self.key, "the old token still counts: {error}");
            }
        }
    }

    fn now(&self) -> MutexGuard<'_, (Secret, Instant)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_long(secret: &Secret) -> bool {
    secret.expose().chars().count() >= SHORTEST_TOKEN
}
