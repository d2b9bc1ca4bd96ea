//! From the greeting to the log-in (RFC 5321 section 3.1 and 3.2, RFC 3207, RFC 4954).

use super::{ClientEvent, ClientSession, FailureKind, State};
use crate::smtp::extension::Extensions;
use crate::smtp::reply::{Class, Reply};
use crate::smtp::sasl::{self, Mechanism};

/// So many challenges are answered.
const ROUNDS: u8 = 5;

/// A log-in dialogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialogue {
    mechanism: Mechanism,
    rounds: u8,
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
        match mechanism {
            Mechanism::Login => self.send("AUTH LOGIN"),
            Mechanism::Plain => {
                // With the initial response: one round trip less, and some servers know no other way.
                let line = format!("AUTH PLAIN {}", sasl::plain_response(&login.user, &login.secret));
                self.transcript.client(b"AUTH PLAIN [redacted]");
                self.send_unseen(&line);
                self.sent_credentials = true;
            }
        }
        self.state = State::Auth(Dialogue { mechanism, rounds: 0 });
        None
    }

    pub(super) fn auth_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        let State::Auth(Dialogue { mechanism, rounds }) = self.state else { return None };
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
            (Mechanism::Login | Mechanism::Plain, 0..ROUNDS) => "*".to_owned(),
            (Mechanism::Login | Mechanism::Plain, ROUNDS..) => {
                return Some(self.fail(FailureKind::Protocol("the server does not stop asking".to_owned())));
            }
        };
        self.sent_credentials |= mechanism == Mechanism::Plain || rounds > 0;
        self.transcript.client(b"[redacted]");
        self.send_unseen(&response);
        self.state = State::Auth(Dialogue { mechanism, rounds: rounds + 1 });
        None
    }
}
