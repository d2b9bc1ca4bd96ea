//! Alerts: an account cannot send, or sends again. They go to the webhook, or by mail through another account.
//!
//! When an alert is due is `account::alarm`'s rule, its words are `message::notice::alarm`'s. Invariant: an alert never goes
//! through the account it is about, so `from` must be the mailbox of another one.

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::message::notice::alarm::{Alarm, build};
use crate::queue::NewMessage;

use super::own_mail::{NoticeTo, OwnMail};
use super::webhook::{Webhook, retry};

/// Sends alerts.
#[derive(Debug)]
pub struct Alerts {
    own_mail: OwnMail,
    webhook: Option<Webhook>,
}

impl Alerts {
    /// Sends alerts to the webhook, or writes them as mail of the relay's own.
    pub fn new(own_mail: OwnMail, webhook: Option<Webhook>) -> Alerts {
        Alerts { own_mail, webhook }
    }

    /// Whether there is a webhook.
    pub fn by_webhook(&self) -> bool {
        self.webhook.is_some()
    }

    /// Whether alerts are written as mail: there is no webhook, and the settings want reports.
    pub fn by_mail(&self) -> bool {
        self.webhook.is_none() && self.own_mail.settings.notice != NoticeTo::Nobody
    }

    /// The name of this host, as alerts show it.
    pub fn hostname(&self) -> &str {
        &self.own_mail.settings.hostname
    }

    /// The alert as a mail through the account with the mailbox `from`, whose pool is `pool`.
    pub fn mail(&self, alarm: &Alarm, from: &Address, pool: String, now: Timestamp) -> NewMessage {
        let to = match &self.own_mail.settings.notice {
            NoticeTo::Address(address) => address,
            // The mailbox that still works.
            NoticeTo::Account | NoticeTo::Sender | NoticeTo::Nobody => from,
        };
        self.own_mail.compose(from, to.clone(), pool, now, |letter| build(&letter, alarm))
    }

    /// Sends the alert to the webhook, once. `tries` counts this attempt; `first` was when the first one was made; `now` is
    /// asked for after it.
    ///
    /// # Errors
    /// When to send it again; `None`: it cannot be sent.
    pub async fn post(
        &self,
        alarm: &Alarm,
        tries: u32,
        first: Timestamp,
        now: impl Fn() -> Timestamp,
    ) -> Result<(), Option<Timestamp>> {
        let webhook = self.webhook.as_ref().ok_or(None)?;
        let Err(error) = webhook.post(alarm).await else {
            tracing::info!(event = "alert_sent", account = %alarm.account, kind = alarm.kind.event());
            return Ok(());
        };
        let next = retry::next(error.fault(), tries, first, now());
        match next {
            Some(at) => {
                tracing::warn!(event = "alert_failed", account = %alarm.account, next = %at.rfc3339(), "{error}");
            }
            None => tracing::error!(event = "alert_given_up", account = %alarm.account, "{error}"),
        }
        Err(next)
    }
}
