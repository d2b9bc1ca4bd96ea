//! A server that a webhook is posted to, in this process: HTTP or HTTPS on a free loopback port, answering from a script.
//!
//! It keeps the octets of every request. It speaks just enough HTTP/1.1 to read one request a connection, and writes its
//! answers as raw octets, so that they may be as wrong as a test wants. Not a model for a server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::ca::Identity;

/// How one request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These octets, then the end of the connection.
    Raw(Vec<u8>),
    /// The request is read, and nothing is ever said.
    Hang,
    /// A head, then body without end.
    Endless,
    /// Interim responses without end; the octets of them that could be sent are added up here.
    Interim(Arc<AtomicU64>),
    /// The request is read, and the connection is cut.
    Cut,
}

impl Answer {
    /// A whole answer with this status and body.
    pub fn status(status: u16, body: &str) -> Answer {
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Answer::Raw([head.as_bytes(), body.as_bytes()].concat())
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST /path?query HTTP/1.1`
    pub line: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The only field of this name.
    pub fn field(&self, name: &str) -> &str {
        let mut found = self.fields.iter().filter(|(n, _)| n == name);
        let value = &found.next().unwrap_or_else(|| panic!("no {name}: {self:?}")).1;
        assert!(found.next().is_none(), "{name} twice: {self:?}");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// The server. It ends when it is dropped.
pub struct Hook {
    address: SocketAddr,
    https: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Hook {
    /// Starts it; the last answer is given to every further request. With an identity it speaks TLS.
    pub async fn start(answers: Vec<Answer>, identity: Option<Identity>) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = identity.map(|identity| TlsAcceptor::from(identity.server_config()));
        let https = acceptor.is_some();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a client");
                let answer = answers[number.min(answers.len() - 1)].clone();
                match &acceptor {
                    None => serve(stream, answer, &log).await,
                    // A client that does not like the certificate goes away.
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream, answer, &log).await,
                        Err(_) => continue,
                    },
                }
            }
        });
        Hook { address, https, seen, task }
    }

    /// The URL of this path, under this host name.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", if self.https { "https" } else { "http" }, self.address.port())
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Answer, log: &Mutex<Vec<Seen>>) {
    let Some(request) = request(&mut stream).await else { return };
    log.lock().unwrap().push(request);
    match answer {
        Answer::Raw(octets) => {
            let _ = stream.write_all(&octets).await;
            let _ = stream.shutdown().await;
            // Until the client has read it: closing earlier may reset the connection.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
        // The client must go by itself.
        Answer::Hang => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"400\r\n").await.is_ok()
                && stream.write_all(&[b'x'; 0x400]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok()
            {}
        }
        Answer::Interim(sent) => {
            let piece = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
            while stream.write_all(&piece).await.is_ok() {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
        Answer::Cut => {}
    }
}

/// Reads a request with a body of known length; none when the client goes before its end.
async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Seen> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).expect("a head in ASCII");
    let mut lines = head.split("\r\n");
    let line = lines.next().expect("a request line").to_owned();
    let field = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    let fields: Vec<(String, String)> = lines.map(|line| field(line).expect("a field")).collect();
    let length = fields.iter().find(|(name, _)| name == "content-length").expect("a length");
    let length: usize = length.1.parse().expect("a number");
    while read.len() < end + 4 + length {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { line, fields, body: read[end + 4..end + 4 + length].to_vec() })
}
