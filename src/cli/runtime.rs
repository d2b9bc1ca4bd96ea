//! The tokio runtime of a command.

use tokio::runtime::{Builder, Runtime};

/// Starts a runtime. Two workers suffice beside the queue's own thread.
pub(super) fn start() -> anyhow::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    let build = || Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    Ok(crate::telemetry::panic::fatal(build)?)
}
