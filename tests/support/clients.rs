//! Foreign SMTP clients, each sending one given message: swaks, curl, msmtp, Python's smtplib, smtp-source.
//!
//! Each runs Debian's program with a time limit of 60 s and gives back its exit status and all it printed. They
//! block. What each does to the bytes is said at its function: they are told to change nothing, and some do all the
//! same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder::{Folder, set_mode};
use super::peers::program;
use super::skip::Missing;

/// What the client does about TLS. Certificates are always verified, against [`Target::ca`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// None.
    Off,
    /// STARTTLS, required.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

/// Where to send, and how to log in.
#[derive(Debug, Clone)]
pub struct Target {
    /// A name or address that the certificate has.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The protection.
    pub tls: Tls,
    /// The authority to trust; needed unless TLS is off.
    pub ca: Option<PathBuf>,
    /// User and password for AUTH; none means no AUTH.
    pub login: Option<(String, String)>,
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The address for MAIL FROM; empty for the null reverse-path.
    pub from: String,
    /// The addresses for RCPT TO.
    pub to: Vec<String>,
    /// Header and body, lines with CRLF, ending with CRLF.
    pub data: Vec<u8>,
}

/// How a client ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit status; 124 means that the time was over, -1 a signal.
    pub status: i32,
    /// Standard output, then standard error.
    pub output: String,
}

impl Target {
    /// A plaintext port of 127.0.0.1 without log-in.
    pub fn plain(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, tls: Tls::Off, ca: None, login: None }
    }

    /// A port of 127.0.0.1 with TLS and a log-in.
    pub fn secure(port: u16, tls: Tls, ca: &Path, user: &str, password: &str) -> Self {
        let login = Some((user.to_owned(), password.to_owned()));
        Self { tls, ca: Some(ca.to_owned()), login, ..Self::plain(port) }
    }

    fn ca_file(&self) -> &Path {
        self.ca.as_deref().expect("a target with TLS names its authority")
    }
}

impl Letter {
    /// A letter from these parts.
    pub fn new(from: &str, to: &[&str], data: impl AsRef<[u8]>) -> Self {
        let to = to.iter().map(|&address| address.to_owned()).collect();
        Self { from: from.to_owned(), to, data: data.as_ref().to_owned() }
    }
}

impl Ran {
    /// Whether the client believes that the mail is delivered (to all recipients).
    pub fn ok(&self) -> bool {
        self.status == 0
    }
}

/// Runs a client with nothing on its standard input, unless `prepare` says otherwise.
pub fn run(program: &Path, prepare: impl FnOnce(&mut Command)) -> Ran {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "60"])
        .arg(program)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .env_remove("SSL_CERT_FILE");
    prepare(&mut command);
    let done = command.output().expect("coreutils has timeout");
    let mut output = String::from_utf8_lossy(&done.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&done.stderr));
    Ran { status: done.status.code().unwrap_or(-1), output }
}

fn without_cr(data: &[u8]) -> Vec<u8> {
    String::from_utf8(data.to_vec()).map_or_else(
        |bad| bad.into_bytes().into_iter().filter(|&byte| byte != b'\r').collect(),
        |text| text.replace("\r\n", "\n").into_bytes(),
    )
}

/// Perl's swaks. It refuses to go on when AUTH is asked for and not announced (status 28 or so), replaces words like
/// `%FROM_ADDRESS%` in the data, and adds a line end to data that already has one (so we take it away).
pub fn swaks(target: &Target, letter: &Letter, more: &[&str]) -> Result<Ran, Missing> {
    let swaks = program("swaks")?;
    let folder = Folder::new("swaks");
    let data = letter.data.strip_suffix(b"\r\n").unwrap_or(&letter.data);
    assert!(data.contains(&b'\n'), "swaks takes data of one line for the name of a file");
    let data = folder.file("data", data);
    Ok(run(&swaks, |command| {
        command.arg("--server").arg(format!("{}:{}", target.host, target.port)).args(["--helo", "client.test"]);
        command.args(["--from", if letter.from.is_empty() { "<>" } else { &letter.from }]);
        command.args(["--to", &letter.to.join(",")]).arg("--data").arg(format!("@{}", data.display()));
        match target.tls {
            Tls::Off => {}
            Tls::Starttls => {
                command.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(target.ca_file());
            }
            Tls::Implicit => {
                command.args(["--tls-on-connect", "--tls-verify", "--tls-ca-path"]).arg(target.ca_file());
            }
        }
        if let Some((user, password)) = &target.login {
            command.args(["--auth-user", user, "--auth-password", password]);
            if !more.contains(&"--auth") {
                command.args(["--auth", "LOGIN,PLAIN"]);
            }
        }
        command.args(more);
    }))
}

/// curl. Takes the file as it is (dot-stuffing apart). Status 55, 56 or 67 for a refusal (curl(1), EXIT CODES); one
/// refused recipient fails all, unless `--mail-rcpt-allowfails` is in `more`.
pub fn curl(target: &Target, letter: &Letter, more: &[&str]) -> Result<Ran, Missing> {
    let curl = program("curl")?;
    let folder = Folder::new("curl");
    let data = folder.file("data", &letter.data);
    Ok(run(&curl, |command| {
        let scheme = if target.tls == Tls::Implicit { "smtps" } else { "smtp" };
        // --disable comes first: no .curlrc of whoever runs the tests.
        command.args(["--disable", "--silent", "--show-error", "--verbose", "--noproxy", "*"]);
        command.arg("--url").arg(format!("{scheme}://{}:{}/client.test", target.host, target.port));
        command.args(["--mail-from", &letter.from]);
        for address in &letter.to {
            command.args(["--mail-rcpt", address]);
        }
        command.arg("--upload-file").arg(data);
        if target.tls != Tls::Off {
            command.args(["--ssl-reqd", "--cacert"]).arg(target.ca_file());
        }
        if let Some((user, password)) = &target.login {
            command.args(["--user", &format!("{user}:{password}")]);
        }
        command.args(more);
    }))
}

/// msmtp. Wants its settings in a file of mode 600. It reads LF lines; told to, it adds no From, Date or Message-ID.
/// Status 65 to 78 as in sysexits.h.
pub fn msmtp(target: &Target, letter: &Letter, more: &[&str]) -> Result<Ran, Missing> {
    let msmtp = program("msmtp")?;
    let folder = Folder::new("msmtp");
    let data = folder.file("data", without_cr(&letter.data));
    let mut text = format!("account default\nhost {}\nport {}\ndomain client.test\n", target.host, target.port);
    text.push_str("set_from_header off\nset_date_header off\nset_msgid_header off\nremove_bcc_headers off\n");
    match target.tls {
        Tls::Off => text.push_str("tls off\n"),
        Tls::Starttls => text.push_str("tls on\ntls_starttls on\n"),
        Tls::Implicit => text.push_str("tls on\ntls_starttls off\n"),
    }
    if target.tls != Tls::Off {
        text.push_str(&format!("tls_trust_file {}\n", target.ca_file().display()));
    }
    match &target.login {
        // `auth on` would refuse to send a password without TLS; plain and login do as they are told.
        Some((user, password)) => text.push_str(&format!("auth plain\nuser {user}\npassword \"{password}\"\n")),
        None => text.push_str("auth off\n"),
    }
    let settings = folder.file("msmtprc", text);
    set_mode(&settings, 0o600);
    Ok(run(&msmtp, |command| {
        command.stdin(std::fs::File::open(data).expect("we wrote it"));
        command.arg("--file").arg(settings).args(["--debug", "--from", &letter.from]);
        command.args(more).arg("--").args(&letter.to);
    }))
}

/// Python's smtplib with `sendmail` on bytes: sent as they are. It prints the dictionary of refused recipients, and
/// fails only when all are refused.
pub fn smtplib(target: &Target, letter: &Letter) -> Result<Ran, Missing> {
    const SCRIPT: &str = r"
import smtplib, ssl, sys
host, port, tls, ca, user, password, sender, data, *recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if ca else None
if tls == 'Implicit':
    client = smtplib.SMTP_SSL(host, int(port), local_hostname='client.test', timeout=50, context=context)
else:
    client = smtplib.SMTP(host, int(port), local_hostname='client.test', timeout=50)
client.set_debuglevel(1)
with client:
    if tls == 'Starttls':
        client.starttls(context=context)
    if user:
        client.login(user, password)
    print('refused:', client.sendmail(sender, recipients, open(data, 'rb').read()))
";
    let python = program("python3")?;
    let folder = Folder::new("smtplib");
    let data = folder.file("data", &letter.data);
    let (user, password) = target.login.clone().unwrap_or_default();
    Ok(run(&python, |command| {
        // -I: no PYTHONPATH, no user site, whatever the environment says.
        command.args(["-I", "-c", SCRIPT, &target.host, &target.port.to_string(), &format!("{:?}", target.tls)]);
        command.arg(target.ca.as_deref().unwrap_or(Path::new(""))).args([&user, &password, &letter.from]);
        command.arg(data).args(&letter.to);
    }))
}

/// Postfix's smtp-source: no TLS, no log-in, no pipelining, one recipient. It prints nothing when all is well. It
/// always sends one empty line more at the end: what arrives is `letter.data` and CRLF. With `-l`, `-m`, `-s` in
/// `more` it is a load generator.
pub fn smtp_source(target: &Target, letter: &Letter, more: &[&str]) -> Result<Ran, Missing> {
    let source = program("smtp-source")?;
    assert!(target.tls == Tls::Off && target.login.is_none(), "smtp-source knows neither TLS nor AUTH");
    let folder = Folder::new("smtp-source");
    let data = folder.file("data", without_cr(&letter.data));
    Ok(run(&source, |command| {
        command.args(["-M", "client.test", "-f", &letter.from, "-t", &letter.to.join(",")]).arg("-F").arg(data);
        command.args(more).arg(format!("{}:{}", target.host, target.port));
    }))
}
