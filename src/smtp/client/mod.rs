//! The sending side of SMTP as a pure machine: server bytes in, command bytes and [`ClientEvent`]s out (RFC 5321, with 1870,
//! 2920, 3207, 4954 and 6152).
//!
//! ```text
//!   Greeting --220--> Ehlo ------------------> Auth --235--> Idle --quit--> Quit
//!                     ^  | STARTTLS wanted       ^           ^  |
//!        tls_started  |  v                       |     2yz.. |  | start
//!                   StartTls                 Ehlo, in TLS    |  v
//!                                                            |  Mail -> Rcpt... -> DataCommand
//!                                                            |                         | 354
//!                                                            +--- FinalDot <--finish-- Body
//!   any state: refusal, loss, or bytes that are no reply --> Failed or Done, then Closed
//! ```
//!
//! What it is not: it opens no connection, keeps no deadline ([`ClientPhase::deadline`] has the figures), and does not judge
//! replies. One connection, one log-in, many transactions; no RSET, no second AUTH.
//!
//! Invariants:
//! * The reply to the final dot is the verdict. A complete reply in the buffer wins over the loss of the connection.
//! * No credential leaves before TLS, if TLS is set; nothing that came before TLS is believed after it.
//! * Every octet of a command is ours, a number, or of an [`Address`], which holds nothing that could end a line.
//! * A secret is in the output buffer, and nowhere else.

mod opening;
mod outcome;
mod transaction;

use std::fmt;

use bytes::BytesMut;
use serde::Deserialize;

use super::extension::Extensions;
use super::reply::{Reply, ReplyParser};
use super::sasl::Mechanism;
use super::transcript::Transcript;
use crate::mail::{Address, ReversePath};
use crate::secret::Secret;
use transaction::Progress;

pub use outcome::{ClientPhase, Failure, FailureKind, Lost, Outcome, RecipientOutcome};

/// Lines of the dialogue that are kept for a failure report.
const TRANSCRIPT_LINES: usize = 64;

/// How the TLS session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Before the first octet (RFC 8314 section 3.3; port 465).
    Implicit,
    /// After the STARTTLS command, which is then required (RFC 3207; port 587).
    StartTls,
}

impl Tls {
    /// The word in the settings: `implicit` or `starttls`.
    pub fn word(self) -> &'static str {
        match self {
            Tls::Implicit => "implicit",
            Tls::StartTls => "starttls",
        }
    }
}

/// As whom to log in.
#[derive(Clone, Debug)]
pub struct ClientLogin {
    /// The user name, as a rule an address.
    pub user: String,
    /// The password, authorization code or access token.
    pub secret: Secret,
    /// The allowed mechanisms, the best first: either those for tokens or those for passwords.
    pub mechanisms: Vec<Mechanism>,
    /// The host and the port that were dialled, for OAUTHBEARER (RFC 7628 section 3.1).
    pub server: Option<(String, u16)>,
}

/// Settings of a connection.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// What we call ourselves. Octets that may not stand there are left out.
    pub ehlo: String,
    /// How TLS begins. `None` is plaintext, for tests only: a log-in would go out in plaintext.
    pub tls: Option<Tls>,
    /// As whom to log in, if at all.
    pub login: Option<ClientLogin>,
    /// Use PIPELINING where it is offered (RFC 2920).
    pub pipelining: bool,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The sender.
    pub from: ReversePath,
    /// The recipients.
    pub to: Vec<Address>,
    /// Octets of the message before dots are doubled.
    pub size: u64,
    /// It has octets above 127.
    pub eight_bit: bool,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Write the output, then read more.
    More,
    /// Write the output, do the handshake, call [`ClientSession::tls_started`].
    StartTls,
    /// Logged in: [`ClientSession::start`] a transaction.
    Ready,
    /// 354 came: call [`ClientSession::body`] for each piece and then [`ClientSession::finish`]. Step in between, if bytes arrive: a
    /// server may refuse in the middle.
    SendBody,
    /// The transaction is over.
    Done(Outcome),
    /// The connection is of no use.
    Failed(Failure),
    /// There is nothing more to come.
    Closed,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Auth(opening::Dialogue),
    Idle,
    Busy(Box<Progress>),
    Quit,
    /// A transaction is still open on the server: only QUIT makes sense.
    Spent,
    Dead,
}

/// One connection, as the client sees it. `Debug` shows the phase only: the output may hold a password.
pub struct ClientSession {
    settings: ClientSettings,
    input: BytesMut,
    output: BytesMut,
    parser: ReplyParser,
    state: State,
    /// TLS is on, or not wanted.
    secured: bool,
    sent_credentials: bool,
    extensions: Extensions,
    transcript: Transcript,
    done: u32,
    /// An outcome that needed no reply.
    ready: Option<ClientEvent>,
    /// The transaction whose commands went out behind the final dot, and how many octets they are.
    next: Option<(Box<Progress>, usize)>,
}

impl ClientSession {
    /// A client that waits for the greeting.
    pub fn new(settings: ClientSettings) -> ClientSession {
        ClientSession {
            secured: settings.tls != Some(Tls::StartTls),
            settings,
            input: BytesMut::new(),
            output: BytesMut::new(),
            parser: ReplyParser::new(),
            state: State::Greeting,
            sent_credentials: false,
            extensions: Extensions::default(),
            transcript: Transcript::new(TRANSCRIPT_LINES),
            done: 0,
            ready: None,
            next: None,
        }
    }

    /// Takes bytes from the server. Behind QUIT they are ignored: some servers send rubbish there.
    pub fn input(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Quit | State::Spent | State::Dead) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Reads what is in the input until the driver is needed. Call it again after each event but [`ClientEvent::More`],
    /// [`ClientEvent::StartTls`], [`ClientEvent::Failed`] and [`ClientEvent::Closed`].
    pub fn step(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.ready.take() {
                return event;
            }
            match self.state {
                State::Dead | State::Spent => return ClientEvent::Closed,
                State::Quit | State::Handshake => return ClientEvent::More,
                State::Greeting
                | State::Ehlo
                | State::Helo
                | State::StartTls
                | State::Auth(_)
                | State::Idle
                | State::Busy(_) => {}
            }
            match self.parser.next(&mut self.input) {
                Ok(None) => return ClientEvent::More,
                Ok(Some(reply)) => {
                    if let Some(event) = self.take(reply) {
                        return event;
                    }
                }
                Err(error) => {
                    self.transcript.server(&self.input[..self.input.len().min(200)]);
                    return self.out_of_step(error.to_string());
                }
            }
        }
    }

    fn take(&mut self, reply: Reply) -> Option<ClientEvent> {
        for line in reply.lines() {
            self.transcript.server(&[reply.code().to_string().as_bytes(), b" ", line].concat());
        }
        match &self.state {
            State::Greeting => self.greeted(reply),
            State::Ehlo => self.ehlo_answered(reply),
            State::Helo => self.helo_answered(reply),
            State::StartTls => self.starttls_answered(reply),
            State::Auth(_) => self.auth_answered(reply),
            State::Busy(_) => self.transaction_answered(reply),
            State::Idle | State::Handshake | State::Quit | State::Spent | State::Dead => {
                // Unsolicited, a 421 as a rule (RFC 5321 section 3.8).
                Some(self.fail(FailureKind::Refused(reply)))
            }
        }
    }

    /// The handshake is done. Sends EHLO again: what was said before it does not count (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if !matches!(self.state, State::Handshake) {
            return;
        }
        if !self.input.is_empty() {
            // Plaintext that somebody put behind the 220.
            let failure = self.fail(FailureKind::Protocol("plaintext arrived behind the reply to STARTTLS".to_owned()));
            self.ready = Some(failure);
            return;
        }
        self.secured = true;
        self.extensions = Extensions::default();
        self.send_ehlo();
    }

    /// Ends the dialogue, where a QUIT makes sense; otherwise just close. The reply is not waited for.
    pub fn quit(&mut self) {
        match self.state {
            // In the middle of a message a QUIT would be text.
            State::Busy(_) | State::Dead | State::Quit | State::Handshake => self.state = State::Dead,
            State::Greeting
            | State::Ehlo
            | State::Helo
            | State::StartTls
            | State::Auth(_)
            | State::Idle
            | State::Spent => {
                self.send("QUIT");
                self.state = State::Quit;
            }
        }
        self.input.clear();
    }

    /// The connection is lost. A complete reply in the input is used first. Before and in the log-in this is
    /// [`ClientEvent::Failed`], in a transaction [`ClientEvent::Done`], and otherwise [`ClientEvent::Closed`].
    pub fn lost(&mut self, why: Lost) -> ClientEvent {
        loop {
            match self.step() {
                ClientEvent::More => break,
                last @ (ClientEvent::Done(_) | ClientEvent::Failed(_) | ClientEvent::Closed) => {
                    self.state = State::Dead;
                    return last;
                }
                // Too late for these.
                ClientEvent::StartTls | ClientEvent::Ready | ClientEvent::SendBody => {}
            }
        }
        match self.state {
            State::Busy(_) => self.transaction_lost(why),
            State::Idle | State::Quit | State::Spent | State::Dead => {
                self.state = State::Dead;
                ClientEvent::Closed
            }
            State::Greeting | State::Ehlo | State::Helo | State::StartTls | State::Handshake | State::Auth(_) => {
                self.fail(FailureKind::Lost(why))
            }
        }
    }

    /// Commands and message data that wait to be written. Take off only what was written: what is left here when the
    /// connection is lost has certainly not arrived.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Where the dialogue stands.
    pub fn phase(&self) -> ClientPhase {
        match &self.state {
            State::Greeting => ClientPhase::Greeting,
            State::Ehlo | State::Helo => ClientPhase::Ehlo,
            State::StartTls | State::Handshake => ClientPhase::StartTls,
            State::Auth(_) => ClientPhase::Auth,
            State::Idle => ClientPhase::Idle,
            State::Busy(progress) => progress.phase(),
            State::Quit | State::Spent | State::Dead => ClientPhase::Quit,
        }
    }

    /// The end of the dialogue, without secrets.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// What the server offers; empty before EHLO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Messages that the server accepted on this connection.
    pub fn messages_done(&self) -> u32 {
        self.done
    }

    fn send(&mut self, line: &str) {
        self.transcript.client(line.as_bytes());
        self.send_unseen(line);
    }

    fn send_unseen(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn fail(&mut self, kind: FailureKind) -> ClientEvent {
        let failure = Failure { phase: self.phase(), kind, sent_credentials: self.sent_credentials };
        self.state = State::Dead;
        self.input.clear();
        ClientEvent::Failed(failure)
    }

    /// The peer is not in step with us: nothing it says can be believed any more.
    fn out_of_step(&mut self, why: String) -> ClientEvent {
        self.input.clear();
        match self.state {
            State::Busy(_) => self.transaction_lost(Lost::Protocol),
            State::Greeting
            | State::Ehlo
            | State::Helo
            | State::StartTls
            | State::Handshake
            | State::Auth(_)
            | State::Idle
            | State::Quit
            | State::Spent
            | State::Dead => self.fail(FailureKind::Protocol(why)),
        }
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
