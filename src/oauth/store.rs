//! The file of a sign-in: `data_dir/oauth/NAME.json`, for the owner's eyes only (0600 in a folder 0700).
//!
//! A new version is written beside the file, synced, and takes its place in one step (rename(2)), so that a crash leaves the
//! old one or the new one. A lock file keeps two processes from refreshing at once. All calls block for as long as the disk
//! does. Invariant: no error holds anything of the file's text.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::settings::OAuthSettings;
use crate::clock::Timestamp;
use crate::net::tls::primitives::random;
use crate::regular_file;
use crate::secret::Secret;

/// The version of the form.
const VERSION: u32 = 1;

/// What is known of a sign-in.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// Tells this sign-in from another one; a refresh does not change it.
    pub id: String,
    /// What new access tokens are asked for with; none where the grant has none.
    pub refresh: Option<Secret>,
    /// The last access token.
    pub access: Option<Secret>,
    /// When it came.
    pub obtained: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The scope that was granted, if the service names it.
    pub scope: String,
    /// Who signed in, if the service says so.
    pub account: String,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error("the file of the sign-in {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not in the form that this version writes.
    #[error("the file of the sign-in {} is damaged, or a later version wrote it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It is one of another mailbox or program.
    #[error("the file of the sign-in {} belongs to {owner}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// It cannot be written.
    #[error("the file of the sign-in {} cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The form in the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    sign_in: String,
    user: String,
    client_id: String,
    token_url: String,
    refresh: Option<String>,
    access: Option<String>,
    obtained: Timestamp,
    expires: Timestamp,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    account: String,
}

/// Where the sign-in of one account is.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    name: String,
    user: String,
    client_id: String,
    token_url: String,
}

/// Held while a token is refreshed; another process waits for its end.
#[derive(Debug)]
pub struct RefreshLock {
    _file: File,
}

impl Store {
    /// The place of this account's sign-in. Nothing is touched.
    pub fn of(settings: &OAuthSettings) -> Store {
        Store {
            folder: settings.folder.clone(),
            name: settings.account.clone(),
            user: settings.user.clone(),
            client_id: settings.client_id.clone(),
            token_url: settings.token.as_str().to_owned(),
        }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.name))
    }

    /// The sign-in; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self) -> Result<Option<SignIn>, StoreError> {
        let path = self.path();
        let text = match regular_file::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Unreadable { path, source }),
        };
        let stored: Option<Stored> = serde_json::from_str(&text).ok().filter(|stored: &Stored| stored.v == VERSION);
        let Some(stored) = stored else { return Err(StoreError::Damaged { path }) };
        let same = stored.user.eq_ignore_ascii_case(&self.user)
            && stored.client_id == self.client_id
            && stored.token_url == self.token_url;
        if !same {
            let owner = format!("{} with the program {}", stored.user, stored.client_id);
            return Err(StoreError::Other { path, owner });
        }
        let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(|text| Secret::new(&text));
        Ok(Some(SignIn {
            id: stored.sign_in,
            refresh: secret(stored.refresh),
            access: secret(stored.access),
            obtained: stored.obtained,
            expires: stored.expires,
            scope: stored.scope,
            account: stored.account,
        }))
    }

    /// Writes the sign-in; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; the old version is still there then.
    pub fn write(&self, sign_in: &SignIn) -> Result<(), StoreError> {
        let path = self.path();
        let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let stored = Stored {
            v: VERSION,
            sign_in: sign_in.id.clone(),
            user: self.user.clone(),
            client_id: self.client_id.clone(),
            token_url: self.token_url.clone(),
            refresh: text(&sign_in.refresh),
            access: text(&sign_in.access),
            obtained: sign_in.obtained,
            expires: sign_in.expires,
            scope: sign_in.scope.clone(),
            account: sign_in.account.clone(),
        };
        let text = serde_json::to_string(&stored).expect("plain values always have a JSON form");
        self.replace(&path, text.as_bytes()).map_err(|source| StoreError::Unwritable { path, source })
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        let beside = self.folder.join(format!(".{}.{}.new", self.name, std::process::id()));
        // What a process with the same number left behind.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        self.hand_over(&beside)?;
        fs::rename(&beside, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Deletes the sign-in. False when there was none.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub fn remove(&self) -> Result<bool, StoreError> {
        let path = self.path();
        match fs::remove_file(&path).and_then(|()| File::open(&self.folder)?.sync_all()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::Unwritable { path, source }),
        }
    }

    /// The right to refresh; `None` while another process has it. The kernel takes it back however the process ends.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub fn try_lock(&self) -> Result<Option<RefreshLock>, StoreError> {
        let path = self.folder.join(format!("{}.lock", self.name));
        let open = || -> io::Result<Option<RefreshLock>> {
            self.make_folder()?;
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            self.hand_over(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(RefreshLock { _file: file })),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        open().map_err(|source| StoreError::Unwritable { path: path.clone(), source })
    }

    fn make_folder(&self) -> io::Result<()> {
        // The data folder itself may not be there before the first start of the relay.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if fs::metadata(&self.folder)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        }
        self.hand_over(&self.folder)
    }

    /// What root makes belongs to the owner of the data folder: the relay does not run as root, and must read it.
    fn hand_over(&self, path: &Path) -> io::Result<()> {
        let Some(owner) = self.folder.parent().filter(|_| geteuid().is_root()) else { return Ok(()) };
        let owner = fs::metadata(owner)?;
        chown(path, Some(owner.uid()), Some(owner.gid()))
    }
}

/// A new number for a sign-in.
///
/// # Errors
/// The system has no randomness to give.
pub fn new_id() -> io::Result<String> {
    let mut octets = [0; 12];
    random(&mut octets)?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests;
