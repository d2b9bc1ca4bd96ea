//! The folders of the queue, made so that a power cut does not take them away.
//!
//! The name of a folder is an entry of its parent folder, and is durable only once the parent is synced (fsync(2)). The
//! caller syncs what it puts into a folder.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::QueueError;

/// Turns an error of the system about `path` into one that intake can act on.
pub(super) fn fault(what: &str, path: &Path, source: io::Error) -> QueueError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => QueueError::Full(path.display().to_string()),
        _ => QueueError::Io { what: format!("cannot {what} {}", path.display()), source },
    }
}

/// Makes a folder and its parents where they are missing, for their owner only. Their names are durable afterwards.
///
/// # Errors
/// [`QueueError::Full`]; [`QueueError::Io`] names the folder.
pub(super) fn make(path: &Path) -> Result<(), QueueError> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| fault("make", path, source))?;
    missing.iter().rev().filter_map(|folder| folder.parent()).try_for_each(sync)
}

/// Refuses a symbolic link in the place of one of the queue's own folders: the relay must not sort the files of others.
///
/// # Errors
/// [`QueueError::Io`] with the remedy.
pub(super) fn refuse_link(path: &Path) -> Result<(), QueueError> {
    if !path.is_symlink() {
        return Ok(());
    }
    let remedy = "it is a symbolic link, and the relay follows none there; put a folder in its place (for another disk, \
                  choose data_dir there, or use a bind mount)";
    Err(QueueError::Io { what: format!("cannot use {}", path.display()), source: io::Error::other(remedy) })
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// As [`make`].
pub(super) fn sync(folder: &Path) -> Result<(), QueueError> {
    // The parent of the relative path `data` is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|open| open.sync_all()).map_err(|source| fault("sync", folder, source))
}
