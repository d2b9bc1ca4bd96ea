//! From what the settings say to what each module wants to know. One function a module, nothing decided here but names.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::account::{Account, AccountProfile, budget};
use crate::config::{self, Settings};
use crate::delivery::{ConnectedAccount, DeliverySettings, RetrySchedule};
use crate::intake;
use crate::limits;
use crate::limits::known_clients::KnownClients;
use crate::limits::lockout::Patience;
use crate::mail::Address;
use crate::message::Level;
use crate::message::sender_rewriting::FromPolicy;
use crate::net::proxy::Proxy;
use crate::net::tls::identity;
use crate::net::tls::roots::Roots;
use crate::provider::{Catalogue, DayWindow, Tls};
use crate::queue::RetentionSettings;
use crate::report::webhook::{self, Format, Webhook, WebhookSettings};
use crate::report::{NoticeTo, ReportSettings};
use crate::route::{Pattern, PatternError, Pool, Router, Rule};
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

pub(super) fn queue(settings: &Settings) -> RetentionSettings {
    RetentionSettings { keep_delivered: settings.queue.keep_delivered, keep_failed: settings.queue.keep_failed }
}

pub(super) fn limits(settings: &Settings) -> limits::Settings {
    let limits = &settings.limits;
    let rate = |rate: config::Rate| limits::rate::Rate {
        count: NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN),
        per: rate.per,
    };
    let config::Flow { octets, per } = limits.bytes_per_client;
    limits::Settings {
        connections: limits.connections,
        connections_per_client: limits.connections_per_client,
        messages_per_client: rate(limits.messages_per_client),
        recipients_per_client: rate(limits.recipients_per_client),
        bytes_per_client: limits::rate::Flow { octets, per },
        failures_per_client: rate(limits.failures_per_client),
        messages_per_sender: limits.messages_per_sender.map(rate),
        queue_size: limits.queue_size,
        queue_size_per_client: limits.queue_size_per_client,
        disk_free: limits.disk_free,
    }
}

pub(super) fn listeners(settings: &Settings) -> Result<Vec<intake::ListenerSettings>, StartError> {
    let translate = |one: &config::Listener| {
        Ok(intake::ListenerSettings {
            name: one.name.clone(),
            bind: one.bind.clone(),
            allow: one.allow.clone(),
            proxy_from: one.proxy_from.clone(),
            profile: profile(one.profile),
            auth: match one.auth {
                config::Auth::Off => server::AuthMode::Off,
                config::Auth::AcceptAny => server::AuthMode::AcceptAny,
                config::Auth::Verify => server::AuthMode::Verify,
            },
            tls: one.tls.as_ref().map(|tls| door_tls(&one.name, tls)).transpose()?,
            hostname: settings.hostname.clone(),
            recipients: settings.limits.recipients,
            message_size: settings.limits.message_size,
            messages_per_connection: settings.limits.messages_per_connection,
            deadlines: intake::Deadlines::default(),
        })
    };
    settings.listeners.iter().map(translate).collect()
}

fn profile(profile: config::Profile) -> server::Profile {
    match profile {
        config::Profile::Strict => server::Profile::Strict,
        config::Profile::Tolerant => server::Profile::Tolerant,
        config::Profile::Legacy => server::Profile::Legacy,
    }
}

fn door_tls(listener: &str, tls: &config::ListenerTls) -> Result<intake::ListenerTls, StartError> {
    let identity = identity::Identity::open(&tls.certificate, &tls.key)
        .map_err(|error| StartError::Setting { path: format!("listener.{listener}.tls"), reason: error.to_string() })?;
    Ok(intake::ListenerTls { implicit: tls.begins == Tls::Implicit, identity: Arc::new(identity) })
}

/// The users that may log in.
pub(super) fn users(settings: &Settings, known: Arc<KnownClients>) -> Result<intake::Users, StartError> {
    let clients: Vec<Arc<intake::Client>> = clients(settings).into_iter().map(Arc::new).collect();
    let translate = |one: &config::User| {
        let wrong = |error: PatternError| StartError::Setting {
            path: format!("user.{}.sender", one.name),
            reason: error.to_string(),
        };
        Ok(intake::User {
            name: one.name.clone(),
            login: one.login.clone(),
            password: one.password.clone(),
            client: one.client.as_ref().and_then(|name| clients.iter().find(|client| client.name == *name)).cloned(),
            pool: one.account.clone().map(|name| Pool { accounts: vec![name], spread: false }.text()),
            senders: one.senders.iter().map(|text| Pattern::parse(text).map_err(wrong)).collect::<Result<_, _>>()?,
        })
    };
    let users: Result<Vec<intake::User>, StartError> = settings.users.iter().map(translate).collect();
    Ok(intake::Users::new(users?, Patience::default(), known))
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
        profile: one.profile.map(profile),
        idle: one.idle,
        lane: one.lane,
        senders: one.senders.clone(),
        null_sender: one.null_sender,
        recipients: one.recipients.clone(),
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

/// What replies mean: the catalogue, with the owner's own rows before all others.
///
/// # Errors
/// None with settings that were loaded: the same rows were read then.
pub fn catalogue(settings: &Settings) -> Result<Catalogue, StartError> {
    let rows = settings.replies.iter().map(config::Reply::row).collect();
    Catalogue::with(rows).map_err(|error| StartError::Setting { path: "reply".to_owned(), reason: error.to_string() })
}

/// Which accounts take which mail.
pub(super) fn router(settings: &Settings) -> Result<Router, StartError> {
    let patterns = |place: usize, key: &str, texts: &[String]| -> Result<Vec<Pattern>, StartError> {
        let wrong = |error: PatternError| StartError::Setting {
            path: format!("route.{place}.{key}"),
            reason: error.to_string(),
        };
        texts.iter().map(|text| Pattern::parse(text).map_err(wrong)).collect()
    };
    let rule = |(place, route): (usize, &config::Route)| -> Result<Rule, StartError> {
        Ok(Rule {
            clients: route.clients.clone(),
            senders: patterns(place, "sender", &route.senders)?,
            recipients: patterns(place, "recipient", &route.recipients)?,
            accounts: route.accounts.clone(),
            spread: route.spread,
        })
    };
    let rules = settings.routes.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
    Ok(Router::new(rules, settings.accounts.iter().map(|account| account.name.clone()).collect()))
}

/// Octets of the largest message that any account of a pool takes; pools without a known limit are left out.
pub(super) fn largest(settings: &Settings, router: &Router) -> HashMap<String, u64> {
    let size = |name: &String| {
        let account = settings.accounts.iter().find(|account| account.name == *name)?;
        account.preset.size_limit
    };
    let of_pool = |pool: Arc<str>| {
        let sizes: Option<Vec<u64>> = Pool::parse(&pool).accounts.iter().map(size).collect();
        Some((pool.to_string(), sizes?.into_iter().max()?))
    };
    router.pools().into_iter().filter_map(of_pool).collect()
}

/// Where alarms about accounts go.
pub(super) fn webhook(settings: &Settings) -> Result<Option<Webhook>, StartError> {
    let Some(source) = &settings.notice.webhook else { return Ok(None) };
    let wrong = |reason: String| StartError::Setting { path: "notice.webhook".to_owned(), reason };
    let format = match settings.notice.format {
        config::WebhookFormat::Json => Format::Json,
        config::WebhookFormat::Wecom => Format::Wecom,
        config::WebhookFormat::Dingtalk => Format::Dingtalk,
        config::WebhookFormat::Feishu => Format::Feishu,
        config::WebhookFormat::Slack => Format::Slack,
    };
    let hook = WebhookSettings {
        url: source.read().map_err(|error| wrong(error.to_string()))?,
        format,
        ca: settings.notice.ca.clone(),
        language: settings.notice.language,
        connect_limit: webhook::CONNECT_LIMIT,
        limit: webhook::LIMIT,
    };
    Webhook::new(hook).map(Some).map_err(|error| wrong(error.to_string()))
}

pub(super) fn accounts(
    settings: &Settings,
    catalogue: &Catalogue,
    counters: &Counters,
) -> Result<Vec<ConnectedAccount>, StartError> {
    // Accounts that trust the same share it.
    let roots = Roots::default();
    let account = |account: &config::Account| {
        let way_out = way_out(settings, account, catalogue, &roots)?;
        let profile = AccountProfile {
            name: account.name.clone(),
            provider: account.preset.name.clone(),
            address: mailbox(account)?,
            aliases: account.aliases.clone(),
            policy: from_policy(account),
            keep_dkim: account.keep_dkim,
            recipients: account.preset.recipients,
            size: account.preset.size_limit,
            per_second: account.preset.messages_per_second.and_then(NonZeroU32::new),
        };
        let upstream = Upstream::new(way_out, counters.clone());
        Ok(ConnectedAccount::new(Account::new(profile, limits_of(account)), upstream))
    };
    settings.accounts.iter().map(account).collect()
}

/// How fast mail may go out: what the owner says, else what the preset says.
fn limits_of(account: &config::Account) -> budget::BudgetLimits {
    let effective = account.effective();
    budget::BudgetLimits {
        messages: effective.messages,
        recipients: effective.recipients,
        logins: effective.logins,
        day: day_of(&account.preset.day),
    }
}

/// The day of a quota. A machine without a time zone database still knows the zone of its provider.
fn day_of(day: &DayWindow) -> budget::Day {
    let DayWindow::Calendar(zone) = day else { return budget::Day::Rolling };
    let known = TimeZone::get(zone).ok();
    let fixed = || day.hours_east().map(|hours| TimeZone::fixed(jiff::tz::offset(hours)));
    known.or_else(fixed).map_or(budget::Day::Rolling, budget::Day::Calendar)
}

fn way_out(
    settings: &Settings,
    account: &config::Account,
    catalogue: &Catalogue,
    roots: &Roots,
) -> Result<upstream::UpstreamSettings, StartError> {
    let proxy = account.proxy.as_ref().map(|proxy| Proxy::parse(proxy.expose())).transpose();
    let proxy = proxy.map_err(|error| StartError::Setting {
        path: format!("account.{}.proxy", account.name),
        reason: error.to_string(),
    })?;
    Ok(upstream::UpstreamSettings {
        account: account.name.clone(),
        hostname: settings.hostname.clone(),
        endpoints: account.endpoints.clone(),
        user: Some(account.user.clone()),
        secret: account.secret.clone().unwrap_or_else(|| SecretSource::Plain(Secret::new(""))),
        login: account.login.clone(),
        proxy,
        limits: upstream::ConnectLimits::default(),
        ca: account.ca.clone(),
        roots: roots.clone(),
        group: account.preset.group,
        catalogue: catalogue.clone(),
        connections: account.budget.connections,
        idle: Duration::from_secs(account.preset.idle_seconds),
        oldest: Duration::from_secs(account.preset.connection_age_seconds),
        announce: account.preset.announce_next,
        messages_per_connection: account.preset.messages_per_connection as u32,
    })
}

/// The senders that the owner has written down: accounts, aliases, and the lists of clients and users. A list that says
/// `*` names nobody.
fn vouched(settings: &Settings) -> Result<Vec<Pattern>, StartError> {
    let wrong = |error: PatternError| StartError::Setting { path: "notice.to".to_owned(), reason: error.to_string() };
    let own = settings.accounts.iter().flat_map(|account| account.address.iter().chain(&account.aliases));
    let of_users = settings.users.iter().flat_map(|user| &user.senders);
    let mut all = settings.clients.iter().flat_map(|client| client.senders.clone()).collect::<Vec<_>>();
    for text in own.map(Address::as_str).chain(of_users.map(String::as_str)) {
        all.push(Pattern::parse(text).map_err(wrong)?);
    }
    all.retain(|pattern| !pattern.is_any());
    Ok(all)
}

pub(super) fn delivery(settings: &Settings) -> Result<DeliverySettings, StartError> {
    Ok(DeliverySettings {
        schedule: RetrySchedule { retry: settings.queue.retry.clone(), expire: settings.queue.expire },
        reports: ReportSettings {
            language: settings.notice.language,
            notice: match &settings.notice.to {
                config::NoticeTo::SelfAccount => NoticeTo::Account,
                config::NoticeTo::Sender => NoticeTo::Sender,
                config::NoticeTo::Address(address) => NoticeTo::Address(address.clone()),
                config::NoticeTo::None => NoticeTo::Nobody,
            },
            vouched: vouched(settings)?,
            hostname: settings.hostname.clone(),
            expire: settings.queue.expire,
        },
    })
}
