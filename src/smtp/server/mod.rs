//! The receiving side of SMTP as a pure machine: client bytes in, [`Event`]s and reply bytes out (RFC 5321, with 1870,
//! 2920, 3207, 4954 and 6152).
//!
//! ```text
//!                    EHLO HELO RSET: from every state but Login, Body and Asked*, to Idle
//!
//!          MAIL                  2yz                 RCPT
//!   Idle --------> AskedMail ---------> Envelope <----------> AskedRcpt
//!    ^ ^               |                   | DATA, with a recipient
//!    | +---------------+                   v
//!    |        else                     AskedData ---- else ----> Idle, guarded
//!    |                                     | 3yz
//!    |   answer              CRLF.CRLF     v
//!    +----------- AskedEnd <------------ Body
//!    |
//!    |  AUTH          response              answer
//!    +--------> Login ---------> AskedLogin --------> Idle
//!    |  STARTTLS      tls_started                                  QUIT, 421, end of input:
//!    +--------> Handshake ---------> Idle, all forgotten            from everywhere to Closing
//! ```
//!
//! What it is not: it knows no socket, clock, queue or policy. It asks the driver about each sender, recipient, message
//! and log-in; what is wrong by the protocol it refuses by itself, in the words of its [`Voice`].
//!
//! Invariants:
//! * While an answer is due, no input is consumed; replies leave in the order of the commands, each in one piece.
//! * A message ends at CRLF.CRLF only ([`super::data`] has the one exception). What follows a refused DATA, or an end
//!   that the client did not mean, is never run once it looks like text.
//! * What came in plaintext behind STARTTLS is gone before the handshake (RFC 3207 section 4.2).
//! * Memory is bounded: 64 KiB of a line, 16 notes, and the output of one step.

mod auth;
mod content;
mod dispatch;
mod envelope;
mod event;
mod hello;
mod settings;
mod state;
mod voice;

use std::sync::Arc;

use bytes::BytesMut;

use super::data::Unstuff;
use super::line::LineSplitter;
use super::reply::{Class, Reply};
use state::{Body, Counters, Envelope, Guard, State};

pub use event::{Event, Note, Phase, Reason};
pub use settings::{AuthMode, Profile, Settings};
pub use voice::Voice;

/// So many notes are kept until the driver asks; more are dropped.
const NOTES: usize = 16;

/// One connection, as the server sees it.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    output: BytesMut,
    lines: LineSplitter,
    state: State,
    guard: Guard,
    counters: Counters,
    helo: Option<String>,
    extended: bool,
    user: Option<String>,
    tls: bool,
    /// The client has said QUIT: nothing more will come from it.
    quit: bool,
    /// The client speaks TLS in a place for plaintext.
    tls_hello: bool,
    /// A log-in dialogue has just ended, or was broken off: the next line may hold a piece of a secret.
    login_debris: bool,
    notes: Vec<Note>,
    /// Refusals for good since the driver has asked.
    failures: u32,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(settings: Arc<Settings>) -> Session {
        Session {
            settings,
            output: BytesMut::new(),
            lines: LineSplitter::new(),
            state: State::Idle,
            guard: Guard::None,
            counters: Counters::default(),
            helo: None,
            extended: false,
            user: None,
            tls: false,
            quit: false,
            tls_hello: false,
            login_debris: false,
            notes: Vec::new(),
            failures: 0,
        }
    }

    /// Says 220 (RFC 5321 section 3.1).
    pub fn greet(&mut self) {
        self.say(|voice| &voice.greeting);
    }

    /// Says `reply` instead of a greeting; the next step closes.
    pub fn refuse(&mut self, reply: Reply) {
        self.answer_and_close(reply);
    }

    /// Consumes `input` until the driver is needed. Call it again after each event but [`Event::More`] and
    /// [`Event::Close`], with the same input.
    pub fn step(&mut self, input: &mut BytesMut) -> Event {
        loop {
            let event = match self.state {
                State::AskedMail
                | State::AskedRcpt(_)
                | State::AskedData { .. }
                | State::AskedEnd
                | State::AskedLogin { .. } => Some(Event::More),
                State::Handshake => {
                    input.clear();
                    Some(Event::More)
                }
                State::Closing => {
                    input.clear();
                    Some(Event::Close)
                }
                State::Body(_) => self.body(input),
                State::Skip { .. } => self.skip(input),
                State::Idle | State::Envelope(_) | State::Login(_) => self.line(input),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// The driver's answer to the event that asked; nothing happens if none did. 2yz (for DATA 3yz) accepts.
    pub fn answer(&mut self, reply: Reply) {
        let accepted = matches!(reply.class(), Class::Positive | Class::Intermediate);
        let idle = State::Idle;
        self.state = match std::mem::replace(&mut self.state, idle) {
            State::AskedMail if accepted => State::Envelope(Envelope { accepted: 0, overflow: 0 }),
            State::AskedRcpt(Envelope { accepted: n, overflow }) => {
                State::Envelope(Envelope { accepted: n + usize::from(accepted), overflow })
            }
            State::AskedData { bare_lf } if accepted => State::Body(Body::new(self.unstuff(bare_lf))),
            State::AskedData { .. } => {
                self.guard = Guard::RefusedData;
                State::Idle
            }
            State::AskedEnd => {
                if accepted {
                    let Counters { messages, failed_logins, .. } = self.counters;
                    // Whoever may send could guess for ever, if a message made up for three guesses.
                    self.counters = Counters { messages: messages + 1, failed_logins, ..Counters::default() };
                }
                State::Idle
            }
            State::AskedLogin { user } => {
                match accepted {
                    true => self.user = Some(user),
                    false => self.counters.failed_logins += 1,
                }
                State::Idle
            }
            State::AskedMail => State::Idle,
            not_asked @ (State::Idle
            | State::Envelope(_)
            | State::Body(_)
            | State::Login(_)
            | State::Handshake
            | State::Skip { .. }
            | State::Closing) => {
                self.state = not_asked;
                return;
            }
        };
        reply.write(&mut self.output);
        if reply.class() == Class::Permanent {
            self.count_error();
        }
    }

    /// Says `reply` (a 421, as a rule) whatever the state is; the next step closes. If a message was coming or a
    /// transaction was open, it is gone.
    pub fn answer_and_close(&mut self, reply: Reply) {
        reply.write(&mut self.output);
        self.state = State::Closing;
    }

    /// The client has closed its side. Step through the buffered input first: only a message that is not complete is
    /// lost by it (RFC 5321 section 4.1.1.10). After [`Event::Discarded`] comes [`Event::Close`].
    pub fn eof(&mut self) -> Event {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Body(body) if !body.discarded => Event::Discarded(Reason::Eof),
            State::Body(_)
            | State::Idle
            | State::AskedMail
            | State::Envelope(_)
            | State::AskedRcpt(_)
            | State::AskedData { .. }
            | State::AskedEnd
            | State::Login(_)
            | State::AskedLogin { .. }
            | State::Handshake
            | State::Skip { .. }
            | State::Closing => Event::Close,
        }
    }

    /// The handshake is done. Everything that was said before is forgotten (RFC 3207 section 4.2). On a port with
    /// implicit TLS, call it before [`Session::greet`].
    pub fn tls_started(&mut self) {
        self.tls = true;
        (self.helo, self.extended, self.user) = (None, false, None);
        self.guard = Guard::None;
        self.state = State::Idle;
        self.lines.reset();
    }

    /// Replies that wait to be written. Write all of it, in one piece where possible, when a step returned
    /// [`Event::More`], [`Event::StartTls`] or [`Event::Close`], and before anything slow.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
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
        self.settings.profile == Profile::Strict
    }

    /// Takes the facts that are worth a log line, at most 16 since the last call.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes how many commands were refused for good since the last call: bad ones, and those that the driver has
    /// answered with 5yz.
    pub fn failures(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// Where the dialogue stands, for deadlines.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::AskedData { .. } | State::Body(_) | State::AskedEnd => Phase::Data,
            State::Login(_) | State::AskedLogin { .. } => Phase::Auth,
            State::Idle
            | State::AskedMail
            | State::Envelope(_)
            | State::AskedRcpt(_)
            | State::Handshake
            | State::Skip { .. }
            | State::Closing => Phase::Command,
        }
    }

    fn unstuff(&self, bare_lf: bool) -> Unstuff {
        let lf_end = self.settings.profile == Profile::Legacy;
        if bare_lf { Unstuff::after_bare_lf(lf_end) } else { Unstuff::new(lf_end) }
    }

    fn say(&mut self, pick: impl Fn(&Voice) -> &Reply) {
        pick(&self.settings.voice).write(&mut self.output);
    }

    /// Says a refusal that counts against the client.
    fn fail(&mut self, pick: impl Fn(&Voice) -> &Reply) {
        self.say(pick);
        self.count_error();
    }

    fn close_with(&mut self, pick: impl Fn(&Voice) -> &Reply) {
        self.say(pick);
        self.state = State::Closing;
    }

    /// Clients that loop on errors exist; after enough of them the line goes dead.
    fn count_error(&mut self) {
        self.counters.errors += 1;
        self.failures = self.failures.saturating_add(1);
        if self.counters.errors >= self.settings.max_errors {
            self.note(Note::TooManyErrors);
            self.close_with(|voice| &voice.too_many_errors);
        }
    }

    fn count_junk(&mut self) {
        self.counters.junk += 1;
        if self.counters.junk > self.settings.max_junk {
            self.note(Note::TooManyErrors);
            self.close_with(|voice| &voice.too_many_errors);
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes.len() < NOTES {
            self.notes.push(note);
        }
    }

    /// Leaves a transaction; the event tells the driver, if there was one.
    fn forget_transaction(&mut self) -> Option<Event> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Envelope(_) => Some(Event::Reset),
            closing @ State::Closing => {
                self.state = closing;
                None
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
            | State::Skip { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
