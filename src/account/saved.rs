//! What of an account must outlive the process, and its form in the queue's database: JSON, opaque to the queue.
//!
//! A form that cannot be read (a later version wrote it) counts as none and is logged: the account then starts ready, and
//! the provider's next reply teaches it again. Invariant: no secret is stored. A [`SecretMark`] of sixteen bits tells
//! whether a secret was changed while the relay was stopped, and next to nothing about the secret.

use serde::{Deserialize, Serialize};

use crate::fingerprint;
use crate::provider::Remedy;
use crate::queue::AccountState;
use crate::secret::Secret;

use super::alarm::AlarmState;
use super::breaker::SavedBreaker;
use super::budget::LearntLimits;
use super::unknown_replies::UnknownReplies;

/// What is saved of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedAccount {
    /// Why and until when it cools or is paused.
    #[serde(rename = "rest")]
    pub cooling: Option<SavedBreaker>,
    /// What quota replies have taught.
    pub learnt: LearntLimits,
    /// The secret that was refused.
    pub refused: Option<SecretMark>,
    /// The alarms that were raised and sent.
    pub alarms: AlarmState,
    /// Replies that are not understood.
    pub unknown: UnknownReplies,
    /// What the operator should do, in English and in Chinese.
    pub remedy: Option<(String, String)>,
}

impl SavedAccount {
    /// The form for the database.
    pub fn write(&self, account: &str) -> AccountState {
        let state = serde_json::to_string(self).expect("plain values always have a JSON form");
        AccountState { account: account.to_owned(), state }
    }

    /// Reads the form back.
    pub fn read(stored: &AccountState) -> Option<SavedAccount> {
        serde_json::from_str(&stored.state)
            .inspect_err(|error| {
                tracing::error!(event = "queue_error", account = %stored.account, %error, "what was kept of the account cannot be read");
            })
            .ok()
    }
}

/// Sixteen bits that tell one secret from another: two secrets have the same mark once in 65,536 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMark(Option<u16>);

impl SecretMark {
    /// The mark of a secret; `None` is the mark of a secret that cannot be read.
    pub fn of(secret: Option<&Secret>) -> SecretMark {
        SecretMark(secret.map(|secret| (fingerprint::of(secret.expose()) >> 48) as u16))
    }

    /// Whether `secret` may be the one that was marked.
    pub fn fits(self, secret: &Secret) -> bool {
        self == SecretMark::of(Some(secret))
    }
}

/// A remedy that was saved. It lives as long as the process; there is one for each account that cools at the start.
pub(super) fn remedy(en: String, zh: String) -> Remedy {
    Remedy { en: en.leak(), zh: zh.leak() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::breaker::CoolingKind;

    #[test]
    fn a_mark_tells_secrets_apart_and_holds_nothing_of_them() {
        let (old, new) = (Secret::new("abcdefghijklmnop"), Secret::new("bbcdefghijklmnop"));
        let mark = SecretMark::of(Some(&old));
        assert!(mark.fits(&old) && !mark.fits(&new) && !SecretMark::of(None).fits(&old));
        let text = SavedAccount { refused: Some(mark), ..SavedAccount::default() }.write("office").state;
        assert!(!text.contains("abcdefgh"), "{text}");
        assert_eq!(
            SavedAccount::read(&AccountState { account: "office".into(), state: text }).unwrap().refused,
            Some(mark)
        );
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_what_is_missing_is_empty() {
        let read = |state: &str| SavedAccount::read(&AccountState { account: "a".into(), state: state.into() });
        assert_eq!(read("{}"), Some(SavedAccount::default()));
        assert_eq!(read("not json"), None);
    }

    #[test]
    fn the_state_of_an_earlier_version_is_read() {
        let state = r#"{"rest":{"since":1795255200000,"until":1795258800000,"strikes":2,"same":1,"kind":"hour-then-pause",
            "cause":"QQ-A3","text":"535 no","by_operator":false},"learnt":{"limits":[{"unit":"messages","window":"day",
            "limit":80,"taught":1795255200000,"raised":1795255200000}],"closed":[]},"refused":17,"alarms":{"outage":{
            "since":1795255200000,"kind":"cooling","alert":true,"seen":1795255200000,"raised":null},"last":null,
            "mail":{"pending":null,"alarmed":false},"webhook":{"pending":null,"alarmed":false}},
            "unknown":{"met":[],"accepted":[],"last":""},"remedy":["Look.","看。"]}"#;
        let saved = SavedAccount::read(&AccountState { account: "a".into(), state: state.into() }).expect("it is read");
        let cooling = saved.cooling.as_ref().expect("it cools");
        assert_eq!((cooling.kind, cooling.strikes, cooling.cause.as_str()), (CoolingKind::HourThenPause, 2, "QQ-A3"));
        assert_eq!((saved.learnt.limits.len(), saved.remedy.as_ref().map(|(en, _)| en.as_str())), (1, Some("Look.")));
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("it is JSON");
        assert_eq!(value(&saved.write("a").state), value(state), "and an earlier version reads what this one writes");
    }
}
