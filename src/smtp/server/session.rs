//! The machine that reads the client's octets, and its interface for the driver. What a command does is in `commands`.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use super::body::{BodyStep, MessageBody};
use super::envelope::Envelope;
use super::event::{Note, Reason, RefusalCause, SessionEvent, SessionPhase, Unfinished};
use super::responder::{Loss, Responder};
use super::settings::SessionSettings;
use super::state::{Guard, State};
use crate::smtp::line::{AUTH_CAP, COMMAND_CAP, Line, LineSplitter};
use crate::smtp::reply::{Class, Reply};

/// One connection, as the server sees it.
#[derive(Debug)]
pub struct Session {
    pub(super) responder: Responder,
    pub(super) lines: LineSplitter,
    pub(super) state: State,
    pub(super) guard: Guard,
    pub(super) helo: Option<String>,
    pub(super) extended: bool,
    pub(super) user: Option<String>,
    pub(super) tls: bool,
    /// The client has said QUIT: nothing more will come from it.
    pub(super) quit: bool,
    /// The client speaks TLS in a place for plaintext.
    tls_hello: bool,
    /// A log-in dialogue has just ended, or was broken off: the next line may hold a piece of a secret.
    pub(super) login_debris: bool,
    /// MAIL was refused: that RCPT and DATA are refused behind it is the same loss.
    pub(super) mail_refused: bool,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(settings: Arc<SessionSettings>) -> Session {
        Session {
            responder: Responder::new(settings),
            lines: LineSplitter::new(),
            state: State::Idle,
            guard: Guard::None,
            helo: None,
            extended: false,
            user: None,
            tls: false,
            quit: false,
            tls_hello: false,
            login_debris: false,
            mail_refused: false,
        }
    }

    /// Says 220 (RFC 5321 section 3.1).
    pub fn greet(&mut self) {
        self.responder.say(|replies| &replies.greeting);
    }

    /// Says `reply` instead of a greeting; the next step closes.
    pub fn refuse(&mut self, reply: Reply) {
        self.answer_and_close(reply);
    }

    /// Consumes `input` until the driver is needed. Call it again after each event but [`SessionEvent::More`] and
    /// [`SessionEvent::Close`], with the same input.
    pub fn step(&mut self, input: &mut BytesMut) -> SessionEvent {
        loop {
            if let Some(refused) = self.responder.refused.take() {
                return SessionEvent::Refused(refused);
            }
            if self.responder.closing {
                input.clear();
                return self.cut_off().unwrap_or(SessionEvent::Close);
            }
            let event = match &mut self.state {
                State::AskedMail
                | State::AskedRcpt(_)
                | State::AskedData { .. }
                | State::AskedEnd
                | State::AskedLogin { .. } => Some(SessionEvent::More),
                State::Handshake => {
                    input.clear();
                    Some(SessionEvent::More)
                }
                State::Body(body) => match body.next(input, &mut self.responder) {
                    BodyStep::Event(event) => Some(event),
                    BodyStep::Skipped => None,
                    BodyStep::End => self.end(),
                },
                State::Skip { left } => {
                    let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    input.advance(taken);
                    *left -= taken as u64;
                    if *left > 0 {
                        return SessionEvent::More;
                    }
                    self.state = State::Idle;
                    let loss = Loss::of(RefusalCause::Bdat).note(Note::Bdat);
                    self.refuse_mail(loss, |replies| &replies.not_implemented)
                }
                State::Idle | State::Envelope(_) | State::Login(_) => self.line(input),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// The message is complete.
    fn end(&mut self) -> Option<SessionEvent> {
        let State::Body(body) = std::mem::replace(&mut self.state, State::Idle) else { return None };
        self.guard = if body.ended_bare() { Guard::AfterBareEnd } else { Guard::AfterEnd };
        if body.discarded {
            let loss = Loss::of(RefusalCause::MessageSize).size(body.size);
            return self.refuse_mail(loss, |replies| &replies.too_large);
        }
        if body.has_bare_newline() {
            let loss = Loss::of(RefusalCause::BareNewline).size(body.size);
            self.responder.fail_mail(loss, |replies| &replies.bare_newline);
            return Some(SessionEvent::Discarded(Reason::BareNewline));
        }
        self.state = State::AskedEnd;
        Some(SessionEvent::End)
    }

    /// What is lost because the client has made too many errors; a note where no mail was under way.
    fn cut_off(&mut self) -> Option<SessionEvent> {
        if !std::mem::take(&mut self.responder.gave_up) {
            return None;
        }
        // A refused DATA was reported as the loss of its mail.
        if !self.in_transaction() || self.guard == Guard::RefusedData {
            self.responder.note(Note::TooManyErrors);
            return None;
        }
        let reply = self.responder.settings.replies.too_many_errors.clone();
        Some(SessionEvent::Refused(Loss::of(RefusalCause::TooManyErrors).note(Note::TooManyErrors).with(reply)))
    }

    /// Takes one line. `None`: go on.
    fn line(&mut self, input: &mut BytesMut) -> Option<SessionEvent> {
        let in_login = matches!(self.state, State::Login(_));
        if !in_login && self.lines.at_start() && self.close_to_tls(begins_tls(input) == Some(true)) {
            return None;
        }
        let strict = self.is_strict();
        match self.lines.next(input, if in_login { AUTH_CAP } else { COMMAND_CAP }) {
            Line::Partial => Some(SessionEvent::More),
            Line::Flood => {
                self.responder.close_mail(Loss::of(RefusalCause::LineTooLong), |replies| &replies.stranger);
                None
            }
            Line::TooLong => {
                if in_login {
                    self.state = State::Idle;
                }
                self.refuse_mail(Loss::of(RefusalCause::LineTooLong), |replies| &replies.line_too_long)
            }
            Line::Whole { bare_lf: true, .. } if strict => {
                self.refuse_mail(Loss::of(RefusalCause::BareNewline), |replies| &replies.unknown)
            }
            Line::Whole { mut text, bare_lf } => {
                // Text-mode output on Windows makes CR CR LF of CR LF. It is still one line.
                while !strict && text.last() == Some(&b'\r') {
                    text.truncate(text.len() - 1);
                }
                match std::mem::replace(&mut self.state, State::Idle) {
                    State::Login(exchange) => self.take_response(exchange, &text),
                    state => {
                        self.state = state;
                        self.command(&text, bare_lf, input)
                    }
                }
            }
        }
    }

    /// These octets came before the greeting, and the profile does not put up with it: instead of the greeting comes a
    /// refusal (RFC 5321 section 3.1), to TLS not even that, and the next step closes.
    pub fn spoken_too_early(&mut self, octets: &[u8]) {
        if !self.close_to_tls(begins_tls(octets) != Some(false)) {
            let loss = Loss::of(RefusalCause::EarlyTalker).note(Note::EarlyTalker);
            self.responder.close_mail(loss, |replies| &replies.early);
        }
    }

    /// Closes without a word when the client begins TLS. Devices that try TLS on any port fall back to plaintext if the
    /// connection just closes, and not if they are answered.
    fn close_to_tls(&mut self, tls: bool) -> bool {
        self.tls_hello = tls;
        if tls {
            self.responder.note(Note::TlsHello);
            self.responder.closing = true;
        }
        tls
    }

    /// The driver's answer to the event that asked; nothing happens if none did. 2yz (for DATA 3yz) accepts.
    pub fn answer(&mut self, reply: Reply) {
        let accepted = matches!(reply.class(), Class::Positive | Class::Intermediate);
        if self.responder.closing {
            return;
        }
        if matches!(self.state, State::AskedMail) {
            self.mail_refused = !accepted;
        }
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::AskedMail if accepted => State::Envelope(Envelope::default()),
            State::AskedRcpt(mut envelope) => {
                envelope.accepted += usize::from(accepted);
                State::Envelope(envelope)
            }
            State::AskedData { bare_lf } if accepted => {
                State::Body(MessageBody::new(self.responder.settings.profile, bare_lf))
            }
            State::AskedData { .. } => {
                self.guard = Guard::RefusedData;
                State::Idle
            }
            State::AskedEnd if accepted => {
                self.responder.counters.delivered();
                State::Idle
            }
            State::AskedLogin { user } => {
                match accepted {
                    true => self.user = Some(user),
                    false => self.responder.counters.failed_logins += 1,
                }
                State::Idle
            }
            State::AskedMail | State::AskedEnd => State::Idle,
            not_asked @ (State::Idle
            | State::Envelope(_)
            | State::Body(_)
            | State::Login(_)
            | State::Handshake
            | State::Skip { .. }) => {
                self.state = not_asked;
                return;
            }
        };
        self.responder.pass_on(&reply);
    }

    /// Says `reply` (a 421, as a rule) whatever the state is; the next step closes. If a message was coming or a
    /// transaction was open, it is gone.
    pub fn answer_and_close(&mut self, reply: Reply) {
        reply.write(&mut self.responder.output);
        self.responder.closing = true;
    }

    /// The client has closed its side. Step through the buffered input first: only a message that is not complete is
    /// lost by it (RFC 5321 section 4.1.1.10). After [`SessionEvent::Discarded`] comes [`SessionEvent::Close`].
    pub fn eof(&mut self) -> SessionEvent {
        let cut = matches!(&self.state, State::Body(body) if !body.discarded) && !self.responder.closing;
        self.responder.closing = true;
        if cut { SessionEvent::Discarded(Reason::Eof) } else { SessionEvent::Close }
    }

    /// The handshake is done. Everything that was said before is forgotten (RFC 3207 section 4.2). On a port with
    /// implicit TLS, call it before [`Session::greet`].
    pub fn tls_started(&mut self) {
        self.tls = true;
        (self.helo, self.extended, self.user, self.mail_refused) = (None, false, None, false);
        self.guard = Guard::None;
        self.state = State::Idle;
        self.responder.closing = false;
        self.lines.reset();
    }

    /// Replies that wait to be written. Write all of it, in one piece where possible, when a step returned
    /// [`SessionEvent::More`], [`SessionEvent::StartTls`] or [`SessionEvent::Close`], and before anything slow.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.responder.output
    }

    /// How the client calls itself: printable ASCII, at most 255 octets, `unknown` if it did not say.
    pub fn helo(&self) -> &str {
        self.helo.as_deref().unwrap_or("unknown")
    }

    /// Whether it said EHLO.
    pub fn is_esmtp(&self) -> bool {
        self.extended
    }

    /// As whom it has logged in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the session ended with QUIT, so that the client has nothing left to send.
    pub fn has_quit(&self) -> bool {
        self.quit
    }

    /// Whether the session ended because TLS came in plaintext: some devices try that first and then do without.
    pub fn spoke_tls(&self) -> bool {
        self.tls_hello
    }

    /// Whether nothing is put up with; then octets before the greeting go to [`Session::spoken_too_early`].
    pub fn is_strict(&self) -> bool {
        self.responder.is_strict()
    }

    /// Takes the facts that are worth a log line, at most 16 since the last call.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.responder.notes)
    }

    /// Takes how many commands were refused for good since the last call: bad ones, and those that the driver has
    /// answered with 5yz.
    pub fn failures(&mut self) -> u32 {
        std::mem::take(&mut self.responder.failures)
    }

    /// Where the dialogue stands, for deadlines.
    pub fn phase(&self) -> SessionPhase {
        match self.state {
            _ if self.responder.closing => SessionPhase::Command,
            State::AskedData { .. } | State::Body(_) | State::AskedEnd => SessionPhase::Data,
            State::Login(_) | State::AskedLogin { .. } => SessionPhase::Auth,
            State::Idle
            | State::AskedMail
            | State::Envelope(_)
            | State::AskedRcpt(_)
            | State::Handshake
            | State::Skip { .. } => SessionPhase::Command,
        }
    }

    /// The message that was coming when the connection ended, if its end has not come.
    pub fn unfinished(&self) -> Option<Unfinished> {
        match &self.state {
            State::Body(body) => Some(Unfinished { size: body.size, too_large: body.discarded }),
            State::Idle
            | State::AskedMail
            | State::Envelope(_)
            | State::AskedRcpt(_)
            | State::AskedData { .. }
            | State::AskedEnd
            | State::Login(_)
            | State::AskedLogin { .. }
            | State::Handshake
            | State::Skip { .. } => None,
        }
    }

    /// Whether a sender was accepted whose message is not complete. The octets of a BDAT count as its message.
    pub fn in_transaction(&self) -> bool {
        match self.state {
            State::Envelope(_)
            | State::AskedRcpt(_)
            | State::AskedData { .. }
            | State::Body(_)
            | State::AskedEnd
            | State::Skip { .. } => true,
            State::Idle | State::AskedMail | State::Login(_) | State::AskedLogin { .. } | State::Handshake => false,
        }
    }

    /// Leaves a transaction; the event notifies the driver, if there was one.
    pub(super) fn forget_transaction(&mut self) -> Option<SessionEvent> {
        if self.responder.closing {
            return None;
        }
        let before = std::mem::replace(&mut self.state, State::Idle);
        matches!(before, State::Envelope(_)).then_some(SessionEvent::Reset)
    }
}

/// Whether this is the start of TLS; `None` when it may become one.
///
/// 0x80 is the first octet of an SSLv2 record, and of text in a few charsets. A hello is of type 1, behind two octets
/// of length (RFC 5246 section E.2).
fn begins_tls(octets: &[u8]) -> Option<bool> {
    match *octets {
        [0x16, ..] => Some(true),
        [0x80] => None,
        [0x80, b'\n', ..] => Some(false),
        [0x80, _] => None,
        [0x80, _, kind, ..] => Some(kind == 1),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::begins_tls;

    #[test]
    fn only_a_hello_begins_tls() {
        for (octets, expected) in [
            (&b"\x16"[..], Some(true)),
            (b"\x80\x2e\x01", Some(true)),
            (b"\x80", None),
            (b"\x80\x2e", None),
            (b"\x80\n", Some(false)),
            (b"\x80\n\x01", Some(false)),
            (b"\x80\r\n", Some(false)),
            (b"\x80uro", Some(false)),
            (b"EHLO", Some(false)),
            (b"", Some(false)),
        ] {
            assert_eq!(begins_tls(octets), expected, "{}", octets.escape_ascii());
        }
    }
}
