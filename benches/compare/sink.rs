//! The upstream of the comparison: a server that speaks SMTP over TLS, counts, and throws mail away.
//!
//! It runs in a process of its own (the benchmark starts itself again), so that the relay's memory and processor time
//! are measured apart. It is not a model server: it accepts every log-in and every recipient, and refuses nothing.
//!
//! **The delay of a reply** counts from the moment its command was read, not from the reply before. Commands that were
//! pipelined (RFC 2920) are so answered together, one delay after they came, as over a line with that round trip.
//! Command replies cost one delay each when the client waits for each. The TLS handshake is not delayed.
//!
//! One thread, one buffer a connection, replies are constants: it must leave the two cores to the relay.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::support::ca::Identity;

/// The argument that turns the benchmark into a sink.
pub(crate) const ROLE: &str = "--be-the-sink";

const BUFFER: usize = 64 * 1024;
/// 64 clients connect at once; a short queue would cost them SYN retries of a second.
const BACKLOG: u32 = 4096;

const GREETING: &[u8] = b"220 sink.bench.test ESMTP\r\n";
const EHLO_PLAIN: &[u8] =
    b"250-sink.bench.test\r\n250-PIPELINING\r\n250-SIZE 73400320\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
const EHLO_TLS: &[u8] =
    b"250-sink.bench.test\r\n250-PIPELINING\r\n250-SIZE 73400320\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n";
const OK: &[u8] = b"250 2.0.0 Ok\r\n";
const GO_ON: &[u8] = b"354 End data with <CR><LF>.<CR><LF>\r\n";
const ASK_USER: &[u8] = b"334 VXNlcm5hbWU6\r\n";
const ASK_PASSWORD: &[u8] = b"334 UGFzc3dvcmQ6\r\n";
const ASK_PLAIN: &[u8] = b"334 \r\n";
const LOGGED_IN: &[u8] = b"235 2.7.0 Authentication successful\r\n";
const START_TLS: &[u8] = b"220 2.0.0 Go ahead\r\n";
const BYE: &[u8] = b"221 2.0.0 Bye\r\n";
const UNKNOWN: &[u8] = b"502 5.5.1 Not implemented\r\n";

/// What was seen since the last reset.
#[derive(Default)]
struct Tally {
    delay_ms: AtomicU64,
    connections: AtomicU64,
    logins: AtomicU64,
    messages: AtomicU64,
    recipients: AtomicU64,
    /// Nanoseconds since 1970 when each final dot was read.
    arrivals: Mutex<Vec<u64>>,
}

impl Tally {
    fn arrived(&self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "two processes compare their clocks; milliseconds are too coarse"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        self.messages.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves until the standard input ends; `certificate` and `key` are PEM files.
pub(crate) fn run(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let identity = Identity { certificate: std::fs::read_to_string(certificate)?, key: std::fs::read_to_string(key)? };
    let acceptor = TlsAcceptor::from(identity.server_config());
    let tally = Arc::new(Tally::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (implicit, plain) = (listen()?, listen()?);
        println!("ready {} {}", implicit.local_addr()?.port(), plain.local_addr()?.port());
        std::thread::spawn({
            let tally = tally.clone();
            move || obey(&tally)
        });
        loop {
            let (stream, wrapped) = tokio::select! {
                accepted = implicit.accept() => (accepted?.0, true),
                accepted = plain.accept() => (accepted?.0, false),
            };
            let (acceptor, tally) = (acceptor.clone(), tally.clone());
            // A client that breaks off is its own affair.
            tokio::spawn(async move { serve(stream, wrapped, acceptor, tally).await.ok() });
        }
    })
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

/// Orders on the standard input, answers on the standard output; the process ends with the input.
fn obey(tally: &Tally) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("delay", ms) => tally.delay_ms.store(ms.parse().unwrap_or(0), Ordering::Relaxed),
            ("reset", _) => {
                for counter in [&tally.connections, &tally.logins, &tally.messages, &tally.recipients] {
                    counter.store(0, Ordering::Relaxed);
                }
                tally.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            ("times", _) => {
                let arrivals = tally.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                let list: Vec<String> = arrivals.iter().map(u64::to_string).collect();
                println!("{}", list.join(" "));
                continue;
            }
            _ => {}
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = tally.arrivals.lock().unwrap_or_else(PoisonError::into_inner).last().copied().unwrap_or(0);
        let (connections, logins) = (read(&tally.connections), read(&tally.logins));
        println!("{connections} {logins} {} {} {last}", read(&tally.messages), read(&tally.recipients));
        if io::stdout().flush().is_err() {
            break;
        }
    }
    std::process::exit(0);
}

async fn serve(mut stream: TcpStream, wrapped: bool, acceptor: TlsAcceptor, tally: Arc<Tally>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    tally.connections.fetch_add(1, Ordering::Relaxed);
    let mut dialogue = Dialogue::new(&tally);
    if !wrapped {
        dialogue.say(GREETING, After::GoOn);
        if let Some(After::Tls) = dialogue.talk(&mut stream).await? {
            let mut stream = acceptor.accept(stream).await?;
            dialogue = Dialogue { tls: true, ..Dialogue::new(&tally) };
            dialogue.talk(&mut stream).await?;
        }
        return Ok(());
    }
    let mut stream = acceptor.accept(stream).await?;
    dialogue.tls = true;
    dialogue.say(GREETING, After::GoOn);
    dialogue.talk(&mut stream).await?;
    stream.shutdown().await
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    GoOn,
    Tls,
    Close,
}

#[derive(Clone, Copy)]
enum Expect {
    Command,
    /// So many octets of CR LF dot CR LF have been seen.
    Data(u8),
    User,
    Password,
}

struct Dialogue<'a> {
    tally: &'a Tally,
    tls: bool,
    expect: Expect,
    input: Vec<u8>,
    begin: usize,
    end: usize,
    /// Replies with the time they are due, in order.
    due: VecDeque<(Instant, &'static [u8], After)>,
    now: Instant,
}

impl<'a> Dialogue<'a> {
    fn new(tally: &'a Tally) -> Self {
        let input = vec![0; BUFFER];
        Self {
            tally,
            tls: false,
            expect: Expect::Command,
            input,
            begin: 0,
            end: 0,
            due: VecDeque::new(),
            now: Instant::now(),
        }
    }

    fn say(&mut self, reply: &'static [u8], after: After) {
        let delay = Duration::from_millis(self.tally.delay_ms.load(Ordering::Relaxed));
        self.due.push_back((self.now + delay, reply, after));
    }

    /// Until the client goes, QUIT or STARTTLS.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Option<After>> {
        let mut output = Vec::with_capacity(256);
        loop {
            let after = self.collect(&mut output);
            if !output.is_empty() {
                stream.write_all(&output).await?;
                stream.flush().await?;
                output.clear();
            }
            if after != After::GoOn {
                return Ok(Some(after));
            }
            if self.begin == self.end {
                (self.begin, self.end) = (0, 0);
            } else if self.end == self.input.len() {
                self.input.copy_within(self.begin..self.end, 0);
                (self.begin, self.end) = (0, self.end - self.begin);
            }
            let room = &mut self.input[self.end..];
            let read = match self.due.front() {
                None => stream.read(room).await?,
                Some(&(due, ..)) => tokio::select! {
                    read = stream.read(room) => read?,
                    () = tokio::time::sleep_until(due) => continue,
                },
            };
            // The end, or a line that fills the whole buffer.
            if read == 0 {
                return Ok(None);
            }
            self.end += read;
            self.now = Instant::now();
            self.take();
        }
    }

    /// Moves replies whose time has come to `output`.
    fn collect(&mut self, output: &mut Vec<u8>) -> After {
        // Read the clock only where a delay is set.
        let now = self.due.front().map(|&(due, ..)| if due <= self.now { self.now } else { Instant::now() });
        while let Some(&(due, reply, after)) = self.due.front().filter(|(due, ..)| now.is_some_and(|now| *due <= now)) {
            debug_assert!(now.is_some_and(|now| due <= now));
            output.extend_from_slice(reply);
            self.due.pop_front();
            if after != After::GoOn {
                return after;
            }
        }
        After::GoOn
    }

    /// Deals with all input that is complete.
    fn take(&mut self) {
        while self.begin < self.end {
            let input = &self.input[self.begin..self.end];
            if let Expect::Data(mut seen) = self.expect {
                let found = end_of_data(&mut seen, input);
                self.begin += found.unwrap_or(input.len());
                self.expect = Expect::Data(seen);
                if found.is_some() {
                    self.expect = Expect::Command;
                    self.tally.arrived();
                    self.say(OK, After::GoOn);
                }
                continue;
            }
            let Some(length) = memchr(b'\n', input) else { return };
            let mut start = [b' '; 12];
            let shown = length.min(start.len());
            start[..shown].copy_from_slice(&input[..shown]);
            start.make_ascii_uppercase();
            // AUTH PLAIN with its initial response (RFC 4954 section 4) is longer than the bare command.
            let with_response = length > b"AUTH PLAIN\r".len();
            self.begin += length + 1;
            self.line(&start, with_response);
        }
    }

    fn line(&mut self, start: &[u8; 12], with_response: bool) {
        match self.expect {
            Expect::User => {
                self.expect = Expect::Password;
                return self.say(ASK_PASSWORD, After::GoOn);
            }
            Expect::Password => {
                self.expect = Expect::Command;
                self.tally.logins.fetch_add(1, Ordering::Relaxed);
                return self.say(LOGGED_IN, After::GoOn);
            }
            Expect::Command | Expect::Data(_) => {}
        }
        match &start[..4] {
            b"EHLO" | b"HELO" => self.say(if self.tls { EHLO_TLS } else { EHLO_PLAIN }, After::GoOn),
            b"MAIL" | b"RSET" | b"NOOP" => self.say(OK, After::GoOn),
            b"RCPT" => {
                self.tally.recipients.fetch_add(1, Ordering::Relaxed);
                self.say(OK, After::GoOn);
            }
            b"DATA" => {
                // The CR LF of the command counts as the one before the dot.
                self.expect = Expect::Data(2);
                self.say(GO_ON, After::GoOn);
            }
            b"AUTH" if start.starts_with(b"AUTH LOGIN") => {
                self.expect = if with_response { Expect::Password } else { Expect::User };
                self.say(if with_response { ASK_PASSWORD } else { ASK_USER }, After::GoOn);
            }
            b"AUTH" if with_response => {
                self.tally.logins.fetch_add(1, Ordering::Relaxed);
                self.say(LOGGED_IN, After::GoOn);
            }
            b"AUTH" => {
                self.expect = Expect::Password;
                self.say(ASK_PLAIN, After::GoOn);
            }
            b"STAR" => self.say(START_TLS, After::Tls),
            b"QUIT" => self.say(BYE, After::Close),
            _ => self.say(UNKNOWN, After::GoOn),
        }
    }
}

/// How far the data reach, the final dot and its line end included (RFC 5321 section 4.1.1.4). `seen` is kept over pieces.
fn end_of_data(seen: &mut u8, input: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < input.len() {
        if *seen == 0 {
            at += memchr(b'\r', &input[at..])?;
        }
        *seen = match (*seen, input[at]) {
            (1, b'\n') => 2,
            (2, b'.') => 3,
            (3, b'\r') => 4,
            (4, b'\n') => return Some(at + 1),
            (_, b'\r') => 1,
            _ => 0,
        };
        at += 1;
    }
    None
}
