//! who speaks too early, who only looks, who speaks TLS, and who stays for ever.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use yizhan::intake::{Client, Deadlines};
use yizhan::smtp::server::Profile::{self, Legacy, Strict, Tolerant};

use super::{ALL, ANYBODY, BALANCER, BODY, CLOSED, GREETING, LENIENT, LETTER, MAIL, NOTHING, Step};
use super::{client_of, log_of, noted, play, play_early};
use crate::support::ca::{NAMES, TestCa};
use crate::support::door::{Door, an_hour, client};
use crate::support::entrance::{Entrance, Line, Plan};
use crate::support::office::{Device, PATIENCE, until};
use crate::support::program::field_of;

/// What the relay says to a client that speaks before it is greeted, where that is not put up with.
const TOO_EARLY: &[&str] = &["554 5.5.0 ", CLOSED];

/// The first octets of a TLS 1.0 ClientHello, and of an SSLv2 one.
const HELLOS: [&[u8]; 2] =
    [b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01\r\nQUIT\r\n", b"\x80\x2e\x01\x03\x01\x00\x15\r\nNOOP\r\n"];

/// Connects from this address, sends the octets, and reads all that comes until the end.
async fn until_closed(door: SocketAddr, from: [u8; 4], octets: &[u8]) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the relay closes").expect("without a reset");
    said
}

#[tokio::test]
async fn q_001_a_hello_before_the_greeting_is_kept_and_answered_after_it() {
    let hello: Step<'_> = (b"HELO cups\r\n", &[GREETING, "250 door.test"]);
    let seen = play_early("q_001", LENIENT, &[hello, MAIL, BODY], LETTER).await;
    assert!(seen.len() == 4 && seen.iter().all(|seen| seen.helo == "cups"), "{seen:?}");
    play_early("q_001", &[Strict], &[(b"HELO cups\r\n", TOO_EARLY)], NOTHING).await;
    // Half a line is too early as well, and kept as well.
    play_early("q_001_half", &[Strict], &[(b"HE", TOO_EARLY)], NOTHING).await;
    let halves: &[Step<'_>] = &[(b"HE", &[GREETING]), (b"LO cups\r\n", &["250 door.test"]), MAIL, BODY];
    play_early("q_001_half", LENIENT, halves, LETTER).await;
    // Who waits is served.
    play("q_001_waits", ALL, &[(b"HELO cups\r\n", &["250 door.test"]), MAIL, BODY], LETTER).await;
}

#[tokio::test]
async fn q_002_a_whole_dialogue_in_one_write_is_answered_in_order() {
    let whole = b"ehlo h\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n\
        Subject: x\r\n\r\nMAIL FROM:<inside@the.mail>\r\n.\r\nQUIT\r\n";
    let replies = |head: &[&'static str]| {
        let tail =
            ["334 VXNl", "334 UGFz", "235", "250 2.1.0", "250 2.1.5", "354 ", "250 2.0.0 queued as ", "221", CLOSED];
        [head, &tail].concat()
    };
    play_early("q_002_tolerant", &[Tolerant], &[(whole, &replies(&[GREETING, "250-door.test"]))], LETTER).await;
    play_early("q_002_legacy", &[Legacy], &[(whole, &replies(&[GREETING, "250 door.test"]))], LETTER).await;
    play_early("q_002_strict", &[Strict], &[(whole, TOO_EARLY)], NOTHING).await;
    // After the greeting: the same where it is put up with; data before it was asked for is none of a strict profile's.
    play("q_002_late", &[Tolerant], &[(whole, &replies(&["250-door.test"]))], LETTER).await;
    let until_data = ["250-door.test", "334 VXNl", "334 UGFz", "235", "250 2.1.0", "250 2.1.5", "554 5.5.0 ", CLOSED];
    play("q_002_late", &[Strict], &[(whole, &until_data)], NOTHING).await;
}

#[tokio::test]
async fn q_003_who_never_reads_is_served_and_a_refused_body_is_never_run() {
    let talk = |to: &str| {
        format!(
            "HELO cam\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n\r\nMAIL FROM:<evil@x.y>\r\n\
             RCPT TO:<victim@x.y>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n"
        )
    };
    let taken = ["250 door.test", "250 2.1.0", "250 2.1.5", "354 ", "250 2.0.0 queued as ", "221", CLOSED];
    play("q_003", LENIENT, &[(talk("d@e.f").as_bytes(), &taken)], LETTER).await;
    let refused = ["250 door.test", "250 2.1.0", "553 5.1.3", "554 5.5.1", "421 4.7.0", CLOSED];
    play("q_003_rcpt", ALL, &[(talk("d@e@f").as_bytes(), &refused)], NOTHING).await;
    let no_sender = talk("d@e.f").replace("<a@b.c>", "<a@b@c>");
    let refused = ["250 door.test", "553 5.1.7", "503 5.5.1", "503 5.5.1", "421 4.7.0", CLOSED];
    play("q_003_mail", ALL, &[(no_sender.as_bytes(), &refused)], NOTHING).await;
}

#[tokio::test]
async fn q_004_noop_is_welcome_at_any_time() {
    play("q_004", ALL, &[(b"NOOP\r\n", &["250 2.0.0"]), (b"QUIT\r\n", &["221", CLOSED])], NOTHING).await;
    let hello: Step<'_> = (b"HELO busybox\r\n", &["250 door.test"]);
    let noop: Step<'_> = (b"NOOP\r\n", &["250 2.0.0"]);
    play("q_004_between", ALL, &[noop, hello, noop, MAIL, BODY, noop], LETTER).await;
    let inside: Step<'_> =
        (b"MAIL FROM:<a@b.c>\r\nNOOP\r\nRCPT TO:<d@e.f>\r\n", &["250 2.1.0", "250 2.0.0", "250 2.1.5"]);
    play("q_004_inside", ALL, &[hello, inside, noop, (b"DATA\r\n", &["354 "]), BODY], LETTER).await;
    let early: Step<'_> = (b"NOOP\r\n", &[GREETING, "250 2.0.0"]);
    play_early("q_004_early", LENIENT, &[early, hello, MAIL, BODY], LETTER).await;
    play_early("q_004_early", &[Strict], &[(b"NOOP\r\n", TOO_EARLY)], NOTHING).await;
}

#[tokio::test]
async fn q_005_the_greeting_is_one_line_of_at_most_100_octets() {
    let part = "a".repeat(63);
    let longest = [part.as_str(); 4].join(".")[..253].to_owned();
    for (hostname, shown) in [("door.test", "door.test"), (&longest, &part), ("[192.0.2.1]", "[192.0.2.1]")] {
        for &profile in ALL {
            let door = Door::open(&format!("q_005_{}_{profile:?}", hostname.len()), |plan| {
                plan.listener.profile = profile;
                plan.hostname = hostname.to_owned();
            });
            let mut stream = TcpStream::connect(door.addr).await.unwrap();
            let mut said = Vec::with_capacity(1000);
            timeout(PATIENCE, stream.read_buf(&mut said)).await.unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&said), format!("220 {shown} ESMTP ready\r\n"));
            assert!(said.len() <= 100, "{}", said.len());
            stream.write_all(b"HELO x\r\nQUIT\r\n").await.unwrap();
            let mut rest = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
            assert_eq!(rest, format!("250 {hostname}\r\n221 2.0.0 Bye\r\n"), "nothing was left of the greeting");
        }
    }
}

/// What monitoring does: connects and goes, reads the greeting and goes, says goodbye, says hello before it.
async fn probe(door: SocketAddr, from: [u8; 4]) {
    const TALKS: [Option<&[&str]>; 5] =
        [None, Some(&[]), Some(&["QUIT"]), Some(&["HELO vm", "QUIT"]), Some(&["EHLO vm", "RSET"])];
    for talk in TALKS {
        let mut device = Device::dial_from(from.into(), door).await;
        let Some(commands) = talk else { continue };
        assert!(device.expect("220").await.contains("ESMTP"));
        for command in commands {
            device.ask(command, "2").await;
        }
        if commands.ends_with(&["QUIT"]) {
            assert_eq!(device.reply().await, None);
        }
    }
}

#[tokio::test]
async fn q_006_health_probes_are_no_errors() {
    for &profile in ALL {
        let door = Door::open(&format!("q_006_{profile:?}"), |plan| {
            plan.listener.profile = profile;
            plan.limits.failures_per_client = an_hour(1);
        });
        for _ in 0..5 {
            probe(door.addr, ANYBODY).await;
        }
        until("the probes to be gone", async || (door.capacity.connections() == 0).then_some(())).await;
        // Not one of them counts against the address: a single failure would put this off.
        door.device(ANYBODY).await.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
        assert_eq!(door.refused("failures_per_client"), 0);
    }
    let log = log_of("q_006", "", async |door| {
        for _ in 0..5 {
            probe(door, [127, 0, 0, 1]).await;
        }
    })
    .await;
    assert_eq!(noted(&log), Vec::<&String>::new());
}

#[tokio::test]
async fn q_007_starttls_and_mail_without_any_hello() {
    let ca = TestCa::new();
    for (profile, mail) in [(Strict, "503 5.5.1"), (Tolerant, "250 2.1.0"), (Legacy, "250 2.1.0")] {
        let plan = Plan { profile, tls: Some((ca.issue(NAMES), false)), ..Plan::default() };
        let entrance = Entrance::open(&format!("q_007_{profile:?}"), plan);
        let mut line = Line::dial(entrance.addr).await;
        line.expect("220").await;
        line.ask("STARTTLS", "503 5.5.1").await;
        line.ask("MAIL FROM:<a@b.c>", mail).await;
        line.ask("HELO x", "250").await;
        line.send("a@b.c").await;
    }
    // Where it is not offered it is not there, whoever asks when.
    play("q_007", ALL, &[(b"STARTTLS\r\nEHLO x\r\nSTARTTLS\r\n", &["502 5.5.1", "250", "502 5.5.1"])], NOTHING).await;
}

#[tokio::test]
async fn q_008_connections_are_capped_for_each_address_and_idle_ones_end() {
    let door = Door::open("q_008", |plan| plan.limits.connections_per_client = 3);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut device = Device::dial_from(ANYBODY.into(), door.addr).await;
        device.expect("220").await;
        open.push(device);
    }
    // At once, and then the end; the others are not disturbed, nor is anybody else.
    for _ in 0..3 {
        let mut device = Device::dial_from(ANYBODY.into(), door.addr).await;
        device.expect("421 4.7.0 ").await;
        assert_eq!(device.reply().await, None);
    }
    door.device([127, 0, 8, 2]).await.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
    assert_eq!(door.refused("connections_per_client"), 3);
    drop(open);
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    door.device(ANYBODY).await.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
    let door = Door::open("q_008_idle", |plan| plan.listener.deadlines.command = Duration::from_millis(300));
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(Device::dial_from(ANYBODY.into(), door.addr).await);
    }
    for mut device in open {
        device.expect("220").await;
        device.expect("421 4.4.2 ").await;
        assert_eq!(device.reply().await, None);
    }
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
}

#[tokio::test]
async fn q_009_tls_on_a_plaintext_port_ends_without_a_word_and_plaintext_is_served_next() {
    for &profile in ALL {
        let door = Door::open(&format!("q_009_{profile:?}"), |plan| {
            plan.listener.profile = profile;
            plan.listener.proxy_from = vec!["127.0.7.1/32".parse().unwrap()];
            plan.limits.failures_per_client = an_hour(1);
        });
        for hello in HELLOS {
            // Before the greeting: that is all there is, and in a strict profile not even that.
            let early = [b"PROXY TCP4 127.0.8.1 127.0.0.1 5000 25\r\n", hello].concat();
            let said = until_closed(door.addr, BALANCER, &early).await;
            let greeting = if profile == Strict { String::new() } else { format!("{GREETING}\r\n") };
            assert_eq!(String::from_utf8_lossy(&said), greeting);
            let mut device = Device::dial_from(ANYBODY.into(), door.addr).await;
            device.expect(GREETING).await;
            device.write(hello).await;
            assert_eq!(device.reply().await, None);
            // A device that tries this before each of its mails is none that makes mistakes.
            door.device(ANYBODY).await.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
        }
        assert_eq!((door.queued().await.len(), door.refused("failures_per_client")), (2, 0));
    }
}

#[tokio::test]
async fn q_009_the_log_says_who_speaks_tls_and_what_helps() {
    let log = log_of("q_009", "[client.mfp]\nfrom = [\"127.0.0.9\"]\nprofile = \"strict\"\n", async |door| {
        for from in [[127, 0, 0, 1], [127, 0, 0, 9]] {
            for hello in HELLOS {
                let mut device = Device::dial_from(from.into(), door).await;
                device.expect("220").await;
                device.write(hello).await;
                assert_eq!(device.reply().await, None);
            }
        }
    })
    .await;
    let found: Vec<(Option<String>, bool)> = noted(&log)
        .into_iter()
        .map(|line| (field_of(line, "addr"), line.contains("TLS on a plaintext port") && line.contains("TLS port")))
        .collect();
    let from = |text: &str| (Some(text.to_owned()), true);
    assert_eq!(found, [from("127.0.0.1"), from("127.0.0.1"), from("127.0.0.9"), from("127.0.0.9")]);
}

#[tokio::test]
async fn q_010_a_device_that_knows_only_smtps_has_a_listener() {
    let ca = TestCa::new();
    for &profile in ALL {
        let plan = Plan { profile, tls: Some((ca.issue(NAMES), true)), ..Plan::default() };
        let entrance = Entrance::open(&format!("q_010_{profile:?}"), plan);
        let mut line = Line::dial(entrance.addr).await.tls(ca.file()).await.expect("the certificate is good");
        line.expect("220").await;
        line.ask("HELO espeasy", "250").await;
        line.send("a@b.c").await;
        assert_eq!(entrance.only().await.0.origin.helo, "espeasy");
    }
}

#[tokio::test]
async fn q_011_a_bare_address_is_a_name_good_enough() {
    // The tests all connect to an address; here TLS is asked for one, too, where no name is told (RFC 6066 section 3).
    let ca = TestCa::new();
    let plan = Plan { tls: Some((ca.issue(NAMES), true)), ..Plan::default() };
    let entrance = Entrance::open("q_011", plan);
    let connector = yizhan::net::tls::connector(Some(ca.file())).unwrap();
    let stream = TcpStream::connect(entrance.addr).await.unwrap();
    let name = tokio_rustls::rustls::pki_types::ServerName::IpAddress(entrance.addr.ip().into());
    let mut stream = connector.connect(name, stream).await.expect("no name is needed");
    let talk =
        b"HELO [127.0.0.1]\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n";
    stream.write_all(talk).await.unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
    let codes: Vec<&str> = std::str::from_utf8(&said).unwrap().lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"]);
    assert_eq!(entrance.only().await.0.origin.helo, "[127.0.0.1]");
}

#[tokio::test]
async fn q_012_an_idle_connection_ends_and_a_pool_may_have_longer() {
    assert!(Deadlines::default().command >= Duration::from_secs(300), "RFC 5321 section 4.5.3.2.7");
    for &profile in ALL {
        let door = pool_door(profile);
        let mut pool = door.device(client_of(profile)).await;
        let mut hasty = door.device(ANYBODY).await;
        pool.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
        hasty.ask("MAIL FROM:<half@b.c>", "250").await;
        hasty.ask("RCPT TO:<d@e.f>", "250").await;
        hasty.expect("421 4.4.2 ").await;
        assert_eq!(hasty.reply().await, None);
        // The pool said its last word before that, and is still here.
        pool.send("a@b.c", &["d@e.f"], b"Subject: x\r\n\r\nbody\r\n").await;
        pool.ask("QUIT", "221").await;
        until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
        assert_eq!(door.queued().await.len(), 2);
    }
}

fn pool_door(profile: Profile) -> Door {
    Door::open(&format!("q_012_{profile:?}"), |plan| {
        plan.listener.profile = profile;
        plan.listener.deadlines.command = Duration::from_secs(1);
        let [a, b, c, d] = client_of(profile);
        plan.clients =
            vec![Client { idle: Some(PATIENCE), ..client("pool", &[&format!("{a}.{b}.{c}.{d}/32")], &[], &[]) }];
    })
}

#[tokio::test]
async fn q_002_the_log_says_who_spoke_too_early_and_what_helps() {
    let log = log_of("q_002", "[client.script]\nfrom = [\"127.0.0.9\"]\nprofile = \"strict\"\n", async |door| {
        for (client, answer) in [("127.0.0.1", "220"), ("127.0.0.9", "554 5.5.0 ")] {
            let mut device = Device::dial_from(BALANCER.into(), door).await;
            device.write(format!("PROXY TCP4 {client} 127.0.0.1 5000 25\r\nQUIT\r\n").as_bytes()).await;
            device.expect(answer).await;
        }
    })
    .await;
    assert_eq!(noted(&log), Vec::<&String>::new());
    let refused: Vec<_> = log.iter().filter(|line| field_of(line, "event").as_deref() == Some("refused")).collect();
    let of = |name| refused.iter().map(|line| field_of(line, name)).collect::<Vec<_>>();
    assert_eq!((of("client"), of("addr")), (vec![Some("script".to_owned())], vec![Some("127.0.0.9".to_owned())]));
    let why = field_of(refused[0], "why").expect("the line says why");
    assert!(why.contains("speaks before it is greeted") && why.contains("tolerant profile"), "{why}");
}
