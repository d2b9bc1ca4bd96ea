//! Which foreign programs there are on this machine, and which Debian package brings each of them.
//!
//! `tests/install-peers` installs the same packages; a program named here is one it knows.

use std::path::{Path, PathBuf};

use super::skip::Missing;

/// The Debian package of each program that the tests start.
const PACKAGES: &[(&str, &str)] = &[
    ("bsmtp", "bacula-common"),
    ("curl", "curl"),
    ("doveadm", "dovecot-core"),
    ("dovecot", "dovecot-core"),
    ("faketime", "faketime"),
    ("master", "postfix"),
    ("microsocks", "microsocks"),
    ("msmtp", "msmtp"),
    ("openssl", "openssl"),
    ("esmtp", "esmtp"),
    ("java", "openjdk-17-jre-headless"),
    ("master", "postfix"),
    ("microsocks", "microsocks"),
    ("msmtp", "msmtp"),
    ("nmap", "nmap"),
    ("node", "nodejs"),
    ("perl", "perl"),
    ("php", "php-cli"),
    ("python3", "python3"),
    ("s-nail", "s-nail"),
    ("sendemail", "sendemail"),
    ("smtp-sink", "postfix"),
    ("smtp-source", "postfix"),
    ("prlimit", "util-linux"),
    ("strace", "strace"),
    ("swaks", "swaks"),
    ("taskset", "util-linux"),
    ("tinyproxy", "tinyproxy-bin"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
];

/// Debian's own places only: a Python or curl that somebody installed beside them is not the peer we name.
const FOLDERS: &[&str] = &["/usr/sbin", "/usr/bin", "/usr/lib/postfix/sbin"];

/// The account that Debian's Exim runs as.
pub const EXIM_ACCOUNT: &str = "Debian-exim";

/// Finds a program in Debian's folders, or says which package is missing.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or("unknown", |(_, package)| package);
        Missing(format!("package {package} (program {name})"))
    })
}

/// Says no where a file of a Debian package is not there.
pub fn installed(file: &str, package: &str) -> Result<(), Missing> {
    if Path::new(file).is_file() { Ok(()) } else { Err(Missing(format!("package {package} (file {file})"))) }
}

/// Exim's program, which `tests/install-peers` unpacks beside its account. Or which package is missing.
pub fn exim() -> Result<PathBuf, Missing> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/exim/usr/sbin/exim4");
    let there = program.is_file() && account(EXIM_ACCOUNT).is_some();
    there.then_some(program).ok_or_else(|| Missing("package exim4-daemon-light, unpacked (tests/install-peers)".into()))
}

/// The folder below which Node finds this package of `tests/peers/package.json`.
pub fn node_modules(package: &str) -> Result<PathBuf, Missing> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    let there = folder.join("node_modules").join(package).join("package.json").is_file();
    there.then_some(folder).ok_or_else(|| Missing(format!("package {package} of Node (tests/install-peers)")))
}

/// Whether this process is root, which Postfix and Dovecot insist on.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says no where root is needed and not there.
pub fn require_root(who: &str) -> Result<(), Missing> {
    if is_root() { Ok(()) } else { Err(Missing(format!("root for {who}"))) }
}

/// The numeric user and group of an account, from the account file that Debian's packages write.
pub fn account(name: &str) -> Option<(u32, u32)> {
    let file = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = file.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The numeric id of a group.
pub fn group(name: &str) -> Option<u32> {
    let file = std::fs::read_to_string("/etc/group").ok()?;
    let line = file.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}
