//! Where the files of long bodies lie, and what they are called.
//!
//! Names only: nothing here opens a file (`body` does). Invariant: a name comes from us, never from a peer, and one that
//! is read back is used only if it could have come from us.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The folder that holds the files of long bodies: `spool/xx/NAME`, `xx` being the last two characters of the name.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// The next name: a random start, counted up, so that names differ from run to run and spread over the folders.
    next: AtomicU64,
    /// The disk has no room for new mail.
    full: AtomicBool,
}

impl Spool {
    /// The spool in `folder`; `seed` should be random.
    pub fn new(folder: PathBuf, seed: u64) -> Spool {
        Spool { folder, next: AtomicU64::new(seed), full: AtomicBool::new(false) }
    }

    /// Says whether the disk has room for new mail.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether the disk has no room for new mail.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the file called `name` lies; `None` unless the name is one that this type gives out, so that a row that
    /// was tampered with leads nowhere.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let legal = name.len() == 16 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        legal.then(|| self.folder.join(&name[14..]).join(name))
    }

    /// A name that no other body has.
    pub(super) fn fresh_name(&self) -> String {
        format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}
