//! The words of alerts about the whole relay: mail that waits too long, damaged mail, a full disk, a panic, and a test.
//!
//! Not here: when such an alert is due (`report::relay_alarm`), and its frame (`alarm`). Invariant: it holds ids, names of
//! clients, numbers and places in the source; the words of a provider are in the alarm's `reply`.

use serde::{Deserialize, Serialize};

use crate::language::{Tongue, size};

use super::alarm::Remedy;
use super::one_line;

/// The limit of a shown id, client or place, in characters.
const MAX_NAME: usize = 120;

/// A cause of alerts about the whole relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayFact {
    /// A message waits too long.
    Oldest,
    /// A message is held because it is damaged.
    Held,
    /// Many messages failed within an hour.
    Failed,
    /// The disk of the queue is nearly full.
    DiskFree,
    /// A task panicked.
    Panic,
}

impl RelayFact {
    /// The event of its alarm, in JSON and in metrics.
    pub const fn event(self) -> &'static str {
        match self {
            RelayFact::Oldest => "mails_waiting",
            RelayFact::Held => "mails_held",
            RelayFact::Failed => "mails_failed",
            RelayFact::DiskFree => "disk_low",
            RelayFact::Panic => "panic",
        }
    }

    /// The event of its all-clear.
    const fn over(self) -> &'static str {
        match self {
            RelayFact::Oldest => "mails_waiting_over",
            RelayFact::Held => "mails_held_over",
            RelayFact::Failed => "mails_failed_over",
            RelayFact::DiskFree => "disk_low_over",
            RelayFact::Panic => "panic_over",
        }
    }
}

/// Messages that do not leave, and the oldest of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckMails {
    /// How many there are, as far as they were counted.
    pub mails: u64,
    /// Whether there may be more than were counted.
    pub more: bool,
    /// The id of the oldest one.
    pub id: String,
    /// The client that sent it.
    pub client: String,
    /// When it arrived, in RFC 3339 form.
    pub received: String,
}

/// What an alert about the whole relay reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayEvent {
    /// Messages wait for longer than `limit` seconds, for a reason other than a budget.
    Oldest {
        /// Which.
        stuck: StuckMails,
        /// `notice.oldest`, in seconds.
        limit: u64,
    },
    /// Messages are held because they are damaged.
    Held {
        /// Which.
        stuck: StuckMails,
    },
    /// The disk of the queue has too little free.
    DiskLow {
        /// Octets free.
        free: u64,
        /// `notice.disk_free`, in octets.
        limit: u64,
    },
    /// Tasks panicked since the last such alert.
    Panicked {
        /// How many.
        times: u64,
        /// The kind of task that panicked last.
        task: String,
        /// The place of the last panic in the source, `file:line:column`; empty when it is not known.
        place: String,
    },
    /// It is over.
    Over {
        /// What.
        fact: RelayFact,
    },
    /// A test that an operator asked for.
    Test,
}

impl RelayEvent {
    /// The name of the event, as in JSON and in metrics.
    pub const fn event(&self) -> &'static str {
        match self {
            RelayEvent::Oldest { .. } => RelayFact::Oldest.event(),
            RelayEvent::Held { .. } => RelayFact::Held.event(),
            RelayEvent::DiskLow { .. } => RelayFact::DiskFree.event(),
            RelayEvent::Panicked { .. } => RelayFact::Panic.event(),
            RelayEvent::Over { fact } => fact.over(),
            RelayEvent::Test => "test",
        }
    }

    /// The messages that it is about.
    pub const fn stuck(&self) -> Option<&StuckMails> {
        match self {
            RelayEvent::Oldest { stuck, .. } | RelayEvent::Held { stuck } => Some(stuck),
            RelayEvent::DiskLow { .. } | RelayEvent::Panicked { .. } | RelayEvent::Over { .. } | RelayEvent::Test => {
                None
            }
        }
    }

    /// What the operator should do; `None` where there is nothing to do.
    pub fn remedy(&self) -> Option<Remedy> {
        let (en, zh) = match self {
            RelayEvent::Oldest { stuck, .. } => {
                let id = name(&stuck.id);
                (
                    format!(
                        "look at the reason with `yizhan queue show {id}`, list the others with `yizhan queue list`, and \
                         find the cause with `yizhan doctor`"
                    ),
                    format!(
                        "用 `yizhan queue show {id}` 查看原因，用 `yizhan queue list` 列出其他邮件，用 `yizhan doctor` 查找故障"
                    ),
                )
            }
            RelayEvent::Held { stuck } => {
                let id = name(&stuck.id);
                (
                    format!(
                        "look at it with `yizhan queue show {id}`, check the disk, then send it again with `yizhan queue \
                         retry {id}` or delete it with `yizhan queue drop {id}`"
                    ),
                    format!(
                        "用 `yizhan queue show {id}` 查看并检查磁盘，然后用 `yizhan queue retry {id}` 重发，或用 `yizhan queue \
                         drop {id}` 删除"
                    ),
                )
            }
            RelayEvent::DiskLow { .. } => (
                "see with `df -h` what is full and make room; below `limits.disk_free` the relay refuses new mail with 452"
                    .to_owned(),
                "用 `df -h` 查看哪个磁盘已满并腾出空间；低于 `limits.disk_free` 时中继会以 452 拒收新邮件".to_owned(),
            ),
            RelayEvent::Panicked { .. } => (
                "look for `event=panic` in the log and report that line as a bug; the relay works on".to_owned(),
                "在日志中查找 `event=panic`，并把该行作为程序错误上报；中继仍在运行".to_owned(),
            ),
            RelayEvent::Over { .. } | RelayEvent::Test => return None,
        };
        Some(Remedy { en, zh })
    }

    /// One line without the name of the relay.
    pub(super) fn title(&self, tongue: Tongue) -> String {
        let (en, zh) = match self {
            RelayEvent::Oldest { stuck, limit } => {
                let [en, zh] = [Tongue::En, Tongue::Zh].map(|tongue| span(*limit, tongue));
                (format!("{} waiting for more than {en}", count_en(stuck)), format!("{}等待超过 {zh}", count_zh(stuck)))
            }
            RelayEvent::Held { stuck } => {
                (format!("{} held as damaged", count_en(stuck)), format!("{}因损坏被搁置", count_zh(stuck)))
            }
            RelayEvent::DiskLow { free, .. } => {
                let free = size(*free);
                (format!("the disk of the queue has {free} free"), format!("队列所在磁盘仅剩 {free}"))
            }
            RelayEvent::Panicked { .. } => {
                ("a task of the relay panicked".to_owned(), "中继的一个任务因程序错误而中止".to_owned())
            }
            RelayEvent::Over { fact } => {
                let (en, zh) = match fact {
                    RelayFact::Oldest => ("no mail waits too long any more", "已没有等待过久的邮件"),
                    RelayFact::Held => ("no damaged mail is held any more", "已没有因损坏被搁置的邮件"),
                    RelayFact::Failed => ("mails no longer fail in numbers", "邮件不再大量失败"),
                    RelayFact::DiskFree => ("the disk of the queue has room again", "队列所在磁盘已有空间"),
                    RelayFact::Panic => ("no task panicked again", "任务未再中止"),
                };
                (en.to_owned(), zh.to_owned())
            }
            RelayEvent::Test => ("test alert".to_owned(), "测试告警".to_owned()),
        };
        tongue.pick(en, zh)
    }

    /// What happened, since when, and what it means, with LF. `since` is a readable time.
    pub(super) fn text(&self, since: &str, tongue: Tongue) -> String {
        let (en, zh) = match self {
            RelayEvent::Oldest { stuck, limit } => {
                let [long_en, long_zh] = [Tongue::En, Tongue::Zh].map(|tongue| span(*limit, tongue));
                let (id, client) = (name(&stuck.id), name(&stuck.client));
                (
                    format!(
                        "Waiting for more than {long_en}, not because of a budget: {}.\nThe oldest is {id}, of the client \
                         {client}, and waits since {since}.",
                        count_en(stuck)
                    ),
                    format!(
                        "{}等待超过 {long_zh}，且原因不是额度。\n最早的一封是 {id}，来自客户端 {client}，自 {since} 起等待。",
                        count_zh(stuck)
                    ),
                )
            }
            RelayEvent::Held { stuck } => {
                let (id, client) = (name(&stuck.id), name(&stuck.client));
                (
                    format!(
                        "Held because the stored copy is damaged: {}. Held mail is not sent before you act.\nThe oldest is \
                         {id}, of the client {client}, which arrived at {since}.",
                        count_en(stuck)
                    ),
                    format!(
                        "{}因存储的副本损坏而被搁置，处理之前不会发送。\n最早的一封是 {id}，来自客户端 {client}，到达时间 {since}。",
                        count_zh(stuck)
                    ),
                )
            }
            RelayEvent::DiskLow { free, limit } => {
                let [free, limit] = [free, limit].map(|&octets| size(octets));
                (
                    format!("The disk of the queue has {free} free since {since}; `notice.disk_free` is {limit}."),
                    format!("自 {since} 起，队列所在磁盘仅剩 {free}；`notice.disk_free` 为 {limit}。"),
                )
            }
            RelayEvent::Panicked { times, task, place } => {
                let place = if place.is_empty() { "-".to_owned() } else { name(place) };
                let task = name(task);
                (
                    format!(
                        "Tasks that ended in a panic since {since}: {times}. The last one: {task}, at {place}. Only that \
                         piece of work was lost."
                    ),
                    format!(
                        "自 {since} 起有 {times} 个任务因程序错误中止。最近一次：{task}，位置 {place}。只影响该项工作。"
                    ),
                )
            }
            RelayEvent::Over { .. } => (
                format!("{}. It lasted since {since}. There is nothing to do.", capital(&self.title(Tongue::En))),
                format!("{}。此前自 {since} 起持续。无需处理。", self.title(Tongue::Zh)),
            ),
            RelayEvent::Test => (
                format!(
                    "This is a test alert, sent at {since}. Alerts of this relay arrive here. There is nothing to do."
                ),
                format!("这是一条测试告警，发送时间 {since}。本中继的告警会送到这里。无需处理。"),
            ),
        };
        format!("{}\n", tongue.pick(en, zh))
    }
}

fn name(text: &str) -> String {
    one_line(text, MAX_NAME)
}

/// `1 mail`, `at least 100 mails`.
fn count_en(stuck: &StuckMails) -> String {
    let mails = super::mails(stuck.mails);
    if stuck.more { format!("at least {mails}") } else { mails }
}

fn count_zh(stuck: &StuckMails) -> String {
    format!("{}{} 封邮件", if stuck.more { "至少 " } else { "" }, stuck.mails)
}

/// A length of time in its largest whole unit: `4 hours`, `90 minutes`.
fn span(seconds: u64, tongue: Tongue) -> String {
    let units =
        [(86_400, "day", "天"), (3600, "hour", "小时"), (60, "minute", "分钟"), (1, "second", "秒")].into_iter();
    let (length, en, zh) = units
        .into_iter()
        .find(|(length, ..)| seconds >= *length && seconds.is_multiple_of(*length))
        .unwrap_or((1, "second", "秒"));
    let count = seconds / length;
    match tongue {
        Tongue::En => format!("{count} {en}{}", if count == 1 { "" } else { "s" }),
        Tongue::Zh => format!("{count} {zh}"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_in_their_largest_unit() {
        let spans = [14_400, 5400, 86_400, 1, 0].map(|seconds| span(seconds, Tongue::En));
        assert_eq!(spans, ["4 hours", "90 minutes", "1 day", "1 second", "0 seconds"]);
        assert_eq!(span(14_400, Tongue::Zh), "4 小时");
        let sizes = [0, 1023, 1 << 10, 852_000_000, 1 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "812.5 MiB", "1.0 GiB"]);
    }
}
