//! Who has spent what: the limits of the door that are counted for each client address or envelope sender.
//!
//! A client is asked for at MAIL and at RCPT, before it has spent anything on a message that could not come in. What
//! is not held against it: a refusal by one limit spends nothing of the others. Nobody is cut off here; each limit is a
//! 4yz to one command, and the connection goes on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Settings;
use super::log_budget::LogBudget;
use super::rate::{Allowance, MOST_KEYS};

/// Which limit is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// Messages of this client address.
    #[error("too many messages from this client")]
    Messages,
    /// Recipients of this client address.
    #[error("too many recipients from this client")]
    Recipients,
    /// Octets of this client address.
    #[error("too many octets from this client")]
    Bytes,
    /// Commands of this client address that were refused.
    #[error("too many failures of this client")]
    Failures,
    /// Messages of this envelope sender, whichever client they come from.
    #[error("too many messages of this sender")]
    Sender,
    /// What this client address has in the queue.
    #[error("this client has too much in the queue")]
    Share,
}

impl Spent {
    /// The label of this limit in `yizhan_refused_total`.
    pub const fn reason(self) -> &'static str {
        match self {
            Spent::Messages => "messages_per_client",
            Spent::Recipients => "recipients_per_client",
            Spent::Bytes => "bytes_per_client",
            Spent::Failures => "failures_per_client",
            Spent::Sender => "messages_per_sender",
            Spent::Share => "queue_size_per_client",
        }
    }
}

/// The limits of all clients.
#[derive(Debug)]
pub struct Guard {
    messages: Allowance,
    recipients: Allowance,
    bytes: Allowance,
    failures: Allowance,
    senders: Option<Allowance>,
    share: u64,
    held: Mutex<HashMap<IpAddr, u64>>,
    /// What each client address may write into the log.
    pub log: LogBudget,
}

impl Guard {
    /// Nobody has spent anything.
    pub fn new(settings: &Settings) -> Guard {
        Guard {
            messages: Allowance::of(settings.messages_per_client),
            recipients: Allowance::of(settings.recipients_per_client),
            bytes: Allowance::new(settings.bytes_per_client.octets, settings.bytes_per_client.per),
            failures: Allowance::of(settings.failures_per_client),
            senders: settings.messages_per_sender.map(Allowance::of),
            share: settings.queue_size_per_client,
            held: Mutex::default(),
            log: LogBudget::default(),
        }
    }

    /// May `client` begin a message of `size` octets (0: not known) from `sender` (any text that names it; empty: null)?
    /// If so, it is counted.
    ///
    /// # Errors
    /// [`Spent`]: nothing was counted.
    pub fn message(&self, client: IpAddr, sender: &str, size: u64, now: Instant) -> Result<(), Spent> {
        self.is_well_behaved(client, now)?;
        if self.held_by(client).saturating_add(size) > self.share {
            return Err(Spent::Share);
        }
        if !self.messages.has(client, 1, now) {
            return Err(Spent::Messages);
        }
        if !self.bytes.has(client, size.max(1), now) {
            return Err(Spent::Bytes);
        }
        if self.senders.as_ref().is_some_and(|senders| !senders.take(sender, 1, now)) {
            return Err(Spent::Sender);
        }
        self.messages.spend(client, 1, now);
        Ok(())
    }

    /// May `client` name one more recipient? If so, it is counted.
    ///
    /// # Errors
    /// [`Spent::Recipients`].
    pub fn recipient(&self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        self.recipients.take(client, 1, now).then_some(()).ok_or(Spent::Recipients)
    }

    /// Counts octets of a message that `client` has sent, whatever becomes of it.
    pub fn received(&self, client: IpAddr, octets: u64, now: Instant) {
        self.bytes.spend(client, octets, now);
    }

    /// Counts commands of `client` that were refused for good: bad ones, log-ins, senders, recipients.
    pub fn failed(&self, client: IpAddr, count: u32, now: Instant) {
        self.failures.spend(client, count.into(), now);
    }

    /// Whether `client` has made fewer mistakes than it may. To be asked before a log-in is looked at.
    ///
    /// # Errors
    /// [`Spent::Failures`].
    pub fn is_well_behaved(&self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        self.failures.has(client, 1, now).then_some(()).ok_or(Spent::Failures)
    }

    /// Counts what was put into the queue for `client`, until the queue is asked again ([`Guard::set_held`]).
    pub fn holds(&self, client: IpAddr, octets: u64) {
        let mut held = self.held();
        // One more than are told apart: it counts for the whole queue only.
        if held.len() < MOST_KEYS || held.contains_key(&client) {
            let own = held.entry(client).or_default();
            *own = own.saturating_add(octets);
        }
    }

    /// Tells what the queue holds for each client. What was put in since it was asked is missing until the next time.
    pub fn set_held(&self, held: impl IntoIterator<Item = (IpAddr, u64)>) {
        *self.held() = held.into_iter().take(MOST_KEYS).collect();
    }

    /// Whether somebody holds so much that it should be known exactly: what has been sent since is not counted here.
    pub fn wants_count(&self) -> bool {
        self.held().values().any(|&octets| octets >= self.share / 2)
    }

    fn held_by(&self, client: IpAddr) -> u64 {
        self.held().get(&client).copied().unwrap_or(0)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        // Each change is one number; a panic cannot leave it half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::rate::{Flow, Rate};
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn rate(count: u32) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(60) }
    }

    #[test]
    fn each_limit_has_its_own_word_and_refuses_nobody_else() {
        let now = Instant::now();
        let guard = |change: fn(&mut Settings)| {
            let mut settings = Settings::unlimited();
            change(&mut settings);
            Guard::new(&settings)
        };
        let messages = guard(|s| s.messages_per_client = rate(1));
        assert_eq!(messages.message(A, "a@b", 0, now), Ok(()));
        assert_eq!(messages.message(A, "a@b", 0, now), Err(Spent::Messages));
        assert_eq!(messages.message(B, "a@b", 0, now), Ok(()));

        let bytes = guard(|s| s.bytes_per_client = Flow { octets: 100, per: Duration::from_secs(60) });
        assert_eq!(bytes.message(A, "", 101, now), Err(Spent::Bytes));
        assert_eq!(bytes.message(A, "", 100, now), Ok(()));
        bytes.received(A, 150, now);
        assert_eq!(bytes.message(A, "", 0, now), Err(Spent::Bytes));
        assert_eq!(bytes.message(A, "", 0, now + Duration::from_secs(31)), Ok(()));

        let senders = guard(|s| s.messages_per_sender = Some(rate(1)));
        assert_eq!(senders.message(A, "a@b", 0, now), Ok(()));
        assert_eq!(senders.message(B, "a@b", 0, now), Err(Spent::Sender));
        assert_eq!(senders.message(B, "", 0, now), Ok(()));

        let failures = guard(|s| s.failures_per_client = rate(5));
        failures.failed(A, 5, now);
        assert_eq!(failures.message(A, "a@b", 0, now), Err(Spent::Failures));
        assert_eq!(failures.message(B, "a@b", 0, now), Ok(()));

        let recipients = guard(|s| s.recipients_per_client = rate(2));
        assert_eq!([A, A, A, B].map(|who| recipients.recipient(who, now).is_ok()), [true, true, false, true]);
    }

    #[test]
    fn a_refusal_spends_nothing() {
        let now = Instant::now();
        let guard = Guard::new(&Settings {
            messages_per_client: rate(1),
            messages_per_sender: Some(rate(1)),
            queue_size_per_client: 10,
            ..Settings::unlimited()
        });
        assert_eq!(guard.message(A, "a@b", 11, now), Err(Spent::Share));
        assert_eq!(guard.message(A, "a@b", 10, now), Ok(()));
        assert_eq!(guard.message(A, "c@d", 10, now), Err(Spent::Messages));
        assert_eq!(guard.message(B, "c@d", 10, now), Ok(()));
    }

    #[test]
    fn a_share_of_the_queue_is_given_back_when_the_queue_says_so() {
        let now = Instant::now();
        let guard = Guard::new(&Settings { queue_size_per_client: 100, ..Settings::unlimited() });
        guard.holds(A, 49);
        assert!(!guard.wants_count());
        guard.holds(A, 50);
        assert!(guard.wants_count());
        assert_eq!((guard.message(A, "", 1, now), guard.message(A, "", 2, now)), (Ok(()), Err(Spent::Share)));
        assert_eq!(guard.message(B, "", 100, now), Ok(()));
        guard.set_held([(A, 98)]);
        assert_eq!(guard.message(A, "", 2, now), Ok(()));
        for n in 0..MOST_KEYS as u32 + 100 {
            guard.holds(IpAddr::from(n.to_be_bytes()), 1);
        }
        assert_eq!(guard.held().len(), MOST_KEYS);
    }
}
