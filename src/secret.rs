//! Secrets: where a password or an authorization code comes from, and a type that will not show it.
//!
//! Invariant: nothing in this crate can print a [`Secret`]; only [`Secret::expose`] hands the text out, and the only
//! callers are the log-in dialogues, the comparison of passwords, the redactor, and the doctor, who looks at its shape. The
//! memory is wiped when it is dropped (`secrecy`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use secrecy::{ExposeSecret, SecretString};

use crate::regular_file;

pub mod password;
pub mod redact;

/// A password or authorization code. `Debug` shows `[secret]`, there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps `text`, less the byte order mark and the blanks around it and, for an authorization code pasted as
    /// `abcd efgh ijkl mnop`, the blanks inside (QQ prints codes in groups of four; a code never has one).
    pub fn new(text: &str) -> Secret {
        // Windows editors write U+FEFF at the begin of a file.
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let groups: Vec<&str> = trimmed.split_whitespace().collect();
        let is_code =
            groups.len() == 4 && groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| b.is_ascii_alphanumeric()));
        Secret(SecretString::from(if is_code { groups.concat() } else { trimmed.to_owned() }))
    }

    /// The text itself. Never log it, never put it into an error.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

/// Where a secret is found. It is read again at each log-in, so that a renewed code takes effect without a restart.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretSource {
    /// `secret = { file = "..." }`
    File(PathBuf),
    /// `secret = { env = "..." }`
    Env(String),
    /// `secret = "..."`, in the settings themselves: works, and is warned about.
    Plain(Secret),
}

/// Why a secret could not be read. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing, may not be read, or is not a regular file.
    #[error("the secret file {} cannot be read: {source}", path.display())]
    File {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The environment variable is not set.
    #[error("the environment variable {0}, which should hold the secret, is not set")]
    Env(String),
    /// There is nothing in it but blanks.
    #[error("the secret is empty")]
    Empty,
}

/// How long a file may take to be read: a network disk that does not answer makes a reader wait for ever.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// Most threads that read one file at a time. The thread of a read that hangs stays until the disk answers.
const READERS: usize = 4;
/// Octets of the stack of such a thread.
const STACK: usize = 128 * 1024;

impl SecretSource {
    /// As [`SecretSource::read`], for a task: a file is read on a thread of its own, within five seconds.
    ///
    /// # Errors
    /// [`SecretError`] when it is missing, unreadable, empty, or not read in time.
    pub async fn read_apart(&self) -> Result<Secret, SecretError> {
        match self {
            SecretSource::File(path) => {
                let source = self.clone();
                read_within(path, READ_LIMIT, move || source.read()).await
            }
            SecretSource::Env(_) | SecretSource::Plain(_) => self.read(),
        }
    }

    /// Reads the secret from where it is kept, and has it taken out of texts from now on ([`redact`]). Blocks for as long
    /// as the disk does.
    ///
    /// # Errors
    /// [`SecretError`] when it is missing, unreadable or empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let secret = match self {
            SecretSource::Plain(secret) => secret.clone(),
            SecretSource::Env(name) => Secret::new(&std::env::var(name).map_err(|_| SecretError::Env(name.clone()))?),
            SecretSource::File(path) => {
                let text =
                    regular_file::read_text(path).map_err(|source| SecretError::File { path: path.clone(), source })?;
                Secret::new(&text)
            }
        };
        if secret.expose().is_empty() {
            return Err(SecretError::Empty);
        }
        redact::protect(&secret);
        Ok(secret)
    }
}

/// Has `read` read the file `path` on a thread of its own.
async fn read_within(
    path: &Path,
    limit: Duration,
    read: impl FnOnce() -> Result<Secret, SecretError> + Send + 'static,
) -> Result<Secret, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let answer = async {
        let seat = seats(path).acquire_owned().await.map_err(|error| failed(io::Error::other(error)))?;
        let (sender, receiver) = oneshot::channel();
        // Not one of the runtime's threads: those would be waited for when the process ends.
        let work = move || {
            // The caller may have gone.
            let _ = sender.send(read());
            drop(seat);
        };
        thread::Builder::new().name("secret".to_owned()).stack_size(STACK).spawn(work).map_err(failed)?;
        receiver.await.map_err(|error| failed(io::Error::other(error)))?
    };
    let late = || {
        let text = format!("no answer within {} seconds", limit.as_secs());
        Err(failed(io::Error::new(io::ErrorKind::TimedOut, text)))
    };
    timeout(limit, answer).await.unwrap_or_else(|_| late())
}

/// The readers that a file may have. There is one entry for each file that the settings name.
fn seats(path: &Path) -> Arc<Semaphore> {
    static SEATS: Mutex<BTreeMap<PathBuf, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());
    let mut all = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(path.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(READERS))).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_code_loses_its_blanks_and_a_pass_phrase_keeps_them() {
        assert_eq!(Secret::new(" abcd efgh ijkl mnop\n").expose(), "abcdefghijklmnop");
        assert_eq!(Secret::new("correct horse\n").expose(), "correct horse");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_secret() {
        let path = std::env::temp_dir().join(format!("yizhan-bom-{}", std::process::id()));
        for (octets, secret) in [
            ("\u{feff}abcdefghijklmnop\r\n", "abcdefghijklmnop"),
            ("\u{feff} abcd efgh ijkl mnop \n", "abcdefghijklmnop"),
            ("\u{feff}\u{a0}abcd\u{a0}efgh\u{a0}ijkl\u{a0}mnop", "abcdefghijklmnop"),
        ] {
            std::fs::write(&path, octets).unwrap();
            assert_eq!(SecretSource::File(path.clone()).read().unwrap().expose(), secret, "{octets:?}");
        }
        std::fs::write(&path, "\u{feff}\r\n").unwrap();
        assert!(matches!(SecretSource::File(path.clone()).read(), Err(SecretError::Empty)));
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_hangs_is_given_up_in_time_and_takes_few_threads() {
        let path = Path::new("/hung/code");
        // A disk that answers when the test lets go of it.
        let (disk, answer) = std::sync::mpsc::channel::<()>();
        let answer = Arc::new(Mutex::new(answer));
        for _ in 0..READERS + 2 {
            let answer = answer.clone();
            let hang = move || {
                let _ = answer.lock().unwrap().recv();
                Ok(Secret::new("late"))
            };
            let error = read_within(path, Duration::from_millis(20), hang).await.unwrap_err().to_string();
            assert!(error.contains("no answer within") && error.contains("/hung/code"), "{error}");
        }
        assert_eq!(seats(path).available_permits(), 0);
        // Each reader comes to its end, and the next one is served.
        drop(disk);
        let read = read_within(path, READ_LIMIT, || Ok(Secret::new("abcdefghijklmnop"))).await;
        assert_eq!(read.unwrap().expose(), "abcdefghijklmnop");
    }

    #[test]
    fn no_debug_output_shows_it() {
        let source = SecretSource::Plain(Secret::new("hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = SecretSource::File("/no/such/file".into()).read().unwrap_err();
        assert!(error.to_string().contains("/no/such/file"));
        let error = SecretSource::Env("YIZHAN_TEST_UNSET".into()).read().unwrap_err();
        assert!(error.to_string().contains("YIZHAN_TEST_UNSET"));
        assert!(matches!(SecretSource::Plain(Secret::new("  ")).read(), Err(SecretError::Empty)));
    }
}
