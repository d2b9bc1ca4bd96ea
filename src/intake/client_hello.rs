//! The octets under a connection: plain until TLS starts, TLS after it, nothing once it is broken.
//!
//! Not here: when TLS starts, and what a handshake that failed is called in the log. Invariant: after a handshake that
//! was begun, no octet goes out in the clear.

use std::time::Duration;
use std::{fmt, io};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long we listen to somebody whom we have told goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// A stream of octets to a client.
pub(super) enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Broken, or in the middle of a handshake.
    Gone,
}

/// The version of TLS in the first words of a client: `client_version` (RFC 5246 section 7.4.1.2), which clients that
/// know TLS 1.3 leave at 1.2 (RFC 8446 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version([u8; 2]);

impl Version {
    /// Looks at what waits to be read, and takes nothing away. None when the begin of a ClientHello is not there in one
    /// piece.
    async fn offered(stream: &TcpStream) -> Option<Version> {
        let mut hello = [0; 11];
        let seen = stream.peek(&mut hello).await.ok()?;
        match hello {
            [0x16, 3, _, _, _, 1, _, _, _, major, minor] if seen == hello.len() => Some(Version([major, minor])),
            _ => None,
        }
    }

    /// Whether it is too old for us.
    pub(super) fn is_old(self) -> bool {
        self.0 < [3, 3]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [3, 0] => f.write_str("SSL 3.0"),
            [3, minor @ 1..=2] => write!(f, "TLS 1.{}", minor - 1),
            [3, 3] => f.write_str("TLS 1.2 or later"),
            [major, minor] => write!(f, "{major}.{minor}"),
        }
    }
}

impl Wire {
    /// Shakes hands within `limit`. Afterwards the wire is TLS, or gone. Tells as well which version was offered, where
    /// that could be seen.
    pub(super) async fn start_tls(
        &mut self,
        acceptor: &TlsAcceptor,
        limit: Duration,
    ) -> (Option<Version>, io::Result<()>) {
        let Wire::Plain(stream) = std::mem::replace(self, Wire::Gone) else {
            return (None, Err(io::ErrorKind::NotConnected.into()));
        };
        let end = Instant::now() + limit;
        let offered = timeout_at(end, Version::offered(&stream)).await.ok().flatten();
        let shaken = match timeout_at(end, acceptor.accept(stream)).await {
            Ok(shaken) => shaken,
            Err(late) => Err(late.into()),
        };
        (offered, shaken.map(|stream| *self = Wire::Tls(Box::new(stream))))
    }

    /// Reads once, at least `size` octets if there are as many. 0 is the end. May be cancelled.
    pub(super) async fn read(&mut self, input: &mut BytesMut, size: usize) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => {
                // Room is made only when there is something: a connection that is idle costs no buffer.
                stream.readable().await?;
                input.reserve(size);
                // Not `try_read`: this one notices a short read, and spares the next one that would only find nothing.
                stream.read_buf(input).await
            }
            Wire::Tls(stream) => {
                // What came may be in the TLS layer already, so the socket cannot be asked.
                input.reserve(size);
                stream.read_buf(input).await
            }
            Wire::Gone => Ok(0),
        }
    }

    /// Writes all of `octets` as one piece.
    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.write_all(octets).await,
            Wire::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
            Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Closes our half, and reads away what is still coming: closing with unread octets would reset the connection and
    /// take our last reply with it.
    pub(super) async fn linger(&mut self) {
        let _ = timeout(LINGER, async {
            let tcp = match self {
                Wire::Plain(stream) => {
                    let _ = stream.shutdown().await;
                    stream
                }
                Wire::Tls(stream) => {
                    // The closure alert (RFC 8446 section 6.1); what comes after it is not for us to decrypt.
                    let _ = stream.shutdown().await;
                    stream.get_mut().0
                }
                Wire::Gone => return,
            };
            let mut buffer = vec![0; 4 * 1024];
            while tcp.read(&mut buffer).await.is_ok_and(|octets| octets > 0) {}
        })
        .await;
    }
}
