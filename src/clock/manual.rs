//! A clock that is moved by hand, and the board on which everybody who sleeps or works on it is written down.
//!
//! A test moves the clock to the next time that somebody sleeps for, but not before everything that the present time
//! has set off is done. Sleepers alone cannot tell that: who was just woken is nowhere on the list of sleepers, and
//! neither is a message on its way through real sockets. So work is on the board as well: a [`Worker`] is at work from
//! its making to its end, except while it sleeps through [`Worker::sleep_until`].
//!
//! ```text
//!  at rest  =  every worker sleeps, for a time to come, and has looked at its work since the last nudge
//!              and no other sleeper's time has come
//! ```
//!
//! All of it is one value in one channel, so that it is looked at as a whole. Invariant: a sleeper whose time has come
//! stays on the board until its task runs; so there is no moment between "woken" and "at work" in which the clock looks
//! at rest. Not here: the machine's clock, which has no board.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::{Clock, Timestamp};

/// Later than any date: for who sleeps until something else happens.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Manual(watch::Sender<Board>);

#[derive(Debug)]
struct Board {
    now: Timestamp,
    /// How often everybody was asked to look again.
    nudges: u64,
    /// The number of the next who is written down.
    next: u64,
    sleepers: BTreeMap<u64, Timestamp>,
    workers: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// The last nudge that came before the worker began to look at its work.
    seen: u64,
    /// Until when it sleeps; `None` while it works.
    asleep: Option<Timestamp>,
}

impl Board {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn earliest(&self) -> Option<Timestamp> {
        let workers = self.workers.values().filter_map(|worker| worker.asleep);
        self.sleepers.values().copied().chain(workers).filter(|&at| at != NEVER).min()
    }

    fn rests(&self) -> bool {
        let done = |worker: &Entry| worker.asleep.is_some_and(|at| at > self.now) && worker.seen == self.nudges;
        self.workers.values().all(done) && self.sleepers.values().all(|&at| at > self.now)
    }
}

impl Manual {
    pub(super) fn new(now: Timestamp) -> Manual {
        let (sleepers, workers) = (BTreeMap::new(), BTreeMap::new());
        Manual(watch::Sender::new(Board { now, nudges: 0, next: 0, sleepers, workers }))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    pub(super) fn set(&self, to: impl FnOnce(Timestamp) -> Timestamp) {
        self.0.send_modify(|board| board.now = to(board.now));
    }

    pub(super) fn nudge(&self) {
        self.0.send_modify(|board| board.nudges += 1);
    }

    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.0.borrow().earliest()
    }

    pub(super) async fn wait_earliest(&self, wanted: impl Fn(Option<Timestamp>) -> bool) -> Option<Timestamp> {
        self.wait(|board| wanted(board.earliest())).await;
        self.earliest()
    }

    pub(super) async fn at_rest(&self) -> Option<Timestamp> {
        self.wait(Board::rests).await;
        self.earliest()
    }

    pub(super) fn at_work(&self) -> Vec<String> {
        let board = self.0.borrow();
        let why = |worker: &Entry| match worker.asleep {
            None => Some(format!("{} is at work", worker.name)),
            Some(at) if at <= board.now => Some(format!("{} should wake, it slept until {at:?}", worker.name)),
            Some(_) if worker.seen < board.nudges => Some(format!("{} should look at its work again", worker.name)),
            Some(_) => None,
        };
        let late = board.sleepers.values().filter(|&&at| at <= board.now);
        let late = late.map(|at| format!("somebody should wake who slept until {at:?}"));
        board.workers.values().filter_map(why).chain(late).collect()
    }

    pub(super) async fn sleep_until(&self, at: Timestamp) {
        let mut number = 0;
        self.0.send_modify(|board| {
            number = board.number();
            board.sleepers.insert(number, at);
        });
        let _gone = OnDrop(|| {
            self.0.send_modify(|board| {
                board.sleepers.remove(&number);
            });
        });
        self.wait(|board| board.now >= at).await;
    }

    pub(super) async fn wait_earlier(&self, than: Timestamp) {
        self.wait(|board| board.now < than).await;
    }

    /// Sleeps for the worker `number`; also until a nudge that it has not seen.
    async fn worker_sleeps(&self, number: u64, at: Timestamp) {
        let mut seen = 0;
        self.change(number, |worker, _| {
            worker.asleep = Some(at);
            seen = worker.seen;
        });
        // Whether time wakes it or somebody else: from here on it looks at its work with all that has come until now.
        let _awake = OnDrop(|| {
            self.change(number, |worker, nudges| {
                worker.asleep = None;
                worker.seen = nudges;
            });
        });
        self.wait(|board| board.now >= at || board.nudges > seen).await;
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Entry, u64)) {
        self.0.send_modify(|board| {
            if let Some(worker) = board.workers.get_mut(&number) {
                change(worker, board.nudges);
            }
        });
    }

    async fn wait(&self, reached: impl Fn(&Board) -> bool) {
        // The sender is ours, so the channel cannot be closed while we wait.
        let _ = self.0.subscribe().wait_for(|board| reached(board)).await;
    }
}

/// Runs at the end of a sleep, however it ends: a task that gives up sleeping drops the future.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Somebody whose work must be done before a manual clock may move on; at work from its making until it is dropped,
/// except while it sleeps. On the machine's clock it is nothing but a way to sleep.
///
/// Work that is handed over takes its own worker along: make it before the task is spawned, let the task return it, and
/// drop it where the task's end is taken notice of. Then there is no gap in which nobody seems to work.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    number: u64,
}

impl Worker {
    pub(super) fn new(clock: Clock, name: String) -> Worker {
        let mut number = 0;
        if let Some(manual) = &clock.0 {
            manual.0.send_modify(|board| {
                number = board.number();
                board.workers.insert(number, Entry { name, seen: board.nudges, asleep: None });
            });
        }
        Worker { clock, number }
    }

    /// Sleeps until the clock shows `at`, for ever without one; a manual clock's [`nudge`](Clock::nudge) ends it early.
    /// So it belongs into a loop that looks at its work after each sleep. One worker sleeps once at a time.
    ///
    /// May be dropped before its end, as `select!` does: whatever the worker does then is work again.
    pub async fn sleep_until(&self, at: Option<Timestamp>) {
        match (&self.clock.0, at) {
            (Some(manual), at) => manual.worker_sleeps(self.number, at.unwrap_or(NEVER)).await,
            (None, Some(at)) => self.clock.sleep_until(at).await,
            (None, None) => std::future::pending().await,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(manual) = &self.clock.0 {
            manual.0.send_modify(|board| {
                board.workers.remove(&self.number);
            });
        }
    }
}

#[cfg(test)]
mod tests;
