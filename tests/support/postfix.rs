//! Postfix as a provider: TLS, log-in, a sender that must be the log-in, recipients that are refused now or for good.
//!
//! Not the machine's Postfix: configuration, queue, data, log and mail are in a temporary folder, and `master` runs
//! in the foreground. It needs root, because Postfix insists on owners. Mail goes to one maildir, whoever the
//! recipient is; a maildir keeps lines with LF, so the bytes given back have CRLF put in again, and a bare LF cannot
//! be told from CRLF here (for the wire itself see [`super::front`]).

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::ca::{self, TestCa};
use super::dovecot::Dovecot;
use super::folder::Folder;
use super::peers::{account, group, program, require_root};
use super::ports::{Reserved, wait_until_free};
use super::process::{Process, poll};
use super::skip::Missing;

/// Recipients that are refused whatever their domain: for good, and for now.
const REFUSALS: &str = "{ refused@ = 550 5.1.1 No such user here }, { later@ = 451 4.7.1 Greylisted, come back later }";

/// How the connection is protected, after the ports that providers use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostfixTls {
    /// TLS from the first byte (RFC 8314 section 3).
    Implicit465,
    /// STARTTLS, and nothing but EHLO before it (RFC 3207).
    Starttls587,
    /// No TLS; log-in is offered and not required. For trying clients, and a relay without log-in.
    Plain25,
}

/// What this provider is like.
#[derive(Debug, Clone)]
pub struct PostfixOptions {
    /// The protection.
    pub tls: PostfixTls,
    /// The one log-in: a mailbox address.
    pub user: String,
    /// Its password; no colon.
    pub password: String,
    /// Whether MAIL FROM must be `user` (553 5.7.1 at RCPT otherwise).
    pub reject_foreign_sender: bool,
    /// SASL mechanisms as Dovecot writes them.
    pub mechanisms: String,
    /// The names in the certificate.
    pub names: Vec<String>,
    /// A certificate that has ended.
    pub expired: bool,
    /// More lines for main.cf; they win over ours.
    pub main_cf: Vec<(String, String)>,
}

impl Default for PostfixOptions {
    fn default() -> Self {
        Self {
            tls: PostfixTls::Implicit465,
            user: "box@peer.test".to_owned(),
            password: "code-16-letters".to_owned(),
            reject_foreign_sender: true,
            mechanisms: "plain login".to_owned(),
            names: ca::NAMES.iter().map(|&name| name.to_owned()).collect(),
            expired: false,
            main_cf: Vec::new(),
        }
    }
}

/// One message for one recipient, as Postfix delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// MAIL FROM, without the angle brackets.
    pub sender: String,
    /// RCPT TO, without the angle brackets.
    pub recipient: String,
    /// Postfix's own Received header field, folded, with LF.
    pub received: String,
    /// What came after DATA, dot-unstuffed, lines with CRLF.
    pub message: Vec<u8>,
}

/// A running Postfix.
pub struct Postfix {
    process: Option<Process>,
    dovecot: Dovecot,
    options: PostfixOptions,
    ca: TestCa,
    port: u16,
    folder: Folder,
}

impl Postfix {
    /// Starts one with an authority of its own; some 100 ms.
    pub fn start(options: PostfixOptions) -> Result<Self, Missing> {
        require_root("postfix")?;
        program("master")?;
        program("dovecot")?;
        let folder = Folder::new("postfix");
        let ca = TestCa::new();
        let reserved = Reserved::new();
        lay_out(&folder, &options, &ca, reserved.port());
        let socket = folder.path().join("queue/private/auth");
        let dovecot = Dovecot::start(&socket, &options.user, &options.password, &options.mechanisms)?;
        let port = reserved.release();
        let mut postfix = Self { process: None, dovecot, options, ca, port, folder };
        postfix.resume();
        Ok(postfix)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file of the authority that signed its certificate.
    pub fn ca_file(&self) -> &Path {
        self.ca.file()
    }

    /// What it was started with.
    pub fn options(&self) -> &PostfixOptions {
        &self.options
    }

    /// Takes the provider away: nothing listens on the port until [`Postfix::resume`]. Delivered mail stays.
    pub fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Brings it back on the same port.
    pub fn resume(&mut self) {
        let master = program("master").expect("it was there at the start");
        wait_until_free(self.port);
        // -s: stay in the foreground, without the checks of `postfix start-fg`, which take seconds.
        let conf = self.folder.path().join("conf");
        let arguments = |command: &mut Command| {
            command.arg("-s").arg("-c").arg(conf);
        };
        let mut process = Process::spawn("master", &master, arguments, self.folder.path());
        let (log, port) = (self.folder.path().join("mail.log"), self.port);
        process.wait_listening(port, || fs::read_to_string(&log).unwrap_or_default());
        self.process = Some(process);
    }

    /// Brings it back with one more line in main.cf, which wins over the ones before.
    pub fn resume_with(&mut self, name: &str, value: &str) {
        self.pause();
        let file = self.folder.path().join("conf/main.cf");
        let text = fs::read_to_string(&file).expect("we wrote it");
        fs::write(file, format!("{text}{name} = {value}\n")).expect("a folder of ours is writable");
        self.resume();
    }

    /// Changes the password of the one user: the code is revoked, or renewed.
    pub fn set_password(&self, password: &str) {
        self.dovecot.set_password(&self.options.user, password);
    }

    /// The mail log, with Dovecot's behind it.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("mail.log")).unwrap_or_default();
        log + &self.dovecot.log()
    }

    /// Everything delivered so far, oldest first; one entry a recipient.
    pub fn delivered(&self) -> Vec<Delivered> {
        let Ok(inbox) = fs::read_dir(self.folder.path().join("mail/inbox/new")) else { return Vec::new() };
        let mut files: Vec<_> = inbox
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let about = entry.metadata().ok()?;
                Some(((about.mtime(), about.mtime_nsec()), entry.path()))
            })
            .collect();
        files.sort();
        files.iter().map(|(_, path)| parse(&fs::read(path).expect("delivered mail stays"))).collect()
    }

    /// Waits (blocking, 20 s at most) until this many were delivered; panics with the log if not.
    pub fn wait_delivered(&self, count: usize) -> Vec<Delivered> {
        let enough = || Some(self.delivered()).filter(|list| list.len() >= count);
        poll(Duration::from_secs(20), enough)
            .unwrap_or_else(|| panic!("{} of {count} delivered:\n{}", self.delivered().len(), self.log()))
    }
}

impl Drop for Postfix {
    #[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
    fn drop(&mut self) {
        // A test that fails here fails on what Postfix did, and its folder goes now.
        if std::thread::panicking() {
            let ended = self.process.as_mut().and_then(Process::ending);
            let output = self.process.as_ref().map(Process::output).unwrap_or_default();
            println!("Postfix has ended: {ended:?}\n{output}\n{}", self.log());
        }
    }
}

/// Splits Postfix's own four fields from the message below them.
fn parse(raw: &[u8]) -> Delivered {
    let text = String::from_utf8_lossy(raw);
    let mut lines = text.split_inclusive('\n');
    let mut field = |name: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(name).unwrap_or_else(|| panic!("no {name} in {line:?}"));
        value.trim().trim_start_matches('<').trim_end_matches('>').to_owned()
    };
    let sender = field("Return-Path: ");
    field("X-Original-To: ");
    let recipient = field("Delivered-To: ");

    // From here on in bytes: the lossy text has other lengths where the mail is not UTF-8.
    let mut rest: &[u8] = raw;
    for _ in 0..3 {
        rest = after_line(rest);
    }
    let begin = rest;
    assert!(rest.starts_with(b"Received: "), "no Received field of Postfix's own");
    rest = after_line(rest);
    while rest.starts_with(b"\t") {
        rest = after_line(rest);
    }
    let received = String::from_utf8_lossy(&begin[..begin.len() - rest.len()]).into_owned();
    Delivered { sender, recipient, received, message: with_crlf(rest) }
}

fn after_line(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&byte| byte == b'\n').map_or(&[], |end| &bytes[end + 1..])
}

/// Puts CR before each LF, as the lines were on the wire.
pub fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for &byte in bytes {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

/// The folders with the owners that Postfix checks (see its `postfix-files`), and the two configuration files.
fn lay_out(folder: &Folder, options: &PostfixOptions, ca: &TestCa, port: u16) {
    let (postfix, _) = account("postfix").expect("the package makes this account");
    let postdrop = group("postdrop").expect("the package makes this group");
    let (nobody, nogroup) = account("nobody").expect("every Debian has it");
    let own = |path: &Path, user, group| chown(path, Some(user), Some(group)).expect("we are root");
    folder.dir("queue", 0o755);
    folder.dir("queue/pid", 0o755);
    for name in ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "trace"] {
        own(&folder.dir(&format!("queue/{name}"), 0o700), postfix, 0);
    }
    own(&folder.dir("queue/maildrop", 0o730), postfix, postdrop);
    own(&folder.dir("queue/public", 0o710), postfix, postdrop);
    own(&folder.dir("data", 0o700), postfix, 0);
    own(&folder.dir("mail", 0o700), nobody, nogroup);

    let names: Vec<&str> = options.names.iter().map(String::as_str).collect();
    let identity = if options.expired { ca.issue_expired(&names) } else { ca.issue(&names) };
    let chain = folder.file("chain.pem", identity.key + &identity.certificate);
    super::folder::set_mode(&chain, 0o600);
    folder.dir("conf", 0o755);
    folder.file("conf/dynamicmaps.cf", "");
    let main = folder.file("conf/main.cf", main_cf(folder.path(), options, (nobody, nogroup)));
    // Every Postfix program waits two seconds for a main.cf that changed just now to "cool down".
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().append(true).open(main).expect("we wrote it");
    file.set_modified(old).expect("the file is ours");
    folder.file("conf/master.cf", master_cf(port));
}

fn main_cf(folder: &Path, options: &PostfixOptions, (uid, gid): (u32, u32)) -> String {
    let folder = folder.display();
    let user = &options.user;
    let (level, wrapper, auth_only) = match options.tls {
        PostfixTls::Implicit465 => ("encrypt", "yes", "yes"),
        PostfixTls::Starttls587 => ("encrypt", "no", "yes"),
        PostfixTls::Plain25 => ("none", "no", "no"),
    };
    let relay = if options.tls == PostfixTls::Plain25 { "permit" } else { "permit_sasl_authenticated, reject" };
    let sender = if options.reject_foreign_sender { "reject_sender_login_mismatch" } else { "permit" };
    let mut text = format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = smtp.peer.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
virtual_mailbox_domains = static:ALL
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 60000000
smtpd_tls_security_level = {level}
smtpd_tls_wrappermode = {wrapper}
smtpd_tls_auth_only = {auth_only}
smtpd_tls_chain_files = {folder}/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sender_login_maps = inline:{{ {{ {user} = {user} }} }}
smtpd_sender_restrictions = {sender}
smtpd_relay_restrictions = {relay}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {REFUSALS} }}, permit
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
"
    );
    for (name, value) in &options.main_cf {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

/// The services that one delivery to a maildir needs, and no more; nothing is in a chroot.
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
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
"
    )
}
