//! Q-111, Q-112, Q-116 to Q-118 and Q-124 to Q-127: what our replies look like to simple readers, and what is never run.

use std::process::Command;

use super::{LENIENT, PROFILES, blindly, codes, door, door_with, replies};
use crate::support::door::Door;
use crate::support::entrance::base64;
use crate::support::office::{Device, Office, endpoint};
use crate::support::offload;
use crate::support::peers::program;
use crate::support::scripted::{Say, Scripted};
use crate::support::skip::{Missing, need};
use yizhan::provider::Tls;
use yizhan::sandbox::SandboxLimits;
use yizhan::smtp::server::Profile;

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
const CRLF: &str = "\r\n";

/// Says each of these lines (nothing first: the greeting), reads until so many replies are whole, and tells in how many
/// segments they came. The kernel counts segments with data as they arrive, however they are read (TCP_INFO, tcp(7)); a
/// write without delay is one.
async fn segments(port: u16, steps: &[(&str, usize)]) -> Result<Vec<String>, Missing> {
    const SCRIPT: &str = r"
import re, socket, struct, sys
client = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 50)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def count():
    return struct.unpack_from('I', client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)[0]
for say, replies in zip(sys.argv[2::2], sys.argv[3::2]):
    before, got = 0 if say == '' else count(), b''
    client.sendall(say.encode())
    while len(re.findall(rb'^\d\d\d .*\r\n', got, re.M)) < int(replies):
        piece = client.recv(65536)
        if not piece:
            sys.exit('closed after %r: %r' % (say, got))
        got += piece
    print(count() - before)
";
    let python = program("python3")?;
    let mut command = Command::new(python);
    command.args(["-I", "-c", SCRIPT, &port.to_string()]);
    for (say, replies) in steps {
        command.args([(*say).to_owned(), replies.to_string()]);
    }
    let done = offload(move || command.output().expect("it runs")).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8_lossy(&done.stdout).lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn q_111_a_reply_is_one_write() {
    for profile in PROFILES {
        let door = door("segments", profile);
        let steps = [
            ("", 1),
            ("EHLO php\r\n", 1),
            ("AUTH LOGIN\r\n", 1),
            ("dQ==\r\n", 1),
            ("cA==\r\n", 1),
            ("HELP\r\n", 1),
            ("FOO\r\n", 1),
            ("MAIL FROM:<a@b.c>\r\n", 1),
            ("RCPT TO:<d@e.f>\r\n", 1),
            ("RCPT TO:<nobody>\r\n", 1),
            ("DATA\r\n", 1),
            ("Subject: x\r\n\r\nbody\r\n.\r\n", 1),
            ("EHLO php\r\n", 1),
            ("QUIT\r\n", 1),
        ];
        let counted = need!(segments(door.addr.port(), &steps).await);
        assert_eq!(counted, vec!["1"; steps.len()], "{profile:?}");
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn q_125_the_replies_to_a_group_are_one_write() {
    let door = door("group", Profile::Tolerant);
    let group = "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<nobody>\r\nRCPT TO:<g@e.f>\r\nDATA\r\n";
    let steps = [("", 1), ("EHLO old\r\n", 1), (group, 5), ("Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n", 2)];
    assert_eq!(need!(segments(door.addr.port(), &steps).await), vec!["1"; steps.len()]);
    assert_eq!(door.queued().await.len(), 1);
}

#[tokio::test]
async fn q_112_recipients_are_taken_with_250_and_quit_is_221() {
    for profile in PROFILES {
        let door = door("literal", profile);
        let mut device = Device::connect(door.addr).await;
        assert_eq!(device.ask("MAIL FROM:<a@b.c>", "250").await, "250 2.1.0 Sender OK");
        for to in [
            "<d@e.f>",
            "<d@e.f>",
            "<D@E.F>",
            "<postmaster>",
            "<Postmaster>",
            "<x@sub.e.f> NOTIFY=SUCCESS",
            "<@relay.x:y@e.f>",
            "<\"odd name\"@e.f>",
        ] {
            let reply = device.ask(&format!("RCPT TO:{to}"), "").await;
            assert_eq!(reply, "250 2.1.5 Recipient OK", "{to}");
        }
        device.ask("DATA", "354 ").await;
        device.ask("Subject: x\r\n\r\nbody\r\n.", "250 2.0.0 queued as ").await;
        device.ask("QUIT", "221 ").await;
        assert_eq!(device.reply().await, None);
    }
}

#[tokio::test]
async fn q_116_groups_are_answered_in_order_and_nobody_is_no_reason_to_send() {
    for profile in PROFILES {
        let door = door("groups", profile);
        // nodemailer: all three; msmtp: the last two.
        for (first, group) in [("", "MAIL FROM:<a@b.c>\r\n"), ("MAIL FROM:<a@b.c>\r\n", "")] {
            let mut device = Device::connect(door.addr).await;
            if !first.is_empty() {
                device.write(first.as_bytes()).await;
                device.expect("250 2.1.0").await;
            }
            device.write(format!("{group}RCPT TO:<nobody>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n").as_bytes()).await;
            if !group.is_empty() {
                device.expect("250 2.1.0").await;
            }
            device.expect("553 5.1.3").await;
            device.expect("250 2.1.5").await;
            device.expect("354").await;
            device.write(DATA).await;
            device.ask(".", "250 2.0.0").await;
            // Nobody was taken: the client that waits goes on, the one that does not is cut off.
            device.write(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody>\r\nDATA\r\n").await;
            device.expect("250").await;
            device.expect("553 5.1.3").await;
            device.expect("554 5.5.1").await;
            device.ask("RSET", "250").await;
            device.write(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody>\r\nDATA\r\n").await;
            device.write(b"Subject: x\r\n\r\nMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@e.f>\r\nDATA\r\n.\r\n").await;
            let said = codes(&replies(&mut device).await);
            assert_eq!(said, ["250", "553 5.1.3", "554 5.5.1", "421 4.7.0"], "{profile:?}");
        }
        let queued = door.queued().await;
        assert_eq!(queued.len(), 2);
        assert!(queued.iter().all(|entry| entry.recipients.len() == 1));
    }
}

#[tokio::test]
async fn q_117_octets_behind_bdat_are_read_over_and_the_stream_stays_in_step() {
    for profile in PROFILES {
        let door = door_with("bdat", profile, |plan| plan.limits.message_size = 1000);
        let mut device = Device::dial(door.addr).await;
        device.expect("220").await;
        assert!(!device.ask("EHLO esmtp", "250").await.contains("CHUNKING"));
        // libESMTP in one flight, with commands for content.
        let inside = b"MAIL FROM:<evil@b.c>\r\nRCPT TO:<x@e.f>\r\nDATA\r\n.\r\nQUIT\r\n";
        let first = format!("BDAT {}\r\n", inside.len());
        let flight = [first.as_bytes(), inside, b"BDAT 5\r\nhelloBDAT 0 LAST\r\nNOOP\r\n"].concat();
        for all in [true, false] {
            device.ask("MAIL FROM:<a@b.c>", "250").await;
            device.ask("RCPT TO:<d@e.f>", "250").await;
            match all {
                true => device.write(&flight).await,
                // The octets come one by one.
                false => {
                    for octet in &flight {
                        device.write(&[*octet]).await;
                    }
                }
            }
            for _ in 0..3 {
                device.expect("502 5.5.1").await;
            }
            device.expect("250").await;
            // The transaction is gone, and a new one is good.
            device.ask("DATA", "503 5.5.1").await;
            device.send("a@b.c", &["d@e.f"], DATA).await;
        }
        // More than a message may have is not read over.
        device.ask("BDAT 1001 LAST", "502 5.5.1").await;
        assert_eq!(device.reply().await, None);
        // A number that is none: nobody knows where the octets end.
        let mut device = Device::connect(door.addr).await;
        device.write(b"BDAT -1\r\nMAIL FROM:<evil@b.c>\r\n").await;
        assert_eq!(codes(&replies(&mut device).await), ["501 5.5.4"]);
        let senders: Vec<_> = door.queued().await.iter().map(|entry| entry.sender.to_string()).collect();
        assert_eq!(senders, ["a@b.c", "a@b.c"]);
    }
}

#[tokio::test]
async fn q_118_smtputf8_is_harmless_with_ascii_and_refused_without() {
    let server = Scripted::implicit(|line, _| match line.split(' ').next() {
        Some("EHLO") => Say::line("250-scripted\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN"),
        _ => Say::Usual,
    })
    .await;
    let office = Office::with("utf8", SandboxLimits::default(), |settings| {
        settings.accounts[0].endpoints = vec![endpoint(server.addr(), Tls::Implicit)];
        settings.accounts[0].ca = Some(server.ca().to_owned());
    })
    .await;
    let mut device = Device::dial(office.door()).await;
    device.expect("220").await;
    assert!(!device.ask("EHLO go", "250").await.contains("SMTPUTF8"));
    device.ask("MAIL FROM:<a@lan.local> BODY=8BITMIME SMTPUTF8", "250").await;
    device.ask("RCPT TO:<b@else.test>", "250").await;
    device.ask("DATA", "354").await;
    device.ask("Subject: \u{6708}\u{62a5}\r\n\r\n\u{6b63}\u{6587}\r\n.", "250").await;
    office.wait_empty().await;
    let heard = server.heard().concat();
    assert_eq!(heard.iter().filter(|line| line.starts_with("MAIL FROM:")).count(), 1);
    assert!(heard.iter().all(|line| !line.contains("SMTPUTF8")), "{heard:?}");
    for profile in PROFILES {
        let door = door("utf8", profile);
        let mut device = Device::connect(door.addr).await;
        device.ask("MAIL FROM:<\u{5f20}@b.c> SMTPUTF8", "553 5.6.7").await;
        device.ask("MAIL FROM:<a@\u{4f8b}\u{5b50}.test> SMTPUTF8", "553 5.6.7").await;
        device.ask("MAIL FROM:<a@b.c> SMTPUTF8", "250").await;
        device.ask("RCPT TO:<\u{5f20}@e.f>", "553 5.6.7").await;
        device.ask("RCPT TO:<d@e.f>", "250").await;
        device.ask("DATA", "354").await;
        device.ask("Subject: x\r\n\r\nbody\r\n.", "250").await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

/// What a client goes on with that does not look at the refusal; `SMUGGLED` is what would be run of it.
const SMUGGLED: &str = "MAIL FROM:<evil@b.c>\r\nRCPT TO:<x@e.f>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\nQUIT\r\n";

#[tokio::test]
async fn q_124_a_message_behind_a_refused_data_is_never_run() {
    let refusals = [
        // MAIL, RCPT and DATA itself are refused; the last one is what is meant.
        "MAIL FROM:<a b c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n",
        "MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody>\r\nDATA\r\n",
        "MAIL FROM:<a@b.c>\r\nDATA\r\n",
        "DATA\r\n",
        "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA now\r\n",
    ];
    let texts =
        ["SUBJECT: hello\r\n", "From: a@b.c\r\nTo: d@e.f\r\n", "\r\n", "Hello World\r\n", "..\r\n", "<html>\r\n"];
    for profile in PROFILES {
        let door = door("refused", profile);
        for refusal in refusals {
            for text in texts {
                let mut device = Device::connect(door.addr).await;
                device.write(refusal.as_bytes()).await;
                let mut said = Vec::new();
                for _ in 0..refusal.matches(CRLF).count() {
                    said.push(device.reply().await.expect("an answer to each command"));
                }
                assert!(said.last().is_some_and(|last| last.starts_with('5')), "{refusal:?}: {said:?}");
                device.write(format!("{text}{SMUGGLED}").as_bytes()).await;
                let rest = codes(&replies(&mut device).await);
                assert_eq!(rest, ["421 4.7.0"], "{profile:?} {refusal:?} {text:?}");
            }
        }
        // All in one write, as those do who never read.
        let said = blindly(door.addr, format!("EHLO x\r\n{}SUBJECT: x\r\n{SMUGGLED}", refusals[1]).as_bytes()).await;
        assert_eq!(said, ["220", "250", "250", "553 5.1.3", "554 5.5.1", "421 4.7.0"]);
        assert!(door.queued().await.is_empty());
        // A client that has understood the refusal goes on.
        let mut device = Device::connect(door.addr).await;
        device.ask("DATA", "503 5.5.1").await;
        device.send("a@b.c", &["d@e.f"], DATA).await;
    }
}

#[tokio::test]
async fn q_126_after_twenty_errors_without_a_delivery_the_line_is_closed() {
    for profile in PROFILES {
        for bad in ["FOO", "MAIL FROM:<a b>", "RCPT TO:<d@e.f>", "EXPN all", "AUTH NTLM", "DATA now", "STARTTLS"] {
            let door = door("loop", profile);
            let mut device = Device::connect(door.addr).await;
            for _ in 0..19 {
                device.ask(bad, "5").await;
            }
            // A delivery wipes the slate.
            device.ask("RSET", "250").await;
            device.send("a@b.c", &["d@e.f"], DATA).await;
            device.ask("RSET", "250").await;
            for _ in 0..19 {
                device.ask(bad, "5").await;
            }
            device.write(format!("{bad}\r\nNOOP\r\n").as_bytes()).await;
            device.expect("5").await;
            device.expect("421 4.7.0 Too many errors").await;
            assert_eq!(device.reply().await, None, "{bad}");
            assert_eq!(door.queued().await.len(), 1);
        }
    }
    // Whoever never reads is cut off all the same.
    let door = door("blind-loop", Profile::Tolerant);
    let said = blindly(door.addr, "FOO\r\n".repeat(1000).as_bytes()).await;
    assert_eq!((said.len(), said.last().map(String::as_str)), (22, Some("421 4.7.0")));
}

/// Says this first, and whatever would do harm behind it.
async fn first_word(door: &Door, word: &[u8]) -> Vec<String> {
    let mut device = Device::dial(door.addr).await;
    let greeting = device.expect("220").await;
    device.write(&[word, b"\r\nMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@e.f>\r\nDATA\r\n.\r\n"].concat()).await;
    codes(&[vec![greeting], replies(&mut device).await].concat())
}

#[tokio::test]
async fn q_127_what_is_no_mail_client_hears_421_and_is_gone() {
    for profile in PROFILES {
        let door = door("strangers", profile);
        for word in [
            "GET / HTTP/1.1",
            "POST /form HTTP/1.1\r\nHost: x",
            "CONNECT mail.else.test:25 HTTP/1.1",
            "OPTIONS * HTTP/1.0",
            "get / HTTP/1.1",
            "Host: x",
            "Subject: hello",
        ] {
            assert_eq!(first_word(&door, word.as_bytes()).await, ["220", "421 4.7.0"], "{profile:?} {word}");
        }
        assert_eq!(first_word(&door, b"\x16\x03\x01\x02\x00\x01").await, ["220"], "{profile:?}");
        assert!(door.queued().await.is_empty());
        // A load balancer that nobody has named is a client with a bad command: it is not believed.
        let mut device = Device::dial(door.addr).await;
        device.expect("220").await;
        device.ask("PROXY TCP4 10.1.2.3 127.0.0.1 1 25", "500 5.5.2").await;
        device.ask("EHLO x", "250").await;
        device.send("a@b.c", &["d@e.f"], DATA).await;
        assert_eq!(door.queued().await[0].origin.addr, std::net::IpAddr::from([127, 0, 0, 1]));
    }
    // The one that was named says who the client is.
    for profile in LENIENT {
        let door = door_with("named", profile, |plan| {
            plan.listener.proxy_from = vec!["127.0.0.0/8".parse().unwrap()];
            plan.listener.allow = vec!["10.1.2.3/32".parse().unwrap()];
        });
        let mut device = Device::dial(door.addr).await;
        device.write(b"PROXY TCP4 10.1.2.3 127.0.0.1 1 25\r\n").await;
        device.expect("220").await;
        device.ask("EHLO x", "250").await;
        device.ask(&format!("AUTH PLAIN {}", base64("\0a\0b")), "235").await;
        device.send("a@b.c", &["d@e.f"], DATA).await;
        assert_eq!(door.queued().await[0].origin.addr, std::net::IpAddr::from([10, 1, 2, 3]));
    }
}
