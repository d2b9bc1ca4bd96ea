//! Alerts about an account or the whole relay. They go to the webhook, or by mail through an account.
//!
//! When an alert is due is a rule of `account::alarm` and `relay_alarm`, its words are `message::notice::alarm`'s. Invariant: an alert never goes
//! through the account it is about, so `from` must be the mailbox of another one.

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::message::notice::alarm::{Alarm, Kind, Remedy, build};
use crate::message::notice::relay_event::RelayEvent;
use crate::queue::NewMessage;

use super::own_mail::{NoticeTo, OwnMail};
use super::relay_alarm::AlertContent;
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

    /// An alert about the whole relay.
    pub fn relay_alarm(&self, content: AlertContent, again: bool, since: Timestamp) -> Alarm {
        let AlertContent { kind, reason, mails } = content;
        let remedy = match &kind {
            Kind::Relay(event) => event.remedy(),
            Kind::Failed { .. } => Some(Remedy {
                en: "look at the reasons with `yizhan queue list --state failed` and `yizhan queue show ID`; `yizhan queue \
                     retry ID` sends one again"
                    .to_owned(),
                zh: "用 `yizhan queue list --state failed` 和 `yizhan queue show ID` 查看原因；`yizhan queue retry ID` 可重发"
                    .to_owned(),
            }),
            Kind::Paused | Kind::Cooling { .. } | Kind::Unreachable | Kind::Refusing | Kind::Resumed => None,
        };
        Alarm {
            kind,
            again,
            account: String::new(),
            provider: String::new(),
            address: String::new(),
            since: since.rfc3339(),
            cause: String::new(),
            reply: reason,
            remedy,
            waiting: mails,
            hostname: self.hostname().to_owned(),
        }
    }

    /// A test alert.
    pub fn test_alarm(&self, now: Timestamp) -> Alarm {
        let content = AlertContent { kind: Kind::Relay(RelayEvent::Test), reason: String::new(), mails: 0 };
        self.relay_alarm(content, false, now)
    }

    /// Where an alert goes that is mail from the mailbox `from`.
    pub fn mail_to<'a>(&'a self, from: &'a Address) -> &'a Address {
        match &self.own_mail.settings.notice {
            NoticeTo::Address(address) => address,
            // The mailbox that still works.
            NoticeTo::Account | NoticeTo::Sender | NoticeTo::Nobody => from,
        }
    }

    /// The alert as a mail through the account with the mailbox `from`, whose pool is `pool`.
    pub fn mail(&self, alarm: &Alarm, from: &Address, pool: String, now: Timestamp) -> NewMessage {
        let to = self.mail_to(from);
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
        let (account, kind) = (alarm.account(), alarm.kind.event());
        let Err(error) = webhook.post(alarm, now()).await else {
            tracing::info!(event = "alert_sent", account, kind);
            return Ok(());
        };
        let next = retry::next(error.fault(), tries, first, now());
        match next {
            Some(at) => tracing::warn!(event = "alert_failed", account, kind, next = %at.rfc3339(), "{error}"),
            None => {
                let remedy = webhook.remedy(&error).en;
                tracing::error!(event = "alert_given_up", account, kind, "{error}; {remedy}");
            }
        }
        Err(next)
    }

    /// Calls the webhook once with a test alert; `None`: there is no webhook. `now` is the time of its signature.
    pub async fn test_webhook(&self, alarm: &Alarm, now: Timestamp) -> Option<WebhookTest> {
        let webhook = self.webhook.as_ref()?;
        let failure = webhook.post(alarm, now).await.err().map(|error| (error.to_string(), webhook.remedy(&error)));
        Some(WebhookTest { target: webhook.target().to_string(), failure })
    }
}

/// What became of a test of the webhook.
#[derive(Clone, Debug)]
pub struct WebhookTest {
    /// Scheme, host and port.
    pub target: String,
    /// The error, and what the operator should do about it.
    pub failure: Option<(String, Remedy)>,
}
