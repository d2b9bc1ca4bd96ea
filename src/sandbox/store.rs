//! What was received, the accounts, and the count of everything: shared by all connections of one sandbox.
//!
//! Invariants: the messages kept never exceed [`TOTAL`] octets, nor the number that was asked for (the newest always
//! stays); the counters go on when old messages are forgotten; whoever waits for a count is woken and need not poll.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::secret::Secret;

use super::limits::{Lock, Past, SandboxLimits, SandboxRates, Window};

/// Most octets of messages that are kept.
const TOTAL: usize = 256 << 20;

/// So many log-ins, and so many refusals for frequency, are remembered.
pub const LOGINS_KEPT: usize = 100_000;

/// How a log-in is refused. The connection ends after either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginRefusal {
    /// [`super::replies::LOGIN_FAILED`]: one sentence for five causes. The default.
    #[default]
    Vague,
    /// [`super::replies::use_authorization_code`]: clear, and in GB18030.
    UseAuthorizationCode,
}

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

impl Received {
    /// The value of the first header field of this name, unfolded (RFC 5322 section 2.2.3); octets that are no UTF-8 are
    /// replaced.
    pub fn field(&self, name: &str) -> Option<String> {
        let end = memchr::memmem::find(&self.data, b"\r\n\r\n").map_or(self.data.len(), |at| at + 2);
        let head = String::from_utf8_lossy(&self.data[..end]).replace("\r\n ", " ").replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The subject as it stands in the header; empty when there is none.
    pub fn subject(&self) -> String {
        self.field("Subject").unwrap_or_default()
    }
}

/// A log-in that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// As whom; it need not be an account.
    pub user: String,
    /// When.
    pub at: Timestamp,
    /// On which connection.
    pub connection: u64,
    /// Whether it was good.
    pub accepted: bool,
}

/// A frequency limit that was named to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Whose limit.
    pub user: String,
    /// When.
    pub at: Timestamp,
    /// Which window was full.
    pub window: Window,
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
    diary: Mutex<Diary>,
    accounts: Mutex<Accounts>,
    keep: usize,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Received>,
    octets: usize,
}

#[derive(Debug, Default)]
struct Diary {
    logins: VecDeque<Login>,
    limited: VecDeque<Limited>,
}

#[derive(Debug, Default)]
struct Accounts {
    by_key: HashMap<String, Account>,
    refusal: LoginRefusal,
    limits: SandboxLimits,
}

#[derive(Debug, Default)]
struct Account {
    /// Without one, every log-in is refused.
    secret: Option<Secret>,
    logins: Lock,
    messages: Past,
    recipients: Past,
}

impl Store {
    pub(super) fn new(keep: usize, accounts: Vec<(String, Secret)>, limits: SandboxLimits) -> Store {
        let store = Store {
            stats: watch::Sender::default(),
            kept: Mutex::default(),
            diary: Mutex::default(),
            accounts: Mutex::new(Accounts { limits, ..Accounts::default() }),
            keep: keep.max(1),
        };
        for (user, secret) in accounts {
            store.set_secret(&user, Some(secret));
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

    pub(super) fn logins(&self) -> Vec<Login> {
        lock(&self.diary).logins.iter().cloned().collect()
    }

    pub(super) fn limited(&self) -> Vec<Limited> {
        lock(&self.diary).limited.iter().cloned().collect()
    }

    /// Writes a log-in down, and counts it.
    pub(super) fn note_login(&self, login: Login) {
        let accepted = login.accepted;
        push(&mut lock(&self.diary).logins, login);
        self.count(|stats| match accepted {
            true => stats.logins_ok += 1,
            false => stats.logins_refused += 1,
        });
    }

    pub(super) fn set_secret(&self, user: &str, secret: Option<Secret>) {
        lock(&self.accounts).by_key.entry(user.to_ascii_lowercase()).or_default().secret = secret;
    }

    pub(super) fn set_login_refusal(&self, refusal: LoginRefusal) {
        lock(&self.accounts).refusal = refusal;
    }

    /// Whether this log-in is good; if not, how to say so. A wrong code counts towards the limits as well.
    pub(super) fn log_in(&self, user: &str, secret: &Secret, now: Timestamp) -> Result<(), LoginRefusal> {
        let mut accounts = lock(&self.accounts);
        let (refusal, limits) = (accounts.refusal, accounts.limits);
        let account = accounts.by_key.get_mut(&user.to_ascii_lowercase()).ok_or(refusal)?;
        if !account.logins.lets_in(&limits, now) {
            // The real one does not say that it was the frequency either.
            return Err(LoginRefusal::Vague);
        }
        if account.secret.as_ref() == Some(secret) { Ok(()) } else { Err(refusal) }
    }

    /// Whether `user` may send one more message now; if so, it counts.
    pub(super) fn may_send(&self, user: &str, now: Timestamp) -> Result<(), Window> {
        self.one_more(user, now, |limits| limits.message_rates, |account| &mut account.messages)
    }

    /// Whether `user` may have one more recipient now; if so, it counts.
    pub(super) fn may_reach(&self, user: &str, now: Timestamp) -> Result<(), Window> {
        self.one_more(user, now, |limits| limits.recipient_rates, |account| &mut account.recipients)
    }

    fn one_more(
        &self,
        user: &str,
        now: Timestamp,
        rates: impl Fn(&SandboxLimits) -> SandboxRates,
        past: impl Fn(&mut Account) -> &mut Past,
    ) -> Result<(), Window> {
        let mut accounts = lock(&self.accounts);
        let limits = accounts.limits;
        let account = accounts.by_key.entry(user.to_ascii_lowercase()).or_default();
        past(account).one_more(rates(&limits), limits.day, now).inspect_err(|&window| {
            let limited = Limited { user: user.to_owned(), at: now, window };
            push(&mut lock(&self.diary).limited, limited);
        })
    }
}

/// Adds one, and forgets the oldest if there are too many.
fn push<T>(list: &mut VecDeque<T>, one: T) {
    list.push_back(one);
    if list.len() > LOGINS_KEPT {
        list.pop_front();
    }
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
        let store = Store::new(2, Vec::new(), SandboxLimits::default());
        for octets in 1..=5 {
            store.put(message(Bytes::from(vec![b'x'; octets])));
        }
        assert_eq!(store.received().iter().map(|m| m.data.len()).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(store.stats().accepted, 5);
        let store = Store::new(100, Vec::new(), SandboxLimits::default());
        let large = Bytes::from(vec![b'x'; 70 << 20]);
        for _ in 0..5 {
            store.put(message(large.clone()));
        }
        assert_eq!(store.received().len(), 3);
    }

    #[test]
    fn a_minute_slides() {
        let twice = SandboxRates { minute: Some(2), ..SandboxRates::default() };
        let limits = SandboxLimits { message_rates: twice, login_rates: twice, ..SandboxLimits::default() };
        let store = Store::new(1, vec![("A@qq.com".to_owned(), Secret::new("code"))], limits);
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let sent: Vec<bool> =
            [0, 30, 59, 60, 61, 90].into_iter().map(|s| store.may_send("a@qq.com", at(s)).is_ok()).collect();
        assert_eq!(sent, [true, true, false, true, false, true]);
        assert_eq!(store.log_in("a@QQ.com", &Secret::new("bad"), at(0)), Err(LoginRefusal::Vague));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(1)), Ok(()));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(2)), Err(LoginRefusal::Vague));
        assert_eq!(store.log_in("a@qq.com", &Secret::new("code"), at(60)), Ok(()));
        assert_eq!(store.log_in("b@qq.com", &Secret::new("code"), at(60)), Err(LoginRefusal::Vague));
    }
}
