//! The dialogue of AUTH (RFC 4954) with PLAIN and LOGIN. Blobs are never kept, noted or repeated.

use super::replies::Replies;
use crate::secret::Secret;
use crate::smtp::reply::Reply;
use crate::smtp::sasl::{self, Credentials, Mechanism, SaslError};

/// A log-in dialogue: the response that is due.
#[derive(Debug)]
pub(super) enum AuthExchange {
    /// PLAIN: the blob.
    Plain,
    /// LOGIN: the user.
    User,
    /// LOGIN: the password.
    Password {
        /// The user.
        user: String,
    },
}

/// What a response led to.
pub(super) enum AuthStep {
    /// The next challenge.
    Ask(AuthExchange),
    /// All that the driver needs to decide.
    Complete {
        mechanism: Mechanism,
        user: String,
        password: Secret,
        /// The user stands where another identity belongs.
        misplaced: bool,
    },
    /// The response cannot be read, or the client gave up.
    Broken(SaslError),
}

impl AuthExchange {
    /// The dialogue of this mechanism, if it is known.
    pub(super) fn of(mechanism: &str) -> Option<AuthExchange> {
        match mechanism {
            "PLAIN" => Some(AuthExchange::Plain),
            "LOGIN" => Some(AuthExchange::User),
            _ => None,
        }
    }

    /// The reply that asks for the response.
    pub(super) fn challenge<'a>(&self, replies: &'a Replies) -> &'a Reply {
        match self {
            AuthExchange::Plain => &replies.auth_plain,
            AuthExchange::User => &replies.auth_user,
            AuthExchange::Password { .. } => &replies.auth_password,
        }
    }

    /// Takes one response.
    pub(super) fn take(self, blob: &[u8]) -> AuthStep {
        self.read(blob).unwrap_or_else(AuthStep::Broken)
    }

    fn read(self, blob: &[u8]) -> Result<AuthStep, SaslError> {
        let response = sasl::decode(std::str::from_utf8(blob).map_err(|_| SaslError::Base64)?)?;
        let (mechanism, Credentials { user, password, misplaced }) = match self {
            AuthExchange::User => return Ok(AuthStep::Ask(AuthExchange::Password { user: sasl::user(&response)? })),
            AuthExchange::Plain => (Mechanism::Plain, sasl::plain(&response)?),
            AuthExchange::Password { user } => {
                (Mechanism::Login, Credentials { user, password: sasl::password(&response)?, misplaced: false })
            }
        };
        Ok(AuthStep::Complete { mechanism, user, password, misplaced })
    }
}
