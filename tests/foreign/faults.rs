//! Clients that break off, say strange names, guess, or come in crowds: swaks at every stop it knows, smtp-source in its odd
//! moods, and nmap as somebody who looks for an open relay.
//!
//! After each, what was handed over whole is at the provider exactly once, nothing else is, and a fresh session is answered. Not
//! here: what our own test client does wrong (the program `listener`), and clients that behave (`foreign::clients`, `foreign::apps`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::support::clients::{self, Letter, Ran, Target, run};
use crate::support::folder::Folder;
use crate::support::office::{Device, field};
use crate::support::offload;
use crate::support::peers::program;
use crate::support::reception::{LOGIN, PASSWORD, Reception, illegal};
use crate::support::skip::{Missing, need};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use yizhan::intake::{Client, ListenerSettings};
use yizhan::message::Level;
use yizhan::route::Pattern;
use yizhan::telemetry::counter::{ACCEPTED, REFUSED};

/// Runs swaks with each list of arguments, four at a time; each letter has the place in the list as its subject. Gives how they ended.
async fn each(reception: &Arc<Reception>, runs: &[(Target, Vec<String>)]) -> Result<Vec<Ran>, Missing> {
    let (gate, mut tasks) = (Arc::new(Semaphore::new(4)), Vec::new());
    for (number, (target, words)) in runs.iter().cloned().enumerate() {
        let (gate, reception) = (gate.clone(), reception.clone());
        tasks.push(tokio::spawn(async move {
            let _turn = gate.acquire().await.expect("nobody closes it");
            let letter = Letter::new("report@erp.lan", &["a@else.test"], format!("Subject: {number}\r\n\r\n.x\r\n"));
            let words: Vec<String> = words;
            let ran = offload(move || {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                clients::swaks(&target, &letter, &words)
            });
            let ran = ran.await;
            reception.answers().await;
            ran
        }));
    }
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await.expect("it did not panic")?);
    }
    Ok(ended)
}

/// The subjects of what is at the provider are these, each once.
async fn only(reception: &Reception, wanted: &BTreeSet<usize>) {
    let received = reception.exactly(wanted.len()).await;
    let subjects = received.iter().map(|one| field(&one.data, "Subject").expect("swaks gave it one"));
    assert_eq!(&subjects.map(|text| text.parse().expect("a number")).collect::<BTreeSet<usize>>(), wanted);
    for one in &received {
        assert_eq!(illegal(&one.data), None);
        assert!(one.data.ends_with(b"\r\n\r\n.x\r\n"), "{}", one.data.escape_ascii());
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_077_a_client_that_stops_anywhere_leaves_a_whole_message_or_none() {
    let reception = Arc::new(Reception::open("stops", |_| {}).await);
    let (mut runs, mut wanted) = (Vec::new(), BTreeSet::new());
    for more in ["", "--pipeline"] {
        for point in ["CONNECT", "BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT"] {
            for how in ["--drop-after", "--drop-after-send", "--quit-after"] {
                // What swaks does not know, and where it sends nothing and so does not stop.
                if matches!(
                    (how, point),
                    ("--quit-after", "DATA" | "DOT") | ("--drop-after-send", "CONNECT" | "BANNER")
                ) {
                    continue;
                }
                // The dot is out: the message counts, whether its reply is read or not (RFC 1047).
                if point == "DOT" {
                    wanted.insert(runs.len());
                }
                runs.push((reception.plain(), words(&format!("{more} {how} {point}"))));
            }
        }
    }
    for point in ["FIRST-HELO", "TLS", "HELO", "AUTH", "RCPT", "DATA", "DOT"] {
        for how in ["--drop-after", "--drop-after-send"] {
            if point == "DOT" {
                wanted.insert(runs.len());
            }
            runs.push((reception.secure(), words(&format!("{how} {point}"))));
        }
    }
    let ended = need!(each(&reception, &runs).await);
    assert_eq!((ended.len(), wanted.len()), (48, 6));
    for (ran, (_, words)) in ended.iter().zip(&runs) {
        assert!(!ran.output.contains("Unknown") && ran.status != 1, "{words:?}: {}", ran.output);
    }
    only(&reception, &wanted).await;
}

/// Names that real clients say, and how our Received field writes them down.
#[tokio::test(flavor = "multi_thread")]
async fn q_013_to_q_025_every_name_is_taken() {
    const NAMES: &[(&str, &str)] = &[
        ("_", "from _ ("),
        ("~^wildcard", "from ~^wildcard ("),
        ("PhpStorm 9.0.3", "from PhpStorm ("),
        ("   ", "from unknown ("),
        ("https://ferdium.example.com", "from https://ferdium.example.com ("),
        // A backslash has no place in a Received field, so `\xc3` loses its own.
        ("MÜLLER-PC", "from M?xc3?x9cLLER-PC ("),
        ("FE80::1", "from FE80::1 ("),
        ("[IPv6:::1]", "from [IPv6:::1] ("),
        ("localhost", "from localhost ("),
        ("[127.0.0.1]", "from [127.0.0.1] ("),
        ("bad_name.-with spaces and (brackets)", "from bad_name.-with ("),
        ("[Windows.Networking.Connectivity", "from [Windows.Networking.Connectivity ("),
    ];
    let reception = Arc::new(Reception::open("names", |_| {}).await);
    let mut runs = Vec::new();
    for protocol in ["ESMTP", "SMTP"] {
        for (name, _) in NAMES {
            runs.push((reception.plain(), ["--helo", name, "--protocol", protocol].map(str::to_owned).to_vec()));
        }
    }
    for (ran, (_, words)) in need!(each(&reception, &runs).await).iter().zip(&runs) {
        assert!(ran.ok(), "{words:?}: {}", ran.output);
    }
    only(&reception, &(0..runs.len()).collect()).await;
    for one in reception.office.sandbox.received() {
        let number: usize = field(&one.data, "Subject").unwrap().parse().unwrap();
        let trace = field(&one.data, "Received").expect("the relay leaves a trace");
        let with = if number < NAMES.len() { " with ESMTP id " } else { " with SMTP id " };
        assert!(trace.starts_with(NAMES[number % NAMES.len()].1) && trace.contains(with), "{trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_is_right_or_nothing_comes_in() {
    let reception = Arc::new(Reception::open("log-ins", |_| {}).await);
    let (clear, secure) = (reception.login(), reception.secure());
    let wrong = |target: &Target| {
        let login = target.login.as_ref().map(|(user, _)| (user.clone(), "wrong".to_owned()));
        Target { login, ..target.clone() }
    };
    let nobody = |target: &Target| Target { login: None, ..target.clone() };
    let naked = |target: &Target| Target { tls: clients::Tls::Off, ..target.clone() };
    // The target, what more is said, the reply that decides.
    let table = [
        (clear.clone(), "--auth LOGIN", "235 2.7.0"),
        (clear.clone(), "--auth PLAIN", "235 2.7.0"),
        (secure.clone(), "--auth LOGIN", "235 2.7.0"),
        (secure.clone(), "--auth PLAIN", "235 2.7.0"),
        (secure.clone(), "--auth PLAIN --pipeline", "235 2.7.0"),
        (wrong(&clear), "--auth LOGIN", "535 5.7.8"),
        (wrong(&clear), "--auth PLAIN", "535 5.7.8"),
        (wrong(&secure), "--auth LOGIN", "535 5.7.8"),
        // It goes on without: the door does not.
        (wrong(&clear), "--auth-optional LOGIN", "530 5.7.0"),
        (nobody(&clear), "", "530 5.7.0"),
        (nobody(&secure), "", "530 5.7.0"),
        // In the clear AUTH is not offered where TLS is, and nothing else is.
        (naked(&secure), "--auth LOGIN", "250-STARTTLS"),
        (clear.clone(), "--auth CRAM-MD5", "250-AUTH LOGIN PLAIN"),
        (reception.any(), "--auth LOGIN", "235 2.7.0"),
        (wrong(&reception.any()), "--auth PLAIN", "235 2.7.0"),
    ];
    let runs: Vec<_> = table.iter().map(|(target, more, _)| (target.clone(), words(more))).collect();
    let ended = need!(each(&reception, &runs).await);
    let mut wanted = BTreeSet::new();
    for (number, (ran, (_, more, reply))) in ended.iter().zip(&table).enumerate() {
        let good = *reply == "235 2.7.0";
        assert!(ran.ok() == good && ran.output.contains(reply), "{number} {more}: {} {}", ran.status, ran.output);
        wanted.extend(good.then_some(number));
    }
    only(&reception, &wanted).await;
}

/// As many files as the system lets us have, for this process and the clients it starts.
fn many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
        .expect("up to the hard limit everybody may go");
    assert!(most.is_none_or(|most| most >= 4096), "{most:?} files are not enough for two sides of 500 connections");
}

/// smtp-source with its own message; it prints nothing when all is well.
async fn smtp_source(reception: &Reception, to: &str, more: &str) -> Result<(), Missing> {
    let (program, place) = (program("smtp-source")?, format!("127.0.0.1:{}", reception.door("open").port()));
    let (more, to) = (words(more), to.to_owned());
    let ran = offload(move || {
        run(&program, |command| {
            command.args(["-M", "client.test", "-f", "report@erp.lan", "-t", &to]).args(&more).arg(place);
        })
    });
    let ran = ran.await;
    assert!(ran.ok() && ran.output.is_empty(), "{}", ran.output);
    Ok(())
}

/// No HELO and no header, one message after the other, a hundred recipients, big ones: one office takes them all.
#[tokio::test(flavor = "multi_thread")]
async fn q_018_smtp_source_in_its_moods() {
    let reception = Reception::open("moods", |_| {}).await;
    need!(smtp_source(&reception, "old@else.test", "-o -m 5").await);
    need!(smtp_source(&reception, "kept@else.test", "-d -s 20 -m 200").await);
    need!(smtp_source(&reception, "many@else.test", "-r 100 -m 3").await);
    need!(smtp_source(&reception, "big@else.test", "-l 5000000 -s 2 -m 4").await);
    // The preset gives the provider twenty recipients at a time.
    let received = reception.settled(5 + 200 + 3 + 4, 5 + 200 + 3 * 5 + 4).await;
    let to = |name: &str| received.iter().filter(|one| one.to[0].ends_with(name)).collect::<Vec<_>>();
    for one in &received {
        assert_eq!(illegal(&one.data), None);
    }
    let old = to("old@else.test");
    assert_eq!((old.len(), to("kept@else.test").len()), (5, 200));
    for one in old {
        assert!(field(&one.data, "Received").is_some_and(|trace| trace.starts_with("from unknown (")));
    }
    let mut copies = BTreeMap::new();
    for address in to("many@else.test").into_iter().flat_map(|one| &one.to) {
        *copies.entry(address).or_insert(0) += 1;
    }
    assert!(copies.len() == 100 && copies.values().all(|&count| count == 3), "{copies:?}");
    let big = to("big@else.test");
    assert_eq!(big.len(), 4);
    assert!(big.iter().all(|one| one.data.len() > 5_000_000));
}

/// Five hundred sessions at a time: every message comes, once, and nobody is refused for want of room.
#[tokio::test(flavor = "multi_thread")]
async fn q_122_smtp_source_five_hundred_at_a_time() {
    many_files();
    let reception = Reception::open("crowd", |_| {}).await;
    need!(smtp_source(&reception, "a@else.test", "-N -s 500 -m 1000").await);
    let received = reception.exactly(1000).await;
    assert_eq!(received.iter().map(|one| &one.to).collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(reception.office.relay.counters().sum(REFUSED, &[]), 0);
}

/// nmap with its scripts against doors, from 127.0.0.1. Gives what the scripts said: each line with the place of its door in the list.
async fn nmap(reception: &Reception, doors: &[&str], scripts: &str, more: &str) -> Result<Vec<String>, Missing> {
    let ports: Vec<_> = doors.iter().map(|door| reception.door(door).port().to_string()).collect();
    let (program, list, more) = (program("nmap")?, ports.join(","), words(more));
    // The plus sign: whatever nmap thinks is behind the port.
    let scripts = scripts.split(' ').map(|script| format!("+{script}")).collect::<Vec<_>>().join(",");
    let ran = offload(move || {
        run(&program, |command| {
            command.args(["-sT", "-Pn", "-n", "-vv", "--script", &scripts, "-p", &list]).args(more).arg("127.0.0.1");
        })
    });
    let ran = ran.await;
    assert!(ran.ok(), "{}", ran.output);
    let (mut place, mut lines) = (0, Vec::new());
    for line in ran.output.lines() {
        let port = line.split_once("/tcp ").map(|(port, _)| port);
        if let Some(own) = ports.iter().position(|own| port == Some(own)) {
            place = own;
        } else if let Some(said) = line.strip_prefix('|') {
            lines.push(format!("{place} {}", said.trim_start_matches(['_', ' '])));
        }
    }
    Ok(lines)
}

/// From an address that is not listed, at whatever door, and from one that may write to few: none of nmap's sixteen forms passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_050_nmap_finds_no_open_relay() {
    let reception = Reception::open("foreign", |settings| {
        let few = ListenerSettings { name: "few".to_owned(), ..settings.listeners[0].clone() };
        for door in &mut settings.listeners[..2] {
            // nmap comes from 127.0.0.1.
            door.allow = vec!["127.0.0.2/32".parse().unwrap()];
        }
        settings.listeners.push(few);
        settings.clients = vec![bound("127.0.0.1/32", "*@corp.example")];
    });
    let reception = reception.await;
    let said = need!(nmap(&reception, &["open", "any", "login", "secure", "few"], "smtp-open-relay", "").await);
    for (place, wanted) in [
        "SMTP EHLO nmap.scanme.org: failed to receive data: connection closed",
        "SMTP EHLO nmap.scanme.org: failed to receive data: connection closed",
        "Server isn't an open relay, authentication needed",
        "Server isn't an open relay, authentication needed",
        "Server doesn't seem to be an open relay, all tests failed",
    ]
    .iter()
    .enumerate()
    {
        let line = format!("{place} smtp-open-relay: {wanted}");
        assert!(said.contains(&line), "{line}: {said:#?}");
    }
    assert_eq!(said.len(), 5, "{said:#?}");
    assert_eq!(reception.office.relay.counters().sum(ACCEPTED, &[]), 0);
    let mut device = Device::dial_from([127, 0, 0, 2].into(), reception.door("open")).await;
    device.expect("220").await;
    device.ask("EHLO device.lan", "250").await;
    device.send("device@lan.local", &["a@else.test"], b"Subject: own\r\n\r\nx\r\n").await;
    assert_eq!(reception.office.received(1).await[0].to, ["a@else.test"]);
}

/// A client that may write to these only.
fn bound(from: &str, to: &str) -> Client {
    Client {
        name: "few".to_owned(),
        from: vec![from.parse().unwrap()],
        display: None,
        charset: None,
        reply_to: None,
        subject_prefix: None,
        drop_cron_env: false,
        profile: None,
        idle: None,
        level: Level::Full,
        lane: Default::default(),
        senders: Vec::new(),
        null_sender: true,
        recipients: vec![Pattern::parse(to).unwrap()],
    }
}

/// Whoever may send may send to these, literally: `%` and `!` are letters, a route is dropped. What has no domain, an address for
/// one, or two at signs goes nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_051_nmap_from_an_allowed_address() {
    let reception = Reception::open("allowed", |_| {}).await;
    let scripts =
        "smtp-open-relay smtp-commands smtp-enum-users smtp-ntlm-info smtp-vuln-cve2011-1720 smtp-vuln-cve2011-1764";
    let more = "--script-args smtp-enum-users.methods={VRFY,EXPN,RCPT}";
    let said = need!(nmap(&reception, &["open"], scripts, more).await);
    let about = |name: &str| {
        let mut rest = said.iter().skip_while(|line| !line.starts_with(&format!("0 {name}: ")));
        let head = rest.next().map(|line| line.as_str());
        let others = rest.take_while(|line| !line.starts_with("0 smtp-")).map(|line| line[2..].to_owned());
        (head, others.collect::<Vec<_>>())
    };
    let (head, passed) = about("smtp-open-relay");
    assert_eq!(head, Some("0 smtp-open-relay: Server is an open relay (8/16 tests)"));
    let to = ["relaytest@nmap.scanme.org"; 4].into_iter().chain(FORMS.map(|(asked, _)| asked));
    let from = ["", "antispam@nmap.scanme.org", "antispam@relay.test"].into_iter().chain(["antispam@[127.0.0.1]"; 5]);
    let wanted: Vec<_> = from.zip(to).map(|(from, to)| format!("MAIL FROM:<{from}> -> RCPT TO:<{to}>")).collect();
    assert_eq!(passed, wanted);
    // Nobody is told who exists: VRFY and EXPN say nothing, and RCPT says yes to all.
    let (_, users) = about("smtp-enum-users");
    assert!(users.len() == 10 && users.iter().all(|line| line.starts_with("RCPT, ")), "{users:?}");
    let (head, _) = about("smtp-commands");
    assert_eq!(head, Some("0 smtp-commands: relay.test, SIZE 52428800, 8BITMIME, PIPELINING, HELP"));
    for name in ["smtp-ntlm-info", "smtp-vuln-cve2011-1720", "smtp-vuln-cve2011-1764"] {
        assert_eq!(about(name), (None, Vec::new()), "nothing was found");
    }

    let mut device = Device::connect(reception.door("open")).await;
    for (asked, _) in FORMS {
        device.send("device@lan.local", &[asked], b"Subject: form\r\n\r\nx\r\n").await;
    }
    let received = reception.exactly(FORMS.len()).await;
    let reached: BTreeSet<_> = received.iter().map(|one| one.to[0].as_str()).collect();
    assert_eq!(reached, FORMS.map(|(_, reached)| reached).into());
}

/// The odd forms of nmap that pass, and whom they reach.
const FORMS: [(&str, &str); 4] = [
    ("relaytest%nmap.scanme.org@relay.test", "relaytest%nmap.scanme.org@relay.test"),
    ("@[127.0.0.1]:relaytest@nmap.scanme.org", "relaytest@nmap.scanme.org"),
    ("@relay.test:relaytest@nmap.scanme.org", "relaytest@nmap.scanme.org"),
    ("nmap.scanme.org!relaytest@relay.test", "nmap.scanme.org!relaytest@relay.test"),
];

/// nmap finds a password that it knows already, so it would find others; of two wrong ones it learns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_059_nmap_guesses_passwords() {
    let reception = Reception::open("guesses", |_| {}).await;
    let folder = Folder::new("lists");
    for (users, passwords, found) in [
        (LOGIN, PASSWORD, format!("{LOGIN}:{PASSWORD} - Valid credentials")),
        ("printer\nnobody", "wrong", String::new()),
    ] {
        let lists = format!(
            "userdb={},passdb={},brute.useraspass=false",
            folder.file("users", format!("{users}\n")).display(),
            folder.file("passwords", format!("{passwords}\n")).display()
        );
        let said = need!(nmap(&reception, &["login"], "smtp-brute", &format!("--script-args {lists}")).await);
        let found = if found.is_empty() { "Accounts: No valid accounts found" } else { &found };
        assert!(said.iter().any(|line| line.ends_with(found)), "{found}: {said:#?}");
    }
    assert_eq!(reception.office.relay.counters().sum(ACCEPTED, &[]), 0);
    reception.answers().await;
}
