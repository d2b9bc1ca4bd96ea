//! Exim as a server that reads local parts as routes: TLS, log-in, and one maildir for whatever comes.
//!
//! The program is Debian's, unpacked by `tests/install-peers` and not installed, because its package conflicts with
//! Postfix. Debian's own settings refuse `@`, `%`, `!` and `/` in local parts. These settings are those of a server that
//! serves old networks: `percent_hack_domains`, and a rewriting rule for bang paths (Exim specification, chapters 14 and
//! 31). It needs root for the owners of its files; mail is delivered as the account that the program insists on.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ca::{self, TestCa};
use super::folder::{Folder, set_mode};
use super::peers::{EXIM_ACCOUNT, account, exim, require_root};
use super::ports::Reserved;
use super::process::{Process, poll};
use super::skip::Missing;

/// A running Exim.
pub struct Exim {
    process: Process,
    ca: TestCa,
    port: u16,
    folder: Folder,
}

impl Exim {
    /// The one log-in, and its password.
    pub const LOGIN: (&str, &str) = ("box@peer.test", "code-16-letters");

    /// Starts one that is at home in `domain`, with an authority of its own and TLS from the first byte.
    pub fn start(domain: &str) -> Result<Self, Missing> {
        require_root("exim")?;
        let program = exim()?;
        let (folder, ca, reserved) = (Folder::new("exim"), TestCa::new(), Reserved::new());
        let (user, group) = account(EXIM_ACCOUNT).expect("it is there with the program");
        let own = |path: &Path| chown(path, Some(user), Some(group)).expect("we are root");
        for name in ["spool", "log", "mail"] {
            own(&folder.dir(name, 0o700));
        }
        let identity = ca.issue(ca::NAMES);
        own(&folder.secret("chain.pem", identity.key + &identity.certificate));
        // A copy in a place that the account reaches.
        let copy = folder.path().join("exim4");
        fs::copy(program, &copy).expect("a folder of ours is writable");
        set_mode(&copy, 0o755);
        let config = folder.file("exim.conf", configuration(folder.path(), reserved.port(), domain));
        let port = reserved.release();
        let arguments = |command: &mut Command| {
            command.arg("-bdf").arg("-C").arg(&config);
        };
        let mut process = Process::spawn("exim", &copy, arguments, folder.path());
        process.wait_listening(port, || log(&folder));
        Ok(Self { process, ca, port, folder })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file of the authority that signed its certificate.
    pub fn ca_file(&self) -> &Path {
        self.ca.file()
    }

    /// Its main log.
    pub fn log(&self) -> String {
        log(&self.folder)
    }

    /// Waits (blocking, 20 s at most) until this many messages are done; gives the recipients as Exim read them, sorted.
    pub fn wait_recipients(&self, messages: usize) -> Vec<String> {
        let done = || (self.log().matches(" Completed").count() >= messages).then_some(());
        poll(Duration::from_secs(20), done)
            .unwrap_or_else(|| panic!("{messages} are not done:\n{}\n{}", self.log(), self.process.output()));
        let inbox = fs::read_dir(self.folder.path().join("mail/new")).expect("mail was delivered");
        let recipient = |path: PathBuf| {
            let mail = fs::read(path).expect("delivered mail stays");
            let mail = String::from_utf8_lossy(&mail).into_owned();
            mail.lines().find_map(|line| line.strip_prefix("X-Recipient: ")).expect("the transport adds it").to_owned()
        };
        let mut recipients: Vec<String> = inbox.map(|entry| recipient(entry.expect("it can be read").path())).collect();
        recipients.sort();
        recipients
    }
}

fn log(folder: &Folder) -> String {
    fs::read_to_string(folder.path().join("log/main")).unwrap_or_default()
}

fn configuration(folder: &Path, port: u16, domain: &str) -> String {
    let (folder, pattern) = (folder.display(), domain.replace('.', r"\."));
    let (user, password) = Exim::LOGIN;
    format!(
        r"exim_path = {folder}/exim4
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/exim.pid
primary_hostname = smtp.peer.test
local_interfaces = 127.0.0.1
disable_ipv6 = true
daemon_smtp_ports = {port}
tls_on_connect_ports = {port}
tls_advertise_hosts = *
tls_certificate = {folder}/chain.pem
tls_privatekey = {folder}/chain.pem
keep_environment =
deliver_drop_privilege = true
percent_hack_domains = {domain}
acl_smtp_rcpt = rcpt

begin acl
rcpt:
  accept authenticated = *
  deny message = log in first

begin routers
all:
  driver = accept
  transport = inbox

begin transports
inbox:
  driver = appendfile
  maildir_format
  directory = {folder}/mail
  user = {EXIM_ACCOUNT}
  group = {EXIM_ACCOUNT}
  headers_add = X-Recipient: $local_part@$domain

begin rewrite
\N^([^!]+)!(.+)@{pattern}$\N $2@$1 T

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
"
    )
}
