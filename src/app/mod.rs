//! Assembly: from settings to a running relay, and from a running relay to a stopped one.
//!
//! Everything is built here and handed down; no module below knows another's settings or how it was made. Not here:
//! the command line, signals, and what is printed (`cli`).

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::account::Account;
use crate::admin::control::Control;
use crate::admin::{Admin, AdminBind, ListenerStatus, RelayFacts};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::delivery::{self, ConnectedAccount, Delivery};
use crate::drain::Drain;
use crate::intake::listener::BindError;
use crate::intake::{self, Listener};
use crate::limits::capacity::Capacity;
use crate::limits::guard::Guard;
use crate::limits::known_clients::KnownClients;
use crate::limits::lockout::Patience;
use crate::mail::IdSource;
use crate::net::tls::roots::Roots;
use crate::queue::sqlite::SqliteQueue;
use crate::queue::{self, Queue};
use crate::report::webhook::{self, Webhook, WebhookSettings};
use crate::secret::SecretSource;
use crate::telemetry::counter::Counters;
use crate::upstream::Upstream;

mod chores;
mod offline;
mod page;
mod purge;
mod series;
mod shared_account;

pub use offline::{accounts_offline, read_secrets, test_alerts_offline};
use page::Page;
use shared_account::Marks;

/// How long a stop waits for messages that are on their way, before it gives up on them (they stay in the queue).
pub const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long those who are cut short may take to write down how far they came.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a stop says who is still here.
const STOP_REPORT: Duration = Duration::from_secs(5);

/// Why a relay could not be started. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no account, so nothing could ever be sent.
    #[error("{NO_ACCOUNT}")]
    NoAccount,
    /// A listener could not be opened.
    #[error("{source}\n{}", bind_hint(source))]
    Bind {
        /// Which, and why.
        source: BindError,
    },
    /// The address of the HTTP face that the settings name could not be opened.
    #[error(
        "cannot listen on {bind} for HTTP: {source}\nset admin.bind to another address, or to \"\" to run without page and API"
    )]
    Http {
        /// Where.
        bind: AdminBind,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in the settings does not hold, although each part of it is well formed.
    #[error("{path}: {reason}")]
    Setting {
        /// The key.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The queue could not be opened.
    #[error(transparent)]
    Queue(#[from] queue::QueueError),
    /// The control socket could not be opened.
    #[error("cannot open the control socket {}: {source}", path.display())]
    Control {
        /// Its path.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

const NO_ACCOUNT: &str = "there is no account to send mail through. Two ways to go on:\n\
    \n  1. Name a mailbox. The shortest way, for QQ Mail with an authorization code:\n\
    \n       YIZHAN_PROVIDER=qq YIZHAN_USER=10000@qq.com YIZHAN_SECRET_FILE=/path/to/code yizhan run\n\
    \n     or write it into yizhan.toml (conf/yizhan.toml shows every key):\n\
    \n       [account.office]\n       provider = \"qq\"\n       user = \"10000@qq.com\"\n       secret = { file = \"/run/secrets/qq\" }\n\
    \n  2. Try it without any account: `yizhan run --sandbox` adds a pretended QQ Mail in this process; `yizhan demo`\n     \
    shows what the relay does in half a minute.";

fn bind_hint(error: &BindError) -> String {
    use std::io::ErrorKind;
    let port = error.addr.port();
    match error.source.kind() {
        ErrorKind::PermissionDenied if port < 1024 => format!(
            "a port below 1024 needs a privilege. One of these gives it:\n  \
             - another port:     yizhan run --listen 127.0.0.1:2525\n  \
             - the capability:   sudo setcap cap_net_bind_service=+ep $(command -v yizhan)\n  \
             - under systemd:    AmbientCapabilities=CAP_NET_BIND_SERVICE\n  \
             - for the machine:  sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"
        ),
        ErrorKind::AddrInUse => format!(
            "another program listens on port {port} already (`ss -ltnp 'sport = :{port}'` names it); stop it, or choose another \
             port with --listen"
        ),
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; use one of its own, or 127.0.0.1 for this machine only".to_owned()
        }
        _ => "check listener.*.bind".to_owned(),
    }
}

/// A running relay.
pub struct Relay {
    addresses: Vec<(String, SocketAddr)>,
    page_address: Option<SocketAddr>,
    counters: Counters,
    drain: Drain,
    delivery: Delivery,
    queue: Arc<dyn Queue>,
    tasks: JoinSet<()>,
    /// Tells other relays on this machine which accounts are in use.
    _marks: Marks,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("addresses", &self.addresses).field("drain", &self.drain).finish_non_exhaustive()
    }
}

impl Relay {
    /// Opens the queue and the listeners, then starts to take and to send mail.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(settings: &Settings, clock: Clock) -> Result<Relay, StartError> {
        // What is wrong with the settings is said before anything is made on the disk.
        owner(settings)?;
        let counters = Counters::default();
        let keep = settings.queue.retention;
        let (queue, report) = SqliteQueue::open_counted(&settings.queue.data_dir, keep, counters.clone())?;
        for sentence in report {
            tracing::warn!(event = "queue_report", "{sentence}");
        }
        Relay::build(Arc::new(queue), settings, clock, counters)
    }

    /// As [`Relay::start`], on a queue that is open already.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then, and the queue is as it was.
    pub fn on(shared: Arc<dyn Queue>, settings: &Settings, clock: Clock) -> Result<Relay, StartError> {
        Relay::build(shared, settings, clock, Counters::default())
    }

    fn build(
        shared: Arc<dyn Queue>,
        settings: &Settings,
        clock: Clock,
        counters: Counters,
    ) -> Result<Relay, StartError> {
        let owner = owner(settings)?;
        let router = Arc::new(settings.router());
        let drain = Drain::default();
        series::declare(settings, &counters, &clock);
        let ids = Arc::new(IdSource::new(seed()));
        let capacity = Capacity::new(settings.limits.clone());
        let known: Arc<KnownClients> = Arc::default();
        let guard = Arc::new(Guard::new(&settings.limits, std::time::Instant::now()));
        let door = intake::IntakeContext {
            hostname: settings.hostname.clone(),
            limits: settings.limits.clone(),
            queue: shared.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            capacity: capacity.clone(),
            guard: guard.clone(),
            nat: Arc::default(),
            counters: counters.clone(),
            drain: drain.clone(),
            owner,
            clients: Arc::new(intake::Clients::new(settings.clients.clone())),
            users: Arc::new(intake::Users::new(settings.users.clone(), Patience::default(), known.clone())),
            known,
            expire: settings.queue.schedule.expire,
            log_subject: settings.log.subject,
            largest: Arc::new(settings.largest(&router)),
            router,
        };
        let listeners: Result<Vec<Listener>, BindError> =
            settings.listeners.iter().map(|one| Listener::bind(one.clone(), door.clone())).collect();
        let listeners = listeners.map_err(|source| StartError::Bind { source })?;
        if let Some(unreached) = settings.unreached_alerts() {
            tracing::warn!(event = "alerts_reach_nobody", "{}; {}", unreached.why().0, unreached.remedy().0);
        }
        let page = Page::open(settings)?;
        let data_dir = settings.queue.data_dir.clone();
        let control = Control::bind(&data_dir)
            .map_err(|source| StartError::Control { path: crate::admin::control::path(&data_dir), source })?;
        let (queue, intake) = (shared.clone(), Arc::new(door));
        let parts = Parts {
            queue: shared,
            clock: clock.clone(),
            ids,
            counters: counters.clone(),
            capacity: capacity.clone(),
            drain: drain.clone(),
        };
        let delivery = delivery_of(settings, parts)?;
        let marks = Marks::set(&settings.accounts);
        let addresses: Vec<_> =
            listeners.iter().flat_map(|l| l.addresses().into_iter().map(|a| (l.name().to_owned(), a))).collect();
        let facts = RelayFacts {
            since: clock.now(),
            listeners: listening(&addresses),
            capacity: capacity.clone(),
            drain: drain.clone(),
            counters: counters.clone(),
        };
        let admin = Admin::new(queue.clone(), Arc::new(delivery.clone()), clock.clone());
        let admin = admin.with_settings(settings.status()).of_relay(facts);
        let page_address = page.as_ref().and_then(Page::address);
        let tasks = JoinSet::new();
        let mut relay = Relay { addresses, page_address, counters, drain, delivery, queue, tasks, _marks: marks };
        let door = chores::Door { counters: relay.counters.clone(), capacity, guard };
        relay.launch(listeners, (control, admin.clone()), clock, door, data_dir);
        if let Some(page) = page {
            relay.tasks.spawn(page.run(admin, intake));
        }
        Ok(relay)
    }

    fn launch(
        &mut self,
        listeners: Vec<Listener>,
        (control, admin): (Control, Admin),
        clock: Clock,
        door: chores::Door,
        data_dir: std::path::PathBuf,
    ) {
        let (queue, drain) = (self.queue.clone(), self.drain.clone());
        for (name, addr) in &self.addresses {
            tracing::info!(event = "listening", listener = %name, %addr);
        }
        // None of them may end before the rest does: a relay that takes mail and sends none is worse than one that is
        // started anew.
        let mut vital = |name, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let drain = drain.clone();
            self.tasks.spawn(async move { drain.vital(name, work).await });
        };
        for listener in listeners {
            vital("a listener", Box::pin(listener.run()));
        }
        let control = control.run(admin, self.counters.clone(), self.drain.clone());
        vital("the control socket", Box::pin(control));
        vital("the chores", Box::pin(chores::run(queue, clock, door, data_dir, self.drain.clone())));
        let delivery = self.delivery.clone();
        vital("the delivery", Box::pin(async move { delivery.run().await }));
    }

    /// Returns when something without which the relay is only half alive has ended: its name. [`Relay::stop`] is next.
    pub async fn broken(&self) -> &'static str {
        self.drain.asked().await;
        match self.drain.broken() {
            Some(part) => part,
            // The stop was asked for.
            None => std::future::pending().await,
        }
    }

    /// The open addresses, with the names of their listeners.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// The open address of the HTTP face, if it listens at one.
    pub fn page_address(&self) -> Option<SocketAddr> {
        self.page_address
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The queue.
    pub fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    /// The accounts, with their state.
    pub fn accounts(&self) -> &[Arc<ConnectedAccount>] {
        self.delivery.accounts()
    }

    /// Looks at the secrets of accounts that rest now, rather than in a moment (SIGHUP).
    pub fn look_at_secrets(&self) {
        self.delivery.read_secrets();
    }

    /// The delivery, for those who pause and resume accounts.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Stops: accepts nothing new, finishes the final dots and the deliveries that were begun, closes the queue.
    ///
    /// Waits at most `limit`, and says in the log every few seconds who is still here; what is not finished by then is
    /// still in the queue. True when everything came to its end.
    pub async fn stop(mut self, limit: Duration) -> bool {
        self.drain.start();
        tracing::info!(event = "draining", here = self.drain.names().join(", "), seconds = limit.as_secs());
        let finished = {
            let (drain, tasks) = (self.drain.clone(), &mut self.tasks);
            let all = async {
                while tasks.join_next().await.is_some() {}
                drain.wait().await;
            };
            let report = async {
                loop {
                    tokio::time::sleep(STOP_REPORT).await;
                    tracing::info!(event = "draining", here = drain.names().join(", "));
                }
            };
            tokio::pin!(all);
            tokio::select! {
                () = &mut all => true,
                () = report => false,
                () = tokio::time::sleep(limit) => {
                    let here = self.drain.names().join(", ");
                    tracing::warn!(event = "draining", given_up = here, "they are still in the queue");
                    // What the provider may have is written down as such, so that it is not sent again without a trace.
                    self.drain.cut_short();
                    let _ = tokio::time::timeout(LAST_WORDS, all).await;
                    false
                }
            }
        };
        if !finished {
            self.tasks.abort_all();
        }
        if let Err(error) = self.queue.close().await {
            tracing::error!(event = "queue_error", "{error}");
        }
        tracing::info!(event = "stopped", finished);
        finished
    }
}

fn listening(addresses: &[(String, SocketAddr)]) -> Vec<ListenerStatus> {
    let one = |(name, addr): &(String, SocketAddr)| ListenerStatus { name: name.clone(), address: addr.to_string() };
    addresses.iter().map(one).collect()
}

/// What a delivery shares with the rest of the process.
struct Parts {
    queue: Arc<dyn Queue>,
    clock: Clock,
    ids: Arc<IdSource>,
    counters: Counters,
    capacity: Capacity,
    drain: Drain,
}

/// The delivery that the settings describe, not yet at work.
fn delivery_of(settings: &Settings, parts: Parts) -> Result<Delivery, StartError> {
    let wrong = |path: &str, reason: String| StartError::Setting { path: path.to_owned(), reason };
    let catalogue = settings.catalogue().map_err(|error| wrong("reply", error.to_string()))?;
    let webhook = webhook(&settings.notice)?;
    // Accounts that trust the same share it.
    let roots = Roots::default();
    let connected = |account: &config::Account| {
        let upstream = Upstream::new(
            account.upstream(&settings.hostname, &catalogue, &roots, &parts.clock),
            parts.counters.clone(),
        );
        ConnectedAccount::new(Account::new(account.profile(), account.budget.clone()), upstream)
    };
    let accounts = settings.accounts.iter().map(connected).collect();
    let inputs = delivery::DeliveryInputs {
        queue: parts.queue,
        router: Arc::new(settings.router()),
        catalogue,
        webhook,
        clock: parts.clock,
        ids: parts.ids,
        counters: parts.counters,
        capacity: parts.capacity,
        drain: parts.drain,
    };
    Ok(Delivery::new(settings.delivery(), accounts, inputs))
}

/// The owner is the mailbox of the first account.
fn owner(settings: &Settings) -> Result<intake::Owner, StartError> {
    let first = settings.accounts.first().ok_or(StartError::NoAccount)?;
    Ok(intake::Owner { mailbox: first.address.clone() })
}

/// Where alerts go, if there is a webhook.
fn webhook(notice: &config::Notice) -> Result<Option<Webhook>, StartError> {
    let Some(source) = &notice.webhook else { return Ok(None) };
    let wrong = |path: &str, reason: String| StartError::Setting { path: path.to_owned(), reason };
    let sign = notice.sign.as_ref().map(SecretSource::read).transpose();
    let hook = WebhookSettings {
        url: source.read().map_err(|error| wrong("notice.webhook", error.to_string()))?,
        format: notice.format,
        ca: notice.ca.clone(),
        sign: sign.map_err(|error| wrong("notice.sign", error.to_string()))?,
        language: notice.language,
        connect_limit: webhook::CONNECT_LIMIT,
        limit: webhook::LIMIT,
    };
    Webhook::new(hook).map(Some).map_err(|error| wrong("notice.webhook", error.to_string()))
}

/// A number that other processes are unlikely to have.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
