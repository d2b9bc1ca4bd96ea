//! The benchmark's hand on the sink's process: starts it, gives it orders, reads its counters.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::sink;
use crate::support::ca::{self, TestCa};
use crate::support::folder::{Folder, set_mode};

/// How often the counters are read while something is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// A running sink; ends with the value, or with this process, because its standard input ends then.
pub(crate) struct Upstream {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    ca: TestCa,
    implicit: u16,
    plain: u16,
    _folder: Folder,
}

/// What the sink has counted since the last reset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    /// TCP connections.
    pub(crate) connections: u64,
    /// Log-ins.
    pub(crate) logins: u64,
    /// Final dots.
    pub(crate) messages: u64,
    /// When the last final dot was read, in nanoseconds since 1970.
    pub(crate) last: u64,
}

impl Upstream {
    /// Starts it with a certificate of an authority made for this run.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (ca, folder) = (TestCa::new(), Folder::new("bench-sink"));
        let identity = ca.issue(ca::NAMES);
        let certificate = folder.file("certificate.pem", identity.certificate);
        let key = folder.file("key.pem", identity.key);
        set_mode(&key, 0o600);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(sink::ROLE).args([&certificate, &key]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the sink does not start")?;
        let orders = child.stdin.take().context("a pipe was asked for")?;
        let mut answers = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let mut ports = line.trim().strip_prefix("ready ").context("the sink is not ready")?.split(' ');
        let mut port = || -> anyhow::Result<u16> { Ok(ports.next().context("two ports")?.parse()?) };
        let (implicit, plain) = (port()?, port()?);
        Ok(Self { child, orders, answers, ca, implicit, plain, _folder: folder })
    }

    /// The port with TLS from the first octet.
    pub(crate) fn implicit(&self) -> u16 {
        self.implicit
    }

    /// The port that starts in plaintext and offers STARTTLS.
    pub(crate) fn plain(&self) -> u16 {
        self.plain
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca_file(&self) -> &std::path::Path {
        self.ca.file()
    }

    /// Sets the delay of each reply and all counters to zero.
    pub(crate) fn reset(&mut self, delay: Duration) -> anyhow::Result<()> {
        self.ask(&format!("delay {}", delay.as_millis()))?;
        self.ask("reset").map(drop)
    }

    /// The counters.
    pub(crate) fn counted(&mut self) -> anyhow::Result<Counted> {
        let line = self.ask("stats")?;
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let mut number = || -> anyhow::Result<u64> { Ok(numbers.next().context("five numbers")??) };
        let (connections, logins, messages) = (number()?, number()?, number()?);
        let _recipients = number()?;
        Ok(Counted { connections, logins, messages, last: number()? })
    }

    /// When each final dot was read, in nanoseconds since 1970, in order.
    pub(crate) fn times(&mut self) -> anyhow::Result<Vec<u64>> {
        let line = self.ask("times")?;
        line.split_ascii_whitespace().map(|word| Ok(word.parse()?)).collect()
    }

    /// Waits until so many messages are there.
    pub(crate) fn wait(&mut self, messages: u64, limit: Duration) -> anyhow::Result<Counted> {
        let begin = Instant::now();
        loop {
            let counted = self.counted()?;
            if counted.messages >= messages {
                return Ok(counted);
            }
            if begin.elapsed() > limit {
                bail!("{} of {messages} messages arrived in {limit:?}", counted.messages);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn ask(&mut self, order: &str) -> anyhow::Result<String> {
        writeln!(self.orders, "{order}")?;
        self.orders.flush()?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the sink has ended");
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
