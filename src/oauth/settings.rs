//! What `[account.NAME.oauth]` says: the grant, the program's id, the end points. Plain values.
//!
//! Invariant: a [`ServiceUrl`] carries secrets over TLS, or within a network of the owner's.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use hyper::Uri;

use crate::net::http::is_private;
use crate::net::proxy::Proxy;
use crate::secret::SecretSource;

/// How the relay comes to its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// A person types a code on another device (RFC 8628).
    Device,
    /// A person signs in with a browser on this machine (RFC 8252), or pastes the answer.
    Browser,
    /// The program signs in as itself (RFC 6749 section 4.4).
    Client,
    /// The program signs a statement with its own key (RFC 7523).
    ServiceAccount,
}

impl Grant {
    /// All grants, in the order of the manual.
    pub const ALL: [Grant; 4] = [Grant::Device, Grant::Browser, Grant::Client, Grant::ServiceAccount];

    /// The word in the settings.
    pub const fn word(self) -> &'static str {
        match self {
            Grant::Device => "device",
            Grant::Browser => "browser",
            Grant::Client => "client",
            Grant::ServiceAccount => "service-account",
        }
    }

    /// Whether a person signs in, and the relay keeps a refresh token.
    pub const fn needs_a_person(self) -> bool {
        match self {
            Grant::Device | Grant::Browser => true,
            Grant::Client | Grant::ServiceAccount => false,
        }
    }
}

/// Why a text is no end point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL of https or http with a host.
    #[error("this is not a URL of https://")]
    Syntax,
    /// Plain http to a host outside.
    #[error("plain http shows the secrets to every host on the way")]
    Clear,
}

/// An end point.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    text: String,
    https: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl ServiceUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<ServiceUrl, UrlError> {
        let uri: Uri = text.trim().parse().map_err(|_| UrlError::Syntax)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(UrlError::Syntax),
        };
        let authority = uri.authority().filter(|one| !one.as_str().contains('@')).ok_or(UrlError::Syntax)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let usual = if https { 443 } else { 80 };
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => usual,
            None => return Err(UrlError::Syntax),
        };
        if host.is_empty() || port == 0 {
            return Err(UrlError::Syntax);
        }
        // A name may mean a private host: the HTTP client looks at the address.
        if !https && host.parse::<IpAddr>().is_ok_and(|address| !is_private(address)) {
            return Err(UrlError::Clear);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(ServiceUrl { text: text.trim().to_owned(), https, host, port, authority: authority.to_string(), path })
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the `Host` field has them.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How one account comes to its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuthSettings {
    /// The NAME of `[account.NAME]`.
    pub account: String,
    /// The mailbox: the log-in name of the account.
    pub user: String,
    /// How.
    pub grant: Grant,
    /// The program, as the service knows it. Empty for a service account, whose key file names it.
    pub client_id: String,
    /// The program's secret, where the grant needs one.
    pub client_secret: Option<SecretSource>,
    /// The key file of a service account.
    pub key: Option<SecretSource>,
    /// A refresh token that was given in the settings; used while there is no file.
    pub refresh: Option<SecretSource>,
    /// Where a person signs in.
    pub authorize: Option<ServiceUrl>,
    /// Where tokens are given out.
    pub token: ServiceUrl,
    /// Where a device code comes from.
    pub device: Option<ServiceUrl>,
    /// What is asked for; separated by blanks.
    pub scope: String,
    /// The address is `http://localhost:PORT` when a browser comes back (Microsoft), else `http://127.0.0.1:PORT`.
    pub redirect_to_name: bool,
    /// When the client secret ends, as `2028-01-31`.
    pub expires: Option<jiff::civil::Date>,
    /// The proxy of the account.
    pub proxy: Option<Proxy>,
    /// Certificates to trust beside the machine's.
    pub ca: Option<PathBuf>,
    /// The folder of the sign-ins.
    pub folder: PathBuf,
}

impl OAuthSettings {
    /// The secrets of the program, where the settings name any.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        [&self.client_secret, &self.key].into_iter().flatten()
    }

    /// The days until the client secret ends; negative when it has. `None` where no end is known.
    pub fn days_left(&self, today: jiff::civil::Date) -> Option<i32> {
        let left = self.expires?.since(today).ok()?;
        Some(left.get_days())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_point_is_taken_apart_and_never_in_the_clear_outside() {
        let url = ServiceUrl::parse("https://login.microsoftonline.com/common/oauth2/v2.0/token").unwrap();
        assert_eq!((url.host(), url.port(), url.is_https()), ("login.microsoftonline.com", 443, true));
        assert_eq!((url.authority(), url.path()), ("login.microsoftonline.com", "/common/oauth2/v2.0/token"));
        let url = ServiceUrl::parse("http://[::1]:8080/token?x=1").unwrap();
        assert_eq!((url.host(), url.port(), url.path()), ("::1", 8080, "/token?x=1"));
        assert_eq!(ServiceUrl::parse("http://93.184.216.34/token"), Err(UrlError::Clear));
        for bad in ["", "token", "ftp://host/", "https://", "https://user:pw@host/", "https://host:0/", "/token"] {
            assert_eq!(ServiceUrl::parse(bad), Err(UrlError::Syntax), "{bad}");
        }
    }
}
