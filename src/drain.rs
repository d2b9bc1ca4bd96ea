//! Stopping without dropping anything: one signal, and a named guard for everything that is still under way.
//!
//! Whoever does work holds a [`Guard`]; [`Drain::wait`] returns when the last one is gone, and [`Drain::names`] tells an
//! operator who is still here meanwhile. What has no end of its own and is needed by everybody is [`Drain::vital`]: when
//! it ends all the same, the drain starts by itself, and [`Drain::broken`] says so. Not here: what to do at the signal,
//! the deadline, and the exit code; they are `app`'s and `cli`'s.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The signal to stop, and the list of who has not stopped yet. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    token: CancellationToken,
    cut: CancellationToken,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    left: Notify,
    /// What ended that must not end, the first of them.
    broken: OnceLock<&'static str>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    names: BTreeMap<u64, Name>,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic while a name is inserted or removed cannot leave the map in a bad state.
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The name of work that is under way, put together only when somebody asks for it.
#[derive(Clone, Debug)]
pub struct Name {
    what: Cow<'static, str>,
    whose: Option<IpAddr>,
}

impl From<&'static str> for Name {
    fn from(what: &'static str) -> Name {
        Name { what: what.into(), whose: None }
    }
}

impl From<String> for Name {
    fn from(what: String) -> Name {
        Name { what: what.into(), whose: None }
    }
}

impl From<(&'static str, IpAddr)> for Name {
    fn from((what, whose): (&'static str, IpAddr)) -> Name {
        Name { what: what.into(), whose: Some(whose) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.whose.map_or(Ok(()), |whose| write!(f, " {whose}"))
    }
}

/// Held by work that must be finished before the process may end.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
    number: u64,
}

impl Drain {
    /// Asks everybody to come to an end. May be called more than once.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// Whether the end was asked for.
    pub fn started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when the end is asked for.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }

    /// The time for the drain is over: what is still under way must end at once, and write down how far it came.
    pub fn cut_short(&self) {
        self.cut.cancel();
    }

    /// Returns when the time for the drain is over.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Runs `work` that is to last until the drain starts. When it ends before, by itself or by a panic, the process is
    /// only half alive: see [`Drain::give_up`].
    pub async fn vital(&self, name: &'static str, work: impl Future<Output = ()>) {
        let mut end = Vital { drain: self, name, ended: false };
        work.await;
        end.ended = true;
    }

    /// Says that `name`, which everybody needs, is gone: the drain starts, and [`Drain::broken`] tells why. After the
    /// drain has started this does nothing.
    pub fn give_up(&self, name: &'static str) {
        if !self.started() && self.shared.broken.set(name).is_ok() {
            tracing::error!(
                event = "broken",
                part = name,
                "a part that everything needs has ended; the relay stops, to be started anew"
            );
            self.start();
        }
    }

    /// Which part ended that must not end, if one did.
    pub fn broken(&self) -> Option<&'static str> {
        self.shared.broken.get().copied()
    }

    /// Says that work called `name` is under way, until the guard is dropped.
    pub fn hold(&self, name: impl Into<Name>) -> Guard {
        let mut held = self.shared.held();
        held.next += 1;
        let number = held.next;
        held.names.insert(number, name.into());
        Guard { shared: self.shared.clone(), number }
    }

    /// Who is still here, in the order they came.
    pub fn names(&self) -> Vec<String> {
        self.shared.held().names.values().map(Name::to_string).collect()
    }

    /// Returns when nobody is left.
    pub async fn wait(&self) {
        loop {
            // Enrol before looking, so that a guard dropped in between is not missed.
            let left = self.shared.left.notified();
            if self.shared.held().names.is_empty() {
                return;
            }
            left.await;
        }
    }
}

/// Notices the end of vital work, by itself or by a panic. Work that somebody else drops in the middle has not ended: it
/// goes with its owner, who is noticed, and should be the one that is named.
struct Vital<'a> {
    drain: &'a Drain,
    name: &'static str,
    ended: bool,
}

impl Drop for Vital<'_> {
    fn drop(&mut self) {
        if self.ended || std::thread::panicking() {
            self.drain.give_up(self.name);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = self.shared.held();
        held.names.remove(&self.number);
        if held.names.is_empty() {
            self.shared.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_the_last_guard_and_knows_its_name() {
        let drain = Drain::default();
        drain.wait().await;
        let (first, second) = (drain.hold("one"), drain.hold(("two of", [10, 0, 0, 1].into())));
        drain.start();
        assert!(drain.started());
        drop(first);
        assert_eq!(drain.names(), ["two of 10.0.0.1"]);
        let waiter = tokio::spawn({
            let drain = drain.clone();
            async move { drain.wait().await }
        });
        drop(second);
        waiter.await.unwrap();
        assert!(drain.names().is_empty());
    }

    #[tokio::test]
    async fn a_093_the_end_of_what_is_vital_starts_the_drain() {
        let drain = Drain::default();
        let work = drain.clone();
        let panicked = tokio::spawn(async move { work.vital("one", async { panic!("on purpose") }).await }).await;
        assert!(panicked.is_err() && drain.started());
        // The first one is the cause, what follows is not.
        drain.vital("two", async {}).await;
        assert_eq!(drain.broken(), Some("one"));
        let sound = Drain::default();
        sound.start();
        sound.vital("three", async {}).await;
        assert_eq!(sound.broken(), None);
    }
}
