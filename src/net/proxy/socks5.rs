//! SOCKS5, the client's side of CONNECT (RFC 1928), with the log-in of RFC 1929.
//!
//! Our own lines, not the `tokio-socks` crate: it is three fixed exchanges, the crate does not say at which of them a
//! line broke, and it would bring a second `thiserror` and `futures-util` into the program. Every answer has a known
//! length and is read to its last octet and no further: what comes behind it is the provider's.

use std::net::IpAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::secret::redact;

use super::address::Login;
use super::tunnel::{Fault, Step};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_OF_THEM: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Has the proxy at the other end of `stream` connect to `to`. `step` says how far it came.
pub(super) async fn connect(
    stream: &mut TcpStream,
    to: (&str, u16),
    login: Option<&Login>,
    step: &mut Step,
) -> Result<(), Fault> {
    // With a log-in both methods are offered: a proxy that wants none is not to be bothered with one (section 3).
    let methods: &[u8] = if login.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    stream.write_all(methods).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    match (answer, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some(login)) => {
            *step = Step::LogIn;
            log_in(stream, login).await?;
        }
        ([VERSION, NONE_OF_THEM], _) => return Err(Fault::NoMethod),
        ([VERSION, _], _) => return Err(Fault::Other("a log-in method that was not offered")),
        ([_, _], _) => return Err(Fault::Other("something that is not SOCKS5")),
    }
    let (host, port) = to;
    *step = Step::Request(super::address::authority(host, port));
    stream.write_all(&request(host, port)?).await?;
    answered(stream).await
}

/// RFC 1929 section 2. Lengths were checked when the setting was read.
async fn log_in(stream: &mut TcpStream, login: &Login) -> Result<(), Fault> {
    redact::protect(&login.password);
    let (user, password) = (login.user.as_bytes(), login.password.expose().as_bytes());
    let mut said = vec![1, user.len() as u8];
    said.extend_from_slice(user);
    said.push(password.len() as u8);
    said.extend_from_slice(password);
    stream.write_all(&said).await?;
    let mut answer = [0; 2];
    // Some proxies hang up instead of saying no (section 2 has them close after it).
    stream.read_exact(&mut answer).await?;
    match answer {
        // The version is 1; there are proxies that say 5.
        [1 | VERSION, 0] => Ok(()),
        [1 | VERSION, _] => Err(Fault::Wrong),
        [_, _] => Err(Fault::Other("something that is not SOCKS5")),
    }
}

/// Section 4: a name stays a name, an address is sent as one.
fn request(host: &str, port: u16) -> Result<Vec<u8>, Fault> {
    let mut said = vec![VERSION, CONNECT, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(four)) => {
            said.push(IPV4);
            said.extend_from_slice(&four.octets());
        }
        Ok(IpAddr::V6(six)) => {
            said.push(IPV6);
            said.extend_from_slice(&six.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| {
                Fault::Refused("the host name is longer than 255 octets".to_owned(), "correct the host of the account")
            })?;
            said.extend_from_slice(&[NAME, length]);
            said.extend_from_slice(host.as_bytes());
        }
    }
    said.extend_from_slice(&port.to_be_bytes());
    Ok(said)
}

/// Section 6. The address that the proxy has bound is read and thrown away.
async fn answered(stream: &mut TcpStream) -> Result<(), Fault> {
    // Some proxies send no address with a refusal: the code is looked at first.
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    match head {
        [VERSION, 0] => {}
        [VERSION, code] => return Err(refused(code)),
        [_, _] => return Err(Fault::Other("something that is not SOCKS5")),
    }
    let mut kind = [0; 2];
    stream.read_exact(&mut kind).await?;
    let length = match kind[1] {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(Fault::Other("something that is not SOCKS5")),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

fn refused(code: u8) -> Fault {
    const AWAY: &str = "see that the proxy can reach the internet, and that the host is right";
    let (reason, remedy) = match code {
        1 => ("general failure", "see the log of the proxy"),
        2 => ("not allowed by its rules", "allow the mail provider's host and port there"),
        3 => ("network unreachable", AWAY),
        4 => ("host unreachable", AWAY),
        5 => ("connection refused", "another port may be open; see that the proxy allows it"),
        6 => ("its time ran out", AWAY),
        7 => ("CONNECT is not supported", "another proxy is needed"),
        8 => ("this kind of address is not supported", "another proxy is needed, or the host as a name"),
        _ => ("no reason that RFC 1928 knows", "see the log of the proxy"),
    };
    Fault::Refused(format!("{reason} ({code})"), remedy)
}
