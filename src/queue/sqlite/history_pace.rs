//! When the writer takes finished messages into the index: while it has nothing else to do, and a small part of the time
//! while it has.
//!
//! Only whole steps are taken, so an idle relay is not woken, and a search reads the few messages that are left from their
//! rows. A step is a transaction that is not synced: a power cut takes it back as a whole, and the messages are indexed again.
//! Invariant: no step waits for another thread, uses the disk reserve, or is taken while changes cannot be written.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::history_index::{self, Stepped, Trouble};
use super::writer::Writer;

/// So many finished messages are left out of the index at least: fewer are read from their rows at once.
const ENOUGH: usize = STEP;
/// The messages of a step, which takes some milliseconds. Most pages of the newest block change in each step, so that small
/// steps write more.
const STEP: usize = 256;
/// How long nothing must arrive before the writer counts as idle.
const QUIET: Duration = Duration::from_millis(20);
/// While changes arrive, the steps take one part of so many of the time. Time in which the writer waits for changes counts
/// more: a step then delays few of them.
const PART: u32 = 200;
const WAITING: u32 = 13;
/// With more messages than this the steps take twice the time: a search reads all of them from their rows.
const MANY: usize = 16 * STEP;
/// How long a step that failed is put off.
const LATER: Duration = Duration::from_secs(60);

/// What is known of the work that the index needs.
#[derive(Debug)]
pub(super) struct HistoryPace {
    /// Finished messages that the index lacks, as far as known.
    new: usize,
    /// Whether there may be more of them.
    unknown: bool,
    /// Whether a block may be empty.
    empty: bool,
    /// When the last step began and how long it took.
    last: Option<(Instant, Duration)>,
    /// How long the writer has waited since then.
    waited: Duration,
    /// Whether the last step failed.
    failed: bool,
    /// Whether nothing has arrived since the last step.
    idle: bool,
}

impl HistoryPace {
    /// At a start nothing is known: the first step looks.
    pub(super) fn new() -> HistoryPace {
        HistoryPace {
            new: 0,
            unknown: true,
            empty: true,
            last: None,
            waited: Duration::ZERO,
            failed: false,
            idle: false,
        }
    }

    /// Notes that so many messages were finished, and whether a block became empty.
    pub(super) fn note(&mut self, finished: usize, emptied: bool) {
        self.new += finished;
        self.empty |= emptied;
    }

    /// Notes that something arrived, for which the writer has waited so long.
    pub(super) fn note_arrival(&mut self, waited: Duration) {
        self.idle = false;
        self.waited += waited;
    }

    /// Whether a step may be taken now.
    pub(super) fn may_step(&self) -> bool {
        self.has_work() && self.rest().is_zero()
    }

    /// How long no step is taken.
    fn rest(&self) -> Duration {
        let Some((begin, took)) = self.last else { return Duration::ZERO };
        let part = if self.new > MANY { PART / 2 } else { PART };
        match self {
            HistoryPace { failed: true, .. } => LATER.saturating_sub(begin.elapsed()),
            HistoryPace { idle: true, .. } => Duration::ZERO,
            HistoryPace { waited, .. } => (took * part).saturating_sub(begin.elapsed() + *waited * (WAITING - 1)),
        }
    }

    fn has_work(&self) -> bool {
        self.new >= ENOUGH || self.unknown || self.empty
    }

    /// How long nothing must arrive before the next step; `None` while there is nothing to do.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self {
            _ if !self.has_work() => None,
            HistoryPace { failed: true, .. } => Some(self.rest().max(QUIET)),
            HistoryPace { .. } => Some(QUIET),
        }
    }

    fn stepped(&mut self, begin: Instant, stepped: Stepped) {
        // Messages that were noted may be gone again.
        let all = stepped.taken < STEP;
        self.new = if all { 0 } else { self.new.saturating_sub(stepped.taken) };
        self.unknown &= !all;
        self.empty = stepped.empty;
        (self.failed, self.waited) = (false, Duration::ZERO);
        self.last = Some((begin, begin.elapsed()));
    }

    fn put_off(&mut self) {
        self.failed = true;
        self.last = Some((Instant::now(), Duration::ZERO));
    }
}

impl Writer {
    /// Takes a step of the index after a time in which nothing arrived. Others follow until something arrives.
    pub(super) fn index_idle(&mut self) {
        self.history.idle = true;
        self.index_history();
    }

    /// Takes a step of the index.
    pub(super) fn index_history(&mut self) {
        if self.reserve.is_spent() || self.has_unwritten() || self.database.is_missing() {
            return self.history.put_off();
        }
        let begin = Instant::now();
        match self.without_sync(|conn| history_index::step(conn, STEP)) {
            Ok(stepped) => {
                self.slack |= stepped.freed;
                self.history.stepped(begin, stepped);
            }
            Err(Trouble::Damaged(block)) => self.index_anew(&[block]),
            Err(Trouble::Failed(error)) => self.index_failed(&error),
        }
    }

    /// Has blocks indexed again whose octets are damaged.
    pub(super) fn index_anew(&mut self, blocks: &[i64]) {
        let anew = |conn: &Connection| {
            blocks.iter().try_for_each(|block| history_index::index_anew(conn, *block)).map_err(Trouble::from)
        };
        match self.without_sync(anew) {
            Ok(()) => self.history.unknown = true,
            Err(Trouble::Failed(error)) => self.index_failed(&error),
            Err(Trouble::Damaged(_)) => self.history.put_off(),
        }
    }

    fn index_failed(&mut self, error: &rusqlite::Error) {
        self.history.put_off();
        match error.sqlite_error_code() {
            // It was rolled back, and the space is for mail.
            Some(ErrorCode::DiskFull) => {
                tracing::debug!(event = "history_later", %error, "finished messages are indexed later")
            }
            _ => tracing::error!(event = "queue_error", %error, "finished messages could not be indexed"),
        }
    }

    /// Runs a transaction that is durable once the next one is. Afterwards each commit is synced again, or the connection is
    /// given up.
    fn without_sync<T>(&mut self, change: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let conn = self.database.conn()?;
        let run = |sql| conn.execute_batch(sql).map_err(Trouble::from);
        let changed = run("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE")
            .and_then(|()| change(conn))
            .and_then(|value| run("COMMIT").map(|()| value));
        let sound = match &changed {
            Ok(_) | Err(Trouble::Damaged(_)) => true,
            Err(Trouble::Failed(error)) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseCorrupt) | None)
            }
        };
        let ended = conn.is_autocommit() || run("ROLLBACK").is_ok();
        let synced = run("PRAGMA synchronous = FULL").is_ok();
        if !(sound && ended && synced) {
            self.abandon();
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(pace: &mut HistoryPace, taken: usize) {
        pace.stepped(Instant::now(), Stepped { taken, ..Stepped::default() });
    }

    #[test]
    fn an_idle_relay_is_not_woken() {
        let mut pace = HistoryPace::new();
        assert_eq!(pace.patience(), Some(QUIET), "what is there at a start is not known");
        step(&mut pace, 3);
        assert_eq!((pace.patience(), pace.may_step()), (None, false));
        pace.note(ENOUGH - 1, false);
        assert_eq!(pace.patience(), None, "less than a step is left alone");
        pace.note(1, false);
        assert_eq!(pace.patience(), Some(QUIET));
        // They were deleted before the step.
        step(&mut pace, 0);
        assert_eq!((pace.patience(), pace.may_step()), (None, false));
        pace.note(0, true);
        assert_eq!(pace.patience(), Some(QUIET), "an empty block is deleted");
    }

    #[test]
    fn a_large_number_is_taken_step_by_step() {
        let mut pace = HistoryPace::new();
        pace.idle = true;
        step(&mut pace, STEP);
        assert!(pace.may_step(), "an idle writer goes on at once");
        pace.note_arrival(Duration::ZERO);
        pace.last = Some((Instant::now(), Duration::from_secs(1)));
        assert!(!pace.may_step(), "between changes it rests");
        pace.note_arrival(Duration::from_secs(17));
        assert!(pace.may_step(), "it has waited for changes most of the time");
    }

    #[test]
    fn a_step_that_failed_is_put_off() {
        let mut pace = HistoryPace::new();
        (pace.idle, pace.waited) = (true, LATER);
        pace.put_off();
        assert!(!pace.may_step() && pace.patience().is_some_and(|patience| patience > LATER / 2));
    }
}
