//! The forms that are posted to the service (RFC 6749 appendix B). Pure.
//!
//! Invariant: a form holds secrets, so it is a [`Form`], which `Debug` does not show.

use crate::secret::Secret;

/// Fields of `application/x-www-form-urlencoded`.
#[derive(Clone, Default, PartialEq)]
pub struct Form(String);

impl Form {
    /// A form without fields.
    pub fn new() -> Form {
        Form::default()
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Form {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&escaped(value));
        self
    }

    /// With a secret, where there is one.
    #[must_use]
    pub fn with_secret(self, name: &str, secret: Option<&Secret>) -> Form {
        match secret {
            Some(secret) => self.with(name, secret.expose()),
            None => self,
        }
    }

    /// The text that goes over the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form([secret])")
    }
}

/// The program that asks.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<Secret>,
}

impl Client {
    fn form(&self, grant: &str) -> Form {
        Form::new()
            .with("grant_type", grant)
            .with("client_id", &self.id)
            .with_secret("client_secret", self.secret.as_ref())
    }
}

/// A new access token for a refresh token (RFC 6749 section 6).
pub fn refresh(client: &Client, refresh: &Secret) -> Form {
    // Without a scope the service gives what was granted.
    client.form("refresh_token").with("refresh_token", refresh.expose())
}

/// An access token for the program itself (RFC 6749 section 4.4).
pub fn client_credentials(client: &Client, scope: &str) -> Form {
    client.form("client_credentials").with("scope", scope)
}

/// An access token for a signed statement (RFC 7523 section 2.1).
pub fn assertion(assertion: &Secret) -> Form {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    Form::new().with("grant_type", grant).with("assertion", assertion.expose())
}

/// A device code (RFC 8628 section 3.1).
pub fn device_code(client: &Client, scope: &str) -> Form {
    Form::new().with("client_id", &client.id).with_secret("client_secret", client.secret.as_ref()).with("scope", scope)
}

/// Has the person typed the code? (RFC 8628 section 3.4)
pub fn device_poll(client: &Client, code: &Secret) -> Form {
    client.form("urn:ietf:params:oauth:grant-type:device_code").with("device_code", code.expose())
}

/// The tokens for the code that a browser came back with (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub fn authorization_code(client: &Client, code: &Secret, redirect: &str, verifier: &Secret) -> Form {
    client
        .form("authorization_code")
        .with("code", code.expose())
        .with("redirect_uri", redirect)
        .with("code_verifier", verifier.expose())
}

/// Every octet but the unreserved ones of RFC 3986 as its number.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(octet)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_and_the_form_is_not_shown() {
        let client = Client { id: "id 1".to_owned(), secret: Some(Secret::new("a&b=c+d~")) };
        let form = refresh(&client, &Secret::new("r/1"));
        assert_eq!(
            form.expose(),
            "grant_type=refresh_token&client_id=id%201&client_secret=a%26b%3Dc%2Bd~&refresh_token=r%2F1"
        );
        assert!(!format!("{form:?} {client:?}").contains("a&b"));
    }

    #[test]
    fn a_program_without_a_secret_sends_none() {
        let client = Client { id: "x".to_owned(), secret: None };
        assert!(!device_poll(&client, &Secret::new("d")).expose().contains("client_secret"));
        assert!(client_credentials(&client, "s").expose().starts_with("grant_type=client_credentials&client_id=x&"));
    }
}
