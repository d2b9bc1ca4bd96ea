//! The octets under a connection: plain until TLS starts, TLS after it, nothing once it is broken.
//!
//! Clients, providers and the sandbox all use this one type. Not here: when TLS starts, with which certificate, and what
//! a failed handshake is called in the log. Invariant: once a handshake has begun, no octet goes out in the clear.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::CommonState;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::tls::{self, TlsError};

/// How long the peer may still send after our end of the stream.
const LINGER: Duration = Duration::from_secs(2);

/// A stream of octets.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Broken, or in the middle of a handshake: reads end, writes fail.
    Gone,
}

impl Stream {
    /// The TCP stream, unless it is gone.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(stream) => Some(stream),
            Stream::Tls(stream) => Some(stream.get_ref().0),
            Stream::Gone => None,
        }
    }

    /// What the handshake came to: version, certificates. `None` without TLS.
    pub fn session(&self) -> Option<&CommonState> {
        match self {
            Stream::Tls(stream) => Some(stream.get_ref().1),
            Stream::Plain(_) | Stream::Gone => None,
        }
    }

    /// The address at the other end.
    pub fn peer(&self) -> Option<IpAddr> {
        self.tcp()?.peer_addr().ok().map(|address| address.ip())
    }

    /// Shakes hands as the server. Afterwards the stream is TLS, or gone.
    ///
    /// # Errors
    /// What rustls or the system said; [`io::ErrorKind::NotConnected`] if it was not plain.
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let Stream::Plain(stream) = std::mem::replace(self, Stream::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        *self = Stream::Tls(Box::new(acceptor.accept(stream).await?.into()));
        Ok(())
    }

    /// Shakes hands within `limit` as the client of a server that must prove to be `host`. Afterwards the stream is TLS,
    /// or gone.
    ///
    /// # Errors
    /// [`TlsError`]; nothing secret was sent.
    pub async fn connect_tls(&mut self, connector: &TlsConnector, host: &str, limit: Duration) -> Result<(), TlsError> {
        let failed = |kind: io::ErrorKind| TlsError::Handshake { host: host.to_owned(), source: kind.into() };
        let Stream::Plain(stream) = std::mem::replace(self, Stream::Gone) else {
            return Err(failed(io::ErrorKind::NotConnected));
        };
        let shaken = timeout(limit, tls::handshake(connector, host, stream)).await;
        let stream = shaken.unwrap_or_else(|_| Err(failed(io::ErrorKind::TimedOut)))?;
        *self = Stream::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// Reads once, at least `size` octets if there are as many. 0 is the end. May be cancelled.
    ///
    /// # Errors
    /// What rustls or the system said.
    pub async fn fill(&mut self, input: &mut BytesMut, size: usize) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => {
                // Memory is reserved only when there is something: a connection that is idle costs no buffer.
                stream.readable().await?;
                input.reserve(size);
                // Not `try_read`: this one notices a short read, and spares the next one that would only find nothing.
                stream.read_buf(input).await
            }
            Stream::Tls(stream) => {
                // What came may be in the TLS layer already, so the socket cannot be asked.
                input.reserve(size);
                stream.read_buf(input).await
            }
            Stream::Gone => Ok(0),
        }
    }

    /// Writes all of `octets`, and all that TLS makes of them.
    ///
    /// # Errors
    /// What rustls or the system said; [`io::ErrorKind::BrokenPipe`] when it is gone.
    pub async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets).await?;
        self.flush().await
    }

    /// The orderly end: closure alert (RFC 8446 section 6.1), FIN, and for a moment all that still comes is thrown away,
    /// because closing with unread octets would reset the connection and take our last reply with it.
    pub async fn linger(&mut self) {
        let _ = timeout(LINGER, async {
            let _ = self.shutdown().await;
            // What comes after the alert is not for us to decrypt.
            let tcp = match self {
                Stream::Plain(stream) => stream,
                Stream::Tls(stream) => stream.get_mut().0,
                Stream::Gone => return,
            };
            let mut buffer = vec![0; 4 * 1024];
            while tcp.read(&mut buffer).await.is_ok_and(|octets| octets > 0) {}
        })
        .await;
    }

    /// A TCP reset.
    pub fn reset(self) {
        // Closing a socket with a linger time of zero is what sends RST (RFC 9293 section 3.6.1). If that cannot be had,
        // the peer sees an end all the same.
        let _ = self.tcp().map(TcpStream::set_zero_linger);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}
