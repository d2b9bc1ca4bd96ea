//! The HTTP client: one connection, one POST, one bounded answer (HTTP/1.1: RFC 9110, RFC 9112).
//!
//! Not here: what is sent, what the answer means, and when to try again. Redirects are not followed.
//! The bounds: [`MAX_ANSWER`] octets of body, [`MAX_HEAD`] of the head, [`MAX_OCTETS`] of all that comes; the whole time is
//! the caller's. Invariant: when [`exchange`] returns or is dropped, the connection is gone.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::{Proxy, tunnel};
use super::stream::Stream;
use super::tls::{self, TlsError};
use bounded::Bounded;

mod bounded;

/// How much of the body of an answer is read, in octets.
const MAX_ANSWER: usize = 16 * 1024;
/// The buffer for the head of an answer, in octets; a longer head is an error.
const MAX_HEAD: usize = 32 * 1024;
/// How much is read in all: interim responses, head, and the body with its framing, in octets. One octet a chunk makes
/// six octets of each.
const MAX_OCTETS: usize = MAX_HEAD + 6 * MAX_ANSWER + MAX_HEAD;
/// How long one address may take while there are others.
const ONE_ADDRESS: Duration = Duration::from_secs(3);

/// One POST.
#[derive(Clone, Debug)]
pub struct HttpPost<'a> {
    /// TLS, or plain HTTP, which goes to loopback and private addresses only.
    pub https: bool,
    /// The host's name or address, without brackets.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The `Host` field (RFC 9110 section 7.2).
    pub authority: String,
    /// Path and query.
    pub path: &'a str,
    /// The `Content-Type` field.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Certificates to trust beside the machine's.
    pub ca: Option<PathBuf>,
    /// How long name, connection and TLS may take together.
    pub connect_limit: Duration,
}

/// Why there is no answer. May hold what the other side said, and with it a token of the caller's.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No TLS: the certificate does not fit this host, or the `ca` file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The name has no address, or nothing listens there.
    #[error("no connection: {0}")]
    Dial(std::io::Error),
    /// Plain http, and the name means a host outside the own network.
    #[error("plain http to a host outside the own network")]
    NotPrivate,
    /// There was no connection in time.
    #[error("no connection in time")]
    Silent,
    /// The connection broke, or what came was not HTTP.
    #[error("{0}")]
    Line(String),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status (RFC 9110 section 15).
    pub status: u16,
    /// The seconds of the `Retry-After` field (RFC 9110 section 10.2.3); a date in it is not read.
    pub retry_after: Option<u64>,
    /// The start of the body, at most 16 KiB.
    pub body: Vec<u8>,
}

/// Sends the request, directly. Returns the status and the start of the body.
///
/// # Errors
/// [`HttpError`].
pub async fn post(request: HttpPost<'_>) -> Result<(u16, Vec<u8>), HttpError> {
    exchange(request, None).await.map(|answer| (answer.status, answer.body))
}

/// Sends the request, through the proxy where there is one. Plain http goes through no proxy.
///
/// # Errors
/// [`HttpError`]; what goes wrong at the proxy is a [`HttpError::Line`] with the remedy in its text.
pub async fn exchange(request: HttpPost<'_>, proxy: Option<&Proxy>) -> Result<HttpAnswer, HttpError> {
    let stream = timeout(request.connect_limit, connect(&request, proxy)).await.map_err(|_| HttpError::Silent)??;
    talk(stream, request).await
}

async fn connect(request: &HttpPost<'_>, proxy: Option<&Proxy>) -> Result<Stream, HttpError> {
    if !request.https {
        return dial(request).await.map(Stream::Plain);
    }
    let ca = request.ca.clone();
    // Reading the machine's roots is a matter of files.
    let made = tokio::task::spawn_blocking(move || tls::connector(ca.as_deref())).await;
    let connector = made.map_err(|error| line(&error))??;
    let mut stream = Stream::Plain(match proxy {
        Some(proxy) => tunnel::open(proxy, request.host, request.port, None, request.connect_limit)
            .await
            .map_err(|error| HttpError::Line(error.to_string()))?,
        None => dial(request).await?,
    });
    stream.connect_tls(&connector, request.host, request.connect_limit).await?;
    Ok(stream)
}

/// Looks the name up and tries its addresses in their order.
async fn dial(request: &HttpPost<'_>) -> Result<TcpStream, HttpError> {
    let found = tokio::net::lookup_host((request.host, request.port)).await.map_err(HttpError::Dial)?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    if !request.https {
        addresses.retain(|address| is_private(address.ip()));
        if addresses.is_empty() {
            return Err(HttpError::NotPrivate);
        }
    }
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(HttpError::Dial(last))
}

/// Whether the address is one of loopback (RFC 1122), a private network (RFC 1918, RFC 4193) or the link (RFC 3927).
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// One request over an open connection (RFC 9112).
async fn talk(stream: Stream, request: HttpPost<'_>) -> Result<HttpAnswer, HttpError> {
    let request = Request::post(request.path)
        .header(HOST, request.authority)
        .header(CONTENT_TYPE, request.content_type)
        .header(USER_AGENT, concat!("yizhan/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(request.body)))
        .map_err(|error| line(&error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(Bounded::new(stream, MAX_OCTETS)))
        .await
        .map_err(|error| line(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| line(&error))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(HttpAnswer { status, retry_after, body: start(response.into_body()).await })
    };
    // Not spawned: the connection is dropped with this future.
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        result = &mut answer => result,
        // The connection is over; what came of the answer is in memory, and may be all that was needed.
        ended = &mut connection => match (answer.await, ended) {
            (Err(_), Err(error)) => Err(line(&error)),
            (result, _) => result,
        },
    }
}

/// The first octets of a body. A line that breaks, or a body that never ends, is no fault: the status is known.
async fn start(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(&data[..data.len().min(MAX_ANSWER - read.len())]);
        }
        if read.len() >= MAX_ANSWER {
            break;
        }
    }
    read
}

fn line(error: &dyn Error) -> HttpError {
    // hyper puts the reason behind its own words.
    HttpError::Line(match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}
