//! TLS that somebody interferes with on the way to the provider.
//!
//! Not here: handshakes at the listener (`handshakes`). Where no pretended provider would do, a [`Server`] does: a few
//! lines of SMTP over sockets and TLS of our own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use yizhan::mail::Id;
use yizhan::provider::Tls;
use yizhan::queue::{MessageState, QueueEntry};
use yizhan::telemetry::counter::LOGINS;

use super::Scene;
use crate::support::ca::{Identity, NAMES, TestCa};
use crate::support::day::Day;
use crate::support::entrance::Line;
use crate::support::folder::Folder;
use crate::support::office::until;
use crate::support::offload;
use crate::support::peers::program;
use crate::support::ports::Reserved;
use crate::support::process::Process;
use crate::support::scripted::{Say, Scripted};
use crate::support::skip::need;

const MAIL: &[u8] = b"Subject: one\r\n\r\nfirst\r\n";

/// What was said to a [`Server`], line by line, over all connections.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server by hand: what it does with a connection is `serve`'s business.
struct Server {
    addr: SocketAddr,
    heard: Heard,
    task: JoinHandle<()>,
}

impl Server {
    /// `serve` gets each connection, its number from 0, and the list of what was heard.
    async fn start<F>(serve: impl Fn(TcpStream, usize, Heard) -> F + Send + 'static) -> Server
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let addr = listener.local_addr().expect("it is bound");
        let heard = Heard::default();
        let all = heard.clone();
        let task = tokio::spawn(async move {
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(serve(stream, number, all.clone()));
            }
        });
        Server { addr, heard, task }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic holds it").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a line and keeps it; `None` at the end.
async fn hear(stream: &mut (impl AsyncBufReadExt + Unpin), heard: &Heard) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok().filter(|&octets| octets > 0)?;
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    heard.lock().expect("no panic holds it").push(line.clone());
    Some(line)
}

/// SMTP as far as the final dot: greets, answers, takes a message. The dot itself is left to the caller.
async fn as_far_as_the_dot<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, heard: &Heard) -> Option<()> {
    let mut data = false;
    let mut answer = "220 by hand";
    loop {
        if !answer.is_empty() {
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
        let line = hear(stream, heard).await?;
        answer = match (line.split(' ').next(), data) {
            (Some("."), true) => return Some(()),
            (_, true) => "",
            (Some("EHLO"), _) => "250-by hand\r\n250 AUTH PLAIN",
            (Some("AUTH"), _) => "235 ok",
            (Some("DATA"), _) => {
                data = true;
                "354 go"
            }
            _ => "250 ok",
        };
    }
}

/// Hands in a mail and waits until it waits.
async fn deferred(scene: &Scene) -> QueueEntry {
    let id = scene.office.send(&["c@d"], MAIL).await;
    waits(scene, id).await
}

async fn waits(scene: &Scene, id: Id) -> QueueEntry {
    until("the message to wait", async || {
        let entry = scene.office.entry(id).await;
        matches!(entry.state, MessageState::Deferred | MessageState::Waiting).then_some(entry)
    })
    .await
}

/// Why the mail waits, as it is stored and logged.
fn reason(entry: &QueueEntry) -> String {
    format!("{:?}", entry.recipients[0].outcome)
}

/// Nobody has tried to log in.
fn no_login(scene: &Scene) {
    assert_eq!(scene.office.relay.counters().sum(LOGINS, &[]), 0);
}

#[tokio::test]
async fn a_028_what_stands_behind_the_providers_220_is_no_greeting() {
    // What the man in the middle wants to be taken for the answer to EHLO inside TLS; the second one offers log-ins.
    for injected in ["250-AUTH PLAIN\r\n250 x\r\n", "250-x\r\n250 AUTH PLAIN LOGIN\r\n"] {
        let ca = TestCa::new();
        let acceptor = TlsAcceptor::from(ca.issue(NAMES).server_config());
        let server = Server::start(move |stream, _, heard| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 by hand\r\n").await.ok()?;
                hear(&mut stream, &heard).await?;
                stream.write_all(b"250-by hand\r\n250 STARTTLS\r\n").await.ok()?;
                hear(&mut stream, &heard).await?;
                stream.write_all(format!("220 go\r\n{injected}").as_bytes()).await.ok()?;
                let stream = acceptor.accept(stream.into_inner()).await.ok()?;
                let mut stream = BufReader::new(stream);
                while hear(&mut stream, &heard).await.is_some() {}
                Some(())
            }
        })
        .await;
        let scene = Scene::towards("behind-220", "localhost", server.addr, Tls::StartTls, ca.file()).await;
        let entry = deferred(&scene).await;
        assert!(reason(&entry).contains("plaintext arrived behind the reply to STARTTLS"), "{}", reason(&entry));
        let heard = server.heard();
        assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{heard:?}");
        no_login(&scene);
        scene.holds_and_keeps(&[], 1).await;
    }
}

#[tokio::test]
async fn a_029_without_starttls_nothing_is_said() {
    let cases = [
        ("250-scripted\r\n250 AUTH PLAIN LOGIN", "", "the server does not offer STARTTLS"),
        ("250-scripted\r\n250-XXXXXXXA\r\n250 AUTH PLAIN", "", "the server does not offer STARTTLS"),
        (
            "250-scripted\r\n250-STARTTLS\r\n250 AUTH PLAIN",
            "454 4.7.0 TLS not available",
            "454 4.7.0 TLS not available",
        ),
        ("250-scripted\r\n250-STARTTLS\r\n250 AUTH PLAIN", "500 5.5.1 what?", "500 5.5.1 what?"),
        ("250-scripted\r\n250-STARTTLS\r\n250 AUTH PLAIN", "554 5.7.3 no", "554 5.7.3 no"),
    ];
    for (ehlo, starttls, words) in cases {
        let server = Scripted::plain(move |line, _| match line.split(' ').next() {
            Some("EHLO") => Say::line(ehlo),
            Some("STARTTLS") => Say::line(starttls),
            _ => Say::Usual,
        })
        .await;
        let scene = Scene::towards("stripped", "localhost", server.addr(), Tls::StartTls, server.ca()).await;
        let entry = deferred(&scene).await;
        assert!(reason(&entry).contains(words), "{}", reason(&entry));
        let heard = server.heard().concat();
        let harmless = |line: &String| ["", "STARTTLS", "QUIT"].contains(&line.as_str()) || line.starts_with("EHLO");
        assert!(heard.iter().all(harmless), "{heard:?}");
        no_login(&scene);
        scene.holds_and_keeps(&[], 1).await;
    }
}

/// The relay meets this certificate: the mail waits, the reason has these words, and nothing was said inside.
async fn meets(what: &str, identity: &Identity, ca: &TestCa, words: &str) {
    let acceptor = TlsAcceptor::from(identity.server_config());
    let server = Server::start(move |stream, _, heard| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = BufReader::new(acceptor.accept(stream).await.ok()?);
            as_far_as_the_dot(&mut stream, &heard).await
        }
    })
    .await;
    let scene = Scene::towards("certificate", "localhost", server.addr, Tls::Implicit, ca.file()).await;
    let entry = deferred(&scene).await;
    assert!(reason(&entry).contains(words), "{what}: {}", reason(&entry));
    assert_eq!(server.heard(), [""; 0], "{what}");
    no_login(&scene);
    scene.holds_and_keeps(&[], 1).await;
}

#[tokio::test]
async fn a_030_no_bad_certificate_gets_a_word_and_each_has_its_reason() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let cases = [
        ("expired", ca.issue_expired(NAMES), "certificate expired"),
        ("not yet valid", ca.issue_early(NAMES), "not valid yet"),
        ("another name", ca.issue(&["mail.other.test"]), "only valid for DnsName(\\\"mail.other.test\\\")"),
        ("name in the subject only", ca.issue_nameless("localhost"), "not valid for any names"),
        ("self-signed", Identity::self_signed(NAMES, true), "self-signed, or one of an authority"),
        ("self-signed, no authority", Identity::self_signed(NAMES, false), "not trusted here"),
        ("unknown authority", stranger.issue(NAMES), "not trusted here"),
    ];
    for (what, identity, words) in &cases {
        meets(what, identity, &ca, words).await;
    }
}

/// What no library of ours makes or shows any more, openssl does: a key of 1024 bits, and a signature with SHA-1.
fn weak(folder: &Folder, bits: &str, digest: &str) {
    let openssl = program("openssl").expect("it was found before");
    let run = |arguments: &str| {
        let out = std::process::Command::new(&openssl)
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .expect("openssl starts");
        assert!(out.status.success(), "{arguments}: {}", String::from_utf8_lossy(&out.stderr));
    };
    folder.file("names", "subjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n");
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=Authority");
    run(&format!("req -new -newkey rsa:{bits} -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost"));
    run(&format!(
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 30 -extfile names -{digest}"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_030_a_weak_key_or_signature_gets_no_word() {
    let openssl = need!(program("openssl"));
    for (bits, digest, words) in
        [("1024", "sha256", "a key that is too short"), ("2048", "sha1", "such as SHA-1"), ("2048", "sha256", "")]
    {
        let (folder, port) = (Folder::new("weak"), Reserved::new());
        let port = port.release();
        let folder = offload(move || {
            weak(&folder, bits, digest);
            folder
        })
        .await;
        let path = folder.path().to_owned();
        let mut server = Process::spawn(
            "openssl",
            &openssl,
            |command| {
                command.current_dir(&path).args(["s_server", "-rev", "-cert", "leaf.pem", "-key", "leaf.key"]);
                command.args(["-cipher", "DEFAULT@SECLEVEL=0", "-accept", &format!("127.0.0.1:{port}")]);
            },
            &path,
        );
        server.wait_listening(port, String::new);
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let ca = folder.path().join("ca.pem");
        if words.is_empty() {
            // The strong one shows that it is the weakness which is refused.
            Line::dial(addr).await.tls(&ca).await.expect("a good certificate");
            continue;
        }
        let scene = Scene::towards("weak", "localhost", addr, Tls::Implicit, &ca).await;
        let entry = deferred(&scene).await;
        assert!(reason(&entry).contains(words), "{}", reason(&entry));
        no_login(&scene);
        scene.holds_and_keeps(&[], 1).await;
    }
}

/// How a connection ends in the middle of the verdict.
#[derive(Debug, Clone, Copy)]
enum Ending {
    CloseNotify,
    Fin,
    Reset,
}

#[tokio::test]
async fn a_031_half_a_verdict_is_none() {
    for ending in [Ending::CloseNotify, Ending::Fin, Ending::Reset] {
        let ca = TestCa::new();
        let acceptor = TlsAcceptor::from(ca.issue(NAMES).server_config());
        let server = Server::start(move |stream, number, heard| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = BufReader::new(acceptor.accept(stream).await.ok()?);
                as_far_as_the_dot(&mut stream, &heard).await?;
                stream.write_all(if number == 0 { b"25" } else { b"250 taken\r\n" }).await.ok()?;
                stream.flush().await.ok()?;
                match ending {
                    _ if number > 0 => drop(hear(&mut stream, &heard).await),
                    Ending::CloseNotify => stream.shutdown().await.ok()?,
                    Ending::Fin => {}
                    Ending::Reset => stream.get_ref().get_ref().0.set_zero_linger().ok()?,
                }
                Some(())
            }
        })
        .await;
        let day = Day::new();
        let towards = super::towards("localhost", server.addr, Tls::Implicit, ca.file());
        let scene = Scene::at(day.clock(), "half", towards).await;
        let entry = deferred(&scene).await;
        assert_eq!((entry.state, entry.uncertain), (MessageState::Deferred, 1), "{ending:?}: {}", reason(&entry));
        scene.holds_and_keeps(&[], 1).await;
        day.run_until(day.at(2, 0)).await;
        scene.office.wait_state(entry.id, MessageState::Delivered).await;
        let heard = server.heard();
        let ids: Vec<&String> = heard.iter().filter(|line| line.starts_with("Message-ID:")).collect();
        assert!(ids.len() == 2 && ids[0] == ids[1], "{ending:?}: {ids:?}");
        assert_eq!(heard.iter().filter(|line| *line == "DATA").count(), 2, "{ending:?}");
    }
}
