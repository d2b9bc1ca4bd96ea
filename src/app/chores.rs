//! What has to be done from time to time: measure the levels that the door asks for, and delete old records.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::limits::room::Room;
use crate::queue::Queue;

/// How often the levels are measured: a full disk is seen this late at most, and `put` sees it at once anyway.
const LEVELS: Duration = Duration::from_secs(2);
/// How many measurements pass between two looks for old records.
const PURGE_EVERY: u32 = 30;

/// Does the chores until the drain starts.
pub(super) async fn run(queue: Arc<dyn Queue>, clock: Clock, room: Room, data_dir: PathBuf, drain: Drain) {
    let mut turn = 0u32;
    loop {
        if let Ok(depth) = queue.depth().await {
            room.set_levels(depth.bytes, free(&data_dir));
        }
        if turn.is_multiple_of(PURGE_EVERY) {
            purge(queue.as_ref(), &clock, &drain).await;
        }
        turn = turn.wrapping_add(1);
        tokio::select! {
            () = drain.asked() => return,
            () = tokio::time::sleep(LEVELS) => {}
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
