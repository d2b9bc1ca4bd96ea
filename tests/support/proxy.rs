//! A proxy for tests: SOCKS5 (RFC 1928, RFC 1929) or HTTP CONNECT (RFC 9110 section 9.3.6), and its bad days.
//!
//! It knows the names it is told, and nobody else does: what arrives through it was resolved by it. It keeps what
//! clients asked for, and every octet they sent before the tunnel stood. Not here: foreign proxies.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::folder::Folder;
use super::peers::program;
use super::ports::Reserved;
use super::process::Process;
use super::skip::Missing;

/// Which protocol it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Socks5,
    Http,
}

/// What it does with a request that is well-formed and allowed in.
#[derive(Clone, Debug, Default)]
pub enum Act {
    /// Connects, and pipes.
    #[default]
    Serve,
    /// Connects, and answers in pieces of one octet.
    Pieces,
    /// Says no: SOCKS5 with this reply code, HTTP with this status.
    Refuse(u16),
    /// Says nothing for ever.
    Hang,
    /// Closes.
    HangUp,
    /// Says this as soon as somebody connects, and keeps the line open.
    Say(Vec<u8>),
    /// Says this in place of the answer to the request, in one write with the greeting of the server behind it.
    Answer(Vec<u8>),
}

/// How it is set up.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// The log-in it demands.
    pub login: Option<(&'static str, &'static str)>,
    /// The names it knows.
    pub names: Vec<(String, SocketAddr)>,
    /// What it does.
    pub act: Act,
}

#[derive(Default)]
struct Notes {
    asked: Vec<String>,
    heard: Vec<u8>,
}

/// A running proxy.
pub struct TestProxy {
    kind: Kind,
    addr: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

impl TestProxy {
    pub async fn start(kind: Kind, manners: Manners) -> TestProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let notes = Arc::new(Mutex::new(Notes::default()));
        let shared = notes.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("loopback works");
                let line = Line { client, notes: shared.clone(), manners: manners.clone() };
                tokio::spawn(line.serve(kind));
            }
        });
        TestProxy { kind, addr, notes, task }
    }

    /// How it is written in the settings, without a log-in.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// As [`TestProxy::url`], with `user:password@`.
    pub fn url_with(&self, login: &str) -> String {
        let scheme = if self.kind == Kind::Socks5 { "socks5" } else { "http" };
        format!("{scheme}://{login}{}", self.addr)
    }

    /// The places that clients asked for, as they wrote them.
    pub fn asked(&self) -> Vec<String> {
        self.notes.lock().expect("no panic holds it").asked.clone()
    }

    /// What clients sent before a tunnel stood.
    pub fn heard(&self) -> Vec<u8> {
        self.notes.lock().expect("no panic holds it").heard.clone()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One client.
struct Line {
    client: TcpStream,
    notes: Arc<Mutex<Notes>>,
    manners: Manners,
}

impl Line {
    async fn serve(mut self, kind: Kind) {
        let _ = self.client.set_nodelay(true);
        match &self.manners.act {
            Act::Hang => return std::future::pending().await,
            Act::HangUp => return,
            Act::Say(octets) => {
                let _ = self.client.write_all(octets).await;
                return std::future::pending().await;
            }
            Act::Serve | Act::Pieces | Act::Refuse(_) | Act::Answer(_) => {}
        }
        // A client that goes in the middle is its own test's business.
        let _ = match kind {
            Kind::Socks5 => self.socks5().await,
            Kind::Http => self.http().await,
        };
    }

    async fn take(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut octets = vec![0; count];
        self.client.read_exact(&mut octets).await?;
        self.notes.lock().expect("no panic holds it").heard.extend_from_slice(&octets);
        Ok(octets)
    }

    async fn say(&mut self, octets: &[u8]) -> std::io::Result<()> {
        if !matches!(self.manners.act, Act::Pieces) {
            return self.client.write_all(octets).await;
        }
        for octet in octets {
            self.client.write_all(&[*octet]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn socks5(mut self) -> std::io::Result<()> {
        let head = self.take(2).await?;
        assert_eq!(head[0], 5, "the client speaks SOCKS5");
        let methods = self.take(usize::from(head[1])).await?;
        if let Some((user, password)) = self.manners.login {
            if !methods.contains(&2) {
                return self.say(&[5, 0xff]).await;
            }
            self.say(&[5, 2]).await?;
            let length = usize::from(self.take(2).await?[1]);
            let name = self.take(length).await?;
            let length = usize::from(self.take(1).await?[0]);
            let word = self.take(length).await?;
            let good = (name, word) == (user.into(), password.into());
            self.say(&[1, u8::from(!good)]).await?;
            if !good {
                return Ok(());
            }
        } else {
            self.say(&[5, 0]).await?;
        }
        let head = self.take(4).await?;
        assert_eq!(head[..3], [5, 1, 0], "CONNECT");
        let host = match head[3] {
            1 => {
                let octets: [u8; 4] = self.take(4).await?.try_into().expect("four octets");
                std::net::Ipv4Addr::from(octets).to_string()
            }
            4 => {
                let octets: [u8; 16] = self.take(16).await?.try_into().expect("sixteen octets");
                std::net::Ipv6Addr::from(octets).to_string()
            }
            3 => {
                let length = usize::from(self.take(1).await?[0]);
                String::from_utf8(self.take(length).await?).expect("an ASCII name")
            }
            kind => panic!("address type {kind}"),
        };
        let port = self.take(2).await?;
        let port = u16::from_be_bytes([port[0], port[1]]);
        match self.manners.act {
            // Without an address behind it, as some proxies do.
            Act::Refuse(code) => {
                self.note(&host, port);
                self.say(&[5, code as u8]).await
            }
            Act::Serve | Act::Pieces | Act::Hang | Act::HangUp | Act::Say(_) | Act::Answer(_) => {
                self.tunnel(&host, port, &[5, 0, 0, 3, 4, b'h', b'e', b'r', b'e', 0, 7], &[5, 5]).await
            }
        }
    }

    async fn http(mut self) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.take(1).await?);
        }
        let head = String::from_utf8(head).expect("ASCII");
        if let Some((user, password)) = self.manners.login {
            let basic = format!("\r\nProxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")));
            if !head.contains(&basic) {
                let wanted = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n<html>";
                return self.say(wanted).await;
            }
        }
        let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).expect("CONNECT").to_owned();
        assert!(head.contains(&format!(" HTTP/1.1\r\nHost: {to}\r\n")), "{head}");
        let (host, port) = to.rsplit_once(':').expect("host and port");
        let (host, port) = (host.trim_matches(['[', ']']), port.parse().expect("a port"));
        match self.manners.act {
            Act::Refuse(code) => {
                self.note(host, port);
                self.say(format!("HTTP/1.1 {code} No way\r\nContent-Length: 6\r\n\r\n<html>").as_bytes()).await
            }
            Act::Serve | Act::Pieces | Act::Hang | Act::HangUp | Act::Say(_) | Act::Answer(_) => {
                let good = b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: test\r\n\r\n";
                self.tunnel(host, port, good, b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await
            }
        }
    }

    fn note(&self, host: &str, port: u16) {
        self.notes.lock().expect("no panic holds it").asked.push(format!("{host}:{port}"));
    }

    async fn tunnel(mut self, host: &str, port: u16, good: &[u8], bad: &[u8]) -> std::io::Result<()> {
        self.note(host, port);
        let place = format!("{host}:{port}");
        let known = self.manners.names.iter().find(|(name, _)| *name == place).map(|(_, addr)| *addr);
        // Addresses need no look-up; names that it was not told do not exist.
        let addr = known.or_else(|| host.parse().ok().map(|ip| SocketAddr::new(ip, port)));
        let server = match addr {
            Some(addr) => TcpStream::connect(addr).await.ok(),
            None => None,
        };
        let Some(mut server) = server else { return self.say(bad).await };
        let _ = server.set_nodelay(true);
        if let Act::Answer(mut octets) = self.manners.act.clone() {
            server.read_buf(&mut octets).await?;
            self.client.write_all(&octets).await?;
        } else {
            self.say(good).await?;
        }
        tokio::io::copy_bidirectional(&mut self.client, &mut server).await?;
        Ok(())
    }
}

/// A foreign proxy on a port of 127.0.0.1: Debian's microsocks or tinyproxy.
pub struct ForeignProxy {
    process: Process,
    port: u16,
    _folder: Folder,
}

impl ForeignProxy {
    /// microsocks, with a log-in or without.
    pub fn microsocks(login: Option<(&str, &str)>) -> Result<ForeignProxy, Missing> {
        let program = program("microsocks")?;
        let (folder, port) = (Folder::new("microsocks"), Reserved::new().release());
        let arguments = |command: &mut Command| {
            command.args(["-i", "127.0.0.1", "-p"]).arg(port.to_string());
            if let Some((user, password)) = login {
                command.args(["-u", user, "-P", password]);
            }
        };
        let mut process = Process::spawn("microsocks", &program, arguments, folder.path());
        process.wait_listening(port, String::new);
        Ok(ForeignProxy { process, port, _folder: folder })
    }

    /// tinyproxy, which lets CONNECT through to `allowed` ports only.
    pub fn tinyproxy(login: Option<(&str, &str)>, allowed: &[u16]) -> Result<ForeignProxy, Missing> {
        let program = program("tinyproxy")?;
        let (folder, port) = (Folder::new("tinyproxy"), Reserved::new().release());
        let mut text = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\n");
        if let Some((user, password)) = login {
            text.push_str(&format!("BasicAuth {user} {password}\n"));
        }
        for port in allowed {
            text.push_str(&format!("ConnectPort {port}\n"));
        }
        let config = folder.file("tinyproxy.conf", text);
        let arguments = |command: &mut Command| {
            command.arg("-d").arg("-c").arg(config);
        };
        let mut process = Process::spawn("tinyproxy", &program, arguments, folder.path());
        process.wait_listening(port, String::new);
        Ok(ForeignProxy { process, port, _folder: folder })
    }

    /// `host:port`.
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}
