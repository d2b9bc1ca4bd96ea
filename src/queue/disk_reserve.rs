//! A file that only takes up space. It is deleted on a full disk, so that outcomes can be written and mail can be deleted.
//!
//! On a full disk the queue must still write the result of each attempt: without it the mail would be sent again after a
//! restart, and nothing could be deleted to make room. Invariant: new mail uses neither the reserve nor the space that it gave
//! back: none is stored until there is a reserve again.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};

use super::spool::Spool;

/// The most that is reserved, in octets: outcomes of some hundred messages before the log is copied back into the database.
const MOST: u64 = 4 * 1024 * 1024;
/// The least that is of use; a disk that is too small for it has no reserve.
const LEAST: u64 = 512 * 1024;
/// A small disk is divided by this.
const PART: u64 = 4;

/// The reserve of one data folder.
#[derive(Debug)]
pub(super) struct DiskReserve {
    path: PathBuf,
    state: ReserveState,
    /// Its drafts are refused while the reserve is spent.
    spool: Arc<Spool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReserveState {
    /// The file exists.
    There,
    /// It was given up, or there was no room for it: free space is for what is queued.
    Spent,
    /// The file system allows none, for another reason than space.
    Unavailable,
}

impl DiskReserve {
    /// Reserves space in `folder`, unless it is short there. A reserve that exists stays as it is.
    pub(super) fn take(folder: &Path, spool: Arc<Spool>) -> DiskReserve {
        let mut reserve = DiskReserve { path: folder.join("reserve"), state: ReserveState::Spent, spool };
        let kept = fs::symlink_metadata(&reserve.path).is_ok_and(|file| file.is_file() && file.len() >= LEAST);
        if kept {
            reserve.enter(ReserveState::There);
        } else {
            reserve.fill();
        }
        reserve
    }

    /// Gives the space back to the disk; false when there was none. New mail is refused until there is a reserve again.
    pub(super) fn give_up(&mut self) -> bool {
        if self.state != ReserveState::There {
            return false;
        }
        self.enter(ReserveState::Spent);
        let deleted = fs::remove_file(&self.path);
        tracing::error!(
            event = "reserve_used",
            path = %self.path.display(),
            "the disk is full: the queue uses its reserve to write down what becomes of queued mail, and takes no new mail; \
             make room on the disk"
        );
        deleted.is_ok()
    }

    /// Returns whether free space is for what is queued only.
    pub(super) fn is_spent(&self) -> bool {
        self.state == ReserveState::Spent
    }

    /// Reserves space again, once the disk has room.
    pub(super) fn renew(&mut self) {
        if !self.is_spent() {
            return;
        }
        self.fill();
        if !self.is_spent() {
            tracing::info!(event = "reserve_renewed", path = %self.path.display(), "the disk has room; the queue has its reserve again");
        }
    }

    fn fill(&mut self) {
        let disk = self.path.parent().and_then(|folder| statvfs(folder).ok());
        let Some(disk) = disk else { return self.enter(ReserveState::Unavailable) };
        let octets = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let wanted = (octets(disk.f_blocks) / PART).min(MOST);
        if wanted < LEAST {
            return self.enter(ReserveState::Unavailable);
        }
        // More than what was given up: that alone is no room for new mail.
        if octets(disk.f_bavail) < wanted + wanted / PART {
            return self.enter(ReserveState::Spent);
        }
        let state = match allocate(&self.path, wanted) {
            Ok(()) => ReserveState::There,
            Err(error) => {
                let _ = fs::remove_file(&self.path);
                tracing::debug!(event = "reserve_missing", path = %self.path.display(), %error, "no space could be reserved");
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ReserveState::Spent,
                    _ => ReserveState::Unavailable,
                }
            }
        };
        self.enter(state);
    }

    fn enter(&mut self, state: ReserveState) {
        self.state = state;
        self.spool.set_full(state == ReserveState::Spent);
    }
}

/// Makes the file with all its blocks. Its name need not survive a power cut: the next start reserves again.
fn allocate(path: &Path, octets: u64) -> io::Result<()> {
    let nofollow = OFlags::NOFOLLOW.bits() as i32;
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(nofollow).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, octets) {
        // A file system that cannot reserve: zeros take up the space as well.
        Err(rustix::io::Errno::OPNOTSUPP) => io::copy(&mut io::Read::take(io::repeat(0), octets), &mut &file).map(drop),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_takes_space_up_and_gives_it_back() {
        let folder = std::env::temp_dir().join(format!("yz-reserve-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let spool = Arc::new(Spool::new(folder.join("spool"), 1));
        let take = || DiskReserve::take(&folder, spool.clone());
        let mut reserve = take();
        let blocks =
            || fs::metadata(folder.join("reserve")).map(|file| std::os::unix::fs::MetadataExt::blocks(&file) * 512);
        assert!(!reserve.is_spent() && !spool.is_full() && blocks().unwrap() >= LEAST);
        assert!(!take().is_spent(), "the next start finds it");
        assert!(reserve.give_up() && blocks().is_err());
        assert!(reserve.is_spent() && spool.is_full(), "new mail must not take what it gave back");
        assert!(!reserve.give_up(), "there is nothing more to give");
        reserve.renew();
        assert!(blocks().unwrap() >= LEAST && !spool.is_full());
        fs::remove_dir_all(&folder).unwrap();
    }
}
