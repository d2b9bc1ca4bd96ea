//! What was received, the accounts, and the count of everything: shared by all connections of one sandbox.
//!
//! Invariants: the messages kept never exceed [`TOTAL`] octets, nor the number that was asked for (the newest always
//! stays); the counters go on when old messages are forgotten; whoever waits for a count is woken and need not poll.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::secret::Secret;

use super::{Limits, LoginRefusal};

/// Most octets of messages that are kept.
const TOTAL: usize = 256 << 20;
/// What the frequency limits count in.
const MINUTE: Duration = Duration::from_secs(60);

/// A message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The envelope sender.
    pub from: String,
    /// The recipients that were accepted, in their order.
    pub to: Vec<String>,
    /// Header block, blank line and body, as they came, with the added dots taken off (RFC 5321 section 4.5.2).
    pub data: Bytes,
    /// Who was logged in.
    pub login: String,
    /// The connection it came over; the first is 1.
    pub connection: u64,
    /// When it was complete.
    pub at: Timestamp,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP connections.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// Log-ins that succeeded.
    pub logins_ok: u64,
    /// Log-ins that were refused, for whatever cause.
    pub logins_refused: u64,
    /// Messages that were kept, also those whose client was not told.
    pub accepted: u64,
    /// Messages that were refused at MAIL (but not for want of a log-in), at DATA or at their end.
    pub refused: u64,
    /// Recipients that were refused at RCPT, not counting those beyond the limit.
    pub recipients_refused: u64,
    /// RSET commands.
    pub resets: u64,
    /// QUIT commands.
    pub quits: u64,
    /// Faults that struck.
    pub faults: u64,
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Store {
    stats: watch::Sender<Stats>,
    kept: Mutex<Kept>,
    accounts: Mutex<Accounts>,
    keep: usize,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Received>,
    octets: usize,
}

#[derive(Debug, Default)]
struct Accounts {
    by_key: HashMap<String, Account>,
    refusal: LoginRefusal,
    limits: Limits,
}

#[derive(Debug)]
struct Account {
    secret: Secret,
    logins: VecDeque<Timestamp>,
    messages: VecDeque<Timestamp>,
}

impl Store {
    pub(super) fn new(keep: usize, accounts: Vec<(String, Secret)>, limits: Limits) -> Store {
        let store = Store {
            stats: watch::Sender::default(),
            kept: Mutex::default(),
            accounts: Mutex::new(Accounts { limits, ..Accounts::default() }),
            keep: keep.max(1),
        };
        for (user, secret) in accounts {
            store.set_secret(&user, secret);
        }
        store
    }

    /// Changes the counters and wakes those who wait for them.
    pub(super) fn count(&self, change: impl FnOnce(&mut Stats)) {
        self.stats.send_modify(change);
    }

    pub(super) fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    pub(super) async fn wait_until(&self, reached: impl Fn(&Stats) -> bool) {
        // The sender is ours, so the channel cannot be closed while we wait.
        let _ = self.stats.subscribe().wait_for(|stats| reached(stats)).await;
    }

    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.kept).messages.iter().cloned().collect()
    }

    /// Keeps a message, forgets the oldest if need be, and counts it.
    pub(super) fn put(&self, message: Received) {
        {
            let mut kept = lock(&self.kept);
            kept.octets += message.data.len();
            kept.messages.push_back(message);
            while kept.messages.len() > self.keep || (kept.octets > TOTAL && kept.messages.len() > 1) {
                if let Some(oldest) = kept.messages.pop_front() {
                    kept.octets -= oldest.data.len();
                }
            }
        }
        self.count(|stats| stats.accepted += 1);
    }

    pub(super) fn set_secret(&self, user: &str, secret: Secret) {
        let mut accounts = lock(&self.accounts);
        match accounts.by_key.get_mut(&user.to_ascii_lowercase()) {
            Some(account) => account.secret = secret,
            None => {
                let account = Account { secret, logins: VecDeque::new(), messages: VecDeque::new() };
                accounts.by_key.insert(user.to_ascii_lowercase(), account);
            }
        }
    }

    pub(super) fn set_login_refusal(&self, refusal: LoginRefusal) {
        lock(&self.accounts).refusal = refusal;
    }

    /// Whether this log-in is good; if not, how to say so. A wrong code counts towards
    /// the limit as well; a try beyond the limit does not.
    pub(super) fn log_in(&self, user: &str, secret: &Secret, now: Timestamp) -> Result<(), LoginRefusal> {
        let mut accounts = lock(&self.accounts);
        let (refusal, limit) = (accounts.refusal, accounts.limits.logins_per_minute);
        let account = accounts.by_key.get_mut(&user.to_ascii_lowercase()).ok_or(refusal)?;
        if !within(&mut account.logins, limit, now) {
            // The real one does not say that it was the frequency either.
            return Err(LoginRefusal::Vague);
        }
        if account.secret == *secret { Ok(()) } else { Err(refusal) }
    }

    /// Whether `user` may send one more message now; if so, it counts.
    pub(super) fn may_send(&self, user: &str, now: Timestamp) -> bool {
        let mut accounts = lock(&self.accounts);
        let limit = accounts.limits.messages_per_minute;
        accounts.by_key.get_mut(&user.to_ascii_lowercase()).is_some_and(|a| within(&mut a.messages, limit, now))
    }
}

/// Whether one more is within the limit of a sliding minute; if so, it is recorded.
fn within(past: &mut VecDeque<Timestamp>, limit: Option<u32>, now: Timestamp) -> bool {
    let Some(limit) = limit else { return true };
    while past.front().is_some_and(|&then| now.since(then) >= MINUTE) {
        past.pop_front();
    }
    let free = past.len() < limit as usize;
    if free {
        past.push_back(now);
    }
    free
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is done under these locks cannot panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: Bytes) -> Received {
        Received {
            from: String::new(),
            to: Vec::new(),
            data,
            login: String::new(),
            connection: 1,
            at: Timestamp::default(),
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_still_counted() {
        let store = Store::new(2, Vec::new(), Limits::default());
        for octets in 1..=5 {
            store.put(message(Bytes::from(vec![b'x'; octets])));
        }
        assert_eq!(store.received().iter().map(|m| m.data.len()).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(store.stats().accepted, 5);
        let store = Store::new(100, Vec::new(), Limits::default());
        let large = Bytes::from(vec![b'x'; 70 << 20]);
        for _ in 0..5 {
            store.put(message(large.clone()));
        }
        assert_eq!(store.received().len(), 3);
    }

    #[test]
    fn a_minute_slides() {
        let limits = Limits { messages_per_minute: Some(2), logins_per_minute: Some(2), ..Limits::default() };
        let store = Store::new(1, vec![("A@qq.com".to_owned(), Secret::new("code"))], limits);
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let sent: Vec<bool> = [0, 30, 59, 60, 61, 90].into_iter().map(|s| store.may_send("a@qq.com", at(s))).collect();
        assert_eq!(sent, [true, true, false, true, false, true]);
        assert_eq!(store.log_in("a@QQ.com", &Secret::new("bad"), at(0)), Err(LoginRefusal::Vague));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(1)), Ok(()));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(2)), Err(LoginRefusal::Vague));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(60)), Ok(()));
        assert_eq!(store.log_in("b@qq.com", &Secret::new("code"), at(60)), Err(LoginRefusal::Vague));
    }
}
