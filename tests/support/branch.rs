//! A relay whose provider is somebody else's program: Postfix, or smtp-sink behind a front.
//!
//! The account is made the way an owner would make it, from settings as text. Not here: the provider itself, and the
//! pretended one of [`super::office`].

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use yizhan::admin::AdminSettings;
use yizhan::app::Relay;
use yizhan::clock::Clock;
use yizhan::config::{self, FileSource, Overrides, Settings, Sources};
use yizhan::mail::Id;
use yizhan::queue::{MessageFilter, MessageState, Queue as _, QueueEntry};

use super::folder::Folder;
use super::office::{Device, until};
use super::postfix::{Postfix, PostfixTls};

/// Where an account goes, and as whom.
#[derive(Debug, Clone)]
pub struct Account<'a> {
    /// The name or address that the certificate must have.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// `implicit` or `starttls`.
    pub tls: &'a str,
    /// The authority to trust.
    pub ca: &'a Path,
    /// The mailbox.
    pub user: &'a str,
    /// Its authorization code.
    pub code: &'a str,
}

impl<'a> Account<'a> {
    /// The one account that this Postfix has.
    pub fn at(postfix: &'a Postfix) -> Account<'a> {
        let options = postfix.options();
        let tls = if options.tls == PostfixTls::Implicit465 { "implicit" } else { "starttls" };
        let (user, code) = (options.user.as_str(), options.password.as_str());
        Account { host: "localhost", port: postfix.port(), tls, ca: postfix.ca_file(), user, code }
    }
}

/// A relay at work.
pub struct Branch {
    pub relay: Relay,
    pub folder: Folder,
}

impl Branch {
    /// Opens it with one account; a failed try is repeated after `retry`. It must be called in a runtime.
    pub fn open(name: &str, account: &Account<'_>, retry: Duration) -> Branch {
        Branch::with(name, account, retry, Clock::system(), "")
    }

    /// As [`Branch::open`], with a clock, and with more lines for the account's section.
    pub fn with(name: &str, account: &Account<'_>, retry: Duration, clock: Clock, more: &str) -> Branch {
        let folder = Folder::new(name);
        let Account { host, port, tls, ca, user, code } = account;
        let text = format!(
            "hostname = \"relay.test\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n[account.office]\n\
             provider = \"custom\"\nhost = \"{host}\"\nport = {port}\ntls = \"{tls}\"\nca = \"{}\"\nuser = \"{user}\"\n\
             secret = {{ file = \"{}\" }}\n{more}\n",
            ca.display(),
            folder.file("code", code).display()
        );
        let mut settings = load(text, &folder.path().join("data"));
        settings.queue.schedule.retry = vec![retry];
        let relay = Relay::start(&settings, clock).unwrap_or_else(|error| panic!("{error}"));
        Branch { relay, folder }
    }

    /// Where devices connect.
    pub fn door(&self) -> SocketAddr {
        self.relay.addresses()[0].1
    }

    /// Hands in a mail (CRLF lines, dots not yet doubled) from a device and gives its id.
    pub async fn send(&self, to: &[&str], data: &[u8]) -> Id {
        Device::connect(self.door()).await.send("device@lan.local", to, &stuffed(data)).await
    }

    /// The owner has found a new authorization code.
    pub fn set_code(&self, code: &str) {
        self.folder.file("code", code);
    }

    /// The entry of a message.
    pub async fn entry(&self, id: Id) -> QueueEntry {
        self.relay.queue().show(id).await.expect("the message is known").0
    }

    /// Every message there is.
    pub async fn list(&self) -> Vec<QueueEntry> {
        let filter = MessageFilter { states: MessageState::ALL.to_vec(), limit: 100_000, ..MessageFilter::default() };
        self.relay.queue().list(filter).await.expect("the queue can be read")
    }

    /// Waits until `reached` says yes to the entry of a message.
    pub async fn wait(&self, id: Id, what: &str, mut reached: impl FnMut(&QueueEntry) -> bool) -> QueueEntry {
        until(what, async || Some(self.entry(id).await).filter(|entry| reached(entry))).await
    }

    /// Waits until the message is in this state.
    pub async fn wait_state(&self, id: Id, state: MessageState) -> QueueEntry {
        self.wait(id, &format!("{id} to be {state}"), |entry| entry.state == state).await
    }

    /// Has the message tried again now.
    pub async fn again(&self, id: Id) {
        let queue = self.relay.queue();
        queue.retry(id, Clock::system().now()).await.expect("it may be tried again");
    }
}

/// Settings from a text, with a free port instead of the listener's.
pub fn load(text: String, data: &Path) -> Settings {
    let sources = Sources {
        file: FileSource::Text { name: "test.toml".into(), text },
        env: Default::default(),
        overrides: Overrides { data_dir: Some(data.to_owned()), ..Overrides::default() },
        machine: "relay.test".to_owned(),
        can_ask: false,
    };
    let mut settings = config::load(sources).unwrap_or_else(|problems| panic!("{problems}")).settings;
    settings.listeners[0].bind = vec![([127, 0, 0, 1], 0).into()];
    settings.admin = AdminSettings::off();
    settings
}

/// Doubles the dots at line starts (RFC 5321 section 4.5.2).
pub fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 8);
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out
}

/// What stands behind the first empty line.
pub fn body(message: &[u8]) -> &[u8] {
    let head = message.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a message has a header and a body");
    &message[head + 4..]
}
