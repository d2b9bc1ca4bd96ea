//! How a connection comes to be: dial, through a proxy or not; TLS; EHLO.
//!
//! [`connect`] goes as far as the AUTH command and holds it back, because the log-in is what a provider counts;
//! [`ProviderConnection::log_in`] sends it. Nothing secret is sent before TLS is up. Not here: which endpoint, and whether a
//! log-in is permitted (`acquire`).

use std::net::IpAddr;

use tokio_rustls::TlsConnector;

use crate::net::proxy::{TunnelError, tunnel};
use crate::net::stream::Stream;
use crate::net::{dial, tls};
use crate::provider::{Endpoint, Tls};
use crate::secret::Secret;
use crate::smtp::client::{self, ClientEvent, ClientSession, Failure, FailureKind};

use super::connection::ProviderConnection;
use super::settings::UpstreamSettings;

/// Why there is no connection that could carry a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// No TCP connection.
    #[error(transparent)]
    Dial(#[from] dial::DialError),
    /// No way through the account's proxy.
    #[error(transparent)]
    Proxy(#[from] TunnelError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The dialogue failed before the first message.
    #[error("the provider ended the dialogue")]
    Dialogue(Box<Failure>),
}

impl OpenError {
    /// Whether another port of the provider is worth a try. Not when the provider itself has said no, and never after
    /// something secret was sent: a log-in is tried once, at one place.
    pub(super) fn is_worth_another_port(&self) -> bool {
        match self {
            OpenError::Dial(_) | OpenError::Tls(_) => true,
            OpenError::Proxy(error) => error.is_about_the_target(),
            OpenError::Dialogue(failure) if failure.sent_credentials => false,
            OpenError::Dialogue(failure) => match failure.kind {
                FailureKind::Lost(_) | FailureKind::Protocol(_) | FailureKind::NoTls => true,
                FailureKind::Refused(_) | FailureKind::NoMechanism => false,
            },
        }
    }
}

/// Dials, starts TLS and greets. [`ProviderConnection::must_log_in`] says whether [`ProviderConnection::log_in`] is next.
///
/// `first` is the address to try first, of the proxy where there is one. Without a `secret` there is no log-in.
///
/// # Errors
/// [`OpenError`] says how far it came. Nothing secret was sent.
pub(super) async fn connect(
    settings: &UpstreamSettings,
    endpoint: &Endpoint,
    first: Option<IpAddr>,
    connector: &TlsConnector,
    secret: Option<Secret>,
) -> Result<ProviderConnection, OpenError> {
    let (host, limits) = (endpoint.host.as_str(), settings.limits);
    let mut stream = Stream::Plain(match &settings.proxy {
        Some(proxy) => tunnel::open(proxy, host, endpoint.port, first, limits.dial).await?,
        None => dial::dial_first(host, endpoint.port, first, limits.dial).await?,
    });
    if endpoint.tls == Tls::Implicit {
        stream.connect_tls(connector, host, limits.handshake).await?;
    }
    let permitted = secret.is_none();
    let client = ClientSession::new(client_settings(settings, endpoint, secret));
    let mut connection = ProviderConnection::new(client, stream, permitted);
    // To the end of the dialogue before the first message, or to a log-in that is not permitted yet.
    loop {
        match connection.advance().await {
            ClientEvent::Ready => return Ok(connection),
            ClientEvent::More if connection.must_log_in() => return Ok(connection),
            ClientEvent::StartTls => connection.start_tls(connector, host, limits.handshake).await?,
            ClientEvent::Failed(failure) => return Err(OpenError::Dialogue(Box::new(failure))),
            event @ (ClientEvent::More | ClientEvent::SendBody | ClientEvent::Done(_) | ClientEvent::Closed) => {
                return Err(OpenError::Dialogue(Box::new(connection.out_of_order(&event, false))));
            }
        }
    }
}

fn client_settings(settings: &UpstreamSettings, endpoint: &Endpoint, secret: Option<Secret>) -> client::ClientSettings {
    let login = settings.user.clone().zip(secret).map(|(user, secret)| client::ClientLogin {
        user,
        secret,
        mechanisms: settings.login.clone(),
        server: Some((endpoint.host.clone(), endpoint.port)),
    });
    client::ClientSettings { ehlo: settings.hostname.clone(), tls: Some(endpoint.tls), login, pipelining: true }
}
