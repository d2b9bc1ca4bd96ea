//! AUTH (RFC 4954) with PLAIN and LOGIN. Blobs are never kept, noted or repeated.

use super::state::{State, Step};
use super::{AuthMode, Event, Session};
use crate::smtp::sasl::{self, Credentials, Mechanism, SaslError};

/// So many refused log-ins are allowed on one connection.
const FAILED_LOGINS: u32 = 3;

impl Session {
    /// Also after HELO, and without TLS: some devices know nothing else, and the driver says what a log-in is worth.
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Option<Event> {
        // Whatever becomes of it: what follows may be a password that nobody has asked for, or that comes once more.
        self.login_debris = true;
        if self.settings.auth == AuthMode::Off {
            self.fail(|voice| &voice.not_implemented);
        } else if self.settings.auth_after_tls && !self.tls {
            self.fail(|voice| &voice.auth_needs_tls);
        } else if self.user.is_some() {
            self.fail(|voice| &voice.auth_again);
        } else if !matches!(self.state, State::Idle) {
            self.fail(|voice| &voice.sequence);
        } else if self.counters.failed_logins >= FAILED_LOGINS {
            self.close_with(|voice| &voice.too_many_errors);
        } else {
            return match (mechanism, initial) {
                ("PLAIN", None) => self.ask(Step::Plain),
                ("LOGIN", None) => self.ask(Step::User),
                ("PLAIN", Some(blob)) => self.take(Step::Plain, blob),
                ("LOGIN", Some(blob)) => self.take(Step::User, blob),
                _ => {
                    self.fail(|voice| &voice.auth_mechanism);
                    None
                }
            };
        }
        None
    }

    /// One line of the dialogue.
    pub(super) fn response(&mut self, line: &[u8]) -> Option<Event> {
        let State::Login(step) = std::mem::replace(&mut self.state, State::Idle) else { return None };
        match std::str::from_utf8(line) {
            Ok(line) => self.take(step, line),
            Err(_) => {
                self.login_debris = true;
                self.broken(SaslError::Base64)
            }
        }
    }

    fn ask(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Plain => self.say(|voice| &voice.auth_plain),
            Step::User => self.say(|voice| &voice.auth_user),
            Step::Password { .. } => self.say(|voice| &voice.auth_password),
        }
        self.state = State::Login(step);
        None
    }

    fn take(&mut self, step: Step, blob: &str) -> Option<Event> {
        // Some clients break a long blob in two, and the first half may decode: the next line may be the rest of it.
        self.login_debris = true;
        let response = match sasl::decode(blob) {
            Ok(response) => response,
            Err(error) => return self.broken(error),
        };
        let found = match step {
            Step::User => match sasl::user(&response) {
                Ok(user) => return self.ask(Step::Password { user }),
                Err(error) => Err(error),
            },
            Step::Plain => sasl::plain(&response).map(|found| (Mechanism::Plain, found)),
            Step::Password { user } => sasl::password(&response)
                .map(|password| (Mechanism::Login, Credentials { user, password, misplaced: false })),
        };
        match found {
            Err(error) => self.broken(error),
            // A user in the wrong place is good enough only where any user is.
            Ok((_, Credentials { misplaced: true, .. })) if self.settings.auth == AuthMode::Verify => {
                self.counters.failed_logins += 1;
                self.fail(|voice| &voice.auth_failed);
                None
            }
            Ok((mechanism, Credentials { user, password, .. })) => {
                self.state = State::AskedLogin { user: user.clone() };
                Some(Event::Auth { mechanism, user, password })
            }
        }
    }

    fn broken(&mut self, error: SaslError) -> Option<Event> {
        match error {
            SaslError::Cancelled => self.fail(|voice| &voice.auth_cancelled),
            SaslError::Base64 | SaslError::Parts | SaslError::Characters => self.fail(|voice| &voice.auth_malformed),
        }
        None
    }
}
