//! One message to its recipients: MAIL, RCPT, DATA, the data, the verdict (RFC 5321 section 3.3), in one round trip for
//! the commands where PIPELINING is offered (RFC 2920).
//!
//! Invariants: each command has its reply read before anything is concluded; refused recipients keep their own reply;
//! the others share that of the final dot.

use super::{
    ClientEvent, ClientPhase, ClientSession, FailureKind, Lost, Outcome, RecipientOutcome, State, Transaction,
};
use crate::mail::Address;
use crate::smtp::data::Stuff;
use crate::smtp::reply::{Class, Reply};

/// How far a transaction has come. The stage names the reply that is due.
#[derive(Debug)]
pub(super) struct Progress {
    to: Vec<Address>,
    /// What is already known; `None` for those who are still in the game.
    known: Vec<Option<RecipientOutcome>>,
    /// RCPT replies so far.
    answered: usize,
    pipelined: bool,
    mail_refused: Option<Reply>,
    stage: Stage,
    sent: u64,
}

#[derive(Debug)]
enum Stage {
    Mail,
    Rcpt,
    Data,
    Body(Stuff),
    FinalDot,
    /// Nobody is left, but 354 came: an empty message to nobody ends it (RFC 2920 section 3.1).
    LoneDot,
}

impl Progress {
    fn new(to: Vec<Address>, pipelined: bool) -> Progress {
        let known = vec![None; to.len()];
        Progress { known, to, answered: 0, pipelined, mail_refused: None, stage: Stage::Mail, sent: 0 }
    }

    pub(super) fn phase(&self) -> ClientPhase {
        match self.stage {
            Stage::Mail => ClientPhase::Mail,
            Stage::Rcpt => ClientPhase::Rcpt,
            Stage::Data => ClientPhase::DataCommand,
            Stage::Body(_) => ClientPhase::Body,
            Stage::FinalDot | Stage::LoneDot => ClientPhase::FinalDot,
        }
    }

    fn anybody_left(&self) -> bool {
        self.known.iter().any(Option::is_none)
    }
}

impl ClientSession {
    /// Starts a transaction, after [`ClientEvent::Ready`] or a [`ClientEvent::Done`] that says `reusable`. At any other time the
    /// next step fails.
    pub fn start(&mut self, tx: Transaction) {
        if !matches!(self.state, State::Idle) {
            let failure = self.fail(FailureKind::Protocol("a transaction was started out of turn".to_owned()));
            self.ready = Some(failure);
            return;
        }
        let pipelined = self.settings.pipelining && self.extensions.pipelining;
        let progress = Progress::new(tx.to.clone(), pipelined);
        self.state = State::Busy(Box::new(progress));
        if let Some(limit) = self.extensions.max_size.filter(|&limit| tx.size > limit) {
            // RFC 1870 section 6.1: no need to ask.
            let text = format!("5.3.4 Message size exceeds limit: it has {} octets, the server takes {limit}", tx.size);
            let event = self.all_refused(ClientPhase::Mail, &Reply::new(552, &text), true);
            self.ready = Some(event);
            return;
        }
        self.send_mail(&tx);
        if pipelined {
            self.send_group();
        }
    }

    /// Sends the commands of the next transaction behind the final dot of this one, in the same round trip (RFC 2920
    /// section 3.1: message content may be the first in a group). Call it after [`ClientSession::finish`]. False when that
    /// cannot be: then use [`ClientSession::start`] when this one is done. Once true, this transaction's [`ClientEvent::Done`] that
    /// says `reusable` is followed by the events of the next; with any other end the next one was never begun.
    pub fn follow(&mut self, tx: &Transaction) -> bool {
        let State::Busy(progress) = &self.state else { return false };
        let fits = self.extensions.max_size.is_none_or(|limit| tx.size <= limit);
        if !matches!(progress.stage, Stage::FinalDot) || !progress.pipelined || self.next.is_some() || !fits {
            return false;
        }
        let before = self.output.len();
        self.send_mail(tx);
        for to in &tx.to {
            self.send(&format!("RCPT TO:<{to}>"));
        }
        self.send("DATA");
        let octets = self.output.len() - before;
        self.next = Some((Box::new(Progress::new(tx.to.clone(), true)), octets));
        true
    }

    fn send_mail(&mut self, tx: &Transaction) {
        let mut line = format!("MAIL FROM:<{}>", tx.from);
        if self.extensions.size {
            line.push_str(&format!(" SIZE={}", tx.size));
        }
        if tx.eight_bit && self.extensions.eight_bit_mime {
            line.push_str(" BODY=8BITMIME");
        }
        self.send(&line);
    }

    /// The rest of the commands, in the same write.
    fn send_group(&mut self) {
        let State::Busy(progress) = &self.state else { return };
        let lines: Vec<String> = progress.to.iter().map(|to| format!("RCPT TO:<{to}>")).collect();
        for line in lines {
            self.send(&line);
        }
        self.send("DATA");
    }

    /// Sends a piece of the message, with dots doubled. Nothing happens unless [`ClientEvent::SendBody`] came.
    pub fn body(&mut self, chunk: &[u8]) {
        if let State::Busy(progress) = &mut self.state
            && let Stage::Body(stuff) = &mut progress.stage
        {
            progress.sent += chunk.len() as u64;
            stuff.push(chunk, &mut self.output);
        }
    }

    /// Ends the message. From now on only the server knows whether it is delivered.
    pub fn finish(&mut self) {
        if let State::Busy(progress) = &mut self.state
            && let Stage::Body(stuff) = &mut progress.stage
        {
            // The end is appended in one piece: there are firewalls that lose a split one.
            std::mem::take(stuff).finish(&mut self.output);
            progress.stage = Stage::FinalDot;
            self.transcript.client(format!("[{} octets of message]", progress.sent).as_bytes());
            self.transcript.client(b".");
        }
    }

    pub(super) fn transaction_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        let State::Busy(progress) = &self.state else { return None };
        if reply.code() == 421 {
            // The server is closing, whatever was asked (RFC 5321 section 3.8).
            let phase = progress.phase();
            return Some(self.all_refused(phase, &reply, false));
        }
        match (&progress.stage, reply.class()) {
            (Stage::Mail, Class::Positive | Class::Transient | Class::Permanent) => self.mail_answered(reply),
            (Stage::Rcpt, Class::Positive | Class::Transient | Class::Permanent) => self.rcpt_answered(reply),
            (Stage::Data, Class::Intermediate) => self.data_accepted(),
            (Stage::Data, Class::Transient | Class::Permanent) => {
                // Without a MAIL there is no transaction that a RSET would have to end.
                let reusable = progress.mail_refused.is_some();
                Some(self.all_refused(ClientPhase::DataCommand, &reply, reusable))
            }
            // It will not listen to the rest.
            (Stage::Body(_), Class::Transient | Class::Permanent) => {
                Some(self.all_refused(ClientPhase::Body, &reply, false))
            }
            (Stage::FinalDot, Class::Positive) => {
                self.done += 1;
                Some(self.settle(true, |_| RecipientOutcome::Accepted(reply.clone())))
            }
            (Stage::FinalDot, Class::Transient | Class::Permanent) => {
                Some(self.all_refused(ClientPhase::FinalDot, &reply, true))
            }
            (Stage::LoneDot, _) => Some(self.all_refused(ClientPhase::FinalDot, &reply, false)),
            (Stage::Mail | Stage::Rcpt | Stage::FinalDot, Class::Intermediate)
            | (Stage::Data, Class::Positive)
            | (Stage::Body(_), Class::Positive | Class::Intermediate) => {
                Some(self.out_of_step("a reply that does not fit what was said".to_owned()))
            }
        }
    }

    fn mail_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        let State::Busy(progress) = &mut self.state else { return None };
        let refused = !reply.is_positive();
        if refused && !progress.pipelined {
            return Some(self.all_refused(ClientPhase::Mail, &reply, true));
        }
        if refused {
            progress.mail_refused = Some(reply);
        }
        progress.stage = Stage::Rcpt;
        self.next_rcpt()
    }

    /// Asks for the next recipient, or goes on to DATA behind the last.
    fn next_rcpt(&mut self) -> Option<ClientEvent> {
        let State::Busy(progress) = &mut self.state else { return None };
        if let Some(to) = progress.to.get(progress.answered) {
            if !progress.pipelined {
                let line = format!("RCPT TO:<{to}>");
                self.send(&line);
            }
            return None;
        }
        progress.stage = Stage::Data;
        if progress.pipelined {
            return None;
        }
        if !progress.anybody_left() {
            // Each has its own refusal already; the fallback is for nobody.
            let event =
                self.settle(false, |_| RecipientOutcome::NotTried { phase: ClientPhase::Rcpt, lost: Lost::Protocol });
            self.state = State::Spent;
            return Some(event);
        }
        self.send("DATA");
        None
    }

    fn rcpt_answered(&mut self, reply: Reply) -> Option<ClientEvent> {
        let State::Busy(progress) = &mut self.state else { return None };
        let refused = match &progress.mail_refused {
            // The 503 to this one only echoes the refusal of the sender.
            Some(mail) => Some(RecipientOutcome::Refused { phase: ClientPhase::Mail, reply: mail.clone() }),
            None if reply.is_positive() => None,
            None => Some(RecipientOutcome::Refused { phase: ClientPhase::Rcpt, reply }),
        };
        if let Some(known) = progress.known.get_mut(progress.answered) {
            *known = refused;
        }
        progress.answered += 1;
        self.next_rcpt()
    }

    fn data_accepted(&mut self) -> Option<ClientEvent> {
        let State::Busy(progress) = &mut self.state else { return None };
        if progress.anybody_left() {
            progress.stage = Stage::Body(Stuff::new());
            return Some(ClientEvent::SendBody);
        }
        progress.stage = Stage::LoneDot;
        self.send(".");
        None
    }

    fn all_refused(&mut self, phase: ClientPhase, reply: &Reply, reusable: bool) -> ClientEvent {
        let event = self.settle(reusable, |_| RecipientOutcome::Refused { phase, reply: reply.clone() });
        // In the middle of the message a QUIT would be text, and after a 421 nobody listens.
        if !reusable && phase != ClientPhase::Body && reply.code() != 421 {
            self.state = State::Spent;
        }
        event
    }

    /// The connection is gone, or out of step.
    pub(super) fn transaction_lost(&mut self, lost: Lost) -> ClientEvent {
        // While a part of the final CRLF.CRLF is still here, the server cannot have seen it.
        // What stands behind it belongs to the next transaction.
        let unsent = self.output.len() > self.next.as_ref().map_or(0, |(_, octets)| *octets);
        self.settle(false, |progress| match (&progress.stage, lost) {
            (Stage::FinalDot, _) if !unsent => RecipientOutcome::Uncertain { lost },
            // It answered in the middle of the message: who knows where it saw an end.
            (Stage::Body(_), Lost::Protocol) => RecipientOutcome::Uncertain { lost },
            (
                Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Body(_) | Stage::FinalDot | Stage::LoneDot,
                Lost::Eof | Lost::Timeout | Lost::Reset | Lost::Protocol,
            ) => RecipientOutcome::NotTried { phase: progress.phase(), lost },
        })
    }

    /// Ends the transaction; `rest` is for those whose outcome is not known yet.
    fn settle(&mut self, reusable: bool, rest: impl Fn(&Progress) -> RecipientOutcome) -> ClientEvent {
        // What stands behind the verdict unasked, a 221 or 421 as a rule, must not be taken for the answer to the next
        // command: replies belong to commands by their order alone (RFC 5321 section 4.1.1).
        let reusable = reusable && (self.next.is_some() || self.input.is_empty());
        let next = match self.next.take() {
            Some((next, _)) if reusable => State::Busy(next),
            Some(_) | None if reusable => State::Idle,
            Some(_) | None => State::Dead,
        };
        let State::Busy(mut progress) = std::mem::replace(&mut self.state, next) else { return ClientEvent::Closed };
        let known = std::mem::take(&mut progress.known);
        let recipients = known.into_iter().map(|known| known.unwrap_or_else(|| rest(&progress))).collect();
        ClientEvent::Done(Outcome { recipients, reusable })
    }
}
