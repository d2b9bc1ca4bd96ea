//! The one who tells: alarms about accounts over another account or a webhook, and digests of failures.
//!
//! When something is told is decided by pure rules ([`alarm`](super::alarm), [`digest`](super::digest)); the words are
//! `message::notice`'s. This task keeps the times, writes the mail into the queue or calls the webhook, and has the
//! outcome written down with the account. Invariants: an alarm never goes over the account it is about; a restart
//! neither repeats what was told nor forgets what was not; a webhook that hangs holds up nothing but other alarms.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::message::notice::alarm::{Alarm, Kind as Told, Remedy as Advice, build};
use crate::upstream::UNREACHABLE;
use crate::webhook::retry;

use super::account::{Account, Identity, Look};
use super::alarm::{Channel, Channels, Kind, Sent, Tell, What};
use super::breaker::Gate;
use super::digest::Digest;
use super::{Delivery, NoticeTo};

/// The cause of a refusal that is not understood, in alarms and lists.
const UNKNOWN_REPLY: &str = "unknown-reply";

impl Delivery {
    /// Tells what is to be told until the drain starts.
    pub(super) async fn tell(&self) {
        let worker = self.0.clock.worker("the one who tells");
        self.gather_untold().await;
        loop {
            let now = self.0.clock.now();
            for account in &self.0.accounts {
                self.tell_of(account, now).await;
            }
            self.write_digest(now).await;
            let alarms = self.0.accounts.iter().filter_map(|account| account.next_alarm(self.channels(account), now));
            let next = alarms.chain(self.digests().due()).min();
            tokio::select! {
                () = worker.sleep_until(next) => {}
                () = self.0.clock.set_back(now) => {}
                () = self.0.tellings.notified() => {}
                () = self.0.drain.asked() => return,
            }
        }
    }

    /// By which ways the owner can hear of this account: the webhook, where there is one; else another account.
    fn channels(&self, account: &Account) -> Channels {
        let webhook = self.0.webhook.is_some();
        let silent = self.0.settings.notice == NoticeTo::Nobody;
        Channels { webhook, mail: !webhook && !silent && self.carries_mail_of(account) }
    }

    /// Whether a mail about this account would leave now: where the whole line is down, the other providers are out of
    /// reach as well, and what they would tell later is old by then.
    fn carries_mail_of(&self, account: &Account) -> bool {
        let Some(pool) = self.0.router.without(account.name()) else { return false };
        let own = self.0.pools.iter().find(|own| own.pool == pool);
        let mut others = own.into_iter().flat_map(|own| &own.accounts).map(|&place| &self.0.accounts[place]);
        others.any(|other| !other.is_out_of_reach())
    }

    async fn tell_of(&self, account: &Arc<Account>, now: Timestamp) {
        let tells = account.due_alarms(self.channels(account), now);
        if tells.is_empty() {
            return;
        }
        let waiting = self.waiting_for(account).await;
        for tell in tells {
            let alarm = self.alarm(account, &tell, waiting, now);
            let sent = match tell.channel {
                Channel::Mail => self.by_mail(account, &alarm, now).await,
                Channel::Webhook => self.by_webhook(&alarm, &tell).await,
            };
            account.alarm_sent(&tell, sent);
        }
        self.remember(account).await;
    }

    fn alarm(&self, account: &Account, tell: &Tell, waiting: u64, now: Timestamp) -> Alarm {
        let Look { gate, rest, remedy, down, unknown, .. } = account.look(now);
        let Identity { name, provider, address, .. } = account.who();
        let (kind, again) = match (tell.what, gate) {
            (What::AllClear, _) => (Told::Resumed, false),
            (What::Alarm { kind: Kind::Cooling, again }, Gate::Cooling(until)) => {
                (Told::Cooling { until: until.rfc3339() }, again)
            }
            // Its rest is over and it is being tried, or the line is down beside: it goes on as soon as it works.
            (What::Alarm { kind: Kind::Cooling, again }, _) => (Told::Cooling { until: now.rfc3339() }, again),
            (What::Alarm { kind: Kind::Paused, again }, _) => (Told::Paused, again),
            (What::Alarm { kind: Kind::Unreachable, again }, _) => (Told::Unreachable, again),
            (What::Alarm { kind: Kind::Refusing, again }, _) => (Told::Refusing, again),
        };
        let (cause, reply, remedy) = match &kind {
            // It may have rested before; that is not what keeps it from sending.
            Told::Unreachable => (String::new(), down.unwrap_or_default(), Some(UNREACHABLE)),
            Told::Refusing => (UNKNOWN_REPLY.to_owned(), unknown, None),
            Told::Paused | Told::Cooling { .. } | Told::Resumed | Told::Failed { .. } => {
                rest.map_or_else(|| (String::new(), String::new(), remedy), |rest| (rest.cause, rest.text, remedy))
            }
        };
        Alarm {
            kind,
            again,
            account: name.clone(),
            provider: provider.clone(),
            address: address.to_string(),
            since: tell.since.rfc3339(),
            cause,
            reply,
            remedy: remedy.map(|remedy| Advice { en: remedy.en.to_owned(), zh: remedy.zh.to_owned() }),
            waiting,
            hostname: self.0.settings.hostname.clone(),
        }
    }

    /// Puts the alarm into the queue, for any account but the one it is about.
    async fn by_mail(&self, account: &Account, alarm: &Alarm, now: Timestamp) -> Sent {
        let Some(pool) = self.0.router.without(account.name()) else { return Sent::GivenUp };
        let own = self.0.pools.iter().find(|own| own.pool == pool);
        let Some(&other) = own.and_then(|own| own.accounts.first()) else { return Sent::GivenUp };
        let from = self.0.accounts[other].address();
        let to = self.reader_of_alarms(from);
        let (id, date) = (self.0.ids.next(now), now.rfc5322());
        let mail = build(&self.letter(from, &to, id, &date), alarm);
        let message = self.own_mail(id, from, to, pool.to_string(), mail, now);
        match self.0.queue.put(message).await {
            Ok(()) => {
                self.poke();
                Sent::Told
            }
            Err(error) => {
                tracing::error!(
                    event = "queue_error",
                    account = account.name(),
                    "an alarm could not be written: {error}"
                );
                Sent::Later(now + super::QUEUE_REST)
            }
        }
    }

    /// The owner reads an alarm where failures are told; else in the mailbox that still works.
    fn reader_of_alarms(&self, other: &Address) -> Address {
        match &self.0.settings.notice {
            NoticeTo::Address(address) => address.clone(),
            NoticeTo::Account | NoticeTo::Sender | NoticeTo::Nobody => other.clone(),
        }
    }

    async fn by_webhook(&self, alarm: &Alarm, tell: &Tell) -> Sent {
        let Some(webhook) = &self.0.webhook else { return Sent::GivenUp };
        let Err(error) = webhook.post(alarm).await else {
            tracing::info!(event = "alarm_told", account = %alarm.account, kind = alarm.kind.event());
            return Sent::Told;
        };
        match retry::next(error.fault(), tell.tries, tell.first, self.0.clock.now()) {
            Some(at) => {
                tracing::warn!(event = "alarm_not_told", account = %alarm.account, next = %at.rfc3339(), "{error}");
                Sent::Later(at)
            }
            None => {
                tracing::error!(event = "alarm_given_up", account = %alarm.account, "{error}");
                Sent::GivenUp
            }
        }
    }

    /// How many messages this account could send.
    pub(super) async fn waiting_for(&self, account: &Account) -> u64 {
        // A queue that cannot be asked has its own ways to say so.
        let pools = self.0.queue.pools().await.unwrap_or_default();
        let serves = |pool: &str| {
            let own = self.0.pools.iter().find(|own| &*own.pool == pool);
            own.is_some_and(|own| own.accounts.iter().any(|&place| self.0.accounts[place].name() == account.name()))
        };
        pools.iter().filter(|(pool, _)| serves(pool)).map(|(_, count)| count).sum()
    }

    pub(super) fn digests(&self) -> MutexGuard<'_, Digest> {
        // A digest is one value, whose methods do not stop in the middle.
        self.0.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
