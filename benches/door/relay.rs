//! The relay under test: the finished program as a child, with a paused account, a plain listener and one with TLS.
//!
//! The caps on connections and rates are out of the way; all else is as it comes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

use crate::client::Client;
use crate::gauge;
use crate::support::ca::{self, TestCa};
use crate::support::folder::{Folder, set_mode};
use crate::support::ports::Reserved;
use crate::support::process::Process;

/// How long a start may take; below valgrind everything takes fifty times as long.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end, and to write down what was counted.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Descriptors that are needed: 5,000 connections, and the rest.
const DESCRIPTORS: u64 = 12_000;

/// So many connections need descriptors here and in the children, which inherit the limit.
pub(crate) fn raise_descriptor_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let possible = limit.maximum.unwrap_or(u64::MAX).min(DESCRIPTORS.max(limit.current.unwrap_or(u64::MAX)));
    limit.current = Some(possible);
    setrlimit(Resource::Nofile, limit).context("the limit of descriptors cannot be raised")?;
    if possible < DESCRIPTORS {
        eprintln!("only {possible} descriptors: measurements with many connections will fail");
    }
    Ok(())
}

/// The program: `YIZHAN_BIN`, else what cargo has built for this benchmark.
pub(crate) fn binary() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_yizhan").unwrap_or("target/release/yizhan");
    std::env::var_os("YIZHAN_BIN").map_or_else(|| built.into(), PathBuf::from)
}

/// A relay that has said its greeting.
pub(crate) struct Relay {
    process: Process,
    pid: u32,
    port: u16,
    tls: u16,
    ca: TestCa,
    folder: Folder,
}

impl Relay {
    /// Starts one with both listeners.
    pub(crate) fn start() -> anyhow::Result<Relay> {
        let relay = Relay::launch(&[], TLS)?;
        relay.pause()?;
        Ok(relay)
    }

    /// Starts one as most are: a plain listener, and an account that may send.
    pub(crate) fn start_usual() -> anyhow::Result<Relay> {
        Relay::launch(&[], "")
    }

    /// Starts one whose plain listener verifies log-ins; the only user's password is a hash of the default cost.
    pub(crate) fn start_with_log_ins() -> anyhow::Result<Relay> {
        Relay::launch(&[], LOG_INS)
    }

    /// Starts one below another program, given with its arguments.
    pub(crate) fn start_below(tool: &[String]) -> anyhow::Result<Relay> {
        let relay = Relay::launch(tool, "")?;
        relay.pause()?;
        Ok(relay)
    }

    fn launch(tool: &[String], more: &str) -> anyhow::Result<Relay> {
        let (folder, ca) = (Folder::new("bench-door"), TestCa::new());
        let reserved = [Reserved::new(), Reserved::new(), Reserved::new()];
        let [port, tls, upstream] = [&reserved[0], &reserved[1], &reserved[2]].map(Reserved::port);
        let settings = folder.file("yizhan.toml", settings(&folder, &ca, [port, tls, upstream], more));
        let binary = binary();
        let (program, before) = match tool {
            [] => (binary, &[][..]),
            [program, arguments @ ..] => {
                (crate::support::peers::program(program).map_err(|missing| anyhow::anyhow!("{missing}"))?, arguments)
            }
        };
        let children = gauge::own_children();
        drop(reserved);
        let prepare = |command: &mut Command| {
            command.args(before);
            if !tool.is_empty() {
                command.arg(self::binary());
            }
            command.args(["run", "--config"]).arg(&settings).env_remove("RUST_LOG");
        };
        let process = Process::spawn("relay", &program, prepare, folder.path());
        let begin = Instant::now();
        let mut relay = Relay { process, pid: 0, port, tls, ca, folder };
        while Client::connect(port, 0).is_err() {
            if begin.elapsed() > START_LIMIT || !relay.process.is_running() {
                bail!("the relay does not start:\n{}", relay.process.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // The other new child is the shell that ends the relay if we are killed.
        let new = |pid: &u32| !children.contains(pid) && gauge::name(*pid) != "sh";
        relay.pid = gauge::own_children().into_iter().find(new).context("the relay is a child of ours")?;
        Ok(relay)
    }

    /// Nothing is sent from now on, so that only the door works.
    fn pause(&self) -> anyhow::Result<()> {
        let mut command = Command::new(binary());
        command.args(["account", "pause", "main", "--config"]).arg(self.folder.path().join("yizhan.toml"));
        let done = command.output()?;
        if !done.status.success() {
            bail!("the account could not be paused: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Its plain port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS from the first octet, and the authority to trust.
    pub(crate) fn tls(&self) -> (u16, &TestCa) {
        (self.tls, &self.ca)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Proportional set size in KiB.
    pub(crate) fn memory(&self) -> f64 {
        gauge::memory(self.pid) * 1024.0
    }

    /// The most memory it ever had resident, in MiB (`VmHWM` of proc(5)).
    pub(crate) fn peak(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("Linux says it")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Asks it to end, waits, and gives what it has said.
    pub(crate) fn end(mut self) -> anyhow::Result<String> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while self.process.is_running() {
            if begin.elapsed() > STOP_LIMIT {
                bail!("the relay does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.process.output())
    }
}

/// Goes on in the section of the plain listener. The password is `right`.
const LOG_INS: &str = r#"auth = "verify"
[user.printer]
password = "HASH"
"#;

/// The second listener.
const TLS: &str = r#"[listener.tls]
bind = ["127.0.0.1:TLS"]
tls = "implicit"
certificate = "CERTIFICATE"
key = "KEY"
"#;

fn settings(folder: &Folder, ca: &TestCa, [port, tls, upstream]: [u16; 3], more: &str) -> String {
    let identity = ca.issue(ca::NAMES);
    let certificate = folder.file("certificate.pem", identity.certificate);
    let key = folder.file("key.pem", identity.key);
    let secret = folder.file("secret", "code-16-letters");
    set_mode(&key, 0o600);
    set_mode(&secret, 0o600);
    let more = more.replace("HASH", &yizhan::secret::password::hash(&yizhan::secret::Secret::new("right"), &[7; 16]));
    let more = more.replace("TLS", &tls.to_string());
    let more = more.replace("CERTIFICATE", &certificate.display().to_string());
    let more = more.replace("KEY", &key.display().to_string());
    format!(
        r#"hostname = "relay.bench.test"
data_dir = "{data}"
[listener.plain]
bind = ["127.0.0.1:{port}"]
{more}[account.main]
provider = "custom"
host = "localhost"
port = {upstream}
tls = "implicit"
user = "box@bench.test"
secret = {{ file = "{secret}" }}
[limits]
connections = 10000
connections_per_client = 1000
messages_per_client = "100000/s"
recipients_per_client = "100000/s"
bytes_per_client = "1TiB/s"
failures_per_client = "100000/s"
queue_size_per_client = "50GiB"
queue_size = "50GiB"
"#,
        data = folder.dir("data", 0o700).display(),
        secret = secret.display(),
    )
}
