//! What peers say, in the log and on a terminal (A-042, A-043, A-046), with the real program and both forms of its log.
//!
//! Not here: secrets (`secrets`), and the escaping by itself (`telemetry::log`).

use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};
use yizhan::telemetry::escape::obeyed;

use crate::support::conventions::legal;
use crate::support::entrance::{Line, base64};
use crate::support::office::provider;
use crate::support::program::{Program, QUICK, Site, field_of};

/// The relay as a program with a log of everything, in this format.
async fn program(format: &str, more: &str) -> (Sandbox, Site, Program) {
    let sandbox = provider(SandboxLimits::default()).await;
    let quick = QUICK.replace("\"json\"", &format!("\"{format}\""));
    let site = Site::new("injection", &sandbox, &format!("{quick}level = \"trace\"\n"));
    let text = std::fs::read_to_string(&site.config).expect("it was written");
    site.folder.file("yizhan.toml", text.replace("[account.office]", &format!("{more}[account.office]")));
    let relay = site.start().await;
    (sandbox, site, relay)
}

/// Characters that hide text or turn its direction: what the relay escapes is not asked of the relay here.
const HIDDEN: &str = "\u{ad}\u{61c}\u{180e}\u{200b}\u{200d}\u{200f}\u{202e}\u{2060}\u{2066}\u{3164}\u{fe0f}\u{feff}\u{fff9}\
    \u{e0001}\u{e0041}\u{e007f}\u{e0100}";

/// Each line is one fact, in the form of the format, with nothing that a terminal obeys.
fn is_clean(format: &str, lines: &[String]) {
    assert!(lines.len() > 3, "{lines:?}");
    for line in lines {
        assert!(!line.chars().any(obeyed) && !line.contains(|c| HIDDEN.contains(c)), "{line:?}");
        if format == "json" {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value["time"].is_string() && value["event"].is_string(), "{line}");
        } else {
            let mut words = line.split_ascii_whitespace();
            let (time, level) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            assert!(time.len() == "2026-11-21T18:00:00.123+08:00".len() && time.as_bytes()[10] == b'T', "{line}");
            assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
        }
    }
}

/// What `yizhan queue` prints of these messages, to a person and as JSON: nothing in it that a terminal obeys.
async fn shown(site: &Site, ids: &[String]) -> String {
    let mut all = String::new();
    for id in ids {
        for json in [&[][..], &["--json"]] {
            let ran = site.ask(&[&["queue", "show", id], json].concat()).await;
            assert!(json.is_empty() || ran.out.lines().count() == 1, "{:?}", ran.out);
            all.push_str(&ran.with_code(0));
        }
    }
    all.push_str(&site.ask(&["queue", "list", "--state", "delivered"]).await.with_code(0));
    assert!(all.chars().all(|c| c == '\n' || !obeyed(c)) && !all.contains(|c| HIDDEN.contains(c)), "{:?}", all);
    all
}

/// Sends a short mail; gives its id.
async fn send(line: &mut Line) -> String {
    line.ask("MAIL FROM:<a@example.com>", "250").await;
    line.ask("RCPT TO:<c@example.com>", "250").await;
    line.ask("DATA", "354").await;
    let reply = line.ask("Subject: one\r\n\r\nfirst\r\n.", "250 2.0.0 queued as ").await;
    reply.rsplit(' ').next().expect("it ends in an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_042_a_name_in_helo_is_shown_and_never_obeyed() {
    let long = "x".repeat(2000);
    let hellos: [(&[u8], bool); 8] = [
        (b"x\x1b[2J\x07", true),
        (b"x)\r", true),
        (b"x) by evil\rReceived: from y", false),
        (long.as_bytes(), true),
        (b"<script>alert(1)</script>", true),
        (b"x\x9b2J\xc2\x9b2J", true),
        ("x\u{202e}y\u{2028}z".as_bytes(), true),
        (b"x\"id=forged\\\" level=INFO", true),
    ];
    for format in ["text", "json"] {
        let (sandbox, site, relay) = program(format, "").await;
        let mut ids = Vec::new();
        for (name, taken) in hellos {
            let mut line = Line::dial(relay.door()).await;
            line.expect("220").await;
            line.write(&[b"EHLO ", name, b"\r\n"].concat()).await;
            let reply = line.expect(if taken { "250" } else { "501 5.5.4" }).await;
            assert!(!reply.contains("script") && reply.is_ascii(), "{reply}");
            ids.push(send(&mut line).await);
            line.ask("QUIT", "221").await;
        }
        for one in sandbox.wait_for(hellos.len()).await {
            legal(&one.data);
            let received = one.field("Received").expect("it is there");
            assert!(received.chars().all(|c| (' '..='~').contains(&c)) && received.len() < 420, "{received}");
            assert_eq!(received.matches(['(', ')']).count(), 4, "{received}");
            assert!(!received.contains(['<', '>', '"', '\\']), "{received}");
        }
        site.drained(&sandbox).await;
        shown(&site, &ids).await;
        let lines = relay.stop().await;
        is_clean(format, &lines);
        assert!(!lines.iter().any(|line| line.contains("forged")), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_043_a_user_name_writes_no_line_of_the_log() {
    let large = "u".repeat(9_000);
    let names = ["admin\r\nlevel=INFO msg=ok", "a\0b", "a\nb", "a\u{1b}[2J", "a\u{9b}2J", &large];
    for format in ["text", "json"] {
        let auth = "auth = \"verify\"\n[user.printer]\npassword = \"a pass phrase\"\n";
        let (_sandbox, _site, relay) = program(format, auth).await;
        for name in names {
            let mut line = Line::hello(relay.door()).await;
            line.ask("AUTH PLAIN", "334").await;
            line.ask(&base64(&format!("\0{name}\0pw")), "501 5.5.2").await;
            line.ask("AUTH LOGIN", "334").await;
            line.ask(&base64(name), "501 5.5.2").await;
            line.ask("QUIT", "221").await;
        }
        // 10 KB are 13 of base64: no line in a log-in is that long (RFC 4954 section 4).
        let mut line = Line::hello(relay.door()).await;
        line.ask("AUTH PLAIN", "334").await;
        line.ask(&base64(&format!("\0{}\0pw", "u".repeat(10_000))), "500 5.5.6").await;
        // A name that only looks like fields of the log, or like a format: nobody, and not repeated.
        line.log_in("\" level=INFO msg=ok x=\"", "pw", "535 5.7.8").await;
        line.log_in("%s%n{}${x}", "pw", "535 5.7.8").await;
        line.ask("QUIT", "221").await;
        assert_eq!(relay.told("login_failed").len(), 2);
        let lines = relay.stop().await;
        is_clean(format, &lines);
        assert!(!lines.iter().any(|line| line.contains("msg=ok") || line.contains("%s%n")), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_046_the_providers_words_are_one_line_and_not_too_many() {
    let odd = |code: &str| {
        let text =
            format!("{code}-later\r\n{code}-C: exec /bin/sh\r\n{code} \x1b[2J\0\u{9b}2J \u{202e} \\\" id=forged \x07");
        [text.as_bytes(), b"\r\n"].concat()
    };
    let many = [b"451-4.3.0 later ".repeat(100), b"\r\n".to_vec()].concat().repeat(40);
    let many = [&many[..], b"451 the end\r\n"].concat();
    for format in ["text", "json"] {
        let (sandbox, site, relay) = program(format, "").await;
        sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(odd("451"))));
        sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(many.clone())));
        sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(odd("250"))));
        let mut line = Line::hello(relay.door()).await;
        let id = send(&mut line).await;
        relay.event("delivered").await;
        let text = shown(&site, std::slice::from_ref(&id)).await;
        let person: Vec<&str> = text.lines().filter(|line| line.contains("delivered <")).collect();
        assert!(person.len() == 1 && person[0].contains("C: exec /bin/sh"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("C:")), "{text}");
        let lines = relay.stop().await;
        is_clean(format, &lines);
        let longest = lines.iter().map(String::len).max();
        assert!(longest < Some(5_000), "{longest:?}");
        let forged = |line: &&String| field_of(line, "id").as_deref() == Some("forged");
        assert_eq!(lines.iter().filter(forged).count(), 0, "{lines:?}");
        assert_eq!(sandbox.received().len(), 1);
    }
}

/// Tag characters spell text that only a program reads; direction marks and fillers make one text look like another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_046_characters_that_hide_or_turn_text_are_escaped_everywhere() {
    let reply =
        |code: &str| Fault::once(Stage::FinalDot, What::Reply(format!("{code} so{HIDDEN}rry\r\n").into_bytes()));
    for format in ["text", "json"] {
        let (sandbox, site, relay) = program(format, "").await;
        sandbox.fault(reply("451"));
        sandbox.fault(reply("250"));
        let mut line = Line::dial(relay.door()).await;
        line.expect("220").await;
        line.write(format!("EHLO x{HIDDEN}y\r\n").as_bytes()).await;
        line.expect("250").await;
        line.ask("MAIL FROM:<a@example.com>", "250").await;
        line.ask("RCPT TO:<c@example.com>", "250").await;
        line.ask("DATA", "354").await;
        let queued = line.ask(&format!("Subject: one{HIDDEN}two\r\n\r\nfirst\r\n."), "250 2.0.0 queued as ").await;
        let id = queued.rsplit(' ').next().expect("it ends in an id").to_owned();
        relay.event("delivered").await;
        let text = shown(&site, std::slice::from_ref(&id)).await;
        assert!(text.contains("so\\u{ad}\\u{61c}") && text.contains("\\u{e0041}\\u{e007f}"), "{text}");
        assert!(text.contains("\\udb40\\udc41\\udb40\\udc7f"), "JSON has surrogates: {text}");
        let lines = relay.stop().await;
        is_clean(format, &lines);
        let delivered = lines.iter().find(|line| line.contains("delivered") && line.contains("250 so"));
        let delivered = delivered.unwrap_or_else(|| panic!("{lines:?}"));
        match format {
            "json" => assert!(field_of(delivered, "reply").is_some_and(|reply| reply.contains(HIDDEN)), "{delivered}"),
            _ => assert!(delivered.contains("so\\u{ad}\\u{61c}\\u{180e}"), "{delivered}"),
        }
        // The doctor, who is refused with such words.
        sandbox.fault(Fault::once(Stage::Auth, What::Reply(format!("535 5.7.8 no{HIDDEN}\r\n").into_bytes())));
        for more in [&[][..], &["--json"]] {
            let ran = site.ask(&[&["doctor", "--listen", "127.0.0.1:0"], more].concat()).await;
            let text = format!("{}{}", ran.out, ran.err);
            assert!(!text.contains(|c| HIDDEN.contains(c)) && text.contains("secret"), "{text:?}");
        }
    }
}
