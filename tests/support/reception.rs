//! An office with four doors on free ports, and what may be asked of a relay that strangers have talked to.
//!
//! `open` takes whoever comes from loopback; `any` takes any log-in as well; `login` takes nobody who has not logged in, and
//! `secure` nobody who has not done so inside TLS, which it offers with STARTTLS. Not here: the clients ([`super::clients`], [`super::apps`]).

use std::net::SocketAddr;
use std::sync::Arc;

use yizhan::config::Settings;
use yizhan::intake::{ListenerSettings, ListenerTls, User};
use yizhan::net::tls::identity::Identity;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Received, SandboxLimits};
use yizhan::secret::{Secret, SecretSource};
use yizhan::smtp::server::AuthMode;
use yizhan::telemetry::counter::ACCEPTED;

use super::ca::{NAMES, TestCa};
use super::clients::{Target, Tls};
use super::folder::Folder;
use super::office::{Device, Office, until};
use super::program::files;

/// Who may log in at `verify`.
pub const LOGIN: &str = "printer";
/// With what.
pub const PASSWORD: &str = "right horse 7";

/// The office, its authority, and the folder of its certificate.
pub struct Reception {
    pub office: Office,
    pub ca: TestCa,
    _folder: Folder,
}

impl Reception {
    /// Opens the office; nothing at the door is in short supply.
    pub async fn open(name: &str, change: impl FnOnce(&mut Settings)) -> Reception {
        let (ca, folder) = (TestCa::new(), Folder::new("certificate"));
        let pair = ca.issue(NAMES);
        let (certificate, key) = (folder.file("cert.pem", pair.certificate), folder.file("key.pem", pair.key));
        let identity = Identity::open(&certificate, &key).expect("the authority made them for each other");
        let tls = ListenerTls { implicit: false, identity: Arc::new(identity) };
        let office = Office::with(name, SandboxLimits::default(), |settings| {
            doors(settings, tls);
            room(settings);
            change(settings);
        });
        Reception { office: office.await, ca, _folder: folder }
    }

    /// The address of a door.
    pub fn door(&self, name: &str) -> SocketAddr {
        let found = self.office.relay.addresses().iter().find(|(listener, _)| listener == name);
        found.unwrap_or_else(|| panic!("there is no door {name}")).1
    }

    /// What a client is told to reach the door without log-in and TLS.
    pub fn plain(&self) -> Target {
        Target::plain(self.door("open").port())
    }

    /// The door where any log-in will do.
    pub fn any(&self) -> Target {
        let login = Some(("somebody".to_owned(), "whatever".to_owned()));
        Target { login, ..Target::plain(self.door("any").port()) }
    }

    /// The door where the right log-in is asked for.
    pub fn login(&self) -> Target {
        Target { login: Some((LOGIN.to_owned(), PASSWORD.to_owned())), ..Target::plain(self.door("login").port()) }
    }

    /// The same with STARTTLS.
    pub fn secure(&self) -> Target {
        Target::secure(self.door("secure").port(), Tls::Starttls, self.ca.file(), LOGIN, PASSWORD)
    }

    /// A fresh session is answered.
    pub async fn answers(&self) {
        let mut device = Device::connect(self.door("open")).await;
        device.ask("NOOP", "250").await;
        device.ask("QUIT", "221").await;
        assert_eq!(device.reply().await, None);
    }

    /// Waits until this many messages were accepted and are at the provider, and gives them. No one came twice, nothing else was taken,
    /// and nothing is left in the queue or beside it.
    pub async fn exactly(&self, count: usize) -> Vec<Received> {
        self.settled(count, count).await
    }

    /// As [`Reception::exactly`], for messages that go out in more pieces than came in.
    pub async fn settled(&self, taken: usize, count: usize) -> Vec<Received> {
        self.office.received(count).await;
        self.office.wait_empty().await;
        self.answers().await;
        let stats = self.office.sandbox.stats();
        let accepted = self.office.relay.counters().sum(ACCEPTED, &[]);
        assert_eq!((accepted, stats.accepted), (taken as u64, count as u64), "{stats:?}");
        assert_eq!(self.office.list(&[MessageState::Delivered]).await.len(), taken);
        // The queue removes a file after the commit, on a thread of its own.
        let spool = self.office.settings.queue.data_dir.join("spool");
        until("the spool to be empty", async || files(&spool).is_empty().then_some(())).await;
        self.office.sandbox.received()
    }
}

fn doors(settings: &mut Settings, tls: ListenerTls) {
    let door = settings.listeners[0].clone();
    let named = |name: &str, auth| ListenerSettings { name: name.to_owned(), auth, ..door.clone() };
    let mut login = named("login", AuthMode::Verify);
    // Nobody who is here comes from there: it is the log-in that opens this door.
    login.allow = vec!["10.0.0.0/8".parse().expect("a network")];
    let secure = ListenerSettings { name: "secure".to_owned(), tls: Some(tls), ..login.clone() };
    settings.listeners = vec![named("open", AuthMode::Off), named("any", AuthMode::AcceptAny), login, secure];
    settings.users = vec![User {
        name: "device".to_owned(),
        login: LOGIN.to_owned(),
        password: SecretSource::Plain(Secret::new(PASSWORD)),
        client: None,
        pool: None,
        senders: Vec::new(),
    }];
}

fn room(settings: &mut Settings) {
    let limits = &mut settings.limits;
    (limits.connections, limits.connections_per_client) = (2000, 2000);
    for rate in [&mut limits.messages_per_client, &mut limits.recipients_per_client, &mut limits.failures_per_client] {
        rate.count = 1_000_000_u32.try_into().unwrap();
    }
    limits.bytes_per_client.octets = 10 << 30;
    settings.accounts[0].connections = 4;
}

/// What is wrong with the octets of a message that goes to a provider, if anything: every line ends with CRLF, has no other CR, LF or
/// NUL and at most 998 octets (RFC 5322 section 2.1.1), and the header is ASCII.
pub fn illegal(data: &[u8]) -> Option<String> {
    if !data.ends_with(b"\r\n") {
        return Some("the last line has no end".to_owned());
    }
    let mut head = true;
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        let Some(line) = line.strip_suffix(b"\r\n") else { return Some(format!("bare LF: {}", line.escape_ascii())) };
        head &= !line.is_empty();
        if line.len() > 998 || line.iter().any(|octet| b"\r\0".contains(octet)) || (head && !line.is_ascii()) {
            return Some(line.escape_ascii().to_string());
        }
    }
    None
}
