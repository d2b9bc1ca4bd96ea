//! The accounts of a relay that does not run, answered from its settings and its queue.
//!
//! The same delivery that would run is built, and reads what the last process left; it is just not started. Not here:
//! opening the queue, and finding out that no relay runs (`cli`). Invariant: nothing is sent and nobody is connected to.

use std::sync::Arc;

use crate::account::AccountStatus;
use crate::admin::accounts::{Accounts, Answer};
use crate::admin::error::AdminError;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::delivery::Delivery;
use crate::delivery::alert_sender::{self, ChannelTest};
use crate::drain::Drain;
use crate::limits::capacity::Capacity;
use crate::mail::{IdSource, Lane};
use crate::oauth::OAuthSettings;
use crate::queue::{Queue, QueueEntry};
use crate::report::OwnMail;
use crate::report::alert::Alerts;
use crate::telemetry::counter::Counters;

use super::{StartError, delivery_of, seed};

/// The accounts of `settings`, whose relay is stopped and left `queue` behind.
///
/// # Errors
/// [`StartError`] when the settings have no account that could be used.
pub fn accounts_offline(
    settings: &Settings,
    queue: Arc<dyn Queue>,
    clock: &Clock,
) -> Result<Arc<dyn Accounts>, StartError> {
    let parts = super::Parts {
        queue,
        clock: clock.clone(),
        ids: Arc::new(IdSource::new(seed())),
        counters: Counters::default(),
        capacity: Capacity::new(settings.limits.clone()),
        drain: Drain::default(),
    };
    Ok(Arc::new(Offline(delivery_of(settings, parts)?, settings.clone())))
}

/// Tests the channels of alerts where no relay runs: calls the webhook. Mail needs a running relay, and is skipped. An empty
/// list: alerts have no channel.
///
/// # Errors
/// [`StartError`] when webhook or signature cannot be used as they are in the settings.
pub async fn test_alerts_offline(settings: &Settings, clock: &Clock) -> Result<Vec<ChannelTest>, StartError> {
    let webhook = super::webhook(&settings.notice)?;
    let router = Arc::new(settings.router());
    let own_mail = OwnMail::new(settings.delivery().reports, router, Arc::new(IdSource::new(seed())));
    let alerts = Alerts::new(own_mail, webhook);
    let alarm = alerts.test_alarm(clock.now());
    if let Some(tested) = alerts.test_webhook(&alarm, clock.now()).await {
        return Ok(vec![alert_sender::webhook_test(tested), alert_sender::mail_unused()]);
    }
    Ok(if alerts.by_mail() { vec![alert_sender::mail_skipped()] } else { Vec::new() })
}

/// Reads the secrets of accounts and users, so that they are taken out of what a command shows (`secret::redact`). Those that
/// cannot be read are left out.
pub async fn read_secrets(settings: &Settings) {
    let accounts = settings.accounts.iter().filter_map(|account| account.secret.as_ref());
    let programs =
        settings.accounts.iter().filter_map(|account| account.oauth.as_ref()).flat_map(OAuthSettings::secrets);
    for source in accounts.chain(settings.users.iter().map(|user| &user.password)).chain(programs) {
        let _ = source.read_apart().await;
    }
}

/// The accounts of a stopped relay; its settings, for the test of alerts.
struct Offline(Delivery, Settings);

impl Offline {
    async fn restored(&self) -> Result<&Delivery, AdminError> {
        self.0.restore().await?;
        Ok(&self.0)
    }
}

impl Accounts for Offline {
    fn expected(&self, _pool: &str, _lane: Lane, _ahead: u64) -> Option<Timestamp> {
        // Nothing goes before the relay runs.
        None
    }

    fn share_an_account(&self, one: &str, other: &str) -> bool {
        self.0.share_an_account(one, other)
    }

    fn new_pool(&self, entry: &QueueEntry) -> Option<String> {
        self.0.new_pool(entry)
    }

    fn pools_with(&self, account: &str) -> Vec<String> {
        self.0.pools_with(account)
    }

    fn outgoing_head(&self, entry: &QueueEntry, stored: &[u8]) -> Vec<u8> {
        self.0.outgoing_head(entry, stored)
    }

    fn list(&self) -> Answer<'_, Vec<AccountStatus>> {
        Box::pin(async {
            // What cannot be read is said in the log by those who tried.
            let _ = self.restored().await;
            self.0.statuses().await
        })
    }

    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move { Accounts::pause(self.restored().await?, name, reason).await })
    }

    fn resume(&self, name: String) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move { Accounts::resume(self.restored().await?, name).await })
    }

    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, AdminError>> {
        Box::pin(async {
            let tested = test_alerts_offline(&self.1, &Clock::system()).await;
            tested.map_err(|error| AdminError::bad_settings(&error.to_string()))
        })
    }
}
