//! The accounts of a relay that does not run, answered from its settings and its queue.
//!
//! Not here: opening the queue, and finding out that no relay runs (`cli`). Invariant: nothing is sent and nobody is
//! connected to.

use std::sync::Arc;

use crate::admin::accounts::{Accounts, Answer, no_such_account};
use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::view::AccountView;
use crate::queue::Queue;
use crate::queue::entry::State;

/// The accounts of `settings`, whose relay is stopped and left `queue` behind.
pub fn accounts_offline(settings: &Settings, queue: Arc<dyn Queue>, _clock: &Clock) -> Arc<dyn Accounts> {
    Arc::new(Offline { settings: settings.clone(), queue })
}

struct Offline {
    settings: Settings,
    queue: Arc<dyn Queue>,
}

impl Offline {
    fn known(&self, name: &str) -> Result<(), String> {
        let names = || self.settings.accounts.iter().map(|account| account.name.as_str());
        if names().any(|known| known == name) { Ok(()) } else { Err(no_such_account(name, names())) }
    }
}

impl Accounts for Offline {
    fn list(&self) -> Answer<'_, Vec<AccountView>> {
        Box::pin(async {
            let place = State::ALL.iter().position(|state| *state == State::Waiting);
            let depth = self.queue.depth().await.unwrap_or_default();
            let view = |account: &crate::config::Account| AccountView {
                name: account.name.clone(),
                provider: account.preset.name.clone(),
                address: account.address.as_ref().map_or_else(|| account.user.clone(), ToString::to_string),
                // A breaker lives as long as its relay: the next one begins with a ready account.
                state: "ready".to_owned(),
                waiting: place.map_or(0, |place| depth.messages[place]),
                ..AccountView::default()
            };
            self.settings.accounts.iter().map(view).collect()
        })
    }

    fn pause(&self, name: String, _reason: Option<String>) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            self.known(&name)?;
            Err("the relay is stopped, and paused accounts are not kept yet: nothing was changed".to_owned())
        })
    }

    fn resume(&self, name: String) -> Answer<'_, Result<(), String>> {
        // Nothing keeps it back.
        Box::pin(async move { self.known(&name) })
    }
}
