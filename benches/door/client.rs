//! A client over a plain connection that waits for each reply, as old devices do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::bail;
use socket2::{Domain, Socket, Type};

/// Octets of a message.
pub(crate) const SIZE: usize = 4096;
/// No reply takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection from the `place`-th address: 127.1.0.0 and those after it.
pub(crate) fn connect_from(port: u16, place: u32) -> std::io::Result<TcpStream> {
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + place);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A message with its final dot.
pub(crate) fn message() -> Vec<u8> {
    let mut message = b"From: printer@device.test\r\nTo: someone@example.test\r\nSubject: one page\r\n\
        Date: Fri, 20 Nov 2026 10:00:00 +0800\r\nMessage-ID: <bench@device.test>\r\n\r\n"
        .to_vec();
    while message.len() < SIZE {
        message.extend_from_slice(b"The quick brown fox jumps over the lazy dog and goes home again.\r\n");
    }
    message.extend_from_slice(b".\r\n");
    message
}

/// A client that has been greeted.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects from the `place`-th address and reads the greeting.
    pub(crate) fn connect(port: u16, place: u32) -> anyhow::Result<Client> {
        // A small buffer: thousands of clients live in this process.
        let mut client = Client(BufReader::with_capacity(512, connect_from(port, place)?));
        client.reply(b'2')?;
        Ok(client)
    }

    /// EHLO.
    pub(crate) fn hello(&mut self) -> anyhow::Result<()> {
        self.say(b"EHLO device.test\r\n", b'2')
    }

    /// One message; gives the time from its final dot to the 250.
    pub(crate) fn send(&mut self, message: &[u8]) -> anyhow::Result<Duration> {
        self.say(b"MAIL FROM:<printer@device.test>\r\n", b'2')?;
        self.say(b"RCPT TO:<someone@example.test>\r\n", b'2')?;
        self.say(b"DATA\r\n", b'3')?;
        let begin = Instant::now();
        self.say(message, b'2')?;
        Ok(begin.elapsed())
    }

    /// QUIT, and the end of the connection.
    pub(crate) fn quit(mut self) -> anyhow::Result<()> {
        self.say(b"QUIT\r\n", b'2')?;
        let left = self.0.read_line(&mut String::new())?;
        if left > 0 {
            bail!("more came after the goodbye");
        }
        Ok(())
    }

    /// Says `octets` and reads a reply of this class.
    pub(crate) fn say(&mut self, octets: &[u8], class: u8) -> anyhow::Result<()> {
        self.0.get_mut().write_all(octets)?;
        self.reply(class)
    }

    fn reply(&mut self, class: u8) -> anyhow::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            match line.as_bytes() {
                [first, _, _, b'-', ..] if *first == class => {}
                [first, ..] if *first == class => return Ok(()),
                _ => bail!("the relay says {line:?}"),
            }
        }
    }
}
