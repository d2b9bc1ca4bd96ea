//! The log-in dialogues PLAIN (RFC 4616) and LOGIN (a habit, never a standard), for both sides.
//!
//! What it is not: the comparison of a password, and the AUTH command around it (RFC 4954), which the machines speak.
//!
//! Invariants: a user name that came in holds no control characters, so it can go into a log line; a password that
//! came in is in a [`Secret`] before anything else sees it; errors never quote what they were about.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::secret::Secret;

/// A SASL mechanism (RFC 4954).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// PLAIN (RFC 4616): user and password in one base64 text.
    Plain,
    /// LOGIN: user and password in two. It is no standard; many servers offer it, and QQ requires it.
    Login,
}

impl Mechanism {
    /// The word in the settings: `login` or `plain`.
    pub fn word(self) -> &'static str {
        match self {
            Mechanism::Login => "login",
            Mechanism::Plain => "plain",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        })
    }
}

/// Longest user name that is taken, in octets.
const USER_CAP: usize = 512;

/// Why a response is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Not base64 with its padding.
    #[error("the response is not base64")]
    Base64,
    /// PLAIN without its two NULs.
    #[error("the response has not the parts that PLAIN wants")]
    Parts,
    /// A control character, or far too long.
    #[error("the response has control characters or is too long")]
    Characters,
    /// The client sent `*`.
    #[error("the client gave up")]
    Cancelled,
}

/// What a client claims to be.
#[derive(Debug, PartialEq)]
pub struct Credentials {
    /// Who it logs in as; may be empty.
    pub user: String,
    /// With what; may be empty.
    pub password: Secret,
    /// The user stood in the place of the authorization identity and the right place was empty: some clients do.
    pub misplaced: bool,
}

/// Decodes one response line. `=` alone is the empty response (RFC 4954 section 4), and so is an empty line.
///
/// # Errors
/// [`SaslError::Cancelled`] for `*`, [`SaslError::Base64`] for anything that is not base64 with padding.
pub fn decode(line: &str) -> Result<Vec<u8>, SaslError> {
    match line.trim_matches([' ', '\t']) {
        "*" => Err(SaslError::Cancelled),
        "=" | "" => Ok(Vec::new()),
        text => STANDARD.decode(text).map_err(|_| SaslError::Base64),
    }
}

/// Takes a PLAIN response apart: `authzid NUL authcid NUL password`. Empty parts are kept; no octet at all is an empty
/// user with an empty password.
///
/// # Errors
/// [`SaslError::Parts`] unless there are two NULs, [`SaslError::Characters`] as for [`user`].
pub fn plain(response: &[u8]) -> Result<Credentials, SaslError> {
    if response.is_empty() {
        return Ok(Credentials { user: String::new(), password: Secret::new(""), misplaced: false });
    }
    let parts: Vec<&[u8]> = response.split(|&b| b == 0).collect();
    let &[authzid, authcid, secret] = parts.as_slice() else { return Err(SaslError::Parts) };
    // The authorization identity is not used: nobody here may act for another.
    let misplaced = authcid.is_empty() && !authzid.is_empty();
    Ok(Credentials { user: user(if misplaced { authzid } else { authcid })?, password: password(secret)?, misplaced })
}

/// A user name: without one line end that `echo user | base64` leaves, and free of control characters.
///
/// # Errors
/// [`SaslError::Characters`].
pub fn user(octets: &[u8]) -> Result<String, SaslError> {
    let text = text(octets)?;
    if text.len() > USER_CAP { Err(SaslError::Characters) } else { Ok(text) }
}

/// A password, treated the same way.
///
/// # Errors
/// [`SaslError::Characters`].
pub fn password(octets: &[u8]) -> Result<Secret, SaslError> {
    text(octets).map(|text| Secret::new(&text))
}

fn text(octets: &[u8]) -> Result<String, SaslError> {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
    // Other charsets are not guessed: octet by octet, they at least compare equal to nothing but themselves.
    let text =
        std::str::from_utf8(octets).map_or_else(|_| octets.iter().map(|&b| char::from(b)).collect(), str::to_owned);
    if text.chars().any(char::is_control) { Err(SaslError::Characters) } else { Ok(text) }
}

/// What a client sends for PLAIN, in base64. Holds the password.
pub fn plain_response(user: &str, secret: &Secret) -> String {
    STANDARD.encode(format!("\0{user}\0{}", secret.expose()))
}

/// What a client sends for LOGIN when the user name is due, in base64.
pub fn login_user(user: &str) -> String {
    STANDARD.encode(user)
}

/// What a client sends for LOGIN when the password is due, in base64. Holds the password.
pub fn login_password(secret: &Secret) -> String {
    STANDARD.encode(secret.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(blob: &str) -> Result<(String, String), SaslError> {
        let found = plain(&decode(blob)?)?;
        Ok((found.user, found.password.expose().to_owned()))
    }

    fn pair(user: &str, password: &str) -> Result<(String, String), SaslError> {
        Ok((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn what_we_send_we_read() {
        let secret = Secret::new("pässword");
        assert_eq!(read(&plain_response("me@qq.com", &secret)), pair("me@qq.com", "pässword"));
        assert_eq!(user(&decode(&login_user("me")).unwrap()), Ok("me".to_owned()));
        assert_eq!(password(&decode(&login_password(&secret)).unwrap()), Ok(secret));
    }

    #[test]
    fn odd_clients_are_understood() {
        let blob = |text: &str| STANDARD.encode(text);
        assert_eq!(read("AHVzZXJuYW1lX3BsYWluAA=="), pair("username_plain", ""), "Q-060");
        assert_eq!(read(&blob("me\0me\0pw")), pair("me", "pw"), "Q-058");
        assert_eq!(read(&blob("\0me\n\0pw\r\n")), pair("me", "pw"), "Q-061");
        assert!(plain(b"me\0\0pw").unwrap().misplaced, "Q-059");
        assert_eq!(read("="), pair("", ""), "Q-052");
    }

    #[test]
    fn a_060_bad_responses_are_named() {
        let blob = |text: &str| STANDARD.encode(text);
        for bad in ["dXNlcg", "===", "dXNl cg==", "!!!!", "dXNlcg=", "dXNlcg==x"] {
            assert_eq!(decode(bad), Err(SaslError::Base64), "A-060 {bad}");
        }
        assert_eq!(decode("*"), Err(SaslError::Cancelled), "Q-067");
        assert_eq!(read(&blob("me\0pw")), Err(SaslError::Parts));
        assert_eq!(read(&blob("\0me\0p\0w")), Err(SaslError::Parts));
        assert_eq!(read(&blob("\0admin\r\nlevel=INFO\0pw")), Err(SaslError::Characters), "A-043");
        assert_eq!(user(&[b'a'; 10_000]), Err(SaslError::Characters), "A-043");
    }
}
