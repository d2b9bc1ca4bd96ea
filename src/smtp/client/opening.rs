//! From the greeting to the log-in (RFC 5321 section 3.1 and 3.2, RFC 3207, RFC 4954, RFC 7628).

use super::{ClientEvent, ClientSession, FailureKind, State};
use crate::smtp::extension::Extensions;
use crate::smtp::line::AUTH_CAP;
use crate::smtp::reply::{Class, Reply};
use crate::smtp::sasl::{self, Mechanism};

/// So many challenges are answered.
const ROUNDS: u8 = 5;

/// Octets of an AUTH line that every server must take (RFC 4954 section 4); a longer one may be answered 500.
const SHORT_LINE: usize = 512;
/// Octets of the reason in a 334 that are kept.
const REASON: usize = 300;

/// A log-in dialogue.
#[derive(Clone, Debug)]
pub(super) enum Dialogue {
    /// With a password: how many challenges were answered.
    Password { mechanism: Mechanism, rounds: u8 },
    /// With an access token.
    Token { mechanism: Mechanism, step: TokenStep },
}

/// How far a log-in with a token has come.
#[derive(Clone, Debug)]
pub(super) enum TokenStep {
    /// The response went out with the AUTH command, in a line of this many octets.
    Initial(usize),
    /// AUTH went out alone: a 334 must ask for the response.
    Asked,
    /// The response went out in a line of its own.
    Answered,
    /// The server gave its reason in a 334, which was answered; the refusal itself comes next.
    Refused(String),
}

impl ClientSession {
    pub(super) fn greeted(&mut self, reply: Reply) -> Option<ClientEvent> {
        if !reply.is_positive() {
            return Some(self.fail(FailureKind::Refused(reply)));
        }
        self.send_ehlo();
        None
    }

    pub(super) fn send_ehlo(&mut self) {
        let line = format!("EHLO {}", self.name());
        self.send(&line);
        self.state = State::Ehlo;
    }

    fn name(&self) -> String {
        let name: String = self.settings.ehlo.chars().filter(char::is_ascii_graphic).take(255).collect();
        if name.is_empty() { "localhost".to_owned() } else { name }
    }

    pub(super) fn ehlo_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        // HELO is no help to those who need TLS or a log-in (RFC 5321 section 3.2).
        let can_do_without = self.secured && self.settings.login.is_none();
        match reply.class() {
            Class::Positive => {
                self.extensions = Extensions::parse(&reply);
                if self.secured { self.log_in() } else { self.start_tls() }
            }
            Class::Permanent if can_do_without => {
                let line = format!("HELO {}", self.name());
                self.send(&line);
                self.state = State::Helo;
                None
            }
            Class::Permanent | Class::Transient | Class::Intermediate => Some(self.fail(FailureKind::Refused(reply))),
        }
    }

    pub(super) fn helo_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        if !reply.is_positive() {
            return Some(self.fail(FailureKind::Refused(reply)));
        }
        self.state = State::Idle;
        Some(ClientEvent::Ready)
    }

    fn start_tls(&mut self) -> Option<ClientEvent> {
        if !self.extensions.starttls {
            return Some(self.fail(FailureKind::NoTls));
        }
        self.send("STARTTLS");
        self.state = State::StartTls;
        None
    }

    pub(super) fn starttls_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        if !reply.is_positive() {
            return Some(self.fail(FailureKind::Refused(reply)));
        }
        if !self.input.is_empty() {
            // Whoever can write here before TLS could put words into the server's mouth after it.
            let why = "plaintext arrived behind the reply to STARTTLS".to_owned();
            return Some(self.fail(FailureKind::Protocol(why)));
        }
        self.state = State::Handshake;
        Some(ClientEvent::StartTls)
    }

    fn log_in(&mut self) -> Option<ClientEvent> {
        let Some(login) = &self.settings.login else {
            self.state = State::Idle;
            return Some(ClientEvent::Ready);
        };
        let Some(&mechanism) = login.mechanisms.iter().find(|&&m| self.extensions.offers(m)) else {
            return Some(self.fail(FailureKind::NoMechanism));
        };
        let blob = match mechanism {
            Mechanism::Login => {
                self.send("AUTH LOGIN");
                self.state = State::Auth(Dialogue::Password { mechanism, rounds: 0 });
                return None;
            }
            Mechanism::Plain => sasl::plain_response(&login.user, &login.secret),
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => self.token_response(mechanism)?,
        };
        // With the initial response: one round trip less, and some servers know no other way.
        let line = format!("AUTH {mechanism} {blob}");
        let length = line.len() + 2;
        if mechanism.takes_token() && length > AUTH_CAP {
            return self.ask_to_be_asked(mechanism);
        }
        self.transcript.client(format!("AUTH {mechanism} [redacted]").as_bytes());
        self.send_unseen(&line);
        self.sent_credentials = true;
        self.state = State::Auth(match mechanism.takes_token() {
            true => Dialogue::Token { mechanism, step: TokenStep::Initial(length) },
            false => Dialogue::Password { mechanism, rounds: 0 },
        });
        None
    }

    fn token_response(&self, mechanism: Mechanism) -> Option<String> {
        let login = self.settings.login.as_ref()?;
        let server = login.server.as_ref().map(|(host, port)| (host.as_str(), *port));
        Some(sasl::token_response(mechanism, &login.user, &login.secret, server))
    }

    /// The form in two steps, for a token that makes the AUTH line too long.
    fn ask_to_be_asked(&mut self, mechanism: Mechanism) -> Option<ClientEvent> {
        self.send(&format!("AUTH {mechanism}"));
        self.state = State::Auth(Dialogue::Token { mechanism, step: TokenStep::Asked });
        None
    }

    pub(super) fn auth_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        let State::Auth(dialogue) = &self.state else { return None };
        let (mechanism, rounds) = match dialogue.clone() {
            Dialogue::Password { mechanism, rounds } => (mechanism, rounds),
            Dialogue::Token { mechanism, step } => return self.token_answered(mechanism, step, reply),
        };
        match reply.class() {
            Class::Positive => {
                self.state = State::Idle;
                return Some(ClientEvent::Ready);
            }
            // One attempt a connection: providers count them, and hang up on the second.
            Class::Transient | Class::Permanent => return Some(self.fail(FailureKind::Refused(reply))),
            Class::Intermediate => {}
        }
        let login = self.settings.login.as_ref()?;
        // What the challenge says is not looked at: servers write all kinds of things into it.
        let response = match (mechanism, rounds) {
            (Mechanism::Login, 0) => sasl::login_user(&login.user),
            (Mechanism::Login, 1) => sasl::login_password(&login.secret),
            // A server that did not read the initial response.
            (Mechanism::Plain, 0) => sasl::plain_response(&login.user, &login.secret),
            // A challenge that neither mechanism has: `*` makes the server say what is wrong (RFC 4954 section 4).
            (_, 0..ROUNDS) => "*".to_owned(),
            (_, ROUNDS..) => return Some(self.endless()),
        };
        self.sent_credentials |= mechanism == Mechanism::Plain || rounds > 0;
        self.transcript.client(b"[redacted]");
        self.send_unseen(&response);
        self.state = State::Auth(Dialogue::Password { mechanism, rounds: rounds + 1 });
        None
    }

    fn endless(&mut self) -> ClientEvent {
        self.fail(FailureKind::Protocol("the server does not stop asking".to_owned()))
    }

    /// A token is refused in one of two forms: at once, or with a reason in a 334 that must be answered before the refusal
    /// comes (RFC 7628 section 3.2.3; XOAUTH2 wants an empty answer).
    fn token_answered(&mut self, mechanism: Mechanism, step: TokenStep, reply: Reply) -> Option<ClientEvent> {
        match (reply.class(), step) {
            (Class::Positive, _) => {
                self.state = State::Idle;
                Some(ClientEvent::Ready)
            }
            // The line was too long for the server: it has not read the token, so this is no second log-in.
            (Class::Permanent, TokenStep::Initial(length)) if reply.code() == 500 && length > SHORT_LINE => {
                self.ask_to_be_asked(mechanism)
            }
            (Class::Transient | Class::Permanent, TokenStep::Refused(reason)) => {
                Some(self.fail(FailureKind::Refused(with_reason(&reply, &reason))))
            }
            (Class::Transient | Class::Permanent, _) => Some(self.fail(FailureKind::Refused(reply))),
            (Class::Intermediate, TokenStep::Refused(_)) => Some(self.endless()),
            (Class::Intermediate, TokenStep::Initial(_) | TokenStep::Asked) if reply.text().trim_ascii().is_empty() => {
                self.send_token(mechanism)
            }
            // Whatever a server writes into its first challenge, nothing was refused yet.
            (Class::Intermediate, TokenStep::Asked) => self.send_token(mechanism),
            (Class::Intermediate, TokenStep::Initial(_) | TokenStep::Answered) => {
                let reason = reason_of(&reply);
                self.send(if mechanism == Mechanism::OAuthBearer { "AQ==" } else { "" });
                self.state = State::Auth(Dialogue::Token { mechanism, step: TokenStep::Refused(reason) });
                None
            }
        }
    }

    fn send_token(&mut self, mechanism: Mechanism) -> Option<ClientEvent> {
        let blob = self.token_response(mechanism)?;
        self.sent_credentials = true;
        self.transcript.client(b"[redacted]");
        self.send_unseen(&blob);
        self.state = State::Auth(Dialogue::Token { mechanism, step: TokenStep::Answered });
        None
    }
}

/// What a 334 gives as its reason: JSON in base64, in printable ASCII.
fn reason_of(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(reply.text()).into_owned();
    let reason = sasl::decode(&text).unwrap_or_else(|_| text.into_bytes());
    let printable = |octet: &u8| matches!(octet, b' '..=b'~');
    reason.into_iter().filter(printable).take(REASON).map(char::from).collect()
}

/// The refusal with the reason that came before it, as one reply.
fn with_reason(reply: &Reply, reason: &str) -> Reply {
    let words = String::from_utf8_lossy(reply.text());
    Reply::new(reply.code(), &format!("{words} {reason}"))
}
