//! What of an account must outlive the process, and its form in the queue's database: JSON, opaque to the queue.
//!
//! A form that cannot be read (a later version wrote it) is as good as none, and is said in the log: the account then
//! starts ready, and the provider's next answer teaches it again. Invariant: nothing here is a secret. Whether a secret
//! was changed while nobody looked is told by a [`SecretMark`] of sixteen bits, which says next to nothing about it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::provider::Remedy;
use crate::queue::AccountState;
use crate::secret::Secret;

use super::alarm::AlarmState;
use super::unknown_replies::UnknownReplies;
use super::{breaker, budget};

/// What is kept of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The rest it is in.
    pub rest: Option<breaker::Kept>,
    /// What quota replies have taught.
    pub learnt: budget::Learnt,
    /// The secret that was refused.
    pub refused: Option<SecretMark>,
    /// What the owner was told.
    pub alarms: AlarmState,
    /// Replies that are not understood.
    pub unknown: UnknownReplies,
    /// What the owner should do, in English and in Chinese.
    pub remedy: Option<(String, String)>,
}

impl Kept {
    /// The form for the database.
    pub fn write(&self, account: &str) -> AccountState {
        let state = serde_json::to_string(self).expect("plain values always have a JSON form");
        AccountState { account: account.to_owned(), state }
    }

    /// Reads the form back.
    pub fn read(stored: &AccountState) -> Option<Kept> {
        match serde_json::from_str(&stored.state) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::error!(event = "queue_error", account = %stored.account, %error, "what was kept of the account cannot be read");
                None
            }
        }
    }
}

/// Tells one secret from another, mostly: two have the same mark once in 65,536 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMark(Option<u16>);

impl SecretMark {
    /// The mark of a secret; `None` is the mark of a secret that cannot be read.
    pub fn of(secret: Option<&Secret>) -> SecretMark {
        SecretMark(secret.map(|secret| {
            let mut hasher = DefaultHasher::new();
            secret.expose().hash(&mut hasher);
            (hasher.finish() >> 48) as u16
        }))
    }

    /// Whether `secret` may be the one that was marked.
    pub fn fits(self, secret: &Secret) -> bool {
        self == SecretMark::of(Some(secret))
    }
}

/// A remedy that was kept. It lives as long as the process; there is one for each account that rests at the start.
pub(super) fn remedy(en: &str, zh: &str) -> Remedy {
    Remedy { en: en.to_owned().leak(), zh: zh.to_owned().leak() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_secrets_apart_and_holds_nothing_of_them() {
        let (old, new) = (Secret::new("abcdefghijklmnop"), Secret::new("bbcdefghijklmnop"));
        let mark = SecretMark::of(Some(&old));
        assert!(mark.fits(&old) && !mark.fits(&new) && !SecretMark::of(None).fits(&old));
        let text = Kept { refused: Some(mark), ..Kept::default() }.write("office").state;
        assert!(!text.contains("abcdefgh"), "{text}");
        assert_eq!(Kept::read(&AccountState { account: "office".into(), state: text }).unwrap().refused, Some(mark));
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_what_is_missing_is_empty() {
        let read = |state: &str| Kept::read(&AccountState { account: "a".into(), state: state.into() });
        assert_eq!(read("{}"), Some(Kept::default()));
        assert_eq!(read("not json"), None);
    }
}
