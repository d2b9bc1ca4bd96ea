//! The TLS handshake with a client, and why they found no way to encrypt, in the words of the owner's remedy.
//!
//! Not here: that it is logged (`connection`). Invariant: nothing of the peer's octets
//! is in a hint.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

use crate::net::stream::Stream;

use super::client_hello::OfferedVersion;

const NO_TLS_1_2: &str =
    "the client knows no TLS 1.2: switch its encryption off, and give its network a listener with tls = \"off\"";

/// What an owner can do about a handshake that failed.
pub(super) fn hint(error: &io::Error, implicit: bool, offered: Option<OfferedVersion>) -> &'static str {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return "the client went away, or took too long";
    };
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) if implicit => {
            "the client speaks no TLS: give it a listener with tls = \"off\" or \"starttls\", or switch its TLS on"
        }
        Error::InvalidMessage(_) => "what came is no TLS",
        // Which of its shortcomings is found first says nothing about the client.
        Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled) => {
            NO_TLS_1_2
        }
        Error::PeerIncompatible(_) if offered.is_some_and(OfferedVersion::is_old) => NO_TLS_1_2,
        Error::PeerIncompatible(_) => {
            "the client's TLS 1.2 is too old, it knows no cipher, curve or signature of today: switch its encryption \
             off, and give its network a listener with tls = \"off\""
        }
        Error::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown,
        ) => "the client does not trust the certificate: give it the authority, or a certificate of one it knows",
        _ => "the client and this listener found no way to encrypt",
    }
}

/// A TLS handshake within `limit`, and the version that the client offered, where that could be seen.
pub(super) async fn shake_hands(
    stream: &mut Stream,
    acceptor: &TlsAcceptor,
    limit: Duration,
) -> (Option<OfferedVersion>, io::Result<()>) {
    let end = Instant::now() + limit;
    let offered = match stream.tcp() {
        Some(tcp) => timeout_at(end, OfferedVersion::peek(tcp)).await.ok().flatten(),
        None => None,
    };
    (offered, timeout_at(end, stream.accept_tls(acceptor)).await.unwrap_or_else(|late| Err(late.into())))
}
