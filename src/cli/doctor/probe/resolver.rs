//! TXT look-ups: one question to each of the machine's resolvers in turn, by UDP, and by TCP when the answer is long.
//!
//! Not here: the messages (`dns_message`), and host addresses, which the system's own resolver gives.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::LIMIT;
use super::dns_message::{self, Answer, Question};
use super::system_files;

/// How long one server is waited for before the next is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// The port of name servers.
const PORT: u16 = 53;

/// The machine's name servers.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Those of `/etc/resolv.conf`; the one on this machine where it names none (resolv.conf(5)).
    pub(crate) fn of_system() -> Resolver {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let mut servers: Vec<SocketAddr> =
            system_files::name_servers(&text).into_iter().map(|ip| SocketAddr::new(ip, PORT)).collect();
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Resolver { servers }
    }

    /// This one server.
    pub(crate) fn at(server: SocketAddr) -> Resolver {
        Resolver { servers: vec![server] }
    }

    /// The TXT records of `name`; none when it has none or does not exist.
    ///
    /// # Errors
    /// A sentence: the last server's failure, or that none answered in time.
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let asked = dns_message::ask(id(), name).ok_or_else(|| format!("{name} is no domain name"))?;
        let all = async {
            let mut last = "no name server is known".to_owned();
            for server in &self.servers {
                match timeout(PATIENCE, ask(*server, &asked)).await {
                    Ok(Ok(Answer::Texts(texts))) => return Ok(texts),
                    Ok(Ok(Answer::Failed(code))) => last = format!("{} answered with failure {code}", server.ip()),
                    Ok(Ok(Answer::Truncated)) => last = format!("{} cuts its answers short", server.ip()),
                    Ok(Err(error)) => last = format!("{}: {error}", server.ip()),
                    Err(_) => last = format!("{} did not answer in {} s", server.ip(), PATIENCE.as_secs()),
                }
            }
            Err(last)
        };
        timeout(LIMIT, all).await.unwrap_or_else(|_| Err("no name server answered in time".to_owned()))
    }
}

async fn ask(server: SocketAddr, asked: &Question) -> io::Result<Answer> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A connected socket: datagrams from others never get here.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(asked.as_slice()).await?;
    let mut buffer = [0u8; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match dns_message::read(asked, &buffer[..length]) {
            Some(Answer::Truncated) => return ask_by_tcp(server, asked).await,
            Some(answer) => return Ok(answer),
            // Not the answer to our question: keep listening.
            None => {}
        }
    }
}

/// The same over TCP, with two octets of length in front (RFC 7766 section 8).
async fn ask_by_tcp(server: SocketAddr, asked: &Question) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(asked.as_slice().len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), asked.as_slice()].concat()).await?;
    let mut message = vec![0u8; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    dns_message::read(asked, &message).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A number that nobody else can guess easily (RFC 5452 section 9.2).
fn id() -> u16 {
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u16
}
