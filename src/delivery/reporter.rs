//! Sends what the operator must know: alarms about accounts and the whole relay, and digests of failures.
//!
//! When a report is due is decided by pure rules (`account::alarm`, `report::digest`); `report` builds it. This task keeps
//! the times, puts mail into the queue or calls the webhook, and passes the result back to the account. Invariants: an alarm
//! never goes through the account it is about; a restart neither repeats nor forgets a report; a webhook that hangs delays
//! other reports only.

use std::sync::Arc;

use crate::account::alarm::{AlarmChannel, AlarmKind, AlarmResult, AlarmSubject, DueAlarm, OpenChannels};
use crate::account::breaker::BreakerState;
use crate::account::{AccountSnapshot, UNKNOWN_REPLY, UNREACHABLE};
use crate::clock::Timestamp;
use crate::message::header::Header;
use crate::message::notice::alarm::{Alarm, Kind, Remedy};
use crate::queue::{QueueEntry, QueueError};
use crate::report::digest::DigestSchedule;
use crate::report::digest_builder::{DigestBuilder, failed_at};
use crate::report::relay_alarm::RelayAlarmSettings;

use super::alert_sender::AlertSender;
use super::connected_account::ConnectedAccount;
use super::context::Context;
use super::relay_alerts::RelayAlerts;

/// Failures in the digests of one pass at most; the next pass reports the others.
const MOST: usize = 5000;

/// Sends reports.
pub(super) struct Reporter {
    pub(super) context: Arc<Context>,
    pub(super) sender: AlertSender,
    pub(super) digests: DigestBuilder,
    pub(super) alarms: RelayAlarmSettings,
}

impl Reporter {
    /// Sends reports until the drain starts.
    pub(super) async fn run(&self) {
        let Context { clock, accounts, reports, wake, drain, store, .. } = &*self.context;
        let worker = clock.worker("the reports");
        self.recover().await;
        let mut relay = RelayAlerts::new(&self.sender, self.alarms, clock.now());
        loop {
            let now = clock.now();
            for pair in &accounts.all {
                if self.send_alarms(pair, now).await {
                    store.save_or_log(pair).await;
                }
            }
            self.write_digest(now).await;
            let relay_next = relay.pass(now).await;
            let alarms = accounts.all.iter();
            let alarms = alarms.filter_map(|pair| pair.account.next_alarm(self.channels(pair), now));
            let next = alarms.chain(reports.digests().due()).chain([relay_next]).min();
            tokio::select! {
                () = worker.sleep_until(next) => {}
                () = clock.set_back(now) => {}
                () = wake.reporter.notified() => {}
                () = drain.asked() => return,
            }
        }
    }

    /// Takes over the failures that the last process did not report.
    async fn recover(&self) {
        match self.context.queue.unreported(MOST).await {
            Ok(untold) => {
                let oldest = untold.iter().filter_map(failed_at).min().unwrap_or_else(|| self.context.clock.now());
                *self.context.reports.digests() = DigestSchedule::rebuilt(untold.len() as u64, oldest);
            }
            Err(error) => tracing::error!(event = "queue_error", "untold failures could not be read: {error}"),
        }
    }

    /// Writes the digest if it is due.
    async fn write_digest(&self, now: Timestamp) {
        let schedule = || self.context.reports.digests();
        let Some(untold) = schedule().take(now) else { return };
        match self.report_untold(now).await {
            Ok(0) => {}
            Ok(mails) => {
                tracing::info!(event = "digest", mails, "failures were reported in one mail");
                self.context.wake_dispatcher();
                if mails >= MOST {
                    // There may be more, of this process or of the last one, which were not counted to the end.
                    schedule().put_back(untold.saturating_sub(mails as u64).max(1), now);
                }
            }
            Err(error) => {
                tracing::error!(event = "queue_error", "a digest could not be written: {error}");
                schedule().put_back(untold, now);
            }
        }
    }

    /// Reports up to [`MOST`] failures, with one mail for each reader. Returns how many messages had failed.
    async fn report_untold(&self, now: Timestamp) -> Result<usize, QueueError> {
        let queue = &self.context.queue;
        let untold = queue.unreported(MOST).await?;
        let mails = untold.len();
        for (to, entries) in self.digests.by_reader(untold) {
            let mail = match to {
                Some(to) => Some(self.digests.build(to, &entries, &self.subjects(&entries).await?, now)),
                None => None,
            };
            queue.mark_reported(mail, entries.iter().map(|entry| entry.id).collect()).await?;
        }
        Ok(mails)
    }

    /// The subjects of the messages that a digest lists.
    async fn subjects(&self, entries: &[QueueEntry]) -> Result<Vec<String>, QueueError> {
        let mut subjects = Vec::new();
        for entry in DigestBuilder::listed(entries) {
            subjects.push(match self.context.queue.show(entry.id).await {
                Ok((_, head, _)) => Header::parse(&head).text("Subject").unwrap_or_default().trim().to_owned(),
                Err(QueueError::NotFound(_)) => String::new(),
                Err(error) => return Err(error),
            });
        }
        Ok(subjects)
    }

    /// The open channels for alarms about this account: the webhook where there is one, else another account. While the
    /// providers of all others are unreachable too, the mail would leave when its report is outdated.
    fn channels(&self, pair: &ConnectedAccount) -> OpenChannels {
        let reachable =
            |others: Vec<&Arc<ConnectedAccount>>| others.iter().any(|other| !other.account.is_unreachable());
        let mail = || self.context.accounts.without(pair.name()).is_some_and(|(_, others)| reachable(others));
        let alerts = &self.sender.alerts;
        OpenChannels { webhook: alerts.by_webhook(), mail: alerts.by_mail() && mail() }
    }

    /// Sends the alarms about this account that are due. True when there were any.
    async fn send_alarms(&self, pair: &ConnectedAccount, now: Timestamp) -> bool {
        let all = pair.account.due_alarms(self.channels(pair), now);
        if all.is_empty() {
            return false;
        }
        let waiting = self.context.waiting_for(pair).await;
        for due in all {
            let alarm = self.alarm(pair, &due, waiting, now);
            let result = match due.channel {
                AlarmChannel::Mail => self.mail(pair, &alarm, now).await,
                AlarmChannel::Webhook => self.sender.post(&alarm, due.tries, due.first).await,
            };
            pair.account.alarm_result(&due, result);
        }
        true
    }

    /// Puts the alarm into the queue, for any account but the one it is about.
    async fn mail(&self, pair: &ConnectedAccount, alarm: &Alarm, now: Timestamp) -> AlarmResult {
        let others = self.context.accounts.without(pair.name());
        let other = others.and_then(|(pool, others)| Some((pool, others.first()?.account.address())));
        match other {
            Some((pool, from)) => self.sender.mail(alarm, from, pool.to_string(), now).await,
            None => self.sender.give_up(alarm),
        }
    }

    /// What the alarm says about the account as it is now.
    fn alarm(&self, pair: &ConnectedAccount, due: &DueAlarm, waiting: u64, now: Timestamp) -> Alarm {
        let AccountSnapshot { state, cooling, remedy, unreachable, unknown, .. } = pair.account.snapshot(now);
        let (kind, again) = match due.what {
            AlarmSubject::AllClear => (Kind::Resumed, false),
            AlarmSubject::Alarm { kind, again } => {
                let kind = match (kind, state) {
                    (AlarmKind::Cooling, BreakerState::Cooling(until)) => Kind::Cooling { until: until.rfc3339() },
                    // A probe is under way, or the provider is unreachable as well: it resumes as soon as it works.
                    (AlarmKind::Cooling, _) => Kind::Cooling { until: now.rfc3339() },
                    (AlarmKind::Paused, _) => Kind::Paused,
                    (AlarmKind::Unreachable, _) => Kind::Unreachable,
                    (AlarmKind::Refusing, _) => Kind::Refusing,
                };
                (kind, again)
            }
        };
        let (cause, reply, remedy) = match &kind {
            // An earlier refusal is not what keeps it from sending.
            Kind::Unreachable => (String::new(), unreachable.unwrap_or_default(), Some(UNREACHABLE)),
            Kind::Refusing => (UNKNOWN_REPLY.cause.to_owned(), unknown, None),
            Kind::Paused | Kind::Cooling { .. } | Kind::Resumed | Kind::Failed { .. } | Kind::Relay(_) => {
                let (cause, text) = cooling.map(|cooling| (cooling.cause, cooling.text)).unwrap_or_default();
                (cause, text, remedy)
            }
        };
        let profile = pair.account.profile();
        Alarm {
            kind,
            again,
            account: profile.name.clone(),
            provider: profile.provider.clone(),
            address: profile.address.to_string(),
            since: due.since.rfc3339(),
            cause,
            reply,
            remedy: remedy.map(|remedy| Remedy { en: remedy.en.to_owned(), zh: remedy.zh.to_owned() }),
            waiting,
            hostname: self.sender.alerts.hostname().to_owned(),
        }
    }
}
