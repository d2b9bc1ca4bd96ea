//! The state of the whole relay in one answer, and whether it is alive and ready.
//!
//! Invariant: a status asks the queue for counts and for the oldest message, never for a list of all; it is read in
//! milliseconds, whatever is in the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::account::AccountStatus;
use crate::clock::{Clock, Timestamp};
use crate::drain::Drain;
use crate::language::{Words, words};
use crate::limits::capacity::{Capacity, Full};
use crate::queue::{MessageSearch, MessageState, Queue, QueueEntry, QueueError, SearchOrder};
use crate::telemetry::counter::{self, Counters};

use super::accounts::Accounts;
use super::attention::{Attention, Facts};

/// How long a write that went well counts as proof that the queue can be written.
const PROOF: Duration = Duration::from_secs(5);
/// The most late messages that are counted.
const MOST_LATE: usize = 1000;

/// What a running relay knows of itself. A relay that is stopped has none.
pub struct RelayFacts {
    /// Since when it runs.
    pub since: Timestamp,
    /// The addresses of its listeners.
    pub listeners: Vec<ListenerStatus>,
    /// What the listeners may accept.
    pub capacity: Capacity,
    /// When it stops, and what has ended that must not end.
    pub drain: Drain,
    /// What was counted.
    pub counters: Counters,
}

/// What the settings say that a status needs.
#[derive(Clone, Debug, Default)]
pub struct StatusSettings {
    /// The name of the relay.
    pub hostname: String,
    /// Longer than this no message should wait for another reason than a budget; `None`: however long.
    pub oldest: Option<Duration>,
    /// Below this many free octets new mail is refused.
    pub disk_needed: u64,
    /// Below this many free octets an alert is due.
    pub disk_alert: u64,
    /// Why no alert about an account reaches the operator, and what to set.
    pub silent: Option<(Words, Words)>,
}

/// Remembers when the queue could be written.
#[derive(Debug, Default)]
pub(super) struct WriteProof(Mutex<Option<Instant>>);

/// The message that has waited longest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldestMessage {
    /// Its id.
    pub id: String,
    /// When it arrived.
    pub received: String,
    /// For how long it has waited, in seconds.
    pub age_seconds: u64,
    /// Its client.
    pub client: String,
    /// Its state.
    pub state: String,
    /// The kind of reason why it waits, such as `budget`; none when it does not wait.
    pub reason: Option<String>,
}

/// A relay, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// The version of the program that answers.
    pub version: String,
    /// The name of the relay.
    pub hostname: String,
    /// Whether a relay runs on the data folder.
    pub running: bool,
    /// Since when it runs.
    pub since: Option<String>,
    /// The addresses of its listeners.
    pub listeners: Vec<ListenerStatus>,
    /// Its accounts.
    pub accounts: Vec<AccountStatus>,
    /// The number of messages in each unfinished state.
    pub unfinished: Vec<StateCount>,
    /// Octets of all unfinished messages.
    pub unfinished_octets: u64,
    /// The oldest unfinished message.
    pub oldest: Option<OldestMessage>,
    /// What was finished since midnight.
    pub today: TodayCounts,
    /// Octets free on the disk of the data folder; none where the system does not say.
    pub disk_free: Option<u64>,
    /// Below this new mail is refused.
    pub disk_needed: u64,
    /// What the operator must do or look at, the most urgent first.
    pub attention: Vec<Attention>,
}

/// A listener, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The NAME of `[listener.NAME]`.
    pub name: String,
    /// Its address and port.
    pub address: String,
}

/// How many messages are in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCount {
    /// The state.
    pub state: String,
    /// Messages.
    pub messages: u64,
}

/// What was finished since midnight, by the date of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TodayCounts {
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that failed.
    pub failed: u64,
}

/// Whether the relay is alive, and ready for mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// Every part that is needed for mail runs.
    pub alive: bool,
    /// New mail is accepted: the relay is not stopping, there is room for mail, and the queue can be written.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<Words>,
}

impl RelayStatus {
    /// The status of a relay that does not run and has no queue.
    pub fn of_stopped(settings: &StatusSettings) -> RelayStatus {
        RelayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: settings.hostname.clone(),
            disk_needed: settings.disk_needed,
            attention: Facts::default().attention(),
            ..RelayStatus::default()
        }
    }
}

/// What a status and a health check are made from. Clones share everything.
#[derive(Clone)]
pub(super) struct Overview {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) clock: Clock,
    pub(super) settings: Arc<StatusSettings>,
    /// What the running relay knows of itself; `None`: none runs.
    pub(super) relay: Option<Arc<RelayFacts>>,
    pub(super) proof: Arc<WriteProof>,
}

impl Overview {
    /// The state of the whole relay.
    pub(super) async fn status(&self) -> Result<RelayStatus, QueueError> {
        let now = self.clock.now();
        let accounts = self.accounts.list().await;
        let depth = self.queue.depth().await?;
        let oldest = self.oldest().await?;
        let late = self.late(now).await?;
        let (delivered, failed) = self.queue.finished_since(now.midnight()).await?;
        let relay = self.relay.as_deref();
        let disk_free = self.disk_free();
        let counts = MessageState::ALL.iter().zip(depth.messages).filter(|(state, _)| !state.is_final());
        let unfinished: Vec<StateCount> =
            counts.map(|(state, messages)| StateCount { state: state.name().to_owned(), messages }).collect();
        let settings = &self.settings;
        let facts = Facts {
            running: relay.is_some(),
            accounts: &accounts,
            unfinished: unfinished.iter().map(|count| count.messages).sum(),
            held: depth.messages[MessageState::Held as usize],
            late,
            failed,
            disk_free,
            disk_needed: settings.disk_needed,
            disk_alert: settings.disk_alert,
            panics: relay.map_or(0, |relay| relay.counters.sum(counter::PANICS, &[])),
            silent: settings.silent.clone(),
        };
        let attention = facts.attention();
        let status = RelayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: settings.hostname.clone(),
            running: relay.is_some(),
            since: relay.map(|relay| relay.since.rfc3339()),
            listeners: relay.map(|relay| relay.listeners.clone()).unwrap_or_default(),
            unfinished,
            unfinished_octets: depth.bytes,
            oldest: oldest.map(|entry| oldest_message(&entry, now)),
            today: TodayCounts { delivered, failed },
            disk_free,
            disk_needed: settings.disk_needed,
            attention,
            accounts,
        };
        Ok(status)
    }

    async fn oldest(&self) -> Result<Option<QueueEntry>, QueueError> {
        let filter = crate::queue::MessageFilter { limit: 1, ..Default::default() };
        Ok(self.queue.list(filter).await?.pop())
    }

    /// How many messages have waited too long for another reason than a budget, and the age of the oldest of them.
    async fn late(&self, now: Timestamp) -> Result<Option<(u64, Words)>, QueueError> {
        let Some(most) = self.settings.oldest else { return Ok(None) };
        let search = MessageSearch {
            states: MessageState::ALL.into_iter().filter(|state| !state.is_final()).collect(),
            until: Some(now - most),
            order: SearchOrder::OldestFirst,
            limit: MOST_LATE,
            ..MessageSearch::default()
        };
        let page = self.queue.search(search).await?;
        // Held mail is a point of its own.
        let late = |entry: &&QueueEntry| entry.is_stuck() && !entry.notice && entry.state != MessageState::Held;
        let mut all = page.entries.iter().filter(late);
        let Some(oldest) = all.next() else { return Ok(None) };
        Ok(Some((1 + all.count() as u64, age(now.since(oldest.received)))))
    }

    /// Octets free on the disk; `None` where no relay runs or the system does not say.
    pub(super) fn disk_free(&self) -> Option<u64> {
        self.relay.as_ref()?.capacity.disk_free()
    }

    /// Whether the relay is alive and ready.
    pub(super) async fn health(&self) -> HealthStatus {
        let Some(relay) = &self.relay else {
            let reasons = vec![words("no relay runs on this data folder", "这个数据目录上没有中继在运行")];
            return HealthStatus { alive: false, ready: false, reasons };
        };
        let mut reasons = Vec::new();
        let broken = relay.drain.broken();
        if let Some(part) = broken {
            reasons.push(words(format!("{part} has ended; the relay restarts"), format!("{part} 已停止；中继将重启")));
        } else if relay.drain.started() {
            reasons.push(words("the relay is stopping", "中继正在停止"));
        }
        if let Err(full) = relay.capacity.has_space(0) {
            reasons.push(no_space(full));
        }
        if let Err(error) = self.prove_write().await {
            reasons.push(words(format!("the queue cannot be written: {error}"), format!("队列无法写入：{error}")));
        }
        HealthStatus { alive: broken.is_none(), ready: reasons.is_empty(), reasons }
    }

    /// Writes to the queue, unless that went well a moment ago.
    async fn prove_write(&self) -> Result<(), QueueError> {
        // One caller writes, the others wait for its result.
        let mut proof = self.proof.0.lock().await;
        if proof.is_some_and(|at| at.elapsed() < PROOF) {
            return Ok(());
        }
        self.queue.check_write(self.clock.now()).await?;
        *proof = Some(Instant::now());
        Ok(())
    }
}

fn oldest_message(entry: &QueueEntry, now: Timestamp) -> OldestMessage {
    OldestMessage {
        id: entry.id.to_string(),
        received: entry.received.rfc3339(),
        age_seconds: now.since(entry.received).as_secs(),
        client: entry.origin.client.clone(),
        state: entry.state.to_string(),
        reason: entry.wait.as_ref().map(|wait| wait.kind().to_owned()),
    }
}

fn no_space(full: Full) -> Words {
    let zh = match full {
        Full::Connections | Full::ConnectionsOfClient => "连接数已满",
        Full::Queue => "队列已满（limits.queue_size）",
        Full::Disk => "磁盘空间不足（limits.disk_free）",
        Full::Inodes => "磁盘的 inode 已用完",
    };
    words(format!("new mail is refused: {full}"), format!("正在拒收新邮件：{zh}"))
}

/// An age in words: `5 h 10 min`.
fn age(age: Duration) -> Words {
    let minutes = age.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => words(format!("{minutes} min"), format!("{minutes} 分钟")),
        (0, _) => words(format!("{hours} h {minutes} min"), format!("{hours} 小时 {minutes} 分")),
        _ => words(format!("{days} d {hours} h"), format!("{days} 天 {hours} 小时")),
    }
}
