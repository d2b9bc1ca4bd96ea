//! A provider that says exactly what a test wants, over real TLS: for what no well-behaved server can be made to say.
//!
//! Whatever the test leaves open is answered as a plain server would. Every line of the client is kept, so that a test
//! sees what was sent: a secret, a second AUTH, a message to nobody. Not here: limits and accounts (the sandbox has them).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::ca::{self, TestCa};

/// What the server does at one line of the client.
#[derive(Debug, Clone)]
pub enum Say {
    /// What a plain server would say.
    Usual,
    /// These octets.
    Octets(Vec<u8>),
    /// These octets, each in a TLS record and a write of its own.
    Single(Vec<u8>),
    /// These octets, then the end of TCP without the closure alert of TLS (RFC 8446 section 6.1).
    Cut(Vec<u8>),
}

impl Say {
    /// A reply, or several, without the last line end.
    pub fn line(text: &str) -> Say {
        Say::Octets(format!("{text}\r\n").into_bytes())
    }
}

/// What a connection was told: its lines without line ends; a message is one line, its octets up to the final dot.
pub type Heard = Vec<String>;

type Script = dyn Fn(&str, &[String]) -> Say + Send + Sync;

/// A running server.
pub struct Scripted {
    addr: SocketAddr,
    ca: TestCa,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// TLS from the first octet. `script` is asked at each line of the client, with what this connection has heard
    /// before; the connection itself is the empty line, the final dot is `.`.
    pub async fn implicit(script: impl Fn(&str, &[String]) -> Say + Send + Sync + 'static) -> Scripted {
        Scripted::start(true, script).await
    }

    /// In plaintext, and never anything else: for a port where STARTTLS is wanted.
    pub async fn plain(script: impl Fn(&str, &[String]) -> Say + Send + Sync + 'static) -> Scripted {
        Scripted::start(false, script).await
    }

    async fn start(tls: bool, script: impl Fn(&str, &[String]) -> Say + Send + Sync + 'static) -> Scripted {
        let ca = TestCa::new();
        let acceptor = tls.then(|| TlsAcceptor::from(ca.issue(ca::NAMES).server_config()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let addr = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (all, script) = (heard.clone(), Arc::new(script) as Arc<Script>);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let number = {
                    let mut all = all.lock().expect("no panic holds it");
                    all.push(Vec::new());
                    all.len() - 1
                };
                tokio::spawn(serve(stream, acceptor.clone(), script.clone(), all.clone(), number));
            }
        });
        Scripted { addr, ca, heard, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The authority to trust.
    pub fn ca(&self) -> &Path {
        self.ca.file()
    }

    /// What each connection was told so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic holds it").clone()
    }

    /// How many lines of all connections begin so.
    pub fn count(&self, start: &str) -> usize {
        self.heard().iter().flatten().filter(|line| line.starts_with(start)).count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    script: Arc<Script>,
    all: Arc<Mutex<Vec<Heard>>>,
    number: usize,
) {
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => talk(stream, &*script, &all, number).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, &*script, &all, number).await;
            }
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, script: &Script, all: &Mutex<Vec<Heard>>, number: usize) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut message) = (String::new(), String::new());
    loop {
        let before = all.lock().expect("no panic holds it")[number].clone();
        let (octets, single, cut) = match script(&line, &before) {
            Say::Usual => (usual(&line).into_bytes(), false, false),
            Say::Octets(octets) => (octets, false, false),
            Say::Single(octets) => (octets, true, false),
            Say::Cut(octets) => (octets, false, true),
        };
        let in_data = line == "DATA" && octets.starts_with(b"354");
        all.lock().expect("no panic holds it")[number].push(std::mem::take(&mut line));
        let size = if single { 1 } else { octets.len().max(1) };
        for piece in octets.chunks(size) {
            if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
        if cut {
            return;
        }
        if octets.starts_with(b"221") {
            let _ = stream.shutdown().await;
            return;
        }
        // The next line; inside of a message all lines up to the dot.
        loop {
            let mut raw = Vec::new();
            match stream.read_until(b'\n', &mut raw).await {
                Ok(1..) => {}
                Ok(_) | Err(_) => return,
            }
            let text = String::from_utf8_lossy(&raw).into_owned();
            if !in_data {
                line = text.trim_end().to_owned();
                break;
            }
            if text == ".\r\n" {
                all.lock().expect("no panic holds it")[number].push(std::mem::take(&mut message));
                line = ".".to_owned();
                break;
            }
            message.push_str(&text);
        }
    }
}

/// The answer of a plain server that takes AUTH PLAIN, and whatever stands behind it.
fn usual(line: &str) -> String {
    let word = line.split(' ').next().unwrap_or_default();
    let answer = match word {
        "" => "220 scripted ESMTP",
        "EHLO" => "250-scripted\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 AUTH PLAIN",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go ahead",
        "QUIT" => "221 bye",
        _ => "250 2.0.0 Ok",
    };
    format!("{answer}\r\n")
}
