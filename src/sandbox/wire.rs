//! The byte stream under a connection: plain until STARTTLS, TLS after it, nothing once it is broken.
//!
//! Not here: when TLS starts and with which certificate. The same shape as on the other side, in `upstream`, with the
//! server's end of TLS.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a peer may leave our octets unread.
const WRITE: Duration = Duration::from_secs(60);
/// How long we listen to somebody to whom we have said goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// A byte stream to a client.
#[derive(Debug)]
pub(super) enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Broken, or in the middle of a handshake.
    Gone,
}

impl Wire {
    /// Shakes hands. Afterwards the wire is TLS, or gone.
    pub(super) async fn start_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        match std::mem::replace(self, Wire::Gone) {
            Wire::Plain(stream) => {
                let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await??;
                *self = Wire::Tls(Box::new(stream));
                Ok(())
            }
            Wire::Tls(_) | Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads once into `input`, which has room. 0 is the end. May be cancelled.
    pub(super) async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read_buf(input).await,
            Wire::Tls(stream) => stream.read_buf(input).await,
            Wire::Gone => Ok(0),
        }
    }

    /// Writes all of `octets` as one piece and empties it.
    pub(super) async fn write(&mut self, octets: &mut BytesMut) -> io::Result<()> {
        if octets.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE, async {
            match self {
                Wire::Plain(stream) => stream.write_all(octets).await,
                Wire::Tls(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
                Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
            }
        })
        .await;
        octets.clear();
        written?
    }

    /// Reads and throws away until the peer closes.
    pub(super) async fn swallow(&mut self) {
        let mut input = BytesMut::new();
        loop {
            input.clear();
            input.reserve(16 * 1024);
            if !matches!(self.read(&mut input).await, Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// The orderly end: closure alert (RFC 8446 section 6.1), FIN, and for a moment an ear for what is still coming,
    /// because closing with unread octets would reset the connection and take our last reply with it.
    pub(super) async fn close(mut self) {
        let _ = timeout(LINGER, async {
            match &mut self {
                Wire::Plain(stream) => drop(stream.shutdown().await),
                Wire::Tls(stream) => drop(stream.shutdown().await),
                Wire::Gone => return,
            }
            self.swallow_tcp().await;
        })
        .await;
    }

    /// After our closure alert the TLS layer may give up at what it does not expect any more; TCP does not mind.
    async fn swallow_tcp(&mut self) {
        let stream = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_mut().0,
            Wire::Gone => return,
        };
        let mut buffer = vec![0; 16 * 1024];
        while matches!(stream.read(&mut buffer).await, Ok(n) if n > 0) {}
    }

    /// A TCP reset.
    pub(super) fn reset(self) {
        let stream = match &self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
            Wire::Gone => return,
        };
        // Closing a socket with a linger time of zero is what sends RST (RFC 9293 section 3.6.1). If that cannot be had,
        // the peer sees an end all the same.
        let _ = stream.set_zero_linger();
    }
}
