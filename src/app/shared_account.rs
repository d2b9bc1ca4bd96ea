//! Does another relay on this machine send through the same mailbox? Then both keep a budget, and the provider sees the sum.
//!
//! One advisory `flock` an account, on a file below the system's temporary folder, which the kernel gives back when the
//! process dies, however it dies. It is advice: nothing waits for it, nothing fails because of it, and a relay on another
//! machine or with another temporary folder (`PrivateTmp` of systemd, a container) is not seen. Invariants: the file's
//! name says nothing of the account but a hash; no file is followed or opened that is not ours.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::config;

/// What the owner should do.
const REMEDY: &str = "let one relay send for both: point the other one's clients at it, or give the other one a mailbox of its \
    own. If it must stay so, share the limits of [account.NAME.budget] out between them";

/// Held as long as the relay runs.
#[derive(Debug)]
pub(super) struct Marks(Vec<File>);

impl Marks {
    /// Marks these accounts as used by this process, and warns of those that another process has marked.
    pub(super) fn set(accounts: &[config::Account]) -> Marks {
        let mark = |account: &config::Account| match lock(&place(account), &account.user) {
            Ok(Some(file)) => Some(file),
            Ok(None) => {
                tracing::warn!(event = "account_shared", account = %account.name, remedy = REMEDY,
                    "another relay on this machine sends through the same mailbox, and neither knows what the other has sent");
                None
            }
            Err(error) => {
                tracing::debug!(event = "account_not_marked", account = %account.name, %error);
                None
            }
        };
        Marks(accounts.iter().filter_map(mark).collect())
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        for file in &self.0 {
            // Closing would do, were it not for a child that has just been forked and still holds a copy.
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

/// Where the mailbox is: the provider's name, whatever port is used; for a bare address the port tells servers apart.
fn place(account: &config::Account) -> String {
    let Some(endpoint) = account.endpoints.first() else { return account.preset.name.clone() };
    match endpoint.host.parse::<IpAddr>() {
        Ok(address) => format!("{address} {}", endpoint.port),
        Err(_) => endpoint.host.to_ascii_lowercase(),
    }
}

/// `None` when somebody else has it.
fn lock(place: &str, user: &str) -> io::Result<Option<File>> {
    let uid = geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("yizhan-{uid}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Everybody may write to the temporary folder: what is there may be a trap.
    let found = std::fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != uid {
        return Err(io::Error::other(format!("{} belongs to somebody else", folder.display())));
    }
    let path: PathBuf = folder.join(format!("account-{:016x}.lock", mark_of(place, user)));
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// FNV-1a, which every version computes alike.
fn mark_of(place: &str, user: &str) -> u64 {
    let text = format!("{place}\0{}", user.to_ascii_lowercase());
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_finds_it_taken_until_the_first_is_gone() {
        let user = format!("{}@marks.test", std::process::id());
        let first = lock("qq", &user).unwrap().expect("nobody has it");
        assert!(lock("qq", &user.to_uppercase()).unwrap().is_none());
        assert!(lock("other", &user).unwrap().is_some());
        drop(Marks(vec![first]));
        assert!(lock("qq", &user).unwrap().is_some());
    }
}
