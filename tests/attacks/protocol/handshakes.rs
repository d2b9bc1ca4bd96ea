//! Handshakes at the listener that are none, and STARTTLS where it may not stand.
//!
//! Not here: what STARTTLS forgets (`listener::tls`), and TLS towards the provider (`tls`).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use yizhan::intake::Deadlines;

use crate::support::ca::{NAMES, TestCa};
use crate::support::conventions::{answers, only_ours, watch_for_panics};
use crate::support::entrance::{Entrance, Line, Plan, client, user};
use crate::support::office::until;
use crate::support::offload;
use crate::support::peers::program;
use crate::support::skip::need;

/// A listener whose handshakes end after `limit`.
fn door(ca: &TestCa, implicit: bool, limit: Duration) -> Entrance {
    watch_for_panics();
    let deadlines = Deadlines { handshake: limit, ..Plan::default().deadlines };
    Entrance::open("handshakes", Plan { tls: Some((ca.issue(NAMES), implicit)), deadlines, ..Plan::default() })
}

/// The end of a row at a listener: every place is free, a client is served, and there is nothing but its mail.
async fn serves(door: &Entrance, ca: &TestCa, implicit: bool) {
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    let mut line = match implicit {
        true => {
            let mut line = Line::dial(door.addr).await.tls(ca.file()).await.expect("the certificate is good");
            line.expect("220").await;
            line
        }
        false => {
            answers(door.addr).await;
            Line::starttls(door.addr, ca.file()).await.0
        }
    };
    line.send("a@example.com").await;
    line.ask("QUIT", "221").await;
    assert_eq!(door.only().await.0.sender.to_string(), "a@example.com");
    only_ours(&door.folder.path().join("data"));
}

/// The first record of a handshake that says it has so many octets (RFC 8446 section 4, section 5.1).
fn hello(octets: usize) -> Vec<u8> {
    let length = (octets as u32).to_be_bytes();
    let mut rest = [&[1], &length[1..], &[3, 3], &vec![0x5a; octets - 2][..]].concat();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let piece: Vec<u8> = rest.drain(..rest.len().min(16_000)).collect();
        records.extend_from_slice(&[22, 3, 1]);
        records.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        records.extend_from_slice(&piece);
    }
    records
}

#[tokio::test]
async fn a_032_a_hello_that_drips_or_is_too_large_gives_its_place_back() {
    let (ca, limit) = (TestCa::new(), Duration::from_millis(300));
    assert_eq!(Deadlines::default().handshake, Duration::from_secs(30));
    for implicit in [true, false] {
        let door = door(&ca, implicit, limit);
        let begun = async || {
            if implicit {
                return Line::dial(door.addr).await;
            }
            let mut line = Line::hello(door.addr).await;
            line.ask("STARTTLS", "220").await;
            line
        };
        // A fatal alert instead of a hello, one behind half a hello, and a hello of 64 KiB.
        let alert = [21, 3, 1, 0, 2, 2, 40];
        for octets in
            [alert.to_vec(), [&hello(200)[..100], &alert].concat(), hello(65_536), [&hello(200)[..], &alert].concat()]
        {
            let mut line = begun().await;
            line.write(&octets).await;
            // Perhaps an alert, never a reply.
            assert_eq!(line.reply().await, None);
        }
        // Octet by octet, each before the limit, all of them far beyond it: the limit is for the handshake.
        let mut line = begun().await;
        let (mut tick, start) = (tokio::time::interval(limit / 20), tokio::time::Instant::now());
        for octet in hello(200) {
            tick.tick().await;
            line.write(&[octet]).await;
            if door.capacity.connections() == 0 {
                break;
            }
        }
        assert!(start.elapsed() < limit * 8, "{:?}", start.elapsed());
        serves(&door, &ca, implicit).await;
    }
}

/// TLS 1.2 lets a client begin a second handshake inside the first (RFC 5246 section 7.4.1.1). We do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_032_no_second_handshake_inside_the_first() {
    let openssl = need!(program("openssl"));
    let ca = TestCa::new();
    let door = door(&ca, true, Duration::from_secs(30));
    let (addr, file) = (door.addr, ca.file().to_owned());
    let said = offload(move || renegotiate(&openssl, addr, &file)).await;
    assert!(said.contains("220 "), "it came as far as the greeting: {said}");
    assert!(said.contains("RENEGOTIATING") && !said.contains("250 2.0.0"), "{said}");
    serves(&door, &ca, true).await;
}

/// `R` at the begin of a line is how s_client is told to; NOOP behind it is not to be answered.
fn renegotiate(openssl: &Path, addr: SocketAddr, ca: &Path) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};
    let mut command = Command::new(openssl);
    command.args(["s_client", "-tls1_2", "-connect", &addr.to_string(), "-CAfile"]).arg(ca);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl starts");
    let mut input = child.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = String::new();
    // It prints what comes in as it comes; until the greeting it is not ready for the R.
    while !said.lines().any(|line| line.starts_with("220 ")) && lines.read_line(&mut said).is_ok_and(|n| n > 0) {}
    let _ = input.write_all(b"R\n").and_then(|()| input.flush());
    let mut rest = Vec::new();
    let _ = lines.read_to_end(&mut rest);
    let _ = child.kill();
    let mut errors = String::new();
    let _ = child.stderr.take().expect("it is piped").read_to_string(&mut errors);
    let _ = child.wait();
    said + &String::from_utf8_lossy(&rest) + &errors
}

#[tokio::test]
async fn a_033_starttls_where_it_may_not_stand() {
    let ca = TestCa::new();
    let mut tied = user("printer", "right");
    tied.client = Some(client("scanner").into());
    let plan = Plan { users: vec![tied], tls: Some((ca.issue(NAMES), false)), ..Plan::default() };
    watch_for_panics();
    let door = Entrance::open("starttls", plan);
    let mut line = Line::dial(door.addr).await;
    line.expect("220").await;
    // Before EHLO, and with an argument.
    line.ask("STARTTLS", "503 5.5.1").await;
    line.ask("EHLO x", "250").await;
    line.ask("STARTTLS now", "501 5.5.4").await;
    // Inside of a transaction: it is gone afterwards.
    line.ask("MAIL FROM:<evil@example.com>", "250").await;
    line.ask("RCPT TO:<evil@example.com>", "250").await;
    line.ask("STARTTLS", "220").await;
    let mut line = line.tls(ca.file()).await.expect("the certificate is good");
    line.ask("DATA", "503 5.5.1").await;
    // Twice.
    line.ask("STARTTLS", "503 5.5.1").await;
    line.ask("EHLO x", "250").await;
    line.ask("STARTTLS", "503 5.5.1").await;
    line.ask("QUIT", "221").await;
    serves(&door, &ca, false).await;
    // Where there is none.
    let door = Entrance::open("none", Plan::default());
    Line::hello(door.addr).await.ask("STARTTLS", "502 5.5.1").await;
    answers(door.addr).await;
}
