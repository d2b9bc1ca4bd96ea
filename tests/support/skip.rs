//! Skipped tests: libtest knows no "skipped" at run time, so a test that cannot run says so here and returns.
//!
//! Not a way to hide a failure: only a peer that is not installed, or a right that the machine does not give, is a
//! reason. `tests/run` counts the lines of the file that `YIZHAN_SKIP_LOG` names, and fails in CI on a `missing` one.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;

/// Why a peer cannot run on this machine: not installed, or it needs root.
#[derive(Debug, Clone)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing {}", self.0)
    }
}

/// Says that this test did not run, and why: one line on the standard output, and one in the file named by
/// `YIZHAN_SKIP_LOG`. The caller returns right after it.
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
pub fn skip(reason: impl fmt::Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed test");
    println!("SKIPPED: {test}: {reason}");
    let Some(path) = std::env::var_os("YIZHAN_SKIP_LOG") else { return };
    // One write of one line in append mode, so that lines of parallel tests do not mix.
    let line = format!("{test}\t{reason}\n");
    let log = OpenOptions::new().create(true).append(true).open(&path);
    log.and_then(|mut file| file.write_all(line.as_bytes())).expect("YIZHAN_SKIP_LOG names a writable file");
}

/// Takes the value of a `Result<T, Missing>`, or skips the test (which returns nothing).
macro_rules! need {
    ($peer:expr) => {
        match $peer {
            Ok(peer) => peer,
            Err(missing) => return $crate::support::skip::skip(missing),
        }
    };
}
pub(crate) use need;
