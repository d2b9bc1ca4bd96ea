//! Accepts connections and gives each its own task, until the drain starts or the sandbox ends.
//!
//! Not here: what is said on a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::connection::SandboxConnection;
use super::shared::Shared;

/// How long to wait when the system has no more file handles.
const BREATH: Duration = Duration::from_millis(100);

/// Opens a port. Returns the address with the real port, and the task that accepts on it.
pub(super) async fn open(
    addr: SocketAddr,
    starttls: bool,
    shared: Arc<Shared>,
) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(addr).await?;
    let bound = listener.local_addr()?;
    tracing::info!(event = "sandbox_listening", addr = %bound, tls = if starttls { "starttls" } else { "implicit" });
    Ok((bound, tokio::spawn(accept(listener, starttls, shared))))
}

async fn accept(listener: TcpListener, starttls: bool, shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.drain.asked() => return,
            () = shared.end.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => serve(stream, peer, starttls, shared.clone()),
                Err(error) => {
                    tracing::warn!(event = "sandbox_accept", %error);
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
}

fn serve(stream: TcpStream, peer: SocketAddr, starttls: bool, shared: Arc<Shared>) {
    // Replies are one write a batch already; waiting for more to send would only slow the dialogue down.
    let _ = stream.set_nodelay(true);
    let number = shared.number.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::spawn(async move {
        let _here = shared.drain.hold(format!("sandbox session of {peer}"));
        let _open = Open::count(shared.clone());
        let connection = SandboxConnection::new(stream, peer.ip(), number, starttls, shared.clone());
        tokio::select! {
            () = connection.run() => {}
            () = shared.end.cancelled() => {}
        }
    });
}

/// Counts a connection as open while it lives, however it ends.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: Arc<Shared>) -> Open {
        shared.store.count(|stats| {
            stats.connections += 1;
            stats.open += 1;
        });
        Open(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.store.count(|stats| stats.open -= 1);
    }
}
