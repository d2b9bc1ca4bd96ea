//! The door by itself: a listener with a real queue behind it from which nobody sends, and limits that a test chooses.
//!
//! What is not named is out of the way: nobody is ever late, and nothing is ever full.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::intake::{Client, Clients, Deadlines, IntakeContext, Listener, ListenerSettings, NatDetection, Owner};
use yizhan::limits::LimitSettings;
use yizhan::limits::capacity::Capacity;
use yizhan::limits::guard::Guard;
use yizhan::limits::rate::Rate;
use yizhan::mail::{Address, IdSource, Lane};
use yizhan::message::Level;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{self, Inspection as _, MessageFilter, Queue, QueueEntry, RetentionSettings};
use yizhan::route::{Pattern, Router};
use yizhan::smtp::server::{AuthMode, Profile};
use yizhan::telemetry::counter::{Counters, REFUSED};

use super::folder::Folder;
use super::office::{Device, PATIENCE};

/// What a test may choose.
pub struct Plan {
    pub listener: ListenerSettings,
    pub limits: LimitSettings,
    /// The name of the relay.
    pub hostname: String,
    pub clients: Vec<Client>,
    pub clock: Clock,
}

/// An open door.
pub struct Door {
    pub addr: SocketAddr,
    pub queue: Arc<SqliteQueue>,
    pub capacity: Capacity,
    pub guard: Arc<Guard>,
    pub counters: Counters,
    pub drain: Drain,
    pub folder: Folder,
}

impl Door {
    /// Opens a door after `change` has had a hand in its settings.
    pub fn open(name: &str, change: impl FnOnce(&mut Plan)) -> Door {
        let folder = Folder::new(name);
        let data_dir = folder.path().join("data");
        let keep = RetentionSettings { keep_records: PATIENCE, keep_failed: PATIENCE, keep_subject: true };
        let queue = Arc::new(SqliteQueue::open(&data_dir, keep).expect("a new queue opens").0);
        let mut plan = Plan {
            listener: listener(),
            hostname: "door.test".to_owned(),
            limits: limits(),
            clients: Vec::new(),
            clock: Clock::system(),
        };
        change(&mut plan);
        let (capacity, guard) =
            (Capacity::new(plan.limits.clone()), Arc::new(Guard::new(&plan.limits, std::time::Instant::now())));
        let (counters, drain) = (Counters::default(), Drain::default());
        let around = IntakeContext {
            hostname: plan.hostname,
            limits: plan.limits,
            queue: queue.clone(),
            clock: plan.clock,
            ids: Arc::new(IdSource::new(1)),
            capacity: capacity.clone(),
            guard: guard.clone(),
            known: Arc::default(),
            nat: Arc::new(NatDetection::default()),
            counters: counters.clone(),
            drain: drain.clone(),
            owner: Owner { mailbox: Address::parse("owner@example.com").unwrap() },
            clients: Arc::new(Clients::new(plan.clients)),
            users: Arc::default(),
            expire: PATIENCE,
            router: Arc::new(Router::new(Vec::new(), vec!["none".to_owned()])),
            log_subject: false,
            largest: Arc::default(),
        };
        let listener = Listener::bind(plan.listener, around).expect("loopback has free ports");
        let addr = listener.addresses()[0];
        tokio::spawn(listener.run());
        Door { addr, queue, capacity, guard, counters, drain, folder }
    }

    /// Everything in the queue, oldest first.
    pub async fn queued(&self) -> Vec<QueueEntry> {
        self.queue
            .list(MessageFilter { limit: 10_000, ..MessageFilter::default() })
            .await
            .expect("the queue can be read")
    }

    /// How often this was the reason of a refusal.
    pub fn refused(&self, reason: &str) -> u64 {
        self.counters.sum(REFUSED, &[("reason", reason)])
    }

    /// A device at this address, greeted.
    pub async fn device(&self, from: [u8; 4]) -> Device {
        let mut device = Device::dial_from(IpAddr::from(from), self.addr).await;
        device.expect("220").await;
        device.ask("EHLO device.lan", "250").await;
        device
    }
}

/// Limits on one message and one connection only.
pub fn limits() -> LimitSettings {
    LimitSettings {
        recipients: 100,
        message_size: 10 << 20,
        messages_per_connection: 100_000,
        ..LimitSettings::unlimited()
    }
}

fn listener() -> ListenerSettings {
    ListenerSettings {
        name: "door".to_owned(),
        bind: vec![([127, 0, 0, 1], 0).into()],
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_from: Vec::new(),
        profile: Profile::Tolerant,
        auth: AuthMode::AcceptAny,
        tls: None,
        deadlines: Deadlines {
            command: PATIENCE,
            data: PATIENCE,
            rate: 1,
            write: PATIENCE,
            proxy: PATIENCE,
            handshake: PATIENCE,
            stranger: PATIENCE,
        },
    }
}

/// A client entry for these networks.
pub fn client(name: &str, from: &[&str], senders: &[&str], recipients: &[&str]) -> Client {
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Client {
        name: name.to_owned(),
        from: from.iter().map(|network| network.parse().unwrap()).collect(),
        display: None,
        charset: None,
        reply_to: None,
        subject_prefix: None,
        drop_cron_env: false,
        level: Level::Full,
        profile: None,
        idle: None,
        lane: Lane::Normal,
        senders: patterns(senders),
        null_sender: true,
        recipients: patterns(recipients),
    }
}

/// So many in an hour: within a test nothing comes back.
pub fn an_hour(count: u32) -> Rate {
    Rate { count: count.try_into().unwrap(), per: Duration::from_secs(3600) }
}
