//! What drives a relay: Postfix's `smtp-source` for rates, and a small client of ours for the time of one message.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::support::peers::program;

/// Sessions side by side.
pub(crate) const SESSIONS: u32 = 64;
/// Octets of a message.
pub(crate) const SIZE: usize = 4096;
/// No single run of the generator takes longer.
const LIMIT_SECONDS: u32 = 180;

/// One run of the generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many messages.
    pub(crate) messages: u32,
    /// Whether a session sends its next message over the same connection (`-d`).
    pub(crate) kept: bool,
    /// Sessions side by side.
    pub(crate) sessions: u32,
    /// Octets of a message.
    pub(crate) size: usize,
}

impl Load {
    /// 64 sessions and 4 KiB messages.
    pub(crate) fn new(messages: u32, kept: bool) -> Self {
        Self { messages, kept, sessions: SESSIONS, size: SIZE }
    }
}

/// Whether the generator is installed.
pub(crate) fn is_there() -> Result<(), String> {
    program("smtp-source").map(drop).map_err(|missing| missing.to_string())
}

/// Runs the generator against a port of 127.0.0.1 and gives the time until its last message was accepted.
pub(crate) fn send(load: Load, port: u16) -> anyhow::Result<Duration> {
    let generator = program("smtp-source").map_err(|missing| anyhow::anyhow!("{missing}"))?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &LIMIT_SECONDS.to_string()]).arg(generator);
    command.args(["-s", &load.sessions.to_string(), "-m", &load.messages.to_string(), "-l", &load.size.to_string()]);
    command.args(["-f", "printer@device.test", "-t", "someone@example.test"]);
    if load.kept {
        command.arg("-d");
    }
    command.arg(format!("127.0.0.1:{port}")).stdin(Stdio::null());
    let begin = Instant::now();
    let done = command.output().context("coreutils has timeout")?;
    let elapsed = begin.elapsed();
    if !done.status.success() {
        bail!("smtp-source: {}: {}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(elapsed)
}

/// Nanoseconds since 1970, the clock that the sink uses too.
#[expect(clippy::disallowed_methods, reason = "two processes compare their clocks; milliseconds are too coarse")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// A client that sends one message after another over one connection.
pub(crate) struct Client {
    input: BufReader<TcpStream>,
    message: Vec<u8>,
}

impl Client {
    /// Connects and says hello.
    pub(crate) fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut message = b"From: printer@device.test\r\nTo: someone@example.test\r\nSubject: one page\r\n\
            Date: Fri, 20 Nov 2026 10:00:00 +0800\r\nMessage-ID: <bench@device.test>\r\n\r\n"
            .to_vec();
        while message.len() < SIZE {
            message.extend_from_slice(b"The quick brown fox jumps over the lazy dog and goes home again.\r\n");
        }
        message.extend_from_slice(b".\r\n");
        let mut client = Self { input: BufReader::new(stream), message };
        client.reply(b'2')?;
        client.say(b"EHLO device.test\r\n", b'2')?;
        Ok(client)
    }

    /// Sends one message and gives the time when its 250 was read.
    pub(crate) fn send(&mut self) -> anyhow::Result<u64> {
        self.say(b"MAIL FROM:<printer@device.test>\r\n", b'2')?;
        self.say(b"RCPT TO:<someone@example.test>\r\n", b'2')?;
        self.say(b"DATA\r\n", b'3')?;
        let message = std::mem::take(&mut self.message);
        self.say(&message, b'2')?;
        self.message = message;
        Ok(now())
    }

    fn say(&mut self, octets: &[u8], expected: u8) -> anyhow::Result<()> {
        self.input.get_mut().write_all(octets)?;
        self.reply(expected)
    }

    fn reply(&mut self, expected: u8) -> anyhow::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            self.input.read_line(&mut line)?;
            match line.as_bytes() {
                [first, _, _, b'-', ..] if *first == expected => {}
                [first, ..] if *first == expected => return Ok(()),
                _ => bail!("the relay says {line:?}"),
            }
        }
    }
}
