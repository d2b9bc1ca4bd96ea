//! Reads the PROXY header off a connection that comes from a load balancer (the protocol itself: `smtp::proxy_header`).
//!
//! Not here: whose header is believed (`listener` asks `ListenerSettings::proxy_from`), and how long it may take. Invariant: not
//! an octet behind the header is read.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::smtp::proxy_header::{self, HeaderError, Progress, Source};

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// What came is none.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The connection ended, or broke, before it was complete.
    #[error("the connection ended before the PROXY header: {0}")]
    Io(#[from] io::Error),
    /// It did not come in time.
    #[error("no PROXY header came in time")]
    Late,
    /// Too many connections wait for a header, and this one has waited longest.
    #[error("too many connections wait for a PROXY header, and this one has waited longest")]
    Revoked,
}

/// Waits for the header. A line of version 1 is read octet by octet, because nobody knows where it ends.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Source, ProxyError> {
    let mut octets = Vec::new();
    loop {
        match proxy_header::progress(&octets)? {
            Progress::Done(source) => return Ok(source),
            Progress::Read(more) => {
                let known = octets.len();
                octets.resize(known + more, 0);
                stream.read_exact(&mut octets[known..]).await?;
            }
        }
    }
}
