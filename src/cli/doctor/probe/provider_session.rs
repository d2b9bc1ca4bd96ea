//! One dialogue with a provider: TLS, EHLO, at most one log-in, MAIL, and the farewell. Nothing is ever sent.
//!
//! The dialogue up to the log-in is `smtp::client`'s, as in the relay. MAIL is written by hand, because that machine
//! goes on to RCPT and DATA at once. Each step has the limit of a check. Not here: what it means (`findings`).

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError};

use super::LIMIT;
use super::certificate;
use crate::cli::doctor::findings::connection::{Secured, Trouble};
use crate::cli::doctor::findings::smtp::Refusal;
use crate::clock::Timestamp;
use crate::mail::Address;
use crate::net::stream::Stream;
use crate::net::tls::TlsError;
use crate::provider::reply_text;
use crate::secret::redact::redact;
use crate::smtp::Reply;
use crate::smtp::client::{ClientEvent, ClientPhase, ClientSession, ClientSettings, FailureKind, Lost};
use crate::smtp::extension::Extensions;
use crate::smtp::reply::ReplyParser;

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How far the dialogue came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Up to where it was to come: EHLO, or the log-in.
    Ready,
    /// No TLS.
    NoTls(Trouble),
    /// STARTTLS is not offered.
    NoStartTls,
    /// Greeting, EHLO or STARTTLS failed.
    Opening(Refusal),
    /// There is no log-in that the account may use.
    NoMechanism,
    /// The log-in failed.
    Login(Refusal),
}

/// A dialogue that has begun.
pub(crate) struct ProviderSession {
    client: ClientSession,
    stream: Stream,
    host: String,
    /// What the handshake gave.
    pub(crate) secured: Option<Secured>,
}

impl ProviderSession {
    /// Over a connection that stands; `settings` says whether to log in.
    pub(crate) fn new(stream: TcpStream, host: &str, settings: ClientSettings) -> ProviderSession {
        ProviderSession {
            client: ClientSession::new(settings),
            stream: Stream::Plain(stream),
            host: host.to_owned(),
            secured: None,
        }
    }

    /// Shakes hands over the connection.
    pub(crate) async fn shake_hands(&mut self, connector: &TlsConnector) -> Result<(), Trouble> {
        let begin = Instant::now();
        self.stream.connect_tls(connector, &self.host, LIMIT).await.map_err(|error| trouble(&error))?;
        let millis = begin.elapsed().as_millis() as u64;
        let session = self.stream.session().ok_or_else(|| Trouble::Other("there is no connection".to_owned()))?;
        let version = session
            .protocol_version()
            .and_then(|version| version.as_str())
            .unwrap_or("TLS")
            .replace("TLSv1_", "TLS 1.");
        let first = session.peer_certificates().and_then(<[_]>::first);
        let valid_until = first.and_then(|certificate| certificate::valid_until(certificate));
        self.secured = Some(Secured { version, millis, valid_until });
        Ok(())
    }

    /// Speaks until the end that the settings ask for, or until it goes no further.
    pub(crate) async fn open(&mut self, connector: &TlsConnector) -> End {
        loop {
            match self.advance().await {
                ClientEvent::Ready => return End::Ready,
                ClientEvent::StartTls => match self.shake_hands(connector).await {
                    Ok(()) => self.client.tls_started(),
                    Err(trouble) => return End::NoTls(trouble),
                },
                ClientEvent::Failed(failure) => {
                    let refusal = match failure.kind {
                        FailureKind::NoTls => return End::NoStartTls,
                        FailureKind::NoMechanism => return End::NoMechanism,
                        FailureKind::Refused(reply) => refusal(&reply),
                        FailureKind::Lost(lost) => Refusal::Lost(lost),
                        FailureKind::Protocol(what) => Refusal::Line(redact(&what).into_owned()),
                    };
                    let at_login = failure.phase == ClientPhase::Auth;
                    return if at_login { End::Login(refusal) } else { End::Opening(refusal) };
                }
                event @ (ClientEvent::More | ClientEvent::SendBody | ClientEvent::Done(_) | ClientEvent::Closed) => {
                    return End::Opening(Refusal::Line(format!("{event:?} before the log-in")));
                }
            }
        }
    }

    /// Writes what is to be written and reads until the machine needs us, within the limit.
    async fn advance(&mut self) -> ClientEvent {
        let end = Instant::now() + LIMIT;
        loop {
            match self.client.step() {
                ClientEvent::More => {}
                event => return event,
            }
            let output = self.client.output().split();
            let mut buffer = [0u8; 4096];
            let exchange = async {
                if !output.is_empty() {
                    self.stream.send(&output).await?;
                }
                self.stream.read(&mut buffer).await
            };
            match tokio::time::timeout_at(end, exchange).await {
                Ok(Ok(0)) => return self.client.lost(Lost::Eof),
                Ok(Ok(n)) => self.client.input(&buffer[..n]),
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return self.client.lost(Lost::Eof),
                Ok(Err(_)) => return self.client.lost(Lost::Reset),
                Err(_) => return self.client.lost(Lost::Timeout),
            }
        }
    }

    /// Asks whether `address` may send. No recipient is named, so there is no message.
    pub(crate) async fn sender(&mut self, address: &Address) -> Result<(), Refusal> {
        let reply = self.say(&format!("MAIL FROM:<{address}>\r\n")).await?;
        if reply.is_positive() { Ok(()) } else { Err(refusal(&reply)) }
    }

    /// RSET where it is harmless, then QUIT; whatever the server answers is of no interest.
    pub(crate) async fn farewell(mut self, never_rset: bool) {
        let farewell = async {
            if !never_rset {
                let _ = self.say("RSET\r\n").await;
            }
            let _ = self.say("QUIT\r\n").await;
        };
        // All that was to be learned is known; some servers never answer QUIT.
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn say(&mut self, command: &str) -> Result<Reply, Refusal> {
        let exchange = async {
            self.stream.send(command.as_bytes()).await?;
            let (mut parser, mut input) = (ReplyParser::new(), BytesMut::new());
            loop {
                match parser.next(&mut input) {
                    Ok(Some(reply)) => return Ok(reply),
                    Ok(None) => {}
                    Err(error) => return Err(io::Error::other(error.to_string())),
                }
                if self.stream.read_buf(&mut input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        };
        match timeout(LIMIT, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(Refusal::Line(error.to_string())),
            Err(_) => Err(Refusal::Lost(Lost::Timeout)),
        }
    }

    /// What EHLO offered.
    pub(crate) fn extensions(&self) -> &Extensions {
        self.client.extensions()
    }

    /// The first line that the server said, with its code.
    pub(crate) fn greeting(&self) -> Option<&str> {
        self.client.transcript().lines().find_map(|line| line.strip_prefix("S: "))
    }

    /// The lines of the last reply to EHLO, without the code.
    pub(crate) fn offered(&self) -> Vec<String> {
        let (mut lines, mut inside) = (Vec::new(), false);
        for line in self.client.transcript().lines() {
            match (line.strip_prefix("C: "), line.strip_prefix("S: 250 ")) {
                (Some(command), _) => {
                    inside = command.starts_with("EHLO");
                    if inside {
                        lines.clear();
                    }
                }
                (None, Some(text)) if inside => lines.push(text.to_owned()),
                (None, _) => {}
            }
        }
        lines
    }
}

fn refusal(reply: &Reply) -> Refusal {
    Refusal::Reply(reply.code(), redact(&reply_text(reply.lines())).into_owned())
}

/// What went wrong with TLS, as the findings name it.
pub(crate) fn trouble(error: &TlsError) -> Trouble {
    let source = match error {
        TlsError::Handshake { source, .. } => source,
        TlsError::Ca { .. } => return Trouble::Ca(error.to_string()),
        TlsError::Name { .. } | TlsError::Roots(_) | TlsError::Setup(_) => return Trouble::Other(error.to_string()),
    };
    if source.kind() == io::ErrorKind::TimedOut {
        return Trouble::Other(format!("no answer within {} s", LIMIT.as_secs()));
    }
    let Some(rustls) = source.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) else {
        return Trouble::Other(source.to_string());
    };
    let at = |time: &tokio_rustls::rustls::pki_types::UnixTime| {
        Some(Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000)))
    };
    match rustls {
        RustlsError::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => Trouble::UnknownIssuer,
            CertificateError::Expired => Trouble::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Trouble::Expired(at(not_after)),
            CertificateError::NotValidYet => Trouble::NotYet(None),
            CertificateError::NotValidYetContext { not_before, .. } => Trouble::NotYet(at(not_before)),
            CertificateError::NotValidForName => Trouble::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Trouble::WrongName(presented.clone()),
            // rustls may add to these at any time.
            other => Trouble::Other(other.to_string()),
        },
        RustlsError::InvalidMessage(_) => Trouble::NotTls,
        RustlsError::PeerIncompatible(_)
        | RustlsError::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
            Trouble::TooOld
        }
        other => Trouble::Other(other.to_string()),
    }
}
