//! From one line to the verb that handles it, and what happens to lines that are not commands.

use bytes::BytesMut;

use super::state::{Guard, State};
use super::{Event, Note, Session};
use crate::mail::AddressError;
use crate::smtp::command::{self, Command, CommandError};
use crate::smtp::line::{AUTH_CAP, COMMAND_CAP, Line};

/// So many blank lines are passed over in silence.
const BLANK_LINES: u32 = 10;
/// Longest unknown verb that is shown in a note.
const VERB_SHOWN: usize = 16;

impl Session {
    /// Takes one line. `None`: go on.
    pub(super) fn line(&mut self, input: &mut BytesMut) -> Option<Event> {
        let in_login = matches!(self.state, State::Login(_));
        if !in_login && self.lines.at_start() && self.close_to_tls(begins_tls(input) == Some(true)) {
            return None;
        }
        match self.lines.next(input, if in_login { AUTH_CAP } else { COMMAND_CAP }) {
            Line::Partial => Some(Event::More),
            Line::Flood => {
                self.close_with(|voice| &voice.stranger);
                None
            }
            Line::TooLong => {
                if in_login {
                    self.state = State::Idle;
                }
                self.fail(|voice| &voice.line_too_long);
                None
            }
            Line::Whole { bare_lf: true, .. } if self.is_strict() => {
                self.fail(|voice| &voice.unknown);
                None
            }
            Line::Whole { mut text, bare_lf } => {
                // Text-mode output on Windows makes CR CR LF of CR LF. It is still one line.
                while !self.is_strict() && text.last() == Some(&b'\r') {
                    text.truncate(text.len() - 1);
                }
                if in_login { self.response(&text) } else { self.command(&text, bare_lf, input) }
            }
        }
    }

    /// These octets came before the greeting, and the profile does not put up with it: instead of the greeting comes a
    /// refusal (RFC 5321 section 3.1), to TLS not even that, and the next step closes.
    pub fn spoken_too_early(&mut self, octets: &[u8]) {
        if !self.close_to_tls(begins_tls(octets) != Some(false)) {
            self.note(Note::EarlyTalker);
            self.close_with(|voice| &voice.early);
        }
    }

    /// Closes without a word when the client begins TLS. Devices that try TLS on any port fall back to plaintext if the
    /// connection just closes, and not if they are answered.
    fn close_to_tls(&mut self, tls: bool) -> bool {
        self.tls_hello = tls;
        if tls {
            self.note(Note::TlsHello);
            self.state = State::Closing;
        }
        tls
    }

    fn command(&mut self, text: &[u8], bare_lf: bool, input: &mut BytesMut) -> Option<Event> {
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

    fn run(&mut self, command: Command, bare_lf: bool, input: &mut BytesMut) -> Option<Event> {
        let harmless = matches!(command, Command::Quit | Command::Rset | Command::Noop);
        if self.guard == Guard::AfterBareEnd && !harmless {
            self.note(Note::NotDotStuffed);
            self.close_with(|voice| &voice.not_stuffed);
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
                self.say(|voice| &voice.reset_ok);
                self.count_junk();
                self.forget_transaction()
            }
            Command::Quit => {
                // Always said, also to those who are not there any more to hear it (section 4.1.1.10).
                self.close_with(|voice| &voice.bye);
                self.quit = true;
                None
            }
            Command::Noop => self.idle(|voice| &voice.noop),
            Command::Help => self.idle(|voice| &voice.help),
            Command::Vrfy => self.idle(|voice| &voice.vrfy),
            Command::NotImplemented => {
                self.fail(|voice| &voice.not_implemented);
                None
            }
        }
    }

    /// A command that changes nothing, and does not show either that the client is in step.
    fn idle(&mut self, pick: impl Fn(&super::Voice) -> &crate::smtp::Reply) -> Option<Event> {
        self.say(pick);
        self.count_junk();
        None
    }

    /// The client has begun anew: what comes now are commands.
    pub(super) fn trust_again(&mut self) {
        if self.guard != Guard::AfterBareEnd {
            self.guard = Guard::None;
        }
    }

    fn misunderstood(&mut self, error: CommandError, text: &[u8]) {
        if starts_with_verb(text, b"DATA") {
            self.guard = Guard::RefusedData;
        }
        match error {
            CommandError::Blank => self.blank_line(),
            CommandError::Http => {
                self.note(Note::HttpRequest);
                self.close_with(|voice| &voice.stranger);
            }
            CommandError::HeaderLine | CommandError::Unknown => self.no_command(error, text),
            CommandError::Number if starts_with_verb(text, b"BDAT") => {
                // How many octets follow is anybody's guess.
                self.note(Note::Bdat);
                self.close_with(|voice| &voice.syntax);
            }
            CommandError::Control | CommandError::Argument | CommandError::Number => {
                // `AUTH` with an odd argument may have left a secret on the next line.
                self.login_debris |= starts_with_verb(text, b"AUTH");
                self.note(Note::Syntax(error));
                self.fail(|voice| &voice.syntax);
            }
            CommandError::Sender(AddressError::NotAscii) | CommandError::Recipient(AddressError::NotAscii) => {
                self.note(Note::Syntax(error));
                self.fail(|voice| &voice.not_ascii);
            }
            CommandError::Sender(_) => {
                self.note(Note::Syntax(error));
                self.fail(|voice| &voice.bad_sender);
            }
            CommandError::Recipient(_) => {
                self.note(Note::Syntax(error));
                self.fail(|voice| &voice.bad_recipient);
            }
        }
    }

    fn blank_line(&mut self) {
        if self.guard == Guard::RefusedData {
            // The end of a header that we did not ask for.
            return self.body_after_refusal();
        }
        self.counters.blank += 1;
        if self.is_strict() || self.counters.blank > BLANK_LINES {
            self.fail(|voice| &voice.unknown);
        } else {
            self.count_junk();
        }
    }

    /// A line that is no command: the rest of a message, or only a typing error.
    fn no_command(&mut self, error: CommandError, text: &[u8]) {
        match self.guard {
            Guard::AfterEnd | Guard::AfterBareEnd => {
                self.note(Note::NotDotStuffed);
                self.close_with(|voice| &voice.not_stuffed);
            }
            Guard::RefusedData => self.body_after_refusal(),
            Guard::None if error == CommandError::HeaderLine => {
                self.note(Note::HeaderLine);
                self.close_with(|voice| &voice.stranger);
            }
            Guard::None => {
                self.note(Note::UnknownVerb(self.verb_shown(text)));
                self.fail(|voice| &voice.unknown);
            }
        }
    }

    fn body_after_refusal(&mut self) {
        self.note(Note::BodyAfterRefusal);
        self.close_with(|voice| &voice.stranger);
    }

    /// The verb, if it is one by its looks and cannot be the rest of a password.
    fn verb_shown(&self, text: &[u8]) -> String {
        let word = text.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
        let is_word = word.len() <= VERB_SHOWN && word.iter().all(u8::is_ascii_alphabetic);
        if is_word && !self.login_debris { String::from_utf8_lossy(word).into_owned() } else { "[hidden]".to_owned() }
    }
}

fn starts_with_verb(text: &[u8], verb: &[u8; 4]) -> bool {
    text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(verb))
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
