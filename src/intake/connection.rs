//! One client's connection: the socket shell around `smtp::server`.
//!
//! It reads, writes and keeps deadlines; what the octets mean is the session's business, and what becomes of a message
//! is `admit`'s. The deadline of a command runs from the end of the one before, however slowly its octets drip in; that
//! of message data moves with its octets (`pace`). An idle connection holds no read buffer.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::smtp::Reply;
use crate::smtp::server::{Event, Phase, Session};
use crate::telemetry::counter;

use super::admit::Admission;
use super::client::Peer;
use super::pace::Pace;
use super::refusal::{self, Refusal};
use super::{Settings, Surroundings};

/// How much is read at a time, outside and inside of message data.
const READ: (usize, usize) = (4 * 1024, 64 * 1024);
/// How long we listen to somebody whom we have told goodbye.
const LINGER: Duration = Duration::from_secs(2);

/// The shell around a session.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    settings: Arc<Settings>,
    around: Surroundings,
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

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: Peer, settings: Arc<Settings>, around: Surroundings) -> Connection {
        Connection { stream, peer, settings, around }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self, mut session: Session) {
        let _here = self.around.drain.hold(format!("session of {}", self.peer.addr));
        session.greet();
        let mut admission = Admission::new(self.peer.clone(), self.settings.clone(), self.around.clone());
        let ended = self.converse(&mut session, &mut admission).await;
        self.take_notes(&mut session);
        match ended {
            Ok(()) | Err(Ended::Gone) => {}
            Err(Ended::Late) => self.farewell(&mut session, Reply::new(421, "4.4.2 Timeout, closing connection")).await,
            Err(Ended::Draining) => self.farewell(&mut session, refusal::draining().reply).await,
        }
    }

    async fn converse(&mut self, session: &mut Session, admission: &mut Admission) -> Result<(), Ended> {
        let mut input = BytesMut::new();
        let mut pace = Pace::new(self.settings.deadlines, Instant::now());
        loop {
            match session.step(&mut input) {
                Event::More => {
                    if self.write(session).await? {
                        pace.answered(Instant::now());
                    }
                    let limit = pace.limit(session.phase() == Phase::Data, Instant::now());
                    let known = input.len();
                    if !self.read(session, admission, &mut input, limit).await? {
                        return self.half_closed(session, admission).await;
                    }
                    pace.came(input.len().saturating_sub(known), Instant::now());
                }
                Event::Close => {
                    self.write(session).await?;
                    if !session.has_quit() {
                        // We hung up, for the client's fault.
                        self.around.guard.failed(self.peer.addr, 1, std::time::Instant::now());
                    }
                    if !session.has_quit() || !input.is_empty() {
                        self.linger(&mut input).await;
                    }
                    return Ok(());
                }
                event => {
                    let over = matches!(event, Event::End);
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
    async fn handle(&mut self, event: Event, session: &mut Session, admission: &mut Admission) -> Result<(), Ended> {
        match event {
            Event::Mail { from, size, .. } => self.answer(session, admission.mail(from, size)),
            Event::Rcpt(address) => self.answer(session, admission.recipient(address)),
            Event::Data => self.answer(session, admission.data()),
            Event::Chunk(chunk) => admission.chunk(&chunk).await,
            Event::End => {
                let answer = admission.end(session.helo(), protocol(session)).await;
                self.answer(session, answer);
                self.take_notes(session);
            }
            Event::Reset => admission.forget(),
            Event::Discarded(reason) => {
                tracing::info!(event = "discarded", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, ?reason);
                admission.forget();
            }
            // Accept-any grants nothing: who may send was decided by the network.
            Event::Auth { .. } => {
                let answer = admission.log_in().map(|()| Reply::new(235, "2.7.0 Authentication successful"));
                self.answer(session, answer);
            }
            // Not announced by this version, so the session refuses it by itself.
            Event::StartTls => return Err(Ended::Gone),
            Event::More | Event::Close => {}
        }
        Ok(())
    }

    fn answer(&self, session: &mut Session, answer: Result<Reply, Refusal>) {
        match answer {
            Ok(reply) => session.answer(reply),
            Err(Refusal { reply, reason }) => {
                self.around.counters.add(counter::REFUSED, &[("reason", reason)], 1);
                tracing::info!(event = "refused", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, reason, %reply);
                session.answer(reply);
            }
        }
    }

    /// The client has said all it has to say and may still read.
    async fn half_closed(&mut self, session: &mut Session, admission: &mut Admission) -> Result<(), Ended> {
        if let Event::Discarded(reason) = session.eof() {
            tracing::info!(event = "discarded", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, ?reason);
        }
        admission.forget();
        self.write(session).await.map(|_| ())
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
        let written = timeout(self.settings.deadlines.write, self.stream.write_all(output)).await;
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
        let size = if session.phase() == Phase::Data { READ.1 } else { READ.0 };
        if input.is_empty() {
            // Given back while we wait, so that a connection that is idle costs no buffer.
            *input = BytesMut::new();
        }
        let stream = &mut self.stream;
        let read = async {
            stream.readable().await?;
            input.reserve(size);
            // Not `try_read`: this one notices a short read, and spares the next one that would only find nothing.
            stream.read_buf(input).await
        };
        let read = tokio::select! {
            read = timeout_at(limit, read) => read,
            // A message that is arriving is still taken; anything else can come again.
            () = self.around.drain.asked(), if !admission.is_receiving() => return Err(Ended::Draining),
        };
        match read {
            Err(_) => Err(Ended::Late),
            Ok(Err(_)) => Err(Ended::Gone),
            Ok(Ok(octets)) => Ok(octets > 0),
        }
    }

    async fn farewell(&mut self, session: &mut Session, reply: Reply) {
        session.answer_and_close(reply);
        // Whether it is read does not matter any more.
        let _ = self.write(session).await;
        self.linger(&mut BytesMut::new()).await;
    }

    /// Closes our half, and reads away what is still coming: closing with unread octets would reset the connection and
    /// take our last reply with it.
    async fn linger(&mut self, input: &mut BytesMut) {
        let _ = self.stream.shutdown().await;
        let _ = timeout(LINGER, async {
            while self.stream.read_buf(input).await.is_ok_and(|octets| octets > 0) {
                input.clear();
            }
        })
        .await;
    }

    fn take_notes(&self, session: &mut Session) {
        for note in session.notes() {
            tracing::info!(event = "noted", client = %self.peer.name, addr = %self.peer.addr, listener = %self.settings.name, "{note}");
        }
    }
}

/// The protocol's name in Received (RFC 3848).
fn protocol(session: &Session) -> &'static str {
    match (session.is_esmtp(), session.user().is_some()) {
        (false, _) => "SMTP",
        (true, false) => "ESMTP",
        (true, true) => "ESMTPA",
    }
}
