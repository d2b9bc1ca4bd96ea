//! EHLO, HELO (RFC 5321 section 4.1.1.1) and STARTTLS (RFC 3207): the commands that begin anew.

use bytes::BytesMut;

use super::state::State;
use super::{Event, Note, Session};

impl Session {
    /// Never refused, welcome at any time, and keeps a log-in: clients repeat it (section 4.1.4).
    pub(super) fn hello(&mut self, extended: bool, name: String) -> Option<Event> {
        self.helo = Some(name);
        self.extended = extended;
        self.trust_again();
        if extended {
            self.settings.voice.ehlo(&self.settings, self.tls, &mut self.output);
        } else {
            self.say(|voice| &voice.helo);
        }
        self.count_junk();
        self.forget_transaction()
    }

    pub(super) fn starttls(&mut self, input: &mut BytesMut) -> Option<Event> {
        if !self.settings.starttls {
            // Never a positive reply: some clients start the handshake on any.
            self.fail(|voice| &voice.not_implemented);
        } else if self.tls {
            self.fail(|voice| &voice.sequence);
        } else if self.helo.is_none() {
            self.fail(|voice| &voice.hello_first);
        } else {
            self.trust_again();
            self.say(|voice| &voice.starttls_go);
            // What stands behind STARTTLS was not protected, and somebody else may have put it there (section 4.2).
            if !input.is_empty() {
                self.note(Note::PlaintextDropped);
                input.clear();
            }
            self.lines.reset();
            self.state = State::Handshake;
            return Some(Event::StartTls);
        }
        None
    }
}
