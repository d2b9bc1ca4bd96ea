//! Periodic work: measures the levels for the limits of the listener, and deletes old records.
//!
//! The levels are the machine's, so they are measured by the machine's time; records are old by the clock's date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::drain::Drain;
use crate::limits::capacity::{Capacity, Levels};
use crate::limits::guard::Guard;
use crate::queue::Queue;
use crate::telemetry::counter::Counters;
use crate::telemetry::log;

use super::purge::PurgeWatch;

/// How often the levels are measured: a full disk is seen this late at most, and `put` sees it at once anyway.
const LEVELS: Duration = Duration::from_secs(2);
/// How often it is counted what each client has in the queue, while one of them has much. A count may use a fiftieth of
/// the time at most.
const SHARES: Duration = Duration::from_secs(10);
const SHARES_PART: u32 = 50;
/// How long old records may lie about.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Does the chores until the drain starts.
pub(super) async fn run(queue: Arc<dyn Queue>, clock: Clock, door: Door, data_dir: PathBuf, drain: Drain) {
    tokio::join!(
        levels(queue.as_ref(), &door, &data_dir, &drain),
        shares(queue.as_ref(), &door.guard, &drain),
        records(queue.as_ref(), &clock, &drain)
    );
}

/// The parts of the listeners that receive the fill levels and shares, and the counters.
pub(super) struct Door {
    pub(super) counters: Counters,
    pub(super) capacity: Capacity,
    pub(super) guard: Arc<Guard>,
}

/// What each client has in the queue: once at the start, then when it matters.
async fn shares(queue: &dyn Queue, guard: &Guard, drain: &Drain) {
    loop {
        let begin = Instant::now();
        match queue.bytes_by_addr().await {
            Ok(held) => guard.set_held(held),
            Err(error) => tracing::warn!(event = "queue_error", "it could not be counted who has what: {error}"),
        }
        let mut rest = SHARES.max(begin.elapsed() * SHARES_PART);
        loop {
            tokio::select! {
                () = drain.asked() => return,
                () = tokio::time::sleep(rest) => {}
            }
            if guard.wants_count() {
                break;
            }
            rest = SHARES;
        }
    }
}

async fn levels(queue: &dyn Queue, door: &Door, data_dir: &Path, drain: &Drain) {
    loop {
        log::count_dropped(&door.counters);
        if let Ok(bytes) = queue.bytes().await {
            door.capacity.set_levels(measure(data_dir, bytes));
        }
        tokio::select! {
            () = drain.asked() => return,
            () = tokio::time::sleep(LEVELS) => {}
        }
    }
}

async fn records(queue: &dyn Queue, clock: &Clock, drain: &Drain) {
    let worker = clock.worker("the deletion of old records");
    let saved = queue.saved_time().await.unwrap_or_else(|error| {
        tracing::warn!(event = "queue_error", "the saved time could not be read: {error}");
        None
    });
    let mut watch = PurgeWatch::new(saved);
    loop {
        let now = clock.now();
        let step = watch.look(now, PURGE_EVERY);
        if let Some(saved) = step.save
            && let Err(error) = queue.save_time(saved).await
        {
            tracing::warn!(event = "queue_error", "the time could not be saved: {error}");
        }
        if step.purge {
            purge(queue, clock, drain).await;
        }
        tokio::select! {
            () = drain.asked() => return,
            () = worker.sleep_until(Some(now + PURGE_EVERY)) => {}
            () = clock.set_back(now) => {}
        }
    }
}

async fn purge(queue: &dyn Queue, clock: &Clock, drain: &Drain) {
    loop {
        match queue.purge(clock.now()).await {
            Ok(true) if !drain.started() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(event = "queue_error", "old records could not be deleted: {error}");
                return;
            }
        }
    }
}

/// What is free for us on the disk of `path`; as good as unlimited when the system does not say. File systems that make
/// inodes as they need them (btrfs) count none at all.
fn measure(path: &Path, queue_bytes: u64) -> Levels {
    let unlimited = Levels { queue_bytes, disk_free: u64::MAX, inodes_free: u64::MAX };
    rustix::fs::statvfs(path).map_or(unlimited, |stat| Levels {
        queue_bytes,
        disk_free: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes_free: if stat.f_files == 0 { u64::MAX } else { stat.f_favail },
    })
}
