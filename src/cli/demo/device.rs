//! A device at the other end of the wire: it writes what it writes, and waits for each reply as a simple one would.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::message::Repair;

use super::mails::Mail;

/// No reply takes longer than this here.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the relay said.
pub(super) struct Sent {
    /// The reply to the final dot.
    pub(super) reply: String,
    /// The id in it.
    pub(super) id: String,
    /// What the relay repaired; not known to the device, filled in afterwards.
    pub(super) repairs: Vec<Repair>,
}

/// Hands in a mail over SMTP.
pub(super) async fn send(door: SocketAddr, mail: &Mail) -> anyhow::Result<Sent> {
    let stream = TcpStream::connect(door).await?;
    stream.set_nodelay(true)?;
    let mut line = BufReader::new(stream);
    expect(&mut line, "220").await?;
    line.get_mut().write_all(mail.hello).await?;
    expect(&mut line, "250").await?;
    let commands = std::iter::once(mail.mail).chain(mail.rcpt.iter().copied());
    for command in commands {
        line.get_mut().write_all(format!("{command}\r\n").as_bytes()).await?;
        expect(&mut line, "250").await?;
    }
    line.get_mut().write_all(b"DATA\r\n").await?;
    expect(&mut line, "354").await?;
    line.get_mut().write_all(&stuffed(&mail.data)).await?;
    line.get_mut().write_all(b".\r\n").await?;
    let reply = expect(&mut line, "250").await?;
    line.get_mut().write_all(b"QUIT\r\n").await?;
    expect(&mut line, "221").await?;
    let id = reply.rsplit(' ').next().context("no id in the reply")?.to_owned();
    Ok(Sent { reply, id, repairs: Vec::new() })
}

/// Dots at the beginning of a line are doubled (RFC 5321 section 4.5.2); even old devices do that.
fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 16);
    for line in data.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out
}

/// Reads one reply, which must have this code.
async fn expect(line: &mut BufReader<TcpStream>, code: &str) -> anyhow::Result<String> {
    loop {
        let mut text = String::new();
        let read = timeout(PATIENCE, line.read_line(&mut text)).await.context("the relay did not answer")??;
        ensure!(read > 0, "the relay hung up");
        let text = text.trim_end();
        if !text.starts_with(code) {
            bail!("the relay said: {text}");
        }
        if text.as_bytes().get(3) != Some(&b'-') {
            return Ok(text.to_owned());
        }
    }
}
