//! What the log of the real program has of a mail, from the 250 to the end: enough to find it, and no line twice.

use std::collections::BTreeSet;

use crate::support::office::{Device, USER, provider};
use crate::support::program::{Program, QUICK, Site, YIZHAN, clean, event_of, field_of};
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

const MAIL: &[u8] = b"Subject: scan\r\n\r\nbody\r\n";

/// These fields of a line; `-` for one that is not there.
fn fields(line: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| field_of(line, name).unwrap_or_else(|| "-".to_owned())).collect()
}

fn lines_of(log: &[String], event: &str, id: &str) -> Vec<String> {
    let wanted =
        |line: &&String| event_of(line).as_deref() == Some(event) && field_of(line, "id").as_deref() == Some(id);
    log.iter().filter(wanted).cloned().collect()
}

#[tokio::test]
async fn accepted_has_what_a_search_needs_and_the_subject_when_it_is_wanted() {
    let sandbox = provider(SandboxLimits::default()).await;
    let mail = format!("Subject: =?utf-8?B?5omr5o+P?=\x20=?utf-8?Q?=1B[2J?= {}\r\n\r\nbody\r\n", "x".repeat(300));
    for wanted in [false, true] {
        let more = format!("{QUICK}subject = {wanted}\n[client.scanner]\nfrom = [\"127.0.0.9\"]\nlane = \"alarm\"\n");
        let site = Site::new("accepted", &sandbox, &more);
        let program = site.start().await;
        let mut device = Device::dial_from([127, 0, 0, 9].into(), program.door()).await;
        device.expect("220").await;
        device.ask("EHLO x", "250").await;
        let id =
            device.send("scan@lan.local", &["boss@else.test", "desk@else.test"], mail.as_bytes()).await.to_string();
        let log = program.stop().await;
        let [line] = &lines_of(&log, "accepted", &id)[..] else { panic!("{log:#?}") };
        let names = ["client", "addr", "listener", "from", "recipients", "first", "pool", "lane"];
        let expected = ["scanner", "127.0.0.9", "local", "scan@lan.local", "2", "boss@else.test", "office", "alarm"];
        assert_eq!(fields(line, &names), expected, "{line}");
        assert!(field_of(line, "size").is_some_and(|size| size.parse::<u64>().unwrap() > 300), "{line}");
        let subject = field_of(line, "subject");
        if !wanted {
            assert_eq!(subject, None, "{line}");
            continue;
        }
        let subject = subject.expect("it is wanted");
        assert!(subject.starts_with("扫描") && subject.ends_with("xxx"), "{line}");
        assert!(subject.chars().count() == 200 && !line.chars().any(char::is_control), "{line}");
    }
}

#[tokio::test]
async fn each_recipient_has_a_line_with_the_client_and_the_delay() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("outcomes", &sandbox, &format!("{QUICK}[notice]\nto = \"none\"\n"));
    let program = site.start().await;
    let refused = What::Reply(b"550 5.1.1 User unknown\r\n".to_vec());
    sandbox.fault(Fault { at: Stage::Rcpt(Some("two@else.test".to_owned())), what: refused, times: 1 });
    sandbox.fault(Fault {
        at: Stage::Rcpt(Some("three@else.test".to_owned())),
        what: What::Reply(b"450 4.2.0 Mailbox busy\r\n".to_vec()),
        times: 1,
    });
    let mut device = Device::connect(program.door()).await;
    let to = ["one@else.test", "two@else.test", "three@else.test"];
    let id = device.send("scan@lan.local", &to, MAIL).await.to_string();
    site.drained(&sandbox).await;
    // The provider has it, and the answer to the final dot is lost.
    sandbox.fault(Fault::once(Stage::FinalDot, What::Close));
    let lost = device.send("scan@lan.local", &to[..1], MAIL).await.to_string();
    program.event("uncertain").await;
    site.drained(&sandbox).await;
    let log = program.stop().await;
    let names = ["client", "from", "to", "account"];
    for (id, event, to) in [
        (&id, "delivered", vec!["one@else.test", "three@else.test"]),
        (&id, "failed", vec!["two@else.test"]),
        (&id, "deferred", vec!["three@else.test"]),
        (&lost, "uncertain", vec!["one@else.test"]),
        (&lost, "delivered", vec!["one@else.test"]),
    ] {
        let lines = lines_of(&log, event, id);
        let expected: BTreeSet<_> =
            to.iter().map(|to| ["127.0.0.1", "scan@lan.local", *to, "office"].map(str::to_owned).to_vec()).collect();
        let found: BTreeSet<_> = lines.iter().map(|line| fields(line, &names)).collect();
        assert_eq!((found, lines.len()), (expected, to.len()), "{event}: {log:#?}");
        for line in &lines {
            let delay: f64 = field_of(line, "delay").expect("a delay").parse().expect("a number");
            assert!((0.0..600.0).contains(&delay), "{line}");
        }
    }
}

/// Hands in so many messages over one connection.
async fn hand_in(program: &Program, count: usize) -> Vec<String> {
    let mut device = Device::connect(program.door()).await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(device.send("scan@lan.local", &["boss@else.test"], MAIL).await.to_string());
    }
    ids
}

#[tokio::test]
async fn a_wait_is_one_line_for_all_of_its_mail_and_each_mail_names_its_lane() {
    let budget = "[account.office.budget]\nmessages_per_hour = 2\n";
    for (what, budget, reason) in [("budget", budget, "budget"), ("revoked", "", "account")] {
        let sandbox = provider(SandboxLimits::default()).await;
        if what == "revoked" {
            sandbox.revoke(USER);
        }
        let site = Site::new(what, &sandbox, &format!("{budget}{QUICK}"));
        let program = site.start().await;
        let mut ids = hand_in(&program, 10).await;
        program.line("the wait", |line| (field_of(line, "reason")? == reason).then_some(())).await;
        ids.extend(hand_in(&program, 300).await);
        assert!(site.depth(&["waiting"]).await >= 299 || site.depth(&["queued"]).await > 0);
        let log = program.stop().await;
        let waits: Vec<_> = log.iter().filter(|line| event_of(line).as_deref() == Some("waiting")).collect();
        let of_lane: Vec<_> = waits.iter().filter(|line| field_of(line, "id").is_none()).collect();
        let [wait] = &of_lane[..] else { panic!("{what}: {waits:#?}") };
        assert_eq!(fields(wait, &["reason"]), [reason], "{wait}");
        assert!(field_of(wait, "until").is_some_and(|until| !until.is_empty()), "{wait}");
        // Those that met the account's trouble in an attempt: no more than connections.
        assert!(waits.len() <= 1 + 4, "{what}: {waits:#?}");
        for id in [&ids[3], &ids[300]] {
            let [accepted] = &lines_of(&log, "accepted", id)[..] else { panic!("{id}") };
            assert_eq!(fields(accepted, &["pool", "lane"]), fields(wait, &["pool", "lane"]), "{accepted}");
        }
    }
}

#[tokio::test]
async fn a_mail_that_waits_for_the_same_reason_again_has_no_other_line() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.revoke(USER);
    let site = Site::new("again", &sandbox, &format!("{QUICK}level = \"debug\"\n"));
    let program = site.start().await;
    let id = hand_in(&program, 1).await.remove(0);
    program
        .line("the first wait", |line| (event_of(line)? == "waiting" && field_of(line, "id")? == id).then_some(()))
        .await;
    // The account is tried again at once, and so is the mail that waits for it.
    for n in 2..4 {
        site.ask(&["account", "resume", "office"]).await.with_code(0);
        program.line("another attempt", |_| (program.told("attempted").len() >= n).then_some(())).await;
    }
    let log = program.stop().await;
    let waits = lines_of(&log, "waiting", &id);
    let loud = waits.iter().filter(|line| field_of(line, "level").as_deref() == Some("info")).count();
    assert_eq!(loud, 1, "{waits:#?}");
}

#[tokio::test]
async fn no_line_has_what_was_said_in_a_log_in_and_text_of_others_is_escaped() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("said", &sandbox, &format!("{QUICK}level = \"debug\"\n"));
    let program = site.start().await;
    let mut device = Device::connect(program.door()).await;
    // A name and a password, in whole and broken forms.
    for line in [
        "AUTH PLAIN AHVzZXIAc2VjcmV0LTEyMw==",
        "AUTH LOGIN c2VjcmV0LTEyMw==",
        "c2VjcmV0LTEyMw==",
        "AUTH PLAIN x c2VjcmV0LTEyMw==",
    ] {
        device.ask(line, "50").await;
    }
    device.ask("MAIL FROM:<a@b.c>", "250").await;
    device.write(b"RCPT TO:<d\x1b[2J\xe2\x80\xae e@f>\r\n").await;
    device.expect("553").await;
    device.write(&[b"RCPT TO:<".as_slice(), "x".repeat(1900).as_bytes(), b">\r\n"].concat()).await;
    device.expect("553").await;
    let log = program.stop().await;
    assert!(
        !log.iter().any(|line| line.contains("c2VjcmV0") || line.contains("AHVzZX") || line.contains("secret-123")),
        "{log:#?}"
    );
    let refused: Vec<_> = log.iter().filter(|line| event_of(line).as_deref() == Some("refused")).collect();
    assert!(refused.iter().any(|line| field_of(line, "reason").as_deref() == Some("auth_off")), "{log:#?}");
    let shown: Vec<_> = refused.iter().filter_map(|line| field_of(line, "recipient")).collect();
    assert_eq!(shown[0], "<d\\x1b[2J\\xe2\\x80\\xae e@f>");
    assert_eq!(shown[1].len(), 256);
    assert!(log.iter().all(|line| line.len() < 1000 && !line.chars().any(char::is_control)), "{log:#?}");
}

#[tokio::test]
async fn each_line_has_its_priority_where_standard_error_is_the_journal() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("journal", &sandbox, "[log]\nlevel = \"info\"\n");
    // systemd names the device and the inode of standard error.
    let script = r#"JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@""#;
    let mut arguments = vec!["-c".to_owned(), script.to_owned(), YIZHAN.to_owned()];
    arguments.extend(site.run_arguments());
    sandbox.fault(Fault::once(Stage::Mail, What::Reply(b"451 4.3.0 try again\r\n".to_vec())));
    let program = Program::start(clean(std::process::Command::new("/bin/sh"), &arguments)).await;
    hand_in(&program, 1).await;
    program.event("deferred").await;
    for line in program.stop().await {
        let priority = match line.split_ascii_whitespace().nth(1) {
            Some("ERROR") => "<3>",
            Some("WARN") => "<4>",
            Some("INFO") => "<6>",
            _ => "<7>",
        };
        assert!(line.starts_with(priority), "{line}");
    }
}
