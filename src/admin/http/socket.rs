//! The socket of the HTTP face: a TCP address, or a Unix socket that only its owner may open.
//!
//! Invariant: a Unix socket has mode 0600 before it has its name, and replaces only a socket that no process answers at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::admin::settings::AdminBind;
use crate::net::stream::Stream;

/// Why the HTTP face cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind} for HTTP: {source}")]
pub struct SocketError {
    /// Where.
    pub bind: AdminBind,
    /// What the system said.
    pub source: io::Error,
}

/// An open socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, and its path.
    Unix(UnixListener, PathBuf),
}

/// An accepted connection.
pub(super) enum Wire {
    Tcp(Stream),
    Unix(UnixStream),
}

impl Socket {
    /// Opens the socket; `None` when there is to be none.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn open(bind: &AdminBind) -> Result<Option<Socket>, SocketError> {
        let opened = match bind {
            AdminBind::Off => return Ok(None),
            AdminBind::Tcp(addr) => tcp(*addr).map(Socket::Tcp),
            AdminBind::Unix(path) => unix(path).map(|listener| Socket::Unix(listener, path.clone())),
        };
        opened.map(Some).map_err(|source| SocketError { bind: bind.clone(), source })
    }

    /// The address, with the port that was given when 0 was asked for; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// The next connection, with the address of its peer. That of a Unix socket counts as this machine.
    pub(super) async fn accept(&self) -> io::Result<(Wire, IpAddr)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one write; waiting for more to come would only delay it.
                let _ = stream.set_nodelay(true);
                Ok((Wire::Tcp(Stream::Plain(stream)), peer.ip().to_canonical()))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Wire::Unix(stream), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }

    /// Whether it is a Unix socket.
    pub(super) fn is_unix(&self) -> bool {
        match self {
            Socket::Tcp(_) => false,
            Socket::Unix(..) => true,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = self {
            // The next start replaces what stays.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file with this name that is no socket",
            ));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => {}
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_unix_socket_is_for_its_owner_and_replaces_only_a_dead_one() {
        let folder = std::env::temp_dir().join(format!("yizhan-http-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("admin.sock");
        let bind = AdminBind::Unix(path.clone());
        let socket = Socket::open(&bind).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Socket::open(&bind).unwrap_err().source.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        // One that a killed process has left.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(Socket::open(&bind).unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert!(Socket::open(&bind).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
