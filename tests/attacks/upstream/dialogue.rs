//! What the server says, at every stage: refusals for some, for now, for the account, and replies that are none.

use yizhan::account::breaker::BreakerState;
use yizhan::provider::Tls;
use yizhan::queue::{MessageState, RecipientOutcome};
use yizhan::sandbox::{Fault, Stage, What};
use yizhan::secret::Secret;
use yizhan::telemetry::counter::LOGINS;

use super::{MAIL, Scene, reason};
use crate::support::office::{CODE, USER};
use crate::support::scripted::{Say, Scripted};

#[tokio::test]
async fn a_096_a_421_between_messages_costs_nothing() {
    let scene = Scene::open("unsolicited").await;
    assert_eq!(scene.send(&["a@else.test"]).await.state, MessageState::Delivered);
    scene.office.sandbox.fault(Fault::last_reply(Stage::Idle, "421 4.4.2 timeout, closing"));
    scene.office.sandbox.wait_until(|stats| stats.faults == 1).await;
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0));
    assert_eq!(scene.office.sandbox.stats().accepted, 2);
}

#[tokio::test]
async fn a_097_greylisting_defers_one_recipient_by_minutes() {
    let scene = Scene::open("grey").await;
    let grey = Stage::Rcpt(Some("b@else.test".to_owned()));
    scene.office.sandbox.fault(Fault::reply(grey, "450 4.2.0 Greylisted, try again in 5 minutes").times(2));
    let entry = scene.send(&["a@else.test", "b@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 1));
    let first = entry.due.since(scene.day.now());
    assert!((54..=66).contains(&first.as_secs()), "{first:?}");
    scene.day.run_until(entry.due).await;
    let entry = scene.office.entry(entry.id).await;
    let second = entry.due.since(scene.day.now());
    assert!((270..=330).contains(&second.as_secs()), "{second:?}");
    let entry = scene.after(6, entry.id).await;
    assert_eq!(entry.state, MessageState::Delivered);
    let to: Vec<_> = scene.office.sandbox.received().into_iter().map(|one| one.to).collect();
    assert_eq!(to, [["a@else.test"], ["b@else.test"]], "each once");
}

#[tokio::test]
async fn a_099_some_recipients_are_taken_and_never_get_a_second_copy() {
    let scene = Scene::open("partial").await;
    let at = |name: &str| Stage::Rcpt(Some(format!("{name}@else.test")));
    scene.office.sandbox.fault(Fault::reply(at("b"), "550 5.1.1 no such user"));
    scene.office.sandbox.fault(Fault::reply(at("c"), "451 4.3.0 try again"));
    let entry = scene.send(&["a@else.test", "b@else.test", "c@else.test", "d@else.test"]).await;
    assert_eq!(entry.state, MessageState::Deferred);
    let states: Vec<_> = entry.recipients.iter().map(|one| std::mem::discriminant(&one.outcome)).collect();
    assert!(states[0] == states[3] && states[0] != states[1] && states[1] != states[2], "{entry:?}");
    assert!(
        matches!(&entry.recipients[1].outcome, RecipientOutcome::Failed { reason, .. } if reason.contains("no such user"))
    );
    assert_eq!(scene.notices().await, 1, "about b, and now");
    let entry = scene.after(10, entry.id).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Failed, 2), "b stays refused: {entry:?}");
    let to: Vec<_> = scene.office.sandbox.received().into_iter().map(|one| one.to.join(" ")).collect();
    assert_eq!(to, ["a@else.test d@else.test", "10000@qq.com", "c@else.test"]);
    assert_eq!(scene.notices().await, 1);
}

#[tokio::test]
async fn a_100_nobody_is_taken_and_data_is_asked_for_all_the_same() {
    let server = Scripted::implicit(|line, _| match line.split(' ').next() {
        Some("RCPT") => Say::line("550 5.1.1 nobody here"),
        _ => Say::Usual,
    })
    .await;
    let scene = Scene::at("lone-dot", &server, Tls::Implicit).await;
    let entry = scene.send(&["a@else.test", "b@else.test"]).await;
    assert_eq!(entry.state, MessageState::Failed);
    assert!(reason(&entry).contains("nobody here"), "{}", reason(&entry));
    let heard = &server.heard()[0];
    let at = heard.iter().position(|line| line == "DATA").unwrap();
    assert_eq!(heard[at + 1..at + 3], ["", "."], "an empty message to nobody: {heard:?}");
}

#[tokio::test]
async fn a_102_what_is_uncertain_is_repeated_at_the_documented_pace_and_not_for_ever() {
    let scene = Scene::open("uncertain").await;
    scene.office.sandbox.fault(Fault::once(Stage::FinalDot, What::CloseAfterAccept).times(3));
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.uncertain), (MessageState::Deferred, 1));
    assert!(reason(&entry).contains("may have been sent"), "{}", reason(&entry));
    let entry = scene.after(2, entry.id).await;
    assert_eq!((entry.state, entry.uncertain), (MessageState::Deferred, 2));
    let entry = scene.after(6, entry.id).await;
    assert_eq!((entry.state, entry.uncertain), (MessageState::Failed, 3));
    scene.day.run_until(scene.day.at(24, 0)).await;
    let received = scene.office.sandbox.received();
    let copies: Vec<_> = received.iter().filter(|one| one.subject() == "hello").collect();
    assert_eq!((copies.len(), received.len()), (3, 4), "three copies and a notice");
    for name in ["Message-ID", "Date"] {
        assert!(copies.iter().all(|one| one.field(name) == copies[0].field(name)), "{name}");
    }
}

/// Replies that are none, or without end: the line is given up, the message is tried again, nothing is refused by them.
#[tokio::test]
async fn a_104_a_105_what_is_no_reply_defers() {
    let endless = |line: &str, times: usize| line.repeat(times).into_bytes();
    let cases: Vec<(&str, Stage, Vec<u8>)> = vec![
        ("a greeting without end", Stage::Connect, endless("220-still here\r\n", 20_000)),
        ("EHLO without end", Stage::Ehlo, endless("250-X\r\n", 50_000)),
        ("a line of a mebibyte", Stage::Ehlo, [b"250-", &[b'x'; 1 << 20][..], b"\r\n250 ok\r\n"].concat()),
        ("no code", Stage::Mail, b"hello there\r\n".to_vec()),
        ("code 999", Stage::Mail, b"999 what\r\n".to_vec()),
        ("code 2 50", Stage::Mail, b"2 50 ok\r\n".to_vec()),
        ("an empty line", Stage::Data, b"\r\n".to_vec()),
        ("a NUL", Stage::Data, b"\x00354 go\r\n".to_vec()),
        ("mixed codes at RCPT", Stage::Rcpt(None), b"250-yes\r\n550 no\r\n".to_vec()),
        ("mixed codes at EHLO", Stage::Ehlo, b"250-yes\r\n550 no\r\n".to_vec()),
    ];
    for (what, stage, octets) in cases {
        let scene = Scene::open("no-reply").await;
        scene.office.sandbox.fault(Fault::once(stage, What::Reply(octets)));
        let entry = scene.send(&["a@else.test"]).await;
        assert_eq!((entry.state, entry.tries, entry.uncertain), (MessageState::Deferred, 1, 0), "{what}: {entry:?}");
        assert!(
            reason(&entry).contains("not SMTP") || reason(&entry).contains("not an SMTP reply"),
            "{what}: {entry:?}"
        );
        let entry = scene.after(2, entry.id).await;
        assert_eq!((entry.state, scene.office.sandbox.stats().accepted), (MessageState::Delivered, 1), "{what}");
        assert_eq!(scene.notices().await, 0, "{what}");
    }
}

/// After the final dot, what is no reply is no verdict either.
#[tokio::test]
async fn a_104_a_105_what_is_no_verdict_is_uncertain() {
    for octets in [&b"250-taken\r\n550 not taken\r\n"[..], b"taken\r\n", b"999 taken\r\n"] {
        let scene = Scene::open("no-verdict").await;
        scene.office.sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(octets.to_vec())));
        let entry = scene.send(&["a@else.test"]).await;
        let text = octets.escape_ascii();
        assert_eq!((entry.state, entry.uncertain), (MessageState::Deferred, 1), "{text}: {entry:?}");
        assert_eq!(scene.after(2, entry.id).await.state, MessageState::Delivered, "{text}");
    }
}

#[tokio::test]
async fn a_104_line_feeds_and_single_octets_are_replies() {
    let server = Scripted::implicit(|line, _| match line {
        "DATA" => Say::Octets(b"354 lone line feed\n".to_vec()),
        "." => Say::Single(b"250-first\r\n250 taken\n".to_vec()),
        "" => Say::Single(b"220-one\n220 two\n".to_vec()),
        _ => Say::Usual,
    })
    .await;
    let scene = Scene::at("octets", &server, Tls::Implicit).await;
    let entry = scene.send(&["a@else.test"]).await;
    assert_eq!((entry.state, entry.tries), (MessageState::Delivered, 0), "{entry:?}");
    assert!(reason(&entry).contains("first taken"), "{}", reason(&entry));
}

#[tokio::test]
async fn a_106_extensions_without_number_and_sizes() {
    let ehlo = |more: String| format!("250-big\r\n{more}250-8BITMIME\r\n250 AUTH PLAIN");
    let cases = [
        ("three thousand extensions", ehlo("250-X-THING\r\n".repeat(3000)), MessageState::Delivered, "250"),
        ("too many extensions", ehlo("250-X-THING\r\n".repeat(10_000)), MessageState::Deferred, "not an SMTP reply"),
        ("SIZE 0 is no limit", ehlo("250-SIZE 0\r\n".to_owned()), MessageState::Delivered, "250"),
        ("SIZE without figure", ehlo("250-SIZE\r\n".to_owned()), MessageState::Delivered, "250"),
        ("SIZE too small", ehlo("250-SIZE 100\r\n".to_owned()), MessageState::Failed, "the server takes 100"),
    ];
    for (what, answer, state, words) in cases {
        let server = Scripted::implicit(move |line, _| match line.split(' ').next() {
            Some("EHLO") => Say::line(&answer),
            _ => Say::Usual,
        })
        .await;
        let scene = Scene::at("ehlo", &server, Tls::Implicit).await;
        let entry = scene.send(&["a@else.test"]).await;
        assert!(entry.state == state && reason(&entry).contains(words), "{what}: {entry:?}");
    }
}

#[tokio::test]
async fn a_107_a_log_in_may_be_odd_and_is_tried_once() {
    // What the server says to AUTH and to what follows; how many minutes the account rests (none: it is stopped); what
    // was said; most lines of the log-in.
    let cases: [(&str, Option<u64>, &str, usize); 7] = [
        ("334 not base64 at all", Some(15), "535", 2),
        ("334 ", Some(15), "does not stop asking", 6),
        ("530 5.7.0 Must issue a STARTTLS command first", None, "530", 1),
        ("454 4.7.0 Temporary authentication failure", Some(15), "454", 1),
        ("535 5.7.8 no", Some(15), "535", 1),
        ("538 5.7.11 Encryption required", Some(15), "538", 1),
        ("421 4.7.0 too many log-ins", Some(2), "421", 1),
    ];
    for (answer, minutes, words, most) in cases {
        let server = Scripted::implicit(move |line, before| match line.split(' ').next() {
            Some("AUTH") => Say::line(answer),
            Some("QUIT") => Say::Usual,
            _ if before.last().is_some_and(|last| last.starts_with("AUTH")) && answer.ends_with("all") => {
                Say::line("535 5.7.8 no")
            }
            _ if before.iter().any(|line| line.starts_with("AUTH")) => Say::line(answer),
            _ => Say::Usual,
        })
        .await;
        let scene = Scene::at("odd-auth", &server, Tls::Implicit).await;
        let entry = scene.send(&["a@else.test"]).await;
        assert!(entry.state == MessageState::Waiting && reason(&entry).contains(words), "{answer}: {entry:?}");
        let gate = scene.office.relay.accounts()[0].account.state(scene.day.now());
        let wanted = minutes.map_or(BreakerState::Paused, |minutes| BreakerState::Cooling(scene.day.at(0, minutes)));
        assert_eq!((gate, entry.tries), (wanted, 0), "{answer}");
        let first = &server.heard()[0];
        let spoken = first.iter().skip_while(|line| !line.starts_with("AUTH")).filter(|line| *line != "QUIT").count();
        assert!((1..=most).contains(&spoken), "{answer}: {first:?}");
        assert_eq!(server.count("AUTH"), 1, "{answer}: one log-in");
        assert_eq!(scene.office.relay.counters().sum(LOGINS, &[("outcome", "accepted")]), 0);
        assert_eq!(scene.notices().await, 0, "{answer}: nothing bounces");
    }
}

/// The wait of an account whose log-in was refused is not shortened by new mail; the third refusal stops it.
#[tokio::test]
async fn u_04_a_refused_log_in_rests_the_account_and_keeps_the_mail() {
    let scene = Scene::open("u-04").await;
    scene.office.sandbox.revoke(USER);
    let mut ids = Vec::new();
    for minute in 0..60 {
        ids.push(scene.office.send(&["a@else.test"], MAIL).await);
        scene.day.run_until(scene.day.at(0, minute + 1)).await;
    }
    let logins = scene.office.sandbox.logins();
    let dates: Vec<u64> = logins.iter().map(|one| one.at.since(scene.day.at(0, 0)).as_secs() / 60).collect();
    assert_eq!(dates, [0, 15, 45], "15 minutes, then 30, however much mail comes");
    let connections: std::collections::BTreeSet<_> = logins.iter().map(|one| one.connection).collect();
    assert_eq!(connections.len(), 3, "never twice on one connection");
    // The same secret works again, and nobody has said so: a stopped account does not try.
    scene.office.sandbox.set_secret(USER, Secret::new(CODE));
    scene.day.run_until(scene.day.at(3, 0)).await;
    assert_eq!(scene.office.sandbox.logins().len(), 3);
    for id in &ids {
        let entry = scene.office.entry(*id).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{entry:?}");
    }
    assert_eq!(scene.notices().await, 0);
    let delivery = scene.office.relay.delivery();
    delivery.resume(delivery.account("office").unwrap()).await.unwrap();
    scene.day.run_until(scene.day.at(3, 1)).await;
    // QQ's preset sends 20 messages over one connection.
    assert_eq!((scene.office.sandbox.stats().accepted, scene.office.sandbox.logins().len()), (60, 3 + 3));
}

/// The provider's trouble is over before the third try: the probe finds out by itself.
#[tokio::test]
async fn u_04_a_log_in_that_works_again_needs_nobody() {
    let scene = Scene::open("u-04-again").await;
    scene.office.sandbox.revoke(USER);
    let ids = [scene.send(&["a@else.test"]).await.id, scene.send(&["b@else.test"]).await.id];
    scene.day.run_until(scene.day.at(0, 20)).await;
    scene.office.sandbox.set_secret(USER, Secret::new(CODE));
    scene.day.run_until(scene.day.at(0, 44)).await;
    assert_eq!((scene.office.sandbox.stats().accepted, scene.office.sandbox.logins().len()), (0, 2));
    scene.day.run_until(scene.day.at(0, 46)).await;
    for id in ids {
        assert_eq!(scene.office.entry(id).await.state, MessageState::Delivered);
    }
    assert_eq!(scene.office.sandbox.logins().len(), 3);
}

/// Every 5yz that speaks of one message fails it, and no other; before MAIL nothing is failed by it.
#[tokio::test]
async fn a_098_a_refusal_for_good_fails_what_it_was_said_of() {
    let of_the_mail = [
        (Stage::Mail, "552 5.3.4 Message size exceeds fixed limit"),
        (Stage::Rcpt(None), "550 5.1.1 User unknown in virtual mailbox table"),
        (Stage::Data, "554 5.6.0 Message contains a virus"),
        (Stage::FinalDot, "554 5.6.0 Message contains a virus"),
    ];
    for (stage, reply) in of_the_mail {
        let scene = Scene::open("a-098").await;
        scene.office.sandbox.fault(Fault::reply(stage.clone(), reply));
        let entry = scene.send(&["a@else.test"]).await;
        assert_eq!((entry.state, scene.notices().await), (MessageState::Failed, 1), "{stage:?}: {entry:?}");
        assert_eq!(scene.send(&["b@else.test"]).await.state, MessageState::Delivered, "{stage:?}");
    }
    // A server that takes no mail at all: an hour of rest, and no message is to blame.
    for stage in [Stage::Connect, Stage::Ehlo] {
        let scene = Scene::open("a-098-early").await;
        scene.office.sandbox.fault(Fault::reply(stage.clone(), "554 5.7.1 something nobody has seen before"));
        let entry = scene.send(&["a@else.test"]).await;
        assert_eq!((entry.state, entry.tries), (MessageState::Waiting, 0), "{stage:?}: {entry:?}");
        let entry = scene.after(59, entry.id).await;
        assert_eq!((entry.state, scene.notices().await), (MessageState::Waiting, 0), "{stage:?}");
        assert_eq!(scene.after(2, entry.id).await.state, MessageState::Delivered, "{stage:?}");
    }
}
