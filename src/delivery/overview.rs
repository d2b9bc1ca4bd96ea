//! What the accounts of a running delivery look like now.
//!
//! Not here: what an operator may change (`admin::accounts`). Invariant: looking changes nothing, and takes no lock for
//! longer than it takes to copy a value.

use crate::queue::entry::State;

use super::Delivery;
use super::account::Account;
use super::breaker::Gate;
use super::view::AccountView;

impl Delivery {
    /// One view an account, in the order of the settings.
    pub async fn overview(&self) -> Vec<AccountView> {
        let waiting = self.waiting().await;
        self.accounts().iter().map(|account| self.view(account, waiting)).collect()
    }

    fn view(&self, account: &Account, waiting: u64) -> AccountView {
        let (state, until) = match account.gate(self.0.clock.now()) {
            Gate::Open | Gate::Probe => ("ready", None),
            Gate::Cooling(until) => ("cooling", Some(until.rfc3339())),
            // The provider cannot be reached; the account itself is in order, and mail goes on at this time.
            Gate::Down(until) => ("ready", Some(until.rfc3339())),
        };
        AccountView {
            name: account.name().to_owned(),
            address: account.address().to_string(),
            state: state.to_owned(),
            until: until.clone().filter(|_| state == "cooling"),
            next: until,
            waiting,
            ..AccountView::default()
        }
    }

    async fn waiting(&self) -> u64 {
        let place = State::ALL.iter().position(|state| *state == State::Waiting);
        let depth = self.0.queue.depth().await.unwrap_or_default();
        place.map_or(0, |place| depth.messages[place])
    }
}
