//! The control socket: commands for a running relay, one JSON object a line, over a Unix socket in the data folder.
//!
//! A user who may open the socket may give commands: it has mode 0600, in a folder with mode 0700. The kernel says which
//! user it is (`SO_PEERCRED`, unix(7)). A line is at most [`LONGEST`] octets. The answer is a line too; the octets of an
//! exported message follow it. Not here: what the commands mean (`command`).

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::drain::Drain;
use crate::language::words;
use crate::telemetry::counter::Counters;
use crate::telemetry::panic;

use super::caller::Caller;
use super::carry_out::{Admin, Answered};
use super::command::{AdminCommand, PATIENCE};
use super::error::{AdminError, ErrorCode};
use super::reply::AdminReply;

/// The longest command, in octets: it has room for the ids of [`MOST`](super::change::MOST) messages.
pub const LONGEST: u64 = 256 * 1024;
/// Of a line that is too long, at most this many octets are read before the socket is closed, so that the answer arrives.
const SKIPPED: u64 = 16 * 1024 * 1024;
/// The longest answer that is read, in octets.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;
/// The largest piece of a content that is read at once.
const PIECE: u64 = 64 * 1024;

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
    /// Opens the socket. The caller must hold the lock of the data folder: an old socket is removed.
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
    pub async fn run(self, admin: Admin, counters: Counters, drain: Drain) {
        loop {
            let accepted = tokio::select! {
                () = drain.asked() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (admin, counters) = (admin.clone(), counters.clone());
                    // A command that hangs must not hold up the next one, nor may one that panics.
                    tokio::spawn(async move { panic::confined("order", &counters, answer(stream, &admin)).await });
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

/// Reads one command and answers it.
async fn answer(stream: UnixStream, admin: &Admin) -> io::Result<()> {
    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
    let (mut read, mut write) = stream.into_split();
    let answered = match timeout(PATIENCE, command(&mut read)).await.map_err(io::Error::from)?? {
        Ok(command) => {
            // The file of users is read apart; without an answer the number is enough.
            let caller = spawn_blocking(move || Caller::on_socket(uid)).await.map_err(io::Error::other)?;
            match command.patience() {
                None => admin.carry_out(&caller, command).await,
                Some(patience) => {
                    timeout(patience, admin.carry_out(&caller, command)).await.map_err(io::Error::from)?
                }
            }
        }
        Err(error) => Answered { reply: error.into(), content: None },
    };
    let mut text = serde_json::to_vec(&answered.reply)?;
    text.push(b'\n');
    timeout(PATIENCE, write.write_all(&text)).await.map_err(io::Error::from)??;
    if let Some(mut content) = answered.content {
        // An error ends the octets early, and the reader counts them.
        while let Some(piece) = content.next_chunk().await.map_err(io::Error::other)? {
            timeout(PATIENCE, write.write_all(&piece)).await.map_err(io::Error::from)??;
        }
    }
    Ok(())
}

/// Reads the line of a command.
async fn command(read: &mut OwnedReadHalf) -> io::Result<Result<AdminCommand, AdminError>> {
    let mut line = Vec::new();
    let mut limited = BufReader::new(read.take(LONGEST));
    limited.read_until(b'\n', &mut line).await?;
    if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
        // What is left unread would reset the connection, and the answer with it.
        let mut rest = BufReader::new(limited.into_inner().into_inner().take(SKIPPED));
        loop {
            let octets = rest.fill_buf().await?;
            let len = octets.len();
            if len == 0 || octets.contains(&b'\n') {
                break;
            }
            rest.consume(len);
        }
        return Ok(Err(bad(
            format!("the command is longer than {LONGEST} octets"),
            format!("命令超过 {LONGEST} 个字节"),
        )));
    }
    Ok(serde_json::from_slice(&line).map_err(|error| not_understood(&line, &error)))
}

fn bad(en: String, zh: String) -> AdminError {
    let remedy = words(
        "send one JSON object in a line; `yizhan queue --help` shows what there is",
        "请在一行内发送一个 JSON 对象；`yizhan queue --help` 列出可用命令",
    );
    AdminError::new(ErrorCode::BadCommand, words(en, zh), remedy)
}

/// The refusal of a line: an unknown command, or one that lacks something.
fn not_understood(line: &[u8], error: &serde_json::Error) -> AdminError {
    #[derive(serde::Deserialize)]
    struct Named {
        r#do: String,
    }
    let error = error.to_string().escape_debug().to_string();
    match serde_json::from_slice::<Named>(line) {
        Ok(Named { r#do: name }) if error.contains("unknown variant") && error.contains(&format!("`{name}`")) => {
            let name = super::conditions::shown(&name);
            AdminError::new(
                ErrorCode::UnknownCommand,
                words(format!("this relay has no command `{name}`"), format!("这个中继没有命令 `{name}`")),
                words(
                    "the relay and the program that asks have different versions: restart the relay after an update",
                    "中继与发出命令的程序版本不同：升级后请重启中继",
                ),
            )
        }
        Ok(_) | Err(_) => bad(format!("the command was not understood: {error}"), format!("命令无法识别：{error}")),
    }
}

/// The operator's end: gives one command to the relay that runs in `data_dir`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when none runs there, `PermissionDenied` when the folder is of another user,
/// `InvalidData` when the answer is that of another version; others when the line broke.
pub async fn ask(data_dir: &Path, command: &AdminCommand) -> io::Result<AdminReply> {
    open(data_dir, command).await.map(|(reply, _)| reply)
}

/// As [`ask`], with the octets of an exported message.
///
/// # Errors
/// As [`ask`].
pub async fn open(data_dir: &Path, command: &AdminCommand) -> io::Result<(AdminReply, Option<IncomingContent>)> {
    let stream = UnixStream::connect(path(data_dir)).await?;
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    let exchange = async {
        // A relay that has no use for the rest of the line answers all the same.
        let written = write.write_all(&line).await;
        let mut read = BufReader::new(read);
        let mut text = Vec::new();
        (&mut read).take(LONGEST_ANSWER).read_until(b'\n', &mut text).await?;
        if text.is_empty() {
            written?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let reply = serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let content = match &reply {
            AdminReply::Export { export } => Some(IncomingContent { read, left: export.octets }),
            AdminReply::Refused { .. }
            | AdminReply::Messages { .. }
            | AdminReply::Message { .. }
            | AdminReply::Changed { .. }
            | AdminReply::Commands { .. }
            | AdminReply::Backup { .. }
            | AdminReply::Page { .. }
            | AdminReply::Depth { .. }
            | AdminReply::Notices { .. }
            | AdminReply::Status { .. }
            | AdminReply::Health { .. }
            | AdminReply::Accounts { .. }
            | AdminReply::Account { .. } => None,
        };
        Ok((reply, content))
    };
    match command.patience() {
        None => exchange.await,
        Some(patience) => timeout(patience, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    }
}

/// The octets of an exported message, as they arrive.
#[derive(Debug)]
pub struct IncomingContent {
    read: BufReader<OwnedReadHalf>,
    left: u64,
}

impl IncomingContent {
    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke; `UnexpectedEof` when the relay could not read the message to its end.
    pub async fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = Vec::new();
        let most = self.left.min(PIECE);
        timeout(PATIENCE, read_some(&mut self.read, most, &mut piece)).await.map_err(io::Error::from)??;
        self.left -= piece.len() as u64;
        Ok(Some(Bytes::from(piece)))
    }
}

async fn read_some(read: &mut (impl AsyncRead + Unpin), most: u64, piece: &mut Vec<u8>) -> io::Result<()> {
    if read.take(most).read_to_end(piece).await? < most as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> ErrorCode {
        let error = serde_json::from_str::<AdminCommand>(line).unwrap_err();
        not_understood(line.as_bytes(), &error).code
    }

    #[test]
    fn an_unknown_command_is_told_from_one_that_is_written_wrongly() {
        assert_eq!(code(r#"{"do":"explode"}"#), ErrorCode::UnknownCommand);
        for odd in ["", "x", "[]", "{}", r#"{"do":"show"}"#, r#"{"do":"change","change":"eat","which":{"ids":[]}}"#] {
            assert_eq!(code(odd), ErrorCode::BadCommand, "{odd}");
        }
    }
}
