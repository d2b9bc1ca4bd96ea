//! DATA and the message behind it (RFC 5321 section 4.1.1.4), and BDAT, which we never offer (RFC 3030).

use bytes::{Buf, BytesMut};

use super::state::{Body, Envelope, Guard, State};
use super::{Event, Note, Profile, Reason, Session};
use crate::smtp::data::Piece;

/// A message over the limit is read on, to say 552 where the client listens, but not for ever: up to twice the limit and
/// this many octets.
const PATIENCE: u64 = 1 << 20;

impl Session {
    pub(super) fn data(&mut self, bare_lf: bool, input: &mut BytesMut) -> Option<Event> {
        match &self.state {
            State::Envelope(Envelope { accepted: 0, .. }) => {
                self.guard = Guard::RefusedData;
                self.fail(|voice| &voice.no_recipients);
            }
            State::Envelope(_) if self.is_strict() && !input.is_empty() => {
                // RFC 2920 section 3.1: DATA must be the last of a group.
                self.close_with(|voice| &voice.early);
            }
            State::Envelope(_) => {
                self.state = State::AskedData { bare_lf };
                return Some(Event::Data);
            }
            State::Idle
            | State::AskedMail
            | State::AskedRcpt(_)
            | State::AskedData { .. }
            | State::Body(_)
            | State::AskedEnd
            | State::Login(_)
            | State::AskedLogin { .. }
            | State::Handshake
            | State::Skip { .. }
            | State::Closing => {
                self.guard = Guard::RefusedData;
                self.fail(|voice| &voice.sequence);
            }
        }
        None
    }

    pub(super) fn body(&mut self, input: &mut BytesMut) -> Option<Event> {
        let (limit, strict) = (self.settings.max_message, self.is_strict());
        let State::Body(body) = &mut self.state else { return None };
        let had_lf_lines = body.unstuff.has_lf_lines();
        let chunk = match body.unstuff.next(input) {
            Piece::More => return Some(Event::More),
            Piece::End => return self.end(),
            Piece::Text(chunk) => chunk,
        };
        body.size += chunk.len() as u64;
        if strict {
            body.look_for_bare(&chunk);
        }
        let (size, discarded) = (body.size, body.discarded);
        let lf_lines = !had_lf_lines && body.unstuff.has_lf_lines();
        body.discarded |= size > limit;
        if lf_lines && self.settings.profile != Profile::Legacy {
            self.note(Note::BareLf);
        }
        match discarded {
            true => {
                if size > limit.saturating_mul(2).saturating_add(PATIENCE) {
                    self.close_with(|voice| &voice.too_large);
                }
                None
            }
            false if size > limit => Some(Event::Discarded(Reason::TooLarge)),
            false => Some(Event::Chunk(chunk)),
        }
    }

    fn end(&mut self) -> Option<Event> {
        let State::Body(body) = std::mem::replace(&mut self.state, State::Idle) else { return None };
        self.guard = if body.unstuff.ended_bare() { Guard::AfterBareEnd } else { Guard::AfterEnd };
        if body.discarded {
            self.fail(|voice| &voice.too_large);
            return None;
        }
        if body.bare || body.cr {
            self.fail(|voice| &voice.bare_newline);
            return Some(Event::Discarded(Reason::BareNewline));
        }
        self.state = State::AskedEnd;
        Some(Event::End)
    }

    /// Reads over the octets, so that we stay in step, and only then refuses. A transaction ends by it: a message may
    /// not come half in BDAT and half in DATA (RFC 3030 section 2).
    pub(super) fn bdat(&mut self, size: u64) -> Option<Event> {
        self.note(Note::Bdat);
        if size > self.settings.max_message {
            self.close_with(|voice| &voice.not_implemented);
            return None;
        }
        let event = self.forget_transaction();
        self.state = State::Skip { left: size };
        event
    }

    pub(super) fn skip(&mut self, input: &mut BytesMut) -> Option<Event> {
        let State::Skip { left } = &mut self.state else { return None };
        let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        input.advance(taken);
        *left -= taken as u64;
        if *left > 0 {
            return Some(Event::More);
        }
        self.state = State::Idle;
        self.fail(|voice| &voice.not_implemented);
        None
    }
}

impl Body {
    /// Looks for a CR or LF that is not part of a CRLF.
    fn look_for_bare(&mut self, chunk: &[u8]) {
        for &octet in chunk {
            self.bare |= (octet == b'\n') != self.cr;
            self.cr = octet == b'\r';
        }
    }
}
