//! The real program as a child: started with a settings file, watched through its log, stopped or killed.
//!
//! A [`Site`] is a folder with settings whose account sends to a sandbox in this process. A [`Program`] is one run of
//! `yizhan`. Waiting is for lines of its log, never for a length of time; every wait has a limit that fails loudly with
//! the log so far. The environment is emptied, so that nobody's own `YIZHAN_*` or locale has a say.
//!
//! Not here: what the program does with mail (`load`). Invariant: no run outlives its value, nor the test program: a
//! shell that holds our pipe kills it when we are gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;
use tokio::time::timeout;

use yizhan::admin::control;
use yizhan::admin::{AdminCommand, AdminReply};
use yizhan::sandbox::Sandbox;

use super::folder::Folder;
use super::office::{CODE, PATIENCE, USER};

/// The program under test.
pub const YIZHAN: &str = env!("CARGO_BIN_EXE_yizhan");

/// Limits out of the way, retries at once, a log that a test can read. To be appended to a [`Site`]'s settings.
pub const QUICK: &str = "[limits]\nmessages_per_client = \"100000/s\"\nrecipients_per_client = \"100000/s\"\n\
    bytes_per_client = \"1TiB/s\"\nconnections_per_client = 1000\ndisk_free = 0\n\
    [queue]\nretry = [\"1s\"]\n[log]\nformat = \"json\"\n";

const GUARD: &str = r#"read -r word || kill -s KILL -- "-$1""#;

/// A command line of the program, with an empty environment.
pub fn yizhan<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    clean(Command::new(YIZHAN), arguments)
}

/// The program through another one (`strace`, `unshare`) that takes a command line as its last arguments.
pub fn clean<S: AsRef<std::ffi::OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = S>) -> Command {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent").env("LC_ALL", "C");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Fails unless the exit code is this one; gives the two texts together.
    pub fn with_code(self, code: i32) -> String {
        assert_eq!(self.code, code, "\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self.out + &self.err
    }
}

/// Runs a command to its end, off the runtime's threads. One that does not end in [`PATIENCE`] is killed, and fails.
pub async fn finish(mut command: Command) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let pid = Pid::from_child(&child);
    let read = |mut pipe: Box<dyn Read + Send>| {
        tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            pipe.read_to_end(&mut text).expect("a pipe can be read");
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("it is piped")));
    let err = read(Box::new(child.stderr.take().expect("it is piped")));
    let end = async { (out.await.expect("no panic"), err.await.expect("no panic")) };
    let Ok((out, err)) = timeout(PATIENCE, end).await else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("{command:?} did not end");
    };
    // Both pipes are closed, so the process is as good as gone.
    let status = child.wait().expect("it is our child");
    Ran { code: status.code().unwrap_or(-1), out, err }
}

/// A folder with settings for the program: an account that sends to a sandbox, a data folder, a secret in a file.
#[derive(Debug)]
pub struct Site {
    /// Everything is in here.
    pub folder: Folder,
    /// The settings file.
    pub config: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The secret's file.
    pub code: PathBuf,
}

/// A budget that nothing here uses up, for files that say nothing about it themselves.
const UNLIMITED: &str = "budget.messages_per_minute = 1000000\nbudget.recipients_per_hour = 1000000\n\
    budget.recipients_per_day = 1000000\nbudget.logins_per_hour = 1000000\n";

impl Site {
    /// Settings for `sandbox`, with `more` at the end of the file.
    pub fn new(name: &str, sandbox: &Sandbox, more: &str) -> Site {
        Site::with(name, sandbox, more, |folder| folder.path().join("data"))
    }

    /// As [`Site::new`], with a data folder that the caller chooses.
    pub fn with(name: &str, sandbox: &Sandbox, more: &str, data: impl FnOnce(&Folder) -> PathBuf) -> Site {
        let folder = Folder::new(name);
        let (ca, code) = (folder.file("ca.pem", sandbox.ca_pem()), folder.secret("code", CODE));
        let (data, door) = (data(&folder), sandbox.implicit_addr().expect("it is open"));
        // Many relays run at once here: none of them may take the port of another.
        let admin = if more.contains("[admin]") { "" } else { "\n[admin]\nbind = \"\"\n" };
        let unlimited = if more.contains("budget") { "" } else { UNLIMITED };
        let text = format!(
            "hostname = \"relay.test\"\ndata_dir = \"{}\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n\
             [account.office]\nprovider = \"qq\"\nuser = \"{USER}\"\nsecret = {{ file = \"{}\" }}\nca = \"{}\"\n\
             host = \"{}\"\nport = {}\ntls = \"implicit\"\n{unlimited}{more}{admin}",
            data.display(),
            code.display(),
            ca.display(),
            door.ip(),
            door.port()
        );
        let config = folder.file("yizhan.toml", text);
        Site { folder, config, data, code }
    }

    /// `yizhan run` on these settings, at a port that the system chooses.
    pub fn run_command(&self) -> Command {
        yizhan(self.run_arguments())
    }

    /// The arguments of [`Site::run_command`].
    pub fn run_arguments(&self) -> Vec<String> {
        let config = self.config.display().to_string();
        ["run", "--config", &config, "--listen", "127.0.0.1:0"].map(str::to_owned).to_vec()
    }

    /// Starts the relay and waits until it listens.
    pub async fn start(&self) -> Program {
        Program::start(self.run_command()).await
    }

    /// Runs a command with `--config` of this site at its end, to its end.
    pub async fn ask(&self, arguments: &[&str]) -> Ran {
        let mut command = yizhan(arguments);
        command.arg("--config").arg(&self.config);
        finish(command).await
    }

    /// How many messages of the running relay are in these states.
    pub async fn depth(&self, states: &[&str]) -> u64 {
        match control::ask(&self.data, &AdminCommand::Depth {}).await {
            Ok(AdminReply::Depth { depth }) => {
                depth.states.iter().filter(|(name, _)| states.contains(&name.as_str())).map(|(_, n)| n).sum()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the running relay has nothing left to send; what is held stays so. Fails when nothing moves.
    pub async fn drained(&self, sandbox: &Sandbox) {
        let mut begin = Instant::now();
        let mut least = u64::MAX;
        loop {
            let left = self.depth(&["queued", "sending", "waiting", "deferred"]).await;
            if left == 0 {
                return;
            }
            if left < least {
                (begin, least) = (Instant::now(), left);
            }
            assert!(begin.elapsed() < PATIENCE, "{left} messages do not leave: {:?}", sandbox.stats());
            let before = sandbox.stats().accepted;
            // Either the next message arrives, or a message that has arrived is about to be written down.
            let _ = timeout(Duration::from_millis(100), sandbox.wait_until(|stats| stats.accepted > before)).await;
        }
    }
}

#[derive(Debug)]
struct Log {
    lines: Mutex<Vec<String>>,
    /// How many lines there are, and whether the program has closed its standard error.
    seen: watch::Sender<(usize, bool)>,
    /// Its standard error is not read for now.
    unread: AtomicBool,
}

/// One run of the program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pid: Pid,
    guard: Child,
    guard_pipe: Option<ChildStdin>,
    log: Arc<Log>,
}

impl Program {
    /// Starts a command; does not wait for anything.
    pub fn spawn(mut command: Command) -> Program {
        // A process group of its own, so that what runs under `strace` goes with it.
        let command = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let pid = Pid::from_child(&child);
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD, "guard"]).arg(pid.as_raw_nonzero().to_string()).process_group(0);
        let mut guard = guard.stdin(Stdio::piped()).spawn().expect("/bin/sh starts");
        let log = Arc::new(Log {
            lines: Mutex::default(),
            seen: watch::Sender::new((0, false)),
            unread: AtomicBool::new(false),
        });
        let (pipe, shared) = (child.stderr.take().expect("it is piped"), log.clone());
        std::thread::spawn(move || read_log(pipe, &shared));
        Program { child, pid, guard_pipe: guard.stdin.take(), guard, log }
    }

    /// Starts a command and waits until it listens.
    pub async fn start(command: Command) -> Program {
        let program = Program::spawn(command);
        program.event("listening").await;
        program
    }

    /// The lines of its log so far.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines.lock().expect("no test holds it").clone()
    }

    /// The lines of its log so far that tell of `event`.
    pub fn told(&self, event: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| event_of(line).as_deref() == Some(event)).collect()
    }

    /// Waits for the first line for which `wanted` has a value. Fails when the program ends without one.
    pub async fn line<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut seen = self.log.seen.subscribe();
        let mut read = 0;
        let search = async {
            loop {
                let (_, ended) = *seen.borrow_and_update();
                let lines = self.lines();
                if let Some(found) = lines[read..].iter().find_map(|line| wanted(line)) {
                    return Some(found);
                }
                read = lines.len();
                if ended || seen.changed().await.is_err() {
                    return None;
                }
            }
        };
        let found = timeout(PATIENCE, search).await.ok().flatten();
        found.unwrap_or_else(|| panic!("the program never said {what}; it said\n{}", self.lines().join("\n")))
    }

    /// Waits for the first line that tells of `event`.
    pub async fn event(&self, event: &str) -> String {
        self.line(event, |line| (event_of(line).as_deref() == Some(event)).then(|| line.to_owned())).await
    }

    /// Where it listens.
    pub fn door(&self) -> SocketAddr {
        let line = self.told("listening").into_iter().next().expect("it has started");
        field_of(&line, "addr").and_then(|text| text.parse().ok()).expect("the line has an address")
    }

    /// Stops reading its standard error, or goes on: a pipe that nobody reads takes 64 KiB.
    pub fn leave_unread(&self, unread: bool) {
        self.log.unread.store(unread, Ordering::SeqCst);
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it still runs");
    }

    /// Whether it has closed its standard error, as a process does at its end.
    pub fn ended(&self) -> bool {
        self.log.seen.borrow().1
    }

    /// Waits for its end.
    pub async fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut seen = self.log.seen.subscribe();
        let ended = timeout(PATIENCE, seen.wait_for(|(_, ended)| *ended)).await.is_ok();
        assert!(ended, "the program does not end\n{}", self.lines().join("\n"));
        let status = self.child.wait().expect("it is our child");
        (status, self.lines())
    }

    /// SIGTERM, and its end: exit code 0, or the test fails. Gives its log.
    pub async fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (status, lines) = self.end().await;
        assert_eq!(status.code(), Some(0), "{status}\n{}", lines.join("\n"));
        lines
    }

    /// SIGKILL, and its end. Fails when it ended in any other way. Gives its log.
    pub async fn kill(self) -> Vec<String> {
        self.signal(Signal::KILL);
        let (status, lines) = self.end().await;
        assert_eq!(status.signal(), Some(9), "{status}\n{}", lines.join("\n"));
        lines
    }

    /// The most memory it ever had resident, in octets (`VmHWM` of proc(5)).
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it still runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After `end` the group is gone already, and both calls do nothing.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        if let Some(mut pipe) = self.guard_pipe.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

fn read_log(pipe: ChildStderr, log: &Log) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
        log.lines.lock().expect("no test holds it").push(String::from_utf8_lossy(&line).trim_end().to_owned());
        log.seen.send_modify(|(count, _)| *count += 1);
        line.clear();
        while log.unread.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    log.seen.send_modify(|(_, ended)| *ended = true);
}

/// What a line of the log tells of, in either format.
pub fn event_of(line: &str) -> Option<String> {
    let line = without_priority(line);
    if line.starts_with('{') {
        return field_of(line, "event");
    }
    line.split_ascii_whitespace().nth(2).map(str::to_owned)
}

/// The line without what it begins with for the journal (`<4>`).
fn without_priority(line: &str) -> &str {
    line.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(line, |(_, rest)| rest)
}

/// A field of a line of the log, in either format.
pub fn field_of(line: &str, name: &str) -> Option<String> {
    let line = without_priority(line);
    if line.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        return value.get(name).and_then(|v| v.as_str().map(str::to_owned).or_else(|| Some(v.to_string())));
    }
    let prefix = format!("{name}=");
    line.split_ascii_whitespace().find_map(|word| word.strip_prefix(&prefix)).map(str::to_owned)
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flatten().flat_map(|entry| inside(entry.path())).collect()
}
