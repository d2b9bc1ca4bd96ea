//! TLS towards clients: the certificate and key of a listener, read again when their files change. TLS 1.2 or later;
//! clients are not asked for certificates.
//!
//! Whoever renews a certificate writes two files, and not in one moment. So what is new is taken only when the two fit
//! together; until then, and for ever if they never do, the old ones go on to be shown, and the log says why, once for
//! each change. Not here: when a handshake takes place, and what a client may do before and after it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{Error as RustlsError, ServerConfig};

use super::{TlsError, provider, read_certificates};
use crate::regular_file;

/// Why a certificate and key cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate cannot be read, or is none.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The key cannot be read, or holds none, or belongs to another certificate.
    #[error("the key file {} cannot be used: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate and key of a listener, as files.
#[derive(Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    shown: Mutex<Shown>,
}

/// Two are equal when they read the same files.
impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        (&self.certificate, &self.key) == (&other.certificate, &other.key)
    }
}

/// What clients are shown at present.
struct Shown {
    acceptor: TlsAcceptor,
    /// The files as they were when they were read last, good or bad.
    files: [Stamp; 2],
    looked: Instant,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("files", &self.files).finish_non_exhaustive()
    }
}

/// By what a file that changed is known; none where there is no file. The inode changes when a link is set anew.
type Stamp = Option<(u64, i64, i64, u64)>;

impl Identity {
    /// Reads both files (PEM).
    ///
    /// # Errors
    /// [`IdentityError`] says which of the files is no good, and why.
    pub fn open(certificate: &Path, key: &Path) -> Result<Identity, IdentityError> {
        // Before they are read: a change in between is noticed later.
        let files = [stamp(certificate), stamp(key)];
        let shown = Shown { acceptor: read(certificate, key)?, files, looked: Instant::now() };
        Ok(Identity { certificate: certificate.to_owned(), key: key.to_owned(), shown: Mutex::new(shown) })
    }

    /// The file with the private key.
    pub fn key_file(&self) -> &Path {
        &self.key
    }

    /// What the next handshake is made with. Looks at the files if that is due, on a thread that may wait for a disk.
    pub async fn acceptor(self: &Arc<Identity>) -> TlsAcceptor {
        let now = Instant::now();
        let due = {
            let mut shown = self.shown();
            let due = now.saturating_duration_since(shown.looked) >= LOOK;
            if due {
                shown.looked = now;
            }
            due
        };
        if due {
            let this = self.clone();
            // Only a panic could be its error, and what was shown before is good enough then.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
        self.shown().acceptor.clone()
    }

    /// Reads the files again if they have changed. True when something new is shown.
    pub fn look(&self) -> bool {
        let files = [stamp(&self.certificate), stamp(&self.key)];
        if self.shown().files == files {
            return false;
        }
        let new = read(&self.certificate, &self.key);
        let mut shown = self.shown();
        shown.files = files;
        match new {
            Ok(acceptor) => {
                shown.acceptor = acceptor;
                tracing::info!(event = "certificate_renewed", certificate = %self.certificate.display());
                true
            }
            Err(error) => {
                tracing::error!(
                    event = "certificate_kept",
                    "the new certificate is not used, the old one still is: {error}"
                );
                false
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

fn read(certificate: &Path, key: &Path) -> Result<TlsAcceptor, IdentityError> {
    let chain = read_certificates(certificate, regular_file::read)?;
    let private = read_key(key)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            RustlsError::InconsistentKeys(_) => {
                let reason = format!("it does not belong to the certificate in {}", certificate.display());
                IdentityError::Key { path: key.to_owned(), reason }
            }
            RustlsError::General(reason) => IdentityError::Key { path: key.to_owned(), reason },
            other => TlsError::Ca { path: certificate.to_owned(), reason: other.to_string() }.into(),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let error = |reason: String| IdentityError::Key { path: path.to_owned(), reason };
    let text = regular_file::read(path).map_err(|e| error(e.to_string()))?;
    let found = rustls_pemfile::private_key(&mut text.as_slice()).map_err(|e| error(e.to_string()))?;
    found.ok_or_else(|| error("it holds no private key in PEM form, or one that is locked with a password".to_owned()))
}
