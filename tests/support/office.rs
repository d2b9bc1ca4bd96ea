//! A whole office in one process: a pretended provider, a relay that sends through it, and devices.
//!
//! Everything is real but the provider's name: sockets, TLS, the queue on disk. Waiting is for events (the sandbox
//! counts, the queue's states), with a deadline that fails loudly.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use yizhan::account::budget::{BudgetLimits, Day};
use yizhan::admin::AdminSettings;
use yizhan::app::Relay;
use yizhan::clock::Clock;
use yizhan::config::{self, FileSource, Overrides, Settings, Sources};
use yizhan::drain::Drain;
use yizhan::mail::Id;
use yizhan::provider::{Endpoint, Tls, Windows};
use yizhan::queue::{MessageFilter, MessageState, Queue, QueueEntry};
use yizhan::report::relay_alarm::RelayAlarmSettings;
use yizhan::sandbox::{Sandbox, SandboxLimits};
use yizhan::secret::{Secret, SecretSource};

use super::folder::Folder;

/// The mailbox.
pub const USER: &str = "10000@qq.com";
/// Its authorization code.
pub const CODE: &str = "abcdefghijklmnop";
/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A provider that is open for business.
pub async fn provider(limits: SandboxLimits) -> Sandbox {
    provider_at(Clock::system(), limits).await
}

/// As [`provider`], with a clock.
pub async fn provider_at(clock: Clock, limits: SandboxLimits) -> Sandbox {
    let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = yizhan::sandbox::SandboxSettings {
        implicit: any,
        starttls: any,
        accounts: vec![(USER.to_owned(), Secret::new(CODE))],
        limits,
        keep: 100_000,
        reply_delay: Duration::ZERO,
    };
    Sandbox::start(settings, clock, Drain::default()).await.expect("loopback has free ports")
}

/// Settings of a relay that sends through `sandbox` as [`USER`]; data and secret are in `folder`. Retries come at once.
pub fn settings(sandbox: &Sandbox, folder: &Folder) -> Settings {
    let ca = folder.file("ca.pem", sandbox.ca_pem());
    let code = folder.path().join("code");
    if !code.exists() {
        folder.file("code", CODE);
    }
    let text = format!(
        "hostname = \"relay.test\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n[account.office]\nprovider = \"qq\"\n\
         user = \"{USER}\"\nsecret = {{ file = \"{}\" }}\nca = \"{}\"\n",
        code.display(),
        ca.display()
    );
    let sources = Sources {
        file: FileSource::Text { name: "test.toml".into(), text },
        env: Default::default(),
        overrides: Overrides { data_dir: Some(folder.path().join("data")), ..Overrides::default() },
        machine: "relay.test".to_owned(),
        can_ask: false,
    };
    let mut settings = config::load(sources).unwrap_or_else(|problems| panic!("{problems}")).settings;
    settings.listeners[0].bind = vec![([127, 0, 0, 1], 0).into()];
    settings.admin = AdminSettings::off();
    settings.accounts[0].endpoints = vec![endpoint(sandbox.implicit_addr().expect("it is open"), Tls::Implicit)];
    settings.queue.schedule.retry = vec![Duration::from_millis(50)];
    // Mail that waits or fails is what most tests make: they count the mails of the relay, and not its alerts.
    settings.notice.relay = RelayAlarmSettings::default();
    let day = settings.accounts[0].budget.day.clone();
    settings.accounts[0].budget = BudgetLimits { day, ..UNLIMITED };
    settings
}

/// A budget that nothing here uses up: what is tested is something else.
pub const UNLIMITED: BudgetLimits =
    BudgetLimits { messages: ENDLESS, recipients: ENDLESS, logins: ENDLESS, day: Day::Rolling };
const ENDLESS: Windows = Windows { minute: Some(u32::MAX), hour: Some(u32::MAX), day: Some(u32::MAX) };

/// A place to dial.
pub fn endpoint(addr: SocketAddr, tls: Tls) -> Endpoint {
    Endpoint { host: addr.ip().to_string(), port: addr.port(), tls }
}

/// A provider and a relay, at work.
pub struct Office {
    pub sandbox: Sandbox,
    pub relay: Relay,
    pub settings: Settings,
    pub folder: Folder,
}

impl Office {
    /// Opens the office with the usual settings.
    pub async fn open(name: &str) -> Office {
        Office::with(name, SandboxLimits::default(), |_| {}).await
    }

    /// Opens the office after `change` has had a hand in the relay's settings.
    pub async fn with(name: &str, limits: SandboxLimits, change: impl FnOnce(&mut Settings)) -> Office {
        Office::at(Clock::system(), name, limits, change).await
    }

    /// As [`Office::with`], with a clock for the provider and the relay.
    pub async fn at(clock: Clock, name: &str, limits: SandboxLimits, change: impl FnOnce(&mut Settings)) -> Office {
        let folder = Folder::new(name);
        let sandbox = provider_at(clock.clone(), limits).await;
        let mut settings = settings(&sandbox, &folder);
        change(&mut settings);
        let relay = Relay::start(&settings, clock).unwrap_or_else(|error| panic!("{error}"));
        Office { sandbox, relay, settings, folder }
    }

    /// Where devices connect.
    pub fn door(&self) -> SocketAddr {
        self.relay.addresses()[0].1
    }

    /// Hands in a mail from a device and gives its id.
    pub async fn send(&self, to: &[&str], data: &[u8]) -> Id {
        let mut device = Device::connect(self.door()).await;
        device.send("device@lan.local", to, data).await
    }

    /// Stops the relay and starts it again on the same data.
    pub async fn restart(self) -> Office {
        self.restart_at(Clock::system()).await
    }

    /// As [`Office::restart`], with a clock, and with the settings as they are now.
    pub async fn restart_at(self, clock: Clock) -> Office {
        let Office { sandbox, relay, settings, folder } = self;
        relay.stop(PATIENCE).await;
        let relay = Relay::start(&settings, clock).unwrap_or_else(|error| panic!("{error}"));
        Office { sandbox, relay, settings, folder }
    }

    /// The entry of a message.
    pub async fn entry(&self, id: Id) -> QueueEntry {
        self.relay.queue().show(id).await.expect("the message is known").0
    }

    /// Every message in one of these states.
    pub async fn list(&self, states: &[MessageState]) -> Vec<QueueEntry> {
        let filter = MessageFilter { states: states.to_vec(), limit: 100_000, ..MessageFilter::default() };
        self.relay.queue().list(filter).await.expect("the queue can be read")
    }

    /// Waits until the message is in this state.
    pub async fn wait_state(&self, id: Id, state: MessageState) -> QueueEntry {
        let queue = self.relay.queue();
        until(&format!("{id} to be {state}"), async || {
            let entry = queue.show(id).await.expect("the message is known").0;
            (entry.state == state).then_some(entry)
        })
        .await
    }

    /// Waits until the provider has `count` messages, and gives them.
    pub async fn received(&self, count: usize) -> Vec<yizhan::sandbox::Received> {
        match timeout(PATIENCE, self.sandbox.wait_for(count)).await {
            Ok(received) => received,
            Err(_) => {
                panic!("only {} of {count} messages arrived: {:?}", self.sandbox.received().len(), self.sandbox.stats())
            }
        }
    }

    /// Waits until nothing is left to be sent, so that what was not delivered twice by now never will be.
    pub async fn wait_empty(&self) {
        let queue = self.relay.queue();
        until("the queue to be empty", async || {
            queue.list(MessageFilter::default()).await.expect("the queue can be read").is_empty().then_some(())
        })
        .await;
    }
}

/// Asks again and again until there is an answer. For states that others change and nobody announces.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A device that speaks SMTP step by step.
pub struct Device {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Device {
    /// Connects and says nothing.
    pub async fn dial(door: SocketAddr) -> Device {
        let stream = TcpStream::connect(door).await.expect("the relay listens");
        stream.set_nodelay(true).expect("TCP can do that");
        Device { stream, input: Vec::new() }
    }

    /// Connects from this address of the machine (all of 127.0.0.0/8 is), and says nothing.
    pub async fn dial_from(source: std::net::IpAddr, door: SocketAddr) -> Device {
        let socket = tokio::net::TcpSocket::new_v4().expect("there are sockets left");
        socket.bind((source, 0).into()).expect("the address is our own");
        Device { stream: socket.connect(door).await.expect("the relay listens"), input: Vec::new() }
    }

    /// Connects, reads the greeting, says EHLO.
    pub async fn connect(door: SocketAddr) -> Device {
        let mut device = Device::dial(door).await;
        device.expect("220").await;
        device.ask("EHLO device.lan", "250").await;
        device
    }

    /// Writes octets as they are.
    pub async fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("the relay reads");
    }

    /// Has nothing more to say, and still reads.
    pub async fn close_half(&mut self) {
        self.stream.shutdown().await.expect("the connection is there");
    }

    /// Goes away with a RST: what was written arrives, what the relay says does not.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("TCP can do that");
    }

    /// Reads one reply, all its lines; `None` when the relay has hung up.
    pub async fn reply(&mut self) -> Option<String> {
        let read = async {
            loop {
                if let Some(end) = end_of_reply(&self.input) {
                    let reply: Vec<u8> = self.input.drain(..end).collect();
                    return Some(String::from_utf8_lossy(&reply).trim_end().to_owned());
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the relay answers in time")
    }

    /// Reads one reply, which must begin with `start`.
    pub async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await.unwrap_or_else(|| panic!("the relay hung up instead of saying {start}"));
        assert!(reply.starts_with(start), "{reply:?} instead of {start}");
        reply
    }

    /// Writes a command and reads its reply.
    pub async fn ask(&mut self, command: &str, start: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes()).await;
        self.expect(start).await
    }

    /// Sends a message (CRLF lines, no dots to stuff) and gives its id.
    pub async fn send(&mut self, from: &str, to: &[&str], data: &[u8]) -> Id {
        self.ask(&format!("MAIL FROM:<{from}>"), "250").await;
        for to in to {
            self.ask(&format!("RCPT TO:<{to}>"), "250").await;
        }
        self.ask("DATA", "354").await;
        self.write(data).await;
        self.write(b".\r\n").await;
        let reply = self.expect("250 2.0.0 queued as ").await;
        reply.rsplit(' ').next().and_then(Id::parse).expect("the reply ends in an id")
    }
}

pub fn end_of_reply(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let end = start + input[start..].windows(2).position(|pair| pair == b"\r\n")? + 2;
        if input[start..end].get(3) != Some(&b'-') {
            return Some(end);
        }
        start = end;
    }
}

/// The value of a header field of a received message, unfolded; the last one wins nothing: there must be one.
pub fn field(data: &[u8], name: &str) -> Option<String> {
    let head = &data[..data.windows(4).position(|w| w == b"\r\n\r\n").map_or(data.len(), |at| at + 2)];
    let head = String::from_utf8_lossy(head).replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut found = head.lines().filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    found.next()
}
