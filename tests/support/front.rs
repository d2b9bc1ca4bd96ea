//! A pipe before a server: with TLS for servers that know none, and with a copy of every byte that went through.
//!
//! It is the one place in the harness that shows the exact wire: what `smtp-sink` or Postfix write down has lost its
//! CRs. It changes nothing, except that [`Front::provider`] turns smtp-sink's idea of AUTH into the one of RFC 4954.
//! It runs on a thread of its own, so it serves blocking and asynchronous tests alike. STARTTLS is not here; Postfix
//! has it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::ca::Identity;
use super::ports::Reserved;

/// How the client hears that the server has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// TLS close_notify, then TCP FIN (RFC 8446 section 6.1).
    Orderly,
    /// TCP FIN alone: to a TLS client that is a truncation.
    Cut,
}

/// One connection that came in.
#[derive(Debug, Clone, Default)]
pub struct Tapped {
    /// Every byte the client sent, after decryption.
    pub sent: Vec<u8>,
    /// Every byte the server answered.
    pub answered: Vec<u8>,
    /// Why there is nothing: the TLS handshake failed, or the server did not accept.
    pub failure: Option<String>,
}

/// The connections, and the news of each change to them.
type Taps = Arc<(Mutex<Vec<Tapped>>, Condvar)>;

/// A running front.
pub struct Front {
    port: u16,
    taps: Taps,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Takes TLS connections with this certificate and pipes them to a plaintext port of 127.0.0.1.
    pub fn tls(identity: &Identity, to: u16, ending: Ending) -> Self {
        Self::start(Manner { tls: Some(TlsAcceptor::from(identity.server_config())), to, ending, login: false })
    }

    /// TLS before an `smtp-sink`, and log-ins that succeed as a provider's do: `AUTH PLAIN` alone is announced, and
    /// AUTH with its initial response is answered 235 (any password) where smtp-sink says 250. Other replies to AUTH
    /// pass as they are.
    pub fn provider(identity: &Identity, to: u16) -> Self {
        let tls = Some(TlsAcceptor::from(identity.server_config()));
        Self::start(Manner { tls, to, ending: Ending::Orderly, login: true })
    }

    /// Pipes as it is: to see the wire, also of TLS that ends behind it.
    pub fn plain(to: u16) -> Self {
        Self::start(Manner { tls: None, to, ending: Ending::Orderly, login: false })
    }

    fn start(manner: Manner) -> Self {
        let reserved = Reserved::new();
        let port = reserved.port();
        let listener = reserved.into_listener();
        listener.set_nonblocking(true).expect("a fresh socket");
        let taps = Taps::default();
        let seen = Arc::clone(&taps);
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            let listener = TcpListener::from_std(listener).expect("a listening socket");
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let number = {
                    let mut taps = seen.0.lock().expect("no panic holds it");
                    taps.push(Tapped::default());
                    taps.len() - 1
                };
                tokio::spawn(connection(client, manner.clone(), Tap { taps: Arc::clone(&seen), number }));
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, taps, stop: Some(stop), thread: Some(thread) }
    }

    /// The port on 127.0.0.1 that clients take.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Why the connection of this number failed. The client may know it before the front does.
    pub fn failure(&self, number: usize) -> String {
        let patience = std::time::Duration::from_secs(20);
        let missing = |taps: &mut Vec<Tapped>| taps.get(number).is_none_or(|tapped| tapped.failure.is_none());
        let taps = self.taps.0.lock().expect("no panic holds it");
        let (taps, _) = self.taps.1.wait_timeout_while(taps, patience, missing).expect("no panic holds it");
        let failure = taps.get(number).and_then(|tapped| tapped.failure.clone());
        failure.unwrap_or_else(|| panic!("connection {number} did not fail"))
    }

    /// Every connection so far, in order of arrival.
    pub fn connections(&self) -> Vec<Tapped> {
        self.taps.0.lock().expect("no panic holds it").clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Ends the runtime, and with it every open connection.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How one front treats its connections.
#[derive(Clone)]
struct Manner {
    tls: Option<TlsAcceptor>,
    to: u16,
    ending: Ending,
    login: bool,
}

/// Where one connection writes its copies.
#[derive(Clone)]
struct Tap {
    taps: Taps,
    number: usize,
}

impl Tap {
    fn note(&self, write: impl FnOnce(&mut Tapped)) {
        write(&mut self.taps.0.lock().expect("no panic holds it")[self.number]);
        self.taps.1.notify_all();
    }
}

async fn connection(client: TcpStream, manner: Manner, tap: Tap) {
    // Without it a reply can wait 40 ms for the client's delayed ACK.
    let _ = client.set_nodelay(true);
    let server = match TcpStream::connect(("127.0.0.1", manner.to)).await {
        Ok(server) => server,
        Err(error) => return tap.note(|tapped| tapped.failure = Some(format!("server: {error}"))),
    };
    let _ = server.set_nodelay(true);
    match &manner.tls {
        None => join(client, server, &manner, &tap).await,
        Some(acceptor) => match acceptor.accept(client).await {
            Ok(client) => join(client, server, &manner, &tap).await,
            Err(error) => tap.note(|tapped| tapped.failure = Some(format!("TLS: {error}"))),
        },
    }
}

async fn join(client: impl AsyncRead + AsyncWrite, server: TcpStream, manner: &Manner, tap: &Tap) {
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_server, mut to_server) = server.into_split();
    // Nothing may be pipelined behind AUTH (RFC 4954 section 4), so the next reply is the one to it.
    let asked = AtomicBool::new(false);
    let forth = async {
        let look = |bytes: &mut Vec<u8>| {
            let auth = bytes.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
            asked.store(auth, Ordering::Relaxed);
            tap.note(|tapped| tapped.sent.extend_from_slice(bytes));
        };
        copy(from_client, &mut to_server, look).await;
        let _ = to_server.shutdown().await;
        // The server still has its last words.
        std::future::pending::<()>().await;
    };
    let back = async {
        let look = |bytes: &mut Vec<u8>| {
            if manner.login {
                as_provider(bytes, asked.swap(false, Ordering::Relaxed));
            }
            tap.note(|tapped| tapped.answered.extend_from_slice(bytes));
        };
        copy(from_server, &mut to_client, look).await;
        if manner.ending == Ending::Orderly {
            let _ = to_client.shutdown().await;
        }
    };
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}

/// Puts right what smtp-sink says about AUTH; it writes each reply in one piece.
fn as_provider(bytes: &mut Vec<u8>, to_auth: bool) {
    const ANNOUNCED: &[u8] = b"250-AUTH PLAIN LOGIN\r\n";
    if to_auth && bytes.as_slice() == b"250 2.0.0 Ok\r\n" {
        *bytes = b"235 2.7.0 Authentication successful\r\n".to_vec();
    } else if let Some(at) = bytes.windows(ANNOUNCED.len()).position(|window| window == ANNOUNCED) {
        bytes.splice(at..at + ANNOUNCED.len(), b"250-AUTH PLAIN\r\n".iter().copied());
    }
}

/// Copies until the end or an error of either side, which is an end too. `look` sees each piece first, and may change
/// it.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    mut look: impl FnMut(&mut Vec<u8>),
) {
    let mut piece = Vec::with_capacity(16 * 1024);
    loop {
        piece.clear();
        let Ok(1..) = from.read_buf(&mut piece).await else { return };
        look(&mut piece);
        if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}
