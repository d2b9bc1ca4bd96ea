//! Keeps the sign-ins of idle accounts alive, and warns before the secret of a program ends.
//!
//! Once a day: an account that used no refresh token for a week asks for a token, so that the provider does not end the sign-in
//! (Microsoft after 90 days, Google after six months). Without an account with access tokens there is no such task. Not here:
//! the tokens of log-ins, which are refreshed when they are needed (`oauth`).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::oauth::TokenSource;

use super::context::Context;

/// How often the accounts are looked at.
const EVERY: Duration = Duration::from_secs(86_400);
/// How many days before its end the secret of a program is warned about.
const SOON: i32 = 30;

/// Looks after the sign-ins.
pub(super) struct TokenKeeper {
    context: Arc<Context>,
    sources: Vec<TokenSource>,
}

impl TokenKeeper {
    /// `None` when no account has access tokens.
    pub(super) fn new(context: &Arc<Context>) -> Option<TokenKeeper> {
        let source = |pair: &Arc<super::ConnectedAccount>| pair.upstream.settings().token.clone();
        let sources: Vec<TokenSource> = context.accounts.all.iter().filter_map(source).collect();
        (!sources.is_empty()).then(|| TokenKeeper { context: context.clone(), sources })
    }

    /// Looks until the drain starts.
    pub(super) async fn run(&self) {
        let Context { clock, drain, .. } = &*self.context;
        let worker = clock.worker("the care of sign-ins");
        loop {
            let now = clock.now();
            for source in &self.sources {
                warn_of_end(source, now);
                source.keep().await;
            }
            tokio::select! {
                () = worker.sleep_until(Some(now + EVERY)) => {}
                () = clock.set_back(now) => {}
                () = drain.asked() => return,
            }
        }
    }
}

fn warn_of_end(source: &TokenSource, now: Timestamp) {
    let settings = source.settings();
    let Some(days) = settings.days_left(now.date()).filter(|days| *days <= SOON) else { return };
    tracing::warn!(event = "oauth_secret_ends", account = %settings.account, days,
        remedy = "make a new client secret where the app is registered, write it into client_secret, and set expires to its end",
        "the client secret of the app ends soon, or has ended");
}
