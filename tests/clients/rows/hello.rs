//! Q-013 to Q-033: how clients introduce themselves, if they do.

use yizhan::smtp::server::Profile::{Legacy, Strict, Tolerant};

use super::{ALL, BODY, LENIENT, LETTER, MAIL, NOTHING, Seen, Step, heard_upstream, play};
use crate::support::ca::{NAMES, TestCa};
use crate::support::entrance::{Entrance, Line, Plan, plain};
use crate::support::office::field;

/// Each of these lines is answered 250 in every profile, and a message after it is known to come from that name.
async fn taken(row: &str, lines: &[(&[u8], &str)]) {
    let steps: Vec<Step<'_>> = lines.iter().flat_map(|(line, _)| [(*line, ["250"].as_slice()), MAIL, BODY]).collect();
    let seen = play(row, ALL, &steps, &LETTER.repeat(lines.len())).await;
    assert_eq!(seen.len(), 6 * lines.len());
    for (seen, (_, shown)) in seen.iter().zip(lines.iter().cycle()) {
        assert_eq!(seen.helo, *shown);
        presentable(seen);
    }
}

/// What the client said of itself cannot do harm in Received.
fn presentable(seen: &Seen) {
    let received = field(seen.head.as_bytes(), "Received").expect("we put it there");
    let name = received.strip_prefix("from ").and_then(|rest| rest.split_once(' ')).expect("it begins so").0;
    assert!(!name.is_empty() && name.len() <= 255 && name.bytes().all(|octet| octet.is_ascii_graphic()), "{received}");
    assert!(!name.contains(['(', ')', '<', '>', ';', '\\', '"']), "{received}");
}

#[tokio::test]
async fn q_013_a_hello_without_a_name_is_taken() {
    taken("q_013", &[(b"HELO \r\n", "unknown"), (b"HELO\r\n", "unknown"), (b"HELO \t \r\n", "unknown")]).await;
}

#[tokio::test]
async fn q_014_an_ehlo_without_a_name_is_taken() {
    taken("q_014", &[(b"EHLO \r\n", "unknown"), (b"EHLO\r\n", "unknown")]).await;
}

#[tokio::test]
async fn q_015_an_underscore_is_a_name() {
    taken("q_015", &[(b"EHLO _\r\n", "_")]).await;
}

#[tokio::test]
async fn q_016_a_regular_expression_is_a_name() {
    let worse = (b"EHLO ~^(?<x>.+)\\.example;\"$\r\n".as_slice(), "~^(?<x>.+)\\.example;\"$");
    taken("q_016", &[(b"EHLO ~^wildcard\r\n", "~^wildcard"), worse]).await;
}

#[tokio::test]
async fn q_017_the_first_word_is_the_name() {
    let zabbix = (b"HELO Zabbix Monitoring\r\n".as_slice(), "Zabbix");
    taken("q_017", &[(b"EHLO PhpStorm 9.0.3\r\n", "PhpStorm"), (b"EHLO   PhpStorm\t9\r\n", "PhpStorm"), zabbix]).await;
}

#[tokio::test]
async fn q_018_without_any_hello_mail_is_taken_but_in_a_strict_profile() {
    let seen = play("q_018", LENIENT, &[MAIL, BODY], LETTER).await;
    assert!(seen.iter().all(|seen| seen.helo == "unknown"), "{seen:?}");
    seen.iter().for_each(presentable);
    let refused: Step<'_> = (b"MAIL FROM:<a@b.c>\r\n", &["503 5.5.1 Send EHLO first"]);
    play("q_018", &[Strict], &[refused], NOTHING).await;
    play("q_018_then", &[Strict], &[refused, (b"HELO x\r\n", &["250"]), MAIL, BODY], LETTER).await;
}

#[tokio::test]
async fn q_019_an_address_of_the_web_is_a_name() {
    taken("q_019", &[(b"EHLO https://ferdium.example.com\r\n", "https://ferdium.example.com")]).await;
}

#[tokio::test]
async fn q_020_the_name_of_a_class_is_a_name() {
    let name = "[Windows.Networking.Connectivity.IPInformation";
    taken("q_020", &[(format!("EHLO {name}\r\n").as_bytes(), name)]).await;
}

#[tokio::test]
async fn q_021_octets_that_are_no_ascii_are_taken_and_shown_escaped() {
    let raw = [b"EHLO ".as_slice(), &b"\xe7".repeat(2000), b"\r\n"].concat();
    let long = [b"EHLO ".as_slice(), &b"x".repeat(2000), b"\r\n"].concat();
    taken(
        "q_021",
        &[
            (b"EHLO \xcc\xf3\xf0\r\n", r"\xcc\xf3\xf0"),
            (b"HELO \xcc\xf3\xf0\r\n", r"\xcc\xf3\xf0"),
            ("EHLO MÜLLER-PC\r\n".as_bytes(), r"M\xc3\x9cLLER-PC"),
            (b"EHLO x\x1b[2J\x7f\r\n", r"x\x1b[2J\x7f"),
            (&raw, &r"\xe7".repeat(63)),
            (&long, &"x".repeat(255)),
        ],
    )
    .await;
    // In a name only: anywhere else it would have to be understood.
    let elsewhere = "MAIL FROM:<MÜLLER@b.c>\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@MÜLLER.f>\r\n".as_bytes();
    let replies = ["250", "553 5.6.7", "250 2.1.0", "553 5.6.7"];
    play("q_021_elsewhere", ALL, &[(&[b"HELO x\r\n", elsewhere].concat(), &replies)], NOTHING).await;
}

#[tokio::test]
async fn q_022_a_short_name_is_a_name() {
    let container = (b"EHLO 756304a12d17\r\n".as_slice(), "756304a12d17");
    taken("q_022", &[(b"EHLO NETBIOSNAME\r\n", "NETBIOSNAME"), container, (b"EHLO LocalHost\r\n", "LocalHost")]).await;
}

#[tokio::test]
async fn q_023_localhost_is_a_name_and_the_provider_hears_ours() {
    let whole = (b"EHLO localhost.localdomain\r\n".as_slice(), "localhost.localdomain");
    taken("q_023", &[(b"EHLO localhost\r\n", "localhost"), (b"EHLO localHost\r\n", "localHost"), whole]).await;
    let hello: Step<'_> = (b"EHLO localhost.localdomain\r\n", &["250"]);
    let heard = heard_upstream("q_023", &[hello, MAIL, BODY]).await;
    let hello: Vec<&String> =
        heard.iter().filter(|line| line.starts_with("EHLO") || line.starts_with("HELO")).collect();
    assert_eq!(hello, ["EHLO relay.test"]);
}

#[tokio::test]
async fn q_024_an_address_in_brackets_is_a_name() {
    taken("q_024", &[(b"ehlo [127.0.0.1]\r\n", "[127.0.0.1]"), (b"EHLO [127.0.0.1]\r\n", "[127.0.0.1]")]).await;
}

#[tokio::test]
async fn q_025_a_bare_ipv6_address_is_a_name() {
    taken("q_025", &[(b"ehlo FE80::1:2\r\n", "FE80::1:2")]).await;
}

#[tokio::test]
async fn q_026_our_own_name_is_no_loop() {
    let addr = (b"EHLO 127.0.0.1\r\n".as_slice(), "127.0.0.1");
    taken("q_026", &[(b"EHLO door.test\r\n", "door.test"), (b"HELO door.test\r\n", "door.test"), addr]).await;
    // Not even in the Received fields that a message brings along.
    let sent: Step<'_> =
        (b"Received: from door.test by door.test; Sat, 21 Nov 2026 08:00:00 +0000\r\n\r\nx\r\n.\r\n", BODY.1);
    play("q_026_hops", ALL, &[(b"EHLO door.test\r\n", &["250"]), MAIL, sent], LETTER).await;
}

#[tokio::test]
async fn q_027_hello_may_come_again_at_any_time_and_begins_anew() {
    let twice: Step<'_> =
        (b"EHLO localhost\r\nHELO localhost\r\nEHLO x\r\nhelo again\r\n", &["250", "250", "250", "250"]);
    let seen = play("q_027", ALL, &[twice, MAIL, BODY], LETTER).await;
    assert!(seen.iter().all(|seen| seen.helo == "again"), "{seen:?}");
    for hello in ["EHLO", "HELO"] {
        let inside =
            format!("HELO x\r\nMAIL FROM:<old@b.c>\r\nRCPT TO:<old@e.f>\r\n{hello} x\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        let replies = ["250", "250 2.1.0", "250 2.1.5", "250", "503 5.5.1", "503 5.5.1"];
        // The next message has nothing of the one that was dropped.
        play(&format!("q_027_{hello}"), ALL, &[(inside.as_bytes(), &replies), MAIL, BODY], LETTER).await;
    }
}

/// A listener where log-ins are verified, and which nobody may use without one.
fn abroad(name: &str, profile: yizhan::smtp::server::Profile) -> Entrance {
    Entrance::open(&format!("{name}_{profile:?}"), Plan { profile, ..Plan::abroad() })
}

#[tokio::test]
async fn q_028_a_second_ehlo_keeps_the_log_in() {
    for &profile in ALL {
        let door = abroad("q_028", profile);
        let mut line = Line::hello(door.addr).await;
        line.ask("MAIL FROM:<a@b.c>", "530 5.7.0").await;
        line.log_in("printer", "right", "235").await;
        line.ask("EHLO again", "250").await;
        line.ask("HELO again", "250").await;
        line.send("a@b.c").await;
        assert_eq!(door.only().await.0.origin.helo, "again");
    }
}

#[tokio::test]
async fn q_029_after_starttls_no_hello_is_needed_and_nothing_is_remembered() {
    let ca = TestCa::new();
    for &profile in ALL {
        let plan = Plan { profile, tls: Some((ca.issue(NAMES), false)), ..Plan::default() };
        let door = Entrance::open(&format!("q_029_{profile:?}"), plan);
        let mut line = Line::hello(door.addr).await;
        line.log_in("printer", "right", "235").await;
        line.ask("MAIL FROM:<old@b.c>", "250").await;
        line.ask("RCPT TO:<old@e.f>", "250").await;
        line.ask("STARTTLS", "220").await;
        let mut line = line.tls(ca.file()).await.expect("the certificate is good");
        line.ask("RCPT TO:<d@e.f>", "503 5.5.1").await;
        line.ask("DATA", "503 5.5.1").await;
        // Not "already authenticated".
        line.log_in("printer", "right", "235").await;
        if profile == Strict {
            line.ask("MAIL FROM:<a@b.c>", "503 5.5.1 Send EHLO first").await;
            line.ask("EHLO x", "250").await;
        }
        line.send("a@b.c").await;
        let (entry, _) = door.only().await;
        assert_eq!(entry.sender.to_string(), "a@b.c");
        assert_eq!(entry.origin.helo, if profile == Strict { "x" } else { "unknown" });
    }
}

#[tokio::test]
async fn q_030_ehlo_is_answered_in_one_line_in_the_legacy_profile_only() {
    let next: Step<'_> = (b"NOOP\r\n", &["250 2.0.0"]);
    play("q_030", &[Legacy], &[(b"EHLO plc\r\n", &["250 door.test"]), next, MAIL, BODY], LETTER).await;
    for (profile, row) in [(Strict, "q_030_strict"), (Tolerant, "q_030_tolerant")] {
        play(row, &[profile], &[(b"EHLO plc\r\n", &["250-door.test\r\n250-SIZE "]), next, MAIL, BODY], LETTER).await;
    }
}

#[tokio::test]
async fn q_031_ehlo_is_never_refused() {
    let names: [&[u8]; 9] = [b"", b" ", b" -", b" a..b", b" .", b" <x>", b" a@b", b" [", b" \xff\xfe(\"\\"];
    let lines: Vec<u8> = names.iter().flat_map(|name| [b"EHLO", *name, b"\r\n"].concat()).collect();
    play("q_031", ALL, &[(&lines, &["250"; 9])], NOTHING).await;
    let between = b"MAIL FROM:<a@b.c>\r\nEHLO x\r\nFOO\r\nEHLO y\r\n";
    let replies = ["250 2.1.0", "250", "500 5.5.2", "250"];
    play("q_031_between", LENIENT, &[(between, &replies), MAIL, BODY], LETTER).await;
}

#[tokio::test]
async fn q_032_who_says_helo_has_everything() {
    let sized: Step<'_> = (
        b"MAIL FROM:<a@b.c> SIZE=20 BODY=8BITMIME\r\nRCPT TO:<d@e.f>\r\nDATA\r\n",
        &["250 2.1.0", "250 2.1.5", "354 "],
    );
    let hello: Step<'_> = (b"Helo notify.ossec.net\r\n", &["250 door.test"]);
    let quit: Step<'_> = (b"QUIT\r\n", &["221"]);
    let seen = play("q_032", ALL, &[hello, sized, BODY, quit], LETTER).await;
    assert!(seen.iter().all(|seen| seen.head.contains("with SMTP id")), "{seen:?}");
    // A log-in as well, though it was not announced.
    for &profile in ALL {
        let door = abroad("q_032", profile);
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        line.ask("HELO ossec", "250").await;
        line.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
        line.ask("cHJpbnRlcg==", "334 UGFzc3dvcmQ6").await;
        line.ask("cmlnaHQ=", "235").await;
        line.send("a@b.c").await;
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        line.ask("HELO ossec", "250").await;
        line.ask(&format!("AUTH PLAIN {}", plain("printer", "wrong")), "535").await;
        line.ask("MAIL FROM:<a@b.c>", "530 5.7.0").await;
        assert_eq!(door.only().await.0.sender.to_string(), "a@b.c");
    }
}

#[tokio::test]
async fn q_033_who_is_in_an_allowed_network_needs_no_log_in() {
    for &profile in ALL {
        let door = Entrance::open(&format!("q_033_{profile:?}"), Plan { profile, ..Plan::default() });
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        assert_eq!(line.ask("HELO sms-tool", "250").await, "250 door.test", "there is no AUTH to be seen");
        line.send("a@b.c").await;
        assert_eq!(door.only().await.0.origin.helo, "sms-tool");
        // From elsewhere the same is refused.
        let door = abroad("q_033_abroad", profile);
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        line.ask("HELO sms-tool", "250").await;
        line.ask("MAIL FROM:<a@b.c>", "530 5.7.0").await;
    }
}
