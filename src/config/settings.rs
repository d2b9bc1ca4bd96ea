//! What the settings mean: plain values, all of them checked.
//!
//! `app` hands each part to the module it is for. Not here: where a value came from (that is `Loaded::origins`).
//! Invariant: a [`Settings`] that exists has no mistake in it that could be found without the network.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use encoding_rs::Encoding;
use ipnet::IpNet;

use crate::language::Language;
use crate::mail::{Address, Lane};
use crate::provider::{Endpoint, Mechanism, Preset, Tls, UserRow, Windows};
use crate::route::Pattern;
use crate::secret::{Secret, SecretSource};

mod limits;

pub use limits::{Flow, Limits, Rate};

/// Everything the relay is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name in EHLO and Received (RFC 5321 section 4.1.1.1).
    pub hostname: String,
    /// Where clients come in; at least one.
    pub listeners: Vec<Listener>,
    /// Who may log in, in the order of the names; may be empty. No two of them with one log-in name.
    pub users: Vec<User>,
    /// Where mail leaves, in the order in which they were named; may be empty.
    pub accounts: Vec<Account>,
    /// What is known of certain clients, in the order of the names; may be empty.
    pub clients: Vec<Client>,
    /// Which mail leaves through which accounts, the first that fits counts; may be empty.
    pub routes: Vec<Route>,
    /// The owner's own rows of the reply catalogue, read before all others; may be empty.
    pub replies: Vec<Reply>,
    /// The door.
    pub limits: Limits,
    /// The queue.
    pub queue: QueueSettings,
    /// Who hears of what, and how.
    pub notice: Notice,
    /// The log.
    pub log: Log,
}

/// One door for clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// The NAME of `[listener.NAME]`.
    pub name: String,
    /// Addresses to listen on; at least one, none of them twice over all listeners.
    pub bind: Vec<SocketAddr>,
    /// Networks that may send; at least one, never the whole internet.
    pub allow: Vec<IpNet>,
    /// Networks of load balancers that say who the client is (PROXY protocol); may be empty.
    pub proxy_from: Vec<IpNet>,
    /// How much broken SMTP is put up with, where the client's entry does not say.
    pub profile: Profile,
    /// What AUTH does.
    pub auth: Auth,
    /// TLS, if it is offered.
    pub tls: Option<ListenerTls>,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// How it begins.
    pub begins: Tls,
    /// PEM file with the certificate and those above it.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The NAME of `[user.NAME]`.
    pub name: String,
    /// What it logs in with.
    pub login: String,
    /// Where its password is, or the Argon2 hash of it.
    pub password: SecretSource,
    /// The NAME of the client that it is, which is in [`Settings::clients`].
    pub client: Option<String>,
    /// The NAME of the account that its mail leaves through, which is in [`Settings::accounts`]; `None`: as routes say.
    pub account: Option<String>,
    /// Patterns for whom it may send as; none: anybody.
    pub senders: Vec<String>,
}

/// How much broken SMTP is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What RFC 5321 allows.
    Strict,
    /// What can be understood without danger.
    Tolerant,
    /// Also what is dangerous outside a network one owns.
    Legacy,
}

impl Profile {
    /// The words of the settings; `None` for others.
    pub(super) fn of(word: &str) -> Option<Profile> {
        match word {
            "strict" => Some(Profile::Strict),
            "tolerant" => Some(Profile::Tolerant),
            "legacy" => Some(Profile::Legacy),
            _ => None,
        }
    }
}

/// What AUTH does at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// It is not offered.
    Off,
    /// Any user name and password is taken, for devices that insist on logging in. It allows nothing by itself.
    AcceptAny,
    /// The users of the settings are asked for their passwords, and may then send from anywhere.
    Verify,
}

/// One mailbox that mail leaves through.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The NAME of `[account.NAME]`.
    pub name: String,
    /// What its provider wants.
    pub preset: &'static Preset,
    /// The log-in name.
    pub user: String,
    /// The mailbox it sends as: the one that was named, else the log-in name; always there and qualified in settings
    /// that were loaded.
    pub address: Option<Address>,
    /// Other addresses of that mailbox, all qualified, none of them [`Account::address`]; may be empty.
    pub aliases: Vec<Address>,
    /// Whether a DKIM-Signature stays that its From breaks.
    pub keep_dkim: bool,
    /// Where the authorization code is. `None` only when the caller said that it can ask for it.
    pub secret: Option<SecretSource>,
    /// Places to connect to, best first; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Log-in mechanisms, best first; at least one.
    pub login: Vec<Mechanism>,
    /// PEM file with an authority to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// How fast mail may go out.
    pub budget: Budget,
    /// `socks5://`, `socks5h://` or `http://`, host and port, perhaps with a log-in: a secret for that.
    pub proxy: Option<Secret>,
}

/// How fast mail may go out through an account, where the owner has a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Messages; `None`: what the preset says.
    pub messages: Windows,
    /// Recipients of all messages together.
    pub recipients: Windows,
    /// Log-ins, refused ones as well.
    pub logins: Windows,
    /// Most connections at a time: the owner's, else the preset's.
    pub connections: usize,
}

impl Account {
    /// What its budget comes to: the owner's figures, else those of the preset. `None` is no limit.
    pub fn effective(&self) -> Budget {
        let windows = |own: Windows, preset: Windows| Windows {
            minute: own.minute.or(preset.minute),
            hour: own.hour.or(preset.hour),
            day: own.day.or(preset.day),
        };
        let (own, preset) = (&self.budget, &self.preset.budget);
        Budget {
            messages: windows(own.messages, preset.messages),
            recipients: windows(own.recipients, preset.recipients),
            logins: windows(own.logins, preset.logins),
            connections: own.connections,
        }
    }
}

/// Which mail leaves through which accounts. A list that is empty asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Names of clients, each of which is in [`Settings::clients`]: from one of them.
    pub clients: Vec<String>,
    /// Patterns for the envelope sender, as `route::Pattern` reads them: one must fit.
    pub senders: Vec<String>,
    /// Patterns for envelope recipients.
    pub recipients: Vec<String>,
    /// Names of accounts, each of which is in [`Settings::accounts`]; at least one, each once, best first.
    pub accounts: Vec<String>,
    /// Whether they take turns.
    pub spread: bool,
}

/// A row of the reply catalogue as the owner writes it; in settings that were loaded the catalogue takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The name of a preset; `None`: anybody's reply.
    pub provider: Option<String>,
    /// `CONNECT`, `EHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `RSET`, `QUIT`; at least one, or `ANY`.
    pub phases: Vec<&'static str>,
    /// A regular expression for code and text.
    pub pattern: String,
    /// A word of the catalogue in capitals, such as `COOL15>PAUSE`, perhaps with `+ALERT` behind it.
    pub action: String,
    /// `session`, `account`, `host`, `domain`, `config`, `message` or `recipient`.
    pub scope: Option<String>,
    /// What the owner reads.
    pub remedy: Option<String>,
}

impl Reply {
    /// The row, as the catalogue reads it.
    pub fn row(&self) -> UserRow {
        UserRow {
            provider: self.provider.clone(),
            phase: Some(self.phases.join(",")),
            pattern: self.pattern.clone(),
            action: self.action.clone(),
            scope: self.scope.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// What is known of the clients in some networks. It lets nobody in: [`Listener::allow`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The NAME of `[client.NAME]`.
    pub name: String,
    /// Its networks, none of them in two clients; may be empty where a user is this client.
    pub from: Vec<IpNet>,
    /// The name in `From:` when the mail brings none.
    pub display: Option<String>,
    /// The charset of text that is not UTF-8 and names none.
    pub charset: Option<&'static Encoding>,
    /// Where answers go when the mail does not say; always qualified.
    pub reply_to: Option<Address>,
    /// What stands before every subject.
    pub subject_prefix: Option<String>,
    /// Whether the environment that cron tells in `X-Cron-Env` goes.
    pub drop_cron_env: bool,
    /// How much is repaired.
    pub repair: RepairLevel,
    /// How much broken SMTP is put up with; `None`: as the listener says.
    pub profile: Option<Profile>,
    /// How long it may stay without a word; `None`: as everybody.
    pub idle: Option<Duration>,
    /// How urgent its mail is.
    pub lane: Lane,
    /// Envelope senders it may use; empty: any.
    pub senders: Vec<Pattern>,
    /// Whether it may use the null sender.
    pub null_sender: bool,
    /// Envelope recipients it may write to; empty: any.
    pub recipients: Vec<Pattern>,
}

/// How much is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairLevel {
    /// Everything a careful person would put right.
    Full,
    /// Only what the provider would refuse.
    Minimal,
}

/// The queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The folder of everything that must survive.
    pub data_dir: PathBuf,
    /// Waits between tries; then the last one again and again. At least one, each a second or more.
    pub retry: Vec<Duration>,
    /// After this long a message has failed (RFC 5321 section 4.5.4.1).
    pub expire: Duration,
    /// How long the record of a delivered message is kept.
    pub keep_delivered: Duration,
    /// How long a failed message is kept, with its body.
    pub keep_failed: Duration,
}

/// Who hears of what, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Who hears of failures.
    pub to: NoticeTo,
    /// Where the URL is that alarms of accounts are posted to; it carries a token. `None`: they are not.
    pub webhook: Option<SecretSource>,
    /// What is posted there.
    pub format: WebhookFormat,
    /// PEM file with an authority to trust for the webhook beside the system's.
    pub ca: Option<PathBuf>,
    /// What notices and alarms are written in.
    pub language: Language,
}

/// What the other side of a webhook understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The fields of the alarm, for a program.
    Json,
    /// WeCom (企业微信).
    Wecom,
    /// DingTalk (钉钉).
    Dingtalk,
    /// Feishu (飞书), and Lark.
    Feishu,
    /// Slack, and what imitates it.
    Slack,
}

/// Who hears of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeTo {
    /// The account's own mailbox.
    SelfAccount,
    /// The envelope sender.
    Sender,
    /// This address.
    Address(Address),
    /// Nobody.
    None,
}

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important that is logged.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something may break.
    Warn,
    /// One line a fact.
    Info,
    /// Dialogues, without secrets.
    Debug,
    /// Everything.
    Trace,
}
