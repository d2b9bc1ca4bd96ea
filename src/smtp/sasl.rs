//! The log-in dialogues PLAIN (RFC 4616), LOGIN and XOAUTH2 (habits, never standards) and OAUTHBEARER (RFC 7628), for both
//! sides.
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
    /// XOAUTH2: user and access token. It is Google's, and what Microsoft takes.
    XOAuth2,
    /// OAUTHBEARER (RFC 7628): user and access token, in the standard form.
    OAuthBearer,
}

impl Mechanism {
    /// The mechanisms for an account that has an access token, best first.
    pub const FOR_TOKENS: [Mechanism; 2] = [Mechanism::XOAuth2, Mechanism::OAuthBearer];

    /// Whether it carries an access token instead of a password.
    pub fn takes_token(self) -> bool {
        match self {
            Mechanism::Plain | Mechanism::Login => false,
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => true,
        }
    }

    /// The word in the settings: `login`, `plain`, `xoauth2` or `oauthbearer`.
    pub fn word(self) -> &'static str {
        match self {
            Mechanism::Login => "login",
            Mechanism::Plain => "plain",
            Mechanism::XOAuth2 => "xoauth2",
            Mechanism::OAuthBearer => "oauthbearer",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::OAuthBearer => "OAUTHBEARER",
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
    /// PLAIN without its two NULs, or a token response without user or token.
    #[error("the response has not the parts that the mechanism wants")]
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

/// What a client sends for a mechanism that takes a token, in base64. Holds the token. `server` is the host and the port that
/// the client dialled, which OAUTHBEARER names.
///
/// A mechanism that takes a password gets the XOAUTH2 form: the callers ask [`Mechanism::takes_token`] first.
pub fn token_response(mechanism: Mechanism, user: &str, token: &Secret, server: Option<(&str, u16)>) -> String {
    let token = token.expose();
    STANDARD.encode(match mechanism {
        Mechanism::OAuthBearer => {
            // RFC 5801 section 4: the two characters that end a name are written as their numbers.
            let name = user.replace('=', "=3D").replace(',', "=2C");
            let place = server.map_or_else(String::new, |(host, port)| format!("host={host}\x01port={port}\x01"));
            format!("n,a={name},\x01{place}auth=Bearer {token}\x01\x01")
        }
        Mechanism::XOAuth2 | Mechanism::Plain | Mechanism::Login => {
            format!("user={user}\x01auth=Bearer {token}\x01\x01")
        }
    })
}

/// Takes the response of a mechanism with a token apart: user and token.
///
/// # Errors
/// [`SaslError::Parts`] without a user or a token, [`SaslError::Characters`] as for [`user`].
pub fn token(response: &[u8]) -> Result<(String, Secret), SaslError> {
    let (mut name, mut bearer) = (None, None);
    for part in response.split(|&octet| octet == 1) {
        if let Some(text) = part.strip_prefix(b"user=") {
            name = Some(user(text)?);
        } else if let Some(header) = part.strip_prefix(b"n,a=") {
            let text = user(header.strip_suffix(b",").unwrap_or(header))?;
            name = Some(text.replace("=2C", ",").replace("=3D", "="));
        } else if let Some(text) = part.strip_prefix(b"auth=") {
            let is_bearer = text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "));
            bearer = Some(password(if is_bearer { &text[7..] } else { return Err(SaslError::Parts) })?);
        }
    }
    name.zip(bearer).ok_or(SaslError::Parts)
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
    fn token_responses_are_those_of_google_and_of_the_standard() {
        // The examples of developers.google.com/workspace/gmail/imap/xoauth2-protocol and of RFC 7628 section 4.1.
        let secret = Secret::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        let sent = token_response(Mechanism::XOAuth2, "someuser@example.com", &secret, None);
        assert_eq!(
            sent,
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
        let bearer = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let server = Some(("server.example.com", 143));
        let sent = token_response(Mechanism::OAuthBearer, "user@example.com", &bearer, server);
        assert_eq!(
            sent,
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
    }

    #[test]
    fn what_we_send_of_a_token_we_read_and_a_name_cannot_end_it() {
        let secret = Secret::new("abc.def");
        for mechanism in Mechanism::FOR_TOKENS {
            let sent = decode(&token_response(mechanism, "a,b=c@example.com", &secret, Some(("h", 1)))).unwrap();
            assert_eq!(token(&sent), Ok(("a,b=c@example.com".to_owned(), secret.clone())), "{mechanism}");
        }
        assert_eq!(token(b"user=a\x01\x01"), Err(SaslError::Parts));
        assert_eq!(token(b"user=a\x01auth=Basic x\x01\x01"), Err(SaslError::Parts));
        assert_eq!(token(b"\x01"), Err(SaslError::Parts));
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
