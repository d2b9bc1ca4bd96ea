//! May the account log in now? Asked before every log-in, and answered by whoever keeps the account's budget. The same
//! one hears when a message is out of our hands.
//!
//! Providers count log-ins, refused ones twice over; so they have a budget. Not here: the budget. Invariant: the permit
//! is asked when the AUTH command is about to go out and not before: a line that is down, a provider that does not
//! greet, and a connection that can be reused cost no log-in. Whoever says yes has counted the log-in durably.

use std::future::Future;
use std::pin::Pin;

use crate::clock::Timestamp;

/// No log-in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it may be asked again.
    pub until: Timestamp,
    /// Why, in one line for the log and the queue.
    pub text: String,
}

/// What a permit answers: a future, because a log-in is written down before it is tried.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Held>> + Send + 'a>>;

/// Says whether an account may log in.
pub trait Permit: Send + Sync {
    /// Counts one log-in, durably, and says yes; or says until when to wait, and counts nothing.
    fn login(&self) -> Answer<'_>;

    /// Hears when the final dot of the message goes out (true) and when its reply is here, or none will come (false). In
    /// between nobody knows whether the provider has the message.
    fn final_dot(&self, unanswered: bool) {
        let _ = unanswered;
    }
}

/// Says yes and counts nothing: for trials by hand, and where there is no budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Permit for Unlimited {
    fn login(&self) -> Answer<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}
