//! A certificate authority for one test: made in memory, its certificate in a file for clients that want a path.
//!
//! Not a model for certificates in production: keys are P-256 and live in a temporary folder until the test ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::{self, ServerConfig};

use super::folder::Folder;

/// The names in every server certificate unless a test asks for others.
pub const NAMES: &[&str] = &["localhost", "127.0.0.1", "smtp.peer.test"];

/// A private authority.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
    file: PathBuf,
}

/// A server certificate with its key, both as PEM text.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key (PKCS #8).
    pub key: String,
}

impl TestCa {
    /// Makes a new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no bad name");
        let folder = Folder::new("ca");
        // A name of its own: two authorities of one name look to a client like one with a broken signature.
        let name = format!("Test authority {}", folder.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("P-256 keys are always there");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("our own parameters are good");
        let file = folder.file("ca.pem", issuer.pem());
        Self { issuer, folder, file }
    }

    /// The file with the authority's certificate, for a relay's or client's "trust this" setting.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The authority's certificate as PEM text.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for these DNS names and IP addresses, good until the year 4096.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(parameters(names))
    }

    /// A certificate that ended in 2020: a verifying client must refuse it.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = parameters(names);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    /// A certificate that begins in 2100.
    pub fn issue_early(&self, names: &[&str]) -> Identity {
        let mut params = parameters(names);
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
        self.sign(params)
    }

    /// A certificate with this name as its subject only, where nobody has looked for names since RFC 6125 section 6.4.4.
    pub fn issue_nameless(&self, name: &str) -> Identity {
        let mut params = parameters(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("P-256 keys are always there");
        let certificate = params.signed_by(&key, &self.issuer).expect("our own parameters are good");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn parameters(names: &[&str]) -> CertificateParams {
    let list: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(list).expect("test names are ASCII");
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nameless"));
    params
}

impl Identity {
    /// A certificate that nobody but its own key has signed. `ca`: it says that it is an authority, as the usual recipe
    /// (`openssl req -x509`) has it.
    pub fn self_signed(names: &[&str], ca: bool) -> Identity {
        let key = KeyPair::generate().expect("P-256 keys are always there");
        let mut params = parameters(names);
        // Debian's own self-signed certificate is called `localhost`, and is in the store of some machines.
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Self made");
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let certificate = params.self_signed(&key).expect("our own parameters are good");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Settings for a TLS server inside this process.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let chain: Result<Vec<_>, _> = rustls_pemfile::certs(&mut self.certificate.as_bytes()).collect();
        let key = rustls_pemfile::private_key(&mut self.key.as_bytes()).expect("PEM we wrote");
        let config = ServerConfig::builder_with_provider(arithmetic())
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain.expect("PEM we wrote"), key.expect("there is one key"))
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }
}

/// The cryptography this build was made with; with both features on, rustls cannot choose by itself.
pub fn arithmetic() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(feature = "aws-lc"))]
    return Arc::new(rustls::crypto::ring::default_provider());
}
