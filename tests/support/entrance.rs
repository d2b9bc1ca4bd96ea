//! A listener by itself, with log-ins and TLS as a test wants them, and clients that speak to it step by step, in the
//! clear or in TLS. The queue is real; nobody sends from it.
//!
//! Not here: settings as text, and the relay as a whole ([`super::office`], [`super::program`]).

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::intake::{Clients, Deadlines, IntakeContext, Listener, ListenerSettings, ListenerTls, Owner, User, Users};
use yizhan::limits::capacity::Capacity;
use yizhan::limits::known_clients::KnownClients;
use yizhan::limits::lockout::Patience;
use yizhan::limits::{LimitSettings, guard::Guard};
use yizhan::mail::{Address, IdSource};
use yizhan::message::Level;
use yizhan::net::tls::identity::Identity;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{Inspection as _, MessageFilter, Queue, QueueEntry, RetentionSettings};
use yizhan::secret::{Secret, SecretSource};
use yizhan::smtp::server::{AuthMode, Profile};
use yizhan::telemetry::counter::Counters;

use super::ca;
use super::folder::Folder;
use super::office::PATIENCE;

/// Nobody waits for an answer, and nobody is locked out.
pub const ENDLESS: Patience = Patience {
    most: u32::MAX,
    forgive: Duration::from_secs(3600),
    delay: Duration::ZERO,
    longest: Duration::ZERO,
    most_of_user: u32::MAX,
};

/// What a listener is to be like.
pub struct Plan {
    /// How much is put up with.
    pub profile: Profile,
    /// What AUTH means.
    pub auth: AuthMode,
    /// A certificate, and whether TLS begins at once.
    pub tls: Option<(ca::Identity, bool)>,
    /// Networks that may send without a log-in.
    pub allow: Vec<IpNet>,
    /// Who may log in.
    pub users: Vec<User>,
    /// Networks of load balancers.
    pub proxy_from: Vec<IpNet>,
    /// What a client may spend.
    pub limits: LimitSettings,
    /// How much guessing is put up with.
    pub patience: Patience,
    /// How long clients may take.
    pub deadlines: Deadlines,
}

impl Default for Plan {
    /// Log-ins of [`user`] `printer`, for all of loopback, without TLS; nobody is ever late.
    fn default() -> Plan {
        let deadlines = Deadlines {
            command: PATIENCE,
            data: PATIENCE,
            rate: 1,
            write: PATIENCE,
            proxy: PATIENCE,
            handshake: PATIENCE,
            stranger: PATIENCE,
        };
        Plan {
            profile: Profile::Tolerant,
            auth: AuthMode::Verify,
            tls: None,
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            users: vec![user("printer", "right")],
            proxy_from: Vec::new(),
            limits: LimitSettings {
                recipients: 100,
                message_size: 10 << 20,
                messages_per_connection: 100_000,
                ..LimitSettings::unlimited()
            },
            patience: ENDLESS,
            deadlines,
        }
    }
}

impl Plan {
    /// As the default, for strangers only.
    pub fn abroad() -> Plan {
        Plan { allow: vec!["10.0.0.0/8".parse().expect("a network")], ..Plan::default() }
    }
}

/// A user with a password as text, bound to nothing.
pub fn user(name: &str, password: &str) -> User {
    User {
        name: name.to_owned(),
        login: name.to_owned(),
        password: SecretSource::Plain(Secret::new(password)),
        client: None,
        pool: None,
        senders: Vec::new(),
    }
}

/// A client without a network.
pub fn client(name: &str) -> yizhan::intake::Client {
    yizhan::intake::Client {
        name: name.to_owned(),
        from: Vec::new(),
        display: None,
        charset: None,
        reply_to: None,
        subject_prefix: Some("[tied] ".to_owned()),
        drop_cron_env: false,
        level: Level::Full,
        profile: None,
        idle: None,
        lane: Default::default(),
        senders: Vec::new(),
        null_sender: true,
        recipients: Vec::new(),
    }
}

/// An open listener.
pub struct Entrance {
    pub addr: SocketAddr,
    pub queue: Arc<SqliteQueue>,
    pub capacity: Capacity,
    pub counters: Counters,
    pub identity: Option<Arc<Identity>>,
    pub folder: Folder,
}

impl Entrance {
    pub fn open(name: &str, plan: Plan) -> Entrance {
        let folder = Folder::new(name);
        let (data_dir, kept) = (folder.path().join("data"), PATIENCE);
        let settings = RetentionSettings { keep_records: kept, keep_failed: kept, keep_subject: true };
        let queue = Arc::new(SqliteQueue::open(&data_dir, settings).expect("a new queue opens").0);
        let capacity = Capacity::new(plan.limits.clone());
        let (counters, known) = (Counters::default(), Arc::<KnownClients>::default());
        let around = IntakeContext {
            hostname: "door.test".to_owned(),
            limits: plan.limits.clone(),
            queue: queue.clone(),
            clock: Clock::system(),
            ids: Arc::new(IdSource::new(1)),
            capacity: capacity.clone(),
            guard: Arc::new(Guard::new(&plan.limits, std::time::Instant::now())),
            known: known.clone(),
            nat: Arc::default(),
            counters: counters.clone(),
            drain: Drain::default(),
            owner: Owner { mailbox: Address::parse("owner@example.com").expect("an address") },
            clients: Arc::new(Clients::default()),
            users: Arc::new(Users::new(plan.users, plan.patience, known.clone())),
            expire: PATIENCE,
            router: Arc::new(yizhan::route::Router::new(Vec::new(), vec!["none".to_owned()])),
            log_subject: false,
            largest: Arc::default(),
        };
        let tls = plan.tls.map(|(pair, implicit)| {
            let (certificate, key) = (folder.file("cert.pem", pair.certificate), folder.file("key.pem", pair.key));
            let identity = Identity::open(&certificate, &key).expect("the authority made them for each other");
            ListenerTls { implicit, identity: Arc::new(identity) }
        });
        let identity = tls.as_ref().map(|tls| tls.identity.clone());
        let settings = ListenerSettings {
            name: "door".to_owned(),
            bind: vec![([127, 0, 0, 1], 0).into()],
            allow: plan.allow,
            proxy_from: plan.proxy_from,
            profile: plan.profile,
            auth: plan.auth,
            tls,
            deadlines: plan.deadlines,
        };
        let listener = Listener::bind(settings, around).expect("loopback has free ports");
        let addr = listener.addresses()[0];
        tokio::spawn(listener.run());
        Entrance { addr, queue, capacity, counters, identity, folder }
    }

    /// The one message that came in, and its header.
    pub async fn only(&self) -> (QueueEntry, String) {
        let all = self
            .queue
            .list(MessageFilter { limit: 10, ..MessageFilter::default() })
            .await
            .expect("the queue can be read");
        let [one] = &all[..] else { panic!("{all:?}") };
        let (_, head, _) = self.queue.show(one.id).await.expect("it is there");
        (one.clone(), String::from_utf8_lossy(&head).into_owned())
    }
}

/// Any stream of octets.
trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// A client that speaks SMTP step by step.
pub struct Line {
    stream: Box<dyn Octets>,
    input: Vec<u8>,
}

impl Line {
    /// Connects and says nothing.
    pub async fn dial(door: SocketAddr) -> Line {
        Line::dial_from([127, 0, 0, 1].into(), door).await
    }

    /// Connects from this address of the machine (all of 127.0.0.0/8 is), and says nothing.
    pub async fn dial_from(source: IpAddr, door: SocketAddr) -> Line {
        let socket = TcpSocket::new_v4().expect("there are sockets left");
        socket.bind((source, 0).into()).expect("the address is our own");
        let stream = socket.connect(door).await.expect("the listener is open");
        stream.set_nodelay(true).expect("TCP can do that");
        Line { stream: Box::new(stream), input: Vec::new() }
    }

    /// Connects, reads the greeting, says EHLO.
    pub async fn hello(door: SocketAddr) -> Line {
        let mut line = Line::dial(door).await;
        line.expect("220").await;
        line.ask("EHLO client.test", "250").await;
        line
    }

    /// Shakes hands; `localhost` must be in the certificate. Whatever was read in the clear and not looked at is an error.
    pub async fn tls(self, ca: &Path) -> Result<Line, String> {
        assert!(self.input.is_empty(), "{:?}", String::from_utf8_lossy(&self.input));
        let connector = yizhan::net::tls::connector(Some(ca)).expect("the authority's file is good");
        let name = "localhost".try_into().expect("a name");
        let shaken = timeout(PATIENCE, connector.connect(name, self.stream)).await.expect("the handshake ends");
        let stream = shaken.map_err(|error| error.to_string())?;
        Ok(Line { stream: Box::new(stream), input: Vec::new() })
    }

    /// Connects, begins TLS with STARTTLS, says EHLO again; gives the reply to it.
    pub async fn starttls(door: SocketAddr, ca: &Path) -> (Line, String) {
        let mut line = Line::hello(door).await;
        line.ask("STARTTLS", "220").await;
        let mut line = line.tls(ca).await.expect("the certificate is good");
        let hello = line.ask("EHLO client.test", "250").await;
        (line, hello)
    }

    /// Writes octets as they are; an end on the other side is not noticed.
    pub async fn write(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
        let _ = self.stream.flush().await;
    }

    /// Reads one reply, all its lines; `None` when the other side has hung up.
    pub async fn reply(&mut self) -> Option<String> {
        let read = async {
            loop {
                if let Some(end) = super::office::end_of_reply(&self.input) {
                    let reply: Vec<u8> = self.input.drain(..end).collect();
                    return Some(String::from_utf8_lossy(&reply).trim_end_matches("\r\n").to_owned());
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the listener answers in time")
    }

    /// Reads one reply, which must begin with `start`.
    pub async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await.unwrap_or_else(|| panic!("the listener hung up instead of saying {start}"));
        assert!(reply.starts_with(start), "{reply:?} instead of {start}");
        reply
    }

    /// Writes a command and reads its reply.
    pub async fn ask(&mut self, command: &str, start: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes()).await;
        self.expect(start).await
    }

    /// Logs in with PLAIN; the reply must begin with `start`.
    pub async fn log_in(&mut self, user: &str, password: &str, start: &str) -> String {
        self.ask(&format!("AUTH PLAIN {}", plain(user, password)), start).await
    }

    /// Sends a short message.
    pub async fn send(&mut self, from: &str) {
        self.ask(&format!("MAIL FROM:<{from}>"), "250").await;
        self.ask("RCPT TO:<boss@example.com>", "250").await;
        self.ask("DATA", "354").await;
        self.ask("Subject: hello\r\n\r\ntext\r\n.", "250 2.0.0 queued as ").await;
    }
}

/// The initial response of PLAIN.
pub fn plain(user: &str, password: &str) -> String {
    base64(&format!("\0{user}\0{password}"))
}

/// Base64.
pub fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
