//! The lock on the data folder: two processes never share a queue (promise 7).
//!
//! An advisory `flock` on `yizhan.lock`, which the kernel gives back when the process dies, however it dies. The
//! number inside is for people. The file itself stays where it is: removing it would let two processes lock two files
//! of one name.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::queue::QueueError;

/// Held for as long as the queue is open.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks `folder`.
    ///
    /// # Errors
    /// [`QueueError::InUse`] when somebody else has it, in this process or another.
    pub(super) fn take(folder: &Path) -> Result<Lock, QueueError> {
        let path = folder.join("yizhan.lock");
        let io = |what: &str, source| QueueError::Io { what: format!("cannot {what} {}", path.display()), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // What it leads to would be emptied.
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|e| io("open", e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&file).take(20).read_to_string(&mut text);
                return Err(QueueError::InUse(format!(
                    "{} is in use by another yizhan (process {}); stop it, or give this one a data_dir of its own",
                    folder.display(),
                    text.trim().parse().unwrap_or(0),
                )));
            }
            Err(error) => return Err(io("lock", error.into())),
        }
        // A full disk must not keep the queue from being opened: it is opened to be emptied.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0));
        Ok(Lock(file))
    }

    /// Whether the lock is still the one that others would meet in `folder`.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        let ours = self.0.metadata().map(|meta| (meta.dev(), meta.ino()));
        let there = std::fs::metadata(folder.join("yizhan.lock")).map(|meta| (meta.dev(), meta.ino()));
        ours.is_ok_and(|ours| there.is_ok_and(|there| ours == there))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were it not for a child that has just been forked and still holds a copy.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
