//! How a connection comes to be: dial, through a proxy or not; TLS; EHLO; and, when it was permitted, the log-in.
//!
//! Two steps, because the log-in is what a provider counts: [`Connection::reach`] goes as far as the AUTH command and
//! holds it back, [`Connection::log_in`] lets it go. Nothing secret is sent before TLS is up. Not here: which endpoint,
//! and who permits (`entrance`).

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::net::proxy::{TunnelError, tunnel};
use crate::net::stream::Stream;
use crate::net::{dial, tls};
use crate::provider::{self, Endpoint, Tls};
use crate::secret::Secret;
use crate::smtp;
use crate::smtp::client::{self, Client, Event, Failure, FailureKind};

use super::Settings;
use super::connection::Connection;

/// Why there is no connection that could carry a message.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
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
    pub fn is_worth_another_port(&self) -> bool {
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

impl Connection {
    /// Dials, starts TLS and greets. [`Connection::must_log_in`] says whether [`Connection::log_in`] is next.
    ///
    /// `first` is the address to try first, of the proxy where there is one. Without a `secret` there is no log-in.
    ///
    /// # Errors
    /// [`OpenError`] says how far it came. Nothing secret was sent.
    pub async fn reach(
        settings: &Settings,
        endpoint: &Endpoint,
        first: Option<IpAddr>,
        connector: &TlsConnector,
        secret: Option<Secret>,
    ) -> Result<Connection, OpenError> {
        let limits = settings.limits;
        let stream = match &settings.proxy {
            Some(proxy) => tunnel::open(proxy, &endpoint.host, endpoint.port, first, limits.dial).await?,
            None => dial::dial_first(&endpoint.host, endpoint.port, first, limits.dial).await?,
        };
        let mut stream = Stream::Plain(stream);
        if endpoint.tls == Tls::Implicit {
            stream.connect_tls(connector, &endpoint.host, limits.handshake).await?;
        }
        let permitted = secret.is_none();
        let client = Client::new(client_settings(settings, endpoint, secret));
        let mut connection = Connection {
            client,
            stream,
            opened: Instant::now(),
            announced: false,
            permitted,
            seat: None,
            socket: None,
        };
        connection.greet(connector, &endpoint.host, limits.handshake).await?;
        Ok(connection)
    }

    /// To the end of the dialogue before the first message, or to a log-in that is not permitted yet.
    async fn greet(&mut self, connector: &TlsConnector, host: &str, limit: Duration) -> Result<(), OpenError> {
        loop {
            match self.advance().await {
                Event::Ready => return Ok(()),
                Event::More if self.must_log_in() => return Ok(()),
                Event::StartTls => self.start_tls(connector, host, limit).await?,
                Event::Failed(failure) => return Err(OpenError::Dialogue(Box::new(failure))),
                event @ (Event::More | Event::SendBody | Event::Done(_) | Event::Closed) => {
                    return Err(OpenError::Dialogue(Box::new(self.out_of_order(&event, false))));
                }
            }
        }
    }

    async fn start_tls(&mut self, connector: &TlsConnector, host: &str, limit: Duration) -> Result<(), OpenError> {
        self.stream.connect_tls(connector, host, limit).await?;
        self.client.tls_started();
        Ok(())
    }

    /// Logs in. It has been permitted, and counted.
    ///
    /// # Errors
    /// What the provider said to it, or what happened to the line.
    pub async fn log_in(&mut self) -> Result<(), Box<Failure>> {
        self.permitted = true;
        match self.advance().await {
            Event::Ready => Ok(()),
            Event::Failed(failure) => Err(Box::new(failure)),
            event @ (Event::More | Event::StartTls | Event::SendBody | Event::Done(_) | Event::Closed) => {
                Err(Box::new(self.out_of_order(&event, true)))
            }
        }
    }

    fn out_of_order(&self, event: &Event, sent_credentials: bool) -> Failure {
        let kind = FailureKind::Protocol(format!("{event:?} before the first message"));
        Failure { phase: self.client.phase(), kind, sent_credentials }
    }

    /// The address at the other end: the provider's, or the proxy's.
    pub fn peer(&self) -> Option<IpAddr> {
        self.stream.peer()
    }
}

fn client_settings(settings: &Settings, endpoint: &Endpoint, secret: Option<Secret>) -> client::Settings {
    let mechanism = |m: &provider::Mechanism| match m {
        provider::Mechanism::Login => smtp::Mechanism::Login,
        provider::Mechanism::Plain => smtp::Mechanism::Plain,
    };
    let login = settings.user.clone().zip(secret).map(|(user, secret)| client::Login {
        user,
        secret,
        mechanisms: settings.login.iter().map(mechanism).collect(),
    });
    client::Settings {
        ehlo: settings.hostname.clone(),
        tls: match endpoint.tls {
            Tls::Implicit => client::Tls::Implicit,
            Tls::StartTls => client::Tls::StartTls,
        },
        login,
        pipelining: true,
    }
}
