//! What each command does in each state, and what happens to lines that are not commands.

use bytes::BytesMut;

use super::auth::{AuthExchange, AuthStep};
use super::event::{Note, RefusalCause, SessionEvent};
use super::replies::Replies;
use super::responder::Loss;
use super::session::Session;
use super::settings::AuthMode;
use super::state::{Guard, State};
use crate::mail::{Address, AddressError, ReversePath};
use crate::smtp::command::{self, Command, CommandError, MailParameters};
use crate::smtp::reply::Reply;
use crate::smtp::sasl::SaslError;

/// So many blank lines are passed over in silence.
const BLANK_LINES: u32 = 10;
/// Longest unknown verb that is shown in a note.
const VERB_SHOWN: usize = 16;
/// This many refused log-ins are allowed on one connection.
const FAILED_LOGINS: u32 = 3;

impl Session {
    /// Takes a line that is no response in a log-in dialogue. `None`: go on.
    pub(super) fn command(&mut self, text: &[u8], bare_lf: bool, input: &mut BytesMut) -> Option<SessionEvent> {
        match command::parse(text, !self.is_strict()) {
            Ok(command) => {
                self.login_debris = false;
                self.run(command, bare_lf, input)
            }
            Err(error) => {
                self.misunderstood(error, text);
                None
            }
        }
    }

    fn run(&mut self, command: Command, bare_lf: bool, input: &mut BytesMut) -> Option<SessionEvent> {
        let harmless = matches!(command, Command::Quit | Command::Rset | Command::Noop);
        if self.guard == Guard::AfterBareEnd && !harmless {
            self.not_dot_stuffed();
            return None;
        }
        match command {
            Command::Hello { extended, name } => self.hello(extended, name),
            Command::Mail { from, parameters } => self.mail(from, parameters),
            Command::Rcpt { to, unknown_parameter } => self.rcpt(to, unknown_parameter),
            Command::Data => self.data(bare_lf, input),
            Command::Bdat(size) => self.bdat(size),
            Command::StartTls => self.starttls(input),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_deref()),
            Command::Rset => {
                self.trust_again();
                self.mail_refused = false;
                self.responder.idle(|replies| &replies.reset_ok);
                self.forget_transaction()
            }
            Command::Quit => {
                // Always said, also to those who are not there any more to hear it (section 4.1.1.10).
                self.responder.close_with(|replies| &replies.bye);
                self.quit = true;
                None
            }
            Command::Noop | Command::Help | Command::Vrfy => {
                // These change nothing, and do not show either that the client is in step.
                self.responder.idle(|replies| match command {
                    Command::Help => &replies.help,
                    Command::Vrfy => &replies.vrfy,
                    _ => &replies.noop,
                });
                None
            }
            Command::NotImplemented => self.refuse_command(|replies| &replies.not_implemented),
        }
    }

    /// Says a refusal that counts against the client. `None`: go on.
    pub(super) fn refuse_command(&mut self, pick: impl Fn(&Replies) -> &Reply) -> Option<SessionEvent> {
        self.responder.fail(pick);
        None
    }

    /// As [`Session::refuse_command`], for a refusal that may lose or shorten a mail.
    pub(super) fn refuse_mail(&mut self, loss: Loss, pick: impl Fn(&Replies) -> &Reply) -> Option<SessionEvent> {
        self.responder.fail_mail(loss, pick);
        None
    }

    /// The client has begun anew: what comes now are commands.
    fn trust_again(&mut self) {
        if self.guard != Guard::AfterBareEnd {
            self.guard = Guard::None;
        }
    }

    /// Never refused, welcome at any time, and keeps a log-in: clients repeat it (RFC 5321 section 4.1.4).
    fn hello(&mut self, extended: bool, name: String) -> Option<SessionEvent> {
        self.helo = Some(name);
        self.extended = extended;
        self.mail_refused = false;
        self.trust_again();
        if extended {
            self.responder.settings.ehlo(self.tls).write(&mut self.responder.output);
            self.responder.count_junk();
        } else {
            self.responder.idle(|replies| &replies.helo);
        }
        self.forget_transaction()
    }

    /// STARTTLS (RFC 3207).
    fn starttls(&mut self, input: &mut BytesMut) -> Option<SessionEvent> {
        // A client that insists on TLS gives its mail up at any of these.
        let loss = Loss::of(RefusalCause::StartTls);
        if !self.responder.settings.starttls {
            // Never a positive reply: some clients start the handshake on any.
            return self.refuse_mail(loss, |replies| &replies.not_implemented);
        } else if self.tls {
            return self.refuse_mail(loss, |replies| &replies.sequence);
        } else if self.helo.is_none() {
            return self.refuse_mail(loss, |replies| &replies.hello_first);
        }
        self.trust_again();
        self.responder.say(|replies| &replies.starttls_go);
        // What stands behind STARTTLS was not protected, and somebody else may have put it there (section 4.2).
        if !input.is_empty() {
            self.responder.note(Note::PlaintextDropped);
            input.clear();
        }
        self.lines.reset();
        self.state = State::Handshake;
        Some(SessionEvent::StartTls)
    }

    fn mail(&mut self, from: ReversePath, parameters: MailParameters) -> Option<SessionEvent> {
        let loss = |cause| Loss::of(cause).sender(from.clone()).size(parameters.size);
        if !matches!(self.state, State::Idle) {
            return self.refuse_mail(loss(RefusalCause::Sequence), |replies| &replies.sequence);
        }
        self.mail_refused = true;
        let settings = &self.responder.settings;
        if self.helo.is_none() && self.is_strict() {
            return self.refuse_mail(loss(RefusalCause::Sequence), |replies| &replies.hello_first);
        } else if settings.auth_required && self.user.is_none() {
            return self.refuse_mail(loss(RefusalCause::AuthRequired), |replies| &replies.auth_required);
        } else if self.responder.counters.messages >= settings.max_messages {
            let loss = loss(RefusalCause::MessagesPerConnection);
            self.responder.close_mail(loss, |replies| &replies.too_many_messages);
            return None;
        } else if parameters.size.is_some_and(|size| size > settings.max_message) {
            // RFC 1870 section 6.1: no need to wait for the message.
            return self.refuse_mail(loss(RefusalCause::MessageSize), |replies| &replies.too_large);
        } else if !self.known_parameters(parameters.unknown) {
            return self.refuse_mail(loss(RefusalCause::Parameter), |replies| &replies.bad_parameter);
        }
        self.trust_again();
        self.state = State::AskedMail;
        Some(SessionEvent::Mail { from, size: parameters.size, eight_bit: parameters.eight_bit })
    }

    fn rcpt(&mut self, to: Address, unknown_parameter: bool) -> Option<SessionEvent> {
        let State::Envelope(envelope) = &mut self.state else {
            return self.out_of_sequence(Loss::of(RefusalCause::Sequence).recipient(&to));
        };
        if !envelope.has_room(&to, &mut self.responder) {
            return None;
        }
        if !self.known_parameters(unknown_parameter) {
            return self
                .refuse_mail(Loss::of(RefusalCause::Parameter).recipient(&to), |replies| &replies.bad_parameter);
        }
        if let State::Envelope(envelope) = std::mem::replace(&mut self.state, State::Idle) {
            self.state = State::AskedRcpt(envelope);
        }
        Some(SessionEvent::Rcpt(to))
    }

    /// RCPT or DATA outside of a transaction. Behind a refused MAIL that is no other loss.
    fn out_of_sequence(&mut self, loss: Loss) -> Option<SessionEvent> {
        match self.mail_refused {
            true => self.refuse_command(|replies| &replies.sequence),
            false => self.refuse_mail(loss, |replies| &replies.sequence),
        }
    }

    /// Whether the parameters will do: unknown ones only if we are not strict (RFC 5321 section 4.1.1.11).
    fn known_parameters(&mut self, unknown: bool) -> bool {
        let ignored = unknown && !self.is_strict();
        if ignored {
            self.responder.note(Note::UnknownParameter);
        }
        !unknown || ignored
    }

    fn data(&mut self, bare_lf: bool, input: &mut BytesMut) -> Option<SessionEvent> {
        match &self.state {
            State::Envelope(envelope) if envelope.accepted > 0 => {
                if self.is_strict() && !input.is_empty() {
                    // RFC 2920 section 3.1: DATA must be the last of a group.
                    self.responder.close_mail(Loss::of(RefusalCause::EarlyTalker), |replies| &replies.early);
                    return None;
                }
                self.state = State::AskedData { bare_lf };
                Some(SessionEvent::Data)
            }
            State::Envelope(_) => {
                self.guard = Guard::RefusedData;
                self.refuse_mail(Loss::of(RefusalCause::NoRecipients), |replies| &replies.no_recipients)
            }
            _ => {
                self.guard = Guard::RefusedData;
                self.out_of_sequence(Loss::of(RefusalCause::Sequence))
            }
        }
    }

    /// BDAT was not announced (RFC 3030). Reads over the octets, to stay in step, and only then refuses. A transaction ends
    /// by it: a message may not come half in BDAT and half in DATA (section 2).
    fn bdat(&mut self, size: u64) -> Option<SessionEvent> {
        if size > self.responder.settings.max_message {
            let loss = Loss::of(RefusalCause::Bdat).note(Note::Bdat).size(size);
            self.responder.close_mail(loss, |replies| &replies.not_implemented);
            return None;
        }
        let event = self.forget_transaction();
        self.state = State::Skip { left: size };
        event
    }

    /// Also after HELO, and without TLS: some devices know nothing else, and the driver says what a log-in is worth.
    fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Option<SessionEvent> {
        // Whatever becomes of it: what follows may be a password that nobody has asked for, or that comes once more.
        self.login_debris = true;
        let settings = &self.responder.settings;
        if settings.auth == AuthMode::Off {
            return self.refuse_mail(Loss::of(RefusalCause::AuthOff), |replies| &replies.not_implemented);
        } else if settings.auth_after_tls && !self.tls {
            return self.refuse_mail(Loss::of(RefusalCause::AuthNeedsTls), |replies| &replies.auth_needs_tls);
        } else if self.user.is_some() {
            return self.refuse_mail(Loss::of(RefusalCause::Sequence), |replies| &replies.auth_again);
        } else if !matches!(self.state, State::Idle) {
            return self.refuse_mail(Loss::of(RefusalCause::Sequence), |replies| &replies.sequence);
        } else if self.responder.counters.failed_logins >= FAILED_LOGINS {
            self.responder.close_mail(Loss::of(RefusalCause::TooManyErrors), |replies| &replies.too_many_errors);
            return None;
        }
        match (AuthExchange::of(mechanism), initial) {
            (Some(exchange), Some(blob)) => self.take_response(exchange, blob.as_bytes()),
            (Some(exchange), None) => self.ask(exchange),
            (None, _) => self.refuse_mail(Loss::of(RefusalCause::AuthMechanism), |replies| &replies.auth_mechanism),
        }
    }

    fn ask(&mut self, exchange: AuthExchange) -> Option<SessionEvent> {
        self.responder.say(|replies| exchange.challenge(replies));
        self.state = State::Login(exchange);
        None
    }

    /// Takes a response in a log-in dialogue. `None`: go on.
    pub(super) fn take_response(&mut self, exchange: AuthExchange, blob: &[u8]) -> Option<SessionEvent> {
        // Some clients break a long blob in two, and the first half may decode: the next line may be the rest of it.
        self.login_debris = true;
        match exchange.take(blob) {
            AuthStep::Ask(next) => self.ask(next),
            // A user in the wrong place is good enough only where any user is.
            AuthStep::Complete { misplaced: true, .. } if self.responder.settings.auth == AuthMode::Verify => {
                self.responder.counters.failed_logins += 1;
                self.refuse_mail(Loss::of(RefusalCause::Login), |replies| &replies.auth_failed)
            }
            AuthStep::Complete { mechanism, user, password, .. } => {
                self.state = State::AskedLogin { user: user.clone() };
                Some(SessionEvent::Auth { mechanism, user, password })
            }
            // The client gives the log-in up, and knows what becomes of its mail.
            AuthStep::Broken(SaslError::Cancelled) => self.refuse_command(|replies| &replies.auth_cancelled),
            AuthStep::Broken(SaslError::Base64 | SaslError::Parts | SaslError::Characters) => {
                self.refuse_mail(Loss::of(RefusalCause::AuthMalformed), |replies| &replies.auth_malformed)
            }
        }
    }

    fn misunderstood(&mut self, error: CommandError, text: &[u8]) {
        if starts_with_verb(text, b"DATA") {
            self.guard = Guard::RefusedData;
        }
        match error {
            CommandError::Blank => self.blank_line(),
            CommandError::Http => {
                self.responder.note(Note::HttpRequest);
                self.responder.close_with(|replies| &replies.stranger);
            }
            CommandError::HeaderLine | CommandError::Unknown => self.no_command(error, text),
            CommandError::Number if starts_with_verb(text, b"BDAT") => {
                // How many octets follow is anybody's guess.
                let loss = Loss::of(RefusalCause::Bdat).note(Note::Bdat);
                self.responder.close_mail(loss, |replies| &replies.syntax);
            }
            CommandError::Control | CommandError::Argument | CommandError::Number => {
                // `AUTH` with an odd argument may have left a secret on the next line.
                self.login_debris |= starts_with_verb(text, b"AUTH");
                self.bad_argument(error, text, |replies| &replies.syntax);
            }
            CommandError::Sender(AddressError::NotAscii) | CommandError::Recipient(AddressError::NotAscii) => {
                self.bad_argument(error, text, |replies| &replies.not_ascii);
            }
            CommandError::Sender(_) => self.bad_argument(error, text, |replies| &replies.bad_sender),
            CommandError::Recipient(_) => self.bad_argument(error, text, |replies| &replies.bad_recipient),
        }
    }

    fn bad_argument(&mut self, error: CommandError, text: &[u8], pick: impl Fn(&Replies) -> &Reply) {
        let loss = Loss::of(RefusalCause::Syntax).note(Note::Syntax(error));
        let loss = if starts_with_verb(text, b"MAIL") {
            self.mail_refused |= matches!(self.state, State::Idle);
            loss
        } else if starts_with_verb(text, b"RCPT") {
            loss.recipient_text(after_colon(text))
        } else if starts_with_verb(text, b"DATA") {
            loss
        } else if starts_with_verb(text, b"AUTH") {
            Loss::of(RefusalCause::AuthMalformed).note(Note::Syntax(error))
        } else {
            // A client goes on without the others.
            self.responder.note(Note::Syntax(error));
            return self.responder.fail(pick);
        };
        self.responder.fail_mail(loss, pick);
    }

    fn blank_line(&mut self) {
        if self.guard == Guard::RefusedData {
            // The end of a header that we did not ask for.
            return self.body_after_refusal();
        }
        self.responder.counters.blank += 1;
        if self.is_strict() || self.responder.counters.blank > BLANK_LINES {
            self.responder.fail(|replies| &replies.unknown);
        } else {
            self.responder.count_junk();
        }
    }

    /// A line that is no command: the rest of a message, or only a typing error.
    fn no_command(&mut self, error: CommandError, text: &[u8]) {
        match self.guard {
            Guard::AfterEnd | Guard::AfterBareEnd => {
                self.not_dot_stuffed();
            }
            Guard::RefusedData => self.body_after_refusal(),
            Guard::None if error == CommandError::HeaderLine => {
                let loss = Loss::of(RefusalCause::NotSmtp).note(Note::HeaderLine);
                self.responder.close_mail(loss, |replies| &replies.stranger);
            }
            Guard::None => {
                self.responder.note(Note::UnknownVerb(self.verb_shown(text)));
                self.responder.fail(|replies| &replies.unknown);
            }
        }
    }

    /// The message was cut at a line of its own that is a lone dot.
    fn not_dot_stuffed(&mut self) {
        let loss = Loss::of(RefusalCause::NotDotStuffed).note(Note::NotDotStuffed);
        self.responder.close_mail(loss, |replies| &replies.not_stuffed);
    }

    fn body_after_refusal(&mut self) {
        self.responder.note(Note::BodyAfterRefusal);
        self.responder.close_with(|replies| &replies.stranger);
    }

    /// The verb, if it is one by its looks and cannot be the rest of a password.
    fn verb_shown(&self, text: &[u8]) -> String {
        let word = text.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
        let is_word = word.len() <= VERB_SHOWN && word.iter().all(u8::is_ascii_alphabetic);
        if is_word && !self.login_debris { String::from_utf8_lossy(word).into_owned() } else { "[hidden]".to_owned() }
    }
}

/// What stands behind the first colon, without blanks around it; nothing if there is none.
fn after_colon(text: &[u8]) -> &[u8] {
    let rest = text.iter().position(|&octet| octet == b':').map_or(&[][..], |colon| &text[colon + 1..]);
    rest.trim_ascii()
}

fn starts_with_verb(text: &[u8], verb: &[u8; 4]) -> bool {
    text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(verb))
}
