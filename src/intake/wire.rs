//! The octets under a connection: plain until TLS starts, TLS after it, nothing once it is broken.
//!
//! Not here: when TLS starts, and what a handshake that failed is called in the log. Invariant: after a handshake that
//! was begun, no octet goes out in the clear.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
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

impl Wire {
    /// Shakes hands within `limit`. Afterwards the wire is TLS, or gone.
    pub(super) async fn start_tls(&mut self, acceptor: &TlsAcceptor, limit: Duration) -> io::Result<()> {
        match std::mem::replace(self, Wire::Gone) {
            Wire::Plain(stream) => {
                let stream = timeout(limit, acceptor.accept(stream)).await??;
                *self = Wire::Tls(Box::new(stream));
                Ok(())
            }
            Wire::Tls(_) | Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
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
