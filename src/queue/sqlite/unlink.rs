//! Unlinks the bodies of messages that are gone; while a backup runs, it waits.
//!
//! A backup copies the bodies that its snapshot of the database names. What is unlinked before it begins is named by no
//! snapshot, because its commit came first. Invariant: the gate opens again however the backup ends.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::task::spawn_blocking;

use crate::queue::QueueError;

/// How often a query that is to end is interrupted; one that has not begun yet does not notice.
const AGAIN: Duration = Duration::from_millis(20);

/// The work of the thread that unlinks files until the writer is gone. What cannot be unlinked is swept at the next start.
pub(super) fn unlinker(paths: Receiver<PathBuf>, gate: Arc<BackupGate>) -> impl FnOnce() + Send + 'static {
    move || {
        for path in paths {
            gate.wait_until_open();
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(event = "queue_error", path = %path.display(), %error, "the body of a message that is gone could not be deleted");
            }
        }
    }
}

/// Lets one backup run at a time, and keeps the bodies while it runs.
#[derive(Debug, Default)]
pub(super) struct BackupGate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    /// A backup runs.
    running: bool,
    /// No backup may begin, and the one that runs is to end.
    closed: bool,
    /// Ends the query of the backup.
    query: Option<InterruptHandle>,
}

impl std::fmt::Debug for GateState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateState").field("running", &self.running).field("closed", &self.closed).finish()
    }
}

impl BackupGate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        // Poisoned or not, the state is whole: nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a backup, which lasts until the value is dropped.
    ///
    /// # Errors
    /// [`QueueError::InUse`] while another one runs; [`QueueError::Closed`].
    pub(super) fn begin(self: &Arc<BackupGate>) -> Result<RunningBackup, QueueError> {
        let mut state = self.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        if state.running {
            return Err(QueueError::InUse("a backup is being made already; try again when it has ended".to_owned()));
        }
        state.running = true;
        Ok(RunningBackup(self.clone()))
    }

    fn wait_until_open(&self) {
        let wait = self.changed.wait_while(self.state(), |state| state.running);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the backup that runs, and allows no other. Blocks until it has ended.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        while state.running {
            if let Some(query) = &state.query {
                query.interrupt();
            }
            let wait = self.changed.wait_timeout(state, AGAIN);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// As [`BackupGate::close`], for a task.
    pub(super) async fn close_from_task(self: &Arc<BackupGate>) {
        self.state().closed = true;
        if self.state().running {
            let gate = self.clone();
            // A task that dies was to wait only.
            let _ = spawn_blocking(move || gate.close()).await;
        }
    }
}

/// A backup that runs. Bodies are kept until it is dropped.
#[derive(Debug)]
pub(super) struct RunningBackup(Arc<BackupGate>);

impl RunningBackup {
    /// Lets the gate interrupt what runs on `conn`.
    pub(super) fn interrupt(&self, conn: &Connection) {
        self.0.state().query = Some(conn.get_interrupt_handle());
    }

    /// Returns whether it is to end.
    pub(super) fn is_to_end(&self) -> bool {
        self.0.state().closed
    }
}

impl Drop for RunningBackup {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.running, state.query) = (false, None);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread::spawn;

    use super::*;

    #[test]
    fn files_are_unlinked_after_a_backup_that_panics() {
        let gate: Arc<BackupGate> = Arc::default();
        let path = std::env::temp_dir().join(format!("yizhan-gate-{}", std::process::id()));
        fs::write(&path, "a body").unwrap();
        let running = gate.begin().unwrap();
        assert!(matches!(gate.begin(), Err(QueueError::InUse(_))));
        let (paths, inbox) = channel();
        let unlinks = spawn(unlinker(inbox, gate.clone()));
        paths.send(path.clone()).unwrap();
        drop(paths);
        let (go, waits) = channel::<()>();
        let backup = spawn(move || {
            let _running = running;
            waits.recv().unwrap();
            panic!("a fault in the backup");
        });
        assert!(path.exists() && !unlinks.is_finished());
        go.send(()).unwrap();
        assert!(backup.join().is_err());
        unlinks.join().unwrap();
        assert!(!path.exists());
        gate.close();
        assert!(matches!(gate.begin(), Err(QueueError::Closed)));
    }
}
