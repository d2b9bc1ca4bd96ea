//! From what the settings say to what each module wants to know. One function a module, nothing decided here but names.

use std::time::Duration;

use crate::config::{self, Settings};
use crate::delivery::{self, Account, NoticeTo};
use crate::intake;
use crate::limits;
use crate::mail::Address;
use crate::message::Level;
use crate::message::rewrite::FromPolicy;
use crate::queue;
use crate::secret::{Secret, SecretSource};
use crate::smtp::server;
use crate::telemetry::counter::Counters;
use crate::upstream::{self, Upstream};

use super::StartError;

/// The owner is the mailbox of the first account.
pub(super) fn owner(settings: &Settings) -> Result<intake::Owner, StartError> {
    let first = settings.accounts.first().ok_or(StartError::NoAccount)?;
    Ok(intake::Owner { mailbox: mailbox(first)? })
}

fn mailbox(account: &config::Account) -> Result<Address, StartError> {
    account.address.clone().ok_or_else(|| StartError::NoMailbox(account.name.clone()))
}

pub(super) fn queue(settings: &Settings) -> queue::Settings {
    queue::Settings {
        data_dir: settings.queue.data_dir.clone(),
        keep_delivered: settings.queue.keep_delivered,
        keep_failed: settings.queue.keep_failed,
    }
}

pub(super) fn limits(settings: &Settings) -> limits::Settings {
    let limits = &settings.limits;
    limits::Settings {
        connections: limits.connections,
        connections_per_client: limits.connections_per_client,
        messages_per_client: limits::rate::Rate {
            count: std::num::NonZeroU32::new(limits.messages_per_client.count).unwrap_or(std::num::NonZeroU32::MIN),
            per: limits.messages_per_client.per,
        },
        queue_size: limits.queue_size,
        disk_free: limits.disk_free,
    }
}

pub(super) fn listeners(settings: &Settings) -> Vec<intake::Settings> {
    let translate = |one: &config::Listener| intake::Settings {
        name: one.name.clone(),
        bind: one.bind.clone(),
        allow: one.allow.clone(),
        profile: match one.profile {
            config::Profile::Strict => server::Profile::Strict,
            config::Profile::Tolerant => server::Profile::Tolerant,
            config::Profile::Legacy => server::Profile::Legacy,
        },
        auth: match one.auth {
            config::Auth::Off => server::AuthMode::Off,
            config::Auth::AcceptAny => server::AuthMode::AcceptAny,
        },
        hostname: settings.hostname.clone(),
        recipients: settings.limits.recipients,
        message_size: settings.limits.message_size,
        deadlines: intake::Deadlines::default(),
    };
    settings.listeners.iter().map(translate).collect()
}

/// What is known of clients.
pub fn clients(settings: &Settings) -> Vec<intake::Client> {
    let translate = |one: &config::Client| intake::Client {
        name: one.name.clone(),
        from: one.from.clone(),
        display: one.display.clone(),
        charset: one.charset,
        reply_to: one.reply_to.clone(),
        subject_prefix: one.subject_prefix.clone(),
        drop_cron_env: one.drop_cron_env,
        level: match one.repair {
            config::RepairLevel::Full => Level::Full,
            config::RepairLevel::Minimal => Level::Minimal,
        },
    };
    settings.clients.iter().map(translate).collect()
}

/// What may stand in `From:`: what the provider asks, and where the owner has named other addresses, those as well.
///
/// The owner's word goes before the preset's guess, but where the provider writes From itself there is nothing to say.
pub fn from_policy(account: &config::Account) -> FromPolicy {
    match account.preset.from_policy {
        crate::provider::FromPolicy::Rewritten => FromPolicy::RewrittenAnyway,
        _ if !account.aliases.is_empty() => FromPolicy::MayBeAlias,
        crate::provider::FromPolicy::Login => FromPolicy::MustEqualLogin,
        crate::provider::FromPolicy::Alias => FromPolicy::MayBeAlias,
        crate::provider::FromPolicy::Free => FromPolicy::Free,
    }
}

pub(super) fn accounts(settings: &Settings, counters: &Counters) -> Result<Vec<Account>, StartError> {
    settings
        .accounts
        .iter()
        .map(|account| {
            let upstream = Upstream::new(way_out(settings, account), counters.clone());
            let (name, address) = (account.name.clone(), mailbox(account)?);
            Ok(Account::new(name, address, from_policy(account), upstream).with_aliases(account.aliases.clone()))
        })
        .collect()
}

fn way_out(settings: &Settings, account: &config::Account) -> upstream::Settings {
    upstream::Settings {
        account: account.name.clone(),
        hostname: settings.hostname.clone(),
        endpoints: account.endpoints.clone(),
        user: Some(account.user.clone()),
        secret: account.secret.clone().unwrap_or_else(|| SecretSource::Plain(Secret::new(""))),
        login: account.login.clone(),
        ca: account.ca.clone(),
        group: account.preset.group,
        connections: account.budget.connections,
        idle: Duration::from_secs(account.preset.idle_seconds),
        announce: account.preset.announce_next,
        messages_per_connection: account.preset.messages_per_connection as u32,
    }
}

pub(super) fn delivery(settings: &Settings) -> delivery::Settings {
    delivery::Settings {
        schedule: delivery::schedule::Settings { retry: settings.queue.retry.clone(), expire: settings.queue.expire },
        notice: match &settings.notice.to {
            config::NoticeTo::SelfAccount => NoticeTo::Account,
            config::NoticeTo::Sender => NoticeTo::Sender,
            config::NoticeTo::Address(address) => NoticeTo::Address(address.clone()),
            config::NoticeTo::None => NoticeTo::Nobody,
        },
        hostname: settings.hostname.clone(),
    }
}
