//! The token in memory: how long it lives, and whether a refusal is believed.
//!
//! Lifetimes run by the monotonic clock. The wall clock may end a token earlier, never later.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How long to wait before a doubtful refusal is asked for once more.
const DOUBT: Duration = Duration::from_secs(60);

/// An access token. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub(super) secret: Secret,
    pub(super) got: Instant,
}

impl AccessToken {
    /// The token.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// A refusal that is not believed at first.
#[derive(Clone, Copy, Default)]
pub(super) struct Doubt {
    /// When it came first.
    since: Option<Instant>,
}

impl Doubt {
    /// The refusal came at `now`. `None` when it is believed; else when to ask once more.
    pub(super) fn refused(&mut self, now: Instant) -> Option<Instant> {
        let again = *self.since.get_or_insert(now) + DOUBT;
        let believed = now >= again;
        if believed {
            self.since = None;
        }
        (!believed).then_some(again)
    }
}

/// The token in memory.
pub(super) struct Held {
    pub(super) secret: Secret,
    pub(super) sign_in: String,
    pub(super) got: Instant,
    pub(super) at: Timestamp,
    pub(super) lives: Duration,
}

impl Held {
    pub(super) fn left(&self, now: Timestamp) -> Duration {
        let by_monotonic = self.lives.saturating_sub(self.got.elapsed());
        // A clock that was set back says nothing.
        let by_wall = if now >= self.at { self.lives.saturating_sub(now.since(self.at)) } else { self.lives };
        by_monotonic.min(by_wall)
    }

    pub(super) fn with(&self, least: Duration, now: Timestamp) -> Option<AccessToken> {
        let token = || AccessToken { secret: self.secret.clone(), got: self.got };
        // Of a token that lives for less than twenty minutes half its life.
        (self.left(now) >= least.min(self.lives / 2)).then(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubtful_refusal_is_believed_when_it_comes_again_a_minute_later() {
        let (mut doubt, start) = (Doubt::default(), Instant::now());
        assert_eq!(doubt.refused(start), Some(start + DOUBT));
        assert_eq!(doubt.refused(start + DOUBT / 2), Some(start + DOUBT));
        assert_eq!(doubt.refused(start + DOUBT), None);
        assert!(doubt.refused(start + DOUBT).is_some(), "the next one is doubted again");
    }
}
