//! Whoever drives a server session: answers what it asks, and holds it to its promises while it does.
//!
//! Not here: what two runs have in common (`session`). Invariants held: an event comes only where the drawing in
//! `smtp::server` has it; each reply is legal (RFC 5321 section 4.2); what is kept in memory has an end.

use std::sync::Arc;

use bytes::BytesMut;
use yizhan::mail::ReversePath;
use yizhan::smtp::Reply;
use yizhan::smtp::line::AUTH_CAP;
use yizhan::smtp::server::{AuthMode, Profile, Session, SessionEvent, SessionPhase, SessionSettings};

use crate::invariants::assert_line_ends;

/// What is the same for every cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    events: Vec<String>,
    replies: String,
    user: Option<String>,
    helo: String,
}

impl Heard {
    pub(super) fn holds(&self, reply: &Reply) -> bool {
        self.replies.contains(&reply.to_string())
    }
}

pub(super) struct Driver {
    session: Session,
    settings: SessionSettings,
    input: BytesMut,
    events: Vec<String>,
    replies: Vec<u8>,
    /// The sender of the open transaction, and its accepted recipients.
    open: Option<(String, usize)>,
    /// The message that is coming.
    body: Option<Vec<u8>>,
    closed: bool,
    handshake: bool,
    refused: bool,
    /// Lines cannot be told from other octets any more, or were cut in two.
    pub(super) loose: bool,
}

impl Driver {
    /// A session that has greeted; `tls` from the first octet.
    pub(super) fn new(settings: &SessionSettings, tls: bool) -> Driver {
        let mut session = Session::new(Arc::new(settings.clone()));
        if tls {
            session.tls_started();
        }
        session.greet();
        let mut driver = Driver {
            session,
            settings: settings.clone(),
            input: BytesMut::new(),
            events: Vec::new(),
            replies: Vec::new(),
            open: None,
            body: None,
            closed: false,
            handshake: false,
            refused: false,
            loose: false,
        };
        assert_eq!(driver.hear(0), [220]);
        driver
    }

    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    pub(super) fn listens(&self) -> bool {
        !self.closed && !self.handshake
    }

    pub(super) fn has_refused(&self) -> bool {
        self.refused
    }

    pub(super) fn phase(&self) -> SessionPhase {
        self.session.phase()
    }

    /// Forgets what was heard.
    pub(super) fn forget(&mut self) {
        self.events.clear();
        self.replies.clear();
    }

    /// Takes octets from the client; the codes of the replies to them.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<u16> {
        self.input.extend_from_slice(piece);
        let lines = self.input.iter().filter(|&&b| b == b'\n').count();
        loop {
            let event = self.session.step(&mut self.input);
            let notes = self.session.notes();
            assert!(notes.len() <= 16);
            for note in notes {
                let text = note.to_string();
                assert!(text.len() < 300 && !text.chars().any(char::is_control), "{text:?}");
            }
            if !self.take(event) {
                break;
            }
        }
        assert!(self.input.len() <= AUTH_CAP, "{} octets are kept", self.input.len());
        self.hear(lines)
    }

    /// The handshake, if one is due.
    pub(super) fn shake_hands(&mut self) -> bool {
        if !self.handshake {
            return false;
        }
        self.session.tls_started();
        self.handshake = false;
        assert!(self.session.is_tls() && !self.session.is_esmtp());
        assert_eq!((self.session.helo(), self.session.user()), ("unknown", None), "forgotten");
        true
    }

    /// The client goes away.
    pub(super) fn end(mut self) -> Heard {
        while !self.closed {
            let event = self.session.eof();
            assert!(matches!(event, SessionEvent::Discarded(_) | SessionEvent::Close), "{event:?}");
            self.take(event);
        }
        // Whatever comes now is not heard.
        let mut late = BytesMut::from("RSET\r\nMAIL FROM:<a@b.c>\r\n");
        assert_eq!(self.session.step(&mut late), SessionEvent::Close);
        assert!(late.is_empty() && self.session.output().is_empty());
        Heard {
            events: self.events,
            replies: String::from_utf8(self.replies).expect("each was ASCII"),
            user: self.session.user().map(str::to_owned),
            helo: self.session.helo().to_owned(),
        }
    }

    /// Takes the replies out of the output, to so many lines at most, and returns their codes.
    fn hear(&mut self, lines: usize) -> Vec<u16> {
        let said = self.session.output().split();
        assert!(said.len() <= 1024 * (2 + lines), "{} octets to {lines} lines", said.len());
        assert_line_ends(&said);
        let (mut codes, mut rest) = (Vec::new(), std::str::from_utf8(&said).expect("replies are ASCII"));
        let mut before = None;
        while let Some((line, later)) = rest.split_once("\r\n") {
            let (code, text) = line.split_at(3);
            let number: u16 = code.parse().expect("a code is a number");
            assert!((200..560).contains(&number) && line.len() <= 510, "{line}");
            assert!(text.starts_with(['-', ' ']) && text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line:?}");
            assert!(before.is_none_or(|code| code == number), "{line} goes on with another code");
            before = text.starts_with('-').then_some(number);
            if before.is_none() {
                codes.push(number);
            }
            rest = later;
        }
        assert!(before.is_none() && rest.is_empty(), "a reply without its end");
        self.refused |= codes.iter().any(|code| *code >= 500);
        self.replies.extend_from_slice(&said);
        codes
    }

    /// Nothing moves before the answer is there.
    fn asked(&mut self) {
        let left = self.input.len();
        assert_eq!(self.session.step(&mut self.input), SessionEvent::More);
        assert_eq!(self.input.len(), left, "an answer is due, and input was consumed");
    }

    /// False when nothing more is to be done now.
    fn take(&mut self, event: SessionEvent) -> bool {
        let transaction = self.open.is_some();
        assert!(self.body.is_none() || transaction, "no message without a transaction");
        match event {
            SessionEvent::More => return false,
            SessionEvent::Chunk(chunk) => {
                let body = self.body.as_mut().expect("text comes after 354 only");
                assert!(!chunk.is_empty());
                body.extend_from_slice(&chunk);
                assert!(body.len() as u64 <= self.settings.max_message, "over the limit");
                return true;
            }
            SessionEvent::Mail { from, size, .. } => {
                assert!(!transaction && size.is_none_or(|size| size <= self.settings.max_message));
                assert!(!self.settings.auth_required || self.session.user().is_some(), "a log-in is required");
                self.mail(&from);
            }
            SessionEvent::Rcpt(to) => {
                self.events.push(format!("rcpt <{to}>"));
                self.asked();
                let (_, accepted) = self.open.as_mut().expect("RCPT comes after MAIL");
                assert!(*accepted < self.settings.max_recipients && self.body.is_none());
                let reply = verdict(to.local());
                *accepted += usize::from(reply.is_positive());
                self.session.answer(reply);
            }
            SessionEvent::Data => self.data(),
            SessionEvent::End => self.message(),
            SessionEvent::Auth { mechanism, user, password } => {
                assert!(self.settings.auth != AuthMode::Off && !transaction);
                assert!(!self.settings.auth_after_tls || self.session.is_tls(), "a log-in in the clear");
                assert!(user.len() <= 512 && !user.chars().any(char::is_control), "{user:?}");
                self.events.push(format!("auth {mechanism} {user}:{}", password.expose()));
                self.asked();
                let wrong = self.settings.auth == AuthMode::Verify && password.expose() == "wrong";
                let reply = if wrong { Reply::new(535, "5.7.8 No") } else { Reply::new(235, "2.7.0 Yes") };
                self.session.answer(reply);
            }
            SessionEvent::StartTls => {
                assert!(self.settings.starttls && !self.session.is_tls() && self.body.is_none());
                assert!(self.input.is_empty(), "plaintext is left behind STARTTLS");
                self.events.push("starttls".to_owned());
                (self.open, self.handshake) = (None, true);
                return false;
            }
            SessionEvent::Reset => {
                assert!(self.open.take().is_some() && self.body.is_none(), "there was nothing to forget");
                self.events.push("reset".to_owned());
            }
            // The reply says it, and the octets of the replies are compared.
            SessionEvent::Refused(refused) => assert!(matches!(refused.reply.code(), 400..=599)),
            SessionEvent::Discarded(reason) => {
                assert!(self.body.take().is_some(), "there was no message");
                self.open = None;
                self.events.push(format!("discarded {reason:?}"));
            }
            SessionEvent::Close => {
                self.events.push("close".to_owned());
                self.closed = true;
                return false;
            }
        }
        true
    }

    fn mail(&mut self, from: &ReversePath) {
        self.events.push(format!("mail <{from}>"));
        self.asked();
        let local = from.address().map_or("", |address| address.local());
        let reply = verdict(local);
        if reply.is_positive() {
            self.open = Some((local.to_owned(), 0));
        }
        match reply.code() {
            421 => self.session.answer_and_close(reply),
            _ => self.session.answer(reply),
        }
    }

    fn data(&mut self) {
        self.events.push("data".to_owned());
        self.asked();
        let (from, accepted) = self.open.as_ref().expect("DATA comes after MAIL");
        assert!(*accepted > 0 && self.body.is_none(), "DATA comes after RCPT");
        if from == "nodata" {
            self.open = None;
            return self.session.answer(Reply::new(451, "4.3.0 No room"));
        }
        self.body = Some(Vec::new());
        self.session.answer(Reply::new(354, "Go"));
    }

    fn message(&mut self) {
        let body = self.body.take().expect("a message ends after 354 only");
        let (from, accepted) = self.open.take().expect("a message has an envelope");
        assert!(accepted > 0);
        if self.settings.profile == Profile::Strict {
            assert_line_ends(&body);
        }
        self.events.push(format!("message of {from} for {accepted}: {}", body.escape_ascii()));
        self.asked();
        let refused = body.windows(4).any(|word| word == b"spam");
        self.session.answer(if refused { Reply::new(554, "5.7.1 No") } else { Reply::new(250, "2.0.0 Queued") });
    }
}

/// What is said to a sender or recipient with this local part.
fn verdict(local: &str) -> Reply {
    match local {
        "refused" => Reply::new(550, "5.1.1 No"),
        "later" => Reply::new(451, "4.3.0 Later"),
        "gone" => Reply::new(421, "4.3.2 Closing"),
        _ => Reply::new(250, "2.0.0 Yes"),
    }
}
