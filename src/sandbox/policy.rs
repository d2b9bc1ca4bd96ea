//! The provider's verdicts: who may log in, who may send what to whom, and whether a message is good.
//!
//! One policy sits on each connection and collects the message that is coming. It knows no socket. Order and wording are
//! QQ's as far as transcripts show them: the sender is judged at MAIL, recipients at RCPT, the From field at the end.
//!
//! Invariant: a message is in the store before its `250` is in the output.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memmem};

use crate::mail::{Address, ReversePath};
use crate::message::from_rule::qq_accepts;
use crate::secret::Secret;
use crate::smtp::{Class, Reply};

use super::limits::Window;
use super::replies;
use super::shared::Shared;
use super::store::{LoginRefusal, Received};

/// The longest line of a message without its CRLF, in octets (RFC 5321 section 4.5.3.1.6).
const MAX_LINE: usize = 998;

/// What is said to a command that asked.
pub(super) enum Verdict {
    /// This reply.
    Policyd(Reply),
    /// These octets, and the reply that the session shall take them for.
    Octets(Reply, Vec<u8>),
}

impl Verdict {
    /// Whether the dialogue goes on as after a yes.
    pub(super) fn accepts(&self) -> bool {
        matches!(self.reply().class(), Class::Positive | Class::Intermediate)
    }

    /// The reply, as the session knows it.
    pub(super) fn reply(&self) -> &Reply {
        match self {
            Verdict::Policyd(reply) | Verdict::Octets(reply, _) => reply,
        }
    }
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Verdict {
        Verdict::Policyd(reply)
    }
}

impl From<Vec<u8>> for Verdict {
    /// Takes octets for the reply whose code they start with, and for a 451 if they start with none.
    fn from(octets: Vec<u8>) -> Verdict {
        let code = octets.get(..3).and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse().ok());
        Verdict::Octets(Reply::new(code.unwrap_or(451), ""), octets)
    }
}

/// What is said of a frequency.
fn limited(asked: Result<(), Window>) -> Verdict {
    match asked {
        Ok(()) => replies::say(replies::OK).into(),
        Err(Window::Minute | Window::Hour) => replies::say(replies::SENDER_LIMITED).into(),
        Err(Window::Day) => replies::daily_limit().into(),
    }
}

/// See the top of the file.
pub(super) struct Policy {
    shared: Arc<Shared>,
    connection: u64,
    client: IpAddr,
    from: String,
    to: Vec<String>,
    data: Vec<u8>,
}

impl Policy {
    pub(super) fn new(shared: Arc<Shared>, connection: u64, client: IpAddr) -> Policy {
        Policy { shared, connection, client, from: String::new(), to: Vec::new(), data: Vec::new() }
    }

    /// The reply to a log-in, after which the connection goes on; or the octets with which it ends.
    pub(super) fn log_in(&self, user: &str, secret: &Secret, tls: bool) -> Result<Reply, Vec<u8>> {
        let store = &self.shared.store;
        if !tls {
            store.count(|stats| stats.logins_refused += 1);
            return Ok(replies::say(replies::NOT_SECURE));
        }
        let refusal = store.log_in(user, secret, self.shared.clock.now()).err();
        self.note_login(user, refusal.is_none());
        let Some(refusal) = refusal else { return Ok(replies::say(replies::LOGGED_IN)) };
        tracing::info!(event = "sandbox_login_refused", client = %self.client, connection = self.connection);
        Err(match refusal {
            LoginRefusal::Vague => format!("{} {}\r\n", replies::LOGIN_FAILED.0, replies::LOGIN_FAILED.1).into_bytes(),
            LoginRefusal::UseAuthorizationCode => replies::use_authorization_code(),
        })
    }

    /// Writes down what came of a log-in over TLS.
    pub(super) fn note_login(&self, user: &str, accepted: bool) {
        let (user, at) = (user.to_owned(), self.shared.clock.now());
        self.shared.store.note_login(super::store::Login { user, at, connection: self.connection, accepted });
    }

    /// `login` is who the session says is logged in; without one the session has refused already.
    pub(super) fn mail(&self, from: &ReversePath, login: &str) -> Verdict {
        // The null sender is not the one who logged in either.
        if !from.address().is_some_and(|address| address.as_str().eq_ignore_ascii_case(login)) {
            return replies::say(replies::WRONG_SENDER).into();
        }
        limited(self.shared.store.may_send(login, self.shared.clock.now()))
    }

    /// The sender was accepted.
    pub(super) fn begin(&mut self, from: &ReversePath) {
        self.forget();
        self.from = from.to_string();
    }

    pub(super) fn recipient(&self, to: &Address, login: &str) -> Verdict {
        let local = to.local().to_ascii_lowercase();
        let refusal = if !to.is_qualified() {
            replies::BAD_ADDRESS
        } else if local == "nobody" || local.starts_with("refused") {
            replies::NO_MAILBOX
        } else if local.starts_with("busy") {
            replies::BUSY_MAILBOX
        } else {
            return limited(self.shared.store.may_reach(login, self.shared.clock.now()));
        };
        replies::say(refusal).into()
    }

    /// The recipient was accepted, or not.
    pub(super) fn note(&mut self, to: &Address, accepted: bool) {
        match accepted {
            true => self.to.push(to.to_string()),
            false => self.shared.store.count(|stats| stats.recipients_refused += 1),
        }
    }

    pub(super) fn chunk(&mut self, chunk: &[u8]) {
        self.data.extend_from_slice(chunk);
    }

    /// Whether the message is good.
    pub(super) fn end(&self) -> Verdict {
        let reply = replies::say(if has_bad_line(&self.data) {
            replies::BAD_LINE
        } else if !qq_accepts(head(&self.data)) {
            replies::BAD_FROM
        } else {
            replies::QUEUED
        });
        reply.into()
    }

    /// Keeps the message as received.
    pub(super) fn keep(&mut self, login: &str) {
        let mut data = std::mem::take(&mut self.data);
        data.shrink_to_fit();
        let message = Received {
            from: std::mem::take(&mut self.from),
            to: std::mem::take(&mut self.to),
            data: Bytes::from(data),
            login: login.to_owned(),
            connection: self.connection,
            at: self.shared.clock.now(),
        };
        self.shared.store.put(message);
    }

    /// The message was refused, at whatever stage.
    pub(super) fn refuse(&mut self, why: &dyn Display) {
        tracing::info!(event = "sandbox_refused", client = %self.client, connection = self.connection, %why);
        self.forget();
        self.shared.store.count(|stats| stats.refused += 1);
    }

    /// The transaction is gone.
    pub(super) fn forget(&mut self) {
        self.from.clear();
        self.to.clear();
        self.data = Vec::new();
    }
}

/// The header block with the line end of its last line; all of it when there is no body.
fn head(data: &[u8]) -> &[u8] {
    if data.starts_with(b"\r\n") {
        // The blank line comes first: there is a body and no header (RFC 5322 section 2.1).
        return b"";
    }
    match memmem::find(data, b"\r\n\r\n") {
        Some(end) => &data[..end + 2],
        None => data,
    }
}

/// Bare CR and LF are the session's business.
fn has_bad_line(data: &[u8]) -> bool {
    let mut start = 0;
    for end in memchr_iter(b'\n', data) {
        if end - start > MAX_LINE + 1 {
            return true;
        }
        start = end + 1;
    }
    data.len() - start > MAX_LINE || memchr(0, data).is_some()
}
