//! The lines of the log about mail that is refused or does not arrive: one line a fact, counted once.
//!
//! `refused`: the relay refuses a connection, a command or a message, and a mail is lost or shortened by it. `discarded`:
//! the connection ends in the middle of a mail. Not here: the texts (`refusal`), and what the session refuses by itself
//! (`smtp::server`). Invariant: both are counted in `yizhan_refused_total` also where the address has used up its lines.

use tracing::field::display;

use crate::mail::ReversePath;
use crate::smtp::Reply;
use crate::smtp::server::{MailRefusal, RefusalCause};
use crate::telemetry::counter;

use super::client::Peer;
use super::context::IntakeContext;
use super::log_lines::within_budget;
use super::refusal::Refusal;

/// What is known of the mail that a connection is in the middle of.
#[derive(Clone, Debug, Default)]
pub(super) struct MailFacts {
    /// The envelope sender, once MAIL was seen.
    pub(super) sender: Option<ReversePath>,
    /// The octets that MAIL declared.
    pub(super) declared: Option<u64>,
    /// The octets received.
    pub(super) received: u64,
}

impl MailFacts {
    fn size(&self) -> Option<u64> {
        if self.received > 0 { Some(self.received) } else { self.declared }
    }
}

/// One line about mail that does not come in.
#[derive(Debug, Default)]
pub(super) struct RefusalLine {
    sender: Option<ReversePath>,
    recipient: Option<String>,
    size: Option<u64>,
    reason: &'static str,
    why: Option<String>,
    reply: Option<Reply>,
}

impl RefusalLine {
    /// Something that is refused outside of a mail.
    pub(super) fn new(refusal: Refusal) -> RefusalLine {
        RefusalLine { reason: refusal.reason, reply: Some(refusal.reply), ..RefusalLine::default() }
    }

    /// A connection that is closed without a reply.
    pub(super) fn unanswered(reason: &'static str) -> RefusalLine {
        RefusalLine { reason, ..RefusalLine::default() }
    }

    /// What a session has refused by itself.
    pub(super) fn of_session(refused: MailRefusal, facts: &MailFacts) -> RefusalLine {
        let MailRefusal { cause, reply, note, sender, recipient, size } = refused;
        let goes_on = (cause == RefusalCause::Recipients).then(|| "the mail goes on without this recipient".to_owned());
        let why = note.map(|note| note.to_string()).or(goes_on);
        let line = RefusalLine { sender, recipient, size, reason: cause.name(), why, reply: Some(reply) };
        line.about(facts)
    }

    /// Adds what is known of the mail.
    pub(super) fn about(self, facts: &MailFacts) -> RefusalLine {
        let sender = self.sender.or_else(|| facts.sender.clone());
        RefusalLine { sender, size: self.size.or(facts.size()), ..self }
    }

    pub(super) fn recipient(self, recipient: Option<String>) -> RefusalLine {
        RefusalLine { recipient, ..self }
    }

    /// Octets received.
    pub(super) fn size(self, size: u64) -> RefusalLine {
        RefusalLine { size: Some(size), ..self }
    }

    pub(super) fn why(self, why: impl ToString) -> RefusalLine {
        RefusalLine { why: Some(why.to_string()), ..self }
    }

    /// Logs and counts it as `refused`.
    pub(super) fn refused(self, around: &IntakeContext, peer: &Peer, listener: &str) {
        self.count(around);
        let (addr, client) = (peer.addr, &*peer.name);
        let RefusalLine { recipient, size, reason, why, .. } = &self;
        let (sender, reply) = (self.sender(), self.reply.as_ref().map(display));
        within_budget!(INFO, around, addr, "refused", client, %addr, listener, sender, recipient, size, reason, why, reply);
    }

    /// Logs and counts it as `discarded`.
    pub(super) fn discarded(self, around: &IntakeContext, peer: &Peer, listener: &str) {
        self.count(around);
        let (addr, client) = (peer.addr, &*peer.name);
        let (sender, reply) = (self.sender(), self.reply.as_ref().map(display));
        let RefusalLine { size, reason, .. } = &self;
        within_budget!(INFO, around, addr, "discarded", client, %addr, listener, sender, size, reason, reply);
    }

    fn count(&self, around: &IntakeContext) {
        around.counters.add(counter::REFUSED, &[("reason", self.reason)], 1);
    }

    /// The sender as the log shows it: `<>` for the null sender.
    fn sender(&self) -> Option<String> {
        self.sender.as_ref().map(|sender| match sender.address() {
            Some(address) => address.to_string(),
            None => "<>".to_owned(),
        })
    }
}
