//! Text that wants to be more than text, in the envelope and in header fields.
//!
//! Not here: the log and the terminal (`terminal`), secrets (`secrets`), rows and files of the queue that somebody
//! edited (`queue::damage`), ids on the command line (`cli`).

use yizhan::message::from_rule;
use yizhan::queue::MessageState;
use yizhan::sandbox::Received;
use yizhan::smtp::server::Profile;

use super::{Scene, codes, rest};
use crate::support::entrance::{Entrance, Line, Plan};
use crate::support::office::{USER, field};

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

/// What comes back from the queue is held against the same rules: `queue::damage::a_036_*`.
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
    for entry in scene.office.list(&MessageState::ALL).await {
        assert_eq!(entry.sender.to_string(), "a@b");
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
        scene.office.list(&MessageState::ALL).await.iter().map(|entry| entry.sender.to_string()).collect();
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
    let door = Entrance::open("external", Plan::abroad());
    let mut line = Line::hello(door.addr).await;
    line.ask("AUTH EXTERNAL Ym9zcw==", "504 5.5.4").await;
    line.ask("MAIL FROM:<a@b>", "530 5.7.0").await;
    line.ask("QUIT", "221").await;
    assert_eq!(codes(&rest(&mut line).await), [""; 0]);
}
