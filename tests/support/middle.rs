//! A bad line between the relay and its provider: slow, dead after so many octets, or open and silent.
//!
//! It pipes TCP as it comes and knows nothing of TLS or SMTP. What the kernel's `netem` would do to packets it does to
//! octets, which is all that the two ends can see of it. Not here: damage to octets, which TLS notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the line does to a connection that is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Pass,
    /// Takes the connection and lets nothing through, in either direction, until the manner changes; then it ends.
    Silent,
    /// Every piece of at most `size` octets comes `delay` later.
    Slow {
        /// How long a piece is on its way.
        delay: Duration,
        /// How large a piece is.
        size: usize,
    },
    /// After so many octets from the relay the line is dead: the connection is reset.
    DeadAfter(u64),
}

/// A line to one place.
pub struct Middle {
    addr: SocketAddr,
    manner: watch::Sender<Manner>,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Middle {
    /// A line to `to`.
    pub async fn to(to: SocketAddr, manner: Manner) -> Middle {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let addr = listener.local_addr().expect("it is bound");
        let manner = watch::Sender::new(manner);
        let (mine, connections) = (manner.clone(), Arc::new(AtomicU64::new(0)));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, to, mine.subscribe()));
            }
        });
        Middle { addr, manner, connections, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections came in.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it does from now on.
    pub fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, to: SocketAddr, mut manner: watch::Receiver<Manner>) {
    let now = *manner.borrow_and_update();
    if now == Manner::Silent {
        let _ = manner.changed().await;
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (limit, delay, size) = match now {
        Manner::Pass | Manner::Silent => (u64::MAX, Duration::ZERO, 64 * 1024),
        Manner::Slow { delay, size } => (u64::MAX, delay, size),
        Manner::DeadAfter(octets) => (octets, Duration::ZERO, 64 * 1024),
    };
    let back = tokio::spawn(pipe(from_server, to_client, u64::MAX, delay, size));
    if pipe(from_client, to_server, limit, delay, size).await {
        // Not even the replies that are on their way arrive.
        back.abort();
    } else {
        let _ = back.await;
    }
}

/// True when the line died, false when a side ended.
async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, limit: u64, delay: Duration, size: usize) -> bool {
    let (mut piece, mut left) = (vec![0; size], limit);
    loop {
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(count @ 1..) = from.read(&mut piece[..most]).await else {
            let _ = to.shutdown().await;
            return false;
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return false;
        }
        left -= count as u64;
        if left == 0 {
            return true;
        }
    }
}
