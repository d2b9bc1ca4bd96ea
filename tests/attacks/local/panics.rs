//! a panic ends its own piece of work, or the process; never something in between.

use std::process::{Command, ExitCode};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use yizhan::admin::control;
use yizhan::admin::{AdminCommand, AdminReply, MessageConditions, Order};
use yizhan::app::Relay;
use yizhan::cli::serve::{Signals, serve};
use yizhan::clock::{Clock, Timestamp};
use yizhan::mail::{Address, Id, Lane, ReversePath};
use yizhan::queue::{MessageOrigin, MessageState, NewMessage, QueueError, StoredBody};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};
use yizhan::telemetry::counter::PANICS;

use super::brittle::{brittle, office, open_queue};
use super::{nobody_home, send, taken};
use crate::support::harm::{start_traced, start_under_strace, under_strace};
use crate::support::load::{Books, Courier};
use crate::support::office::{Device, Office, PATIENCE, field, provider, until};
use crate::support::program::{QUICK, Site, field_of, files};
use crate::support::skip::need;

const MAIL: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";
const FAULT: &str = "421 4.3.0 Internal fault, try again later";

fn panics(office: &Office, task: &str) -> u64 {
    office.relay.counters().sum(PANICS, &[("task", task)])
}

/// Begins a message up to its final dot, with a body that goes into a file.
async fn begin(device: &mut Device) {
    device.ask("MAIL FROM:<device@lan.local>", "250").await;
    device.ask("RCPT TO:<a@else.test>", "250").await;
    device.ask("DATA", "354").await;
    device.write(&[b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcde\r\n".repeat(20_000)].concat()).await;
}

/// A device that was greeted: the place of the one before is free when the relay has seen it go.
async fn admitted(office: &Office) -> Device {
    let mut device = until("a place", async || {
        let mut device = Device::dial(office.door()).await;
        device.reply().await.filter(|greeting| greeting.starts_with("220")).map(|_| device)
    })
    .await;
    device.ask("EHLO device.lan", "250").await;
    device
}

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_a_request_is_answered_500_and_ends_nothing_else() {
    use crate::support::web::ask;
    use yizhan::admin::AdminBind;
    let (office, queue) =
        office("http", |settings| settings.admin.bind = AdminBind::Tcp(([127, 0, 0, 1], 0).into())).await;
    let addr = office.relay.page_address().expect("it listens");
    let token = std::fs::read_to_string(office.settings.queue.data_dir.join("admin.token")).unwrap();
    let mail = serde_json::json!({"to": ["a@example.com"], "subject": "x"});
    for (call, request, well) in [
        ("search", ask("GET /api/v1/messages"), 200),
        // Its command runs on a task of its own.
        ("drop_message", ask("POST /api/v1/messages/0000000000000000/drop"), 404),
        ("put", ask("POST /api/v1/messages").json(&mail), 201),
    ] {
        let request = request.token(token.trim());
        for _ in 0..3 {
            queue.panic_at(call);
            let broken = request.at(addr).await;
            // A panic of one change of many is reported as that of its message.
            assert_eq!((broken.status, broken.json()["error"]["code"].as_str()), (500, Some("internal")), "{call}");
            request.at(addr).await.with_status(well);
        }
    }
    assert_eq!(panics(&office, "http"), 6);
    office.send(&["a@else.test"], MAIL).await;
    assert!(office.relay.stop(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_a_session_ends_that_session_only() {
    let (office, queue) = office("session", |settings| settings.limits.connections_per_client = 2).await;
    let mut bystander = Device::connect(office.door()).await;
    // Twelve in a row, where two have room: the place is given back each time.
    for round in 0..12 {
        let mut device = admitted(&office).await;
        begin(&mut device).await;
        queue.panic_at("put");
        device.write(b".\r\n").await;
        assert_eq!(device.expect("421").await, FAULT, "round {round}");
        assert_eq!(device.reply().await, None);
        bystander.ask("NOOP", "250").await;
    }
    assert_eq!(panics(&office, "session"), 12);
    let left = files(&office.folder.path().join("data/spool"));
    assert!(left.is_empty() && office.list(&MessageState::ALL).await.is_empty(), "{left:?}");
    // Before a word is said of it, too.
    queue.panic_at("draft");
    bystander.ask("MAIL FROM:<device@lan.local>", "250").await;
    bystander.ask("RCPT TO:<a@else.test>", "250").await;
    bystander.write(b"DATA\r\n").await;
    assert_eq!(bystander.expect("421").await, FAULT);
    let id = office.send(&["a@else.test"], MAIL).await;
    office.wait_state(id, MessageState::Delivered).await;
    assert_eq!(office.relay.counters().sum(PANICS, &[]), 13);
    assert!(timeout(Duration::from_secs(5), office.relay.stop(PATIENCE)).await.unwrap(), "nobody is held any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_what_was_taken_before_the_panic_is_acknowledged() {
    let (office, queue) = office("pipelined", |_| {}).await;
    let mut device = Device::connect(office.door()).await;
    let mail = "MAIL FROM:<d@lan.local>\r\nRCPT TO:<a@else.test>\r\nDATA\r\nSubject: one\r\n\r\none\r\n.\r\n";
    // Both in one write: the answer to the first is not on the wire yet when the second meets its panic.
    queue.panic_at_nth("put", 2);
    device.write(format!("{mail}{mail}NOOP\r\n").as_bytes()).await;
    for start in ["250", "250", "354", "250 2.0.0 queued as ", "250", "250", "354", FAULT] {
        device.expect(start).await;
    }
    assert_eq!(device.reply().await, None);
    assert_eq!(office.received(1).await.len(), 1);
    office.wait_empty().await;
    assert_eq!(office.sandbox.stats().accepted, 1, "what was answered 421 is not sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_an_attempt_is_one_try_and_the_account_goes_on() {
    let (office, queue) = office("attempt", |_| {}).await;
    // The log-in is counted in the middle of an attempt; the provider has been asked by then.
    queue.panic_at("add_usage");
    let id = office.send(&["a@else.test"], MAIL).await;
    let entry = office.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.tries, entry.uncertain, panics(&office, "delivery")), (1, 1, 1), "{entry:?}");
    for n in 0..5 {
        let id = office.send(&[&format!("a{n}@else.test")], MAIL).await;
        office.wait_state(id, MessageState::Delivered).await;
    }
    assert_eq!(office.sandbox.stats().accepted, 6, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_before_an_outcome_is_written_gives_the_message_back_and_does_not_spin() {
    let (office, queue) = office("settle", |_| {}).await;
    queue.panic_at("settle");
    let id = office.send(&["a@else.test"], MAIL).await;
    let first = office.received(1).await;
    // It is rested for some seconds, then it is sent again: twice, with the same Message-ID, rather than never.
    let both = office.received(2).await;
    let ids = both.iter().map(|one| field(&one.data, "Message-ID")).collect::<Vec<_>>();
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    assert!(both[1].at.since(first[0].at) >= Duration::from_secs(4), "not at once");
    office.wait_state(id, MessageState::Delivered).await;
    assert_eq!(office.sandbox.stats().accepted, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_an_order_ends_that_order_only() {
    let (office, queue) = office("order", |_| {}).await;
    let data = office.settings.queue.data_dir.clone();
    queue.panic_at("search");
    let filter = MessageConditions::default();
    let list = AdminCommand::Messages { filter, order: Order::Newest, cursor: None, limit: 0 };
    assert!(control::ask(&data, &list).await.is_err(), "no answer is no good answer");
    assert!(matches!(control::ask(&data, &list).await, Ok(AdminReply::Messages { .. })));
    assert_eq!(panics(&office, "order"), 1);
    let id = office.send(&["a@else.test"], MAIL).await;
    office.wait_state(id, MessageState::Delivered).await;
}

/// What everything needs ends the relay, in order, and says what it was; the next one has the mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_a_loop_ends_the_relay_and_loses_nothing() {
    for (call, part) in
        [("first_due", "the delivery"), ("bytes", "the chores"), ("purge", "the chores"), ("unreported", "the reports")]
    {
        let (office, queue) = office("loop", |_| {}).await;
        nobody_home(&office.sandbox);
        let id = office.send(&["a@else.test"], MAIL).await;
        let Office { relay, sandbox, settings, folder } = office;
        let mut relay = relay;
        if matches!(call, "unreported" | "purge") {
            // Asked once at the start: so the relay is started again, on the same queue.
            relay.stop(PATIENCE).await;
            let again = brittle(open_queue(&settings));
            again.panic_at(call);
            relay = Relay::on(again, &settings, Clock::system()).unwrap();
        } else {
            queue.panic_at(call);
            // Whatever it is answered: the relay may be on its way out already.
            if let Ok(mut courier) = Courier::connect(relay.addresses()[0].1).await {
                let _ = courier.send(MAIL).await;
            }
        }
        let broken = timeout(PATIENCE, relay.broken()).await.unwrap_or_else(|_| panic!("{call}: it goes on half dead"));
        assert_eq!(broken, part, "{call}");
        sandbox.clear_faults();
        relay.stop(Duration::from_millis(200)).await;
        drop(queue);
        let relay =
            until("the old one to let go of the folder", async || Relay::start(&settings, Clock::system()).ok()).await;
        let office = Office { relay, sandbox, settings, folder };
        office.wait_state(id, MessageState::Delivered).await;
    }
}

/// Octets that panic when they are dropped on the queue's own thread.
struct Bomb(Vec<u8>);

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if std::thread::current().name() == Some("queue-writer") && !std::thread::panicking() {
            panic!("on purpose in the writer");
        }
    }
}

/// A message that is too large to be kept in memory once it is written: its octets are dropped by the writer.
fn bomb() -> NewMessage {
    let now = Timestamp::from_millis(1_795_255_200_000);
    NewMessage {
        id: Id::new(now, 7),
        received: now,
        expires: now + Duration::from_secs(1000),
        origin: MessageOrigin {
            key: yizhan::mail::ClientKey::of_relay(),
            client: "bomb".to_owned(),
            addr: [127, 0, 0, 1].into(),
            listener: "local".to_owned(),
            helo: "bomb".to_owned(),
        },
        sender: ReversePath::Null,
        recipients: vec![Address::parse("a@else.test").unwrap()],
        head: Bytes::from(b"Subject: bomb\r\n".to_vec()),
        body: StoredBody::from(Bytes::from_owner(Bomb(vec![b'x'; 3 << 20]))),
        repairs: Vec::new(),
        notice: false,
        subject: None,
        message_id: None,
        lane: Lane::Normal,
        pool: "nobody".to_owned(),
    }
}

async fn break_the_writer(relay: &Relay) {
    assert!(matches!(relay.queue().put(bomb()).await, Err(QueueError::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_panic_in_the_queues_thread_ends_the_relay_and_loses_nothing() {
    let office = Office::open("writer").await;
    nobody_home(&office.sandbox);
    let id = office.send(&["a@else.test"], MAIL).await;
    let mut device = Device::connect(office.door()).await;
    begin(&mut device).await;
    break_the_writer(&office.relay).await;
    assert_eq!(timeout(PATIENCE, office.relay.broken()).await.expect("it goes on half dead"), "the queue");
    // What was on its way in is not taken, and is told so.
    device.write(b".\r\n").await;
    device.expect("451 4.3.0").await;
    let Office { relay, sandbox, settings, folder } = office;
    sandbox.clear_faults();
    relay.stop(Duration::from_secs(1)).await;
    let relay = Relay::start(&settings, Clock::system()).unwrap();
    let office = Office { relay, sandbox, settings, folder };
    office.wait_state(id, MessageState::Delivered).await;
}

/// The child of the next test: a relay in the foreground, whose queue breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_breaks() {
    if std::env::var_os("YIZHAN_TEST_BREAKS").is_none() {
        return;
    }
    let Office { relay, .. } = Office::open("breaks").await;
    let signals = Signals::listen().unwrap();
    break_the_writer(&relay).await;
    let code = timeout(PATIENCE, serve(relay, signals)).await.expect("it ends by itself");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}

#[test]
fn a_093_a_relay_that_is_broken_exits_with_1() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let ran =
        child.args(["--exact", "local::panics::child_that_breaks"]).env("YIZHAN_TEST_BREAKS", "1").output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}

/// In the real program: the system says that more was written than there was, which no code expects. One line of the
/// log, the client is told, the next one is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_the_program_says_a_panic_on_one_line_with_its_place() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.fault(Fault::forever(Stage::Connect, What::Stall));
    let site = Site::new("panic", &sandbox, QUICK);
    // The first write of the thread that serves everybody is the greeting, the second the answer to EHLO.
    let inject = "inject=sendto:retval=70000:when=2";
    let relay = need!(start_under_strace(&site, &["-e", "trace=sendto", "-e", inject]).await);
    let mut device = Device::dial(relay.door()).await;
    device.expect("220").await;
    device.write(b"EHLO device.lan\r\n").await;
    while device.expect("").await != FAULT {}
    assert_eq!(device.reply().await, None);
    let books = Books::default();
    taken(&books, relay.door(), 500).await;
    let [line] = &relay.told("panic")[..] else { panic!("{:?}", relay.lines()) };
    let place = field_of(line, "place").expect("it has a place");
    assert!(place.contains(".rs:") && field_of(line, "thread").is_some(), "{line}");
    assert_eq!(relay.told("session_broken").len(), 1);
    assert!(relay.lines().iter().all(|line| line.starts_with('{')), "{:?}", relay.lines());
}

/// The system refuses the write with which the runtime wakes its own threads: nothing can go on. One line of the log, with
/// what the system said, and the end of the process; the next one has the mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_093_a_runtime_that_cannot_be_woken_ends_the_process_with_one_line() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.fault(Fault::forever(Stage::Connect, What::Stall));
    let site = Site::new("wakeup", &sandbox, QUICK);
    let books = Books::default();
    for when in [1, 2, 7] {
        let inject = format!("inject=write:error=EIO:when={when}+");
        let options = ["-P", "anon_inode:[eventfd]", "-e", "trace=write", "-e", &inject];
        let mut command = need!(under_strace(&site, &options));
        // What an operator sets to learn more must not bury the line.
        command.env("RUST_BACKTRACE", "1");
        let relay = need!(start_traced(command).await);
        // Whatever wakes it: at the latest a message does.
        until("the process to end", async || {
            let _ = send(&books, relay.door(), 500).await;
            relay.ended().then_some(())
        })
        .await;
        let (status, lines) = relay.end().await;
        let text = lines.join("\n");
        assert_eq!(status.code(), Some(1), "{when}: {text}");
        assert!(lines.iter().all(|line| line.starts_with('{')), "{when}: {text}");
        let errors: Vec<_> =
            lines.iter().filter(|line| field_of(line, "level").is_some_and(|level| level == "error")).collect();
        let [line] = &errors[..] else { panic!("{when}: {text}") };
        assert!(
            line.contains("\"broken\"") && field_of(line, "part").is_some_and(|part| part == "the runtime"),
            "{line}"
        );
        assert!(line.contains("Input/output error") && line.len() < 500, "{line}");
    }
    sandbox.clear_faults();
    let relay = site.start().await;
    site.drained(&sandbox).await;
    relay.stop().await;
    books.audit(&sandbox.received());
}
