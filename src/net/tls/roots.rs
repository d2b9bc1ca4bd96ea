//! The roots of trust of this process: read once for all accounts that trust the same, and again when their files change.
//!
//! [`Roots::current`] compares the metadata of the files at each dial, on a thread of its own, so a slow disk stops no other
//! task. Roots that cannot be read again stay as they were, and one line of the log names the remedy. Not here: what is
//! done with them (`tls`). Invariant: a file is compared by its metadata from before it was read, so a change during the
//! read is found at the next dial.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::rustls::RootCertStore;

use crate::fingerprint;

use super::{TlsError, read_certificates};

/// How long the files may take: a network disk that does not answer makes a reader wait for ever.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// Octets of the stack of a reader.
const STACK: usize = 128 * 1024;

/// Where systems keep their roots: the places that `rustls-native-certs` may read, so that a change of any is seen.
const PLACES: [&str; 14] = [
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cacert.pem",
    "/opt/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/share/certs",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/openssl/certs",
    "/etc/certs",
];

/// The roots of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Roots(Arc<Shared>);

struct Shared {
    /// One reader at a time: the thread of a read that hangs stays until the disk answers.
    reader: Arc<Semaphore>,
    /// By the `ca` file beside the machine's roots.
    known: Mutex<BTreeMap<Option<PathBuf>, Known>>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { reader: Arc::new(Semaphore::new(1)), known: Mutex::default() }
    }
}

/// What was read.
struct Known {
    store: Arc<RootCertStore>,
    /// The files that it was read from.
    stamp: u64,
    /// Some of it is the machine's own, rather than Mozilla's.
    native: bool,
    /// Why it could not be read again; logged once.
    complaint: Option<String>,
}

impl Roots {
    /// The roots of the machine and of the file `ca`, as they are on the disk now.
    ///
    /// # Errors
    /// They cannot be read, and never could.
    pub async fn current(&self, ca: Option<&Path>) -> Result<Arc<RootCertStore>, TlsError> {
        self.within(ca, READ_LIMIT).await
    }

    async fn within(&self, ca: Option<&Path>, limit: Duration) -> Result<Arc<RootCertStore>, TlsError> {
        let error = match timeout(limit, self.look_apart(ca)).await {
            Ok(Ok(store)) => return Ok(store),
            Ok(Err(error)) => error,
            Err(_) => TlsError::Roots(format!("no answer from the disk within {} seconds", limit.as_secs())),
        };
        let mut all = self.known();
        let Some(known) = all.get_mut(&ca.map(Path::to_owned)) else { return Err(error) };
        known.complain(ca, error.to_string());
        Ok(known.store.clone())
    }

    /// Compares and reads on a thread that is not the runtime's: those are waited for when the process ends.
    async fn look_apart(&self, ca: Option<&Path>) -> Result<Arc<RootCertStore>, TlsError> {
        let failed = |error: &dyn std::fmt::Display| TlsError::Roots(error.to_string());
        let turn = self.0.reader.clone().acquire_owned().await.map_err(|e| failed(&e))?;
        let (sender, receiver) = oneshot::channel();
        let (this, ca) = (self.clone(), ca.map(Path::to_owned));
        let work = move || {
            let found = this.look(ca.as_deref());
            drop(turn);
            // The caller may have gone; what was read is kept for the next one.
            let _ = sender.send(found);
        };
        let made = thread::Builder::new().name("roots".to_owned()).stack_size(STACK).spawn(work);
        made.map_err(|e| failed(&e))?;
        receiver.await.map_err(|e| failed(&e))?
    }

    /// Blocks for as long as the disk does.
    fn look(&self, ca: Option<&Path>) -> Result<Arc<RootCertStore>, TlsError> {
        let stamp = stamp(&places(), ca);
        let key = ca.map(Path::to_owned);
        let before = self.known().get(&key).map(|known| (known.store.clone(), known.stamp, known.native));
        if let Some((store, _, _)) = before.as_ref().filter(|(_, same, _)| *same == stamp) {
            return Ok(store.clone());
        }
        let (store, native) = read(ca)?;
        if before.as_ref().is_some_and(|(_, _, was_native)| *was_native) && !native {
            return Err(TlsError::Roots("the machine has none any more".to_owned()));
        }
        let store = Arc::new(store);
        if before.is_some() {
            tracing::info!(event = "roots_renewed", ca = %name(ca), roots = store.len(), "the certificates to trust have changed");
        }
        self.known().insert(key, Known { store: store.clone(), stamp, native, complaint: None });
        Ok(store)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Option<PathBuf>, Known>> {
        // Only whole values are put in under the lock.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Roots").field(&self.known().keys()).finish()
    }
}

impl Known {
    /// Logs why the roots stay as they are, unless the last line said the same.
    fn complain(&mut self, ca: Option<&Path>, why: String) {
        if self.complaint.as_ref() == Some(&why) {
            return;
        }
        tracing::error!(event = "roots_kept", ca = %name(ca), why,
            "the certificates to trust have changed and cannot be read; those read before stay in use. Put the file \
             back in PEM form, readable for the relay: the next connection takes it");
        self.complaint = Some(why);
    }
}

fn name(ca: Option<&Path>) -> String {
    ca.map_or_else(|| "(the machine's)".to_owned(), |path| path.display().to_string())
}

/// Reads the roots. Says as well whether the machine has some of its own.
///
/// # Errors
/// [`TlsError::Ca`] when the file that was named is no good. Roots of the machine that cannot be read are passed over.
pub(super) fn read(ca: Option<&Path>) -> Result<(RootCertStore, bool), TlsError> {
    // First, because it is small: a file that stays bad costs little at each dial.
    let own = ca.map(|path| read_certificates(path, |path| std::fs::read(path))).transpose()?.unwrap_or_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let native = !roots.is_empty();
    if !native {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for certificate in own {
        let no_good = |path: &Path, reason: String| TlsError::Ca { path: path.to_owned(), reason };
        roots.add(certificate).map_err(|e| no_good(ca.unwrap_or(Path::new("")), e.to_string()))?;
    }
    roots.roots.shrink_to_fit();
    Ok((roots, native))
}

/// The files and folders that the machine's roots may come from: what the environment names, else the usual ones.
fn places() -> Vec<PathBuf> {
    places_of(std::env::var_os("SSL_CERT_FILE"), std::env::var_os("SSL_CERT_DIR"))
}

fn places_of(file: Option<OsString>, folders: Option<OsString>) -> Vec<PathBuf> {
    let folders = folders.as_deref().map(std::env::split_paths).into_iter().flatten();
    let named: Vec<PathBuf> =
        folders.filter(|path| !path.as_os_str().is_empty()).chain(file.map(PathBuf::from)).collect();
    if named.is_empty() { PLACES.map(PathBuf::from).to_vec() } else { named }
}

/// A number that changes when a file of these does: by its metadata, which no write leaves as they were. A folder counts
/// with all its files.
fn stamp(places: &[PathBuf], ca: Option<&Path>) -> u64 {
    let mut files: Vec<PathBuf> = places.iter().cloned().chain(ca.map(Path::to_owned)).collect();
    for folder in places {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()));
    }
    files.sort_unstable();
    // Through links, to the files that are read.
    let found = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok();
        found.map(|d| (d.dev(), d.ino(), d.len(), d.mtime(), d.mtime_nsec(), d.ctime(), d.ctime_nsec()))
    };
    let found: Vec<_> = files.iter().map(found).collect();
    fingerprint::of((files, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: [&str; 2] = ["/a", "/b"];

    #[tokio::test]
    async fn accounts_that_trust_the_same_share_it_and_it_is_read_once() {
        let roots = Roots::default();
        let (one, other) = (roots.current(None).await.unwrap(), roots.clone().current(None).await.unwrap());
        assert!(Arc::ptr_eq(&one, &other) && !one.is_empty());
        assert_eq!(roots.known().len(), 1);
        let error = roots.current(Some(Path::new("/no/such/ca.pem"))).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
        assert_eq!(roots.known().len(), 1, "an error is not kept");
    }

    #[test]
    fn the_environment_names_the_places_or_the_usual_ones_count() {
        let named =
            |file: Option<&str>, folders: Option<&str>| places_of(file.map(Into::into), folders.map(Into::into));
        assert_eq!(named(Some("/b"), Some("/a")), NAMED.map(PathBuf::from));
        assert_eq!(named(None, Some("/a::/b")), NAMED.map(PathBuf::from));
        assert_eq!(named(None, Some("")).len(), PLACES.len());
    }

    #[test]
    fn every_change_of_a_file_changes_the_stamp() {
        let folder = std::env::temp_dir().join(format!("yizhan-stamp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, ca) = (folder.join("one.pem"), folder.join("ca.pem"));
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.join("link.pem")).unwrap();
        let places = [folder.clone()];
        let mut seen = vec![stamp(&places, None)];
        assert_eq!(stamp(&places, None), seen[0]);
        let mut changed = |what: &str| {
            let now = stamp(&places, Some(&ca));
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        changed("another file that is not there");
        std::fs::write(&ca, "ca").unwrap();
        changed("it is there");
        // Neither its size nor its time changes.
        let time = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::write(&file, "two").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        changed("written in place");
        std::fs::remove_file(folder.join("link.pem")).unwrap();
        std::os::unix::fs::symlink(&file, folder.join("link.pem")).unwrap();
        changed("a link leads elsewhere");
        std::fs::remove_dir_all(&folder).unwrap();
        changed("all is gone");
    }

    #[tokio::test]
    async fn a_disk_that_hangs_takes_one_thread_and_leaves_the_roots_in_use() {
        let path = std::env::temp_dir().join(format!("yizhan-roots-{}", std::process::id()));
        let roots = Roots::default();
        // A pipe that nobody writes to, in place of a network disk.
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let short = Duration::from_millis(50);
        let error = roots.within(Some(&path), short).await.unwrap_err();
        assert!(error.to_string().contains("no answer from the disk"), "{error}");
        let store = Arc::new(RootCertStore::empty());
        let known = Known { store: store.clone(), stamp: 0, native: false, complaint: None };
        roots.known().insert(Some(path.clone()), known);
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&roots.within(Some(&path), short).await.unwrap(), &store));
        }
        assert_eq!(roots.0.reader.available_permits(), 0, "one reader, and it still waits");
        // It answers again, with nothing that could be used.
        drop(std::fs::OpenOptions::new().write(true).open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&roots.current(Some(&path)).await.unwrap(), &store));
        assert!(roots.known()[&Some(path)].complaint.as_ref().unwrap().contains("No such file"));
    }
}
