//! The limits of the listener that are counted for each client or envelope sender: messages, recipients, octets, refused
//! commands, and octets in the queue.
//!
//! A client counts under the networks of its [`Source`]. Intake asks at MAIL and at RCPT, before the client has spent
//! anything on a message that could not come in. Each limit is a 4yz to one command, and the connection goes on. What
//! only looks is asked first and `governor` last, so a refusal spends nothing; but with both `messages_per_client` and
//! `messages_per_sender`, a refusal by the second spends one of the first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;

use super::LimitSettings;
use super::log_budget::LogBudget;
use super::rate::{Allowance, Flow, MOST_KEYS, Rate, Rates};
use super::source::{SITE, Source};

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
    messages: PerSource<Rates>,
    recipients: PerSource<Rates>,
    bytes: PerSource<Allowance>,
    failures: PerSource<Allowance>,
    senders: Option<Rates>,
    share: u64,
    held: Mutex<HashMap<IpNet, u64>>,
    /// What each client may write into the log.
    pub log: LogBudget,
}

/// One limit, for each network and, [`SITE`] times as large, for each IPv6 /48.
#[derive(Debug)]
struct PerSource<L> {
    network: L,
    site: L,
}

impl PerSource<Rates> {
    fn rates(rate: Rate, now: Instant) -> PerSource<Rates> {
        PerSource { network: Rates::new(rate, now), site: Rates::new(rate.times(SITE), now) }
    }

    /// A refusal by the site's limit has spent one of the network's.
    fn take(&self, client: IpAddr, now: Instant) -> bool {
        let Source { network, site } = Source::of(client);
        self.network.take(network, now) && site.is_none_or(|site| self.site.take(site, now))
    }
}

impl PerSource<Allowance> {
    fn allowances(flow: Flow) -> PerSource<Allowance> {
        let site = flow.octets.saturating_mul(SITE.into());
        PerSource { network: Allowance::new(flow.octets, flow.per), site: Allowance::new(site, flow.per) }
    }

    fn has(&self, client: IpAddr, amount: u64, now: Instant) -> bool {
        let Source { network, site } = Source::of(client);
        self.network.has(network, amount, now) && site.is_none_or(|site| self.site.has(site, amount, now))
    }

    fn spend(&self, client: IpAddr, amount: u64, now: Instant) {
        let Source { network, site } = Source::of(client);
        self.network.spend(network, amount, now);
        if let Some(site) = site {
            self.site.spend(site, amount, now);
        }
    }
}

impl Guard {
    /// Nothing is spent. The times of all calls are at or after `start`.
    pub fn new(settings: &LimitSettings, start: Instant) -> Guard {
        let Rate { count, per } = settings.failures_per_client;
        Guard {
            messages: PerSource::rates(settings.messages_per_client, start),
            recipients: PerSource::rates(settings.recipients_per_client, start),
            bytes: PerSource::allowances(settings.bytes_per_client),
            failures: PerSource::allowances(Flow { octets: count.get().into(), per }),
            senders: settings.messages_per_sender.map(|rate| Rates::new(rate, start)),
            share: settings.queue_size_per_client,
            held: Mutex::default(),
            log: LogBudget::default(),
        }
    }

    /// May `client` begin a message of `size` octets (0: not known) from `sender` (any text that names it; empty: null)?
    /// If so, it is counted.
    ///
    /// # Errors
    /// [`Spent`]: nothing was counted, but for what the module says of the last.
    pub fn message(&self, client: IpAddr, sender: &str, size: u64, now: Instant) -> Result<(), Spent> {
        self.is_well_behaved(client, now)?;
        if !self.has_share(client, size) {
            return Err(Spent::Share);
        }
        if !self.bytes.has(client, size.max(1), now) {
            return Err(Spent::Bytes);
        }
        if !self.messages.take(client, now) {
            return Err(Spent::Messages);
        }
        if self.senders.as_ref().is_some_and(|senders| !senders.take(sender, now)) {
            return Err(Spent::Sender);
        }
        Ok(())
    }

    /// May `client` name one more recipient? If so, it is counted.
    ///
    /// # Errors
    /// [`Spent::Recipients`].
    pub fn recipient(&self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        self.recipients.take(client, now).then_some(()).ok_or(Spent::Recipients)
    }

    /// Counts octets of a message that `client` has sent, whatever becomes of it.
    pub fn received(&self, client: IpAddr, octets: u64, now: Instant) {
        self.bytes.spend(client, octets, now);
    }

    /// Counts commands of `client` that were refused for good: bad ones, log-ins, senders, recipients.
    pub fn failed(&self, client: IpAddr, count: u32, now: Instant) {
        self.failures.spend(client, count.into(), now);
    }

    /// Whether `client` has made fewer mistakes than it may. Intake asks before it checks a password.
    ///
    /// # Errors
    /// [`Spent::Failures`].
    pub fn is_well_behaved(&self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        self.failures.has(client, 1, now).then_some(()).ok_or(Spent::Failures)
    }

    /// Counts what was put into the queue for `client`, until the queue is asked again ([`Guard::set_held`]).
    pub fn holds(&self, client: IpAddr, octets: u64) {
        add(&mut self.held(), client, octets);
    }

    /// Sets what the queue holds for each client address. What was put in since it was asked is missing until the next
    /// time.
    pub fn set_held(&self, all: impl IntoIterator<Item = (IpAddr, u64)>) {
        let mut held = HashMap::new();
        all.into_iter().for_each(|(client, octets)| add(&mut held, client, octets));
        *self.held() = held;
    }

    /// Whether a client holds so much that it should be known exactly: what has been sent since is not counted here.
    pub fn wants_count(&self) -> bool {
        self.held().values().any(|&octets| octets >= self.share / 2)
    }

    fn has_share(&self, client: IpAddr, size: u64) -> bool {
        let held = self.held();
        Source::of(client).counted().all(|(network, times)| {
            let octets = held.get(&network).copied().unwrap_or(0);
            octets.saturating_add(size) <= self.share.saturating_mul(times.into())
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpNet, u64>> {
        // Each change is one number; a panic cannot leave it half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more network than are told apart counts for the whole queue only.
fn add(held: &mut HashMap<IpNet, u64>, client: IpAddr, octets: u64) {
    for (network, _) in Source::of(client).counted() {
        if held.len() < MOST_KEYS || held.contains_key(&network) {
            let own = held.entry(network).or_default();
            *own = own.saturating_add(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn rate(count: u32) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(60) }
    }

    #[test]
    fn each_limit_has_its_own_word_and_refuses_nobody_else() {
        let now = Instant::now();
        let guard = |change: fn(&mut LimitSettings)| {
            let mut settings = LimitSettings::unlimited();
            change(&mut settings);
            Guard::new(&settings, now)
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
        let settings = LimitSettings {
            messages_per_client: rate(1),
            messages_per_sender: Some(rate(1)),
            queue_size_per_client: 10,
            ..LimitSettings::unlimited()
        };
        let guard = Guard::new(&settings, now);
        assert_eq!(guard.message(A, "a@b", 11, now), Err(Spent::Share));
        assert_eq!(guard.message(A, "a@b", 10, now), Ok(()));
        assert_eq!(guard.message(A, "c@d", 10, now), Err(Spent::Messages));
        assert_eq!(guard.message(B, "c@d", 10, now), Ok(()));
    }

    #[test]
    fn a_share_of_the_queue_is_given_back_when_the_queue_says_so() {
        let now = Instant::now();
        let guard = Guard::new(&LimitSettings { queue_size_per_client: 100, ..LimitSettings::unlimited() }, now);
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

    #[test]
    fn every_limit_holds_for_a_network_and_four_times_for_its_site() {
        let now = Instant::now();
        let guard = Guard::new(
            &LimitSettings {
                messages_per_client: rate(2),
                recipients_per_client: rate(3),
                bytes_per_client: Flow { octets: 1000, per: Duration::from_secs(60) },
                failures_per_client: rate(5),
                queue_size_per_client: 100,
                ..LimitSettings::unlimited()
            },
            now,
        );
        let of = |network: u16, host: u16| IpAddr::from([0x2001, 0xdb8, 1, network, 0, 0, 0, host]);
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 2, 1, 0, 0, 0, 1]);
        let asked = |ask: &dyn Fn(IpAddr) -> bool| {
            let network = (0..20).filter(|host| ask(of(1, *host))).count();
            (network, (2..99).filter(|network| ask(of(*network, 1))).count(), ask(elsewhere))
        };
        assert_eq!(asked(&|client| guard.recipient(client, now).is_ok()), (3, 9, true));
        assert_eq!(asked(&|client| guard.message(client, "", 1, now).is_ok()), (2, 6, true));
        for network in 1..=4 {
            guard.failed(of(network, 1), 5, now);
            guard.received(of(network, 1), 1000, now);
            guard.holds(of(network, 2), 100);
        }
        assert_eq!(guard.is_well_behaved(of(999, 1), now), Err(Spent::Failures));
        assert!(guard.is_well_behaved(elsewhere, now).is_ok());
        assert!(!guard.bytes.has(of(999, 1), 1, now) && guard.bytes.has(elsewhere, 1000, now));
        assert!(!guard.has_share(of(999, 1), 1) && guard.has_share(elsewhere, 100));
    }
}
