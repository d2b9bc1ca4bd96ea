//! What other protocols need of the cryptography that TLS brings: chance, SHA-256 and RS256.
//!
//! It is the provider that this program was built with, so that no second implementation is linked.

use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::SupportedCipherSuite;
use tokio_rustls::rustls::crypto::hash::{Hash, HashAlgorithm};

use super::provider;

/// Why a text could not be signed. Never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no private key in PEM form.
    #[error("it holds no private key in PEM form")]
    Pem,
    /// The key is no RSA key of 2048 bits or more.
    #[error("its private key is no RSA key of 2048 bits or more")]
    Key,
}

/// Fills `octets` with chance.
///
/// # Errors
/// The system has none to give.
pub fn random(octets: &mut [u8]) -> Result<(), std::io::Error> {
    provider().secure_random.fill(octets).map_err(|_| std::io::Error::other("the system has no randomness to give"))
}

/// The SHA-256 of `octets` (FIPS 180-4).
pub fn sha256(octets: &[u8]) -> Vec<u8> {
    hasher().hash(octets).as_ref().to_vec()
}

/// SHA-256 of the TLS library.
pub(in crate::net) fn hasher() -> &'static dyn Hash {
    let of = |suite: &SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    };
    let mut all = provider().cipher_suites.clone().into_iter().map(|suite| of(&suite));
    // RFC 8446 section 9.1: TLS_AES_128_GCM_SHA256 is mandatory.
    all.find(|hash| hash.algorithm() == HashAlgorithm::SHA256).expect("every TLS library has SHA-256")
}

/// Signs `text` with RSASSA-PKCS1-v1_5 and SHA-256, which JWS calls RS256 (RFC 7518 section 3.3).
///
/// # Errors
/// [`SignError`] when the key is of no use.
pub fn sign_rs256(pem: &[u8], text: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut pem = pem;
    let key = rustls_pemfile::private_key(&mut pem).ok().flatten().ok_or(SignError::Pem)?;
    let key = provider().key_provider.load_private_key(key).map_err(|_| SignError::Key)?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(SignError::Key)?;
    signer.sign(text).map_err(|_| SignError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_that_of_the_standard() {
        let hex: String = sha256(b"abc").iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn chance_differs_and_a_text_is_no_key() {
        let (mut one, mut other) = ([0; 16], [0; 16]);
        random(&mut one).unwrap();
        random(&mut other).unwrap();
        assert_ne!(one, other);
        assert_eq!(sign_rs256(b"not a key", b"x"), Err(SignError::Pem));
    }
}
