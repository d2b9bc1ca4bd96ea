//! The idle connections of one account: taken again, closed when their time is over, counted while they are logged in.
//!
//! Idle connections are closed after a while, or when they are too old, by a task that sleeps until the first of them is
//! due ([`IdlePool::reap`]). Nothing is asked of an idle connection, NOOP neither: whether it lives is seen on the
//! socket. Not here: new connections (`acquire`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::connection::{ProviderConnection, Seat};
use super::settings::UpstreamSettings;

/// Connections that carry no message at present.
#[derive(Debug)]
pub(super) struct IdlePool {
    /// How long an unused connection is kept.
    idle_limit: Duration,
    /// How old a connection may become.
    oldest: Duration,
    messages_per_connection: u32,
    idle: Mutex<VecDeque<(Instant, ProviderConnection)>>,
    /// The reaper has something new to look at.
    returned: Notify,
    /// A connection may be taken.
    freed: Notify,
    /// Connections that are logged in.
    open: Arc<AtomicUsize>,
    /// Connections of an earlier epoch are not used again.
    epoch: AtomicU64,
}

impl IdlePool {
    /// No connections yet.
    pub(super) fn new(settings: &UpstreamSettings) -> IdlePool {
        IdlePool {
            idle_limit: settings.idle,
            oldest: settings.oldest,
            messages_per_connection: settings.messages_per_connection,
            idle: Mutex::default(),
            returned: Notify::new(),
            freed: Notify::new(),
            open: Arc::default(),
            epoch: AtomicU64::new(0),
        }
    }

    /// Completes when a connection was given back after this call.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// The connection that was used last, if one is still good.
    pub(super) async fn take(&self) -> Option<ProviderConnection> {
        loop {
            let (since, mut connection) = self.idle().pop_back()?;
            let fresh = since.elapsed() < self.idle_limit && !self.is_spent(&connection, 0);
            if fresh && connection.is_alive().await {
                return Some(connection);
            }
            tokio::spawn(connection.quit());
        }
    }

    /// Keeps a connection for the next message, unless it is spent.
    pub(super) fn give_back(&self, connection: ProviderConnection) {
        if self.is_spent(&connection, 0) {
            tokio::spawn(connection.quit());
            return;
        }
        self.idle().push_back((Instant::now(), connection));
        self.returned.notify_one();
        self.freed.notify_waiters();
    }

    /// Whether the connection has no message left in it after `more`.
    pub(super) fn is_spent(&self, connection: &ProviderConnection, more: u32) -> bool {
        let stale = connection.seat.as_ref().is_none_or(|seat| seat.epoch != self.epoch());
        stale || connection.messages() + more >= self.messages_per_connection || connection.age() >= self.oldest
    }

    /// The number of times that all connections were told to end.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Counts a connection as logged in. `epoch`: as it was when the connection was begun.
    pub(super) fn seat(&self, epoch: u64) -> Seat {
        Seat::take(&self.open, epoch)
    }

    /// Connections that are logged in, idle or at work.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Closes idle connections when their time is over; runs until the task is dropped.
    pub(super) async fn reap(&self) {
        loop {
            let returned = self.returned.notified();
            let next = self.idle().iter().map(|one| self.due(one)).min();
            match next {
                None => returned.await,
                Some(due) if due > Instant::now() => {
                    // A connection that came back later may be older than all that wait here.
                    tokio::select! { () = tokio::time::sleep_until(due) => {}, () = returned => {} }
                }
                Some(_) => {
                    let now = Instant::now();
                    let gone = {
                        let mut idle = self.idle();
                        let place = idle.iter().position(|one| self.due(one) <= now);
                        place.and_then(|place| idle.remove(place))
                    };
                    if let Some((_, connection)) = gone {
                        tokio::spawn(connection.quit());
                    }
                }
            }
        }
    }

    /// Says QUIT on all idle connections, and lets those at work carry no further message.
    pub(super) async fn close(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        let all: Vec<_> = self.idle().drain(..).collect();
        let farewells: Vec<_> = all.into_iter().map(|(_, connection)| tokio::spawn(connection.quit())).collect();
        for farewell in farewells {
            // A farewell that fails is a farewell.
            let _ = farewell.await;
        }
    }

    /// When an idle connection must be closed.
    fn due(&self, (since, connection): &(Instant, ProviderConnection)) -> Instant {
        (*since + self.idle_limit).min(connection.opened + self.oldest)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, ProviderConnection)>> {
        // Only whole connections are pushed and popped under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
