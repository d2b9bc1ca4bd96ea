//! HTTP CONNECT, the client's side (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3), with Basic log-in (RFC 7617).
//!
//! Not a piece of an HTTP client: one request, the status of the answer, and its header block thrown away. Octets are
//! looked at before they are taken, so that nothing behind the header block is read: on port 587 the provider's
//! greeting may be right behind it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::secret::redact;

use super::address::Login;
use super::tunnel::Fault;

/// Most octets of the answer, informational ones before it included.
const LONGEST: usize = 8 * 1024;
/// Most letters of the reason phrase that are shown.
const PHRASE: usize = 80;

/// Has the proxy at the other end of `stream` connect to `to`.
pub(super) async fn connect(stream: &mut TcpStream, to: &str, login: Option<&Login>) -> Result<(), Fault> {
    let mut said = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(Login { user, password }) = login {
        redact::protect(password);
        // At once, not after a 407: many proxies close with it, and the answer costs a round trip.
        let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
        said.push_str(&format!("Proxy-Authorization: Basic {pair}\r\n"));
    }
    said.push_str("\r\n");
    stream.write_all(said.as_bytes()).await?;
    let mut room = LONGEST;
    loop {
        let head = header_block(stream, &mut room).await?;
        match status(&head)? {
            // Informational: the answer proper is still to come (RFC 9110 section 15.2).
            (100..=199, _) => {}
            // Any 2xx: from here on it is a tunnel, whatever Content-Length the proxy claims (section 9.3.6).
            (200..=299, _) => return Ok(()),
            // 401 is not for proxies (section 11.7), but some say it to a wrong password.
            (401 | 407, _) => return Err(Fault::Wanted),
            (code, phrase) => return Err(refused(code, &phrase)),
        }
    }
}

/// Reads up to the empty line and not one octet further, at most `room`.
async fn header_block(stream: &mut TcpStream, room: &mut usize) -> Result<Vec<u8>, Fault> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let seen = stream.peek(&mut piece).await?;
        if seen == 0 {
            return Err(Fault::Line(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let before = head.len();
        head.extend_from_slice(&piece[..seen]);
        let end = end_of_block(&head);
        let take = end.map_or(seen, |end| end - before);
        *room = room.checked_sub(take).ok_or(Fault::Other("a header block of more than 8 KiB"))?;
        stream.read_exact(&mut piece[..take]).await?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
        // What is no HTTP is said to be none at once, and not after 8 KiB or the time limit.
        let start = &head[..head.len().min(5)];
        if !b"HTTP/".starts_with(start) {
            return Err(Fault::Other("something that is not HTTP"));
        }
    }
}

/// Where the empty line ends. A line may end in LF alone (RFC 9112 section 2.2).
fn end_of_block(head: &[u8]) -> Option<usize> {
    head.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1).find(|&end| {
        let line = &head[..end - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.ends_with(b"\n")
    })
}

/// Code and reason phrase of the status line (RFC 9112 section 4).
fn status(head: &[u8]) -> Result<(u16, String), Fault> {
    const NOT_HTTP: Fault = Fault::Other("something that is not HTTP");
    let line = head.split(|&octet| octet == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut parts = line.trim_end().splitn(3, ' ');
    let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !version.starts_with("HTTP/1.") || code.len() != 3 {
        return Err(NOT_HTTP);
    }
    let code = code.parse().map_err(|_| NOT_HTTP)?;
    // Before it is cut: the rest of a secret would not be known as one.
    let phrase = redact::redact(parts.next().unwrap_or_default());
    Ok((code, phrase.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(PHRASE).collect()))
}

fn refused(code: u16, phrase: &str) -> Fault {
    let remedy = match code {
        400 | 405 | 501 => "see that it is a proxy and allows CONNECT",
        403 => "allow CONNECT to the mail provider's host and port there",
        404 | 500 | 502 | 503 | 504 => "see that the proxy can reach the internet, and that the host is right",
        _ => "see the log of the proxy",
    };
    Fault::Refused(format!("{code} {phrase}").trim_end().to_owned(), remedy)
}
