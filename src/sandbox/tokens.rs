//! Access tokens of the pretended mailboxes, and the form in which a log-in with one is refused.
//!
//! Nothing is offered or taken until the first token is set, so that the sandbox stays the QQ Mail that it imitates.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::secret::Secret;

/// How a token is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenRefusal {
    /// `535 5.7.3` at once, as Microsoft does.
    #[default]
    AtOnce,
    /// A reason in a 334, and the refusal when that was answered, as Google does (RFC 7628 section 3.2.3).
    Challenge,
}

/// The tokens. The lock is held for a look only.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    used: bool,
    by_user: HashMap<String, Secret>,
    refusal: TokenRefusal,
    longest: Option<usize>,
}

impl Tokens {
    /// Whether a token was ever set.
    pub(super) fn are_used(&self) -> bool {
        self.lock().used
    }

    pub(super) fn set(&self, user: &str, token: Option<Secret>) {
        let mut inner = self.lock();
        inner.used = true;
        match token {
            Some(token) => inner.by_user.insert(user.to_ascii_lowercase(), token),
            None => inner.by_user.remove(&user.to_ascii_lowercase()),
        };
    }

    pub(super) fn set_refusal(&self, refusal: TokenRefusal) {
        self.lock().refusal = refusal;
    }

    pub(super) fn refusal(&self) -> TokenRefusal {
        self.lock().refusal
    }

    /// Octets of the longest AUTH line, its end included.
    pub(super) fn set_longest(&self, octets: usize) {
        self.lock().longest = Some(octets);
    }

    pub(super) fn is_too_long(&self, line: &[u8]) -> bool {
        self.lock().longest.is_some_and(|longest| line.len() > longest)
    }

    pub(super) fn fits(&self, user: &str, token: &Secret) -> bool {
        self.lock().by_user.get(&user.to_ascii_lowercase()) == Some(token)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
