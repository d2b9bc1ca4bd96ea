//! An account's connections and log-ins: as few as possible, one at a time, none without a permit, at the port that
//! works. The provider counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::account::{
    Budget, NEXT_LOGIN, attempt, deliver, delivered, implicit, line_trouble, send, send_with, settings, starttls,
    upstream,
};
use crate::support::folder::Folder;
use crate::support::office::{CODE, Office, PATIENCE, endpoint, provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use yizhan::provider::{Endpoint, Tls};
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};
use yizhan::secret::{Secret, SecretSource};
use yizhan::upstream::{Condition, Fate, Report, Upstream, UpstreamSettings};

/// A provider, and the settings of an account there.
async fn scene(limits: SandboxLimits) -> (Sandbox, UpstreamSettings, Folder) {
    let (sandbox, folder) = (provider(limits).await, Folder::new("connections"));
    let settings = settings(&sandbox, &folder);
    (sandbox, settings, folder)
}

/// Sends so many messages at once.
async fn at_once(upstream: &Upstream, budget: &Arc<Budget>, count: usize) -> Vec<(Report, bool)> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let (upstream, budget) = (upstream.clone(), budget.clone());
        all.spawn(async move { attempt(&upstream, &*budget).await });
    }
    timeout(PATIENCE, all.join_all()).await.expect("they all end")
}

/// Somebody who accepts and closes, and counts: a port that is blocked by resets.
async fn wall() -> (Endpoint, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = endpoint(listener.local_addr().expect("it is bound"), Tls::Implicit);
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (place, count)
}

#[tokio::test]
async fn fifty_messages_need_no_more_log_ins_than_connections() {
    for connections in [1, 4] {
        let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
        settings.connections = connections;
        // One after another: one connection is enough, however many there may be.
        let budget = Arc::new(Budget::of(100));
        let way = upstream(settings.clone());
        assert!(!way.is_logged_in());
        for _ in 0..50 {
            delivered(&send_with(&way, &*budget).await);
        }
        assert_eq!((sandbox.stats().logins_ok, budget.asked()), (1, 1));
        assert_eq!((way.open_connections(), way.is_logged_in()), (1, true));
        // All at once.
        let way = upstream(settings);
        for (report, _) in at_once(&way, &budget, 50).await {
            delivered(&report);
        }
        let stats = sandbox.stats();
        assert!((2..=1 + connections as u64).contains(&stats.logins_ok), "{stats:?}");
        assert_eq!((u64::from(budget.asked()), stats.logins_refused), (stats.logins_ok, 0));
        assert_eq!((stats.accepted, stats.resets), (100, 0));
        assert!((1..=connections).contains(&way.open_connections()));
    }
}

#[tokio::test]
async fn eight_messages_over_eight_connections_meet_one_refusal() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    settings.connections = 8;
    settings.secret = SecretSource::Plain(Secret::new("wrongwrongwrongw"));
    let (way, budget) = (upstream(settings), Arc::new(Budget::of(100)));
    let told = at_once(&way, &budget, 8).await;
    let stats = sandbox.stats();
    assert_eq!((stats.logins_refused, stats.connections, budget.asked()), (1, 1, 1));
    for (report, _) in &told {
        assert!(matches!(&report.condition, Condition::Account { text, .. } if text.starts_with("535 ")), "{report:?}");
        assert_eq!((report, report.outcomes[0].fate), (&told[0].0, Fate::Waits));
    }
    assert_eq!(told.iter().filter(|(_, second_hand)| !second_hand).count(), 1, "one of them was told so itself");
    assert_eq!((way.is_logged_in(), way.open_connections()), (false, 0));
    // Whoever comes later tries for itself: it is for others to say that the account rests.
    assert!(!attempt(&way, &*budget).await.1);
    assert_eq!((sandbox.stats().logins_refused, budget.asked()), (2, 2));
}

#[tokio::test]
async fn a_whole_relay_with_eight_connections_logs_in_once_when_it_is_refused() {
    let office = Office::with("eight", SandboxLimits::default(), |settings| settings.accounts[0].connections = 8).await;
    office.folder.file("code", "wrongwrongwrongw");
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(office.send(&["a@else.test"], b"Subject: hello\r\n\r\nbody\r\n").await);
    }
    for id in ids {
        office.wait_state(id, MessageState::Waiting).await;
    }
    assert_eq!(office.sandbox.stats().logins_refused, 1);
}

#[tokio::test]
async fn without_a_permit_nothing_secret_is_said_and_the_message_waits() {
    for place in [implicit, starttls] {
        let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
        (settings.connections, settings.endpoints) = (4, vec![place(&sandbox)]);
        let (way, budget) = (upstream(settings), Arc::new(Budget::of(0)));
        for (report, _) in at_once(&way, &budget, 4).await {
            let held = Condition::Held { until: NEXT_LOGIN, text: "no log-in left in this hour".to_owned() };
            assert_eq!((&report.condition, report.outcomes[0].fate), (&held, Fate::Waits));
        }
        assert_eq!(budget.asked(), 1, "they asked together");
        timeout(PATIENCE, sandbox.wait_until(|stats| stats.quits == 1 && stats.open == 0)).await.expect("a farewell");
        let stats = sandbox.stats();
        assert_eq!((stats.logins_ok, stats.logins_refused, stats.connections), (0, 0, 1));
        assert!(!way.is_logged_in());
    }
}

#[tokio::test]
async fn the_permit_is_asked_for_log_ins_that_go_out_and_for_no_others() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    let budget = Arc::new(Budget::of(1));
    let way = upstream(settings.clone());
    for _ in 0..10 {
        delivered(&send_with(&way, &*budget).await);
    }
    assert_eq!(budget.asked(), 1);
    // A provider that does not greet, and one that is not there.
    let way = upstream(settings.clone());
    sandbox.fault(Fault::once(Stage::Connect, What::ReplyThenClose(b"421 busy\r\n".to_vec())));
    line_trouble(&send_with(&way, &*budget).await);
    sandbox.fault(Fault::once(Stage::Ehlo, What::Close));
    line_trouble(&send_with(&way, &*budget).await);
    sandbox.fault(Fault::once(Stage::Handshake, What::Close));
    line_trouble(&send_with(&way, &*budget).await);
    settings.endpoints = vec![Endpoint { host: "127.0.0.1".to_owned(), port: 1, tls: Tls::Implicit }];
    line_trouble(&send_with(&upstream(settings), &*budget).await);
    assert_eq!(budget.asked(), 1);
}

#[tokio::test]
async fn a_connection_that_becomes_free_is_taken_instead_of_a_log_in() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    settings.connections = 3;
    let (way, budget) = (upstream(settings), Arc::new(Budget::of(100)));
    let one = || {
        let (way, budget) = (way.clone(), budget.clone());
        tokio::spawn(async move { delivered(&send_with(&way, &*budget).await) })
    };
    // The first is at work, the second is on its way in when a third one comes.
    sandbox.fault(Fault::once(Stage::FinalDot, What::Delay(Duration::from_millis(300))));
    let first = one();
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.faults == 1)).await.expect("the final dot is there");
    sandbox.fault(Fault::once(Stage::Ehlo, What::Delay(Duration::from_millis(1500))));
    let second = one();
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.faults == 2)).await.expect("EHLO is there");
    let third = one();
    timeout(PATIENCE, third).await.expect("it ends").expect("it arrives");
    assert!(first.is_finished() && !second.is_finished(), "the third did not wait for the second");
    assert_eq!(sandbox.stats().accepted, 2);
    timeout(PATIENCE, second).await.expect("it ends").expect("it arrives");
    let stats = sandbox.stats();
    assert_eq!((stats.connections, stats.logins_ok, stats.accepted, budget.asked()), (2, 1, 3, 1));
    assert_eq!(way.open_connections(), 1);
}

#[tokio::test]
async fn connections_end_by_number_by_age_and_by_idleness() {
    let (sandbox, settings, _folder) = scene(SandboxLimits::default()).await;
    let logins = || sandbox.stats().logins_ok;
    let way = upstream(UpstreamSettings { messages_per_connection: 3, ..settings.clone() });
    for _ in 0..7 {
        deliver(&way).await;
    }
    assert_eq!(logins(), 3);
    let way = upstream(UpstreamSettings { oldest: Duration::ZERO, ..settings.clone() });
    for _ in 0..3 {
        deliver(&way).await;
        assert!(!way.is_logged_in());
    }
    assert_eq!(logins(), 6);
    let way = upstream(UpstreamSettings { idle: Duration::ZERO, ..settings.clone() });
    for _ in 0..3 {
        deliver(&way).await;
    }
    assert_eq!(logins(), 9);
    // Nobody has to come for a connection to end.
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.open == 2))
        .await
        .expect("the first and the third have one each");
    let short = Duration::from_millis(50);
    for limits in [
        UpstreamSettings { oldest: short, ..settings.clone() },
        UpstreamSettings { idle: short, ..settings.clone() },
        UpstreamSettings {
            oldest: Duration::from_millis(200),
            idle: Duration::from_millis(100),
            connections: 3,
            ..settings
        },
    ] {
        let (way, budget) = (upstream(limits), Arc::new(Budget::of(100)));
        let reaper = tokio::spawn({
            let way = way.clone();
            async move { way.reap().await }
        });
        for (report, _) in at_once(&way, &budget, 3).await {
            delivered(&report);
        }
        timeout(PATIENCE, sandbox.wait_until(|stats| stats.open == 2)).await.expect("the reaper comes");
        assert!(!way.is_logged_in());
        reaper.abort();
    }
}

#[tokio::test]
async fn a_provider_that_ends_connections_between_messages_costs_nothing() {
    let limits = SandboxLimits { messages_per_connection: Some(2), ..SandboxLimits::default() };
    let (sandbox, settings, _folder) = scene(limits).await;
    let way = upstream(settings);
    for _ in 0..6 {
        deliver(&way).await;
    }
    assert_eq!((sandbox.stats().accepted, sandbox.stats().logins_ok), (6, 3));
    // Said to MAIL, and the line is cut.
    let (sandbox, again, _folder) = scene(SandboxLimits::default()).await;
    let way = upstream(again);
    deliver(&way).await;
    let words = b"421 Max message per connection reached, closing transmission channel\r\n".to_vec();
    sandbox.fault(Fault::once(Stage::Mail, What::ReplyThenClose(words.clone())));
    deliver(&way).await;
    sandbox.fault(Fault::once(Stage::Mail, What::Reset));
    deliver(&way).await;
    assert_eq!((sandbox.stats().accepted, sandbox.stats().logins_ok), (3, 3));
    // A new connection that says it at once is another matter: the message comes again later.
    let (sandbox, new, _folder) = scene(SandboxLimits::default()).await;
    sandbox.fault(Fault::once(Stage::Mail, What::ReplyThenClose(words)));
    let report = send(&upstream(new)).await;
    assert!(matches!(report.outcomes[0].fate, Fate::Later | Fate::Waits), "{report:?}");
    // Four that have died in the night, and one log-in in the morning.
    let (sandbox, all, _folder) = scene(SandboxLimits::default()).await;
    let (way, budget) = (upstream(UpstreamSettings { connections: 4, ..all }), Arc::new(Budget::of(100)));
    sandbox.fault(Fault { at: Stage::FinalDot, what: What::Delay(Duration::from_millis(500)), times: 4 });
    for (report, _) in at_once(&way, &budget, 4).await {
        delivered(&report);
    }
    let before = sandbox.stats().logins_ok;
    assert_eq!((before, way.open_connections()), (4, 4));
    sandbox.fault(Fault { at: Stage::Idle, what: What::Close, times: 4 });
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.open == 0)).await.expect("they are cut");
    deliver(&way).await;
    assert_eq!((sandbox.stats().logins_ok, way.open_connections()), (before + 1, 1));
}

#[tokio::test]
async fn a_paused_account_keeps_no_connection() {
    let (sandbox, settings, _folder) = scene(SandboxLimits::default()).await;
    let way = upstream(settings);
    deliver(&way).await;
    way.close_idle().await;
    assert_eq!((way.open_connections(), sandbox.stats().quits), (0, 1));
    // One that is at work carries its message to the end, and no other.
    sandbox.fault(Fault::once(Stage::FinalDot, What::Delay(Duration::from_millis(200))));
    let sent = tokio::spawn({
        let way = way.clone();
        async move { deliver(&way).await }
    });
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.faults == 1)).await.expect("the final dot is there");
    way.close_idle().await;
    assert_eq!(way.open_connections(), 1);
    sent.await.expect("it arrives");
    assert_eq!(way.open_connections(), 0);
    deliver(&way).await;
    assert_eq!((sandbox.stats().accepted, sandbox.stats().logins_ok), (3, 3));
}

#[tokio::test]
async fn a_blocked_port_is_left_for_the_one_that_works() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    let (blocked, tried) = wall().await;
    settings.endpoints = vec![blocked, starttls(&sandbox)];
    let way = upstream(settings);
    for _ in 0..3 {
        deliver(&way).await;
        way.close_idle().await;
    }
    assert_eq!(tried.load(Ordering::Relaxed), 1, "the wall is run into once an hour");
    assert_eq!((sandbox.stats().accepted, sandbox.stats().logins_ok), (3, 3));
}

#[tokio::test]
async fn what_the_provider_says_at_one_port_is_not_asked_again_at_the_other() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    settings.endpoints = vec![implicit(&sandbox), starttls(&sandbox)];
    sandbox.fault(Fault::once(Stage::Connect, What::ReplyThenClose(b"550 Connection frequency limited\r\n".to_vec())));
    let report = send(&upstream(settings.clone())).await;
    assert_ne!(report.condition, Condition::Works);
    assert_eq!(sandbox.stats().connections, 1, "{report:?}");
    settings.secret = SecretSource::Plain(Secret::new("wrongwrongwrongw"));
    send(&upstream(settings.clone())).await;
    assert_eq!((sandbox.stats().connections, sandbox.stats().logins_refused), (2, 1));
    // A line that is cut before the log-in is worth another port; one that is cut in the log-in is not.
    settings.secret = SecretSource::Plain(Secret::new(CODE));
    sandbox.fault(Fault::once(Stage::Ehlo, What::Reset));
    deliver(&upstream(settings.clone())).await;
    assert_eq!(sandbox.stats().connections, 4);
    sandbox.fault(Fault::once(Stage::Auth, What::Reset));
    // The provider has counted that log-in: the account rests.
    let report = send(&upstream(settings)).await;
    assert!(
        matches!(&report.condition, Condition::Account { verdict, .. } if verdict.cause == "lost-log-in"),
        "{report:?}"
    );
    assert_eq!(sandbox.stats().connections, 5);
}

#[tokio::test]
async fn a_fallback_port_without_starttls_hears_no_secret() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let stripped = endpoint(listener.local_addr().expect("it is bound"), Tls::StartTls);
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.write_all(b"220 smtp.test ESMTP\r\n").await.expect("the client reads");
        let mut heard = Vec::new();
        stream.read_buf(&mut heard).await.expect("EHLO");
        stream.write_all(b"250-smtp.test\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n").await.expect("it reads on");
        // To the end, whatever it says.
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    settings.endpoints = vec![wall().await.0, stripped];
    let budget = Budget::of(1);
    let report = send_with(&upstream(settings), &budget).await;
    assert!(line_trouble(&report).contains("does not offer STARTTLS; nothing secret was sent"), "{report:?}");
    let heard = timeout(PATIENCE, heard).await.expect("it hung up").expect("the server is well");
    let text = String::from_utf8(heard).expect("plaintext");
    assert!(text.starts_with("EHLO relay.test\r\n") && !text.contains("AUTH") && !text.contains(CODE), "{text}");
    assert_eq!((budget.asked(), sandbox.stats().connections), (0, 0));
}

/// Somebody whose SYN queue is full: the system drops what comes, as a firewall does.
fn black_hole() -> (Endpoint, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets left");
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("it is bound");
    let addr = listener.local_addr().expect("it is bound");
    let place = endpoint(addr.as_socket().expect("IPv4"), Tls::Implicit);
    let mut all = vec![listener];
    for _ in 0..4 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets left");
        client.set_nonblocking(true).expect("a fresh socket");
        let _ = client.connect(&addr);
        all.push(client);
    }
    (place, all)
}

#[tokio::test]
async fn a_black_hole_costs_the_limit_and_the_other_port_carries_the_mail() {
    let (sandbox, mut settings, _folder) = scene(SandboxLimits::default()).await;
    let (hole, _held) = black_hole();
    settings.limits.dial = Duration::from_millis(300);
    settings.endpoints = vec![hole.clone()];
    let began = Instant::now();
    let report = send(&upstream(settings.clone())).await;
    assert!(line_trouble(&report).contains(&format!("no connection to 127.0.0.1:{} within", hole.port)), "{report:?}");
    assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&began.elapsed()), "{:?}", began.elapsed());
    // Somebody who accepts and says nothing: the handshake has a limit of its own.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mute = (endpoint(mute.local_addr().expect("it is bound"), Tls::Implicit), mute);
    settings.limits.handshake = Duration::from_secs(2);
    settings.endpoints = vec![hole, mute.0, starttls(&sandbox)];
    let way = upstream(settings);
    deliver(&way).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
