//! A small SMTP client that says exactly what it is told to, over TLS that trusts the sandbox only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::sandbox::{Sandbox, SandboxLimits, SandboxSettings};
use yizhan::secret::Secret;

pub(crate) const USER: &str = "10000@qq.com";
pub(crate) const CODE: &str = "abcdefghijklmnop";
/// What QQ takes.
pub(crate) const GOOD: &[u8] = b"From: <10000@qq.com>\r\nSubject: x\r\n\r\nHello\r\n.\r\n";
/// No test waits longer for one reply.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn settings() -> SandboxSettings {
    let any = "127.0.0.1:0".parse().unwrap();
    SandboxSettings {
        implicit: Some(any),
        starttls: Some(any),
        accounts: vec![(USER.to_owned(), Secret::new(CODE)), ("b@qq.com".to_owned(), Secret::new("other"))],
        limits: SandboxLimits::default(),
        keep: 100,
        reply_delay: Duration::ZERO,
    }
}

pub(crate) async fn sandbox() -> Sandbox {
    with(|_| {}).await
}

pub(crate) async fn with(change: impl FnOnce(&mut SandboxSettings)) -> Sandbox {
    let mut settings = settings();
    change(&mut settings);
    Sandbox::start(settings, Clock::system(), Drain::default()).await.unwrap()
}

pub(crate) fn connector(sandbox: &Sandbox) -> TlsConnector {
    #[cfg(feature = "aws-lc")]
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc")))]
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut sandbox.ca_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn over(stream: impl Stream + 'static) -> Client {
        Client { stream: Box::new(stream), buffer: Vec::new() }
    }

    pub(crate) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// What was read and not looked at yet.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.buffer
    }

    /// TLS on the implicit port; nothing was read yet.
    pub(crate) async fn tls(sandbox: &Sandbox) -> Client {
        let stream = TcpStream::connect(sandbox.implicit_addr().unwrap()).await.unwrap();
        Client::over(connector(sandbox).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap())
    }

    /// Greeted, EHLO said.
    pub(crate) async fn hello(sandbox: &Sandbox) -> Client {
        let mut client = Client::tls(sandbox).await;
        client.expect("220").await;
        client.say("EHLO test", "250").await;
        client
    }

    /// Logged in.
    pub(crate) async fn ready(sandbox: &Sandbox) -> Client {
        let mut client = Client::hello(sandbox).await;
        client.log_in(USER, CODE, "235").await;
        client
    }

    /// With the body coming next.
    pub(crate) async fn at_data(sandbox: &Sandbox) -> Client {
        let mut client = Client::ready(sandbox).await;
        client.envelope().await;
        client.say("DATA", "354").await;
        client
    }

    pub(crate) async fn envelope(&mut self) {
        self.say(&format!("MAIL FROM:<{USER}>"), "250").await;
        self.say("RCPT TO:<x@example.com>", "250").await;
    }

    pub(crate) async fn log_in(&mut self, user: &str, code: &str, verdict: &str) -> String {
        assert_eq!(self.say("AUTH LOGIN", "334").await, "334 VXNlcm5hbWU6\r\n");
        assert_eq!(self.say(&STANDARD.encode(user), "334").await, "334 UGFzc3dvcmQ6\r\n");
        self.say(&STANDARD.encode(code), verdict).await
    }

    /// A whole message; the verdict on it.
    pub(crate) async fn message(&mut self, data: &[u8], verdict: &str) -> String {
        self.envelope().await;
        self.say("DATA", "354").await;
        self.send(data).await;
        self.expect(verdict).await
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) {
        // The server may be gone already; what it said last is still to be read.
        let _ = self.stream.write_all(octets).await;
        let _ = self.stream.flush().await;
    }

    pub(crate) async fn say(&mut self, line: &str, code: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.expect(code).await
    }

    /// The next whole reply, which must start with `start`.
    pub(crate) async fn expect(&mut self, start: &str) -> String {
        let reply = String::from_utf8(self.reply().await).unwrap();
        assert!(reply.starts_with(start), "wanted {start}, got {reply:?}");
        reply
    }

    /// The next whole reply, in whatever charset.
    pub(crate) async fn reply(&mut self) -> Vec<u8> {
        loop {
            let mut end = 0;
            while let Some(lf) = self.buffer[end..].iter().position(|&b| b == b'\n') {
                let line = &self.buffer[end..end + lf + 1];
                end += lf + 1;
                if line.get(3) != Some(&b'-') {
                    return self.buffer.drain(..end).collect();
                }
            }
            let read = self.read().await;
            assert!(
                matches!(read, Ok(n) if n > 0),
                "no reply: {read:?} after {:?}",
                self.buffer.escape_ascii().to_string()
            );
        }
    }

    /// Waits for these octets, line end or not.
    pub(crate) async fn expect_octets(&mut self, octets: &[u8]) {
        while self.buffer.len() < octets.len() {
            assert!(matches!(self.read().await, Ok(n) if n > 0), "the sandbox closed");
        }
        assert_eq!(self.buffer.drain(..).collect::<Vec<u8>>(), octets);
    }

    async fn read(&mut self) -> io::Result<usize> {
        timeout(LIMIT, self.stream.read_buf(&mut self.buffer)).await.expect("the sandbox says nothing")
    }

    /// Everything up to the end, and how it ended: `None` in order, else the error.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Option<io::ErrorKind>) {
        let end = loop {
            match self.read().await {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// The end must come in order, after exactly this.
    pub(crate) async fn ends_with(&mut self, last: &[u8]) {
        let (rest, end) = self.rest().await;
        assert_eq!((rest.escape_ascii().to_string(), end), (last.escape_ascii().to_string(), None));
    }

    /// Nothing must have come, although the server had the time to say it.
    pub(crate) async fn is_silent(&mut self) {
        assert!(self.buffer.is_empty());
        assert!(timeout(Duration::from_millis(50), self.stream.read_buf(&mut self.buffer)).await.is_err());
    }
}
