//! What a session says by itself, and the count of what its client does wrong.
//!
//! Invariant: after the reply that closes the dialogue, the session says nothing more.

use std::sync::Arc;

use bytes::BytesMut;

use super::event::{MailRefusal, Note, RefusalCause, SHOWN};
use super::replies::Replies;
use super::settings::{Profile, SessionSettings};
use crate::mail::{Address, ReversePath};
use crate::smtp::command::printable;
use crate::smtp::reply::{Class, Reply};

/// At most this many notes are kept until the driver asks; further ones are dropped.
pub(super) const NOTES: usize = 16;

/// The output of a session and its counters.
#[derive(Debug)]
pub(super) struct Responder {
    pub(super) settings: Arc<SessionSettings>,
    pub(super) output: BytesMut,
    pub(super) counters: Counters,
    /// The last reply is in the output.
    pub(super) closing: bool,
    pub(super) notes: Vec<Note>,
    /// Refusals for good since the driver has asked.
    pub(super) failures: u32,
    /// The refusal that the driver has to log; the next step takes it.
    pub(super) refused: Option<Box<MailRefusal>>,
    /// The dialogue ends because the client has made too many errors; the next step logs that.
    pub(super) gave_up: bool,
}

/// What is lost by a refusal, without the reply.
#[derive(Debug)]
pub(super) struct Loss {
    cause: RefusalCause,
    note: Option<Note>,
    sender: Option<ReversePath>,
    recipient: Option<String>,
    size: Option<u64>,
}

impl Loss {
    pub(super) fn of(cause: RefusalCause) -> Loss {
        Loss { cause, note: None, sender: None, recipient: None, size: None }
    }

    pub(super) fn note(self, note: Note) -> Loss {
        Loss { note: Some(note), ..self }
    }

    pub(super) fn sender(self, sender: ReversePath) -> Loss {
        Loss { sender: Some(sender), ..self }
    }

    pub(super) fn recipient(self, recipient: &Address) -> Loss {
        self.recipient_text(recipient.to_string().as_bytes())
    }

    /// A recipient that is not an address.
    pub(super) fn recipient_text(self, text: &[u8]) -> Loss {
        Loss { recipient: Some(printable(text, SHOWN)), ..self }
    }

    pub(super) fn size(self, size: impl Into<Option<u64>>) -> Loss {
        Loss { size: size.into(), ..self }
    }

    pub(super) fn with(self, reply: Reply) -> Box<MailRefusal> {
        let Loss { cause, note, sender, recipient, size } = self;
        Box::new(MailRefusal { cause, reply, note, sender, recipient, size })
    }
}

/// What counts against a client, since its last delivery; messages and refused log-ins since the beginning.
#[derive(Debug, Default)]
pub(super) struct Counters {
    errors: u32,
    junk: u32,
    pub(super) blank: u32,
    pub(super) messages: u32,
    pub(super) failed_logins: u32,
}

impl Counters {
    /// A message was accepted. Refused log-ins still count: otherwise a client that may send could guess for ever.
    pub(super) fn delivered(&mut self) {
        let Counters { messages, failed_logins, .. } = *self;
        *self = Counters { messages: messages + 1, failed_logins, ..Counters::default() };
    }
}

impl Responder {
    pub(super) fn new(settings: Arc<SessionSettings>) -> Responder {
        let (output, counters) = (BytesMut::new(), Counters::default());
        Responder {
            settings,
            output,
            counters,
            closing: false,
            notes: Vec::new(),
            failures: 0,
            refused: None,
            gave_up: false,
        }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.settings.profile == Profile::Strict
    }

    pub(super) fn say(&mut self, pick: impl Fn(&Replies) -> &Reply) {
        pick(&self.settings.replies).write(&mut self.output);
    }

    /// Says a refusal that counts against the client.
    pub(super) fn fail(&mut self, pick: impl Fn(&Replies) -> &Reply) {
        self.say(pick);
        self.count_error();
    }

    /// As [`Responder::say`], for a refusal that may lose or shorten a mail.
    pub(super) fn say_mail(&mut self, loss: Loss, pick: impl Fn(&Replies) -> &Reply) {
        self.refused = Some(loss.with(pick(&self.settings.replies).clone()));
        self.say(pick);
    }

    /// As [`Responder::fail`], for a refusal that may lose or shorten a mail.
    pub(super) fn fail_mail(&mut self, loss: Loss, pick: impl Fn(&Replies) -> &Reply) {
        self.say_mail(loss, pick);
        self.count_error();
    }

    /// As [`Responder::close_with`], for a refusal that may lose or shorten a mail.
    pub(super) fn close_mail(&mut self, loss: Loss, pick: impl Fn(&Replies) -> &Reply) {
        self.say_mail(loss, pick);
        self.closing = true;
    }

    /// Says the reply to a command that does nothing, of which a client may send so many.
    pub(super) fn idle(&mut self, pick: impl Fn(&Replies) -> &Reply) {
        self.say(pick);
        self.count_junk();
    }

    pub(super) fn close_with(&mut self, pick: impl Fn(&Replies) -> &Reply) {
        self.say(pick);
        self.closing = true;
    }

    /// Says what the driver has decided.
    pub(super) fn pass_on(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
        if reply.class() == Class::Permanent {
            self.count_error();
        }
    }

    /// Some clients loop on errors: the connection closes after `max_errors` of them.
    fn count_error(&mut self) {
        self.counters.errors += 1;
        self.failures = self.failures.saturating_add(1);
        if self.counters.errors >= self.settings.max_errors {
            self.close_for_errors();
        }
    }

    pub(super) fn count_junk(&mut self) {
        self.counters.junk += 1;
        if self.counters.junk > self.settings.max_junk {
            self.close_for_errors();
        }
    }

    fn close_for_errors(&mut self) {
        self.gave_up = true;
        self.close_with(|replies| &replies.too_many_errors);
    }

    pub(super) fn note(&mut self, note: Note) {
        if self.notes.len() < NOTES {
            self.notes.push(note);
        }
    }
}
