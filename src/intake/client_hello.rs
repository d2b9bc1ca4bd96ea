//! The version of TLS that a client offers, read before the handshake takes its octets: for the log, where it fails.

use std::fmt;

use tokio::net::TcpStream;

/// The version in the first words of a client: `client_version` (RFC 5246 section 7.4.1.2), which clients that know
/// TLS 1.3 leave at 1.2 (RFC 8446 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfferedVersion([u8; 2]);

impl OfferedVersion {
    /// Looks at what waits to be read, and takes nothing away. `None` when the begin of a ClientHello is not there in
    /// one piece.
    pub(super) async fn peek(stream: &TcpStream) -> Option<OfferedVersion> {
        let mut hello = [0; 11];
        let seen = stream.peek(&mut hello).await.ok()?;
        match hello {
            [0x16, 3, _, _, _, 1, _, _, _, major, minor] if seen == hello.len() => Some(OfferedVersion([major, minor])),
            _ => None,
        }
    }

    /// Whether it is below TLS 1.2, the oldest that the relay accepts.
    pub(super) fn is_old(self) -> bool {
        self.0 < [3, 3]
    }
}

impl fmt::Display for OfferedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [3, 0] => f.write_str("SSL 3.0"),
            [3, minor @ 1..=2] => write!(f, "TLS 1.{}", minor - 1),
            [3, 3] => f.write_str("TLS 1.2 or later"),
            [major, minor] => write!(f, "{major}.{minor}"),
        }
    }
}
