//! The signed statement of a Google service account (RFC 7523, RFC 7515 section 3.1).
//!
//! The key file is the JSON that the Google Cloud console gives out. Invariant: neither key nor statement is in any error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::net::tls::primitives::{SignError, sign_rs256};
use crate::secret::Secret;

/// How long a statement counts, in seconds; Google takes no longer one.
const LIFE: i64 = 3600;

/// Why there is no statement. Never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not the JSON of a service account.
    #[error("the key file is not the JSON of a service account, which has client_email and private_key")]
    Json,
    /// It is one of a program for people.
    #[error("the key file is the one of an OAuth client; make a key of the service account (Keys, Add key, JSON)")]
    OtherKind,
    /// The key in it cannot sign.
    #[error("the key file cannot sign: {0}")]
    Sign(#[from] SignError),
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
}

/// The statement that the service account may send as `user`, from `now` on, for the token end point `audience`.
///
/// # Errors
/// [`KeyError`].
pub fn sign(key: &Secret, user: &str, scope: &str, audience: &str, now: Timestamp) -> Result<Secret, KeyError> {
    let file: KeyFile = serde_json::from_str(key.expose()).map_err(|_| {
        let other = ["\"installed\"", "\"web\""].iter().any(|word| key.expose().contains(word));
        if other { KeyError::OtherKind } else { KeyError::Json }
    })?;
    let issued = now.millis() / 1000;
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": file.private_key_id });
    let claims = json!({
        "iss": file.client_email, "sub": user, "scope": scope, "aud": audience, "iat": issued, "exp": issued + LIFE,
    });
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = sign_rs256(file.private_key.as_bytes(), text.as_bytes())?;
    Ok(Secret::new(&format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_with(text: &str) -> Result<Secret, KeyError> {
        let now = Timestamp::from_millis(1_800_000_000_000);
        sign(&Secret::new(text), "me@x.y", "https://mail.google.com/", "https://oauth2.googleapis.com/token", now)
    }

    #[test]
    fn what_is_no_key_file_is_named() {
        assert_eq!(sign_with("hello"), Err(KeyError::Json));
        assert_eq!(sign_with(r#"{"installed":{"client_id":"x"}}"#), Err(KeyError::OtherKind));
        let file = r#"{"client_email":"a@b","private_key":"none"}"#;
        assert_eq!(sign_with(file), Err(KeyError::Sign(SignError::Pem)));
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn the_statement_says_who_for_whom_and_until_when() {
        let size = rcgen::RsaKeySize::_2048;
        let pem = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap().serialize_pem();
        let file =
            json!({ "client_email": "relay@x.iam.gserviceaccount.com", "private_key": pem, "private_key_id": "k1" });
        let signed = sign_with(&file.to_string()).unwrap();
        let parts: Vec<&str> = signed.expose().split('.').collect();
        let part = |at: usize| {
            let octets = URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
            serde_json::from_slice::<serde_json::Value>(&octets).unwrap()
        };
        assert_eq!(part(0), json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" }));
        let claims = part(1);
        assert_eq!(claims["iss"], "relay@x.iam.gserviceaccount.com");
        assert_eq!((claims["sub"].as_str(), claims["exp"].as_i64()), (Some("me@x.y"), Some(1_800_003_600)));
        assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 256);
    }
}
