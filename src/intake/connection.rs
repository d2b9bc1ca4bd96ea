//! One client's connection: the socket shell around `smtp::server`.
//!
//! It reads, writes and keeps deadlines; what the octets mean is the session's business, and what becomes of a message
//! is `admit`'s. The deadline of a command runs from the end of the one before, however slowly its octets drip in; that
//! of message data moves with its octets (`pace`). An idle connection holds no read buffer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::capacity::Place;
use crate::net::stream::Stream;
use crate::secret::Secret;
use crate::smtp::Reply;
use crate::smtp::server::{AuthMode, Reason, RefusalCause, Session, SessionEvent, SessionPhase, Unfinished};
use crate::telemetry::counter::Raised;
use crate::telemetry::{counter, panic};

use super::admit::Admission;
use super::client::Peer;
use super::context::IntakeContext;
use super::handshake::{hint, shake_hands};
use super::log_lines::within_budget;
use super::login::Verdict;
use super::pace::Pace;
use super::refusal::{self, Refusal};
use super::refusal_log::{MailFacts, RefusalLine};
use super::settings::{Deadlines, ListenerSettings};

/// How much is read at a time: of commands, and of a message at its beginning and at most.
const READ: usize = 4 * 1024;
const READ_DATA: (usize, usize) = (8 * 1024, 64 * 1024);

/// How long we look for octets that come before our greeting, where they are refused (RFC 5321 section 3.1). One who
/// speaks at once does so within a round trip of the network at the door; a guard against robots would wait seconds for
/// them (postscreen of Postfix: 6), and hold up everybody else.
const EARLY_LOOK: Duration = Duration::from_millis(200);

/// The shell around a session.
pub(super) struct ClientConnection {
    stream: Stream,
    peer: Peer,
    settings: Arc<ListenerSettings>,
    around: Arc<IntakeContext>,
    /// When a client in no allowed network must be logged in.
    probation: Option<Instant>,
    /// Its place among the connections.
    place: Place,
    /// Counts it among the open connections of its listener.
    _counted: Option<Raised>,
    /// Wrong passwords on this connection.
    wrong: u32,
    /// How much of a message is read next: it doubles while there is as much, since most messages are short.
    chunk: usize,
}

/// Why a connection ended before its session did.
enum Ended {
    /// The peer is gone, or does not take what we write.
    Gone,
    /// The peer took too long.
    Late,
    /// The relay stops, and nothing was under way.
    Draining,
}

impl ClientConnection {
    /// A connection that has its place.
    pub(super) fn new(
        stream: TcpStream,
        peer: Peer,
        place: Place,
        settings: Arc<ListenerSettings>,
        around: Arc<IntakeContext>,
    ) -> ClientConnection {
        let counted = around.counters.hold(counter::CONNECTIONS, &[("listener", &settings.name)]);
        let probation = place.is_unlisted().then(|| Instant::now() + settings.deadlines.stranger);
        ClientConnection {
            stream: Stream::Plain(stream),
            _counted: counted,
            peer,
            settings,
            around,
            probation,
            place,
            wrong: 0,
            chunk: READ_DATA.0,
        }
    }

    /// Runs the session to its end, or to a panic, which ends nothing else.
    pub(super) async fn run(mut self, mut session: Session) {
        let _here = self.around.drain.hold(("session of", self.peer.addr));
        let counters = self.around.counters.clone();
        if panic::confined("session", &counters, self.attend(&mut session)).await.is_none() {
            self.break_off(&mut session).await;
        }
    }

    async fn attend(&mut self, session: &mut Session) {
        let implicit = self.settings.tls.as_ref().is_some_and(|tls| tls.implicit);
        if implicit && Box::pin(self.start_tls(session)).await.is_err() {
            return;
        }
        let mut admission = Admission::new(self.peer.clone(), self.settings.clone(), self.around.clone());
        let ended = match self.greet(session).await {
            Ok(()) => self.converse(session, &mut admission).await,
            Err(ended) => Err(ended),
        };
        self.take_notes(session);
        if let Err(ended) = &ended {
            self.report_lost(ended, session, &admission);
        }
        match ended {
            // What was accepted stays accepted: many clients do not wait for our last word, and some never say QUIT.
            Err(Ended::Gone) if !session.has_quit() => {
                within_budget!(DEBUG, &self.around, self.peer.addr, "closed", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, "closed without QUIT");
            }
            Ok(()) | Err(Ended::Gone) => {}
            Err(Ended::Late) => self.farewell(session, refusal::timeout().reply).await,
            Err(Ended::Draining) => self.farewell(session, refusal::draining().reply).await,
        }
    }

    /// The connection ended before its session did: what of a mail is lost by that.
    fn report_lost(&self, ended: &Ended, session: &Session, admission: &Admission) {
        let line = match (ended, session.unfinished()) {
            // The 552 is due at its end, which has not come.
            (_, Some(Unfinished { size, too_large: true })) => {
                RefusalLine::unanswered(RefusalCause::MessageSize.name()).size(size)
            }
            (Ended::Gone, Some(Unfinished { size, .. })) => RefusalLine::unanswered("disconnected").size(size),
            (Ended::Late, Some(Unfinished { size, .. })) => RefusalLine::new(refusal::timeout()).size(size),
            (Ended::Draining, Some(Unfinished { size, .. })) => RefusalLine::new(refusal::draining()).size(size),
            (Ended::Late, None) if session.in_transaction() => RefusalLine::new(refusal::timeout()),
            (Ended::Draining, None) if session.in_transaction() => RefusalLine::new(refusal::draining()),
            // Between two mails nothing is lost, and a client that leaves before DATA knows that it has sent none.
            (Ended::Gone | Ended::Late | Ended::Draining, None) => return,
        };
        line.about(&admission.facts).discarded(&self.around, &self.peer, &self.settings.name);
    }

    /// After a panic: nothing more is asked of the session. What it had answered before goes out, so that a message that
    /// was taken is not sent again, and then 421 (RFC 5321 section 3.8).
    async fn break_off(&mut self, session: &mut Session) {
        tracing::error!(event = "session_broken", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, "a mistake in the relay ended this session; the line above says where");
        let output = session.output();
        let whole = output.windows(2).rposition(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        output.truncate(whole);
        refusal::fault().reply.write(output);
        // Whether it is read does not matter any more.
        let _ = timeout(self.settings.deadlines.write, self.stream.send(output)).await;
        self.stream.linger().await;
    }

    /// Greets, or refuses one who may not speak before that and does. Everybody else is greeted at once, and what came
    /// before is answered in its order.
    async fn greet(&mut self, session: &mut Session) -> Result<(), Ended> {
        if session.is_strict() {
            let mut early = BytesMut::new();
            let look = tokio::select! {
                look = timeout(EARLY_LOOK, self.stream.fill(&mut early, READ)) => look,
                () = self.around.drain.asked() => return Err(Ended::Draining),
            };
            if let Ok(read) = look {
                read.map_err(|_| Ended::Gone)?;
            }
            if !early.is_empty() {
                session.spoken_too_early(&early);
                return Ok(());
            }
        }
        session.greet();
        Ok(())
    }

    async fn converse(&mut self, session: &mut Session, admission: &mut Admission) -> Result<(), Ended> {
        let mut input = BytesMut::new();
        let own = self.peer.client.as_ref().and_then(|client| client.idle);
        let command = own.unwrap_or(self.settings.deadlines.command);
        let mut pace = Pace::new(Deadlines { command, ..self.settings.deadlines }, Instant::now());
        loop {
            match session.step(&mut input) {
                SessionEvent::More => {
                    if self.write(session).await? {
                        pace.answered(Instant::now());
                    }
                    let limit = pace.limit(session.phase() == SessionPhase::Data, Instant::now());
                    let limit = match session.phase() {
                        SessionPhase::Data => limit,
                        SessionPhase::Command | SessionPhase::Auth => self.sooner(limit, session),
                    };
                    let known = input.len();
                    if !self.read(session, admission, &mut input, limit).await? {
                        return Err(self.half_closed(session, admission).await);
                    }
                    pace.came(input.len().saturating_sub(known), Instant::now());
                }
                SessionEvent::Close => {
                    self.write(session).await?;
                    if !session.has_quit() && !session.spoke_tls() {
                        // We hung up, for the client's fault. Trying TLS first, at every mail, is none.
                        self.around.guard.failed(self.peer.addr, 1, std::time::Instant::now());
                    }
                    if !session.has_quit() || !input.is_empty() || session.is_tls() {
                        self.stream.linger().await;
                    }
                    return Ok(());
                }
                event => {
                    let over = matches!(event, SessionEvent::End);
                    self.handle(event, session, admission).await?;
                    pace.answered(Instant::now());
                    if over {
                        pace.message_over();
                    }
                }
            }
        }
    }

    /// Gives an event to the admission and its answer to the session.
    async fn handle(
        &mut self,
        event: SessionEvent,
        session: &mut Session,
        admission: &mut Admission,
    ) -> Result<(), Ended> {
        match event {
            SessionEvent::Mail { from, size, .. } => {
                let answer = admission.mail(from, size);
                self.answer(session, admission, answer, None);
            }
            SessionEvent::Rcpt(address) => {
                let (named, answer) = (address.to_string(), admission.recipient(address));
                self.answer(session, admission, answer, Some(named));
            }
            SessionEvent::Data => {
                let answer = admission.data();
                self.answer(session, admission, answer, None);
            }
            SessionEvent::Chunk(chunk) => admission.chunk(&chunk).await,
            SessionEvent::End => {
                // In a box, as what follows here in boxes: else an idle connection would keep the room for it.
                let answer = Box::pin(admission.end(session.helo(), protocol(session))).await;
                self.answer(session, admission, answer, None);
                self.take_notes(session);
            }
            SessionEvent::Reset => admission.forget(),
            SessionEvent::Discarded(Reason::TooLarge | Reason::BareNewline | Reason::Eof) => {
                // The refusal comes behind it, and is about this mail.
                admission.forget();
                return Ok(());
            }
            SessionEvent::Refused(refused) => {
                let line = RefusalLine::of_session(*refused, &admission.facts);
                line.refused(&self.around, &self.peer, &self.settings.name);
            }
            SessionEvent::Auth { user, password, .. } => {
                Box::pin(self.log_in(session, admission, &user, password)).await?
            }
            SessionEvent::StartTls => {
                admission.forget();
                admission.logged_in(None);
                self.write(session).await?;
                Box::pin(self.start_tls(session)).await?;
            }
            SessionEvent::More | SessionEvent::Close => {}
        }
        if !session.in_transaction() {
            admission.facts = MailFacts::default();
        }
        Ok(())
    }

    /// The deadline of a command; for one on probation, that of the log-in if it is sooner.
    fn sooner(&self, deadline: Instant, session: &Session) -> Instant {
        self.probation.filter(|_| session.user().is_none()).map_or(deadline, |end| end.min(deadline))
    }

    /// Answers a log-in; a wrong one not at once.
    async fn log_in(
        &mut self,
        session: &mut Session,
        admission: &mut Admission,
        login: &str,
        password: Secret,
    ) -> Result<(), Ended> {
        // No log-in is looked at once the client's failure limit is exceeded.
        if let Err(later) = admission.log_in() {
            self.answer(session, admission, Err(later), None);
            return Ok(());
        }
        if self.settings.auth != AuthMode::Verify {
            // Accept-any grants nothing: who may send was decided by the network.
            session.answer(Reply::fixed(235, "2.7.0 Authentication successful"));
            return Ok(());
        }
        let (addr, listener) = (self.peer.addr, &self.settings.name);
        let verdict = tokio::select! {
            verdict = self.around.users.verify(addr, login, password) => verdict,
            () = self.around.drain.asked() => return Err(Ended::Draining),
        };
        match verdict {
            Verdict::Welcome(user) => {
                tracing::info!(event = "logged_in", user = user.name, client = %self.peer.name, %addr, %listener, tls = session.is_tls());
                admission.logged_in(Some(user));
                self.place.logged_in();
                session.answer(Reply::fixed(235, "2.7.0 Authentication successful"));
            }
            Verdict::Wrong { user, count } => {
                self.wrong += 1;
                // Only a name that we know: people type their password there, too.
                let user = user.as_ref().map_or("(unknown)", |user| &user.name);
                within_budget!(WARN, &self.around, addr, "login_failed", user, client = %self.peer.name, %addr, %listener, count);
                if self.around.users.locks_out(count) {
                    tracing::warn!(event = "locked_out", %addr, %listener, count, "no log-in from this address is looked at for a while");
                }
                let wait = self.around.users.wait(count.max(self.wrong));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.around.drain.asked() => return Err(Ended::Draining),
                }
                self.answer(session, admission, Err(refusal::login()), None);
            }
            Verdict::LockedOut => {
                let refusal = refusal::locked_out();
                session.answer_and_close(refusal.reply.clone());
                RefusalLine::new(refusal).refused(&self.around, &self.peer, listener);
            }
            Verdict::Later => self.answer(session, admission, Err(refusal::user_later()), None),
            Verdict::Unavailable => self.answer(session, admission, Err(refusal::login_unavailable()), None),
        }
        Ok(())
    }

    /// Shakes hands. What was said before is forgotten by the session.
    async fn start_tls(&mut self, session: &mut Session) -> Result<(), Ended> {
        let Some(tls) = &self.settings.tls else { return Err(Ended::Gone) };
        let acceptor = tls.identity.acceptor().await;
        let shaken = tokio::select! {
            shaken = shake_hands(&mut self.stream, &acceptor, self.settings.deadlines.handshake) => shaken,
            () = self.around.drain.asked() => return Err(Ended::Gone),
        };
        match shaken {
            (_, Ok(())) => {
                session.tls_started();
                Ok(())
            }
            (offered, Err(error)) => {
                let hint = hint(&error, tls.implicit, offered);
                let offered = offered.map(tracing::field::display);
                let (client, addr, listener) = (&self.peer.name, self.peer.addr, &self.settings.name);
                // Whoever only looks whether the port is open comes again, and again.
                match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        within_budget!(DEBUG, &self.around, addr, "tls_failed", %client, %addr, %listener, offered, %error, "{hint}");
                    }
                    _ => {
                        within_budget!(INFO, &self.around, addr, "tls_failed", %client, %addr, %listener, offered, %error, "{hint}");
                    }
                }
                Err(Ended::Gone)
            }
        }
    }

    /// Passes the admission's answer on. `recipient`: the one that it is about.
    fn answer(
        &self,
        session: &mut Session,
        admission: &Admission,
        answer: Result<Reply, Refusal>,
        recipient: Option<String>,
    ) {
        let reply = answer.unwrap_or_else(|refusal| {
            let reply = refusal.reply.clone();
            let line = RefusalLine::new(refusal).recipient(recipient).about(&admission.facts);
            line.refused(&self.around, &self.peer, &self.settings.name);
            reply
        });
        session.answer(reply);
    }

    /// The client has said all it has to say and may still read.
    async fn half_closed(&mut self, session: &mut Session, admission: &mut Admission) -> Ended {
        session.eof();
        admission.forget();
        let _ = self.write(session).await;
        Ended::Gone
    }

    /// Writes the pending replies as one piece; false when there are none. No refusal leaves uncounted.
    async fn write(&mut self, session: &mut Session) -> Result<bool, Ended> {
        let failures = session.failures();
        if failures > 0 {
            self.around.guard.failed(self.peer.addr, failures, std::time::Instant::now());
        }
        let output = session.output();
        if output.is_empty() {
            return Ok(false);
        }
        let written = timeout(self.settings.deadlines.write, self.stream.send(output)).await;
        output.clear();
        match written {
            Ok(Ok(())) => Ok(true),
            Ok(Err(_)) | Err(_) => Err(Ended::Gone),
        }
    }

    /// Reads once, before `limit`. False at the end of the stream.
    async fn read(
        &mut self,
        session: &Session,
        admission: &Admission,
        input: &mut BytesMut,
        limit: Instant,
    ) -> Result<bool, Ended> {
        let size = match session.phase() {
            SessionPhase::Data => self.chunk,
            SessionPhase::Command | SessionPhase::Auth => {
                self.chunk = READ_DATA.0;
                READ
            }
        };
        if input.is_empty() {
            // Given back while we wait, so that a connection that is idle costs no buffer.
            *input = BytesMut::new();
        }
        let read = tokio::select! {
            read = timeout_at(limit, self.stream.fill(input, size)) => read,
            // A message that is arriving is still taken; anything else can come again.
            () = self.around.drain.asked(), if !admission.is_receiving() => return Err(Ended::Draining),
        };
        match read {
            Err(_) => Err(Ended::Late),
            Ok(Err(_)) => Err(Ended::Gone),
            Ok(Ok(octets)) => {
                if size > READ && octets >= size {
                    self.chunk = (size * 2).min(READ_DATA.1);
                }
                Ok(octets > 0)
            }
        }
    }

    async fn farewell(&mut self, session: &mut Session, reply: Reply) {
        session.answer_and_close(reply);
        let _ = self.write(session).await;
        self.stream.linger().await;
    }

    fn take_notes(&self, session: &mut Session) {
        for note in session.notes() {
            within_budget!(INFO, &self.around, self.peer.addr, "noted", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, "{note}");
        }
    }
}

/// The protocol's name in Received (RFC 3848).
fn protocol(session: &Session) -> &'static str {
    match (session.is_tls(), session.is_esmtp(), session.user().is_some()) {
        // STARTTLS and AUTH are of ESMTP, whatever the client said before or after them.
        (true, _, true) => "ESMTPSA",
        (true, _, false) => "ESMTPS",
        (false, true, true) => "ESMTPA",
        (false, true, false) => "ESMTP",
        (false, false, _) => "SMTP",
    }
}
