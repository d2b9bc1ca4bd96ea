//! MAIL and RCPT (RFC 5321 sections 4.1.1.2 and 4.1.1.3).

use super::state::State;
use super::{Event, Note, Session};
use crate::mail::{Address, ReversePath};
use crate::smtp::command::MailParameters;

/// So many recipients beyond the limit are not held against the client (RFC 5321 section 4.5.3.1.10).
const OVERFLOW: usize = 1000;

impl Session {
    pub(super) fn mail(&mut self, from: ReversePath, parameters: MailParameters) -> Option<Event> {
        if !matches!(self.state, State::Idle) {
            self.fail(|voice| &voice.sequence);
        } else if self.helo.is_none() && self.is_strict() {
            self.fail(|voice| &voice.hello_first);
        } else if self.settings.auth_required && self.user.is_none() {
            self.fail(|voice| &voice.auth_required);
        } else if self.counters.messages >= self.settings.max_messages {
            self.close_with(|voice| &voice.too_many_messages);
        } else if parameters.size.is_some_and(|size| size > self.settings.max_message) {
            // RFC 1870 section 6.1: no need to wait for the message.
            self.fail(|voice| &voice.too_large);
        } else if !self.known_parameters(parameters.unknown) {
            self.fail(|voice| &voice.bad_parameter);
        } else {
            self.trust_again();
            self.state = State::AskedMail;
            return Some(Event::Mail { from, size: parameters.size, eight_bit: parameters.eight_bit });
        }
        None
    }

    pub(super) fn rcpt(&mut self, to: Address, unknown_parameter: bool) -> Option<Event> {
        let State::Envelope(envelope) = &mut self.state else {
            self.fail(|voice| &voice.sequence);
            return None;
        };
        if envelope.accepted >= self.settings.max_recipients {
            envelope.overflow += 1;
            match envelope.overflow > OVERFLOW {
                true => self.fail(|voice| &voice.too_many_recipients),
                false => self.say(|voice| &voice.too_many_recipients),
            }
            return None;
        }
        if !self.known_parameters(unknown_parameter) {
            self.fail(|voice| &voice.bad_parameter);
            return None;
        }
        if let State::Envelope(envelope) = std::mem::replace(&mut self.state, State::Idle) {
            self.state = State::AskedRcpt(envelope);
        }
        Some(Event::Rcpt(to))
    }

    /// Whether the parameters will do: unknown ones only if we are not strict (RFC 5321 section 4.1.1.11).
    fn known_parameters(&mut self, unknown: bool) -> bool {
        if unknown && !self.is_strict() {
            self.note(Note::UnknownParameter);
        }
        !(unknown && self.is_strict())
    }
}
