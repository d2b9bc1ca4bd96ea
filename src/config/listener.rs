//! One listener: its addresses and access rules, and its TLS with the two files that it needs.
//!
//! Not here: handshakes, and reading the files again when they change (`net::tls::identity`). Invariant: TLS that comes out
//! could be shown to a client a moment ago: the files were read, and the key belongs to the certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::display::quote;
use super::problem::{Checked, Findings, Problem};
use super::values::{Values, get};
use crate::intake::{Deadlines, ListenerSettings, ListenerTls};
use crate::net::tls::TlsError;
use crate::net::tls::identity::{Identity, IdentityError};
use crate::smtp::server::{AuthMode, Profile};

/// Checks the listener of this name.
pub(super) fn listener(values: &Values<'_>, name: &str) -> Checked<ListenerSettings> {
    Findings::of(|findings| {
        let path = |key: &str| format!("listener.{name}.{key}");
        let bind: Option<Vec<SocketAddr>> = get!(values, path("bind"), Sockets);
        let origin = values.origin(&path("bind"));
        // On the command line port 0 is for trials; written down it is a slip: the port would change at every start.
        for address in bind.iter().flatten().filter(|address| address.port() == 0 && origin != "--listen") {
            let remedy = "write a port from 1 to 65535; port 0 is only for --listen, in trials";
            let problem = Problem::new(&path("bind"), origin, "there is no port 0 to connect to", remedy);
            findings.problems.push(Problem { value: Some(quote(&address.to_string())), ..problem });
        }
        let profile = profile(get!(values, path("profile"), Word)?)?;
        let auth = match get!(values, path("auth"), Word)? {
            "off" => AuthMode::Off,
            "accept-any" => AuthMode::AcceptAny,
            "verify" => AuthMode::Verify,
            _ => return None,
        };
        let tls = findings.take(tls(values, name));
        Some(ListenerSettings {
            name: name.to_owned(),
            bind: bind?,
            allow: get!(values, path("allow"), Networks)?,
            proxy_from: get!(values, path("proxy_from"), Networks).unwrap_or_default(),
            profile,
            auth,
            tls: tls?,
            deadlines: Deadlines::default(),
        })
    })
}

/// The profile that has this word in the settings.
pub(super) fn profile(word: &str) -> Option<Profile> {
    match word {
        "strict" => Some(Profile::Strict),
        "tolerant" => Some(Profile::Tolerant),
        "legacy" => Some(Profile::Legacy),
        _ => None,
    }
}

/// TLS of the listener: `Some(None)` when it is off.
fn tls(values: &Values<'_>, name: &str) -> Checked<Option<ListenerTls>> {
    Findings::of(|findings| {
        let path = |key: &str| format!("listener.{name}.{key}");
        let implicit = match get!(values, path("tls"), Word)? {
            "starttls" => false,
            "implicit" => true,
            _ => {
                if values.has(&path("certificate")) || values.has(&path("key")) {
                    let text = "there is a certificate, but it is not shown to anybody; write tls = \"starttls\" or \"implicit\"";
                    findings.warnings.push(values.warning(&path("tls"), text));
                }
                return Some(None);
            }
        };
        let identity = findings.take(identity(values, &format!("listener.{name}")));
        Some(Some(ListenerTls { implicit, identity: identity? }))
    })
}

/// The certificate and key of a section that has TLS.
pub(super) fn identity(values: &Values<'_>, section: &str) -> Checked<Arc<Identity>> {
    Findings::of(|findings| {
        let path = |key: &str| format!("{section}.{key}");
        for (key, what) in [("certificate", "certificate"), ("key", "private key")] {
            if !values.has(&path(key)) {
                let remedy = format!("add {key} = \"certs/{key}.pem\" to [{section}], or write tls = \"off\"");
                let reason = format!("TLS needs a {what}");
                findings.problems.push(Problem::new(&path(key), values.origin(&path("tls")), &reason, &remedy));
            }
        }
        let certificate: Option<PathBuf> = get!(values, path("certificate"), Path);
        let key: Option<PathBuf> = get!(values, path("key"), Path);
        match Identity::open(&certificate?, &key?) {
            Ok(identity) => Some(Arc::new(identity)),
            Err(error) => {
                findings.problems.push(unusable(values, section, error));
                None
            }
        }
    })
}

fn unusable(values: &Values<'_>, section: &str, error: IdentityError) -> Problem {
    match error {
        IdentityError::Certificate(error) => {
            let reason = match error {
                TlsError::Ca { reason, .. } => reason,
                other @ (TlsError::Name { .. }
                | TlsError::Handshake { .. }
                | TlsError::Roots(_)
                | TlsError::Setup(_)) => other.to_string(),
            };
            let reason = format!("the certificate cannot be used: {reason}");
            let remedy = "name a PEM file that the relay may read: its own certificate first, those above it after it";
            values.misfit(&format!("{section}.certificate"), &reason, remedy)
        }
        IdentityError::Key { reason, .. } => {
            let reason = format!("the private key cannot be used: {reason}");
            let remedy =
                "name a PEM file that the relay may read, with the key of that certificate, not locked with a password";
            values.misfit(&format!("{section}.key"), &reason, remedy)
        }
    }
}

/// The addresses that two listeners have.
pub(super) fn addresses(values: &Values<'_>, listeners: &[Option<ListenerSettings>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: Vec<(SocketAddr, &str)> = Vec::new();
    for listener in listeners.iter().flatten() {
        for address in listener.bind.iter().filter(|address| address.port() != 0) {
            if let Some((_, first)) = seen.iter().find(|(known, _)| known == address) {
                let (key, reason) =
                    (format!("listener.{}.bind", listener.name), format!("{address} is also in listener.{first}.bind"));
                problems.push(values.misfit(&key, &reason, "name every address once"));
            }
            seen.push((*address, &listener.name));
        }
    }
    problems
}
