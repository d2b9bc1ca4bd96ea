//! What has to be done from time to time: measure the levels that the door asks for, and delete old records.
//!
//! The levels are the machine's, so they are measured by the machine's time; records are old by the clock's date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::limits::room::Room;
use crate::queue::Queue;

/// How often the levels are measured: a full disk is seen this late at most, and `put` sees it at once anyway.
const LEVELS: Duration = Duration::from_secs(2);
/// How long old records may lie about.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Does the chores until the drain starts.
pub(super) async fn run(queue: Arc<dyn Queue>, clock: Clock, room: Room, data_dir: PathBuf, drain: Drain) {
    tokio::join!(levels(queue.as_ref(), &room, &data_dir, &drain), records(queue.as_ref(), &clock, &drain));
}

async fn levels(queue: &dyn Queue, room: &Room, data_dir: &Path, drain: &Drain) {
    loop {
        if let Ok(depth) = queue.depth().await {
            room.set_levels(depth.bytes, free(data_dir));
        }
        tokio::select! {
            () = drain.asked() => return,
            () = tokio::time::sleep(LEVELS) => {}
        }
    }
}

async fn records(queue: &dyn Queue, clock: &Clock, drain: &Drain) {
    let worker = clock.worker("the deletion of old records");
    loop {
        purge(queue, clock, drain).await;
        tokio::select! {
            () = drain.asked() => return,
            () = worker.sleep_until(Some(clock.now() + PURGE_EVERY)) => {}
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

/// Octets free for us on the disk of `path`; as good as unlimited when the system does not say.
fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}
