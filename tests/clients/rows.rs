//! What real clients send, row by row: each row over a real socket, in each profile that has an opinion on it.
//!
//! A profile is said twice for every row: once by the listener, once by the entry of a client whose narrow network
//! differs from the listener and from the wider network around it. The queue is real; nobody sends from it, except where
//! a row is about what the provider hears. The same dialogues, cut at every octet, are in `tests/transcripts/`.
//!
//! | rows | what | where |
//! | --- | --- | --- |
//! | Q-001 to Q-012 | connecting, greeting, probes, TLS by mistake, idle connections | `clients/rows/greeting.rs` |
//! | Q-013 to Q-033 | HELO and EHLO | `clients/rows/hello.rs` |
//! | Q-034 to Q-051 | the form of commands and their parameters | `clients/rows/commands.rs` |

mod commands;
mod greeting;
mod hello;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::task::Poll;

use crate::support::door::{Door, client};
use crate::support::office::{Device, Office, endpoint, provider, until};
use crate::support::program::{Program, QUICK, Site, field_of, files};
use crate::support::scripted::{Say, Scripted};
use yizhan::intake::Client;
use yizhan::provider::Tls;
use yizhan::queue::{Inspection as _, MessageState};
use yizhan::sandbox::SandboxLimits;
use yizhan::smtp::server::Profile::{self, Legacy, Strict, Tolerant};

/// Octets of a client, and how each reply to them begins; [`CLOSED`]: the connection ends.
pub(crate) type Step<'a> = (&'a [u8], &'a [&'a str]);
/// Sender and recipients of a message that must be in the queue.
pub(crate) type Kept<'a> = (&'a str, &'a [&'a str]);

pub(crate) const ALL: &[Profile] = &[Strict, Tolerant, Legacy];
pub(crate) const LENIENT: &[Profile] = &[Tolerant, Legacy];
pub(crate) const CLOSED: &str = "";
pub(crate) const GREETING: &str = "220 door.test ESMTP ready";

const START: Step<'_> = (b"", &[GREETING]);

/// A short message, in steps that every profile takes.
pub(crate) const MAIL: Step<'_> =
    (b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", &["250 2.1.0", "250 2.1.5", "354 "]);
pub(crate) const BODY: Step<'_> = (b"Subject: x\r\n\r\nbody\r\n.\r\n", &["250 2.0.0 queued as "]);
/// What it is in the queue.
pub(crate) const LETTER: &[Kept<'_>] = &[("a@b.c", &["d@e.f"])];
pub(crate) const NOTHING: &[Kept<'_>] = &[];

/// In no client's network.
pub(crate) const ANYBODY: [u8; 4] = [127, 0, 8, 1];
/// Says in a PROXY header who the client is.
pub(crate) const BALANCER: [u8; 4] = [127, 0, 7, 1];

/// The address of the client whose own entry says this profile.
pub(crate) fn client_of(profile: Profile) -> [u8; 4] {
    match profile {
        Strict => [127, 0, 11, 1],
        Tolerant => [127, 0, 12, 1],
        Legacy => [127, 0, 13, 1],
    }
}

/// A profile that is not this one.
fn other(profile: Profile) -> Profile {
    match profile {
        Strict => Legacy,
        Tolerant | Legacy => Strict,
    }
}

/// The entries for one profile: the address itself, and the network around it, which says something else.
fn entries(profile: Profile) -> [Client; 2] {
    let [a, b, c, d] = client_of(profile);
    let name = format!("{profile:?}").to_ascii_lowercase();
    let narrow = client(&name, &[&format!("{a}.{b}.{c}.{d}/32")], &[], &[]);
    let wide = client(&format!("around_{name}"), &[&format!("{a}.{b}.{c}.0/24")], &[], &[]);
    [Client { profile: Some(profile), ..narrow }, Client { profile: Some(other(profile)), ..wide }]
}

/// A door whose listener has this profile, and which knows the clients.
pub(crate) fn door(row: &str, listener: Profile) -> Door {
    Door::open(&format!("{row}_{listener:?}"), |plan| {
        plan.listener.profile = listener;
        plan.listener.proxy_from = vec!["127.0.7.1/32".parse().unwrap()];
        plan.clients = ALL.iter().flat_map(|&profile| entries(profile)).collect();
    })
}

/// What became of a message.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) helo: String,
    pub(crate) head: String,
}

/// Plays one dialogue behind the greeting, in each of these profiles, said by the listener and by the client's entry.
/// `kept` is what must be in the queue afterwards, and nothing else.
pub(crate) async fn play(row: &str, profiles: &[Profile], steps: &[Step<'_>], kept: &[Kept<'_>]) -> Vec<Seen> {
    let steps = [[START].as_slice(), steps].concat();
    in_each_way(row, profiles, kept, async |door, from| {
        talk(Device::dial_from(from.into(), door).await, b"", &steps).await;
    })
    .await
}

/// As [`play`], but the octets of the first step are there before the greeting: they come in one piece with the header
/// of a load balancer, before which nobody is greeted.
pub(crate) async fn play_early(row: &str, profiles: &[Profile], steps: &[Step<'_>], kept: &[Kept<'_>]) -> Vec<Seen> {
    in_each_way(row, profiles, kept, async |door, [a, b, c, d]| {
        let header = format!("PROXY TCP4 {a}.{b}.{c}.{d} 127.0.0.1 5000 25\r\n");
        talk(Device::dial_from(BALANCER.into(), door).await, header.as_bytes(), steps).await;
    })
    .await
}

/// Each profile twice: from anybody at a listener that has it, and from its client at one that has another.
async fn in_each_way(
    row: &str,
    profiles: &[Profile],
    kept: &[Kept<'_>],
    talk: impl AsyncFn(SocketAddr, [u8; 4]),
) -> Vec<Seen> {
    let ways = profiles.iter().flat_map(|&one| [(one, ANYBODY), (other(one), client_of(one))]);
    let ways: Vec<(Profile, [u8; 4])> = ways.collect();
    let doors: Vec<(Profile, Door)> = ALL
        .iter()
        .filter(|listener| ways.iter().any(|(wanted, _)| wanted == *listener))
        .map(|&listener| (listener, door(&format!("{row}_{}", profiles.len()), listener)))
        .collect();
    let at = |listener| &doors.iter().find(|(profile, _)| *profile == listener).expect("it was opened").1;
    let both = async |door: SocketAddr, from: [u8; 4]| {
        talk(door, from).await;
        // The next one is served.
        let mut next = Device::dial_from(from.into(), door).await;
        next.expect(GREETING).await;
        next.ask("QUIT", "221").await;
    };
    at_once(ways.iter().map(|&(listener, from)| both(at(listener).addr, from))).await;
    let mut seen = Vec::new();
    for (listener, from) in ways {
        seen.extend(left(at(listener), from, kept).await);
    }
    seen
}

/// All of them at the same time, in this task.
async fn at_once(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    poll_fn(|context| {
        running.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Says what the client says, with `first` in front of it, and compares what is answered.
async fn talk(mut device: Device, first: &[u8], steps: &[Step<'_>]) {
    let mut first = first.to_vec();
    for (octets, replies) in steps {
        first.extend_from_slice(octets);
        if !first.is_empty() {
            device.write(&std::mem::take(&mut first)).await;
        }
        for reply in *replies {
            match *reply {
                CLOSED => assert_eq!(device.reply().await, None, "after {}", octets.escape_ascii()),
                reply => drop(device.expect(reply).await),
            }
        }
    }
}

/// What is left of a client when it is gone: its messages, and no file of any other.
async fn left(door: &Door, from: [u8; 4], kept: &[Kept<'_>]) -> Vec<Seen> {
    until("the session to end", async || (door.capacity.connections() == 0).then_some(())).await;
    let mut seen = Vec::new();
    let mut queued: Vec<(String, Vec<String>)> = Vec::new();
    for entry in door.queued().await.into_iter().filter(|entry| entry.origin.addr == IpAddr::from(from)) {
        let (_, head, _) = door.queue.show(entry.id).await.expect("it is known");
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])), "{head}");
        seen.push(Seen { helo: entry.origin.helo.clone(), head });
        queued.push((entry.sender.to_string(), entry.recipients.iter().map(|one| one.address.to_string()).collect()));
    }
    let kept: Vec<(String, Vec<String>)> =
        kept.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect();
    assert_eq!(queued, kept, "from {from:?}");
    assert_eq!(files(&door.folder.path().join("data/spool")), Vec::<PathBuf>::new());
    seen
}

/// The log of the real program while `talk` speaks to it.
pub(crate) async fn log_of(name: &str, more: &str, talk: impl AsyncFnOnce(SocketAddr)) -> Vec<String> {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, &format!("{QUICK}{more}"));
    let mut command = site.run_command();
    command.env("YIZHAN__LISTENER__LOCAL__PROXY_FROM", "127.0.7.1");
    let program = Program::start(command).await;
    talk(program.door()).await;
    program.stop().await
}

/// Those lines of a log that were noted of a session, without warnings among all of them.
pub(crate) fn noted(log: &[String]) -> Vec<&String> {
    // The site has one account and no webhook, which is nothing of the client's.
    let of_site = |line: &String| field_of(line, "event").as_deref() == Some("alerts_reach_nobody");
    let is_loud = |level: String| level == "WARN" || level == "ERROR";
    let alarm = |line: &&String| field_of(line, "level").is_some_and(is_loud) && !of_site(line);
    assert_eq!(log.iter().find(alarm), None, "a client's manner is nothing to be warned of");
    log.iter().filter(|line| field_of(line, "event").as_deref() == Some("noted")).collect()
}

/// What the provider hears, line by line, of the message that a device hands in with these commands.
pub(crate) async fn heard_upstream(name: &str, steps: &[Step<'_>]) -> Vec<String> {
    let server = Scripted::implicit(|_, _| Say::Usual).await;
    let office = Office::with(name, SandboxLimits::default(), |settings| {
        settings.accounts[0].endpoints = vec![endpoint(server.addr(), Tls::Implicit)];
        settings.accounts[0].ca = Some(server.ca().to_owned());
    })
    .await;
    let mut device = Device::dial(office.door()).await;
    device.expect("220 relay.test").await;
    for (octets, replies) in steps {
        device.write(octets).await;
        for reply in *replies {
            device.expect(reply).await;
        }
    }
    until("the message to be delivered", async || {
        (office.list(&[MessageState::Delivered]).await.len() == 1).then_some(())
    })
    .await;
    server.heard().concat()
}

#[tokio::test]
async fn the_narrowest_network_decides_and_one_that_says_nothing_takes_the_listeners_profile() {
    let silent = client("silent", &["127.0.14.1/32"], &[], &[]);
    let around = Client { profile: Some(Legacy), ..client("around", &["127.0.14.0/24"], &[], &[]) };
    for (listener, answer) in [(Strict, "503 5.5.1"), (Tolerant, "250 2.1.0")] {
        let door = Door::open(&format!("silent_{listener:?}"), |plan| {
            plan.listener.profile = listener;
            plan.clients = vec![around.clone(), silent.clone()];
        });
        let mut device = Device::dial_from([127, 0, 14, 1].into(), door.addr).await;
        device.expect(GREETING).await;
        device.ask("MAIL FROM:<a@b.c>", answer).await;
        let mut neighbour = Device::dial_from([127, 0, 14, 2].into(), door.addr).await;
        neighbour.expect(GREETING).await;
        assert_eq!(neighbour.ask("EHLO x", "250").await, "250 door.test", "one line is the legacy profile's");
    }
}

#[tokio::test]
async fn a_message_ends_at_lf_lf_only_for_a_client_of_the_legacy_profile() {
    let letter = b"HELO x\nMAIL FROM:<a@b.c>\nRCPT TO:<d@e.f>\nDATA\nSubject: x\n\nbody\n.\n";
    let replies = ["250 door.test", "250 2.1.0", "250 2.1.5", "354 "];
    let ended = [&replies[..], &["250 2.0.0 queued as "]].concat();
    play("lf_legacy", &[Legacy], &[(letter, &ended), (b"QUIT\n", &["221", CLOSED])], LETTER).await;
    let more = b"MAIL FROM:<evil@x>\r\n.\r\n";
    let steps: &[Step<'_>] = &[(letter, &replies), (more, &["250 2.0.0 queued as "])];
    let seen = play("lf_tolerant", &[Tolerant], steps, LETTER).await;
    assert!(seen.iter().all(|seen| seen.helo == "x"));
    let refused = ["500 5.5.2"; 8];
    play("lf_strict", &[Strict], &[(letter, &refused)], NOTHING).await;
}
