//! What a client may spend, and what becomes of those that never end: each limit has its word and its code, ends
//! nothing but the one command, and does not touch anybody else.
//!
//! The sums are tested where they are done (`limits`), the deadline of message data in `intake::pace`.

use std::net::IpAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::door::{Door, an_hour};
use crate::support::office::{Device, Office, PATIENCE, provider, until};
use crate::support::program::{Program, QUICK, Site, clean, field_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use yizhan::clock::{Clock, Timestamp};
use yizhan::limits::capacity::Levels;
use yizhan::limits::rate::Flow;
use yizhan::queue::{Inspection as _, MessageQueue as _, MessageState};
use yizhan::sandbox::SandboxLimits;

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
const A: [u8; 4] = [127, 0, 0, 1];
const B: [u8; 4] = [127, 0, 0, 2];
const HOUR: Duration = Duration::from_secs(3600);

/// Sends a message of about so many octets.
async fn send(device: &mut Device, octets: usize) {
    let body = [
        b"Subject: x\r\n\r\n".to_vec(),
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(octets / 64),
    ];
    device.send("a@b.c", &["d@e.f"], &body.concat()).await;
}

#[tokio::test]
async fn a_058_messages_of_one_client_are_put_off_and_it_goes_on() {
    let door = Door::open("messages", |plan| plan.limits.messages_per_client = an_hour(2));
    let (mut wild, mut other) = (door.device(A).await, door.device(B).await);
    for _ in 0..2 {
        wild.send("a@b.c", &["d@e.f"], DATA).await;
    }
    for _ in 0..50 {
        wild.ask("MAIL FROM:<a@b.c>", "450 4.7.1 Too many messages from your address").await;
    }
    wild.ask("NOOP", "250").await;
    other.send("a@b.c", &["d@e.f"], DATA).await;
    assert_eq!((door.refused("messages_per_client"), door.queued().await.len()), (50, 3));
}

#[tokio::test]
async fn a_058_recipients_of_one_client_are_put_off_one_by_one() {
    let door = Door::open("recipients", |plan| plan.limits.recipients_per_client = an_hour(3));
    let mut wild = door.device(A).await;
    wild.ask("MAIL FROM:<a@b.c>", "250").await;
    for n in 0..3 {
        wild.ask(&format!("RCPT TO:<r{n}@e.f>"), "250").await;
    }
    for n in 3..40 {
        wild.ask(&format!("RCPT TO:<r{n}@e.f>"), "450 4.7.1 Too many recipients from your address").await;
    }
    // Those that were taken get their mail.
    wild.ask("DATA", "354").await;
    wild.write(DATA).await;
    wild.ask(".", "250").await;
    assert_eq!(door.queued().await[0].recipients.len(), 3);
    door.device(B).await.send("a@b.c", &["d@e.f"], DATA).await;
    assert_eq!(door.refused("recipients_per_client"), 37);
}

#[tokio::test]
async fn a_058_octets_of_one_client_are_counted_as_they_come() {
    let door = Door::open("octets", |plan| plan.limits.bytes_per_client = Flow { octets: 1 << 20, per: HOUR });
    let mut wild = door.device(A).await;
    wild.ask("MAIL FROM:<a@b.c> SIZE=1048577", "450 4.7.1 Too much mail from your address").await;
    // A size that is declared costs nothing, octets do, whatever becomes of them.
    wild.ask("MAIL FROM:<a@b.c> SIZE=1000000", "250").await;
    wild.ask("RSET", "250").await;
    send(&mut wild, 700_000).await;
    let mut cut = door.device(A).await;
    cut.ask("MAIL FROM:<a@b.c> SIZE=300000", "250").await;
    cut.ask("RCPT TO:<d@e.f>", "250").await;
    cut.ask("DATA", "354").await;
    cut.write(&b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(6000)).await;
    drop(cut);
    until("the octets to be counted", async || {
        let reply = async {
            wild.write(b"MAIL FROM:<a@b.c>\r\n").await;
            wild.reply().await.unwrap()
        };
        let reply = reply.await;
        if reply.starts_with("250") {
            wild.ask("RSET", "250").await;
        }
        reply.starts_with("450 4.7.1 Too much mail").then_some(())
    })
    .await;
    send(&mut door.device(B).await, 700_000).await;
    assert_eq!(door.queued().await.len(), 2);
}

#[tokio::test]
async fn a_058_a_sender_is_one_sender_from_wherever_it_comes() {
    let door = Door::open("sender", |plan| plan.limits.messages_per_sender = Some(an_hour(2)));
    let (mut first, mut second) = (door.device(A).await, door.device(B).await);
    first.send("shop@b.c", &["d@e.f"], DATA).await;
    second.send("SHOP@B.C", &["d@e.f"], DATA).await;
    first.ask("MAIL FROM:<shop@b.c>", "450 4.7.1 Too many messages from this sender").await;
    second.ask(r#"MAIL FROM:<"shop"@b.c.>"#, "450 4.7.1 Too many messages from this sender").await;
    second.send("other@b.c", &["d@e.f"], DATA).await;
    for _ in 0..2 {
        first.ask("MAIL FROM:<>", "250").await;
        first.ask("RSET", "250").await;
    }
    first.ask("MAIL FROM:<>", "450 4.7.1").await;
    assert_eq!(door.refused("messages_per_sender"), 3);
}

#[tokio::test]
async fn a_059_failures_put_the_mail_and_the_log_ins_of_a_client_off() {
    let door = Door::open("failures", |plan| plan.limits.failures_per_client = an_hour(30));
    let (mut steady, mut other) = (door.device(A).await, door.device(B).await);
    steady.send("a@b.c", &["d@e.f"], DATA).await;
    // Refused recipients, bad commands and broken log-ins, on one connection after another.
    let mut wild = door.device(A).await;
    wild.ask("MAIL FROM:<a@b.c>", "250").await;
    for _ in 0..10 {
        wild.ask("RCPT TO:<printer>", "553").await;
    }
    let mut wild = door.device(A).await;
    for _ in 0..10 {
        wild.ask("FOO", "500").await;
    }
    let mut wild = door.device(A).await;
    for _ in 0..9 {
        wild.ask("AUTH PLAIN !", "501").await;
    }
    steady.ask("MAIL FROM:<a@b.c>", "250").await;
    steady.ask("RSET", "250").await;
    wild.ask("AUTH PLAIN AHVzZXIAcGFzcw==", "235").await;
    wild.ask("FOO", "500").await;
    steady.ask("MAIL FROM:<a@b.c>", "450 4.7.0 Too many errors from your address").await;
    let mut again = door.device(A).await;
    again.ask("AUTH PLAIN AHVzZXIAcGFzcw==", "454 4.7.0").await;
    again.ask("MAIL FROM:<a@b.c>", "450 4.7.0").await;
    again.ask("NOOP", "250").await;
    // It is the address that is put off, nobody else, and no 4yz counts as a failure.
    other.send("a@b.c", &["d@e.f"], DATA).await;
    assert_eq!(door.refused("failures_per_client"), 3);
}

#[tokio::test]
async fn a_059_who_is_hung_up_on_has_failed() {
    let door = Door::open("hung_up", |plan| plan.limits.failures_per_client = an_hour(3));
    for _ in 0..3 {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut said = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
        // A clean end costs nothing.
        let mut device = door.device(A).await;
        device.ask("QUIT", "221").await;
    }
    door.device(A).await.ask("MAIL FROM:<a@b.c>", "450 4.7.0").await;
}

#[tokio::test]
async fn a_058_one_device_cannot_fill_the_queue_for_the_others() {
    let door = Door::open("share", |plan| plan.limits.queue_size_per_client = 1 << 20);
    let mut wild = door.device(A).await;
    send(&mut wild, 600_000).await;
    wild.ask("MAIL FROM:<a@b.c> SIZE=600000", "452 4.3.1 Too much mail from your address is waiting").await;
    send(&mut wild, 600_000).await;
    wild.ask("MAIL FROM:<a@b.c>", "452 4.3.1 Too much mail from your address is waiting").await;
    let mut other = door.device(B).await;
    send(&mut other, 600_000).await;
    // The queue knows better what is left.
    let held = door.queue.bytes_by_addr().await.unwrap();
    let of = |held: &[(IpAddr, u64)], who: [u8; 4]| {
        held.iter().filter(|(addr, _)| *addr == IpAddr::from(who)).map(|(_, octets)| *octets).sum::<u64>()
    };
    assert!(of(&held, A) > 1_200_000 && of(&held, A) < 1_300_000 && of(&held, B) > 600_000, "{held:?}");
    for entry in door.queued().await.iter().filter(|entry| entry.origin.addr == IpAddr::from(A)) {
        door.queue.drop_message(entry.id).await.unwrap();
    }
    wild.ask("MAIL FROM:<a@b.c>", "452 4.3.1").await;
    assert!(door.guard.wants_count());
    let held = door.queue.bytes_by_addr().await.unwrap();
    assert_eq!(of(&held, A), 0);
    door.guard.set_held(held);
    send(&mut wild, 600_000).await;
    assert_eq!(door.refused("queue_size_per_client"), 3);
}

#[tokio::test]
async fn a_058_a_share_of_the_queue_survives_a_restart() {
    let office = Office::with("share_again", SandboxLimits::default(), |settings| {
        settings.limits.queue_size_per_client = 300_000;
        settings.limits.message_size = 300_000;
        // Nothing leaves.
        settings.accounts[0].endpoints[0].port = 1;
    })
    .await;
    let mut device = Device::connect(office.door()).await;
    send(&mut device, 250_000).await;
    device.ask("MAIL FROM:<a@b.c> SIZE=100000", "452 4.3.1 Too much mail").await;
    let office = office.restart().await;
    let door = office.door();
    until("the queue to be counted", async || {
        let mut device = Device::connect(door).await;
        device.write(b"MAIL FROM:<a@b.c> SIZE=100000\r\n").await;
        device.reply().await.filter(|reply| reply.starts_with("452 4.3.1 Too much mail"))
    })
    .await;
}

#[tokio::test]
async fn a_058_messages_of_one_connection_have_a_limit_that_can_be_set() {
    let office = Office::with("per_connection", SandboxLimits::default(), |settings| {
        settings.limits.messages_per_connection = 2;
    })
    .await;
    let mut device = Device::connect(office.door()).await;
    for _ in 0..2 {
        send(&mut device, 64).await;
    }
    device.ask("MAIL FROM:<a@b.c>", "421 4.7.0 Enough messages for one connection").await;
    assert_eq!(device.reply().await, None, "and that was the end");
    send(&mut Device::connect(office.door()).await, 64).await;
    office.received(3).await;
}

#[tokio::test]
async fn a_058_what_was_delivered_is_held_no_more() {
    let office = Office::open("delivered").await;
    let id = office.send(&["a@else.test"], DATA).await;
    office.wait_state(id, MessageState::Delivered).await;
    assert_eq!(office.relay.queue().bytes_by_addr().await.unwrap(), []);
}

#[tokio::test]
async fn a_081_no_inodes_is_no_room_and_is_said_before_the_greeting() {
    let door = Door::open("inodes", |plan| {
        plan.limits.disk_free = 1000;
        plan.limits.queue_size = 10_000;
    });
    let good = Levels { queue_bytes: 0, disk_free: 2000, inodes_free: 100_000 };
    door.capacity.set_levels(good);
    let mut device = door.device(A).await;
    device.ask("MAIL FROM:<a@b.c> SIZE=1001", "452 4.3.1").await;
    for (levels, reason) in [
        (Levels { inodes_free: 3, ..good }, "inodes_free"),
        (Levels { disk_free: 999, ..good }, "disk_free"),
        (Levels { queue_bytes: 10_001, ..good }, "queue_size"),
    ] {
        door.capacity.set_levels(levels);
        let before = door.refused(reason);
        device.ask("MAIL FROM:<a@b.c>", "452 4.3.1").await;
        let mut late = Device::dial(door.addr).await;
        late.expect("421 4.3.1").await;
        assert_eq!((late.reply().await, door.refused(reason)), (None, before + 2));
        door.capacity.set_levels(good);
    }
    device.send("a@b.c", &["d@e.f"], DATA).await;
}

#[tokio::test]
async fn a_073_octets_that_drip_do_not_hold_a_message_open() {
    let door = Door::open("drip_data", |plan| {
        plan.listener.deadlines.data = Duration::from_millis(500);
        plan.listener.deadlines.rate = 1000;
    });
    let mut slow = door.device(A).await;
    slow.ask("MAIL FROM:<a@b.c>", "250").await;
    slow.ask("RCPT TO:<d@e.f>", "250").await;
    slow.ask("DATA", "354").await;
    let started = Instant::now();
    // An octet in 20 ms: never a pause that is too long by itself, and a twentieth of the least rate.
    let mut drip = tokio::time::interval(Duration::from_millis(20));
    let reply = loop {
        tokio::select! {
            reply = slow.reply() => break reply,
            _ = drip.tick() => slow.write(b"x").await,
        }
    };
    assert!(reply.is_some_and(|reply| reply.starts_with("421 4.4.2")));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // One that sends more slowly than it could, and faster than it must, arrives.
    let mut steady = door.device(B).await;
    steady.ask("MAIL FROM:<a@b.c>", "250").await;
    steady.ask("RCPT TO:<d@e.f>", "250").await;
    steady.ask("DATA", "354").await;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..20 {
        tick.tick().await;
        steady.write(&[[b'x'; 198].as_slice(), b"\r\n"].concat()).await;
    }
    steady.ask(".", "250").await;
    assert_eq!(door.queued().await.len(), 1);
}

#[tokio::test]
async fn a_073_others_are_served_while_hundreds_drip() {
    let door = Door::open("swarm", |plan| plan.limits.connections_per_client = 300);
    let mut swarm = Vec::new();
    for n in 0..300 {
        let mut device = Device::dial_from(A.into(), door.addr).await;
        device.expect("220").await;
        device.write(if n % 2 == 0 { b"E" } else { b"AUTH LOGIN\r\nd" }).await;
        swarm.push(device);
    }
    Device::dial_from(A.into(), door.addr).await.expect("421 4.7.0").await;
    for device in &mut swarm {
        device.write(b"x").await;
    }
    let started = Instant::now();
    door.device(B).await.send("a@b.c", &["d@e.f"], DATA).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_074_commands_that_do_nothing_end_after_a_hundred() {
    let door = Door::open("junk", |_| {});
    for junk in ["NOOP", "RSET", "HELP", "VRFY a", "HELO x"] {
        let mut device = Device::dial(door.addr).await;
        device.expect("220").await;
        let mut answered = 0;
        loop {
            device.write(format!("{junk}\r\n").as_bytes()).await;
            let reply = device.reply().await.expect("it says why");
            if reply.starts_with("421 4.7.0") || reply.contains("421 4.7.0") {
                break;
            }
            answered += 1;
            assert!(answered <= 101, "{junk}");
        }
        assert!(answered >= 100, "{junk}: {answered}");
    }
    // Errors end sooner, and a delivery wipes the slate.
    let mut device = door.device(A).await;
    for _ in 0..3 {
        for _ in 0..19 {
            device.ask("STARTTLS", "502").await;
        }
        device.send("a@b.c", &["d@e.f"], DATA).await;
    }
}

#[tokio::test]
async fn a_074_an_answered_command_gives_the_next_one_its_time() {
    let door = Door::open("keep_alive", |plan| plan.listener.deadlines.command = Duration::from_millis(800));
    let mut device = door.device(A).await;
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    while started.elapsed() < Duration::from_millis(1600) {
        tick.tick().await;
        device.ask("NOOP", "250").await;
    }
    device.expect("421 4.4.2").await;
    // One that never says anything.
    let mut mute = Device::dial(door.addr).await;
    mute.expect("220").await;
    mute.expect("421 4.4.2").await;
    assert_eq!(mute.reply().await, None);
}

/// The program with so many descriptors.
fn with_descriptors(site: &Site, most: u32) -> Command {
    let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
    let mut arguments = vec!["-c".to_owned(), script, crate::support::program::YIZHAN.to_owned()];
    arguments.extend(site.run_arguments());
    clean(Command::new("/bin/sh"), arguments)
}

#[tokio::test]
async fn a_075_without_descriptors_the_door_waits_and_recovers() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("descriptors", &sandbox, QUICK);
    let program = Program::start(with_descriptors(&site, 64)).await;
    let mut crowd = Vec::new();
    for _ in 0..120 {
        crowd.push(TcpStream::connect(program.door()).await.expect("the kernel takes it"));
    }
    let line = program.event("accept_failed").await;
    assert!(field_of(&line, "listener").is_some_and(|name| name == "local"), "{line}");
    let spent = cpu(program.pid());
    let pause = Instant::now();
    // It neither spins nor fills the log: the time is measured, so that a slow machine is no excuse.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (spent, pause) = (cpu(program.pid()) - spent, pause.elapsed());
    assert!(spent < pause / 4, "{spent:?} of {pause:?}");
    assert!(program.told("accept_failed").len() <= 2, "{:?}", program.told("accept_failed"));
    assert!(!program.ended());
    drop(crowd);
    let mut device = Device::connect(program.door()).await;
    device.send("a@b.c", &["d@else.test"], DATA).await;
    timeout(PATIENCE, sandbox.wait_for(1)).await.expect("it is delivered, too");
    program.stop().await;
}

/// The time that a process has computed (`utime` and `stime` of proc(5), in hundredths of a second).
fn cpu(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it still runs");
    let after = stat.rsplit_once(')').expect("the name is in brackets").1;
    let ticks: Vec<u64> = after.split_ascii_whitespace().skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    Duration::from_millis(ticks.iter().sum::<u64>() * 10)
}

/// Set where the test has the process to itself.
const ALONE: &str = "YIZHAN_TEST_ALONE";

/// Resident memory belongs to a whole process, so this test starts itself once more in a process without other tests.
#[tokio::test]
async fn a_076_a_client_that_never_reads_costs_little_and_is_let_go() {
    if std::env::var_os(ALONE).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "limits::a_076_a_client_that_never_reads_costs_little_and_is_let_go"]).env(ALONE, "1");
        let ran = child.output().unwrap();
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let door = Door::open("deaf", |plan| plan.listener.deadlines.write = Duration::from_millis(300));
    let before = resident();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(door.addr).await.unwrap();
        streams.push(tokio::spawn(async move {
            // A megabyte of the command with the longest reply, until nobody takes it any more.
            let flood = b"EHLO x\r\n".repeat(128 * 1024);
            let _ = stream.write_all(&flood).await;
            stream
        }));
    }
    let mut kept = Vec::new();
    for stream in streams {
        kept.push(timeout(PATIENCE, stream).await.expect("the relay hangs up").unwrap());
    }
    until("the places to be free", async || (door.capacity.connections() == 0).then_some(())).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown}");
}

/// Octets that this process has resident.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_077_a_closed_half_still_hears_why_its_mail_is_put_off() {
    let door = Door::open("half", |plan| plan.limits.messages_per_client = an_hour(1));
    let mail = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n";
    let mut stream = TcpStream::connect(door.addr).await.unwrap();
    stream.write_all(&[b"HELO nc\r\n", mail.as_slice(), b"MAIL FROM:<a@b.c>\r\n", b"QUIT\r\n"].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "450", "221"]);
}

/// What is logged, for as long as this lives. Only on this thread, where all tasks of a test run.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn one_gateway_for_everybody_is_said_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let door = Door::open("bridge", |plan| {
        plan.listener.proxy_from = vec!["127.0.0.1/32".parse().unwrap()];
        plan.listener.allow = vec!["172.16.0.0/12".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        plan.clock = clock.clone();
    });
    let told = || String::from_utf8_lossy(&log.0.lock().unwrap()).matches("one_client").count();
    // Day by day: the bridge of Docker, then it once more, then an address that is none, then the bridge and another one.
    let days: [(&[&str], usize); 6] = [
        (&["172.17.0.1"], 0),
        (&["172.17.0.1"], 1),
        (&["10.0.0.7"], 1),
        (&["172.18.0.1", "172.18.0.1", "10.0.0.7"], 1),
        (&["172.18.0.1"], 1),
        (&["10.0.0.7"], 2),
    ];
    for (day, (clients, times)) in days.into_iter().enumerate() {
        for n in 0..6 {
            let mut device = Device::dial(door.addr).await;
            device.write(format!("PROXY TCP4 {} 127.0.0.1 1 25\r\n", clients[n % clients.len()]).as_bytes()).await;
            device.expect("220").await;
            device.send("a@b.c", &["d@e.f"], DATA).await;
        }
        assert_eq!(told(), times, "day {day}");
        clock.advance(24 * HOUR);
    }
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("addr=172.17.0.1") && log.contains("addr=172.18.0.1"), "{log}");
}
