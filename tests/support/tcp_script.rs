//! Replays the server scripts over TCP: against the relay's own listener, or against the scripted driver behind a socket.
//!
//! The listener has no setting for everything that a script may ask of a session ([`for_listener`]); what it cannot
//! have is replayed against [`Shell`]. Where the answers are the admission's and not the session's (250 to MAIL, RCPT
//! and the final dot), code and enhanced code are compared, and the words left alone; every other word counts. What
//! came in is compared with what the state machine alone made of the same script.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::intake::{Deadlines, IntakeContext, Listener, ListenerSettings, Owner};
use yizhan::limits::LimitSettings;
use yizhan::limits::capacity::Capacity;
use yizhan::limits::guard::Guard;
use yizhan::mail::{Address, IdSource};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{self, Inspection as _, MessageFilter, MessageState, Queue, QueueEntry, RetentionSettings};
use yizhan::telemetry::counter::Counters;

use super::folder::Folder;
use super::transcript::{Driver, Exchange, Script, compare};

/// Longer than any dialogue here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Mailbox of the postmaster.
pub const OWNER: &str = "owner@peer.test";

/// Settings of a session for which a listener has no setting of its own, and names that only the scripted driver refuses.
const NOT_AT_A_LISTENER: [&str; 4] = ["auth-required", "starttls", "max-errors", "max-junk"];
const REFUSED_BY_THE_DRIVER: [&str; 3] = ["refused@", "later@", "nodata@"];

/// Whether the listener can be set up as the script wants it, and its admission answers as the script says.
pub fn for_listener(script: &Script) -> bool {
    let settings =
        NOT_AT_A_LISTENER.iter().all(|key| script.get(key).is_none()) && script.get("auth") != Some("verify");
    let said: Vec<u8> = script.exchanges.iter().flat_map(|exchange| exchange.client.clone()).collect();
    let said = String::from_utf8_lossy(&said).into_owned();
    settings && !REFUSED_BY_THE_DRIVER.iter().any(|name| said.contains(name))
}

/// The relay's own door, with a real queue behind it.
pub struct Door {
    queue: Arc<SqliteQueue>,
    around: IntakeContext,
    _folder: Folder,
}

impl Door {
    pub fn new() -> Door {
        let folder = Folder::new("door");
        let day = Duration::from_secs(24 * 3600);
        let settings = RetentionSettings { keep_records: day, keep_failed: day, keep_subject: true };
        let (queue, _) = SqliteQueue::open(&folder.path().join("data"), settings).expect("an empty folder");
        let queue = Arc::new(queue);
        let limits = LimitSettings::unlimited();
        let capacity = Capacity::new(limits.clone());
        let around = IntakeContext {
            hostname: "relay.test".to_owned(),
            limits: limits.clone(),
            clients: Default::default(),
            users: Default::default(),
            queue: queue.clone(),
            clock: Clock::system(),
            ids: Arc::new(IdSource::new(1)),
            capacity,
            guard: Arc::new(Guard::new(&limits, std::time::Instant::now())),
            known: Arc::default(),
            nat: Arc::default(),
            counters: Counters::default(),
            drain: Drain::default(),
            owner: Owner { mailbox: Address::parse(OWNER).expect("an address") },
            expire: day,
            router: Arc::new(yizhan::route::Router::new(Vec::new(), vec!["none".to_owned()])),
            log_subject: false,
            largest: Arc::default(),
        };
        Door { queue, around, _folder: folder }
    }

    /// Opens a listener with the settings of the script; its name is on what comes in.
    pub fn open(&self, script: &Script, name: &str) -> SocketAddr {
        let session = script.settings();
        let settings = ListenerSettings {
            name: name.to_owned(),
            bind: vec![([127, 0, 0, 1], 0).into()],
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            proxy_from: Vec::new(),
            profile: session.profile,
            auth: session.auth,
            tls: None,
            deadlines: Deadlines::default(),
        };
        let limits = LimitSettings {
            recipients: session.max_recipients,
            message_size: session.max_message,
            messages_per_connection: session.max_messages,
            ..self.around.limits.clone()
        };
        let around = IntakeContext { limits, ..self.around.clone() };
        let listener = Listener::bind(settings, around).expect("a free port");
        let addr = listener.addresses()[0];
        tokio::spawn(listener.run());
        addr
    }

    /// Sender and recipients of what came in at a listener, oldest first.
    pub async fn came_in(&self, name: &str) -> Vec<(String, Vec<String>)> {
        let filter = MessageFilter { states: MessageState::ALL.to_vec(), limit: 100_000, ..MessageFilter::default() };
        let mut all: Vec<QueueEntry> = self.queue.list(filter).await.expect("the queue can be read");
        all.retain(|entry| entry.origin.listener == name);
        all.sort_by_key(|entry| entry.id.to_string());
        let to = |entry: &QueueEntry| entry.recipients.iter().map(|one| one.address.to_string()).collect();
        all.iter().map(|entry| (entry.sender.to_string(), to(entry))).collect()
    }

    pub async fn close(self) {
        self.around.drain.start();
        self.queue.close().await.expect("the queue closes");
    }
}

/// What the state machine alone makes of the script, as the admission would keep it.
pub fn messages(script: &Script) -> Vec<(String, Vec<String>)> {
    let mut driver = Driver::new(script.settings());
    for exchange in &script.exchanges {
        if !driver.closed {
            driver.feed(&exchange.client);
        }
        if exchange.eof {
            driver.eof();
        }
    }
    let kept = |to: &Vec<String>| {
        let mut kept: Vec<String> = Vec::new();
        for one in to {
            let one = if one.eq_ignore_ascii_case("postmaster") { OWNER.to_owned() } else { one.clone() };
            if !kept.iter().any(|known| known.eq_ignore_ascii_case(&one)) {
                kept.push(one);
            }
        }
        kept
    };
    driver.messages.iter().map(|(from, to, _)| (from.clone(), kept(to))).collect()
}

/// The scripted driver behind a socket, for one connection.
pub struct Shell;

impl Shell {
    pub async fn open(script: &Script) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let mut driver = Driver::new(script.settings());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.set_nodelay(true).expect("TCP can do that");
            let mut input = vec![0; 4096];
            while !driver.closed {
                stream.write_all(&driver.output()).await.expect("the client reads");
                match stream.read(&mut input).await.expect("the client does not reset") {
                    0 => driver.eof(),
                    n => driver.feed(&input[..n]),
                }
            }
            stream.write_all(&driver.output()).await.expect("the client reads");
            stream.shutdown().await.expect("the client is there");
            // Unread octets would turn our goodbye into a reset.
            while stream.read(&mut input).await.is_ok_and(|n| n > 0) {}
        });
        addr
    }
}

/// Says what the client says, `piece` octets a write, and compares what is answered. `words`: whether the answers to
/// MAIL, RCPT and the final dot are the scripted driver's.
pub async fn replay(script: &Script, addr: SocketAddr, piece: usize, words: bool) {
    let stream = TcpStream::connect(addr).await.expect("the listener listens");
    stream.set_nodelay(true).expect("TCP can do that");
    let (mut read, mut write) = stream.into_split();
    let mut closed = false;
    for exchange in &script.exchanges {
        let at = format!("{} after {:?} (pieces of {piece})", script.name, exchange.client.escape_ascii().to_string());
        let say = async {
            for octets in exchange.client.chunks(piece) {
                // A server that has closed does not take the rest.
                if write.write_all(octets).await.is_err() {
                    return;
                }
            }
            if exchange.eof {
                let _ = write.shutdown().await;
            }
        };
        // At the same time: neither side may have to wait for the other.
        let both = async { tokio::join!(say, hear(&mut read, exchange)).1 };
        let got = timeout(PATIENCE, both).await.unwrap_or_else(|_| panic!("{at}: no answer"));
        let wanted: Vec<String> = exchange.server.iter().map(|line| loose(line, words)).collect();
        compare(&at, &wanted, &got);
        closed |= exchange.close;
    }
    if !closed {
        // Nothing was said beyond what was wanted.
        let _ = write.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, read.read_to_end(&mut rest)).await.expect("the server closes as well");
        assert!(rest.is_empty(), "{}: {:?}", script.name, rest.escape_ascii().to_string());
    }
}

/// Takes the words away that the admission says in its own way.
fn loose(line: &str, words: bool) -> String {
    match line {
        "250 2.1.0 OK" | "250 2.1.5 OK" | "250 2.0.0 Queued" if !words => format!("{}...", &line[..10]),
        line => line.to_owned(),
    }
}

/// Reads as many lines as are wanted; to the end, where the server has to close.
async fn hear(read: &mut OwnedReadHalf, exchange: &Exchange) -> Vec<u8> {
    let mut got = Vec::new();
    let enough = |got: &[u8]| got.windows(2).filter(|pair| pair == b"\r\n").count() >= exchange.server.len();
    while exchange.close || !enough(&got) {
        match read.read_buf(&mut got).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    got
}
