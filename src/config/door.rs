//! TLS of a listener: whether, how it begins, and the two files it needs.
//!
//! Not here: handshakes, and reading the files again when they change (`net::tls::identity`). Invariant: TLS that comes out could
//! be shown to a client a moment ago: the files were read, and the key belongs to the certificate.

use std::path::PathBuf;

use super::check::{Check, get};
use super::settings::ListenerTls;
use super::value::Meaning;
use crate::net::tls::TlsError;
use crate::net::tls::identity::{Identity, IdentityError};
use crate::provider::Tls;

/// TLS of the listener `name`: `Some(None)` when it is off, `None` after a problem was noted.
pub(super) fn tls(check: &mut Check<'_>, name: &str) -> Option<Option<ListenerTls>> {
    let path = |key: &str| format!("listener.{name}.{key}");
    let written = |check: &Check<'_>, key: &str| check.shown.contains_key(&path(key));
    let begins = match get!(check, path("tls"), Word)? {
        "starttls" => Tls::StartTls,
        "implicit" => Tls::Implicit,
        _ => {
            if written(check, "certificate") || written(check, "key") {
                let origin = check.origins.get(&path("tls")).cloned().unwrap_or_default();
                check.warnings.push(format!(
                    "{} ({origin}): there is a certificate, but it is not shown to anybody; write tls = \"starttls\" or \"implicit\"",
                    path("tls")
                ));
            }
            return Some(None);
        }
    };
    for (key, what) in [("certificate", "certificate"), ("key", "private key")] {
        if !written(check, key) {
            let origin = check.origins.get(&path("tls")).cloned().unwrap_or_default();
            let remedy = format!("add {key} = \"certs/{key}.pem\" to [listener.{name}], or write tls = \"off\"");
            check.problem(&path(key), None, &origin, &format!("TLS needs a {what}"), &remedy);
        }
    }
    let certificate: Option<PathBuf> = get!(check, path("certificate"), Path);
    let key: Option<PathBuf> = get!(check, path("key"), Path);
    let (certificate, key) = (certificate?, key?);
    match Identity::open(&certificate, &key) {
        Ok(_) => Some(Some(ListenerTls { begins, certificate, key })),
        Err(error) => {
            unusable(check, name, error);
            None
        }
    }
}

fn unusable(check: &mut Check<'_>, name: &str, error: IdentityError) {
    let path = |key: &str| format!("listener.{name}.{key}");
    match error {
        IdentityError::Certificate(error) => {
            let reason = match error {
                TlsError::Ca { reason, .. } => reason,
                other @ (TlsError::Name { .. }
                | TlsError::Handshake { .. }
                | TlsError::Roots(_)
                | TlsError::Setup(_)) => other.to_string(),
            };
            let remedy = "name a PEM file that the relay may read: its own certificate first, those above it after it";
            check.misfit(&path("certificate"), &format!("the certificate cannot be used: {reason}"), remedy);
        }
        IdentityError::Key { reason, .. } => {
            let remedy =
                "name a PEM file that the relay may read, with the key of that certificate, not locked with a password";
            check.misfit(&path("key"), &format!("the private key cannot be used: {reason}"), remedy);
        }
    }
}
