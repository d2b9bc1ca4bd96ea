//! Watching the secrets of accounts that rest: a new one lets the account go on at once.
//!
//! The file is read every two seconds, and when somebody asks for it (SIGHUP); an account that works is not watched,
//! because the next log-in reads the file anyway.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Timestamp;

use super::Delivery;

/// How often the secret of a resting account is looked at.
const EVERY: Duration = Duration::from_secs(2);

impl Delivery {
    /// Looks at the secrets now, whatever the clock says.
    pub fn look_at_secrets(&self) {
        self.0.gates.notify_waiters();
    }

    /// Watches until the task is dropped.
    pub(super) async fn watch_secrets(&self) {
        let worker = self.0.clock.worker("the watch of the secrets");
        loop {
            let asked = self.0.gates.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            let now = self.0.clock.now();
            // Side by side: a disk that hangs holds up the accounts whose secret is on it, and no others.
            let mut looks = JoinSet::new();
            for account in self.0.accounts.iter().filter(|account| account.watches_secret(now)) {
                let (this, account) = (self.clone(), account.clone());
                looks.spawn(async move { this.look_at_secret(&account, now).await });
            }
            while looks.join_next().await.is_some() {}
            let resting = self.0.accounts.iter().any(|account| account.watches_secret(now));
            tokio::select! {
                () = worker.sleep_until(resting.then(|| now + EVERY)) => {}
                () = self.0.clock.set_back(now) => {}
                () = asked => {}
                () = self.0.drain.asked() => return,
            }
        }
    }

    async fn look_at_secret(&self, account: &super::Account, now: Timestamp) {
        if account.resume_if_secret_changed(now).await {
            self.went_on(account).await;
        }
    }

    /// An account may be used again: connections that were opened before are not trusted, and what waits may go.
    pub(super) async fn went_on(&self, account: &super::Account) {
        account.upstream().close_idle().await;
        self.remember(account).await;
        self.poke();
    }

    /// Writes down what must outlive the process, where no settlement does it.
    pub(super) async fn remember(&self, account: &super::Account) {
        let Some((state, _turn)) = self.state_to_keep(account).await else { return };
        if let Err(error) = self.0.queue.save_account_state(state).await {
            account.not_written();
            tracing::error!(
                event = "queue_error",
                account = account.name(),
                "the state of the account could not be written: {error}"
            );
        }
    }
}
