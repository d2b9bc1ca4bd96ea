//! The sandbox's own certificate authority, made at its start and gone with it.
//!
//! Nobody trusts it but those who are given [`Identity::ca_pem`], so it may bear the names of real providers: what was
//! set up for `smtp.qq.com` can be tried without a change of the name that is verified. Nothing is written to disk.
//! Not here: the verification of anybody's certificate.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::settings::SandboxError;

/// The names in every certificate (RFC 6125 section 6.4): the machine itself, and those that are imitated.
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "smtp.qq.com", "smtp.exmail.qq.com"];

/// What the sandbox proves itself with.
pub(super) struct Identity {
    /// Takes TLS 1.2 and 1.3 handshakes.
    pub(super) acceptor: TlsAcceptor,
    /// The authority's certificate in PEM form.
    pub(super) ca_pem: String,
}

/// Makes an authority and one certificate of it, for [`NAMES`] and the addresses `more`.
pub(super) fn make(more: &[IpAddr]) -> Result<Identity, SandboxError> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Yizhan sandbox authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();

    let names: Vec<String> =
        NAMES.iter().map(|name| (*name).to_owned()).chain(more.iter().map(IpAddr::to_string)).collect();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "Yizhan sandbox");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &Issuer::new(authority, authority_key))?;

    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem })
}

/// The cryptography this program was built with. A sandbox does not import `upstream`, which has the same.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc")]
    return Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc")))]
    return Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
}
