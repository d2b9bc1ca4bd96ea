//! What real clients do in a session, row by row: how they log in, begin TLS, write lines and dots, and go away.
//!
//! For the rows of DATA the whole relay is at work, and what counts is what the pretended provider has. What the repair
//! makes of each mail by itself is in `golden`, the dialogues by themselves in `transcripts`, and foreign programs that
//! send are in `foreign::clients`.
//!
//! | row | what | where |
//! | --- | --- | --- |
//! | Q-052 | any log-in, or none | `login`; `listener::intake::q_052_*`; `listener::auth::q_052_*` |
//! | Q-053 to Q-056, Q-058 | the forms of LOGIN and PLAIN | `listener::auth::q_053_to_q_058_*` |
//! | Q-057, Q-059 to Q-069 | odd and useless log-ins, what is announced | `login`; the log: `smtp::server::tests::q_057_*` |
//! | Q-070, Q-074 to Q-077 | old TLS, no TLS, impatient TLS | `tls` |
//! | Q-071, Q-073 | STARTTLS without a certificate | `listener::tls::q_071_q_073_*` |
//! | Q-072 | what is announced can be done | `tls`; `listener::tls::q_072_*` |
//! | Q-078 to Q-085 | line ends and dots | `data` |
//! | Q-086 to Q-090 | odd beginnings, nothing at all, long lines, NUL | `content` |
//! | Q-111, Q-112, Q-125 | one write, literal codes | `replies` |
//! | Q-113, Q-114, Q-123 | leaving early | `endings`; `listener::intake::q_114_*`, `listener::intake::q_123_*` |
//! | Q-115, Q-120, Q-121 | leaving in order, many messages | `endings` |
//! | Q-116 to Q-118 | pipelining, BDAT, SMTPUTF8 | `replies` |
//! | Q-119, Q-122 | quick answers, bursts | `endings`; the sync before the 250: `delivery::disk`; the cap of a client: `delivery::relay` |
//! | Q-124, Q-126, Q-127 | what is not run, loops, strangers | `replies`; PROXY: `listener::networks` |

mod content;
mod data;
mod endings;
mod login;
mod replies;
mod tls;

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use crate::support::branch::body;
use crate::support::door::{Door, Plan};
use crate::support::endings::has_bare;
use crate::support::office::{Device, Office};
use yizhan::sandbox::{Received, SandboxLimits};
use yizhan::smtp::server::Profile;

pub(crate) const PROFILES: [Profile; 3] = [Profile::Strict, Profile::Tolerant, Profile::Legacy];
pub(crate) const LENIENT: [Profile; 2] = [Profile::Tolerant, Profile::Legacy];
/// A header in which nothing is missing that the client could have written.
pub(crate) const HEAD: &str = "From: Printer <printer@lan.local>\r\nTo: boss@else.test\r\nSubject: scan\r\n\r\n";

/// A listener with this profile, by itself.
pub(crate) fn door(name: &str, profile: Profile) -> Door {
    door_with(name, profile, |_| {})
}

/// As [`door`], after `change` has had a hand in it.
pub(crate) fn door_with(name: &str, profile: Profile, change: impl FnOnce(&mut Plan)) -> Door {
    Door::open(name, |plan| {
        plan.listener.profile = profile;
        change(plan);
    })
}

/// A provider, and a relay whose listener has this profile.
pub(crate) async fn office(name: &str, profile: Profile) -> Office {
    Office::with(name, SandboxLimits::default(), |settings| settings.listeners[0].profile = profile).await
}

/// Says MAIL, RCPT and DATA, each line with this end, and then `data` as it is, its end included. Gives the verdict.
pub(crate) async fn hand_in(device: &mut Device, line_end: &str, data: &[u8]) -> Option<String> {
    for (command, code) in
        [("MAIL FROM:<printer@lan.local>", "250"), ("RCPT TO:<boss@else.test>", "250"), ("DATA", "354")]
    {
        device.write(format!("{command}{line_end}").as_bytes()).await;
        device.expect(code).await;
    }
    device.write(data).await;
    device.reply().await
}

/// Hands in a message over a new connection, and gives what the provider has of it: one message more than before, and
/// legal (RFC 5322 sections 2.1.1 and 2.3).
pub(crate) async fn relayed(office: &Office, line_end: &str, data: &[u8]) -> Received {
    let before = office.sandbox.received().len();
    let mut device = Device::connect(office.door()).await;
    let verdict = hand_in(&mut device, line_end, data).await.expect("a verdict");
    assert!(verdict.starts_with("250 2.0.0 queued as "), "{verdict}: {}", data.escape_ascii());
    device.ask("QUIT", "221").await;
    let one = office.received(before + 1).await.remove(before);
    office.wait_empty().await;
    assert_eq!(office.sandbox.received().len(), before + 1, "one message is one message");
    assert!(!has_bare(&one.data) && !one.data.contains(&0), "{}", one.data.escape_ascii());
    let longest = one.data.split(|&octet| octet == b'\n').map(<[u8]>::len).max();
    assert!(longest <= Some(999), "{longest:?}");
    assert_eq!(one.to, ["boss@else.test"]);
    one
}

/// As [`relayed`]; gives the body alone, as text to compare.
pub(crate) async fn relayed_body(office: &Office, line_end: &str, data: &[u8]) -> String {
    body(&relayed(office, line_end, data).await.data).escape_ascii().to_string()
}

/// Everything that is said until the connection ends, or until nothing is left to say.
pub(crate) async fn replies(device: &mut Device) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(reply) = device.reply().await {
        all.push(reply);
    }
    all
}

/// Connects, says everything in one write behind the greeting, closes its half like `nc -N`, and gives the codes of all
/// replies.
pub(crate) async fn blindly(door: std::net::SocketAddr, session: &[u8]) -> Vec<String> {
    let mut device = Device::dial(door).await;
    let greeting = device.expect("220").await;
    device.write(session).await;
    device.close_half().await;
    codes(&[vec![greeting], replies(&mut device).await].concat())
}

/// The codes of replies; for refusals with the enhanced ones.
pub(crate) fn codes(replies: &[String]) -> Vec<String> {
    let code = |reply: &String| reply[..if reply.starts_with(['4', '5']) { 9 } else { 3 }].to_owned();
    replies.iter().map(code).collect()
}

/// What the whole process logs, from `debug` on. Tests tell their lines apart by an address or a listener's name.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn listen() -> Log {
        static ALL: OnceLock<Log> = OnceLock::new();
        let log = ALL.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::DEBUG);
            let subscriber = subscriber.with_writer(move || writer.clone()).finish();
            tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
            log
        });
        log.clone()
    }

    /// The lines so far that have all of these words.
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        text.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
