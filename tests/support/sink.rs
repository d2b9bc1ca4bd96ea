//! Postfix's `smtp-sink`: a plaintext server that takes mail, or fails in the way its flags say (smtp-sink(1)).
//!
//! It knows no TLS (put [`super::front`] before it) and no passwords: it announces `AUTH PLAIN LOGIN` and answers every
//! AUTH command with `250 2.0.0 Ok`, not 235, and LOGIN without a challenge ([`super::front::Front::provider`] mends
//! that). With `-a` it does not announce AUTH. It needs no
//! root; as root it runs as nobody. Its dumps drop every CR, so the bytes given back have CRLF put in again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::folder::Folder;
use super::peers::{is_root, program};
use super::ports::Reserved;
use super::postfix::with_crlf;
use super::process::{Process, poll};
use super::skip::Missing;

/// A running `smtp-sink`.
pub struct SmtpSink {
    process: Option<Process>,
    flags: Vec<String>,
    program: PathBuf,
    port: u16,
    folder: Folder,
}

/// One transaction as the sink wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    /// The argument of EHLO or HELO.
    pub helo: String,
    /// What followed `MAIL FROM:`, parameters and all.
    pub mail: String,
    /// What followed each `RCPT TO:`.
    pub rcpts: Vec<String>,
    /// What came after DATA, dot-unstuffed, lines with CRLF.
    pub message: Vec<u8>,
}

impl SmtpSink {
    /// Starts it with these flags; `-d` (a file for each message) is always on.
    pub fn start(flags: &[&str]) -> Result<Self, Missing> {
        let program = program("smtp-sink")?;
        let folder = Folder::new("sink");
        folder.dir("dump", 0o777);
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut sink = Self { process: None, flags, program, port: Reserved::new().release(), folder };
        sink.resume();
        Ok(sink)
    }

    /// The plaintext port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, which goes away with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes it away: connections are refused until [`SmtpSink::resume`]. Dumps stay.
    pub fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Brings it back on the same port.
    pub fn resume(&mut self) {
        let arguments = |command: &mut Command| {
            if is_root() {
                command.args(["-u", "nobody"]);
            }
            command.arg("-d").arg(self.folder.path().join("dump/mail."));
            command.args(&self.flags).arg(format!("127.0.0.1:{}", self.port)).arg("100");
        };
        let mut process = Process::spawn("smtp-sink", &self.program, arguments, self.folder.path());
        process.wait_listening(self.port, String::new);
        self.process = Some(process);
    }

    /// Brings it back with other flags: a server whose fault has been mended.
    pub fn resume_with(&mut self, flags: &[&str]) {
        self.pause();
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        self.resume();
    }

    /// What it printed (with the flag `-v`: the conversation).
    pub fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// The messages that came in whole, up to the final dot, oldest first. The sink writes them down before it
    /// answers: one that it then refused, or closed the connection on (`-f .`, `-q .`), is here too.
    pub fn dumps(&self) -> Vec<Dump> {
        let folder = fs::read_dir(self.folder.path().join("dump")).expect("a folder of ours is readable");
        let mut files: Vec<_> = folder
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        files.sort();
        files.iter().filter_map(|(_, path)| parse(&fs::read(path).ok()?)).collect()
    }

    /// Waits (blocking, 20 s at most) until this many were taken.
    pub fn wait_dumps(&self, count: usize) -> Vec<Dump> {
        poll(Duration::from_secs(20), || Some(self.dumps()).filter(|list| list.len() >= count))
            .unwrap_or_else(|| panic!("{} of {count} messages: {}", self.dumps().len(), self.output()))
    }
}

/// Reads a dump: pseudo header fields of the envelope, the sink's Received field, the message, an empty line.
fn parse(raw: &[u8]) -> Option<Dump> {
    let mut dump = Dump::default();
    let mut rest = raw;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        match line.split_once(": ") {
            Some(("X-Helo-Args", value)) => value.clone_into(&mut dump.helo),
            Some(("X-Mail-Args", value)) => value.clone_into(&mut dump.mail),
            Some(("X-Rcpt-Args", value)) => dump.rcpts.push(value.to_owned()),
            // The Received field is folded over three lines and is the last thing that the sink adds.
            Some(("Received", _)) => break,
            Some(_) | None => {}
        }
    }
    while rest.starts_with(b"\t") {
        rest = &rest[rest.iter().position(|&byte| byte == b'\n')? + 1..];
    }
    // The empty line at the end is written with the final dot.
    let message = rest.strip_suffix(b"\n").filter(|message| message.is_empty() || message.ends_with(b"\n"))?;
    dump.message = with_crlf(message);
    Some(dump)
}
