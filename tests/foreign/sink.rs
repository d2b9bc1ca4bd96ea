//! The relay sends through smtp-sink, which fails in every way its manual knows: closes, 421, 4xx, 5xx, at each stage.
//!
//! For each fault: the state that follows, the reason that is kept, and after the fault is mended: everything arrives,
//! nothing twice (but what was uncertain), always under the same Message-ID. A front gives the sink TLS and a log-in.

use std::time::Duration;

use crate::support::branch::{Account, Branch};
use crate::support::ca::{self, TestCa};
use crate::support::front::{Ending, Front};
use crate::support::office::field;
use crate::support::sink::{Dump, SmtpSink};
use crate::support::skip::{Missing, need};
use tokio::task::{JoinSet, LocalSet};
use yizhan::mail::Id;
use yizhan::queue::{MessageState, QueueEntry};

const BOX: &str = "box@peer.test";
const MAIL: &[u8] = b"From: a@copier.lan\r\nSubject: x\r\n\r\nfirst\r\n.\r\nlast\r\n";
const HOUR: Duration = Duration::from_secs(3600);

/// What must follow from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// Tried again later; one try spent.
    Deferred,
    /// The account rests; no try spent.
    Waiting,
    /// Failed, and a notice was written.
    Failed,
    /// Tried again later, and counted as perhaps sent.
    Uncertain,
    /// Nothing bad.
    Delivered,
}
use Follows::{Deferred, Delivered, Failed, Uncertain, Waiting};

/// Flags, what follows, a part of the reason that the queue keeps.
type Case = (&'static [&'static str], Follows, &'static str);

struct Scene {
    sink: SmtpSink,
    front: Front,
    branch: Branch,
    _ca: TestCa,
}

impl Scene {
    fn open(flags: &[&str]) -> Result<Scene, Missing> {
        let sink = SmtpSink::start(flags)?;
        let ca = TestCa::new();
        let front = Front::provider(&ca.issue(ca::NAMES), sink.port());
        let account = Account {
            host: "127.0.0.1",
            port: front.port(),
            tls: "implicit",
            ca: ca.file(),
            user: BOX,
            code: "code-16-letters",
        };
        let branch = Branch::open("sink", &account, HOUR);
        Ok(Scene { sink, front, branch, _ca: ca })
    }

    /// How many log-ins were sent, by the wire.
    fn logins(&self) -> usize {
        let sent =
            self.front.connections().into_iter().map(|tapped| String::from_utf8_lossy(&tapped.sent).into_owned());
        sent.map(|sent| sent.matches("AUTH ").count()).sum()
    }
}

fn reason(entry: &QueueEntry) -> String {
    format!("{:?}", entry.recipients[0].outcome)
}

fn dumps_of(sink: &SmtpSink, id: Id) -> Vec<Dump> {
    let own = format!("<{id}@peer.test>");
    sink.dumps().into_iter().filter(|dump| field(&dump.message, "Message-ID").as_deref() == Some(&own)).collect()
}

async fn run((flags, follows, words): Case) {
    let mut scene = Scene::open(flags).expect("the sink was there a moment ago");
    let id = scene.branch.send(&["c@else.test"], MAIL).await;
    let entry = settled(&scene, id, flags, follows).await;
    assert!(reason(&entry).contains(words), "{flags:?}: {}", reason(&entry));
    let before = dumps_of(&scene.sink, id).len();
    let notices = scene.branch.list().await.iter().filter(|entry| entry.notice).count();
    assert_eq!(notices, usize::from(follows == Failed), "{flags:?}: notices");
    assert!(scene.logins() <= 2, "{flags:?}: {} log-ins for one message and one notice", scene.logins());
    if follows == Delivered || follows == Failed {
        return;
    }
    scene.sink.resume_with(&[]);
    match follows {
        // The account rests for an hour; a new code is a reason to try at once.
        Waiting => scene.branch.set_code("a-new-code"),
        Deferred | Failed | Uncertain | Delivered => scene.branch.again(id).await,
    }
    let entry = scene.branch.wait_state(id, MessageState::Delivered).await;
    assert_eq!(entry.tries, u32::from(follows != Waiting), "{flags:?}");
    let dumps = dumps_of(&scene.sink, id);
    assert_eq!(dumps.len(), before + 1, "{flags:?}: one more, and no more");
    // What the sink had at its first dot and did not take is the same message.
    assert!(dumps.windows(2).all(|pair| pair[0] == pair[1]), "{flags:?}: {dumps:?}");
    assert!(dumps[0].message.ends_with(b"\r\n\r\nfirst\r\n.\r\nlast\r\n"), "{flags:?}");
    assert!(dumps[0].mail.starts_with(&format!("<{BOX}>")) && dumps[0].rcpts.len() == 1, "{flags:?}: {dumps:?}");
}

async fn settled(scene: &Scene, id: Id, flags: &[&str], follows: Follows) -> QueueEntry {
    let what = format!("{flags:?}: {follows:?}");
    let state = match follows {
        Deferred | Uncertain => MessageState::Deferred,
        Waiting => MessageState::Waiting,
        Failed => MessageState::Failed,
        Delivered => MessageState::Delivered,
    };
    let done = |entry: &QueueEntry| !matches!(entry.state, MessageState::Queued | MessageState::Sending);
    let entry = scene.branch.wait(id, &what, done).await;
    let wanted = (state, u32::from(matches!(follows, Deferred | Uncertain)), u32::from(follows == Uncertain));
    let got = (entry.state, if entry.state == MessageState::Deferred { entry.tries } else { 0 }, entry.uncertain);
    assert_eq!(got, wanted, "{what}: {}", reason(&entry));
    entry
}

/// Runs all cases side by side: most of their time is waiting.
async fn all(cases: &'static [Case]) {
    need!(SmtpSink::start(&[]));
    // On this thread, which may block; the relays are on the others.
    let (here, mut set) = (LocalSet::new(), JoinSet::new());
    for &case in cases {
        set.spawn_local_on(run(case), &here);
    }
    here.run_until(async {
        while let Some(done) = set.join_next().await {
            if let Err(error) = done {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_095_the_server_closes_without_a_word() {
    all(&[
        (&["-q", "CONNECT"], Deferred, "closed the connection"),
        (&["-q", "EHLO"], Deferred, "after EHLO"),
        (&["-q", "MAIL"], Deferred, "after MAIL"),
        (&["-q", "RCPT"], Deferred, "after RCPT"),
        (&["-q", "DATA"], Deferred, "after DATA"),
        (&["-q", "."], Uncertain, "no reply to the final dot"),
        (&["-q", "QUIT"], Delivered, "250 2.0.0 Ok"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_096_the_server_says_421_and_closes() {
    const WORDS: &str = "421 4.0.0 Server closing connection";
    all(&[
        (&["-Q", "CONNECT"], Deferred, WORDS),
        (&["-Q", "EHLO"], Deferred, WORDS),
        (&["-Q", "MAIL"], Deferred, WORDS),
        (&["-Q", "RCPT"], Deferred, WORDS),
        (&["-Q", "DATA"], Deferred, WORDS),
        (&["-Q", "."], Deferred, WORDS),
        (&["-Q", "QUIT"], Delivered, "250 2.0.0 Ok"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_097_the_server_refuses_for_now() {
    const WORDS: &str = "450 4.3.0 Error: command failed";
    all(&[
        (&["-r", "CONNECT"], Deferred, WORDS),
        (&["-r", "EHLO"], Deferred, WORDS),
        (&["-r", "MAIL"], Deferred, WORDS),
        (&["-r", "RCPT"], Deferred, WORDS),
        (&["-r", "DATA"], Deferred, WORDS),
        (&["-r", "."], Deferred, WORDS),
        (&["-r", "QUIT"], Delivered, "250 2.0.0 Ok"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_098_the_server_refuses_for_good() {
    const WORDS: &str = "500 5.3.0 Error: command failed";
    all(&[
        // Before the log-in, a refusal speaks of us and not of the message.
        (&["-f", "CONNECT"], Waiting, WORDS),
        // HELO would offer no log-in, so it is not even said.
        (&["-f", "EHLO"], Waiting, WORDS),
        (&["-f", "AUTH"], Waiting, WORDS),
        // Words that say nothing may be about the account: the message is not given up at once.
        (&["-f", "MAIL"], Deferred, WORDS),
        (&["-f", "RCPT"], Deferred, WORDS),
        (&["-f", "DATA"], Deferred, WORDS),
        (&["-f", "."], Deferred, WORDS),
        (&["-f", ".", "-B", "554 5.7.1 spam"], Failed, "554 5.7.1 spam"),
        (&["-f", "QUIT"], Delivered, "250 2.0.0 Ok"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_101_a_112_the_server_is_odd_or_slow() {
    all(&[
        // 354, then 550 before the end: the verdict stands, and nothing is uncertain.
        (&["-A", "0"], Deferred, "550 This violates SMTP"),
        (&["-w", "1"], Delivered, "250 2.0.0 Ok"),
        // Without PIPELINING: a sink that waits at RCPT looks at DATA first, and refuses it.
        (&["-p", "-W", "RCPT:1"], Delivered, "250 2.0.0 Ok"),
        (&["-W", ".:1"], Delivered, "250 2.0.0 Ok"),
        (&["-p"], Delivered, "250 2.0.0 Ok"),
        (&["-8"], Delivered, "250 2.0.0 Ok"),
        (&["-E"], Delivered, "250"),
        (&["-n", "1"], Delivered, "250 2.0.0 Ok"),
        // No AUTH is announced: the account cannot work, and no password is sent.
        (&["-a"], Waiting, "no log-in mechanism"),
        (&["-e"], Waiting, "500 5.5.1 Error: unknown command"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_111_a_large_message_through_a_narrow_pipe() {
    let scene = need!(Scene::open(&["-H", "1", "-T", "1024"]));
    let line = format!("{}\r\n", "x".repeat(76));
    let mail = [MAIL, line.repeat(30_000).as_bytes()].concat();
    let id = scene.branch.send(&["c@else.test"], &mail).await;
    scene.branch.wait_state(id, MessageState::Delivered).await;
    let dumps = scene.sink.wait_dumps(1);
    assert!(dumps[0].message.ends_with(&mail[MAIL.len()..]) && dumps[0].message.len() > mail.len());
    assert_eq!(dumps.len(), 1);
}

/// A server that is not ours, or cannot prove it, hears no word at all: not EHLO, and no password.
#[tokio::test(flavor = "multi_thread")]
async fn a_030_a_bad_certificate_hears_nothing() {
    let sink = need!(SmtpSink::start(&[]));
    let (trusted, stranger) = (TestCa::new(), TestCa::new());
    let identities = [trusted.issue_expired(ca::NAMES), trusted.issue(&["mail.other.test"]), stranger.issue(ca::NAMES)];
    for identity in &identities {
        let front = Front::tls(identity, sink.port(), Ending::Orderly);
        let account = Account {
            host: "localhost",
            port: front.port(),
            tls: "implicit",
            ca: trusted.file(),
            user: BOX,
            code: "c",
        };
        let branch = Branch::open("bad", &account, HOUR);
        let id = branch.send(&["c@else.test"], MAIL).await;
        let entry = branch.wait_state(id, MessageState::Deferred).await;
        assert_eq!(entry.tries, 1, "{}", reason(&entry));
        let tapped = front.connections();
        assert!(tapped.iter().all(|one| one.sent.is_empty()), "{tapped:?}");
        assert!(!tapped.is_empty(), "it was tried");
    }
    assert!(sink.dumps().is_empty());
}

/// When nobody can say whether it arrived, copies stop after three, and the owner is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_102_u_09_uncertain_copies_end() {
    let scene = need!(Scene::open(&["-q", "."]));
    let id = scene.branch.send(&["c@else.test"], MAIL).await;
    for uncertain in 1..=2 {
        let entry = scene.branch.wait(id, "uncertain", |entry| entry.uncertain == uncertain).await;
        assert_eq!(entry.state, MessageState::Deferred);
        scene.branch.again(id).await;
    }
    let entry = scene.branch.wait_state(id, MessageState::Failed).await;
    assert!(reason(&entry).contains("may all have arrived"), "{}", reason(&entry));
    let copies = dumps_of(&scene.sink, id);
    assert_eq!(copies.len(), 3);
    assert!(copies.iter().all(|copy| copy == &copies[0]), "same Message-ID, same Date, same everything");
}
