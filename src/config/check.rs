//! From the merged layers to [`Settings`]: every value read, every mistake collected, then the parts put together.
//!
//! Not here: what one value means (that is `value`) and what belongs to an account (that is `account`). What is checked
//! here needs more than one key, or the world: two listeners on one address, a notice to a mailbox that has no address.
//!
//! Invariant: a part is left out only after its mistake was noted, so settings without a problem are complete.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use config::Value;

use super::Sources;
use super::account;
use super::client;
use super::door;
use super::environment::variable;
use super::keys::{self, quote};
use super::layer::{self, Layer};
use super::notice;
use super::own_door;
use super::problem::{Problem, Problems};
use super::route;
use super::settings::{
    Account, Auth, Client, Limits, Listener, Log, LogFormat, LogLevel, Profile, QueueSettings, Reply, Settings, User,
};
use super::user;
use super::value::{Meaning, read};

/// A section's name and where it was named.
pub(super) type Section<'a> = (&'a str, &'a str);

/// The sections that were named.
pub(super) struct Names<'a> {
    pub(super) listeners: Vec<Section<'a>>,
    pub(super) users: Vec<Section<'a>>,
    pub(super) accounts: Vec<Section<'a>>,
    pub(super) clients: Vec<Section<'a>>,
    pub(super) routes: Vec<Section<'a>>,
    pub(super) replies: Vec<Section<'a>>,
}

/// What comes out.
pub(super) struct Checked {
    pub(super) settings: Settings,
    pub(super) warnings: Vec<String>,
    pub(super) origins: BTreeMap<String, String>,
    pub(super) shown: BTreeMap<String, String>,
}

/// The work in hand.
pub(super) struct Check<'a> {
    pub(super) sources: &'a Sources,
    pub(super) meanings: BTreeMap<String, Meaning>,
    pub(super) origins: BTreeMap<String, String>,
    pub(super) shown: BTreeMap<String, String>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// The meaning of `$path`, if it was written and is right.
macro_rules! get {
    ($check:expr, $path:expr, $variant:ident) => {
        match $check.meanings.get(AsRef::<str>::as_ref(&$path)) {
            Some(Meaning::$variant(meaning)) => Some(meaning.clone()),
            Some(_) | None => None,
        }
    };
}
pub(super) use get;

/// Reads and checks everything in `layers`, the lowest first; the defaults come below them.
pub(super) fn check(
    sources: &Sources,
    layers: &[&Layer],
    names: &Names<'_>,
    problems: Vec<Problem>,
) -> Result<Checked, Problems> {
    let of_kind = |kind: &str| match kind {
        "listener" => &names.listeners,
        "user" => &names.users,
        "client" => &names.clients,
        _ => &names.accounts,
    };
    let mut bottom = layer::defaults(|kind| of_kind(kind).iter().map(|(name, _)| *name).collect());
    surroundings(sources, &mut bottom);
    let mut all = vec![&bottom];
    all.extend(layers);

    let mut check = Check {
        sources,
        meanings: BTreeMap::new(),
        origins: BTreeMap::new(),
        shown: BTreeMap::new(),
        warnings: super::environment::slips(&sources.env),
        problems,
    };
    for (path, value) in layer::merge(&all) {
        check.value(path, &value);
    }
    let settings = check.settings(names);
    match settings {
        Some(settings) if check.problems.is_empty() => {
            Ok(Checked { settings, warnings: check.warnings, origins: check.origins, shown: check.shown })
        }
        Some(_) | None => Err(Problems::sorted(check.problems)),
    }
}

/// The defaults that depend on the machine.
fn surroundings(sources: &Sources, bottom: &mut Layer) {
    let mut set = |path: &str, text: String, origin: String| bottom.set(path, Value::new(Some(&origin), text));
    // A container may have a name that is none in the sense of RFC 5321 section 4.1.2.
    let machine = Value::from(sources.machine.as_str());
    let usable = keys::key("hostname").is_some_and(|key| read(key.kind, &machine).is_ok());
    let name = if usable { sources.machine.clone() } else { "localhost".to_owned() };
    set("hostname", name, "default (the machine's name)".to_owned());

    let state = variable(&sources.env, "STATE_DIRECTORY").and_then(|list| list.split(':').next());
    // The XDG specification: a relative path is to be ignored.
    let xdg = variable(&sources.env, "XDG_STATE_HOME").filter(|path| path.starts_with('/'));
    let home = variable(&sources.env, "HOME");
    let place = state
        .map(|path| (path.to_owned(), "$STATE_DIRECTORY"))
        .or_else(|| xdg.map(|path| (format!("{path}/yizhan"), "$XDG_STATE_HOME")))
        .or_else(|| home.map(|path| (format!("{path}/.local/state/yizhan"), "$HOME")));
    if let Some((path, name)) = place {
        set("data_dir", path, format!("default ({name})"));
    }

    // As POSIX orders them; what is not Chinese is answered in English.
    let locale =
        ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| Some((name, variable(&sources.env, name)?)));
    let (word, origin) = match locale {
        Some((name, text)) if text.starts_with("zh") => ("zh", format!("default (${name})")),
        Some(_) | None => ("en", "default".to_owned()),
    };
    set("notice.language", word.to_owned(), origin);
}

impl Check<'_> {
    /// Reads one value and notes where it was written.
    fn value(&mut self, path: String, value: &Value) {
        let key = keys::key(&path).expect("a layer holds known keys only");
        let origin = value.origin().unwrap_or_default().to_owned();
        match read(key.kind, value) {
            Ok(meaning) => {
                self.meanings.insert(path.clone(), meaning);
            }
            Err(fault) => {
                let shown = fault.item.unwrap_or_else(|| key.display(value));
                self.problem(&path, Some(shown), &origin, &fault.reason, &fault.remedy);
            }
        }
        self.shown.insert(path.clone(), key.display(value));
        self.origins.insert(path, origin);
    }

    pub(super) fn problem(&mut self, key: &str, value: Option<String>, origin: &str, reason: &str, remedy: &str) {
        self.problems.push(Problem {
            key: key.to_owned(),
            value,
            origin: origin.to_owned(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// A mistake in a value that was written and read well, but does not go with something else.
    pub(super) fn misfit(&mut self, key: &str, reason: &str, remedy: &str) {
        let value = self.shown.get(key).cloned();
        let origin = self.origins.get(key).cloned().unwrap_or_default();
        self.problem(key, value, &origin, reason, remedy);
    }

    fn settings(&mut self, names: &Names<'_>) -> Option<Settings> {
        let listeners: Vec<Option<Listener>> = names.listeners.iter().map(|(name, _)| self.listener(name)).collect();
        let users: Vec<Option<User>> = names.users.iter().map(|section| user::user(self, *section, names)).collect();
        let accounts: Vec<Option<Account>> =
            names.accounts.iter().map(|section| account::account(self, *section)).collect();
        let clients: Vec<Option<Client>> = names.clients.iter().map(|section| client::client(self, *section)).collect();
        let routes = route::routes(self, names);
        let replies: Vec<Option<Reply>> = names.replies.iter().map(|section| route::reply(self, *section)).collect();
        let (limits, queue, notice, log) = (self.limits(), self.queue(), notice::notice(self), self.log());
        self.addresses(&listeners);
        own_door::circles(self, &accounts, &listeners);
        user::log_ins(self, &users, &listeners);
        client::networks(self, &clients);
        self.sizes(limits.as_ref(), &accounts);
        Some(Settings {
            hostname: get!(self, "hostname", Text)?,
            listeners: listeners.into_iter().collect::<Option<_>>()?,
            users: users.into_iter().collect::<Option<_>>()?,
            accounts: accounts.into_iter().collect::<Option<_>>()?,
            clients: clients.into_iter().collect::<Option<_>>()?,
            routes: routes?,
            replies: replies.into_iter().collect::<Option<_>>()?,
            limits: limits?,
            queue: queue?,
            notice: notice?,
            log: log?,
        })
    }

    fn listener(&mut self, name: &str) -> Option<Listener> {
        let path = |key: &str| format!("listener.{name}.{key}");
        let bind: Option<Vec<SocketAddr>> = get!(self, path("bind"), Sockets);
        // On the command line port 0 is for trials; written down it is a slip: the port would change at every start.
        let tried = self.origins.get(&path("bind")).is_some_and(|origin| origin == "--listen");
        for address in bind.iter().flatten().filter(|address| address.port() == 0 && !tried) {
            let origin = self.origins.get(&path("bind")).cloned().unwrap_or_default();
            let remedy = "write a port from 1 to 65535; port 0 is only for --listen, in trials";
            let shown = Some(quote(&address.to_string()));
            self.problem(&path("bind"), shown, &origin, "there is no port 0 to connect to", remedy);
        }
        let profile = Profile::of(get!(self, path("profile"), Word)?)?;
        let auth = match get!(self, path("auth"), Word)? {
            "off" => Auth::Off,
            "accept-any" => Auth::AcceptAny,
            "verify" => Auth::Verify,
            _ => return None,
        };
        let tls = door::tls(self, name);
        Some(Listener {
            name: name.to_owned(),
            bind: bind?,
            allow: get!(self, path("allow"), Networks)?,
            proxy_from: get!(self, path("proxy_from"), Networks).unwrap_or_default(),
            profile,
            auth,
            tls: tls?,
        })
    }

    fn limits(&self) -> Option<Limits> {
        let whole = |key: &str| get!(self, format!("limits.{key}"), Whole).and_then(|n| usize::try_from(n).ok());
        Some(Limits {
            connections: whole("connections")?,
            connections_per_client: whole("connections_per_client")?,
            messages_per_connection: u32::try_from(whole("messages_per_connection")?).ok()?,
            messages_per_client: get!(self, "limits.messages_per_client", Rate)?,
            recipients_per_client: get!(self, "limits.recipients_per_client", Rate)?,
            bytes_per_client: get!(self, "limits.bytes_per_client", Flow)?,
            failures_per_client: get!(self, "limits.failures_per_client", Rate)?,
            messages_per_sender: get!(self, "limits.messages_per_sender", Rate),
            recipients: whole("recipients")?,
            message_size: get!(self, "limits.message_size", Size)?,
            queue_size: get!(self, "limits.queue_size", Size)?,
            queue_size_per_client: get!(self, "limits.queue_size_per_client", Size)?,
            disk_free: get!(self, "limits.disk_free", Size)?,
        })
    }

    fn queue(&mut self) -> Option<QueueSettings> {
        if !self.shown.contains_key("data_dir") {
            let reason = "there is no place for the queue: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set";
            self.problem("data_dir", None, "", reason, "set data_dir, YIZHAN_DATA_DIR or --data-dir");
        }
        get!(self, "queue.url", Word)?;
        let queue = QueueSettings {
            data_dir: get!(self, "data_dir", Path)?,
            retry: get!(self, "queue.retry", Times)?,
            expire: get!(self, "queue.expire", Time)?,
            keep_delivered: get!(self, "queue.keep_delivered", Time)?,
            keep_failed: get!(self, "queue.keep_failed", Time)?,
        };
        if queue.retry.first().is_some_and(|first| *first >= queue.expire) {
            let remedy =
                "make it longer than the first wait of queue.retry; RFC 5321 section 4.5.4.1 advises four to five days";
            self.misfit("queue.expire", "a message would fail before it is tried a second time", remedy);
        }
        Some(queue)
    }

    fn log(&self) -> Option<Log> {
        let format = match get!(self, "log.format", Word)? {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return None,
        };
        let level = match get!(self, "log.level", Word)? {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "info" => LogLevel::Info,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => return None,
        };
        Some(Log { format, level })
    }

    /// No two listeners on one address.
    fn addresses(&mut self, listeners: &[Option<Listener>]) {
        let mut seen: Vec<(SocketAddr, &str)> = Vec::new();
        for listener in listeners.iter().flatten() {
            for address in listener.bind.iter().filter(|address| address.port() != 0) {
                if let Some((_, first)) = seen.iter().find(|(known, _)| known == address) {
                    let reason = format!("{address} is also in listener.{first}.bind");
                    self.misfit(&format!("listener.{}.bind", listener.name), &reason, "name every address once");
                }
                seen.push((*address, &listener.name));
            }
        }
    }

    /// What the door lets in must fit into the queue, and should fit through the accounts.
    fn sizes(&mut self, limits: Option<&Limits>, accounts: &[Option<Account>]) {
        let Some(limits) = limits else { return };
        if limits.queue_size < limits.message_size {
            let remedy = "make it several times limits.message_size";
            self.misfit("limits.queue_size", "one message of limits.message_size would not fit into the queue", remedy);
        }
        for (key, size) in [
            ("queue_size_per_client", limits.queue_size_per_client),
            ("bytes_per_client", limits.bytes_per_client.octets),
        ] {
            if size < limits.message_size {
                let reason = "a client could never send one message of limits.message_size";
                self.misfit(&format!("limits.{key}"), reason, "make it several times limits.message_size");
            }
        }
        for account in accounts.iter().flatten() {
            if account.preset.size_limit.is_some_and(|size| size < limits.message_size) {
                let title = &account.preset.title;
                let size = self.shown.get("limits.message_size").map_or("", String::as_str);
                let warning =
                    format!("limits.message_size = {size} is more than {title} takes (account.{})", account.name);
                self.warnings.push(warning);
            }
        }
    }
}
