//! TLS at the door, over sockets: what is announced and when, what is forgotten at STARTTLS, what becomes of handshakes
//! that are none, and certificates that are renewed while the relay runs.

use std::path::Path;
use std::time::Duration;

use crate::support::ca::{NAMES, TestCa};
use crate::support::clients::{self, Letter, Ran, Target, Tls};
use crate::support::conventions::{answers, only_ours, watch_for_panics};
use crate::support::entrance::{Entrance, Line, Plan, client, user};
use crate::support::folder::Folder;
use crate::support::office::{PATIENCE, provider, until};
use crate::support::offload;
use crate::support::program::Site;
use crate::support::skip::{Missing, need};
use yizhan::config::{FileSource, Overrides, Sources, load};
use yizhan::intake::Deadlines;
use yizhan::sandbox::SandboxLimits;

/// What a device says that knows TLS 1.0 and nothing later (RFC 2246 section 7.4.1.2).
const HELLO_1_0: &[u8] =
    b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x02\x00\x2f\x01\x00";

/// The end of an attack: the next client is served, and nothing but the mail is left.
async fn lives(door: &Entrance) {
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    answers(door.addr).await;
    only_ours(&door.folder.path().join("data"));
}

/// A listener with a certificate of `ca`.
fn plan(ca: &TestCa, implicit: bool) -> Plan {
    Plan { tls: Some((ca.issue(NAMES), implicit)), ..Plan::default() }
}

#[tokio::test]
async fn starttls_is_announced_before_tls_and_not_inside() {
    let ca = TestCa::new();
    let door = Entrance::open("starttls", plan(&ca, false));
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    assert!(line.ask("EHLO x", "250").await.contains("250-STARTTLS"));
    let (mut line, inside) = Line::starttls(door.addr, ca.file()).await;
    assert!(!inside.contains("STARTTLS") && inside.contains("AUTH LOGIN PLAIN"), "{inside}");
    line.ask("STARTTLS", "503 5.5.1").await;
    line.send("a@example.com").await;
    line.ask("QUIT", "221").await;
    assert_eq!(line.reply().await, None);
    assert!(door.only().await.1.contains("with ESMTPS id"));
}

#[tokio::test]
async fn implicit_tls_comes_before_the_greeting() {
    let ca = TestCa::new();
    let door = Entrance::open("implicit", plan(&ca, true));
    let mut line = Line::dial(door.addr).await.tls(ca.file()).await.expect("the certificate is good");
    line.expect("220").await;
    assert!(!line.ask("EHLO x", "250").await.contains("STARTTLS"));
    line.log_in("printer", "right", "235").await;
    line.send("a@example.com").await;
    assert!(door.only().await.1.contains("with ESMTPSA id"));
}

#[tokio::test]
async fn q_071_q_073_without_a_certificate_starttls_is_not_there() {
    let door = Entrance::open("none", Plan::default());
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    assert!(!line.ask("EHLO x", "250").await.contains("STARTTLS"));
    line.ask("STARTTLS", "502 5.5.1").await;
    line.send("a@example.com").await;
}

#[tokio::test]
async fn a_026_what_stands_behind_starttls_is_never_run() {
    watch_for_panics();
    let ca = TestCa::new();
    let door = Entrance::open("injected", plan(&ca, false));
    let mut line = Line::hello(door.addr).await;
    line.write(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<boss@example.com>\r\n").await;
    line.expect("220").await;
    let mut inside = line.tls(ca.file()).await.expect("the certificate is good");
    // The first reply is to the first command inside, and there is no transaction.
    inside.ask("RCPT TO:<boss@example.com>", "503 5.5.1").await;
    inside.send("a@example.com").await;
    let (entry, head) = door.only().await;
    assert_eq!(entry.sender.to_string(), "a@example.com");
    assert!(!head.contains("evil"), "{head}");
    // In a piece of its own it is no handshake.
    let mut line = Line::hello(door.addr).await;
    line.ask("STARTTLS", "220").await;
    line.write(b"MAIL FROM:<evil@example.com>\r\n").await;
    assert_eq!(line.reply().await, None);
    drop(inside);
    lives(&door).await;
}

#[tokio::test]
async fn a_027_log_in_and_transaction_are_forgotten_at_starttls() {
    watch_for_panics();
    let ca = TestCa::new();
    let mut tied = user("printer", "right");
    tied.client = Some(client("scanner").into());
    tied.senders = vec![yizhan::route::Pattern::parse("printer@example.com").unwrap()];
    let door = Entrance::open("forgotten", Plan { users: vec![tied], ..plan(&ca, false) });
    let mut line = Line::hello(door.addr).await;
    line.log_in("printer", "right", "235").await;
    line.ask("MAIL FROM:<other@example.com>", "553").await;
    line.ask("MAIL FROM:<printer@example.com>", "250").await;
    line.ask("RCPT TO:<boss@example.com>", "250").await;
    line.ask("STARTTLS", "220").await;
    let mut line = line.tls(ca.file()).await.expect("the certificate is good");
    line.ask("DATA", "503").await;
    // also without another EHLO. What the user was bound to, and tied to, is gone with the user.
    line.send("other@example.com").await;
    let (entry, head) = door.only().await;
    assert_eq!(entry.origin.client, "127.0.0.1");
    assert!(head.contains("with ESMTPS id") && head.contains("Subject: hello"), "{head}");
    line.log_in("printer", "right", "235").await;
    drop(line);
    lives(&door).await;
}

#[tokio::test]
async fn who_comes_from_elsewhere_logs_in_inside_tls_only() {
    let ca = TestCa::new();
    let door = Entrance::open("abroad", Plan { tls: plan(&ca, false).tls, ..Plan::abroad() });
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    assert!(!line.ask("EHLO x", "250").await.contains("AUTH"));
    line.log_in("printer", "right", "538 5.7.11").await;
    line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    line.ask("STARTTLS", "220").await;
    let mut line = line.tls(ca.file()).await.expect("the certificate is good");
    assert!(line.ask("EHLO x", "250").await.contains("AUTH LOGIN PLAIN"));
    line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    line.log_in("printer", "right", "235").await;
    line.send("a@example.com").await;
    // From an allowed network the same listener takes a log-in in the clear: old devices know nothing else.
    let near = Entrance::open("near", plan(&ca, false));
    Line::hello(near.addr).await.log_in("printer", "right", "235").await;
}

#[tokio::test]
async fn a_032_handshakes_that_are_none_give_the_place_back() {
    let ca = TestCa::new();
    let deadlines = Deadlines { handshake: Duration::from_millis(300), ..Plan::default().deadlines };
    for implicit in [true, false] {
        let door = Entrance::open("stall", Plan { deadlines, ..plan(&ca, implicit) });
        // Somebody who says nothing, a device without TLS, noise, the beginning of a hello, and a TLS 1.0 hello.
        for octets in [&b""[..], b"EHLO x\r\n", &[0xa5; 70_000], b"\x16\x03\x01\x02\x00", HELLO_1_0] {
            let mut line = match implicit {
                true => Line::dial(door.addr).await,
                false => {
                    let mut line = Line::hello(door.addr).await;
                    line.ask("STARTTLS", "220").await;
                    line
                }
            };
            line.write(octets).await;
            // Perhaps an alert, never a reply.
            assert_eq!(line.reply().await, None);
        }
        until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
        let mut line = match implicit {
            true => Line::dial(door.addr).await,
            false => Line::starttls(door.addr, ca.file()).await.0,
        };
        if implicit {
            line = line.tls(ca.file()).await.expect("the certificate is good");
            line.expect("220").await;
        }
        line.send("a@example.com").await;
    }
}

#[tokio::test]
async fn a_092_a_certificate_is_renewed_while_the_listener_runs() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let door = Entrance::open("renewed", plan(&old, true));
    let identity = door.identity.clone().expect("it has TLS");
    let shows = async |ca: &TestCa| Line::dial(door.addr).await.tls(ca.file()).await.is_ok();
    assert!(shows(&old).await && !shows(&new).await);
    assert!(!identity.look(), "nothing has changed");
    let fresh = new.issue(NAMES);
    // Only one of the two is there yet.
    door.folder.file("cert.pem", &fresh.certificate);
    assert!(!identity.look());
    assert!(shows(&old).await && !shows(&new).await);
    door.folder.file("key.pem", &fresh.key);
    assert!(identity.look());
    assert!(shows(&new).await && !shows(&old).await);
    // Gone, or nonsense: the last good one stays.
    for break_it in [|path: &Path| std::fs::remove_file(path), |path: &Path| std::fs::write(path, "nonsense")] {
        break_it(&door.folder.path().join("cert.pem")).unwrap();
        assert!(!identity.look());
        assert!(shows(&new).await);
    }
}

#[test]
fn q_072_a_certificate_that_cannot_be_shown_is_found_by_check() {
    let (ca, folder) = (TestCa::new(), Folder::new("check"));
    let (one, other) = (ca.issue(NAMES), ca.issue(NAMES));
    folder.file("good.pem", &one.certificate);
    folder.file("good.key", &one.key);
    folder.file("other.key", &other.key);
    folder.file("empty.pem", "");
    folder.file("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let complaint = |certificate: &str, key: &str| {
        let text = format!("[listener.lan]\ntls = \"starttls\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
        let sources = Sources {
            file: FileSource::Text { name: folder.path().join("yizhan.toml"), text },
            env: Default::default(),
            overrides: Overrides { data_dir: Some("/tmp".into()), ..Overrides::default() },
            machine: "relay.test".to_owned(),
            can_ask: false,
        };
        load(sources).map(|_| ()).map_err(|problems| problems.to_string())
    };
    assert_eq!(complaint("good.pem", "good.key"), Ok(()));
    for (certificate, key, blamed, why) in [
        ("good.pem", "other.key", "key", "does not belong to the certificate"),
        ("good.pem", "none.key", "key", "No such file"),
        ("good.pem", "good.pem", "key", "no private key"),
        ("good.pem", "locked.key", "key", "locked with a password"),
        ("empty.pem", "good.key", "certificate", "no certificate"),
        ("none.pem", "good.key", "certificate", "No such file"),
        ("good.key", "good.key", "certificate", "no certificate"),
    ] {
        let text = complaint(certificate, key).expect_err("it cannot be shown");
        assert!(
            text.contains(&format!("listener.lan.{blamed} = ")) && text.contains(why),
            "{certificate} {key}: {text}"
        );
        assert!(text.contains("remedy:  name "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_tells_what_is_wrong_with_a_handshake_and_what_to_do() {
    let (ca, sandbox) = (TestCa::new(), provider(SandboxLimits::default()).await);
    let site = Site::new("program", &sandbox, "[log]\nformat = \"json\"\n");
    let pair = ca.issue(NAMES);
    let (certificate, key) = (site.folder.file("cert.pem", pair.certificate), site.folder.file("key.pem", pair.key));
    let text = std::fs::read_to_string(&site.config).unwrap();
    let tls = format!("tls = \"starttls\"\ncertificate = \"{}\"\nkey = \"{}\"\n", certificate.display(), key.display());
    site.folder.file("yizhan.toml", text.replace("[account.office]", &format!("{tls}[account.office]")));
    let relay = site.start().await;

    // A TLS hello where SMTP is spoken: no answer, one line.
    let mut line = Line::dial(relay.door()).await;
    line.expect("220").await;
    line.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert_eq!(line.reply().await, None);
    let told = relay.event("noted").await;
    assert!(told.contains("TLS on a plaintext port") && told.contains("STARTTLS"), "{told}");
    assert_eq!(relay.told("noted").len(), 1);

    // A client that does not trust the certificate.
    let mut line = Line::hello(relay.door()).await;
    line.ask("STARTTLS", "220").await;
    assert!(line.tls(TestCa::new().file()).await.is_err());
    let told = relay.event("tls_failed").await;
    assert!(told.contains("does not trust the certificate"), "{told}");

    // a device that is too old for it.
    let mut line = Line::hello(relay.door()).await;
    line.ask("STARTTLS", "220").await;
    line.write(HELLO_1_0).await;
    assert_eq!(line.reply().await, None);
    relay.line("what to do about TLS 1.0", |line| line.contains("knows no TLS 1.2").then_some(())).await;

    // A renewal that went wrong is told once, at the next handshake that looks; the relay goes on.
    let new = TestCa::new().issue(NAMES);
    site.folder.file("cert.pem", new.certificate);
    let kept = async {
        while relay.told("certificate_kept").is_empty() {
            Line::starttls(relay.door(), ca.file()).await.0.ask("QUIT", "221").await;
        }
    };
    tokio::time::timeout(PATIENCE, kept).await.expect("it looks every few seconds");
    let told = relay.event("certificate_kept").await;
    assert!(told.contains("key.pem") && told.contains("does not belong"), "{told}");
    relay.stop().await;
}

/// Sends with somebody else's program, over both kinds of TLS, with the right password and with a wrong one.
async fn sends(send: impl Fn(&Target, &Letter) -> Result<Ran, Missing> + Send + Clone + 'static) {
    for tls in [Tls::Starttls, Tls::Implicit] {
        let ca = TestCa::new();
        let door = Entrance::open("foreign", Plan { tls: plan(&ca, tls == Tls::Implicit).tls, ..Plan::abroad() });
        for (password, works) in [("wrong", false), ("right", true)] {
            let mut target = Target::secure(door.addr.port(), tls, ca.file(), "printer", password);
            target.host = "localhost".to_owned();
            let letter = Letter::new("a@example.com", &["boss@example.com"], "Subject: hello\r\n\r\ntext\r\n");
            let send = send.clone();
            let ran = need!(offload(move || send(&target, &letter)).await);
            assert_eq!(ran.ok(), works, "{tls:?} {password}: {}", ran.output);
        }
        assert!(door.only().await.1.contains("with ESMTPSA id"), "{tls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_sends_through_tls() {
    sends(|target, letter| clients::swaks(target, letter, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_sends_through_tls() {
    sends(|target, letter| clients::curl(target, letter, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_sends_through_tls() {
    sends(|target, letter| clients::msmtp(target, letter, &[])).await;
}
