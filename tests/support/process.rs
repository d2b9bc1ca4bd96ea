//! A foreign server as a child: its own process group, its output in a file, gone when the value is dropped.
//!
//! A test program that is killed cannot run `Drop`. So each server has a guard beside it: a shell that waits on a
//! pipe we hold. When we die in any way, the kernel closes the pipe, and the guard ends the group and removes the
//! folder.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a server may take to accept its first connection; a loaded CI machine needs some of it.
pub const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a server may take to end by itself before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at a process that cannot tell us when it is ready.
const POLL: Duration = Duration::from_millis(5);

const GUARD: &str = r#"read -r word || { kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"; rm -rf -- "$2"; }"#;

/// One running server and everything it forked.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program in a session (and so a process group) of its own, its output in `<folder>/<name>.out`.
    pub fn spawn(name: &str, program: &Path, arguments: impl FnOnce(&mut Command), folder: &Path) -> Self {
        let log = folder.join(format!("{name}.out"));
        let out = File::options().create(true).append(true).open(&log).expect("a folder of ours is writable");
        let err = out.try_clone().expect("a file handle can be copied");
        // setsid(1) becomes the program and keeps the process id. A process group alone is not enough: Postfix's
        // master ends without a word when it leads a group and not a session.
        let mut command = Command::new("setsid");
        arguments(command.arg(program));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let group = Pid::from_child(&child);
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD, "guard"]).arg(group.as_raw_nonzero().to_string()).arg(folder);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().expect("/bin/sh starts");
        Self { name: name.to_owned(), child, group, guard, log }
    }

    /// Whether the first process of the group still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How the first process of the group ended, if it did.
    pub fn ending(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it wrote to its standard output and error so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` says yes; panics with the output and `log` when the process ends first or the time is over.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool, log: impl Fn() -> String) {
        let begin = Instant::now();
        while !ready() {
            let state = if self.is_running() { "not in time" } else { "it ended" };
            let over = state == "it ended" || begin.elapsed() > START_LIMIT;
            assert!(!over, "{}: {what}: {state}\n{}{}", self.name, self.output(), log());
            std::thread::sleep(POLL);
        }
    }

    /// Waits until somebody listens on this port of 127.0.0.1. No trial connection: a server may count those.
    /// `log` gives what the server wrote elsewhere, for the panic.
    pub fn wait_listening(&mut self, port: u16, log: impl Fn() -> String) {
        self.wait_until("listening", || is_listening(port), log);
    }

    /// Ends the whole group: politely, then not. Calling it twice is harmless.
    pub fn stop(&mut self) {
        if self.is_running() {
            let _ = kill_process_group(self.group, Signal::TERM).or_else(|_| kill_process(self.group, Signal::TERM));
            let begin = Instant::now();
            while self.is_running() && begin.elapsed() < STOP_LIMIT {
                std::thread::sleep(POLL);
            }
        }
        // Whatever the first process left behind. Not waited for: in a container without an init nobody reaps it.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
        if let Some(mut pipe) = self.guard.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a socket on 127.0.0.1 (or on all addresses) listens on this port, by the kernel's table (proc(5)).
pub fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has /proc");
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1));
        let ours = [format!("0100007F:{port:04X}"), format!("00000000:{port:04X}")];
        state == Some(LISTEN) && ours.iter().any(|address| address == local)
    })
}

/// Looks every few milliseconds until `look` gives a value, or the limit is over.
pub fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if begin.elapsed() > limit {
            return None;
        }
        std::thread::sleep(POLL);
    }
}
