//! One client's connection: the socket shell around `smtp::server`, with the manners of QQ and the faults.
//!
//! Commands are given to the session one line at a time, because some of them are answered here: those that QQ answers
//! as no other server does, and those at which a fault strikes. All replies to what arrived in one piece leave in one
//! piece (RFC 2920 section 3.2).
//!
//! Invariants: every wait has a deadline or an end that somebody else brings about; once the drain has started, no
//! transaction begins.

mod strike;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use memchr::memchr;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::net::stream::Stream;
use crate::smtp::Reply;
use crate::smtp::line::FLOOD;
use crate::smtp::server::{Session, SessionEvent, SessionPhase};

use super::fault::Stage;
use super::policy::Policy;
use super::replies;
use super::shared::Shared;

/// How long a client may be silent (RFC 5321 section 4.5.3.2.7).
const SILENCE: Duration = Duration::from_secs(5 * 60);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a peer may leave our octets unread.
const WRITE: Duration = Duration::from_secs(60);
/// How much is read at a time, outside and inside of message data.
const READ: (usize, usize) = (8 * 1024, 64 * 1024);

/// See the top of the file.
pub(super) struct SandboxConnection {
    shared: Arc<Shared>,
    fault_added: watch::Receiver<()>,
    stream: Stream,
    session: Session,
    policy: Policy,
    client: IpAddr,
    starttls: bool,
    input: BytesMut,
    /// Between an accepted MAIL and the verdict.
    in_transaction: bool,
    /// The first octets of the message were here.
    in_body: bool,
    /// The reply to the message was given before its end.
    answered: bool,
    /// Messages that were judged.
    messages: u32,
    /// The log-in that the session is about to report was one with a token, and the token fits.
    has_token: bool,
}

/// How a connection ends.
enum End {
    /// In order, after what is still to be written.
    Close,
    /// With a TCP reset.
    Reset,
    /// The peer is gone, or is not spoken to any more.
    Gone,
}

impl SandboxConnection {
    pub(super) fn new(
        stream: TcpStream,
        client: IpAddr,
        number: u64,
        starttls: bool,
        shared: Arc<Shared>,
    ) -> SandboxConnection {
        SandboxConnection {
            fault_added: shared.fault_added.subscribe(),
            stream: Stream::Plain(stream),
            session: Session::new(Arc::new(replies::session(client, number, starttls, &shared.limits))),
            policy: Policy::new(shared.clone(), number, client),
            client,
            starttls,
            input: BytesMut::new(),
            in_transaction: false,
            in_body: false,
            answered: false,
            messages: 0,
            has_token: false,
            shared,
        }
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) {
        match self.converse().await {
            End::Close => {
                // Whether it is read does not matter any more.
                let _ = self.flush().await;
                self.stream.linger().await;
            }
            End::Reset => self.stream.reset(),
            End::Gone => {}
        }
    }

    async fn converse(&mut self) -> End {
        if let Err(end) = self.greet().await {
            return end;
        }
        let mut line = BytesMut::new();
        loop {
            let event = match self.session.phase() {
                SessionPhase::Data => self.session.step(&mut self.input),
                SessionPhase::Command | SessionPhase::Auth => self.session.step(&mut line),
            };
            let done = match event {
                SessionEvent::More => self.next_line(&mut line).await,
                event => self.handle(event).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn greet(&mut self) -> Result<(), End> {
        if !self.starttls {
            self.start_tls().await?;
        }
        if self.shared.limits.connections.is_some_and(|most| self.shared.store.stats().open > u64::from(most)) {
            self.session.refuse(replies::say(replies::CONNECTION_LIMITED));
            return Err(End::Close);
        }
        match self.fault(Stage::Connect).await? {
            Some(octets) => self.session.output().extend_from_slice(&octets),
            None => self.session.greet(),
        }
        Ok(())
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        if let Some(octets) = self.fault(Stage::Handshake).await? {
            self.session.output().extend_from_slice(&octets);
            self.flush().await?;
        }
        let shaken = tokio::select! {
            shaken = timeout(HANDSHAKE, self.stream.accept_tls(&self.shared.acceptor)) => shaken.unwrap_or_else(|late| Err(late.into())),
            () = self.shared.drain.asked() => return Err(End::Gone),
        };
        if let Err(error) = shaken {
            tracing::info!(event = "sandbox_no_tls", client = %self.client, %error);
            return Err(End::Gone);
        }
        self.shared.store.count(|stats| stats.handshakes += 1);
        self.session.tls_started();
        Ok(())
    }

    /// Puts the next command into `line` if it is here; else writes what is to be written and reads.
    async fn next_line(&mut self, line: &mut BytesMut) -> Result<(), End> {
        if self.session.phase() != SessionPhase::Data {
            if let Some(end) = memchr(b'\n', &self.input) {
                *line = self.input.split_to(end + 1);
                if self.session.phase() == SessionPhase::Command && self.answer_ourselves(line).await? {
                    line.clear();
                }
                return Ok(());
            }
            // TLS where STARTTLS was to come first: there may never be a line end.
            let hello = !self.session.is_tls() && self.input.first() == Some(&0x16);
            if hello || self.input.len() > FLOOD {
                // The session knows what to do.
                *line = self.input.split();
                return Ok(());
            }
        }
        self.flush().await?;
        self.read().await
    }

    /// EHLO, with another answer if that was asked for. After a 250 the dialogue goes on, so the session must hear of it.
    async fn hello(&mut self, line: &[u8]) -> Result<bool, End> {
        let Some(octets) = self.fault(Stage::Ehlo).await? else { return Ok(false) };
        if octets.starts_with(b"250") {
            let before = self.session.output().len();
            // A greeting is answered at once; nothing else can come of one line.
            self.session.step(&mut BytesMut::from(line));
            self.session.output().truncate(before);
        }
        self.session.output().extend_from_slice(&octets);
        Ok(true)
    }

    /// Deals with a command that the session must not see, or must see later. True: the session must not see it.
    async fn answer_ourselves(&mut self, line: &mut BytesMut) -> Result<bool, End> {
        let text = line.trim_ascii();
        let word = text.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_ascii_uppercase();
        match &word[..] {
            b"EHLO" | b"HELO" => self.hello(line).await,
            b"STARTTLS" => self.struck(Stage::StartTls).await,
            b"QUIT" => {
                self.shared.store.count(|stats| stats.quits += 1);
                if self.struck(Stage::Quit).await? {
                    return Err(End::Close);
                }
                self.session.output().extend_from_slice(&replies::JUNK);
                Ok(false)
            }
            b"RSET" => {
                self.shared.store.count(|stats| stats.resets += 1);
                self.session.output().extend_from_slice(&replies::JUNK);
                Ok(false)
            }
            // The initial response must be in the same line; a challenge for it (RFC 4954 section 4) is not given.
            b"AUTH" if text.eq_ignore_ascii_case(b"AUTH PLAIN") => {
                replies::invalid_input(self.client).write(self.session.output());
                Ok(true)
            }
            b"AUTH" => self.token_login(line).await,
            // Octets that are no lines would follow (RFC 3030), and it was not offered.
            b"BDAT" => {
                replies::invalid_input(self.client).write(self.session.output());
                Err(End::Close)
            }
            _ => Ok(false),
        }
    }

    async fn handle(&mut self, event: SessionEvent) -> Result<(), End> {
        match event {
            SessionEvent::Mail { from, .. } => self.mail(&from).await?,
            SessionEvent::Rcpt(to) => self.rcpt(&to).await?,
            SessionEvent::Data => self.data().await?,
            SessionEvent::Chunk(chunk) => {
                self.body_begins().await?;
                if !self.answered {
                    self.policy.chunk(&chunk);
                }
            }
            SessionEvent::End => self.end().await?,
            SessionEvent::Auth { user, password, .. } => self.log_in(&user, &password).await?,
            SessionEvent::StartTls => {
                // What stood behind the command was not protected (RFC 3207 section 4.2).
                self.input.clear();
                self.flush().await?;
                self.start_tls().await?;
            }
            SessionEvent::Reset => {
                self.policy.forget();
                self.in_transaction = false;
            }
            SessionEvent::Discarded(reason) => {
                self.policy.refuse(&format_args!("{reason:?}"));
                self.in_transaction = false;
            }
            SessionEvent::Close => return Err(End::Close),
            SessionEvent::More | SessionEvent::Refused(_) => {}
        }
        Ok(())
    }

    fn farewell(&mut self, why: &str) -> End {
        self.session.answer_and_close(Reply::new(421, why));
        End::Close
    }

    /// Writes the pending replies as one piece.
    async fn flush(&mut self) -> Result<(), End> {
        if self.session.output().is_empty() {
            return Ok(());
        }
        if !self.shared.reply_delay.is_zero() {
            tokio::time::sleep(self.shared.reply_delay).await;
        }
        let output = self.session.output();
        let sent = timeout(WRITE, self.stream.send(output)).await;
        output.clear();
        sent.is_ok_and(|sent| sent.is_ok()).then_some(()).ok_or(End::Gone)
    }

    fn is_idle(&self) -> bool {
        let between = self.messages > 0 && !self.in_transaction && self.input.is_empty();
        between && self.session.phase() == SessionPhase::Command && self.session.user().is_some()
    }

    /// Reads once.
    async fn read(&mut self) -> Result<(), End> {
        loop {
            let idle = self.is_idle();
            self.fault_added.mark_unchanged();
            if idle && self.struck(Stage::Idle).await? {
                self.flush().await?;
            }
            let in_data = self.session.phase() == SessionPhase::Data;
            let size = if in_data { READ.1 } else { READ.0 };
            let clock = &self.shared.clock;
            let patience = self.shared.limits.idle.filter(|_| !in_data).map(|idle| clock.now() + idle);
            let idle_too_long = async {
                match patience {
                    Some(end) => clock.sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = timeout(SILENCE, self.stream.fill(&mut self.input, size)) => return match read {
                    Ok(Ok(octets)) if octets > 0 => Ok(()),
                    Ok(Ok(_) | Err(_)) => Err(End::Gone),
                    Err(_) => Err(self.farewell("Timeout")),
                },
                () = self.shared.drain.asked(), if !self.in_transaction && !in_data => {
                    return Err(self.farewell("Service is stopping"));
                }
                () = idle_too_long => return Err(self.farewell("Timeout")),
                // The sender lives in what we share, so an error cannot come.
                _ = self.fault_added.changed(), if idle => {}
            }
        }
    }
}
