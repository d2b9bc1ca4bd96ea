//! Looking at one account, from its secret to the provider's answer to MAIL; then at the records of its domain.
//!
//! Findings are shown as they come. Not here: what they mean (`findings`), and whether a log-in may be tried (the caller
//! knows whether the account rests). Invariants: one connection carries TLS, EHLO, the one log-in and MAIL; a secret that
//! cannot be right is not tried.

use std::net::IpAddr;

use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::LIMIT;
use super::provider_session::{End, ProviderSession, trouble};
use super::resolver::Resolver;
use crate::cli::doctor::findings::connection::{self, Try};
use crate::cli::doctor::findings::domain_records;
use crate::cli::doctor::findings::secret::{self, Shape};
use crate::cli::doctor::findings::smtp::{self as dialogue, Offer};
use crate::cli::finding::{Finding, State, Words, words};
use crate::cli::token_finding;
use crate::clock::Clock;
use crate::config::Account;
use crate::net::proxy::Proxy;
use crate::net::proxy::tunnel;
use crate::net::{dial, tls};
use crate::oauth::TokenSource;
use crate::provider::{Catalogue, Endpoint, Tls};
use crate::secret::Secret;
use crate::smtp::client::{ClientLogin, ClientSettings};

/// What to look at, and how far to go.
#[derive(Clone, Debug)]
pub(crate) struct AccountCheck {
    /// The account.
    pub(crate) account: Account,
    /// Our name in EHLO.
    pub(crate) hostname: String,
    /// Why the log-in is left out; none when it is to be tried.
    pub(crate) no_login: Option<Words>,
    /// Whether the records of the domain are looked at as well.
    pub(crate) records: bool,
    /// Who is asked for TXT records.
    pub(crate) resolver: Resolver,
    /// What time it is.
    pub(crate) clock: Clock,
}

/// Looks, and tells each finding as soon as it is one.
pub(crate) async fn examine(check: AccountCheck, tell: UnboundedSender<Finding>) {
    let name = check.account.name.clone();
    // Nobody listens any more when the command was interrupted.
    let tell = |finding: Finding| drop(tell.send(finding.about(&name)));
    let login = login_of(&check, &tell).await;
    if let Some((endpoint, stream)) = reach(&check, &tell).await {
        converse(&check, &endpoint, stream, login, &tell).await;
    }
    if check.records {
        domain(&check, &tell).await;
    }
}

/// The secret, if there is one worth trying; otherwise why there is no log-in.
async fn login_of(check: &AccountCheck, tell: &impl Fn(Finding)) -> Result<Secret, Words> {
    if let Some(source) = check.account.tokens(&Catalogue::built_in(), &check.clock) {
        return token_of(check, &source, tell).await;
    }
    let Some(source) = &check.account.secret else {
        tell(secret::absent());
        return Err(words("there is no secret to try", "没有可用的密码或授权码"));
    };
    let text = match source.read() {
        Ok(text) => text,
        Err(error) => {
            tell(secret::unreadable(&error.to_string()));
            return Err(words("there is no secret to try", "没有可用的密码或授权码"));
        }
    };
    let finding = secret::plausible(&check.account.preset.name, Shape::of(text.expose()));
    let hopeless = finding.state == State::Fail;
    tell(finding);
    match &check.no_login {
        Some(why) => Err(why.clone()),
        None if hopeless => Err(words("not tried: the secret cannot be right", "未尝试：密码不可能正确")),
        None => Ok(text),
    }
}

/// The access token, asked for where the stored one ends soon.
async fn token_of(check: &AccountCheck, source: &TokenSource, tell: &impl Fn(Finding)) -> Result<Secret, Words> {
    let days = source.settings().days_left(check.clock.now().date());
    days.and_then(token_finding::secret_ends).into_iter().for_each(tell);
    match source.token().await {
        Ok(token) => {
            tell(token_finding::there(source.left().await));
            match &check.no_login {
                Some(why) => Err(why.clone()),
                None => Ok(token.secret().clone()),
            }
        }
        Err(error) => {
            tell(token_finding::absent(&error, &check.account.name));
            Err(words("there is no access token to try", "没有可用的访问令牌"))
        }
    }
}

/// Look-up, and a connection to each port; gives the first one that stands, as the relay would take it.
async fn reach(check: &AccountCheck, tell: &impl Fn(Finding)) -> Option<(Endpoint, TcpStream)> {
    let endpoints = &check.account.endpoints;
    // What is wrong with its form is found when the settings are read.
    let proxy = check.account.proxy.clone();
    // Through a proxy the provider's name is looked up on its side; here the proxy's own name counts.
    let host = proxy.as_ref().map_or(endpoints.first()?.host.as_str(), Proxy::host);
    let looked = timeout(LIMIT, tokio::net::lookup_host((host, 0))).await;
    let found: Result<Vec<IpAddr>, String> = match looked {
        Ok(Ok(found)) => Ok(found.map(|addr| addr.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    };
    let public = check.account.preset.hosts.iter().any(|known| known == host);
    let finding = connection::name(host, found.as_deref().map_err(String::as_str), public);
    let unknown = finding.state == State::Fail;
    tell(finding);
    if unknown {
        return None;
    }
    let dials = endpoints.iter().cloned().map(|endpoint| tokio::spawn(connect(endpoint, proxy.clone())));
    let (mut tries, mut first) = (Vec::new(), None);
    for dial in dials.collect::<Vec<_>>() {
        let Ok((endpoint, result)) = dial.await else { continue };
        let port = endpoint.port;
        match result {
            Ok((stream, millis)) => {
                tries.push(Try { port, result: Ok(millis) });
                first = first.or(Some((endpoint, stream)));
            }
            Err(reason) => tries.push(Try { port, result: Err(reason) }),
        }
    }
    tell(connection::tcp(&endpoints.first()?.host, &tries));
    first
}

async fn connect(endpoint: Endpoint, proxy: Option<Proxy>) -> (Endpoint, Result<(TcpStream, u64), String>) {
    let begin = Instant::now();
    let dialled = match &proxy {
        None => dial::dial(&endpoint.host, endpoint.port, LIMIT).await.map_err(|error| error.to_string()),
        Some(proxy) => {
            let opened = tunnel::open(proxy, &endpoint.host, endpoint.port, None, LIMIT).await;
            opened.map_err(|error| error.to_string())
        }
    };
    let result = dialled.map(|stream| (stream, begin.elapsed().as_millis() as u64));
    (endpoint, result)
}

/// The dialogue, over one connection.
async fn converse(
    check: &AccountCheck,
    endpoint: &Endpoint,
    stream: TcpStream,
    login: Result<Secret, Words>,
    tell: &impl Fn(Finding),
) {
    let account = &check.account;
    let (host, port) = (&endpoint.host, endpoint.port);
    let connector = match tls::connector(account.ca.as_deref()) {
        Ok(connector) => connector,
        Err(error) => return tell(connection::tls(host, port, Err(&trouble(&error)))),
    };
    let settings = settings(check, endpoint, login.as_ref().ok().cloned());
    let mut session = ProviderSession::new(stream, host, settings);
    let end = begin(&mut session, endpoint, &connector).await;
    if let Some(secured) = &session.secured {
        tell(connection::tls(host, port, Ok(secured)));
        tell(connection::certificate(secured.valid_until, check.clock.now()));
    }
    if let Some(date) = session.greeting().and_then(dialogue::date_in) {
        tell(dialogue::clock(date, check.clock.now()));
    }
    let offer = || {
        let mechanisms = dialogue::mechanisms(session.offered().iter().map(String::as_str));
        let (size, size_expected) = (session.extensions().max_size, account.preset.size_limit);
        dialogue::ehlo(&Offer { size, size_expected, mechanisms, login: account.login.clone() })
    };
    match end {
        End::NoTls(trouble) => tell(connection::tls(host, port, Err(&trouble))),
        End::NoStartTls => tell(dialogue::no_starttls()),
        End::Opening(refusal) => tell(dialogue::opening(&refusal)),
        End::NoMechanism => tell(offer()),
        End::Login(refusal) => {
            tell(offer());
            tell(match &account.oauth {
                Some(_) => dialogue::token_refused(account, &refusal),
                None => dialogue::login(&account.user, account.preset.group, Err(&refusal)),
            });
        }
        End::Ready => {
            tell(offer());
            match login {
                Ok(_) => logged_in(account, &mut session, tell).await,
                Err(why) => tell(dialogue::login_skipped(why)),
            }
            session.farewell(account.preset.never_rset).await;
        }
    }
}

async fn begin(session: &mut ProviderSession, endpoint: &Endpoint, connector: &TlsConnector) -> End {
    if endpoint.tls == Tls::Implicit
        && let Err(trouble) = session.shake_hands(connector).await
    {
        return End::NoTls(trouble);
    }
    session.open(connector).await
}

async fn logged_in(account: &Account, session: &mut ProviderSession, tell: &impl Fn(Finding)) {
    let group = account.preset.group;
    tell(dialogue::login(&account.user, group, Ok(())));
    let taken = session.sender(&account.address).await;
    tell(dialogue::sender(&account.address.to_string(), group, taken.as_ref().copied()));
}

fn settings(check: &AccountCheck, endpoint: &Endpoint, secret: Option<Secret>) -> ClientSettings {
    let mechanisms = check.account.login.clone();
    ClientSettings {
        ehlo: check.hostname.clone(),
        tls: Some(endpoint.tls),
        login: secret.map(|secret| ClientLogin {
            user: check.account.user.clone(),
            secret,
            mechanisms,
            server: Some((endpoint.host.clone(), endpoint.port)),
        }),
        pipelining: false,
    }
}

/// SPF, DKIM and DMARC, where they are the owner's to publish.
async fn domain(check: &AccountCheck, tell: &impl Fn(Finding)) {
    let Some(customs) = domain_records::customs(&check.account.preset.name) else { return };
    let domain = check.account.address.domain().to_owned();
    if !domain_records::is_own(&domain) {
        return;
    }
    let resolver = &check.resolver;
    let texts = match customs.includes {
        [] => Ok(Vec::new()),
        [..] => resolver.texts(&domain).await,
    };
    tell(domain_records::spf(&domain, customs.includes, texts.as_deref().map_err(String::as_str)));
    let late = || format!("no answer within {} s", LIMIT.as_secs());
    let keys = timeout(LIMIT, keys(resolver, &domain, customs.selectors)).await.unwrap_or_else(|_| Err(late()));
    tell(domain_records::dkim(&domain, customs.selectors, keys.as_deref().map_err(String::as_str)));
    let policy = timeout(LIMIT, policy(resolver, &domain)).await.unwrap_or_else(|_| Err(late()));
    tell(domain_records::dmarc(&domain, policy.as_deref().map_err(String::as_str)));
}

/// The selectors that have a DKIM key.
async fn keys<'a>(resolver: &Resolver, domain: &str, selectors: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let (mut found, mut problem) = (Vec::new(), None);
    for selector in selectors {
        match resolver.texts(&format!("{selector}._domainkey.{domain}")).await {
            // A key that was taken back has an empty `p` (RFC 6376 section 3.6.1).
            Ok(texts) if texts.iter().any(|text| is_key(text)) => found.push(*selector),
            Ok(_) => {}
            Err(reason) => problem = Some(reason),
        }
    }
    match problem {
        Some(reason) if found.is_empty() => Err(reason),
        Some(_) | None => Ok(found),
    }
}

fn is_key(text: &str) -> bool {
    let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
    tags.any(|(name, value)| name.trim() == "p" && !value.trim().is_empty())
}

/// The policy of the domain, or of a domain above it (RFC 7489 section 6.6.3, walking up instead of asking a list of
/// public suffixes).
async fn policy(resolver: &Resolver, domain: &str) -> Result<Vec<String>, String> {
    let mut at = domain;
    loop {
        let texts = resolver.texts(&format!("_dmarc.{at}")).await?;
        match at.split_once('.') {
            Some((_, above)) if texts.is_empty() && above.contains('.') => at = above,
            Some(_) | None => return Ok(texts),
        }
    }
}
