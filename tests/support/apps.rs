//! What applications send their mail with: one library or program each, told to send a subject, a text and an attachment.
//!
//! Libraries are used by a script in their own language (`tests/peers`); programs that make no mail get a ready one. They
//! block, with a time limit of 60 s. Not here: what must arrive (`foreign::apps`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::clients::{self, Letter, Ran, Target, Tls, run};
use super::folder::{Folder, set_mode};
use super::peers::{installed, node_modules, program};
use super::skip::Missing;

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// From, in the envelope and in the header.
    pub from: String,
    /// To, in the envelope and in the header.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text, its lines with LF.
    pub text: String,
    /// What is attached as `report.bin`.
    pub file: Vec<u8>,
}

impl Parcel {
    /// The parcel as a mail with raw octets in its header, for those who make none themselves.
    pub fn mail(&self) -> Vec<u8> {
        use base64::Engine as _;
        let Parcel { from, to, subject, text, file } = self;
        let (text, file) = (text.replace('\n', "\r\n"), base64::engine::general_purpose::STANDARD.encode(file));
        format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; \
             boundary=bb\r\n\r\n--bb\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             {text}\r\n--bb\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; \
             filename=report.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}\r\n--bb--\r\n"
        )
        .into_bytes()
    }

    fn letter(&self) -> Letter {
        Letter::new(&self.from, &[&self.to], self.mail())
    }
}

/// A way to send.
pub type App = fn(&Target, &Parcel) -> Result<Ran, Missing>;

/// Runs a program with the parcel in its environment and, as files, in a folder; `prepare` gets the folder.
fn told(
    program: &Path,
    target: &Target,
    parcel: &Parcel,
    prepare: impl FnOnce(&mut Command, &Folder),
) -> Result<Ran, Missing> {
    assert_ne!(target.tls, Tls::Implicit, "no script knows it");
    let folder = Folder::new("peer");
    let (user, password) = target.login.clone().unwrap_or_default();
    let ca = if target.tls == Tls::Off { PathBuf::new() } else { target.ca.clone().expect("TLS has an authority") };
    Ok(run(program, |command| {
        // A home that is empty: no settings of whoever runs the tests.
        command.current_dir(folder.path()).env("HOME", folder.path()).env("LC_ALL", "C.UTF-8").env("PEER_CA", ca);
        command.env("PEER_HOST", &target.host).env("PEER_PORT", target.port.to_string());
        command.env("PEER_USER", user).env("PEER_PASSWORD", password);
        command.env("PEER_FROM", &parcel.from).env("PEER_TO", &parcel.to).env("PEER_SUBJECT", &parcel.subject);
        command.env("PEER_TEXT", folder.file("text", &parcel.text));
        command.env("PEER_FILE", folder.file("report.bin", &parcel.file));
        command.env("PEER_MAIL", folder.file("mail", parcel.mail()));
        prepare(command, &folder);
    }))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

fn input(folder: &Folder, name: &str) -> File {
    File::open(folder.path().join(name)).expect("we wrote it")
}

/// The target under its name, for those who find no addresses in a certificate.
fn by_name(target: &Target) -> Target {
    let host = if target.tls == Tls::Off { target.host.clone() } else { "localhost".to_owned() };
    Target { host, ..target.clone() }
}

/// curl with a ready mail.
pub fn curl(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    clients::curl(target, &parcel.letter(), &[])
}

/// msmtp with a ready mail.
pub fn msmtp(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    clients::msmtp(target, &parcel.letter(), &[])
}

/// Python's `email` and `smtplib`.
pub fn python(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    told(&program("python3")?, target, parcel, |command, _| {
        command.arg("-I").arg(script("compose.py"));
    })
}

/// PHPMailer.
pub fn phpmailer(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    installed("/usr/share/php/libphp-phpmailer/autoload.php", "libphp-phpmailer")?;
    told(&program("php")?, target, parcel, |command, _| {
        command.arg(script("phpmailer.php"));
    })
}

/// Perl's Net::SMTP with a ready mail.
pub fn net_smtp(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    installed("/usr/share/perl5/IO/Socket/SSL.pm", "libio-socket-ssl-perl")?;
    told(&program("perl")?, target, parcel, |command, _| {
        command.arg(script("net_smtp.pl"));
    })
}

/// Perl's MIME::Lite. No TLS.
pub fn mime_lite(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    installed("/usr/share/perl5/MIME/Lite.pm", "libmime-lite-perl")?;
    told(&program("perl")?, target, parcel, |command, _| {
        command.arg(script("mime_lite.pl"));
    })
}

/// JavaMail, compiled by the launcher of the Java runtime.
pub fn javamail(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    const JARS: [&str; 2] = ["/usr/share/java/javax.mail.jar", "/usr/share/java/javax.activation.jar"];
    installed(JARS[0], "libmail-java")?;
    told(&program("java")?, &by_name(target), parcel, |command, _| {
        // One small program: no time for the better compiler, and one thread that collects garbage.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]);
        command.args(["-cp", &JARS.join(":")]).arg(script("JavaMail.java"));
    })
}

/// nodemailer.
pub fn nodemailer(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    node("nodemailer", target, parcel)
}

/// emailjs.
pub fn emailjs(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    node("emailjs", target, parcel)
}

fn node(name: &str, target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    let modules = node_modules(name)?;
    told(&program("node")?, target, parcel, |command, _| {
        // What comes through the standard input finds its packages in the current folder.
        let script = script(&format!("{name}.mjs"));
        command.arg("--input-type=module").current_dir(modules).stdin(File::open(script).expect("it is in the tree"));
    })
}

/// s-nail, a mail program for the terminal. Without a log-in it says HELO.
pub fn s_nail(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    let target = by_name(target);
    told(&program("s-nail")?, &target, parcel, |command, folder| {
        let login = target.login.as_ref().map(|(user, password)| format!("{user}:{}@", password.replace(' ', "%20")));
        let place = format!("{}{}:{}", login.as_deref().unwrap_or_default(), target.host, target.port);
        command.args(["-:/", "-S", "v15-compat", "-S", "sendwait", "-S", "ttycharset=utf-8"]);
        // What it cannot send it would leave in the home of whoever runs the tests, whatever HOME says.
        command.args(["-S", "DEAD=/dev/null"]);
        command.args(["-S", &format!("mta=smtp://{place}"), "-S", &format!("from={}", parcel.from)]);
        command.args(["-S", if login.is_some() { "smtp-auth=login" } else { "smtp-auth=none" }]);
        if target.tls == Tls::Starttls {
            let ca = target.ca.as_deref().expect("TLS has an authority").display();
            command.args(["-S", "smtp-use-starttls", "-S", "tls-verify=strict", "-S", &format!("tls-ca-file={ca}")]);
        }
        command.arg("-s").arg(&parcel.subject).arg("-a").arg(folder.path().join("report.bin")).arg(&parcel.to);
        command.stdin(input(folder, "text"));
    })
}

/// Bacula's bsmtp: HELO, no log-in, no TLS, no attachment.
pub fn bsmtp(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    told(&program("bsmtp")?, target, parcel, |command, folder| {
        command.args(["-8", "-d", "10", "-h", &format!("{}:{}", target.host, target.port)]);
        command.args(["-f", &parcel.from, "-s", &parcel.subject, &parcel.to]).stdin(input(folder, "text"));
    })
}

/// sendEmail. Its TLS knows nothing of certificates, so it is used without.
pub fn send_email(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    told(&program("sendemail")?, target, parcel, |command, folder| {
        command.args(["-f", &parcel.from, "-t", &parcel.to, "-u", &parcel.subject, "-v", "-v"]);
        command.args([
            "-s",
            &format!("{}:{}", target.host, target.port),
            "-o",
            "tls=no",
            "-o",
            "message-charset=utf-8",
        ]);
        command.arg("-o").arg(format!("message-file={}", folder.path().join("text").display()));
        command.arg("-a").arg(folder.path().join("report.bin"));
        if let Some((user, password)) = &target.login {
            command.args(["-xu", user, "-xp", password]);
        }
    })
}

/// libESMTP's esmtp with a ready mail, in the clear.
pub fn esmtp(target: &Target, parcel: &Parcel) -> Result<Ran, Missing> {
    told(&program("esmtp")?, target, parcel, |command, folder| {
        let place = format!("hostname = {}:{}\nstarttls = disabled\n", target.host, target.port);
        let login = target.login.as_ref().map(|(user, word)| format!("username = \"{user}\"\npassword = \"{word}\"\n"));
        let settings = folder.file("esmtprc", format!("{place}{}", login.unwrap_or_default()));
        set_mode(&settings, 0o600);
        command.arg("-C").arg(settings).args(["-f", &parcel.from, &parcel.to]).stdin(input(folder, "mail"));
    })
}
