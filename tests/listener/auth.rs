//! Log-ins at the door, over sockets: who gets in and who does not, what a guesser learns (nothing) and gets (slow, then
//! locked out), and what a user is bound to.

use std::time::Duration;

use crate::support::clients::{self, Letter, Ran, Target};
use crate::support::entrance::{ENDLESS, Entrance, Line, Plan, base64, client, plain, user};
use crate::support::office::{provider, until};
use crate::support::offload;
use crate::support::program::{Site, finish, yizhan};
use crate::support::skip::{Missing, need};
use tokio::time::Instant;
use yizhan::intake::Deadlines;
use yizhan::limits::capacity::{MOST_UNLISTED, MOST_UNLISTED_OF_SOURCE};
use yizhan::limits::lockout::Patience;
use yizhan::route::Pattern;
use yizhan::sandbox::SandboxLimits;
use yizhan::secret::{Secret, SecretSource, password};
use yizhan::smtp::server::AuthMode;
use yizhan::telemetry::counter::REFUSED;

#[tokio::test]
async fn q_053_to_q_058_each_form_of_plain_and_login_gets_in() {
    let door = Entrance::open("forms", Plan::default());
    let (login, secret) = (base64("printer"), base64("right"));
    let authorized = base64("printer\0printer\0right");
    let forms: [&[(&str, &str)]; 5] = [
        &[(&format!("AUTH PLAIN {}", plain("printer", "right")), "235 2.7.0")],
        &[("AUTH PLAIN", "334 "), (&plain("printer", "right"), "235 2.7.0")],
        &[("auth login", "334 VXNlcm5hbWU6"), (&login, "334 UGFzc3dvcmQ6"), (&secret, "235 2.7.0")],
        &[(&format!("AUTH LOGIN {login}"), "334 UGFzc3dvcmQ6"), (&secret, "235 2.7.0")],
        &[(&format!("AUTH PLAIN {authorized}"), "235 2.7.0")],
    ];
    for form in forms {
        let mut line = Line::hello(door.addr).await;
        for (say, start) in form {
            let reply = line.ask(say, start).await;
            // The prompts are compared literally by some devices.
            assert!(!start.starts_with("334") || reply == *start, "{reply:?}");
        }
        line.ask("AUTH PLAIN", "503 5.5.1").await;
    }
    let mut line = Line::hello(door.addr).await;
    for mechanism in ["CRAM-MD5", "DIGEST-MD5", "NTLM", "XOAUTH2 eA=="] {
        line.ask(&format!("AUTH {mechanism}"), "504 5.5.4").await;
    }
    // after HELO, too.
    line.ask("HELO x", "250").await;
    line.log_in("printer", "right", "235").await;
}

#[tokio::test]
async fn a_059_nothing_tells_a_wrong_password_from_a_user_that_does_not_exist() {
    let door = Entrance::open("alike", Plan::default());
    let mut replies = Vec::new();
    for (name, password) in
        [("printer", "wrong"), ("nobody", "right"), ("", ""), ("printer", ""), ("PRINTER ", "right")]
    {
        let mut line = Line::hello(door.addr).await;
        replies.push(line.log_in(name, password, "535").await);
        line.ask("AUTH LOGIN", "334").await;
        line.ask(&base64(name), "334 UGFzc3dvcmQ6").await;
        replies.push(line.ask(&base64(password), "535").await);
    }
    assert!(replies.iter().all(|reply| *reply == replies[0] && reply.starts_with("535 5.7.8 ")), "{replies:?}");
    assert_eq!(door.counters.sum(REFUSED, &[("reason", "login")]), 10);
    // the user where the authorization identity belongs.
    let mut line = Line::hello(door.addr).await;
    line.ask(&format!("AUTH PLAIN {}", base64("printer\0\0right")), "535 5.7.8").await;
}

#[tokio::test]
async fn a_060_odd_base64_is_named_and_never_a_log_in() {
    let door = Entrance::open("odd", Plan::default());
    for blob in ["AHByaW50ZXIAcmlnaHQ", "===", "?", "AHByaW50ZXIAcmlnaHQ= =", "cHJpbnRlcg==", &"A".repeat(1024)] {
        let mut line = Line::hello(door.addr).await;
        line.ask("AUTH PLAIN", "334").await;
        line.ask(blob, "501 5.5.2").await;
        line.ask("NOOP", "250").await;
    }
    let mut line = Line::hello(door.addr).await;
    line.ask("AUTH PLAIN", "334").await;
    line.ask("*", "501 5.7.0").await;
    line.ask("AUTH PLAIN", "334").await;
    line.ask(&"A".repeat(13_000), "500 5.5.6").await;
    line.ask("AUTH PLAIN", "334").await;
    line.ask("=", "535 5.7.8").await;
    // As long as a line may be (RFC 4954 section 4), its end included, and one octet more.
    for (octets, reply) in [(12_286, "501 5.5.2"), (12_287, "500 5.5.6")] {
        let mut line = Line::hello(door.addr).await;
        line.ask("AUTH PLAIN", "334").await;
        line.ask(&"A".repeat(octets), reply).await;
        line.log_in("printer", "right", "235").await;
    }
    // A line end in the middle: the first half is a response, the second a command that is none.
    let mut line = Line::hello(door.addr).await;
    line.ask("AUTH PLAIN", "334").await;
    let whole = plain("printer", "right");
    line.ask(&format!("{}\r\n{}", &whole[..7], &whole[7..]), "501 5.5.2").await;
    line.expect("500 5.5.2").await;
    // One that is in what the base64 holds.
    line.ask(&format!("AUTH PLAIN {}", base64("\0print\r\ner\0right")), "501 5.5.2").await;
    line.log_in("printer", "right", "235").await;
}

#[tokio::test]
async fn a_059_three_wrong_passwords_end_a_connection() {
    let door = Entrance::open("three", Plan::default());
    let mut line = Line::hello(door.addr).await;
    for _ in 0..3 {
        line.log_in("printer", "wrong", "535").await;
    }
    line.log_in("printer", "right", "421 4.7.0").await;
    assert_eq!(line.reply().await, None);
}

#[tokio::test]
async fn a_059_each_answer_comes_later_than_the_one_before() {
    let delay = Duration::from_millis(100);
    let patience = Patience { delay, longest: delay * 4, ..ENDLESS };
    let door = Entrance::open("delay", Plan { patience, ..Plan::default() });
    let mut line = Line::hello(door.addr).await;
    for factor in [1, 2, 4] {
        let start = Instant::now();
        line.log_in("printer", "wrong", "535").await;
        assert!(start.elapsed() >= delay * factor, "{:?}", start.elapsed());
    }
    // Another connection does not begin anew; another address does.
    let (mut again, start) = (Line::hello(door.addr).await, Instant::now());
    again.log_in("printer", "wrong", "535").await;
    assert!(start.elapsed() >= delay * 4);
}

#[tokio::test]
async fn a_059_an_address_that_guesses_is_locked_out_and_no_other_is() {
    let patience = Patience { most: 10, ..ENDLESS };
    let door = Entrance::open("lock", Plan { patience, ..Plan::default() });
    let guesser = [127, 0, 0, 9].into();
    let guesses: Vec<_> = (0..50)
        .map(|n| {
            let addr = door.addr;
            tokio::spawn(async move {
                let mut line = Line::dial_from(guesser, addr).await;
                line.expect("220").await;
                line.ask("EHLO x", "250").await;
                line.log_in("printer", &format!("guess {n}"), "").await
            })
        })
        .collect();
    // Meanwhile everybody else is served.
    let mut honest = Line::hello(door.addr).await;
    honest.log_in("printer", "right", "235").await;
    honest.send("a@example.com").await;
    let mut compared = 0;
    for guess in guesses {
        let reply = guess.await.expect("no panic");
        compared += usize::from(reply.starts_with("535"));
        assert!(reply.starts_with("535 5.7.8") || reply.starts_with("421 4.7.0"), "{reply}");
    }
    assert!((10..=11).contains(&compared), "{compared}");
    let mut locked = Line::dial_from(guesser, door.addr).await;
    locked.expect("220").await;
    locked.log_in("printer", "right", "421 4.7.0").await;
    assert_eq!(locked.reply().await, None);
    assert!(door.counters.sum(REFUSED, &[("reason", "locked_out")]) >= 39);
    // Its network may still send: only guessing is over.
    let mut mail = Line::dial_from(guesser, door.addr).await;
    mail.expect("220").await;
    mail.ask("MAIL FROM:<a@example.com>", "250").await;
}

#[tokio::test]
async fn who_comes_from_elsewhere_sends_after_a_log_in_and_only_then() {
    let door = Entrance::open("abroad", Plan::abroad());
    let mut line = Line::hello(door.addr).await;
    line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    line.log_in("printer", "wrong", "535").await;
    line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    line.ask("RCPT TO:<boss@example.com>", "503").await;
    line.ask("DATA", "503").await;
    let mut line = Line::hello(door.addr).await;
    line.log_in("printer", "right", "235").await;
    line.send("a@example.com").await;
    let (entry, head) = door.only().await;
    assert!(head.contains("with ESMTPA"), "{head}");
    assert_eq!(entry.origin.client, "127.0.0.1");
}

#[tokio::test]
async fn q_052_without_verification_a_log_in_opens_nothing() {
    for auth in [AuthMode::Off, AuthMode::AcceptAny] {
        let door = Entrance::open("closed", Plan { auth, ..Plan::abroad() });
        let mut line = Line::dial(door.addr).await;
        line.expect("554 5.7.1").await;
        assert_eq!(line.reply().await, None);
    }
}

#[tokio::test]
async fn a_stranger_who_does_not_log_in_gives_the_place_back() {
    let deadlines = Deadlines { stranger: Duration::from_secs(2), ..Plan::default().deadlines };
    let door = Entrance::open("probation", Plan { deadlines, ..Plan::abroad() });
    let mut idle = Line::hello(door.addr).await;
    let mut known = Line::hello(door.addr).await;
    known.log_in("printer", "right", "235").await;
    // Whatever it says meanwhile: it is from the connection to the log-in.
    idle.ask("NOOP", "250").await;
    idle.expect("421 4.4.2").await;
    until("the place to be free", async || (door.capacity.connections() == 1).then_some(())).await;
    known.send("a@example.com").await;
}

#[tokio::test]
async fn a_flood_of_unlisted_clients_leaves_places_for_those_that_logged_in_before_and_for_listed_ones() {
    // One of loopback's addresses is listed here.
    let plan = Plan { allow: vec!["127.0.0.5/32".parse().unwrap()], ..Plan::default() };
    let door = Entrance::open("unlisted", plan);
    let known = [127, 0, 0, 6].into();
    let mut before = Line::dial_from(known, door.addr).await;
    before.expect("220").await;
    before.log_in("printer", "right", "235").await;
    drop(before);
    let (mut flood, mut refused) = (Vec::new(), 0);
    for network in 10..60 {
        for _ in 0..=MOST_UNLISTED_OF_SOURCE {
            let mut line = Line::dial_from([127, 0, 1, network].into(), door.addr).await;
            match line.reply().await.expect("a greeting or a refusal") {
                greeting if greeting.starts_with("220") => flood.push(line),
                refusal => {
                    assert!(refusal.starts_with("421 4.3.2") || refusal.starts_with("421 4.7.0"), "{refusal}");
                    refused += 1;
                }
            }
        }
        assert!(flood.len() <= MOST_UNLISTED_OF_SOURCE * (network as usize - 9));
    }
    // A tenth of the places is left, and by chance one or two more.
    assert!((MOST_UNLISTED * 8 / 10..=MOST_UNLISTED * 9 / 10).contains(&flood.len()), "{}", flood.len());
    assert_eq!(flood.len() + refused, 50 * (MOST_UNLISTED_OF_SOURCE + 1));
    let mut friend = Line::dial_from(known, door.addr).await;
    friend.expect("220").await;
    let mut device = Line::dial_from([127, 0, 0, 5].into(), door.addr).await;
    device.expect("220").await;
    device.send("a@example.com").await;
    // A client that has logged in gives its place back.
    let waiting = door.capacity.connections();
    friend.log_in("printer", "right", "235").await;
    friend.send("a@example.com").await;
    assert_eq!(door.capacity.connections(), waiting);
}

#[tokio::test]
async fn a_user_is_the_client_it_is_tied_to_and_sends_as_whom_it_may() {
    let mut tied = user("printer", "right");
    tied.client = Some(client("scanner").into());
    tied.senders = ["printer@example.com", "*@lan.local"].map(|text| Pattern::parse(text).unwrap()).to_vec();
    let door = Entrance::open("tied", Plan { users: vec![tied], ..Plan::default() });
    let mut line = Line::hello(door.addr).await;
    // Before the log-in it is a device of an allowed network like any other.
    line.ask("MAIL FROM:<boss@example.com>", "250").await;
    line.ask("RSET", "250").await;
    line.log_in("printer", "right", "235").await;
    for other in ["boss@example.com", "", "printer@example.com.evil.test"] {
        line.ask(&format!("MAIL FROM:<{other}>"), "553 5.7.1").await;
    }
    line.ask("MAIL FROM:<any@lan.local>", "250").await;
    line.ask("RSET", "250").await;
    line.send("Printer@Example.com").await;
    let (entry, head) = door.only().await;
    assert_eq!(entry.origin.client, "scanner");
    assert!(head.contains("Subject: [tied] hello"), "{head}");
}

#[tokio::test]
async fn a_new_password_counts_at_once_as_text_and_as_hash() {
    let folder = crate::support::folder::Folder::new("password");
    let mut renewed = user("printer", "");
    renewed.password = SecretSource::File(folder.file("password", "first\n"));
    let door = Entrance::open("renewed", Plan { users: vec![renewed], ..Plan::default() });
    Line::hello(door.addr).await.log_in("printer", "first", "235").await;
    folder.file("password", password::hash(&Secret::new("second"), &[3; 16]));
    Line::hello(door.addr).await.log_in("printer", "first", "535").await;
    Line::hello(door.addr).await.log_in("printer", "second", "235").await;
    std::fs::remove_file(folder.path().join("password")).unwrap();
    Line::hello(door.addr).await.log_in("printer", "second", "535").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hash_password_prints_is_what_the_relay_takes() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("hash", &sandbox, "[log]\nformat = \"json\"\n");
    let mut hashes = Vec::new();
    for typed in ["correct horse", "correct horse\r\n"] {
        let mut command = yizhan(["hash-password"]);
        command.stdin(std::fs::File::open(site.folder.file("typed", typed)).unwrap());
        let ran = finish(command).await;
        assert_eq!((ran.code, ran.err.as_str(), ran.out.lines().count()), (0, "", 1), "{ran:?}");
        hashes.push(ran.out.trim_end().to_owned());
    }
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$v=19$")) && hashes[0] != hashes[1], "{hashes:?}");
    // Nothing to read, and a password where everybody could see it.
    finish(yizhan(["hash-password"])).await.with_code(1);
    finish(yizhan(["hash-password", "hunter2"])).await.with_code(2);

    let text = std::fs::read_to_string(&site.config).unwrap();
    let user = format!("auth = \"verify\"\nallow = [\"10.0.0.0/8\"]\n[user.printer]\npassword = \"{}\"\n", hashes[0]);
    site.folder.file("yizhan.toml", text.replace("[account.office]", &format!("{user}[account.office]")));
    let asked = site.ask(&["check"]).await;
    let memory = "memory: about 48 MiB while clients log in: 10 MiB at rest, and 2 x 19 MiB";
    assert!(asked.err.contains(memory), "{asked:?}");
    let shown = asked.with_code(0);
    assert!(shown.contains("passwords cross the network in the clear") && !shown.contains("$argon2"), "{shown}");
    let relay = site.start().await;
    let mut line = Line::hello(relay.door()).await;
    line.log_in("printer", "Correct horse", "535 5.7.8").await;
    line.log_in("printer", "correct horse", "235").await;
    line.send("a@example.com").await;
    assert!(relay.event("accepted").await.contains("\"user\":\"printer\""));
    relay.stop().await;
}

/// Sends with somebody else's program, with the right password and with a wrong one.
async fn logs_in(send: impl Fn(&Target, &Letter) -> Result<Ran, Missing> + Send + Clone + 'static) {
    let door = Entrance::open("foreign", Plan::abroad());
    for (password, works) in [("wrong", false), ("right", true)] {
        let mut target = Target::plain(door.addr.port());
        target.login = Some(("printer".to_owned(), password.to_owned()));
        let letter = Letter::new("a@example.com", &["boss@example.com"], "Subject: hello\r\n\r\ntext\r\n");
        let send = send.clone();
        let ran = need!(offload(move || send(&target, &letter)).await);
        assert_eq!(ran.ok(), works, "{password}: {}", ran.output);
    }
    assert!(door.only().await.1.contains("with ESMTPA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_logs_in() {
    logs_in(|target, letter| clients::swaks(target, letter, &["--auth", "PLAIN"])).await;
    logs_in(|target, letter| clients::swaks(target, letter, &["--auth", "LOGIN"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_logs_in() {
    logs_in(|target, letter| clients::curl(target, letter, &[])).await;
}
