//! The permission to log in: asked of the account's budget, and counted durably before the provider is asked.
//!
//! A log-in that was counted and then not tried (the process died between the two) costs one of the budget; the other
//! way round a relay that is restarted in a loop would hammer the provider without knowing it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::queue::AccountUsage;
use crate::upstream::permit::Answer;
use crate::upstream::{Held, Permit};

use super::Delivery;
use super::account::Account;

/// Asks for log-ins of one account.
pub(super) struct Logins<'a> {
    delivery: &'a Delivery,
    account: &'a Account,
    stage: &'a Stage,
}

/// How far an attempt has come, for those who must end it from outside.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// The provider may have heard of the message.
    asked: AtomicBool,
    /// The final dot is out and unanswered.
    unanswered: AtomicBool,
}

impl Stage {
    /// The provider is about to be asked.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether it is not known if the provider has the message.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }
}

impl Delivery {
    pub(super) fn permit<'a>(&'a self, account: &'a Account, stage: &'a Stage) -> Logins<'a> {
        Logins { delivery: self, account, stage }
    }
}

impl Permit for Logins<'_> {
    fn login(&self) -> Answer<'_> {
        Box::pin(async move {
            let now = self.delivery.0.clock.now();
            self.account.login(now).map_err(|until| Held {
                until,
                text: format!("the account has no log-in left until {}", until.rfc3339()),
            })?;
            let account = self.account.name().to_owned();
            let usage = AccountUsage { account, at: now, messages: 0, recipients: 0, logins: 1 };
            if let Err(error) = self.delivery.0.queue.add_usage(usage).await {
                // A disk that takes nothing more must not keep mail from leaving it; the memory still counts.
                tracing::error!(event = "queue_error", "a log-in could not be counted: {error}");
            }
            Ok(())
        })
    }

    fn final_dot(&self, unanswered: bool) {
        self.stage.unanswered.store(unanswered, Ordering::Relaxed);
    }
}
