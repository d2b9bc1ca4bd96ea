//! Whoever drives a client: sends what it is told to, and holds it to its promises while it does.
//!
//! Not here: what two runs have in common (`client`). Invariants held: no credential before TLS, no octet of the body
//! after a refusal, one end of a message, an outcome for every recipient, and a doubt only where there is one (RFC 1047).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yizhan::smtp::client::{ClientEvent, ClientPhase, ClientSession, Failure, Lost, Outcome, RecipientOutcome, Tls};
use yizhan::smtp::data::{Piece, Unstuff};
use yizhan::smtp::{Class, reply};

use super::{BODY, Plan, SECRET, holds_secret};
use crate::invariants::assert_line_ends;
use crate::invariants::command::assert_printable;

/// What is the same for every cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    events: Vec<String>,
    said: String,
}

/// How far the transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    None,
    Envelope,
    /// 354 came; so many octets of the body are out.
    Body(usize),
    Dot,
}

pub(super) struct Driver<'a> {
    client: ClientSession,
    plan: &'a Plan,
    /// Take the output when it is there; else leave it, as if the line were stuck.
    flush: bool,
    /// Octets of the output that were looked at.
    seen: usize,
    said: Vec<u8>,
    events: Vec<String>,
    stage: Stage,
    left: usize,
    /// The next transaction went out behind the final dot.
    announced: bool,
    done: u32,
    tls: bool,
    handshake: bool,
    /// Nobody uses this line any more.
    over: bool,
}

impl<'a> Driver<'a> {
    pub(super) fn new(plan: &'a Plan, flush: bool) -> Driver<'a> {
        let tls = plan.settings.tls == Some(Tls::Implicit);
        Driver {
            client: ClientSession::new(plan.settings.clone()),
            plan,
            flush,
            seen: 0,
            said: Vec::new(),
            events: Vec::new(),
            stage: Stage::None,
            left: plan.messages,
            announced: false,
            done: 0,
            tls,
            handshake: false,
            over: false,
        }
    }

    pub(super) fn listens(&self) -> bool {
        !self.over && !self.handshake
    }

    /// Takes octets from the server. `more`: others are on the line already.
    pub(super) fn feed(&mut self, piece: &[u8], more: bool) {
        self.client.input(piece);
        let replies = piece.iter().filter(|&&b| b == b'\n').count();
        for turn in 0.. {
            assert!(turn < 10 + 10 * replies, "it does not come to an end");
            let event = self.client.step();
            self.commands();
            if !self.take(event, more) || self.over {
                break;
            }
        }
        self.send_slowly();
        if self.flush {
            self.client.output().clear();
            self.seen = 0;
        }
        self.looks();
    }

    pub(super) fn shake_hands(&mut self) -> bool {
        if !self.handshake {
            return false;
        }
        (self.handshake, self.tls) = (false, true);
        self.client.tls_started();
        assert_eq!(self.commands(), "EHLO relay.test\r\n", "what was said before TLS does not count");
        assert_eq!(self.client.extensions(), &yizhan::smtp::Extensions::default());
        true
    }

    /// The line breaks, or a flood comes.
    pub(super) fn end(mut self) -> Heard {
        if !self.over {
            let event = match self.plan.flood && self.listens() {
                true => flood(&mut self.client),
                false => self.client.lost(self.plan.lost),
            };
            self.commands();
            let last = matches!(event, ClientEvent::Done(_) | ClientEvent::Failed(_) | ClientEvent::Closed);
            assert!(last && (self.stage == Stage::None || matches!(event, ClientEvent::Done(_))), "{event:?}");
            self.take(event, true);
        }
        self.looks();
        Heard { events: self.events, said: self.said.escape_ascii().to_string() }
    }

    /// What was added to the output.
    fn hear(&mut self) -> Vec<u8> {
        let new = self.client.output()[self.seen..].to_vec();
        self.seen += new.len();
        self.said.extend_from_slice(&new);
        new
    }

    /// The same, where it must be commands, each on a line and each at its place.
    fn commands(&mut self) -> String {
        let new = String::from_utf8(self.hear()).expect("commands are ASCII");
        assert_line_ends(new.as_bytes());
        assert!(new.len() <= 2000, "{} octets of commands", new.len());
        for line in new.lines() {
            assert_printable(line, 512 - 2);
            let verb = line.split(' ').next().unwrap_or_default();
            let early = matches!(verb, "EHLO" | "STARTTLS" | "QUIT");
            assert!(early || self.tls || self.plan.settings.tls != Some(Tls::StartTls), "{line} before TLS");
        }
        new
    }

    /// False when octets are needed, or none are of use.
    fn take(&mut self, event: ClientEvent, more: bool) -> bool {
        match event {
            ClientEvent::More => return false,
            ClientEvent::StartTls => {
                assert!(self.plan.settings.tls == Some(Tls::StartTls) && !self.tls);
                self.handshake = true;
                return false;
            }
            ClientEvent::Ready => {
                assert!(self.plan.settings.tls != Some(Tls::StartTls) || self.tls, "ready without TLS");
                assert!(self.plan.settings.login.is_none() || self.has_said("AUTH "), "ready without a log-in");
                self.events.push("ready".to_owned());
                self.start();
            }
            ClientEvent::SendBody => {
                assert_eq!(self.stage, Stage::Envelope);
                self.events.push("send".to_owned());
                self.stage = Stage::Body(0);
                if !self.plan.slowly {
                    while self.send_piece() {}
                }
            }
            ClientEvent::Done(outcome) => self.done(&outcome, more),
            ClientEvent::Failed(failure) => self.failed(&failure),
            ClientEvent::Closed => {
                assert_eq!(self.stage, Stage::None, "closed in the middle of a transaction");
                self.over = true;
            }
        }
        true
    }

    fn start(&mut self) {
        if self.left == 0 {
            self.client.quit();
            assert_eq!(self.commands(), "QUIT\r\n");
            self.over = true;
            return;
        }
        self.left -= 1;
        self.client.start(self.plan.message.clone());
        self.stage = Stage::Envelope;
        self.envelope();
    }

    /// The commands of a transaction: MAIL, and with PIPELINING the others, DATA last and once (RFC 2920 section 3.1).
    fn envelope(&mut self) {
        let said = self.commands();
        let lines: Vec<&str> = said.lines().collect();
        let Some((mail, rest)) = lines.split_first() else { return };
        let to = &self.plan.message.to;
        assert!(mail.starts_with(&format!("MAIL FROM:<{}>", self.plan.message.from)), "{mail}");
        let mut wanted: Vec<String> = to.iter().map(|to| format!("RCPT TO:<{to}>")).collect();
        wanted.push("DATA".to_owned());
        assert!(rest.is_empty() || (self.client.extensions().pipelining && rest == wanted), "{said}");
    }

    /// The next piece of the body, and behind the last the end; false when that is out.
    fn send_piece(&mut self) -> bool {
        let Stage::Body(sent) = self.stage else { return false };
        if sent < BODY.len() {
            let end = BODY.len().min(sent + 9);
            self.client.body(&BODY[sent..end]);
            self.hear();
            self.stage = Stage::Body(end);
            return true;
        }
        self.client.finish();
        self.hear();
        self.stage = Stage::Dot;
        assert!(ends_in_body(&self.said), "{}", self.said.escape_ascii());
        if self.plan.follow && self.left > 0 && self.client.follow(&self.plan.message) {
            (self.left, self.announced) = (self.left - 1, true);
            self.envelope();
        }
        // A second dot would be a second end.
        self.client.finish();
        assert!(self.hear().is_empty(), "the end was sent twice");
        false
    }

    fn send_slowly(&mut self) {
        if self.plan.slowly && !self.over {
            self.send_piece();
        }
    }

    fn done(&mut self, outcome: &Outcome, more: bool) {
        let (stage, unsent) = (self.stage, !self.client.output().is_empty());
        assert_ne!(stage, Stage::None, "an outcome of nothing");
        assert_eq!(outcome.recipients.len(), self.plan.message.to.len(), "one for each recipient");
        for one in &outcome.recipients {
            match one {
                RecipientOutcome::Accepted(reply) => assert!(reply.is_positive() && stage == Stage::Dot, "{one:?}"),
                RecipientOutcome::Refused { reply, .. } => {
                    assert!(matches!(reply.class(), Class::Transient | Class::Permanent), "{one:?}");
                }
                // In the middle of the body only if the server talked out of turn: who knows where it saw an end.
                RecipientOutcome::Uncertain { lost } => {
                    let talked = matches!(stage, Stage::Body(_)) && *lost == Lost::Protocol;
                    assert!(talked || (stage == Stage::Dot && (self.announced || !unsent)), "{one:?} at {stage:?}");
                }
                RecipientOutcome::NotTried { .. } => assert!(stage != Stage::Dot || unsent, "{one:?}"),
            }
        }
        let accepted = outcome.recipients.iter().any(|one| matches!(one, RecipientOutcome::Accepted(_)));
        self.done += u32::from(accepted);
        assert_eq!(self.client.messages_done(), self.done, "each message is counted once");
        let reusable = outcome.reusable && (self.announced || !more);
        self.events.push(format!("{:?} {reusable}", outcome.recipients));
        self.stage = Stage::None;
        match (outcome.reusable, self.announced) {
            (true, true) => (self.announced, self.stage) = (false, Stage::Envelope),
            (true, false) if reusable => self.start(),
            (true, false) => self.over = true,
            (false, _) => self.nothing_more(matches!(stage, Stage::Body(_))),
        }
    }

    /// No octet of a body goes out behind a refusal, whoever sends it; and in the middle of one a QUIT would be text.
    fn nothing_more(&mut self, in_body: bool) {
        self.over = true;
        self.client.body(BODY);
        self.client.finish();
        assert!(self.hear().is_empty(), "a body behind its refusal");
        self.client.quit();
        let said = self.commands();
        assert!(said.is_empty() || (said == "QUIT\r\n" && !in_body), "{said}");
    }

    fn failed(&mut self, failure: &Failure) {
        assert_eq!(self.stage, Stage::None, "a transaction has an outcome, not a failure");
        let shown = failure.to_string();
        let told = self.plan.quiet && holds_secret(&shown);
        assert!(!told && !shown.chars().any(char::is_control), "{shown:?}");
        assert_eq!(failure.sent_credentials, self.has_said(&STANDARD.encode(SECRET)) || self.has_said("AUTH PLAIN "));
        assert!(!failure.sent_credentials || self.tls || self.plan.settings.tls.is_none(), "in the clear");
        self.events.push(format!("failed {:?} {}", failure.phase, failure.sent_credentials));
        self.over = true;
        // It is dead, and stays so.
        self.client.input(b"250 x\r\n");
        assert_eq!(self.client.step(), ClientEvent::Closed);
        assert!(self.client.lost(Lost::Eof) == ClientEvent::Closed && self.hear().is_empty());
        assert_eq!(self.client.phase(), ClientPhase::Quit);
    }

    fn has_said(&self, text: &str) -> bool {
        self.said.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// What can be seen from outside at any time.
    fn looks(&self) {
        let transcript = self.client.transcript();
        assert!(transcript.lines().count() <= 64);
        for line in transcript.lines() {
            assert_printable(line, 3 + 512);
            assert!(!self.plan.quiet || !holds_secret(line), "{line}");
        }
        assert!(!format!("{:?}", self.client).contains(SECRET));
    }
}

/// Whether what was said ends in the whole body, with dots doubled, and its end.
fn ends_in_body(said: &[u8]) -> bool {
    let start = said.windows(6).rposition(|part| part == b"DATA\r\n").map_or(0, |at| at + 6);
    let (mut machine, mut input, mut text) = (Unstuff::new(false), said[start..].into(), Vec::new());
    loop {
        match machine.next(&mut input) {
            Piece::Text(piece) => text.extend_from_slice(&piece),
            Piece::More => return false,
            Piece::End => return input.is_empty() && text == BODY,
        }
    }
}

/// A line without end is refused before it fills the memory.
fn flood(client: &mut ClientSession) -> ClientEvent {
    for _ in 0..=reply::READ_LINE / 100 {
        client.input(&[b'2'; 100]);
        match client.step() {
            ClientEvent::More => {}
            refused => return refused,
        }
    }
    panic!("more than {} octets are waited for", reply::READ_LINE);
}
