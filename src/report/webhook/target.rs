//! The URL of a webhook, taken apart (RFC 3986, RFC 9110 section 4.2).
//!
//! Not here: connecting. Invariants: `Debug` and `Display` show scheme, host and port and never path or query, which
//! carry the token, and neither do answers that went through [`Target::redact`]; plain `http` is for loopback and private addresses only, because every host on the way reads the token.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

use crate::net::http::is_private;
use crate::secret::Secret;
use crate::secret::redact::{self, Redactor};

/// A shorter part of path or query is not a token, and is not looked for in answers.
const SHORTEST_TOKEN: usize = 8;
/// A part that is shorter may be a word (`messages`), and is not looked for in texts that have nothing to do with the webhook.
const SHORTEST_ANYWHERE: usize = 16;

/// Why a text is not the URL of a webhook. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL.
    #[error("the webhook is not a URL; it looks like https://host/path")]
    Syntax,
    /// Neither https nor http.
    #[error("the webhook must begin with https://")]
    Scheme,
    /// `https://user:password@host/`.
    #[error("the webhook has a user name in it; put the token into the path or the query")]
    UserInfo,
    /// Plain http to somewhere outside.
    #[error("plain http shows the webhook's token to everybody on the way; use https")]
    Clear,
}

/// Where to connect to, and what to ask for.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`UrlError`] when it is not one, or would send the token in the clear to a host outside.
    pub fn parse(url: &str) -> Result<Target, UrlError> {
        let uri: Uri = url.trim().parse().map_err(|_| UrlError::Syntax)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Syntax),
        };
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            // `https://host:99999/` has no port either, and is wrong all the same.
            None if authority.as_str() == authority.host() => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => return Err(UrlError::Syntax),
        };
        if host.is_empty() {
            return Err(UrlError::Syntax);
        }
        if !https && !may_be_private(&host) {
            return Err(UrlError::Clear);
        }
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        // `https://host?key=1` asks for `/?key=1` (RFC 9112 section 3.2.1).
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Target { https, host, port, path })
    }

    /// Whether it is `https`. If not, the operator should be warned: the token goes in the clear, inside the own network.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query: the secret part, for the request line only.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Adds fields to the query.
    pub(super) fn add_query(&mut self, fields: &str) {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        self.path = format!("{}{mark}{fields}", self.path);
    }

    /// What goes into the `Host` field (RFC 9110 section 7.2).
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The text without any part of the path and the query that may be a token, and without other secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        let own = Redactor::new(self.tokens(SHORTEST_TOKEN)).redact(text).into_owned();
        redact::redact(&own).into_owned()
    }

    /// Has the token taken out of all texts from now on.
    pub(super) fn protect(&self) {
        self.tokens(SHORTEST_ANYWHERE).for_each(|token| redact::protect(&Secret::new(token)));
    }

    /// The path, and those of its parts and the query's that have at least `shortest` octets.
    fn tokens(&self, shortest: usize) -> impl Iterator<Item = &str> {
        let parts = self.path.split(['/', '?', '&', '=', '#']);
        parts.chain([self.path.as_str()]).filter(move |part| part.len() >= shortest)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/[secret]")
    }
}

/// Whether the name may mean a host in the own network; its addresses are looked at again before anything is sent.
fn may_be_private(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => is_private(address),
        Err(_) => {
            let local = [".localhost", ".local", ".lan", ".internal", ".home.arpa"];
            !host.contains('.') || local.iter().any(|end| host.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse(" https://Hook.Example.com/cgi-bin/send?key=abcd-1234#top\n").unwrap();
        assert_eq!((target.host(), target.port(), target.is_https()), ("hook.example.com", 443, true));
        assert_eq!((target.path(), target.authority().as_str()), ("/cgi-bin/send?key=abcd-1234", "hook.example.com"));
        let target = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!((target.host(), target.path(), target.authority().as_str()), ("::1", "/", "[::1]:8080"));
        assert_eq!(Target::parse("http://10.0.0.1?key=1").unwrap().path(), "/?key=1");
    }

    #[test]
    fn what_is_no_good_is_refused_without_being_shown() {
        for (url, error) in [
            ("", UrlError::Syntax),
            ("hooks.example.com/x", UrlError::Syntax),
            ("/x", UrlError::Syntax),
            ("https://", UrlError::Syntax),
            ("https:///x", UrlError::Syntax),
            ("https://a:99999/x", UrlError::Syntax),
            ("https://a:0/x", UrlError::Syntax),
            ("https://a:/x", UrlError::Syntax),
            ("https://a b/x", UrlError::Syntax),
            ("https://a/x\r\nHost: evil", UrlError::Syntax),
            ("ftp://a/x", UrlError::Scheme),
            ("https://me:hunter2@a/x", UrlError::UserInfo),
            ("http://hooks.example.com/x", UrlError::Clear),
            ("http://8.8.8.8/x", UrlError::Clear),
            ("http://[2001:db8::1]/x", UrlError::Clear),
            ("http://169.254.0.1.evil.com/x", UrlError::Clear),
        ] {
            assert_eq!(Target::parse(url), Err(error), "{url}");
        }
        for url in
            ["http://localhost/", "http://hook:9000/", "http://nas.lan/", "http://192.168.1.2/", "http://[fd00::1]/"]
        {
            assert!(!Target::parse(url).unwrap().is_https(), "{url}");
        }
        assert!(!is_private("::ffff:8.8.8.8".parse().unwrap()) && is_private("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_token_is_never_shown() {
        let target = Target::parse("https://hook.example.com/services/T0000AAAA/abcdefgh?key=ijklmnop-1").unwrap();
        for text in [format!("{target}"), format!("{target:?}"), format!("{target:#?}")] {
            assert!(text.starts_with("https://hook.example.com") && !text.contains("AAAA"), "{text}");
        }
        let echo = "no such hook /services/T0000AAAA/abcdefgh?key=ijklmnop-1, key ijklmnop-1, abcdefgh";
        assert_eq!(target.redact(echo), "no such hook [secret], key [secret], [secret]");
    }
}
