//! What must the operator do or look at now? Pure: facts in, sentences in both languages out.
//!
//! Invariant: nothing is returned while all is well, and what stops mail comes first.

use serde::{Deserialize, Serialize};

use crate::account::AccountStatus;
use crate::clock::wall_time;
use crate::language::{Words, size, words};

/// How urgent a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Mail is refused or stays here until the operator acts.
    Act,
    /// Mail is late, or some was not delivered.
    Look,
    /// A risk that delays no mail today; it leaves the exit code alone.
    Note,
}

/// One point for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// A stable word: `not_running`, `disk_full`, `disk_low`, `account_paused`, `account_cooling`, `unreachable`, `held`,
    /// `oldest`, `failed`, `panic`, `alerts_reach_nobody`.
    pub code: String,
    /// How urgent it is.
    pub urgency: Urgency,
    /// What is the case.
    pub what: Words,
    /// What to do.
    pub remedy: Words,
}

/// What is known of the relay.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts<'a> {
    /// Whether it runs.
    pub(super) running: bool,
    /// Its accounts.
    pub(super) accounts: &'a [AccountStatus],
    /// Unfinished messages.
    pub(super) unfinished: u64,
    /// Messages that are held.
    pub(super) held: u64,
    /// How many have waited too long for a reason that is not a budget, and the age of the oldest, in words.
    pub(super) late: Option<(u64, Words)>,
    /// Messages that failed since midnight.
    pub(super) failed: u64,
    /// Octets free on the disk; none where the system does not say.
    pub(super) disk_free: Option<u64>,
    /// Below this new mail is refused.
    pub(super) disk_needed: u64,
    /// Below this an alert is due.
    pub(super) disk_alert: u64,
    /// Panics since the start.
    pub(super) panics: u64,
    /// Why no alert reaches the operator, and what to set.
    pub(super) silent: Option<(Words, Words)>,
}

impl Facts<'_> {
    /// The points, the most urgent first.
    pub(super) fn attention(&self) -> Vec<Attention> {
        let mut points: Vec<Attention> = Vec::new();
        points.extend(self.not_running());
        points.extend(self.disk());
        points.extend(self.accounts.iter().filter_map(account_point));
        points.extend(self.messages());
        points.extend(self.panicked());
        if let Some((what, remedy)) = &self.silent {
            points.push(point("alerts_reach_nobody", Urgency::Note, what.clone(), remedy.clone()));
        }
        points.sort_by_key(|point| point.urgency);
        points
    }

    fn not_running(&self) -> Option<Attention> {
        let (what, urgency) = match self.unfinished {
            0 => (words("no relay runs on this data folder", "这个数据目录上没有中继在运行"), Urgency::Look),
            n => {
                let waits = plural(n, "message waits", "messages wait");
                let en = format!("no relay runs on this data folder, and {n} {waits} in the queue");
                (words(en, format!("没有中继在运行，队列里有 {n} 封邮件等待")), Urgency::Act)
            }
        };
        let remedy = words(
            "start it: `systemctl start yizhan`, or `yizhan run`; its log says why it ended",
            "请启动：`systemctl start yizhan` 或 `yizhan run`；停止的原因见日志",
        );
        (!self.running).then(|| point("not_running", urgency, what, remedy))
    }

    fn disk(&self) -> Option<Attention> {
        let remedy =
            words("free some space, or move data_dir to a larger disk", "请腾出空间，或把 data_dir 移到更大的磁盘");
        let free = self.disk_free?;
        let (shown, needed) = (size(free), size(self.disk_needed));
        if free < self.disk_needed {
            let what = words(
                format!("new mail is refused: {shown} are free, {needed} must stay free (limits.disk_free)"),
                format!("正在拒收新邮件：磁盘只剩 {shown}，必须保留 {needed}（limits.disk_free）"),
            );
            return Some(point("disk_full", Urgency::Act, what, remedy));
        }
        let what = words(
            format!("the disk has {shown} left; new mail is refused below {needed}"),
            format!("磁盘只剩 {shown}；低于 {needed} 时将拒收新邮件"),
        );
        (free < self.disk_alert).then(|| point("disk_low", Urgency::Look, what, remedy))
    }

    /// Messages that are held, late, or failed.
    fn messages(&self) -> Vec<Attention> {
        let mut points = Vec::new();
        if let n @ 1.. = self.held {
            let are = plural(n, "message is", "messages are");
            let what = words(format!("{n} {are} held"), format!("{n} 封邮件被扣留"));
            let remedy = words(
                "`yizhan queue list --state held` shows them with the reason; `yizhan queue release ID` or `drop ID` decides",
                "`yizhan queue list --state held` 显示原因；用 `yizhan queue release 编号` 或 `drop 编号` 处理",
            );
            points.push(point("held", Urgency::Look, what, remedy));
        }
        if let Some((n, age)) = &self.late {
            let have = plural(*n, "message has waited", "messages have waited");
            let what = words(
                format!("{n} {have} for too long, the oldest for {}", age.en),
                format!("{n} 封邮件等待过久，最久的已 {}", age.zh),
            );
            let remedy = words("`yizhan queue list` says why, and until when", "`yizhan queue list` 显示原因和时间");
            points.push(point("oldest", Urgency::Look, what, remedy));
        }
        if let n @ 1.. = self.failed {
            let failed = plural(n, "message failed", "messages failed");
            let what = words(format!("{n} {failed} today"), format!("今天有 {n} 封邮件失败"));
            let remedy = words(
                "`yizhan history --state failed --since 1d` shows what the provider said; `yizhan queue retry ID` sends again",
                "`yizhan history --state failed --since 1d` 显示服务商的答复；`yizhan queue retry 编号` 重新发送",
            );
            points.push(point("failed", Urgency::Look, what, remedy));
        }
        points
    }

    fn panicked(&self) -> Option<Attention> {
        let n = self.panics;
        let were = plural(n, "task was ended", "tasks were ended");
        let what = words(
            format!("{n} {were} by a fault of the relay since its start; the mail is kept"),
            format!("启动以来有 {n} 个任务因中继自身的故障中断；邮件都还在"),
        );
        let remedy = words("look for `event=panic` in the log and report it", "请在日志中查找 `event=panic` 并反馈");
        (n > 0).then(|| point("panic", Urgency::Look, what, remedy))
    }
}

fn point(code: &str, urgency: Urgency, what: Words, remedy: Words) -> Attention {
    Attention { code: code.to_owned(), urgency, what, remedy }
}

fn account_point(account: &AccountStatus) -> Option<Attention> {
    let (code, urgency, what) = account_trouble(account)?;
    Some(point(code, urgency, what, account_remedy(account)))
}

fn account_trouble(account: &AccountStatus) -> Option<(&'static str, Urgency, Words)> {
    let name = &account.name;
    let reply = account.reply.as_ref().map_or_else(String::new, |reply| format!(": {reply}"));
    let until = account.until.as_deref().map(wall_time);
    Some(match account.state.as_str() {
        "paused" if account.by_operator => (
            "account_paused",
            Urgency::Look,
            words(format!("account {name} is paused by an operator"), format!("账号 {name} 已被操作员暂停")),
        ),
        "paused" => (
            "account_paused",
            Urgency::Act,
            words(format!("account {name} cannot send{reply}"), format!("账号 {name} 无法发信{reply}")),
        ),
        "cooling" => (
            "account_cooling",
            Urgency::Look,
            words(
                format!("account {name} rests until {}{reply}", until.as_deref().unwrap_or("?")),
                format!("账号 {name} 冷却至 {}{reply}", until.as_deref().unwrap_or("?")),
            ),
        ),
        "unreachable" => (
            "unreachable",
            Urgency::Look,
            words(
                format!("the provider of account {name} cannot be reached{reply}"),
                format!("连不上账号 {name} 的服务商{reply}"),
            ),
        ),
        _ => return None,
    })
}

fn account_remedy(account: &AccountStatus) -> Words {
    let name = &account.name;
    match (&account.remedy_en, &account.remedy_zh) {
        (Some(en), Some(zh)) => words(en.as_str(), zh.as_str()),
        _ => words(
            format!("`yizhan doctor {name}` looks for the cause; `yizhan account resume {name}` goes on"),
            format!("`yizhan doctor {name}` 查找原因；`yizhan account resume {name}` 恢复发送"),
        ),
    }
}

fn plural<'a>(n: u64, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(facts: &Facts<'_>) -> Vec<String> {
        facts.attention().into_iter().map(|point| point.code).collect()
    }

    fn account(state: &str) -> AccountStatus {
        AccountStatus { name: "office".into(), state: state.into(), ..AccountStatus::default() }
    }

    fn well() -> Facts<'static> {
        Facts {
            running: true,
            disk_free: Some(10 << 30),
            disk_needed: 200 << 20,
            disk_alert: 1 << 30,
            ..Facts::default()
        }
    }

    #[test]
    fn nothing_is_said_while_all_is_well() {
        let ready = [account("ready")];
        assert_eq!(codes(&Facts { accounts: &ready, unfinished: 7, ..well() }), [""; 0]);
    }

    #[test]
    fn what_stops_mail_comes_first() {
        let accounts = [account("cooling"), account("paused")];
        let facts = Facts { accounts: &accounts, failed: 2, held: 1, ..well() };
        assert_eq!(codes(&facts), ["account_paused", "account_cooling", "held", "failed"]);
        let stopped = Facts { running: false, unfinished: 3, ..well() };
        let point = stopped.attention().remove(0);
        assert_eq!((point.code.as_str(), point.urgency), ("not_running", Urgency::Act));
        assert!(point.what.en.contains("3 messages wait") && point.remedy.en.contains("yizhan run"), "{point:?}");
    }

    #[test]
    fn a_pause_by_an_operator_is_no_emergency() {
        let paused = [AccountStatus { by_operator: true, ..account("paused") }];
        assert_eq!(Facts { accounts: &paused, ..well() }.attention()[0].urgency, Urgency::Look);
    }

    #[test]
    fn a_disk_is_low_before_it_is_full() {
        assert_eq!(codes(&Facts { disk_free: Some(500 << 20), ..well() }), ["disk_low"]);
        assert_eq!(codes(&Facts { disk_free: Some(100 << 20), ..well() }), ["disk_full"]);
        assert_eq!(codes(&Facts { disk_free: None, ..well() }), [""; 0]);
    }

    #[test]
    fn silent_alerts_are_a_note_only() {
        let silent = Some((words("a", "b"), words("c", "d")));
        assert_eq!(Facts { silent, ..well() }.attention()[0].urgency, Urgency::Note);
    }
}
