//! TLS towards others (providers, webhooks): version 1.2 or later, the certificate verified against the configured
//! host name, always.
//!
//! Trusted are the machine's roots, or Mozilla's when the machine has none (a scratch container), plus the file that
//! the settings name as `ca`. There is no switch to turn verification off. TLS towards clients is in
//! [`identity`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as RustlsError, RootCertStore};

pub mod identity;
pub mod primitives;
pub mod roots;

/// TLS sessions that a connector remembers: several for each of the few hosts of an account.
const SESSIONS: usize = 32;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The `ca` file cannot be read, or holds no certificate.
    #[error("the certificate file {} cannot be used: {reason}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The host name cannot stand in a certificate.
    #[error("{host} is not a host name: {source}")]
    Name {
        /// The name.
        host: String,
        /// What is wrong with it.
        source: InvalidDnsNameError,
    },
    /// The handshake failed: the certificate is not good for this host, or the other side does not speak TLS 1.2.
    #[error("TLS with {host} failed: {}", why(source))]
    Handshake {
        /// The name that the certificate was held against.
        host: String,
        /// What rustls or the system said.
        source: std::io::Error,
    },
    /// The files with the roots do not answer, or the system gives no thread to read them.
    #[error("the certificates to trust cannot be read: {0}")]
    Roots(String),
    /// The cryptography this program was built with does not do what is asked.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] RustlsError),
}

/// Why a handshake failed. Each fault of a certificate has words of its own, where the library's are a list of
/// numbers or name the fault of another layer.
fn why(source: &std::io::Error) -> String {
    let Some(RustlsError::InvalidCertificate(fault)) = source.get_ref().and_then(|inner| inner.downcast_ref()) else {
        return source.to_string();
    };
    let words = match fault {
        CertificateError::UnknownIssuer => {
            "it is signed by an authority that is not trusted here (the setting `ca` names one), or by itself"
        }
        CertificateError::BadSignature => "a signature is wrong, or made with a key that is too short (RSA: 2048 bits)",
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "it is signed in a way that is not safe any more, such as SHA-1"
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is not signed by the authority that it names"
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is self-signed, or one of an authority, and not made for a server"
        }
        // These say it well: dates, and names.
        other => return format!("the certificate is not accepted: {other}"),
    };
    format!("the certificate is not accepted: {words}")
}

/// The cryptography this program was built with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc")]
    return Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc")))]
    return Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
}

/// Makes what a webhook or the doctor dials with. Reads the roots: blocks for as long as the disk does.
///
/// # Errors
/// [`TlsError::Ca`] when the file that was named is no good. Roots of the machine that cannot be read are passed over.
pub fn connector(ca: Option<&Path>) -> Result<TlsConnector, TlsError> {
    connector_on(Arc::new(roots::read(ca)?.0))
}

/// Makes what an account dials with, from roots that others may share. TLS sessions are the connector's own: accounts that
/// resumed each other's could be told to belong together.
///
/// # Errors
/// [`TlsError::Setup`].
pub fn connector_on(roots: Arc<RootCertStore>) -> Result<TlsConnector, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates in the file `path`, which `read` reads.
fn read_certificates(
    path: &Path,
    read: impl FnOnce(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |reason: String| TlsError::Ca { path: path.to_owned(), reason };
    let text = read(path).map_err(|e| error(e.to_string()))?;
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut text.as_slice()).collect();
    let found = found.map_err(|e| error(e.to_string()))?;
    if found.is_empty() { Err(error("it holds no certificate in PEM form".to_owned())) } else { Ok(found) }
}

/// Shakes hands over `stream` with the one who must prove to be `host`.
///
/// # Errors
/// [`TlsError::Handshake`]: nothing secret was sent.
pub async fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|source| TlsError::Name { host: host.to_owned(), source })?;
    connector.connect(name, stream).await.map_err(|source| TlsError::Handshake { host: host.to_owned(), source })
}
