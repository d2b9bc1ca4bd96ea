//! The relays that are compared: how each is configured, started and ended.
//!
//! Each instance has a folder of its own on the same disk, a free loopback port, the same upstream with verified TLS and
//! a log-in, and at most 20 connections to it (Postfix's own default).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};

use crate::gauge;
use crate::support::folder::{Folder, set_mode};
use crate::support::peers::{account, group, program, require_root};
use crate::support::ports::Reserved;
use crate::support::process::Process;

const USER: &str = "box@peer.test";
const PASSWORD: &str = "code-16-letters";
/// How long a relay may take to its first greeting.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The package's own binary.
    Yizhan,
    /// Postfix as Debian ships it, made a smarthost relay.
    Postfix,
    /// The same with `smtp_tls_connection_reuse` and connection caching for the relay host.
    PostfixReuse,
}

impl Kind {
    /// The heading of its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Yizhan => "Yizhan",
            Kind::Postfix => "Postfix",
            Kind::PostfixReuse => "Postfix, TLS reuse",
        }
    }

    /// Whether it can run here, or why not.
    pub(crate) fn is_there(self) -> Result<(), String> {
        match self {
            Kind::Yizhan if binary().is_file() => Ok(()),
            Kind::Yizhan => Err(format!("no file {}", binary().display())),
            Kind::Postfix | Kind::PostfixReuse => require_root("postfix")
                .and_then(|()| program("master"))
                .map(drop)
                .map_err(|missing| missing.to_string()),
        }
    }
}

/// The relay under test: `YIZHAN_BIN`, else what cargo has built for this benchmark.
fn binary() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_yizhan").unwrap_or("target/release/yizhan");
    std::env::var_os("YIZHAN_BIN").map_or_else(|| built.into(), PathBuf::from)
}

/// The upstream that a relay is given.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// A port of localhost, with somebody there or not.
    pub(crate) port: u16,
    /// TLS after STARTTLS instead of from the first octet.
    pub(crate) starttls: bool,
    /// The authority to trust.
    pub(crate) ca: PathBuf,
}

/// A relay that has said its greeting.
pub(crate) struct Relay {
    process: Process,
    pid: u32,
    port: u16,
    ready: Duration,
    folder: Folder,
}

impl Relay {
    /// Starts one and waits for its greeting.
    pub(crate) fn start(kind: Kind, way: &Way) -> anyhow::Result<Self> {
        let folder = Folder::new("bench-relay");
        let reserved = Reserved::new();
        let port = reserved.port();
        let (program, arguments) = match kind {
            Kind::Yizhan => (binary(), lay_out_yizhan(&folder, port, way)),
            Kind::Postfix | Kind::PostfixReuse => {
                let master = program("master").map_err(|missing| anyhow::anyhow!("{missing}"))?;
                (master, lay_out_postfix(&folder, port, way, kind == Kind::PostfixReuse)?)
            }
        };
        let before = gauge::own_children();
        drop(reserved);
        let begin = Instant::now();
        let prepare = |command: &mut Command| {
            command.args(&arguments).env_remove("RUST_LOG");
        };
        let mut process = Process::spawn("relay", &program, prepare, folder.path());
        let ready = greeting(port, begin).with_context(|| {
            let log = fs::read_to_string(folder.path().join("mail.log")).unwrap_or_default();
            format!("{kind:?} does not start:\n{}{log}", process.output())
        })?;
        if !process.is_running() {
            bail!("{kind:?} has ended:\n{}", process.output());
        }
        // The other new child is the shell that ends the relay if we are killed.
        let new = |pid: &u32| !before.contains(pid) && gauge::name(*pid) != "sh";
        let pid = gauge::own_children().into_iter().find(new).context("the relay is a child of ours")?;
        Ok(Self { process, pid, port, ready, folder })
    }

    /// Where it takes mail on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From the start of the program to the greeting.
    pub(crate) fn ready(&self) -> Duration {
        self.ready
    }

    /// The first process of its tree.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has said, for an error message; the end of it.
    pub(crate) fn log(&self) -> String {
        let mail = fs::read_to_string(self.folder.path().join("mail.log")).unwrap_or_default();
        let all = self.process.output() + &mail;
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Waits for the 220 of RFC 5321 section 3.1 and gives the time since `begin`.
fn greeting(port: u16, begin: Instant) -> anyhow::Result<Duration> {
    loop {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            stream.set_read_timeout(Some(START_LIMIT))?;
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line)?;
            if !line.starts_with("220") {
                bail!("the greeting is {line:?}");
            }
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > START_LIMIT {
            bail!("nobody listens on port {port} after {START_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// The settings file, with the limits that guard a real relay out of the way.
fn lay_out_yizhan(folder: &Folder, port: u16, way: &Way) -> Vec<String> {
    let secret = folder.file("secret", PASSWORD);
    set_mode(&secret, 0o600);
    let data = folder.dir("data", 0o700);
    let tls = if way.starttls { "starttls" } else { "implicit" };
    let settings = format!(
        r#"hostname = "relay.bench.test"
data_dir = "{data}"
[listener.local]
bind = ["127.0.0.1:{port}"]
[account.main]
provider = "custom"
host = "localhost"
port = {upstream}
tls = "{tls}"
user = "{USER}"
secret = {{ file = "{secret}" }}
ca = "{ca}"
budget.connections = 20
[limits]
connections = 1000
connections_per_client = 1000
messages_per_client = "100000/s"
recipients_per_client = "100000/s"
bytes_per_client = "1TiB/s"
queue_size_per_client = "50GiB"
message_size = "60MiB"
queue_size = "50GiB"
"#,
        data = data.display(),
        upstream = way.port,
        secret = secret.display(),
        ca = way.ca.display(),
    );
    let file = folder.file("yizhan.toml", settings);
    vec!["run".to_owned(), "--config".to_owned(), file.display().to_string()]
}

/// The folders with the owners that Postfix checks, and its two files.
fn lay_out_postfix(folder: &Folder, port: u16, way: &Way, reuse: bool) -> anyhow::Result<Vec<String>> {
    let (postfix, _) = account("postfix").context("no account postfix")?;
    let postdrop = group("postdrop").context("no group postdrop")?;
    let own = |path: &Path, user, group| chown(path, Some(user), Some(group));
    folder.dir("queue", 0o755);
    folder.dir("queue/pid", 0o755);
    for name in ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "trace"] {
        own(&folder.dir(&format!("queue/{name}"), 0o700), postfix, 0)?;
    }
    own(&folder.dir("queue/maildrop", 0o730), postfix, postdrop)?;
    own(&folder.dir("queue/public", 0o710), postfix, postdrop)?;
    own(&folder.dir("data", 0o700), postfix, 0)?;
    let conf = folder.dir("conf", 0o755);
    folder.file("conf/dynamicmaps.cf", "");
    let main = folder.file("conf/main.cf", main_cf(folder.path(), way, reuse));
    // Postfix waits two seconds for a main.cf that changed just now.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(main)?.set_modified(old)?;
    folder.file("conf/master.cf", master_cf(port));
    Ok(vec!["-s".to_owned(), "-c".to_owned(), conf.display().to_string()])
}

fn main_cf(folder: &Path, way: &Way, reuse: bool) -> String {
    let folder = folder.display();
    let (port, ca) = (way.port, way.ca.display());
    let wrapper = if way.starttls { "no" } else { "yes" };
    let mut text = format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = relay.bench.test
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_host_lookup = native
alias_maps =
alias_database =
message_size_limit = 70000000
relayhost = [localhost]:{port}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_wrappermode = {wrapper}
smtp_tls_CAfile = {ca}
smtp_tls_session_cache_database = btree:{folder}/data/smtp_scache
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = inline:{{ {{ [localhost]:{port} = {USER}:{PASSWORD} }} }}
"
    );
    if reuse {
        text.push_str("smtp_tls_connection_reuse = yes\n");
        text.push_str(&format!("smtp_connection_cache_destinations = [localhost]:{port}\n"));
    }
    text
}

/// Debian's services, without chroot (the folder has no copies of system files), without those that a relay never asks.
fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsproxy unix - - n - 0 tlsproxy
"
    )
}
