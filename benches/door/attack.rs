//! Many slow clients in a process of their own: some dribble a command, some a message, some say nothing, some never read.
//!
//! Whoever is let go comes again a second later. Their octets come as slowly as such clients send them; it is not a flood
//! that fills the processor.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The argument that turns the benchmark into the attackers.
pub(crate) const ROLE: &str = "--be-slow";
/// Between two octets of one that dribbles.
const DRIP: Duration = Duration::from_millis(100);
/// Before one that was let go comes again.
const AGAIN: Duration = Duration::from_secs(1);
/// Clients of one address.
const OF_ONE: u32 = 25;

/// They are at it until this is dropped.
pub(crate) struct Attack(Child);

impl Attack {
    /// Starts them, and waits until all have begun.
    pub(crate) fn start(port: u16, count: u32) -> anyhow::Result<Attack> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([ROLE, &port.to_string(), &count.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut attack = Attack(command.spawn()?);
        let said = attack.0.stdout.take().context("a pipe was asked for")?;
        BufReader::new(said).read_line(&mut String::new())?;
        Ok(attack)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Is all of them, for ever.
pub(crate) fn run(port: u16, count: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for n in 0..count {
            tokio::spawn(async move {
                loop {
                    // The relay hangs up on it some day; that is what should happen.
                    let _ = one(port, n).await;
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        tokio::time::sleep(AGAIN).await;
        println!("begun");
        std::future::pending::<()>().await;
    });
    Ok(())
}

async fn one(port: u16, n: u32) -> std::io::Result<()> {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 2, 0, 1)) + n / OF_ONE);
    let socket = TcpSocket::new_v4()?;
    let deaf = n % 9 == 8;
    if deaf {
        socket.set_recv_buffer_size(1024)?;
    }
    socket.bind((address, 0).into())?;
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    match n % 9 {
        8 => {
            // Much is asked, no answer is read.
            let questions = b"EHLO deaf.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n".repeat(30);
            stream.write_all(&questions).await?;
            std::future::pending().await
        }
        7 => std::future::pending().await,
        4..=6 => {
            stream.set_nodelay(true)?;
            drip(&mut stream, b"EHLO a.very.slow.device.with.a.long.name.test\r\n").await
        }
        _ => {
            stream.set_nodelay(true)?;
            for line in
                [&b"EHLO slow.test\r\n"[..], b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n", b"DATA\r\n"]
            {
                stream.write_all(line).await?;
            }
            drip(&mut stream, b"Subject: nothing to see here, it comes octet by octet\r\nX: y\r\n").await
        }
    }
}

/// The same text for ever, octet by octet; what comes back is read.
async fn drip(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    let mut answers = [0; 4096];
    for octet in text.iter().cycle() {
        stream.write_all(&[*octet]).await?;
        tokio::select! {
            read = stream.read(&mut answers) => if read? == 0 { return Ok(()) },
            () = tokio::time::sleep(DRIP) => {}
        }
    }
    Ok(())
}
