//! One connection, one request, one bounded answer.
//!
//! Not here: what the answer means, and when to try again. The bounds: [`MAX_ANSWER`] octets of body, [`MAX_HEAD`] of the
//! head, [`MAX_OCTETS`] of all that comes, and time, which the caller keeps. Invariant: when this returns or is dropped, the connection is gone.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::net::tls;

use super::bounded::Bounded;
use super::target::{Target, is_private};
use super::{WebhookError, WebhookSettings};

/// How much of the body of an answer is read, in octets.
const MAX_ANSWER: usize = 16 * 1024;
/// The buffer for the head of an answer, in octets; a longer head is an error.
const MAX_HEAD: usize = 32 * 1024;
/// How much is read in all: interim responses, head, and the body with its framing, in octets. One octet a chunk makes
/// six octets of each.
const MAX_OCTETS: usize = MAX_HEAD + 6 * MAX_ANSWER + MAX_HEAD;
/// How long one address may take while there are others.
const ONE_ADDRESS: Duration = Duration::from_secs(3);

/// Sends `body` and reads the answer: status, and the start of the body.
pub(super) async fn exchange(
    settings: &WebhookSettings,
    target: &Target,
    body: Vec<u8>,
) -> Result<(u16, Vec<u8>), WebhookError> {
    let silent = |_| WebhookError::Silent { target: target.to_string() };
    if !target.is_https() {
        let stream = timeout(settings.connect_limit, dial(target)).await.map_err(silent)??;
        return talk(stream, target, body).await;
    }
    let secure = async {
        let ca = settings.ca.clone();
        // Reading the machine's roots is a matter of files.
        let made = tokio::task::spawn_blocking(move || tls::connector(ca.as_deref())).await;
        let connector = made.map_err(|e| line(target, &e))??;
        let stream = dial(target).await?;
        Ok::<_, WebhookError>(tls::handshake(&connector, target.host(), stream).await?)
    };
    let stream = timeout(settings.connect_limit, secure).await.map_err(silent)??;
    talk(stream, target, body).await
}

/// Looks the name up and tries its addresses in their order.
async fn dial(target: &Target) -> Result<TcpStream, WebhookError> {
    let failed = |source| WebhookError::Dial { target: target.to_string(), source };
    let found = tokio::net::lookup_host((target.host(), target.port())).await.map_err(failed)?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    if !target.is_https() {
        addresses.retain(|address| is_private(address.ip()));
        if addresses.is_empty() {
            return Err(WebhookError::NotPrivate { target: target.to_string() });
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
    Err(failed(last))
}

/// One request over an open connection (RFC 9112).
async fn talk<S>(stream: S, target: &Target, body: Vec<u8>) -> Result<(u16, Vec<u8>), WebhookError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::post(target.path())
        .header(HOST, target.authority())
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, concat!("yizhan/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| line(target, &e))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(Bounded::new(stream, MAX_OCTETS)))
        .await
        .map_err(|e| line(target, &e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| line(target, &e))?;
        let status = response.status().as_u16();
        Ok((status, start(response.into_body()).await))
    };
    // Not spawned: the connection is dropped with this future.
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        result = &mut answer => result,
        // The connection is over; what came of the answer is in memory, and may be all that was needed.
        ended = &mut connection => match (answer.await, ended) {
            (Err(_), Err(error)) => Err(line(target, &error)),
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

fn line(target: &Target, error: &dyn std::error::Error) -> WebhookError {
    // hyper puts the reason behind its own words.
    let reason = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    WebhookError::Line { target: target.to_string(), reason: target.redact(&reason) }
}
