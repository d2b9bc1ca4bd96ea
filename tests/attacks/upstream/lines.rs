//! The line itself: no connection, no word, a word too late, and lines that die in the middle of things.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use yizhan::net::dial::{DialError, dial};
use yizhan::provider::{Endpoint, Tls};
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};
use yizhan::upstream::{DIAL_LIMIT, HANDSHAKE_LIMIT};

use super::{MAIL, Scene, reason};
use crate::support::middle::{Manner, Middle};
use crate::support::office::endpoint;

#[tokio::test]
async fn a_094_a_closed_port_keeps_the_mail_and_backs_off() {
    let scene = Scene::with("closed", SandboxLimits::default(), |settings| {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        settings.accounts[0].endpoints = vec![endpoint(dead, Tls::Implicit)];
    })
    .await;
    let first = scene.send(&["a@else.test"]).await;
    assert_eq!((first.state, first.tries), (MessageState::Deferred, 1), "{first:?}");
    assert!(reason(&first).contains("no connection"), "{}", reason(&first));
    let wait = first.due.since(scene.day.now());
    assert!((54..=66).contains(&wait.as_secs()), "about a minute: {wait:?}");
    let account = scene.office.relay.delivery().statuses().await.remove(0);
    assert_eq!(account.state, "unreachable");
    assert!(account.since.is_some() && account.until.is_some() && account.remedy_zh.is_some(), "{account:?}");
    assert!(account.reply.is_some_and(|reply| reply.contains("no connection")));
    // A whole day without a provider: nothing is given up, nobody is told of a failure.
    scene.day.run_until(scene.day.at(24, 0)).await;
    let entry = scene.office.entry(first.id).await;
    assert_eq!(entry.state, MessageState::Deferred);
    assert!((10..=12).contains(&entry.tries), "the documented pace: {}", entry.tries);
    assert_eq!(scene.notices().await, 0);
}

/// A port whose queue of connections is full drops further SYNs, as a black hole does.
#[tokio::test]
async fn a_094_a_black_hole_is_given_up_in_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let hole = socket.listen(1).unwrap();
    let addr = hole.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..8 {
        fillers.push(tokio::spawn(TcpStream::connect(addr)));
    }
    let mut filled = 0;
    for filler in &mut fillers[..2] {
        filled += usize::from(filler.await.unwrap().is_ok());
    }
    assert_eq!(filled, 2, "the queue takes one more than asked for");
    let begin = Instant::now();
    let limit = Duration::from_secs(1);
    let error = dial("127.0.0.1", addr.port(), limit).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut { .. }), "{error}");
    assert!(begin.elapsed() >= limit && begin.elapsed() < limit * 10, "{:?}", begin.elapsed());
    assert_eq!((DIAL_LIMIT.as_secs(), HANDSHAKE_LIMIT.as_secs()), (30, 30), "what the relay waits");
    for filler in fillers {
        filler.abort();
    }
}

#[tokio::test]
async fn a_094_a_silent_server_does_not_keep_the_door_closed() {
    let middle = Middle::to(([127, 0, 0, 1], 9).into(), Manner::Silent).await;
    let door = middle.addr();
    let scene = Scene::with("silent", SandboxLimits::default(), |settings| {
        settings.accounts[0].endpoints = vec![endpoint(door, Tls::Implicit)];
    })
    .await;
    let first = scene.office.send(&["a@else.test"], MAIL).await;
    scene.office.wait_state(first, MessageState::Sending).await;
    // Nobody answers, and mail is taken all the same.
    let second = scene.office.send(&["b@else.test"], MAIL).await;
    middle.set(Manner::Pass);
    scene.day.rest().await;
    let entry = scene.office.entry(first).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 1), "{entry:?}");
    let entry = scene.office.entry(second).await;
    // It met the broken connection itself, or it waits for the provider that the first one could not reach.
    let kept = [MessageState::Queued, MessageState::Waiting, MessageState::Deferred];
    assert!(kept.contains(&entry.state), "{entry:?}");
}

#[tokio::test]
async fn a_094_a_late_greeting_is_a_greeting() {
    let scene = Scene::open("late").await;
    for stage in [Stage::Handshake, Stage::Connect, Stage::Ehlo] {
        scene.office.sandbox.fault(Fault::once(stage, What::Delay(Duration::from_millis(200))));
    }
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0));
    assert_eq!(scene.office.sandbox.stats().faults, 3);
}

#[tokio::test]
async fn a_108_a_name_that_does_not_exist_defers_and_is_named() {
    let log = Log::listen();
    let scene = Scene::with("nxdomain", SandboxLimits::default(), |settings| {
        let host = "smtp.no-such-host.invalid".to_owned();
        settings.accounts[0].endpoints = vec![Endpoint { host, port: 465, tls: Tls::Implicit }];
    })
    .await;
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 1), "{entry:?}");
    let why = reason(&entry);
    assert!(why.contains("smtp.no-such-host.invalid could not be looked up"), "{why}");
    // Of all that is logged, what is said of the line.
    let unreachable = || -> String {
        log.take()
            .lines()
            .filter(|line| line.contains("unreachable") && line.contains("no-such-host"))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let first = unreachable();
    assert!(first.contains("WARN") && !first.contains("remedy"), "{first}");
    scene.after(29, entry.id).await;
    assert!(!unreachable().contains("remedy"), "a short trouble of the line needs nobody");
    let entry = scene.after(24 * 60, entry.id).await;
    let lasting = unreachable();
    let line = lasting.lines().find(|line| line.contains("remedy")).unwrap_or_else(|| panic!("{lasting}"));
    for word in
        ["ERROR", "event=\"unreachable\"", "since=2026-11-", "smtp.no-such-host.invalid", "host, port and proxy"]
    {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    assert_eq!(entry.state, MessageState::Deferred, "never permanent");
    assert_eq!(scene.notices().await, 0);
}

#[tokio::test]
async fn a_110_a_slow_line_delivers() {
    let slow = Manner::Slow { delay: Duration::from_millis(100), size: 1400 };
    let (scene, _middle) = Scene::through("slow", slow).await;
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0));
}

/// The line dies after so many octets, wherever that is: in the handshake, the log-in, the message, at the dot.
#[tokio::test]
async fn a_110_a_line_that_dies_anywhere_loses_nothing_and_doubles_only_what_is_uncertain() {
    let (mut early, mut late, mut uncertain) = (0, 0, 0);
    for octets in (400..=2600).step_by(100) {
        let (scene, middle) = Scene::through("dies", Manner::DeadAfter(octets)).await;
        let entry = scene.send(&["a@else.test"]).await;
        match entry.state {
            MessageState::Delivered => late += 1,
            MessageState::Deferred => early += 1,
            other => panic!("{octets}: {other}: {entry:?}"),
        }
        uncertain += entry.uncertain;
        middle.set(Manner::Pass);
        let end = scene.after(30, entry.id).await;
        assert_eq!((end.state, end.uncertain), (MessageState::Delivered, entry.uncertain), "{octets}: {end:?}");
        let received = scene.office.sandbox.received();
        assert!((1..=1 + end.uncertain as usize).contains(&received.len()), "{octets}: {} copies", received.len());
        let own = Some(format!("<{}@qq.com>", entry.id));
        assert!(received.iter().all(|one| one.field("Message-ID") == own), "{octets}: the same message");
        assert!(middle.connections() <= 3, "{octets}: {} connections", middle.connections());
    }
    // The range has a line that dies at once, and one that dies after everything.
    assert!(early > 0 && late > 0, "{early} {late}");
    // The message and its dot go out in one write of some 700 octets; what dies inside of it may have arrived.
    assert!((1..=8).contains(&uncertain), "{uncertain}: only what dies in the last write is uncertain");
}

#[tokio::test]
async fn a_094_an_outage_of_half_an_hour_delays_and_neither_loses_nor_doubles() {
    let scene = Scene::open("outage").await;
    let (day, office) = (&scene.day, &scene.office);
    assert_eq!(scene.send(&["a@else.test"]).await.state, MessageState::Delivered);
    office.sandbox.fault(Fault::forever(Stage::Connect, What::Reset));
    office.sandbox.fault(Fault::once(Stage::Idle, What::Reset));
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(scene.office.send(&["a@else.test"], MAIL).await);
    }
    day.run_until(day.at(0, 30)).await;
    assert_eq!(office.sandbox.stats().accepted, 1);
    office.sandbox.clear_faults();
    day.run_until(day.at(2, 0)).await;
    for id in ids {
        assert_eq!(office.entry(id).await.state, MessageState::Delivered);
    }
    assert_eq!(office.sandbox.stats().accepted, 6, "each once");
}

/// What is logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What the whole process logs from now on. Not one thread's: which events anybody wants to hear is cached for all
    /// threads together, and a test that hears only its own may miss them.
    fn listen() -> Log {
        static ALL: OnceLock<Log> = OnceLock::new();
        let log = ALL.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
            tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
            log
        });
        log.clone()
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().unwrap())).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
