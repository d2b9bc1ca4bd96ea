//! `[account.NAME.oauth]`: how an account comes to its access tokens.
//!
//! Not here: asking for one (`oauth`). Invariant: what comes out has an end point and all that its grant needs.

use std::path::PathBuf;

use super::layer::Section;
use super::problem::{Checked, Findings, Problem};
use super::secret_place;
use super::values::{Values, get};
use crate::clock::Clock;
use crate::net::proxy::Proxy;
use crate::oauth::{Grant, OAuthSettings, ServiceUrl};
use crate::provider::{Cloud, Preset, TokenPlaces, TokenService};
use crate::secret::SecretSource;

/// The keys of the table.
const KEYS: [&str; 11] = [
    "client_id",
    "grant",
    "tenant",
    "client_secret",
    "key",
    "expires",
    "cloud",
    "scope",
    "token_url",
    "authorize_url",
    "device_url",
];
/// Tenants that are none in particular.
const ANY_TENANT: [&str; 3] = ["common", "consumers", "organizations"];
/// How many days before its end a client secret is warned about.
const SOON: i32 = 30;

/// What else is known of the account.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) preset: &'static Preset,
    pub(super) user: &'a str,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) ca: Option<&'a Option<PathBuf>>,
    pub(super) secret: Option<&'a Option<SecretSource>>,
}

/// Whether the account has the table.
pub(super) fn is_there(values: &Values<'_>, name: &str) -> bool {
    KEYS.iter().any(|key| values.has(&path(name, key)))
}

/// The host of submission in the cloud that the table names.
pub(super) fn smtp_host(values: &Values<'_>, name: &str, preset: &Preset) -> Option<String> {
    preset.oauth?.smtp_host(cloud(values, name)).map(str::to_owned)
}

fn path(name: &str, key: &str) -> String {
    format!("account.{name}.oauth.{key}")
}

fn cloud(values: &Values<'_>, name: &str) -> Cloud {
    let word = get!(values, path(name, "cloud"), Word);
    Cloud::ALL.into_iter().find(|cloud| Some(cloud.word()) == word).unwrap_or(Cloud::Public)
}

/// Checks the table; `Some(None)` when there is none.
pub(super) fn oauth(values: &Values<'_>, section: Section<'_>, way: Way<'_>) -> Checked<Option<OAuthSettings>> {
    let name = section.0;
    Findings::of(|findings| {
        if !is_there(values, name) {
            return Some(None);
        }
        let table = Table { values, name, origin: section.1, way };
        if cfg!(not(feature = "oauth")) {
            let remedy =
                "use an authorization code or app password, or a program that was built with the feature oauth";
            findings.problems.push(table.missing("client_id", "this program was built without OAuth2", remedy));
            return None;
        }
        let grant = table.grant();
        let secret = |findings: &mut Findings, key: &str| {
            let source: Option<SecretSource> = get!(values, path(name, key), Secret);
            source.and_then(|source| findings.take(secret_place::look(values, &path(name, key), source)))
        };
        let (client_secret, key) = (secret(findings, "client_secret"), secret(findings, "key"));
        findings.problems.extend(table.what_is_missing(grant));
        findings.problems.extend(table.what_does_not_fit(grant));
        findings.warnings.extend(table.what_has_no_effect());
        let places = table.places();
        let scope = findings.take(table.scope(grant, places.as_ref()));
        let mut url = |key: &str, usual: Option<&String>| findings.take(table.url(key, usual));
        let token = url("token_url", places.as_ref().map(|places| &places.token));
        let authorize = url("authorize_url", places.as_ref().map(|places| &places.authorize));
        let device = url("device_url", places.as_ref().map(|places| &places.device));
        let expires = findings.take(table.expires());
        let token = token?.or_else(|| {
            findings.problems.push(table.no_token_url());
            None
        });
        let (authorize, device) = (authorize?, device?);
        for (place, wanted, key) in
            [(&authorize, Grant::Browser, "authorize_url"), (&device, Grant::Device, "device_url")]
        {
            if place.is_none() && grant == wanted && token.is_some() {
                let reason = format!("the grant \"{}\" needs this end point", grant.word());
                findings.problems.push(table.missing(key, &reason, &format!("add {key} = \"https://..\"")));
            }
        }
        let client_id: Option<String> = get!(values, path(name, "client_id"), Text);
        Some(Some(OAuthSettings {
            account: name.to_owned(),
            user: way.user.to_owned(),
            grant,
            client_id: client_id.unwrap_or_default(),
            client_secret,
            key,
            refresh: way.secret.cloned().flatten().filter(|_| grant.needs_a_person()),
            authorize,
            token: token?,
            device,
            scope: scope?,
            redirect_to_name: way.preset.oauth == Some(TokenService::Microsoft),
            expires: expires?,
            proxy: way.proxy.cloned(),
            ca: way.ca.cloned().flatten(),
            folder: get!(values, "data_dir", Path).unwrap_or_default().join("oauth"),
        }))
    })
}

/// The table of one account.
struct Table<'a> {
    values: &'a Values<'a>,
    name: &'a str,
    origin: &'a str,
    way: Way<'a>,
}

impl Table<'_> {
    fn path(&self, key: &str) -> String {
        path(self.name, key)
    }

    fn missing(&self, key: &str, reason: &str, remedy: &str) -> Problem {
        Problem::new(&self.path(key), self.origin, reason, remedy)
    }

    fn grant(&self) -> Grant {
        let word = get!(self.values, self.path("grant"), Word);
        let usual = if self.way.preset.oauth == Some(TokenService::Google) { Grant::Browser } else { Grant::Device };
        Grant::ALL.into_iter().find(|grant| Some(grant.word()) == word).unwrap_or(usual)
    }

    fn tenant(&self) -> Option<String> {
        let written: Option<String> = get!(self.values, self.path("tenant"), Text);
        written.or_else(|| self.way.preset.oauth_tenant.clone())
    }

    fn places(&self) -> Option<TokenPlaces> {
        let service = self.way.preset.oauth?;
        Some(service.places(cloud(self.values, self.name), &self.tenant().unwrap_or_default()))
    }

    fn what_is_missing(&self, grant: Grant) -> Vec<Problem> {
        let has = |key: &str| self.values.has(&self.path(key));
        let mut problems = Vec::new();
        if grant != Grant::ServiceAccount && !has("client_id") {
            let remedy = "register an app of your own and write its id here; docs/oauth.md shows how, step by step";
            problems.push(self.missing("client_id", "the account has no client id, and the relay brings none", remedy));
        }
        if grant == Grant::Client && !has("client_secret") {
            let remedy = "add client_secret = { file = \"/path\" } with the value of the app's secret";
            problems.push(self.missing("client_secret", "the grant \"client\" needs the secret of the app", remedy));
        }
        if grant == Grant::ServiceAccount && !has("key") {
            let remedy = "add key = { file = \"/path/key.json\" }, the JSON key of the service account";
            problems.push(self.missing("key", "the grant \"service-account\" needs a key", remedy));
        }
        problems
    }

    fn what_does_not_fit(&self, grant: Grant) -> Vec<Problem> {
        let (values, service) = (self.values, self.way.preset.oauth);
        let misfit = |key: &str, reason: &str, remedy: &str| match values.has(&self.path(key)) {
            true => values.misfit(&self.path(key), reason, remedy),
            false => self.missing(key, reason, remedy),
        };
        let mut problems = Vec::new();
        if service == Some(TokenService::Google) && matches!(grant, Grant::Device | Grant::Client) {
            let reason = "Google gives no token for mail in this way";
            problems.push(misfit("grant", reason, "write grant = \"browser\", or \"service-account\" for a Workspace"));
        }
        if service == Some(TokenService::Microsoft) && grant == Grant::ServiceAccount {
            problems.push(misfit("grant", "Microsoft has no service accounts", "write grant = \"client\""));
        }
        if let Some(tenant) = self.tenant().filter(|_| service == Some(TokenService::Microsoft)) {
            let legal = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-');
            if !tenant.bytes().all(legal) {
                let remedy = "write the domain or the ID that Entra shows as \"Directory (tenant) ID\"";
                problems.push(misfit("tenant", "this is no tenant", remedy));
            } else if grant == Grant::Client && ANY_TENANT.contains(&tenant.as_str()) {
                let reason = "the grant \"client\" needs the organisation itself";
                problems.push(misfit("tenant", reason, "write tenant = \"..\" with its domain or ID"));
            }
        }
        problems
    }

    /// Warnings about keys that change nothing.
    fn what_has_no_effect(&self) -> Vec<String> {
        let (values, login) = (self.values, format!("account.{}.login", self.name));
        let microsoft = self.way.preset.oauth == Some(TokenService::Microsoft);
        let idle =
            ["tenant", "cloud"].map(|key| self.path(key)).into_iter().filter(|key| !microsoft && values.has(key));
        let mut warnings: Vec<String> =
            idle.map(|key| values.warning(&key, "it has no effect: only Microsoft's presets have it")).collect();
        if values.has(&login) {
            warnings.push(
                values.warning(&login, "it has no effect: it is for passwords, and this account has access tokens"),
            );
        }
        warnings
    }

    fn no_token_url(&self) -> Problem {
        let title = &self.way.preset.title;
        let reason = format!("it is not known where tokens for {title} come from");
        let remedy = "where the provider gives tokens for SMTP, add token_url, scope and the end point of the grant; otherwise \
            remove the table oauth and use an authorization code or app password as `secret`";
        self.missing("token_url", &reason, remedy)
    }

    /// `Some(None)` when there is none.
    fn url(&self, key: &str, usual: Option<&String>) -> Checked<Option<ServiceUrl>> {
        Findings::of(|findings| {
            let written: Option<String> = get!(self.values, self.path(key), Text);
            let Some(text) = written.as_ref().or(usual) else { return Some(None) };
            match ServiceUrl::parse(text) {
                Ok(url) => Some(Some(url)),
                Err(error) => {
                    let remedy = "write the whole address, as https://id.example.com/token";
                    findings.problems.push(self.values.misfit(&self.path(key), &error.to_string(), remedy));
                    None
                }
            }
        })
    }

    fn scope(&self, grant: Grant, places: Option<&TokenPlaces>) -> Checked<String> {
        Findings::of(|findings| {
            let written: Option<String> = get!(self.values, self.path("scope"), Text);
            let usual = places.map(|places| match grant.needs_a_person() {
                true => places.scope.clone(),
                false => places.app_scope.clone(),
            });
            let Some(scope) = written.clone().or(usual) else {
                let remedy =
                    "add scope = \"..\" as the provider describes it for SMTP, with what gives a refresh token";
                findings.problems.push(self.missing("scope", "it is not known what to ask for", remedy));
                return None;
            };
            let ends = self.way.preset.oauth == Some(TokenService::Microsoft)
                && grant.needs_a_person()
                && !scope.split(' ').any(|word| word == "offline_access");
            if ends && written.is_some() {
                let reason = "without offline_access the sign-in ends after an hour";
                findings.problems.push(self.values.misfit(
                    &self.path("scope"),
                    reason,
                    "add offline_access, or remove the line",
                ));
            }
            Some(scope)
        })
    }

    /// `Some(None)` when no end is named.
    fn expires(&self) -> Checked<Option<jiff::civil::Date>> {
        let key = self.path("expires");
        Findings::of(|findings| {
            if !self.values.has(&key) {
                return Some(None);
            }
            let text: String = get!(self.values, key, Text)?;
            let Ok(date) = text.parse::<jiff::civil::Date>() else {
                findings.problems.push(self.values.misfit(&key, "this is no date", "write it as 2028-01-31"));
                return None;
            };
            let left = date.since(Clock::system().now().date()).map_or(i32::MAX, |left| left.get_days());
            if left <= SOON {
                let when = if left < 0 { "has ended".to_owned() } else { format!("ends in {left} days") };
                let text = format!("the client secret {when}; make a new one where the app is registered");
                findings.warnings.push(self.values.warning(&key, &text));
            }
            Some(Some(date))
        })
    }
}
