//! One connection to a provider: the socket shell around `smtp::client`.
//!
//! It reads, writes, keeps the deadline of each phase (RFC 5321 section 4.5.3.2) and nothing else. A reply that arrives
//! while the message is still being written is read at once, so that a server that refuses early is heard. The final
//! dot goes out in one write with the end of the message. Not here: how a connection comes to be (`connect`).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf as _;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::net::stream::Stream;
use crate::net::tls::TlsError;
use crate::smtp::Reply;
use crate::smtp::client::{
    ClientEvent, ClientPhase, ClientSession, Failure, FailureKind, Lost, RecipientOutcome, Transaction,
};

use super::eight_bit_downgrade::{self, Converted, Form};
use super::letter::Letter;
use super::socket_permits::SocketPermit;

/// A message up to this size is written as one piece, with its final dot; a longer one in pieces of this size.
const PIECE: usize = 128 * 1024;
/// How long the farewell may take (RFC 5321 has no deadline for it; QQ answers with garbage or not at all).
const FAREWELL: Duration = Duration::from_secs(2);
/// How long it may take while a message waits for the place. Not zero: once the provider has closed its end too, it has
/// surely stopped to count the connection, and most do so within a round trip.
const SHORT_FAREWELL: Duration = Duration::from_millis(250);

/// A connection, logged in unless [`ProviderConnection::must_log_in`].
#[derive(Debug)]
pub(super) struct ProviderConnection {
    client: ClientSession,
    stream: Stream,
    pub(super) opened: Instant,
    /// The commands of the next message are on their way.
    announced: bool,
    /// The log-in may go out, or none is wanted.
    permitted: bool,
    /// It counts as open while this is there.
    pub(super) seat: Option<Seat>,
    /// The right to be connected. The last field, because fields are dropped in order: the socket is closed by then.
    pub(super) socket: Option<SocketPermit>,
}

/// A place among the open connections of an account, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Arc<AtomicUsize>,
    /// The account's connections have been told to end since, when the account has another number.
    pub(super) epoch: u64,
}

impl Seat {
    /// Takes a place.
    pub(super) fn take(taken: &Arc<AtomicUsize>, epoch: u64) -> Seat {
        taken.fetch_add(1, Ordering::Relaxed);
        Seat { taken: taken.clone(), epoch }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a transaction ended on this connection.
#[derive(Debug)]
pub(super) enum Sent {
    /// With an outcome for each recipient; the connection may be used again if `reusable`.
    Done {
        /// One for each recipient, in the order of the letter.
        outcomes: Vec<RecipientOutcome>,
        /// Whether the next message may go over this connection.
        reusable: bool,
    },
    /// Before the provider said anything about the message.
    Failed(Box<Failure>),
    /// The message could not be read from our own disk; nothing was delivered.
    Unreadable(crate::queue::QueueError),
}

impl ProviderConnection {
    /// A connection before its first step. `permitted`: a log-in may go out, or none is wanted.
    pub(super) fn new(client: ClientSession, stream: Stream, permitted: bool) -> ProviderConnection {
        ProviderConnection {
            client,
            stream,
            opened: Instant::now(),
            announced: false,
            permitted,
            seat: None,
            socket: None,
        }
    }

    /// A TLS handshake inside the dialogue (STARTTLS).
    pub(super) async fn start_tls(
        &mut self,
        connector: &TlsConnector,
        host: &str,
        limit: Duration,
    ) -> Result<(), TlsError> {
        self.stream.connect_tls(connector, host, limit).await?;
        self.client.tls_started();
        Ok(())
    }

    /// Logs in. It has been permitted, and counted.
    ///
    /// # Errors
    /// What the provider said to it, or what happened to the stream.
    pub(super) async fn log_in(&mut self) -> Result<(), Box<Failure>> {
        self.permitted = true;
        match self.advance().await {
            ClientEvent::Ready => Ok(()),
            ClientEvent::Failed(failure) => Err(Box::new(failure)),
            event @ (ClientEvent::More
            | ClientEvent::StartTls
            | ClientEvent::SendBody
            | ClientEvent::Done(_)
            | ClientEvent::Closed) => Err(Box::new(self.out_of_order(&event, true))),
        }
    }

    /// What an event is that cannot come before the first message.
    pub(super) fn out_of_order(&self, event: &ClientEvent, sent_credentials: bool) -> Failure {
        let kind = FailureKind::Protocol(format!("{event:?} before the first message"));
        Failure { phase: self.client.phase(), kind, sent_credentials }
    }

    /// The address at the other end: the provider's, or the proxy's.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.stream.peer()
    }

    /// Sends one message, unless it was `announced` by the one before: then its commands are on the way already.
    /// `follow` is called when the final dot is about to go out, and gives a transaction to announce behind it.
    pub(super) async fn send(
        &mut self,
        letter: &Letter<'_>,
        announced: bool,
        mut follow: impl FnMut() -> Option<Transaction>,
    ) -> Sent {
        self.announced = false;
        let converted = match self.form(letter).await {
            Ok(Form::Same) => None,
            Ok(Form::Converted(converted)) => Some(converted),
            Ok(Form::Impossible) => return impossible(letter),
            Err(error) => return Sent::Unreadable(error),
        };
        if !announced {
            let mut transaction = letter.transaction();
            if let Some(converted) = &converted {
                transaction.size = converted.head.len() as u64 + 2 + converted.size;
            }
            self.client.start(transaction);
        }
        loop {
            match self.advance().await {
                ClientEvent::SendBody => {
                    if let Err(error) = self.send_body(letter, converted.as_deref()).await {
                        return Sent::Unreadable(error);
                    }
                    if self.client.phase() == ClientPhase::FinalDot
                        && let Some(next) = follow()
                    {
                        self.announced = self.client.follow(&next);
                    }
                }
                ClientEvent::Done(outcome) => {
                    return Sent::Done { outcomes: outcome.recipients, reusable: outcome.reusable };
                }
                ClientEvent::Failed(failure) => return Sent::Failed(Box::new(failure)),
                event @ (ClientEvent::More | ClientEvent::Ready | ClientEvent::StartTls | ClientEvent::Closed) => {
                    let kind = FailureKind::Protocol(format!("{event:?} inside a transaction"));
                    let (phase, sent_credentials) = (self.client.phase(), true);
                    return Sent::Failed(Box::new(Failure { phase, kind, sent_credentials }));
                }
            }
        }
    }

    /// Writes header block, blank line, body and final dot. Stops early when the server has answered already.
    async fn send_body(
        &mut self,
        letter: &Letter<'_>,
        converted: Option<&Converted>,
    ) -> Result<(), crate::queue::QueueError> {
        self.client.body(converted.map_or(&letter.head, |converted| &converted.head));
        self.client.body(b"\r\n");
        let (mut rewriter, mut piece) = (converted.map(Converted::rewriter), Vec::new());
        let mut reader = letter.body.reader();
        while let Some(chunk) = reader.next_chunk().await? {
            match &mut rewriter {
                None => self.client.body(&chunk),
                Some(rewriter) => {
                    rewriter.push(&chunk, &mut piece);
                    self.client.body(&piece);
                    piece.clear();
                }
            }
            if self.client.output().len() >= PIECE && !self.flush().await {
                return Ok(());
            }
        }
        if let Some(rewriter) = rewriter {
            rewriter.finish(&mut piece);
            self.client.body(&piece);
        }
        self.client.finish();
        Ok(())
    }

    /// The form of the message that this server takes.
    async fn form(&self, letter: &Letter<'_>) -> Result<Form, crate::queue::QueueError> {
        if self.client.extensions().eight_bit_mime { Ok(Form::Same) } else { eight_bit_downgrade::form(letter).await }
    }

    /// Writes what is to be written and reads until the machine needs us. [`ClientEvent::More`] comes back only where the
    /// log-in waits for its permission: AUTH is in the output then, and stays there.
    pub(super) async fn advance(&mut self) -> ClientEvent {
        loop {
            match self.client.step() {
                ClientEvent::More if self.must_log_in() => return ClientEvent::More,
                ClientEvent::More => {}
                event => return event,
            }
            if let Stream::Gone = self.stream {
                return self.client.lost(Lost::Reset);
            }
            if !self.client.output().is_empty() {
                // When the line breaks, what the server said before is stepped through first.
                self.flush().await;
            } else if let Some(lost) = self.read().await {
                return self.client.lost(lost);
            }
        }
    }

    /// Writes all output within the phase's deadline. False when the line broke; what the server said before is read,
    /// and what could not be written stays in the output, so that the machine knows whether the final dot went out.
    async fn flush(&mut self) -> bool {
        let limit = Duration::from_secs(self.client.phase().deadline());
        let (client, stream) = (&mut self.client, &mut self.stream);
        let written = timeout(limit, std::future::poll_fn(|cx| poll_exchange(cx, client, stream))).await;
        if matches!(written, Ok(Ok(()))) {
            return true;
        }
        // A server that refuses and hangs up has often said why (RFC 5321 section 3.8): read that first.
        while timeout(FAREWELL, self.read()).await.is_ok_and(|lost| lost.is_none()) {}
        self.stream = Stream::Gone;
        false
    }

    /// Reads once. `Some` when there is nothing more to read, ever.
    async fn read(&mut self) -> Option<Lost> {
        let limit = Duration::from_secs(self.client.phase().deadline());
        let mut buffer = [0u8; 4096];
        match timeout(limit, self.stream.read(&mut buffer)).await {
            Err(_) => Some(Lost::Timeout),
            Ok(Ok(0)) => Some(Lost::Eof),
            Ok(Ok(n)) => {
                self.client.input(&buffer[..n]);
                None
            }
            // TLS without close_notify is how many servers hang up (U-07): the same as the end of the stream.
            Ok(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Some(Lost::Eof),
            Ok(Err(_)) => Some(Lost::Reset),
        }
    }

    /// Whether an unused connection is still good: no end of stream, nothing said that we did not ask for.
    pub(super) async fn is_alive(&mut self) -> bool {
        let (stream, mut storage) = (&mut self.stream, [0u8; 512]);
        let poll =
            |cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut storage)));
        std::future::poll_fn(poll).await.is_pending()
    }

    /// Whether the commands of another transaction could go out behind the next final dot. Not where a message may have
    /// to be converted first: its size is not known yet.
    pub(super) fn can_follow(&self) -> bool {
        self.client.extensions().pipelining && self.client.extensions().eight_bit_mime
    }

    /// Whether the message that comes next has been announced.
    pub(super) fn has_announced(&self) -> bool {
        self.announced
    }

    /// How long ago it was dialled.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How many messages went over it.
    pub(super) fn messages(&self) -> u32 {
        self.client.messages_done()
    }

    /// Whether the next thing to go out is a log-in that nobody has permitted yet.
    pub(super) fn must_log_in(&self) -> bool {
        !self.permitted && self.client.phase() == ClientPhase::Auth
    }

    /// Says QUIT and forgets the connection: whatever the server answers changes nothing. It carries no message from now on,
    /// but keeps its place among the account's connections until the socket is closed. That is when the server closes it,
    /// or by us: after two seconds, or a quarter of a second while a message waits for the place.
    pub(super) fn quit(mut self) -> impl Future<Output = ()> + Send {
        self.seat = None;
        if self.must_log_in() {
            self.client.output().clear();
        }
        self.client.quit();
        let wanted = self.socket.as_ref().map(SocketPermit::wanted);
        async move {
            let farewell = async {
                if self.flush().await {
                    while self.read().await.is_none() {}
                }
            };
            let hurry = async {
                match wanted {
                    Some(wanted) => wanted.await,
                    None => std::future::pending().await,
                }
                sleep(SHORT_FAREWELL).await;
            };
            tokio::select! {
                () = farewell => {}
                () = hurry => {}
                () = sleep(FAREWELL) => {}
            }
        }
    }
}

/// Nobody gets a message that this server could only get damaged. The connection has done nothing yet.
fn impossible(letter: &Letter<'_>) -> Sent {
    let reply = Reply::new(554, "5.6.3 The server takes 7-bit mail only, and this mail has no such form");
    let refused = RecipientOutcome::Refused { phase: ClientPhase::Mail, reply };
    Sent::Done { outcomes: vec![refused; letter.to.len()], reusable: true }
}

/// Writes all output, and takes in what arrives meanwhile: a server that stops reading because it has answered must
/// not leave us stuck in a write.
fn poll_exchange(cx: &mut Context<'_>, client: &mut ClientSession, stream: &mut Stream) -> Poll<io::Result<()>> {
    loop {
        let output = client.output();
        let progress = if output.is_empty() {
            match Pin::new(&mut *stream).poll_flush(cx) {
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => false,
            }
        } else {
            match Pin::new(&mut *stream).poll_write(cx, output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    output.advance(n);
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => false,
            }
        };
        if progress {
            continue;
        }
        let mut storage = [0u8; 1024];
        let mut buffer = ReadBuf::new(&mut storage);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(Ok(())) => client.input(buffer.filled()),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
