//! `connections = N`: the provider never has more than N TCP connections of the account, one that is being ended included.
//!
//! The count is the kernel's, at the provider's end, each time a connection arrives: only then can it grow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::account::{attempt, deliver, delivered, settings, upstream};
use crate::support::folder::Folder;
use crate::support::office::{PATIENCE, endpoint, provider};
use crate::support::proxy::{Act, Kind, Manners, TestProxy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use yizhan::net::proxy::Proxy;
use yizhan::provider::{Endpoint, Tls};
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};
use yizhan::upstream::{Unlimited, Upstream, UpstreamSettings};

/// How long a connection may take to end when no message waits for its place.
const FAREWELL: Duration = Duration::from_secs(2);

/// Stands before the provider's port and counts.
struct Turnstile {
    port: u16,
    most: Arc<AtomicUsize>,
}

impl Turnstile {
    async fn before(sandbox: &Sandbox) -> Turnstile {
        let to = sandbox.implicit_addr().expect("it is open");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let most = Arc::new(AtomicUsize::new(0));
        let counter = most.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counter.fetch_max(established(port), Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await.expect("the sandbox listens");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Turnstile { port, most }
    }

    /// The most connections that there ever were at one time.
    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// Connections to a port of 127.0.0.1 that neither side has closed, by proc(5). By their other end: the table changes while it
/// is read, and can show a line twice.
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let here = format!("0100007F:{port:04X}");
    let peer = |line: &str| match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [_, local, peer, "01", ..] if local == here => Some(peer.to_owned()),
        _ => None,
    };
    table.lines().filter_map(peer).collect::<BTreeSet<_>>().len()
}

struct Scene {
    sandbox: Sandbox,
    turnstile: Turnstile,
    settings: UpstreamSettings,
    _folder: Folder,
}

/// A provider behind a turnstile, and an account whose connections carry one message each.
async fn scene(connections: usize) -> Scene {
    let (sandbox, folder) = (provider(SandboxLimits::default()).await, Folder::new("limit"));
    let turnstile = Turnstile::before(&sandbox).await;
    let mut settings = settings(&sandbox, &folder);
    settings.endpoints = vec![endpoint(([127, 0, 0, 1], turnstile.port).into(), Tls::Implicit)];
    (settings.connections, settings.messages_per_connection) = (connections, 1);
    Scene { sandbox, turnstile, settings, _folder: folder }
}

/// Ways in which a provider takes its time with QUIT, or does not answer it.
fn farewells() -> [Option<What>; 4] {
    [
        None,
        Some(What::Delay(Duration::from_millis(100))),
        Some(What::Stall),
        // No line end, and no end of the connection.
        Some(What::Reply(b"\x16garbage".to_vec())),
    ]
}

async fn all(way: &Upstream, count: usize) {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let way = way.clone();
        all.spawn(async move { delivered(&attempt(&way, &Unlimited).await.0) });
    }
    timeout(PATIENCE, all.join_all()).await.expect("they all end");
}

#[tokio::test]
async fn a_connection_that_is_ended_counts_until_it_is_closed() {
    for what in farewells() {
        for connections in [1, 2] {
            let scene = scene(connections).await;
            if let Some(what) = &what {
                scene.sandbox.fault(Fault::forever(Stage::Quit, what.clone()));
            }
            let way = upstream(scene.settings.clone());
            for _ in 0..3 {
                deliver(&way).await;
            }
            all(&way, 4).await;
            assert_eq!(scene.sandbox.stats().logins_ok, 7, "a connection each");
            assert!(scene.turnstile.most() <= connections, "{what:?}, {connections}: {}", scene.turnstile.most());
        }
    }
}

#[tokio::test]
async fn a_message_does_not_wait_for_the_answer_to_quit_for_long() {
    let scene = scene(1).await;
    scene.sandbox.fault(Fault::forever(Stage::Quit, What::Stall));
    let (way, begin) = (upstream(scene.settings), Instant::now());
    for _ in 0..4 {
        deliver(&way).await;
    }
    // Three of them waited for a place.
    assert!(begin.elapsed() < FAREWELL, "{:?}", begin.elapsed());
    assert_eq!(scene.turnstile.most(), 1);
    timeout(PATIENCE, scene.sandbox.wait_until(|stats| stats.quits == 4)).await.expect("QUIT is always said");
}

#[tokio::test]
async fn a_message_does_not_wait_at_all_where_there_is_room() {
    let scene = scene(2).await;
    scene.sandbox.fault(Fault::forever(Stage::Quit, What::Stall));
    let way = upstream(scene.settings);
    deliver(&way).await;
    deliver(&way).await;
    // The first one was still there when the second one came.
    assert_eq!(scene.turnstile.most(), 2);
}

#[tokio::test]
async fn connections_end_for_any_reason_and_are_still_counted() {
    let mut scene = scene(1).await;
    scene.settings.messages_per_connection = 1000;
    scene.sandbox.fault(Fault::forever(Stage::Quit, What::Delay(Duration::from_millis(150))));
    let Scene { sandbox, turnstile, settings, _folder } = scene;
    // A pause, and a new message at once.
    let way = upstream(settings.clone());
    deliver(&way).await;
    tokio::join!(way.close_idle(), deliver(&way));
    way.close_idle().await;
    // Idle for too long: found by the message, or by the reaper.
    let way = upstream(UpstreamSettings { idle: Duration::ZERO, ..settings.clone() });
    deliver(&way).await;
    deliver(&way).await;
    way.close_idle().await;
    let way = upstream(UpstreamSettings { idle: Duration::from_millis(20), ..settings.clone() });
    let reaper = tokio::spawn({
        let way = way.clone();
        async move { way.reap().await }
    });
    let quits = sandbox.stats().quits;
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.open == 0)).await.expect("the one before is gone");
    deliver(&way).await;
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.quits > quits)).await.expect("the reaper comes");
    deliver(&way).await;
    reaper.abort();
    assert_eq!(turnstile.most(), 1);
}

#[tokio::test]
async fn a_message_takes_the_connection_that_becomes_free_while_it_waits_for_a_place() {
    let scene = scene(2).await;
    let settings = UpstreamSettings { messages_per_connection: 2, ..scene.settings };
    let way = upstream(settings);
    // Two at work; one of them ends slowly, the other one has a message left.
    scene.sandbox.fault(Fault::forever(Stage::Quit, What::Stall));
    all(&way, 2).await;
    all(&way, 6).await;
    assert!(scene.turnstile.most() <= 2, "{}", scene.turnstile.most());
    assert_eq!(scene.sandbox.stats().accepted, 8);
}

#[tokio::test]
async fn behind_a_proxy_the_connection_of_the_provider_counts() {
    for kind in [Kind::Socks5, Kind::Http] {
        let scene = scene(1).await;
        let place = ("smtp.qq.com:465".to_owned(), ([127, 0, 0, 1], scene.turnstile.port).into());
        let proxy = TestProxy::start(kind, Manners { names: vec![place], act: Act::Serve, ..Manners::default() }).await;
        let mut settings = scene.settings;
        settings.endpoints = vec![Endpoint { host: "smtp.qq.com".to_owned(), port: 465, tls: Tls::Implicit }];
        settings.proxy = Some(Proxy::parse(&proxy.url()).expect("a proxy"));
        scene.sandbox.fault(Fault::forever(Stage::Quit, What::Delay(Duration::from_millis(100))));
        let way = upstream(settings);
        for _ in 0..3 {
            deliver(&way).await;
        }
        // The end of the tunnel says that the provider has closed: that was waited for.
        assert_eq!((scene.turnstile.most(), scene.sandbox.stats().connections), (1, 3), "{kind:?}");
    }
}
