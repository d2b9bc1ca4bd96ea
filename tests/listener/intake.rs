//! The door by itself: deadlines, half-closed and broken connections, clients that never listen. The queue is real,
//! nobody sends from it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::folder::Folder;
use crate::support::office::{Device, PATIENCE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::intake::{Deadlines, IntakeContext, Listener, ListenerSettings, Owner};
use yizhan::limits::LimitSettings;
use yizhan::limits::capacity::Capacity;
use yizhan::limits::guard::Guard;
use yizhan::mail::{Address, IdSource};
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{Inspection as _, MessageFilter, QueueEntry, RetentionSettings};
use yizhan::smtp::server::{AuthMode, Profile};
use yizhan::telemetry::counter::Counters;

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

struct Door {
    addr: SocketAddr,
    queue: Arc<SqliteQueue>,
    drain: Drain,
    capacity: Capacity,
    _folder: Folder,
}

impl Door {
    /// Opens a door with these deadlines for commands, data and writes.
    fn open(name: &str, command: Duration, data: Duration, write: Duration) -> Door {
        let folder = Folder::new(name);
        let keep = RetentionSettings { keep_records: PATIENCE, keep_failed: PATIENCE, keep_subject: true };
        let queue = Arc::new(SqliteQueue::open(&folder.path().join("data"), keep).expect("a new queue opens").0);
        let limits = LimitSettings {
            recipients: 100,
            message_size: 10 << 20,
            messages_per_connection: 100_000,
            ..LimitSettings::unlimited()
        };
        let capacity = Capacity::new(limits.clone());
        let drain = Drain::default();
        let around = IntakeContext {
            hostname: "door.test".to_owned(),
            limits: limits.clone(),
            queue: queue.clone(),
            clock: Clock::system(),
            ids: Arc::new(IdSource::new(1)),
            capacity: capacity.clone(),
            guard: Arc::new(Guard::new(&limits, std::time::Instant::now())),
            known: Arc::default(),
            nat: Arc::default(),
            counters: Counters::default(),
            drain: drain.clone(),
            owner: Owner { mailbox: Address::parse("owner@example.com").unwrap() },
            clients: Default::default(),
            users: Default::default(),
            expire: PATIENCE,
            router: Arc::new(yizhan::route::Router::new(Vec::new(), vec!["none".to_owned()])),
            log_subject: false,
            largest: Arc::default(),
        };
        let settings = ListenerSettings {
            name: "door".to_owned(),
            bind: vec![([127, 0, 0, 1], 0).into()],
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            proxy_from: Vec::new(),
            profile: Profile::Tolerant,
            auth: AuthMode::AcceptAny,
            tls: None,
            deadlines: Deadlines { command, data, write, ..Deadlines::default() },
        };
        let listener = Listener::bind(settings, around).expect("loopback has free ports");
        let addr = listener.addresses()[0];
        tokio::spawn(listener.run());
        Door { addr, queue, drain, capacity, _folder: folder }
    }

    /// A door where nobody is ever late.
    fn patient(name: &str) -> Door {
        Door::open(name, PATIENCE, PATIENCE, PATIENCE)
    }

    async fn queued(&self) -> Vec<QueueEntry> {
        self.queue
            .list(MessageFilter { limit: 10_000, ..MessageFilter::default() })
            .await
            .expect("the queue can be read")
    }
}

#[tokio::test]
async fn a_073_octets_that_drip_in_do_not_stretch_the_deadline_of_a_command() {
    let door = Door::open("drip", Duration::from_millis(400), PATIENCE, PATIENCE);
    let mut device = Device::connect(door.addr).await;
    let started = Instant::now();
    let mut drip = tokio::time::interval(Duration::from_millis(50));
    let reply = loop {
        tokio::select! {
            reply = device.reply() => break reply,
            _ = drip.tick() => {}
        }
        device.write(b"N").await;
    };
    assert!(reply.is_some_and(|reply| reply.starts_with("421 4.4.2")));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    until("the place to be free", async || (door.capacity.connections() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_073_a_message_that_stops_arriving_is_ended_and_not_kept() {
    let door = Door::open("stall", PATIENCE, Duration::from_millis(200), PATIENCE);
    let mut device = Device::connect(door.addr).await;
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.ask("RCPT TO:<d@e.f>", "250").await;
    device.ask("DATA", "354").await;
    device.write(b"Subject: half\r\n").await;
    device.expect("421 4.4.2").await;
    assert!(door.queued().await.is_empty());
}

#[tokio::test]
async fn a_076_a_client_that_never_listens_is_let_go() {
    let door = Door::open("deaf", PATIENCE, PATIENCE, Duration::from_millis(300));
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    stream.write_all(b"EHLO x\r\n").await.unwrap();
    // Two megabytes of replies find no reader; in the end our writes find none either.
    let flood = b"HELP\r\n".repeat(1000);
    let ended = timeout(PATIENCE, async {
        for _ in 0..10_000 {
            if stream.write_all(&flood).await.is_err() {
                return;
            }
        }
    });
    ended.await.expect("the relay hangs up");
    until("the place to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    Device::connect(door.addr).await.ask("NOOP", "250").await;
}

#[tokio::test]
async fn q_123_a_client_that_closes_its_half_gets_its_answers() {
    let door = Door::patient("half");
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    let session =
        [b"HELO nc\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n".as_slice(), DATA, b".\r\nQUIT\r\n"].concat();
    stream.write_all(&session).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    let codes: Vec<&str> = answers.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"]);
    assert_eq!(door.queued().await.len(), 1);
}

#[tokio::test]
async fn q_114_a_connection_that_breaks_keeps_a_message_from_its_final_dot_on() {
    let door = Door::patient("break");
    let stages: &[(&[u8], bool)] = &[
        (b"", false),
        (b"EHLO x\r\n", false),
        (b"EHLO x\r\nMAIL FR", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nhalf", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nhalf\r\n.", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nhalf\r\n.\r", false),
        (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nwhole\r\n.\r\n", true),
    ];
    let mut expected = 0;
    for (octets, kept) in stages {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).await.unwrap();
        stream.write_all(octets).await.unwrap();
        stream.shutdown().await.unwrap();
        // Closing with unread replies resets the connection.
        drop(stream);
        expected += usize::from(*kept);
        until("the session to end", async || (door.capacity.connections() == 0).then_some(())).await;
        assert_eq!(door.queued().await.len(), expected, "{}", String::from_utf8_lossy(octets));
    }
}

#[tokio::test]
async fn q_052_any_log_in_is_accepted_where_devices_insist() {
    let door = Door::patient("auth");
    let mut device = Device::connect(door.addr).await;
    device.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    device.ask("dXNlcg==", "334 UGFzc3dvcmQ6").await;
    device.ask("", "235").await;
    let mut device = Device::connect(door.addr).await;
    device.ask("AUTH PLAIN AHVzZXIAcGFzcw==", "235").await;
    device.send("a@b.c", &["d@e.f"], DATA).await;
}

#[tokio::test]
async fn five_hundred_connections_at_once_are_all_served() {
    let door = Door::patient("many");
    let addr = door.addr;
    let mut devices = tokio::task::JoinSet::new();
    for n in 0..500 {
        devices.spawn(async move {
            let mut device = Device::connect(addr).await;
            device.send("a@b.c", &[&format!("r{n}@e.f")], DATA).await
        });
    }
    let mut ids = Vec::new();
    while let Some(id) = devices.join_next().await {
        ids.push(id.unwrap());
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), door.queued().await.len()), (500, 500));
}

#[tokio::test]
async fn a_066_oversize_is_refused_and_leaves_nothing() {
    let door = Door::patient("oversize");
    let mut device = Device::connect(door.addr).await;
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.ask("RCPT TO:<d@e.f>", "250").await;
    device.ask("DATA", "354").await;
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    for _ in 0..11 * 1049 {
        device.write(&line).await;
    }
    device.ask(".", "552 5.3.4").await;
    // The header has caps of its own.
    for head in [b"A: b\r\n".repeat(1001), [b"A: ".to_vec(), vec![b'x'; 300 * 1024]].concat()] {
        device.ask("MAIL FROM:<a@b.c>", "250").await;
        device.ask("RCPT TO:<d@e.f>", "250").await;
        device.ask("DATA", "354").await;
        device.write(&head).await;
        device.write(b"\r\n\r\nbody\r\n").await;
        let reply = device.ask(".", "55").await;
        assert!(reply.starts_with("552 5.3.4") || reply.starts_with("554 5.6.0"), "{reply}");
    }
    assert!(door.queued().await.is_empty());
    door.drain.start();
    device.expect("421").await;
}
