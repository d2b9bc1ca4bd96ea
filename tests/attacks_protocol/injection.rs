//! Text that wants to be more than text (A-034 to A-049): in the envelope, in header fields, in the log, on a terminal.
//!
//! Not here: secrets (`secrets`), rows and files of the queue that somebody edited (`queue_damage`), ids on the command
//! line (`cli`).

use yizhan::config::Profile;
use yizhan::message::from_rule;
use yizhan::queue::entry::State;
use yizhan::sandbox::{Fault, Limits, Received, Sandbox, Stage, What};
use yizhan::telemetry::log::obeyed;

use crate::support::entrance::{Line, base64};
use crate::support::office::{USER, field, provider};
use crate::support::program::{Program, QUICK, Site};
use crate::{Scene, codes, legal, rest};

/// Says this behind EHLO, in one piece, with QUIT at the end; gives the replies without those to EHLO and QUIT.
async fn say(scene: &Scene, octets: &[u8]) -> Vec<String> {
    let replies = scene.say(Profile::Tolerant, &[b"EHLO x\r\n", octets, b"QUIT\r\n"].concat(), usize::MAX).await;
    let [_, hello, between @ .., bye] = &replies[..] else { panic!("{}: {replies:?}", octets.escape_ascii()) };
    assert!(hello.starts_with("250") && bye.starts_with("221"), "{}: {replies:?}", octets.escape_ascii());
    between.to_vec()
}

/// The replies begin so, one by one.
fn begin(replies: &[String], wanted: &[&str], about: &[u8]) {
    let fits =
        replies.len() == wanted.len() && replies.iter().zip(wanted).all(|(reply, start)| reply.starts_with(start));
    assert!(fits, "{}: {replies:?} instead of {wanted:?}", about.escape_ascii());
}

const SEND: &[u8] = b"DATA\r\nSubject: one\r\n\r\nfirst\r\n.\r\n";

#[tokio::test]
async fn a_034_a_line_end_in_quotes_is_a_line_end() {
    let scene = Scene::open("quotes").await;
    let octets = b"MAIL FROM:<a@b>\r\nRCPT TO:<\"x\r\nRCPT TO:<evil@x>\"@b.com>\r\nDATA\r\n";
    begin(&say(&scene, octets).await, &["250", "501 5.5.4", "501 5.5.4", "554 5.5.1"], octets);
    // The second half is a command like any other.
    let octets = [b"MAIL FROM:<a@b>\r\nRCPT TO:<\"x\r\nRCPT TO:<second@x>\r\n", SEND].concat();
    begin(&say(&scene, &octets).await, &["250", "501 5.5.4", "250", "354", "250"], &octets);
    scene.holds(&["second@x"]).await;
}

#[tokio::test]
async fn a_035_no_control_octet_gets_into_an_address() {
    let scene = Scene::open("controls").await;
    // What stands between the brackets, and the replies to it as a recipient; as a sender 5.1.7 stands for 5.1.3.
    let cases: [(&[u8], &[&str]); 12] = [
        (b"\"a\\\rb\"@x", &["501 5.5.4"]),
        (b"\"a\rb\"@x", &["501 5.5.4"]),
        (b"\"\0\"@x", &["501 5.5.4"]),
        (b"\"a\nb\"@x", &["501 5.5.4", "500 5.5.2"]),
        (b"\"a\\\x1bb\"@x", &["553 5.1.3"]),
        (b"\"a\x07b\"@x", &["553 5.1.3"]),
        (b"\"a\tb\"@x", &["553 5.1.3"]),
        (b"\"a\x7fb\"@x", &["553 5.1.3"]),
        (b"a\x08@x", &["553 5.1.3"]),
        (b"a@x\x0by", &["553 5.1.3"]),
        (b"\"a\x9bb\"@x", &["553 5.6.7"]),
        (b"\"a\xc2\x9bb\"@x", &["553 5.6.7"]),
    ];
    for (path, wanted) in cases {
        let octets = [b"MAIL FROM:<", path, b">\r\nMAIL FROM:<a@b>\r\nRCPT TO:<", path, b">\r\nDATA\r\n"].concat();
        let as_sender: Vec<&str> =
            wanted.iter().map(|one| if *one == "553 5.1.3" { "553 5.1.7" } else { one }).collect();
        let all = [&as_sender[..], &["250"], wanted, &["554 5.5.1"]].concat();
        begin(&say(&scene, &octets).await, &all, path);
    }
    scene.holds(&[]).await;
}

/// What comes back from the queue is held against the same rules: `queue_damage::a_036_*`.
#[tokio::test]
async fn a_036_parameters_are_numbers_and_words_or_refused() {
    let scene = Scene::open("typed").await;
    let refused: [&[u8]; 7] = [
        b"SIZE=1\rRCPT TO:<evil@x>",
        b"SIZE=-1",
        b"SIZE=1x",
        b"SIZE=",
        b"SIZE=99999999999999999999",
        b"BODY=8BITMIME\0",
        b"RET=HDRS\rX",
    ];
    for parameter in refused {
        let octets = [b"MAIL FROM:<a@b> ", parameter, b"\r\nRCPT TO:<c@d>\r\n"].concat();
        begin(&say(&scene, &octets).await, &["501 5.5.4", "503"], parameter);
    }
    let octets =
        [b"MAIL FROM:<a@b> SIZE=1\nRCPT TO:<c@d> NOTIFY=NEVER\nRCPT TO:<e@f> ORCPT=rfc822;x+0D+0Ay\n", SEND].concat();
    begin(&say(&scene, &octets).await, &["250", "250", "250", "354", "250"], &octets);
    scene.holds(&["c@d e@f"]).await;
}

#[tokio::test]
async fn a_037_nothing_in_an_address_is_decoded() {
    let scene = Scene::open("decoded").await;
    let octets = b"MAIL FROM:<a@b>\r\nRCPT TO:<a%0d%0aRCPT TO:<evil@x>@b>\r\nDATA\r\n";
    begin(&say(&scene, octets).await, &["250", "501 5.5.4", "554 5.5.1"], octets);
    // A semicolon is no letter of an address.
    let octets = b"MAIL FROM:<a@b>\r\nRCPT TO:<&#13;&#10;@b>\r\nDATA\r\n";
    begin(&say(&scene, octets).await, &["250", "553 5.1.3", "554 5.5.1"], octets);
    let literal = ["a%0d%0aDATA@b", "=?utf-8?q?=0d=0a?=@b", "a%40evil.test@b", "a+AA0ACg-@b"];
    for address in literal {
        let octets = [format!("MAIL FROM:<a@b>\r\nRCPT TO:<{address}>\r\n").as_bytes(), SEND].concat();
        begin(&say(&scene, &octets).await, &["250", "250", "354", "250"], &octets);
    }
    scene.holds(&literal).await;
}

#[tokio::test]
async fn a_038_wide_characters_are_never_made_narrow() {
    let scene = Scene::open("wide").await;
    for wide in ["\u{10d}", "\u{10a}", "\u{560d}\u{560a}", "\u{ff0d}", "\u{2028}"] {
        let octets = format!(
            "MAIL FROM:<a{wide}x@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c{wide}RCPT@d>\r\nRCPT TO:<c@d{wide}e>\r\nDATA\r\n"
        );
        let wanted = ["553 5.6.7", "250", "553 5.6.7", "553 5.6.7", "554 5.5.1"];
        begin(&say(&scene, octets.as_bytes()).await, &wanted, octets.as_bytes());
    }
    scene.holds(&[]).await;
}

/// Hands in a message for `c@d` with these lines on top; gives it as the provider has it.
async fn with_head(lines: &[&[u8]]) -> Vec<Received> {
    let scene = Scene::open("head").await;
    for head in lines {
        let octets = [b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", *head, b"\r\n\r\nfirst\r\n.\r\n"].concat();
        begin(&say(&scene, &octets).await, &["250", "250", "354", "250"], head);
    }
    scene.holds(&vec!["c@d"; lines.len()]).await
}

/// The names of the header fields, in lower case, each as often as it is there.
fn names(one: &Received) -> Vec<String> {
    let end = one.data.windows(4).position(|four| four == b"\r\n\r\n").expect("it has a body");
    let head = String::from_utf8(one.data[..end].to_vec()).expect("a header is ASCII");
    let fields = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    fields.map(|line| line.split(':').next().expect("there is a first part").to_ascii_lowercase()).collect()
}

fn count(one: &Received, name: &str) -> usize {
    names(one).iter().filter(|found| *found == name).count()
}

#[tokio::test]
async fn a_039_a_field_of_the_message_makes_no_recipient() {
    let heads: [&[u8]; 3] = [
        b"From: a@b\r\nSubject: x\r\nBcc: evil@x\r\nTo: c@d",
        b"From: a@b\r\nSubject: x\r\nTo: c@d, evil@x\r\nCc: evil@x\r\nBCC : evil@x\r\nBcc: evil@x\r\n , other@x",
        b"From: a@b\r\nSubject: x\r\nResent-Bcc: evil@x\r\nResent-To: evil@x\r\nApparently-To: evil@x",
    ];
    for one in with_head(&heads).await {
        assert!(!names(&one).iter().any(|name| name.trim().ends_with("bcc")), "{:?}", names(&one));
    }
}

#[tokio::test]
async fn a_040_a_line_end_in_an_encoded_word_ends_no_line() {
    let heads: [&[u8]; 4] = [
        b"From: a@b\r\nSubject: =?utf-8?q?a=0d=0aBcc:_evil@x?=\r\nTo: c@d",
        b"From: a@b\r\nSubject: =?utf-8?b?YQ0KQmNjOiBldmlsQHg=?=\r\nTo: =?utf-8?q?a=0d=0aBcc:_evil@x?= <c@d>",
        b"From: =?utf-8?q?a=0d=0aBcc:_evil@x?= <a@b>\r\nSubject: =?gbk?q?a=0aBcc:_evil@x?=\r\nTo: c@d",
        b"From: a@b\r\nSubject: =?utf-7?q?a+AA0ACg-Bcc:_evil@x?= =?utf-8?q?=e2=80=a8Bcc:_evil@x?=\r\nTo: c@d",
    ];
    for one in with_head(&heads).await {
        let names = names(&one);
        assert!(!names.iter().any(|name| name.contains("bcc")), "{names:?}");
        assert_eq!([count(&one, "subject"), count(&one, "from"), count(&one, "to")], [1, 1, 1], "{names:?}");
        // Nor for who decodes it: no control is left in what a reader shows.
        let mail = mail_parser::MessageParser::default().parse(&one.data[..]).expect("it is a mail");
        assert!(!mail.subject().is_some_and(|text| text.chars().any(char::is_control)), "{:?}", mail.subject());
    }
}

#[tokio::test]
async fn a_041_what_is_made_of_from_is_one_mailbox() {
    let heads: [&[u8]; 7] = [
        b"From: \"a\\\r\n b>, c\" <evil@x>, d@e",
        b"From: =?utf-8?q?x=0d=0aBcc:_evil@x?= <boss@corp.lan>",
        b"From: =?utf-8?b?IiwgPGV2aWxAeD4sIA0KQmNjOiBldmlsQHg=?= <boss@corp.lan>",
        b"From: \"x>, <evil@x>\" <boss@corp.lan>",
        b"From: boss@corp.lan\rBcc: evil@x",
        b"From: boss@corp.lan>, evil@x",
        b"From: \"boss@corp.lan\r\n\" <\"evil>,\"@x>",
    ];
    for (one, head) in with_head(&heads).await.iter().zip(heads) {
        let (names, head) = (names(one), head.escape_ascii());
        assert!(!names.iter().any(|name| name == "bcc"), "{head}: {names:?}");
        assert_eq!(count(one, "from"), 1, "{head}: {names:?}");
        let from = one.field("From").expect("it is there");
        let mailbox = from_rule::accepted_mailbox(from.as_bytes());
        assert_eq!(mailbox.map(|mailbox| mailbox.to_string()).as_deref(), Some(USER), "{head}: {from}");
        for name in ["reply-to", "x-original-from"] {
            assert!(count(one, name) <= 1, "{head}: {names:?}");
            if let Some(value) = field(&one.data, name) {
                let mailbox = from_rule::accepted_mailbox(value.as_bytes());
                assert!(mailbox.is_some_and(|mailbox| mailbox.is_qualified()), "{head}: {name}: {value}");
            }
        }
    }
}

/// The relay as a program with a log of everything, in this format.
async fn program(format: &str, more: &str) -> (Sandbox, Site, Program) {
    let sandbox = provider(Limits::default()).await;
    let quick = QUICK.replace("\"json\"", &format!("\"{format}\""));
    let site = Site::new("injection", &sandbox, &format!("{quick}level = \"trace\"\n"));
    let text = std::fs::read_to_string(&site.config).expect("it was written");
    site.folder.file("yizhan.toml", text.replace("[account.office]", &format!("{more}[account.office]")));
    let relay = site.start().await;
    (sandbox, site, relay)
}

/// Each line is one fact, in the form of the format, with nothing that a terminal obeys.
fn is_clean(format: &str, lines: &[String]) {
    assert!(lines.len() > 3, "{lines:?}");
    for line in lines {
        assert!(!line.chars().any(obeyed), "{line:?}");
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
    assert!(all.chars().all(|c| c == '\n' || !obeyed(c)), "{:?}", all);
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

#[tokio::test]
async fn a_045_the_value_of_auth_is_thrown_away() {
    let scene = Scene::open("xtext").await;
    let octets = [b"MAIL FROM:<a@b> AUTH=x+0Ay+0DMAIL\r\nRCPT TO:<c@d>\r\n", SEND].concat();
    begin(&say(&scene, &octets).await, &["250", "250", "354", "250"], &octets);
    // The line ends at LF; what was meant as the rest of the value is a command, and none.
    for value in [&b"AUTH=<\n>"[..], b"AUTH=\nx=y"] {
        let octets = [b"MAIL FROM:<a@b> ", value, b"\r\nRCPT TO:<c@d>\r\n", SEND].concat();
        begin(&say(&scene, &octets).await, &["250", "500 5.5.2", "250", "354", "250"], value);
    }
    let octets = b"MAIL FROM:<a@b> AUTH=<\r>\r\n";
    begin(&say(&scene, octets).await, &["501 5.5.4"], octets);
    scene.holds(&["c@d", "c@d", "c@d"]).await;
    for entry in scene.office.list(&State::ALL).await {
        assert_eq!(entry.sender.to_string(), "a@b");
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
        let forged = |line: &&String| crate::support::program::field_of(line, "id").as_deref() == Some("forged");
        assert_eq!(lines.iter().filter(forged).count(), 0, "{lines:?}");
        assert_eq!(sandbox.received().len(), 1);
    }
}

#[tokio::test]
async fn a_047_an_address_is_no_program_and_no_path() {
    let scene = Scene::open("shell").await;
    let octets = b"MAIL FROM:<;for i in 0 1 2;do read r;done;sh;exit 0;>\r\nRCPT TO:<c@d>\r\n";
    begin(&say(&scene, octets).await, &["553 5.1.7", "503"], octets);
    let literal = [
        "${run{/bin/sh}}@x",
        "../../../../tmp/yz-a-047@b",
        "|/bin/sh@b",
        "`id`@b",
        "\"|/bin/sh -c id>/tmp/yz-a-047\"@b",
        "{{7*7}}%d%s@b",
    ];
    for address in literal {
        let octets = [format!("MAIL FROM:<{address}>\r\nRCPT TO:<{address}>\r\n").as_bytes(), SEND].concat();
        begin(&say(&scene, &octets).await, &["250", "250", "354", "250"], &octets);
    }
    scene.holds(&literal).await;
    assert!(!std::path::Path::new("/tmp/yz-a-047").exists());
    let mut senders: Vec<String> =
        scene.office.list(&State::ALL).await.iter().map(|entry| entry.sender.to_string()).collect();
    senders.sort();
    let mut wanted = literal.to_vec();
    wanted.sort();
    assert_eq!(senders, wanted);
}

#[tokio::test]
async fn a_049_no_command_changes_who_speaks() {
    let scene = Scene::open("identity").await;
    for command in [
        "XCLIENT ADDR=10.1.2.3 NAME=boss LOGIN=boss",
        "XFORWARD ADDR=10.1.2.3",
        "ETRN example.com",
        "TURN",
        "ATRN example.com",
        "SEND FROM:<a@b>",
        "SOML FROM:<a@b>",
        "SAML FROM:<a@b>",
        "AUTH EXTERNAL",
        "AUTH EXTERNAL Ym9zcw==",
    ] {
        begin(
            &say(&scene, format!("{command}\r\nDATA\r\n").as_bytes()).await,
            &["502 5.5.1", "503"],
            command.as_bytes(),
        );
    }
    let octets = b"PROXY TCP4 10.1.2.3 127.0.0.1 1 25\r\n";
    begin(&say(&scene, octets).await, &["500 5.5.2"], octets);
    let octets = [b"XCLIENT ADDR=10.1.2.3\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", SEND].concat();
    begin(&say(&scene, &octets).await, &["502 5.5.1", "250", "250", "354", "250"], &octets);
    let received = scene.holds(&["c@d"]).await;
    assert!(received[0].field("Received").is_some_and(|text| text.contains("from x ([127.0.0.1])")), "{received:?}");
}

#[tokio::test]
async fn a_049_external_is_no_mechanism_where_log_ins_are() {
    use crate::support::entrance::{Entrance, Plan};
    let door = Entrance::open("external", Plan::abroad());
    let mut line = Line::hello(door.addr).await;
    line.ask("AUTH EXTERNAL Ym9zcw==", "504 5.5.4").await;
    line.ask("MAIL FROM:<a@b>", "530 5.7.0").await;
    line.ask("QUIT", "221").await;
    assert_eq!(codes(&rest(&mut line).await), [""; 0]);
}
