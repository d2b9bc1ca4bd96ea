//! Abuse of the relay, and what is to exhaust it, row by row, against the real program with a pretended provider behind.
//!
//! After each attack the same three things hold ([`Scene::after`]): the program is alive and greets the next client, the
//! provider has exactly the messages that are named, in legal octets, and the data folder holds nothing else. What is
//! counted is counted (replies, messages, files, octets of memory), never timed. Settings that only a test can have, and
//! senders that are told, are tried with the relay in this process.
//!
//! | row | what | where |
//! | --- | --- | --- |
//! | A-050 | a stranger writes to anybody | `a_050_*`; `listener::networks::a_050_a_stranger_hears_no_before_it_can_ask` |
//! | A-051 | the sixteen probes of nmap | `a_051_*`; `smtp::command::tests::a_051_*` |
//! | A-052 | an at sign in quotes | `listener::networks::a_052_*` |
//! | A-053 | around a list of recipients | `a_053_*`; `listener::networks::a_053_*`; `intake::client::tests::a_053_*`; `foreign::routing::a_053_*` |
//! | A-054 | addresses that are not ASCII | `a_054_*` |
//! | A-055 | the null sender | `listener::networks::a_055_*`; `a_055_*` |
//! | A-056 | 10,000 recipients | `a_056_*`; `transcripts/35-too-many-recipients.txt` |
//! | A-057 | one recipient 500 times | `a_057_*`; `mail::tests::a_057_*` |
//! | A-058 | a flood of messages | `listener::limits::a_058_*`, `delivery::relay::a_058_*`; how they leave: `delivery::simulated_day` |
//! | A-059 | guessed passwords | `a_059_*`; `listener::auth::a_059_*`, `listener::limits::a_059_*`, `intake::login::tests::a_059_*` |
//! | A-060 | odd base64 | `listener::auth::a_060_*`, `smtp::sasl::tests::a_060_*` |
//! | A-061 | loops | `a_061_*`; `message::received::tests::a_061_*`, `config::own_listener::tests::a_061_*`, `bad_config/69-own-listener` |
//! | A-062 | notices of notices | `a_062_*`; `delivery::relay::a_062_*` |
//! | A-063 | backscatter | `a_063_*` |
//! | A-064 | a browser that is made to talk to us | `listener::networks::a_064_*`; `transcripts/25-http.txt` |
//! | A-065 | a command without end | `a_065_*`; `transcripts/39-long-lines.txt`; `smtp::line::tests::a_065_*` |
//! | A-066 | a message without end | `a_066_*`; `listener::intake::a_066_*`, `smtp::server::tests::a_066_*` |
//! | A-067 | sizes that are declared | `a_067_*`; `transcripts/34-too-large.txt`, `09-parameters.txt` |
//! | A-068 | headers | `a_068_*`; `message::tests::a_068_*` |
//! | A-069, A-070 | parts and depth | `a_069_*`, `a_070_*`; counted steps: `message::mime::tests::a_069_a_070_*` |
//! | A-071 | comments, groups, lists | `a_071_*`; `message::mailbox::tests::a_071_*`, `smtp::command::tests::a_071_*` |
//! | A-072 | blank lines in front | `a_072_*`; `message::tests::a_072_*`, `message::tests::a_068_a_072_*`; `golden/repair/13-leading-blank-lines` |
//! | A-073 | octets that drip | `a_073_*`; `listener::limits::a_073_*`, `listener::intake::a_073_*`; in a handshake: `listener::tls::a_032_*` |
//! | A-074 | commands that do nothing | `listener::limits::a_074_*`; `transcripts/37-too-much-junk.txt` |
//! | A-075 | more connections than there are places, or descriptors | `a_075_*`; `listener::limits::a_075_*` |
//! | A-076 | a client that never reads | `listener::limits::a_076_*`; `listener::intake::a_076_*` |
//! | A-077 | a connection that breaks | `a_077_*`; `listener::limits::a_077_*`; `transcripts/41-eof-in-data.txt` |
//! | A-078 | archives | `a_078_*` |
//! | A-079 | charsets | `a_079_*`; `message::tests::a_079_*` |

mod bombs;
mod floods;
mod guesses;
mod log_flood;
mod loops;
mod relaying;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use crate::support::office::{Device, PATIENCE, USER, provider, until};
use crate::support::program::{Program, QUICK, Site, YIZHAN, clean, files};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use yizhan::sandbox::{Sandbox, SandboxLimits};

pub(crate) const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
pub(crate) const MIB: u64 = 1 << 20;
/// More than this must not come of floods of a hundred megabytes and more: buffers, stacks, and pages of a program that is
/// touched for the first time, which on one machine are twice what they are on another.
pub(crate) const FLAT: u64 = 16 * MIB;
/// A second is asked for; this is what a machine gets that compiles meanwhile.
const ANSWER: Duration = Duration::from_secs(10);
/// Whom nobody here attacks from.
pub(crate) const HONEST: [u8; 4] = [127, 0, 99, 99];
/// Everything that a data folder may hold when there is no mail.
const FURNITURE: [&str; 6] = ["queue.db", "queue.db-wal", "queue.db-shm", "control.sock", "reserve", "yizhan.lock"];

/// What a test wants of the program beside limits that are out of the way.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    /// Tables at the end of the settings file.
    pub(crate) tables: &'a str,
    /// Settings from the environment, which overrule the file; without `YIZHAN__`.
    pub(crate) set: &'a [(&'a str, &'a str)],
    /// Networks that may send; none: all of 127.0.0.0/8.
    pub(crate) allow: &'a [&'a str],
    /// What the shell does before it becomes the program.
    pub(crate) shell: &'a str,
    /// The stack of each thread but the first, in octets.
    pub(crate) stack: Option<&'a str>,
}

/// The program, and the provider it sends to.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) site: Site,
    pub(crate) program: Program,
}

impl Scene {
    pub(crate) async fn open(name: &str, plan: Plan<'_>) -> Scene {
        let sandbox = provider(SandboxLimits::default()).await;
        let site = Site::new(name, &sandbox, &format!("{QUICK}{}", plan.tables));
        let mut arguments = vec!["-c".to_owned(), format!("{}\nexec \"$0\" \"$@\"", plan.shell), YIZHAN.to_owned()];
        arguments.extend(site.run_arguments());
        for network in plan.allow {
            arguments.extend(["--allow".to_owned(), (*network).to_owned()]);
        }
        let mut command = clean(Command::new("/bin/sh"), arguments);
        command.env("YIZHAN__LIMITS__FAILURES_PER_CLIENT", "100000/s");
        command.envs(plan.set.iter().map(|(key, value)| (format!("YIZHAN__{key}"), *value)));
        command.envs(plan.stack.map(|octets| ("RUST_MIN_STACK", octets)));
        let program = Program::start(command).await;
        Scene { sandbox, site, program }
    }

    pub(crate) fn door(&self) -> SocketAddr {
        self.program.door()
    }

    /// A device at this address, greeted.
    pub(crate) async fn device(&self, from: [u8; 4]) -> Device {
        let mut device = Device::dial_from(from.into(), self.door()).await;
        device.expect("220").await;
        device.ask("EHLO device.lan", "250").await;
        device
    }

    /// What holds after every attack. `expected`: the recipients of each message that the provider has.
    pub(crate) async fn after(&self, expected: &[&[&str]]) {
        self.greets().await;
        self.site.drained(&self.sandbox).await;
        let received = self.sandbox.received();
        let mut came: Vec<Vec<&str>> = received.iter().map(|one| one.to.iter().map(String::as_str).collect()).collect();
        let mut expected: Vec<Vec<&str>> = expected.iter().map(|to| to.to_vec()).collect();
        came.sort();
        expected.sort();
        assert_eq!(came, expected);
        for one in &received {
            assert_eq!(one.from, USER, "nobody sends as anybody else");
            assert_legal(&one.data);
        }
        self.is_tidy().await;
    }

    /// The program runs, and has a word for the next client.
    pub(crate) async fn greets(&self) {
        let visit = async {
            let mut device = self.device(HONEST).await;
            device.ask("NOOP", "250").await;
            device.ask("QUIT", "221").await;
        };
        timeout(ANSWER, visit).await.expect("the next client is greeted");
        assert!(!self.program.ended());
    }

    /// Nothing is left over: no message of any state that is not delivered, no file of a body.
    pub(crate) async fn is_tidy(&self) {
        assert_eq!(self.site.depth(&["queued", "sending", "waiting", "deferred", "held", "failed"]).await, 0);
        let data = &self.site.data;
        until("the spool to be empty", async || files(&data.join("spool")).is_empty().then_some(())).await;
        let name = |path: std::path::PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let left: BTreeSet<String> = files(data).into_iter().filter_map(name).collect();
        let strange: Vec<&String> = left.iter().filter(|name| !FURNITURE.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    /// How many files of bodies there are, finished or not.
    pub(crate) fn spooled(&self) -> usize {
        files(&self.site.data.join("spool")).len()
    }

    /// Runs something, and gives how much more memory the program has had at the most than ever before.
    pub(crate) async fn growth(&self, attack: impl Future<Output = ()>) -> u64 {
        let before = self.program.peak_memory();
        attack.await;
        // The kernel counts pages for each processor by itself, and now and then sums them up to a little less.
        self.program.peak_memory().saturating_sub(before)
    }
}

/// CRLF and nothing else, no NUL, no line that is too long.
fn assert_legal(data: &[u8]) {
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        let text = line.strip_suffix(b"\r\n").expect("every line ends in CRLF");
        assert!(text.len() <= 998, "{} octets", text.len());
        assert!(!text.iter().any(|octet| b"\r\n\0".contains(octet)), "{}", text.escape_ascii());
    }
}

/// Connects from this address of the machine.
pub(crate) async fn connect(from: impl Into<IpAddr>, door: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are sockets left");
    socket.bind((from.into(), 0).into()).expect("the address is our own");
    let stream = socket.connect(door).await.expect("the relay listens");
    stream.set_nodelay(true).expect("TCP can do that");
    stream
}

/// Writes without listening first, until all is written or the relay takes no more; gives how many octets went out, and
/// everything that was said meanwhile.
pub(crate) async fn pour(stream: TcpStream, pieces: impl Iterator<Item = Vec<u8>>) -> (u64, String) {
    let (mut reader, mut writer) = stream.into_split();
    let ear = tokio::spawn(async move {
        let mut said = Vec::new();
        // A connection that is reset has said what it has said.
        while let Ok(1..) = timeout(PATIENCE, reader.read_buf(&mut said)).await.expect("the relay hangs up") {}
        String::from_utf8_lossy(&said).into_owned()
    });
    let mut written = 0;
    for piece in pieces {
        match timeout(PATIENCE, writer.write_all(&piece)).await.expect("the relay reads, or hangs up") {
            Ok(()) => written += piece.len() as u64,
            Err(_) => break,
        }
    }
    let _ = writer.shutdown().await;
    (written, ear.await.expect("no panic"))
}

/// How many replies begin like this.
pub(crate) fn count(said: &str, start: &str) -> usize {
    said.lines().filter(|line| line.starts_with(start)).count()
}
