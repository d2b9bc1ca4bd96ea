//! How every attack ends: the relay lives and answers, the octets that it sends are legal, and nothing is left in the data
//! folder. A test adds what it alone knows: which messages there must be.
//!
//! Not here: what an attack is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::entrance::Line;
use super::program::files;

/// What lies in a data folder beside the files of long bodies.
const OURS: [&str; 6] = ["control.sock", "queue.db", "queue.db-shm", "queue.db-wal", "reserve", "yizhan.lock"];

/// A new session is answered within a second (a busy machine gets three tries), and nothing of the relay has panicked.
pub async fn answers(door: SocketAddr) {
    let session = async || {
        let mut line = Line::hello(door).await;
        line.ask("NOOP", "250").await;
        line.ask("QUIT", "221").await;
    };
    let mut tries = 0;
    while timeout(Duration::from_secs(1), session()).await.is_err() {
        tries += 1;
        assert!(tries < 3, "no session is answered in a second");
    }
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(panics.is_empty(), "{panics:?}");
}

/// CR and LF as CRLF only, no NUL, and no line over 998 octets (RFC 5321 section 4.5.3.1.6).
pub fn legal(data: &[u8]) {
    let bare = data.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
    assert!(!bare && !data.starts_with(b"\n") && !data.ends_with(b"\r"), "{}", data.escape_ascii());
    assert!(!data.contains(&0), "{}", data.escape_ascii());
    let longest = data.split(|&octet| octet == b'\n').map(|line| line.len().saturating_sub(1)).max();
    assert!(longest <= Some(998), "{longest:?}");
}

/// Nothing lies in the data folder but what always does: no file of a message that is gone, no half one, no other.
pub fn only_ours(data: &Path) {
    let name = |path: &PathBuf| path.strip_prefix(data).expect("it is inside").display().to_string();
    let strange: Vec<String> = files(data).iter().map(name).filter(|name| !OURS.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Where the relay has panicked in this process. A task that panics ends alone, and no test would see it.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on [`answers`] fails when the relay has panicked anywhere in this process.
pub fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|place| place.file().starts_with("src/")) {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
            }
            usual(panic);
        }));
    });
}
