//! A temporary folder that goes away with its value.
//!
//! Its path is short on purpose: a Unix socket path ends at 107 bytes, and Postfix and Dovecot put theirs inside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty folder of ours, readable by the users that the servers switch to (mode 755).
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates it below the system's temporary folder.
    pub fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// Creates it in memory where the system has a place for that (tmpfs at `/dev/shm`): syncs take no time there.
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory, name) } else { Self::new(name) }
    }

    fn below(parent: &Path, name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("yz-{}-{number}-{name}", std::process::id()));
        // A leftover of a killed run that had our process id.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the temporary folder is writable");
        set_mode(&path, 0o755);
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a folder inside, with this mode.
    pub fn dir(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).expect("a folder of ours is writable");
        set_mode(&path, mode);
        path
    }

    /// Writes a file inside that only its owner may read (mode 600), and gives its path.
    pub fn secret(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name, content);
        set_mode(&path, 0o600);
        path
    }

    /// Writes a file inside (mode 644, whatever the umask says) and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).expect("a folder of ours is writable");
        set_mode(&path, 0o644);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A daemon that was killed this moment may still create a file between our listing and our rmdir.
        for _ in 0..20 {
            if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Sets the permission bits of a path of ours.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}
