//! how sessions end, in order or not, how soon a message is answered, and crowds.

use std::net::TcpStream as Plain;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{LENIENT, Log, PROFILES, blindly, codes, door, door_with, office, replies};
use crate::support::ca::{NAMES, TestCa};
use crate::support::entrance::{Entrance, Line, Plan};
use crate::support::office::{Device, Office, PATIENCE, until};
use yizhan::mail::Id;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, Stage, What};
use yizhan::smtp::server::Profile;

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
/// How a client goes away.
type Leave = fn(Device);
/// FIN, or RST when something was not read; and RST in any case.
const LEAVE: [(&str, Leave); 2] = [("close", |device| drop(device)), ("reset", Device::reset)];

/// Sends a message from this address; gives the device, which has read its 250, and the id.
async fn sent(office: &Office, from: [u8; 4]) -> (Device, Id) {
    let mut device = Device::dial_from(from.into(), office.door()).await;
    device.expect("220").await;
    device.ask("EHLO device.lan", "250").await;
    let id = device.send("printer@lan.local", &["boss@else.test"], DATA).await;
    (device, id)
}

#[tokio::test]
async fn q_113_gone_right_after_quit_what_was_accepted_stays_accepted() {
    let log = Log::listen();
    for profile in PROFILES {
        let office = office("quit", profile).await;
        for round in 0..3 {
            for (how, leave) in LEAVE {
                let (mut device, id) = sent(&office, [127, 1, 113, 1]).await;
                device.write(b"QUIT\r\n").await;
                leave(device);
                let entry = office.wait_state(id, MessageState::Delivered).await;
                assert_eq!(entry.tries, 0, "{how} {round}");
            }
        }
        assert_eq!(office.received(6).await.len(), 6);
        // Not even the 250 is waited for: whoever has said all of it has handed it in (RFC 1047).
        for (n, (how, leave)) in LEAVE.into_iter().enumerate() {
            let mut device = Device::dial_from([127, 1, 113, 1].into(), office.door()).await;
            for (command, code) in [
                ("", "220"),
                ("HELO old.lan\r\n", "250"),
                ("MAIL FROM:<a@lan.local>\r\n", "250"),
                ("RCPT TO:<boss@else.test>\r\n", "250"),
                ("DATA\r\n", "354"),
            ] {
                device.write(command.as_bytes()).await;
                device.expect(code).await;
            }
            device.write(&[DATA, b".\r\nQUIT\r\n"].concat()).await;
            leave(device);
            assert_eq!(office.received(7 + n).await.len(), 7 + n, "{how}");
        }
        office.wait_empty().await;
        Device::connect(office.door()).await.ask("QUIT", "221").await;
    }
    // Nobody is told that somebody did not wait for a goodbye.
    let told = log.lines(&["addr=127.1.113.1 "]);
    let loud: Vec<_> = told.iter().filter(|line| !line.contains(" INFO ") || line.contains("\"noted\"")).collect();
    assert!(loud.is_empty(), "{loud:?}");
}

#[tokio::test]
async fn q_114_gone_without_quit_what_was_accepted_stays_accepted() {
    let log = Log::listen();
    for profile in PROFILES {
        let office = office("no-quit", profile).await;
        for (n, (how, leave)) in LEAVE.into_iter().enumerate() {
            let from = [127, 1, 114, 1 + n as u8 + 10 * profile as u8];
            let (device, id) = sent(&office, from).await;
            leave(device);
            office.wait_state(id, MessageState::Delivered).await;
            let addr = format!("addr={} ", std::net::IpAddr::from(from));
            let told = until("the log", async || log.lines(&[&addr, "\"closed\""]).pop()).await;
            assert!(told.contains("DEBUG") && told.contains("closed without QUIT"), "{how}: {told}");
        }
        assert_eq!(office.received(2).await.len(), 2);
        office.wait_empty().await;
    }
}

#[tokio::test]
async fn q_115_quit_with_the_final_dot_is_answered_after_the_message() {
    for profile in PROFILES {
        let office = office("dot-quit", profile).await;
        let mut device = Device::connect(office.door()).await;
        device.ask("MAIL FROM:<a@lan.local>", "250").await;
        device.ask("RCPT TO:<boss@else.test>", "250").await;
        device.ask("DATA", "354").await;
        device.write(&[DATA, b".\r\nQUIT\r\n"].concat()).await;
        assert_eq!(codes(&replies(&mut device).await), ["250", "221"], "{profile:?}");
        assert!(office.received(1).await[0].data.ends_with(b"\r\n\r\nbody\r\n"));
        if profile != Profile::Strict {
            let whole =
                [b"EHLO x\r\nMAIL FROM:<a@lan.local>\r\nRCPT TO:<boss@else.test>\r\nDATA\r\n", DATA, b".\r\nQUIT\r\n"];
            let mut device = Device::dial(office.door()).await;
            device.write(&whole.concat()).await;
            assert_eq!(codes(&replies(&mut device).await), ["220", "250", "250", "250", "354", "250", "221"]);
            office.received(2).await;
        }
    }
}

#[tokio::test]
async fn q_119_the_dot_is_answered_while_the_provider_hangs() {
    for stage in [Stage::Connect, Stage::Auth, Stage::Mail, Stage::FinalDot] {
        let office = office("hangs", Profile::Tolerant).await;
        office.sandbox.fault(Fault::forever(stage.clone(), What::Stall));
        let mut ids = vec![sent(&office, [127, 0, 0, 1]).await.1];
        // From here on the provider says nothing any more, and never will.
        office.sandbox.wait_until(|stats| stats.faults >= 1).await;
        for _ in 0..5 {
            ids.push(sent(&office, [127, 0, 0, 1]).await.1);
        }
        for id in ids {
            let entry = office.entry(id).await;
            assert!(
                matches!(entry.state, MessageState::Queued | MessageState::Sending | MessageState::Waiting),
                "{stage:?}: {entry:?}"
            );
            assert_eq!((entry.tries, entry.uncertain), (0, 0), "{stage:?}");
        }
        assert_eq!(office.sandbox.stats().accepted, 0);
    }
}

/// Whoever holds the write lock of the database keeps everybody else from committing (SQLite, "File Locking").
#[tokio::test]
async fn q_119_the_dot_is_not_answered_before_the_commit() {
    let office = office("commit", Profile::Tolerant).await;
    office.sandbox.fault(Fault::forever(Stage::Connect, What::Stall));
    let mut device = Device::connect(office.door()).await;
    device.ask("MAIL FROM:<a@lan.local>", "250").await;
    device.ask("RCPT TO:<boss@else.test>", "250").await;
    device.ask("DATA", "354").await;
    let database = Connection::open(office.settings.queue.data_dir.join("queue.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    device.write(&[DATA, b".\r\n"].concat()).await;
    // Everything else goes on meanwhile, and has had its turn many times.
    for _ in 0..25 {
        let mut other = Device::connect(office.door()).await;
        other.ask("MAIL FROM:<>", "250").await;
        other.ask("QUIT", "221").await;
    }
    tokio::select! {
        biased;
        reply = device.reply() => panic!("answered before the commit: {reply:?}"),
        () = std::future::ready(()) => {}
    }
    database.execute_batch("ROLLBACK").unwrap();
    let id = device.expect("250 2.0.0 queued as ").await.rsplit(' ').next().and_then(Id::parse).unwrap();
    // Another process sees it now.
    let rows: u32 = database.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, office.entry(id).await.id), (1, id));
}

#[tokio::test]
async fn q_120_quit_is_answered_before_the_connection_closes() {
    let states: [&[&str]; 7] = [
        &[],
        &["EHLO x"],
        &["HELO x"],
        &["EHLO x", "MAIL FROM:<a@b.c>"],
        &["EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>"],
        &["EHLO x", "FOO", "DATA"],
        &["EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", "body\r\n."],
    ];
    for profile in PROFILES {
        let door = door("goodbye", profile);
        for state in states {
            for quit in ["QUIT", "quit", "QUIT ", "QUIT oops", "Quit\t"] {
                let mut device = Device::dial(door.addr).await;
                device.expect("220").await;
                for command in state {
                    device.ask(command, "").await;
                }
                device.write(format!("{quit}\r\n").as_bytes()).await;
                assert_eq!(codes(&replies(&mut device).await), ["221"], "{profile:?} {state:?} {quit:?}");
            }
        }
        // What still comes behind it does not reset the connection under the goodbye.
        let mut device = Device::connect(door.addr).await;
        device.write(&[b"QUIT\r\n".to_vec(), b"NOOP\r\n".repeat(2000)].concat()).await;
        assert_eq!(codes(&replies(&mut device).await), ["221"]);
    }
    let ca = TestCa::new();
    let door = Entrance::open("goodbye", Plan { tls: Some((ca.issue(NAMES), true)), ..Plan::default() });
    let mut line = Line::dial(door.addr).await.tls(ca.file()).await.expect("the certificate is good");
    line.expect("220").await;
    line.ask("QUIT", "221").await;
    assert_eq!(line.reply().await, None);
}

#[tokio::test]
async fn q_121_a_thousand_messages_on_a_connection_and_no_421_inside_of_one() {
    let door = door_with("thousand", Profile::Tolerant, |plan| plan.limits.messages_per_connection = 1000);
    let mut device = Device::connect(door.addr).await;
    // Some begin anew between messages, some do not.
    let group: Vec<u8> = ["", "RSET\r\n", "EHLO again\r\n", "NOOP\r\n", "HELO again\r\n"]
        .iter()
        .flat_map(|between| {
            let mail = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n";
            [between.as_bytes(), mail].concat()
        })
        .collect();
    for _ in 0..200 {
        device.write(&group).await;
        for between in [0, 1, 1, 1, 1] {
            for _ in 0..between {
                device.expect("250").await;
            }
            for code in ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0 queued as "] {
                device.expect(code).await;
            }
        }
    }
    // The state is clean: no recipient of the message before.
    device.ask("RCPT TO:<d@e.f>", "503").await;
    device.ask("NOOP", "250").await;
    device.ask("MAIL FROM:<a@b.c>", "421 4.7.0").await;
    assert_eq!(device.reply().await, None);
    assert_eq!(door.queued().await.len(), 1000);
    Device::connect(door.addr).await.send("a@b.c", &["d@e.f"], DATA).await;
}

#[tokio::test]
async fn q_121_a_transaction_leaves_nothing_to_the_next_one() {
    for profile in PROFILES {
        let office = office("clean", profile).await;
        let mut device = Device::connect(office.door()).await;
        for (n, between) in ["RSET", "EHLO again", "HELO again", "NOOP"].into_iter().enumerate() {
            device.ask("MAIL FROM:<left@over.lan>", "250").await;
            device.ask("RCPT TO:<left@over.test>", "250").await;
            if between == "NOOP" {
                // Refused and forgotten: a second MAIL is out of order, and changes nothing.
                device.ask("MAIL FROM:<a@lan.local>", "503").await;
                device.ask("RSET", "250").await;
            }
            device.ask(between, "250").await;
            device.ask("DATA", "503").await;
            device.send("printer@lan.local", &["boss@else.test"], DATA).await;
            assert_eq!(office.received(n + 1).await[n].to, ["boss@else.test"], "{between}");
        }
    }
}

/// Nobody accepts while this thread connects: all of them wait in the kernel.
#[tokio::test]
async fn q_122_a_burst_waits_in_line_and_everybody_is_served() {
    const BURST: usize = 600;
    // Two descriptors each, and those of the other tests.
    let limit = getrlimit(Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum.map(|most| most.min(8192)).or(Some(8192)), ..limit };
    if limit.current.is_some_and(|now| now < 8192) {
        setrlimit(Resource::Nofile, wanted).expect("up to the hard limit it is ours to choose");
    }
    let door = door("burst", Profile::Tolerant);
    let mut waiting = Vec::new();
    for n in 0..BURST {
        // A SYN that finds no place is repeated after a second.
        let stream = Plain::connect_timeout(&door.addr, Duration::from_millis(900));
        waiting.push(stream.unwrap_or_else(|error| panic!("connection {n}: {error}")));
    }
    let mut clients = JoinSet::new();
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        clients.spawn(async move {
            let mail =
                [b"EHLO ups\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", DATA, b".\r\nQUIT\r\n"].concat();
            stream.write_all(&mail).await.unwrap();
            let mut said = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
            assert!(said.contains("\r\n250 2.0.0 queued as ") && said.ends_with("221 2.0.0 Bye\r\n"), "{said}");
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(door.queued().await.len(), BURST);
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
}

#[tokio::test]
async fn q_123_who_closes_his_half_gets_his_answers_and_half_a_message_is_none() {
    let before = b"HELO nc\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n";
    let begun = ["220", "250", "250", "250", "354"];
    for profile in LENIENT {
        let door = door("half", profile);
        let whole = [before, DATA, b".\r\n"].concat();
        // Without QUIT, with half a QUIT, and with one.
        assert_eq!(blindly(door.addr, &whole).await, [&begun[..], &["250"][..]].concat());
        assert_eq!(blindly(door.addr, &[&whole[..], b"QUIT"].concat()).await, [&begun[..], &["250"][..]].concat());
        assert_eq!(
            blindly(door.addr, &[&whole[..], b"QUIT\r\n"].concat()).await,
            [&begun[..], &["250", "221"][..]].concat()
        );
        assert_eq!(door.queued().await.len(), 3);
        // Each beginning of it that lacks the end is nothing.
        for cut in before.len()..whole.len() {
            assert_eq!(blindly(door.addr, &whole[..cut]).await, begun, "{cut}");
        }
        assert_eq!(door.queued().await.len(), 3);
        until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    }
    // A strict client waits for each answer, and may close behind its last word.
    let door = door("half-strict", Profile::Strict);
    let mut device = Device::connect(door.addr).await;
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.ask("RCPT TO:<d@e.f>", "250").await;
    device.ask("DATA", "354").await;
    device.write(&[DATA, b".\r\n"].concat()).await;
    device.close_half().await;
    assert_eq!(codes(&replies(&mut device).await), ["250"]);
    assert_eq!(door.queued().await.len(), 1);
}
