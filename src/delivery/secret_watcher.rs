//! Watches the secrets of accounts that cool or are paused: a new secret resumes the account at once.
//!
//! The secret, or the sign-in of an account with access tokens, is read every two seconds, and when an operator asks for it (SIGHUP). The secret of a ready account is not
//! watched, because the next log-in reads it anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Timestamp;

use super::connected_account::ConnectedAccount;
use super::context::Context;

/// How often the secret of an account is read that cools or is paused.
const EVERY: Duration = Duration::from_secs(2);

/// Watches the secrets.
pub(super) struct SecretWatcher(pub(super) Arc<Context>);

impl SecretWatcher {
    /// Watches until the task is dropped.
    pub(super) async fn run(&self) {
        let Context { clock, accounts, wake, drain, .. } = &*self.0;
        let worker = clock.worker("the watch of the secrets");
        loop {
            let asked = wake.secrets.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            let now = clock.now();
            let watched = || accounts.all.iter().filter(|pair| pair.account.refused_secret(now).is_some());
            // Side by side: a disk that hangs holds up only the accounts whose secret is on it.
            let mut readers = JoinSet::new();
            for pair in watched() {
                let (context, pair) = (self.0.clone(), pair.clone());
                readers.spawn(async move { read_secret(&context, &pair, now).await });
            }
            while readers.join_next().await.is_some() {}
            let any = watched().next().is_some();
            tokio::select! {
                () = worker.sleep_until(any.then(|| now + EVERY)) => {}
                () = clock.set_back(now) => {}
                () = asked => {}
                () = drain.asked() => return,
            }
        }
    }
}

async fn read_secret(context: &Context, pair: &ConnectedAccount, now: Timestamp) {
    let Some(refused) = pair.account.refused_secret(now) else { return };
    let settings = pair.upstream.settings();
    // A refresh changes no sign-in, so it ends no rest.
    let secret = match &settings.token {
        Some(source) => source.mark().await,
        None => settings.secret.read_apart().await.ok(),
    };
    let Some(secret) = secret else { return };
    if pair.account.resume_with(&secret, refused, now) {
        // Connections that were opened before are not trusted, and what waits may go.
        pair.upstream.close_idle().await;
        context.store.save_or_log(pair).await;
        context.wake_dispatcher();
    }
}
