//! The folders of the queue: made so that a power cut does not take them away.
//!
//! The name of a folder is an entry of the folder above it, and is durable only once that one is synced (fsync(2)). What
//! lies in it has to be synced by those who put it there.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::Error;

/// Turns what the system said about `path` into the error that intake can act on.
pub(super) fn fault(what: &str, path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(path.to_owned()),
        _ => Error::Io { what: format!("cannot {what} {}", path.display()), source },
    }
}

/// Makes a folder for its owner only, and those above it, where they are missing. The names of those that were made are
/// durable afterwards.
///
/// # Errors
/// [`Error::Full`]; [`Error::Io`] names the folder.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| fault("make", path, source))?;
    missing.iter().rev().filter_map(|folder| folder.parent()).try_for_each(sync)
}

/// Refuses a symbolic link in the place of one of the queue's own folders: what it leads to is not the relay's to sort.
///
/// # Errors
/// [`Error::Io`] with the remedy.
pub(super) fn refuse_link(path: &Path) -> Result<(), Error> {
    if !path.is_symlink() {
        return Ok(());
    }
    let remedy = "it is a symbolic link, and the relay follows none there; put a folder in its place (for another disk, \
                  choose data_dir there, or use a bind mount)";
    Err(Error::Io { what: format!("cannot use {}", path.display()), source: io::Error::other(remedy) })
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// As [`make`].
pub(super) fn sync(folder: &Path) -> Result<(), Error> {
    // What is above `data` in the working folder has no name.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|open| open.sync_all()).map_err(|source| fault("sync", folder, source))
}
