//! Too much, too slow, too often, and gone in the middle: guesses, floods, octets that drip, connections that break.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DATA, FLAT, HONEST, Plan, Scene, connect, count, pour};
use crate::support::entrance::{ENDLESS, Entrance, Line, Plan as Door, plain, user};
use crate::support::office::{Device, PATIENCE, until};
use yizhan::limits::lockout::Patience;
use yizhan::queue::{Inspection as _, MessageFilter};
use yizhan::secret::{Secret, SecretSource, password};
use yizhan::telemetry::counter::REFUSED;

const KNOWN: [u8; 4] = [127, 0, 0, 44];
const GUESSER: [u8; 4] = [127, 0, 0, 7];
const WILD: [u8; 4] = [127, 0, 0, 1];
const PIECE: usize = 64 * 1024;

/// Guesses until so many guesses were answered, over one connection after another; gives how many were compared.
async fn guess(from: [u8; 4], door: std::net::SocketAddr, guesses: usize) -> usize {
    let (mut answered, mut compared) = (0, 0);
    while answered < guesses {
        let mut line = Line::dial_from(from.into(), door).await;
        line.expect("220").await;
        line.ask("EHLO x", "250").await;
        while answered < guesses {
            line.write(format!("AUTH PLAIN {}\r\n", plain("printer", &format!("guess {answered}"))).as_bytes()).await;
            let Some(reply) = line.reply().await else { break };
            answered += 1;
            compared += usize::from(reply.starts_with("535 5.7.8"));
            if reply.starts_with("421 4.7.0") {
                break;
            }
            assert!(reply.starts_with("535 5.7.8"), "{reply}");
        }
    }
    compared
}

#[tokio::test]
async fn a_059_a_thousand_guesses_are_ten_and_nobody_else_waits() {
    let patience = Patience { most: 10, delay: Duration::from_millis(1), longest: Duration::from_millis(4), ..ENDLESS };
    let mut printer = user("printer", "");
    printer.password = SecretSource::Plain(Secret::new(&password::hash(&Secret::new("right"), &[3; 16])));
    let door = Entrance::open("guesses", Door { users: vec![printer], patience, ..Door::default() });
    let addr = door.addr;
    // A thousand over one connection at a time, a thousand over fifty.
    let mut guessers = JoinSet::new();
    guessers.spawn(guess(GUESSER, addr, 1000));
    for _ in 0..50 {
        guessers.spawn(guess([127, 0, 0, 8], addr, 20));
    }
    let mut sent = 0;
    let mut compared = 0;
    let honest = async {
        loop {
            let mut line = Line::dial_from([127, 0, 0, 3].into(), addr).await;
            line.expect("220").await;
            line.ask("EHLO x", "250").await;
            line.log_in("printer", "right", "235").await;
            line.send("a@example.com").await;
            sent += 1;
        }
    };
    tokio::select! {
        () = honest => {}
        () = async { while let Some(one) = guessers.join_next().await { compared += one.expect("no panic"); } } => {}
    }
    assert!(sent > 0, "somebody who knows the password is let in meanwhile");
    // Two addresses, ten each, and those that two workers had begun with.
    assert!((20..=24).contains(&compared), "{compared}");
    let locked = door.counters.sum(REFUSED, &[("reason", "locked_out")]);
    let refused = door.counters.sum(REFUSED, &[("reason", "login")]) + locked;
    // A few guesses were the fourth of their connection, which ended by that.
    assert!((1990..=2000).contains(&refused), "{refused}");
    // Fifty at a time on one connection: three, and the end.
    let lines = format!("AUTH PLAIN {}\r\n", plain("printer", "x")).repeat(50);
    let (_, said) =
        pour(connect([127, 0, 0, 9], addr).await, [b"EHLO x\r\n".to_vec(), lines.into_bytes()].into_iter()).await;
    assert_eq!((count(&said, "535 5.7.8"), count(&said, "421 4.7.0"), count(&said, "235")), (3, 1, 0), "{said}");
    Line::hello(addr).await.send("a@example.com").await;
    let queued = door.queue.list(MessageFilter { limit: 100_000, ..MessageFilter::default() }).await.unwrap();
    assert!((sent + 1..=sent + 2).contains(&queued.len()), "{} of {sent}", queued.len());
}

#[tokio::test]
async fn a_065_a_command_without_end_costs_nothing_and_ends_soon() {
    let scene = Scene::open("endless", Plan::default()).await;
    scene.device(WILD).await.send("a@b.c", &["warm@else.test"], DATA).await;
    let grown = scene
        .growth(async {
            // Longer than a line may be, and no more: the session goes on.
            let mut device = scene.device(WILD).await;
            device.ask(&"x".repeat(2100), "500 5.5.6 Line too long").await;
            device.ask(&format!("NOOP {}", "x".repeat(65_000)), "500 5.5.6").await;
            device.ask("NOOP", "250").await;
            // A hundred megabytes without a line end, and of lines that each are too long.
            for (piece, first) in
                [(vec![b'x'; PIECE], "421 4.7.0"), ([vec![b'x'; 60_000], vec![b'\n']].concat(), "500 5.5.6")]
            {
                let pieces = std::iter::repeat_n(piece, 1600);
                let (_, said) = pour(connect(WILD, scene.door()).await, pieces).await;
                let mut replies = said.lines().skip(1);
                assert!(replies.next().is_some_and(|reply| reply.starts_with(first)), "{said}");
                assert!(said.lines().count() <= 22 && said.lines().last().unwrap().starts_with("421 4.7.0"), "{said}");
            }
        })
        .await;
    assert!(grown < FLAT, "{grown}");
    scene.after(&[&["warm@else.test"]]).await;
}

#[tokio::test]
async fn a_066_a_message_without_end_is_not_kept() {
    let scene = Scene::open("gigabyte", Plan { set: &[("LIMITS__MESSAGE_SIZE", "4MiB")], ..Plan::default() }).await;
    scene.device(WILD).await.send("a@b.c", &["warm@else.test"], DATA).await;
    let begin = b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@else.test>\r\nDATA\r\n".to_vec();
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    let grown = scene
        .growth(async {
            for (head, piece) in
                [("", vec![b'x'; PIECE]), ("Subject: x\r\n\r\n", vec![b'x'; PIECE]), ("", line.repeat(65))]
            {
                let begin = [begin.clone(), head.as_bytes().to_vec()].concat();
                let pieces = [begin].into_iter().chain(std::iter::repeat_n(piece, 16_384));
                let (written, said) = pour(connect(WILD, scene.door()).await, pieces).await;
                assert!(said.lines().last().unwrap().starts_with("552 5.3.4"), "{said} after {written}");
                assert_eq!(count(&said, "250 2.0.0 queued"), 0);
            }
        })
        .await;
    assert!(grown < FLAT, "{grown}");
    // What was kept until the limit goes as soon as it is reached, not when the client gives up.
    let mut device = scene.device(WILD).await;
    for command in ["MAIL FROM:<a@b.c>", "RCPT TO:<d@else.test>"] {
        device.ask(command, "250").await;
    }
    device.ask("DATA", "354").await;
    device.write(&line.repeat(3000)).await;
    until("the body to be in a file", async || (scene.spooled() == 1).then_some(())).await;
    device.write(&line.repeat(1500)).await;
    until("the file to be gone", async || (scene.spooled() == 0).then_some(())).await;
    device.ask(".", "552 5.3.4").await;
    device.send("a@b.c", &["d@else.test"], DATA).await;
    scene.after(&[&["warm@else.test"], &["d@else.test"]]).await;
}

#[tokio::test]
async fn a_067_what_counts_is_the_size_that_comes() {
    let scene = Scene::open("sizes", Plan { set: &[("LIMITS__MESSAGE_SIZE", "4MiB")], ..Plan::default() }).await;
    let mut device = scene.device(WILD).await;
    for (size, reply) in [
        ("4194305", "552 5.3.4"),
        ("18446744073709551615", "552 5.3.4"),
        ("18446744073709551616", "501 5.5.4"),
        ("99999999999999999999999999", "501 5.5.4"),
        ("-1", "501 5.5.4"),
        ("+1", "501 5.5.4"),
        ("1e3", "501 5.5.4"),
        ("0x10", "501 5.5.4"),
        ("", "501 5.5.4"),
        ("１０", "501 5.5.4"),
    ] {
        device.ask(&format!("MAIL FROM:<a@b.c> SIZE={size}"), reply).await;
    }
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    for (size, lines, reply) in
        [("10", 5000, "552 5.3.4"), ("10", 1000, "250 2.0.0"), ("0", 10, "250 2.0.0"), ("4194304", 10, "250 2.0.0")]
    {
        device.ask(&format!("MAIL FROM:<a@b.c> SIZE={size}"), "250").await;
        device.ask("RCPT TO:<d@else.test>", "250").await;
        device.ask("DATA", "354").await;
        device.write(&line.repeat(lines)).await;
        device.ask(".", reply).await;
    }
    scene.after(&[&["d@else.test"][..]; 3]).await;
}

/// Raises the limit of descriptors as far as it goes, and gives how many connections there may be, `most` at the most.
/// The program inherits the limit.
fn descriptors(most: u64) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit everybody may");
    let room = limit.current.unwrap_or(u64::MAX).saturating_sub(300) / 2;
    usize::try_from(room.min(most)).expect("a small number")
}

#[tokio::test]
async fn a_073_two_thousand_that_drip_are_in_nobodys_way() {
    let crowd = descriptors(2000);
    let set = [
        ("LIMITS__CONNECTIONS", "5000"),
        ("LIMITS__CONNECTIONS_PER_CLIENT", "2500"),
        ("LISTENER__LOCAL__AUTH", "accept-any"),
    ];
    let scene = Scene::open("drip", Plan { set: &set, ..Plan::default() }).await;
    let mut sent = 0;
    let grown = scene
        .growth(async {
            let mut swarm = Vec::with_capacity(crowd);
            for n in 0..crowd {
                let mut device = Device::dial_from(WILD.into(), scene.door()).await;
                device.expect("220").await;
                let first: &[u8] = match n % 4 {
                    0 => b"",
                    1 => b"E",
                    2 => b"AUTH LOGIN\r\nd",
                    _ => b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@else.test>\r\nDATA\r\nS",
                };
                device.write(first).await;
                swarm.push(device);
            }
            for _ in 0..3 {
                for device in &mut swarm {
                    device.write(b"x").await;
                }
                // Somebody else is served: that it takes no minutes is what `after` and the patience of a device say.
                let mut device = scene.device(HONEST).await;
                device.send("a@b.c", &["d@else.test"], DATA).await;
                sent += 1;
            }
        })
        .await;
    assert!(crowd >= 300, "{crowd} connections are no crowd");
    // Measured without optimisation: 22 KiB for one, half of them within a message or a log-in.
    assert!(grown < crowd as u64 * 32 * 1024 + FLAT, "{grown} for {crowd}");
    scene.after(&vec![&["d@else.test"][..]; sent]).await;
}

#[tokio::test]
async fn a_075_five_thousand_at_once_are_let_in_or_told() {
    let crowd = descriptors(5000);
    let set = [("LIMITS__CONNECTIONS", "500"), ("LIMITS__CONNECTIONS_PER_CLIENT", "50")];
    let scene = Scene::open("crowd", Plan { set: &set, ..Plan::default() }).await;
    scene.device(KNOWN).await.send("a@b.c", &["d@else.test"], DATA).await;
    let mut all = JoinSet::new();
    for n in 0..crowd {
        let (door, from) = (scene.door(), [127, 0, 1, (n % 100) as u8 + 1]);
        all.spawn(async move {
            let mut device = Device::dial_from(from.into(), door).await;
            let reply = device.reply().await.unwrap_or_default();
            (device, reply)
        });
    }
    let all: Vec<(Device, String)> = all.join_all().await;
    let replies = |start: &str| all.iter().filter(|(_, reply)| reply.starts_with(start)).count();
    let (let_in, full) = (replies("220"), replies("421 4.3.2"));
    // A tenth of the places is kept for clients that have sent before.
    assert_eq!((let_in, let_in + full), (450.min(crowd), crowd), "{full} were told");
    let door = scene.door();
    let mut known = Device::dial_from(KNOWN.into(), door).await;
    known.expect("220").await;
    known.ask("EHLO x", "250").await;
    known.send("a@b.c", &["d@else.test"], DATA).await;
    drop(all);
    until("the places to be free", async || {
        Device::dial_from(HONEST.into(), door).await.reply().await.filter(|reply| reply.starts_with("220"))
    })
    .await;
    scene.device(WILD).await.send("a@b.c", &["d@else.test"], DATA).await;
    scene.after(&[&["d@else.test"][..]; 3]).await;
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Reset,
}

/// Reads replies until so many came.
async fn read_replies(stream: &mut TcpStream, replies: usize) {
    let mut said = Vec::new();
    let ends = |said: &[u8]| said.split(|&octet| octet == b'\n').filter(|line| line.get(3) == Some(&b' ')).count();
    let read = async {
        while ends(&said) < replies {
            assert!(stream.read_buf(&mut said).await.expect("it is open") > 0, "{}", said.escape_ascii());
        }
    };
    timeout(PATIENCE, read).await.expect("the relay answers");
}

async fn end(mut stream: TcpStream, how: End) {
    match how {
        End::Fin => {
            let _ = stream.shutdown().await;
            // Listens to the last word: closing with unread octets would be a reset.
            let mut rest = Vec::new();
            let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the relay closes, too");
        }
        End::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("TCP can do that"),
    }
}

/// A mail that begins in memory and goes on in a file, dots and all.
fn long_mail() -> Vec<u8> {
    let line = |n: u32| format!("{n:>70}\r\n");
    format!("Subject: long\r\n\r\n{}", (0..2400).map(line).collect::<String>()).into_bytes()
}

#[tokio::test]
async fn a_077_whoever_goes_before_the_final_dot_leaves_nothing() {
    let scene = Scene::open("gone", Plan::default()).await;
    let said = b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@else.test>\r\nDATA\r\n";
    let mail = long_mail();
    // What was said, and how many replies were heard before the end.
    let mut points: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0), (Vec::new(), 1)];
    points.extend([3, 8, 12, 27, 29, 50, 52, 56].map(|at| (said[..at].to_vec(), 1)));
    points.extend([(8, 2), (27, 3), (50, 4), (56, 5)].map(|(at, replies)| (said[..at].to_vec(), replies)));
    let whole = |part: &[u8]| ([said.as_slice(), part].concat(), 5);
    points.extend((0..mail.len()).step_by(1024).map(|at| whole(&mail[..at])));
    points.extend(
        [b"".as_slice(), b".", b".\r", b".\r\r", b"..\r\n", b".\n", b" .\r\n"].map(|dot| whole(&[&mail, dot].concat())),
    );
    points.extend([b".".as_slice(), b".\r"].map(|dot| whole(&[b"Subject: x\r\n\r\n", dot].concat())));
    assert!(points.len() > 190);
    for how in [End::Fin, End::Reset] {
        for (octets, replies) in &points {
            let mut stream = connect(WILD, scene.door()).await;
            stream.write_all(octets).await.expect("the relay reads");
            read_replies(&mut stream, *replies).await;
            end(stream, how).await;
        }
        // One that is in a file by then, for sure.
        let mut stream = connect(WILD, scene.door()).await;
        stream.write_all(&whole(&mail).0).await.expect("the relay reads");
        until("a file", async || (scene.spooled() > 0).then_some(())).await;
        end(stream, how).await;
        scene.after(&[]).await;
    }
}

#[tokio::test]
async fn a_077_whoever_goes_after_the_final_dot_has_sent_once() {
    let scene = Scene::open("done", Plan::default()).await;
    let mut names = Vec::new();
    for how in [End::Fin, End::Reset] {
        for (step, behind) in
            [("dot", ""), ("waits", ""), ("reads", ""), ("quits", "QUIT\r\n"), ("goes on", "MAIL FROM:<a@b.c>\r\n")]
        {
            for body in [DATA.to_vec(), long_mail()] {
                names.push([format!("d{}@else.test", names.len())]);
                let [to] = names.last().expect("it was put there");
                let mut stream = connect(WILD, scene.door()).await;
                let hello = format!("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
                stream.write_all(hello.as_bytes()).await.expect("the relay reads");
                read_replies(&mut stream, 5).await;
                stream.write_all(&body).await.expect("the relay reads");
                // The kernel forgets on a reset what is not sent yet: the long body has to have left.
                until("everything to have left", async || (unsent(&stream) == 0).then_some(())).await;
                stream.write_all(&[b".\r\n", behind.as_bytes()].concat()).await.expect("the relay reads");
                until("the dot to have left", async || (unsent(&stream) == 0).then_some(())).await;
                match step {
                    "waits" => drop(timeout(PATIENCE, stream.peek(&mut [0])).await.expect("the relay answers")),
                    "reads" => read_replies(&mut stream, 1).await,
                    _ => {}
                }
                end(stream, how).await;
            }
        }
    }
    let expected: Vec<Vec<&str>> = names.iter().map(|[to]| vec![to.as_str()]).collect();
    let expected: Vec<&[&str]> = expected.iter().map(Vec::as_slice).collect();
    until("all of them to be taken", async || (scene.program.told("accepted").len() >= expected.len()).then_some(()))
        .await;
    scene.after(&expected).await;
}

/// Octets that the other side has not acknowledged yet (`SIOCOUTQ` of tcp(7), as `/proc/net/tcp` shows it).
fn unsent(stream: &TcpStream) -> u64 {
    let port = stream.local_addr().expect("it is open").port();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let row = table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next()?;
        let queues = fields.nth(2)?;
        (local == format!("0100007F:{port:04X}")).then(|| queues.split(':').next().map(str::to_owned))?
    });
    row.and_then(|octets| u64::from_str_radix(&octets, 16).ok()).unwrap_or(0)
}
