//! What the settings mean: the settings of each module, all of them checked, and how an account's parts are built of them.
//!
//! Not here: where a value came from (that is `Loaded::origins`). Invariant: a [`Settings`] that was loaded has no mistake
//! in it that could be found without the network.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::account::AccountProfile;
use crate::account::budget::{BudgetLimits, Day};
use crate::admin::{AdminSettings, StatusSettings};
use crate::clock::Clock;
use crate::delivery::{DeliverySettings, RetrySchedule};
use crate::intake::{Client, ListenerSettings, User};
use crate::language::{Language, words};
use crate::limits::LimitSettings;
use crate::mail::Address;
use crate::message::sender_rewriting::FromPolicy;
use crate::net::proxy::Proxy;
use crate::net::tls::roots::Roots;
use crate::oauth::{OAuthSettings, TokenSource};
use crate::provider::{self, Catalogue, DayWindow, Endpoint, Mechanism, Preset, RowError, UserRow};
use crate::queue::RetentionSettings;
use crate::report::reach::Unreached;
use crate::report::relay_alarm::RelayAlarmSettings;
use crate::report::webhook::Format;
use crate::report::{NoticeTo, ReportSettings};
use crate::route::{Pattern, Pool, Router, Rule};
use crate::secret::{Secret, SecretSource};
use crate::telemetry::log;
use crate::upstream::{ConnectLimits, UpstreamSettings};

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name in EHLO and Received (RFC 5321 section 4.1.1.1).
    pub hostname: String,
    /// Where clients connect; at least one, and no address belongs to two.
    pub listeners: Vec<ListenerSettings>,
    /// The users that may log in, in the order of the names; may be empty. No two of them have one log-in name.
    pub users: Vec<User>,
    /// The accounts that mail leaves through, in the order in which they were named; may be empty.
    pub accounts: Vec<Account>,
    /// What is known of certain clients, in the order of the names; may be empty.
    pub clients: Vec<Client>,
    /// Which mail leaves through which accounts; the first that fits counts; may be empty.
    pub routes: Vec<Rule>,
    /// The owner's own rows of the reply catalogue, read before all others; may be empty.
    pub replies: Vec<UserRow>,
    /// What may come in.
    pub limits: LimitSettings,
    /// The queue.
    pub queue: QueueSettings,
    /// How failures and alarms are reported.
    pub notice: Notice,
    /// Page, API, metrics and probes over HTTP.
    pub admin: AdminSettings,
    /// The log.
    pub log: log::LogSettings,
}

/// The queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSettings {
    /// The folder of everything that must survive.
    pub data_dir: PathBuf,
    /// When to try again, and when to give up.
    pub schedule: RetrySchedule,
    /// How long records are kept.
    pub retention: RetentionSettings,
}

/// How failures and alarms are reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Who receives failure notices.
    pub to: NoticeTo,
    /// Where the URL is that alarms of accounts are posted to; it carries a token. `None`: they are not.
    pub webhook: Option<SecretSource>,
    /// What is posted there.
    pub format: Format,
    /// PEM file with an authority to trust for the webhook beside the system's.
    pub ca: Option<PathBuf>,
    /// The language of notices and alarms.
    pub language: Language,
    /// Where the secret is with which calls of a DingTalk or Feishu robot are signed; `None`: they are not.
    pub sign: Option<SecretSource>,
    /// When the whole relay has something to alert about.
    pub relay: RelayAlarmSettings,
}

/// One mailbox that mail leaves through.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The NAME of `[account.NAME]`.
    pub name: String,
    /// What its provider wants.
    pub preset: &'static Preset,
    /// The log-in name.
    pub user: String,
    /// The mailbox it sends as: the one that was named, else the log-in name; qualified.
    pub address: Address,
    /// Other addresses of that mailbox, all qualified, none of them [`Account::address`]; may be empty.
    pub aliases: Vec<Address>,
    /// Whether a DKIM-Signature stays that the account's From breaks.
    pub keep_dkim: bool,
    /// Where the authorization code is. `None` when the caller can ask for it, or the account has access tokens.
    pub secret: Option<SecretSource>,
    /// Places to connect to, best first; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Log-in mechanisms, best first; at least one.
    pub login: Vec<Mechanism>,
    /// PEM file with an authority to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// How fast mail may go out: the owner's figures, else those of the preset.
    pub budget: BudgetLimits,
    /// Most connections at a time: the owner's figure, else the preset's.
    pub connections: usize,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// How it comes to its access tokens, if it has those instead of a password.
    pub oauth: Option<OAuthSettings>,
}

impl Settings {
    /// What replies mean: the catalogue, with the owner's own rows before all others.
    ///
    /// # Errors
    /// None with settings that were loaded: the same rows were read then.
    pub fn catalogue(&self) -> Result<Catalogue, RowError> {
        Catalogue::with(self.replies.clone())
    }

    /// Which accounts take which mail.
    pub fn router(&self) -> Router {
        Router::new(self.routes.clone(), self.accounts.iter().map(|account| account.name.clone()).collect())
    }

    /// Octets of the largest message that any account of a pool takes; pools without a known limit are left out.
    pub fn largest(&self, router: &Router) -> HashMap<String, u64> {
        let size = |name: &String| self.accounts.iter().find(|account| account.name == *name)?.preset.size_limit;
        let of_pool = |pool: Arc<str>| {
            let sizes: Option<Vec<u64>> = Pool::parse(&pool).accounts.iter().map(size).collect();
            Some((pool.to_string(), sizes?.into_iter().max()?))
        };
        router.pools().into_iter().filter_map(of_pool).collect()
    }

    /// Whether and why alerts about an account reach no one with these settings.
    pub fn unreached_alerts(&self) -> Option<Unreached> {
        Unreached::of(self.accounts.len(), self.notice.webhook.is_some(), &self.notice.to)
    }

    /// What a status needs of them.
    pub fn status(&self) -> StatusSettings {
        StatusSettings {
            hostname: self.hostname.clone(),
            oldest: Some(self.notice.relay.oldest).filter(|oldest| !oldest.is_zero()),
            disk_needed: self.limits.disk_free,
            disk_alert: self.notice.relay.disk_free,
            silent: self.unreached_alerts().map(|why| {
                let ((en, zh), (remedy_en, remedy_zh)) = (why.why(), why.remedy());
                (words(en, zh), words(remedy_en, remedy_zh))
            }),
        }
    }

    /// The settings of the delivery.
    pub fn delivery(&self) -> DeliverySettings {
        DeliverySettings {
            schedule: self.queue.schedule.clone(),
            reports: ReportSettings {
                language: self.notice.language,
                notice: self.notice.to.clone(),
                vouched: self.vouched(),
                hostname: self.hostname.clone(),
                expire: self.queue.schedule.expire,
            },
            alarms: self.notice.relay,
        }
    }

    /// The senders that the owner has written down: accounts, aliases, and the lists of clients and users. A list that has
    /// `*` names no sender.
    fn vouched(&self) -> Vec<Pattern> {
        let own = self.accounts.iter().flat_map(|account| account.aliases.iter().chain([&account.address]));
        let of_clients = self.clients.iter().flat_map(|client| &client.senders);
        let listed = self.users.iter().flat_map(|user| &user.senders).chain(of_clients).cloned();
        own.map(Pattern::from).chain(listed).filter(|pattern| !pattern.is_any()).collect()
    }
}

impl Account {
    /// An account as its preset has it, without a secret.
    pub fn of_preset(name: &str, preset: &'static Preset, user: &str, address: Address) -> Account {
        Account {
            name: name.to_owned(),
            user: user.to_owned(),
            address,
            aliases: Vec::new(),
            keep_dkim: false,
            secret: None,
            endpoints: preset.hosts.first().map(|host| preset.endpoints(host)).unwrap_or_default(),
            login: preset.login.clone(),
            ca: None,
            budget: BudgetLimits {
                messages: preset.budget.messages,
                recipients: preset.budget.recipients,
                logins: preset.budget.logins,
                day: day_of(&preset.day),
            },
            connections: preset.connections,
            proxy: None,
            oauth: None,
            preset,
        }
    }

    /// What may stand in `From:`: what the provider asks, and where the owner has named other addresses, those as well.
    ///
    /// The owner's word goes before the preset's guess, but where the provider writes From itself there is nothing to choose.
    pub fn from_policy(&self) -> FromPolicy {
        match self.preset.from_policy {
            provider::FromPolicy::Rewritten => FromPolicy::RewrittenAnyway,
            _ if !self.aliases.is_empty() => FromPolicy::MayBeAlias,
            provider::FromPolicy::Login => FromPolicy::MustEqualLogin,
            provider::FromPolicy::Alias => FromPolicy::MayBeAlias,
            provider::FromPolicy::Free => FromPolicy::Free,
        }
    }

    /// Where its access tokens come from, if it has those.
    pub fn tokens(&self, catalogue: &Catalogue, clock: &Clock) -> Option<TokenSource> {
        TokenSource::new(self.oauth.clone()?, catalogue.clone(), clock.clone())
    }

    /// What does not change about the account while the relay runs.
    pub fn profile(&self) -> AccountProfile {
        AccountProfile {
            name: self.name.clone(),
            provider: self.preset.name.clone(),
            address: self.address.clone(),
            aliases: self.aliases.clone(),
            policy: self.from_policy(),
            keep_dkim: self.keep_dkim,
            recipients: self.preset.recipients,
            size: self.preset.size_limit,
            per_second: self.preset.messages_per_second.and_then(NonZeroU32::new),
        }
    }

    /// The settings of its connections. `hostname` is our name in EHLO; accounts that trust the same share `roots`; `clock`
    /// says how old an access token is.
    pub fn upstream(&self, hostname: &str, catalogue: &Catalogue, roots: &Roots, clock: &Clock) -> UpstreamSettings {
        UpstreamSettings {
            account: self.name.clone(),
            hostname: hostname.to_owned(),
            endpoints: self.endpoints.clone(),
            user: Some(self.user.clone()),
            secret: self.secret.clone().unwrap_or_else(|| SecretSource::Plain(Secret::new(""))),
            token: self.tokens(catalogue, clock),
            login: self.login.clone(),
            proxy: self.proxy.clone(),
            limits: ConnectLimits::default(),
            ca: self.ca.clone(),
            roots: roots.clone(),
            group: self.preset.group,
            catalogue: catalogue.clone(),
            connections: self.connections,
            idle: Duration::from_secs(self.preset.idle_seconds),
            oldest: Duration::from_secs(self.preset.connection_age_seconds),
            announce: self.preset.announce_next,
            messages_per_connection: self.preset.messages_per_connection as u32,
        }
    }
}

/// The day of a quota. A machine without a time zone database still knows the zone of its provider.
fn day_of(day: &DayWindow) -> Day {
    let DayWindow::Calendar(zone) = day else { return Day::Rolling };
    let known = TimeZone::get(zone).ok();
    let fixed = || day.hours_east().map(|hours| TimeZone::fixed(jiff::tz::offset(hours)));
    known.or_else(fixed).map_or(Day::Rolling, Day::Calendar)
}
