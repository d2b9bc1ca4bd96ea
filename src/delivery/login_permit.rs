//! The permission to log in: asked of the account's budget, and counted durably before the provider is asked.
//!
//! A log-in that was counted and not tried (the process died in between) costs one of the budget. In the other order a relay
//! that restarts in a loop would flood the provider with log-ins without counting them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::account::Account;
use crate::queue::AccountUsage;
use crate::upstream::permit::Answer;
use crate::upstream::{Held, Permit};

use super::context::Context;

/// Admits log-ins of one account.
pub(super) struct LoginPermit<'a> {
    pub(super) context: &'a Context,
    pub(super) account: &'a Account,
    pub(super) stage: &'a Stage,
}

/// How far an attempt has come, for the callers that must end it from outside.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// The provider may have received part of the message.
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

impl Permit for LoginPermit<'_> {
    fn login(&self) -> Answer<'_> {
        Box::pin(async move {
            let now = self.context.clock.now();
            self.account.login(now).map_err(|until| Held {
                until,
                text: format!("the account has no log-in left until {}", until.rfc3339()),
            })?;
            let account = self.account.name().to_owned();
            let usage = AccountUsage { account, at: now, messages: 0, recipients: 0, logins: 1 };
            if let Err(error) = self.context.queue.add_usage(usage).await {
                // A full disk must not keep mail from leaving it; the budget in memory still counts.
                tracing::error!(event = "queue_error", "a log-in could not be counted: {error}");
            }
            Ok(())
        })
    }

    fn final_dot(&self, unanswered: bool) {
        self.stage.unanswered.store(unanswered, Ordering::Relaxed);
    }
}
