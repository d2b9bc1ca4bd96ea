//! The control socket: commands for a running relay, one JSON object a line, over a Unix socket in the data folder.
//!
//! Who may open the socket may give commands: it is made with mode 0600, in a folder with mode 0700. A line is at most
//! [`LONGEST`] octets. Not here: what the commands mean (`command`).

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::queue::Queue;
use crate::telemetry::counter::Counters;
use crate::telemetry::panic;

use super::accounts::Accounts;
use super::command::{AdminCommand, AdminReply, carry_out};

/// The longest command, in octets.
const LONGEST: u64 = 64 * 1024;
/// How long the two ends wait for each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the socket of the relay in `data_dir` is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The relay's end.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens the socket. Only who holds the lock of the data folder may call this: an old socket is removed.
    ///
    /// # Errors
    /// What the system says; a path over 107 octets cannot be bound.
    pub fn bind(data_dir: &Path) -> io::Result<Control> {
        let path = path(data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Control { listener, path })
    }

    /// Answers commands until the drain starts.
    pub async fn run(
        self,
        queue: Arc<dyn Queue>,
        accounts: Arc<dyn Accounts>,
        clock: Clock,
        counters: Counters,
        drain: Drain,
    ) {
        loop {
            let accepted = tokio::select! {
                () = drain.asked() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (queue, accounts, clock, counters) =
                        (queue.clone(), accounts.clone(), clock.clone(), counters.clone());
                    // A command that hangs must not hold up the next one, nor may one that panics.
                    tokio::spawn(async move {
                        let answer = answer(stream, queue.as_ref(), accounts.as_ref(), &clock);
                        panic::confined("order", &counters, timeout(PATIENCE, answer)).await
                    });
                }
                Err(error) => {
                    tracing::warn!(event = "accept_failed", listener = "control", "{error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // The next start removes it as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(stream: UnixStream, queue: &dyn Queue, accounts: &dyn Accounts, clock: &Clock) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<AdminCommand>(&line) {
        Ok(command) => carry_out(queue, accounts, clock, command).await,
        Err(error) => AdminReply::Refused(format!("not an order: {error}")),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// The operator's end: gives one command to the relay that runs in `data_dir`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when none runs there; others when the line broke.
pub async fn ask(data_dir: &Path, command: &AdminCommand) -> io::Result<AdminReply> {
    let mut stream = UnixStream::connect(path(data_dir)).await?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    let exchange = async {
        stream.write_all(&line).await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
        Ok(serde_json::from_slice(&text)?)
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
