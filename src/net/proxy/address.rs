//! Which proxy an account goes through, and how it is written.
//!
//! ```text
//!  socks5://[user:password@]host:port     RFC 1928, RFC 1929          -> socks5
//!  socks5h://...                          the same
//!  http://[user:password@]host:port       RFC 9110 section 9.3.6      -> connect
//! ```
//!
//! Not supported: TLS to the proxy itself (`https://`), SOCKS4, a chain of proxies. Invariant: user name and password are
//! in the octets that go to the proxy and nowhere else; `Debug`, `Display` and every error show scheme, host and port.

use std::fmt;

use crate::secret::Secret;

/// Why a text names no proxy. None of them repeats the text: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It begins in another way.
    #[error("a proxy is written socks5://host:port or http://host:port")]
    Scheme,
    /// TLS to the proxy itself.
    #[error("https:// proxies are not supported; mail is encrypted through an http:// proxy as well, so use that")]
    Encrypted,
    /// There is no host, or something that is none.
    #[error("the proxy needs a host name or an address; an IPv6 address stands in brackets")]
    Host,
    /// There is no port.
    #[error("the proxy needs its port, from 1 to 65535, behind the host: socks5://host:1080")]
    Port,
    /// Something stands behind the port.
    #[error("nothing may stand behind the port of a proxy")]
    Rest,
    /// Not a user name and a password as the protocol can carry them.
    #[error(
        "the log-in of a proxy is user:password@, each of 1 to 255 octets, without control characters; \
         write %40 for @, %3A for a colon, %2F for a slash and %25 for a percent sign"
    )]
    Login,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Socks5,
    Http,
}

/// A proxy. Shows scheme, host and port only.
#[derive(Clone, PartialEq)]
pub struct Proxy {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<Login>,
}

#[derive(Clone, PartialEq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Proxy {
    /// Reads `socks5://[user:password@]host:port`, `socks5h://...` or `http://...`. Octets of the log-in may be written
    /// as `%40` (RFC 3986 section 2.1); the last `@` is the one before the host.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong, and never repeats the text.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(ProxyError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "socks5" | "socks5h" => Scheme::Socks5,
            "http" => Scheme::Http,
            "https" => return Err(ProxyError::Encrypted),
            _ => return Err(ProxyError::Scheme),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(Login::parse(login, scheme)?), place),
            None => (None, rest),
        };
        let (host, port) = place_of(place.strip_suffix('/').unwrap_or(place))?;
        Ok(Proxy { scheme, host, port, login })
    }

    /// Whether it is logged in to.
    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// The proxy's own host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's own port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Login {
    fn parse(text: &str, scheme: Scheme) -> Result<Login, ProxyError> {
        let (user, password) = text.split_once(':').ok_or(ProxyError::Login)?;
        let (user, password) = (decoded(user)?, decoded(password)?);
        // RFC 7617 section 2: the first colon ends the user name.
        if scheme == Scheme::Http && user.contains(':') {
            return Err(ProxyError::Login);
        }
        let password = Secret::new(&password);
        // A password of blanks would be nothing once it is a `Secret`.
        if password.expose().is_empty() { Err(ProxyError::Login) } else { Ok(Login { user, password }) }
    }
}

/// Takes the percent encoding off (RFC 3986 section 2.1) and checks what RFC 1929 section 2 can carry.
fn decoded(text: &str) -> Result<String, ProxyError> {
    let (mut octets, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|&octet| char::from(octet).to_digit(16));
        let (high, low) = digit(0).zip(digit(1)).ok_or(ProxyError::Login)?;
        octets.push((high * 16 + low) as u8);
        rest = &rest[2..];
    }
    let text = String::from_utf8(octets).map_err(|_| ProxyError::Login)?;
    let good = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    if good { Ok(text) } else { Err(ProxyError::Login) }
}

/// Host and port; the brackets of an IPv6 address are taken off (RFC 3986 section 3.2.2).
fn place_of(text: &str) -> Result<(String, u16), ProxyError> {
    let (host, behind) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, behind) = inside.split_once(']').ok_or(ProxyError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| ProxyError::Host)?;
            (host, behind)
        }
        None => {
            let end = text.find([':', '/', '?', '#']).unwrap_or(text.len());
            text.split_at(end)
        }
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 255 || !host.chars().all(is_name) {
        return Err(ProxyError::Host);
    }
    let port = behind.strip_prefix(':').ok_or(ProxyError::Port)?;
    let digits = port.len() - port.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (port, rest) = port.split_at(digits);
    match port.parse::<u16>() {
        Err(_) | Ok(0) => Err(ProxyError::Port),
        Ok(_) if !rest.is_empty() => Err(ProxyError::Rest),
        Ok(port) => Ok((host.to_owned(), port)),
    }
}

/// A host and a port as they are written: an IPv6 address in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Socks5 => "socks5",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}", authority(&self.host, self.port))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
