//! Sends one alert over one channel, and counts what became of it.
//!
//! The alerts of accounts (`reporter`) and of the whole relay (`relay_alerts`) go through here, and so does the test of an
//! operator. Not here: when an alert is due, and over which channel.

use std::sync::Arc;

use crate::alert_channels::AlertResult;
use crate::clock::Timestamp;
use crate::mail::{Address, Id};
use crate::message::notice::alarm::{Alarm, Remedy};
use crate::queue::QueueError;
use crate::report::alert::{Alerts, WebhookTest};
use crate::report::reach::Unreached;
use crate::telemetry::counter;

use super::connected_account::ConnectedAccount;
use super::context::{Context, QUEUE_WAIT};

/// What became of a test alert on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTest {
    /// `webhook` or `mail`.
    pub channel: &'static str,
    /// How it ended.
    pub result: TestResult,
    /// What happened: where the alert went, or why it did not. In English and in Chinese.
    pub detail: Remedy,
    /// What the operator should do, where it did not work.
    pub remedy: Option<Remedy>,
}

/// How a test of a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// The alert was accepted, or its mail is in the queue.
    Sent,
    /// It was not.
    Failed,
    /// The channel was not tried.
    Skipped,
}

impl TestResult {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            TestResult::Sent => "sent",
            TestResult::Failed => "failed",
            TestResult::Skipped => "skipped",
        }
    }
}

/// Sends alerts.
pub(super) struct AlertSender {
    pub(super) context: Arc<Context>,
    pub(super) alerts: Alerts,
}

impl AlertSender {
    /// Calls the webhook, once. `tries` counts this attempt; `first` was when the first one was made.
    pub(super) async fn post(&self, alarm: &Alarm, tries: u32, first: Timestamp) -> AlertResult {
        let result = match self.alerts.post(alarm, tries, first, || self.context.clock.now()).await {
            Ok(()) => AlertResult::Sent,
            Err(Some(at)) => AlertResult::Later(at),
            Err(None) => AlertResult::GivenUp,
        };
        self.counted(alarm, result)
    }

    /// Puts the alert into the queue, for the account with the mailbox `from` and its pool.
    pub(super) async fn mail(&self, alarm: &Alarm, from: &Address, pool: String, now: Timestamp) -> AlertResult {
        let result = match self.put(alarm, from, pool, now).await {
            Ok(_) => AlertResult::Sent,
            Err(error) => {
                let (account, kind) = (alarm.account(), alarm.kind.event());
                tracing::error!(event = "queue_error", account, kind, "an alert could not be written: {error}");
                AlertResult::Later(now + QUEUE_WAIT)
            }
        };
        self.counted(alarm, result)
    }

    async fn put(&self, alarm: &Alarm, from: &Address, pool: String, now: Timestamp) -> Result<Id, QueueError> {
        let mail = self.alerts.mail(alarm, from, pool, now);
        let id = mail.id;
        self.context.queue.put(mail).await?;
        self.context.wake_dispatcher();
        Ok(id)
    }

    /// Nothing is open for it: it cannot be sent.
    pub(super) fn give_up(&self, alarm: &Alarm) -> AlertResult {
        self.counted(alarm, AlertResult::GivenUp)
    }

    fn counted(&self, alarm: &Alarm, result: AlertResult) -> AlertResult {
        let word = match result {
            AlertResult::Sent => "sent",
            AlertResult::Later(_) => "failed",
            AlertResult::GivenUp => "given_up",
        };
        self.context.counters.add(counter::ALERTS, &[("kind", alarm.kind.event()), ("result", word)], 1);
        result
    }

    /// The first account that is able to send now: ready, and its provider can be reached.
    pub(super) fn able(&self, now: Timestamp) -> Option<&Arc<ConnectedAccount>> {
        self.context.accounts.all.iter().find(|pair| pair.account.is_able(now))
    }

    /// Sends a test alert over every channel that alerts use.
    pub(super) async fn test(&self) -> Vec<ChannelTest> {
        let now = self.context.clock.now();
        let alarm = self.alerts.test_alarm(now);
        if let Some(tested) = self.alerts.test_webhook(&alarm, now).await {
            return vec![webhook_test(tested), mail_unused()];
        }
        if !self.alerts.by_mail() {
            return Vec::new();
        }
        vec![self.test_mail(&alarm, now).await]
    }

    async fn test_mail(&self, alarm: &Alarm, now: Timestamp) -> ChannelTest {
        let Some(pair) = self.able(now) else {
            return ChannelTest {
                channel: "mail",
                result: TestResult::Failed,
                detail: both("no account can send now", "目前没有账号能发信"),
                remedy: Some(both(
                    "see the cause with `yizhan account list` and `yizhan doctor`; set notice.webhook, which needs no account",
                    "用 `yizhan account list` 和 `yizhan doctor` 查看原因；建议设置 notice.webhook，它不需要账号",
                )),
            };
        };
        let (account, from) = (pair.name(), pair.account.address());
        match self.put(alarm, from, self.context.accounts.alone(pair), now).await {
            Ok(id) => {
                let to = self.alerts.mail_to(from);
                ChannelTest {
                    channel: "mail",
                    result: TestResult::Sent,
                    detail: both(
                        format!(
                            "the mail {id} to {to} is in the queue of account {account}; `yizhan queue show {id}` says when it \
                             has left"
                        ),
                        format!(
                            "邮件 {id} 已入队，经账号 {account} 发往 {to}；用 `yizhan queue show {id}` 查看是否已发出"
                        ),
                    ),
                    remedy: None,
                }
            }
            Err(error) => ChannelTest {
                channel: "mail",
                result: TestResult::Failed,
                detail: both(
                    format!("the mail could not be written to the queue: {error}"),
                    format!("邮件无法写入队列：{error}"),
                ),
                remedy: Some(both("check the disk with `df -h`", "用 `df -h` 检查磁盘")),
            },
        }
    }
}

/// The answer about a webhook that was called.
pub fn webhook_test(tested: WebhookTest) -> ChannelTest {
    let WebhookTest { target, failure } = tested;
    match failure {
        None => ChannelTest {
            channel: "webhook",
            result: TestResult::Sent,
            detail: both(format!("{target} accepted the test alert"), format!("{target} 已接受测试告警")),
            remedy: None,
        },
        Some((error, remedy)) => ChannelTest {
            channel: "webhook",
            result: TestResult::Failed,
            detail: both(error.clone(), format!("webhook 调用失败：{error}")),
            remedy: Some(remedy),
        },
    }
}

/// The answer about mail where there is a webhook.
pub fn mail_unused() -> ChannelTest {
    ChannelTest {
        channel: "mail",
        result: TestResult::Skipped,
        detail: both("alerts go to the webhook only, as long as there is one", "设置了 webhook 时，告警只发往 webhook"),
        remedy: None,
    }
}

/// The answer about mail where no relay runs.
pub fn mail_skipped() -> ChannelTest {
    ChannelTest {
        channel: "mail",
        result: TestResult::Skipped,
        detail: both("no relay runs, and only a running relay sends mail", "中继未运行，只有运行中的中继才会发信"),
        remedy: Some(both("start the relay with `yizhan run`, and try again", "用 `yizhan run` 启动中继后再试")),
    }
}

/// Why no channel was tried, and what to set: there is none.
pub fn no_channel() -> (Remedy, Remedy) {
    let ((why_en, why_zh), (en, zh)) = (Unreached::NoticeNone.why(), Unreached::NoticeNone.remedy());
    (both(why_en, why_zh), both(en, zh))
}

/// A text in both languages.
fn both(en: impl Into<String>, zh: impl Into<String>) -> Remedy {
    Remedy { en: en.into(), zh: zh.into() }
}
