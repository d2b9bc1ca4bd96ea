//! devices that are too old for TLS, that have none, or that do not wait for an answer.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use yizhan::smtp::server::Profile;

use super::{Log, PROFILES, door};
use crate::support::ca::{NAMES, TestCa, arithmetic};
use crate::support::entrance::{Entrance, Line, Plan};
use crate::support::office::{Device, PATIENCE, until};

/// A ClientHello of this version (RFC 5246 section 7.4.1.2) with these cipher suites.
fn hello(version: [u8; 2], suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend_from_slice(&[b'r'; 32]);
    body.push(0);
    body.extend_from_slice(&(2 * suites.len() as u16).to_be_bytes());
    suites.iter().for_each(|suite| body.extend_from_slice(&suite.to_be_bytes()));
    body.extend_from_slice(&[1, 0]);
    if !extensions.is_empty() {
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(extensions);
    }
    let mut record = vec![0x16, 3, version[1].min(1)];
    record.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

/// RC4 and 3DES, as old devices have them.
const OLD: &[u16] = &[0x0005, 0x000a, 0x0004];
/// ECDHE with AES-GCM.
const MODERN: &[u16] = &[0xc02b, 0xc02f, 0xc02c, 0xc030];
/// signature_algorithms: RSA and ECDSA with SHA-256; supported_groups: P-256.
const EXTENSIONS: &[u8] = &[0, 13, 0, 6, 0, 4, 4, 1, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23];
/// SSLv2 (its CLIENT-HELLO, with three ciphers of SSLv3).
const SSL_2: &[u8] = b"\x80\x2e\x01\x03\x00\x00\x15\x00\x00\x00\x10\x00\x00\x05\x00\x00\x0a\x00\x00\x04\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00aaaaaaaaaaaaaaaa";

fn plan(ca: &TestCa, implicit: bool) -> Plan {
    Plan { tls: Some((ca.issue(NAMES), implicit)), ..Plan::default() }
}

/// Connects from this address and comes to where the handshake begins.
async fn ready(door: &Entrance, implicit: bool, from: IpAddr) -> Line {
    let mut line = Line::dial_from(from, door.addr).await;
    if !implicit {
        line.expect("220").await;
        line.ask("EHLO old.lan", "250").await;
        line.ask("STARTTLS", "220").await;
    }
    line
}

/// A client that knows TLS goes in and sends.
async fn is_served(door: &Entrance, ca: &TestCa, implicit: bool) {
    let mut line = match implicit {
        true => Line::dial(door.addr).await.tls(ca.file()).await.expect("the certificate is good"),
        false => Line::starttls(door.addr, ca.file()).await.0,
    };
    if implicit {
        line.expect("220").await;
    }
    line.send("a@example.com").await;
    line.ask("QUIT", "221").await;
}

#[tokio::test]
async fn q_070_old_tls_disturbs_nobody_and_the_log_says_what_to_do() {
    let (log, ca) = (Log::listen(), TestCa::new());
    let too_old = "knows no TLS 1.2";
    let cases = [
        // To us that is no TLS at all.
        ("", SSL_2.to_vec(), " no TLS"),
        ("SSL 3.0", hello([3, 0], OLD, &[]), too_old),
        ("TLS 1.0", hello([3, 1], OLD, &[]), too_old),
        ("TLS 1.1", hello([3, 2], OLD, EXTENSIONS), too_old),
        // Only RC4 and 3DES; no curve.
        ("TLS 1.2 or later", hello([3, 3], OLD, EXTENSIONS), "TLS 1.2 is too old, it knows no cipher"),
        ("TLS 1.2 or later", hello([3, 3], MODERN, &EXTENSIONS[..10]), "TLS 1.2 is too old, it knows no cipher"),
    ];
    for implicit in [true, false] {
        let door = Entrance::open("old", plan(&ca, implicit));
        for (n, (name, octets, why)) in cases.iter().enumerate() {
            let from = IpAddr::from([127, 0, 70 + u8::from(implicit), 1 + n as u8]);
            let mut line = ready(&door, implicit, from).await;
            line.write(octets).await;
            // Perhaps an alert, never a reply.
            assert_eq!(line.reply().await, None, "{name}");
            let addr = format!("addr={from} ");
            let told = until("the log", async || log.lines(&["\"tls_failed\"", &addr]).pop()).await;
            assert!(told.contains(why), "{name}: {told}");
            assert!(told.contains(&format!(" offered={name} ")) || name.is_empty(), "{name}: {told}");
        }
        until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
        is_served(&door, &ca, implicit).await;
    }
}

#[tokio::test]
async fn q_070_old_tls_on_a_plaintext_port_falls_back() {
    for profile in PROFILES {
        let door = door("fallback", profile);
        for octets in [SSL_2.to_vec(), hello([3, 0], OLD, &[]), hello([3, 1], OLD, &[])] {
            let mut device = Device::dial(door.addr).await;
            device.write(&octets).await;
            if profile != Profile::Strict {
                // A strict one does not greet whoever speaks first.
                device.expect("220").await;
            }
            assert_eq!(device.reply().await, None, "not a word: the device falls back");
            let mut device = Device::connect(door.addr).await;
            device.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
        }
        assert_eq!(door.queued().await.len(), 3);
    }
}

#[tokio::test]
async fn q_072_what_is_announced_is_done_even_when_the_files_are_gone() {
    let ca = TestCa::new();
    let door = Entrance::open("gone", plan(&ca, false));
    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(door.folder.path().join(file)).unwrap();
    }
    assert!(!door.identity.as_ref().expect("it has TLS").look(), "there is nothing new");
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    assert!(line.ask("EHLO x", "250").await.contains("250-STARTTLS"));
    // Never 454, which some clients do not survive.
    line.ask("STARTTLS", "220 2.0.0").await;
    is_served(&door, &ca, false).await;
    // Inside it is not announced any more, and not done either.
    let (mut line, inside) = Line::starttls(door.addr, ca.file()).await;
    assert!(!inside.contains("STARTTLS"));
    line.ask("STARTTLS", "503 5.5.1").await;
}

#[tokio::test]
async fn q_074_a_hello_without_extensions_is_refused_by_an_alert() {
    let ca = TestCa::new();
    let door = Entrance::open("bare", plan(&ca, true));
    for octets in [hello([3, 3], MODERN, &[]), hello([3, 3], OLD, &[])] {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        stream.write_all(&octets).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        // An alert of level fatal (RFC 5246 section 7.2), so it was thought about and not a panic.
        assert!(answer.len() == 7 && answer[0] == 0x15 && answer[5] == 2, "{answer:x?}");
    }
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    is_served(&door, &ca, true).await;
}

/// What a client is made with that trusts `ca` and knows one version.
fn client(ca: &TestCa, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut ca.pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(arithmetic()).with_protocol_versions(&[version]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Shakes hands on a port with implicit TLS and reads the greeting.
async fn shake(door: &Entrance, config: &Arc<ClientConfig>, name: &str) -> HandshakeKind {
    let stream = TcpStream::connect(door.addr).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(config.clone());
    let mut stream = timeout(PATIENCE, connector.connect(name, stream)).await.unwrap().expect("the handshake is good");
    let mut greeting = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut greeting)).await.unwrap().unwrap();
    assert_eq!(&greeting, b"220 ");
    let kind = stream.get_ref().1.handshake_kind().expect("it is over");
    stream.write_all(b"QUIT\r\n").await.unwrap();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.unwrap();
    kind
}

#[tokio::test]
async fn q_074_a_client_that_names_no_server_is_served() {
    let ca = TestCa::new();
    let door = Entrance::open("no-sni", plan(&ca, true));
    for version in [&TLS12, &TLS13] {
        // There is no SNI for an address (RFC 6066 section 3).
        assert_eq!(shake(&door, &client(&ca, version), "127.0.0.1").await, HandshakeKind::Full);
    }
}

#[tokio::test]
async fn q_075_sessions_can_be_resumed() {
    let ca = TestCa::new();
    let door = Entrance::open("resumed", plan(&ca, true));
    for version in [&TLS12, &TLS13] {
        let client = client(&ca, version);
        assert_ne!(shake(&door, &client, "localhost").await, HandshakeKind::Resumed);
        assert_eq!(shake(&door, &client, "localhost").await, HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn q_076_a_device_without_tls_sends_where_others_encrypt() {
    let ca = TestCa::new();
    let door = Entrance::open("plain", plan(&ca, false));
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    line.ask("HELO plc", "250").await;
    line.send("plc@example.com").await;
    line.ask("QUIT", "221").await;
    assert_eq!(line.reply().await, None);
    assert!(door.only().await.1.contains("with SMTP id"));
}

#[tokio::test]
async fn q_077_starttls_in_one_write_with_ehlo_and_no_quit() {
    let ca = TestCa::new();
    let door = Entrance::open("scanner", plan(&ca, false));
    for _ in 0..3 {
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        line.write(b"EHLO scanner\r\nSTARTTLS\r\n").await;
        line.expect("250").await;
        line.expect("220 2.0.0").await;
        let mut line = line.tls(ca.file()).await.expect("the certificate is good");
        line.ask("NOOP", "250").await;
        drop(line);
    }
    // Before EHLO there is none, and the session goes on.
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    line.ask("STARTTLS", "503 5.5.1").await;
    drop(line);
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    is_served(&door, &ca, false).await;
}
