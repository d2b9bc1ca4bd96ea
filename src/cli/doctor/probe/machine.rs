//! Looking at the machine: the data folder, the listeners' ports, `/proc`.
//!
//! Not here: what it means (`findings::machine`). The only thing written is a file in the data folder, removed at once;
//! a port is bound for a moment, to see whether it could be.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::system_files;
use crate::cli::doctor::findings::machine::{Door, Folder};

/// How long a listener on this machine may take to greet.
const GREETING: Duration = Duration::from_secs(3);

/// Looks at the data folder.
pub(crate) fn folder(path: &Path, wanted: u64) -> Folder {
    let metadata = std::fs::metadata(path);
    let exists = metadata.is_ok();
    let me = rustix::process::geteuid().as_raw();
    let foreign = metadata.as_ref().ok().map(MetadataExt::uid).filter(|owner| *owner != me);
    // What does not exist yet is made in its nearest ancestor that does.
    let ground = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let problem = match metadata {
        Ok(metadata) if !metadata.is_dir() => Some("it is not a folder".to_owned()),
        // Our own rights say nothing about those of its owner.
        Ok(_) if foreign.is_some() => None,
        Ok(_) => write(path).err().map(|error| error.to_string()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some(error.to_string()),
        Err(_) => rustix::fs::access(ground, rustix::fs::Access::WRITE_OK)
            .err()
            .map(|error| format!("{}: {}", ground.display(), io::Error::from(error))),
    };
    let free = rustix::fs::statvfs(ground).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Folder { path: path.display().to_string(), exists, problem, foreign, free, wanted }
}

fn write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = made.and_then(|mut file| io::Write::write_all(&mut file, b"doctor\n"));
    let _ = std::fs::remove_file(&path);
    written
}

/// Looks who is at the address of a listener. Binding is tried first: it tells an address that is not ours from one where
/// nobody listens, even behind a transparent proxy that would take a connection to anywhere.
pub(crate) async fn door(addr: SocketAddr, hostname: &str) -> Door {
    let error = match TcpListener::bind(addr).await {
        Ok(_) => return Door::Free,
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            visit(addr, hostname).await.unwrap_or(Door::Taken { banner: None, owner: owner(addr.port()) })
        }
        // Without the privilege the system does not say whether somebody is there.
        io::ErrorKind::PermissionDenied => visit(addr, hostname).await.unwrap_or(Door::Forbidden),
        io::ErrorKind::AddrNotAvailable => Door::NoAddress,
        _ => Door::Odd(error.to_string()),
    }
}

/// Listens to the greeting of whoever is there; none when nobody is.
async fn visit(addr: SocketAddr, hostname: &str) -> Option<Door> {
    // Who listens on every address answers on loopback too.
    let reach = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port())),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port())),
        IpAddr::V4(_) | IpAddr::V6(_) => addr,
    };
    let stream = timeout(GREETING, TcpStream::connect(reach)).await.ok()?.ok()?;
    let banner = timeout(GREETING, greeting(stream)).await.ok().flatten();
    Some(match banner.as_deref().is_some_and(|line| is_ours(line, hostname)) {
        true => Door::Ours,
        false => Door::Taken { banner, owner: owner(addr.port()) },
    })
}

/// A relay greets with its host name, and refuses a client with one of three codes.
fn is_ours(banner: &str, hostname: &str) -> bool {
    let mut words = banner.splitn(2, [' ', '-']);
    match (words.next(), words.next()) {
        (Some("220"), Some(rest)) => rest.split(' ').next().is_some_and(|name| name.eq_ignore_ascii_case(hostname)),
        (Some("554"), Some(rest)) => rest.starts_with("5.7.1 Relaying denied"),
        (Some("421"), Some(rest)) => rest.starts_with("4.3.2 ") || rest.starts_with("4.7.0 Too many"),
        (_, _) => false,
    }
}

/// The first line, without control characters, at most 200 octets.
async fn greeting(mut stream: TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while line.len() < 200 && !line.contains(&b'\n') {
        let mut buffer = [0u8; 200];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => line.extend_from_slice(&buffer[..n]),
        }
    }
    let first = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(first).chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

/// The process that listens at `port`, as far as `/proc` lets us see.
fn owner(port: u16) -> Option<(u32, String)> {
    let read = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    let mut inodes = system_files::listening_inodes(&read("/proc/net/tcp"), port);
    inodes.extend(system_files::listening_inodes(&read("/proc/net/tcp6"), port));
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let has = |pid: u32| {
        let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        files.flatten().any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|to| wanted.iter().any(|name| to.as_os_str() == name.as_str()))
        })
    };
    let processes = std::fs::read_dir("/proc").ok()?;
    let pid = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| has(*pid))?;
    Some((pid, read(&format!("/proc/{pid}/comm")).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_greeting_is_known() {
        for ours in ["220 relay.test ESMTP", "554 5.7.1 Relaying denied: this client is not in an allowed network"] {
            assert!(is_ours(ours, "relay.test"), "{ours}");
        }
        for other in
            ["220 other.test ESMTP", "220 relay.tester", "SSH-2.0-OpenSSH", "554 5.7.1 Client host rejected", ""]
        {
            assert!(!is_ours(other, "relay.test"), "{other}");
        }
    }

    #[test]
    fn the_owner_of_a_port_is_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (pid, name) = owner(listener.local_addr().unwrap().port()).expect("our own files can be read");
        assert_eq!(pid, std::process::id());
        assert!(!name.is_empty());
    }
}
